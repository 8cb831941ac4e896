//! PNG to pixels with the `png` crate. Palettes of 1, 2, 4 and 8 bit become one index per byte.

use std::io::Cursor;

use ::png::{BitDepth, ColorType, Decoder, Transformations};

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
        Err(DecodeError::Broken {
            format: "png",
            reason: "it has no header".to_owned(),
        })
    }
}

fn broken(error: &::png::DecodingError) -> DecodeError {
    DecodeError::Broken {
        format: "png",
        reason: error.to_string(),
    }
}

/// The first `rows` rows; all of an interlaced picture, whose rows come in several passes.
pub(super) fn decode(bytes: &[u8], limits: &Limits, rows: u32) -> Result<Raster, DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    // Text and colour profiles do not reach the map; not reading them also spares their decompression.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(|err| broken(&err))?;
    let (width, height) = (header.width, header.height);
    let indexed = header.color_type == ColorType::Indexed;
    limits.check_size(width, height)?;
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
        return Err(DecodeError::Broken {
            format: "png",
            reason: format!("its {width}x{height} pixels need {size} bytes"),
        });
    }
    let (color_type, bit_depth) = reader.output_color_type();
    let line_size = reader.output_line_size(width).unwrap_or(size);
    let height = if reader.info().interlaced {
        height
    } else {
        rows.clamp(1, height)
    };
    let mut data = vec![0; size.min(line_size * height as usize)];
    if reader.info().interlaced {
        reader.next_frame(&mut data).map_err(|err| broken(&err))?;
    } else {
        for line in data.chunks_exact_mut(line_size.max(1)) {
            reader.read_row(line).map_err(|err| broken(&err))?;
        }
    }
    let pixels = match color_type {
        ColorType::Indexed => {
            let info = reader.info();
            let palette = palette(
                info.palette.as_deref().unwrap_or_default(),
                info.trns.as_deref().unwrap_or_default(),
            );
            let indices = match bit_depth {
                BitDepth::One => unpack::<1>(&data, width, line_size),
                BitDepth::Two => unpack::<2>(&data, width, line_size),
                BitDepth::Four => unpack::<4>(&data, width, line_size),
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

fn palette(rgb: &[u8], alpha: &[u8]) -> Vec<[u8; 4]> {
    let alpha = alpha.iter().copied().chain(std::iter::repeat(255));
    rgb.chunks_exact(3)
        .take(256)
        .zip(alpha)
        .map(|(color, alpha)| [color[0], color[1], color[2], alpha])
        .collect()
}

/// One index per byte from rows of `BITS` per index, the first one in the highest bits.
fn unpack<const BITS: usize>(packed: &[u8], width: u32, stride: usize) -> Vec<u8> {
    let per_byte = 8 / BITS;
    let mask = (1_u8 << BITS) - 1;
    let width = width as usize;
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
