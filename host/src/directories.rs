//! The directories an application's instances see, opened once and handed to each fresh instance.
//!
//! Guest path and host path are the same. Opening a directory for every instance would cost a system call each (and a
//! `close`); cloning the opened set costs a reference count. But an open directory that was deleted stays empty for ever,
//! so each use compares the path with what was opened (one `stat`, about 1 us) and opens anew when they differ.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::{FsPerms, WasiCtx};

/// One directory and what an instance may do in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directory {
    /// Absolute.
    pub(crate) path: PathBuf,
    /// Read and write; read alone otherwise.
    pub(crate) writable: bool,
}

pub(crate) struct Directories {
    wanted: Vec<Directory>,
    opened: RwLock<Opened>,
}

struct Opened {
    context: WasiFilesystemCtx,
    /// What each wanted directory was when it was opened; `None` where it was missing.
    identities: Vec<Option<Identity>>,
}

/// Device and inode: changes when a directory is deleted and made again.
type Identity = (u64, u64);

impl Directories {
    /// Opens the directories, making the writable ones that are missing.
    pub(crate) fn open(wanted: Vec<Directory>) -> Self {
        let opened = RwLock::new(open_all(&wanted));
        Self { wanted, opened }
    }

    /// The file system of a fresh instance.
    pub(crate) fn context(&self) -> WasiFilesystemCtx {
        // A poisoned lock only means that another request failed while holding it; the value is replaced as a whole.
        let opened = self.opened.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let current = self
            .wanted
            .iter()
            .zip(&opened.identities)
            // A missing read-only directory costs this one `stat` and appears as soon as it exists.
            .all(|(directory, identity)| match identity {
                Some(_) => self::identity(&directory.path) == *identity,
                None => !directory.writable && !directory.path.exists(),
            });
        if current {
            return opened.context.clone();
        }
        drop(opened);
        let fresh = open_all(&self.wanted);
        let context = fresh.context.clone();
        *self.opened.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        context
    }
}

fn open_all(wanted: &[Directory]) -> Opened {
    let mut builder = WasiCtx::builder();
    // File operations run on the thread of the request: a hop to another thread costs more than a read from the page cache.
    builder.allow_blocking_current_thread(true);
    let mut identities = Vec::with_capacity(wanted.len());
    for directory in wanted {
        if directory.writable
            && let Err(error) = create(&directory.path)
        {
            warn!(directory = %directory.path.display(), %error, "failed to create a directory");
        }
        // Identity first: if the directory is replaced in between, the next use notices.
        let identity = identity(&directory.path);
        let permissions = if directory.writable {
            FsPerms::ReadWrite
        } else {
            FsPerms::ReadOnly
        };
        let guest_path = directory.path.to_string_lossy();
        let identity =
            identity.and_then(
                |identity| match builder.preopened_dir(&directory.path, guest_path, permissions) {
                    Ok(_) => Some(identity),
                    Err(error) => {
                        warn!(directory = %directory.path.display(), %error, "failed to open a directory");
                        None
                    }
                },
            );
        identities.push(identity);
    }
    Opened {
        context: builder.build().filesystem().clone(),
        identities,
    }
}

fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    info!(directory = %path.display(), "created a directory");
    Ok(())
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities(directories: &Directories) -> Vec<Option<Identity>> {
        directories.opened.read().unwrap().identities.clone()
    }

    #[test]
    fn a_deleted_cache_directory_is_made_again() {
        let root = std::env::temp_dir().join(format!("mapproxy-directories-{}", std::process::id()));
        let cache = root.join("a/b");
        let directories = Directories::open(vec![Directory {
            path: cache.clone(),
            writable: true,
        }]);
        assert!(cache.is_dir());
        let before = identities(&directories);
        directories.context();
        assert_eq!(identities(&directories), before, "opened once");

        fs::remove_dir_all(&root).unwrap();
        directories.context();
        assert!(cache.is_dir());
        assert_eq!(identities(&directories), vec![identity(&cache)]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_missing_read_only_directory_is_not_made() {
        let path = std::env::temp_dir().join(format!("mapproxy-missing-{}", std::process::id()));
        let directories = Directories::open(vec![Directory {
            path: path.clone(),
            writable: false,
        }]);
        directories.context();
        assert!(!path.exists());
        assert_eq!(identities(&directories), vec![None]);

        fs::create_dir(&path).unwrap();
        directories.context();
        assert_eq!(identities(&directories), vec![identity(&path)]);
        fs::remove_dir(&path).unwrap();
    }
}
