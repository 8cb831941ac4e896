//! Pictures of one colour: what an empty map, a tile outside the coverage or `on_error` answers with.

use super::map_image::{MapImage, MapImageError};
use super::options::ImageOptions;
use super::raster::{Pixels, Raster, RasterError, checked_len};

/// A picture with this colour in every pixel, as a palette of one.
///
/// # Errors
/// The size is out of range.
pub fn filled(width: u32, height: u32, color: [u8; 4]) -> Result<Raster, RasterError> {
    let len = checked_len(width, height)?;
    Raster::new(
        width,
        height,
        Pixels::Indexed {
            indices: vec![0; len],
            palette: vec![color],
        },
    )
}

/// An empty map: transparent, or the background, as the options say.
///
/// # Errors
/// The size is out of range.
pub fn blank(width: u32, height: u32, options: &ImageOptions) -> Result<MapImage, MapImageError> {
    let [r, g, b] = options.background();
    let color = if options.is_transparent() {
        [r, g, b, 0]
    } else {
        [r, g, b, 255]
    };
    Ok(MapImage::from_raster(filled(width, height, color)?, options.clone()))
}
