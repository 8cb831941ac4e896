//! `mapproxy check` and `mapproxy compile`.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::{absolute, compiler, runtime};
use crate::app::{self, LoadError};
use crate::bindings::{Problem, Severity};
use crate::cli::{CheckArgs, CheckFormat, CompileArgs, ComponentArgs};
use crate::diagnostics::{self, Colours};
use crate::instance::Guests;
use crate::paste::{Application, Names};
use crate::projects;
use crate::reload::Source;
use crate::replace::replace;

/// Prints the problems of all files. The exit code is 1 where one of them has an error.
pub(crate) fn check(args: &CheckArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let guests = compiler(component)?;
    let runtime = runtime()?;
    let mut all = Vec::new();
    for file in &args.files {
        all.extend(runtime.block_on(problems(&guests, file)));
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

/// What is wrong with a configuration, with those of a directory, or with a Paste Deploy file and all it names.
async fn problems(guests: &Guests, file: &Path) -> Vec<Problem> {
    let source = match Source::of(file, false, Names::default()) {
        Ok(source) => source,
        Err(error) => return LoadError::Host(error).into_problems(file),
    };
    let deployment = source.deployment();
    let mut all = deployment.problems;
    for mount in deployment.mounts {
        let mains = match mount.application {
            Application::Configuration(main) => vec![main],
            Application::Projects { directory, .. } => projects::files(&directory),
        };
        for main in mains {
            match app::compile(guests, &main).await {
                Ok(compiled) => all.extend(compiled.warnings),
                // One file that cannot be read must not hide what is wrong with the others.
                Err(error) => all.extend(error.into_problems(&main)),
            }
        }
    }
    all
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
    replace(&output, &compiled.bytes, 0o666).with_context(|| format!("failed to write `{}`", output.display()))?;
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
