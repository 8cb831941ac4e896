//! Why a layer could not answer, sorted by who is at fault.

use crate::platform::FileError;

/// Errors of sources, caches and layers.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// An upstream server did not answer, or not with an image. The text is meant for clients.
    #[error("{message}")]
    Source {
        message: String,
        status: Option<u16>,
        /// For operators, where it says more than `message`, which may hide why.
        detail: Option<String>,
    },
    /// The box asked for is not one we answer (too many tiles, not a tile, transformation impossible).
    /// Clients read `Request too large or invalid BBOX. (<message>)`.
    #[error("{message}")]
    InvalidBBox { message: String },
    /// What was asked for cannot be told from the cache (WMS-C: other format or size than the tiles have).
    /// Clients read `Invalid request: <message>`.
    #[error("{message}")]
    InvalidRequest { message: String },
    /// Another request held the tile's lock for too long.
    #[error("timed out waiting for the lock of tile {tile}")]
    LockTimeout { tile: String },
    /// The configuration uses something that this version does not have.
    #[error("not supported yet: {what}")]
    NotSupported { what: String },
    /// The configuration names something that is not there or not supported: what `mapproxy check` warned about.
    #[error("{message}")]
    Unavailable { message: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Image(#[from] crate::image::MapImageError),
    #[error(transparent)]
    Coverage(#[from] crate::coverage::CoverageError),
    #[error(transparent)]
    Srs(#[from] crate::srs::SrsError),
}

impl LayerError {
    /// For operators: what went wrong, also where clients are not to know.
    pub fn detail(&self) -> String {
        match self {
            Self::Source {
                detail: Some(detail), ..
            } => detail.clone(),
            other => other.to_string(),
        }
    }
}
