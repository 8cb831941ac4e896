//! What a guest looks at, it mostly answers with: a stored tile is one `stat-at`, then its path in `X-Sendfile`. So the
//! look opens the file, and the answer is read from there: three system calls less for each request, and what is sent is
//! what was looked at, whatever became of its path since.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::{Errno, retry_on_intr};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorStat, DescriptorType, ErrorCode, HostDescriptor as _, PathFlags,
};

use super::State;

/// A regular file that was looked at, still open.
#[derive(Debug)]
pub(crate) struct LookedAt {
    directory: Arc<File>,
    /// Below the directory, as the guest gave it.
    path: String,
    file: OwnedFd,
    len: u64,
}

impl LookedAt {
    /// Whether this is what `path` below `directory` named when it was looked at.
    pub(crate) fn is(&self, directory: &Arc<File>, path: &Path) -> bool {
        Arc::ptr_eq(&self.directory, directory) && path == Path::new(&self.path)
    }

    /// As many bytes as there were.
    pub(crate) fn read(self) -> io::Result<Vec<u8>> {
        let mut content = Vec::with_capacity(usize::try_from(self.len).unwrap_or(usize::MAX));
        while content.len() < content.capacity()
            && retry_on_intr(|| rustix::io::read(&self.file, spare_capacity(&mut content)))? > 0
        {}
        Ok(content)
    }
}

/// Opens what `path` names, which links cannot lead out of `directory`.
pub(crate) fn open_beneath(directory: &File, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // A pipe would keep us waiting.
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(directory, path, flags, Mode::empty(), resolve)
}

/// Puts `stat-at` that remembers in place of that of wasmtime-wasi.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker
        .instance("wasi:filesystem/types@0.2.12")?
        .func_wrap_async("[method]descriptor.stat-at", |store, arguments| {
            Box::new(async move { Ok((stat_at(store, arguments).await?,)) })
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn stat_at(
    mut store: StoreContextMut<'_, State>,
    (descriptor, flags, path): (Resource<Descriptor>, PathFlags, String),
) -> wasmtime::Result<Result<DescriptorStat, ErrorCode>> {
    let state = store.data_mut();
    if let Descriptor::Dir(directory) = state.table.get(&descriptor)? {
        let links = if flags.contains(PathFlags::SYMLINK_FOLLOW) {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        match open_beneath(&directory.dir, Path::new(&path), links).and_then(|file| Ok((fstat(&file)?, file))) {
            Ok((stat, file)) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                let answer = of_file(&stat);
                state.looked_at = Some(LookedAt {
                    directory: Arc::clone(&directory.dir),
                    path,
                    file,
                    len: answer.size,
                });
                return Ok(Ok(answer));
            }
            Err(Errno::NOENT) => return Ok(Err(ErrorCode::NoEntry)),
            // A directory, a link, a file nobody may read: nothing to send.
            _ => {}
        }
    }
    let mut view = WasiFilesystemCtxView {
        table: &mut state.table,
        ctx: state.wasi.filesystem(),
    };
    match view.stat_at(descriptor, flags, path).await {
        Ok(stat) => Ok(Ok(stat)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

fn of_file(stat: &Stat) -> DescriptorStat {
    // Times before 1970 have no place in `datetime`.
    let time = |seconds: i64, nanoseconds: u64| {
        Some(Datetime {
            seconds: u64::try_from(seconds).ok()?,
            nanoseconds: u32::try_from(nanoseconds).ok()?,
        })
    };
    DescriptorStat {
        type_: DescriptorType::RegularFile,
        link_count: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        data_access_timestamp: time(stat.st_atime, stat.st_atime_nsec),
        data_modification_timestamp: time(stat.st_mtime, stat.st_mtime_nsec),
        status_change_timestamp: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_what_is_read() {
        let folder = std::env::temp_dir().join(format!("mapproxy-look-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tile"), "before").unwrap();
        let directory = Arc::new(File::open(&folder).unwrap());
        let look = || {
            let file = open_beneath(&directory, Path::new("tile"), OFlags::empty()).unwrap();
            LookedAt {
                directory: Arc::clone(&directory),
                path: "tile".to_owned(),
                len: fstat(&file).unwrap().st_size.try_into().unwrap(),
                file,
            }
        };
        let first = look();
        assert!(first.is(&directory, Path::new("tile")));
        assert!(!first.is(&directory, Path::new("other")));
        assert!(
            !first.is(&Arc::new(File::open(&folder).unwrap()), Path::new("tile")),
            "another directory"
        );

        std::fs::write(folder.join("new"), "after").unwrap();
        std::fs::rename(folder.join("new"), folder.join("tile")).unwrap();
        assert_eq!(first.read().unwrap(), b"before", "replaced meanwhile");

        let second = look();
        std::fs::write(folder.join("tile"), "aft").unwrap();
        assert_eq!(second.read().unwrap(), b"aft", "cut off meanwhile");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn links_do_not_lead_out() {
        let folder = std::env::temp_dir().join(format!("mapproxy-look-out-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(folder.join("secret"), "").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("inner/link")).unwrap();
        let directory = File::open(folder.join("inner")).unwrap();
        for path in ["link", "../secret", "/etc/passwd"] {
            assert!(
                open_beneath(&directory, Path::new(path), OFlags::empty()).is_err(),
                "{path}"
            );
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
