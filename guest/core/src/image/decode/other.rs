//! GIF, TIFF, WebP and BMP to pixels with the `image` crate.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::{DecodeError, Limits};
use crate::image::raster::{Pixels, Raster};

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Gif => "gif",
        ImageFormat::Tiff => "tiff",
        ImageFormat::WebP => "webp",
        _ => "bmp",
    }
}

fn broken(format: ImageFormat, error: &ImageError) -> DecodeError {
    DecodeError::Broken {
        format: name(format),
        reason: error.to_string(),
    }
}

pub(super) fn size(bytes: &[u8], format: ImageFormat) -> Result<(u32, u32), DecodeError> {
    ImageReader::with_format(Cursor::new(bytes), format)
        .into_dimensions()
        .map_err(|err| broken(format, &err))
}

pub(super) fn decode(bytes: &[u8], format: ImageFormat, limits: &Limits) -> Result<Raster, DecodeError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut crate_limits = image::Limits::default();
    crate_limits.max_image_width = Some(limits.side);
    crate_limits.max_image_height = Some(limits.side);
    // 16 bit RGBA, and a second buffer beside the result
    crate_limits.max_alloc = Some(limits.pixels.saturating_mul(16));
    reader.limits(crate_limits);
    let decoder = reader.into_decoder().map_err(|err| broken(format, &err))?;
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    let color = decoder.color_type();
    let image = DynamicImage::from_decoder(decoder).map_err(|err| broken(format, &err))?;
    let pixels = match color {
        ColorType::L8 | ColorType::L16 => Pixels::Gray(image.into_luma8().into_raw()),
        _ if color.has_alpha() => {
            let data = image.into_rgba8().into_raw();
            // A GIF always comes with alpha: without use it would only make everything after it slower.
            if data.chunks_exact(4).all(|pixel| pixel[3] == 255) {
                Pixels::Rgb(data.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect())
            } else {
                Pixels::Rgba(data)
            }
        }
        _ => Pixels::Rgb(image.into_rgb8().into_raw()),
    };
    Ok(Raster::new(width, height, pixels)?)
}
