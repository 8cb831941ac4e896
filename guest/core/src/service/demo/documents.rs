//! The demo in plain HTML: capabilities documents to read, and what browsers without scripts see.

use askama::Template;

use super::super::document::render;
use super::super::{Context, ows, tile, wmts};
use super::description::{DemoLayer, Description, Tiles};
use super::highlight::highlighted;
use crate::http::{Method, Request, Response};
use crate::request::{PublicAddress, QueryParams, encode_segment, form_encode};

#[derive(Template)]
#[template(path = "demo/capabilities.html")]
struct CapabilitiesPage<'a> {
    title: &'a str,
    url: &'a str,
    /// the document as markup
    document: String,
    script_url: &'a str,
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
        document: highlighted(&String::from_utf8_lossy(&answer.body)),
        script_url: &context.script_url(),
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

/// A table of the overview: layers of one service with the rows they have.
struct Table {
    service: &'static str,
    /// what a row of it is about
    what: &'static str,
    layers: Vec<(String, Vec<Row>)>,
}

/// One way to ask for a layer, with the query that shows it.
struct Row {
    title: String,
    format: String,
    query: String,
}

#[derive(Template)]
#[template(path = "demo/overview.html")]
struct Overview {
    wms: bool,
    wmts: bool,
    tms: bool,
    tables: Vec<Table>,
}

/// Links to all documents and layers, sorted by name.
pub(super) fn overview(context: &Context<'_>, description: &Description) -> String {
    let services = context.application.services;
    let mut layers: Vec<&DemoLayer> = description.layers.iter().collect();
    layers.sort_by(|a, b| a.name.cmp(&b.name));
    let row = |kind: &str, layer: &DemoLayer, title: &str, format: &str, srs: &str| Row {
        title: title.to_owned(),
        format: format.to_owned(),
        query: format!(
            "{kind}={}&format={}&srs={}",
            form_encode(&layer.name),
            form_encode(format),
            form_encode(srs)
        ),
    };
    let table = |service, what, rows: &dyn Fn(&DemoLayer) -> Vec<Row>| Table {
        service,
        what,
        layers: layers
            .iter()
            .map(|layer| (layer.name.clone(), rows(layer)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect(),
    };
    let wms = |layer: &DemoLayer| -> Vec<Row> {
        let Some(wms) = description.wms.as_ref().filter(|_| layer.wms.is_some()) else {
            return Vec::new();
        };
        let srs = wms.srs.first().map_or("EPSG:4326", String::as_str);
        let formats = wms.formats.iter().map(|mime| mime.trim_start_matches("image/"));
        formats
            .map(|format| row("wms_layer", layer, srs, format, srs))
            .collect()
    };
    let tiles = |kind: &'static str, layer: &DemoLayer, has: &dyn Fn(&Tiles) -> bool| -> Vec<Row> {
        let tiles = layer.tiles.iter().filter(|tiles| has(tiles));
        let rows = tiles.filter_map(|tiles| {
            let grid = description.grids.get(&tiles.grid)?;
            let format = match kind {
                "wmts_layer" => tiles.mime.trim_start_matches("image/"),
                _ => &tiles.format,
            };
            Some(row(kind, layer, &tiles.grid, format, &grid.srs))
        });
        rows.collect()
    };
    let mut tables = Vec::new();
    if services.wms {
        tables.push(table("WMS", "Reference system", &wms));
    }
    if services.wmts {
        tables.push(table("WMTS", "Grid", &|layer| {
            tiles("wmts_layer", layer, &|tiles| tiles.wmts)
        }));
    }
    if services.tms {
        tables.push(table("TMS", "Grid", &|layer| {
            tiles("tms_layer", layer, &|tiles| tiles.tms.is_some())
        }));
    }
    render(&Overview {
        wms: services.wms,
        wmts: services.wmts,
        tms: services.tms,
        tables,
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
