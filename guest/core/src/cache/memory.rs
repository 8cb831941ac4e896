//! A cache in memory, for tests of what stands above caches.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::grid::TileCoord;
use crate::layer::LayerError;
use crate::platform::{FileError, UnixTime};
use crate::query::Dimensions;

use super::{StoredTile, TileCache, TileInfo};

type Tiles = BTreeMap<(TileCoord, Dimensions), (Vec<u8>, UnixTime)>;

/// Tiles in a map. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryTileCache {
    tiles: Rc<RefCell<Tiles>>,
    now: Rc<RefCell<f64>>,
    broken: Rc<RefCell<bool>>,
}

impl MemoryTileCache {
    /// Time stamp of what is stored from now on.
    pub fn set_time(&self, now: f64) {
        *self.now.borrow_mut() = now;
    }

    /// From now on nothing can be stored.
    pub fn break_stores(&self) {
        *self.broken.borrow_mut() = true;
    }

    /// Tiles that are there, in order.
    pub fn tiles(&self) -> Vec<TileCoord> {
        self.tiles.borrow().keys().map(|(tile, _)| *tile).collect()
    }

    /// Bytes of a tile without dimensions.
    pub fn data(&self, tile: TileCoord) -> Option<Vec<u8>> {
        self.tiles
            .borrow()
            .get(&(tile, Vec::new()))
            .map(|(data, _)| data.clone())
    }
}

impl TileCache for MemoryTileCache {
    fn load(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<StoredTile>, LayerError> {
        let tiles = self.tiles.borrow();
        let found = tiles.get(&(tile, dimensions.clone()));
        Ok(found.map(|(data, time)| {
            let info = TileInfo {
                timestamp: Some(*time),
                size: Some(data.len() as u64),
            };
            StoredTile {
                data: data.clone(),
                info,
            }
        }))
    }

    fn info(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<TileInfo>, LayerError> {
        Ok(self.load(tile, dimensions)?.map(|stored| stored.info))
    }

    fn store(
        &self,
        tile: TileCoord,
        dimensions: &Dimensions,
        data: &[u8],
        _color: Option<&[u8]>,
    ) -> Result<TileInfo, LayerError> {
        if *self.broken.borrow() {
            return Err(FileError::Other {
                path: tile.to_string(),
                reason: "disk full".to_owned(),
            }
            .into());
        }
        let time = UnixTime(*self.now.borrow());
        self.tiles
            .borrow_mut()
            .insert((tile, dimensions.clone()), (data.to_vec(), time));
        Ok(TileInfo {
            timestamp: Some(time),
            size: Some(data.len() as u64),
        })
    }

    fn remove(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<(), LayerError> {
        self.tiles.borrow_mut().remove(&(tile, dimensions.clone()));
        Ok(())
    }
}
