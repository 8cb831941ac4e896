//! One project: compiled at its first request, and again when one of its files changed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::{error, info};

use super::loaded::Holdings;
use crate::app::{App, Loader, Read, Unread, log_warnings};
use crate::diagnostics;
use crate::watch::Stamp;

pub(super) struct Slot {
    main: PathBuf,
    current: RwLock<Current>,
    /// Held while loading, so that a burst of requests loads once.
    loading: tokio::sync::Mutex<()>,
}

struct Current {
    /// `None` where the configuration is broken; the reason is in the log.
    app: Option<Arc<App>>,
    /// `None` before the first request.
    files: Option<Vec<Stamp>>,
}

/// What a slot answers.
pub(super) struct Found {
    /// `None` where the configuration is broken.
    pub(super) app: Option<Arc<App>>,
    /// It was loaded for this request.
    pub(super) fresh: bool,
}

impl Slot {
    pub(super) fn new(main: PathBuf) -> Self {
        Self {
            main,
            current: RwLock::new(Current { app: None, files: None }),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// The application for a request.
    pub(super) async fn app(&self, loader: &Loader) -> Found {
        if let Some(found) = self.up_to_date() {
            return found;
        }
        let _loading = self.loading.lock().await;
        if let Some(found) = self.up_to_date() {
            return found;
        }
        let (app, files) = self.load(loader).await;
        let app = app.map(Arc::new);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if app.is_some() && current.files.is_some() {
            info!(file = %self.main.display(), "loaded the changed configuration");
        }
        *current = Current {
            app: app.clone(),
            files: Some(files),
        };
        Found { app, fresh: true }
    }

    async fn load(&self, loader: &Loader) -> (Option<App>, Vec<Stamp>) {
        let (error, files) = match loader.read(&self.main).await {
            Ok(Read {
                recipe,
                warnings,
                files,
            }) => {
                log_warnings(&warnings);
                match loader.open(recipe).await {
                    Ok(app) => return (Some(app), files),
                    Err(error) => (error.into(), files),
                }
            }
            Err(Unread { error, files }) => (error, files),
        };
        for problem in error.into_problems(&self.main) {
            error!(file = %problem.file, line = problem.line, "{}", diagnostics::one_line(&problem));
        }
        (None, files)
    }

    /// What was loaded, where that is what is on disk.
    fn up_to_date(&self) -> Option<Found> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let files = current.files.as_ref()?;
        files.iter().all(Stamp::is_current).then(|| Found {
            app: current.app.clone(),
            fresh: false,
        })
    }

    /// What it occupies.
    pub(super) fn holdings(&self) -> Holdings {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let nothing = Holdings {
            memory: 1 << 10,
            files: 0,
        };
        current.app.as_ref().map_or(nothing, |app| Holdings {
            memory: app.memory(),
            files: app.directories.open_files(),
        })
    }
}
