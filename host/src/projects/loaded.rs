//! The projects that are loaded: as many as fit into a given memory and leave enough open files for requests; the least
//! recently used make room.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::debug;

use super::slot::Slot;

/// What loaded projects hold, or may hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Bytes, roughly.
    pub(super) memory: usize,
    /// Open files: a project holds its directories open.
    pub(super) files: usize,
}

impl Holdings {
    fn fits(self, most: Self) -> bool {
        self.memory <= most.memory && self.files <= most.files
    }
}

pub(super) struct Loaded {
    most: Holdings,
    entries: RwLock<HashMap<String, Arc<Entry>>>,
    /// Counts uses; an entry remembers when it was used last.
    clock: AtomicU64,
}

struct Entry {
    slot: Arc<Slot>,
    used: AtomicU64,
}

impl Loaded {
    pub(super) fn new(most: Holdings) -> Self {
        Self {
            most,
            entries: RwLock::default(),
            clock: AtomicU64::new(0),
        }
    }

    /// The slot of the project `name`, an empty one for `main()` where there is none.
    pub(super) fn slot(&self, name: &str, main: impl FnOnce() -> PathBuf) -> Arc<Slot> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            entry.used.store(now, Ordering::Relaxed);
            return Arc::clone(&entry.slot);
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Entry {
                slot: Arc::new(Slot::new(main())),
                used: AtomicU64::new(now),
            })
        });
        Arc::clone(&entry.slot)
    }

    pub(super) fn remove(&self, name: &str) {
        // Most unknown names were never loaded: strangers who try names do not get in the way of others.
        if self
            .entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(name)
        {
            self.entries
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(name);
        }
    }

    /// Drops the least recently used until the rest fits; the one used last stays in any case. Requests in flight keep
    /// what they use.
    pub(super) fn trim(&self) {
        let mut by_use: Vec<(u64, Holdings, String)> = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            let held = entries.iter().map(|(name, entry)| {
                let used = entry.used.load(Ordering::Relaxed);
                (used, entry.slot.holdings(), name.clone())
            });
            held.collect()
        };
        let mut total = Holdings { memory: 0, files: 0 };
        for (_, held, _) in &by_use {
            total.memory += held.memory;
            total.files += held.files;
        }
        if total.fits(self.most) {
            return;
        }
        by_use.sort_unstable_by_key(|(used, ..)| *used);
        by_use.pop();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for (_, held, name) in by_use {
            if total.fits(self.most) {
                break;
            }
            entries.remove(&name);
            total.memory -= held.memory;
            total.files -= held.files;
            debug!(project = %name, "dropped from memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_make_room() {
        let one = Slot::new(PathBuf::from("/a.yaml")).holdings();
        let loaded = Loaded::new(Holdings {
            memory: one.memory * 3,
            files: one.files * 9,
        });
        let touch = |name: &str| loaded.slot(name, || PathBuf::from(format!("/{name}.yaml")));
        let names = || {
            let mut names: Vec<String> = loaded.entries.read().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        for name in ["a", "b", "c"] {
            touch(name);
            loaded.trim();
        }
        assert_eq!(names(), ["a", "b", "c"]);
        touch("a");
        touch("d");
        loaded.trim();
        assert_eq!(names(), ["a", "c", "d"], "`b` was used longest ago");
        loaded.remove("c");
        loaded.remove("unknown");
        assert_eq!(names(), ["a", "d"]);
    }

    #[test]
    fn the_last_one_stays_however_large_it_is() {
        let loaded = Loaded::new(Holdings { memory: 0, files: 0 });
        loaded.slot("a", || PathBuf::from("/a.yaml"));
        loaded.slot("b", || PathBuf::from("/b.yaml"));
        loaded.trim();
        assert_eq!(loaded.entries.read().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    }
}
