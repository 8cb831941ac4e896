//! [`Srs`]: one coordinate reference system, known by its code (`SRS` of MapProxy's `srs.py`).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use proj4rs::Proj;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::definition::{self, Definition, Identity};
use super::transformer::Transformer;
use super::{BBox, SrsError};

/// Half the width of the world in Web Mercator: π · 6378137.
pub(super) const MERCATOR_EXTENT: f64 = 20_037_508.342_789_244;

/// A coordinate reference system.
///
/// Two systems are equal if their projections are: `EPSG:900913`, `EPSG:3857`, `EPSG:102100` and `EPSG:102113` all
/// are, and `CRS:84` equals `EPSG:4326` (but differs in [axis order](Srs::is_axis_order_ne)). [`Srs::code`] keeps the
/// spelling, which is what is sent to sources and listed in capabilities.
///
/// Cloning is cheap; the projection itself is set up when the first point is transformed. Serialised as the code; read
/// back, even the code's definition is looked up only when it is needed.
#[derive(Clone)]
pub struct Srs(Arc<Inner>);

struct Inner {
    code: Box<str>,
    identity: Identity,
    definition: OnceLock<Definition>,
    /// The projection without a datum shift, and with one.
    proj: [OnceLock<Result<Proj, SrsError>>; 2],
}

impl Srs {
    /// Finds the system named by `code`: `EPSG:n` (any case), `n`, `CRS:84`, `OGC:CRS84`,
    /// `urn:ogc:def:crs:EPSG::n`, `http://www.opengis.net/def/crs/EPSG/0/n`, `IAU_2015:n`.
    pub fn new(code: &str) -> Result<Self, SrsError> {
        let code = code.trim();
        let unknown = || SrsError::UnknownCode { code: code.to_owned() };
        let code = normalized(code);
        let identity = definition::identify(&code).ok_or_else(unknown)?;
        let definition = definition::define(identity, &code).ok_or_else(unknown)?;
        Ok(Self::assemble(code, identity, OnceLock::from(definition)))
    }

    /// As [`new`](Self::new) for a code that was found before: its definition is looked up when it is needed.
    fn known(code: &str) -> Option<Self> {
        let code = normalized(code);
        let identity = definition::identify(&code)?;
        Some(Self::assemble(code, identity, OnceLock::new()))
    }

    fn assemble(code: String, identity: Identity, definition: OnceLock<Definition>) -> Self {
        Self(Arc::new(Inner {
            code: code.into_boxed_str(),
            identity,
            definition,
            proj: [const { OnceLock::new() }; 2],
        }))
    }

    /// `EPSG:4326`, longitude and latitude on WGS 84.
    pub fn wgs84() -> Self {
        Self::new("EPSG:4326").expect("EPSG:4326 is known")
    }

    /// `EPSG:3857`, Web Mercator.
    pub fn web_mercator() -> Self {
        Self::new("EPSG:3857").expect("EPSG:3857 is known")
    }

    /// The code as it was given, in upper case: `EPSG:3857`, `EPSG:900913`, `CRS:84`.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The EPSG number, if the code is one of EPSG's (or the customary 900913, 102100, 102113).
    pub fn epsg(&self) -> Option<u32> {
        definition::epsg_number(&self.0.code)
    }

    /// Whether coordinates are degrees of longitude and latitude.
    pub fn is_latlong(&self) -> bool {
        self.definition().is_latlong()
    }

    /// Whether the authority lists northing (or latitude) before easting, so that WMS 1.3.0 and WMTS messages carry
    /// `y, x`.
    pub fn is_axis_order_ne(&self) -> bool {
        self.definition().north_first
    }

    /// Whether this is the spherical Mercator projection of web maps.
    pub fn is_mercator(&self) -> bool {
        self.0.identity == Identity::WebMercator
    }

    /// Metres per coordinate unit: 111319.49 for degrees, else what the definition says (0.3048 for feet).
    pub fn meters_per_unit(&self) -> f64 {
        self.definition().meters_per_unit()
    }

    /// The system of longitude and latitude for the same celestial body: `EPSG:4326` on Earth.
    #[must_use]
    pub fn geographic(&self) -> Self {
        match self.0.identity.body() {
            0 => Self::wgs84(),
            body => Self::new(&format!("IAU_2015:{}", body * 100)).unwrap_or_else(|_| self.clone()),
        }
    }

    /// The code as OGC's URL: `http://www.opengis.net/def/crs/EPSG/0/3857`.
    pub fn ogc_url(&self) -> String {
        match self.code().split_once(':') {
            _ if self.0.identity == Identity::Wgs84 && !self.is_axis_order_ne() => {
                "http://www.opengis.net/def/crs/OGC/1.3/CRS84".to_owned()
            }
            Some((authority, number)) => {
                let (authority, version) = authority.split_once('_').unwrap_or((authority, "0"));
                format!("http://www.opengis.net/def/crs/{authority}/{version}/{number}")
            }
            None => self.code().to_owned(),
        }
    }

    /// Transforms one point, x east; `None` where the target projection has no image of it.
    pub fn transform_point(&self, to: &Self, x: f64, y: f64) -> Option<(f64, f64)> {
        Transformer::new(self, to).ok()?.point(x, y)
    }

    /// Transforms points in place, x east; points without an image become infinite.
    pub fn transform_points(&self, to: &Self, points: &mut [(f64, f64)]) {
        match Transformer::new(self, to) {
            Ok(transformer) => transformer.points(points),
            Err(_unsupported) => points.fill((f64::INFINITY, f64::INFINITY)),
        }
    }

    /// The box around 16 points on the edge of `bbox` after transformation. Points without an image are left out.
    ///
    /// From `EPSG:4326` to Web Mercator, edges at or beyond ±180° and ±85.06° become exactly ±20037508.342789244.
    pub fn transform_bbox(&self, to: &Self, bbox: BBox) -> Result<BBox, SrsError> {
        self.transform_bbox_with(to, bbox, 16)
    }

    /// As [`transform_bbox`](Self::transform_bbox), with `points` points on the edge (at least the four corners).
    pub fn transform_bbox_with(&self, to: &Self, bbox: BBox, points: usize) -> Result<BBox, SrsError> {
        Transformer::new(self, to)?.bbox(bbox, points)
    }

    /// The projection, set up on first use, with its datum shift or without any.
    pub(super) fn proj(&self, shifted: bool) -> Result<&Proj, SrsError> {
        let [plain, with_shift] = &self.0.proj;
        let proj = if shifted { with_shift } else { plain };
        proj.get_or_init(|| self.definition().to_proj(&self.0.code, shifted))
            .as_ref()
            .map_err(Clone::clone)
    }

    pub(super) fn identity(&self) -> Identity {
        self.0.identity
    }

    pub(super) fn definition(&self) -> &Definition {
        self.0
            .definition
            .get_or_init(|| definition::define(self.0.identity, &self.0.code).unwrap_or(Definition::UNKNOWN))
    }
}

fn normalized(code: &str) -> String {
    let code = code.trim().to_ascii_uppercase();
    if !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("EPSG:{code}")
    } else {
        code
    }
}

impl PartialEq for Srs {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity == other.0.identity
    }
}

impl Eq for Srs {}

impl Hash for Srs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity.hash(state);
    }
}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Srs({})", self.0.code)
    }
}

impl fmt::Display for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.code)
    }
}

impl Serialize for Srs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.code)
    }
}

impl<'de> Deserialize<'de> for Srs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CodeVisitor)
    }
}

/// Reads a code without copying it first.
struct CodeVisitor;

impl de::Visitor<'_> for CodeVisitor {
    type Value = Srs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the code of a reference system")
    }

    fn visit_str<E: de::Error>(self, code: &str) -> Result<Srs, E> {
        Srs::known(code).ok_or_else(|| E::invalid_value(de::Unexpected::Str(code), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srs(code: &str) -> Srs {
        Srs::new(code).unwrap()
    }

    #[test]
    fn equal_projections_are_equal_systems() {
        let check = |a: &str, b: &str, expect: bool| assert_eq!(srs(a) == srs(b), expect, "{a} {b}");
        for code in ["EPSG:900913", "EPSG:102100", "EPSG:102113", "3857", "ESRI:102100"] {
            check(code, "EPSG:3857", true);
        }
        check("CRS:84", "EPSG:4326", true);
        check("urn:ogc:def:crs:EPSG::25832", "epsg:25832", true);
        check("EPSG:4258", "EPSG:4326", false);
        check("IAU_2015:30100", "EPSG:4326", false);
    }

    #[test]
    fn keeps_the_spelling_in_upper_case() {
        let check = |code: &str, expect: &str| assert_eq!(srs(code).code(), expect);
        check("epsg:900913", "EPSG:900913");
        check(" EPSG:4326 ", "EPSG:4326");
        check("4326", "EPSG:4326");
        check("CRS:84", "CRS:84");
    }

    #[test]
    fn writes_ogc_urls() {
        let check = |code: &str, expect: &str| assert_eq!(srs(code).ogc_url(), expect);
        check("EPSG:3857", "http://www.opengis.net/def/crs/EPSG/0/3857");
        check("CRS:84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84");
        check("OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84");
        check("IAU_2015:30100", "http://www.opengis.net/def/crs/IAU/2015/30100");
        for code in ["EPSG:3857", "CRS:84", "IAU_2015:30100"] {
            assert_eq!(srs(&srs(code).ogc_url()), srs(code));
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for code in ["", "EPSG", "EPSG:0", "EPSG:99999", "foo", "EPSG:4326:1", "CRS:85", "ü"] {
            let error = Srs::new(code).unwrap_err();
            assert!(error.to_string().starts_with("unknown SRS"), "{error}");
        }
        let error = Transformer::new(&srs("EPSG:4326"), &srs("IAU_2015:30100")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`EPSG:4326` and `IAU_2015:30100` belong to different celestial bodies"
        );
        let error = Transformer::new(&srs("EPSG:4326"), &srs("EPSG:27200")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "SRS `EPSG:27200` is not supported yet: its projection `nzmg` is not implemented"
        );
    }

    #[test]
    fn knows_units() {
        let check = |code: &str, expect: f64| {
            let found = srs(code).meters_per_unit();
            assert!((found - expect).abs() < 1e-9 * expect, "{code}: {found}");
        };
        check("EPSG:4326", 111_319.490_793_273_6);
        check("EPSG:3857", 1.0);
        check("EPSG:2263", 0.304_800_609_601_219);
        check("IAU_2015:30100", 30_323.350_424_149_5);
    }
}
