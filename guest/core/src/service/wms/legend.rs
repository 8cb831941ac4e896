//! GetLegendGraphic: the legends of a layer's sources above each other, or the one picture the configuration names.
//! (Behaviour section 2.7; MapProxy: `service/wms.py`, `image/merge.py` `concat_legends`.)

use std::rc::Rc;

use md5::{Digest as _, Md5};

use crate::assemble::WmsLayer;
use crate::client::{SourceClient, send_all};
use crate::config::model::{SourceHttp, WmsService, WmsVersion};
use crate::http::{HttpFailure, Response};
use crate::image::{ImageFormat, ImageOptions, Layer, MapImage, MapImageError, merge, peek_format, peek_size};
use crate::layer::{FeatureInfo, InfoKind, LayerError};
use crate::query::LegendQuery;
use crate::request::wms::{GetLegendGraphic, WmsRequestError};
use crate::service::Context;

use super::error::WmsError;
use super::formats::find_format;
use super::layers::expand;
use super::map::image_format;

/// Answers GetLegendGraphic.
pub(super) fn get_legend_graphic(
    context: &Context<'_>,
    service: &WmsService,
    version: WmsVersion,
    request: &GetLegendGraphic,
) -> Result<Response, WmsError> {
    let name = &request.layer;
    let layer = context
        .assembly
        .wms_layer(name)?
        .ok_or_else(|| WmsRequestError::UnknownLayer { name: name.clone() })?;
    let legends = legends(context, service, &layer, request)?;
    if legends.is_empty() {
        return Err(WmsRequestError::NoLegend { name: name.clone() }.into());
    }
    if is_json(&request.format) {
        return Ok(json(legends));
    }
    let (mime, options) = match find_format(service, &request.format, version) {
        Some(format) => {
            let options = ImageOptions {
                format: Some(image_format(format)),
                ..format.options.clone()
            };
            (format.mime.as_str(), options)
        }
        None => (
            "image/png",
            ImageOptions {
                format: Some(ImageFormat::PNG),
                ..ImageOptions::default()
            },
        ),
    };
    let options = ImageOptions {
        transparent: Some(true),
        ..options
    };
    let body = stack(legends, &options)?.into_bytes(&options)?;
    Ok(Response::new(200, mime, body))
}

fn is_json(format: &str) -> bool {
    format.contains("json")
}

/// Bottom first, as the sources are.
fn legends(
    context: &Context<'_>,
    service: &WmsService,
    layer: &Rc<WmsLayer>,
    request: &GetLegendGraphic,
) -> Result<Vec<MapImage>, WmsError> {
    if let Some(url) = &layer.conf.legendurl {
        return Ok(vec![static_legend(context, service, url)?]);
    }
    let query = LegendQuery {
        format: request.format.clone(),
        scale: request.scale,
    };
    let mut found = Vec::new();
    for leaf in expand(&|name: &str| context.assembly.wms_layer(name), layer)? {
        match &leaf.conf.legendurl {
            Some(url) => found.push(static_legend(context, service, url)?),
            None => {
                for source in &leaf.sources {
                    found.extend(source.get_legends(&query)?);
                }
            }
        }
    }
    Ok(found)
}

/// Several JSON legends are one with all entries.
fn json(legends: Vec<MapImage>) -> Response {
    let info = |legend: MapImage| FeatureInfo {
        kind: InfoKind::Json,
        content: legend.encoded().unwrap_or_default().to_vec(),
    };
    let combined = FeatureInfo::combine(&legends.into_iter().map(info).collect::<Vec<_>>());
    Response::new(
        200,
        "application/json",
        combined.map(|info| info.content).unwrap_or_default(),
    )
}

/// The legends above each other, the topmost source's first, on a transparent picture as wide as the widest.
fn stack(mut legends: Vec<MapImage>, options: &ImageOptions) -> Result<MapImage, MapImageError> {
    if legends.len() == 1
        && let Some(legend) = legends.pop()
    {
        return Ok(legend);
    }
    let mut layers = Vec::with_capacity(legends.len());
    let (mut width, mut height) = (0, 0_u32);
    for legend in legends.into_iter().rev() {
        let (own_width, own_height) = legend.size()?;
        layers.push(Layer {
            image: legend,
            mask: None,
            offset: (0, i64::from(height)),
        });
        width = width.max(own_width);
        height = height.saturating_add(own_height);
    }
    merge(layers, options, Some((width, height)), None)
}

/// Where a static legend is kept once it is fetched.
fn stored_path(context: &Context<'_>, url: &str) -> String {
    format!(
        "{}/legends/{:x}.png",
        context.application.base_dir,
        Md5::digest(format!("{url}None"))
    )
}

/// `legendurl` of a layer, from its server once and from then on from the disk.
fn static_legend(context: &Context<'_>, service: &WmsService, url: &str) -> Result<MapImage, LayerError> {
    let files = context.platform.files();
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(image_of(files.read(path)?.0));
    }
    let path = stored_path(context, url);
    if let Ok((data, _)) = files.read(&path) {
        return Ok(image_of(data));
    }
    let (url, credentials) = without_credentials(url);
    let http = SourceHttp {
        credentials,
        ..service.http.clone()
    };
    let client = SourceClient::without_source(&http, context.application);
    let missing = || {
        Err(HttpFailure::Incomplete {
            reason: "the request was not sent".to_owned(),
        })
    };
    let reply = send_all(context.platform, vec![client.request(url.clone(), None)], 1, &mut || {});
    let reply = client.judge(&url, reply.into_iter().next().unwrap_or_else(missing))?;
    if peek_format(&reply.body).is_none() {
        let message = format!("no image returned from legendurl (status {})", reply.status);
        return Err(LayerError::Source {
            message,
            status: Some(reply.status),
            detail: None,
        });
    }
    if let Err(error) = files.write_atomic(&path, &reply.body) {
        log::error!("legend not stored: {error}");
    }
    Ok(image_of(reply.body))
}

/// The URL of a server, and the user and password it may have.
fn without_credentials(url: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else {
        return (url.to_owned(), None);
    };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    (
        format!("{scheme}://{host}{path}"),
        Some((name.to_owned(), password.to_owned())),
    )
}

fn image_of(data: Vec<u8>) -> MapImage {
    let format = peek_format(&data);
    MapImage::from_bytes(
        data,
        ImageOptions {
            format,
            ..ImageOptions::default()
        },
    )
}

/// Size of a layer's whole legend, if all of it is stored.
pub(super) fn stored_size(context: &Context<'_>, layer: &Rc<WmsLayer>) -> Option<(u32, u32)> {
    if let Some(url) = &layer.conf.legendurl {
        let path = url
            .strip_prefix("file://")
            .map_or_else(|| stored_path(context, url), str::to_owned);
        let (data, _) = context.platform.files().read(&path).ok()?;
        return peek_size(&data).ok();
    }
    let leaves = expand(&|name: &str| context.assembly.wms_layer(name), layer).ok()?;
    let sizes = leaves
        .iter()
        .flat_map(|leaf| &leaf.sources)
        .filter_map(|source| source.stored_legend_size());
    sizes.reduce(|(width, height), (own_width, own_height)| (width.max(own_width), height.saturating_add(own_height)))
}
