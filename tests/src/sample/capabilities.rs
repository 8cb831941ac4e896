//! Capabilities documents of the sample WMS.

use std::fmt::Write as _;

use super::projection::Projection;
use super::render::Layer;
use super::request::MAX_SIZE;
use super::wms::Reply;

const CODES: [&str; 4] = ["EPSG:4326", "EPSG:3857", "EPSG:900913", "EPSG:32632"];

pub(super) fn document(version: &str, base: &str) -> Reply {
    let url = format!("{base}/service?");
    match version {
        "1.3.0" => Reply::new(200, "text/xml; charset=utf-8", wms130(&url)),
        "1.0.0" => Reply::new(200, "text/xml; charset=utf-8", wms100(&url)),
        _ => Reply::new(200, "application/vnd.ogc.wms_xml", wms11x(version, &url)),
    }
}

/// The drawn extent in a reference system.
fn extent(code: &str) -> [f64; 4] {
    match Projection::from_code(code) {
        Some(Projection::Mercator) => [
            -20_037_508.342_789_244,
            -20_037_508.342_789_244,
            20_037_508.342_789_244,
            20_037_508.342_789_244,
        ],
        Some(Projection::Utm32) => [-1_500_000.0, 0.0, 2_500_000.0, 8_000_000.0],
        Some(Projection::LonLat) | None => [-180.0, -90.0, 180.0, 90.0],
    }
}

fn wms130(url: &str) -> String {
    let operation = |name: &str, formats: &[&str]| {
        let formats = format!("<Format>{}</Format>", formats.join("</Format><Format>"));
        format!(
            "      <{name}>{formats}<DCPType><HTTP><Get><OnlineResource xlink:type=\"simple\" xlink:href=\"{url}\"/></Get></HTTP></DCPType></{name}>\n"
        )
    };
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
<WMS_Capabilities version=\"1.3.0\" xmlns=\"http://www.opengis.net/wms\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" xmlns:sld=\"http://www.opengis.net/sld\">\n\
  <Service><Name>WMS</Name><Title>Sample WMS</Title><Abstract>Natural Earth 1:110m</Abstract><OnlineResource xlink:type=\"simple\" xlink:href=\"{url}\"/><MaxWidth>{MAX_SIZE}</MaxWidth><MaxHeight>{MAX_SIZE}</MaxHeight></Service>\n\
  <Capability>\n    <Request>\n"
    );
    xml += &operation("GetCapabilities", &["text/xml"]);
    xml += &operation("GetMap", &["image/png", "image/jpeg"]);
    xml += &operation(
        "GetFeatureInfo",
        &["text/plain", "text/html", "text/xml", "application/json"],
    );
    xml += &operation("sld:GetLegendGraphic", &["image/png", "image/jpeg"]);
    xml += "    </Request>\n    <Exception><Format>XML</Format></Exception>\n    <Layer>\n      <Title>Sample WMS</Title>\n";
    for code in CODES {
        let _ = writeln!(xml, "      <CRS>{code}</CRS>");
    }
    xml += "      <EX_GeographicBoundingBox><westBoundLongitude>-180</westBoundLongitude><eastBoundLongitude>180</eastBoundLongitude><southBoundLatitude>-90</southBoundLatitude><northBoundLatitude>90</northBoundLatitude></EX_GeographicBoundingBox>\n";
    for code in CODES {
        let [minx, miny, maxx, maxy] = if code == "EPSG:4326" {
            [-90.0, -180.0, 90.0, 180.0]
        } else {
            extent(code)
        };
        let _ = writeln!(
            xml,
            "      <BoundingBox CRS=\"{code}\" minx=\"{minx}\" miny=\"{miny}\" maxx=\"{maxx}\" maxy=\"{maxy}\"/>"
        );
    }
    for (_, name, title) in Layer::ALL {
        let _ = writeln!(
            xml,
            "      <Layer queryable=\"1\"><Name>{name}</Name><Title>{title}</Title></Layer>"
        );
    }
    xml + "    </Layer>\n  </Capability>\n</WMS_Capabilities>\n"
}

fn wms11x(version: &str, url: &str) -> String {
    let operation = |name: &str, formats: &[&str]| {
        let formats = format!("<Format>{}</Format>", formats.join("</Format><Format>"));
        format!(
            "      <{name}>{formats}<DCPType><HTTP><Get><OnlineResource xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:type=\"simple\" xlink:href=\"{url}\"/></Get></HTTP></DCPType></{name}>\n"
        )
    };
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<WMT_MS_Capabilities version=\"{version}\">\n\
  <Service><Name>OGC:WMS</Name><Title>Sample WMS</Title><Abstract>Natural Earth 1:110m</Abstract><OnlineResource xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:type=\"simple\" xlink:href=\"{url}\"/></Service>\n\
  <Capability>\n    <Request>\n"
    );
    xml += &operation("GetCapabilities", &["application/vnd.ogc.wms_xml"]);
    xml += &operation("GetMap", &["image/png", "image/jpeg"]);
    xml += &operation(
        "GetFeatureInfo",
        &["text/plain", "text/html", "application/vnd.ogc.gml", "application/json"],
    );
    if version == "1.1.1" {
        xml += &operation("GetLegendGraphic", &["image/png", "image/jpeg"]);
    }
    xml += "    </Request>\n    <Exception><Format>application/vnd.ogc.se_xml</Format></Exception>\n    <Layer>\n      <Title>Sample WMS</Title>\n";
    // 1.1.0 takes all codes in one element, 1.1.1 one element each
    let separator = if version == "1.1.1" { "</SRS>\n      <SRS>" } else { " " };
    let _ = writeln!(xml, "      <SRS>{}</SRS>", CODES.join(separator));
    xml += "      <LatLonBoundingBox minx=\"-180\" miny=\"-90\" maxx=\"180\" maxy=\"90\"/>\n";
    for code in CODES {
        let [minx, miny, maxx, maxy] = extent(code);
        let _ = writeln!(
            xml,
            "      <BoundingBox SRS=\"{code}\" minx=\"{minx}\" miny=\"{miny}\" maxx=\"{maxx}\" maxy=\"{maxy}\"/>"
        );
    }
    for (_, name, title) in Layer::ALL {
        let _ = writeln!(
            xml,
            "      <Layer queryable=\"1\"><Name>{name}</Name><Title>{title}</Title></Layer>"
        );
    }
    xml + "    </Layer>\n  </Capability>\n</WMT_MS_Capabilities>\n"
}

fn wms100(url: &str) -> String {
    let operation = |name: &str, formats: &str| {
        format!(
            "      <{name}><Format>{formats}</Format><DCPType><HTTP><Get onlineResource=\"{url}\"/></HTTP></DCPType></{name}>\n"
        )
    };
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<WMT_MS_Capabilities version=\"1.0.0\">\n\
  <Service><Name>GetMap</Name><Title>Sample WMS</Title><OnlineResource>{url}</OnlineResource></Service>\n  <Capability>\n    <Request>\n"
    );
    xml += &operation("Map", "<PNG/><JPEG/>");
    xml += &operation("Capabilities", "<WMS_XML/>");
    xml += &operation("FeatureInfo", "<MIME/>");
    let _ = write!(
        xml,
        "    </Request>\n    <Exception><Format><WMS_XML/></Format></Exception>\n    <Layer>\n      <Title>Sample WMS</Title>\n      <SRS>{}</SRS>\n      <LatLonBoundingBox minx=\"-180\" miny=\"-90\" maxx=\"180\" maxy=\"90\"/>\n",
        CODES.join(" ")
    );
    for (_, name, title) in Layer::ALL {
        let _ = writeln!(
            xml,
            "      <Layer queryable=\"1\"><Name>{name}</Name><Title>{title}</Title></Layer>"
        );
    }
    xml + "    </Layer>\n  </Capability>\n</WMT_MS_Capabilities>\n"
}
