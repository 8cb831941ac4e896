//! `platform::Files` on WASI descriptors.
//!
//! Paths are absolute; the preopened directory with the longest matching path serves them, so an instance reaches what
//! its host opened and nothing else. The list of preopens is asked for once per instance (it costs more than opening a
//! file), a tile is one `open-at`, one `stat` and one `read`: `std::fs` would need twice as many calls into the host.

use std::cell::OnceCell;

use mapproxy_core::platform::{FileError, FileInfo, FileKind, Files, Links, UnixTime};
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use wasip2::random::random::get_random_u64;

/// The files of this instance's preopened directories.
#[derive(Default)]
pub(crate) struct WasiFiles {
    directories: OnceCell<Vec<(Descriptor, String)>>,
}

impl std::fmt::Debug for WasiFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.directories().iter().map(|(_, path)| path))
            .finish()
    }
}

/// A path split at its preopened directory.
struct Place<'a> {
    directory: &'a Descriptor,
    /// relative to the directory, `.` for the directory itself
    path: &'a str,
}

impl WasiFiles {
    fn directories(&self) -> &[(Descriptor, String)] {
        self.directories.get_or_init(get_directories)
    }

    /// Path of the first preopened directory, where a host that knows nothing of us put the configuration.
    pub(crate) fn first_directory(&self) -> Option<&str> {
        self.directories().first().map(|(_, path)| path.as_str())
    }

    fn place<'a>(&'a self, path: &'a str) -> Result<Place<'a>, FileError> {
        // The host would refuse to leave the directory; a `..` never comes from us, so it is not even tried.
        if path.split('/').any(|segment| segment == "..") {
            return Err(FileError::NotPermitted { path: path.to_owned() });
        }
        self.directories()
            .iter()
            .filter_map(|(directory, root)| {
                let rest = path.strip_prefix(root.trim_end_matches('/'))?;
                let inside = if rest.is_empty() { "." } else { rest.strip_prefix('/')? };
                Some((
                    root.len(),
                    Place {
                        directory,
                        path: if inside.is_empty() { "." } else { inside },
                    },
                ))
            })
            .max_by_key(|(length, _)| *length)
            .map(|(_, place)| place)
            .ok_or_else(|| FileError::NotPermitted { path: path.to_owned() })
    }

    fn error(&self, path: &str, code: ErrorCode) -> FileError {
        let path = path.to_owned();
        match code {
            ErrorCode::NoEntry | ErrorCode::NotDirectory => FileError::NotFound { path },
            ErrorCode::Exist => FileError::AlreadyExists { path },
            ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly => match self.link_out(&path) {
                Some(link) => FileError::LeadsOut { path, link },
                None => FileError::NotPermitted { path },
            },
            other => FileError::Other {
                path,
                reason: other.message().to_owned(),
            },
        }
    }

    /// The first link on a path that its directory's host refuses to follow.
    fn link_out(&self, path: &str) -> Option<String> {
        let place = self.place(path).ok()?;
        let root = path.strip_suffix(place.path)?;
        let ends = place.path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([place.path.len()]) {
            let part = place.path.get(..end)?;
            let stat = place.directory.stat_at(PathFlags::empty(), part).ok()?;
            if stat.type_ == DescriptorType::SymbolicLink {
                let followed = place.directory.stat_at(PathFlags::SYMLINK_FOLLOW, part);
                if matches!(followed, Err(ErrorCode::NotPermitted)) {
                    return Some(format!("{root}{part}"));
                }
            }
        }
        None
    }

    fn open(&self, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, FileError> {
        let place = self.place(path)?;
        place
            .directory
            .open_at(PathFlags::SYMLINK_FOLLOW, place.path, how, flags)
            .map_err(|code| self.error(path, code))
    }

    /// Runs `make`; where a directory is missing, creates the directories above `path` and runs it again.
    fn with_parents<T>(&self, path: &str, make: impl Fn() -> Result<T, FileError>) -> Result<T, FileError> {
        match make() {
            Err(FileError::NotFound { .. }) => {
                if let Some((parent, _)) = path.rsplit_once('/') {
                    self.create_directories(parent)?;
                }
                make()
            }
            done => done,
        }
    }

    /// A file of this content that was not there before; removed again if it cannot be written whole.
    fn create(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        let file = self.open(path, OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE)?;
        let mut written = 0;
        while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest, written as u64) {
                Ok(0) => {
                    let _ = self.remove(path);
                    return Err(FileError::Other {
                        path: path.to_owned(),
                        reason: "nothing could be written".to_owned(),
                    });
                }
                Ok(count) => written += count as usize,
                Err(code) => {
                    let _ = self.remove(path);
                    return Err(self.error(path, code));
                }
            }
        }
        Ok(())
    }

    /// Makes something new beside `path` under a temporary name and renames it into place.
    fn replace(&self, path: &str, make: impl Fn(&str) -> Result<(), FileError>) -> Result<(), FileError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let temporary = format!("{parent}/.{name}.{:016x}.tmp", get_random_u64());
        self.with_parents(path, || make(&temporary))?;
        self.rename(&temporary, path).inspect_err(|_| {
            let _ = self.remove(&temporary);
        })
    }
}

impl Files for WasiFiles {
    fn read(&self, path: &str) -> Result<(Vec<u8>, FileInfo), FileError> {
        let file = self.open(path, OpenFlags::empty(), DescriptorFlags::READ)?;
        let info = info(&file.stat().map_err(|code| self.error(path, code))?);
        if info.kind == FileKind::Directory {
            return Err(FileError::Other {
                path: path.to_owned(),
                reason: "is a directory".to_owned(),
            });
        }
        // One call is enough for a tile; a larger file comes in the pieces the host allows.
        let (mut data, mut end) = file.read(info.size, 0).map_err(|code| self.error(path, code))?;
        while !end && (data.len() as u64) < info.size {
            let (more, last) = file
                .read(info.size - data.len() as u64, data.len() as u64)
                .map_err(|code| self.error(path, code))?;
            end = last || more.is_empty();
            data.extend_from_slice(&more);
        }
        Ok((data, info))
    }

    fn info(&self, path: &str, links: Links) -> Result<FileInfo, FileError> {
        let place = self.place(path)?;
        let flags = match links {
            Links::Follow => PathFlags::SYMLINK_FOLLOW,
            Links::NoFollow => PathFlags::empty(),
        };
        place
            .directory
            .stat_at(flags, place.path)
            .map(|stat| info(&stat))
            .map_err(|code| self.error(path, code))
    }

    fn write_atomic(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        self.replace(path, |temporary| self.create(temporary, data))
    }

    fn create_new(&self, path: &str, data: &[u8]) -> Result<(), FileError> {
        self.with_parents(path, || self.create(path, data))
    }

    fn create_directories(&self, path: &str) -> Result<(), FileError> {
        let place = self.place(path)?;
        if place.path == "." {
            return Ok(());
        }
        match place.directory.create_directory_at(place.path) {
            Ok(()) | Err(ErrorCode::Exist) => Ok(()),
            Err(ErrorCode::NoEntry) => {
                if let Some((parent, _)) = path.rsplit_once('/') {
                    self.create_directories(parent)?;
                }
                match place.directory.create_directory_at(place.path) {
                    Ok(()) | Err(ErrorCode::Exist) => Ok(()),
                    Err(code) => Err(self.error(path, code)),
                }
            }
            Err(code) => Err(self.error(path, code)),
        }
    }

    fn remove(&self, path: &str) -> Result<(), FileError> {
        let place = self.place(path)?;
        place
            .directory
            .unlink_file_at(place.path)
            .map_err(|code| self.error(path, code))
    }

    fn remove_directory(&self, path: &str) -> Result<(), FileError> {
        let place = self.place(path)?;
        place
            .directory
            .remove_directory_at(place.path)
            .map_err(|code| self.error(path, code))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let (source, target) = (self.place(from)?, self.place(to)?);
        source
            .directory
            .rename_at(source.path, target.directory, target.path)
            .map_err(|code| self.error(from, code))
    }

    fn touch(&self, path: &str) -> Result<(), FileError> {
        let place = self.place(path)?;
        place
            .directory
            .set_times_at(PathFlags::empty(), place.path, NewTimestamp::Now, NewTimestamp::Now)
            .map_err(|code| self.error(path, code))
    }

    fn symlink(&self, target: &str, link: &str) -> Result<(), FileError> {
        self.replace(link, |temporary| {
            let place = self.place(temporary)?;
            place
                .directory
                .symlink_at(target, place.path)
                .map_err(|code| self.error(temporary, code))
        })
    }

    fn hard_link(&self, target: &str, link: &str) -> Result<(), FileError> {
        self.replace(link, |temporary| {
            let (from, to) = (self.place(target)?, self.place(temporary)?);
            from.directory
                .link_at(PathFlags::empty(), from.path, to.directory, to.path)
                .map_err(|code| self.error(temporary, code))
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let directory = self.open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
        let entries = directory.read_directory().map_err(|code| self.error(path, code))?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(|code| self.error(path, code))? {
            names.push(entry.name);
        }
        Ok(names)
    }
}

fn info(stat: &DescriptorStat) -> FileInfo {
    FileInfo {
        size: stat.size,
        modified: stat.data_modification_timestamp.map_or(UnixTime(0.0), unix_time),
        kind: match stat.type_ {
            DescriptorType::RegularFile => FileKind::File,
            DescriptorType::Directory => FileKind::Directory,
            DescriptorType::SymbolicLink => FileKind::Symlink,
            _ => FileKind::Other,
        },
    }
}

pub(crate) fn unix_time(time: Datetime) -> UnixTime {
    UnixTime(time.seconds as f64 + f64::from(time.nanoseconds) / 1e9)
}
