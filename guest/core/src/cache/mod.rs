//! Tile caches: where tiles are kept, how they come into being, and maps made of them. (MapProxy: `cache/` and
//! `layer/cache_map_layer.py`.)
//!
//! [`TileManager`] ties a grid, a [`TileCache`] and sources; [`CacheMapLayer`] answers map queries with its tiles.

mod band_merge;
mod dummy;
mod expiry;
mod file;
mod lock;
mod map_layer;

mod memory;
mod path;
mod rescale;
mod seeding;
mod sweep;
mod tile;
mod tile_creator;
mod tile_manager;

#[cfg(test)]
mod tests;

pub use band_merge::BandMergeLayer;
pub use dummy::DummyTileCache;
pub use file::FileTileCache;

pub use map_layer::CacheMapLayer;
pub use memory::MemoryTileCache;
pub use path::{PathError, tile_path};
pub use seeding::Seeded;
pub use sweep::{Sweep, Swept};
pub use tile::{StoredTile, Tile, TileInfo};
pub use tile_manager::{MakeSources, TileManager, TileManagerParts};

use crate::grid::TileCoord;
use crate::layer::LayerError;
use crate::query::Dimensions;

/// Keeps tiles of one grid as encoded images.
pub trait TileCache: std::fmt::Debug {
    /// The tile with its bytes; `None` if it is not there.
    fn load(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<StoredTile>, LayerError>;

    /// Age and size without the bytes; `None` if it is not there.
    fn info(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<TileInfo>, LayerError>;

    /// The file that holds the tile's bytes and nothing else, by its absolute path, with age and size; `None` if the tile
    /// is not there or not a file.
    fn file(&self, _tile: TileCoord, _dimensions: &Dimensions) -> Result<Option<(String, TileInfo)>, LayerError> {
        Ok(None)
    }

    /// Stores the bytes; readers see the old tile or the whole new one. `color` are the channels of an image that has
    /// only one colour, see [`links_single_colors`](Self::links_single_colors).
    fn store(
        &self,
        tile: TileCoord,
        dimensions: &Dimensions,
        data: &[u8],
        color: Option<&[u8]>,
    ) -> Result<TileInfo, LayerError>;

    /// Whether [`store`](Self::store) makes use of `color`.
    fn links_single_colors(&self) -> bool {
        false
    }

    /// Whether anything is kept at all. If not, tiles need no lock.
    fn keeps_tiles(&self) -> bool {
        true
    }

    /// Removes the tile; no error if it is not there.
    fn remove(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<(), LayerError>;

    /// Whether [`sweep`](Self::sweep) works.
    fn can_sweep(&self) -> bool {
        false
    }

    /// Whether a sweep walks no more than the tiles of its level.
    fn has_level_directories(&self) -> bool {
        true
    }

    /// Removes many tiles of a level at once. `None`: this cache has no quicker way than one by one.
    fn sweep(&self, _level: u32, _sweep: &Sweep<'_>) -> Result<Option<Swept>, LayerError> {
        Ok(None)
    }
}
