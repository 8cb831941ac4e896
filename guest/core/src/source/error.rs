//! Sources that answer nothing but why not.

use crate::image::MapImage;
use crate::layer::{FeatureInfo, LayerError, MapLayer};
use crate::query::{InfoQuery, MapQuery};

/// A source of a type that this version does not have, or whose data is missing.
#[derive(Debug, Clone)]
pub struct UnsupportedSource {
    message: String,
}

impl UnsupportedSource {
    /// `message` is the whole answer: "not supported yet: source type `mapnik`".
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    fn error(&self) -> LayerError {
        LayerError::Unavailable {
            message: self.message.clone(),
        }
    }
}

impl MapLayer for UnsupportedSource {
    fn get_map(&self, _query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        Err(self.error())
    }

    fn get_info(&self, _query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        Err(self.error())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
