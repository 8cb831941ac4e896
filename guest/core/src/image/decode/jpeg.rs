//! JPEG to pixels: gray stays gray, everything else (YCbCr, RGB, CMYK, YCCK) becomes RGB.
//!
//! What is neither ours ([`Header`]) nor whole goes to zune-jpeg, which knows more kinds and goes on where data is wrong.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{DecodeError, Limits};
use crate::image::jpeg::Header;
use crate::image::raster::{Pixels, Raster, Window};

fn broken(error: &DecodeErrors) -> DecodeError {
    DecodeError::Broken {
        format: "jpeg",
        reason: error.to_string(),
    }
}

fn options(side: u32) -> DecoderOptions {
    DecoderOptions::default()
        .set_max_width(side as usize)
        .set_max_height(side as usize)
}

fn dimensions(decoder: &JpegDecoder<ZCursor<&[u8]>>) -> Result<(u32, u32), DecodeError> {
    let missing = || DecodeError::Broken {
        format: "jpeg",
        reason: "it has no size".to_owned(),
    };
    let (width, height) = decoder.dimensions().ok_or_else(missing)?;
    u32::try_from(width)
        .ok()
        .zip(u32::try_from(height).ok())
        .ok_or_else(missing)
}

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(65535));
    decoder.decode_headers().map_err(|err| broken(&err))?;
    dimensions(&decoder)
}

/// The decoder fills what is missing with gray, so a file that was cut off is told by its missing end marker. It must
/// be near the end: an embedded thumbnail has one of its own.
fn is_complete(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(64 << 10)..];
    tail.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}

fn raster(width: u32, height: u32, gray: bool, data: Vec<u8>) -> Result<Raster, DecodeError> {
    let pixels = if gray { Pixels::Gray(data) } else { Pixels::Rgb(data) };
    Ok(Raster::new(width, height, pixels)?)
}

/// The pixels of the window, or all, and where they begin.
pub(super) fn decode(bytes: &[u8], limits: &Limits, window: Window) -> Result<(Raster, (u32, u32)), DecodeError> {
    if let Some(header) = Header::parse(bytes)
        && let (width, height) = header.size()
        && limits.check_size(width, height).is_ok()
        && is_complete(bytes)
        && let window = window.within(header.size())
        && let Some(data) = header.decode(window)
    {
        let raster = raster(window.width, window.height, header.is_gray(), data)?;
        return Ok((raster, (window.x, window.y)));
    }
    Ok((decode_any(bytes, limits)?, (0, 0)))
}

pub(super) fn decode_any(bytes: &[u8], limits: &Limits) -> Result<Raster, DecodeError> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(limits.side));
    decoder.decode_headers().map_err(|err| broken(&err))?;
    let (width, height) = dimensions(&decoder)?;
    limits.check_size(width, height)?;
    if !is_complete(bytes) {
        return Err(DecodeError::Broken {
            format: "jpeg",
            reason: "it is cut off".to_owned(),
        });
    }
    let gray = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma));
    let out = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options(limits.side).jpeg_set_out_colorspace(out));
    let data = decoder.decode().map_err(|err| broken(&err))?;
    raster(width, height, gray, data)
}
