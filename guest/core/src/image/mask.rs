//! What is shown of a picture: a plane of alpha, drawn by the coverage that clips it (MapProxy's `image/mask.py`).

use super::raster::{RasterError, checked_len};

/// One alpha value per pixel: 255 shows it, 0 does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    alpha: Vec<u8>,
}

impl Mask {
    /// A mask of this size, row by row.
    ///
    /// # Errors
    /// The size is out of range, or the values do not fill it.
    pub fn new(width: u32, height: u32, alpha: Vec<u8>) -> Result<Self, RasterError> {
        let expected = checked_len(width, height)?;
        if alpha.len() == expected {
            Ok(Self { width, height, alpha })
        } else {
            Err(RasterError::Length {
                width,
                height,
                expected,
                got: alpha.len(),
            })
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The alpha of one pixel, 0 outside.
    pub fn alpha(&self, x: u32, y: u32) -> u8 {
        if x >= self.width || y >= self.height {
            return 0;
        }
        self.alpha
            .get(y as usize * self.width as usize + x as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Lowers the alpha of a row of RGBA pixels, which begins at (`x`, `y`), to that of the mask: what is more
    /// transparent stays so.
    pub(super) fn apply(&self, pixels: &mut [u8], x: u32, y: u32) {
        for (x, pixel) in (x..).zip(pixels.chunks_exact_mut(4)) {
            pixel[3] = pixel[3].min(self.alpha(x, y));
        }
    }
}
