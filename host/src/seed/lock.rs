//! Locks between seeds on one machine: of a cache (`--use-cache-lock`) and of the file with a run's state.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use tracing::warn;

/// A locked file, removed when the lock is released. The system releases it too when the process is killed; the file then
/// stays, and means nothing.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    path: PathBuf,
    /// what is locked
    _file: File,
}

impl ProcessLock {
    /// `None`: another process has it.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub(crate) fn take(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The last holder may have removed the file after we opened it.
            let ours = file.metadata()?;
            if fs::metadata(&path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        // while it is locked: nobody else can have made it
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                warn!(file = %self.path.display(), %error, "failed to remove a lock");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let path = std::env::temp_dir().join(format!("mapproxy-lock-{}", std::process::id()));
        let take = || ProcessLock::take(path.clone()).unwrap();
        let first = take().expect("nobody has it");
        assert!(take().is_none());
        drop(first);
        assert!(!path.exists());
        // as a process that was killed leaves it
        fs::write(&path, "").unwrap();
        assert!(take().is_some());
        assert!(!path.exists());
    }
}
