//! From the pixels of one picture to those of another: cut, stretch, warp (section 15; MapProxy's
//! `image/transform.py`). Coordinates come in as pixel positions of the source, so nothing here knows an SRS.
//!
//! A position is measured in pixels from the upper left corner; the centre of the first pixel is at (0.5, 0.5). The
//! arithmetic is Pillow's `Image.transform`: every destination pixel samples the source at its centre with nearest,
//! bilinear or bicubic (a = -1) interpolation, cut to whole levels; it is not an area filter. Near the edge the outermost
//! pixels are repeated; a centre outside the source gets the [`Fill`].

mod kernel;
mod mesh;
mod separable;

pub use mesh::{Mesh, PixelMapping, warp_mesh};
pub use separable::{SeparableMapping, warp_separable};

use super::options::Resampling;
use super::raster::{Raster, RasterError};

/// What a pixel outside the source becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Clear; the result gets an alpha channel if there is such a pixel.
    Transparent,
    /// Opaque with this RGB.
    Color([u8; 3]),
}

impl Fill {
    /// Transparent or the background, as the options say.
    pub fn of(options: &super::options::ImageOptions) -> Self {
        if options.is_transparent() {
            Self::Transparent
        } else {
            Self::Color(options.background())
        }
    }
}

/// How to get from one bbox to another in the same SRS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SameSrs {
    /// The picture is the answer: bbox equal within 1/10 pixel, size equal.
    Unchanged,
    /// The resolution is equal within 1/10 pixel over the whole size: cut out, upper left corner at this pixel.
    Crop { x: i64, y: i64 },
    /// Stretch this part of the source: left, top, right, bottom in pixels.
    Extent {
        left: f64,
        top: f64,
        right: f64,
        bottom: f64,
    },
}

impl SameSrs {
    /// What MapProxy does for these sizes (pixels) and bboxes (minx, miny, maxx, maxy).
    pub fn plan(src_size: (u32, u32), src_bbox: [f64; 4], dst_size: (u32, u32), dst_bbox: [f64; 4]) -> Self {
        let res = |size: (u32, u32), bbox: [f64; 4]| {
            (
                (bbox[2] - bbox[0]) / f64::from(size.0),
                (bbox[3] - bbox[1]) / f64::from(size.1),
            )
        };
        let (src_res, dst_res) = (res(src_size, src_bbox), res(dst_size, dst_bbox));
        let tenth = (dst_res.0.abs() / 10.0, dst_res.1.abs() / 10.0);
        let near = |side: usize, tolerance: f64| (src_bbox[side] - dst_bbox[side]).abs() < tolerance;
        if src_size == dst_size && near(0, tenth.0) && near(2, tenth.0) && near(1, tenth.1) && near(3, tenth.1) {
            return Self::Unchanged;
        }
        let left = (dst_bbox[0] - src_bbox[0]) / src_res.0;
        let top = (src_bbox[3] - dst_bbox[3]) / src_res.1;
        if (src_res.0 - dst_res.0).abs() < tenth.0 / f64::from(dst_size.0)
            && (src_res.1 - dst_res.1).abs() < tenth.1 / f64::from(dst_size.1)
        {
            return Self::Crop {
                x: left.round_ties_even() as i64,
                y: top.round_ties_even() as i64,
            };
        }
        let right = (dst_bbox[2] - src_bbox[0]) / src_res.0;
        let bottom = (src_bbox[3] - dst_bbox[1]) / src_res.1;
        Self::Extent {
            left,
            top,
            right,
            bottom,
        }
    }
}

/// The source, which covers `src_bbox`, as a picture of `dst_size` pixels that covers `dst_bbox` of the same SRS.
///
/// # Errors
/// The size is out of range.
pub fn transform_same_srs(
    source: Raster,
    src_bbox: [f64; 4],
    dst_size: (u32, u32),
    dst_bbox: [f64; 4],
    resampling: Resampling,
    fill: Fill,
) -> Result<Raster, RasterError> {
    match SameSrs::plan(source.size(), src_bbox, dst_size, dst_bbox) {
        SameSrs::Unchanged => Ok(source),
        SameSrs::Crop { x, y } => crop(&source, x, y, dst_size, fill),
        SameSrs::Extent {
            left,
            top,
            right,
            bottom,
        } => {
            let mapping = SeparableMapping::extent(left, top, right, bottom, dst_size)?;
            warp_separable(&source, &mapping, resampling, fill)
        }
    }
}

/// The window at (`x`, `y`), with the fill where it reaches outside.
///
/// # Errors
/// The size is out of range.
pub fn crop(source: &Raster, x: i64, y: i64, size: (u32, u32), fill: Fill) -> Result<Raster, RasterError> {
    let (width, height) = source.size();
    let fits = |at: i64, len: u32, of: u32| at >= 0 && at.saturating_add(i64::from(len)) <= i64::from(of);
    if fits(x, size.0, width) && fits(y, size.1, height) {
        return source.crop(x, y, size.0, size.1);
    }
    let axis = |at: i64, len: u32| (0..len).map(|i| at as f64 + f64::from(i) + 0.5).collect();
    super::raster::checked_len(size.0, size.1)?;
    let mapping = SeparableMapping {
        xs: axis(x, size.0),
        ys: axis(y, size.1),
    };
    warp_separable(source, &mapping, Resampling::Nearest, fill)
}

#[cfg(test)]
mod tests;
