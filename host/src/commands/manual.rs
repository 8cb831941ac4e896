//! `mapproxy completions` and `mapproxy man`: from the same definitions as `--help`.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::access_log::civil_date;
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
    write_pages(&command, &date(), &args.directory).with_context(failed)
}

fn write_pages(command: &clap::Command, date: &str, directory: &Path) -> io::Result<()> {
    let (name, text) = page(command, date)?;
    fs::write(directory.join(name), text)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, date, directory)?;
    }
    Ok(())
}

/// Name and text of a command's page. `clap_mangen` has no way to keep the lines of examples, so the order of its
/// sections is repeated here.
fn page(command: &clap::Command, date: &str) -> io::Result<(String, Vec<u8>)> {
    let manual = clap_mangen::Man::new(command.clone())
        .date(date)
        .source(concat!("mapproxy ", env!("CARGO_PKG_VERSION")))
        .manual("mapproxy");
    let mut text = Vec::new();
    manual.render_title(&mut text)?;
    manual.render_name_section(&mut text)?;
    manual.render_synopsis_section(&mut text)?;
    manual.render_description_section(&mut text)?;
    manual.render_options_section(&mut text)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        manual.render_subcommands_section(&mut text)?;
    }
    if let Some(notes) = command.get_after_long_help() {
        text.extend_from_slice(end_sections(&notes.to_string()).as_bytes());
    }
    Ok((manual.get_filename(), text))
}

/// What `--help` ends with: paragraphs, and examples whose lines are kept.
fn end_sections(help: &str) -> String {
    let mut out = String::new();
    let mut heading = ".SH NOTES\n";
    for block in help.split("\n\n") {
        if let Some(examples) = block.strip_prefix("Examples:\n") {
            out.push_str(".SH EXAMPLES\n.nf\n");
            for line in examples.lines() {
                out.push_str(&literal(line.strip_prefix("  ").unwrap_or(line)));
            }
            out.push_str(".fi\n");
        } else {
            out.push_str(std::mem::replace(&mut heading, ".PP\n"));
            out.extend(block.lines().map(literal));
        }
    }
    out
}

/// A line as it stands: roff makes typographic characters of some, and requests of lines that begin with a dot.
fn literal(line: &str) -> String {
    let mut out = String::from("\\&");
    for character in line.chars() {
        match character {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

/// Today, or the day that packages are dated by (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn date() -> String {
    let given = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    let seconds = given.unwrap_or_else(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    });
    let (year, month, day) = civil_date(seconds);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(command: &clap::Command, found: &mut Vec<(String, String)>) {
        let (name, text) = page(command, "2026-01-31").unwrap();
        found.push((name, String::from_utf8(text).unwrap()));
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            pages(below, found);
        }
    }

    #[test]
    fn every_page_has_title_date_version_and_examples() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut found = Vec::new();
        pages(&command, &mut found);
        assert!(found.iter().any(|(name, _)| name == "mapproxy-util-grids.1"));
        for (name, text) in &found {
            let title = name.strip_suffix(".1").unwrap();
            let head = format!(
                ".TH {title} 1 2026-01-31 \"mapproxy {}\" mapproxy",
                env!("CARGO_PKG_VERSION")
            );
            assert!(text.lines().any(|line| line == head), "{name}: {text}");
            let examples = text.split_once(".SH EXAMPLES\n.nf\n\\&mapproxy ");
            assert!(
                examples.is_some_and(|(_, rest)| rest.contains("\n.fi\n")),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn lines_of_examples_are_kept() {
        assert_eq!(
            end_sections("A note:\n.so it is.\n\nMore.\n\nExamples:\n  a --b 'c'   d\n  ..."),
            ".SH NOTES\n\\&A note:\n\\&.so it is.\n.PP\n\\&More.\n\
             .SH EXAMPLES\n.nf\n\\&a \\-\\-b \\(aqc\\(aq   d\n\\&...\n.fi\n"
        );
    }
}
