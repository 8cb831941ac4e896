//! A world in memory for tests: files in a map, a clock that moves only when somebody sleeps, scripted upstream
//! servers that assert what they are asked.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::{Attempt, Clock, FileError, FileInfo, FileKind, Files, HttpClient, Links, Platform, UnixTime};
use crate::http::{Headers, HttpFailure, HttpReply, HttpRequest};

type SleepHook = Box<dyn Fn(Duration)>;
type Answer = Box<dyn Fn(&HttpRequest) -> Result<HttpReply, HttpFailure>>;

/// When the clock of a new world stands: 2020-01-01T00:00:00Z.
pub const EPOCH: f64 = 1_577_836_800.0;

#[derive(Debug, Clone)]
enum Entry {
    File { data: Rc<Vec<u8>>, modified: UnixTime },
    Symlink { target: String, modified: UnixTime },
}

/// Files, clock and network of a test.
#[derive(Default)]
pub struct MemoryPlatform {
    entries: RefCell<BTreeMap<String, Entry>>,
    /// paths whose writing fails
    read_only: RefCell<Vec<String>>,
    elapsed: Cell<Duration>,
    randoms: Cell<u64>,
    pub(crate) attempt: Cell<Option<Attempt>>,
    on_sleep: RefCell<Option<SleepHook>>,
    script: RefCell<VecDeque<Expected>>,
    answer_all: RefCell<Option<Answer>>,
    /// URLs asked, in order
    asked: RefCell<Vec<HttpRequest>>,
    /// number of requests of each call of `send` or `send_all`
    batches: RefCell<Vec<usize>>,
    /// file operations: name and path
    operations: RefCell<Vec<(&'static str, String)>>,
}

struct Expected {
    url: String,
    reply: Result<HttpReply, HttpFailure>,
}

impl std::fmt::Debug for MemoryPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryPlatform")
            .field("paths", &self.paths())
            .finish_non_exhaustive()
    }
}

impl MemoryPlatform {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            randoms: Cell::new(1),
            attempt: Cell::new(None),
            ..Self::default()
        })
    }

    /// Paths of all files and links, sorted.
    pub fn paths(&self) -> Vec<String> {
        self.entries.borrow().keys().cloned().collect()
    }

    /// Puts a file there.
    pub fn insert(&self, path: &str, data: &[u8], modified: UnixTime) {
        self.entries.borrow_mut().insert(
            path.to_owned(),
            Entry::File {
                data: Rc::new(data.to_vec()),
                modified,
            },
        );
    }

    /// Content of a file, links followed.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.read(path).ok().map(|(data, _)| data)
    }

    /// Text of a symbolic link.
    pub fn link_target(&self, path: &str) -> Option<String> {
        match self.entries.borrow().get(path) {
            Some(Entry::Symlink { target, .. }) => Some(target.clone()),
            _ => None,
        }
    }

    /// Removes everything below a directory.
    pub fn delete_tree(&self, directory: &str) {
        self.entries.borrow_mut().retain(|path, _| !path.starts_with(directory));
    }

    /// From now on nothing below this path can be written.
    pub fn make_read_only(&self, path: &str) {
        self.read_only.borrow_mut().push(path.to_owned());
    }

    /// Calls `hook` with the time elapsed, at each sleep.
    pub fn on_sleep(&self, hook: impl Fn(Duration) + 'static) {
        *self.on_sleep.borrow_mut() = Some(Box::new(hook));
    }

    pub fn advance(&self, by: Duration) {
        self.elapsed.set(self.elapsed.get() + by);
    }

    /// The next request must be for this URL (query parameters in any order) and gets this answer.
    pub fn expect(&self, url: &str, reply: Result<HttpReply, HttpFailure>) {
        self.script.borrow_mut().push_back(Expected {
            url: url.to_owned(),
            reply,
        });
    }

    /// Answers whatever is not scripted.
    pub fn answer(&self, answer: impl Fn(&HttpRequest) -> Result<HttpReply, HttpFailure> + 'static) {
        *self.answer_all.borrow_mut() = Some(Box::new(answer));
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<HttpRequest> {
        self.asked.borrow().clone()
    }

    /// URLs asked so far.
    pub fn asked_urls(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|request| request.url.clone()).collect()
    }

    /// How many requests went out together, call by call.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.borrow().clone()
    }

    /// File operations since the last call.
    pub fn take_operations(&self) -> Vec<(&'static str, String)> {
        self.operations.take()
    }

    /// Fails unless every expected request was made.
    pub fn assert_script_done(&self) {
        let left: Vec<String> = self
            .script
            .borrow()
            .iter()
            .map(|expected| expected.url.clone())
            .collect();
        assert!(left.is_empty(), "not asked: {left:#?}");
    }

    fn note(&self, operation: &'static str, path: &str) {
        self.operations.borrow_mut().push((operation, path.to_owned()));
    }

    fn check_writable(&self, path: &str) -> Result<(), FileError> {
        if self
            .read_only
            .borrow()
            .iter()
            .any(|prefix| path.starts_with(prefix.as_str()))
        {
            return Err(FileError::NotPermitted { path: path.to_owned() });
        }
        Ok(())
    }

    fn put(&self, path: &str, entry: Entry) -> Result<(), FileError> {
        self.check_writable(path)?;
        self.entries.borrow_mut().insert(path.to_owned(), entry);
        Ok(())
    }

    fn resolve(&self, path: &str) -> String {
        let entries = self.entries.borrow();
        let mut path = path.to_owned();
        for _ in 0..8 {
            let Some(Entry::Symlink { target, .. }) = entries.get(&path) else {
                break;
            };
            path = join(&path, target);
        }
        path
    }
}

/// Where a relative link leads.
fn join(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

impl Platform for MemoryPlatform {
    fn files(&self) -> &dyn Files {
        self
    }
    fn http(&self) -> &dyn HttpClient {
        self
    }
    fn clock(&self) -> &dyn Clock {
        self
    }
    fn attempt(&self) -> Option<Attempt> {
        self.attempt.get()
    }
}

impl Clock for MemoryPlatform {
    fn now(&self) -> UnixTime {
        UnixTime(EPOCH + self.elapsed.get().as_secs_f64())
    }

    fn monotonic(&self) -> Duration {
        self.elapsed.get()
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
        let hook = self.on_sleep.take();
        if let Some(hook) = hook {
            hook(self.elapsed.get());
            self.on_sleep.borrow_mut().get_or_insert(hook);
        }
    }

    fn random(&self) -> u64 {
        // splitmix64: good enough to be no pattern, the same in every run
        let state = self.randoms.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.randoms.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Files for MemoryPlatform {
    fn read(&self, path: &str) -> Result<(Vec<u8>, FileInfo), FileError> {
        self.note("read", path);
        match self.entries.borrow().get(&self.resolve(path)) {
            Some(Entry::File { data, modified }) => {
                let info = FileInfo {
                    size: data.len() as u64,
                    modified: *modified,
                    kind: FileKind::File,
                };
                Ok((data.to_vec(), info))
            }
            _ => Err(FileError::NotFound { path: path.to_owned() }),
        }
    }

    fn info(&self, path: &str, links: Links) -> Result<FileInfo, FileError> {
        self.note("info", path);
        let resolved = if links == Links::Follow {
            self.resolve(path)
        } else {
            path.to_owned()
        };
        match self.entries.borrow().get(&resolved) {
            Some(Entry::File { data, modified }) => Ok(FileInfo {
                size: data.len() as u64,
                modified: *modified,
                kind: FileKind::File,
            }),
            Some(Entry::Symlink { target, modified }) => Ok(FileInfo {
                size: target.len() as u64,
                modified: *modified,
                kind: FileKind::Symlink,
            }),
            None if self.list(path).is_ok() => Ok(FileInfo {
                size: 0,
                modified: self.now(),
                kind: FileKind::Directory,
            }),
            None => Err(FileError::NotFound { path: path.to_owned() }),
        }
    }

    fn write_atomic(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        self.note("write", path);
        self.put(
            path,
            Entry::File {
                data: Rc::new(data.to_vec()),
                modified: self.now(),
            },
        )
    }

    fn create_new(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        self.note("create", path);
        if self.entries.borrow().contains_key(path) {
            return Err(FileError::AlreadyExists { path: path.to_owned() });
        }
        self.put(
            path,
            Entry::File {
                data: Rc::new(data.to_vec()),
                modified: self.now(),
            },
        )
    }

    fn create_directories(&self, path: &str) -> Result<(), FileError> {
        self.check_writable(path)
    }

    fn remove(&self, path: &str) -> Result<(), FileError> {
        self.note("remove", path);
        self.check_writable(path)?;
        let removed = self.entries.borrow_mut().remove(path);
        removed
            .map(|_| ())
            .ok_or_else(|| FileError::NotFound { path: path.to_owned() })
    }

    fn remove_directory(&self, path: &str) -> Result<(), FileError> {
        self.check_writable(path)?;
        match self.list(path) {
            Ok(_) => Err(FileError::Other {
                path: path.to_owned(),
                reason: "not empty".to_owned(),
            }),
            Err(_) => Ok(()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.note("rename", from);
        self.check_writable(from)?;
        let entry = self.entries.borrow_mut().remove(from);
        self.put(to, entry.ok_or_else(|| FileError::NotFound { path: from.to_owned() })?)
    }

    fn touch(&self, path: &str) -> Result<(), FileError> {
        self.note("touch", path);
        let now = self.now();
        match self.entries.borrow_mut().get_mut(path) {
            Some(Entry::File { modified, .. } | Entry::Symlink { modified, .. }) => {
                *modified = now;
                Ok(())
            }
            None => Err(FileError::NotFound { path: path.to_owned() }),
        }
    }

    fn symlink(&self, target: &str, link: &str) -> Result<(), FileError> {
        self.note("symlink", link);
        self.put(
            link,
            Entry::Symlink {
                target: target.to_owned(),
                modified: self.now(),
            },
        )
    }

    fn hard_link(&self, target: &str, link: &str) -> Result<(), FileError> {
        self.note("hard_link", link);
        let entry = self.entries.borrow().get(target).cloned();
        self.put(
            link,
            entry.ok_or_else(|| FileError::NotFound {
                path: target.to_owned(),
            })?,
        )
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let prefix = format!("{path}/");
        let mut names: Vec<String> = Vec::new();
        for found in self.entries.borrow().keys() {
            if let Some(rest) = found.strip_prefix(&prefix) {
                let name = rest.split('/').next().unwrap_or_default().to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        if names.is_empty() {
            Err(FileError::NotFound { path: path.to_owned() })
        } else {
            Ok(names)
        }
    }
}

impl MemoryPlatform {
    #[expect(clippy::panic, reason = "an unexpected request fails the test that caused it")]
    fn reply(&self, request: &HttpRequest) -> Result<HttpReply, HttpFailure> {
        self.asked.borrow_mut().push(request.clone());
        let next = self.script.borrow_mut().pop_front();
        if let Some(expected) = next {
            assert_eq!(sorted_query(&request.url), sorted_query(&expected.url));
            return expected.reply;
        }
        match &*self.answer_all.borrow() {
            Some(answer) => answer(request),
            None => panic!("nobody expected a request for {}", request.url),
        }
    }
}

/// A URL with its query parameters in order.
fn sorted_query(url: &str) -> (String, Vec<String>) {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parameters: Vec<String> = query.split('&').map(str::to_owned).collect();
    parameters.sort();
    (base.to_owned(), parameters)
}

impl HttpClient for MemoryPlatform {
    fn send(&self, request: &HttpRequest) -> Result<HttpReply, HttpFailure> {
        self.batches.borrow_mut().push(1);
        self.reply(request)
    }

    fn send_all(
        &self,
        requests: &[HttpRequest],
        _parallel: usize,
        heartbeat: &mut dyn FnMut(),
    ) -> Vec<Result<HttpReply, HttpFailure>> {
        self.batches.borrow_mut().push(requests.len());
        let reply = |request| {
            let reply = self.reply(request);
            heartbeat();
            reply
        };
        requests.iter().map(reply).collect()
    }
}

/// An answer with a content type and a body.
pub fn reply(status: u16, content_type: &str, body: &[u8]) -> Result<HttpReply, HttpFailure> {
    let mut headers = Headers::default();
    headers.set("Content-Type", content_type);
    Ok(HttpReply {
        status,
        headers,
        body: body.to_vec(),
    })
}
