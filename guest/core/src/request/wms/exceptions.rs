//! How a client wants to be told about errors: as a document, or as a map that shows the text or nothing.

use super::is_true;
use super::map::{parse_bgcolor, parse_size};
use crate::config::model::WmsVersion;
use crate::request::QueryParams;

/// The `exceptions` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionFormat {
    Xml,
    /// the text drawn into a map
    InImage,
    /// an empty map
    Blank,
}

/// Everything needed to tell an error, read from a request that may be wrong in any other respect.
#[derive(Debug, Clone, PartialEq)]
pub struct ExceptionStyle {
    pub version: WmsVersion,
    pub format: ExceptionFormat,
    /// `format` of the map, `image/png` if there is none
    pub image_format: String,
    /// pixels, 256 x 256 if there is none (or one that makes no sense)
    pub size: (u32, u32),
    pub bgcolor: [u8; 3],
    pub transparent: bool,
}

impl ExceptionStyle {
    pub fn of(params: &QueryParams, version: WmsVersion) -> Self {
        let wanted = params.get("exceptions").unwrap_or_default().to_ascii_lowercase();
        let format = if wanted.contains("image") {
            ExceptionFormat::InImage
        } else if wanted.contains("blank") {
            ExceptionFormat::Blank
        } else {
            ExceptionFormat::Xml
        };
        Self {
            version,
            format,
            image_format: params.get("format").unwrap_or("image/png").to_owned(),
            size: parse_size(params).unwrap_or((256, 256)),
            bgcolor: parse_bgcolor(params).unwrap_or([255; 3]),
            transparent: is_true(params, "transparent"),
        }
    }
}
