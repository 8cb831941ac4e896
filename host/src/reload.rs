//! What the command line names, read into what is to be served; and read again when it changes.
//!
//! A new plan takes the place of the old one as a whole, between two requests: those that run keep what they began with,
//! and nobody waits. A plan with errors is reported, and the old one stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::app::{LoadError, Loader, Read, Unread, log_warnings};
use crate::apps::{Plan, Planned};
use crate::bindings::{Problem, Severity};
use crate::diagnostics::{self, Colours};
use crate::paste::{self, Application, Mount, Names, ServerSettings};
use crate::server::Server;
use crate::status::Status;
use crate::watch::{Stamp, Watch};
use crate::workers::Change;

/// What the command line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// One application, or one directory of them, at the root.
    Application(Application),
    /// A Paste Deploy file.
    Paste { file: PathBuf, app: String, server: String },
}

/// A source, read without errors.
pub(crate) struct Reading {
    pub(crate) plan: Plan,
    pub(crate) warnings: Vec<Problem>,
    pub(crate) files: Vec<Stamp>,
    /// What the source says of the server.
    pub(crate) server: ServerSettings,
    /// What the source says of the log.
    pub(crate) log: Option<String>,
}

impl Source {
    /// `path` is a Paste Deploy file, a directory of projects, or a configuration.
    pub(crate) fn of(path: &Path, allow_listing: bool, names: Names<'_>) -> Result<Self> {
        let path = locate(path).with_context(|| format!("failed to find `{}`", path.display()))?;
        if path.is_dir() {
            return Ok(Self::Application(Application::Projects {
                directory: path,
                allow_listing,
            }));
        }
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("ini"))
        {
            return Ok(Self::Paste {
                file: path,
                app: names.app.to_owned(),
                server: names.server.to_owned(),
            });
        }
        Ok(Self::Application(Application::Configuration(path)))
    }

    /// The mounts of the source, with what else a Paste Deploy file says.
    pub(crate) fn deployment(&self) -> paste::Deployment {
        match self {
            Self::Application(application) => paste::Deployment {
                mounts: vec![Mount {
                    path: String::new(),
                    application: application.clone(),
                }],
                ..paste::Deployment::default()
            },
            Self::Paste { file, app, server } => paste::load(file, Names { app, server }),
        }
    }

    /// Reads everything, and compiles it. Projects may use `projects_memory` bytes.
    pub(crate) async fn read(&self, loader: &Loader, projects_memory: usize) -> Result<Reading, Unread> {
        let first = match self {
            Self::Paste { file, .. } => Some(Stamp::of(file)),
            Self::Application(_) => None,
        };
        let deployment = self.deployment();
        let mut files: Vec<Stamp> = first.into_iter().collect();
        files.extend(deployment.files.iter().skip(1).map(|file| Stamp::of(file)));
        let mut problems = deployment.problems;
        let mut plan = Plan::default();
        // One that is mounted twice is compiled once.
        let mut recipes = BTreeMap::new();
        for Mount { path, application } in deployment.mounts {
            let main = match application {
                Application::Projects {
                    directory,
                    allow_listing,
                } => {
                    let planned = Planned::Projects {
                        directory,
                        allow_listing,
                        max_memory: projects_memory,
                    };
                    plan.mounts.push((path, planned));
                    continue;
                }
                Application::Configuration(main) => main,
            };
            if !recipes.contains_key(&main) {
                match loader.read(&main).await {
                    Ok(Read {
                        recipe,
                        mut warnings,
                        files: mut read,
                    }) => {
                        problems.append(&mut warnings);
                        files.append(&mut read);
                        recipes.insert(main.clone(), recipe);
                    }
                    Err(Unread { error, files: mut read }) => {
                        problems.append(&mut error.into_problems(&main));
                        files.append(&mut read);
                    }
                }
            }
            if let Some(recipe) = recipes.get(&main) {
                plan.mounts.push((path, Planned::App(recipe.clone())));
            }
        }
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Unread {
                error: LoadError::Problems(problems),
                files,
            });
        }
        Ok(Reading {
            plan,
            warnings: problems,
            files,
            server: deployment.server,
            log: deployment.log,
        })
    }
}

/// The absolute path of something that exists. A file may be a link whose target changes (a `ConfigMap` of Kubernetes), so it
/// is not followed.
fn locate(path: &Path) -> std::io::Result<PathBuf> {
    let real = path.canonicalize()?;
    if real.is_dir() {
        return Ok(real);
    }
    let absolute = std::path::absolute(path)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(directory), Some(name)) => Ok(directory.canonicalize()?.join(name)),
        _ => Ok(real),
    }
}

/// Keeps a server at what its source says.
pub(crate) struct Reloader {
    pub(crate) source: Source,
    pub(crate) server: Arc<Server>,
    pub(crate) status: Arc<Status>,
    pub(crate) projects_memory: usize,
    /// What the source said of the server when it was started.
    pub(crate) settings: ServerSettings,
    /// Where a supervisor waits for what its workers have to be told.
    pub(crate) workers: Option<mpsc::Sender<Change>>,
}

impl Reloader {
    /// Reads the source again at each `hangup`, and when one of `files` changes, where they are given.
    pub(crate) async fn run(self, mut hangup: Signal, files: Option<Vec<Stamp>>) {
        let mut watch = files.map(Watch::new);
        loop {
            let changed = async {
                match &watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                received = hangup.recv() => {
                    if received.is_none() {
                        return;
                    }
                    if let Err(error) = self.reopen_access_log().await {
                        error!("{error:#}");
                    }
                }
            }
            let files = self.reload().await;
            if let Some(watch) = &mut watch {
                watch.set(files);
            }
        }
    }

    async fn reopen_access_log(&self) -> Result<()> {
        self.server.access.reopen()?;
        self.tell_workers(Change::AccessLog).await
    }

    async fn tell_workers(&self, change: Change) -> Result<()> {
        match &self.workers {
            Some(workers) => workers.send(change).await.context("the supervisor is gone"),
            None => Ok(()),
        }
    }

    /// Reads the source; what it was made from.
    async fn reload(&self) -> Vec<Stamp> {
        let _reloading = self.status.reloading();
        let (error, files) = match self.source.read(&self.server.loader, self.projects_memory).await {
            Ok(reading) => {
                let files = reading.files.clone();
                match self.apply(reading).await {
                    Ok(()) => return files,
                    Err(error) => (error.into(), files),
                }
            }
            Err(Unread { error, files }) => (error, files),
        };
        self.status.reload_failed();
        let problems = error.into_problems(Path::new(""));
        error!(
            "the changed configuration cannot be used, the old one is served: {}\n{}",
            diagnostics::summary(&problems),
            diagnostics::render(&problems, Path::new(""), Colours::Never).trim_end()
        );
        files
    }

    async fn apply(&self, reading: Reading) -> Result<()> {
        self.server.serve_plan(reading.plan.clone()).await?;
        self.tell_workers(Change::Plan(reading.plan)).await?;
        log_warnings(&reading.warnings);
        if reading.server != self.settings {
            warn!("the server section has changed: it takes effect when the server is started again");
        }
        self.status.reloaded();
        info!("loaded the changed configuration");
        Ok(())
    }
}
