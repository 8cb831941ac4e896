//! The demo in plain HTML: capabilities documents to read, and what browsers without scripts see.

use askama::Template;

use super::super::document::render;
use super::super::{Context, ows, tile, wmts};
use super::description::{DemoLayer, Description};
use crate::http::{Method, Request, Response};
use crate::request::{PublicAddress, QueryParams, encode_segment, form_encode};

#[derive(Template)]
#[template(path = "demo/capabilities.html")]
struct CapabilitiesPage<'a> {
    title: &'a str,
    url: &'a str,
    document: &'a str,
}

/// `?wms_capabilities` and the like: our own document, made here and shown as text. `None`: something else is wanted.
///
/// `type=external` made MapProxy fetch the document from its public address; here both are the same.
pub(super) fn handle(context: &Context<'_>, params: &QueryParams) -> Option<Response> {
    let services = context.application.services;
    let wms = "REQUEST=GetCapabilities&SERVICE=WMS";
    let (title, path, query) = if params.contains("wms_capabilities") && services.wms {
        ("WMS", "/service".to_owned(), wms.to_owned())
    } else if params.contains("wmsc_capabilities") && services.wms {
        ("WMS-C", "/service".to_owned(), format!("{wms}&tiled=true"))
    } else if params.contains("wmts_capabilities_kvp") && services.wmts {
        (
            "WMTS",
            "/service".to_owned(),
            "REQUEST=GetCapabilities&SERVICE=WMTS".to_owned(),
        )
    } else if params.contains("wmts_capabilities") && services.wmts {
        (
            "WMTS (REST)",
            "/wmts/1.0.0/WMTSCapabilities.xml".to_owned(),
            String::new(),
        )
    } else if params.contains("tms_capabilities") && services.tms {
        ("TMS", tms_path(params), String::new())
    } else {
        return None;
    };
    let request = Request {
        method: Method::Get,
        path,
        query,
        body: Vec::new(),
        sends_files: false,
        ..context.request.clone()
    };
    let own = Context {
        request: &request,
        address: PublicAddress::of(&request),
        ..*context
    };
    let answer = match request.path.as_str() {
        "/service" => ows::handle(&own),
        path if path.starts_with("/wmts") => wmts::handle_rest(&own),
        _ => tile::handle_tms(&own),
    };
    let separator = if request.query.is_empty() { "" } else { "?" };
    let page = CapabilitiesPage {
        title,
        url: &format!("{}{}{separator}{}", context.script_url(), request.path, request.query),
        document: &String::from_utf8_lossy(&answer.body),
    };
    let mut response = Response::new(200, "text/html", render(&page));
    response.headers.set(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    );
    Some(response)
}

/// `layer` and `srs` choose one layer; `EPSG:900913` is `EPSG900913` in addresses.
fn tms_path(params: &QueryParams) -> String {
    let Some(layer) = params.get("layer") else {
        return "/tms/1.0.0".to_owned();
    };
    let spec = params.get("srs").map(|srs| srs.replace(':', "")).unwrap_or_default();
    let spec = encode_segment(&spec);
    let separator = if spec.is_empty() { "" } else { "/" };
    format!("/tms/1.0.0/{}{separator}{spec}", encode_segment(layer))
}

#[derive(Template)]
#[template(path = "demo/overview.html")]
struct Overview {
    wms: bool,
    wms_layers: Vec<Link>,
    wmts_layers: Vec<Link>,
    tile_layers: Vec<Link>,
}

/// A layer on one of its grids, with the query that shows it.
struct Link {
    title: String,
    query: String,
}

/// Links to all documents and layers, sorted by name.
pub(super) fn overview(context: &Context<'_>, description: &Description) -> String {
    let mut layers: Vec<&DemoLayer> = description.layers.iter().collect();
    layers.sort_by(|a, b| a.name.cmp(&b.name));
    let link = |kind: &str, layer: &DemoLayer, format: &str, srs: &str| Link {
        title: format!("{} ({srs})", layer.name),
        query: format!(
            "{kind}={}&format={}&srs={}",
            form_encode(&layer.name),
            form_encode(format),
            form_encode(srs)
        ),
    };
    let wms_layers = layers.iter().filter_map(|layer| {
        let wms = layer.services.wms.as_ref()?;
        Some(link("wms_layer", layer, "png", wms.srs.first()?))
    });
    let wmts_layers = layers.iter().flat_map(|layer| {
        let sets = layer.services.wmts.iter().flat_map(|wmts| &wmts.matrix_sets);
        sets.map(|set| link("wmts_layer", layer, set.format.trim_start_matches("image/"), &set.srs))
    });
    let tile_layers = layers.iter().flat_map(|layer| {
        let grids = &layer.services.tiles;
        grids
            .iter()
            .map(|tiles| link("tms_layer", layer, &tiles.format, &tiles.srs))
    });
    render(&Overview {
        wms: context.application.services.wms,
        wms_layers: wms_layers.collect(),
        wmts_layers: wmts_layers.collect(),
        tile_layers: tile_layers.collect(),
    })
}

#[derive(Template)]
#[template(path = "demo/preview.html")]
struct Preview<'a> {
    layer: &'a str,
    wms: bool,
    /// of the picture
    query: String,
}

/// One layer, as a picture of our WMS if there is one.
pub(super) fn preview(context: &Context<'_>, layer: &str) -> String {
    render(&Preview {
        layer,
        wms: context.application.services.wms,
        query: format!(
            "SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&STYLES=&SRS=EPSG:4326&BBOX=-180,-90,180,90&WIDTH=1000&HEIGHT=500\
             &FORMAT=image/png&LAYERS={}",
            form_encode(layer)
        ),
    })
}
