//! From a request to its service, and what all answers have in common. (MapProxy: `wsgiapp.py`.)

use std::rc::Rc;

use crate::assemble::Assembly;
use crate::config::compiled::Compiled;
use crate::config::model::{Application, EnabledServices};
use crate::http::{Method, Request, Response};
use crate::platform::Platform;
use crate::request::PublicAddress;
use crate::service::{Context, demo, index, kml, ows, tile, wmts};

/// Headers that change what is written into documents.
const VARY: &str = "X-Script-Name, X-Forwarded-Host, X-Forwarded-Proto";

/// Answers a request. Never fails: what goes wrong is an answer too.
pub fn handle(platform: &Rc<dyn Platform>, compiled: &Rc<Compiled>, request: &Request) -> Response {
    let assembly = Assembly::new(Rc::clone(platform), Rc::clone(compiled));
    let application = assembly.application();
    let context = Context {
        platform,
        compiled,
        assembly: &assembly,
        application,
        request,
        address: PublicAddress::of(request),
    };
    let response = match request.method {
        Method::Get | Method::Head | Method::Post => dispatch(&context),
        Method::Options => preflight(application),
        Method::Other => method_not_allowed(ALL_METHODS),
    };
    finish(response, application)
}

/// What the first segment of a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Index,
    Ows,
    WmtsRest,
    Tms,
    Tiles,
    Kml,
    Demo,
    OgcApi,
    NotFound,
}

impl Route {
    fn of(path: &str, services: EnabledServices) -> Self {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let (is_there, route) = match first {
            "" => (true, Self::Index),
            "service" | "ows" => (true, Self::Ows),
            "wms" => (services.wms, Self::Ows),
            "wmts" => (services.wmts, Self::WmtsRest),
            "tms" => (services.tms, Self::Tms),
            "tiles" => (services.tms, Self::Tiles),
            "kml" => (services.kml, Self::Kml),
            "demo" => (services.demo, Self::Demo),
            "ogcapi" => (services.ogcapi, Self::OgcApi),
            _ => (false, Self::NotFound),
        };
        if is_there { route } else { Self::NotFound }
    }
}

fn dispatch(context: &Context<'_>) -> Response {
    let route = Route::of(context.path(), context.application.services);
    // OGC messages may come as forms; everything else is only read
    if context.request.method == Method::Post && route != Route::Ows {
        return method_not_allowed(READ_METHODS);
    }
    match route {
        Route::Index => index::handle(context),
        Route::Ows => ows::handle(context),
        Route::WmtsRest => wmts::handle_rest(context),
        Route::Tms => tile::handle_tms(context),
        Route::Tiles => tile::handle_tiles(context),
        Route::Kml => kml::handle(context),
        Route::Demo => demo::handle(context),
        Route::OgcApi => Response::new(501, "text/plain", "not supported yet: service `ogcapi`"),
        Route::NotFound => Response::new(404, "text/plain", "not found"),
    }
}

const ALL_METHODS: &str = "GET, HEAD, POST, OPTIONS";
const READ_METHODS: &str = "GET, HEAD, OPTIONS";

/// The answer to a browser that asks before it asks. (Fetch standard, CORS-preflight.)
fn preflight(application: &Application) -> Response {
    let mut response = without_body(204);
    response.headers.set("Allow", ALL_METHODS);
    if application.cors_origin.is_some() {
        response.headers.set("Access-control-allow-methods", ALL_METHODS);
        response.headers.set("Access-control-allow-headers", "*");
        response.headers.set("Access-control-max-age", "86400");
    }
    response
}

fn method_not_allowed(allowed: &str) -> Response {
    let mut response = Response::new(405, "text/plain", "method not allowed");
    response.headers.set("Allow", allowed);
    response
}

fn without_body(status: u16) -> Response {
    Response {
        status,
        headers: crate::http::Headers::default(),
        body: Vec::new(),
        file: None,
    }
}

/// Adds what every answer has: the charset of texts, `Vary` for documents (never for images, so that proxies keep one
/// copy of a tile), and the origin that scripts may come from.
fn finish(mut response: Response, application: &Application) -> Response {
    let content_type = response.headers.get("content-type").unwrap_or_default();
    let is_text = content_type.starts_with("text/");
    if is_text || content_type.starts_with("application/") {
        if is_text && !content_type.contains(';') {
            let with_charset = format!("{content_type}; charset=utf-8");
            response.headers.set("Content-type", with_charset);
        }
        let vary = match response.headers.get("vary") {
            Some(own) => format!("{own}, {VARY}"),
            None => VARY.to_owned(),
        };
        response.headers.set("Vary", vary);
        response.headers.set("X-Content-Type-Options", "nosniff");
    }
    if let Some(origin) = &application.cors_origin {
        let header = ("Access-control-allow-origin".to_owned(), origin.clone());
        response.headers.0.push(header);
    }
    response
}

#[cfg(test)]
mod bad_requests;
#[cfg(test)]
mod tests;
