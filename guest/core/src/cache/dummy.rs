//! The cache that keeps nothing (`disable_storage`; MapProxy: `cache/dummy.py`).

use crate::grid::TileCoord;
use crate::layer::LayerError;
use crate::query::Dimensions;

use super::{StoredTile, TileCache, TileInfo};

/// Keeps nothing: every tile is made anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct DummyTileCache;

impl TileCache for DummyTileCache {
    fn load(&self, _tile: TileCoord, _dimensions: &Dimensions) -> Result<Option<StoredTile>, LayerError> {
        Ok(None)
    }

    fn info(&self, _tile: TileCoord, _dimensions: &Dimensions) -> Result<Option<TileInfo>, LayerError> {
        Ok(None)
    }

    fn store(
        &self,
        _tile: TileCoord,
        _dimensions: &Dimensions,
        data: &[u8],
        _color: Option<&[u8]>,
    ) -> Result<TileInfo, LayerError> {
        Ok(TileInfo {
            timestamp: None,
            size: Some(data.len() as u64),
        })
    }

    fn keeps_tiles(&self) -> bool {
        false
    }

    fn remove(&self, _tile: TileCoord, _dimensions: &Dimensions) -> Result<(), LayerError> {
        Ok(())
    }
}
