//! What can be wrong with a WMS request. The texts are those MapProxy's clients know; codes are of OGC 06-042 E.1.

use crate::config::model::WmsVersion;

/// A request that cannot be answered because of what the client sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WmsRequestError {
    #[error("unknown WMS request type '{}'", name.as_deref().unwrap_or("None"))]
    UnknownRequest { name: Option<String> },
    #[error("missing parameters [{}]", quoted(names))]
    MissingParameters { names: Vec<&'static str> },
    /// Not four numbers, or a box without area (after the axes are put right).
    #[error("invalid bbox {raw}")]
    InvalidBBox { raw: String },
    #[error("invalid image size {width} x {height}, expected two positive numbers")]
    InvalidSize { width: String, height: String },
    #[error("invalid position {x},{y}, expected two numbers")]
    InvalidPosition { x: String, y: String },
    #[error("invalid bgcolor {value}, expected 0xRRGGBB")]
    InvalidBgcolor { value: String },
    /// We have one style for each layer, its default.
    #[error("unsupported styles: {styles}")]
    UnsupportedStyles { styles: String },
    #[error("invalid sld_version {value}")]
    InvalidSldVersion { value: String },
    #[error("invalid scale {value}, expected a number")]
    InvalidScale { value: String },
    #[error("image size too large")]
    ImageTooLarge,
    #[error("unknown layer: {name}")]
    UnknownLayer { name: String },
    #[error("unsupported image format: {format}")]
    UnsupportedFormat { format: String },
    #[error("unsupported {}: {code}", super::version::srs_name(*version))]
    UnsupportedSrs { code: String, version: WmsVersion },
    #[error("layer {name} is not queryable")]
    NotQueryable { name: String },
    #[error("layer {name} has no legend graphic")]
    NoLegend { name: String },
}

impl WmsRequestError {
    /// The `code` of the exception, for those errors that have one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::UnsupportedStyles { .. } => Some("StyleNotDefined"),
            Self::UnknownLayer { .. } => Some("LayerNotDefined"),
            Self::UnsupportedFormat { .. } => Some("InvalidFormat"),
            Self::UnsupportedSrs {
                version: WmsVersion::V130,
                ..
            } => Some("InvalidCRS"),
            Self::UnsupportedSrs { .. } => Some("InvalidSRS"),
            _ => None,
        }
    }

    /// HTTP status of the answer. 500 is what MapProxy sends for nearly everything, and clients rely on it.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoLegend { .. } => 404,
            _ => 500,
        }
    }

    /// The answer is a document whatever `exceptions` says: an image of that size is just what we do not want to make.
    pub fn forces_xml(&self) -> bool {
        matches!(self, Self::ImageTooLarge | Self::InvalidSize { .. })
    }
}

/// As Python prints a list of strings: `'width', 'height'`.
fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}
