//! Parameters of a WMS request (OGC 06-042 section 7), and of tiles.

use std::collections::BTreeMap;

use super::projection::Projection;
use super::render::{Layer, View};

/// Largest width and height, pixels.
pub(super) const MAX_SIZE: u32 = 8192;

/// What a client did wrong: an OGC code where there is one, and a sentence.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
}

impl RequestError {
    pub(super) fn new(code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Decoded query parameters, names in upper case.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    pub(super) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| (name.to_ascii_uppercase(), value.into_owned()))
                .collect(),
        )
    }

    pub(super) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn require(&self, name: &str) -> Result<&str, RequestError> {
        self.get(name)
            .ok_or_else(|| RequestError::new(Some("MissingParameterValue"), format!("missing parameter `{name}`")))
    }

    pub(super) fn number(&self, name: &str) -> Result<u32, RequestError> {
        let value = self.require(name)?;
        value.parse().map_err(|_error| {
            RequestError::new(
                Some("InvalidParameterValue"),
                format!("`{name}` is not a number: `{value}`"),
            )
        })
    }

    /// `1.0.0`, `1.1.0`, `1.1.1` or `1.3.0`.
    pub(super) fn version(&self) -> &'static str {
        match self.get("VERSION").or_else(|| self.get("WMTVER")) {
            Some("1.0.0") => "1.0.0",
            Some("1.1.0") => "1.1.0",
            Some("1.1.1") => "1.1.1",
            _ => "1.3.0",
        }
    }

    pub(super) fn layers(&self, name: &str) -> Result<Vec<Layer>, RequestError> {
        self.require(name)?
            .split(',')
            .map(|layer| {
                Layer::from_name(layer)
                    .ok_or_else(|| RequestError::new(Some("LayerNotDefined"), format!("unknown layer `{layer}`")))
            })
            .collect()
    }

    /// The section of the map, with 1.3.0's axis order undone.
    pub(super) fn view(&self) -> Result<View, RequestError> {
        let new = self.version() == "1.3.0";
        let code = self.require(if new { "CRS" } else { "SRS" })?;
        let projection = Projection::from_code(code).ok_or_else(|| {
            RequestError::new(
                Some(if new { "InvalidCRS" } else { "InvalidSRS" }),
                format!("unsupported SRS `{code}`"),
            )
        })?;
        let raw = self.require("BBOX")?;
        let invalid = || RequestError::new(None, format!("invalid bbox `{raw}`, expected minx,miny,maxx,maxy"));
        let numbers: Vec<f64> = raw
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_error| invalid())?;
        let mut bbox: [f64; 4] = numbers.try_into().map_err(|_numbers| invalid())?;
        if new && code.eq_ignore_ascii_case("EPSG:4326") {
            bbox = [bbox[1], bbox[0], bbox[3], bbox[2]];
        }
        if !bbox.iter().all(|v| v.is_finite()) || bbox[0] >= bbox[2] || bbox[1] >= bbox[3] {
            return Err(invalid());
        }
        let (width, height) = (self.number("WIDTH")?, self.number("HEIGHT")?);
        if width == 0 || height == 0 || width > MAX_SIZE || height > MAX_SIZE {
            return Err(RequestError::new(
                None,
                format!("size {width}x{height} is not within 1 to {MAX_SIZE}"),
            ));
        }
        Ok(View {
            projection,
            bbox,
            width,
            height,
        })
    }

    pub(super) fn transparent(&self) -> bool {
        self.get("TRANSPARENT")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// `0xRRGGBB`, white unless given.
    pub(super) fn bgcolor(&self) -> [u8; 3] {
        let hex = self
            .get("BGCOLOR")
            .and_then(|value| value.strip_prefix("0x").or_else(|| value.strip_prefix('#')));
        match hex.map(|hex| u32::from_str_radix(hex, 16)) {
            Some(Ok(rgb)) => [(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8],
            _ => [255, 255, 255],
        }
    }
}

/// The section of a tile of the usual web mercator pyramid, row 0 in the north.
pub(super) fn tile_view(z: u32, x: u32, y: u32) -> Option<View> {
    const EDGE: f64 = 20_037_508.342_789_244;
    let tiles = 1_u32.checked_shl(z).filter(|_| z <= 24)?;
    if x >= tiles || y >= tiles {
        return None;
    }
    let size = 2.0 * EDGE / f64::from(tiles);
    let (minx, maxy) = (-EDGE + f64::from(x) * size, EDGE - f64::from(y) * size);
    Some(View {
        projection: Projection::Mercator,
        bbox: [minx, maxy - size, minx + size, maxy],
        width: 256,
        height: 256,
    })
}
