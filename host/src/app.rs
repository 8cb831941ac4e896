//! An application: a compiled configuration with the directories, upstream servers and idle instances it needs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::Context as _;
use tracing::{error, info, warn};

use crate::bindings::{Access, Compiled, File, Outcome, Problem};
use crate::diagnostics;
use crate::directories::{Directories, Directory};
use crate::instance::{Guests, Instance};
use crate::outbound::{Origin, OriginKey, Outbound, Upstreams};

/// Largest file a configuration may refer to (a coverage, for example).
const MAX_FILE: u64 = 64 << 20;

/// What an application occupies beside its compiled configuration: open directories, pools of connections, names.
const SLOT_MEMORY: usize = 16 << 10;

/// A configuration, compiled and ready to serve.
pub(crate) struct App {
    /// What `configure` takes.
    pub(crate) compiled: Vec<u8>,
    pub(crate) directories: Directories,
    pub(crate) upstreams: Arc<Upstreams>,
    warnings: Vec<Problem>,
    files: Vec<Stamp>,
    idle: Mutex<Vec<Instance>>,
}

/// Why a configuration did not become an application.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// What the component found wrong; errors and warnings.
    #[error("{}", diagnostics::summary(.0))]
    Problems(Vec<Problem>),
    #[error("{0:#}")]
    Host(#[from] anyhow::Error),
}

impl App {
    /// An instance that served a request and may serve another.
    pub(crate) fn take_idle(&self) -> Option<Instance> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(crate) fn keep_idle(&self, instance: Instance) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
    }

    fn is_current(&self) -> bool {
        self.files.iter().all(Stamp::is_current)
    }

    fn log_warnings(&self) {
        for problem in &self.warnings {
            warn!(file = %problem.file, line = problem.line, "{}", diagnostics::one_line(problem));
        }
    }
}

/// Compiles the configuration `main`, handing the component each file it asks for.
pub(crate) async fn compile(guests: &Guests, main: &Path) -> Result<Compiled, LoadError> {
    Ok(compile_stamped(guests, main)
        .await
        .map_err(|failed| failed.error)?
        .compiled)
}

struct CompiledStamped {
    compiled: Compiled,
    files: Vec<Stamp>,
}

struct CompileFailed {
    error: LoadError,
    /// What was read until then: a change of it is a reason to try again.
    files: Vec<Stamp>,
}

async fn compile_stamped(guests: &Guests, main: &Path) -> Result<CompiledStamped, CompileFailed> {
    let mut given = BTreeMap::new();
    let mut stamps = Vec::new();
    match compile_loop(guests, main, &mut given, &mut stamps).await {
        Ok(compiled) => {
            for file in &compiled.files {
                if !given.contains_key(file) {
                    stamps.push(Stamp::of(Path::new(file)));
                }
            }
            Ok(CompiledStamped {
                compiled,
                files: stamps,
            })
        }
        Err(error) => Err(CompileFailed { error, files: stamps }),
    }
}

async fn compile_loop(
    guests: &Guests,
    main: &Path,
    given: &mut BTreeMap<String, Result<Vec<u8>, String>>,
    stamps: &mut Vec<Stamp>,
) -> Result<Compiled, LoadError> {
    let path = main
        .to_str()
        .with_context(|| format!("the path `{}` is not UTF-8", main.display()))?
        .to_owned();
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let (mut store, bindings) = guests.compiler().await?;
    read(main, given, stamps);
    loop {
        let files: Vec<File> = given
            .iter()
            .map(|(path, content)| File {
                path: path.clone(),
                content: content.clone(),
            })
            .collect();
        let outcome = bindings
            .mapproxy_proxy_configuration()
            .call_compile(&mut store, &path, &files, &environment)
            .await
            .map_err(|error| anyhow::anyhow!("the component failed on `{path}`: {:#}", error.root_cause()))?;
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

fn read(path: &Path, given: &mut BTreeMap<String, Result<Vec<u8>, String>>, stamps: &mut Vec<Stamp>) {
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

/// A file as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Modification time in nanoseconds, size, inode; `None` for a file that is not there.
    state: Option<(i128, u64, u64)>,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            state: Self::state(path),
        }
    }

    fn state(path: &Path) -> Option<(i128, u64, u64)> {
        let metadata = fs::metadata(path).ok()?;
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Some((modified, metadata.len(), metadata.ino()))
    }

    fn is_current(&self) -> bool {
        Self::state(&self.path) == self.state
    }
}

/// Everything an application is made with.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) guests: Arc<Guests>,
    pub(crate) outbound: Arc<Outbound>,
}

impl Loader {
    async fn load(&self, main: &Path) -> Result<App, CompileFailed> {
        let CompiledStamped { compiled, files } = compile_stamped(&self.guests, main).await?;
        let origins = compiled.origins.into_iter().map(origin).collect();
        let upstreams = match self.outbound.upstreams(origins) {
            Ok(upstreams) => Arc::new(upstreams),
            Err(error) => {
                return Err(CompileFailed {
                    error: LoadError::Host(error),
                    files,
                });
            }
        };
        let directories = compiled
            .directories
            .into_iter()
            .map(|directory| Directory {
                path: PathBuf::from(directory.path),
                writable: matches!(directory.access, Access::ReadWrite),
            })
            .collect();
        Ok(App {
            warnings: compiled.warnings,
            compiled: compiled.bytes,
            directories: Directories::open(directories),
            upstreams,
            files,
            idle: Mutex::new(Vec::new()),
        })
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

/// A configuration file and the application made from it, made anew when a file changes.
pub(crate) struct Slot {
    main: PathBuf,
    policy: ReloadPolicy,
    current: RwLock<Current>,
    /// Held while loading, so that a burst of requests loads once.
    loading: tokio::sync::Mutex<()>,
}

/// Whether the warnings of a configuration go to the log; with several processes one is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warnings {
    Log,
    Drop,
}

/// What happens when a file of the configuration changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReloadPolicy {
    /// Nothing, until [`Slot::reload`] is called.
    OnRequest,
    /// The next request makes the application anew; while the configuration is broken, the old one stays.
    KeepOld,
    /// As above, but a broken configuration answers nothing but errors.
    Strict,
}

#[derive(Clone)]
enum Current {
    Unloaded,
    Ready(Arc<App>),
    Broken(Arc<Broken>),
}

struct Broken {
    files: Vec<Stamp>,
    /// Still served under [`ReloadPolicy::KeepOld`].
    old: Option<Arc<App>>,
}

impl Slot {
    pub(crate) fn new(main: PathBuf, policy: ReloadPolicy) -> Self {
        let current = RwLock::new(Current::Unloaded);
        Self {
            main,
            policy,
            current,
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// The application for a request; `None` where the configuration is broken (the reason is in the log).
    pub(crate) async fn app(&self, loader: &Loader) -> Option<Arc<App>> {
        self.app_and_whether_it_is_new(loader).await.0
    }

    /// As [`Self::app`], and whether it was loaded just now.
    pub(crate) async fn app_and_whether_it_is_new(&self, loader: &Loader) -> (Option<Arc<App>>, bool) {
        if let UpToDate::Yes(app) = self.up_to_date() {
            return (app, false);
        }
        let _loading = self.loading.lock().await;
        if let UpToDate::Yes(app) = self.up_to_date() {
            return (app, false);
        }
        match self.load(loader).await {
            Ok(app) => {
                app.log_warnings();
                (Some(app), true)
            }
            Err(error) => {
                report(&self.main, &error);
                match self.up_to_date() {
                    UpToDate::Yes(app) => (app, true),
                    UpToDate::No => (None, true),
                }
            }
        }
    }

    /// Bytes that what is loaded occupies, roughly.
    pub(crate) fn memory(&self) -> usize {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let compiled = match &*current {
            Current::Ready(app) => app.compiled.len(),
            Current::Broken(broken) => broken.old.as_ref().map_or(0, |app| app.compiled.len()),
            Current::Unloaded => 0,
        };
        compiled + SLOT_MEMORY
    }

    /// Loads anew, whatever changed. The old application stays where that fails and the policy allows it.
    pub(crate) async fn reload(&self, loader: &Loader, warnings: Warnings) -> Result<(), LoadError> {
        let _loading = self.loading.lock().await;
        let app = self.load(loader).await?;
        if warnings == Warnings::Log {
            app.log_warnings();
        }
        Ok(())
    }

    /// As [`Self::reload`]; what is wrong goes to the log.
    pub(crate) async fn reload_and_report(&self, loader: &Loader) {
        if let Err(error) = self.reload(loader, Warnings::Log).await {
            report(&self.main, &error);
        }
    }

    async fn load(&self, loader: &Loader) -> Result<Arc<App>, LoadError> {
        let loaded = loader.load(&self.main).await;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(app) => {
                let app = Arc::new(app);
                if !matches!(*current, Current::Unloaded) {
                    info!(file = %self.main.display(), "loaded the changed configuration");
                }
                *current = Current::Ready(Arc::clone(&app));
                Ok(app)
            }
            Err(CompileFailed { error, files }) => {
                let old = match &*current {
                    Current::Ready(app) if self.policy != ReloadPolicy::Strict => Some(Arc::clone(app)),
                    Current::Broken(broken) => broken.old.clone(),
                    _ => None,
                };
                *current = Current::Broken(Arc::new(Broken { files, old }));
                Err(error)
            }
        }
    }

    fn up_to_date(&self) -> UpToDate {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let ignore_changes = self.policy == ReloadPolicy::OnRequest;
        match &*current {
            Current::Ready(app) if ignore_changes || app.is_current() => UpToDate::Yes(Some(Arc::clone(app))),
            Current::Broken(broken) if ignore_changes || broken.files.iter().all(Stamp::is_current) => {
                UpToDate::Yes(broken.old.clone())
            }
            _ => UpToDate::No,
        }
    }
}

/// Whether what was loaded last is what is on disk.
enum UpToDate {
    /// With the application to serve; `None` where the configuration is broken.
    Yes(Option<Arc<App>>),
    No,
}

fn report(main: &Path, error: &LoadError) {
    match error {
        LoadError::Problems(problems) => {
            for problem in problems {
                error!(file = %problem.file, line = problem.line, "{}", diagnostics::one_line(problem));
            }
        }
        LoadError::Host(error) => error!(file = %main.display(), "failed to load the configuration: {error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_notices_changes() {
        let path = std::env::temp_dir().join(format!("mapproxy-stamp-{}", std::process::id()));
        let missing = Stamp::of(&path);
        assert!(missing.is_current());
        fs::write(&path, "one").unwrap();
        assert!(!missing.is_current());
        let stamp = Stamp::of(&path);
        assert!(stamp.is_current());
        fs::write(&path, "other").unwrap();
        assert!(!stamp.is_current());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn only_regular_files_with_absolute_paths_are_read() {
        assert!(read_limited(Path::new("Cargo.toml")).is_err());
        assert!(read_limited(Path::new("/dev/zero")).is_err());
        assert!(read_limited(&std::env::temp_dir()).is_err());
    }
}
