//! Questions to the component's tools: what they need from outside is fetched and given with the next call.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::app::{self, LoadError};
use crate::bindings::tools::{Answer, Output, Question};
use crate::bindings::{File, Problem};
use crate::cli::ComponentArgs;
use crate::commands::check::fail;
use crate::commands::{compiler, runtime};
use crate::outbound;

/// What came of a question.
pub(super) enum Answered {
    Output(Output),
    /// what is wrong with the configuration
    Problems(Vec<Problem>),
}

/// Asks until there is an answer.
pub(super) fn ask(question: &Question, component: &ComponentArgs) -> Result<Answered> {
    let guests = compiler(component)?;
    runtime()?.block_on(async {
        let mut files: Vec<File> = Vec::new();
        let environment = app::environment();
        loop {
            // A fresh instance each time: what the calls before have left in its memory is not needed.
            let (mut store, guest) = guests.toolbox().await?;
            let paths = match guest.call_ask(&mut store, question, &files, &environment).await? {
                Answer::Output(output) => return Ok(Answered::Output(output)),
                Answer::Problems(problems) => return Ok(Answered::Problems(problems)),
                Answer::Refused(reason) => bail!("{reason}"),
                Answer::Need(paths) => paths,
            };
            let before = files.len();
            for path in paths {
                if files.iter().any(|file| file.path == path) {
                    continue;
                }
                files.push(if path.starts_with("http://") || path.starts_with("https://") {
                    let content = outbound::fetch(&path).await;
                    File { path, content }
                } else {
                    app::file(path)
                });
            }
            if files.len() == before {
                bail!("the component asks again for what it was given");
            }
        }
    })
}

/// Asks, and prints what there is to print.
pub(super) fn ask_and_print(question: &Question, component: &ComponentArgs) -> Result<ExitCode> {
    match ask(question, component)? {
        Answered::Output(output) => {
            notes(&output);
            print(&output.text)
        }
        Answered::Problems(problems) => unusable(problems),
    }
}

/// Prints what is wrong with a configuration.
pub(super) fn unusable(problems: Vec<Problem>) -> Result<ExitCode> {
    fail(LoadError::Problems(problems))?;
    Ok(ExitCode::from(super::FAILED))
}

/// Prints what is not the result.
pub(super) fn notes(output: &Output) {
    for note in &output.notes {
        // A reader that went away misses it.
        let _ = writeln!(io::stderr().lock(), "{note}");
    }
}

/// A reader that goes away is no error.
pub(super) fn print(text: &str) -> Result<ExitCode> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("failed to write to stdout"),
        _ => Ok(ExitCode::SUCCESS),
    }
}
