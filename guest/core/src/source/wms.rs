//! `type: wms` (behaviour section 9; MapProxy: `source/wms.py`).

use std::rc::Rc;

use crate::client::{SourceClient, WmsRequests, carry_out};
use crate::config::model::{Application, MapExtent, ResRange, Source, WmsSource};
use crate::image::{ImageFormat, MapImage, position_in_image};
use crate::layer::{FeatureInfo, InfoKind, LayerError, MapLayer, Plan};
use crate::platform::Platform;
use crate::query::{InfoQuery, LegendQuery, MapQuery};
use crate::srs::{BBox, PreferredSrs, Srs, best_srs};
use crate::xslt::XsltError;

use super::legend;
use super::position::in_srs;
use super::upstream_map::{Asked, UpstreamMap};

/// Asks a WMS.
#[derive(Debug, Clone)]
pub struct WmsMapSource {
    platform: Rc<dyn Platform>,
    source: Rc<Source>,
    wms: Rc<WmsSource>,
    requests: WmsRequests,
    client: SourceClient,
    preferred: Rc<PreferredSrs>,
    extent: Option<MapExtent>,
    res_range: Option<ResRange>,
    base_dir: Rc<str>,
}

impl WmsMapSource {
    pub fn new(platform: Rc<dyn Platform>, source: Source, wms: WmsSource, application: &Application) -> Self {
        Self {
            platform,
            requests: WmsRequests::new(&wms, source.http.method),
            client: SourceClient::new(&source, application),
            preferred: Rc::new(application.preferred_src.clone()),
            extent: source.coverage.as_ref().map(crate::coverage::Coverage::extent),
            res_range: source.res_range,
            base_dir: application.base_dir.as_str().into(),
            wms: Rc::new(wms),
            source: Rc::new(source),
        }
    }

    /// The system to ask in: the query's own, spelled as the source lists it, or the best one it supports.
    fn asked_srs<'a>(&'a self, srs: &'a Srs) -> &'a Srs {
        best_srs(srs, &self.wms.supported_srs, &self.preferred).unwrap_or(srs)
    }

    fn format(&self, query: &MapQuery) -> ImageFormat {
        let wanted = self.source.image.format.as_ref().unwrap_or(&query.format);
        let supported = &self.wms.supported_formats;
        match supported.first() {
            Some(first) if !supported.contains(wanted) => first.clone(),
            _ => wanted.clone(),
        }
    }

    /// What is asked of the server for this query, and the box and size sent; `None` if that has no pixels.
    fn asked(&self, query: &MapQuery) -> Result<Option<Request>, LayerError> {
        let srs = self.asked_srs(&query.srs);
        let (bbox, size) = if *srs == query.srs {
            (query.bbox, query.size)
        } else {
            let bbox = query.srs.transform_bbox(srs, query.bbox)?;
            (bbox, source_size(bbox, query.size))
        };
        let asked = Asked {
            bbox,
            size,
            srs: srs.clone(),
            part: None,
        };
        let Some(coverage) = &self.source.coverage else {
            return Ok(Some(Request {
                asked,
                bbox,
                size,
                limit: None,
            }));
        };
        let extent = coverage.extent().bbox_in(srs)?;
        if extent.contains(&bbox) {
            return Ok(Some(Request {
                asked,
                bbox,
                size,
                limit: None,
            }));
        }
        let (part_size, offset, part) = position_in_image(bbox.edges(), size, extent.edges());
        if part_size.0 == 0 || part_size.1 == 0 {
            return Ok(None);
        }
        let [minx, miny, maxx, maxy] = part;
        let asked = Asked {
            part: Some(offset),
            ..asked
        };
        let bbox = BBox { minx, miny, maxx, maxy };
        Ok(Some(Request {
            asked,
            bbox,
            size: part_size,
            limit: (coverage.polygons().is_none() && coverage.srs() == srs).then_some(extent),
        }))
    }

    fn answers(&self, query: &MapQuery) -> bool {
        !self.source.seed_only
            && self.wms.map
            && self.res_range.is_none_or(|range| range.contains_query(query))
            && self
                .source
                .coverage
                .as_ref()
                .is_none_or(|coverage| coverage.intersects(query.bbox, &query.srs))
    }
}

/// The pixel that is asked about.
fn pixel_bbox(query: &InfoQuery) -> BBox {
    let (x_res, y_res) = query.bbox.resolution(query.size);
    let minx = query.bbox.minx + query.pos.0 * x_res;
    let maxy = query.bbox.maxy - query.pos.1 * y_res;
    BBox::new(minx, maxy - y_res, minx + x_res, maxy)
}

/// What is asked of the server: the picture as a whole, and the box and size sent.
#[derive(Debug)]
struct Request {
    asked: Asked,
    bbox: BBox,
    size: (u32, u32),
    /// the box was cut to this one, which stands in the configuration
    limit: Option<BBox>,
}

/// Pixels of a picture of `bbox` in the source's system: the size of the map on the axis with the finer resolution.
pub(super) fn source_size(bbox: BBox, size: (u32, u32)) -> (u32, u32) {
    let (width, height) = (f64::from(size.0), f64::from(size.1));
    let ratio = bbox.width() / bbox.height();
    let pixels = |length: f64| (length + 0.5).clamp(0.0, 1e6) as u32;
    if bbox.width() / width < bbox.height() / height {
        (size.0, pixels(width / ratio))
    } else {
        (pixels(height * ratio), size.1)
    }
}

impl MapLayer for WmsMapSource {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        carry_out(&self.platform, self.plan(query)?)
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        if !self.answers(query) {
            return Ok(Plan::Done(None));
        }
        let Some(Request {
            asked,
            bbox,
            size,
            limit,
        }) = self.asked(query)?
        else {
            return Ok(Plan::Done(None));
        };
        let request = self
            .requests
            .map_within(limit, bbox, size, &asked.srs, &self.format(query), &query.dimensions);
        let map = UpstreamMap {
            source: Rc::clone(&self.source),
            client: self.client.clone(),
            kind: "WMS",
            url: request.url.clone(),
            query: query.clone(),
            asked,
        };
        Ok(map.plan(self.client.request(request.url, request.post)))
    }

    fn get_info(&self, query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        let pixel = pixel_bbox(query);
        let covered = |coverage: &crate::coverage::Coverage| coverage.intersects(pixel, &query.srs);
        if !self.wms.featureinfo || !self.source.coverage.as_ref().is_none_or(covered) {
            return Ok(None);
        }
        let query = in_srs(query, self.asked_srs(&query.srs))?;
        let format = self.wms.featureinfo_format.as_deref();
        let request = self.requests.info(&query, self.wms.query_layers.as_deref(), format);
        let url = request.url.clone();
        let upstream = self.client.request(request.url, request.post);
        let reply = carry_out(
            &self.platform,
            Plan::ask(upstream, |reply| Ok(self.client.judge(&url, reply)?)),
        )?;
        let kind = format
            .or_else(|| reply.headers.get("content-type"))
            .or(query.info_format.as_deref())
            .map_or(InfoKind::Text, InfoKind::of_media_type);
        let info = FeatureInfo {
            kind,
            content: reply.body,
        };
        let Some(sheet) = &self.wms.featureinfo_xslt else {
            return Ok(Some(info));
        };
        let wanted = self.wms.featureinfo_out_format.as_deref().map(InfoKind::of_media_type);
        let unreadable = |error: XsltError| LayerError::Source {
            message: format!("feature information of source WMS cannot be transformed: {error}"),
            status: None,
            detail: None,
        };
        info.transformed(sheet, wanted.unwrap_or(kind))
            .map(Some)
            .map_err(unreadable)
    }

    fn get_legend(&self, query: &LegendQuery) -> Result<Option<MapImage>, LayerError> {
        let directory = format!("{}/legends", self.base_dir);
        legend::get(
            &self.platform,
            &self.client,
            &self.requests,
            &self.wms,
            &directory,
            query,
        )
    }

    fn stored_legend_size(&self) -> Option<(u32, u32)> {
        let directory = format!("{}/legends", self.base_dir);
        legend::stored_size(&self.platform, &self.requests, &self.wms, &directory)
    }

    fn forwarded_params(&self) -> &[String] {
        self.requests.forwarded()
    }

    fn extent(&self) -> Option<&MapExtent> {
        self.extent.as_ref()
    }

    fn res_range(&self) -> Option<ResRange> {
        self.res_range
    }

    fn is_opaque(&self, query: &MapQuery) -> bool {
        let opaque = self
            .source
            .opacity
            .is_none_or(|opacity| opacity == 0.0 || opacity > 0.99);
        let covers = |coverage: &crate::coverage::Coverage| coverage.contains(query.bbox, &query.srs);
        self.answers(query)
            && !self.wms.transparent
            && self.source.transparent_color.is_none()
            && opaque
            && self.source.coverage.as_ref().is_none_or(covers)
    }

    fn combine(&self, above: &dyn MapLayer, query: &MapQuery) -> Option<Box<dyn MapLayer>> {
        let above: &Self = above.as_any().downcast_ref()?;
        let (own, other) = (&self.source, &above.source);
        let agree = own.opacity.is_none()
            && other.opacity.is_none()
            && self.wms.supported_srs == above.wms.supported_srs
            && self.wms.supported_formats == above.wms.supported_formats
            && own.transparent_color == other.transparent_color
            && own.transparent_color_tolerance == other.transparent_color_tolerance
            && own.coverage == other.coverage
            && own.seed_only == other.seed_only
            && self.wms.map == above.wms.map
            && self.requests.forwarded_of(&query.dimensions) == above.requests.forwarded_of(&query.dimensions)
            && own.http == other.http
            && self.requests.combines_with(&above.requests);
        agree.then(|| {
            let layers = format!("{},{}", self.requests.layers(), above.requests.layers());
            let combined = Self {
                requests: self.requests.with_layers(layers),
                res_range: None,
                ..self.clone()
            };
            Box::new(combined) as Box<dyn MapLayer>
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
