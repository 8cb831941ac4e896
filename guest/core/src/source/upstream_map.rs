//! The answer of a server as a map: judged, checked to be an image, put in its place, warped, made transparent
//! (behaviour sections 9, 10 and 15). What WMS, tile and ArcGIS sources have in common once a URL is asked.

use std::rc::Rc;

use crate::client::{SourceClient, UpstreamFailure, begin, printable};
use crate::config::model::{OnErrorRule, Source};
use crate::http::HttpReply;
use crate::image::{
    Cacheability, ImageFormat, ImageOptions, Layer, Limits, MapImage, MapImageError, Mask, encode, filled,
    make_transparent, merge, peek_format, peek_size, place_in_image,
};
use crate::layer::{Answer, LayerError, Place, Plan, Upstream, warp_image};
use crate::query::MapQuery;
use crate::srs::{BBox, Srs};

/// What was asked of the server, if it is not the query itself.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// where the server's picture lies as a whole, in `srs`; as large as `size`
    pub bbox: BBox,
    pub size: (u32, u32),
    pub srs: Srs,
    /// The server was asked for a part only: upper left corner in the picture.
    pub part: Option<(u32, u32)>,
}

/// A map that waits for one answer.
#[derive(Debug)]
pub(super) struct UpstreamMap {
    pub source: Rc<Source>,
    pub client: SourceClient,
    /// what kind of server, for messages: `WMS`
    pub kind: &'static str,
    pub url: String,
    pub query: MapQuery,
    pub asked: Asked,
}

impl UpstreamMap {
    /// Asks the server.
    pub(super) fn plan<'a>(self, request: Upstream) -> Plan<'a> {
        Plan::ask(request, move |reply| self.finish(reply))
    }

    fn finish(&self, reply: Answer) -> Result<Option<MapImage>, LayerError> {
        match self.client.judge(&self.url, reply) {
            Ok(reply) if self.kind == "tile" && is_empty_image(&reply) => {
                error_image(&EMPTY_TILE, &self.query).map(Some)
            }
            Ok(reply) if is_image(&reply) => self.map_of(reply).map(Some),
            // Only of a tile server MapProxy takes this for an error of HTTP, which `on_error` may replace.
            Ok(reply) if self.kind == "tile" => self.replacement(self.no_image(&reply)).map(Some),
            Ok(reply) => Err(self.no_image(&reply).into()),
            Err(failure) => self.replacement(failure).map(Some),
        }
    }
}

fn claims_to_be_image(reply: &HttpReply) -> bool {
    let content_type = reply.headers.get("content-type");
    content_type.is_none_or(|content_type| content_type.trim_start().starts_with("image/"))
}

/// Some tile servers answer so where they have nothing. MapProxy keeps and serves the empty file.
fn is_empty_image(reply: &HttpReply) -> bool {
    reply.body.is_empty()
        && reply
            .headers
            .get("content-type")
            .is_some_and(|content_type| content_type.trim_start().starts_with("image/"))
}

/// What stands for an empty answer of a tile server.
const EMPTY_TILE: OnErrorRule = OnErrorRule {
    status: None,
    response: None,
    cache: true,
    authorize_stale: false,
};

/// Whether an answer says that it is an image, and begins like one.
fn is_image(reply: &HttpReply) -> bool {
    let body = &reply.body;
    // kept without decoding, it must still be one that can be decoded
    let fits = |(width, height)| u64::from(width) * u64::from(height) <= Limits::default().pixels;
    claims_to_be_image(reply) && peek_format(body).is_some() && peek_size(body).is_ok_and(fits) && has_its_end(body)
}

/// Whether the end of a picture is there. Tiles are kept as they come, without decoding, and a server that dies while it
/// draws may well have sent half a picture and called it whole. What follows the end does not matter.
fn has_its_end(image: &[u8]) -> bool {
    const PNG_END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
    const JPEG_END: &[u8] = b"\xff\xd9";
    let tail = image.get(image.len().saturating_sub(1024)..).unwrap_or(image);
    let ends = |end: &[u8]| tail.windows(end.len()).any(|window| window == end);
    match peek_format(image) {
        Some(format) if format == ImageFormat::PNG => ends(PNG_END),
        Some(format) if format == ImageFormat::JPEG => ends(JPEG_END),
        _ => true,
    }
}

impl UpstreamMap {
    fn map_of(&self, reply: HttpReply) -> Result<MapImage, LayerError> {
        let options = ImageOptions {
            format: peek_format(&reply.body),
            ..self.source.image.clone()
        };
        let mut image = MapImage::from_bytes(reply.body, options);
        let Asked { bbox, size, srs, part } = &self.asked;
        let options = &self.source.image;
        if let Some(offset) = part {
            image = place_in_image(image, *offset, *size, options)?;
        }
        let from = Place {
            bbox: *bbox,
            size: *size,
            srs,
        };
        let to = Place {
            bbox: self.query.bbox,
            size: self.query.size,
            srs: &self.query.srs,
        };
        if from.srs != to.srs || part.is_some() {
            let options = ImageOptions {
                transparent: image.options.transparent,
                ..options.clone()
            };
            image = warp_image(image, from, to, &options)?;
        }
        if let Some(color) = self.source.transparent_color {
            let cacheability = image.cacheability;
            let raster = make_transparent(image.into_raster()?, color, self.source.transparent_color_tolerance);
            let options = ImageOptions {
                transparent: Some(true),
                ..options.clone()
            };
            image = MapImage::from_raster(raster, options).with_cacheability(cacheability);
        }
        image.options.opacity = self.source.opacity.map(|opacity| opacity as f32);
        self.clipped(image)
    }

    /// Cut along the coverage's edge, where that is wanted.
    fn clipped(&self, image: MapImage) -> Result<MapImage, LayerError> {
        let Some(coverage) = self.source.coverage.as_ref().filter(|coverage| coverage.clip) else {
            return Ok(image);
        };
        let query = &self.query;
        if coverage.contains(query.bbox, &query.srs) {
            return Ok(image);
        }
        let (width, height) = query.size;
        let alpha = coverage.mask(query.bbox, &query.srs, query.size)?;
        let mask = Mask::new(width, height, alpha).map_err(MapImageError::from)?;
        let options = ImageOptions {
            transparent: Some(true),
            opacity: None,
            ..image.options.clone()
        };
        let opacity = image.options.opacity;
        let mut layer = Layer::from(image);
        layer.image.options.opacity = None;
        layer.mask = Some(mask);
        let mut clipped = merge(vec![layer], &options, Some(query.size), None)?;
        clipped.options.opacity = opacity;
        Ok(clipped)
    }

    fn no_image(&self, reply: &HttpReply) -> UpstreamFailure {
        let begin = printable(&String::from_utf8_lossy(begin(&reply.body, 200)));
        log::warn!(target: "mapproxy.source", "no image from `{}`, it begins with: {begin}", self.url);
        let reason = if claims_to_be_image(reply) {
            " (error while processing image file)"
        } else {
            ""
        };
        let cause = match reply.headers.get("content-type") {
            Some(content_type) if reason.is_empty() => format!("no image but `{content_type}`"),
            _ => "no image that can be read".to_owned(),
        };
        UpstreamFailure {
            status: None,
            message: format!("no image returned from source {}: {}{reason}", self.kind, self.url),
            detail: self.client.detail(&self.url, &cause, Some(reply)),
        }
    }

    /// What `on_error` answers instead, or the failure.
    fn replacement(&self, failure: UpstreamFailure) -> Result<MapImage, LayerError> {
        let Some(rule) = self.client.rule_for(&failure).cloned() else {
            return Err(failure.into());
        };
        error_image(&rule, &self.query)
    }
}

/// A picture of the rule's colour in true colour, so that no palette is made for it.
fn error_image(rule: &OnErrorRule, query: &MapQuery) -> Result<MapImage, LayerError> {
    let transparent = rule.response.is_none_or(|color| color[3] < 255);
    let (width, height) = query.size;
    let raster = filled(width, height, rule.response.unwrap_or([255, 255, 255, 0])).map_err(MapImageError::from)?;
    let raster = if transparent {
        raster.into_rgba()
    } else {
        raster.into_rgb()
    };
    let options = ImageOptions {
        transparent: Some(transparent),
        colors: Some(0),
        ..ImageOptions::new(query.format.clone())
    };
    let cacheability = Cacheability {
        cacheable: rule.cache,
        authorize_stale: rule.authorize_stale,
        ..Cacheability::default()
    };
    let bytes = encode(raster, &options, None).map_err(MapImageError::from)?;
    Ok(MapImage::from_bytes(bytes, options).with_cacheability(cacheability))
}
