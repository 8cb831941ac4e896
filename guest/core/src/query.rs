//! What is asked inside: a map, information about a point, a legend. Protocols are parsed into these, sources answer
//! them. (MapProxy: `query.py`.)

use crate::image::ImageFormat;
use crate::srs::{BBox, Srs};

/// Values of dimensions and forwarded parameters: name as the client spelled it, value.
pub type Dimensions = Vec<(String, String)>;

/// A map of a box.
#[derive(Debug, Clone)]
pub struct MapQuery {
    /// x east, y north
    pub bbox: BBox,
    /// pixels, width and height
    pub size: (u32, u32),
    pub srs: Srs,
    pub format: ImageFormat,
    pub transparent: bool,
    /// the box is one tile of a grid (WMS-C, tile services): only that tile is wanted, with its cache headers
    pub tiled_only: bool,
    pub dimensions: Dimensions,
}

impl MapQuery {
    /// Units of the SRS per pixel, the finer of both axes.
    pub fn resolution(&self) -> f64 {
        let (width, height) = self.size;
        (self.bbox.width() / f64::from(width)).min(self.bbox.height() / f64::from(height))
    }
}

/// What is at a pixel of a map.
#[derive(Debug, Clone)]
pub struct InfoQuery {
    pub bbox: BBox,
    pub size: (u32, u32),
    pub srs: Srs,
    /// pixel, from the upper left
    pub pos: (f64, f64),
    /// media type asked for: `text/plain`
    pub info_format: Option<String>,
    /// `FORMAT` of the map, `image/png` if the client named none
    pub format: String,
    pub feature_count: Option<u32>,
    pub dimensions: Dimensions,
}

/// The legend of a layer.
#[derive(Debug, Clone)]
pub struct LegendQuery {
    pub format: String,
    pub scale: Option<f64>,
}
