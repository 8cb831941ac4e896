//! Tiles as files (behaviour section 13; MapProxy: `cache/file.py`).
//!
//! Nothing is remembered about directories: the whole cache may be deleted while it is in use. A hit is one read.
//!
//! `directory_permissions` and `file_permissions` are not applied: WASI has no `chmod`, files get the host's umask.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::config::model::{DirectoryLayout, FileCache, SingleColorLinks};
use crate::grid::TileCoord;
use crate::layer::LayerError;
use crate::platform::{FileError, FileInfo, FileKind, Files, Links, Platform};
use crate::query::Dimensions;

use super::path::{relative_path, tile_path};
use super::sweep::LevelDirectory;
use super::{StoredTile, Sweep, Swept, TileCache, TileInfo};

/// A directory of tiles of one grid.
#[derive(Debug)]
pub struct FileTileCache {
    platform: Rc<dyn Platform>,
    directory: String,
    layout: DirectoryLayout,
    extension: String,
    links: SingleColorLinks,
}

impl FileTileCache {
    /// The cache in `directory`, laid out as `conf` says.
    pub fn new(platform: Rc<dyn Platform>, conf: &FileCache, directory: &str, links: SingleColorLinks) -> Self {
        let directory = directory.trim_end_matches('/').to_owned();
        Self {
            platform,
            directory,
            layout: conf.layout,
            extension: conf.extension.clone(),
            links,
        }
    }

    fn path(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<String, LayerError> {
        tile_path(&self.directory, self.layout, tile, dimensions, &self.extension).map_err(|error| {
            LayerError::InvalidRequest {
                message: error.to_string(),
            }
        })
    }

    fn files(&self) -> &dyn Files {
        self.platform.files()
    }

    /// With links, the age of a tile is that of its link: the file behind it is as old as the first tile of its colour.
    fn own_links(&self) -> Links {
        if self.links == SingleColorLinks::Off {
            Links::Follow
        } else {
            Links::NoFollow
        }
    }

    fn single_color_path(&self, color: &[u8]) -> String {
        let mut path = format!("{}/single_color_tiles/", self.directory);
        for channel in color {
            // Writing to a string cannot fail.
            let _ = write!(path, "{channel:02x}");
        }
        path.push('.');
        path.push_str(&self.extension);
        path
    }

    fn link_single_color(&self, path: &str, data: &[u8], color: &[u8]) -> Result<(), FileError> {
        let target = self.single_color_path(color);
        if let Err(error) = self.files().info(&target, Links::Follow) {
            if !error.is_not_found() {
                return Err(error);
            }
            self.files().write_atomic(&target, data)?;
        }
        match self.links {
            SingleColorLinks::Hardlink => self.files().hard_link(&target, path),
            _ => self.files().symlink(&relative_path(path, &target), path),
        }
    }
}

fn described(info: FileInfo) -> TileInfo {
    TileInfo {
        timestamp: Some(info.modified),
        size: Some(info.size),
    }
}

impl TileCache for FileTileCache {
    fn load(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<StoredTile>, LayerError> {
        let path = self.path(tile, dimensions)?;
        let (data, mut info) = match self.files().read(&path) {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if self.links == SingleColorLinks::Symlink
            && let Ok(link) = self.files().info(&path, Links::NoFollow)
        {
            info.modified = link.modified;
        }
        let info = described(info);
        Ok(Some(StoredTile { data, info }))
    }

    fn file(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<(String, TileInfo)>, LayerError> {
        // The size that clients are told is that of the file, the age that of the link.
        if self.links == SingleColorLinks::Symlink {
            return Ok(None);
        }
        let path = self.path(tile, dimensions)?;
        match self.files().info(&path, Links::Follow) {
            Ok(info) if info.kind == FileKind::File => Ok(Some((path, described(info)))),
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn info(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<TileInfo>, LayerError> {
        match self.files().info(&self.path(tile, dimensions)?, self.own_links()) {
            Ok(info) => Ok(Some(described(info))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn store(
        &self,
        tile: TileCoord,
        dimensions: &Dimensions,
        data: &[u8],
        color: Option<&[u8]>,
    ) -> Result<TileInfo, LayerError> {
        let path = self.path(tile, dimensions)?;
        let color = color.filter(|_| self.links_single_colors());
        match color {
            Some(color) => self.link_single_color(&path, data, color)?,
            None => self.files().write_atomic(&path, data)?,
        }
        // Asked for, not taken from our clock, so that the next request tells the client the same time.
        let written = self.files().info(&path, self.own_links());
        let timestamp = written.map_or_else(|_| self.platform.clock().now(), |info| info.modified);
        Ok(TileInfo {
            timestamp: Some(timestamp),
            size: Some(data.len() as u64),
        })
    }

    fn links_single_colors(&self) -> bool {
        self.links != SingleColorLinks::Off
    }

    fn remove(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<(), LayerError> {
        match self.files().remove(&self.path(tile, dimensions)?) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn can_sweep(&self) -> bool {
        true
    }

    fn has_level_directories(&self) -> bool {
        !matches!(self.layout, DirectoryLayout::ReverseTms | DirectoryLayout::Quadkey)
    }

    fn sweep(&self, level: u32, sweep: &Sweep<'_>) -> Result<Option<Swept>, LayerError> {
        let place = LevelDirectory {
            directory: &self.directory,
            layout: self.layout,
            extension: &self.extension,
            level,
        };
        Ok(Some(place.sweep(self.files(), sweep)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::UnixTime;
    use crate::platform::memory::MemoryPlatform;
    use crate::platform::native::NativePlatform;

    const TILE: TileCoord = TileCoord { x: 3, y: 4, z: 2 };

    fn cache(platform: Rc<dyn Platform>, directory: &str, links: SingleColorLinks) -> FileTileCache {
        let conf = FileCache {
            directories: vec![directory.to_owned()],
            layout: DirectoryLayout::Tms,
            extension: "png".to_owned(),
            directory_permissions: None,
            file_permissions: None,
        };
        FileTileCache::new(platform, &conf, directory, links)
    }

    #[test]
    fn a_hit_is_one_read() {
        let memory = MemoryPlatform::new();
        let cache = cache(memory.clone(), "/c", SingleColorLinks::Off);
        let none = Vec::new();
        assert!(cache.load(TILE, &none).unwrap().is_none());
        cache.store(TILE, &none, b"data", None).unwrap();
        memory.take_operations();
        let stored = cache.load(TILE, &none).unwrap().unwrap();
        assert_eq!(memory.take_operations(), [("read", "/c/2/3/4.png".to_owned())]);
        assert_eq!(stored.data, b"data");
        assert_eq!(stored.info.size, Some(4));
        assert_eq!(
            stored.info.timestamp,
            cache.info(TILE, &none).unwrap().unwrap().timestamp
        );
    }

    #[test]
    fn storing_again_replaces_and_removing_twice_is_no_error() {
        let memory = MemoryPlatform::new();
        let cache = cache(memory.clone(), "/c", SingleColorLinks::Off);
        let none = Vec::new();
        cache.store(TILE, &none, b"old", None).unwrap();
        memory.delete_tree("/c");
        cache.store(TILE, &none, b"new", None).unwrap();
        assert_eq!(memory.content("/c/2/3/4.png").unwrap(), b"new");
        cache.remove(TILE, &none).unwrap();
        cache.remove(TILE, &none).unwrap();
        assert!(memory.paths().is_empty());
    }

    #[test]
    fn single_colors_share_a_file() {
        let memory = MemoryPlatform::new();
        let cache = cache(memory.clone(), "/c", SingleColorLinks::Symlink);
        let none = Vec::new();
        let other = TileCoord { x: 1, y: 1, z: 2 };
        cache.store(TILE, &none, b"red", Some(&[0xfe, 0, 4])).unwrap();
        memory.advance(std::time::Duration::from_mins(2));
        cache.store(other, &none, b"red again", Some(&[0xfe, 0, 4])).unwrap();
        assert_eq!(
            memory.paths(),
            ["/c/2/1/1.png", "/c/2/3/4.png", "/c/single_color_tiles/fe0004.png"]
        );
        assert_eq!(
            memory.link_target("/c/2/3/4.png").unwrap(),
            "../../single_color_tiles/fe0004.png"
        );
        let (first, second) = (
            cache.load(TILE, &none).unwrap().unwrap(),
            cache.load(other, &none).unwrap().unwrap(),
        );
        assert_eq!(
            (first.data.as_slice(), second.data.as_slice()),
            (&b"red"[..], &b"red"[..])
        );
        // each tile is as old as its link
        let age = |tile: &StoredTile| tile.info.timestamp.unwrap().0;
        assert!((age(&second) - age(&first) - 120.0).abs() < 1.0);
        // a tile that is no longer of one colour replaces the link, not the shared file
        cache.store(TILE, &none, b"map", None).unwrap();
        assert_eq!(memory.content("/c/single_color_tiles/fe0004.png").unwrap(), b"red");
        assert_eq!(memory.content("/c/2/3/4.png").unwrap(), b"map");
    }

    #[test]
    fn an_existing_directory_is_served() {
        let memory = MemoryPlatform::new();
        memory.insert("/c/2/3/4.png", b"old tile", UnixTime(1234.5));
        let cache = cache(memory, "/c/", SingleColorLinks::Off);
        let stored = cache.load(TILE, &Vec::new()).unwrap().unwrap();
        assert_eq!(
            stored.info,
            TileInfo {
                timestamp: Some(UnixTime(1234.5)),
                size: Some(8)
            }
        );
    }

    #[test]
    fn a_read_only_directory_is_an_error_for_the_writer_alone() {
        let memory = MemoryPlatform::new();
        memory.insert("/c/2/3/4.png", b"tile", UnixTime(0.0));
        memory.make_read_only("/c");
        let cache = cache(memory, "/c", SingleColorLinks::Off);
        assert!(cache.load(TILE, &Vec::new()).unwrap().is_some());
        assert!(matches!(
            cache.store(TILE, &Vec::new(), b"x", None),
            Err(LayerError::File(_))
        ));
    }

    #[test]
    fn links_and_files_are_real_on_a_file_system() {
        let platform = NativePlatform::new();
        let unique = crate::platform::Clock::random(platform.as_ref());
        let directory = format!("{}/mapproxy-file-cache-{unique:016x}", std::env::temp_dir().display());
        let none = Vec::new();
        for links in [SingleColorLinks::Symlink, SingleColorLinks::Hardlink] {
            let cache = cache(platform.clone(), &directory, links);
            cache.store(TILE, &none, b"red", Some(&[1, 2, 3])).unwrap();
            assert_eq!(cache.load(TILE, &none).unwrap().unwrap().data, b"red");
            cache.store(TILE, &none, b"map", None).unwrap();
            assert_eq!(cache.load(TILE, &none).unwrap().unwrap().data, b"map");
            cache.store(TILE, &none, b"red", Some(&[1, 2, 3])).unwrap();
            assert_eq!(cache.load(TILE, &none).unwrap().unwrap().data, b"red");
            cache.remove(TILE, &none).unwrap();
            assert!(cache.info(TILE, &none).unwrap().is_none());
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
