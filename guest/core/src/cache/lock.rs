//! Locks of tiles (behaviour section 14): one process makes a tile, the others wait and find it in the cache.

use std::rc::Rc;
use std::time::Duration;

use md5::{Digest as _, Md5};

use crate::grid::TileCoord;
use crate::layer::LayerError;
use crate::lock::{FileLock, LockError, Waiter};
use crate::platform::Platform;

/// Makes the locks of one cache.
#[derive(Debug)]
pub(super) struct TileLocker {
    platform: Rc<dyn Platform>,
    directory: String,
    identity: String,
    timeout: Duration,
}

impl TileLocker {
    /// Locks in `directory`; `identity` (the cache's directory) tells caches apart that share it.
    pub(super) fn new(platform: Rc<dyn Platform>, directory: &str, identity: String, timeout_s: f64) -> Self {
        Self {
            platform,
            directory: directory.trim_end_matches('/').to_owned(),
            identity,
            timeout: Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_mins(1)),
        }
    }

    fn path(&self, tile: TileCoord) -> String {
        let TileCoord { x, y, z } = tile;
        format!("{}/{:x}-{x}-{y}-{z}.lck", self.directory, Md5::digest(&self.identity))
    }

    /// Waits for the lock from now on.
    pub(super) fn waiter(&self, tile: TileCoord) -> Waiter {
        Waiter::new(&self.platform, &self.path(tile), self.timeout)
    }

    /// Takes the lock that is waited for, if it is free by now.
    pub(super) fn attempt(&self, waiter: &mut Waiter, tile: TileCoord) -> Result<Option<FileLock>, LayerError> {
        waiter.attempt(&self.platform).map_err(|error| match error {
            LockError::Timeout { .. } => LayerError::LockTimeout { tile: tile.to_string() },
            LockError::File(error) => error.into(),
        })
    }

    /// Takes the lock if it is free.
    pub(super) fn try_acquire(&self, tile: TileCoord) -> Result<Option<FileLock>, LayerError> {
        Ok(FileLock::try_acquire(&self.platform, &self.path(tile))?)
    }
}
