//! Pixels to baseline JPEG, 4:2:0, quality 90 unless told otherwise.

use super::EncodeError;
use crate::image::jpeg;
use crate::image::options::ImageOptions;
use crate::image::raster::Raster;

/// MapProxy's `globals.image.jpeg_quality`.
const DEFAULT_QUALITY: u8 = 90;

pub(super) fn encode(raster: &Raster, options: &ImageOptions) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = raster.size();
    let (Ok(w), Ok(h)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(EncodeError::Size {
            format: "jpeg",
            max: 65535,
            width,
            height,
        });
    };
    let quality = options.encoding.jpeg_quality.unwrap_or(DEFAULT_QUALITY);
    Ok(jpeg::encode(&raster.to_rgb(), (w, h), quality))
}
