//! A tile as an HTTP answer.

use super::super::Context;
use super::super::cache_headers::{Validators, cacheable, not_cacheable};
use crate::cache::TileManager;
use crate::grid::TileCoord;
use crate::http::Response;
use crate::image::{ImageFormat, ImageOptions, MapImage, filled};
use crate::layer::LayerError;
use crate::query::Dimensions;

/// The tile with the headers that let clients keep it, or 304. Where there is nothing, an empty PNG, whatever the
/// layer's format is: the other formats may not know transparency.
///
/// `coord` is the grid's own number of a tile that the grid has.
pub(in crate::service) fn tile_answer(
    context: &Context<'_>,
    manager: &TileManager,
    coord: TileCoord,
    dimensions: &Dimensions,
) -> Result<Response, LayerError> {
    if context.request.sends_files
        && let Some((path, info)) = manager.stored_file(coord, dimensions)?
        && let (Some(timestamp), Some(size)) = (info.timestamp, info.size)
    {
        let validators = Validators::of_tile(timestamp, size);
        let response = Response::of_file(200, &manager.format().mime_type(), path);
        let max_age_s = context.application.tile_expires_s;
        return Ok(cacheable(response, context.request, &validators, max_age_s));
    }
    let tile = manager.load_tile(coord, dimensions)?;
    let Some((image, tile)) = tile.and_then(|mut tile| Some((tile.image.take()?, tile))) else {
        return empty_tile(context, manager);
    };
    let options = image.options.clone();
    let bytes = image.into_bytes(&options)?;
    let content_type = MapImage::content_type(&bytes, &options);
    let timestamp = tile.timestamp.unwrap_or_else(|| context.platform.clock().now());
    let validators = Validators::of_tile(timestamp, tile.size.unwrap_or(bytes.len() as u64));
    let response = Response::new(200, &content_type, bytes);
    if !tile.cacheable {
        return Ok(not_cacheable(response));
    }
    Ok(cacheable(
        response,
        context.request,
        &validators,
        context.application.tile_expires_s,
    ))
}

fn empty_tile(context: &Context<'_>, manager: &TileManager) -> Result<Response, LayerError> {
    let (width, height) = manager.grid().tile_size();
    let options = ImageOptions {
        paletted: manager.image_options().paletted,
        transparent: Some(true),
        ..ImageOptions::new(ImageFormat::PNG)
    };
    let raster = filled(width, height, [255, 255, 255, 0]).map_err(crate::image::MapImageError::from)?;
    let bytes = MapImage::from_raster(raster, options.clone()).into_bytes(&options)?;
    let validators = Validators::of_tile(context.platform.clock().now(), bytes.len() as u64);
    let response = Response::new(200, "image/png", bytes);
    Ok(cacheable(
        response,
        context.request,
        &validators,
        context.application.tile_expires_s,
    ))
}
