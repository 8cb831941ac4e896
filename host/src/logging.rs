//! Diagnostics on standard error.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// What to log: a level (error, warn, info, debug, trace) or a filter such as `info,guest=debug`.
    ///
    /// Lines that instances write come under the target `guest`, each with the id of its request.
    #[arg(
        long,
        global = true,
        env = "MAPPROXY_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,

    /// Form of the log on standard error.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging for the whole process.
pub(crate) fn start(args: &LogArgs) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("`{}` is not a log filter", args.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .context("failed to start logging")
}
