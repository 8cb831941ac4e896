//! Errors of grid definitions, and requests that no tile can answer.

use crate::srs::SrsError;

/// A grid definition that cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// No `bbox` although the reference system has no default one.
    #[error("a grid in `{srs}` needs a bbox: expected `bbox: [minx, miny, maxx, maxy]`")]
    MissingBBox {
        /// Code of the grid's system.
        srs: String,
    },
    /// A bbox without area, or with edges that are not finite.
    #[error("bbox `{bbox}` is empty: expected minx < maxx and miny < maxy")]
    EmptyBBox {
        /// The box as `minx,miny,maxx,maxy`.
        bbox: String,
    },
    /// A tile size of zero.
    #[error("tile size {width}x{height} is not possible: expected at least one pixel and at most 65535")]
    TileSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Options that exclude one another.
    #[error("`{first}` and `{second}` exclude one another: expected only one of them")]
    Conflict {
        /// Key of the first option.
        first: &'static str,
        /// Key of the second option.
        second: &'static str,
    },
    /// A resolution, factor or count outside its range.
    #[error("`{key}` is {value}: expected {expected}")]
    Value {
        /// Key of the option.
        key: &'static str,
        /// The value found.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// The grid would have no level at all.
    #[error("the grid has no levels: expected at least one resolution between `min_res` and `max_res`")]
    NoLevels,
    /// The two grids cannot be aligned.
    #[error(
        "cannot align the resolutions with a factor of {own} to a grid with a factor of {other}: expected 2 or sqrt2 for both"
    )]
    Align {
        /// The factor of this grid.
        own: f64,
        /// The factor of the other grid.
        other: f64,
    },
    /// `bbox_srs` to `srs` failed.
    #[error(transparent)]
    Srs(#[from] SrsError),
}

/// Why a request touches no tiles of a grid; the answer is a blank image, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTiles {
    /// The request lies outside the grid's bbox.
    #[error("outside the bbox of the grid")]
    OutsideBBox,
    /// The request asks for a resolution so coarse that tiles would be shrunk more than `max_shrink_factor`.
    #[error("resolution too coarse for the grid")]
    TooCoarse,
    /// The request's bbox has no area, no pixels, or no image in the grid's system.
    #[error("the bbox is empty or cannot be transformed")]
    InvalidBBox,
}
