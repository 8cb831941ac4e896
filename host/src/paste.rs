//! Paste Deploy files: which applications a server has, below which paths, and what it listens on.
//!
//! This is the format MapProxy was configured with in the days of `paster serve`, and it is still a good one. Everything
//! of it that can have a meaning here has it; what cannot is a warning, or an error where the server would do something
//! else than the file says.
//!
//! | section | `use` |
//! |---|---|
//! | `[app:NAME]` | `egg:MapProxy#app` (`mapproxy_conf`), `egg:MapProxy#multiapp` (`config_dir`, `allow_listing`) |
//! | `[composite:NAME]` | `egg:Paste#urlmap`, a line `/path = application` each |
//! | `[pipeline:NAME]` | filters that only log or compress, which this server does by itself, and an application |
//! | `[server:NAME]` | `egg:Paste#http` and other HTTP servers, `egg:Flup#fcgi_thread`, `egg:Flup#fcgi_fork`, `egg:PasteScript#flup_fcgi_*` |
//! | `[loggers]` | the levels of the loggers |
//!
//! An application may also be `config:OTHER.ini#NAME`, or the name of another section.

mod application;
mod ini;
mod levels;
mod server;

use std::path::{Path, PathBuf};

use self::ini::Ini;
use crate::bindings::{Problem, Severity};
use crate::listen::Endpoint;

/// An application below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `/roads`, or nothing for the root.
    pub(crate) path: String,
    pub(crate) application: Application,
}

/// What is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Application {
    /// A `mapproxy.yaml`.
    Configuration(PathBuf),
    /// A directory of them.
    Projects { directory: PathBuf, allow_listing: bool },
}

/// What a `[server:…]` section asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerSettings {
    pub(crate) endpoints: Vec<Endpoint>,
    /// Processes.
    pub(crate) workers: Option<usize>,
    /// Requests after which a process is replaced.
    pub(crate) max_requests: Option<u64>,
}

/// A Paste Deploy file, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deployment {
    pub(crate) mounts: Vec<Mount>,
    /// Of a file without a server, nothing.
    pub(crate) server: ServerSettings,
    /// A filter for the log, where the file sets levels.
    pub(crate) log: Option<String>,
    /// Every file that was read.
    pub(crate) files: Vec<PathBuf>,
    /// Warnings, and errors; with an error the rest is not to be used.
    pub(crate) problems: Vec<Problem>,
}

/// Which sections of a file are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'name> {
    /// The application.
    pub(crate) app: &'name str,
    pub(crate) server: &'name str,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self {
            app: "main",
            server: "main",
        }
    }
}

/// Reads the file `path`.
pub(crate) fn load(path: &Path, names: Names<'_>) -> Deployment {
    let mut deployment = Deployment::default();
    let path = match std::path::absolute(path) {
        Ok(path) => path,
        Err(_no_current_directory) => path.to_owned(),
    };
    let Some(ini) = read(&path, &mut deployment) else {
        return deployment;
    };
    application::mounts(&ini, names.app, &mut deployment);
    server::settings(&ini, names.server, &mut deployment);
    deployment.log = levels::filter(&ini, &mut deployment.problems);
    deployment
}

/// Reads one file; what is wrong with it goes to the problems.
fn read(path: &Path, deployment: &mut Deployment) -> Option<Ini> {
    deployment.files.push(path.to_owned());
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            deployment.problems.push(Problem {
                severity: Severity::Error,
                file: path.display().to_string(),
                line: 0,
                column: 0,
                length: 1,
                source_line: String::new(),
                yaml_path: String::new(),
                message: format!("failed to read the file: {error}"),
                expected: "a Paste Deploy file".to_owned(),
                suggestion: None,
            });
            return None;
        }
    };
    let (ini, mut problems) = Ini::parse(path, &text);
    let usable = problems.is_empty();
    deployment.problems.append(&mut problems);
    usable.then_some(ini)
}

/// The name among `known` that `word` probably means.
pub(crate) fn nearest(word: &str, known: &[&str]) -> Option<String> {
    let lower = word.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.chars().count().div_ceil(3))
        .min()
        .map(|(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests;
