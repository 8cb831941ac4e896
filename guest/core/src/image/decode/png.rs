//! PNG to pixels with the `png` crate. Palettes of 1, 2, 4 and 8 bit become one index per byte.
//!
//! Of the usual pictures the crate reads the chunks and unpacks the data, and the filters are undone here.

mod rows;
#[cfg(test)]
mod tests;
mod unfilter;

use std::io::Cursor;

use ::png::chunk::{IDAT, IEND, IHDR};
use ::png::{BitDepth, ColorType, DecodeOptions, Decoded, Decoder, Info, StreamingDecoder, Transformations};

use super::{DecodeError, Limits};
use crate::image::raster::{Pixels, Raster, checked_len};

pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    // signature, length and type of IHDR, width, height
    let field = |at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_be_bytes)
    };
    if let (Some(b"IHDR"), Some(width), Some(height)) = (bytes.get(12..16), field(16), field(20)) {
        Ok((width, height))
    } else {
        Err(broken(&"it has no header"))
    }
}

fn broken(reason: &impl ToString) -> DecodeError {
    DecodeError::Broken {
        format: "png",
        reason: reason.to_string(),
    }
}

fn cut_off() -> DecodeError {
    broken(&"it is cut off")
}

/// The first `rows` rows; all of an interlaced picture, whose rows come in several passes.
pub(super) fn decode(bytes: &[u8], limits: &Limits, rows: u32) -> Result<Raster, DecodeError> {
    let mut decoder = StreamingDecoder::new_with_options(options());
    let mut rest = bytes;
    loop {
        let (used, what) = decoder.update(rest, None).map_err(|err| broken(&err))?;
        rest = &rest[used..];
        match what {
            Decoded::ChunkComplete(IHDR) => {
                let (width, height) = decoder.info().map_or((0, 0), Info::size);
                limits.check_size(width, height)?;
                checked_len(width, height)?;
            }
            Decoded::ChunkBegin(_, IDAT) => break,
            Decoded::ChunkComplete(IEND) => return Err(broken(&"it has no pixels")),
            _ if used == 0 => return Err(cut_off()),
            _ => {}
        }
    }
    let Some(info) = decoder.info().filter(|info| is_plain(info)) else {
        return decode_rare(bytes, rows);
    };
    let (color_type, bit_depth, palette) = (info.color_type, info.bit_depth, palette(info));
    let (width, height) = (info.width, rows.clamp(1, info.height));
    let samples = color_type.samples();
    let stride = (width as usize * bit_depth as usize * samples).div_ceil(8);
    let mut data = vec![0; stride * height as usize];
    rows::read(&mut decoder, rest, (stride, samples), &mut data)?;
    raster((width, height), (color_type, bit_depth), palette, data)
}

/// Text and colour profiles do not reach the map; not reading them also spares their decompression.
fn options() -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    options
}

/// Whether its rows are what we want as they are: indices or bytes, one pass, one picture.
fn is_plain(info: &Info<'_>) -> bool {
    let bytes = info.bit_depth == BitDepth::Eight;
    let as_wanted = match info.color_type {
        ColorType::Indexed => true,
        ColorType::Grayscale | ColorType::Rgb => bytes && info.trns.is_none(),
        ColorType::GrayscaleAlpha | ColorType::Rgba => bytes,
    };
    as_wanted && !info.interlaced && info.animation_control.is_none() && info.frame_control.is_none()
}

/// All the rest, of a picture within limits: interlaced, animated, of 1, 2, 4 or 16 bit, with tRNS as alpha.
fn decode_rare(bytes: &[u8], rows: u32) -> Result<Raster, DecodeError> {
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options());
    let header = decoder.read_header_info().map_err(|err| broken(&err))?;
    let (width, height) = (header.width, header.height);
    let indexed = header.color_type == ColorType::Indexed;
    let len = checked_len(width, height)?;
    // Palettes are kept; the rest becomes 8 bit with tRNS as alpha.
    decoder.set_transformations(if indexed {
        Transformations::IDENTITY
    } else {
        Transformations::EXPAND | Transformations::STRIP_16
    });
    // All else the crate may allocate for: one line, the window of the decompressor, small chunks.
    decoder.set_limits(::png::Limits {
        bytes: (len * 8).max(64 << 20),
    });
    let mut reader = decoder.read_info().map_err(|err| broken(&err))?;
    let size = reader.output_buffer_size().unwrap_or(usize::MAX);
    if size > len * 8 + height as usize {
        return Err(broken(&format!("its {width}x{height} pixels need {size} bytes")));
    }
    let interlaced = reader.info().interlaced;
    let height = if interlaced { height } else { rows.clamp(1, height) };
    let line_size = reader.output_line_size(width).unwrap_or(size);
    let mut data = vec![0; size.min(line_size * height as usize)];
    if interlaced {
        reader.next_frame(&mut data).map_err(|err| broken(&err))?;
    } else {
        for line in data.chunks_exact_mut(line_size.max(1)) {
            reader.read_row(line).map_err(|err| broken(&err))?;
        }
    }
    raster(
        (width, height),
        reader.output_color_type(),
        palette(reader.info()),
        data,
    )
}

fn palette(info: &Info<'_>) -> Vec<[u8; 4]> {
    let rgb = info.palette.as_deref().unwrap_or_default();
    let alpha = info.trns.as_deref().unwrap_or_default();
    let alpha = alpha.iter().copied().chain(std::iter::repeat(255));
    rgb.chunks_exact(3)
        .take(256)
        .zip(alpha)
        .map(|(color, alpha)| [color[0], color[1], color[2], alpha])
        .collect()
}

/// A picture of whole rows, whose samples are bytes, or indices into the palette of `bit_depth`.
fn raster(
    (width, height): (u32, u32),
    (color_type, bit_depth): (ColorType, BitDepth),
    palette: Vec<[u8; 4]>,
    data: Vec<u8>,
) -> Result<Raster, DecodeError> {
    let pixels = match color_type {
        ColorType::Indexed => {
            let indices = match bit_depth {
                BitDepth::One => unpack::<1>(&data, width),
                BitDepth::Two => unpack::<2>(&data, width),
                BitDepth::Four => unpack::<4>(&data, width),
                BitDepth::Eight | BitDepth::Sixteen => data,
            };
            Pixels::Indexed { indices, palette }
        }
        ColorType::Grayscale => Pixels::Gray(data),
        ColorType::GrayscaleAlpha => {
            Pixels::Rgba(data.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect())
        }
        ColorType::Rgb => Pixels::Rgb(data),
        ColorType::Rgba => Pixels::Rgba(data),
    };
    Ok(Raster::new(width, height, pixels)?)
}

/// One index per byte from rows of `BITS` per index, the first one in the highest bits.
fn unpack<const BITS: usize>(packed: &[u8], width: u32) -> Vec<u8> {
    let per_byte = 8 / BITS;
    let mask = (1_u8 << BITS) - 1;
    let width = width as usize;
    let stride = width.div_ceil(per_byte);
    let mut indices = Vec::with_capacity(packed.len() * per_byte);
    for row in packed.chunks_exact(stride.max(1)) {
        let start = indices.len();
        for &byte in row {
            indices.extend((0..per_byte).map(|i| (byte >> (8 - BITS * (i + 1))) & mask));
        }
        indices.truncate(start + width);
    }
    indices
}
