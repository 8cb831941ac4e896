//! Documents of a configuration with everything in it, and with names that are hard to write, against the OGC's schemas.

use std::fmt::Write as _;

use anyhow::Result;
use mapproxy_tests::answers::{markup, media_type, text};
use mapproxy_tests::schemas::{Document, assert_valid_xml};
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = r#"
services:
  wms:
    srs: ['EPSG:4326', 'EPSG:3857', 'EPSG:25832', 'CRS:84']
    bbox_srs: ['EPSG:4326', {srs: 'EPSG:25832', bbox: [0, 5000000, 1000000, 6500000]}]
    image_formats: ['image/png', 'image/jpeg', 'image/gif', 'image/tiff', 'image/GeoTIFF']
    featureinfo_types: [text, html, xml, json]
    attribution: {text: '© <Us> & "them"'}
    md: &md
      title: 'Title <b>"&''ÄÖ日本'
      abstract: "Lines\nand <tags> & quotes \""
      online_resource: 'http://example.org/?a=1&b="2"'
      contact: {person: 'P & Q', position: <P>, organization: '"O"', address: 'A & B', city: Köln, postcode: 12345, state: S, country: DE, phone: '+1 <2>', fax: '3 & 4', email: 'a&b@example.org', address_type: postal}
      access_constraints: 'None & <none>'
      fees: '1 < 2'
      keyword_list: [{vocabulary: 'V & W', keywords: ['a & b', '<c>']}, {keywords: [d]}]
  wmts: {md: *md, featureinfo_formats: [{mimetype: 'application/json', suffix: json}]}
  tms: {use_grid_names: true, md: *md}
  kml: {use_grid_names: true}
layers:
  - title: 'Root & <root>'
    name: 'root "layer" & more'
    md: {abstract: 'of <all>', keyword_list: [{vocabulary: v, keywords: [k]}], attribution: {title: 'A & B', url: 'http://e.org/?a&b', logo: {url: 'http://e.org/l?a&b', width: 3, height: 4, format: image/png}}, identifier: [{url: 'http://e.org/?a&b', name: auth, value: 'x & y'}], metadata: [{url: 'http://e.org/m?a&b', type: 'ISO19115:2003', format: text/xml}], data: [{url: 'http://e.org/d?a&b', format: text/xml}], feature_list: [{url: 'http://e.org/f?a&b', format: text/xml}]}
    layers:
      - {name: plain, title: 'Plain & "simple"', sources: [cache], legendurl: 'SAMPLE/legend.png'}
      - {name: 'name with spaces', title: Spaces, sources: [cache]}
      - {name: 'quote"and&amp', title: Quotes, sources: [cache], max_res: 10, min_res: 1000}
      - {name: Straße, title: 'Straße 日本', sources: [map]}
      - {name: timed, title: Timed, sources: [timed_cache], dimensions: {time: {values: ['2020-01-01T00:00:00Z/2020-01-03T00:00:00Z/P1D'], default: '2020-01-02T00:00:00Z'}, elevation: {values: [0, 100]}, dim_run: {values: ['<a>', 'b & c']}}}
caches:
  cache: {grids: [GLOBAL_WEBMERCATOR, GLOBAL_GEODETIC, fine], sources: [map]}
  timed_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [timed]}
sources:
  map: {type: wms, wms_opts: {featureinfo: true, legendgraphic: true}, coverage: {bbox: [-10, 30, 30, 60], srs: 'EPSG:4326'}, req: {url: SAMPLE/service, layers: map}}
  timed: {type: wms, forward_req_params: [time, elevation, dim_run], req: {url: SAMPLE/service, layers: map}}
grids:
  fine: {srs: 'EPSG:25832', bbox: [0, 5000000, 1000000, 6000000], origin: nw, res: [100, 0.0001]}
"#;

#[tokio::test]
async fn documents_with_everything_in_them_are_valid() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let capabilities = [
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.0.0",
            Document::Wms100,
        ),
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.1.0",
            Document::Wms110,
        ),
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.1.1",
            Document::Wms111,
        ),
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.1.1&TILED=true",
            Document::WmsC,
        ),
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.3.0",
            Document::Wms130,
        ),
        ("/service?SERVICE=WMTS&REQUEST=GetCapabilities", Document::Wmts100),
        ("/wmts/1.0.0/WMTSCapabilities.xml", Document::Wmts100),
        ("/kml/plain/GLOBAL_GEODETIC/1/0/0.kml", Document::Kml),
        ("/kml/name%20with%20spaces/GLOBAL_GEODETIC/1/0/0.kml", Document::Kml),
    ];
    for (path, kind) in capabilities {
        let answer = server.get(path).await?;
        assert_eq!(answer.status(), 200, "{path}: {}", text(&answer));
        assert_valid_xml(kind, answer.body());
    }
    for path in [
        "/tms/1.0.0",
        "/tms/1.0.0/plain/fine",
        "/tms/1.0.0/name%20with%20spaces/fine",
    ] {
        let answer = server.get(path).await?;
        assert_eq!(answer.status(), 200, "{path}: {}", text(&answer));
        markup(&answer);
    }
    Ok(())
}

#[tokio::test]
async fn exceptions_that_quote_what_was_asked_are_valid() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let odd = "%3Ca%3E%22%27%26%C3%A4%00%08%FF";
    for (path, kind) in [
        ("/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=", Document::Wms111Exception),
        ("/service?SERVICE=WMS&VERSION=1.3.0&REQUEST=", Document::Wms130Exception),
        ("/service?SERVICE=WMTS&REQUEST=", Document::OwsException),
        ("/service?SERVICE=", Document::OwsException),
        (
            "/service?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetTile&STYLE=&TILEMATRIXSET=fine&TILEMATRIX=0&TILEROW=0&TILECOL=0&FORMAT=image/png&LAYER=",
            Document::OwsException,
        ),
        (
            "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:4326&BBOX=0,0,1,1&WIDTH=9&HEIGHT=9&FORMAT=image/png&LAYERS=",
            Document::Wms111Exception,
        ),
        (
            "/service?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&STYLES=&CRS=EPSG:4326&BBOX=0,0,1,1&WIDTH=9&HEIGHT=9&LAYERS=plain&FORMAT=",
            Document::Wms130Exception,
        ),
    ] {
        let answer = server.get(&format!("{path}{odd}")).await?;
        assert_valid_xml(kind, answer.body());
    }
    Ok(())
}

#[tokio::test]
async fn layers_with_odd_names_can_be_asked_for() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for name in [
        "name%20with%20spaces",
        "name+with+spaces",
        "quote%22and%26amp",
        "Stra%C3%9Fe",
    ] {
        let answer = server
            .get(&format!("/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:4326&BBOX=0,40,10,50&WIDTH=64&HEIGHT=64&FORMAT=image/png&LAYERS={name}"))
            .await?;
        assert_eq!(media_type(&answer), "image/png", "{name}: {}", text(&answer));
    }
    Ok(())
}

#[tokio::test]
async fn ten_thousand_layers_are_told() -> Result<()> {
    let mut configuration = "
services: {wms: , wmts: , tms: }
caches:
  cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map]}
sources:
  map: {type: wms, req: {url: SAMPLE/service, layers: map}}
layers:
"
    .to_owned();
    for number in 0..10_000 {
        writeln!(
            configuration,
            "  - {{name: layer{number}, title: Layer {number}, sources: [cache]}}"
        )?;
    }
    let site = Site::new(&configuration)?;
    let server = site.start().await?;
    for (path, kind) in [
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.1.1",
            Document::Wms111,
        ),
        (
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.3.0",
            Document::Wms130,
        ),
        ("/service?SERVICE=WMTS&REQUEST=GetCapabilities", Document::Wmts100),
    ] {
        let answer = server.get(path).await?;
        assert_eq!(answer.status(), 200, "{path}");
        assert_valid_xml(kind, answer.body());
        assert!(markup(&answer).contains("layer9999"), "{path}");
    }
    let tile = server.get("/tiles/layer9999/webmercator/0/0/0.png").await?;
    assert_eq!(tile.status(), 404, "{}", text(&tile));
    Ok(())
}
