//! What a picture should be like: format, mode, number of colours, transparency, resampling (section 15; MapProxy's
//! `image/opts.py`).

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Name of an image format as the configuration or a request gives it: `png`, `image/png` or `image/png; mode=24bit`.
/// Two are equal if their extension is: `image/png; mode=24bit` is `png`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageFormat(Cow<'static, str>);

impl ImageFormat {
    pub const PNG: Self = Self(Cow::Borrowed("image/png"));
    pub const JPEG: Self = Self(Cow::Borrowed("image/jpeg"));
    pub const GIF: Self = Self(Cow::Borrowed("image/gif"));
    pub const TIFF: Self = Self(Cow::Borrowed("image/tiff"));
    pub const WEBP: Self = Self(Cow::Borrowed("image/webp"));
    pub const BMP: Self = Self(Cow::Borrowed("image/bmp"));
    /// PNG where a pixel is translucent, JPEG otherwise.
    pub const MIXED: Self = Self(Cow::Borrowed("mixed"));

    /// A format by any of its names; unknown names are kept and fail when something is encoded.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// The name as given.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// `image/<name>`, or the name itself where it already is a media type.
    pub fn mime_type(&self) -> Cow<'_, str> {
        if self.0.starts_with("image/") {
            Cow::Borrowed(&self.0)
        } else {
            Cow::Owned(format!("image/{}", self.0))
        }
    }

    /// What follows `image/`, without parameters: `png`, `jpeg`, `GeoTIFF`. The extension of cached files as well.
    pub fn ext(&self) -> &str {
        let name = self.0.split_once('/').map_or(&*self.0, |(_, sub)| sub);
        name.split_once(';').map_or(name, |(sub, _)| sub).trim()
    }
}

impl PartialEq for ImageFormat {
    fn eq(&self, other: &Self) -> bool {
        self.ext() == other.ext()
    }
}
impl Eq for ImageFormat {}
impl Hash for ImageFormat {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ext().hash(state);
    }
}
impl std::fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The modes a configuration may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Integer gray (Pillow's 32 bit mode); kept as 8 bit gray here.
    I,
    /// 8 bit gray.
    L,
    /// Palette.
    P,
    #[serde(rename = "RGB")]
    Rgb,
    #[serde(rename = "RGBA")]
    Rgba,
}

impl std::str::FromStr for Mode {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "RGB" => Ok(Self::Rgb),
            "RGBA" => Ok(Self::Rgba),
            "P" => Ok(Self::P),
            "I" => Ok(Self::I),
            "L" => Ok(Self::L),
            _ => Err(UnknownName {
                what: "image mode",
                name: name.to_owned(),
                expected: "RGB, RGBA, P, I or L",
            }),
        }
    }
}

/// How pixels between the source's pixels are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resampling {
    Nearest,
    Bilinear,
    #[default]
    Bicubic,
}

impl std::str::FromStr for Resampling {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "nearest" => Ok(Self::Nearest),
            "bilinear" => Ok(Self::Bilinear),
            "bicubic" => Ok(Self::Bicubic),
            _ => {
                let expected = "nearest, bilinear or bicubic";
                Err(UnknownName {
                    what: "resampling method",
                    name: name.to_owned(),
                    expected,
                })
            }
        }
    }
}

/// Which of MapProxy's quantisers was asked for. Both names get the same one here, which is at least as good as
/// either: see `quantize.rs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantizer {
    #[default]
    FastOctree,
    MedianCut,
}

impl std::str::FromStr for Quantizer {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "fastoctree" => Ok(Self::FastOctree),
            "mediancut" => Ok(Self::MedianCut),
            _ => {
                let expected = "fastoctree or mediancut";
                Err(UnknownName {
                    what: "quantizer",
                    name: name.to_owned(),
                    expected,
                })
            }
        }
    }
}

/// Compression of the pixels inside a TIFF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TiffCompression {
    #[default]
    #[serde(rename = "raw")]
    Raw,
    #[serde(rename = "tiff_lzw")]
    Lzw,
    #[serde(rename = "jpeg")]
    Jpeg,
}

impl std::str::FromStr for TiffCompression {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "raw" => Ok(Self::Raw),
            "tiff_lzw" => Ok(Self::Lzw),
            "jpeg" => Ok(Self::Jpeg),
            _ => {
                let expected = "raw, tiff_lzw or jpeg";
                Err(UnknownName {
                    what: "tiff compression",
                    name: name.to_owned(),
                    expected,
                })
            }
        }
    }
}

/// A name that an option does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`, expected {expected}")]
pub struct UnknownName {
    /// The option.
    pub what: &'static str,
    /// The name as given.
    pub name: String,
    /// The names there are.
    pub expected: &'static str,
}

/// `encoding_options` of a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EncodingOptions {
    /// 1 to 100; 90 where not given.
    pub jpeg_quality: Option<u8>,
    /// For TIFF only.
    pub tiff_compression: Option<TiffCompression>,
    /// For palettes only.
    pub quantizer: Option<Quantizer>,
}

/// What a picture should be like. `None` means "no matter", and is filled from the other side where two options meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageOptions {
    /// `None`: as the bytes are; PNG when something has to be encoded.
    pub format: Option<ImageFormat>,
    /// Bands of the result.
    pub mode: Option<Mode>,
    /// Palette size; 0 is true colour. `None` with a PNG and `paletted`: 255.
    pub colors: Option<u16>,
    /// Whether the picture keeps its alpha.
    pub transparent: Option<bool>,
    /// `None` is bicubic.
    pub resampling: Option<Resampling>,
    /// 0 to 1.
    pub opacity: Option<f32>,
    /// RGB under translucent pixels; white where not given.
    pub bgcolor: Option<[u8; 3]>,
    /// Options of the encoder.
    pub encoding: EncodingOptions,
    /// `globals.image.paletted`: PNGs without an explicit number of colours get a palette.
    pub paletted: bool,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            format: None,
            mode: None,
            colors: None,
            transparent: None,
            resampling: None,
            opacity: None,
            bgcolor: None,
            encoding: EncodingOptions::default(),
            paletted: true,
        }
    }
}

impl ImageOptions {
    /// Defaults with this format.
    pub fn new(format: ImageFormat) -> Self {
        Self {
            format: Some(format),
            ..Self::default()
        }
    }

    /// Whether alpha is to be kept.
    pub fn is_transparent(&self) -> bool {
        self.transparent == Some(true)
    }

    /// The background, white by default.
    pub fn background(&self) -> [u8; 3] {
        self.bgcolor.unwrap_or([255; 3])
    }

    /// The resampling, bicubic by default.
    pub fn resampling(&self) -> Resampling {
        self.resampling.unwrap_or_default()
    }

    /// Palette size to encode a PNG with; 0 for true colour.
    pub fn png_colors(&self) -> u16 {
        self.colors.unwrap_or(if self.paletted { 255 } else { 0 })
    }
}

/// The options of a cache whose pictures come from sources with `sources`: `colors: 0` wins, an opaque source makes
/// the cache opaque, and the widest mode (by name) wins. What `base` sets is kept.
#[must_use]
pub fn compatible_options(sources: &[ImageOptions], base: Option<&ImageOptions>) -> ImageOptions {
    let mut options = base.cloned().unwrap_or_default();
    if options.colors.is_none() {
        let given = || sources.iter().filter_map(|source| source.colors);
        options.colors = if given().any(|colors| colors == 0) {
            Some(0)
        } else {
            given().max()
        };
    }
    if options.transparent.is_none() {
        let given = || sources.iter().filter_map(|source| source.transparent);
        options.transparent = if given().any(|transparent| !transparent) {
            Some(false)
        } else {
            given().next()
        };
    }
    if options.mode.is_none() {
        options.mode = sources.iter().filter_map(|source| source.mode).max();
    }
    let first = sources.first();
    if options.format.is_none() {
        options.format = first.and_then(|source| source.format.clone());
    }
    if options.resampling.is_none() {
        options.resampling = first.and_then(|source| source.resampling);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_equal_by_extension() {
        let check = |a: &str, b: &str, equal| assert_eq!(ImageFormat::new(a) == ImageFormat::new(b), equal, "{a} {b}");
        check("png", "image/png", true);
        check("image/png; mode=24bit", "png", true);
        check("image/png;mode=8bit", "image/jpeg", false);
        check("image/GeoTIFF", "GeoTIFF", true);
        check("", "png", false);
        assert_eq!(ImageFormat::new("png").mime_type(), "image/png");
        assert_eq!(
            ImageFormat::new("image/png; mode=24bit").mime_type(),
            "image/png; mode=24bit"
        );
        assert_eq!(ImageFormat::new("image/png; mode=24bit").ext(), "png");
        assert_eq!(ImageFormat::JPEG.ext(), "jpeg");
    }

    #[test]
    fn cache_options_come_from_all_sources() {
        let source = |colors, transparent, mode| ImageOptions {
            mode,
            colors,
            transparent,
            ..ImageOptions::default()
        };
        let check = |sources: &[ImageOptions], colors, transparent, mode| {
            let got = compatible_options(sources, None);
            assert_eq!(
                (got.colors, got.transparent, got.mode),
                (colors, transparent, mode),
                "{sources:?}"
            );
        };
        check(&[], None, None, None);
        check(
            &[source(Some(16), None, None), source(Some(0), None, None)],
            Some(0),
            None,
            None,
        );
        check(
            &[source(Some(16), Some(true), None), source(Some(64), Some(true), None)],
            Some(64),
            Some(true),
            None,
        );
        check(
            &[source(None, Some(true), None), source(None, Some(false), None)],
            None,
            Some(false),
            None,
        );
        check(
            &[source(None, None, Some(Mode::Rgba)), source(None, None, Some(Mode::P))],
            None,
            None,
            Some(Mode::Rgba),
        );
        let base = ImageOptions {
            colors: Some(4),
            ..ImageOptions::default()
        };
        assert_eq!(
            compatible_options(&[source(Some(0), None, None)], Some(&base)).colors,
            Some(4)
        );
    }
}
