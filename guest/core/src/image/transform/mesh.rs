//! Warps between any two SRS: the destination is covered with rectangles whose corners alone are mapped exactly, and
//! positions inside are interpolated between them (Pillow's `MESH`). The rectangles are those MapProxy makes, so that
//! maps equal its maps even where they are a pixel off.
//!
//! If the rectangles stay rectangles in the source, as between cylindrical SRS, the warp is done in two passes.

use super::Fill;
use super::kernel::{FIRST_SHIFT, inside, level, premultiply, split, unpremultiply, weights};
use super::separable::{SeparableMapping, warp_separable};
use crate::image::options::Resampling;
use crate::image::raster::{Pixels, Raster, RasterError, checked_len};

/// Where a point of the destination lies in the source.
pub trait PixelMapping {
    /// Source position of a destination position, both in pixels from the upper left corner (corners of pixels are
    /// whole numbers). `None` where the destination has no counterpart.
    fn map(&self, x: f64, y: f64) -> Option<(f64, f64)>;

    /// How far the destination position of a source position is from (`x`, `y`), in destination pixels. `None` where
    /// that cannot be told. By default the error in the source is brought back with the derivatives of the mapping at
    /// (`x`, `y`); a mapping that knows its inverse does better.
    fn error(&self, x: f64, y: f64, source: (f64, f64)) -> Option<(f64, f64)> {
        let (center, right, below) = (self.map(x, y)?, self.map(x + 1.0, y)?, self.map(x, y + 1.0)?);
        let (error_x, error_y) = (source.0 - center.0, source.1 - center.1);
        let (right_x, right_y) = (right.0 - center.0, right.1 - center.1);
        let (below_x, below_y) = (below.0 - center.0, below.1 - center.1);
        let determinant = right_x * below_y - below_x * right_y;
        let error = (
            (error_x * below_y - error_y * below_x) / determinant,
            (error_y * right_x - error_x * right_y) / determinant,
        );
        (error.0.is_finite() && error.1.is_finite()).then_some(error)
    }
}

impl<F: Fn(f64, f64) -> Option<(f64, f64)>> PixelMapping for F {
    fn map(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        self(x, y).filter(|(x, y)| x.is_finite() && y.is_finite())
    }
}

/// A rectangle is divided while its centre is further off than this, in widths of a destination pixel.
const MAX_ERROR: f64 = 1.0;
/// The same for points beside the centre. An error that grows from the corners to the centre is smaller here, so this
/// divides only what the centre says nothing about.
const MAX_ERROR_OFF_CENTER: f64 = 2.0;
/// One that is smaller than this, in destination pixels, is good enough whatever its error.
const MIN_SIDE: u32 = 50;
/// One with a corner that cannot be mapped is divided further, so that little is lost at the edge of an SRS.
const MIN_BROKEN_SIDE: u32 = 8;
/// Corners of a rectangle in the source are at right angles if they are off by less than this, in source pixels.
const STRAIGHT: f64 = 1e-4;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Quad {
    x0: u32,
    y0: u32,
    x1: u32,
    y1: u32,
}

/// A rectangle of the destination and the source positions of its corners: upper left, upper right, lower left, lower
/// right.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Patch {
    quad: Quad,
    corners: [(f64, f64); 4],
}

impl Quad {
    fn corners(&self, mapping: &dyn PixelMapping) -> Option<[(f64, f64); 4]> {
        let (x0, y0, x1, y1) = (
            f64::from(self.x0),
            f64::from(self.y0),
            f64::from(self.x1),
            f64::from(self.y1),
        );
        Some([
            mapping.map(x0, y0)?,
            mapping.map(x1, y0)?,
            mapping.map(x0, y1)?,
            mapping.map(x1, y1)?,
        ])
    }

    /// MapProxy maps the centre of the source corners back to the destination, and compares both coordinates of the
    /// error with the width of a pixel. A rectangle that lies symmetrically about the equator has no error at its
    /// centre however wrong it is elsewhere, so that the quarters are looked at as well. `pixel_aspect`: height of a
    /// destination pixel over its width.
    fn is_good(&self, corners: &[(f64, f64); 4], mapping: &dyn PixelMapping, pixel_aspect: f64) -> bool {
        if self.x1 - self.x0 < MIN_SIDE || self.y1 - self.y0 < MIN_SIDE {
            return true;
        }
        let within = |u: f64, v: f64, limit: f64| {
            let x = f64::from(self.x0) + u * f64::from(self.x1 - self.x0);
            let y = f64::from(self.y0) + v * f64::from(self.y1 - self.y0);
            mapping
                .error(x, y, between_corners(corners, u, v))
                .is_some_and(|(columns, rows)| columns.abs() < limit && rows.abs() * pixel_aspect < limit)
        };
        within(0.5, 0.5, MAX_ERROR)
            && within(0.25, 0.25, MAX_ERROR_OFF_CENTER)
            && within(0.75, 0.75, MAX_ERROR_OFF_CENTER)
    }

    /// Two halves where one side is more than twice the other, four quarters otherwise; nothing if it is too small.
    fn divide(&self) -> Vec<Self> {
        let (width, height) = (self.x1 - self.x0, self.y1 - self.y0);
        let (xm, ym) = (self.x0 + width / 2, self.y0 + height / 2);
        let across = width >= 2 && height <= 2 * width;
        let down = height >= 2 && width <= 2 * height;
        match (across, down) {
            (true, true) => vec![
                Self {
                    x1: xm,
                    y1: ym,
                    ..*self
                },
                Self {
                    x0: xm,
                    y1: ym,
                    ..*self
                },
                Self {
                    x1: xm,
                    y0: ym,
                    ..*self
                },
                Self {
                    x0: xm,
                    y0: ym,
                    ..*self
                },
            ],
            (true, false) => vec![Self { x1: xm, ..*self }, Self { x0: xm, ..*self }],
            (false, true) => vec![Self { y1: ym, ..*self }, Self { y0: ym, ..*self }],
            (false, false) => Vec::new(),
        }
    }
}

/// The source position at the fractions `u`, `v` of a rectangle's width and height.
fn between_corners([ul, ur, ll, lr]: &[(f64, f64); 4], u: f64, v: f64) -> (f64, f64) {
    let between = |a: f64, b: f64, t: f64| a + (b - a) * t;
    let axis = |ul, ur, ll, lr| between(between(ul, ur, u), between(ll, lr, u), v);
    (axis(ul.0, ur.0, ll.0, lr.0), axis(ul.1, ur.1, ll.1, lr.1))
}

/// Rectangles that cover everything of a destination that can be mapped.
#[derive(Clone, Debug)]
pub struct Mesh {
    size: (u32, u32),
    patches: Vec<Patch>,
}

impl Mesh {
    /// The mesh for a destination of `size` pixels, whose pixels are `pixel_aspect` times as high as wide in units of
    /// its SRS.
    ///
    /// # Errors
    /// The size is out of range.
    pub fn new(mapping: &dyn PixelMapping, size: (u32, u32), pixel_aspect: f64) -> Result<Self, RasterError> {
        checked_len(size.0, size.1)?;
        let mut open = vec![Quad {
            x0: 0,
            y0: 0,
            x1: size.0,
            y1: size.1,
        }];
        let mut patches = Vec::new();
        while let Some(quad) = open.pop() {
            match quad.corners(mapping) {
                Some(corners) if quad.is_good(&corners, mapping, pixel_aspect) => patches.push(Patch { quad, corners }),
                Some(_) => open.extend(quad.divide()),
                None if (quad.x1 - quad.x0).max(quad.y1 - quad.y0) > MIN_BROKEN_SIDE => open.extend(quad.divide()),
                None => {}
            }
        }
        Ok(Self { size, patches })
    }

    /// Number of rectangles.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.patches.len()
    }

    /// The mesh as positions of columns and rows, if all its rectangles are rectangles in the source as well.
    pub fn separable(&self) -> Option<SeparableMapping> {
        let near = |a: f64, b: f64| (a - b).abs() < STRAIGHT;
        let mut xs = vec![f64::NAN; self.size.0 as usize];
        let mut ys = vec![f64::NAN; self.size.1 as usize];
        for Patch {
            quad,
            corners: [ul, ur, ll, lr],
        } in &self.patches
        {
            if !(near(ul.0, ll.0) && near(ur.0, lr.0) && near(ul.1, ur.1) && near(ll.1, lr.1)) {
                return None;
            }
            // Neighbours may be divided differently, but none of them is off by more than a pixel.
            let fill = |positions: &mut [f64], start: u32, end: u32, from: f64, to: f64| {
                let step = (to - from) / f64::from(end - start);
                for (i, position) in (start..end).zip(&mut positions[start as usize..end as usize]) {
                    if position.is_nan() {
                        *position = from + (f64::from(i - start) + 0.5) * step;
                    }
                }
            };
            fill(&mut xs, quad.x0, quad.x1, ul.0, ur.0);
            fill(&mut ys, quad.y0, quad.y1, ul.1, ll.1);
        }
        Some(SeparableMapping { xs, ys })
    }

    /// The part of a source of `size` pixels that is looked at: x, y, width, height. `None` if it is none.
    pub fn source_window(&self, size: (u32, u32)) -> Option<(u32, u32, u32, u32)> {
        let axis = |coordinate: fn(&(f64, f64)) -> f64, len: u32| {
            let corners = || self.patches.iter().flat_map(|patch| &patch.corners).map(coordinate);
            let (first, last) = (corners().reduce(f64::min)?, corners().reduce(f64::max)?);
            // The cubic reaches two pixels to either side.
            let start = (first - 2.0).max(0.0) as u32;
            let end = ((last + 3.0).max(0.0) as u32).min(len);
            (start < end).then(|| (start, end - start))
        };
        let (x, width) = axis(|corner| corner.0, size.0)?;
        let (y, height) = axis(|corner| corner.1, size.1)?;
        Some((x, y, width, height))
    }

    /// The same mesh for a source whose upper left corner is at pixel (`x`, `y`) of the one it was made for.
    #[must_use]
    pub fn shifted(mut self, x: u32, y: u32) -> Self {
        for corner in self.patches.iter_mut().flat_map(|patch| &mut patch.corners) {
            corner.0 -= f64::from(x);
            corner.1 -= f64::from(y);
        }
        self
    }
}

/// The source warped along the mesh. A palette is kept for nearest neighbours and expanded otherwise.
///
/// # Errors
/// The size is out of range.
pub fn warp_mesh(source: &Raster, mesh: &Mesh, resampling: Resampling, fill: Fill) -> Result<Raster, RasterError> {
    if let Some(mapping) = mesh.separable() {
        return warp_separable(source, &mapping, resampling, fill);
    }
    let Mesh { size, patches } = mesh;
    let mut hits = vec![false; checked_len(size.0, size.1)?];
    let warped = match resampling {
        Resampling::Nearest => nearest(source, patches, *size, &mut hits)?,
        Resampling::Bilinear => interpolated::<2>(source, patches, *size, &mut hits)?,
        Resampling::Bicubic => interpolated::<4>(source, patches, *size, &mut hits)?,
    };
    if !hits.contains(&false) {
        return Ok(warped);
    }
    // What was not hit gets the fill; with a palette there may be no room for it.
    let (mut raster, color) = match fill {
        Fill::Transparent => (warped.into_rgba(), [0; 4]),
        Fill::Color([r, g, b]) if warped.has_alpha() => (warped.into_rgba(), [r, g, b, 255]),
        Fill::Color([r, g, b]) => (warped.into_rgb(), [r, g, b, 255]),
    };
    let bpp = raster.bytes_per_pixel();
    for (pixel, _) in raster
        .bytes_mut()
        .chunks_exact_mut(bpp)
        .zip(&hits)
        .filter(|(_, hit)| !**hit)
    {
        pixel.copy_from_slice(&color[..bpp]);
    }
    Ok(raster)
}

/// Calls `visit` with the number of each destination pixel that has a source position inside `src`, and that position.
fn each_pixel(patches: &[Patch], width: u32, src: (u32, u32), mut visit: impl FnMut(usize, f64, f64)) {
    for Patch {
        quad,
        corners: [ul, ur, ll, lr],
    } in patches
    {
        let (columns, rows) = (f64::from(quad.x1 - quad.x0), f64::from(quad.y1 - quad.y0));
        for y in quad.y0..quad.y1 {
            let down = (f64::from(y - quad.y0) + 0.5) / rows;
            let mix = |a: f64, b: f64| a + (b - a) * down;
            let (left_x, left_y) = (mix(ul.0, ll.0), mix(ul.1, ll.1));
            let step_x = (mix(ur.0, lr.0) - left_x) / columns;
            let step_y = (mix(ur.1, lr.1) - left_y) / columns;
            for x in quad.x0..quad.x1 {
                let along = f64::from(x - quad.x0) + 0.5;
                let (src_x, src_y) = (left_x + step_x * along, left_y + step_y * along);
                if inside(src_x, src.0) && inside(src_y, src.1) {
                    visit(y as usize * width as usize + x as usize, src_x, src_y);
                }
            }
        }
    }
}

fn nearest(source: &Raster, patches: &[Patch], size: (u32, u32), hits: &mut [bool]) -> Result<Raster, RasterError> {
    let bpp = source.bytes_per_pixel();
    let mut data = vec![0; hits.len() * bpp];
    each_pixel(patches, size.0, source.size(), |at, x, y| {
        let from = (y as usize * source.width() as usize + x as usize) * bpp;
        data[at * bpp..][..bpp].copy_from_slice(&source.bytes()[from..from + bpp]);
        hits[at] = true;
    });
    source.with_bytes(size.0, size.1, data)
}

/// Steps between two pixels for which weights are kept.
const PHASES: usize = 1024;
/// Pixels that are repeated around the source, so that every position finds its neighbours.
const PAD: usize = 2;

fn interpolated<const N: usize>(
    source: &Raster,
    patches: &[Patch],
    size: (u32, u32),
    hits: &mut [bool],
) -> Result<Raster, RasterError> {
    let mut expanded = source.clone().into_true_color();
    if expanded.has_alpha() {
        premultiply(expanded.bytes_mut());
    }
    let bpp = expanded.bytes_per_pixel();
    let mut data = vec![0; hits.len() * bpp];
    match expanded.pixels() {
        Pixels::Gray(_) | Pixels::Indexed { .. } => sample::<N, 1>(&expanded, patches, size, hits, &mut data),
        Pixels::Rgb(_) => sample::<N, 3>(&expanded, patches, size, hits, &mut data),
        Pixels::Rgba(_) => {
            sample::<N, 4>(&expanded, patches, size, hits, &mut data);
            unpremultiply(&mut data);
        }
    }
    expanded.with_bytes(size.0, size.1, data)
}

fn sample<const N: usize, const BPP: usize>(
    source: &Raster,
    patches: &[Patch],
    size: (u32, u32),
    hits: &mut [bool],
    out: &mut [u8],
) {
    let (padded, stride) = padded::<BPP>(source);
    let table: Vec<[i16; N]> = (0..PHASES)
        .map(|phase| weights::<N>(phase as f64 / PHASES as f64))
        .collect();
    let lanes = if BPP == 1 { 1 } else { 4 };
    each_pixel(patches, size.0, source.size(), |at, x, y| {
        let ((first_x, part_x), (first_y, part_y)) = (split::<N>(x), split::<N>(y));
        let along = table[(part_x * PHASES as f64) as usize & (PHASES - 1)];
        let down = table[(part_y * PHASES as f64) as usize & (PHASES - 1)];
        // Inside the source, so at most two pixels beyond its edge.
        let (column, row) = ((first_x + PAD as i64) as usize, (first_y + PAD as i64) as usize);
        let mut sums = [0_i32; 4];
        for (j, down) in down.iter().enumerate() {
            let window = &padded[(row + j) * stride + column * BPP..][..(N - 1) * BPP + lanes];
            let mut line = [1_i32 << (FIRST_SHIFT - 1); 4];
            for (k, along) in along.iter().enumerate() {
                for lane in 0..lanes {
                    line[lane] += i32::from(window[k * BPP + lane]) * i32::from(*along);
                }
            }
            for lane in 0..lanes {
                sums[lane] += (line[lane] >> FIRST_SHIFT) * i32::from(*down);
            }
        }
        for (to, sum) in out[at * BPP..][..BPP].iter_mut().zip(sums) {
            *to = level(sum);
        }
        hits[at] = true;
    });
}

/// The bytes of the source with its outermost pixels repeated, and their row length. Three bytes follow the end, as
/// pixels are read four bytes at a time.
fn padded<const BPP: usize>(source: &Raster) -> (Vec<u8>, usize) {
    let stride = (source.width() as usize + 2 * PAD) * BPP;
    let mut padded = Vec::with_capacity(stride * (source.height() as usize + 2 * PAD) + 3);
    let last = i64::from(source.height()) - 1;
    for y in -(PAD as i64)..=last + PAD as i64 {
        let row = source.row(y.clamp(0, last) as u32);
        for _ in 0..PAD {
            padded.extend_from_slice(&row[..BPP]);
        }
        padded.extend_from_slice(row);
        for _ in 0..PAD {
            padded.extend_from_slice(&row[row.len() - BPP..]);
        }
    }
    padded.extend_from_slice(&[0; 3]);
    (padded, stride)
}
