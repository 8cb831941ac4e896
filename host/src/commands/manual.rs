//! `mapproxy completions` and `mapproxy man`: from the same definitions as `--help`.

use std::fs;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs, ManArgs};

/// Prints completions. A reader that goes away is no error.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mapproxy", &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("failed to write to stdout"),
        _ => Ok(()),
    }
}

/// Writes a page for every command that help shows.
pub(crate) fn man(args: &ManArgs) -> Result<()> {
    let failed = || format!("failed to write manual pages into `{}`", args.directory.display());
    fs::create_dir_all(&args.directory).with_context(failed)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    page(&command, &args.directory).with_context(failed)
}

fn page(command: &clap::Command, directory: &std::path::Path) -> io::Result<()> {
    let manual = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    manual.render(&mut text)?;
    fs::write(directory.join(manual.get_filename()), text)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        page(below, directory)?;
    }
    Ok(())
}
