//! GetFeatureInfo: what is at a pixel of a map.

use super::error::WmsRequestError;
use super::map::{GetMap, check_styles};
use super::version::{required_version_name, srs_name};
use super::{Strictness, require};
use crate::config::model::WmsVersion;
use crate::request::QueryParams;

/// Information about a pixel is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct GetFeatureInfo {
    /// the map the pixel belongs to
    pub map: GetMap,
    pub query_layers: Vec<String>,
    /// pixel from the upper left, as sent, inside the map or not
    pub pos: (f64, f64),
    /// media type as sent; blank counts as none
    pub info_format: Option<String>,
    pub feature_count: Option<u32>,
}

impl GetFeatureInfo {
    pub(super) fn parse(
        params: &QueryParams,
        version: WmsVersion,
        strictness: Strictness,
    ) -> Result<Self, WmsRequestError> {
        let (x_name, y_name) = if version == WmsVersion::V130 {
            ("i", "j")
        } else {
            ("x", "y")
        };
        let mut required = vec![required_version_name(params, version), "layers"];
        if strictness == Strictness::Strict {
            required.push("styles");
        }
        required.extend([srs_name(version), "bbox", "width", "height"]);
        if strictness == Strictness::Strict {
            required.push("format");
        }
        required.extend(["query_layers", x_name, y_name]);
        require(params, &required)?;

        let map = GetMap::read(params, version)?;
        check_styles(params)?;
        let (x, y) = (
            params.get(x_name).unwrap_or_default(),
            params.get(y_name).unwrap_or_default(),
        );
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let (Some(pos_x), Some(pos_y)) = (number(x), number(y)) else {
            return Err(WmsRequestError::InvalidPosition {
                x: x.to_owned(),
                y: y.to_owned(),
            });
        };
        Ok(Self {
            map,
            query_layers: params.list("query_layers").into_iter().map(str::to_owned).collect(),
            pos: (pos_x, pos_y),
            info_format: params
                .get("info_format")
                .filter(|format| !format.is_empty())
                .map(str::to_owned),
            feature_count: params.get("feature_count").and_then(|count| count.trim().parse().ok()),
        })
    }
}
