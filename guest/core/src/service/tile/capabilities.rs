//! Documents of the Tile Map Service: what services, layers and levels there are.

use askama::Template;

use super::super::Context;
use super::super::document::{BoxText, render};
use super::lookup::tile_layer;
use super::{Addressing, TileError, layer_path};
use crate::config::compiled::Kind;
use crate::config::model::{ServiceMetadata, TileLayer, TmsService};
use crate::grid::{TileGrid, TmsProfile};
use crate::http::Response;
use crate::request::tile::LayerAddress;
use crate::srs::python_float;

#[derive(Template)]
#[template(path = "tms/services.xml")]
struct Services<'a> {
    title: &'a str,
    script_url: &'a str,
}

/// `/tms`: the versions of the service.
pub(super) fn root_resource(context: &Context<'_>, service: &TmsService) -> Response {
    let document = Services {
        title: &service.md.title,
        script_url: &context.script_url(),
    };
    Response::new(200, "text/xml", render(&document))
}

#[derive(Template)]
#[template(path = "tms/tile_map_service.xml")]
struct TileMapService<'a> {
    md: &'a ServiceMetadata,
    script_url: &'a str,
    tile_maps: Vec<TileMapEntry>,
}

struct TileMapEntry {
    title: String,
    srs: String,
    profile: &'static str,
    /// `osm/EPSG900913`, as in URLs
    path: String,
}

/// `/tms/1.0.0`: all layers.
pub(super) fn tile_map_service(context: &Context<'_>, service: &TmsService, addressing: Addressing) -> Response {
    let layers = TileLayer::all(context.compiled);
    let mut tile_maps: Vec<TileMapEntry> = Vec::with_capacity(layers.len());
    for layer in layers {
        let Some(grid) = context.compiled.get::<TileGrid>(Kind::Grid, &layer.grid) else {
            continue;
        };
        let entry = TileMapEntry {
            path: layer_path(addressing, &layer),
            srs: srs_name(&grid),
            profile: grid.tms_profile().as_str(),
            title: layer.title,
        };
        // two grids in one SRS have one address: the last one answers there
        match tile_maps.iter_mut().find(|known| known.path == entry.path) {
            Some(known) => *known = entry,
            None => tile_maps.push(entry),
        }
    }
    let document = TileMapService {
        md: &service.md,
        script_url: &context.script_url(),
        tile_maps,
    };
    Response::new(200, "text/xml", render(&document))
}

#[derive(Template)]
#[template(path = "tms/tile_map.xml")]
struct TileMap<'a> {
    title: &'a str,
    abstract_text: &'a str,
    srs: String,
    bbox: BoxText,
    tile_size: (u32, u32),
    mime: &'a str,
    extension: &'a str,
    profile: &'static str,
    request_url: &'a str,
    /// number, units per pixel
    tile_sets: Vec<(u32, String)>,
}

/// `/tms/1.0.0/{layer}`: the levels of one layer.
pub(super) fn tile_map(
    context: &Context<'_>,
    addressing: Addressing,
    address: &LayerAddress,
) -> Result<Response, TileError> {
    let (layer, manager) = tile_layer(context, addressing, address)?;
    let grid = manager.grid();
    let profile = grid.tms_profile();
    let bbox = layer
        .extent
        .bbox_in(grid.srs())
        .unwrap_or_else(|_not_there| grid.bbox());
    let document = TileMap {
        title: &layer.title,
        abstract_text: layer
            .md
            .as_ref()
            .and_then(|md| md.abstract_text.as_deref())
            .unwrap_or_default(),
        srs: srs_name(grid),
        bbox: bbox.into(),
        tile_size: grid.tile_size(),
        mime: &layer.mime,
        extension: &layer.format,
        profile: profile.as_str(),
        request_url: &context.request_url(),
        tile_sets: grid
            .external_levels(profile.skips_first_level())
            .map(|(number, level)| (number, python_float(grid.resolution(level))))
            .collect(),
    };
    Ok(Response::new(200, "text/xml", render(&document)))
}

/// The specification's own name for Web Mercator, codes for the others.
fn srs_name(grid: &TileGrid) -> String {
    match grid.tms_profile() {
        TmsProfile::GlobalMercator => "OSGEO:41001".to_owned(),
        TmsProfile::GlobalGeodetic | TmsProfile::Local => grid.srs().code().to_owned(),
    }
}
