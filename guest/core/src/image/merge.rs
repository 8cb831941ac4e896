//! Several pictures over each other, the first one lowest (section 15; MapProxy's `image/merge.py`). The arithmetic is
//! Pillow's `alpha_composite`, `paste` and `blend`, so that maps equal MapProxy's.

use super::map_image::{Cacheability, MapImage, MapImageError};
use super::mask::Mask;
use super::options::ImageOptions;
use super::raster::{Overlap, Pixels, Raster, RasterError, checked_len, expand_row, palette_table};

/// One picture of a stack.
#[derive(Debug)]
pub struct Layer {
    /// The picture; its options say whether it is transparent and how opaque it is drawn (`opacity`).
    pub image: MapImage,
    /// What is shown of it: the coverage, if that clips. As large as the picture; what a smaller one does not cover is
    /// not shown.
    pub mask: Option<Mask>,
    /// Where its upper left corner lies in the result, in pixels.
    pub offset: (i64, i64),
}

impl From<MapImage> for Layer {
    fn from(image: MapImage) -> Self {
        Self {
            image,
            mask: None,
            offset: (0, 0),
        }
    }
}

/// The layers on one canvas: RGBA if the options are transparent, RGB on the background colour otherwise. One layer
/// that needs nothing done passes through as it is, encoded bytes and all (and, as in MapProxy, whatever its opacity).
///
/// The canvas has the given size, else that of the first layer. `clip` shows a part of the result alone, as large as
/// the canvas. The result may be stored if all the layers may.
///
/// # Errors
/// A layer is no picture, or there is neither a size nor a layer.
pub fn merge(
    mut layers: Vec<Layer>,
    options: &ImageOptions,
    size: Option<(u32, u32)>,
    clip: Option<&Mask>,
) -> Result<MapImage, MapImageError> {
    let size = match (size, layers.first()) {
        (Some(size), _) => size,
        (None, Some(layer)) => layer.image.size()?,
        (None, None) => return Err(RasterError::Size { width: 0, height: 0 }.into()),
    };
    if clip.is_none() && layers.len() == 1 && passes(&mut layers[0], options, size)? {
        // Exactly one, as just seen.
        return layers
            .pop()
            .map(|layer| layer.image)
            .ok_or(RasterError::Size { width: 0, height: 0 }.into());
    }
    let cacheability = Cacheability {
        cacheable: layers.iter().all(|layer| layer.image.cacheability.cacheable),
        ..Cacheability::default()
    };
    let georeference = layers.iter().find_map(|layer| layer.image.georeference);
    let mut canvas = Canvas::new(size, options)?;
    for layer in &mut layers {
        let (mask, offset) = (layer.mask.as_ref(), layer.offset);
        let opacity = layer.image.options.opacity;
        canvas.draw(layer.image.raster()?, offset, opacity, mask);
    }
    if let Some(clip) = clip {
        canvas.clip(clip, options);
    }
    let mut image = MapImage::from_raster(canvas.into_raster()?, options.clone()).with_cacheability(cacheability);
    image.georeference = georeference;
    Ok(image)
}

/// Whether a lone layer is the result.
fn passes(layer: &mut Layer, options: &ImageOptions, size: (u32, u32)) -> Result<bool, MapImageError> {
    if layer.mask.is_some() || layer.offset != (0, 0) || layer.image.size()? != size {
        return Ok(false);
    }
    if options.is_transparent() || !layer.image.options.is_transparent() {
        return Ok(true);
    }
    // It might be transparent, but not every picture that might is.
    Ok(layer.image.options.opacity.is_none_or(|opacity| opacity >= 1.0) && !layer.image.raster()?.has_alpha())
}

/// The picture the layers are drawn on.
#[derive(Debug)]
struct Canvas {
    width: u32,
    height: u32,
    /// 3 or 4 bytes per pixel.
    bpp: usize,
    data: Vec<u8>,
}

impl Canvas {
    fn new((width, height): (u32, u32), options: &ImageOptions) -> Result<Self, RasterError> {
        let len = checked_len(width, height)?;
        let bpp = if options.is_transparent() { 4 } else { 3 };
        let background = options.background();
        let data = match bpp {
            // as clear as any other colour, but it is what shows where the alpha is dropped later
            4 => [background[0], background[1], background[2], 0].repeat(len),
            _ if background.iter().all(|channel| *channel == background[0]) => vec![background[0]; len * 3],
            _ => background.repeat(len),
        };
        Ok(Self {
            width,
            height,
            bpp,
            data,
        })
    }

    fn into_raster(self) -> Result<Raster, RasterError> {
        let pixels = if self.bpp == 4 {
            Pixels::Rgba(self.data)
        } else {
            Pixels::Rgb(self.data)
        };
        Raster::new(self.width, self.height, pixels)
    }

    fn draw(&mut self, image: &Raster, offset: (i64, i64), opacity: Option<f32>, mask: Option<&Mask>) {
        let Some(overlap) = Overlap::new(image.size(), (self.width, self.height), offset.0, offset.1) else {
            return;
        };
        let opacity = opacity.filter(|opacity| *opacity < 1.0).map(|opacity| opacity.max(0.0));
        let table = palette_table(image);
        let opaque = opacity.is_none() && mask.is_none() && !image.has_alpha();
        let columns = overlap.width as usize;
        let mut pixels = vec![0; columns * 4];
        for row in 0..overlap.height {
            let y = overlap.src_y + row;
            let start = ((overlap.dst_y + row) as usize * self.width as usize + overlap.dst_x as usize) * self.bpp;
            let out = &mut self.data[start..start + columns * self.bpp];
            if opaque {
                match self.bpp {
                    3 => expand_row::<3>(image, &table, overlap.src_x, y, out),
                    _ => expand_row::<4>(image, &table, overlap.src_x, y, out),
                }
                continue;
            }
            expand_row::<4>(image, &table, overlap.src_x, y, &mut pixels);
            // Pillow blends two RGB pictures in floating point.
            if let (3, Some(opacity), None, false) = (self.bpp, opacity, mask, image.has_alpha()) {
                for (to, from) in out.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
                    for (to, from) in to.iter_mut().zip(from) {
                        *to = (f32::from(*to) + opacity * (f32::from(*from) - f32::from(*to))) as u8;
                    }
                }
                continue;
            }
            // MapProxy forgets the alpha of a layer with opacity when the map is opaque, so that clear pixels tint it.
            // Here both count, as they do in a transparent map.
            if let Some(opacity) = opacity {
                let opacity = (opacity * 255.0) as u32;
                for pixel in pixels.chunks_exact_mut(4) {
                    pixel[3] = (u32::from(pixel[3]) * opacity / 255) as u8;
                }
            }
            if let Some(mask) = mask {
                mask.apply(&mut pixels, overlap.src_x, y);
            }
            match self.bpp {
                3 => paste(out, &pixels),
                _ => alpha_composite(out, &pixels),
            }
        }
    }

    fn clip(&mut self, mask: &Mask, options: &ImageOptions) {
        let background = options.background();
        for (y, row) in (0..).zip(self.data.chunks_exact_mut(self.width as usize * self.bpp)) {
            if self.bpp == 4 {
                mask.apply(row, 0, y);
                continue;
            }
            for (x, pixel) in (0..).zip(row.chunks_exact_mut(3)) {
                let alpha = mask.alpha(x, y);
                for (channel, background) in pixel.iter_mut().zip(background) {
                    *channel = mix(background, *channel, alpha);
                }
            }
        }
    }
}

/// One picture drawn over another at an offset in pixels. The result is RGBA if the lower one may be transparent.
///
/// # Errors
/// None in practice: the size is that of a picture.
pub(crate) fn draw_over(base: Raster, above: &Raster, offset: (i64, i64)) -> Result<Raster, RasterError> {
    let base = if base.has_alpha() {
        base.into_rgba()
    } else {
        base.into_rgb()
    };
    let (width, height) = base.size();
    let bpp = base.bytes_per_pixel();
    let (Pixels::Rgb(data) | Pixels::Rgba(data) | Pixels::Gray(data) | Pixels::Indexed { indices: data, .. }) =
        base.into_pixels();
    let mut canvas = Canvas {
        width,
        height,
        bpp,
        data,
    };
    canvas.draw(above, offset, None, None);
    canvas.into_raster()
}

/// `round(value / 255)`, as Pillow does it.
fn div255(value: u32) -> u32 {
    let value = value + 128;
    ((value >> 8) + value) >> 8
}

fn mix(below: u8, above: u8, alpha: u8) -> u8 {
    div255(u32::from(below) * (255 - u32::from(alpha)) + u32::from(above) * u32::from(alpha)) as u8
}

/// RGBA over RGB.
fn paste(out: &mut [u8], pixels: &[u8]) {
    for (to, from) in out.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
        match from[3] {
            0 => {}
            255 => to.copy_from_slice(&from[..3]),
            alpha => {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = mix(*to, *from, alpha);
                }
            }
        }
    }
}

/// RGBA over RGBA.
fn alpha_composite(out: &mut [u8], pixels: &[u8]) {
    const PRECISION: u32 = 7;
    for (to, from) in out.chunks_exact_mut(4).zip(pixels.chunks_exact(4)) {
        match (from[3], to[3]) {
            (0, _) => {}
            (255, _) | (_, 0) => to.copy_from_slice(from),
            (above, below) => {
                let (above, below) = (u32::from(above), u32::from(below));
                let alpha255 = above * 255 + below * (255 - above);
                let share = above * 255 * 255 * (1 << PRECISION) / alpha255;
                let rest = 255 * (1 << PRECISION) - share;
                for (to, from) in to[..3].iter_mut().zip(from) {
                    let value = u32::from(*from) * share + u32::from(*to) * rest + (0x80 << PRECISION);
                    *to = ((((value >> 8) + value) >> 8) >> PRECISION) as u8;
                }
                to[3] = div255(alpha255) as u8;
            }
        }
    }
}

/// Where `part` lies in a picture of `size` pixels that covers `whole` (bboxes: minx, miny, maxx, maxy): the size of the
/// part, the position of its upper left corner, and the bbox they have in common. Pixel positions are cut to whole
/// numbers.
pub fn position_in_image(whole: [f64; 4], size: (u32, u32), part: [f64; 4]) -> ((u32, u32), (u32, u32), [f64; 4]) {
    let common = [
        whole[0].max(part[0]),
        whole[1].max(part[1]),
        whole[2].min(part[2]),
        whole[3].min(part[3]),
    ];
    let x = |x: f64| ((x - whole[0]) / (whole[2] - whole[0]) * f64::from(size.0)).clamp(0.0, f64::from(size.0)) as u32;
    let y = |y: f64| ((whole[3] - y) / (whole[3] - whole[1]) * f64::from(size.1)).clamp(0.0, f64::from(size.1)) as u32;
    let (left, top, right, bottom) = (x(common[0]), y(common[3]), x(common[2]), y(common[1]));
    ((right.abs_diff(left), bottom.abs_diff(top)), (left, top), common)
}

/// A part of a map at its place in the whole: everything around it is transparent.
///
/// # Errors
/// The part is no picture, or the size is out of range.
pub fn place_in_image(
    part: MapImage,
    offset: (u32, u32),
    size: (u32, u32),
    options: &ImageOptions,
) -> Result<MapImage, MapImageError> {
    let options = ImageOptions {
        transparent: Some(true),
        ..options.clone()
    };
    let cacheability = part.cacheability;
    let offset = (i64::from(offset.0), i64::from(offset.1));
    let mut canvas = Canvas::new(size, &options)?;
    canvas.draw(&part.into_raster()?, offset, None, None);
    Ok(MapImage::from_raster(canvas.into_raster()?, options).with_cacheability(cacheability))
}

#[cfg(test)]
mod tests;
