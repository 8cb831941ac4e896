//! Requests to every service: path and query as they come, separated by the first `?`. Each has an answer of its protocol,
//! nothing in it is broken markup or a header of the client's, and nothing is written outside of the cache.
#![no_main]

use std::collections::BTreeMap;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use mapproxy_core::app::handle;
use mapproxy_core::config::compiled::Compiled;
use mapproxy_core::config::{Outcome, compile};
use mapproxy_core::http::{Headers, Method, Request};
use mapproxy_core::image::{ImageFormat, ImageOptions, encode, filled};
use mapproxy_core::platform::Platform;
use mapproxy_core::platform::memory::{MemoryPlatform, reply};

#[path = "../well_formed.rs"]
mod well_formed;

use well_formed::well_formed;

const CONFIGURATION: &str = "
services:
  wms: {md: {title: Test}, srs: ['EPSG:4326', 'EPSG:3857', 'EPSG:25832'], featureinfo_types: [text, html, xml, json], max_output_pixels: [300, 300]}
  wmts: {featureinfo_formats: [{mimetype: text/plain, suffix: txt}]}
  tms: {use_grid_names: true}
  kml: {use_grid_names: true}
  demo:
layers:
  - {name: direct, title: Direct, sources: [map]}
  - {name: cached, title: Cached, sources: [cache]}
  - {name: timed, title: Timed, sources: [timed_cache], dimensions: {time: {values: ['2020', '2021'], default: '2021'}}}
caches:
  cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map], meta_size: [1, 1], meta_buffer: 0}
  timed_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [timed], meta_size: [1, 1], meta_buffer: 0}
sources:
  map: {type: wms, wms_opts: {featureinfo: true, legendgraphic: true}, req: {url: 'http://source/wms', layers: 'x,y'}}
  timed: {type: wms, forward_req_params: [time], req: {url: 'http://source/wms', layers: t}}
";

thread_local! {
    static COMPILED: Rc<Compiled> = {
        let file = Ok(CONFIGURATION.as_bytes().to_vec());
        let files = BTreeMap::from([("/etc/map/mapproxy.yaml".to_owned(), file)]);
        let Outcome::Compiled(done) = compile("/etc/map/mapproxy.yaml", &files, &BTreeMap::new()) else {
            panic!("the configuration is right");
        };
        Rc::new(Compiled::open(done.bytes).expect("it was just written"))
    };
    static PICTURE: Vec<u8> = {
        let raster = filled(64, 64, [1, 2, 3, 255]).expect("a small picture");
        encode(raster, &ImageOptions::new(ImageFormat::PNG), None).expect("a small picture")
    };
}

fuzz_target!(|input: &str| {
    let (path, query) = input.split_once('?').unwrap_or((input, ""));
    let platform = MemoryPlatform::new();
    platform.answer(|request| {
        let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\' | '`');
        assert!(request.url.chars().all(is_safe), "sent upstream: {}", request.url);
        PICTURE.with(|picture| reply(200, "image/png", picture))
    });
    let request = Request {
        method: Method::Get,
        scheme: "http".to_owned(),
        authority: "localhost".to_owned(),
        path: format!("/{}", path.trim_start_matches('/')),
        query: query.to_owned(),
        headers: Headers::default(),
        body: Vec::new(),
        sends_files: false,
    };
    let shared: Rc<dyn Platform> = Rc::<MemoryPlatform>::clone(&platform);
    let answer = COMPILED.with(|compiled| handle(&shared, compiled, &request));
    let body = String::from_utf8_lossy(&answer.body);
    // a path that is quoted may say so too
    assert!(answer.status != 500 || !body.starts_with("internal error"), "{body}");
    for (name, value) in &answer.headers.0 {
        assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
    }
    let kind = answer.headers.get("content-type").unwrap_or_default();
    assert!(!kind.contains("xml") || well_formed(&body), "{body}");
    for written in platform.paths() {
        assert!(written.starts_with("/etc/map/cache_data/") && !written.contains("/../"), "{written}");
    }
});
