//! A tile on its way from a cache or a source to a client.

use crate::grid::TileCoord;
use crate::image::MapImage;
use crate::platform::UnixTime;

/// Age and size of a stored tile, where the cache knows them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TileInfo {
    pub timestamp: Option<UnixTime>,
    /// bytes
    pub size: Option<u64>,
}

/// A tile as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTile {
    pub data: Vec<u8>,
    pub info: TileInfo,
}

/// A tile with its image.
#[derive(Debug, Clone)]
pub struct Tile {
    pub coord: TileCoord,
    /// `None`: there is nothing here
    pub image: Option<MapImage>,
    /// when it was stored; `None` if it was not
    pub timestamp: Option<UnixTime>,
    /// bytes as stored
    pub size: Option<u64>,
    /// `false`: clients and proxies must not keep it
    pub cacheable: bool,
}

impl Tile {
    /// A tile without anything.
    pub fn empty(coord: TileCoord) -> Self {
        Self {
            coord,
            image: None,
            timestamp: None,
            size: None,
            cacheable: true,
        }
    }
}
