//! `type: debug`: writes the box and the resolution it was asked for on a transparent picture.

use crate::image::{ImageFormat, ImageOptions, MapImage, debug_image};
use crate::layer::{LayerError, MapLayer};
use crate::query::MapQuery;
use crate::srs::python_float;

/// Draws what it is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct DebugSource;

impl MapLayer for DebugSource {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        let bbox = query.bbox.edges().map(python_float).join(", ");
        let text = format!("bbox: ({bbox})\nres: {:.8}", query.resolution());
        let mut image = debug_image(&text, query.size)?;
        image.options = ImageOptions {
            transparent: Some(true),
            ..ImageOptions::new(ImageFormat::PNG)
        };
        image.cacheability.cacheable = true;
        Ok(Some(image))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
