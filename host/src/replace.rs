//! Files that are replaced as a whole: a reader sees the old one or the new one, never half of it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes `content` beside the file `path`, then gives it that name. `mode`: permissions, less those of the umask.
///
/// # Errors
/// The old file is as it was, and nothing is left beside it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // That it is gone is not worth a second error.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_or_stays() {
        let folder = std::env::temp_dir().join(format!("mapproxy-replace-{}", std::process::id()));
        fs::create_dir_all(folder.join("taken")).unwrap();
        let file = folder.join("a.png");
        replace(&file, b"old", 0o600).unwrap();
        replace(&file, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // A directory cannot be replaced by a file.
        assert!(replace(&folder.join("taken"), b"new", 0o600).is_err());
        assert!(replace(&folder.join("missing/a"), b"new", 0o600).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left");
        fs::remove_dir_all(&folder).unwrap();
    }
}
