//! The outside world, as traits: files, outgoing HTTP, the clock. The only door out of the core.
//!
//! The component implements them with WASI (`guest/src`), tests with plain memory. Everything blocks: a component
//! serves one request at a time and has one thread. Concurrency exists in one place only, [`HttpClient::send_all`].

use std::fmt;
use std::time::Duration;

use crate::http::{HttpFailure, HttpReply, HttpRequest};

#[cfg(any(test, feature = "native"))]
pub mod memory;
#[cfg(any(test, feature = "native"))]
pub mod native;

/// Everything a request needs from outside.
pub trait Platform: fmt::Debug {
    fn files(&self) -> &dyn Files;
    fn http(&self) -> &dyn HttpClient;
    fn clock(&self) -> &dyn Clock;

    /// What of a larger work this instance does, if it does some.
    fn attempt(&self) -> Option<Attempt> {
        None
    }
}

/// One of the tries to do a piece of work, of which no two run at the same time: what an earlier one left locked when it
/// was killed is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// the same in each try
    pub piece: u64,
    /// another in each try
    pub number: u64,
}

/// Seconds since 1970-01-01T00:00:00Z with fractions, as MapProxy keeps time stamps.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct UnixTime(pub f64);

impl UnixTime {
    /// Whole seconds, rounded down: what HTTP dates and MapProxy's stale comparison use.
    pub fn seconds(self) -> i64 {
        self.0.floor() as i64
    }
}

/// Time, and waiting.
pub trait Clock: fmt::Debug {
    fn now(&self) -> UnixTime;
    /// A clock that never goes back, for time-outs.
    fn monotonic(&self) -> Duration;
    fn sleep(&self, duration: Duration);
    /// 64 random bits, for temporary names.
    fn random(&self) -> u64;
}

/// Why a file operation failed. `NotFound` is apart, because most callers take it for a plain "no".
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("`{path}` does not exist")]
    NotFound { path: String },
    #[error("`{path}` exists already")]
    AlreadyExists { path: String },
    /// Outside the directories this instance was given, or not permitted by the system.
    #[error("no permission for `{path}`")]
    NotPermitted { path: String },
    /// There is a symbolic link on the way that leads out of the directories this instance was given.
    #[error("`{link}` is a link out of the directories of the configuration; `{path}` is not followed there")]
    LeadsOut { path: String, link: String },
    #[error("`{path}`: {reason}")]
    Other { path: String, reason: String },
}

impl FileError {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    Other,
}

/// Size in bytes, time of the last change, kind.
#[derive(Debug, Clone, Copy)]
pub struct FileInfo {
    pub size: u64,
    pub modified: UnixTime,
    pub kind: FileKind,
}

/// Whether a symbolic link itself is meant, or what it points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Follow,
    NoFollow,
}

/// Files, by absolute path (`/`-separated, no `..`). Every method is one or few system calls; nothing is remembered
/// between calls, because other instances, processes and people change the same directories.
pub trait Files: fmt::Debug {
    /// The whole file with its data (links followed).
    fn read(&self, path: &str) -> Result<(Vec<u8>, FileInfo), FileError>;
    fn info(&self, path: &str, links: Links) -> Result<FileInfo, FileError>;
    /// Writes to a temporary file in the same directory, then renames: readers see the old file or the whole new one.
    /// Creates missing directories. An existing file or link of that name is replaced (the link itself, never its target).
    fn write_atomic(&self, path: &str, data: &[u8]) -> Result<(), FileError>;
    /// Creates the file with this content and fails with `AlreadyExists` if it is there. Creates missing directories.
    fn create_new(&self, path: &str, data: &[u8]) -> Result<(), FileError>;
    /// Creates the directory and its parents; no error if it exists.
    fn create_directories(&self, path: &str) -> Result<(), FileError>;
    fn remove(&self, path: &str) -> Result<(), FileError>;
    /// Removes an empty directory; an error if there is something in it.
    fn remove_directory(&self, path: &str) -> Result<(), FileError>;
    fn rename(&self, from: &str, to: &str) -> Result<(), FileError>;
    /// Sets the modification time to now (a lock's sign of life).
    fn touch(&self, path: &str) -> Result<(), FileError>;
    /// A symbolic link at `link` with the text `target` (relative). Replaces what is there. Creates missing directories.
    fn symlink(&self, target: &str, link: &str) -> Result<(), FileError>;
    /// A hard link at `link` to the file `target` (absolute). Replaces what is there. Creates missing directories.
    fn hard_link(&self, target: &str, link: &str) -> Result<(), FileError>;
    /// Names of the entries, unordered, without `.` and `..`.
    fn list(&self, path: &str) -> Result<Vec<String>, FileError>;
}

/// Outgoing HTTP.
pub trait HttpClient: fmt::Debug {
    /// Sends one request and reads the whole answer. Any status is an `Ok`; redirects are followed (at most 5).
    fn send(&self, request: &HttpRequest) -> Result<HttpReply, HttpFailure>;

    /// Sends all at once, at most `parallel` under way at a time; answers in the order of the requests.
    /// While waiting, `heartbeat` is called about once a second (a held lock shows its sign of life).
    fn send_all(
        &self,
        requests: &[HttpRequest],
        parallel: usize,
        heartbeat: &mut dyn FnMut(),
    ) -> Vec<Result<HttpReply, HttpFailure>>;
}
