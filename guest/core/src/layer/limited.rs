//! Layers around layers (MapProxy: `limited_layer.py`, `resolution_conditional.py`, `srs_conditional.py`).

use std::rc::Rc;

use crate::config::model::MapExtent;
use crate::coverage::Coverage;
use crate::image::MapImage;
use crate::query::{InfoQuery, LegendQuery, MapQuery};
use crate::srs::{PreferredSrs, Srs, best_srs};

use super::{FeatureInfo, LayerError, MapLayer, Plan};

/// A layer of which only what lies inside a coverage is asked for.
#[derive(Debug)]
pub struct LimitedLayer {
    layer: Rc<dyn MapLayer>,
    coverage: Coverage,
    extent: MapExtent,
}

impl LimitedLayer {
    pub fn new(layer: Rc<dyn MapLayer>, coverage: Coverage) -> Self {
        let extent = coverage.extent();
        Self {
            layer,
            coverage,
            extent,
        }
    }
}

impl MapLayer for LimitedLayer {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        if self.coverage.intersects(query.bbox, &query.srs) {
            self.layer.get_map(query)
        } else {
            Ok(None)
        }
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        if self.coverage.intersects(query.bbox, &query.srs) {
            self.layer.plan(query)
        } else {
            Ok(Plan::Done(None))
        }
    }

    fn get_info(&self, query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        if self.coverage.intersects(query.bbox, &query.srs) {
            self.layer.get_info(query)
        } else {
            Ok(None)
        }
    }

    fn get_infos(&self, query: &InfoQuery) -> Result<Vec<FeatureInfo>, LayerError> {
        if self.coverage.intersects(query.bbox, &query.srs) {
            self.layer.get_infos(query)
        } else {
            Ok(Vec::new())
        }
    }

    fn get_legend(&self, query: &LegendQuery) -> Result<Option<MapImage>, LayerError> {
        self.layer.get_legend(query)
    }

    fn get_legends(&self, query: &LegendQuery) -> Result<Vec<MapImage>, LayerError> {
        self.layer.get_legends(query)
    }

    fn forwarded_params(&self) -> &[String] {
        self.layer.forwarded_params()
    }

    fn dimension_names(&self) -> Vec<String> {
        self.layer.dimension_names()
    }

    fn extent(&self) -> Option<&MapExtent> {
        Some(&self.extent)
    }

    fn supports_meta_tiles(&self) -> bool {
        self.layer.supports_meta_tiles()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// One layer for maps coarser than a resolution, another for the finer ones (`use_direct_from_res`).
#[derive(Debug)]
pub struct ResolutionConditional {
    coarse: Rc<dyn MapLayer>,
    fine: Rc<dyn MapLayer>,
    /// units of `srs` per pixel
    resolution: f64,
    srs: Srs,
}

impl ResolutionConditional {
    pub fn new(coarse: Rc<dyn MapLayer>, fine: Rc<dyn MapLayer>, resolution: f64, srs: Srs) -> Self {
        Self {
            coarse,
            fine,
            resolution,
            srs,
        }
    }

    fn choose(&self, query: &MapQuery) -> Result<&Rc<dyn MapLayer>, LayerError> {
        let bbox = query.srs.transform_bbox(&self.srs, query.bbox)?;
        let (width, height) = query.size;
        let res = (bbox.width() / f64::from(width)).min(bbox.height() / f64::from(height));
        Ok(if res > self.resolution {
            &self.coarse
        } else {
            &self.fine
        })
    }
}

impl MapLayer for ResolutionConditional {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        self.choose(query)?.get_map(query)
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        self.choose(query)?.plan(query)
    }

    fn get_info(&self, query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        self.coarse.get_info(query)
    }

    fn get_infos(&self, query: &InfoQuery) -> Result<Vec<FeatureInfo>, LayerError> {
        self.coarse.get_infos(query)
    }

    fn get_legend(&self, query: &LegendQuery) -> Result<Option<MapImage>, LayerError> {
        self.coarse.get_legend(query)
    }

    fn get_legends(&self, query: &LegendQuery) -> Result<Vec<MapImage>, LayerError> {
        self.coarse.get_legends(query)
    }

    fn dimension_names(&self) -> Vec<String> {
        self.coarse.dimension_names()
    }

    fn stored_legend_size(&self) -> Option<(u32, u32)> {
        self.coarse.stored_legend_size()
    }

    fn extent(&self) -> Option<&MapExtent> {
        self.coarse.extent()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// One layer for each reference system; the one that suits the request best is asked (a cache with several grids).
#[derive(Debug)]
pub struct SrsConditional {
    layers: Vec<(Srs, Rc<dyn MapLayer>)>,
    preferred: PreferredSrs,
}

impl SrsConditional {
    /// At least one layer, in order of preference.
    pub fn new(layers: Vec<(Srs, Rc<dyn MapLayer>)>, preferred: PreferredSrs) -> Self {
        Self { layers, preferred }
    }

    fn choose(&self, srs: &Srs) -> Option<&Rc<dyn MapLayer>> {
        let supported: Vec<Srs> = self.layers.iter().map(|(srs, _)| srs.clone()).collect();
        let best = best_srs(srs, &supported, &self.preferred)?;
        self.layers.iter().find(|(own, _)| own == best).map(|(_, layer)| layer)
    }
}

impl MapLayer for SrsConditional {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        self.choose(&query.srs).map_or(Ok(None), |layer| layer.get_map(query))
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        self.choose(&query.srs)
            .map_or(Ok(Plan::Done(None)), |layer| layer.plan(query))
    }

    fn get_info(&self, query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        self.choose(&query.srs).map_or(Ok(None), |layer| layer.get_info(query))
    }

    fn get_infos(&self, query: &InfoQuery) -> Result<Vec<FeatureInfo>, LayerError> {
        self.choose(&query.srs)
            .map_or(Ok(Vec::new()), |layer| layer.get_infos(query))
    }

    fn get_legend(&self, query: &LegendQuery) -> Result<Option<MapImage>, LayerError> {
        self.layers
            .first()
            .map_or(Ok(None), |(_, layer)| layer.get_legend(query))
    }

    fn get_legends(&self, query: &LegendQuery) -> Result<Vec<MapImage>, LayerError> {
        self.layers
            .first()
            .map_or(Ok(Vec::new()), |(_, layer)| layer.get_legends(query))
    }

    fn dimension_names(&self) -> Vec<String> {
        self.layers
            .first()
            .map(|(_, layer)| layer.dimension_names())
            .unwrap_or_default()
    }

    fn stored_legend_size(&self) -> Option<(u32, u32)> {
        self.layers.first().and_then(|(_, layer)| layer.stored_legend_size())
    }

    fn extent(&self) -> Option<&MapExtent> {
        self.layers.first().and_then(|(_, layer)| layer.extent())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
