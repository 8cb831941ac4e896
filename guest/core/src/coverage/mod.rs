//! Areas that limit sources, caches and seeding (MapProxy's `util/coverage.py`, `util/geom.py`, `image/mask.py`).
//!
//! Areas are read and combined when a configuration is compiled; requests only ask whether a box touches one, lies
//! inside, or which pixels of a map do.

mod area;
mod error;
mod expire_tiles;
mod extent;
mod geojson;
mod geopackage;
#[cfg(test)]
mod golden;
mod mask;
mod operations;
mod polygon;
mod read;
mod shapefile;
mod wkt;

pub use area::Coverage;
pub use error::CoverageError;
pub use extent::MapExtent;
pub use polygon::{Polygon, Ring};
