//! `mapproxy check` and `mapproxy compile`.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::{absolute, compiler, runtime};
use crate::app::{self, LoadError};
use crate::bindings::{Problem, Severity};
use crate::cli::{CheckArgs, CheckFormat, CompileArgs, ComponentArgs};
use crate::diagnostics::{self, Colours};

/// Prints the problems of all files. The exit code is 1 where one of them has an error.
pub(crate) fn check(args: &CheckArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let guests = compiler(component)?;
    let runtime = runtime()?;
    let mut all = Vec::new();
    for file in &args.files {
        match runtime.block_on(async { app::compile(&guests, &absolute(file)?).await }) {
            Ok(compiled) => all.extend(compiled.warnings),
            Err(LoadError::Problems(problems)) => all.extend(problems),
            // One file that cannot be read must not hide what is wrong with the others.
            Err(LoadError::Host(error)) => all.push(unreadable(file, &error)),
        }
    }
    let mut out = std::io::stdout().lock();
    match args.format {
        CheckFormat::Json => {
            let values: Vec<_> = all.iter().map(diagnostics::json).collect();
            serde_json::to_writer_pretty(&mut out, &values)?;
            writeln!(out)?;
        }
        CheckFormat::Text => {
            out.write_all(render(&all, out.is_terminal()).as_bytes())?;
            let files = args.files.len();
            let plural = if files == 1 { "" } else { "s" };
            writeln!(out, "{files} file{plural} checked: {}", diagnostics::summary(&all))?;
        }
    }
    let failed = all.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes the compiled form of a configuration. Warnings go to standard error.
pub(crate) fn compile(args: &CompileArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let guests = compiler(component)?;
    let main = absolute(&args.file)?;
    let compiled = match runtime()?.block_on(app::compile(&guests, &main)) {
        Ok(compiled) => compiled,
        Err(error) => return fail(error),
    };
    show(&compiled.warnings)?;
    let output = args.output.clone().unwrap_or_else(|| main.with_extension("compiled"));
    // A reader sees the old file or the new one, never half of it.
    let temporary = output.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, &compiled.bytes)
        .and_then(|()| fs::rename(&temporary, &output))
        .with_context(|| format!("failed to write `{}`", output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints why a configuration cannot be used.
pub(super) fn fail(error: LoadError) -> Result<ExitCode> {
    match error {
        LoadError::Problems(problems) => {
            show(&problems)?;
            let mut out = std::io::stderr().lock();
            writeln!(out, "{}", diagnostics::summary(&problems))?;
            Ok(ExitCode::FAILURE)
        }
        LoadError::Host(error) => Err(error),
    }
}

fn show(problems: &[Problem]) -> Result<()> {
    let mut out = std::io::stderr().lock();
    let text = render(problems, out.is_terminal());
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn render(problems: &[Problem], terminal: bool) -> String {
    let colours = if terminal && std::env::var_os("NO_COLOR").is_none() {
        Colours::Ansi
    } else {
        Colours::Never
    };
    let base = std::env::current_dir()
        .and_then(|path| path.canonicalize())
        .unwrap_or_default();
    diagnostics::render(problems, &base, colours)
}

fn unreadable(file: &Path, error: &anyhow::Error) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.display().to_string(),
        line: 0,
        column: 0,
        length: 1,
        source_line: String::new(),
        yaml_path: String::new(),
        message: format!("{error:#}"),
        expected: String::new(),
        suggestion: None,
    }
}
