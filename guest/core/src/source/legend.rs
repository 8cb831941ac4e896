//! Legends of WMS sources, kept in `<base_dir>/legends` (behaviour section 2.7; MapProxy: `source/wms.py`,
//! `cache/legend.py`).

use std::rc::Rc;

use md5::{Digest as _, Md5};

use crate::client::{Body, SourceClient, WmsRequests, send_all};
use crate::config::model::WmsSource;
use crate::http::{HttpFailure, HttpReply};
use crate::image::{ImageFormat, ImageOptions, Layer, MapImage, Raster, merge, peek_format, peek_size};
use crate::layer::{FeatureInfo, InfoKind, LayerError};
use crate::platform::Platform;
use crate::query::LegendQuery;
use crate::srs::python_float;

/// The legend of a source; `None` if it has none.
pub(super) fn get(
    platform: &Rc<dyn Platform>,
    client: &SourceClient,
    requests: &WmsRequests,
    wms: &WmsSource,
    directory: &str,
    query: &LegendQuery,
) -> Result<Option<MapImage>, LayerError> {
    let is_json = query.format.contains("json") && wms.legendurl.is_none();
    let Some(path) = stored_path(requests, wms, directory, query.scale) else {
        return Ok(None);
    };
    if !is_json && let Ok((data, _)) = platform.files().read(&path) {
        return Ok(Some(MapImage::from_bytes(data, ImageOptions::new(ImageFormat::PNG))));
    }
    let (bodies, mut legends): (Vec<Body>, Vec<Vec<u8>>) = match &wms.legendurl {
        Some(url) => match url.strip_prefix("file://") {
            Some(path) => (Vec::new(), vec![platform.files().read(path)?.0]),
            None => (
                vec![Body {
                    url: url.clone(),
                    post: None,
                }],
                Vec::new(),
            ),
        },
        None => (requests.legends(query), Vec::new()),
    };
    let upstreams = bodies
        .iter()
        .map(|body| client.request(body.url.clone(), body.post.clone()))
        .collect();
    let replies = send_all(platform, upstreams, 1, &mut || {});
    let mut failure = None;
    for (body, reply) in bodies.iter().zip(replies) {
        match legend_of(client, &body.url, reply, is_json) {
            Ok(legend) => legends.push(legend),
            Err(error) => failure = Some(error),
        }
    }
    let is_complete = failure.is_none();
    match failure {
        Some(error) if legends.is_empty() => return Err(error),
        Some(error) => log::error!(target: "mapproxy.source.wms", "a legend is missing: {error}"),
        None => {}
    }
    if is_json {
        let options = ImageOptions::new(ImageFormat::new(query.format.clone()));
        let info = |content| FeatureInfo {
            kind: InfoKind::Json,
            content,
        };
        let combined = FeatureInfo::combine(&legends.into_iter().map(info).collect::<Vec<_>>());
        return Ok(combined.map(|info| MapImage::from_bytes(info.content, options)));
    }
    let images = legends.into_iter().map(image_of).collect::<Vec<_>>();
    let Some(legend) = stack(images)? else { return Ok(None) };
    if !is_complete {
        return Ok(Some(legend));
    }
    let png = ImageOptions {
        transparent: Some(true),
        ..ImageOptions::new(ImageFormat::PNG)
    };
    let data = legend.into_bytes(&png)?;
    if let Err(error) = platform.files().write_atomic(&path, &data) {
        log::error!(target: "mapproxy.source.wms", "legend not stored: {error}");
    }
    Ok(Some(MapImage::from_bytes(data, png)))
}

/// Size of the legend if it was fetched before.
pub(super) fn stored_size(
    platform: &Rc<dyn Platform>,
    requests: &WmsRequests,
    wms: &WmsSource,
    directory: &str,
) -> Option<(u32, u32)> {
    let path = stored_path(requests, wms, directory, None)?;
    let (data, _) = platform.files().read(&path).ok()?;
    peek_size(&data).ok()
}

/// File of the legend; `None` if the source has no legend. The scale does not matter to a static one.
fn stored_path(requests: &WmsRequests, wms: &WmsSource, directory: &str, scale: Option<f64>) -> Option<String> {
    let (identifier, scale) = match &wms.legendurl {
        Some(url) => (format!("{url}None"), None),
        None if wms.legendgraphic => {
            let parts = requests.layers().split(',').map(|layer| format!("{}{layer}", wms.url));
            (parts.collect::<String>(), scale)
        }
        None => return None,
    };
    let scale = scale.map_or_else(|| "None".to_owned(), python_float);
    Some(format!(
        "{directory}/{:x}.png",
        Md5::digest(format!("{identifier}{scale}"))
    ))
}

fn legend_of(
    client: &SourceClient,
    url: &str,
    reply: Result<HttpReply, HttpFailure>,
    is_json: bool,
) -> Result<Vec<u8>, LayerError> {
    let reply = client.judge(url, reply)?;
    if !is_json && peek_format(&reply.body).is_none() {
        let message = format!("no image returned from source WMS: {url}");
        return Err(LayerError::Source {
            message,
            status: None,
            detail: None,
        });
    }
    Ok(reply.body)
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

/// The legends one above the other, the last on top, as maps are stacked.
fn stack(mut legends: Vec<MapImage>) -> Result<Option<MapImage>, LayerError> {
    if legends.len() <= 1 {
        return Ok(legends.pop());
    }
    let options = ImageOptions {
        transparent: Some(true),
        ..ImageOptions::new(ImageFormat::PNG)
    };
    let (mut width, mut height) = (0, 0);
    let mut layers = Vec::with_capacity(legends.len());
    for legend in legends.into_iter().rev() {
        let raster: Raster = legend.into_raster()?.into_rgba();
        let (own_width, own_height) = raster.size();
        let mut layer = Layer::from(MapImage::from_raster(raster, options.clone()));
        layer.offset = (0, i64::from(height));
        layers.push(layer);
        width = width.max(own_width);
        height += own_height;
    }
    Ok(Some(merge(layers, &options, Some((width, height)), None)?))
}
