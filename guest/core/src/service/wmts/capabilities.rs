//! GetCapabilities: layers and the grids they are cut into.

use askama::Template;

use super::super::Context;
use super::super::document::render;
use crate::config::compiled::Kind;
use crate::config::model::{Dimension, ServiceMetadata, TileLayer, WmsService, WmsVersion, WmtsService};
use crate::grid::{Origin, TileGrid};
use crate::http::Response;
use crate::request::wmts::AddressTemplate;
use crate::request::{encode_segment, form_encode};
use crate::srs::{Srs, python_float};

/// How the document tells clients to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Kvp,
    Rest,
}

#[derive(Template)]
#[template(path = "wmts/capabilities.xml")]
struct Capabilities<'a> {
    md: &'a ServiceMetadata,
    operations: [&'static str; 3],
    /// where requests go, ending in `?`
    url: &'a str,
    encoding: &'static str,
    layers: Vec<LayerEntry>,
    tile_matrix_sets: Vec<TileMatrixSet>,
    /// address of this document itself
    metadata_url: Option<String>,
}

struct LayerEntry {
    name: String,
    title: String,
    abstract_text: String,
    /// west south, east north
    corners: (String, String),
    legend_url: Option<String>,
    mime: String,
    info_formats: Vec<String>,
    dimensions: Vec<Dimension>,
    tile_matrix_sets: Vec<String>,
    resources: Vec<Resource>,
}

struct Resource {
    format: String,
    kind: &'static str,
    template: String,
}

struct TileMatrixSet {
    name: String,
    crs: String,
    levels: Vec<TileMatrix>,
}

struct TileMatrix {
    name: String,
    scale_denominator: String,
    top_left: String,
    tile_size: (u32, u32),
    matrix_size: (i64, i64),
}

/// The capabilities document.
pub(super) fn answer(context: &Context<'_>, service: &WmtsService, encoding: Encoding) -> Response {
    let script_url = context.script_url();
    let url = match encoding {
        Encoding::Kvp => format!("{}?", context.request_url()),
        Encoding::Rest => format!("{script_url}/wmts?"),
    };
    let (layers, grids) = layers(context, service, encoding, &script_url);
    let document = Capabilities {
        md: &service.md,
        operations: ["GetCapabilities", "GetTile", "GetFeatureInfo"],
        url: &url,
        encoding: match encoding {
            Encoding::Kvp => "KVP",
            Encoding::Rest => "RESTful",
        },
        layers,
        tile_matrix_sets: grids.iter().map(tile_matrix_set).collect(),
        metadata_url: (encoding == Encoding::Rest).then(|| format!("{script_url}/wmts/1.0.0/WMTSCapabilities.xml")),
    };
    Response::new(200, "application/xml", render(&document))
}

/// Layers with the grids that can be counted from the top, and these grids, each once.
fn layers(
    context: &Context<'_>,
    service: &WmtsService,
    encoding: Encoding,
    script_url: &str,
) -> (Vec<LayerEntry>, Vec<TileGrid>) {
    let tile_layers = TileLayer::all(context.compiled);
    let legend_version = highest_wms_version(context);
    let mut entries: Vec<LayerEntry> = Vec::new();
    let mut grids: Vec<TileGrid> = Vec::new();
    for layer in tile_layers {
        if !grids.iter().any(|grid| grid.name() == layer.grid) {
            let grid = context.compiled.get::<TileGrid>(Kind::Grid, &layer.grid);
            let Some(grid) = grid.filter(|grid| grid.supports_access_with_origin(Origin::Ul)) else {
                log::debug!(
                    "wmts: layer `{}` is not shown on grid `{}`, whose rows cannot be counted from the top",
                    layer.name,
                    layer.grid
                );
                continue;
            };
            grids.push(grid);
        }
        match entries.iter_mut().find(|entry| entry.name == layer.name) {
            Some(entry) => entry.tile_matrix_sets.push(layer.grid),
            None => entries.push(layer_entry(service, encoding, script_url, legend_version, layer)),
        }
    }
    (entries, grids)
}

fn layer_entry(
    service: &WmtsService,
    encoding: Encoding,
    script_url: &str,
    legend_version: Option<&str>,
    layer: TileLayer,
) -> LayerEntry {
    let degrees = layer.extent.bbox_in(&Srs::wgs84());
    let [west, south, east, north] = degrees
        .map_or([-180.0, -90.0, 180.0, 90.0], |bbox| bbox.edges())
        .map(python_float);
    let info_formats: &[(String, String)] = if layer.info_sources.is_empty() {
        &[]
    } else {
        &service.featureinfo_formats
    };
    let resources = match encoding {
        Encoding::Kvp => Vec::new(),
        Encoding::Rest => resources(service, script_url, &layer, info_formats),
    };
    LayerEntry {
        legend_url: legend_url(encoding, script_url, legend_version, &layer),
        resources,
        abstract_text: layer.md.and_then(|md| md.abstract_text).unwrap_or_default(),
        corners: (format!("{west} {south}"), format!("{east} {north}")),
        info_formats: info_formats.iter().map(|(mime, _)| mime.clone()).collect(),
        dimensions: layer
            .dimensions
            .into_iter()
            .map(|dimension| Dimension {
                name: capitalized(&dimension.name),
                ..dimension
            })
            .collect(),
        tile_matrix_sets: vec![layer.grid],
        name: layer.name,
        title: layer.title,
        mime: layer.mime,
    }
}

fn resources(
    service: &WmtsService,
    script_url: &str,
    layer: &TileLayer,
    info_formats: &[(String, String)],
) -> Vec<Resource> {
    let name = encode_segment(&layer.name);
    let tile = AddressTemplate::parse(&service.restful_template);
    let info = AddressTemplate::parse(&service.restful_featureinfo_template);
    let tile = Resource {
        format: layer.mime.clone(),
        kind: "tile",
        template: format!(
            "{script_url}/wmts{}",
            tile.fill(&[("Layer", &name), ("Format", &layer.format), ("Style", "default")])
        ),
    };
    let infos = info_formats.iter().map(|(mime, suffix)| Resource {
        format: mime.clone(),
        kind: "FeatureInfo",
        template: format!(
            "{script_url}/wmts{}",
            info.fill(&[("Layer", &name), ("InfoFormat", suffix), ("Style", "default")])
        ),
    });
    std::iter::once(tile).chain(infos).collect()
}

/// The URL of the configuration, or that of our WMS for layers with a `legendurl`.
fn legend_url(encoding: Encoding, script_url: &str, version: Option<&str>, layer: &TileLayer) -> Option<String> {
    let configured = match encoding {
        Encoding::Kvp => layer.wmts_kvp_legendurl.as_ref(),
        Encoding::Rest => layer.wmts_rest_legendurl.as_ref(),
    };
    if let Some(template) = configured {
        return Some(
            template
                .replace("{base_url}", script_url)
                .replace("{layer_name}", &layer.name),
        );
    }
    layer.legendurl.as_ref()?;
    Some(format!(
        "{script_url}/service?service=WMS&request=GetLegendGraphic&version={}&format=image%2Fpng&layer={}",
        version?,
        form_encode(&layer.name)
    ))
}

/// The highest version that has GetLegendGraphic.
fn highest_wms_version(context: &Context<'_>) -> Option<&'static str> {
    if !context.application.services.wms {
        return None;
    }
    let wms: WmsService = context.compiled.get(Kind::WmsService, "")?;
    match wms.versions.iter().max()? {
        WmsVersion::V130 => Some("1.3.0"),
        WmsVersion::V111 => Some("1.1.1"),
        WmsVersion::V110 | WmsVersion::V100 => None,
    }
}

fn tile_matrix_set(grid: &TileGrid) -> TileMatrixSet {
    let levels = (0..grid.levels()).map(|level| {
        let corner = grid.tile_bbox(grid.origin_tile(level, Origin::Ul));
        let (x, y) = (python_float(corner.minx), python_float(corner.maxy));
        TileMatrix {
            name: grid.level_name(level).into_owned(),
            scale_denominator: scale_denominator(grid.resolution(level), grid.srs()),
            top_left: if grid.srs().is_axis_order_ne() {
                format!("{y} {x}")
            } else {
                format!("{x} {y}")
            },
            tile_size: grid.tile_size(),
            matrix_size: grid.grid_size(level),
        }
    });
    TileMatrixSet {
        name: grid.name().to_owned(),
        crs: format!("urn:ogc:def:crs:{}", grid.srs().code()),
        levels: levels.collect(),
    }
}

/// Ten decimals at most. MapProxy cuts leading zeros as well, so that 0.5 becomes 5; we do not.
fn scale_denominator(res: f64, srs: &Srs) -> String {
    // MapProxy's order of operations, for the same last digit
    let scale = res / (0.28 / 1000.0) * srs.meters_per_unit();
    // written with ten decimals and read again: large numbers have fewer, and none that mean anything are made up
    let rounded: f64 = format!("{scale:.10}").parse().unwrap_or(scale);
    rounded.to_string()
}

/// `tiME` is `Time`, as in MapProxy's documents.
fn capitalized(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>());
    first.unwrap_or_default() + &chars.as_str().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_denominators_have_ten_decimals() {
        let mercator = Srs::new("EPSG:3857").unwrap();
        let degrees = Srs::new("EPSG:4326").unwrap();
        let cases = [
            (156_543.033_928_040_97, &mercator, "559082264.0287176"),
            (156_543.033_928_040_97 / 4_096.0, &mercator, "136494.6933663861"),
            (0.01, &mercator, "35.7142857143"),
            (2.8, &mercator, "10000"),
            (0.000_14, &mercator, "0.5"),
            (0.000_05, &mercator, "0.1785714286"),
            (0.703_125, &degrees, "279541132.01435894"),
        ];
        for (res, srs, expect) in cases {
            assert_eq!(scale_denominator(res, srs), expect);
        }
    }

    #[test]
    fn dimensions_begin_with_a_capital() {
        assert_eq!(capitalized("tiME"), "Time");
        assert_eq!(capitalized("ELEVATION"), "Elevation");
        assert_eq!(capitalized(""), "");
    }
}
