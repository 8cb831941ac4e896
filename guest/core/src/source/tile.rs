//! `type: tile`: a server that has the tiles of a grid under addresses (behaviour section 9; MapProxy:
//! `source/tile.py`). Usable in caches alone, whose tiles it is asked for one by one.

use std::rc::Rc;

use crate::client::{SourceClient, TileUrlTemplate, carry_out};
use crate::config::model::{Application, MapExtent, ResRange, Source, TileSource};
use crate::grid::{TileCoord, TileGrid};
use crate::image::MapImage;
use crate::layer::{LayerError, MapLayer, Plan};
use crate::platform::Platform;
use crate::query::MapQuery;

use super::upstream_map::{Asked, UpstreamMap};

/// Asks a tile server.
#[derive(Debug)]
pub struct TileMapSource {
    platform: Rc<dyn Platform>,
    source: Rc<Source>,
    /// URL template
    url: String,
    client: SourceClient,
    grid: Rc<TileGrid>,
    extent: Option<MapExtent>,
}

impl TileMapSource {
    /// `grid` is the one whose tiles the server has.
    pub fn new(
        platform: Rc<dyn Platform>,
        source: Source,
        tile: &TileSource,
        grid: Rc<TileGrid>,
        application: &Application,
    ) -> Self {
        Self {
            platform,
            url: tile.url.clone(),
            client: SourceClient::new(&source, application),
            extent: source.coverage.as_ref().map(crate::coverage::Coverage::extent),
            source: Rc::new(source),
            grid,
        }
    }

    fn tile_of(&self, query: &MapQuery) -> Result<Option<TileCoord>, LayerError> {
        // the cache's grid is wrong for this source, not the client's box: other layers can still be drawn
        let invalid = |message: &str| LayerError::Source {
            message: message.to_owned(),
            status: None,
            detail: None,
        };
        if self.grid.tile_size() != query.size {
            return Err(invalid("tile size of cache and tile source do not match"));
        }
        if *self.grid.srs() != query.srs {
            return Err(invalid("SRS of cache and tile source do not match"));
        }
        let Ok(affected) = self.grid.affected_tiles(query.bbox, query.size, &query.srs) else {
            return Ok(None);
        };
        if affected.count() != 1 {
            return Err(invalid("BBOX does not align to tile"));
        }
        Ok(affected.iter().next().flatten())
    }
}

impl MapLayer for TileMapSource {
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
        if self.source.seed_only || !drawn || !covered {
            return Ok(Plan::Done(None));
        }
        let Some(tile) = self.tile_of(query)? else {
            return Ok(Plan::Done(None));
        };
        // `%(format)s` is what the cache asks for, as in MapProxy
        let url = TileUrlTemplate::new(&self.url, query.format.ext()).substitute(tile, &self.grid);
        let asked = Asked {
            bbox: query.bbox,
            size: query.size,
            srs: query.srs.clone(),
            part: None,
        };
        let request = self.client.request(url.clone(), None);
        let map = UpstreamMap {
            source: Rc::clone(&self.source),
            client: self.client.clone(),
            kind: "tile",
            url,
            query: query.clone(),
            asked,
        };
        Ok(map.plan(request))
    }

    fn extent(&self) -> Option<&MapExtent> {
        self.extent.as_ref()
    }

    fn res_range(&self) -> Option<ResRange> {
        self.source.res_range
    }

    fn supports_meta_tiles(&self) -> bool {
        false
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
