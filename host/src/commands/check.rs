//! `mapproxy check` and `mapproxy compile`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};

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
    let given = args.proxy_conf.clone();
    let main = given.or_else(|| only_main(&args.files));
    for file in &args.files {
        let is_seed = args.proxy_conf.is_some() || is_seed(file);
        let found = match &main {
            Some(main) if is_seed => runtime.block_on(seed_problems(&guests, main, file)),
            _ => runtime.block_on(problems(&guests, file)),
        };
        // One configuration may be looked at for several files.
        for problem in found {
            if !all.iter().any(|known| is_same(known, &problem)) {
                all.push(problem);
            }
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
            out.write_all(render(&all, Colours::of(&out)).as_bytes())?;
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
            match app::compile(guests, &main, None).await {
                Ok(compiled) => all.extend(compiled.warnings),
                // One file that cannot be read must not hide what is wrong with the others.
                Err(error) => all.extend(error.into_problems(&main)),
            }
        }
    }
    all
}

/// What is wrong with a seed configuration, and with the configuration it is for.
async fn seed_problems(guests: &Guests, main: &Path, seed: &Path) -> Vec<Problem> {
    // Of files that were mixed up, every key is an unknown one: that would not tell what is wrong.
    if is_seed(main) {
        return LoadError::Host(anyhow!(
            "this is a seed configuration, `--proxy-conf` expects a `mapproxy.yaml`"
        ))
        .into_problems(main);
    }
    if kind(seed) == Some(Kind::Maps) {
        return LoadError::Host(anyhow!(
            "this is no seed configuration: there are neither `seeds` nor `cleanups`"
        ))
        .into_problems(seed);
    }
    let paths = absolute(main).and_then(|main| Ok((main, absolute(seed)?)));
    let compiled = match paths {
        Ok((main, seed)) => app::compile(guests, &main, Some(&seed)).await,
        Err(error) => Err(LoadError::Host(error)),
    };
    match compiled {
        Ok(compiled) => compiled.warnings,
        Err(error) => error.into_problems(seed),
    }
}

/// The configuration that the files name, if they name one alone.
fn only_main(files: &[PathBuf]) -> Option<PathBuf> {
    let mut mains = Vec::new();
    for file in files.iter().filter(|file| !is_seed(file)) {
        let source = Source::of(file, false, Names::default()).ok()?;
        for mount in source.deployment().mounts {
            match mount.application {
                Application::Configuration(main) => mains.push(main),
                Application::Projects { .. } => return None,
            }
        }
    }
    mains.sort();
    mains.dedup();
    <[PathBuf; 1]>::try_from(mains).ok().map(|[main]| main)
}

/// What a file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// a `mapproxy.yaml`
    Maps,
    /// a seed configuration
    Tasks,
}

/// The component knows better what a file is; to tell which of the files of a command line belong together, the keys
/// that begin a line are enough.
fn kind(file: &Path) -> Option<Kind> {
    let text = std::fs::read_to_string(file).ok()?;
    let has = |keys: &[&str]| {
        let mut names = text.lines().filter_map(|line| line.split_once(':'));
        names.any(|(name, _)| keys.contains(&name.trim_end()))
    };
    let maps = has(&["services", "layers", "caches", "sources"]);
    match (maps, has(&["seeds", "cleanups"])) {
        (true, false) => Some(Kind::Maps),
        (false, true) => Some(Kind::Tasks),
        _ => None,
    }
}

fn is_seed(file: &Path) -> bool {
    kind(file) == Some(Kind::Tasks)
}

fn is_same(one: &Problem, other: &Problem) -> bool {
    let key = |problem: &Problem| (problem.line, problem.column);
    key(one) == key(other) && one.file == other.file && one.message == other.message
}

/// Writes the compiled form of a configuration. Warnings go to standard error.
pub(crate) fn compile(args: &CompileArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let guests = compiler(component)?;
    let main = absolute(&args.file)?;
    let compiled = match runtime()?.block_on(app::compile(&guests, &main, None)) {
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
    let text = render(problems, Colours::of(&out));
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn render(problems: &[Problem], colours: Colours) -> String {
    let base = std::env::current_dir()
        .and_then(|path| path.canonicalize())
        .unwrap_or_default();
    diagnostics::render(problems, &base, colours)
}
