//! The interface of everything that draws: sources, caches, and what wraps them. (MapProxy: `layer/map_layer.py`.)
//!
//! "Nothing there" (outside a coverage or a resolution range) is `Ok(None)`; a failure is an `Err`.

use crate::config::model::{MapExtent, ResRange};
use crate::image::MapImage;
use crate::query::{InfoQuery, LegendQuery, MapQuery};

mod error;
mod info;
mod limited;
mod plan;
mod res_range;
mod warp;

pub use error::LayerError;
pub use info::{FeatureInfo, InfoKind};
pub use limited::{LimitedLayer, ResolutionConditional, SrsConditional};
pub use plan::{Answer, Outcome, Plan, Session, Slots, Upstream, all, beat};
pub use warp::{Place, warp_image, warp_tiles};

/// Something that answers map queries.
pub trait MapLayer: std::fmt::Debug {
    /// The map, or `None` where this layer has nothing.
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError>;

    /// The map in steps, see [`Plan`]: for layers that ask servers, so that several are asked at once.
    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        Ok(Plan::Done(self.get_map(query)?))
    }

    /// Information about a point; `None` where this layer cannot tell.
    fn get_info(&self, _query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        Ok(None)
    }

    /// The legend; `None` where this layer has none.
    fn get_legend(&self, _query: &LegendQuery) -> Result<Option<MapImage>, LayerError> {
        Ok(None)
    }

    /// What all the sources behind it know of a point, in order (a cache may have several).
    fn get_infos(&self, query: &InfoQuery) -> Result<Vec<FeatureInfo>, LayerError> {
        Ok(self.get_info(query)?.into_iter().collect())
    }

    /// The legends of all the sources behind it, in order.
    fn get_legends(&self, query: &LegendQuery) -> Result<Vec<MapImage>, LayerError> {
        Ok(self.get_legend(query)?.into_iter().collect())
    }

    /// Width and height in pixels of the legend as stored, without asking any server; `None` where that is not known.
    /// (Capabilities tell it where they can.)
    fn stored_legend_size(&self) -> Option<(u32, u32)> {
        None
    }

    /// Names of request parameters whose values it wants to find in [`MapQuery::dimensions`]
    /// (`forward_req_params`); names compare without case.
    fn forwarded_params(&self) -> &[String] {
        &[]
    }

    /// Names of dimensions on which its maps depend: a cache keeps tiles for each of their values, and for no others.
    fn dimension_names(&self) -> Vec<String> {
        self.forwarded_params().to_vec()
    }

    /// Box outside of which there is nothing.
    fn extent(&self) -> Option<&MapExtent> {
        None
    }

    fn res_range(&self) -> Option<ResRange> {
        None
    }

    /// Its map of this query covers whatever lies below it completely.
    fn is_opaque(&self, _query: &MapQuery) -> bool {
        false
    }

    /// Whether it can draw meta tiles, that is, boxes of any size.
    fn supports_meta_tiles(&self) -> bool {
        true
    }

    /// One request for this layer and `above` together, if both are layers of the same WMS that agree in everything
    /// else (MapProxy: `combined_layer`). `None`: they are asked one by one.
    fn combine(&self, _above: &dyn MapLayer, _query: &MapQuery) -> Option<Box<dyn MapLayer>> {
        None
    }

    /// What [`MapLayer::combine`] of a WMS source looks at in the layer above it.
    fn as_any(&self) -> &dyn std::any::Any;
}
