//! Tiles are made once and kept, whatever happens to the processes that make them.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hyper::{Request, Response};
use mapproxy_tests::answers::{media_type, text};
use mapproxy_tests::images::{Tolerance, assert_alike, decode};
use mapproxy_tests::sample::Fault;
use mapproxy_tests::server::send;
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  tms: {use_grid_names: true, origin: nw}
layers:
  - {name: map, title: Map, sources: [map_cache]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map], meta_size: [4, 4]}
sources:
  map: {type: wms, req: {url: SAMPLE/service, layers: map}}
globals:
  image: {paletted: false}
";
const PATIENCE: Duration = Duration::from_mins(1);

/// A tile of level 4; columns and rows 8 to 11, 4 to 7 make a meta tile.
fn tile(index: usize) -> String {
    format!(
        "/tiles/map/GLOBAL_WEBMERCATOR/4/{}/{}.png",
        8 + index % 4,
        4 + index / 4 % 4
    )
}

async fn assert_tile_is_right(site: &Site, index: usize, answer: &Response<Bytes>) -> Result<()> {
    assert_eq!(media_type(answer), "image/png", "tile {index}: {}", text(answer));
    let size = 2.0 * 20_037_508.342_789_244 / 16.0;
    let (column, row) = ((8 + index % 4) as f64, (4 + index / 4 % 4) as f64);
    let (minx, maxy) = (column * size - 8.0 * size, 8.0 * size - row * size);
    let truth = format!(
        "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=map&STYLES=&SRS=EPSG:3857&WIDTH=256&HEIGHT=256&FORMAT=image/png&BBOX={minx},{},{},{maxy}",
        maxy - size,
        minx + size
    );
    let truth = site.sample_map(&truth).await?;
    assert_alike(
        &format!("tile {index}"),
        &truth,
        &decode(answer.body())?,
        Tolerance::QUANTIZED,
    );
    Ok(())
}

#[tokio::test]
async fn twenty_clients_of_two_processes_cause_one_request() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let servers = [site.start().await?, site.start().await?];
    // hold the answer back until it is certain that everybody waits for it
    site.sample.fault(Fault {
        hold: true,
        times: Some(1),
        ..Fault::matching("GetMap")
    });
    let mut waiting = Vec::new();
    for index in 0..20 {
        let address = servers[index % 2].address();
        let path = tile(index);
        waiting.push(tokio::spawn(async move {
            send(address, Request::get(path).body(Bytes::new())?).await
        }));
    }
    site.sample.requested(1, PATIENCE).await?;
    site.sample.release();
    for (index, answer) in waiting.into_iter().enumerate() {
        assert_tile_is_right(&site, index, &answer.await??).await?;
    }
    assert_eq!(site.sample.requests_of("GetMap").len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_caches_of_a_map_are_filled_together() -> Result<()> {
    let site = Site::new(
        "
services:
  wms: {srs: ['EPSG:3857'], concurrent_layer_renderer: 3}
layers:
  - {name: land, title: Land, sources: [land_cache]}
  - {name: lines, title: Lines, sources: [lines_cache]}
  - {name: direct, title: Direct, sources: [cities]}
caches:
  land_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [land]}
  lines_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [lines]}
sources:
  land: {type: wms, req: {url: SAMPLE/service, layers: land}}
  lines: {type: wms, req: {url: SAMPLE/service, layers: borders, transparent: true}}
  cities: {type: wms, req: {url: SAMPLE/service, layers: places, transparent: true}}
",
    )?;
    let server = site.start().await?;
    // nothing is answered until all three are asked
    site.sample.fault(Fault {
        hold: true,
        ..Fault::matching("GetMap")
    });
    let address = server.address();
    let map = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=land,lines,direct&STYLES=&SRS=EPSG:3857&WIDTH=256&HEIGHT=256&FORMAT=image/png&BBOX=0,5009377,2504688,7514065";
    let answer = tokio::spawn(async move { send(address, Request::get(map).body(Bytes::new())?).await });
    site.sample.requested(3, PATIENCE).await?;
    site.sample.release();
    let answer = answer.await??;
    assert_eq!(media_type(&answer), "image/png", "{}", text(&answer));
    assert_eq!(site.sample.requests_of("GetMap").len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_wrong_behind() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let mut server = site.start().await?;
    site.sample.fault(Fault {
        drip_ms: Some(1),
        times: Some(1),
        ..Fault::matching("GetMap")
    });
    let address = server.address();
    let cut = tokio::spawn(async move { send(address, Request::get(tile(0)).body(Bytes::new())?).await });
    site.sample.requested(1, PATIENCE).await?;
    server.kill()?;
    server.wait().await?;
    assert!(cut.await?.is_err(), "the server was killed before it could answer");

    site.sample.reset();
    let server = site.start().await?;
    for index in 0..16 {
        let answer = server.get(&tile(index)).await?;
        assert_tile_is_right(&site, index, &answer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn stored_tiles_are_served_without_the_source() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let first = server.get(&tile(0)).await?;
    drop(server);
    site.sample.fault(Fault {
        status: Some(500),
        ..Fault::default()
    });
    let server = site.start().await?;
    let second = server.get(&tile(0)).await?;
    assert_eq!(first.body(), second.body());
    assert_eq!(site.sample.requests_of("GetMap").len(), 1);
    let files: Vec<String> = site
        .cached_files()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let expect = "map_cache_EPSG3857/04/000/000/008/000/000/004.png";
    assert!(
        files
            .iter()
            .any(|file| file == expect || file == &expect.replace("004.png", "011.png")),
        "{files:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_cache_may_be_deleted_at_any_time() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    for round in 1..=3 {
        let answer = server.get(&tile(5)).await?;
        assert_tile_is_right(&site, 5, &answer).await?;
        assert_eq!(site.sample.requests_of("GetMap").len(), round);
        std::fs::remove_dir_all(site.cache_folder())?;
    }
    Ok(())
}

#[tokio::test]
async fn requests_of_meta_tiles_carry_the_buffer() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    server.get(&tile(0)).await?;
    let asked = &site.sample.requests_of("GetMap")[0];
    // four tiles and 80 pixels on each side
    assert_eq!((asked.param("width"), asked.param("height")), ("1184", "1184"));
    assert_eq!((asked.param("srs"), asked.param("layers")), ("EPSG:3857", "map"));
    Ok(())
}
