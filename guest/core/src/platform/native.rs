//! The native world, for tests and tools outside the component: `std::fs` and the system's clocks. No network.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the platform everybody else has to go through"
)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, FileError, FileInfo, FileKind, Files, HttpClient, Links, Platform, UnixTime};
use crate::http::{HttpFailure, HttpReply, HttpRequest};

/// Files and clocks of the machine; every HTTP request fails with [`HttpFailure::NotAllowed`].
#[derive(Debug)]
pub struct NativePlatform {
    begin: Instant,
    randoms: AtomicU64,
}

impl NativePlatform {
    pub fn new() -> Rc<Self> {
        let begin = Instant::now();
        let seed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_nanos() as u64);
        Rc::new(Self {
            begin,
            randoms: AtomicU64::new(seed ^ u64::from(std::process::id()).rotate_left(32)),
        })
    }

    fn temporary(&self, path: &str) -> String {
        format!("{path}.tmp-{:016x}", self.random())
    }

    /// Runs `make` on a temporary name and renames the result to `path`, creating directories where they lack.
    fn replace(&self, path: &str, make: impl Fn(&str) -> std::io::Result<()>) -> Result<(), FileError> {
        let temporary = self.temporary(path);
        let mut made = make(&temporary);
        if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.create_parent(path)?;
            made = make(&temporary);
        }
        made.and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failed(path, &error)
        })
    }

    fn create_parent(&self, path: &str) -> Result<(), FileError> {
        match path.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => self.create_directories(parent),
            _ => Ok(()),
        }
    }
}

fn failed(path: &str, error: &std::io::Error) -> FileError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => FileError::NotFound { path },
        ErrorKind::AlreadyExists => FileError::AlreadyExists { path },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FileError::NotPermitted { path },
        _ => FileError::Other {
            path,
            reason: error.to_string(),
        },
    }
}

fn described(metadata: &fs::Metadata) -> FileInfo {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let age = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    FileInfo {
        size: metadata.len(),
        modified: UnixTime(age.map_or(0.0, |age| age.as_secs_f64())),
        kind,
    }
}

impl Platform for NativePlatform {
    fn files(&self) -> &dyn Files {
        self
    }
    fn http(&self) -> &dyn HttpClient {
        self
    }
    fn clock(&self) -> &dyn Clock {
        self
    }
}

impl Clock for NativePlatform {
    fn now(&self) -> UnixTime {
        UnixTime(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |age| age.as_secs_f64()),
        )
    }

    fn monotonic(&self) -> Duration {
        self.begin.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn random(&self) -> u64 {
        let state = self.randoms.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Files for NativePlatform {
    fn read(&self, path: &str) -> Result<(Vec<u8>, FileInfo), FileError> {
        let attempt = || -> std::io::Result<(Vec<u8>, FileInfo)> {
            let mut file = fs::File::open(path)?;
            let info = described(&file.metadata()?);
            let mut data = Vec::with_capacity(usize::try_from(info.size).unwrap_or(0));
            file.read_to_end(&mut data)?;
            Ok((data, info))
        };
        attempt().map_err(|error| failed(path, &error))
    }

    fn info(&self, path: &str, links: Links) -> Result<FileInfo, FileError> {
        let metadata = match links {
            Links::Follow => fs::metadata(path),
            Links::NoFollow => fs::symlink_metadata(path),
        };
        metadata
            .map(|metadata| described(&metadata))
            .map_err(|error| failed(path, &error))
    }

    fn write_atomic(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        self.replace(path, |temporary| fs::write(temporary, data))
    }

    fn create_new(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        let attempt = || {
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)?
                .write_all(data)
        };
        let mut made = attempt();
        if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.create_parent(path)?;
            made = attempt();
        }
        made.map_err(|error| failed(path, &error))
    }

    fn create_directories(&self, path: &str) -> Result<(), FileError> {
        fs::create_dir_all(path).map_err(|error| failed(path, &error))
    }

    fn remove(&self, path: &str) -> Result<(), FileError> {
        fs::remove_file(path).map_err(|error| failed(path, &error))
    }

    fn remove_directory(&self, path: &str) -> Result<(), FileError> {
        fs::remove_dir(path).map_err(|error| failed(path, &error))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        fs::rename(from, to).map_err(|error| failed(from, &error))
    }

    fn touch(&self, path: &str) -> Result<(), FileError> {
        let attempt = || {
            fs::OpenOptions::new()
                .append(true)
                .open(path)?
                .set_modified(SystemTime::now())
        };
        attempt().map_err(|error| failed(path, &error))
    }

    #[cfg(unix)]
    fn symlink(&self, target: &str, link: &str) -> Result<(), FileError> {
        self.replace(link, |temporary| std::os::unix::fs::symlink(target, temporary))
    }

    #[cfg(not(unix))]
    fn symlink(&self, _target: &str, link: &str) -> Result<(), FileError> {
        Err(FileError::Other {
            path: link.to_owned(),
            reason: "no symbolic links on this system".to_owned(),
        })
    }

    fn hard_link(&self, target: &str, link: &str) -> Result<(), FileError> {
        self.replace(link, |temporary| fs::hard_link(target, temporary))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let attempt = || -> std::io::Result<Vec<String>> {
            fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        attempt().map_err(|error| failed(path, &error))
    }
}

impl HttpClient for NativePlatform {
    fn send(&self, _request: &HttpRequest) -> Result<HttpReply, HttpFailure> {
        Err(HttpFailure::NotAllowed)
    }

    fn send_all(
        &self,
        requests: &[HttpRequest],
        _parallel: usize,
        _heartbeat: &mut dyn FnMut(),
    ) -> Vec<Result<HttpReply, HttpFailure>> {
        requests.iter().map(|request| self.send(request)).collect()
    }
}
