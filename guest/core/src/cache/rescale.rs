//! Missing tiles made from those of coarser or finer levels (`upscale_tiles`, `downscale_tiles`; behaviour section 12;
//! MapProxy: `cache/tile_manager.py`), where the sources have nothing.

use crate::grid::{AffectedTiles, TileCoord};
use crate::image::{Cacheability, MapImage, MapImageError, TileMosaic};
use crate::layer::{LayerError, Place, Plan, warp_tiles};
use crate::query::Dimensions;

use super::{Tile, TileManager};

impl TileManager {
    /// How many levels away a missing tile may be looked for.
    pub(super) fn rescale_levels(&self) -> u32 {
        self.conf.upscale_tiles.max(self.conf.downscale_tiles)
    }

    /// The tile made from the next level, which in its turn may be made from the one behind it; `None` if none of at
    /// most `levels` has anything there. Stored if `cache_rescaled_tiles` says so.
    pub(super) fn rescaled(
        &self,
        tile: TileCoord,
        dimensions: &Dimensions,
        levels: u32,
    ) -> Result<Plan<'_, Option<Tile>>, LayerError> {
        let Some(left) = levels.checked_sub(1) else {
            return Ok(Plan::Done(None));
        };
        let next = if self.conf.upscale_tiles > 0 {
            tile.z.checked_sub(1)
        } else {
            Some(tile.z + 1).filter(|level| *level < self.grid.levels())
        };
        let bbox = self.grid.tile_bbox(tile);
        let Some(Ok(affected)) = next.map(|level| self.grid.affected_level_tiles(bbox, level)) else {
            return Ok(Plan::Done(None));
        };
        let tiles = self.plan_from_levels(affected.iter().collect(), dimensions.clone(), left)?;
        let dimensions = dimensions.clone();
        tiles.map(move |tiles| self.rescale(tile, &affected, tiles, &dimensions))
    }

    /// The tile made from those of another level that it lies on.
    fn rescale(
        &self,
        tile: TileCoord,
        affected: &AffectedTiles,
        tiles: Vec<Option<Tile>>,
        dimensions: &Dimensions,
    ) -> Result<Option<Tile>, LayerError> {
        if tiles.iter().all(Option::is_none) {
            return Ok(None);
        }
        let is_sound = tiles.iter().flatten().all(|tile| tile.cacheable);
        let images = tiles.into_iter().map(|tile| tile.and_then(|tile| tile.image)).collect();
        let side = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (columns, rows) = (side(affected.grid_size.0), side(affected.grid_size.1));
        let mosaic = TileMosaic::new(columns, rows, self.grid.tile_size(), images).map_err(MapImageError::from)?;
        let to = Place {
            bbox: self.grid.tile_bbox(tile),
            size: self.grid.tile_size(),
            srs: self.grid.srs(),
        };
        let raster = warp_tiles(&mosaic, affected.bbox, self.grid.srs(), to, &self.options, None)?;
        let data = MapImage::from_raster(raster, self.options.clone()).into_bytes(&self.options)?;
        let (mut timestamp, mut size) = (None, None);
        if is_sound && self.conf.cache_rescaled_tiles {
            match self.cache.store(tile, dimensions, &data, None) {
                Ok(info) => (timestamp, size) = (info.timestamp, info.size),
                Err(error) => log::error!(target: "mapproxy.cache", "tile {tile} not stored: {error}"),
            }
        }
        let cacheability = Cacheability {
            cacheable: is_sound,
            ..Cacheability::default()
        };
        Ok(Some(Tile {
            coord: tile,
            image: Some(MapImage::from_bytes(data, self.options.clone()).with_cacheability(cacheability)),
            timestamp,
            size,
            cacheable: is_sound,
        }))
    }
}
