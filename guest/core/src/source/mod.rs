//! What makes maps: sources of the configuration as layers. (MapProxy: `source/`.)

mod arcgis;
mod debug;
mod error;
mod legend;
mod position;
mod tile;
mod upstream_map;
mod wms;

pub use arcgis::ArcgisMapSource;
pub use debug::DebugSource;
pub use error::UnsupportedSource;
pub use tile::TileMapSource;
pub use wms::WmsMapSource;
