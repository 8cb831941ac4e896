//! `/tiles`: levels as the grid has them, rows from either side (`?origin=nw`), errors as plain text.

use super::super::Context;
use super::super::cache_headers::not_cacheable;
use super::lookup::{Numbering, check_format, tile_layer};
use super::{Addressing, TileError, checked_dimensions, tile_answer};
use crate::config::compiled::Kind;
use crate::config::model::TmsService;
use crate::grid::Origin;
use crate::http::Response;
use crate::request::QueryParams;
use crate::request::tile::parse_tiles;

/// Answers a path that begins with `/tiles`.
pub fn handle(context: &Context<'_>) -> Response {
    answer(context)
        .unwrap_or_else(|error| not_cacheable(Response::new(error.status(), "text/plain", error.client_message())))
}

fn answer(context: &Context<'_>) -> Result<Response, TileError> {
    let address = parse_tiles(context.path())?;
    let service: TmsService = context
        .compiled
        .get(Kind::TmsService, "")
        .expect("the dispatcher checked that the service is configured");
    let (layer, manager) = tile_layer(context, Addressing::tms(service.use_grid_names), &address.layer)?;
    check_format(&layer, &address.format)?;
    let numbering = Numbering {
        origin: asked_origin(&context.request.query).or(service.origin),
        skip_first_level: false,
    };
    let coord = numbering
        .tile(manager.grid(), address.x, address.y, address.z)
        .ok_or(TileError::OutOfRange)?;
    let dimensions = checked_dimensions(&layer.dimensions, &Vec::new(), false)?;
    Ok(tile_answer(context, &manager, coord, &dimensions)?)
}

/// `origin=nw` or `origin=sw`; anything else is as good as nothing.
fn asked_origin(query: &str) -> Option<Origin> {
    if query.is_empty() {
        return None;
    }
    QueryParams::parse(query).get("origin").and_then(Origin::parse)
}
