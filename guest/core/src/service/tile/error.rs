//! Why there is no tile, for all tile services: each of them wraps the message in its own document.

use crate::layer::LayerError;
use crate::request::tile::InvalidAddress;

/// A tile that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    #[error("unknown layer: {name}")]
    UnknownLayer { name: String },
    #[error("invalid format ({asked}). this tile set only supports ({offered})")]
    InvalidFormat { asked: String, offered: String },
    #[error("The requested tile is outside the bounding box of the tile map.")]
    OutOfRange,
    /// A value that the layer does not have, or a dimension that it does not have.
    #[error("invalid dimension value for {name}: {value}")]
    InvalidDimension { name: String, value: String },
    #[error(transparent)]
    Layer(#[from] LayerError),
}

impl TileError {
    /// HTTP status of TMS, `/tiles` and KML: everything a client can get wrong is a 404.
    pub fn status(&self) -> u16 {
        match self {
            Self::Layer(_) => 500,
            _ => 404,
        }
    }

    /// What the client is told. Failures that are ours alone are logged here, and the client learns no details.
    pub fn client_message(&self) -> String {
        match self {
            Self::Layer(error) => layer_message(error),
            other => super::super::printable(&other.to_string()).into_owned(),
        }
    }
}

fn layer_message(error: &LayerError) -> String {
    match error {
        LayerError::File(_) | LayerError::Image(_) | LayerError::Srs(_) | LayerError::LockTimeout { .. } => {
            log::error!("tile: {error}");
            "internal error".to_owned()
        }
        // what is left is meant for clients
        other => super::super::printable(&other.to_string()).into_owned(),
    }
}
