//! An application: a compiled configuration with the directories, upstream servers and idle instances it needs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::warn;
use wasmtime::Store;

use crate::bindings::{Access, Compiled, File, Outcome, Problem, Severity};
use crate::bindings::{configuration, seeding};
use crate::diagnostics;
use crate::directories::{Directories, Directory};
use crate::instance::{Guests, Instance, State};
use crate::outbound::{Origin, OriginKey, Outbound, Upstreams};
use crate::watch::Stamp;

/// Largest file a configuration may refer to (a coverage, for example).
const MAX_FILE: u64 = 64 << 20;

/// What an application occupies beside its compiled configuration: open directories, pools of connections, names.
const FIXED_MEMORY: usize = 16 << 10;

/// What an application is made from; processes hand it to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// What `configure` takes. Travels apart from the rest: it may be large.
    #[serde(skip)]
    pub(crate) compiled: Vec<u8>,
    directories: Vec<Directory>,
    origins: Vec<Origin>,
}

/// A configuration, ready to serve.
pub(crate) struct App {
    pub(crate) recipe: Recipe,
    pub(crate) directories: Directories,
    pub(crate) upstreams: Arc<Upstreams>,
    idle: Mutex<Vec<Instance>>,
}

/// A compiled configuration.
pub(crate) struct Read {
    pub(crate) recipe: Recipe,
    pub(crate) warnings: Vec<Problem>,
    /// What it was made from.
    pub(crate) files: Vec<Stamp>,
}

/// Why a configuration was not compiled.
pub(crate) struct Unread {
    pub(crate) error: LoadError,
    /// What was read until then: a change of it is a reason to try again.
    pub(crate) files: Vec<Stamp>,
}

/// Why a configuration did not become an application.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// What is wrong with it; errors and warnings.
    #[error("{}", diagnostics::summary(.0))]
    Problems(Vec<Problem>),
    #[error("{0:#}")]
    Host(#[from] anyhow::Error),
}

#[cfg(test)]
impl Recipe {
    pub(crate) fn of_bytes(compiled: Vec<u8>) -> Self {
        Self {
            compiled,
            directories: Vec::new(),
            origins: Vec::new(),
        }
    }
}

impl LoadError {
    /// As problems, with `file` to blame where no line is.
    pub(crate) fn into_problems(self, file: &Path) -> Vec<Problem> {
        match self {
            Self::Problems(problems) => problems,
            Self::Host(error) => vec![Problem {
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
            }],
        }
    }
}

impl App {
    /// An instance that served a request and may serve another.
    pub(crate) fn take_idle(&self) -> Option<Instance> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(crate) fn keep_idle(&self, instance: Instance) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
    }

    /// Bytes it occupies, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.recipe.compiled.len() + FIXED_MEMORY
    }
}

pub(crate) fn log_warnings(warnings: &[Problem]) {
    for problem in warnings {
        warn!(file = %problem.file, line = problem.line, "{}", diagnostics::one_line(problem));
    }
}

/// Compiles the configuration `main`, or the seed configuration `seed` for it, handing the component each file it asks
/// for.
pub(crate) async fn compile(guests: &Guests, main: &Path, seed: Option<&Path>) -> Result<Compiled, LoadError> {
    let stamped = compile_stamped(guests, main, seed, BTreeMap::new()).await;
    Ok(stamped.map_err(|failed| failed.error)?.0)
}

/// An instance that compiles; for a seed configuration with its path.
enum Compiler {
    Serve((Store<State>, configuration::Guest)),
    Seed(String, (Store<State>, seeding::Guest)),
}

/// Content of files by path, or why they cannot be read.
type Given = BTreeMap<String, Result<Vec<u8>, String>>;

/// `given`: files that are not looked for.
async fn compile_stamped(
    guests: &Guests,
    main: &Path,
    seed: Option<&Path>,
    mut given: Given,
) -> Result<(Compiled, Vec<Stamp>), Unread> {
    let mut stamps = Vec::new();
    match compile_loop(guests, main, seed, &mut given, &mut stamps).await {
        Ok(compiled) => {
            for file in &compiled.files {
                if !given.contains_key(file) {
                    stamps.push(Stamp::of(Path::new(file)));
                }
            }
            Ok((compiled, stamps))
        }
        Err(error) => Err(Unread { error, files: stamps }),
    }
}

async fn compile_loop(
    guests: &Guests,
    main: &Path,
    seed: Option<&Path>,
    given: &mut Given,
    stamps: &mut Vec<Stamp>,
) -> Result<Compiled, LoadError> {
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(anyhow::anyhow!("the path `{}` is not UTF-8", path.display())),
    };
    let path = text(main)?;
    let seed = seed.map(text).transpose()?;
    let environment = environment();
    let mut compiler = match seed {
        None => Compiler::Serve(guests.compiler().await?),
        Some(seed) => Compiler::Seed(seed, guests.seed_compiler().await?),
    };
    read(main, given, stamps);
    loop {
        let files: Vec<File> = given
            .iter()
            .map(|(path, content)| File {
                path: path.clone(),
                content: content.clone(),
            })
            .collect();
        let outcome = match &mut compiler {
            Compiler::Serve((store, guest)) => guest.call_compile(store, &path, &files, &environment).await,
            Compiler::Seed(seed, (store, guest)) => guest.call_compile(store, &path, seed, &files, &environment).await,
        };
        let outcome =
            outcome.map_err(|error| anyhow::anyhow!("the component failed on `{path}`: {:#}", error.root_cause()))?;
        match outcome {
            Outcome::Compiled(compiled) => return Ok(compiled),
            Outcome::Problems(problems) => return Err(LoadError::Problems(problems)),
            Outcome::Need(paths) => {
                let before = given.len();
                for path in paths {
                    read(Path::new(&path), given, stamps);
                }
                // Otherwise a component that asks for the same file again and again would keep us here for ever.
                if given.len() == before {
                    return Err(LoadError::Host(anyhow::anyhow!(
                        "the component asks again for files it was given"
                    )));
                }
            }
        }
    }
}

/// What answers `$VAR` in a configuration.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A file a component asked for.
pub(crate) fn file(path: String) -> File {
    let content = read_limited(Path::new(&path)).map_err(|error| error.to_string());
    File { path, content }
}

fn read(path: &Path, given: &mut Given, stamps: &mut Vec<Stamp>) {
    let name = path.to_string_lossy().into_owned();
    if given.contains_key(&name) {
        return;
    }
    // The stamp first: a change while we read is then seen at the next check.
    stamps.push(Stamp::of(path));
    let content = read_limited(path).map_err(|error| error.to_string());
    given.insert(name, content);
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected an absolute path"));
    }
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if metadata.len() > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the file is larger than 64 MiB",
        ));
    }
    fs::read(path)
}

/// Everything an application is made with.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) guests: Arc<Guests>,
    pub(crate) outbound: Arc<Outbound>,
}

impl Loader {
    /// Compiles the configuration `main`.
    pub(crate) async fn read(&self, main: &Path) -> Result<Read, Unread> {
        self.read_with(main, None, Given::new()).await
    }

    /// The application of the configuration `main` with the tasks of the seed configuration `seed`, and what is
    /// doubtful about them.
    pub(crate) async fn load_seed(&self, main: &Path, seed: &Path) -> Result<(App, Vec<Problem>), LoadError> {
        self.open_seed(main, seed, Given::new()).await
    }

    /// The same for configurations that are no files: path and text of both.
    pub(crate) async fn load_made_seed(
        &self,
        main: (String, String),
        seed: (String, String),
    ) -> Result<(App, Vec<Problem>), LoadError> {
        let (main_path, seed_path) = (PathBuf::from(&main.0), PathBuf::from(&seed.0));
        let given = [main, seed].map(|(path, text)| (path, Ok(text.into_bytes())));
        self.open_seed(&main_path, &seed_path, Given::from(given)).await
    }

    async fn open_seed(&self, main: &Path, seed: &Path, given: Given) -> Result<(App, Vec<Problem>), LoadError> {
        let read = self.read_with(main, Some(seed), given).await;
        let read = read.map_err(|failed| failed.error)?;
        Ok((self.open(read.recipe).await?, read.warnings))
    }

    async fn read_with(&self, main: &Path, seed: Option<&Path>, given: Given) -> Result<Read, Unread> {
        let (compiled, files) = compile_stamped(&self.guests, main, seed, given).await?;
        let directories = compiled.directories.into_iter().map(|directory| Directory {
            path: PathBuf::from(directory.path),
            writable: matches!(directory.access, Access::ReadWrite),
        });
        Ok(Read {
            recipe: Recipe {
                compiled: compiled.bytes,
                directories: directories.collect(),
                origins: compiled.origins.into_iter().map(origin).collect(),
            },
            warnings: compiled.warnings,
            files,
        })
    }

    /// Opens what an application needs, and tries it once: after that, no request can fail because of its configuration.
    pub(crate) async fn open(&self, recipe: Recipe) -> anyhow::Result<App> {
        let app = App {
            upstreams: Arc::new(self.outbound.upstreams(recipe.origins.clone())?),
            directories: Directories::open(recipe.directories.clone()),
            recipe,
            idle: Mutex::new(Vec::new()),
        };
        self.guests.probe(&app).await?;
        Ok(app)
    }
}

fn origin(origin: crate::bindings::exports::mapproxy::proxy::configuration::Origin) -> Origin {
    Origin {
        key: OriginKey {
            https: origin.scheme.eq_ignore_ascii_case("https"),
            host: origin.host.to_ascii_lowercase(),
            port: origin.port,
        },
        no_cert_checks: origin.no_cert_checks,
        ca_certs: origin.ca_certs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_with_absolute_paths_are_read() {
        assert!(read_limited(Path::new("Cargo.toml")).is_err());
        assert!(read_limited(Path::new("/dev/zero")).is_err());
        assert!(read_limited(&std::env::temp_dir()).is_err());
    }
}
