//! Tile grids: levels and resolutions, tile numbers and bounding boxes, meta tiles.
//!
//! Answers to MapProxy's `grid/` package. Results are bit-exact with it: they end up in tile addresses and upstream
//! requests.

mod error;
#[cfg(test)]
mod golden;
mod meta_grid;
mod options;
mod profile;
mod python_numbers;
mod resolutions;
mod tile_coord;
mod tile_grid;

pub use error::{GridError, NoTiles};
pub use meta_grid::{MetaGrid, MetaTile, MetaTileEntry};
pub use options::{GridOptions, NamedRes, ResFactor};
pub use profile::TmsProfile;
pub use tile_coord::{Origin, TileCoord};
pub use tile_grid::{AffectedTiles, TileGrid};
