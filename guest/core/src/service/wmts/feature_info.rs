//! GetFeatureInfo: what a layer's map sources know about a pixel of a tile.

use super::super::Context;
use super::super::tile::checked_dimensions;
use super::WmtsError;
use super::get_tile::{find_layer, find_tile};
use crate::config::model::WmtsService;
use crate::http::Response;
use crate::layer::FeatureInfo;
use crate::query::InfoQuery;
use crate::request::wmts::{GetFeatureInfo, InfoFormat};

/// Sources are asked in order; those that know nothing are left out. Nobody knowing anything is an empty answer.
pub(super) fn answer(
    context: &Context<'_>,
    service: &WmtsService,
    request: &GetFeatureInfo,
    is_rest: bool,
) -> Result<Response, WmtsError> {
    let (layer, manager) = find_layer(context, &request.tile)?;
    let info_format = info_format(service, &request.info_format)?;
    if layer.info_sources.is_empty() {
        return Err(WmtsError::NotQueryable { name: layer.name });
    }
    let grid = manager.grid();
    let size = grid.tile_size();
    let GetFeatureInfo { i, j, .. } = *request;
    for (locator, value, size) in [("i", i, size.0), ("j", j, size.1)] {
        if !(0..i64::from(size)).contains(&value) {
            return Err(WmtsError::PixelOutOfRange { i, j, locator });
        }
    }
    let query = InfoQuery {
        bbox: grid.tile_bbox(find_tile(grid, &request.tile)?),
        size,
        srs: grid.srs().clone(),
        pos: (i as f64, j as f64),
        info_format: Some(info_format.to_owned()),
        format: request.tile.format.clone().unwrap_or_else(|| "image/png".to_owned()),
        feature_count: request.feature_count,
        dimensions: checked_dimensions(&layer.dimensions, &request.tile.dimensions, is_rest)?,
    };
    let mut documents = Vec::new();
    for source in &layer.info_sources {
        documents.extend(context.assembly.layer_source(source)?.get_infos(&query)?);
    }
    let body = FeatureInfo::combine(&documents).map(|document| document.content);
    Ok(Response::new(200, info_format, body.unwrap_or_default()))
}

/// The media type of the format asked for, one of the configuration.
fn info_format<'s>(service: &'s WmtsService, asked: &InfoFormat) -> Result<&'s str, WmtsError> {
    let formats = &service.featureinfo_formats;
    let (found, name) = match asked {
        // a `+` that was not encoded arrives as a space
        InfoFormat::MediaType(asked) => (
            formats
                .iter()
                .find(|(mime, _)| mime == asked || mime.replace('+', " ") == *asked),
            asked.as_str(),
        ),
        InfoFormat::Suffix(asked) => (formats.iter().find(|(_, suffix)| suffix == asked), asked.as_str()),
        InfoFormat::Default => (formats.first(), ""),
    };
    found
        .map(|(mime, _)| mime.as_str())
        .ok_or_else(|| WmtsError::UnknownInfoFormat { name: name.to_owned() })
}
