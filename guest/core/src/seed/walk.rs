//! Which tiles a task means, one after the other (behaviour section 19; MapProxy: the walk of `seed/seeder.py`).
//!
//! The pyramid is walked depth first, level by level, meta tile by meta tile: a meta tile comes after all that lie below
//! it. What does not touch the area is left out with everything below it, and inside the area nothing is compared any
//! more. The walk remembers one meta tile for each level, so it needs the same memory for ten tiles as for a billion, and
//! it can be left and taken up again anywhere: a [`Walk`] becomes a cursor of a few bytes, and the cursor a `Walk`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::coverage::Coverage;
use crate::grid::{MetaGrid, Origin, TileCoord, TileGrid};
use crate::srs::BBox;

/// On grids whose levels do not nest, a meta tile lies below several others. So many of each level are remembered in
/// order not to name it twice, as in MapProxy.
const REMEMBERED: usize = 64;

/// What is walked.
#[derive(Debug)]
pub struct Walked<'a> {
    pub grid: &'a TileGrid,
    /// columns and rows of a meta tile
    pub meta_size: (u32, u32),
    /// ascending, of the grid
    pub levels: &'a [u32],
    /// empty: the whole grid
    pub area: &'a [Coverage],
    /// On so many of the last levels nothing is compared with the area.
    pub skip_geoms: u32,
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk<'a> {
    what: &'a Walked<'a>,
    meta: MetaGrid,
    whole: Coverage,
    frames: Vec<Frame>,
    recent: Vec<VecDeque<(i64, i64)>>,
}

/// The meta tiles of one level below one meta tile of the level above; rows are counted from the north.
#[derive(Debug)]
pub(super) struct Frame {
    level: u32,
    bbox: BBox,
    /// everything here is inside the area
    inside: bool,
    first: (i64, i64),
    /// how column and row numbers change
    step: (i64, i64),
    pub(super) columns: u64,
    pub(super) rows: u64,
    index: u64,
    /// what lies below the current one is done
    below_done: bool,
}

/// Where a walk is, for [`Walk::resume`].
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cursor {
    path: Vec<u64>,
    below_done: bool,
    recent: Vec<Vec<(i64, i64)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Inside,
    Partly,
    Outside,
}

/// A cursor that is not one of this task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved position is not one of this task")]
pub struct CursorError;

impl<'a> Walk<'a> {
    /// From the beginning.
    pub fn new(what: &'a Walked<'a>) -> Self {
        let mut walk = Self {
            meta: MetaGrid::new(what.meta_size, 0),
            whole: Coverage::from_bbox(what.grid.bbox(), what.grid.srs().clone()),
            frames: Vec::new(),
            recent: Vec::new(),
            what,
        };
        if let Some(bbox) = walk.extent() {
            let root = walk.frame(0, bbox, false);
            walk.frames.push(root);
        }
        walk
    }

    /// From where [`cursor`](Self::cursor) was called.
    pub fn resume(what: &'a Walked<'a>, cursor: &[u8]) -> Result<Self, CursorError> {
        let cursor: Cursor = postcard::from_bytes(cursor).map_err(|_not_ours| CursorError)?;
        let mut walk = Self::new(what);
        let deepest = cursor.path.len().checked_sub(1).ok_or(CursorError)?;
        for (depth, index) in cursor.path.into_iter().enumerate() {
            let frame = walk.frames.last_mut().ok_or(CursorError)?;
            frame.index = index;
            if depth < deepest {
                let below = walk.below().ok_or(CursorError)?;
                walk.frames.push(below);
            } else {
                frame.below_done = cursor.below_done;
            }
        }
        walk.recent = cursor.recent.into_iter().map(VecDeque::from).collect();
        Ok(walk)
    }

    /// Where the walk is; `None` at its end.
    pub fn cursor(&self) -> Option<Vec<u8>> {
        let last = self.frames.last()?;
        let cursor = Cursor {
            path: self.frames.iter().map(|frame| frame.index).collect(),
            below_done: last.below_done,
            recent: self
                .recent
                .iter()
                .map(|recent| recent.iter().copied().collect())
                .collect(),
        };
        Some(postcard::to_allocvec(&cursor).expect("plain numbers have a serialised form"))
    }

    /// The share of the walk that lies behind, 0 to 1.
    pub fn progress(&self) -> f64 {
        if self.frames.is_empty() {
            return 1.0;
        }
        let mut share = 1.0;
        let mut done = 0.0;
        for frame in &self.frames {
            share /= frame.count().max(1) as f64;
            done += frame.index as f64 * share;
        }
        done.min(1.0)
    }

    /// The next meta tile, by its main tile.
    #[expect(
        clippy::should_implement_trait,
        reason = "a cursor over places, and no list to be collected"
    )]
    pub fn next(&mut self) -> Option<TileCoord> {
        loop {
            let frame = self.frames.last()?;
            if frame.index >= frame.count() {
                self.frames.pop();
                if let Some(above) = self.frames.last_mut() {
                    above.below_done = true;
                }
                continue;
            }
            let (level, tile) = (frame.level, frame.tile());
            if !frame.below_done {
                if self.touch(frame, tile) == Touch::Outside {
                    self.step();
                    continue;
                }
                if let Some(below) = self.below() {
                    self.frames.push(below);
                    continue;
                }
            }
            self.step();
            if self.what.levels.contains(&level) && self.is_new(tile) {
                return Some(tile);
            }
        }
    }

    fn step(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.index += 1;
            frame.below_done = false;
        }
    }

    fn is_new(&mut self, tile: TileCoord) -> bool {
        let level = tile.z as usize;
        if self.recent.len() <= level {
            self.recent.resize_with(level + 1, VecDeque::new);
        }
        let Some(recent) = self.recent.get_mut(level) else {
            return true;
        };
        let place = (tile.x, tile.y);
        if recent.contains(&place) {
            return false;
        }
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(place);
        true
    }

    /// What lies below the current meta tile; `None` if no level of the task does.
    fn below(&self) -> Option<Frame> {
        let frame = self.frames.last()?;
        if !self.what.levels.iter().any(|level| *level > frame.level) {
            return None;
        }
        let tile = frame.tile();
        let touch = self.touch(frame, tile);
        let bbox = frame.bbox.intersection(&self.bbox(tile))?;
        Some(self.frame(frame.level + 1, bbox, touch == Touch::Inside))
    }

    fn touch(&self, frame: &Frame, tile: TileCoord) -> Touch {
        if self.what.grid.limit_tile(tile).is_none() {
            return Touch::Outside;
        }
        if frame.inside {
            return Touch::Inside;
        }
        self.touch_box(self.bbox(tile))
    }

    /// How a box in the grid's system lies to the area.
    pub(super) fn touch_box(&self, bbox: BBox) -> Touch {
        let (area, srs) = (self.area(), self.what.grid.srs());
        if area.iter().any(|area| area.contains(bbox, srs)) {
            Touch::Inside
        } else if area.iter().any(|area| area.intersects(bbox, srs)) {
            Touch::Partly
        } else {
            Touch::Outside
        }
    }

    fn area(&self) -> &[Coverage] {
        if self.what.area.is_empty() {
            std::slice::from_ref(&self.whole)
        } else {
            self.what.area
        }
    }

    /// The box around the area in the grid's system.
    fn extent(&self) -> Option<BBox> {
        let mut around = None;
        for area in self.area() {
            let extent = area.extent();
            let (srs, whole): &mut (_, BBox) = around.get_or_insert_with(|| (extent.srs.clone(), extent.bbox));
            *whole = whole.union(&extent.bbox_in(srs).ok()?);
        }
        let (srs, bbox) = around?;
        srs.transform_bbox(self.what.grid.srs(), bbox).ok()
    }

    /// The box of a meta tile, named by its main tile.
    pub(super) fn bbox(&self, tile: TileCoord) -> BBox {
        let grid = self.what.grid;
        let (columns, rows) = self.meta.level_meta_size(grid, tile.z);
        let last = TileCoord::new(tile.x + columns - 1, tile.y + rows - 1, tile.z);
        grid.tile_bbox(tile).union(&grid.tile_bbox(last))
    }

    /// The meta tiles of a level around the area, as far as the grid has them; `None` where it has none of them.
    pub(super) fn around(&self, level: u32) -> Option<Frame> {
        let grid = self.what.grid;
        let (columns, rows) = grid.grid_size(level);
        let (first, last) = (
            TileCoord::new(0, 0, level),
            TileCoord::new(columns - 1, rows - 1, level),
        );
        let tiles = grid.tile_bbox(first).union(&grid.tile_bbox(last));
        let frame = self.frame(level, self.extent()?.intersection(&tiles)?, false);
        (frame.count() > 0).then_some(frame)
    }

    /// The meta tiles of a level that a box touches by more than a tenth of a pixel.
    fn frame(&self, level: u32, bbox: BBox, inside: bool) -> Frame {
        let grid = self.what.grid;
        let margin = grid.resolution(level) / 10.0;
        let main = |x, y| self.meta.main_tile(grid, grid.tile_for_point(x, y, level));
        let lower_left = main(bbox.minx + margin, bbox.miny + margin);
        let upper_right = main(bbox.maxx - margin, bbox.maxy - margin);
        let (width, height) = self.meta.level_meta_size(grid, level);
        let (down, rows) = match grid.origin() {
            Origin::Ll => (-height, upper_right.y.saturating_sub(lower_left.y)),
            Origin::Ul => (height, lower_left.y.saturating_sub(upper_right.y)),
        };
        let columns = upper_right.x.saturating_sub(lower_left.x);
        let count = |span: i64, size: i64| {
            if span < 0 {
                0
            } else {
                (span / size.max(1)).saturating_add(1) as u64
            }
        };
        let left = self.what.levels.iter().filter(|own| **own >= level).count();
        Frame {
            level,
            bbox,
            inside: inside || left < self.what.skip_geoms as usize,
            first: (lower_left.x, upper_right.y),
            step: (width, down),
            columns: count(columns, width),
            rows: count(rows, height),
            index: 0,
            below_done: false,
        }
    }
}

impl Frame {
    fn count(&self) -> u64 {
        self.columns.saturating_mul(self.rows)
    }

    fn tile(&self) -> TileCoord {
        let columns = self.columns.max(1);
        self.at(self.index % columns, self.index / columns)
    }

    /// The main tile of a meta tile.
    pub(super) fn at(&self, column: u64, row: u64) -> TileCoord {
        TileCoord::new(
            self.first.0.saturating_add(self.step.0.saturating_mul(column as i64)),
            self.first.1.saturating_add(self.step.1.saturating_mul(row as i64)),
            self.level,
        )
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::config::Compiled;
    use crate::config::Kind;
    use crate::config::model::{Cache, SeedTask};

    /// What MapProxy walks, see `testdata/README.md`.
    #[derive(Debug, Deserialize)]
    struct Golden {
        task: String,
        skip: u32,
        meta_size: (u32, u32),
        levels: Vec<u32>,
        first: Vec<(i64, i64, u32)>,
        count: usize,
        digest: String,
    }

    fn tasks() -> (Compiled, Vec<SeedTask>) {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/seed");
        let compiled = crate::seed::fixture::compile(directory);
        let tasks = (0..)
            .map_while(|number: u32| compiled.get(Kind::SeedTask, &number.to_string()))
            .collect();
        (compiled, tasks)
    }

    fn line(tile: TileCoord) -> String {
        format!("{}/{}/{}", tile.z, tile.x, tile.y)
    }

    #[test]
    fn walks_are_those_of_mapproxy() {
        let golden: Vec<Golden> = serde_json::from_str(include_str!("../../testdata/seed/walks.json")).unwrap();
        let (compiled, tasks) = tasks();
        for case in golden {
            let name = format!("{} skipping {}", case.task, case.skip);
            let task = tasks.iter().find(|task| task.name == case.task).unwrap();
            let grid: TileGrid = compiled.get(Kind::Grid, &task.grid).unwrap();
            assert!(compiled.get::<Cache>(Kind::Cache, &task.cache).is_some());
            assert_eq!(task.levels, case.levels, "{name}");
            let what = Walked {
                grid: &grid,
                meta_size: case.meta_size,
                levels: &task.levels,
                area: &task.coverages,
                skip_geoms: case.skip,
            };
            let mut walk = Walk::new(&what);
            let tiles: Vec<TileCoord> = std::iter::from_fn(|| walk.next()).collect();
            let first: Vec<_> = tiles.iter().take(case.first.len()).map(|t| (t.x, t.y, t.z)).collect();
            assert_eq!(first, case.first, "{name}");
            assert_eq!(tiles.len(), case.count, "{name}");
            let all: Vec<String> = tiles.iter().copied().map(line).collect();
            let digest = format!("{:x}", Sha256::digest(all.join("\n")));
            assert_eq!(digest, case.digest, "{name}");
            assert_eq!(walk.cursor(), None);
        }
    }

    #[test]
    fn a_walk_can_be_left_and_taken_up_anywhere() {
        let (compiled, tasks) = tasks();
        for name in ["b_box", "d_two", "h_utm", "l_sq"] {
            let task = tasks.iter().find(|task| task.name == name).unwrap();
            let grid: TileGrid = compiled.get(Kind::Grid, &task.grid).unwrap();
            let what = Walked {
                grid: &grid,
                meta_size: (4, 4),
                levels: &task.levels,
                area: &task.coverages,
                skip_geoms: 0,
            };
            let mut whole = Walk::new(&what);
            let expected: Vec<TileCoord> = std::iter::from_fn(|| whole.next()).collect();
            for piece in [1, 3, 17] {
                let mut found = Vec::new();
                let mut walk = Walk::new(&what);
                let mut behind = 0.0;
                loop {
                    found.extend(std::iter::from_fn(|| walk.next()).take(piece));
                    assert!(walk.progress() >= behind - 1e-9, "{name}");
                    behind = walk.progress();
                    let Some(cursor) = walk.cursor() else { break };
                    walk = Walk::resume(&what, &cursor).unwrap();
                }
                assert_eq!(found, expected, "{name} by {piece}");
                assert!((behind - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_cursor_of_something_else_is_refused() {
        let grid = TileGrid::predefined("GLOBAL_MERCATOR").unwrap().build().unwrap();
        let what = Walked {
            grid: &grid,
            meta_size: (4, 4),
            levels: &[0, 1, 2],
            area: &[],
            skip_geoms: 0,
        };
        for cursor in [&b""[..], b"\xff\xff\xff", b"not a cursor"] {
            assert!(Walk::resume(&what, cursor).is_err());
        }
        let deep = postcard::to_allocvec(&Cursor {
            path: vec![0; 9],
            ..Cursor::default()
        })
        .unwrap();
        assert!(Walk::resume(&what, &deep).is_err());
    }
}
