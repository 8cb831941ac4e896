//! TMS, `/tiles` and KML from outside.

use anyhow::Result;
use mapproxy_tests::answers::{media_type, text};
use mapproxy_tests::schemas::{Document, assert_valid_xml};
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  tms: {use_grid_names: true}
  kml: {use_grid_names: true}
layers:
  - {name: map, title: Map, sources: [map_cache]}
caches:
  map_cache: {grids: [GLOBAL_MERCATOR], sources: [map]}
sources:
  map: {type: wms, req: {url: SAMPLE/service, layers: map}}
";

#[tokio::test]
async fn tms_skips_the_first_level_and_tiles_does_not() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let tms = server.get("/tms/1.0.0/map/GLOBAL_MERCATOR/1/2/3.png").await?;
    let tiles = server.get("/tiles/map/GLOBAL_MERCATOR/2/2/3.png").await?;
    assert_eq!(
        (tms.status().as_u16(), media_type(&tms).as_str()),
        (200, "image/png"),
        "{}",
        text(&tms)
    );
    assert_eq!(tms.body(), tiles.body());
    // rows from the south by default, from the north where asked
    let north = server.get("/tiles/map/GLOBAL_MERCATOR/2/2/0.png?origin=nw").await?;
    assert_eq!(tms.body(), north.body());
    Ok(())
}

#[tokio::test]
async fn the_documents_of_tms_lead_to_each_other() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let service = server.get("/tms/1.0.0/").await?;
    assert_eq!(media_type(&service), "text/xml", "{}", text(&service));
    assert!(
        text(&service).contains("/tms/1.0.0/map/GLOBAL_MERCATOR"),
        "{}",
        text(&service)
    );
    let map = server.get("/tms/1.0.0/map/GLOBAL_MERCATOR").await?;
    assert!(
        text(&map).contains("global-mercator") && text(&map).contains("TileFormat"),
        "{}",
        text(&map)
    );
    Ok(())
}

#[tokio::test]
async fn tiles_that_are_not_there_are_not_found() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for (path, mime) in [
        ("/tms/1.0.0/map/GLOBAL_MERCATOR/1/99/0.png", "text/xml"),
        ("/tms/1.0.0/nothing/GLOBAL_MERCATOR/1/0/0.png", "text/xml"),
        ("/tms/1.0.0/map/GLOBAL_MERCATOR/1/0/0.jpeg", "text/xml"),
        ("/tiles/map/GLOBAL_MERCATOR/2/-1/0.png", "text/plain"),
        ("/tiles/map/GLOBAL_MERCATOR/99/0/0.png", "text/plain"),
    ] {
        let answer = server.get(path).await?;
        assert_eq!(
            (answer.status().as_u16(), media_type(&answer).as_str()),
            (404, mime),
            "{path}: {}",
            text(&answer)
        );
    }
    assert!(site.sample.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn kml_is_valid_and_links_to_tiles() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for path in ["/kml/map/GLOBAL_MERCATOR", "/kml/map/GLOBAL_MERCATOR/1/1/1.kml"] {
        let answer = server.get(path).await?;
        assert_eq!(
            media_type(&answer),
            "application/vnd.google-earth.kml+xml",
            "{path}: {}",
            text(&answer)
        );
        assert_valid_xml(Document::Kml, answer.body());
    }
    let tile = server.get("/kml/map/GLOBAL_MERCATOR/1/1/1.png").await?;
    assert_eq!(media_type(&tile), "image/png", "{}", text(&tile));
    Ok(())
}
