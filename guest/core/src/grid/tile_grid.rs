//! [`TileGrid`]: levels, tiles and their boxes (MapProxy's `grid/tile_grid.py`).
#![expect(
    clippy::float_cmp,
    reason = "resolutions of equal grids are equal to the last bit, as in MapProxy"
)]

use std::borrow::Cow;
use std::f64::consts::SQRT_2;

use serde::{Deserialize, Serialize};

use super::python_numbers::{floor_division, round_12};
use super::{GridError, GridOptions, NoTiles, Origin, TileCoord};
use crate::srs::{BBox, Srs};

/// A pyramid of tiles over a bbox, with everything computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TileGrid {
    name: String,
    srs: Srs,
    bbox: BBox,
    tile_size: (u32, u32),
    origin: Origin,
    /// Units per pixel, from coarse to fine, never empty.
    resolutions: Vec<f64>,
    /// Empty if no level has a name.
    level_names: Vec<Option<String>>,
    /// Columns and rows of each level.
    grid_sizes: Vec<(i64, i64)>,
    /// Ascending.
    threshold_res: Vec<f64>,
    stretch_factor: f64,
    max_shrink_factor: f64,
}

/// The tiles that a bbox touches on one level: a block of columns and rows, listed from the top row down.
#[derive(Clone, Debug, PartialEq)]
pub struct AffectedTiles {
    /// The level.
    pub level: u32,
    /// The box around all these tiles, in the grid's system.
    pub bbox: BBox,
    /// Columns and rows of the block.
    pub grid_size: (u64, u64),
    west: i64,
    /// Row number of the top row.
    top: i64,
    /// By how much the row number changes from one row to the next below.
    step: i64,
    limit: (i64, i64),
}

impl AffectedTiles {
    /// How many tiles there are, those outside the grid included.
    pub fn count(&self) -> u64 {
        self.grid_size.0.saturating_mul(self.grid_size.1)
    }

    /// The tiles row by row from the top left; `None` for each that lies outside the grid. Check
    /// [`count`](Self::count) before collecting them: a request may touch billions.
    pub fn iter(&self) -> impl Iterator<Item = Option<TileCoord>> + '_ {
        let columns = self.grid_size.0 as i64;
        (0..self.grid_size.1 as i64).flat_map(move |row| {
            let y = self.top.saturating_add(row.saturating_mul(self.step));
            (0..columns).map(move |column| {
                let x = self.west.saturating_add(column);
                let inside = (0..self.limit.0).contains(&x) && (0..self.limit.1).contains(&y);
                inside.then(|| TileCoord::new(x, y, self.level))
            })
        })
    }
}

impl TileGrid {
    /// Checks the options and computes the grid.
    pub fn new(options: &GridOptions) -> Result<Self, GridError> {
        let srs = options.resolved_srs();
        let bbox = options.resolved_bbox(&srs)?;
        let tile_size = options.resolved_tile_size()?;
        let (resolutions, level_names) = options.resolved_levels(&bbox, tile_size)?;
        let positive = |key, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(value)
            } else {
                Err(GridError::Value {
                    key,
                    value,
                    expected: "a number above 0",
                })
            }
        };
        let mut threshold_res = options.threshold_res.clone();
        for threshold in &threshold_res {
            positive("threshold_res", *threshold)?;
        }
        threshold_res.sort_by(f64::total_cmp);
        let grid_sizes = resolutions
            .iter()
            .map(|res| grid_size(&bbox, *res, tile_size))
            .collect();
        Ok(Self {
            name: options.name.clone(),
            srs,
            bbox,
            tile_size,
            origin: options.origin.unwrap_or_default(),
            resolutions,
            level_names,
            grid_sizes,
            threshold_res,
            stretch_factor: positive("stretch_factor", options.stretch_factor.unwrap_or(1.15))?,
            max_shrink_factor: positive("max_shrink_factor", options.max_shrink_factor.unwrap_or(4.0))?,
        })
    }

    /// The options of a predefined grid: `GLOBAL_GEODETIC`, `GLOBAL_MERCATOR` or `GLOBAL_WEBMERCATOR`.
    pub fn predefined(name: &str) -> Option<GridOptions> {
        let (srs, origin) = match name {
            "GLOBAL_GEODETIC" => ("EPSG:4326", Origin::Ll),
            "GLOBAL_MERCATOR" => ("EPSG:900913", Origin::Ll),
            "GLOBAL_WEBMERCATOR" => ("EPSG:3857", Origin::Ul),
            _ => return None,
        };
        Some(GridOptions {
            name: name.to_owned(),
            srs: Srs::new(srs).ok(),
            origin: Some(origin),
            ..GridOptions::default()
        })
    }

    /// Name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The grid's reference system.
    pub fn srs(&self) -> &Srs {
        &self.srs
    }

    /// The grid's box. Tiles on the edge may reach beyond it.
    pub fn bbox(&self) -> BBox {
        self.bbox
    }

    /// Width and height of a tile in pixels.
    pub fn tile_size(&self) -> (u32, u32) {
        self.tile_size
    }

    /// Where rows are counted from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The number of levels.
    pub fn levels(&self) -> u32 {
        self.resolutions.len() as u32
    }

    /// Units per pixel of every level, from coarse to fine.
    pub fn resolutions(&self) -> &[f64] {
        &self.resolutions
    }

    /// Units per pixel of a level; the last level's for a level beyond it.
    pub fn resolution(&self, level: u32) -> f64 {
        self.resolutions
            .get(level as usize)
            .or(self.resolutions.last())
            .copied()
            .unwrap_or(1.0)
    }

    /// Columns and rows of a level; 0 x 0 for a level that does not exist.
    pub fn grid_size(&self, level: u32) -> (i64, i64) {
        self.grid_sizes.get(level as usize).copied().unwrap_or((0, 0))
    }

    /// The identifier of a level: its name, or its number with at least two digits.
    pub fn level_name(&self, level: u32) -> Cow<'_, str> {
        match self.level_names.get(level as usize) {
            Some(Some(name)) => Cow::Borrowed(name),
            _ => Cow::Owned(format!("{level:02}")),
        }
    }

    /// The level with this identifier.
    pub fn level_by_name(&self, name: &str) -> Option<u32> {
        (0..self.levels()).find(|level| self.level_name(*level) == name)
    }

    /// How much tiles may be enlarged before the next level is taken.
    pub fn stretch_factor(&self) -> f64 {
        self.stretch_factor
    }

    /// How much tiles of the first level may be shrunk.
    pub fn max_shrink_factor(&self) -> f64 {
        self.max_shrink_factor
    }

    /// Whether two levels halve the resolution (`res_factor: sqrt2`), exactly.
    pub fn is_sqrt2(&self) -> bool {
        matches!(*self.resolutions.as_slice(), [first, second, ..] if first / second == SQRT_2)
    }

    /// The level whose tiles suit a map of `res` units per pixel best.
    pub fn closest_level(&self, res: f64) -> u32 {
        let mut thresholds = self.threshold_res.iter().rev().copied().peekable();
        let coarsest = self.resolution(0);
        let mut threshold = thresholds.next();
        while threshold.is_some_and(|value| value > coarsest) && thresholds.peek().is_some() {
            threshold = thresholds.next();
        }
        let mut candidate = None;
        let mut previous = coarsest;
        for (level, level_res) in (0_u32..).zip(self.resolutions.iter().copied()) {
            if let Some(limit) = threshold
                && previous > limit
                && limit >= level_res
            {
                if res > limit {
                    return level.saturating_sub(1);
                } else if res >= level_res {
                    return level;
                }
                threshold = thresholds.next();
            }
            if let Some(found) = candidate
                && level_res < res
            {
                return found;
            }
            if level_res <= res * self.stretch_factor {
                candidate = Some(level);
            }
            previous = level_res;
        }
        self.levels().saturating_sub(1)
    }

    /// The tile around a point on a level; it may lie outside the grid.
    pub fn tile_for_point(&self, x: f64, y: f64, level: u32) -> TileCoord {
        let res = self.resolution(level);
        let east = x - self.bbox.minx;
        let up_or_down = match self.origin {
            Origin::Ll => y - self.bbox.miny,
            Origin::Ul => self.bbox.maxy - y,
        };
        // casts saturate, so points far away stay outside the grid
        TileCoord::new(
            (east / (res * f64::from(self.tile_size.0))).floor() as i64,
            (up_or_down / (res * f64::from(self.tile_size.1))).floor() as i64,
            level,
        )
    }

    /// The box of a tile in the grid's system, also for tiles outside the grid.
    pub fn tile_bbox(&self, tile: TileCoord) -> BBox {
        let res = self.resolution(tile.z);
        let (width, height) = (res * f64::from(self.tile_size.0), res * f64::from(self.tile_size.1));
        let minx = self.bbox.minx + round_12(tile.x as f64 * res * f64::from(self.tile_size.0));
        let maxx = minx + round_12(width);
        let rows = round_12(tile.y as f64 * res * f64::from(self.tile_size.1));
        let (miny, maxy) = match self.origin {
            Origin::Ll => {
                let miny = self.bbox.miny + rows;
                (miny, miny + round_12(height))
            }
            Origin::Ul => {
                let maxy = self.bbox.maxy - rows;
                (maxy - round_12(height), maxy)
            }
        };
        BBox::new(minx, miny, maxx, maxy)
    }

    /// The box of a tile, cut at the grid's box.
    pub fn limited_tile_bbox(&self, tile: TileCoord) -> BBox {
        let bbox = self.tile_bbox(tile);
        BBox::new(
            bbox.minx.max(self.bbox.minx),
            bbox.miny.max(self.bbox.miny),
            bbox.maxx.min(self.bbox.maxx),
            bbox.maxy.min(self.bbox.maxy),
        )
    }

    /// The tile, if the grid has it.
    pub fn limit_tile(&self, tile: TileCoord) -> Option<TileCoord> {
        let (columns, rows) = self.grid_size(tile.z);
        let inside = (0..columns).contains(&tile.x) && (0..rows).contains(&tile.y);
        inside.then_some(tile)
    }

    /// The tile counted from the other corner: rows turned upside down.
    #[must_use]
    pub fn flip(&self, tile: TileCoord) -> TileCoord {
        let rows = self.grid_size(tile.z).1;
        TileCoord::new(tile.x, (rows - 1).saturating_sub(tile.y), tile.z)
    }

    /// The grid's own number of a tile that a request counts from `origin`.
    #[must_use]
    pub fn from_origin(&self, tile: TileCoord, origin: Origin) -> TileCoord {
        if origin == self.origin { tile } else { self.flip(tile) }
    }

    /// Whether tiles can be numbered from `origin`: on every level the rows fill the grid's box exactly.
    pub fn supports_access_with_origin(&self, origin: Origin) -> bool {
        if origin == self.origin {
            return true;
        }
        let tolerance = self.bbox.miny.abs().max(self.bbox.maxy.abs()) / 1e12;
        (0..self.levels()).all(|level| {
            let extent = self.level_extent(level);
            (extent.miny - self.bbox.miny).abs() <= tolerance && (extent.maxy - self.bbox.maxy).abs() <= tolerance
        })
    }

    /// The tile in the corner `origin` of a level.
    pub fn origin_tile(&self, level: u32, origin: Origin) -> TileCoord {
        self.from_origin(TileCoord::new(0, 0, level), origin)
    }

    /// The box around all tiles of a level, at least as large as the grid's box up to rounding.
    pub fn level_extent(&self, level: u32) -> BBox {
        let (columns, rows) = self.grid_size(level);
        let first = self.tile_bbox(TileCoord::new(0, 0, level));
        let last = self.tile_bbox(TileCoord::new(columns - 1, rows - 1, level));
        first.union(&last)
    }

    /// The request's box in the grid's system and the level that suits it.
    pub fn affected_bbox_and_level(
        &self,
        bbox: BBox,
        size: (u32, u32),
        request_srs: &Srs,
    ) -> Result<(BBox, u32), NoTiles> {
        if size.0 == 0 || size.1 == 0 {
            return Err(NoTiles::InvalidBBox);
        }
        let bbox = match request_srs.transform_bbox(&self.srs, bbox) {
            Ok(bbox) => bbox,
            Err(_no_image) => return Err(NoTiles::InvalidBBox),
        };
        if !self.bbox.intersects(&bbox) {
            return Err(NoTiles::OutsideBBox);
        }
        let (x_res, y_res) = bbox.resolution(size);
        let res = x_res.abs().min(y_res.abs());
        let level = self.closest_level(res);
        if res > self.resolution(0) * self.max_shrink_factor {
            return Err(NoTiles::TooCoarse);
        }
        Ok((bbox, level))
    }

    /// The tiles of the best level that a request touches.
    pub fn affected_tiles(&self, bbox: BBox, size: (u32, u32), request_srs: &Srs) -> Result<AffectedTiles, NoTiles> {
        let (bbox, level) = self.affected_bbox_and_level(bbox, size, request_srs)?;
        self.affected_level_tiles(bbox, level)
    }

    /// The tiles of a level that a box in the grid's system touches by more than a tenth of a pixel.
    pub fn affected_level_tiles(&self, bbox: BBox, level: u32) -> Result<AffectedTiles, NoTiles> {
        let margin = self.resolution(level) / 10.0;
        let lower_left = self.tile_for_point(bbox.minx + margin, bbox.miny + margin, level);
        let upper_right = self.tile_for_point(bbox.maxx - margin, bbox.maxy - margin, level);
        let (step, rows) = match self.origin {
            Origin::Ll => (-1, upper_right.y.saturating_sub(lower_left.y)),
            Origin::Ul => (1, lower_left.y.saturating_sub(upper_right.y)),
        };
        let columns = upper_right.x.saturating_sub(lower_left.x);
        if columns < 0 || rows < 0 || !bbox.is_finite() {
            return Err(NoTiles::InvalidBBox);
        }
        Ok(AffectedTiles {
            level,
            bbox: self.tile_bbox(lower_left).union(&self.tile_bbox(upper_right)),
            grid_size: (columns.saturating_add(1) as u64, rows.saturating_add(1) as u64),
            west: lower_left.x,
            top: upper_right.y,
            step,
            limit: self.grid_size(level),
        })
    }

    /// Whether every tile of this grid is also a tile of `other` (same system, tile size and resolutions, aligned), so
    /// that `other`'s tiles can be used as they are.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        if self.srs != other.srs || self.tile_size != other.tile_size {
            return false;
        }
        (0..self.levels()).all(|level| {
            let (columns, rows) = self.grid_size(level);
            let pixels = (
                columns as f64 * f64::from(self.tile_size.0),
                rows as f64 * f64::from(self.tile_size.1),
            );
            let extent = self.level_extent(level);
            if !other.bbox.intersects(&extent) {
                return false;
            }
            let res = (extent.width() / pixels.0).min(extent.height() / pixels.1);
            let other_level = other.closest_level(res);
            if res > other.resolution(0) * other.max_shrink_factor
                || other.resolution(other_level) != self.resolution(level)
            {
                return false;
            }
            other.affected_level_tiles(extent, other_level).is_ok_and(|affected| {
                affected
                    .bbox
                    .equals(&extent, extent.width() / 1e6, extent.height() / 1e6)
            })
        })
    }
}

fn grid_size(bbox: &BBox, res: f64, tile_size: (u32, u32)) -> (i64, i64) {
    let tiles = |length: f64, pixels: u32| ((floor_division(length, res) / f64::from(pixels)).ceil() as i64).max(1);
    (tiles(bbox.width(), tile_size.0), tiles(bbox.height(), tile_size.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn predefined(name: &str) -> TileGrid {
        TileGrid::predefined(name).unwrap().build().unwrap()
    }

    #[test]
    fn names_levels_by_number_or_as_configured() {
        let mut options = TileGrid::predefined("GLOBAL_MERCATOR").unwrap();
        let grid = options.build().unwrap();
        assert_eq!(grid.level_name(3), "03");
        assert_eq!(grid.level_by_name("19"), Some(19));
        assert_eq!(grid.level_by_name("20"), None);
        options.res = Some(
            [("b", 10.0), ("a", 1000.0)]
                .map(|(name, res)| crate::grid::NamedRes {
                    name: Some(name.to_owned()),
                    res,
                })
                .to_vec(),
        );
        let grid = options.build().unwrap();
        assert_eq!(grid.level_name(0), "a");
        assert_eq!(grid.level_by_name("b"), Some(1));
    }

    #[test]
    fn tms_profiles_and_their_levels() {
        use crate::grid::{ResFactor, TmsProfile};
        assert_eq!(predefined("GLOBAL_MERCATOR").tms_profile(), TmsProfile::GlobalMercator);
        assert_eq!(predefined("GLOBAL_GEODETIC").tms_profile(), TmsProfile::GlobalGeodetic);
        let mut options = TileGrid::predefined("GLOBAL_MERCATOR").unwrap();
        options.bbox = Some(BBox::new(0.0, 0.0, 1e6, 1e6));
        assert_eq!(options.build().unwrap().tms_profile(), TmsProfile::Local);

        let grid = predefined("GLOBAL_MERCATOR");
        let check = |external, skip, expect| assert_eq!(grid.internal_level(external, skip), expect, "{external}");
        check(0, true, Some(1));
        check(0, false, Some(0));
        check(18, true, Some(19));
        check(19, true, None);
        check(-1, true, None);
        check(i64::MAX, true, None);
        assert_eq!(grid.external_levels(true).next(), Some((0, 1)));
        let mut options = TileGrid::predefined("GLOBAL_MERCATOR").unwrap();
        options.res_factor = Some(ResFactor::Sqrt2);
        let grid = options.build().unwrap();
        assert_eq!(grid.levels(), 40);
        assert_eq!(grid.internal_level(3, false), Some(6));
        assert_eq!(grid.internal_level(3, true), Some(8));
        assert_eq!(grid.external_levels(true).last(), Some((18, 38)));
    }

    #[test]
    fn explains_wrong_options() {
        let check = |change: fn(&mut GridOptions), expect: &str| {
            let mut options = GridOptions::default();
            change(&mut options);
            assert_eq!(options.build().unwrap_err().to_string(), expect);
        };
        check(
            |options| options.srs = Srs::new("EPSG:25832").ok(),
            "a grid in `EPSG:25832` needs a bbox: expected `bbox: [minx, miny, maxx, maxy]`",
        );
        check(
            |options| options.bbox = Some(BBox::new(5.0, 0.0, 5.0, 1.0)),
            "bbox `5.0,0.0,5.0,1.0` is empty: expected minx < maxx and miny < maxy",
        );
        check(
            |options| options.tile_size = Some((0, 256)),
            "tile size 0x256 is not possible: expected at least one pixel and at most 65535",
        );
        check(
            |options| {
                options.res = Some(vec![crate::grid::NamedRes { name: None, res: 1.0 }]);
                options.max_res = Some(1.0);
            },
            "`res` and `max_res` exclude one another: expected only one of them",
        );
        check(
            |options| options.res = Some(Vec::new()),
            "the grid has no levels: expected at least one resolution between `min_res` and `max_res`",
        );
        check(
            |options| options.res_factor = Some(crate::grid::ResFactor::Number(1.0)),
            "`res_factor` is 1: expected a number above 1 or `sqrt2`",
        );
    }

    #[test]
    fn survives_serialisation() {
        let grid = predefined("GLOBAL_WEBMERCATOR");
        let bytes = postcard::to_allocvec(&grid).unwrap();
        let read: TileGrid = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(read.resolutions(), grid.resolutions());
        assert_eq!(read.srs().code(), "EPSG:3857");
        assert!(bytes.len() < 400, "{} bytes", bytes.len());
    }

    proptest! {
        /// Numbers and boxes come from clients.
        #[test]
        fn never_panics(x: i64, y: i64, z: u32, edges: [f64; 4], size: (u32, u32), ul: bool, res: f64) {
            let grid = predefined(if ul { "GLOBAL_WEBMERCATOR" } else { "GLOBAL_GEODETIC" });
            let tile = TileCoord::new(x, y, z);
            let _ = (grid.limit_tile(tile), grid.flip(tile), grid.tile_bbox(tile), grid.limited_tile_bbox(tile));
            let _ = (grid.closest_level(res), grid.tile_for_point(edges[0], edges[1], z));
            let bbox = BBox::new(edges[0], edges[1], edges[2], edges[3]);
            for srs in ["EPSG:4326", "EPSG:3857", "EPSG:25832"] {
                if let Ok(tiles) = grid.affected_tiles(bbox, size, &Srs::new(srs).unwrap()) {
                    let _ = (tiles.count(), tiles.iter().take(100).count());
                }
            }
            if let Ok(tiles) = grid.affected_level_tiles(bbox, z) {
                let _ = (tiles.count(), tiles.iter().take(100).count());
            }
        }

        /// Maps around the world on every level: what is found covers the request.
        #[test]
        fn affected_tiles_cover_the_request(
            x in -180.0..179.0_f64, y in -85.0..84.0_f64, width in 0.001..1.0_f64, pixels in 1_u32..2000,
        ) {
            let grid = predefined("GLOBAL_GEODETIC");
            let bbox = BBox::new(x, y, x + width, y + width);
            let tiles = grid.affected_tiles(bbox, (pixels, pixels), grid.srs()).unwrap();
            let margin = grid.resolution(tiles.level);
            prop_assert!(tiles.bbox.minx <= bbox.minx + margin && tiles.bbox.maxx >= bbox.maxx - margin);
            prop_assert!(tiles.bbox.miny <= bbox.miny + margin && tiles.bbox.maxy >= bbox.maxy - margin);
            if tiles.count() < 10_000 {
                prop_assert_eq!(tiles.iter().count() as u64, tiles.count());
            }
        }
    }
}
