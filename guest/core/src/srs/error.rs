//! What can go wrong with a reference system.

use super::BBox;

/// An unknown reference system, or coordinates that have no image in one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SrsError {
    /// Neither an EPSG code nor any other form that is understood.
    #[error("unknown SRS `{code}`: expected a code like `EPSG:3857`, `CRS:84` or `urn:ogc:def:crs:EPSG::3857`")]
    UnknownCode {
        /// The code as it was given.
        code: String,
    },
    /// The code is known, but its projection method is not implemented.
    #[error("SRS `{code}` is not supported yet: its projection `{projection}` is not implemented")]
    UnsupportedProjection {
        /// The code as it was given.
        code: String,
        /// The name of the projection method.
        projection: String,
    },
    /// The systems belong to different celestial bodies.
    #[error("`{from}` and `{to}` belong to different celestial bodies")]
    DifferentBodies {
        /// The code of the source system.
        from: String,
        /// The code of the target system.
        to: String,
    },
    /// Not one point of the box could be transformed.
    #[error("cannot transform bbox `{bbox}` from `{from}` to `{to}`")]
    Transformation {
        /// The box, in the units of `from`.
        bbox: BBox,
        /// The code of the source system.
        from: String,
        /// The code of the target system.
        to: String,
    },
}
