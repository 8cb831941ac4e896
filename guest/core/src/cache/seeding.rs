//! What seeding and cleanup do with the tiles of a cache (behaviour section 19): a meta tile at a time.

use crate::grid::{MetaGrid, TileCoord};
use crate::layer::LayerError;
use crate::query::Dimensions;

use super::expiry::is_stale;
use super::tile_creator::TileCreator;
use super::{Sweep, Swept, TileManager};

/// Asking for more tiles than this, one by one, takes longer than walking all directories of a usual cache.
const MANY_TILES: f64 = 100_000.0;

/// What became of the tiles of a meta tile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seeded {
    /// made and stored
    pub made: u32,
    /// bytes of those
    pub bytes: u64,
    /// were there, and not too old
    pub there: u32,
    /// the sources have nothing there, or an answer that is not to be kept (`on_error`)
    pub nothing: u32,
}

impl TileManager {
    /// Columns and rows of the tiles that are made together.
    pub fn meta_size(&self) -> Result<(u32, u32), LayerError> {
        Ok(self.made_of()?.meta_grid.map_or((1, 1), |meta| meta.meta_size))
    }

    /// Makes the tiles of the meta tile around `tile` unless all of them are there. `limit`: stored tiles of this time
    /// (seconds since 1970) or older are made again; the cache's own `refresh_before` holds as well. `only_stored`: a
    /// meta tile of which nothing is stored is left alone.
    pub fn seed(&self, tile: TileCoord, limit: Option<f64>, only_stored: bool) -> Result<Seeded, LayerError> {
        let none = Dimensions::new();
        let limit = match (limit, self.stale_limit()) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        let tiles = self.together(tile)?;
        let Some(first) = tiles.first() else {
            return Ok(Seeded::default());
        };
        let (mut fresh, mut stored) = (0, 0);
        for tile in &tiles {
            if let Some(info) = self.cache.info(*tile, &none)? {
                stored += 1;
                fresh += u32::from(!is_stale(&info, limit));
            }
        }
        if fresh as usize == tiles.len() || self.has_no_sources() || (only_stored && stored == fresh) {
            return Ok(Seeded {
                there: stored,
                ..Seeded::default()
            });
        }
        let made = TileCreator::new(self, none, limit, vec![*first])?.strict().create()?;
        let mut seeded = Seeded::default();
        for tile in &made {
            if tile.cacheable && tile.timestamp.is_some() {
                seeded.made += 1;
                seeded.bytes += tile.size.unwrap_or(0);
            }
        }
        seeded.nothing = (tiles.len() as u32).saturating_sub(seeded.made);
        Ok(seeded)
    }

    /// Removes the tiles of the meta tile around `tile` that are of the time `before` or older (`None`: all), and tells
    /// how many there were with how many bytes.
    pub fn clean(&self, tile: TileCoord, before: Option<f64>, dry_run: bool) -> Result<Swept, LayerError> {
        let none = Dimensions::new();
        let mut swept = Swept::default();
        for tile in self.together(tile)? {
            let Some(info) = self.cache.info(tile, &none)? else {
                continue;
            };
            if before.is_some() && !is_stale(&info, before) {
                continue;
            }
            if dry_run {
                swept.paths.push(format!("{}/{}/{}", tile.z, tile.x, tile.y));
            } else {
                self.cache.remove(tile, &none)?;
            }
            swept.removed += 1;
            swept.bytes += info.size.unwrap_or(0);
        }
        Ok(swept)
    }

    /// Whether [`sweep`](Self::sweep) works for these levels, and does not take longer than asking for each tile.
    pub fn can_sweep(&self, levels: &[u32]) -> bool {
        let tiles = |level: &u32| {
            let (columns, rows) = self.grid.grid_size(*level);
            columns as f64 * rows as f64
        };
        self.cache.can_sweep()
            && (self.cache.has_level_directories() || levels.iter().map(tiles).sum::<f64>() > MANY_TILES)
    }

    /// Removes tiles of a level without naming them; `None` where this cache cannot.
    pub fn sweep(&self, level: u32, sweep: &Sweep<'_>) -> Result<Option<Swept>, LayerError> {
        self.cache.sweep(level, sweep)
    }

    /// When tiles of the meta tile around `tile` were stored (`None`: not stored), for a picture of the cache.
    pub fn stored_times(&self, tile: TileCoord) -> Result<Vec<Option<f64>>, LayerError> {
        let none = Dimensions::new();
        let times = self.together(tile)?.into_iter().map(|tile| {
            let info = self.cache.info(tile, &none)?;
            Ok(info.map(|info| info.timestamp.map_or(0.0, |time| time.0)))
        });
        times.collect()
    }

    /// The tiles that are made with this one and may exist.
    fn together(&self, tile: TileCoord) -> Result<Vec<TileCoord>, LayerError> {
        let meta = self.made_of()?.meta_grid.unwrap_or(MetaGrid::new((1, 1), 0));
        let tiles = meta.meta_tile(&self.grid, tile).tiles.into_iter();
        Ok(tiles
            .filter_map(|entry| entry.tile)
            .filter(|tile| self.exists(*tile))
            .collect())
    }
}
