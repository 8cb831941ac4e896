//! `GetTile`: from the names of the standard to the grid's own tile.

use std::rc::Rc;

use super::super::Context;
use super::super::tile::{TileError, checked_dimensions, tile_answer};
use super::WmtsError;
use crate::cache::TileManager;
use crate::config::compiled::Kind;
use crate::config::model::TileLayer;
use crate::grid::{Origin, TileCoord, TileGrid};
use crate::http::Response;
use crate::image::ImageFormat;
use crate::request::wmts::GetTile;

/// `is_rest`: dimensions that the layer does not have may only be `default`.
pub(super) fn answer(context: &Context<'_>, tile: &GetTile, is_rest: bool) -> Result<Response, WmtsError> {
    let (layer, manager) = find_layer(context, tile)?;
    if let Some(asked) = &tile.format {
        let format = ImageFormat::new(asked.as_str());
        if format.ext() != layer.format {
            return Err(WmtsError::Tile(TileError::InvalidFormat {
                asked: format.ext().to_owned(),
                offered: layer.format,
            }));
        }
    }
    let coord = find_tile(manager.grid(), tile)?;
    let dimensions = checked_dimensions(&layer.dimensions, &tile.dimensions, is_rest)?;
    Ok(tile_answer(context, &manager, coord, &dimensions)?)
}

/// The layer on the grid of that name, if its rows can be counted from the top.
pub(super) fn find_layer(context: &Context<'_>, tile: &GetTile) -> Result<(TileLayer, Rc<TileManager>), WmtsError> {
    let found = context.assembly.tile_layer(&tile.layer, &tile.tile_matrix_set)?;
    if let Some((layer, manager)) = found
        && manager.grid().supports_access_with_origin(Origin::Ul)
    {
        return Ok((layer, manager));
    }
    if context.compiled.contains(Kind::TileLayerIndex, &tile.layer) {
        Err(WmtsError::UnknownTileMatrixSet {
            name: tile.tile_matrix_set.clone(),
        })
    } else {
        Err(WmtsError::Tile(TileError::UnknownLayer {
            name: tile.layer.clone(),
        }))
    }
}

/// The grid's own number of the tile.
pub(super) fn find_tile(grid: &TileGrid, tile: &GetTile) -> Result<TileCoord, WmtsError> {
    let level = level(grid, &tile.tile_matrix)?;
    let columns = grid.grid_size(level).0;
    let locator = if (0..columns).contains(&tile.tile_col) {
        "tilerow"
    } else {
        "tilecol"
    };
    let coord = grid
        .limit_tile(TileCoord::new(tile.tile_col, tile.tile_row, level))
        .ok_or(WmtsError::TileOutOfRange { locator })?;
    Ok(grid.from_origin(coord, Origin::Ul))
}

/// A level by its identifier as in the capabilities (`01`, or a name of the configuration), or by its number (`1`).
fn level(grid: &TileGrid, identifier: &str) -> Result<u32, WmtsError> {
    if let Some(level) = grid.level_by_name(identifier) {
        return Ok(level);
    }
    let digits = identifier.strip_prefix('-').unwrap_or(identifier);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WmtsError::UnknownTileMatrix {
            name: identifier.to_owned(),
        });
    }
    let level = identifier.parse().ok().filter(|level| *level < grid.levels());
    level.ok_or(WmtsError::TileOutOfRange { locator: "tilematrix" })
}
