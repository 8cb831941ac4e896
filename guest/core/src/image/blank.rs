//! Pictures of one colour: what an empty map, a tile outside the coverage or `on_error` answers with.

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
