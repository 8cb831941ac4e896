//! What can go wrong with a coverage.

use crate::srs::SrsError;

/// A coverage that cannot be read or built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CoverageError {
    /// The text or file does not follow its format.
    #[error("{format}, {place}: {problem}")]
    Syntax {
        /// `WKT`, `GeoJSON`, `shapefile` or `tile list`.
        format: &'static str,
        /// Where it is wrong: `line 3`, `feature 2`.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Nothing in it covers an area.
    #[error("the coverage has no polygons: expected at least one polygon or multipolygon")]
    NoPolygons,
    /// The coverage has no image in the system it is needed in.
    #[error(transparent)]
    Srs(#[from] SrsError),
}
