//! Pixels to GIF: 256 colours, one of them transparent where a pixel is.

use super::EncodeError;
use crate::image::quantize::quantize;
use crate::image::raster::{Pixels, Raster, full_palette};

pub(super) fn encode(raster: Raster) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = raster.size();
    let (Ok(w), Ok(h)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(EncodeError::Size {
            format: "gif",
            max: 65535,
            width,
            height,
        });
    };
    // A pixel is there or it is not.
    let raster = if raster.is_opaque() {
        raster.into_opaque()
    } else {
        let mut data = raster.into_rgba().into_pixels();
        if let Pixels::Rgba(data) = &mut data {
            for pixel in data.chunks_exact_mut(4) {
                match pixel[3] {
                    0..128 => pixel.copy_from_slice(&[0; 4]),
                    _ => pixel[3] = 255,
                }
            }
        }
        Raster::new(width, height, data)?
    };
    let raster = if matches!(raster.pixels(), Pixels::Indexed { .. }) {
        raster
    } else {
        quantize(&raster, 256)?
    };
    let Pixels::Indexed { indices, palette } = raster.into_pixels() else {
        unreachable!("quantize gives a palette")
    };
    let colors = full_palette(&palette);
    let used = palette
        .len()
        .max(usize::from(indices.iter().copied().max().unwrap_or(0)) + 1);
    let failed = |err: gif::EncodingError| EncodeError::Failed {
        format: "gif",
        reason: err.to_string(),
    };
    let rgb: Vec<u8> = colors[..used.min(256)]
        .iter()
        .flat_map(|color| [color[0], color[1], color[2]])
        .collect();
    let transparent = palette
        .iter()
        .position(|color| color[3] == 0)
        .and_then(|index| u8::try_from(index).ok());
    let mut out = Vec::with_capacity(indices.len() / 3 + 1024);
    let mut encoder = gif::Encoder::new(&mut out, w, h, &rgb).map_err(failed)?;
    let frame = gif::Frame {
        width: w,
        height: h,
        buffer: indices.into(),
        transparent,
        ..gif::Frame::default()
    };
    encoder.write_frame(&frame).map_err(failed)?;
    drop(encoder);
    Ok(out)
}
