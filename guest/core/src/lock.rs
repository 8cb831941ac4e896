//! Locks between instances and processes that share nothing but a directory (behaviour section 14; MapProxy:
//! `util/lock.py`).
//!
//! A lock is a file made with `create_new`; whoever made it holds the lock and removes the file. WASI has no `flock`,
//! so a holder that is killed leaves its file behind. Hence two additions:
//!
//! - **Sign of life.** The holder touches the file about once a second ([`FileLock::beat`]). A lock whose file was not
//!   touched for [`STALE_AFTER`] is dead: no step between two beats (decoding, encoding and storing a meta tile) takes
//!   that long, and a holder that waits for a server beats while it waits.
//! - **One breaker.** The content of the file is the holder's token, unique for each time a lock is taken. Who wants to
//!   break the lock first makes `<lock>.<token>.0` with `create_new`, so of all waiters in all processes one gets to
//!   remove this incarnation of the lock; it looks again before it does. If the breaker dies in its turn, its file
//!   grows stale and `<lock>.<token>.1` is next.
//!
//! An instance that is one of several tries to do something ([`Attempt`]) need not wait until the lock of an earlier try is
//! stale: its tokens begin with the piece and the number of the try.
//!
//! The age is the clock's time less the file's. Where the file server's clock runs ahead of ours that would never grow
//! old, so a waiter also takes a lock for dead whose time has not moved while it watched for [`STALE_AFTER`].
//! What is left: a holder (or breaker) that is stopped for 15 s exactly between looking and removing can remove
//! its successor's file. The harm is one request too many to the source; stored tiles are never torn, since they are
//! renamed into place.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::platform::{Attempt, FileError, Links, Platform, UnixTime};

/// Without a sign of life for this long a lock is dead.
pub const STALE_AFTER: Duration = Duration::from_secs(15);
/// A waiter tries again after this.
pub const POLL: Duration = Duration::from_millis(10);
/// How often a waiter looks whether the holder is alive.
const LOOK: Duration = Duration::from_secs(1);
/// A holder touches its file not more often than this.
const BEAT: Duration = Duration::from_millis(900);
/// One in so many locks taken tidies the directory of what dead holders left.
const TIDY_ONE_IN: u64 = 64;
/// Dead breakers in a row before a lock is left to its time-out.
const BREAKERS: u32 = 8;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("timed out waiting for the lock `{path}`")]
    Timeout { path: String },
    #[error(transparent)]
    File(#[from] FileError),
}

/// A lock that is held; dropping it releases it.
#[derive(Debug)]
pub struct FileLock {
    platform: Rc<dyn Platform>,
    path: String,
    token: String,
    last_beat: Cell<Duration>,
}

impl FileLock {
    /// Takes the lock if it is free. Creates missing directories.
    pub fn try_acquire(platform: &Rc<dyn Platform>, path: &str) -> Result<Option<Self>, FileError> {
        let token = token(platform.as_ref());
        match platform.files().create_new(path, token.as_bytes()) {
            Ok(()) => {
                let last_beat = Cell::new(platform.clock().monotonic());
                let lock = Self {
                    platform: Rc::clone(platform),
                    path: path.to_owned(),
                    token,
                    last_beat,
                };
                lock.tidy_sometimes();
                Ok(Some(lock))
            }
            Err(FileError::AlreadyExists { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the lock, waiting for at most `timeout`; breaks it if its holder is dead.
    pub fn acquire(platform: &Rc<dyn Platform>, path: &str, timeout: Duration) -> Result<Self, LockError> {
        let mut waiter = Waiter::new(platform, path, timeout);
        loop {
            if let Some(lock) = waiter.attempt(platform)? {
                return Ok(lock);
            }
            platform.clock().sleep(POLL);
        }
    }

    /// Shows that the holder is alive. To be called between steps, as often as one likes: it touches the file about
    /// once a second.
    pub fn beat(&self) {
        let now = self.platform.clock().monotonic();
        if now.saturating_sub(self.last_beat.get()) < BEAT {
            return;
        }
        self.last_beat.set(now);
        if let Err(error) = self.platform.files().touch(&self.path) {
            // Somebody may have deleted the whole directory; the work goes on, without exclusion.
            log::debug!(target: "mapproxy.lock", "lock lost: {error}");
        }
    }

    fn tidy_sometimes(&self) {
        if !self.platform.clock().random().is_multiple_of(TIDY_ONE_IN) {
            return;
        }
        if let Some((directory, _)) = self.path.rsplit_once('/') {
            tidy(self.platform.as_ref(), directory);
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let files = self.platform.files();
        let silence = self.platform.clock().monotonic().saturating_sub(self.last_beat.get());
        // After a long silence the lock may have been broken, and the file be another's.
        if silence > STALE_AFTER / 2
            && holder(self.platform.as_ref(), &self.path).is_none_or(|seen| seen.id != self.token)
        {
            return;
        }
        if let Err(error) = files.remove(&self.path)
            && !error.is_not_found()
        {
            log::warn!(target: "mapproxy.lock", "cannot release lock: {error}");
        }
    }
}

/// One of `count` places, for sources that allow so many requests at once over all processes
/// (`concurrent_requests`). The files are `<base>0`, `<base>1`, …
pub fn acquire_slot(
    platform: &Rc<dyn Platform>,
    base: &str,
    count: u32,
    timeout: Duration,
    while_waiting: &mut dyn FnMut(),
) -> Result<FileLock, LockError> {
    let watches: Vec<Watch> = (0..count.max(1))
        .map(|slot| Watch::new(&format!("{base}{slot}")))
        .collect();
    let mut waiter = Waiter::of(platform, watches, format!("{base}*"), timeout);
    loop {
        let free = || try_acquire_slot(platform, base, count);
        if let Some(place) = waiter.attempt_with(platform, while_waiting, free)? {
            return Ok(place);
        }
        platform.clock().sleep(POLL);
    }
}

/// A free place, if there is one now; begins to look at a random one, so that all get used.
pub fn try_acquire_slot(platform: &Rc<dyn Platform>, base: &str, count: u32) -> Result<Option<FileLock>, FileError> {
    let count = u64::from(count.max(1));
    let first = platform.clock().random() % count;
    for step in 0..count {
        let slot = (first + step) % count;
        if let Some(lock) = FileLock::try_acquire(platform, &format!("{base}{slot}"))? {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

/// Somebody who waits for a lock, for use between attempts: who has other things to do meanwhile tries every
/// [`POLL`] and never blocks.
#[derive(Debug)]
pub struct Waiter {
    /// of the lock, for messages
    path: String,
    watches: Vec<Watch>,
    begin: Duration,
    next_look: Duration,
    timeout: Duration,
}

impl Waiter {
    /// Waits for this lock from now on, for at most `timeout`.
    pub fn new(platform: &Rc<dyn Platform>, path: &str, timeout: Duration) -> Self {
        Self::of(platform, vec![Watch::new(path)], path.to_owned(), timeout)
    }

    fn of(platform: &Rc<dyn Platform>, watches: Vec<Watch>, path: String, timeout: Duration) -> Self {
        let begin = platform.clock().monotonic();
        Self {
            path,
            watches,
            begin,
            next_look: begin,
            timeout,
        }
    }

    /// Takes the lock if it is free or its holder dead; `None`: not yet. An error when the time is over.
    pub fn attempt(&mut self, platform: &Rc<dyn Platform>) -> Result<Option<FileLock>, LockError> {
        let path = self.path.clone();
        self.attempt_with(platform, &mut || {}, || FileLock::try_acquire(platform, &path))
    }

    fn attempt_with(
        &mut self,
        platform: &Rc<dyn Platform>,
        while_waiting: &mut dyn FnMut(),
        attempt: impl Fn() -> Result<Option<FileLock>, FileError>,
    ) -> Result<Option<FileLock>, LockError> {
        loop {
            if let Some(lock) = attempt()? {
                return Ok(Some(lock));
            }
            let now = platform.clock().monotonic();
            if now.saturating_sub(self.begin) >= self.timeout {
                let path = self.path.clone();
                return Err(LockError::Timeout { path });
            }
            if now < self.next_look {
                return Ok(None);
            }
            self.next_look = now + LOOK;
            while_waiting();
            let mut broken = false;
            for watch in &mut self.watches {
                broken |= watch.break_if_dead(platform.as_ref(), now);
            }
            if !broken {
                return Ok(None);
            }
        }
    }
}

/// Of a lock that is taken now.
fn token(platform: &dyn Platform) -> String {
    let random = platform.clock().random();
    match platform.attempt() {
        Some(Attempt { piece, number }) => format!("{piece:016x}{number:016x}{random:016x}"),
        None => format!("{random:016x}"),
    }
}

/// Whether an earlier try to do what this instance does took the lock.
fn is_of_earlier_attempt(platform: &dyn Platform, token: &str) -> bool {
    platform.attempt().is_some_and(|Attempt { piece, number }| {
        let of_piece = token.strip_prefix(&format!("{piece:016x}"));
        of_piece.is_some_and(|rest| rest.len() == 32 && !rest.starts_with(&format!("{number:016x}")))
    })
}

/// What is known of the present holder of a lock.
#[derive(Debug, Clone, PartialEq)]
struct Holder {
    /// its token; of a file without content (its maker died before writing, or MapProxy made it) the time
    id: String,
    beat: UnixTime,
}

fn holder(platform: &dyn Platform, path: &str) -> Option<Holder> {
    let (content, info) = platform.files().read(path).ok()?;
    let token = std::str::from_utf8(&content).ok().map(str::trim);
    let id = match token {
        Some(token) if !token.is_empty() && token.len() <= 64 && token.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            token.to_owned()
        }
        _ => format!("t{:.0}", info.modified.0 * 1000.0),
    };
    Some(Holder {
        id,
        beat: info.modified,
    })
}

/// A waiter's view of one lock over time.
#[derive(Debug)]
struct Watch {
    path: String,
    seen: Option<(Holder, Duration)>,
}

impl Watch {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            seen: None,
        }
    }

    /// Looks at the lock; removes it if its holder is dead. Whether it was removed.
    fn break_if_dead(&mut self, platform: &dyn Platform, now: Duration) -> bool {
        let Some(found) = holder(platform, &self.path) else {
            self.seen = None;
            return true; // released meanwhile
        };
        let since = match &self.seen {
            Some((before, since)) if *before == found => *since,
            _ => now,
        };
        let silent = now.saturating_sub(since) >= STALE_AFTER;
        let dead = silent || is_old(platform, found.beat) || is_of_earlier_attempt(platform, &found.id);
        let broken = dead && break_lock(platform, &self.path, &found);
        self.seen = Some((found, since));
        broken
    }
}

fn is_old(platform: &dyn Platform, beat: UnixTime) -> bool {
    platform.clock().now().0 - beat.0 >= STALE_AFTER.as_secs_f64()
}

/// Removes this incarnation of a lock, unless another process is about to.
fn break_lock(platform: &dyn Platform, path: &str, dead: &Holder) -> bool {
    let files = platform.files();
    for attempt in 0..BREAKERS {
        let claim = format!("{path}.{}.{attempt}", dead.id);
        match files.create_new(&claim, b"") {
            Ok(()) => {
                let still_there = holder(platform, path).is_some_and(|found| found == *dead);
                if still_there {
                    if is_of_earlier_attempt(platform, &dead.id) {
                        log::debug!(target: "mapproxy.lock", "removing `{path}`, which an earlier try left behind");
                    } else {
                        log::warn!(target: "mapproxy.lock", "removing `{path}`: its holder showed no sign of life for {} s", STALE_AFTER.as_secs());
                    }
                    let _ = files.remove(path);
                }
                for made in 0..=attempt {
                    let _ = files.remove(&format!("{path}.{}.{made}", dead.id));
                }
                return still_there;
            }
            Err(FileError::AlreadyExists { .. }) => match files.info(&claim, Links::NoFollow) {
                Ok(info) if is_old(platform, info.modified) => {} // that one died too
                _ => return false,
            },
            Err(error) => {
                log::warn!(target: "mapproxy.lock", "cannot break lock: {error}");
                return false;
            }
        }
    }
    false
}

/// Removes what dead holders and breakers left in a lock directory.
fn tidy(platform: &dyn Platform, directory: &str) {
    let Ok(names) = platform.files().list(directory) else {
        return;
    };
    for name in names {
        let path = format!("{directory}/{name}");
        let Some((_, suffix)) = name.rsplit_once(".lck") else {
            continue;
        };
        if suffix.contains('.') {
            // A breaker's claim: its work is done in no time, so an old one is litter.
            let claim = platform.files().info(&path, Links::NoFollow);
            if claim.is_ok_and(|info| platform.clock().now().0 - info.modified.0 > 10.0 * STALE_AFTER.as_secs_f64()) {
                let _ = platform.files().remove(&path);
            }
        } else if let Some(found) = holder(platform, &path)
            && is_old(platform, found.beat)
        {
            break_lock(platform, &path, &found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::memory::MemoryPlatform;

    const PATH: &str = "/locks/id-0-0-1.lck";

    fn platform() -> (Rc<MemoryPlatform>, Rc<dyn Platform>) {
        let memory = MemoryPlatform::new();
        let platform: Rc<dyn Platform> = memory.clone();
        (memory, platform)
    }

    #[test]
    fn one_holder_at_a_time() {
        let (memory, platform) = platform();
        let held = FileLock::try_acquire(&platform, PATH).unwrap().expect("it is free");
        assert!(FileLock::try_acquire(&platform, PATH).unwrap().is_none());
        drop(held);
        assert!(memory.paths().is_empty(), "{:?}", memory.paths());
        assert!(FileLock::try_acquire(&platform, PATH).unwrap().is_some());
    }

    #[test]
    fn a_waiter_gets_the_lock_once_it_is_released() {
        let (memory, platform) = platform();
        let held = Cell::new(FileLock::try_acquire(&platform, PATH).unwrap());
        memory.on_sleep(move |now| {
            if now > Duration::from_secs(5) {
                held.take();
            } else if let Some(lock) = held.take() {
                lock.beat();
                held.set(Some(lock));
            }
        });
        FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap();
        let waited = platform.clock().monotonic();
        assert!((5.0..5.1).contains(&waited.as_secs_f64()), "{waited:?}");
    }

    #[test]
    fn a_living_holder_keeps_its_lock_until_the_time_out() {
        let (memory, platform) = platform();
        let held = FileLock::try_acquire(&platform, PATH).unwrap().unwrap();
        memory.on_sleep(move |_| held.beat());
        let error = FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap_err();
        assert_eq!(error.to_string(), format!("timed out waiting for the lock `{PATH}`"));
        assert!(platform.clock().monotonic() >= Duration::from_mins(1));
    }

    #[test]
    fn a_dead_holder_loses_its_lock() {
        let (memory, platform) = platform();
        std::mem::forget(FileLock::try_acquire(&platform, PATH).unwrap());
        let lock = FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap();
        let waited = platform.clock().monotonic().as_secs_f64();
        assert!((15.0..16.1).contains(&waited), "{waited}");
        assert_eq!(memory.paths(), [PATH]);
        drop(lock);
        assert!(memory.paths().is_empty());
    }

    #[test]
    fn what_an_earlier_try_left_locked_is_free() {
        let (memory, platform) = platform();
        let attempt = |piece, number| memory.attempt.set(Some(Attempt { piece, number }));
        attempt(7, 1);
        std::mem::forget(FileLock::try_acquire(&platform, PATH).unwrap());
        let waited_for = |expect: std::ops::Range<f64>| {
            let before = platform.clock().monotonic();
            let _lock = FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap();
            let waited = platform.clock().monotonic().saturating_sub(before).as_secs_f64();
            assert!(expect.contains(&waited), "{waited}");
        };
        attempt(7, 2);
        waited_for(0.0..0.1);
        assert!(memory.paths().is_empty(), "{:?}", memory.paths());

        let slot = "/locks/source-0";
        std::mem::forget(FileLock::try_acquire(&platform, slot).unwrap());
        attempt(7, 3);
        assert!(acquire_slot(&platform, "/locks/source-", 1, Duration::from_secs(1), &mut || {}).is_ok());

        // Those of other pieces and of this try itself may be in use.
        std::mem::forget(FileLock::try_acquire(&platform, PATH).unwrap());
        attempt(8, 4);
        waited_for(15.0..16.1);
        std::mem::forget(FileLock::try_acquire(&platform, PATH).unwrap());
        waited_for(15.0..16.1);
        std::mem::forget(FileLock::try_acquire(&platform, PATH).unwrap());
        memory.attempt.set(None);
        waited_for(15.0..16.1);
    }

    #[test]
    fn an_old_lock_is_broken_at_once() {
        let (memory, platform) = platform();
        memory.insert(PATH, b"feed", UnixTime(memory.clock().now().0 - 100.0));
        FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap();
        assert!(platform.clock().monotonic() < Duration::from_millis(20));
        assert!(memory.paths().is_empty());
    }

    #[test]
    fn a_file_time_ahead_of_our_clock_is_watched_instead() {
        let (memory, platform) = platform();
        memory.insert(PATH, b"", UnixTime(memory.clock().now().0 + 3600.0));
        FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap();
        let waited = platform.clock().monotonic().as_secs_f64();
        assert!((15.0..17.1).contains(&waited), "{waited}");
    }

    #[test]
    fn only_the_first_breaker_removes_the_lock() {
        let (memory, platform) = platform();
        memory.insert(PATH, b"feed", UnixTime(memory.clock().now().0 - 100.0));
        let dead = holder(platform.as_ref(), PATH).unwrap();
        // another process has made its claim and is about to remove the lock
        memory.insert(&format!("{PATH}.feed.0"), b"", memory.clock().now());
        assert!(!break_lock(platform.as_ref(), PATH, &dead));
        assert!(platform.files().info(PATH, Links::NoFollow).is_ok());
        // it died as well
        memory.insert(&format!("{PATH}.feed.0"), b"", UnixTime(memory.clock().now().0 - 20.0));
        assert!(break_lock(platform.as_ref(), PATH, &dead));
        assert!(memory.paths().is_empty(), "{:?}", memory.paths());
    }

    #[test]
    fn a_late_breaker_leaves_the_next_holder_alone() {
        let (memory, platform) = platform();
        memory.insert(PATH, b"feed", UnixTime(memory.clock().now().0 - 100.0));
        let dead = holder(platform.as_ref(), PATH).unwrap();
        assert!(break_lock(platform.as_ref(), PATH, &dead));
        let _next = FileLock::try_acquire(&platform, PATH).unwrap().expect("it is free");
        // a second waiter had seen the dead holder too, and acts only now
        assert!(!break_lock(platform.as_ref(), PATH, &dead));
        assert_eq!(memory.paths(), [PATH]);
    }

    #[test]
    fn a_holder_that_lost_its_lock_leaves_its_successor_alone() {
        let (memory, platform) = platform();
        let slow = FileLock::try_acquire(&platform, PATH).unwrap().unwrap();
        let _next = FileLock::acquire(&platform, PATH, Duration::from_mins(1)).unwrap();
        drop(slow);
        assert_eq!(memory.paths(), [PATH]);
    }

    #[test]
    fn slots_are_counted() {
        let (memory, platform) = platform();
        let base = "/locks/abc.lck";
        let first = try_acquire_slot(&platform, base, 2).unwrap().expect("two are free");
        let _second = try_acquire_slot(&platform, base, 2).unwrap().expect("one is free");
        assert!(try_acquire_slot(&platform, base, 2).unwrap().is_none());
        assert_eq!(memory.paths(), ["/locks/abc.lck0", "/locks/abc.lck1"]);
        drop(first);
        acquire_slot(&platform, base, 2, Duration::from_secs(1), &mut || {}).unwrap();
    }

    #[test]
    fn tidying_removes_only_what_is_dead() {
        let (memory, platform) = platform();
        let now = memory.clock().now().0;
        memory.insert("/locks/old.lck", b"a", UnixTime(now - 100.0));
        memory.insert("/locks/old.lck.a.0", b"", UnixTime(now - 1000.0));
        memory.insert("/locks/alive.lck", b"b", UnixTime(now - 2.0));
        memory.insert("/locks/readme.txt", b"", UnixTime(now - 1000.0));
        tidy(platform.as_ref(), "/locks");
        assert_eq!(memory.paths(), ["/locks/alive.lck", "/locks/readme.txt"]);
    }
}
