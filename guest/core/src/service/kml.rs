//! KML superoverlays: a document for each tile, with the images of the four tiles below it and links to their
//! documents. (MapProxy: `service/kml.py`; KML 2.2, "Super-Overlays".)

use askama::Template;

use super::Context;
use super::cache_headers::{Validators, cacheable, not_cacheable};
use super::document::render;
use super::tile::{
    Addressing, Numbering, TileError, check_format, checked_dimensions, layer_path, tile_answer, tile_layer,
};
use crate::cache::TileManager;
use crate::config::compiled::Kind;
use crate::config::model::{KmlService, TileLayer};
use crate::grid::{Origin, TileCoord, TileGrid};
use crate::http::Response;
use crate::request::tile::{KmlRequest, TileAddress, parse_kml};
use crate::srs::{BBox, Srs};

/// Rows from the south, levels as in the grid.
const NUMBERING: Numbering = Numbering {
    origin: Some(Origin::Ll),
    skip_first_level: false,
};

/// Answers a path that begins with `/kml`.
pub fn handle(context: &Context<'_>) -> Response {
    answer(context)
        .unwrap_or_else(|error| not_cacheable(Response::new(error.status(), "text/plain", error.client_message())))
}

fn answer(context: &Context<'_>) -> Result<Response, TileError> {
    let request = parse_kml(context.path())?;
    let service: KmlService = context
        .compiled
        .get(Kind::KmlService, "")
        .expect("the dispatcher checked that the service is configured");
    let addressing = Addressing::kml(service.use_grid_names);
    match request {
        KmlRequest::Tile(address) => {
            let (layer, manager) = tile_layer(context, addressing, &address.layer)?;
            check_format(&layer, &address.format)?;
            let coord = coord(&manager, &address)?;
            let dimensions = checked_dimensions(&layer.dimensions, &Vec::new(), false)?;
            Ok(tile_answer(context, &manager, coord, &dimensions)?)
        }
        KmlRequest::Document(address) => {
            let (layer, manager) = tile_layer(context, addressing, &address.layer)?;
            let coord = coord(&manager, &address)?;
            let document = document(context, addressing, &layer, manager.grid(), coord, &address)?;
            let body = render(&document).into_bytes();
            let validators = Validators::of_document(&body);
            let response = Response::new(200, "application/vnd.google-earth.kml+xml", body);
            Ok(cacheable(
                response,
                context.request,
                &validators,
                context.application.tile_expires_s,
            ))
        }
    }
}

fn coord(manager: &TileManager, address: &TileAddress) -> Result<TileCoord, TileError> {
    NUMBERING
        .tile(manager.grid(), address.x, address.y, address.z)
        .ok_or(TileError::OutOfRange)
}

#[derive(Template)]
#[template(path = "kml/document.xml")]
struct Document<'a> {
    name: &'a str,
    bbox: LatLonBox,
    tiles: Vec<SubTile>,
    /// `http://localhost/kml/osm/EPSG900913`
    layer_url: String,
    format: &'a str,
    /// pixels on screen between which a tile is shown
    min_lod: u32,
    max_lod: u32,
}

/// Degrees, as KML writes them.
struct LatLonBox {
    north: String,
    south: String,
    east: String,
    west: String,
}

struct SubTile {
    /// as in addresses: rows from the south, the client's level
    x: i64,
    y: i64,
    z: i64,
    bbox: LatLonBox,
}

fn document<'a>(
    context: &Context<'_>,
    addressing: Addressing,
    layer: &'a TileLayer,
    grid: &TileGrid,
    coord: TileCoord,
    address: &TileAddress,
) -> Result<Document<'a>, TileError> {
    let parent = grid.tile_bbox(coord);
    let z = address.z + 1;
    let mut tiles = Vec::new();
    // the last level has nothing below it
    if let Some(level) = grid.internal_level(z, false) {
        for tile in sub_tiles(grid, parent, level) {
            let numbered = grid.from_origin(tile, Origin::Ll);
            tiles.push(SubTile {
                x: numbered.x,
                y: numbered.y,
                z,
                bbox: lat_lon(grid.srs(), grid.tile_bbox(tile))?,
            });
        }
    }
    let (tile_width, _) = grid.tile_size();
    Ok(Document {
        name: &layer.name,
        // the topmost tile of GLOBAL_GEODETIC reaches as far north as it is wide; KML ends at the pole
        bbox: lat_lon(grid.srs(), grid.limited_tile_bbox(coord))?,
        tiles,
        layer_url: format!("{}/kml/{}", context.script_url(), layer_path(addressing, layer)),
        format: &layer.format,
        min_lod: tile_width / 2,
        max_lod: tile_width * 3,
    })
}

/// Tiles of the level whose lower left corner lies in the box, so that each belongs to one parent only.
fn sub_tiles(grid: &TileGrid, parent: BBox, level: u32) -> Vec<TileCoord> {
    /// what rounding may do to an edge
    const DELTA: f64 = 1e-7;
    let inside = |value: f64, min: f64, max: f64| value >= min - DELTA && value < max - DELTA;
    let Ok(affected) = grid.affected_level_tiles(parent, level) else {
        return Vec::new();
    };
    affected
        .iter()
        .flatten()
        .filter(|tile| {
            let bbox = grid.tile_bbox(*tile);
            inside(bbox.minx, parent.minx, parent.maxx) && inside(bbox.miny, parent.miny, parent.maxy)
        })
        .collect()
}

fn lat_lon(srs: &Srs, bbox: BBox) -> Result<LatLonBox, TileError> {
    /// Web Mercator ends here; the earth does not, and Google Earth shows the hole.
    const MERCATOR_EDGE: f64 = 20_037_508.342;
    let mut degrees = srs
        .transform_bbox_with(&Srs::wgs84(), bbox, 4)
        .map_err(crate::layer::LayerError::from)?;
    if srs.is_mercator() {
        if bbox.maxy >= MERCATOR_EDGE {
            degrees.maxy = 90.0;
        }
        if bbox.miny <= -MERCATOR_EDGE {
            degrees.miny = -90.0;
        }
    }
    let [west, south, east, north] = degrees.edges().map(|edge| {
        let text = format!("{edge:.6}");
        if text == "-0.000000" {
            "0.000000".to_owned()
        } else {
            text
        }
    });
    Ok(LatLonBox {
        north,
        south,
        east,
        west,
    })
}
