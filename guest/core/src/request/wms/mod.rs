//! Messages of the Web Map Service, versions 1.0.0, 1.1.0, 1.1.1 and 1.3.0 (OGC 00-028, 01-047r2, 01-068r3, 06-042).
//!
//! [`parse`] undoes what differs between versions: names of parameters, axis order. What it cannot know (whether a
//! layer, format or SRS is one we have) the service checks. (MapProxy: `request/wms/`.)

mod error;
mod exceptions;
mod info;
mod legend;
mod map;
mod version;

#[cfg(test)]
mod tests;

pub use error::WmsRequestError;
pub use exceptions::{ExceptionFormat, ExceptionStyle};
pub use info::GetFeatureInfo;
pub use legend::GetLegendGraphic;
pub use map::{GetMap, MAX_IMAGE_SIDE_PX};
pub use version::{code as version_code, negotiate};

use super::QueryParams;
use crate::config::model::WmsVersion;

/// Whether parameters may be missing that clients tend to forget and no answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// `services.wms.strict: true`
    Strict,
    /// `format` and `styles` of GetFeatureInfo, `sld_version` of GetLegendGraphic may be missing
    Lenient,
}

/// A request of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum WmsRequest {
    Map(GetMap),
    FeatureInfo(GetFeatureInfo),
    Legend(GetLegendGraphic),
    Capabilities {
        /// WMS-C: tell the tile sets as well
        tiled: bool,
    },
}

/// Parses the parameters of a request whose version is already negotiated.
pub fn parse(params: &QueryParams, version: WmsVersion, strictness: Strictness) -> Result<WmsRequest, WmsRequestError> {
    let name = params.get("request");
    let has_legends = version >= WmsVersion::V111;
    match name.map(str::to_ascii_lowercase).as_deref() {
        Some("getmap" | "map") => GetMap::parse(params, version).map(WmsRequest::Map),
        Some("getfeatureinfo" | "feature_info") => {
            GetFeatureInfo::parse(params, version, strictness).map(WmsRequest::FeatureInfo)
        }
        Some("getcapabilities" | "capabilities") => Ok(WmsRequest::Capabilities {
            tiled: is_true(params, "tiled"),
        }),
        Some("getlegendgraphic") if has_legends => GetLegendGraphic::parse(params, strictness).map(WmsRequest::Legend),
        _ => Err(WmsRequestError::UnknownRequest {
            name: name.map(str::to_owned),
        }),
    }
}

/// `true` in any case; everything else is no.
fn is_true(params: &QueryParams, name: &str) -> bool {
    params.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Names of those parameters that are not there at all; blank ones are there.
fn require(params: &QueryParams, names: &[&'static str]) -> Result<(), WmsRequestError> {
    let missing: Vec<&'static str> = names.iter().copied().filter(|name| !params.contains(name)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(WmsRequestError::MissingParameters { names: missing })
    }
}
