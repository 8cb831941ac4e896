//! GetMap, and the parameters it shares with GetFeatureInfo.

use super::error::WmsRequestError;
use super::version::{required_version_name, srs_name};
use super::{is_true, require};
use crate::config::model::WmsVersion;
use crate::query::Dimensions;
use crate::request::QueryParams;
use crate::srs::{BBox, Srs};

/// The longest side of an image that is read as a number at all; the service limits the area.
pub const MAX_IMAGE_SIDE_PX: u32 = 1 << 24;

/// A map is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct GetMap {
    pub version: WmsVersion,
    /// in drawing order, bottom first
    pub layers: Vec<String>,
    /// upper case: `EPSG:4326`
    pub srs: String,
    /// x east, y north, whatever the version says
    pub bbox: BBox,
    /// pixels, both positive
    pub size: (u32, u32),
    /// as sent: `image/png; mode=8bit`
    pub format: String,
    pub transparent: bool,
    pub bgcolor: [u8; 3],
    /// WMS-C: the box is one tile
    pub tiled: bool,
    /// `time`, `elevation`, `dim_…` with the client's spelling
    pub dimensions: Dimensions,
    /// all parameters, for those that sources want forwarded
    pub params: QueryParams,
}

impl GetMap {
    pub(super) fn parse(params: &QueryParams, version: WmsVersion) -> Result<Self, WmsRequestError> {
        require(
            params,
            &[
                required_version_name(params, version),
                "layers",
                "styles",
                srs_name(version),
                "bbox",
                "width",
                "height",
                "format",
            ],
        )?;
        let map = Self::read(params, version)?;
        check_styles(params)?;
        Ok(map)
    }

    /// Reads what is there; `styles` are not looked at, `format` may be missing.
    pub(super) fn read(params: &QueryParams, version: WmsVersion) -> Result<Self, WmsRequestError> {
        let srs = params.get(srs_name(version)).unwrap_or_default().to_ascii_uppercase();
        let bbox = parse_bbox(params, &srs, version)?;
        let size = parse_size(params).ok_or_else(|| WmsRequestError::InvalidSize {
            width: params.get("width").unwrap_or_default().to_owned(),
            height: params.get("height").unwrap_or_default().to_owned(),
        })?;
        let bgcolor = parse_bgcolor(params).ok_or_else(|| WmsRequestError::InvalidBgcolor {
            value: params.get("bgcolor").unwrap_or_default().to_owned(),
        })?;
        Ok(Self {
            version,
            layers: params.list("layers").into_iter().map(str::to_owned).collect(),
            srs,
            bbox,
            size,
            format: params.get("format").unwrap_or("image/png").to_owned(),
            transparent: is_true(params, "transparent"),
            bgcolor,
            tiled: is_true(params, "tiled"),
            dimensions: dimensions(params),
            params: params.clone(),
        })
    }
}

/// Every style must be a layer's default, however it is called.
pub(super) fn check_styles(params: &QueryParams) -> Result<(), WmsRequestError> {
    let known = |style: &str| matches!(style, "" | "default" | "inspire_common:DEFAULT");
    if params.list("styles").into_iter().all(known) {
        Ok(())
    } else {
        Err(WmsRequestError::UnsupportedStyles {
            styles: params.joined("styles").unwrap_or_default(),
        })
    }
}

/// Four finite numbers, put into x/y order (only 1.3.0 orders them as the SRS does), lower corner first.
fn parse_bbox(params: &QueryParams, srs: &str, version: WmsVersion) -> Result<BBox, WmsRequestError> {
    let raw = params.joined("bbox").unwrap_or_default();
    let mut numbers = raw
        .split(',')
        .map(|number| number.trim().parse::<f64>().ok().filter(|n| n.is_finite()));
    let mut next = || numbers.next().flatten();
    let found = (next(), next(), next(), next());
    let (Some(first), Some(second), Some(third), Some(fourth)) = found else {
        return Err(WmsRequestError::InvalidBBox { raw });
    };
    let bbox = BBox::new(first, second, third, fourth);
    let north_first = version == WmsVersion::V130 && Srs::new(srs).is_ok_and(|srs| srs.is_axis_order_ne());
    let bbox = if north_first { bbox.swapped() } else { bbox };
    if bbox.is_empty() || numbers.next().is_some() {
        return Err(WmsRequestError::InvalidBBox { raw });
    }
    Ok(bbox)
}

/// Width and height; fractions are cut off (some clients send `256.0`), huge ones shortened to
/// [`MAX_IMAGE_SIDE_PX`]. `None` if one is missing, not a number or less than one.
pub(super) fn parse_size(params: &QueryParams) -> Option<(u32, u32)> {
    let side = |name: &str| {
        let value = params.get(name)?.trim().parse::<f64>().ok()?;
        (value >= 1.0).then(|| value.min(f64::from(MAX_IMAGE_SIDE_PX)) as u32)
    };
    Some((side("width")?, side("height")?))
}

/// `0xRRGGBB` or `#RRGGBB`; white if there is none, `None` if it is something else.
pub(super) fn parse_bgcolor(params: &QueryParams) -> Option<[u8; 3]> {
    let Some(value) = params.get("bgcolor").map(str::trim).filter(|value| !value.is_empty()) else {
        return Some([255; 3]);
    };
    let digits = value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"))
        .or_else(|| value.strip_prefix('#'))
        .unwrap_or(value);
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

/// Parameters that are dimensions: `time`, `elevation` and whatever begins with `dim_`.
pub(super) fn dimensions(params: &QueryParams) -> Dimensions {
    let is_dimension = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == "time" || name == "elevation" || name.starts_with("dim_")
    };
    params
        .iter()
        .filter(|(name, _)| is_dimension(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
