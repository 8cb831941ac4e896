//! GetMap: from the request to the encoded picture. The order of the steps is MapProxy's (behaviour section 2.3), since
//! it decides which error a client sees.

use std::rc::Rc;

use crate::client::get_maps;
use crate::config::model::{OnSourceErrors, ServiceFormat, WmsService};
use crate::http::Response;
use crate::image::{
    Cacheability, GeoReference, ImageFormat, ImageOptions, MapImage, attribution, blank, merge, message_image,
    place_in_image,
};
use crate::layer::MapLayer;
use crate::platform::{Platform, UnixTime};
use crate::query::{Dimensions, MapQuery};
use crate::request::QueryParams;
use crate::request::wms::{GetMap, WmsRequestError};
use crate::service::Context;
use crate::service::cache_headers::{Validators, cacheable, not_cacheable};
use crate::srs::Srs;

use super::error::{WmsError, concerns_one_source, told};
use super::formats::find_format;
use super::layers::{Layers, named, to_draw};
use super::srs_extent::{Allowed, allowed};

/// Answers GetMap.
pub(super) fn get_map(context: &Context<'_>, service: &WmsService, request: GetMap) -> Result<Response, WmsError> {
    let layers = |name: &str| context.assembly.wms_layer(name);
    let checked = Checked::new(service, &layers, request)?;
    let map = draw(context.platform, service, &layers, &checked)?;
    answer(context, &checked, map)
}

/// A request whose layers, format and SRS we have.
pub(super) struct Checked<'a> {
    pub(super) request: GetMap,
    pub(super) format: &'a ServiceFormat,
    pub(super) layers: Vec<Rc<crate::assemble::WmsLayer>>,
    pub(super) srs: Srs,
}

impl<'a> Checked<'a> {
    pub(super) fn new(service: &'a WmsService, layers: &dyn Layers, request: GetMap) -> Result<Self, WmsError> {
        let (width, height) = request.size;
        if u64::from(width) * u64::from(height) > service.max_output_pixels {
            return Err(WmsRequestError::ImageTooLarge.into());
        }
        let layers = named(layers, &request.layers)?;
        let format = find_format(service, &request.format, request.version).ok_or_else(|| {
            WmsRequestError::UnsupportedFormat {
                format: request.format.clone(),
            }
        })?;
        let srs = find_srs(service, &request)?;
        Ok(Self {
            request,
            format,
            layers,
            srs,
        })
    }

    fn query(&self) -> MapQuery {
        MapQuery {
            bbox: self.request.bbox,
            size: self.request.size,
            srs: self.srs.clone(),
            format: image_format(self.format),
            transparent: self.request.transparent,
            tiled_only: self.request.tiled,
            dimensions: self.request.dimensions.clone(),
        }
    }

    /// How the answer is to be encoded.
    fn options(&self) -> ImageOptions {
        ImageOptions {
            format: Some(image_format(self.format)),
            transparent: Some(self.request.transparent),
            bgcolor: Some(self.request.bgcolor),
            ..self.format.options.clone()
        }
    }
}

pub(super) fn image_format(format: &ServiceFormat) -> ImageFormat {
    format
        .options
        .format
        .clone()
        .unwrap_or_else(|| ImageFormat::new(format.mime.as_str()))
}

pub(super) fn find_srs(service: &WmsService, request: &GetMap) -> Result<Srs, WmsError> {
    let unsupported = || WmsRequestError::UnsupportedSrs {
        code: request.srs.clone(),
        version: request.version,
    };
    Ok(service
        .srs
        .iter()
        .find(|srs| srs.code() == request.srs)
        .cloned()
        .ok_or_else(unsupported)?)
}

/// The finished picture, not encoded yet.
pub(super) fn draw(
    platform: &Rc<dyn Platform>,
    service: &WmsService,
    layers: &dyn Layers,
    checked: &Checked<'_>,
) -> Result<MapImage, WmsError> {
    let mut query = checked.query();
    let options = checked.options();
    let whole = query.size;
    let mut place = None;
    match allowed(service, &query) {
        Allowed::All => {}
        Allowed::Nothing => return Ok(blank(whole.0, whole.1, &options)?),
        Allowed::Part { bbox, size, offset } => {
            query.bbox = bbox;
            query.size = size;
            place = Some(offset);
        }
    }
    let drawn = to_draw(layers, &checked.layers, &query)?;
    let sources: Vec<Rc<dyn MapLayer>> = drawn.iter().flat_map(|layer| layer.sources.iter().cloned()).collect();
    forward_params(&mut query.dimensions, &checked.request.params, &sources);
    let sources = combine(sources, &query);

    let Rendered { images, errors } = render(platform, service, &sources, &query)?;
    let mut map = if images.is_empty() {
        blank(query.size.0, query.size.1, &options)?
    } else {
        merge(
            images.into_iter().map(Into::into).collect(),
            &options,
            Some(query.size),
            None,
        )?
    };
    if let Some(offset) = place {
        map = place_in_image(map, offset, whole, &options)?;
    }
    if !errors.is_empty() {
        let clear = ImageOptions {
            transparent: Some(true),
            ..options.clone()
        };
        let message = message_image(&notice(&errors, whole.0), whole, &clear)?;
        map = merge(vec![map.into(), message.into()], &options, Some(whole), None)?;
        map.cacheability.cacheable = false;
    }
    if let Some(text) = service.attribution.as_deref().filter(|_| !checked.request.tiled) {
        map = attribution(map, text)?;
    }
    map.georeference = Some(GeoReference {
        bbox: checked.request.bbox.edges(),
        epsg: checked.srs.epsg().and_then(|code| u16::try_from(code).ok()),
        geographic: checked.srs.is_latlong(),
    });
    Ok(map)
}

/// Adds to the dimensions of a query what its sources want forwarded, with the client's spelling.
fn forward_params(dimensions: &mut Dimensions, params: &QueryParams, sources: &[Rc<dyn MapLayer>]) {
    for name in sources.iter().flat_map(|source| source.forwarded_params()) {
        if dimensions.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        if let Some((spelled, value)) = params.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            dimensions.push((spelled.to_owned(), value));
        }
    }
}

/// Neighbours that one server can draw together become one.
fn combine(sources: Vec<Rc<dyn MapLayer>>, query: &MapQuery) -> Vec<Rc<dyn MapLayer>> {
    let mut combined: Vec<Rc<dyn MapLayer>> = Vec::with_capacity(sources.len());
    for source in sources {
        let together = combined.last().and_then(|below| below.combine(source.as_ref(), query));
        match (together, combined.last_mut()) {
            (Some(together), Some(last)) => *last = Rc::from(together),
            _ => combined.push(source),
        }
    }
    combined
}

#[derive(Debug)]
struct Rendered {
    /// bottom first
    images: Vec<MapImage>,
    /// what is written into the map
    errors: Vec<String>,
}

fn render(
    platform: &Rc<dyn Platform>,
    service: &WmsService,
    sources: &[Rc<dyn MapLayer>],
    query: &MapQuery,
) -> Result<Rendered, WmsError> {
    let parallel = usize::try_from(service.concurrent_layer_renderer).unwrap_or(1).max(1);
    let mut rendered = Rendered {
        images: Vec::with_capacity(sources.len()),
        errors: Vec::new(),
    };
    let mut answered = false;
    // In parts of the size that may run together: with `raise`, nothing is asked behind an error.
    for part in sources.chunks(parallel) {
        for map in get_maps(platform, part, query)? {
            match map {
                Ok(map) => {
                    answered = true;
                    rendered.images.extend(map);
                }
                Err(error) if service.on_source_errors == OnSourceErrors::Notify && concerns_one_source(&error) => {
                    rendered.errors.push(told(&error));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if !answered && !rendered.errors.is_empty() {
        return Err(WmsError::NoSources {
            messages: rendered.errors,
        });
    }
    Ok(rendered)
}

/// What is written into a map of this width (pixels): about a line of each error. They quote whole URLs, which would
/// hide the map; the log has them complete.
fn notice(errors: &[String], width: u32) -> String {
    let most = (width / 7).max(24) as usize;
    let shortened = |error: &String| match error.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", error.split_at(end).0),
        None => error.clone(),
    };
    errors.iter().map(shortened).collect::<Vec<_>>().join("\n")
}

fn answer(context: &Context<'_>, checked: &Checked<'_>, map: MapImage) -> Result<Response, WmsError> {
    let Cacheability {
        cacheable: may_be_kept,
        timestamp,
        size,
        ..
    } = map.cacheability;
    let mut options = checked.options();
    if map.options.transparent == Some(true) && map.encoded().is_none() {
        // a map with empty margins keeps its alpha, whatever was asked for
        options.transparent = Some(true);
    }
    let body = map.into_bytes(&options)?;
    let tag_size = size.unwrap_or(body.len() as u64);
    let response = Response::new(200, &checked.format.mime, body);
    if !may_be_kept {
        return Ok(not_cacheable(response));
    }
    if !checked.request.tiled {
        return Ok(response);
    }
    let made: UnixTime = timestamp.unwrap_or_else(|| context.platform.clock().now());
    let validators = Validators::of_tile(made, tag_size);
    Ok(cacheable(
        response,
        context.request,
        &validators,
        context.application.tile_expires_s,
    ))
}
