//! `Raster`: decoded pixels and their layout. The plain value every other file of this module takes or returns.

use std::borrow::Cow;

/// No raster is made larger than this many pixels, whatever asks for it: 2^28 pixels of RGBA fill one GiB.
pub const MAX_PIXELS: u64 = 1 << 28;

/// Why pixels do not make a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RasterError {
    /// Width or height is zero, or there are more pixels than [`MAX_PIXELS`].
    #[error("image size `{width}x{height}` is out of range, expected 1 to {MAX_PIXELS} pixels")]
    Size { width: u32, height: u32 },
    /// The buffer does not hold width * height pixels.
    #[error("image of {width}x{height} pixels needs {expected} bytes, got {got}")]
    Length {
        width: u32,
        height: u32,
        expected: usize,
        got: usize,
    },
    /// A palette holds 1 to 256 colours.
    #[error("palette has {colors} colors, expected 1 to 256")]
    Palette { colors: usize },
}

/// Pixels, row by row, top row first, without padding.
#[derive(Clone, PartialEq, Eq)]
pub enum Pixels {
    /// One byte per pixel, an index into `palette` (RGBA, not premultiplied, 1 to 256 entries).
    /// An index past the end of the palette counts as opaque black.
    Indexed { indices: Vec<u8>, palette: Vec<[u8; 4]> },
    /// One byte per pixel.
    Gray(Vec<u8>),
    /// Three bytes per pixel.
    Rgb(Vec<u8>),
    /// Four bytes per pixel, alpha last and not premultiplied.
    Rgba(Vec<u8>),
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Indexed { indices, palette } => write!(f, "Indexed({} px, {} colors)", indices.len(), palette.len()),
            Self::Gray(data) => write!(f, "Gray({} bytes)", data.len()),
            Self::Rgb(data) => write!(f, "Rgb({} bytes)", data.len()),
            Self::Rgba(data) => write!(f, "Rgba({} bytes)", data.len()),
        }
    }
}

/// A decoded picture. The length of the pixel buffer always fits width and height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    width: u32,
    height: u32,
    pixels: Pixels,
}

/// Number of pixels, or an error where the size is zero or above [`MAX_PIXELS`]. Fits `usize` on 32 bit as well.
pub(crate) fn checked_len(width: u32, height: u32) -> Result<usize, RasterError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(RasterError::Size { width, height });
    }
    usize::try_from(pixels).map_err(|_err| RasterError::Size { width, height })
}

impl Raster {
    /// A picture of these pixels.
    ///
    /// # Errors
    /// The size is out of range, or the buffer or palette does not fit it.
    pub fn new(width: u32, height: u32, pixels: Pixels) -> Result<Self, RasterError> {
        let len = checked_len(width, height)?;
        let (got, expected) = match &pixels {
            Pixels::Indexed { indices, palette } => {
                if palette.is_empty() || palette.len() > 256 {
                    return Err(RasterError::Palette { colors: palette.len() });
                }
                (indices.len(), len)
            }
            Pixels::Gray(data) => (data.len(), len),
            Pixels::Rgb(data) => (data.len(), len * 3),
            Pixels::Rgba(data) => (data.len(), len * 4),
        };
        if got == expected {
            Ok(Self { width, height, pixels })
        } else {
            Err(RasterError::Length {
                width,
                height,
                expected,
                got,
            })
        }
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The pixels.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The pixels by value.
    pub fn into_pixels(self) -> Pixels {
        self.pixels
    }

    /// Bytes per pixel of this layout.
    pub fn bytes_per_pixel(&self) -> usize {
        match self.pixels {
            Pixels::Indexed { .. } | Pixels::Gray(_) => 1,
            Pixels::Rgb(_) => 3,
            Pixels::Rgba(_) => 4,
        }
    }

    /// The raw buffer (indices for a palette picture).
    pub fn bytes(&self) -> &[u8] {
        match &self.pixels {
            Pixels::Indexed { indices: data, .. } | Pixels::Gray(data) | Pixels::Rgb(data) | Pixels::Rgba(data) => data,
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.pixels {
            Pixels::Indexed { indices: data, .. } | Pixels::Gray(data) | Pixels::Rgb(data) | Pixels::Rgba(data) => data,
        }
    }

    /// The same layout (and palette) with other pixels, which must fit the size: for code that has just made them so.
    pub(crate) fn with_bytes(&self, width: u32, height: u32, data: Vec<u8>) -> Result<Self, RasterError> {
        let pixels = match &self.pixels {
            Pixels::Indexed { palette, .. } => Pixels::Indexed {
                indices: data,
                palette: palette.clone(),
            },
            Pixels::Gray(_) => Pixels::Gray(data),
            Pixels::Rgb(_) => Pixels::Rgb(data),
            Pixels::Rgba(_) => Pixels::Rgba(data),
        };
        Self::new(width, height, pixels)
    }

    /// Whether the layout can hold transparency: an alpha channel, or a palette with a translucent colour.
    pub fn has_alpha(&self) -> bool {
        match &self.pixels {
            Pixels::Indexed { palette, .. } => palette.iter().any(|color| color[3] != 255),
            Pixels::Rgba(_) => true,
            Pixels::Gray(_) | Pixels::Rgb(_) => false,
        }
    }

    /// Whether no pixel is transparent. Looks at the pixels only where the layout can hold transparency.
    pub fn is_opaque(&self) -> bool {
        match &self.pixels {
            Pixels::Gray(_) | Pixels::Rgb(_) => true,
            Pixels::Rgba(data) => data.chunks_exact(4).all(|pixel| pixel[3] == 255),
            Pixels::Indexed { indices, palette } => {
                !self.has_alpha() || {
                    let mut translucent = [false; 256];
                    for (flag, color) in translucent.iter_mut().zip(palette) {
                        *flag = color[3] != 255;
                    }
                    !indices.iter().any(|&index| translucent[usize::from(index)])
                }
            }
        }
    }

    /// RGBA of one pixel; `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 4]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let at = y as usize * self.width as usize + x as usize;
        match &self.pixels {
            Pixels::Indexed { indices, palette } => indices
                .get(at)
                .map(|&i| palette.get(usize::from(i)).copied().unwrap_or(OPAQUE_BLACK)),
            Pixels::Gray(data) => data.get(at).map(|&v| [v, v, v, 255]),
            Pixels::Rgb(data) => data.get(at * 3..at * 3 + 3).map(|p| [p[0], p[1], p[2], 255]),
            Pixels::Rgba(data) => data.get(at * 4..at * 4 + 4).map(|p| [p[0], p[1], p[2], p[3]]),
        }
    }

    /// The bytes of one row; empty outside.
    pub(crate) fn row(&self, y: u32) -> &[u8] {
        let stride = self.width as usize * self.bytes_per_pixel();
        let start = y as usize * stride;
        self.bytes().get(start..start + stride).unwrap_or_default()
    }

    /// RGB bytes, alpha dropped.
    pub fn to_rgb(&self) -> Cow<'_, [u8]> {
        match &self.pixels {
            Pixels::Rgb(data) => Cow::Borrowed(data),
            Pixels::Gray(data) => Cow::Owned(data.iter().flat_map(|&v| [v; 3]).collect()),
            Pixels::Rgba(data) => {
                let mut out = vec![0; data.len() / 4 * 3];
                for (to, from) in out.chunks_exact_mut(3).zip(data.chunks_exact(4)) {
                    to.copy_from_slice(&from[..3]);
                }
                Cow::Owned(out)
            }
            Pixels::Indexed { indices, palette } => {
                let table = full_palette(palette);
                let mut out = vec![0; indices.len() * 3];
                for (to, &index) in out.chunks_exact_mut(3).zip(indices) {
                    to.copy_from_slice(&table[usize::from(index)][..3]);
                }
                Cow::Owned(out)
            }
        }
    }

    /// RGBA bytes.
    pub fn to_rgba(&self) -> Cow<'_, [u8]> {
        match &self.pixels {
            Pixels::Rgba(data) => Cow::Borrowed(data),
            Pixels::Gray(data) => Cow::Owned(data.iter().flat_map(|&v| [v, v, v, 255]).collect()),
            Pixels::Rgb(data) => {
                let mut out = vec![255; data.len() / 3 * 4];
                for (to, from) in out.chunks_exact_mut(4).zip(data.chunks_exact(3)) {
                    to[..3].copy_from_slice(from);
                }
                Cow::Owned(out)
            }
            Pixels::Indexed { indices, palette } => {
                let table = full_palette(palette);
                let mut out = vec![0; indices.len() * 4];
                for (to, &index) in out.chunks_exact_mut(4).zip(indices) {
                    to.copy_from_slice(&table[usize::from(index)]);
                }
                Cow::Owned(out)
            }
        }
    }

    /// The picture as RGB, alpha dropped.
    #[must_use]
    pub fn into_rgb(self) -> Self {
        if matches!(self.pixels, Pixels::Rgb(_)) {
            return self;
        }
        let pixels = Pixels::Rgb(self.to_rgb().into_owned());
        Self { pixels, ..self }
    }

    /// The picture as RGBA.
    #[must_use]
    pub fn into_rgba(self) -> Self {
        if matches!(self.pixels, Pixels::Rgba(_)) {
            return self;
        }
        let pixels = Pixels::Rgba(self.to_rgba().into_owned());
        Self { pixels, ..self }
    }

    /// Luminance, ITU-R 601 in the integer arithmetic Pillow uses; alpha dropped.
    #[must_use]
    pub fn into_gray(self) -> Self {
        let gray = |r: u8, g: u8, b: u8| {
            let sum = u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000;
            (sum >> 16) as u8
        };
        let data = match &self.pixels {
            Pixels::Gray(_) => return self,
            Pixels::Rgb(data) => data.chunks_exact(3).map(|p| gray(p[0], p[1], p[2])).collect(),
            Pixels::Rgba(data) => data.chunks_exact(4).map(|p| gray(p[0], p[1], p[2])).collect(),
            Pixels::Indexed { indices, palette } => {
                let table = full_palette(palette).map(|c| gray(c[0], c[1], c[2]));
                indices.iter().map(|&index| table[usize::from(index)]).collect()
            }
        };
        Self {
            pixels: Pixels::Gray(data),
            ..self
        }
    }

    /// A palette picture as RGB, or as RGBA where a palette entry is translucent; others as they are.
    #[must_use]
    pub fn into_true_color(self) -> Self {
        match &self.pixels {
            Pixels::Indexed { .. } if self.has_alpha() => self.into_rgba(),
            Pixels::Indexed { .. } => self.into_rgb(),
            _ => self,
        }
    }

    /// The picture with every pixel opaque; its colours stay.
    #[must_use]
    pub fn into_opaque(self) -> Self {
        match self.pixels {
            Pixels::Rgba(_) => self.into_rgb(),
            Pixels::Indexed { indices, mut palette } => {
                for color in &mut palette {
                    color[3] = 255;
                }
                Self {
                    pixels: Pixels::Indexed { indices, palette },
                    ..self
                }
            }
            pixels => Self { pixels, ..self },
        }
    }

    /// The window of `width` x `height` pixels whose upper left corner is at (`x`, `y`), in the same layout.
    /// Where it reaches outside, the pixels are transparent (RGBA), black (gray, RGB), or index 0.
    ///
    /// # Errors
    /// The window is empty or too large.
    pub fn crop(&self, x: i64, y: i64, width: u32, height: u32) -> Result<Self, RasterError> {
        let bpp = self.bytes_per_pixel();
        let inside = x >= 0
            && y >= 0
            && x.checked_add(i64::from(width))
                .is_some_and(|end| end <= i64::from(self.width))
            && y.checked_add(i64::from(height))
                .is_some_and(|end| end <= i64::from(self.height));
        let len = checked_len(width, height)?;
        if inside {
            let mut data = Vec::with_capacity(len * bpp);
            let (start, end) = (x as usize * bpp, (x as usize + width as usize) * bpp);
            for row in y as u32..y as u32 + height {
                data.extend_from_slice(&self.row(row)[start..end]);
            }
            return self.with_bytes(width, height, data);
        }
        let mut data = vec![0; len * bpp];
        copy_rows(self, &mut data, width, height, x.saturating_neg(), y.saturating_neg());
        self.with_bytes(width, height, data)
    }
}

/// Copies the bytes of `from` into a buffer of `width` x `height` pixels of the same layout, its upper left corner at
/// (`x`, `y`); what falls outside is left out.
pub(crate) fn copy_rows(from: &Raster, to: &mut [u8], width: u32, height: u32, x: i64, y: i64) {
    let bpp = from.bytes_per_pixel();
    let Some(overlap) = Overlap::new(from.size(), (width, height), x, y) else {
        return;
    };
    let stride = width as usize * bpp;
    for row in 0..overlap.height {
        let source = &from.row(overlap.src_y + row)[overlap.src_x as usize * bpp..][..overlap.width as usize * bpp];
        let start = (overlap.dst_y + row) as usize * stride + overlap.dst_x as usize * bpp;
        to[start..start + source.len()].copy_from_slice(source);
    }
}

/// Writes pixels `x..` of row `y` as RGB (`BPP` 3, alpha dropped) or RGBA (4) until `out` is full. `table` is the full
/// palette of an indexed picture.
pub(crate) fn expand_row<const BPP: usize>(from: &Raster, table: &[[u8; 4]; 256], x: u32, y: u32, out: &mut [u8]) {
    let source = from
        .row(y)
        .get(x as usize * from.bytes_per_pixel()..)
        .unwrap_or_default();
    let pixels = out.chunks_exact_mut(BPP);
    match from.pixels() {
        Pixels::Indexed { .. } => {
            for (to, &index) in pixels.zip(source) {
                to.copy_from_slice(&table[usize::from(index)][..BPP]);
            }
        }
        Pixels::Gray(_) => {
            for (to, &value) in pixels.zip(source) {
                to.copy_from_slice(&[value, value, value, 255][..BPP]);
            }
        }
        Pixels::Rgb(_) if BPP == 3 => {
            let len = out.len().min(source.len());
            out[..len].copy_from_slice(&source[..len]);
        }
        Pixels::Rgba(_) if BPP == 4 => {
            let len = out.len().min(source.len());
            out[..len].copy_from_slice(&source[..len]);
        }
        Pixels::Rgb(_) => {
            for (to, from) in pixels.zip(source.chunks_exact(3)) {
                to.copy_from_slice(&[from[0], from[1], from[2], 255][..BPP]);
            }
        }
        Pixels::Rgba(_) => {
            for (to, from) in pixels.zip(source.chunks_exact(4)) {
                to.copy_from_slice(&from[..BPP]);
            }
        }
    }
}

/// [`full_palette`] of an indexed picture; of no use for others.
pub(crate) fn palette_table(raster: &Raster) -> [[u8; 4]; 256] {
    match raster.pixels() {
        Pixels::Indexed { palette, .. } => full_palette(palette),
        Pixels::Gray(_) | Pixels::Rgb(_) | Pixels::Rgba(_) => [OPAQUE_BLACK; 256],
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Window {
    /// All of any picture.
    pub(crate) const ALL: Self = Self {
        x: 0,
        y: 0,
        width: u32::MAX,
        height: u32::MAX,
    };

    /// A window of `size` whose upper left corner is here, if it lies within a picture.
    pub(crate) fn inside(picture: (u32, u32), (x, y): (i64, i64), (width, height): (u32, u32)) -> Option<Self> {
        let axis = |start: i64, len: u32, side: u32| {
            let start = u32::try_from(start).ok()?;
            (start.checked_add(len)? <= side).then_some(start)
        };
        let (x, y) = (axis(x, width, picture.0)?, axis(y, height, picture.1)?);
        Some(Self { x, y, width, height })
    }

    /// What of it lies in a picture of this size, but at least one pixel, the nearest.
    pub(crate) fn within(self, (width, height): (u32, u32)) -> Self {
        let axis = |start: u32, len: u32, side: u32| {
            let start = start.min(side.saturating_sub(1));
            (start, len.min(side - start).max(1))
        };
        let (x, width) = axis(self.x, self.width, width);
        let (y, height) = axis(self.y, self.height, height);
        Self { x, y, width, height }
    }
}

/// The part of a picture that lands on a canvas when its upper left corner is put at some position of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) src_x: u32,
    pub(crate) src_y: u32,
    pub(crate) dst_x: u32,
    pub(crate) dst_y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Overlap {
    pub(crate) fn new(src: (u32, u32), canvas: (u32, u32), x: i64, y: i64) -> Option<Self> {
        let axis = |src: u32, canvas: u32, at: i64| {
            let start = at.max(0);
            let end = at.saturating_add(i64::from(src)).min(i64::from(canvas));
            (start < end).then(|| ((start - at) as u32, start as u32, (end - start) as u32))
        };
        let (src_x, dst_x, width) = axis(src.0, canvas.0, x)?;
        let (src_y, dst_y, height) = axis(src.1, canvas.1, y)?;
        Some(Self {
            src_x,
            src_y,
            dst_x,
            dst_y,
            width,
            height,
        })
    }
}

/// What an index past the end of the palette stands for.
pub(crate) const OPAQUE_BLACK: [u8; 4] = [0, 0, 0, 255];

/// The palette with all 256 entries, so that every index has one.
pub(crate) fn full_palette(palette: &[[u8; 4]]) -> [[u8; 4]; 256] {
    let mut table = [OPAQUE_BLACK; 256];
    for (slot, color) in table.iter_mut().zip(palette) {
        *slot = *color;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(width: u32, height: u32) -> Raster {
        let data = (0..width * height).map(|i| i as u8).collect();
        Raster::new(width, height, Pixels::Gray(data)).unwrap()
    }

    #[test]
    fn buffers_that_do_not_fit_are_refused() {
        let check = |w, h, pixels, ok| assert_eq!(Raster::new(w, h, pixels).is_ok(), ok, "{w}x{h}");
        check(2, 2, Pixels::Gray(vec![0; 4]), true);
        check(2, 2, Pixels::Gray(vec![0; 5]), false);
        check(2, 2, Pixels::Rgb(vec![0; 12]), true);
        check(2, 2, Pixels::Rgba(vec![0; 12]), false);
        check(0, 2, Pixels::Gray(vec![]), false);
        check(u32::MAX, u32::MAX, Pixels::Gray(vec![]), false);
        check(
            1,
            1,
            Pixels::Indexed {
                indices: vec![0],
                palette: vec![],
            },
            false,
        );
        check(
            1,
            1,
            Pixels::Indexed {
                indices: vec![0],
                palette: vec![[0; 4]; 257],
            },
            false,
        );
    }

    #[test]
    fn crop_takes_a_window_and_fills_what_is_outside() {
        let image = gradient(4, 3);
        let check =
            |x, y, w, h, expect: &[u8]| assert_eq!(image.crop(x, y, w, h).unwrap().bytes(), expect, "{x},{y} {w}x{h}");
        check(0, 0, 4, 3, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        check(1, 1, 2, 2, &[5, 6, 9, 10]);
        check(-1, 0, 2, 1, &[0, 0]);
        check(3, 2, 2, 2, &[11, 0, 0, 0]);
        check(100, 100, 1, 1, &[0]);
        check(i64::MIN, i64::MAX, 1, 1, &[0]);
        assert!(image.crop(0, 0, u32::MAX, u32::MAX).is_err());
    }

    #[test]
    fn layouts_convert() {
        let palette = vec![[10, 20, 30, 255], [40, 50, 60, 128]];
        let image = Raster::new(
            3,
            1,
            Pixels::Indexed {
                indices: vec![0, 1, 9],
                palette,
            },
        )
        .unwrap();
        assert!(image.has_alpha());
        assert!(!image.is_opaque());
        assert_eq!(&*image.to_rgb(), &[10, 20, 30, 40, 50, 60, 0, 0, 0]);
        assert_eq!(&*image.to_rgba(), &[10, 20, 30, 255, 40, 50, 60, 128, 0, 0, 0, 255]);
        assert_eq!(image.pixel(1, 0), Some([40, 50, 60, 128]));
        assert_eq!(image.pixel(2, 0), Some(OPAQUE_BLACK));
        assert_eq!(image.pixel(3, 0), None);
        assert_eq!(image.clone().into_rgb().into_gray().bytes()[0], 18);
        assert!(matches!(image.into_true_color().pixels(), Pixels::Rgba(_)));
    }
}
