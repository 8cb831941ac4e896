//! WMTS from outside, KVP and REST.

use anyhow::Result;
use mapproxy_tests::answers::{header, markup, media_type, text};
use mapproxy_tests::images::{Tolerance, assert_alike, decode};
use mapproxy_tests::schemas::{Document, assert_valid_xml};
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  wmts:
layers:
  - {name: map, title: 'Map & more', sources: [map_cache]}
  - {name: utm, title: UTM, sources: [utm_cache]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR, geodetic], sources: [map], image: {resampling_method: nearest}}
  utm_cache: {grids: [utm32], sources: [map]}
sources:
  map: {type: wms, req: {url: SAMPLE/service, layers: 'land,borders'}}
grids:
  geodetic: {base: GLOBAL_GEODETIC, origin: nw}
  utm32: {srs: 'EPSG:32632', bbox: [0, 5000000, 1000000, 6000000], origin: nw, tile_size: [200, 200]}
globals:
  image: {paletted: false}
";

/// Level 2, column 2, row 1: Europe.
const KVP: &str = "/service?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=map&STYLE=&TILEMATRIXSET=GLOBAL_WEBMERCATOR&TILEMATRIX=2&TILEROW=1&TILECOL=2&FORMAT=image/png";

#[tokio::test]
async fn capabilities_are_valid_and_the_same_both_ways() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for path in [
        "/service?SERVICE=WMTS&REQUEST=GetCapabilities",
        "/wmts/1.0.0/WMTSCapabilities.xml",
    ] {
        let answer = server.get(path).await?;
        assert_eq!(answer.status(), 200);
        assert_valid_xml(Document::Wmts100, answer.body());
        let text = markup(&answer);
        assert!(
            text.contains("Map &amp; more") && text.contains("<ows:Identifier>utm32</ows:Identifier>"),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn kvp_and_rest_answer_the_same_tile() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let kvp = server.get(KVP).await?;
    assert_eq!(media_type(&kvp), "image/png", "{}", text(&kvp));
    for path in [
        "/wmts/map/GLOBAL_WEBMERCATOR/2/2/1.png",
        "/wmts/map/GLOBAL_WEBMERCATOR/02/2/1.png",
    ] {
        let rest = server.get(path).await?;
        assert_eq!(media_type(&rest), "image/png", "{path}: {}", text(&rest));
        assert_eq!(kvp.body(), rest.body(), "{path}");
    }
    assert_eq!(
        site.sample.requests_of("GetMap").len(),
        1,
        "the meta tile is asked for once"
    );
    let truth = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=land,borders&STYLES=&SRS=EPSG:3857&WIDTH=256&HEIGHT=256&FORMAT=image/png&BBOX=0,0,10018754.171394622,10018754.171394622";
    let truth = site.sample_map(truth).await?;
    assert_alike("WMTS tile", &truth, &decode(kvp.body())?, Tolerance::QUANTIZED);
    Ok(())
}

#[tokio::test]
async fn rows_count_from_the_north_in_every_grid() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for (tile, srs, bbox, size) in [
        ("map/geodetic/2/2/0", "EPSG:4326", "0,0,90,90", 256),
        ("utm/utm32/1/0/0", "EPSG:32632", "0,5500000,500000,6000000", 200),
    ] {
        let answer = server.get(&format!("/wmts/{tile}.png")).await?;
        let truth = format!(
            "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=land,borders&STYLES=&SRS={srs}&WIDTH={size}&HEIGHT={size}&FORMAT=image/png&BBOX={bbox}"
        );
        let truth = site.sample_map(&truth).await?;
        let tile_image = decode(answer.body())?;
        assert_alike(
            tile,
            &truth,
            &tile_image,
            Tolerance {
                mean: 3.0,
                outliers: 0.03,
            },
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_tile_may_be_kept_by_browsers_and_is_not_sent_twice() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let path = "/wmts/map/GLOBAL_WEBMERCATOR/2/2/1.png";
    server.get(path).await?;
    let answer = server.get(path).await?;
    assert!(header(&answer, "cache-control").contains("max-age=259200"));
    let request = hyper::Request::get(path).header("if-none-match", header(&answer, "etag"));
    let answer = server.send(request.body(bytes::Bytes::new())?).await?;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (304, 0));
    Ok(())
}

#[tokio::test]
async fn mistakes_get_ows_exceptions() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for (from, to, status, expect) in [
        ("TILEROW=1", "TILEROW=99", 400, "TileOutOfRange"),
        ("LAYER=map", "LAYER=nothing", 400, "InvalidParameterValue"),
        ("GLOBAL_WEBMERCATOR", "nothing", 400, "InvalidParameterValue"),
        ("FORMAT=image/png", "FORMAT=image/jpeg", 400, "InvalidParameterValue"),
    ] {
        let answer = server.get(&KVP.replace(from, to)).await?;
        assert_eq!(
            (answer.status().as_u16(), media_type(&answer).as_str()),
            (status, "text/xml"),
            "{to}"
        );
        assert_valid_xml(Document::OwsException, answer.body());
        assert!(text(&answer).contains(expect), "{to}: {}", text(&answer));
    }
    Ok(())
}
