//! Names and values from clients never leave the folders and servers that the configuration names.

use anyhow::Result;
use mapproxy_tests::answers::text;
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
services:
  demo:
  wms: {srs: ['EPSG:3857'], image_formats: ['image/png']}
  wmts: {restful: true, kvp: true, restful_template: '/{Layer}/{Time}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.{Format}'}
  tms: {use_grid_names: true}
  kml: {use_grid_names: true}
layers:
  - name: map
    title: Map
    sources: [map_cache]
    dimensions:
      Time: {values: ['2020', '2021'], default: '2020'}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map]}
sources:
  map: {type: wms, forward_req_params: [Time], req: {url: SAMPLE/service, layers: map}}
";

/// Ways out of a folder.
const WAYS_OUT: [&str; 6] = [
    "../../secret",
    "..%2f..%2fsecret",
    "%2e%2e/%2e%2e/secret",
    "..%5c..%5csecret",
    "/etc/passwd",
    "secret%00",
];

#[tokio::test]
async fn no_part_of_an_address_leads_out_of_the_cache() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    std::fs::write(site.folder().join("secret"), "for nobody's eyes")?;
    std::fs::write(site.folder().join("secret.png"), "for nobody's eyes")?;
    let server = site.start().await?;
    for way in WAYS_OUT {
        for path in [
            format!("/tiles/{way}/GLOBAL_WEBMERCATOR/0/0/0.png"),
            format!("/tiles/map/{way}/0/0/0.png"),
            format!("/tiles/map/GLOBAL_WEBMERCATOR/0/0/0.{way}"),
            format!("/tms/1.0.0/map/GLOBAL_WEBMERCATOR/0/{way}/0.png"),
            format!("/kml/map/{way}/0/0/0.kml"),
            format!("/wmts/map/{way}/GLOBAL_WEBMERCATOR/0/0/0.png"),
            format!("/wmts/{way}/2020/GLOBAL_WEBMERCATOR/0/0/0.png"),
            format!(
                "/service?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=map&STYLE=&TILEMATRIXSET=GLOBAL_WEBMERCATOR&TILEMATRIX=0&TILEROW=0&TILECOL=0&FORMAT=image/png&TIME={way}"
            ),
            format!(
                "/service?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER={way}&STYLE=&TILEMATRIXSET={way}&TILEMATRIX=0&TILEROW=0&TILECOL=0&FORMAT={way}"
            ),
            format!(
                "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS={way}&STYLES=&SRS=EPSG:3857&BBOX=0,0,1,1&WIDTH=9&HEIGHT=9&FORMAT=image/png"
            ),
            format!("/demo/static/{way}"),
            format!("/demo/{way}"),
            format!("/{way}"),
        ] {
            let answer = server.get(&path).await?;
            assert!(
                answer.status().as_u16() >= 300,
                "{path}: {} {}",
                answer.status(),
                text(&answer)
            );
            assert!(
                !text(&answer).contains("nobody's eyes") && !text(&answer).contains("root:"),
                "{path}"
            );
        }
    }
    assert!(site.sample.requests().is_empty(), "{:?}", site.sample.requests());
    let outside: Vec<_> = std::fs::read_dir(site.folder())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        outside.len() <= 4,
        "something was written beside the configuration: {outside:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_client_sends_is_not_markup_in_the_answer() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let script = "%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        format!("/{script}"),
        format!("/tiles/{script}/0/0/0.png"),
        format!("/tms/1.0.0/{script}/0/0/0.png"),
        format!("/demo/?wms_layer={script}&srs=EPSG:3857&format=png"),
        format!("/service?SERVICE={script}"),
        format!("/service?SERVICE=WMTS&REQUEST={script}"),
        format!(
            "/service?SERVICE=WMS&REQUEST=GetMap&VERSION=1.1.1&LAYERS={script}&STYLES=&SRS=EPSG:3857&BBOX=0,0,1,1&WIDTH=9&HEIGHT=9&FORMAT=image/png"
        ),
    ] {
        let answer = server.get(&path).await?;
        let kind = mapproxy_tests::answers::media_type(&answer);
        assert!(
            kind == "text/plain" || !text(&answer).contains("<script>alert"),
            "{path}: {kind} {}",
            text(&answer)
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_request_cannot_choose_the_upstream() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let server = site.start().await?;
    let path = "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=map&STYLES=&SRS=EPSG:3857&BBOX=0,0,9000000,9000000&WIDTH=9&HEIGHT=9&FORMAT=image/png&URL=http://127.0.0.1:1/&SLD=http://127.0.0.1:1/&MAP=/etc/passwd";
    server.get(path).await?;
    for request in site.sample.requests() {
        assert!(
            !request.query.contains("passwd") && request.param("SLD").is_empty() && request.param("URL").is_empty(),
            "{}",
            request.query
        );
    }
    Ok(())
}
