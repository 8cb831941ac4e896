//! `/demo/`: a page that shows the layers on a map. (MapProxy: `service/demo.py`.)
//!
//! The page is `guest/core/demo/index.html` with the bundled script and style sheet; what it shows is described in JSON,
//! see the README there. Nothing on it comes from another server, and this service asks none: capabilities documents
//! are made here, not fetched.

mod description;
mod documents;
mod highlight;

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::cache_headers::{Validators, cacheable, not_cacheable};
use super::{Context, printable};
use crate::http::Response;
use crate::request::QueryParams;
use description::{Description, Show};

const PAGE: &str = include_str!("../../../demo/index.html");

/// Everything there is under `/demo/static/`: name, media type, content. Compressed, see `build.rs`: every instance
/// pays for what it carries, and nearly every browser takes it as it is.
const STATIC_FILES: [(&str, &str, &[u8]); 2] = [
    (
        "demo.js",
        "text/javascript",
        include_bytes!(concat!(env!("OUT_DIR"), "/demo.js.gz")),
    ),
    (
        "demo.css",
        "text/css",
        include_bytes!(concat!(env!("OUT_DIR"), "/demo.css.gz")),
    ),
];

/// Seconds a browser may use script and style sheet without asking.
const STATIC_MAX_AGE_S: u64 = 3600;

/// Answers a path that begins with `/demo`.
pub fn handle(context: &Context<'_>) -> Response {
    match context.path() {
        "/demo" => redirect(context),
        "/demo/" => page_or_document(context),
        path => path
            .strip_prefix("/demo/static/")
            .and_then(|name| static_file(context, name))
            .unwrap_or_else(|| not_cacheable(Response::new(404, "text/plain", "not found"))),
    }
}

fn redirect(context: &Context<'_>) -> Response {
    let mut response = Response::new(301, "text/plain", "");
    response
        .headers
        .set("Location", format!("{}/demo/", context.script_url()));
    response
}

fn static_file(context: &Context<'_>, name: &str) -> Option<Response> {
    let (name, media_type, content) = STATIC_FILES.iter().find(|(known, ..)| *known == name)?;
    let compressed = accepts_gzip(context.request.headers.all("accept-encoding"));
    let mut response = if compressed {
        let mut response = Response::new(200, media_type, *content);
        response.headers.set("Content-Encoding", "gzip");
        response
    } else {
        let mut plain = Vec::new();
        GzDecoder::new(*content)
            .read_to_end(&mut plain)
            .expect("what the build compressed is complete");
        Response::new(200, media_type, plain)
    };
    response.headers.set("Vary", "Accept-Encoding");
    // the two are not the same bytes, so their tags differ (RFC 9110 section 8.8.3.3)
    let variant = format!("{name} {}", digest(content));
    let validators = Validators::of_release(&variant, response.body.len());
    Some(cacheable(response, context.request, &validators, STATIC_MAX_AGE_S))
}

/// Tells one build of a file from another.
fn digest(content: &[u8]) -> u32 {
    crc32fast::hash(content)
}

/// Whether a client takes gzip (RFC 9110 section 12.5.3); one that says nothing may not know it.
fn accepts_gzip<'a>(headers: impl Iterator<Item = &'a str>) -> bool {
    let (mut gzip, mut any) = (None, None);
    for coding in headers.flat_map(|header| header.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = quality.is_none_or(|quality| quality.trim().parse::<f32>().is_ok_and(|quality| quality > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(wanted);
        } else if name == "*" {
            any = Some(wanted);
        }
    }
    gzip.or(any).unwrap_or(false)
}

fn page_or_document(context: &Context<'_>) -> Response {
    let params = QueryParams::parse(&context.request.query);
    if let Some(response) = documents::handle(context, &params) {
        return response;
    }
    let description = Description {
        show: shown(&params),
        ..Description::of(context)
    };
    let preview = description
        .show
        .as_ref()
        .map(|show| documents::preview(context, &show.layer));
    let json = serde_json::to_string(&description)
        .expect("strings and finite numbers can be written as JSON")
        // nothing in it can end the script element or open a comment
        .replace('<', "\\u003c");
    let base = context.script_url();
    let page = fill(PAGE, |name| match name {
        "title" => escaped(&description.title),
        "base" => escaped(&base),
        "json" => json.clone(),
        _ => String::new(),
    });
    // for browsers without scripts: the same in plain HTML
    let without_script = preview.unwrap_or_else(|| documents::overview(context, &description));
    let page = page.replacen("<noscript>", &format!("<noscript>{without_script}"), 1);
    let mut response = Response::new(200, "text/html", page);
    response
        .headers
        .set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:");
    response
}

/// `?wms_layer=…`, `?wmts_layer=…`, `?tms_layer=…`, with `srs`: one layer.
fn shown(params: &QueryParams) -> Option<Show> {
    let (layer, service) = [("wms_layer", "wms"), ("wmts_layer", "wmts"), ("tms_layer", "tiles")]
        .into_iter()
        .find_map(|(name, service)| Some((params.get(name)?, service)))?;
    Some(Show {
        layer: printable(layer).into_owned(),
        service,
        srs: params.get("srs").map(str::to_owned),
        format: params.get("format").map(str::to_owned),
    })
}

/// The text with a value for each `{{name}}`; values are not looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len() + 4096);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, behind)) = behind.split_once("}}") else {
            break;
        };
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = behind;
    }
    filled + rest
}

/// For text and attributes of HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_once() {
        let filled = fill("<a>{{title}}</a>{{json}}{{x}} {{", |name| match name {
            "title" => "{{json}}".to_owned(),
            "json" => "1".to_owned(),
            _ => String::new(),
        });
        assert_eq!(filled, "<a>{{json}}</a>1 {{");
    }

    #[test]
    fn the_page_has_the_places_that_are_filled() {
        for place in ["{{title}}", "{{base}}", "{{json}}", "<noscript>"] {
            assert!(PAGE.contains(place), "{place}");
        }
    }

    #[test]
    fn compressed_files_go_to_those_who_take_them() {
        let check = |header: &str, expect: bool| assert_eq!(accepts_gzip([header].into_iter()), expect, "{header}");
        check("gzip, deflate, br", true);
        check("br;q=1.0, gzip;q=0.8, *;q=0.1", true);
        check("GZIP ; Q=0.5", true);
        check("*", true);
        check("", false);
        check("identity", false);
        check("gzip;q=0", false);
        check("*;q=1, gzip;q=0.0", false);
        check("gzip;q=nonsense", false);
        assert!(!accepts_gzip(std::iter::empty()));
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(escaped("<a href='x'>\"&"), "&lt;a href=&#x27;x&#x27;&gt;&quot;&amp;");
    }
}
