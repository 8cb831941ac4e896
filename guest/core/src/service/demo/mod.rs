//! `/demo/`: a page that shows the layers on a map. (MapProxy: `service/demo.py`.)
//!
//! The page is `guest/core/demo/index.html` with the bundled script and style sheet; what it shows is described in JSON,
//! see the README there. Nothing on it comes from another server, and this service asks none: capabilities documents
//! are made here, not fetched.

mod description;
mod documents;

use super::cache_headers::{Validators, cacheable, not_cacheable};
use super::{Context, printable};
use crate::http::Response;
use crate::request::QueryParams;
use description::{Description, Show};

const PAGE: &str = include_str!("../../../demo/index.html");

/// Everything there is under `/demo/static/`: name, media type, content.
const STATIC_FILES: [(&str, &str, &[u8]); 2] = [
    (
        "demo.js",
        "text/javascript",
        include_bytes!(concat!(env!("MAPPROXY_DEMO_DIST"), "/demo.js")),
    ),
    (
        "demo.css",
        "text/css",
        include_bytes!(concat!(env!("MAPPROXY_DEMO_DIST"), "/demo.css")),
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
    let response = Response::new(200, media_type, *content);
    let validators = Validators::of_release(name, content.len());
    Some(cacheable(response, context.request, &validators, STATIC_MAX_AGE_S))
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
    fn html_is_escaped() {
        assert_eq!(escaped("<a href='x'>\"&"), "&lt;a href=&#x27;x&#x27;&gt;&quot;&amp;");
    }
}
