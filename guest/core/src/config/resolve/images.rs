//! Image options from `image`, `globals.image.formats` and defaults (behaviour section 15).

use super::{Resolver, flag, number, text};
use crate::config::spec::color;
use crate::config::yaml::{At, Node};
use crate::image::{EncodingOptions, ImageFormat, ImageOptions};

impl Resolver<'_, '_> {
    /// Options of a format by its configured name, with those of an `image` map on top. A name that is neither in
    /// `globals.image.formats` nor a media type leaves the format open.
    pub(super) fn image_options(&self, own: Option<&Node>, format: Option<&str>) -> ImageOptions {
        let named = format.and_then(|name| self.globals.formats.as_ref()?.get(name));
        let get = |key: &str| {
            own.and_then(|node| node.get(key))
                .or_else(|| named.and_then(|node| node.get(key)))
        };
        let name = get("format")
            .and_then(Node::as_text)
            .or_else(|| format.filter(|name| is_media_type(name)).map(str::to_owned));
        let format = name.map(ImageFormat::new);
        let is_png = format.as_ref().is_some_and(|format| *format == ImageFormat::PNG)
            || format.as_ref().is_some_and(|format| *format == ImageFormat::MIXED);
        let opacity = get("opacity").and_then(Node::as_f64);
        let transparent = get("transparent").and_then(Node::as_bool);
        ImageOptions {
            mode: get("mode").and_then(Node::as_text).and_then(|mode| mode.parse().ok()),
            colors: match get("colors").and_then(Node::as_f64) {
                Some(colors) => Some(colors.clamp(0.0, 256.0) as u16),
                None => (is_png && self.globals.paletted).then_some(256),
            },
            transparent: if opacity.is_some()
                || get("transparent_color").is_some()
                || format.as_ref().is_some_and(|format| *format == ImageFormat::MIXED)
            {
                Some(true)
            } else {
                transparent
            },
            resampling: Some(
                get("resampling_method")
                    .and_then(Node::as_text)
                    .and_then(|name| name.parse().ok())
                    .unwrap_or(self.globals.resampling),
            ),
            opacity: opacity.map(|opacity| opacity as f32),
            bgcolor: None,
            encoding: self.encoding(get("encoding_options")),
            paletted: self.globals.paletted,
            format,
        }
    }

    fn encoding(&self, node: Option<&Node>) -> EncodingOptions {
        let parsed = |key: &str| node.and_then(|node| text(node, key));
        EncodingOptions {
            jpeg_quality: node
                .and_then(|node| number(node, "jpeg_quality"))
                .map(|quality| quality.clamp(1.0, 100.0) as u8)
                .or(self.globals.jpeg_quality),
            tiff_compression: parsed("tiff_compression").and_then(|name| name.parse().ok()),
            quantizer: parsed("quantizer").and_then(|name| name.parse().ok()),
        }
    }

    /// What a source is asked for when a cache or client names a format by its configured name.
    pub(super) fn request_format(&self, name: &str) -> ImageFormat {
        let named = self
            .globals
            .formats
            .as_ref()
            .and_then(|formats| text(formats.get(name)?, "format"));
        ImageFormat::new(named.unwrap_or_else(|| name.to_owned()))
    }

    /// Warns about a format that no one can write.
    pub(super) fn check_format(&mut self, name: &str, at: At) {
        let formats = self.globals.formats.clone();
        let configured = formats
            .as_ref()
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(|entry| entry.key.as_str());
        if name != "mixed" && !is_media_type(name) && !configured.clone().any(|known| known == name) {
            let candidates = [
                "image/png",
                "image/jpeg",
                "image/gif",
                "image/tiff",
                "image/webp",
                "mixed",
            ]
            .into_iter()
            .chain(configured);
            let media_type = format!("image/{name}");
            let finding = self.findings.warn(
                at,
                format!("`{name}` is neither a media type nor one of `globals.image.formats`"),
            );
            finding.expect("tiles are written as PNG");
            if ["image/png", "image/jpeg", "image/gif", "image/tiff"].contains(&media_type.as_str()) {
                finding.suggest_exactly(media_type);
            } else {
                finding.suggest(name, candidates);
            }
        }
    }
}

fn is_media_type(name: &str) -> bool {
    name.starts_with("image/") || name == "mixed"
}

/// A colour: text or numbers. The fourth number is alpha.
pub(super) fn rgba(node: &Node) -> Option<[u8; 4]> {
    if let Some(text) = node.as_str() {
        return color(text);
    }
    let numbers: Vec<u8> = node
        .items()
        .iter()
        .filter_map(Node::as_f64)
        .map(|number| number.clamp(0.0, 255.0) as u8)
        .collect();
    match numbers.as_slice() {
        [r, g, b] => Some([*r, *g, *b, 255]),
        [r, g, b, a] => Some([*r, *g, *b, *a]),
        _ => None,
    }
}

/// `req.transparent` may be a boolean or text.
pub(super) fn is_true(node: &Node, key: &str) -> Option<bool> {
    flag(node, key).or_else(|| node.get(key).map(|_| false))
}
