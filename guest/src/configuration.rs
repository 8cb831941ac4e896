//! The configuration of this instance: compiled on the host's request, handed over by the host, or, on a host that does
//! not know us, read from the first preopened directory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use mapproxy_core::config::compiled::Compiled;
use mapproxy_core::config::{self, Outcome, Problem, Severity};
use mapproxy_core::platform::{FileError, Files};

use crate::bindings::exports::mapproxy::proxy::configuration as wit;
use crate::platform::Wasi;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Compiled>>> = const { RefCell::new(None) };
    static GIVEN: Cell<bool> = const { Cell::new(false) };
}

/// Takes what an earlier [`compile`] made.
pub(crate) fn configure(bytes: Vec<u8>) -> Result<(), String> {
    let compiled = Compiled::open(bytes).map_err(|error| error.to_string())?;
    CURRENT.set(Some(Rc::new(compiled)));
    GIVEN.set(true);
    Ok(())
}

/// Whether the host gave it, and so knows the contract of `wit/mapproxy.wit`.
pub(crate) fn was_given() -> bool {
    GIVEN.get()
}

/// The configuration the host gave, or the one found in the file system.
pub(crate) fn current(platform: &Wasi) -> Result<Rc<Compiled>, String> {
    if let Some(compiled) = CURRENT.with_borrow(Clone::clone) {
        return Ok(compiled);
    }
    let compiled = Rc::new(find(&platform.files)?);
    CURRENT.set(Some(Rc::clone(&compiled)));
    Ok(compiled)
}

/// `$MAPPROXY_CONFIG`, by default `mapproxy.yaml` in the first directory: from the compiled file beside it where that
/// one is current, else compiled here and now.
fn find(files: &crate::files::WasiFiles) -> Result<Compiled, String> {
    let main = if let Ok(path) = std::env::var("MAPPROXY_CONFIG") {
        path
    } else {
        let directory = files
            .first_directory()
            .ok_or("no directory was opened for this component: expected one with a `mapproxy.yaml`")?;
        format!("{}/mapproxy.yaml", directory.trim_end_matches('/'))
    };
    let beside = compiled_path(&main);
    if let Ok((bytes, _)) = files.read(&beside) {
        match Compiled::open(bytes) {
            Ok(compiled) if is_current(&compiled, files) => return Ok(compiled),
            Ok(_) => log::warn!("`{beside}` is older than the configuration, which is compiled anew for every request"),
            Err(error) => log::warn!("`{beside}` is not used: {error}"),
        }
    }
    compile_from(&main, files)
}

/// `mapproxy.yaml` -> `mapproxy.compiled`, what `mapproxy compile` writes.
fn compiled_path(main: &str) -> String {
    let stem = main
        .strip_suffix(".yaml")
        .or_else(|| main.strip_suffix(".yml"))
        .unwrap_or(main);
    format!("{stem}.compiled")
}

fn is_current(compiled: &Compiled, files: &dyn Files) -> bool {
    compiled.sources().iter().all(|source| {
        let content = files.read(&source.path).map(|(content, _)| content);
        source.matches(content.as_deref().ok())
    })
}

fn compile_from(main: &str, files: &dyn Files) -> Result<Compiled, String> {
    let environment = std::env::vars().collect();
    let mut given: BTreeMap<String, Result<Vec<u8>, String>> = BTreeMap::new();
    loop {
        match config::compile(main, &given, &environment) {
            Outcome::Compiled(done) => {
                return Compiled::open(done.bytes).map_err(|error| error.to_string());
            }
            Outcome::Need(paths) => {
                for path in paths {
                    let content = files
                        .read(&path)
                        .map(|(content, _)| content)
                        .map_err(|error: FileError| error.to_string());
                    given.insert(path, content);
                }
            }
            Outcome::Problems(problems) => {
                return Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

/// `configuration.compile`: types of the WIT in and out.
pub(crate) fn compile(main: &str, files: Vec<wit::File>, environment: Vec<(String, String)>) -> wit::Outcome {
    let files = files.into_iter().map(|file| (file.path, file.content)).collect();
    outcome(config::compile(main, &files, &environment.into_iter().collect()))
}

/// `seeding.compile`.
pub(crate) fn compile_seed(
    main: &str,
    seed: &str,
    files: Vec<wit::File>,
    environment: Vec<(String, String)>,
) -> wit::Outcome {
    let files = files.into_iter().map(|file| (file.path, file.content)).collect();
    outcome(config::compile_seed(
        main,
        seed,
        &files,
        &environment.into_iter().collect(),
    ))
}

fn outcome(outcome: Outcome) -> wit::Outcome {
    match outcome {
        Outcome::Compiled(done) => wit::Outcome::Compiled(wit::Compiled {
            bytes: done.bytes,
            files: done.files,
            directories: done
                .directories
                .into_iter()
                .map(|directory| wit::Directory {
                    path: directory.path,
                    access: if directory.writable {
                        wit::Access::ReadWrite
                    } else {
                        wit::Access::Read
                    },
                })
                .collect(),
            origins: done
                .origins
                .into_iter()
                .map(|origin| wit::Origin {
                    scheme: origin.scheme,
                    host: origin.host,
                    port: origin.port,
                    no_cert_checks: origin.no_cert_checks,
                    ca_certs: origin.ca_certs,
                })
                .collect(),
            warnings: done.warnings.into_iter().map(problem).collect(),
        }),
        Outcome::Need(paths) => wit::Outcome::Need(paths),
        Outcome::Problems(problems) => wit::Outcome::Problems(problems.into_iter().map(problem).collect()),
    }
}

pub(crate) fn problem(problem: Problem) -> wit::Problem {
    wit::Problem {
        severity: match problem.severity {
            Severity::Error => wit::Severity::Error,
            Severity::Warning => wit::Severity::Warning,
        },
        file: problem.file,
        line: problem.line,
        column: problem.column,
        length: problem.length,
        source_line: problem.source_line,
        yaml_path: problem.yaml_path,
        message: problem.message,
        expected: problem.expected,
        suggestion: problem.suggestion,
    }
}
