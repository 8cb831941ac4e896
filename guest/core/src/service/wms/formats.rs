//! Formats as the versions of the WMS name them.

use crate::config::model::{ServiceFormat, WmsService, WmsVersion};
use crate::image::ImageFormat;

/// The configured format that a request means: the one of that very name, else the first of the same extension
/// (`image/png` and `png` are the same). 1.0.0 has names of its own, like `PNG`.
pub(super) fn find_format<'a>(service: &'a WmsService, asked: &str, version: WmsVersion) -> Option<&'a ServiceFormat> {
    let formats = &service.image_formats;
    if let Some(same) = formats.iter().find(|format| format.mime == asked) {
        return Some(same);
    }
    let lower = asked.to_ascii_lowercase();
    let asked = ImageFormat::new(if version == WmsVersion::V100 {
        lower.as_str()
    } else {
        asked
    });
    formats
        .iter()
        .find(|format| ImageFormat::new(format.mime.as_str()) == asked)
}

/// Media type of a kind of feature information: `text`, `html`, `xml`, `json`.
pub(super) fn info_mime(name: &str, version: WmsVersion) -> &'static str {
    match name {
        "html" => "text/html",
        "xml" if version == WmsVersion::V130 => "text/xml",
        "xml" => "application/vnd.ogc.gml",
        "json" => "application/json",
        _ => "text/plain",
    }
}

/// What 1.0.0 calls these formats, each once; it has no names for others.
pub(super) fn format_elements_100<'a>(mimes: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for mime in mimes {
        let name = match ImageFormat::new(mime).ext().to_ascii_lowercase().as_str() {
            "png" => "PNG",
            "jpeg" | "jpg" => "JPEG",
            "gif" => "GIF",
            "tiff" => "TIFF",
            "geotiff" => "GeoTIFF",
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.push("MIME");
    }
    names
}
