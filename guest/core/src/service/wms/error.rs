//! Why a WMS request has no answer, and what clients read then.

use crate::image::MapImageError;
use crate::layer::LayerError;
use crate::request::wms::WmsRequestError;

#[derive(Debug, thiserror::Error)]
pub(super) enum WmsError {
    /// The client's fault.
    #[error(transparent)]
    Request(#[from] WmsRequestError),
    /// A layer or what is behind it could not answer.
    #[error("{}", told(error))]
    Layer { error: LayerError },
    /// No source of a map answered; each one's reason.
    #[error("Could not get any sources:\n{}", messages.join("\n"))]
    NoSources { messages: Vec<String> },
    #[error(transparent)]
    Image(#[from] MapImageError),
}

impl From<LayerError> for WmsError {
    fn from(error: LayerError) -> Self {
        Self::Layer { error }
    }
}

impl WmsError {
    pub(super) fn code(&self) -> Option<&'static str> {
        match self {
            Self::Request(error) => error.code(),
            _ => None,
        }
    }

    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Request(error) => error.status(),
            _ => 500,
        }
    }

    pub(super) fn forces_xml(&self) -> bool {
        matches!(self, Self::Request(error) if error.forces_xml())
    }
}

/// Whether other layers can still make a map worth having: a server that does not answer is one thing, a box that
/// cannot be answered is the same for all.
pub(super) fn concerns_one_source(error: &LayerError) -> bool {
    !matches!(
        error,
        LayerError::InvalidBBox { .. } | LayerError::InvalidRequest { .. } | LayerError::Srs(_)
    )
}

/// An error of a layer in MapProxy's words.
pub(super) fn told(error: &LayerError) -> String {
    match error {
        LayerError::InvalidBBox { message } => format!("Request too large or invalid BBOX. ({message})"),
        LayerError::InvalidRequest { message } => format!("Invalid request: {message}"),
        LayerError::Srs(_) => "Could not transform BBOX: Invalid result.".to_owned(),
        error => error.to_string(),
    }
}
