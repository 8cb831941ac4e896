//! Meta tiles: several tiles fetched as one image (MapProxy's `grid/meta_grid.py`).

use serde::{Deserialize, Serialize};

use super::python_numbers::round_5_truncated;
use super::{Origin, TileCoord, TileGrid};
use crate::srs::BBox;

/// How tiles are grouped for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaGrid {
    /// Columns and rows of a meta tile; fewer on levels that have fewer.
    pub meta_size: (u32, u32),
    /// Pixels around it, cut at the edge of the grid.
    pub meta_buffer: u32,
}

/// One request for several tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaTile {
    /// The box to ask for, in the grid's system, with its buffer.
    pub bbox: BBox,
    /// Size of the image in pixels, with its buffer.
    pub size: (u32, u32),
    /// Columns and rows.
    pub grid_size: (u32, u32),
    /// The tiles, row by row from the top left.
    pub tiles: Vec<MetaTileEntry>,
    /// The tile by which the whole is locked.
    pub main_tile: TileCoord,
}

/// A tile and its place in the image of a [`MetaTile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaTileEntry {
    /// The tile; `None` if it lies outside the grid.
    pub tile: Option<TileCoord>,
    /// Pixels from the left and from the top of the image to the tile's top left corner. Negative where the image is
    /// cut at the grid's edge inside the tile.
    pub offset: (i32, i32),
}

/// Pixels around the tiles.
#[derive(Clone, Copy)]
struct Buffers {
    left: i64,
    top: i64,
}

impl MetaGrid {
    /// A grouping; sizes of zero count as one.
    pub const fn new(meta_size: (u32, u32), meta_buffer: u32) -> Self {
        Self { meta_size, meta_buffer }
    }

    /// Whether this is more than single tiles without a buffer.
    pub const fn is_meta(&self) -> bool {
        self.meta_buffer > 0 || self.meta_size.0 > 1 || self.meta_size.1 > 1
    }

    /// Columns and rows of the meta tiles of a level.
    pub fn level_meta_size(&self, grid: &TileGrid, level: u32) -> (i64, i64) {
        let (columns, rows) = grid.grid_size(level);
        (
            i64::from(self.meta_size.0).min(columns).max(1),
            i64::from(self.meta_size.1).min(rows).max(1),
        )
    }

    /// The tile that names the meta tile around `tile`: its lowest column and row number.
    pub fn main_tile(&self, grid: &TileGrid, tile: TileCoord) -> TileCoord {
        let (columns, rows) = self.level_meta_size(grid, tile.z);
        TileCoord::new(
            tile.x.div_euclid(columns).saturating_mul(columns),
            tile.y.div_euclid(rows).saturating_mul(rows),
            tile.z,
        )
    }

    /// The meta tile around `tile`, which must be a tile of the grid.
    pub fn meta_tile(&self, grid: &TileGrid, tile: TileCoord) -> MetaTile {
        let main = self.main_tile(grid, tile);
        let size = self.level_meta_size(grid, tile.z);
        let end = (main.x.saturating_add(size.0 - 1), main.y.saturating_add(size.1 - 1));
        self.block(grid, main, end)
    }

    /// The smallest meta tile around `tiles` (all of one level), not aligned to the meta tiles: for
    /// `minimize_meta_requests`. `None` without tiles.
    pub fn minimal_meta_tile(&self, grid: &TileGrid, tiles: &[TileCoord]) -> Option<MetaTile> {
        let first = *tiles.first()?;
        let (mut low, mut high) = (first, (first.x, first.y));
        for tile in tiles {
            low.x = low.x.min(tile.x);
            low.y = low.y.min(tile.y);
            high.0 = high.0.max(tile.x);
            high.1 = high.1.max(tile.y);
        }
        Some(self.block(grid, low, high))
    }

    /// The tiles from `main` to column and row `end`, inclusive.
    fn block(&self, grid: &TileGrid, main: TileCoord, end: (i64, i64)) -> MetaTile {
        let level = main.z;
        let first = grid.tile_bbox(main);
        let last = grid.tile_bbox(TileCoord::new(end.0, end.1, level));
        let (bbox, buffers) = self.buffered(grid, first.union(&last), level);
        let res = grid.resolution(level);
        let pixels = |length: f64| (length / res).round_ties_even().clamp(0.0, 1e9) as u32;
        let (columns, rows) = (end.0 - main.x + 1, end.1 - main.y + 1);
        let tile_size = grid.tile_size();
        let mut tiles = Vec::with_capacity((columns * rows) as usize);
        for row in 0..rows {
            let y = match grid.origin() {
                Origin::Ll => end.1 - row,
                Origin::Ul => main.y + row,
            };
            for column in 0..columns {
                tiles.push(MetaTileEntry {
                    tile: grid.limit_tile(TileCoord::new(main.x + column, y, level)),
                    offset: (
                        (column * i64::from(tile_size.0) + buffers.left) as i32,
                        (row * i64::from(tile_size.1) + buffers.top) as i32,
                    ),
                });
            }
        }
        MetaTile {
            bbox,
            size: (pixels(bbox.width()), pixels(bbox.height())),
            grid_size: (columns as u32, rows as u32),
            tiles,
            main_tile: main,
        }
    }

    /// The box with the buffer around it, cut at the grid's box.
    fn buffered(&self, grid: &TileGrid, bbox: BBox, level: u32) -> (BBox, Buffers) {
        let whole = i64::from(self.meta_buffer);
        let mut buffers = Buffers {
            left: whole,
            top: whole,
        };
        if whole == 0 {
            return (bbox, buffers);
        }
        let res = grid.resolution(level);
        let margin = f64::from(self.meta_buffer) * res;
        let limit = grid.bbox();
        let mut wide = BBox::new(
            bbox.minx - margin,
            bbox.miny - margin,
            bbox.maxx + margin,
            bbox.maxy + margin,
        );
        if limit.minx > wide.minx {
            buffers.left -= round_5_truncated((limit.minx - wide.minx) / res);
            wide.minx = limit.minx;
        }
        if limit.maxy < wide.maxy {
            buffers.top -= round_5_truncated((wide.maxy - limit.maxy) / res);
            wide.maxy = limit.maxy;
        }
        wide.miny = wide.miny.max(limit.miny);
        wide.maxx = wide.maxx.min(limit.maxx);
        (wide, buffers)
    }
}
