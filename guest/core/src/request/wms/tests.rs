//! Tests of the WMS messages: what is understood, and the exact texts of what is not.

use super::*;
use crate::srs::BBox;

const MAP_111: &str = "service=WMS&version=1.1.1&request=GetMap&layers=a,b&styles=&srs=epsg:4326&bbox=1,2,3,4\
                       &width=100.7&height=50&format=image/png";
const MAP_130: &str = "service=WMS&version=1.3.0&request=GetMap&layers=a&styles=&crs=EPSG:4326&bbox=1,2,3,4\
                       &width=100&height=50&format=image/png";

fn parse_text(query: &str, version: WmsVersion) -> Result<WmsRequest, WmsRequestError> {
    parse(&QueryParams::parse(query), version, Strictness::Lenient)
}

#[track_caller]
fn map(query: &str, version: WmsVersion) -> GetMap {
    match parse_text(query, version) {
        Ok(WmsRequest::Map(map)) => map,
        other => panic!("{query}: {other:?}"),
    }
}

#[track_caller]
fn check_error(query: &str, version: WmsVersion, message: &str, code: Option<&str>) {
    let error = parse_text(query, version).unwrap_err();
    assert_eq!(error.to_string(), message, "{query}");
    assert_eq!(error.code(), code, "{query}");
}

#[test]
fn versions_are_negotiated() {
    use WmsVersion::{V100, V110, V111, V130};
    let check = |query: &str, spoken: &[WmsVersion], expect| {
        assert_eq!(
            negotiate(&QueryParams::parse(query), spoken),
            expect,
            "{query} {spoken:?}"
        );
    };
    let all = [V100, V110, V111, V130];
    check("", &all, V130);
    check("version=", &all, V130);
    check("version=nonsense", &all, V130);
    check("version=1.1.1", &all, V111);
    check("VERSION=1.1", &all, V110);
    check("version=1.1.3", &all, V111);
    check("version=1.1.11", &all, V111);
    check("version=1.2.0", &all, V111);
    check("version=2.0.0", &all, V130);
    check("wmtver=0.9.0", &all, V100);
    check("wmtver=1.0.0", &all, V100);
    check("version=1.1.1&wmtver=1.0.0", &all, V111);
    check("version=1.3.0", &[V110, V111], V111);
    check("wmtver=0.9.0", &[V110, V111], V110);
    check("", &[V110, V111], V111);
    check("", &[], V130);
}

#[test]
fn a_map_request_is_read() {
    let found = map(
        &format!("{MAP_111}&LAYERS=c&transparent=TRUE&bgcolor=0xFF00a0&Time=2020&dim_Level=7&tiled=True&other=1"),
        WmsVersion::V111,
    );
    assert_eq!(found.layers, ["a", "b", "c"]);
    assert_eq!(found.srs, "EPSG:4326");
    assert_eq!(found.bbox, BBox::new(1.0, 2.0, 3.0, 4.0));
    assert_eq!(found.size, (100, 50));
    assert_eq!(found.format, "image/png");
    assert!(found.transparent && found.tiled);
    assert_eq!(found.bgcolor, [255, 0, 160]);
    let expect = [("Time", "2020"), ("dim_Level", "7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found.dimensions, expect);
}

#[test]
fn only_version_130_orders_coordinates_as_the_srs_does() {
    let check = |query: String, version, expect: [f64; 4]| {
        let [minx, miny, maxx, maxy] = expect;
        assert_eq!(map(&query, version).bbox, BBox::new(minx, miny, maxx, maxy), "{query}");
    };
    check(MAP_130.to_owned(), WmsVersion::V130, [2.0, 1.0, 4.0, 3.0]);
    check(
        MAP_130.replace("EPSG:4326", "CRS:84"),
        WmsVersion::V130,
        [1.0, 2.0, 3.0, 4.0],
    );
    check(
        MAP_130.replace("EPSG:4326", "EPSG:3857"),
        WmsVersion::V130,
        [1.0, 2.0, 3.0, 4.0],
    );
    check(
        MAP_130.replace("EPSG:4326", "EPSG:31467"),
        WmsVersion::V130,
        [2.0, 1.0, 4.0, 3.0],
    );
    check(MAP_111.to_owned(), WmsVersion::V111, [1.0, 2.0, 3.0, 4.0]);
    check(
        MAP_111.replace("version=1.1.1", "wmtver=1.0.0"),
        WmsVersion::V100,
        [1.0, 2.0, 3.0, 4.0],
    );
}

#[test]
fn names_of_requests_have_their_variants() {
    let check = |query: &str, version, expect: Option<WmsRequest>| {
        assert_eq!(parse_text(query, version).ok(), expect, "{query}");
    };
    let capabilities = |tiled| Some(WmsRequest::Capabilities { tiled });
    check("request=GetCapabilities", WmsVersion::V130, capabilities(false));
    check("REQUEST=capabilities&tiled=true", WmsVersion::V111, capabilities(true));
    check("request=getmap2", WmsVersion::V111, None);
    assert!(parse_text(&MAP_111.replace("GetMap", "map"), WmsVersion::V111).is_ok());
}

#[test]
fn wrong_requests_get_the_texts_clients_know() {
    use WmsVersion::{V100, V110, V111, V130};
    check_error("", V111, "unknown WMS request type 'None'", None);
    check_error("request=invalid", V111, "unknown WMS request type 'invalid'", None);
    check_error(
        "request=getlegendgraphic",
        V110,
        "unknown WMS request type 'getlegendgraphic'",
        None,
    );
    check_error(
        "version=1.1.1&request=GetMap&layers=&format=",
        V111,
        "missing parameters ['styles', 'srs', 'bbox', 'width', 'height']",
        None,
    );
    check_error(
        "request=GetMap&crs=x",
        V130,
        "missing parameters ['version', 'layers', 'styles', 'bbox', 'width', 'height', 'format']",
        None,
    );
    check_error(
        "request=map",
        V100,
        "missing parameters ['wmtver', 'layers', 'styles', 'srs', 'bbox', 'width', 'height', 'format']",
        None,
    );
    check_error(
        "version=1.3.0&request=GetFeatureInfo",
        V130,
        "missing parameters ['layers', 'crs', 'bbox', 'width', 'height', 'query_layers', 'i', 'j']",
        None,
    );
    check_error(
        "version=1.3.0&request=GetLegendGraphic&layer=a",
        V130,
        "missing parameters ['format']",
        None,
    );
    check_error(
        "version=1.3.0&request=GetLegendGraphic&layer=a&format=x&sld_version=1.0.0",
        V130,
        "invalid sld_version 1.0.0",
        None,
    );
    for bbox in [
        "7,2,-9,10",
        "1,2,3,2",
        "1,2,3",
        "1,2,3,4,5",
        "1,2,3,x",
        "1,2,3,nan",
        "-inf,2,3,4",
        "",
    ] {
        let query = MAP_111.replace("bbox=1,2,3,4", &format!("bbox={bbox}"));
        check_error(&query, V111, &format!("invalid bbox {bbox}"), None);
    }
    // the axes are switched first: in 1.3.0 this box has no height
    check_error(
        &MAP_130.replace("bbox=1,2,3,4", "bbox=1,2,1,4"),
        V130,
        "invalid bbox 1,2,1,4",
        None,
    );
    check_error(
        &MAP_111.replace("styles=", "styles=x,y"),
        V111,
        "unsupported styles: x,y",
        Some("StyleNotDefined"),
    );
    assert!(
        parse_text(
            &MAP_111.replace("styles=", "styles=,default,inspire_common:DEFAULT"),
            V111
        )
        .is_ok()
    );
    for width in ["0", "-5", "x", "nan", ""] {
        let query = MAP_111.replace("width=100.7", &format!("width={width}"));
        let text = format!("invalid image size {width} x 50, expected two positive numbers");
        check_error(&query, V111, &text, None);
    }
    let huge = map(&MAP_111.replace("width=100.7", "width=1e300"), V111);
    assert_eq!(huge.size, (MAX_IMAGE_SIDE_PX, 50));
    check_error(
        &format!("{MAP_111}&bgcolor=red"),
        V111,
        "invalid bgcolor red, expected 0xRRGGBB",
        None,
    );
}

#[test]
fn feature_info_is_lenient_unless_told_otherwise() {
    let query = "version=1.1.1&request=GetFeatureInfo&layers=a&query_layers=b,c&srs=EPSG:3857&bbox=1,2,3,4\
                 &width=100&height=50&x=10.5&y=20&feature_count=3&info_format=text/html";
    let Ok(WmsRequest::FeatureInfo(info)) = parse_text(query, WmsVersion::V111) else {
        panic!("{query}")
    };
    assert_eq!(info.pos, (10.5, 20.0));
    assert_eq!(info.query_layers, ["b", "c"]);
    assert_eq!(info.info_format.as_deref(), Some("text/html"));
    assert_eq!(info.feature_count, Some(3));
    assert_eq!(info.map.format, "image/png");
    let error = parse(&QueryParams::parse(query), WmsVersion::V111, Strictness::Strict).unwrap_err();
    assert_eq!(error.to_string(), "missing parameters ['styles', 'format']");
    check_error(
        &query.replace("x=10.5", "x=a"),
        WmsVersion::V111,
        "invalid position a,20, expected two numbers",
        None,
    );
}

#[test]
fn legends_are_lenient_unless_told_otherwise() {
    let query = "version=1.1.1&request=GetLegendGraphic&layer=a&format=image/png&scale=5.0";
    let expect = GetLegendGraphic {
        layer: "a".to_owned(),
        format: "image/png".to_owned(),
        scale: Some(5.0),
    };
    assert_eq!(parse_text(query, WmsVersion::V111), Ok(WmsRequest::Legend(expect)));
    let error = parse(&QueryParams::parse(query), WmsVersion::V111, Strictness::Strict).unwrap_err();
    assert_eq!(error.to_string(), "missing parameters ['sld_version']");
}

#[test]
fn exceptions_are_told_as_the_client_wants() {
    let check = |query: &str, expect: ExceptionFormat| {
        assert_eq!(
            ExceptionStyle::of(&QueryParams::parse(query), WmsVersion::V111).format,
            expect,
            "{query}"
        );
    };
    check("", ExceptionFormat::Xml);
    check("exceptions=application/vnd.ogc.se_xml", ExceptionFormat::Xml);
    check("exceptions=application/vnd.ogc.se_inimage", ExceptionFormat::InImage);
    check("EXCEPTIONS=INIMAGE", ExceptionFormat::InImage);
    check("exceptions=BLANK", ExceptionFormat::Blank);
    let style = ExceptionStyle::of(&QueryParams::parse("width=x&bgcolor=y"), WmsVersion::V111);
    assert_eq!(
        (style.size, style.bgcolor, style.image_format.as_str()),
        ((256, 256), [255; 3], "image/png")
    );
}

fn any_query() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let name = prop::sample::select(vec![
        "request",
        "version",
        "wmtver",
        "layers",
        "styles",
        "srs",
        "crs",
        "bbox",
        "width",
        "height",
        "format",
        "x",
        "y",
        "i",
        "j",
        "query_layers",
        "transparent",
        "bgcolor",
        "exceptions",
        "scale",
        "layer",
        "sld_version",
        "tiled",
        "feature_count",
        "time",
    ]);
    let value = prop_oneof![
        "\\PC{0,12}",
        "[-+0-9.,eE]{0,40}",
        prop::sample::select(vec![
            "GetMap",
            "GetFeatureInfo",
            "GetLegendGraphic",
            "GetCapabilities",
            "EPSG:4326",
            "EPSG:31467",
            "1,2,3,4",
            "100",
            "1e400",
            "-0",
            "image/png",
            "1.1.0",
            "true",
            "0xffffff",
            "0x\u{e4}\u{e4}\u{e4}",
            "INIMAGE",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((name, value), 0..20).prop_map(|pairs| {
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    })
}

proptest::proptest! {
    #[test]
    fn no_request_is_too_strange_for_an_answer(query in any_query()) {
        let params = QueryParams::parse(&query);
        for version in [WmsVersion::V100, WmsVersion::V110, WmsVersion::V111, WmsVersion::V130] {
            let style = ExceptionStyle::of(&params, version);
            assert!(style.size.0 >= 1 && style.size.1 >= 1);
            for strictness in [Strictness::Strict, Strictness::Lenient] {
                match parse(&params, version, strictness) {
                    Ok(WmsRequest::Map(map)) => assert!(map.bbox.is_finite() && !map.bbox.is_empty()),
                    Ok(_) => {}
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}
