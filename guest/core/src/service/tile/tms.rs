//! `/tms`: the `OSGeo` Tile Map Service 1.0.0.

use askama::Template;

use super::super::Context;
use super::super::cache_headers::not_cacheable;
use super::super::document::render;
use super::capabilities;
use super::lookup::{Numbering, check_format, tile_layer};
use super::{Addressing, TileError, checked_dimensions, tile_answer};
use crate::config::compiled::Kind;
use crate::config::model::TmsService;
use crate::grid::Origin;
use crate::http::Response;
use crate::request::tile::{TileAddress, TmsRequest, parse_tms};

/// Answers a path that begins with `/tms`.
pub fn handle(context: &Context<'_>) -> Response {
    answer(context).unwrap_or_else(|error| error_document(&error))
}

fn answer(context: &Context<'_>) -> Result<Response, TileError> {
    let request = parse_tms(context.path())?;
    let service: TmsService = context
        .compiled
        .get(Kind::TmsService, "")
        .expect("the dispatcher checked that the service is configured");
    let addressing = Addressing::tms(service.use_grid_names);
    match request {
        TmsRequest::Tile(address) => tile(context, addressing, &address),
        TmsRequest::RootResource => Ok(capabilities::root_resource(context, &service)),
        TmsRequest::TileMapService => Ok(capabilities::tile_map_service(context, &service, addressing)),
        TmsRequest::TileMap(layer) => capabilities::tile_map(context, addressing, &layer),
    }
}

fn tile(context: &Context<'_>, addressing: Addressing, address: &TileAddress) -> Result<Response, TileError> {
    let (layer, manager) = tile_layer(context, addressing, &address.layer)?;
    check_format(&layer, &address.format)?;
    let grid = manager.grid();
    let numbering = Numbering {
        origin: Some(Origin::Ll),
        skip_first_level: grid.tms_profile().skips_first_level(),
    };
    let coord = numbering
        .tile(grid, address.x, address.y, address.z)
        .ok_or(TileError::OutOfRange)?;
    let dimensions = checked_dimensions(&layer.dimensions, &Vec::new(), false)?;
    Ok(tile_answer(context, &manager, coord, &dimensions)?)
}

#[derive(Template)]
#[template(path = "tms/error.xml")]
struct ErrorDocument<'a> {
    message: &'a str,
}

fn error_document(error: &TileError) -> Response {
    let document = ErrorDocument {
        message: &error.client_message(),
    };
    not_cacheable(Response::new(error.status(), "text/xml", render(&document)))
}
