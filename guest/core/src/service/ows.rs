//! Which OGC service a request at `/service`, `/ows` or `/wms` means. (MapProxy: `service/ows.py`.)

use askama::Template;

use crate::http::Response;
use crate::request::QueryParams;

use super::cache_headers::not_cacheable;
use super::document::render;
use super::{Context, printable, wms, wmts};

/// Answers a request of an OGC service. Old WMS clients name no service.
pub fn handle(context: &Context<'_>) -> Response {
    let params = QueryParams::of_request(context.request);
    match Service::of(&params) {
        Service::Wms => wms::handle(context, &params),
        Service::Wmts if context.application.services.wmts => Some(wmts::handle_kvp(context, &params)),
        Service::Missing => Some(exception("MissingParameterValue", "The parameter service is missing.")),
        Service::Wmts | Service::Unknown => None,
    }
    .unwrap_or_else(|| {
        let name = params.get("service").unwrap_or_default();
        not_cacheable(exception(
            "InvalidParameterValue",
            &format!("There is no service \"{name}\" here."),
        ))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Wms,
    Wmts,
    Missing,
    Unknown,
}

impl Service {
    fn of(params: &QueryParams) -> Self {
        let named = params.get("service").filter(|name| !name.is_empty());
        match named.map(str::to_ascii_lowercase).as_deref() {
            Some("wms") => Self::Wms,
            Some("wmts") => Self::Wmts,
            Some(_) => Self::Unknown,
            None if params.get("wmtver") == Some("1.0.0") || params.get("request") == Some("GetMap") => Self::Wms,
            None => Self::Missing,
        }
    }
}

#[derive(Template)]
#[template(path = "wms/ows_exception.xml")]
struct ExceptionReport<'a> {
    code: &'a str,
    text: &'a str,
}

/// OGC 06-121r3, 8.
fn exception(code: &str, text: &str) -> Response {
    let report = ExceptionReport {
        code,
        text: &printable(text),
    };
    Response::new(400, "text/xml", render(&report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_name_or_by_habit() {
        let check = |query: &str, expect| assert_eq!(Service::of(&QueryParams::parse(query)), expect, "{query}");
        check("service=WMS", Service::Wms);
        check("SERVICE=wms&request=x", Service::Wms);
        check("service=WMTS", Service::Wmts);
        check("wmtver=1.0.0", Service::Wms);
        check("request=GetMap", Service::Wms);
        check("request=getmap", Service::Missing);
        check("", Service::Missing);
        check("service=", Service::Missing);
        check("service=&request=GetMap", Service::Wms);
        check("service=wfs&request=GetMap", Service::Unknown);
    }

    #[test]
    fn exceptions_are_well_formed_whatever_they_quote() {
        let response = exception("InvalidParameterValue", "\"<&\u{0}\u{7f}>\"");
        let body = String::from_utf8(response.body).unwrap();
        assert!(body.contains("&#34;&#60;&#38;��&#62;&#34;"), "{body}");
        assert_eq!(response.status, 400);
    }
}
