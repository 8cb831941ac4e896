//! Areas that limit sources, caches and seeding (MapProxy's `util/coverage.py`, `util/geom.py`, `image/mask.py`).

mod area;
mod error;
mod extent;
mod polygon;

pub use area::Coverage;
pub use error::CoverageError;
pub use extent::MapExtent;
pub use polygon::{Polygon, Ring};
