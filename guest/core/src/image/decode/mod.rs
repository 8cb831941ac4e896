//! Encoded bytes to pixels, by magic bytes and within limits. Whatever arrives, the answer is a picture or an error.
//!
//! PNG and JPEG go straight to their codecs (palettes stay palettes), the rarer formats through the `image` crate.

mod jpeg;
mod other;
mod png;

use super::options::ImageFormat;
use super::raster::{Raster, RasterError, Window};

/// What a picture may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Encoded size in bytes.
    pub bytes: usize,
    /// Width and height in pixels.
    pub side: u32,
    /// Width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// 128 MiB encoded, 65535 pixels along one side, 100 million pixels.
    fn default() -> Self {
        Self {
            bytes: 128 << 20,
            side: 65535,
            pixels: 100_000_000,
        }
    }
}

impl Limits {
    fn check_size(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        let pixels = u64::from(width) * u64::from(height);
        if width > self.side || height > self.side || pixels > self.pixels {
            return Err(DecodeError::TooLarge {
                width,
                height,
                side: self.side,
                pixels: self.pixels,
            });
        }
        Ok(())
    }
}

/// Why bytes did not become pixels. All of these are the fault of whoever sent the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No format we know begins like this.
    #[error("not an image: begins with `{start}`, expected png, jpeg, gif, tiff, webp or bmp")]
    Unknown { start: String },
    /// There are no bytes at all.
    #[error("not an image: empty")]
    Empty,
    /// More encoded bytes than allowed.
    #[error("image of {bytes} bytes is too large, the limit is {limit}")]
    TooManyBytes { bytes: usize, limit: usize },
    /// More pixels than allowed.
    #[error("image of {width}x{height} pixels is too large, the limit is {pixels} pixels and {side} along a side")]
    TooLarge {
        width: u32,
        height: u32,
        side: u32,
        pixels: u64,
    },
    /// Starts like a picture, but the codec gave up.
    #[error("broken {format} image: {reason}")]
    Broken { format: &'static str, reason: String },
    /// The codec's answer does not fit together.
    #[error(transparent)]
    Raster(#[from] RasterError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magic {
    Png,
    Jpeg,
    Gif,
    Tiff,
    WebP,
    Bmp,
}

fn magic(bytes: &[u8]) -> Option<Magic> {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    if starts(b"\x89PNG\r\n\x1a\n") {
        Some(Magic::Png)
    } else if starts(b"\xff\xd8\xff") {
        Some(Magic::Jpeg)
    } else if starts(b"GIF8") {
        Some(Magic::Gif)
    } else if starts(b"II*\0") || starts(b"MM\0*") || starts(b"II+\0") || starts(b"MM\0+") {
        Some(Magic::Tiff)
    } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(Magic::WebP)
    } else if starts(b"BM") {
        Some(Magic::Bmp)
    } else {
        None
    }
}

fn known_magic(bytes: &[u8]) -> Result<Magic, DecodeError> {
    magic(bytes).ok_or_else(|| {
        if bytes.is_empty() {
            return DecodeError::Empty;
        }
        let head = &bytes[..bytes.len().min(24)];
        DecodeError::Unknown {
            start: head.escape_ascii().to_string(),
        }
    })
}

/// The format of these bytes by their first ones; `None` if it is none of ours.
pub fn peek_format(bytes: &[u8]) -> Option<ImageFormat> {
    Some(match magic(bytes)? {
        Magic::Png => ImageFormat::PNG,
        Magic::Jpeg => ImageFormat::JPEG,
        Magic::Gif => ImageFormat::GIF,
        Magic::Tiff => ImageFormat::TIFF,
        Magic::WebP => ImageFormat::WEBP,
        Magic::Bmp => ImageFormat::BMP,
    })
}

/// Width and height from the header.
pub fn peek_size(bytes: &[u8]) -> Result<(u32, u32), DecodeError> {
    match known_magic(bytes)? {
        Magic::Png => png::size(bytes),
        Magic::Jpeg => jpeg::size(bytes),
        Magic::Gif => other::size(bytes, image::ImageFormat::Gif),
        Magic::Tiff => other::size(bytes, image::ImageFormat::Tiff),
        Magic::WebP => other::size(bytes, image::ImageFormat::WebP),
        Magic::Bmp => other::size(bytes, image::ImageFormat::Bmp),
    }
}

/// The pixels of an encoded picture. Palette PNGs stay indexed, 16 bit channels become 8 bit; of an animation the
/// first picture is taken.
///
/// # Errors
/// No picture, a broken one, or one above the limits.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Raster, DecodeError> {
    decode_part(bytes, limits, Window::ALL).map(|(raster, _)| raster)
}

/// What of the picture lies in the window, or more where a codec has no use for knowing that the rest does not show; and
/// where in the picture the upper left corner of these pixels is. Of a picture outside the window, the nearest pixel.
///
/// # Errors
/// As [`decode`]; what comes after these pixels may be broken.
pub(super) fn decode_part(bytes: &[u8], limits: &Limits, window: Window) -> Result<(Raster, (u32, u32)), DecodeError> {
    if bytes.len() > limits.bytes {
        return Err(DecodeError::TooManyBytes {
            bytes: bytes.len(),
            limit: limits.bytes,
        });
    }
    let raster = match known_magic(bytes)? {
        Magic::Jpeg => return jpeg::decode(bytes, limits, window),
        Magic::Png => png::decode(bytes, limits, window.y.saturating_add(window.height)),
        Magic::Gif => other::decode(bytes, image::ImageFormat::Gif, limits),
        Magic::Tiff => other::decode(bytes, image::ImageFormat::Tiff, limits),
        Magic::WebP => other::decode(bytes, image::ImageFormat::WebP, limits),
        Magic::Bmp => other::decode(bytes, image::ImageFormat::Bmp, limits),
    }?;
    Ok((raster, (0, 0)))
}

#[cfg(test)]
mod tests;
