//! Any text wherever a configuration takes one: the configuration is refused, or its capabilities are well-formed in every
//! version and service. The input is the texts, one a line.
#![no_main]

use std::collections::BTreeMap;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use mapproxy_core::app::handle;
use mapproxy_core::config::compiled::Compiled;
use mapproxy_core::config::{Outcome, compile};
use mapproxy_core::http::{Headers, Method, Request};
use mapproxy_core::platform::Platform;
use mapproxy_core::platform::memory::MemoryPlatform;
use serde_json::json;

#[path = "../well_formed.rs"]
mod well_formed;

use well_formed::well_formed;

const DOCUMENTS: [(&str, &str); 8] = [
    ("/service", "service=WMS&request=GetCapabilities&version=1.3.0"),
    ("/service", "service=WMS&request=GetCapabilities&version=1.1.1&tiled=true"),
    ("/service", "service=WMS&request=GetCapabilities&version=1.1.0"),
    ("/service", "request=capabilities&wmtver=1.0.0"),
    ("/service", "service=WMTS&request=GetCapabilities&version=1.0.0"),
    ("/wmts/1.0.0/WMTSCapabilities.xml", ""),
    ("/tms/1.0.0", ""),
    ("/tms", ""),
];

fuzz_target!(|input: &str| {
    let mut texts = input.lines().chain(std::iter::repeat("x"));
    let mut text = || texts.next().unwrap_or_default();
    let metadata = json!({
        "title": text(), "abstract": text(), "fees": text(), "access_constraints": text(), "online_resource": text(),
        "contact": {"person": text(), "organization": text(), "address": text(), "email": text(), "country": text()},
        "keyword_list": [{"vocabulary": text(), "keywords": [text(), text()]}],
    });
    let layer = json!({
        "name": text(), "title": text(), "sources": ["cache"],
        "md": {"abstract": text(), "attribution": {"title": text(), "url": text()}, "metadata": [{"url": text(), "type": text(), "format": text()}]},
        "dimensions": {"time": {"values": [text()], "default": text()}},
    });
    // JSON is YAML
    let configuration = json!({
        "services": {"wms": {"md": metadata, "attribution": {"text": text()}}, "wmts": {"md": {"title": text(), "abstract": text()}}, "tms": {"md": {"title": text()}}},
        "layers": [layer],
        "caches": {"cache": {"grids": ["GLOBAL_WEBMERCATOR"], "sources": []}},
    });
    let files = BTreeMap::from([("/map/mapproxy.yaml".to_owned(), Ok(configuration.to_string().into_bytes()))]);
    let Outcome::Compiled(done) = compile("/map/mapproxy.yaml", &files, &BTreeMap::new()) else {
        return;
    };
    let compiled = Rc::new(Compiled::open(done.bytes).expect("it was just written"));
    let platform: Rc<dyn Platform> = MemoryPlatform::new();
    for (path, query) in DOCUMENTS {
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
        let answer = handle(&platform, &compiled, &request);
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{path}?{query}: {body}");
        assert!(well_formed(&body), "{path}?{query}: {body}");
    }
});
