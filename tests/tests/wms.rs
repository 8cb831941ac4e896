//! WMS from outside: the real host and component, the sample WMS as upstream.

use anyhow::Result;
use image::Rgba;
use mapproxy_tests::answers::{markup, media_type, text};
use mapproxy_tests::images::{Tolerance, assert_alike, decode};
use mapproxy_tests::schemas::{Document, assert_valid_xml};
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  wms:
    srs: ['EPSG:4326', 'EPSG:3857', 'EPSG:32632']
    image_formats: ['image/png', 'image/jpeg']
    md: {title: Test & more, abstract: <maps>}
layers:
  - {name: cached, title: Cached map, sources: [map_cache]}
  - {name: direct, title: Direct map, sources: [map]}
  - {name: lines, title: Borders, sources: [lines]}
  - {name: stacked, title: Two sources, sources: [land, lines]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map]}
sources:
  map: {type: wms, supported_srs: ['EPSG:3857', 'EPSG:4326'], req: {url: SAMPLE/service, layers: map}}
  land: {type: wms, req: {url: SAMPLE/service, layers: land}}
  lines: {type: wms, req: {url: SAMPLE/service, layers: borders, transparent: true}}
globals:
  image: {paletted: false}
";

/// The rest of the request but for what a test is about.
const MAP: &str = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:3857&BBOX=0,5009377.085697311,2504688.542848655,7514065.628545966&WIDTH=256&HEIGHT=256&FORMAT=image/png";

#[tokio::test]
async fn capabilities_of_all_versions_are_valid() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for (version, kind, mime) in [
        ("1.0.0", Document::Wms100, "text/xml"),
        ("1.1.0", Document::Wms110, "application/vnd.ogc.wms_xml"),
        ("1.1.1", Document::Wms111, "application/vnd.ogc.wms_xml"),
        ("1.3.0", Document::Wms130, "text/xml"),
    ] {
        let answer = server
            .get(&format!(
                "/service?SERVICE=WMS&VERSION={version}&REQUEST=GetCapabilities"
            ))
            .await?;
        assert_eq!(
            (answer.status().as_u16(), media_type(&answer).as_str()),
            (200, mime),
            "{version}"
        );
        assert_valid_xml(kind, answer.body());
        assert!(markup(&answer).contains("Test &amp; more"), "{version}");
    }
    Ok(())
}

#[tokio::test]
async fn get_map_shows_what_the_source_shows() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let truth = site.sample_map(&format!("{MAP}&LAYERS=map")).await?;
    for layer in ["direct", "cached"] {
        let answer = server.get(&format!("{MAP}&LAYERS={layer}")).await?;
        assert_eq!(media_type(&answer), "image/png", "{}", text(&answer));
        // labels that the map's edge cuts are the only difference between a section and tiles
        assert_alike(
            &format!("GetMap of {layer}"),
            &truth,
            &decode(answer.body())?,
            Tolerance::QUANTIZED,
        );
    }
    let jpeg = server
        .get(&format!("{MAP}&LAYERS=cached").replace("image/png", "image/jpeg"))
        .await?;
    assert_eq!(media_type(&jpeg), "image/jpeg");
    assert_alike("GetMap as JPEG", &truth, &decode(jpeg.body())?, Tolerance::JPEG);
    Ok(())
}

#[tokio::test]
async fn latitude_comes_first_in_1_3_0() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let old = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=direct&STYLES=&SRS=EPSG:4326&BBOX=0,40,20,60&WIDTH=200&HEIGHT=200&FORMAT=image/png";
    let new = old
        .replace("1.1.1", "1.3.0")
        .replace("SRS=", "CRS=")
        .replace("0,40,20,60", "40,0,60,20");
    let (old, new) = (server.get(old).await?, server.get(&new).await?);
    assert_eq!(media_type(&old), "image/png", "{}", text(&old));
    assert_eq!(old.body(), new.body());
    Ok(())
}

#[tokio::test]
async fn what_is_not_drawn_is_transparent_or_has_the_background_colour() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let corner = |answer: &[u8]| decode(answer).map(|image| *image.get_pixel(1, 1));
    let path = format!("{MAP}&LAYERS=lines");
    let clear = server.get(&format!("{path}&TRANSPARENT=true")).await?;
    assert_eq!(corner(clear.body())?.0[3], 0);
    let white = server.get(&path).await?;
    assert_eq!(corner(white.body())?, Rgba([255, 255, 255, 255]));
    let red = server.get(&format!("{path}&BGCOLOR=0xff0000")).await?;
    assert_eq!(corner(red.body())?, Rgba([255, 0, 0, 255]));
    Ok(())
}

#[tokio::test]
async fn sources_are_drawn_over_each_other() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let truth = site.sample_map(&format!("{MAP}&LAYERS=land,borders")).await?;
    let answer = server.get(&format!("{MAP}&LAYERS=stacked")).await?;
    assert_alike("two sources", &truth, &decode(answer.body())?, Tolerance::QUANTIZED);
    let answer = server.get(&format!("{MAP}&LAYERS=direct,lines")).await?;
    let truth = site.sample_map(&format!("{MAP}&LAYERS=map,borders")).await?;
    assert_alike("two layers", &truth, &decode(answer.body())?, Tolerance::QUANTIZED);
    Ok(())
}

#[tokio::test]
async fn a_reprojected_map_lies_where_it_should() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let path = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:32632&BBOX=0,5000000,1000000,6000000&WIDTH=300&HEIGHT=300&FORMAT=image/png";
    // without labels, which the sample draws upright in each projection
    let truth = site.sample_map(&format!("{path}&LAYERS=land")).await?;
    let land = "services: {wms: {srs: ['EPSG:32632']}}\nlayers: [{name: land, title: land, sources: [land]}]\nsources: {land: {type: wms, supported_srs: ['EPSG:4326'], req: {url: SAMPLE/service, layers: land}}}\n";
    drop(server);
    site.configure(land)?;
    let server = site.start().await?;
    let answer = server.get(&format!("{path}&LAYERS=land")).await?;
    let tolerance = Tolerance {
        mean: 2.0,
        outliers: 0.01,
    };
    assert_alike("reprojected", &truth, &decode(answer.body())?, tolerance);
    Ok(())
}

#[tokio::test]
async fn exceptions_come_as_xml_as_a_picture_or_blank() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let wrong = format!("{MAP}&LAYERS=nothing");
    let answer = server.get(&wrong).await?;
    assert_eq!(media_type(&answer), "application/vnd.ogc.se_xml");
    assert_valid_xml(Document::Wms111Exception, answer.body());
    assert!(text(&answer).contains("LayerNotDefined") && text(&answer).contains("nothing"));

    let new = wrong.replace("1.1.1", "1.3.0").replace("SRS=", "CRS=");
    let answer = server.get(&new).await?;
    assert_eq!(media_type(&answer), "text/xml");
    assert_valid_xml(Document::Wms130Exception, answer.body());

    let answer = server
        .get(&format!("{wrong}&EXCEPTIONS=application/vnd.ogc.se_inimage"))
        .await?;
    assert_eq!(
        (answer.status().as_u16(), media_type(&answer).as_str()),
        (200, "image/png")
    );
    let picture = decode(answer.body())?;
    assert_eq!(picture.dimensions(), (256, 256));
    assert!(
        picture.pixels().any(|pixel| pixel != picture.get_pixel(255, 255)),
        "no message in the picture"
    );

    let answer = server
        .get(&format!("{wrong}&EXCEPTIONS=application/vnd.ogc.se_blank"))
        .await?;
    let picture = decode(answer.body())?;
    assert!(picture.pixels().all(|pixel| pixel == picture.get_pixel(0, 0)));
    Ok(())
}

#[tokio::test]
async fn mistakes_are_named() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let good = format!("{MAP}&LAYERS=direct");
    for (from, to, expect) in [
        ("SRS=EPSG:3857", "SRS=EPSG:31467", "InvalidSRS"),
        ("FORMAT=image/png", "FORMAT=image/webp", "InvalidFormat"),
        ("STYLES=", "STYLES=fancy", "StyleNotDefined"),
        ("WIDTH=256", "WIDTH=100000", "image size too large"),
        ("&WIDTH=256", "", "missing parameters"),
        ("REQUEST=GetMap", "REQUEST=GetNothing", "unknown WMS request type"),
        ("BBOX=0,", "BBOX=9999999,", "invalid bbox"),
    ] {
        let answer = server.get(&good.replace(from, to)).await?;
        assert!(text(&answer).contains(expect), "{to}: {}", text(&answer));
    }
    assert_eq!(
        site.sample.requests().len(),
        0,
        "a wrong request must not reach the source"
    );
    Ok(())
}
