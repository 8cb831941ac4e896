//! Noticing that files change: by the kernel's notification where it reaches, and by looking every half a second, which
//! also works on network drives, in containers' mounts and where a directory was a symbolic link that now leads
//! elsewhere (a `ConfigMap` of Kubernetes).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// How often files are looked at without a notification.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files have to be left alone for so long before they are read: editors write them in pieces.
const SETTLE: Duration = Duration::from_millis(30);

/// At most so long is waited for that.
const SETTLE_AT_MOST: Duration = Duration::from_millis(300);

/// A file as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: PathBuf,
    /// Modification time in nanoseconds, size, inode; `None` for a file that is not there.
    state: Option<(i128, u64, u64)>,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Self {
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

    /// Whether the file is still what it was.
    pub(crate) fn is_current(&self) -> bool {
        Self::state(&self.path) == self.state
    }
}

/// Watches files.
pub(crate) struct Watch {
    files: Vec<Stamp>,
    notified: Arc<Notify>,
    /// None where the kernel does not notify.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    pub(crate) fn new(files: Vec<Stamp>) -> Self {
        let notified = Arc::new(Notify::new());
        let notify = Arc::clone(&notified);
        let watcher = notify::recommended_watcher(move |_event| notify.notify_one());
        if let Err(error) = &watcher {
            debug!(%error, "files are looked at twice a second");
        }
        let mut watch = Self {
            files: Vec::new(),
            notified,
            watcher: watcher.ok(),
            directories: BTreeSet::new(),
        };
        watch.set(files);
        watch
    }

    /// Watches other files from now on.
    pub(crate) fn set(&mut self, files: Vec<Stamp>) {
        // The directories, since editors replace files rather than write into them.
        let directories: BTreeSet<PathBuf> = files
            .iter()
            .filter_map(|stamp| stamp.path.parent().map(Path::to_owned))
            .collect();
        if let Some(watcher) = &mut self.watcher {
            for gone in self.directories.difference(&directories) {
                // Fails for a directory that was deleted.
                let _ = watcher.unwatch(gone);
            }
            for new in directories.difference(&self.directories) {
                if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                    debug!(directory = %new.display(), %error, "changes here are noticed within half a second");
                }
            }
        }
        self.directories = directories;
        self.files = files;
    }

    /// Waits until a file is not what it was, and writing it seems to be over.
    pub(crate) async fn changed(&self) {
        while self.files.iter().all(Stamp::is_current) {
            // Elapsing is as good as a notification.
            let _ = timeout(LOOK_EVERY, self.notified.notified()).await;
        }
        let settled = async {
            loop {
                let before = self.now();
                sleep(SETTLE).await;
                if self.now() == before {
                    break;
                }
            }
        };
        let _ = timeout(SETTLE_AT_MOST, settled).await;
    }

    fn now(&self) -> Vec<Stamp> {
        self.files.iter().map(|stamp| Stamp::of(&stamp.path)).collect()
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

    #[tokio::test]
    async fn changes_are_noticed_with_and_without_the_kernel() {
        let folder = std::env::temp_dir().join(format!("mapproxy-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("file");
        for kernel in [true, false] {
            fs::write(&file, "one").unwrap();
            let mut watch = Watch::new(vec![Stamp::of(&file)]);
            if !kernel {
                watch.watcher = None;
            }
            fs::write(&file, "other").unwrap();
            watch.changed().await;
            watch.set(vec![Stamp::of(&file)]);
            // Replaced, as editors do it.
            fs::write(folder.join("new"), "third").unwrap();
            fs::rename(folder.join("new"), &file).unwrap();
            watch.changed().await;
            watch.set(vec![Stamp::of(&file)]);
            fs::remove_file(&file).unwrap();
            watch.changed().await;
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
