//! Removes the tiles of a whole level of a file cache by walking its directory (behaviour section 19). Two layouts have no
//! directory of a level; there the whole cache is walked for each, which is slow, but ends.
//!
//! Only what is certainly a tile of that level is touched: a file (or link) whose path is the one this cache gives to
//! some tile, or the temporary file of such a tile that was left behind (`Files::write_atomic`) when its writer was killed.
//! Directories are entered only if they can lie on the way to a tile and are no links. Work is bounded: after
//! so many files and directories the walk stops and says where to go on.

use crate::config::model::DirectoryLayout;
use crate::grid::TileCoord;
use crate::platform::{FileError, FileKind, Files, Links};

use super::path::tile_path;

/// What is to be removed.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    /// tiles older than this (seconds since 1970); `None`: all
    pub before: Option<f64>,
    /// unfinished tiles older than this: nobody writes them any more
    pub unfinished_before: f64,
    /// only look
    pub dry_run: bool,
    /// go on behind this path, see [`Swept::rest`]
    pub after: Option<&'a str>,
    /// files and directories to look at before it stops
    pub limit: u32,
}

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: u64,
    pub bytes: u64,
    /// paths, in a dry run
    pub paths: Vec<String>,
    /// where it stopped; `None`: it is done
    pub rest: Option<String>,
}

/// Where a file cache keeps a level.
#[derive(Debug)]
pub(super) struct LevelDirectory<'a> {
    pub(super) directory: &'a str,
    pub(super) layout: DirectoryLayout,
    pub(super) extension: &'a str,
    pub(super) level: u32,
}

struct Run<'a> {
    place: &'a LevelDirectory<'a>,
    files: &'a dyn Files,
    sweep: &'a Sweep<'a>,
    root: String,
    looked_at: u32,
    swept: Swept,
}

impl LevelDirectory<'_> {
    pub(super) fn sweep(&self, files: &dyn Files, sweep: &Sweep<'_>) -> Result<Swept, FileError> {
        let (level, directory) = (self.level, self.directory);
        let root = match self.layout {
            DirectoryLayout::Tc | DirectoryLayout::Mp => format!("{directory}/{level:02}"),
            DirectoryLayout::Tms => format!("{directory}/{level}"),
            DirectoryLayout::Arcgis => format!("{directory}/L{level:02}"),
            DirectoryLayout::ReverseTms | DirectoryLayout::Quadkey => directory.to_owned(),
        };
        let mut run = Run {
            place: self,
            files,
            sweep,
            root,
            looked_at: 0,
            swept: Swept::default(),
        };
        let after: Vec<&str> = sweep.after.map(|after| after.split('/').collect()).unwrap_or_default();
        run.directory("", &after)?;
        Ok(run.swept)
    }

    /// Directories between the root and the tile.
    fn depth(&self) -> usize {
        match self.layout {
            DirectoryLayout::Tc => 5,
            DirectoryLayout::Mp => 3,
            DirectoryLayout::ReverseTms => 2,
            DirectoryLayout::Tms | DirectoryLayout::Arcgis => 1,
            DirectoryLayout::Quadkey => 0,
        }
    }

    /// Whether a file below the root, without its extension, is a tile of the level.
    fn is_tile(&self, stem: &str) -> bool {
        let parts: Vec<&str> = stem.split('/').collect();
        let joined = |parts: &[&str]| parts.concat().parse::<i64>().ok();
        let hex = |part: &str, letter: char| {
            part.strip_prefix(letter)
                .and_then(|digits| i64::from_str_radix(digits, 16).ok())
        };
        let place = match (self.layout, parts.as_slice()) {
            (DirectoryLayout::Tc, [x0, x1, x2, y0, y1, y2]) => (joined(&[x0, x1, x2]), joined(&[y0, y1, y2])),
            (DirectoryLayout::Mp, [x0, x1, y0, y1]) => (joined(&[x0, x1]), joined(&[y0, y1])),
            (DirectoryLayout::Tms, [x, y]) | (DirectoryLayout::ReverseTms, [y, x, _]) => (joined(&[x]), joined(&[y])),
            (DirectoryLayout::Quadkey, [key]) => {
                return key.len() == self.level as usize && key.bytes().all(|digit| (b'0'..=b'3').contains(&digit));
            }
            (DirectoryLayout::Arcgis, [row, column]) => (hex(column, 'C'), hex(row, 'R')),
            _ => return false,
        };
        let (Some(x), Some(y)) = place else { return false };
        let tile = TileCoord::new(x, y, self.level);
        let own = tile_path("", self.layout, tile, &Vec::new(), "");
        // `/02/000/…/004.`: the path begins with the level, which is the directory's name
        own.is_ok_and(|own| {
            let own = own.trim_start_matches('/').trim_end_matches('.');
            if self.layout == DirectoryLayout::ReverseTms {
                return own == stem;
            }
            own.split_once('/').is_some_and(|(_, inside)| inside == stem)
        })
    }
}

impl Run<'_> {
    /// Works off a directory below the root (`""`: itself); what comes before `after` is done already.
    fn directory(&mut self, inside: &str, after: &[&str]) -> Result<(), FileError> {
        let path = self.path(inside);
        match self.files.info(&path, Links::NoFollow) {
            Ok(info) if info.kind == FileKind::Directory => {}
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut names = match self.files.list(&path) {
            Ok(names) => names,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        names.sort_unstable();
        let depth = if inside.is_empty() {
            0
        } else {
            inside.split('/').count()
        };
        for name in names {
            let deeper: &[&str] = match after {
                [first, ..] if name.as_str() < *first => continue,
                [first] if name == *first => continue,
                [first, deeper @ ..] if name == *first => deeper,
                _ => &[],
            };
            let below = if inside.is_empty() {
                name
            } else {
                format!("{inside}/{name}")
            };
            if depth < self.place.depth() {
                if self.may_hold_tiles(&below) {
                    self.directory(&below, deeper)?;
                }
            } else {
                self.file(below)?;
            }
            if self.swept.rest.is_some() {
                return Ok(());
            }
        }
        if !self.sweep.dry_run && path != self.place.directory {
            // fails where something is left in it
            let _ = self.files.remove_directory(&path);
        }
        self.looked_at += 1;
        if self.looked_at >= self.sweep.limit && !inside.is_empty() {
            self.swept.rest = Some(inside.to_owned());
        }
        Ok(())
    }

    fn path(&self, inside: &str) -> String {
        if inside.is_empty() {
            self.root.clone()
        } else {
            format!("{}/{inside}", self.root)
        }
    }

    fn may_hold_tiles(&self, inside: &str) -> bool {
        let name = inside.rsplit('/').next().unwrap_or(inside);
        match self.place.layout {
            DirectoryLayout::Arcgis => name.starts_with('R'),
            _ => name.bytes().all(|byte| byte.is_ascii_digit()),
        }
    }

    fn file(&mut self, inside: String) -> Result<(), FileError> {
        let is_tile = |path: &str| {
            path.rsplit_once('.')
                .is_some_and(|(stem, extension)| extension == self.place.extension && self.place.is_tile(stem))
        };
        let before = if is_tile(&inside) {
            self.sweep.before
        } else if unfinished(&inside).is_some_and(|tile| is_tile(&tile)) {
            Some(self.sweep.unfinished_before)
        } else {
            return Ok(());
        };
        self.looked_at += 1;
        let path = self.path(&inside);
        if self.looked_at >= self.sweep.limit {
            self.swept.rest = Some(inside);
        }
        // a link counts by its own age, and is removed itself
        let info = match self.files.info(&path, Links::NoFollow) {
            Ok(info) if matches!(info.kind, FileKind::File | FileKind::Symlink) => info,
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if before.is_some_and(|before| info.modified.0 >= before) {
            return Ok(());
        }
        if self.sweep.dry_run {
            self.swept.paths.push(path);
        } else {
            match self.files.remove(&path) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        self.swept.removed += 1;
        self.swept.bytes += info.size;
        Ok(())
    }
}

/// The path that this temporary file would have got.
fn unfinished(path: &str) -> Option<String> {
    let (directory, name) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    let (name, random) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_random.then(|| format!("{directory}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::UnixTime;
    use crate::platform::memory::MemoryPlatform;

    const LAYOUTS: [DirectoryLayout; 6] = [
        DirectoryLayout::Tc,
        DirectoryLayout::Mp,
        DirectoryLayout::Tms,
        DirectoryLayout::Arcgis,
        DirectoryLayout::ReverseTms,
        DirectoryLayout::Quadkey,
    ];

    fn sweep_all(
        memory: &MemoryPlatform,
        layout: DirectoryLayout,
        before: Option<f64>,
        limit: u32,
        dry_run: bool,
    ) -> Swept {
        let place = LevelDirectory {
            directory: "/c",
            layout,
            extension: "png",
            level: 2,
        };
        let mut total = Swept::default();
        let mut after: Option<String> = None;
        loop {
            let sweep = Sweep {
                before,
                unfinished_before: 10.0,
                dry_run,
                after: after.as_deref(),
                limit,
            };
            let swept = place.sweep(memory, &sweep).unwrap();
            total.removed += swept.removed;
            total.bytes += swept.bytes;
            total.paths.extend(swept.paths);
            match swept.rest {
                Some(rest) => after = Some(rest),
                None => return total,
            }
        }
    }

    fn filled(layout: DirectoryLayout) -> (std::rc::Rc<MemoryPlatform>, Vec<String>) {
        let memory = MemoryPlatform::new();
        let mut tiles = Vec::new();
        for (age, (x, y)) in [(0, 0), (3, 1), (1_234_567, 2), (2, 87_654_321), (1, 1)]
            .into_iter()
            .enumerate()
        {
            let path = tile_path("/c", layout, TileCoord::new(x, y, 2), &Vec::new(), "png").unwrap();
            memory.insert(&path, b"tile", UnixTime(age as f64));
            tiles.push(path);
        }
        (memory, tiles)
    }

    #[test]
    fn old_tiles_of_the_level_are_removed_in_pieces() {
        for layout in LAYOUTS {
            for limit in [1, 2, 100] {
                let (memory, tiles) = filled(layout);
                let dry = sweep_all(&memory, layout, Some(2.0), limit, true);
                assert_eq!((dry.removed, dry.bytes), (2, 8), "{layout:?}");
                let mut listed = dry.paths;
                listed.sort();
                let mut expected = tiles[..2].to_vec();
                expected.sort();
                assert_eq!(listed, expected);
                assert_eq!(memory.paths().len(), 5, "a dry run removes nothing");
                assert_eq!(sweep_all(&memory, layout, Some(2.0), limit, false).removed, 2);
                assert!(tiles[..2].iter().all(|tile| memory.content(tile).is_none()));
                assert_eq!(
                    sweep_all(&memory, layout, None, limit, false).removed,
                    3,
                    "{layout:?} by {limit}"
                );
                assert!(memory.paths().is_empty());
            }
        }
    }

    #[test]
    fn tiles_of_other_levels_beside_them_stay() {
        for layout in [DirectoryLayout::ReverseTms, DirectoryLayout::Quadkey] {
            for limit in [1, 3, 100] {
                let (memory, _) = filled(layout);
                let others = [1, 3, 20].map(|level| {
                    let tile = TileCoord::new(0, 1, level);
                    tile_path("/c", layout, tile, &Vec::new(), "png").unwrap()
                });
                for other in &others {
                    memory.insert(other, b"other", UnixTime(0.0));
                }
                assert_eq!(sweep_all(&memory, layout, None, limit, false).removed, 5, "{layout:?}");
                let mut left = others.to_vec();
                left.sort();
                assert_eq!(memory.paths(), left);
            }
        }
    }

    #[test]
    fn what_a_killed_writer_left_behind_is_removed_when_it_is_old() {
        for layout in LAYOUTS {
            let (memory, tiles) = filled(layout);
            let (directory, name) = tiles[0].rsplit_once('/').unwrap();
            let (old, new) = ("0123456789abcdef", "fedcba9876543210");
            let temporary = |random: &str| format!("{directory}/.{name}.{random}.tmp");
            memory.insert(&temporary(old), b"ti", UnixTime(9.0));
            memory.insert(&temporary(new), b"ti", UnixTime(10.0));
            let dry = sweep_all(&memory, layout, Some(0.0), 2, true);
            assert_eq!(dry.paths, [temporary(old)], "{layout:?}");
            assert_eq!(sweep_all(&memory, layout, None, 2, false).removed, 6);
            assert_eq!(memory.paths(), [temporary(new)]);
        }
    }

    #[test]
    fn nothing_but_tiles_of_the_level_is_touched() {
        let (memory, _) = filled(DirectoryLayout::Tc);
        let others = [
            "/c/02/000/000/003/000/000/001.jpeg",
            "/c/02/000/000/003/000/000/.001.png.00ff.tmp",
            "/c/02/000/000/003/000/000/.001.png.00112233445566gg.tmp",
            "/c/02/000/000/003/000/000/.001.jpeg.0011223344556677.tmp",
            "/c/02/000/000/003/000/000/.01.png.0011223344556677.tmp",
            "/c/02/000/000/003/.000.png.0011223344556677.tmp",
            "/c/02/000/000/003/000/000/001.png.0011223344556677.tmp",
            "/c/02/000/000/003/000/000/notes.png",
            "/c/02/000/000/003/000/000/1.png",
            "/c/02/000/000/3/000/000/001.png",
            "/c/02/readme.png",
            "/c/02/000/000/004.png",
            "/c/03/000/000/000/000/000/000.png",
            "/c/single_color_tiles/ffffff.png",
            "/elsewhere/000/000/000/000/000.png",
        ];
        for other in others {
            memory.insert(other, b"other", UnixTime(0.0));
        }
        Files::symlink(&*memory, "/elsewhere", "/c/02/005").unwrap();
        Files::symlink(&*memory, "/elsewhere/x", "/c/02/000/000/000/000/000/009.png").unwrap();
        assert_eq!(sweep_all(&memory, DirectoryLayout::Tc, None, 3, false).removed, 6);
        let mut left: Vec<String> = others.iter().map(|other| (*other).to_owned()).collect();
        left.push("/c/02/005".to_owned());
        left.sort();
        assert_eq!(memory.paths(), left);
    }
}
