//! Tiles by TMS and `/tiles` addresses, and what KML and WMTS share with them. (MapProxy: `service/tile.py`.)
//!
//! This is the path of every cached tile: it reads the address, the segments of one layer, its cache and its grid, and
//! one file.

mod answer;
mod capabilities;
mod dimensions;
mod error;
mod lookup;
mod tms;
mod xyz;

pub(super) use answer::tile_answer;
pub(super) use dimensions::checked_dimensions;
pub use error::TileError;
pub(super) use lookup::{Addressing, Numbering, check_format, layer_path, tile_layer};
pub use tms::handle as handle_tms;
pub use xyz::handle as handle_tiles;
