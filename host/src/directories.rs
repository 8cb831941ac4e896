//! The directories an application's instances see, opened once and handed to each fresh instance.
//!
//! Guest path and host path are the same. Opening a directory for every instance would cost a system call each (and a
//! `close`); cloning the opened set costs a reference count. But an open directory that was deleted stays empty for ever,
//! so paths are compared with what was opened (one `stat` each, about 1 us) and opened anew where they differ. Requests
//! that the kernel hands over in one round of the event loop share a comparison ([`next_round`]).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx};

use crate::instance::{LookedAt, open_beneath};

/// Counts how often a thread of the runtime waited for something to happen.
static ROUND: AtomicU64 = AtomicU64::new(0);

/// Longest time a comparison holds within a round: a thread that always has something to do never waits.
const TRUSTED_FOR: Duration = Duration::from_millis(5);

/// To be called when a thread of the runtime wakes up. Requests that woke it were there before any of them is worked off,
/// so what the first finds when it compares is right for the others too: a client which sees an answer, replaces a
/// directory and asks again does so in another round, and never meets the old directory.
pub(crate) fn next_round() {
    ROUND.fetch_add(1, Ordering::Release);
}

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
    since: Instant,
    compared: Compared,
}

/// When the last comparison was.
#[derive(Default)]
struct Compared {
    round: AtomicU64,
    /// Nanoseconds from the opening.
    at: AtomicU64,
}

struct Opened {
    context: WasiFilesystemCtx,
    /// What each wanted directory was when it was opened; `None` where it was missing.
    identities: Vec<Option<Identity>>,
    /// The same directories, for what the host itself reads; `None` where one was missing.
    descriptors: Vec<Option<Arc<File>>>,
}

/// Device and inode: changes when a directory is deleted and made again.
type Identity = (u64, u64);

impl Directories {
    /// Opens the directories, making the writable ones that are missing.
    pub(crate) fn open(wanted: Vec<Directory>) -> Self {
        Self {
            opened: RwLock::new(open_all(&wanted)),
            wanted,
            since: Instant::now(),
            compared: Compared::default(),
        }
    }

    /// The file system of a fresh instance.
    pub(crate) fn context(&self) -> WasiFilesystemCtx {
        self.context_at(ROUND.load(Ordering::Acquire), self.since.elapsed())
    }

    /// Files held open: one for each directory.
    pub(crate) fn open_files(&self) -> usize {
        let opened = self.opened.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        opened.descriptors.iter().flatten().count()
    }

    /// Reads the file at an absolute path that a guest named: one in its directories, where links cannot lead out of
    /// them either. If it is the one the guest looked at, it is open already.
    pub(crate) fn read(&self, path: &Path, looked_at: Option<LookedAt>) -> io::Result<Vec<u8>> {
        let opened = self.opened.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let inside = self
            .wanted
            .iter()
            .zip(&opened.descriptors)
            .filter_map(|(directory, descriptor)| {
                Some((descriptor.as_ref()?, path.strip_prefix(&directory.path).ok()?))
            });
        let innermost = inside.min_by_key(|(_, rest)| rest.as_os_str().len());
        let (directory, rest) = innermost.ok_or(io::ErrorKind::NotFound)?;
        if let Some(file) = looked_at.filter(|file| file.is(directory, rest)) {
            return file.read();
        }
        let mut content = Vec::new();
        File::from(open_beneath(directory, rest, OFlags::empty())?).read_to_end(&mut content)?;
        Ok(content)
    }

    fn context_at(&self, round: u64, now: Duration) -> WasiFilesystemCtx {
        // A poisoned lock only means that another request failed while holding it; the value is replaced as a whole.
        let opened = self.opened.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.compared.holds(round, now) {
            return opened.context.clone();
        }
        let current = self
            .wanted
            .iter()
            .zip(&opened.identities)
            // A missing read-only directory costs this one `stat` and appears as soon as it exists.
            .all(|(directory, identity)| match identity {
                Some(_) => self::identity(&directory.path) == *identity,
                None => !directory.writable && !directory.path.exists(),
            });
        // Told to others only at the end: one that came in between must not take what is being replaced.
        if current {
            self.compared.set(round, now);
            return opened.context.clone();
        }
        drop(opened);
        let fresh = open_all(&self.wanted);
        let context = fresh.context.clone();
        *self.opened.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        self.compared.set(round, now);
        context
    }
}

impl Compared {
    fn holds(&self, round: u64, now: Duration) -> bool {
        let at = Duration::from_nanos(self.at.load(Ordering::Acquire));
        at != Duration::ZERO && self.round.load(Ordering::Acquire) == round && now < at + TRUSTED_FOR
    }

    fn set(&self, round: u64, now: Duration) {
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.at.store(nanoseconds, Ordering::Release);
        self.round.store(round, Ordering::Release);
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
        identities.push(identity.and_then(|identity| {
            let opened = builder.preopened_dir(&directory.path, guest_path, permissions);
            opened
                .inspect_err(|error| {
                    warn!(directory = %directory.path.display(), %error, "failed to open a directory");
                })
                .is_ok()
                .then_some(identity)
        }));
    }
    let mut context = builder.build().filesystem().clone();
    let mut opened = descriptors(&mut context).into_iter();
    Opened {
        descriptors: identities
            .iter()
            .map(|known| known.and_then(|_| opened.next()))
            .collect(),
        context,
        identities,
    }
}

/// The directories of `context`, in the order they were opened in.
fn descriptors(context: &mut WasiFilesystemCtx) -> Vec<Arc<File>> {
    let mut table = ResourceTable::new();
    let mut view = WasiFilesystemCtxView {
        ctx: context,
        table: &mut table,
    };
    let named = view.get_directories().unwrap_or_default();
    named
        .into_iter()
        .filter_map(|(descriptor, _)| match table.delete(descriptor) {
            Ok(Descriptor::Dir(directory)) => Some(directory.dir),
            _ => None,
        })
        .collect()
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
        next_round();
        directories.context();
        assert!(cache.is_dir());
        assert_eq!(identities(&directories), vec![identity(&cache)]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn requests_of_one_round_share_a_comparison() {
        let path = std::env::temp_dir().join(format!("mapproxy-shared-{}", std::process::id()));
        let directories = Directories::open(vec![Directory {
            path: path.clone(),
            writable: true,
        }]);
        let at = |microseconds| Duration::from_micros(microseconds);
        let check = |round, now, expect: bool| {
            fs::remove_dir_all(&path).unwrap();
            directories.context_at(round, now);
            assert_eq!(path.is_dir(), expect, "{round} {now:?}");
            fs::create_dir_all(&path).unwrap();
        };
        // Nothing was compared yet, whatever the round.
        check(0, at(1), true);
        check(0, at(2), false);
        check(1, at(3), true);
        check(1, at(4), false);
        check(1, at(3) + TRUSTED_FOR, true);
        check(2, at(4) + TRUSTED_FOR, true);
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn reads_files_in_the_directories_alone() {
        let root = std::env::temp_dir().join(format!("mapproxy-read-{}", std::process::id()));
        let inner = root.join("cache/inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(root.join("secret"), "secret").unwrap();
        fs::write(inner.join("tile"), "tile").unwrap();
        std::os::unix::fs::symlink("../../secret", inner.join("out")).unwrap();
        std::os::unix::fs::symlink("tile", inner.join("in")).unwrap();
        let wanted = |path: &Path| Directory {
            path: path.to_owned(),
            writable: false,
        };
        let directories = Directories::open(vec![wanted(&root.join("cache")), wanted(&inner)]);
        let check = |path: PathBuf, expect: Option<&str>| {
            let found = directories.read(&path, None).ok();
            assert_eq!(found.as_deref(), expect.map(str::as_bytes), "{}", path.display());
        };
        check(inner.join("tile"), Some("tile"));
        check(inner.join("in"), Some("tile"));
        check(inner.join("out"), None);
        check(inner.join("missing"), None);
        check(inner.join("../../secret"), None);
        check(inner.clone(), None);
        check(root.join("secret"), None);
        check(PathBuf::from("/etc/passwd"), None);
        check(PathBuf::from("tile"), None);
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
        next_round();
        directories.context();
        assert_eq!(identities(&directories), vec![identity(&path)]);
        fs::remove_dir(&path).unwrap();
    }
}
