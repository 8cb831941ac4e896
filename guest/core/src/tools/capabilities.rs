//! What a WMS says about itself: capabilities documents of the versions 1.1.1 and 1.3.0 (OGC 01-068r3, 06-042).

use crate::request::QueryParams;
use crate::srs::{Srs, scale_to_res};
use crate::xslt::{Document, Element};

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilitiesError {
    #[error("Could not parse the document: {reason}")]
    Xml { reason: String },
    #[error("Not a capabilities document: it begins with `{top}`")]
    Other { top: String },
    #[error("XML-Element has no such attribute: `{attribute}` of `{element}`")]
    Attribute { element: String, attribute: String },
    #[error("`{text}` in `{element}` is no number")]
    Number { element: String, text: String },
    #[error("the service offers no layer")]
    NoLayers,
}

/// A service and its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// `1.1.1` or `1.3.0`
    pub version: String,
    pub title: Option<String>,
    /// where maps are asked for
    pub url: Option<String>,
    pub root: OfferedLayer,
}

/// A layer with what it inherits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfferedLayer {
    /// `None`: a heading
    pub name: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub queryable: bool,
    pub opaque: bool,
    /// codes as written, each once
    pub srs: Vec<String>,
    /// west, south, east, north
    pub lonlat: Option<[f64; 4]>,
    /// minx, miny, maxx, maxy by code; x is east
    pub boxes: Vec<(String, [f64; 4])>,
    /// metres a pixel: the coarsest and the finest it is drawn at
    pub resolutions: (Option<f64>, Option<f64>),
    pub legend: Option<String>,
    pub layers: Vec<Self>,
}

/// The address that answers with the capabilities of the service at `service`.
pub fn capabilities_url(service: &str, version: &str) -> Result<String, String> {
    let known = service.starts_with("http://") || service.starts_with("https://");
    if !known {
        return Err(format!("`{service}` is no URL; expected `http://` or `https://`"));
    }
    let service = service.split('#').next().unwrap_or(service);
    let (path, query) = service.split_once('?').unwrap_or((service, ""));
    let mut params = QueryParams::parse(query);
    for (name, value) in [("service", "WMS"), ("version", version), ("request", "GetCapabilities")] {
        params.set(name, value);
    }
    Ok(format!("{path}?{}", params.to_query()))
}

impl Capabilities {
    /// Reads a document.
    pub fn read(bytes: &[u8]) -> Result<Self, CapabilitiesError> {
        let document = Document::parse(bytes).map_err(|error| CapabilitiesError::Xml {
            reason: error.to_string(),
        })?;
        let top = document.top();
        if !matches!(top.name(), "WMT_MS_Capabilities" | "WMS_Capabilities") {
            return Err(CapabilitiesError::Other {
                top: top.name().to_owned(),
            });
        }
        let version = if top.name() == "WMS_Capabilities" {
            "1.3.0"
        } else {
            "1.1.1"
        };
        let get_map = top.find(&[
            "Capability",
            "Request",
            "GetMap",
            "DCPType",
            "HTTP",
            "Get",
            "OnlineResource",
        ]);
        let root = top.find(&["Capability", "Layer"]).ok_or(CapabilitiesError::NoLayers)?;
        Ok(Self {
            version: version.to_owned(),
            title: top.text_of(&["Service", "Title"]),
            url: get_map.and_then(|place| place.attribute("href")).map(str::to_owned),
            root: layer(root, &OfferedLayer::default(), version == "1.3.0")?,
        })
    }
}

/// A layer in another one. Depth is bounded by the parser.
fn layer(element: Element<'_>, outer: &OfferedLayer, newer: bool) -> Result<OfferedLayer, CapabilitiesError> {
    let flag = |name| matches!(element.attribute(name), Some("1" | "true"));
    let srs_name = if newer { "CRS" } else { "SRS" };
    let mut srs = outer.srs.clone();
    for code in element.children(srs_name).filter_map(|code| code.text()) {
        for code in code.split_whitespace() {
            if !srs.iter().any(|known| known == code) {
                srs.push(code.to_owned());
            }
        }
    }
    let mut boxes = outer.boxes.clone();
    for own in element.children("BoundingBox") {
        let code = attribute(own, srs_name)?.to_owned();
        let edges = box_of(own)?;
        let [minx, miny, maxx, maxy] = edges;
        let swapped = newer && Srs::new(&code).is_ok_and(|srs| srs.is_axis_order_ne());
        let edges = if swapped { [miny, minx, maxy, maxx] } else { edges };
        boxes.retain(|(known, _)| *known != code);
        boxes.push((code, edges));
    }
    let lonlat = match element.find(&[if newer {
        "EX_GeographicBoundingBox"
    } else {
        "LatLonBoundingBox"
    }]) {
        None => outer.lonlat,
        Some(own) if newer => {
            let edge = |name| -> Result<f64, CapabilitiesError> {
                let text = own.text_of(&[name]).unwrap_or_default();
                number(own, &text)
            };
            Some([
                edge("westBoundLongitude")?,
                edge("southBoundLatitude")?,
                edge("eastBoundLongitude")?,
                edge("northBoundLatitude")?,
            ])
        }
        Some(own) => Some(box_of(own)?),
    };
    let own_resolutions = resolutions(element)?;
    let resolutions = (
        own_resolutions.0.or(outer.resolutions.0),
        own_resolutions.1.or(outer.resolutions.1),
    );
    let legend = element.find(&["Style", "LegendURL", "OnlineResource"]);
    let mut own = OfferedLayer {
        name: element.text_of(&["Name"]),
        title: element.text_of(&["Title"]),
        description: element.text_of(&["Abstract"]),
        queryable: flag("queryable"),
        opaque: flag("opaque"),
        srs,
        lonlat,
        boxes,
        resolutions,
        legend: legend.and_then(|place| place.attribute("href")).map(str::to_owned),
        layers: Vec::new(),
    };
    let inner: Result<Vec<_>, _> = element
        .children("Layer")
        .map(|inner| layer(inner, &own, newer))
        .collect();
    own.layers = inner?;
    Ok(own)
}

/// `ScaleHint` holds the diagonal of a pixel in metres, scale denominators stand for pixels of 0.28 mm.
fn resolutions(element: Element<'_>) -> Result<(Option<f64>, Option<f64>), CapabilitiesError> {
    if let Some(hint) = element.find(&["ScaleHint"]) {
        let edge = |name| -> Result<Option<f64>, CapabilitiesError> {
            let text = hint.attribute(name).unwrap_or("0");
            let diagonal = number(hint, text)?;
            // 0, or more than any map has: no limit
            Ok(Some((diagonal * diagonal / 2.0).sqrt()).filter(|res| *res > 0.0 && *res < 1e6))
        };
        return Ok((edge("max")?, edge("min")?));
    }
    let edge = |name| -> Result<Option<f64>, CapabilitiesError> {
        let Some(text) = element.text_of(&[name]) else {
            return Ok(None);
        };
        Ok(Some(scale_to_res(number(element, &text)?)).filter(|res| *res > 0.0 && *res < 1e6))
    };
    Ok((edge("MaxScaleDenominator")?, edge("MinScaleDenominator")?))
}

fn attribute<'a>(element: Element<'a>, name: &str) -> Result<&'a str, CapabilitiesError> {
    element.attribute(name).ok_or_else(|| CapabilitiesError::Attribute {
        element: element.name().to_owned(),
        attribute: name.to_owned(),
    })
}

fn box_of(element: Element<'_>) -> Result<[f64; 4], CapabilitiesError> {
    let edge = |name| number(element, attribute(element, name)?);
    Ok([edge("minx")?, edge("miny")?, edge("maxx")?, edge("maxy")?])
}

fn number(element: Element<'_>, text: &str) -> Result<f64, CapabilitiesError> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| CapabilitiesError::Number {
        element: element.name().to_owned(),
        text: text.to_owned(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const NEW: &str = "\
<WMS_Capabilities version='1.3.0' xmlns='http://www.opengis.net/wms' xmlns:xlink='http://www.w3.org/1999/xlink'>
<Service><Title>T: it's</Title></Service>
<Capability><Request><GetMap><DCPType><HTTP><Get><OnlineResource xlink:href='http://example.org/s?map=1&amp;'/></Get></HTTP></DCPType></GetMap></Request>
<Layer><Title>Root</Title><CRS>EPSG:3857</CRS><CRS>EPSG:4326</CRS>
<EX_GeographicBoundingBox><westBoundLongitude>5</westBoundLongitude><eastBoundLongitude>15</eastBoundLongitude>
<southBoundLatitude>45</southBoundLatitude><northBoundLatitude>55</northBoundLatitude></EX_GeographicBoundingBox>
<Layer queryable='1' opaque='1'><Name>ns:a</Name><Title>A</Title><Abstract>two
lines</Abstract><CRS>EPSG:99999</CRS><BoundingBox CRS='EPSG:4326' minx='45' miny='5' maxx='55' maxy='15'/>
<MinScaleDenominator>1000</MinScaleDenominator><MaxScaleDenominator>50000</MaxScaleDenominator></Layer>
<Layer><Title>group</Title><Layer><Name>in</Name></Layer></Layer>
</Layer></Capability></WMS_Capabilities>";

    pub(in super::super) const OLD: &str = "\
<WMT_MS_Capabilities version='1.1.1' xmlns:xlink='http://www.w3.org/1999/xlink'>
<Service><Title>Old</Title></Service><Capability><Request><GetMap><DCPType><HTTP><Get>
<OnlineResource xlink:href='http://example.org/s'/></Get></HTTP></DCPType></GetMap></Request>
<Layer><Title>Root</Title><SRS>EPSG:4326 EPSG:900913</SRS>
<Layer><Name>osm</Name><Title>Map</Title><LatLonBoundingBox minx='1' miny='2' maxx='3' maxy='4'/></Layer>
<Layer><Name>osm_roads</Name><Title>Roads</Title><ScaleHint min='1.0' max='500'/></Layer>
</Layer></Capability></WMT_MS_Capabilities>";

    #[test]
    fn layers_inherit() {
        let read = Capabilities::read(NEW.as_bytes()).unwrap();
        assert_eq!(
            (read.version.as_str(), read.title.as_deref()),
            ("1.3.0", Some("T: it's"))
        );
        assert_eq!(read.url.as_deref(), Some("http://example.org/s?map=1&"));
        let first = &read.root.layers[0];
        assert_eq!(first.srs, ["EPSG:3857", "EPSG:4326", "EPSG:99999"]);
        assert!(first.queryable && first.opaque);
        assert_eq!(
            first.boxes,
            [("EPSG:4326".to_owned(), [5.0, 45.0, 15.0, 55.0])],
            "x is east"
        );
        assert_eq!(
            first.resolutions,
            (Some(scale_to_res(50000.0)), Some(scale_to_res(1000.0)))
        );
        let inner = &read.root.layers[1].layers[0];
        assert_eq!(inner.lonlat, Some([5.0, 45.0, 15.0, 55.0]));
        assert_eq!((inner.name.as_deref(), inner.title.as_deref()), (Some("in"), None));
    }

    #[test]
    fn older_documents_hint_at_scales() {
        let read = Capabilities::read(OLD.as_bytes()).unwrap();
        let [first, second] = read.root.layers.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(first.lonlat, Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(
            second.resolutions,
            (Some(353.553_390_593_273_8), Some(std::f64::consts::FRAC_1_SQRT_2))
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |text: &str, expect: &str| {
            let error = Capabilities::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expect), "{error}");
        };
        check("", "Could not parse the document");
        check("<ServiceExceptionReport/>", "Not a capabilities document");
        check(&OLD.replace("minx", "foo"), "XML-Element has no such attribute: `minx`");
        check(&OLD.replace("minx='1'", "minx='x'"), "`x` in `LatLonBoundingBox`");
        check("<WMS_Capabilities/>", "the service offers no layer");
    }

    #[test]
    fn addresses_are_completed() {
        let check = |service: &str, expect: Result<&str, ()>| {
            let url = capabilities_url(service, "1.1.1").map_err(|_reason| ());
            assert_eq!(url, expect.map(str::to_owned), "{service}");
        };
        check(
            "http://a/s",
            Ok("http://a/s?service=WMS&version=1.1.1&request=GetCapabilities"),
        );
        check(
            "https://a/s?map=x&REQUEST=GetMap#y",
            Ok("https://a/s?map=x&REQUEST=GetCapabilities&service=WMS&version=1.1.1"),
        );
        check("/etc/passwd", Err(()));
        check("file:///etc/passwd", Err(()));
    }
}
