//! GetLegendGraphic (Styled Layer Descriptor profile, OGC 05-078r4).

use super::error::WmsRequestError;
use super::{Strictness, require};
use crate::request::QueryParams;

/// A legend is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct GetLegendGraphic {
    pub layer: String,
    /// as sent: an image format or `application/json`
    pub format: String,
    pub scale: Option<f64>,
}

impl GetLegendGraphic {
    pub(super) fn parse(params: &QueryParams, strictness: Strictness) -> Result<Self, WmsRequestError> {
        require(params, &["version", "layer", "format"])?;
        if strictness == Strictness::Strict {
            require(params, &["sld_version"])?;
        }
        if let Some(value) = params.get("sld_version").filter(|value| *value != "1.1.0") {
            return Err(WmsRequestError::InvalidSldVersion {
                value: value.to_owned(),
            });
        }
        let scale = match params.get("scale").map(str::trim).filter(|scale| !scale.is_empty()) {
            None => None,
            Some(scale) => match scale.parse::<f64>() {
                Ok(number) if number.is_finite() => Some(number),
                _ => {
                    return Err(WmsRequestError::InvalidScale {
                        value: scale.to_owned(),
                    });
                }
            },
        };
        Ok(Self {
            layer: params.get("layer").unwrap_or_default().to_owned(),
            format: params.get("format").unwrap_or_default().to_owned(),
            scale,
        })
    }
}
