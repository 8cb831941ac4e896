//! `type: arcgis` (behaviour section 9; MapProxy: `source/arcgis.py`).

use std::rc::Rc;

use crate::client::{ArcgisRequests, SourceClient, carry_out};
use crate::config::model::{Application, ArcgisSource, MapExtent, ResRange, Source};
use crate::image::MapImage;
use crate::layer::{FeatureInfo, InfoKind, LayerError, MapLayer, Plan};
use crate::platform::Platform;
use crate::query::{InfoQuery, MapQuery};
use crate::srs::{PreferredSrs, Srs, best_srs};

use super::position::in_srs;
use super::upstream_map::{Asked, UpstreamMap};

/// Asks an ArcGIS REST service.
#[derive(Debug)]
pub struct ArcgisMapSource {
    platform: Rc<dyn Platform>,
    source: Rc<Source>,
    supported_srs: Vec<Srs>,
    map: bool,
    featureinfo: bool,
    requests: ArcgisRequests,
    client: SourceClient,
    preferred: PreferredSrs,
    extent: Option<MapExtent>,
}

impl ArcgisMapSource {
    pub fn new(platform: Rc<dyn Platform>, source: Source, arcgis: &ArcgisSource, application: &Application) -> Self {
        Self {
            platform,
            supported_srs: arcgis.supported_srs.clone(),
            map: arcgis.map,
            featureinfo: arcgis.featureinfo,
            requests: ArcgisRequests::new(arcgis),
            client: SourceClient::new(&source, application),
            preferred: application.preferred_src.clone(),
            extent: source.coverage.as_ref().map(crate::coverage::Coverage::extent),
            source: Rc::new(source),
        }
    }
}

impl MapLayer for ArcgisMapSource {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        carry_out(&self.platform, self.plan(query)?)
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        let drawn = self.source.res_range.is_none_or(|range| range.contains_query(query));
        let covered = self
            .source
            .coverage
            .as_ref()
            .is_none_or(|area| area.intersects(query.bbox, &query.srs));
        if self.source.seed_only || !self.map || !drawn || !covered {
            return Ok(Plan::Done(None));
        }
        let srs = best_srs(&query.srs, &self.supported_srs, &self.preferred).unwrap_or(&query.srs);
        let (bbox, size) = if *srs == query.srs {
            (query.bbox, query.size)
        } else {
            let bbox = query.srs.transform_bbox(srs, query.bbox)?;
            (bbox, super::wms::source_size(bbox, query.size))
        };
        let format = self.source.image.format.as_ref().unwrap_or(&query.format);
        let url = self.requests.map(bbox, size, srs, format, &query.dimensions);
        let request = self.client.request(url.clone(), None);
        let map = UpstreamMap {
            source: Rc::clone(&self.source),
            client: self.client.clone(),
            kind: "ArcGIS",
            url,
            query: query.clone(),
            asked: Asked {
                bbox,
                size,
                srs: srs.clone(),
                part: None,
            },
        };
        Ok(map.plan(request))
    }

    fn get_info(&self, query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        if !self.featureinfo {
            return Ok(None);
        }
        let srs = best_srs(&query.srs, &self.supported_srs, &self.preferred).unwrap_or(&query.srs);
        let url = self.requests.info(&in_srs(query, srs)?);
        let upstream = self.client.request(url.clone(), None);
        let reply = carry_out(
            &self.platform,
            Plan::ask(upstream, |reply| Ok(self.client.judge(&url, reply)?)),
        )?;
        let kind = reply
            .headers
            .get("content-type")
            .map_or(InfoKind::Json, InfoKind::of_media_type);
        Ok(Some(FeatureInfo {
            kind,
            content: reply.body,
        }))
    }

    fn dimension_names(&self) -> Vec<String> {
        self.requests.dimension_names()
    }

    fn extent(&self) -> Option<&MapExtent> {
        self.extent.as_ref()
    }

    fn res_range(&self) -> Option<ResRange> {
        self.source.res_range
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
