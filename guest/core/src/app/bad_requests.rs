//! Every parameter of every request with values that clients should not send: always an answer of the protocol, nothing
//! reflected that could be markup or a header, nothing written outside the directories, nothing odd sent upstream.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::handle;
use crate::config::compiled::Compiled;
use crate::config::{Outcome, compile};
use crate::http::{Headers, Method, Request, Response};
use crate::image::{ImageFormat, ImageOptions, encode, filled};
use crate::platform::Platform;
use crate::platform::memory::{MemoryPlatform, reply};

const CONFIGURATION: &str = "
services:
  wms: {md: {title: Test}, srs: ['EPSG:4326', 'EPSG:3857', 'EPSG:25832'], featureinfo_types: [text, html, xml, json]}
  wmts: {featureinfo_formats: [{mimetype: text/plain, suffix: txt}]}
  tms: {use_grid_names: true}
  kml: {use_grid_names: true}
  demo:
layers:
  - {name: direct, title: Direct, sources: [map]}
  - {name: cached, title: Cached, sources: [cache]}
  - {name: timed, title: Timed, sources: [timed_cache], dimensions: {time: {values: ['2020', '2021'], default: '2021'}, dim_level: {values: [1, 2]}}}
  - {name: group, title: Group, layers: [{name: a, title: A, sources: [map]}, {name: b, title: B, sources: [cache]}]}
caches:
  cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map], meta_size: [1, 1], meta_buffer: 0}
  timed_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [timed], meta_size: [1, 1], meta_buffer: 0}
sources:
  map: {type: wms, wms_opts: {featureinfo: true, legendgraphic: true}, req: {url: 'http://source/wms', layers: 'x,y'}}
  timed: {type: wms, forward_req_params: [time, dim_level], req: {url: 'http://source/wms', layers: t}}
";

/// Requests that are right, each of whose parameters is then spoiled.
const QUERIES: [&str; 15] = [
    "service=WMS&version=1.1.1&request=GetMap&layers=direct,cached&styles=,&srs=EPSG:3857&bbox=0,0,100000,100000&width=64&height=64&format=image/png&transparent=true&bgcolor=0xff0000&exceptions=xml",
    "service=WMS&version=1.3.0&request=GetMap&layers=timed&styles=&crs=EPSG:4326&bbox=0,0,10,10&width=64&height=64&format=image/jpeg&time=2020&dim_level=1&exceptions=INIMAGE",
    "wmtver=1.0.0&request=map&layers=group&styles=&srs=EPSG:3857&bbox=0,0,100000,100000&width=64&height=64&format=PNG&exceptions=BLANK",
    "service=WMS&version=1.1.1&request=GetMap&layers=cached&styles=&srs=EPSG:3857&bbox=0,0,10018754.171394622,10018754.171394622&width=256&height=256&format=image/png&tiled=true",
    "service=WMS&version=1.1.1&request=GetFeatureInfo&layers=direct&query_layers=direct&styles=&srs=EPSG:3857&bbox=0,0,100000,100000&width=64&height=64&format=image/png&x=3&y=4&info_format=text/html&feature_count=3",
    "service=WMS&version=1.3.0&request=GetFeatureInfo&layers=group&query_layers=group&styles=&crs=EPSG:4326&bbox=0,0,10,10&width=64&height=64&format=image/png&i=3&j=4&info_format=application/json",
    "wmtver=1.0.0&request=feature_info&layers=direct&query_layers=direct&styles=&srs=EPSG:3857&bbox=0,0,100000,100000&width=64&height=64&format=PNG&x=3&y=4&info_format=text/plain",
    "wmtver=1.0.0&request=capabilities",
    "service=WMS&version=1.1.1&request=GetLegendGraphic&layer=direct&format=image/png&sld_version=1.1.0&scale=1000",
    "service=WMS&version=1.3.0&request=GetCapabilities&tiled=true",
    "service=WMS&version=1.1.0&request=GetCapabilities",
    "service=WMTS&version=1.0.0&request=GetTile&layer=timed&style=&tilematrixset=GLOBAL_WEBMERCATOR&tilematrix=01&tilerow=0&tilecol=1&format=image/png&time=2020&dim_level=1",
    "service=WMTS&version=1.0.0&request=GetFeatureInfo&layer=cached&style=&tilematrixset=GLOBAL_WEBMERCATOR&tilematrix=01&tilerow=0&tilecol=1&format=image/png&i=3&j=4&infoformat=text/plain",
    "service=WMTS&version=1.0.0&request=GetCapabilities",
    "wms_layer=direct&srs=EPSG:3857&format=image/png",
];

/// Addresses that are right, each of whose segments is then spoiled.
const PATHS: [&str; 12] = [
    "/tms/1.0.0/cached/GLOBAL_WEBMERCATOR/0/0/0.png",
    "/tiles/1.0.0/cached/GLOBAL_WEBMERCATOR/1/0/0.png",
    "/tiles/timed/GLOBAL_WEBMERCATOR/1/0/0.png",
    "/kml/cached/GLOBAL_WEBMERCATOR/0/0/0.kml",
    "/kml/cached/GLOBAL_WEBMERCATOR/0/0/0.png",
    "/wmts/cached/GLOBAL_WEBMERCATOR/01/0/0.png",
    "/wmts/cached/GLOBAL_WEBMERCATOR/01/0/0/3/4.txt",
    "/wmts/1.0.0/WMTSCapabilities.xml",
    "/demo/static/demo.js",
    "/tms/1.0.0/cached/GLOBAL_WEBMERCATOR",
    "/service",
    "/",
];

const VALUES: [&str; 27] = [
    "",
    "0",
    "-1",
    "1.5",
    "1e309",
    "-1e-309",
    "NaN",
    "inf",
    "99999999999999999999",
    "2147483648",
    "%00",
    "%",
    "%zz",
    "%FF%FE",
    "%F0%9F%98%80",
    "%3Ci%3Ezz%22%27%26",
    "..%2F..%2F..%2Fetc%2Fpasswd",
    "..",
    "a%0D%0AX-Evil:%201",
    ",,,,",
    "1,2,3,4",
    "0,0,0,0",
    "-1e300,-1e300,1e300,1e300",
    "NaN,NaN,NaN,NaN",
    "EPSG:25832",
    "true",
    "direct,direct,cached,group,timed",
];

struct Server {
    platform: Rc<MemoryPlatform>,
    compiled: Rc<Compiled>,
}

impl Server {
    fn new() -> Self {
        let platform = MemoryPlatform::new();
        let png = encode(
            filled(64, 64, [1, 2, 3, 255]).unwrap().into_rgb(),
            &ImageOptions::new(ImageFormat::PNG),
            None,
        );
        let png = png.unwrap();
        platform.answer(move |request| {
            let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\' | '`');
            assert!(request.url.chars().all(is_safe), "sent upstream: {}", request.url);
            if request.url.contains("GetFeatureInfo") {
                reply(200, "text/plain", b"nothing")
            } else {
                reply(200, "image/png", &png)
            }
        });
        let files = BTreeMap::from([(
            "/etc/map/mapproxy.yaml".to_owned(),
            Ok(CONFIGURATION.as_bytes().to_vec()),
        )]);
        let Outcome::Compiled(done) = compile("/etc/map/mapproxy.yaml", &files, &BTreeMap::new()) else {
            panic!("the configuration is right");
        };
        Self {
            platform,
            compiled: Rc::new(Compiled::open(done.bytes).unwrap()),
        }
    }

    fn get(&self, path: &str, query: &str) -> Response {
        let request = Request {
            method: Method::Get,
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers::default(),
            body: Vec::new(),
            sends_files: false,
        };
        let platform: Rc<dyn Platform> = Rc::<MemoryPlatform>::clone(&self.platform);
        handle(&platform, &self.compiled, &request)
    }

    fn check(&self, path: &str, query: &str) {
        let response = self.get(path, query);
        let asked = format!("{path}?{query}");
        let content_type = response.headers.get("content-type").unwrap_or_default();
        let body = String::from_utf8_lossy(&response.body);
        let is_exception = body.contains("Exception") || body.contains("TileMapServerError");
        assert!(
            response.status != 500 || is_exception,
            "{asked}: {} {body}",
            response.status
        );
        assert!(!body.contains("internal error"), "{asked}: {body}");
        for (name, value) in &response.headers.0 {
            assert!(!value.contains(['\r', '\n', '\0']), "{asked}: {name}: {value:?}");
        }
        if !content_type.starts_with("image/") && !content_type.starts_with("text/plain") {
            assert!(!body.contains("<i>zz"), "{asked}: {body}");
        }
        if content_type.contains("xml")
            && let Err(error) = well_formed(&body)
        {
            panic!("{asked}: {error}: {body}");
        }
        for written in self.platform.paths() {
            assert!(
                written.starts_with("/etc/map/cache_data/") && !written.contains("/../"),
                "{asked}: {written}"
            );
        }
    }
}

fn well_formed(text: &str) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof => return Ok(()),
            Event::Start(start) | Event::Empty(start) => {
                for attribute in start.attributes() {
                    attribute.map_err(|error| error.to_string())?;
                }
            }
            Event::Text(text) if text.chars().any(|c| c.is_control() && !c.is_whitespace()) => {
                return Err(format!("control characters in {text:?}"));
            }
            _ => {}
        }
    }
}

fn path_of(query: &str) -> &'static str {
    if query.starts_with("wms_layer") {
        "/demo/"
    } else {
        "/service"
    }
}

/// The query with another value of one parameter; `None` takes it away.
fn spoiled(query: &str, index: usize, value: Option<&str>) -> String {
    let pairs = query.split('&').enumerate().filter_map(|(position, pair)| {
        let key = pair.split('=').next().unwrap_or_default();
        match value {
            _ if position != index => Some(pair.to_owned()),
            Some(value) => Some(format!("{key}={value}")),
            None => None,
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[test]
fn right_requests_are_right() {
    let server = Server::new();
    for query in QUERIES {
        let response = server.get(path_of(query), query);
        assert_eq!(
            response.status,
            200,
            "{query}: {}",
            String::from_utf8_lossy(&response.body)
        );
    }
    for path in PATHS.iter().filter(|path| !matches!(**path, "/service")) {
        let response = server.get(path, "");
        assert_eq!(
            response.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&response.body)
        );
    }
}

#[test]
fn one_wrong_parameter_is_told() {
    let server = Server::new();
    let huge = "9".repeat(5000);
    for query in QUERIES {
        let path = path_of(query);
        for (index, pair) in query.split('&').enumerate() {
            server.check(path, &spoiled(query, index, None));
            server.check(path, &format!("{query}&{pair}"));
            server.check(path, &spoiled(query, index, Some(&huge)));
            for value in VALUES {
                server.check(path, &spoiled(query, index, Some(value)));
                // twice, and not the same
                let name = pair.split('=').next().unwrap_or_default();
                server.check(path, &format!("{name}={value}&{query}"));
            }
        }
    }
}

#[test]
fn one_wrong_segment_is_told() {
    let server = Server::new();
    for path in PATHS {
        let segments: Vec<&str> = path.split('/').collect();
        for index in 1..segments.len() {
            for value in VALUES {
                let ending = segments[index].rsplit_once('.').map_or("", |(_, ending)| ending);
                for value in [(*value).to_owned(), format!("{value}.{ending}")] {
                    let mut spoiled = segments.clone();
                    spoiled[index] = &value;
                    server.check(&spoiled.join("/"), "");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn several_wrong_parameters_are_told(
        query in prop::sample::select(QUERIES.as_slice()),
        wrong in prop::collection::vec((0_usize..16, prop::sample::select(VALUES.as_slice())), 2..5),
        more in "([a-z_]{1,12}=[ -~]{0,12}&?){0,3}",
    ) {
        let mut spoilt = query.to_owned();
        for (index, value) in wrong {
            spoilt = spoiled(&spoilt, index, Some(value));
        }
        Server::new().check(path_of(query), &format!("{spoilt}&{more}"));
    }

    #[test]
    fn no_address_is_too_broken(path in "(/[ -~é]{0,10}){0,6}", query in "[ -~é]{0,40}") {
        Server::new().check(&path, &query);
    }
}
