//! The page at `/`: that this is MapProxy, and where to go from here.

use askama::Template;

use super::Context;
use super::document::render;
use crate::config::compiled::Kind;
use crate::config::model::WmtsService;
use crate::http::Response;

#[derive(Template)]
#[template(path = "index/index.html")]
struct Index<'a> {
    version: &'static str,
    script_url: &'a str,
    demo: bool,
    documents: Vec<(&'static str, &'static str)>,
}

/// The page.
pub fn handle(context: &Context<'_>) -> Response {
    let services = context.application.services;
    let wmts = services
        .wmts
        .then(|| context.compiled.get::<WmtsService>(Kind::WmtsService, ""))
        .flatten();
    let documents = [
        (
            services.wms,
            "WMS 1.3.0",
            "/service?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetCapabilities",
        ),
        (
            services.wms,
            "WMS 1.1.1",
            "/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetCapabilities",
        ),
        (
            wmts.as_ref().is_some_and(|wmts| wmts.kvp),
            "WMTS",
            "/service?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetCapabilities",
        ),
        (
            wmts.as_ref().is_some_and(|wmts| wmts.restful),
            "WMTS (REST)",
            "/wmts/1.0.0/WMTSCapabilities.xml",
        ),
        (services.tms, "TMS", "/tms/1.0.0/"),
    ];
    let page = Index {
        version: env!("CARGO_PKG_VERSION"),
        script_url: &context.script_url(),
        demo: services.demo,
        documents: documents
            .into_iter()
            .filter(|(is_there, ..)| *is_there)
            .map(|(_, name, path)| (name, path))
            .collect(),
    };
    let mut response = Response::new(200, "text/html", render(&page));
    response.headers.set(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    );
    response
}
