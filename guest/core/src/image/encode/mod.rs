//! Pixels to encoded bytes, in the format and with the number of colours the options name (section 15; MapProxy's
//! `img_to_buf`).

mod gif;
mod jpeg;
mod png;
mod tiff;

use std::io::Cursor;

use super::map_image::GeoReference;
use super::options::{ImageFormat, ImageOptions, Mode};
use super::quantize::{quantize, used_colors};
use super::raster::{Pixels, Raster, RasterError};

/// Why a picture could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Nobody here writes this format: a matter of configuration.
    #[error("cannot write images as `{format}`, expected png, jpeg, gif, tiff, geotiff, webp, bmp or mixed")]
    UnknownFormat { format: String },
    /// The format has no room for so many pixels.
    #[error("{format} images are at most {max} pixels wide and high, got {width}x{height}")]
    Size {
        format: &'static str,
        max: u32,
        width: u32,
        height: u32,
    },
    /// The codec gave up.
    #[error("cannot write {format} image: {reason}")]
    Failed { format: &'static str, reason: String },
    /// The pixels do not fit together.
    #[error(transparent)]
    Raster(#[from] RasterError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Png,
    Jpeg,
    Gif,
    Tiff,
    GeoTiff,
    WebP,
    Bmp,
    /// PNG for translucent pictures, JPEG for opaque ones.
    Mixed,
}

fn codec(format: &ImageFormat) -> Result<Codec, EncodeError> {
    match format.ext().to_ascii_lowercase().as_str() {
        // `png8` and `png24` are names some servers know.
        png if png.starts_with("png") => Ok(Codec::Png),
        "jpeg" | "jpg" => Ok(Codec::Jpeg),
        "gif" => Ok(Codec::Gif),
        "tiff" | "tif" => Ok(Codec::Tiff),
        "geotiff" => Ok(Codec::GeoTiff),
        "webp" => Ok(Codec::WebP),
        "bmp" => Ok(Codec::Bmp),
        "mixed" | "vnd.jpeg-png" => Ok(Codec::Mixed),
        _ => Err(EncodeError::UnknownFormat {
            format: format.name().to_owned(),
        }),
    }
}

/// Whether [`encode`] can write this format; for the check of a configuration.
pub fn can_encode(format: &ImageFormat) -> bool {
    codec(format).is_ok()
}

/// The picture in the format of the options, PNG where they name none.
///
/// PNG: at most `colors` colours (see [`ImageOptions::png_colors`]; alpha is kept in a palette only where the options
/// are transparent), true colour with `colors: 0` or an RGB mode. JPEG: alpha is dropped, so put the picture on its
/// background before. TIFF and PNG keep alpha otherwise.
///
/// # Errors
/// An unknown format, or a picture too large for it.
pub fn encode(
    raster: Raster,
    options: &ImageOptions,
    georeference: Option<&GeoReference>,
) -> Result<Vec<u8>, EncodeError> {
    let format = options.format.as_ref().unwrap_or(&ImageFormat::PNG);
    match codec(format)? {
        Codec::Png => png(raster, options),
        Codec::Jpeg => jpeg::encode(&raster, options),
        Codec::Gif => gif::encode(raster),
        Codec::Tiff | Codec::GeoTiff => tiff::encode(&with_mode(raster, options), options, georeference),
        Codec::WebP => webp(&with_mode(raster, options).into_true_color()),
        Codec::Bmp => bmp(&raster.into_rgb()),
        Codec::Mixed if raster.is_opaque() => jpeg::encode(&raster, options),
        // MapProxy writes the translucent tiles of a mixed cache in true colour, unless told how many colours.
        Codec::Mixed => match options.colors {
            Some(colors) if colors > 0 => png(
                raster,
                &ImageOptions {
                    transparent: Some(true),
                    ..options.clone()
                },
            ),
            _ => png::encode(&raster.into_rgba()),
        },
    }
}

/// The picture with the bands that the options name, where they do.
fn with_mode(raster: Raster, options: &ImageOptions) -> Raster {
    match options.mode {
        Some(Mode::Rgb) => raster.into_rgb(),
        Some(Mode::Rgba) => raster.into_rgba(),
        Some(Mode::L | Mode::I) => raster.into_gray(),
        Some(Mode::P) | None => raster,
    }
}

/// How many colours the palettes of PNGs have with these options; 0 for true colour.
fn png_palette(options: &ImageOptions) -> usize {
    match (options.mode, options.colors) {
        // MapProxy makes a palette and expands it again; the true colours are nothing but better.
        (Some(Mode::Rgb | Mode::Rgba | Mode::L | Mode::I), None) => 0,
        (Some(Mode::P), None | Some(0)) => 256,
        _ => usize::from(options.png_colors()).min(256),
    }
}

/// How many colours the palettes of pictures with these options have; `None` where pictures get no palette, or only
/// some of them.
pub(super) fn palette_size(options: &ImageOptions) -> Option<usize> {
    let format = options.format.as_ref().unwrap_or(&ImageFormat::PNG);
    match codec(format) {
        Ok(Codec::Png) => Some(png_palette(options)).filter(|colors| *colors > 0),
        _ => None,
    }
}

fn png(raster: Raster, options: &ImageOptions) -> Result<Vec<u8>, EncodeError> {
    let colors = png_palette(options);
    if colors == 0 {
        return png::encode(&with_mode(raster, options).into_true_color());
    }
    let raster = if options.is_transparent() {
        raster
    } else {
        without_alpha(raster)
    };
    // 255 is only MapProxy's way to say "some palette": a full one is not worth another round.
    let enough = if options.colors.is_none() { 256 } else { colors };
    let raster = match raster.pixels() {
        Pixels::Indexed { palette, .. } if palette.len() <= enough => raster,
        Pixels::Indexed { indices, palette } if used_colors(indices, palette.len()) <= enough => raster,
        _ => quantize(&raster, colors)?,
    };
    png::encode(&with_mode(raster, options))
}

/// The picture with opaque colours, alpha dropped.
fn without_alpha(raster: Raster) -> Raster {
    if !raster.has_alpha() {
        return raster;
    }
    raster.into_opaque()
}

fn with_image_crate(
    raster: &Raster,
    format: &'static str,
    write: impl FnOnce(&mut Cursor<Vec<u8>>, image::ExtendedColorType) -> Result<(), image::ImageError>,
) -> Result<Vec<u8>, EncodeError> {
    let color = match raster.pixels() {
        Pixels::Gray(_) | Pixels::Indexed { .. } => image::ExtendedColorType::L8,
        Pixels::Rgb(_) => image::ExtendedColorType::Rgb8,
        Pixels::Rgba(_) => image::ExtendedColorType::Rgba8,
    };
    let mut out = Cursor::new(Vec::new());
    write(&mut out, color).map_err(|err| EncodeError::Failed {
        format,
        reason: err.to_string(),
    })?;
    Ok(out.into_inner())
}

fn webp(raster: &Raster) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = raster.size();
    with_image_crate(raster, "webp", |out, color| {
        image::codecs::webp::WebPEncoder::new_lossless(out).encode(raster.bytes(), width, height, color)
    })
}

fn bmp(raster: &Raster) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = raster.size();
    with_image_crate(raster, "bmp", |out, color| {
        image::codecs::bmp::BmpEncoder::new(out).encode(raster.bytes(), width, height, color)
    })
}

#[cfg(test)]
mod tests;
