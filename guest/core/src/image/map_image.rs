//! `MapImage`: a picture on its way from a source or cache to the answer, decoded only if somebody looks at its pixels
//! and encoded again only if its format or mode is not the one asked for (section 15; MapProxy's `ImageResult`).

use std::borrow::Cow;

use crate::platform::UnixTime;

use super::decode::{DecodeError, Limits, decode, decode_part, peek_format, peek_size};
use super::encode::{EncodeError, encode};
use super::options::{ImageFormat, ImageOptions};
use super::raster::{Raster, Window};

/// Whether an answer may be stored, and how old it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cacheability {
    /// `false` after an error that was painted over.
    pub cacheable: bool,
    /// Stands in for a source that failed: an older stored tile may be served instead.
    pub authorize_stale: bool,
    /// When the picture was made, where known (for `Last-Modified`).
    pub timestamp: Option<UnixTime>,
    /// Stored size in bytes, where known (for `ETag`).
    pub size: Option<u64>,
}

impl Default for Cacheability {
    fn default() -> Self {
        Self {
            cacheable: true,
            authorize_stale: false,
            timestamp: None,
            size: None,
        }
    }
}

/// Where a picture lies on the ground; written into `GeoTIFF` files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoReference {
    /// minx, miny, maxx, maxy in units of the SRS, x east.
    pub bbox: [f64; 4],
    /// EPSG code, where the SRS has one.
    pub epsg: Option<u16>,
    /// Whether the SRS is geographic (degrees).
    pub geographic: bool,
}

/// Why a [`MapImage`] could not give pixels or bytes.
#[derive(Debug, thiserror::Error)]
pub enum MapImageError {
    /// The bytes that came from a source or cache are no picture of ours.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The picture cannot be written in the format asked for.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

#[derive(Clone, Debug)]
enum Content {
    Encoded(Vec<u8>),
    Decoded(Raster),
    /// Looked at, but not changed since.
    Both(Vec<u8>, Raster),
}

/// A picture as encoded bytes, as pixels, or both.
#[derive(Clone, Debug)]
pub struct MapImage {
    content: Content,
    limits: Limits,
    /// What the bytes are, or what the pixels are meant to become.
    pub options: ImageOptions,
    /// Whether it may be stored.
    pub cacheability: Cacheability,
    /// Where it lies on the ground.
    pub georeference: Option<GeoReference>,
}

impl MapImage {
    /// A picture that is still encoded. `options` say what it is believed to be; nothing is looked at yet.
    pub fn from_bytes(bytes: Vec<u8>, options: ImageOptions) -> Self {
        Self::new(Content::Encoded(bytes), options)
    }

    /// A picture made here.
    pub fn from_raster(raster: Raster, options: ImageOptions) -> Self {
        Self::new(Content::Decoded(raster), options)
    }

    fn new(content: Content, options: ImageOptions) -> Self {
        Self {
            content,
            limits: Limits::default(),
            options,
            cacheability: Cacheability::default(),
            georeference: None,
        }
    }

    /// The same picture, decoded within these limits when its turn comes.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same picture with this cacheability.
    #[must_use]
    pub fn with_cacheability(self, cacheability: Cacheability) -> Self {
        Self { cacheability, ..self }
    }

    /// The encoded bytes, if it has any.
    pub fn encoded(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Encoded(bytes) | Content::Both(bytes, _) => Some(bytes),
            Content::Decoded(_) => None,
        }
    }

    /// Width and height in pixels; reads the header only.
    pub fn size(&self) -> Result<(u32, u32), MapImageError> {
        match &self.content {
            Content::Encoded(bytes) => Ok(peek_size(bytes)?),
            Content::Decoded(raster) | Content::Both(_, raster) => Ok(raster.size()),
        }
    }

    /// The pixels, decoded at the first call. The encoded bytes are kept.
    pub fn raster(&mut self) -> Result<&Raster, MapImageError> {
        if let Content::Encoded(bytes) = &mut self.content {
            let raster = decode(bytes, &self.limits)?;
            self.content = Content::Both(std::mem::take(bytes), raster);
        }
        match &self.content {
            Content::Decoded(raster) | Content::Both(_, raster) => Ok(raster),
            Content::Encoded(_) => unreachable!("decoded above"),
        }
    }

    /// The pixels of the window, or more, and where in the picture their upper left corner is; decodes no more than
    /// these where it can, and keeps nothing of it. Of a picture outside the window, the nearest pixel.
    pub(super) fn part(&self, window: Window) -> Result<(Cow<'_, Raster>, (u32, u32)), MapImageError> {
        match &self.content {
            Content::Encoded(bytes) => {
                let (raster, corner) = decode_part(bytes, &self.limits, window)?;
                Ok((Cow::Owned(raster), corner))
            }
            Content::Decoded(raster) | Content::Both(_, raster) => Ok((Cow::Borrowed(raster), (0, 0))),
        }
    }

    /// The same by value.
    pub(super) fn into_part(self, window: Window) -> Result<(Raster, (u32, u32)), MapImageError> {
        match self.content {
            Content::Encoded(bytes) => Ok(decode_part(&bytes, &self.limits, window)?),
            Content::Decoded(raster) | Content::Both(_, raster) => Ok((raster, (0, 0))),
        }
    }

    /// The pixels by value.
    pub fn into_raster(self) -> Result<Raster, MapImageError> {
        match self.content {
            Content::Encoded(bytes) => Ok(decode(&bytes, &self.limits)?),
            Content::Decoded(raster) | Content::Both(_, raster) => Ok(raster),
        }
    }

    /// The picture as `wanted` wants it: the bytes it came as where format and mode fit, encoded otherwise.
    pub fn into_bytes(self, wanted: &ImageOptions) -> Result<Vec<u8>, MapImageError> {
        let fits = self.fits(wanted);
        match self.content {
            Content::Encoded(bytes) | Content::Both(bytes, _) if fits => Ok(bytes),
            Content::Decoded(raster) | Content::Both(_, raster) => {
                Ok(encode(raster, wanted, self.georeference.as_ref())?)
            }
            Content::Encoded(bytes) => {
                let raster = decode(&bytes, &self.limits)?;
                Ok(encode(raster, wanted, self.georeference.as_ref())?)
            }
        }
    }

    /// Media type of the bytes [`Self::into_bytes`] gives: of `mixed` it can only be told from the bytes.
    pub fn content_type(bytes: &[u8], wanted: &ImageOptions) -> String {
        match &wanted.format {
            Some(format) if *format != ImageFormat::MIXED => format.mime_type().into_owned(),
            _ => peek_format(bytes).unwrap_or(ImageFormat::PNG).mime_type().into_owned(),
        }
    }

    /// Whether the encoded bytes already are what `wanted` asks for. The number of colours does not matter: a cached
    /// tile is served as it was stored.
    pub fn fits(&self, wanted: &ImageOptions) -> bool {
        let Some(bytes) = self.encoded() else { return false };
        let same_format = match (&self.options.format, &wanted.format) {
            (_, None) => true,
            (Some(own), Some(wanted)) if own == wanted => true,
            // Not known beforehand: look.
            (None, Some(wanted)) => peek_format(bytes).is_some_and(|actual| actual == *wanted),
            (Some(own), Some(wanted)) if *own == ImageFormat::MIXED => {
                peek_format(bytes).is_some_and(|actual| actual == *wanted)
            }
            (Some(_), Some(_)) => false,
        };
        same_format && self.options.mode == wanted.mode
    }
}
