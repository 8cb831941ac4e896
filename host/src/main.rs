//! `mapproxy`: runs the component behind an HTTP listener, a fresh instance for each request.
//!
//! This program knows nothing about maps. It gives instances what their compiled configuration names (directories and
//! upstream servers), bounds what they use, and keeps clients and logs in order.

mod access_log;
mod admin;
mod app;
mod apps;
mod bindings;
mod bridge;
mod cli;
mod commands;
mod component;
mod create;
mod diagnostics;
mod directories;
mod engine;
mod fastcgi;
mod guest_log;
mod instance;
mod limits;
mod listen;
mod logging;
mod outbound;
mod paste;
mod percent;
mod projects;
mod reload;
mod replace;
mod request_span;
mod seed;
mod server;
mod shutdown;
mod status;
mod units;
mod watch;
mod workers;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

#[expect(clippy::print_stderr, reason = "the one place that reports why the program ends")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    // What a run of pieces is doing is shown by other means.
    let log = if matches!(cli.command, Command::Seed(_)) {
        "warn,guest=error"
    } else {
        "info"
    };
    let result = logging::start(&cli.log, log).and_then(|()| match &cli.command {
        Command::Serve(args) => commands::serve(args, &cli.component),
        Command::Create(args) => commands::create(args),
        Command::Seed(args) => commands::seed(args, &cli.component),
        Command::Check(args) => commands::check(args, &cli.component),
        Command::Util(args) => commands::util(args, &cli.component),
        Command::Completions(args) => commands::completions(args).map(|()| ExitCode::SUCCESS),
        Command::Man(args) => commands::man(args).map(|()| ExitCode::SUCCESS),
        Command::Compile(args) => commands::compile(args, &cli.component),
        Command::Embed(args) => commands::embed(args, &cli.component).map(|()| ExitCode::SUCCESS),
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
