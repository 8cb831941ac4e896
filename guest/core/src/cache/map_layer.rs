//! Maps from the tiles of a cache (behaviour sections 3 and 11; MapProxy: `layer/cache_map_layer.py`).

use std::rc::Rc;

use crate::client::carry_out;
use crate::config::model::MapExtent;
use crate::grid::AffectedTiles;
use crate::image::{ImageFormat, ImageOptions, MapImage, MapImageError, TileMosaic, place_in_image, position_in_image};
use crate::layer::{FeatureInfo, LayerError, MapLayer, Place, Plan, warp_tiles};
use crate::query::{InfoQuery, LegendQuery, MapQuery};
use crate::srs::{BBox, separable};

use super::{Tile, TileManager};

/// Answers map queries with the tiles of one cache on one grid.
#[derive(Debug)]
pub struct CacheMapLayer {
    manager: Rc<TileManager>,
    extent: Option<MapExtent>,
    /// the sources only have tiles of the same grid: this layer does not make others of them
    tiles_only: bool,
}

impl CacheMapLayer {
    /// `extent`: outside of it there is nothing.
    pub fn new(manager: Rc<TileManager>, extent: Option<MapExtent>) -> Self {
        Self {
            manager,
            extent,
            tiles_only: false,
        }
    }

    /// For a cache whose source this is and whose tiles are tiles of this one: those are handed on as they are stored,
    /// without decoding.
    #[must_use]
    pub fn for_tiles_only(self) -> Self {
        Self {
            tiles_only: true,
            ..self
        }
    }

    /// The tiles.
    pub fn manager(&self) -> &Rc<TileManager> {
        &self.manager
    }

    fn check_tiled(&self, query: &MapQuery) -> Result<(), LayerError> {
        let invalid = |message: String| Err(LayerError::InvalidRequest { message });
        let format = advertised(self.manager.format());
        if query.format != format {
            return invalid(format!("invalid tile format, use {}", format.ext()));
        }
        let (width, height) = self.manager.grid().tile_size();
        if query.size != (width, height) {
            return invalid(format!("invalid tile size (use {width}x{height})"));
        }
        Ok(())
    }

    /// Whether a tile is wanted as it is stored.
    fn wants_tile(&self, query: &MapQuery) -> bool {
        query.tiled_only || self.tiles_only
    }

    /// A query of which only a part lies in the extent: that part, at its place.
    fn limited(&self, query: &MapQuery, extent: BBox) -> Result<Plan<'_>, LayerError> {
        if !extent.intersects(&query.bbox) {
            return Ok(Plan::Done(None));
        }
        let (size, offset, [minx, miny, maxx, maxy]) =
            position_in_image(query.bbox.edges(), query.size, extent.edges());
        if size.0 == 0 || size.1 == 0 {
            return Ok(Plan::Done(None));
        }
        let part = MapQuery {
            bbox: BBox { minx, miny, maxx, maxy },
            size,
            ..query.clone()
        };
        let whole = query.size;
        self.map(&part)?.map(move |map| {
            let Some(map) = map else { return Ok(None) };
            let options = self.manager.image_options();
            Ok(Some(place_in_image(map, offset, whole, options)?))
        })
    }

    fn map(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        let manager = &self.manager;
        let grid = manager.grid();
        let invalid = |message: String| LayerError::InvalidBBox { message };
        let Ok(affected) = grid.affected_tiles(query.bbox, query.size, &query.srs) else {
            return Ok(Plan::Done(None));
        };
        let count = affected.count();
        let limit = manager.conf().max_tile_limit;
        if limit > 0 && count >= limit {
            return Err(invalid(format!(
                "too many tiles, max_tile_limit: {limit}, num_tiles: {count}"
            )));
        }
        if self.wants_tile(query) {
            if count > 1 {
                return Err(invalid("not a single tile".to_owned()));
            }
            let tenth = |length: f64, pixels: u32| (length / f64::from(pixels) / 10.0).abs();
            let (x, y) = (
                tenth(query.bbox.width(), query.size.0),
                tenth(query.bbox.height(), query.size.1),
            );
            let near = |a: f64, b: f64, tolerance: f64| (a - b).abs() < tolerance;
            let (own, tile) = (query.bbox, affected.bbox);
            let aligned = near(own.minx, tile.minx, x)
                && near(own.maxx, tile.maxx, x)
                && near(own.miny, tile.miny, y)
                && near(own.maxy, tile.maxy, y);
            if !aligned {
                return Err(invalid("query does not align to tile boundaries".to_owned()));
            }
        }
        let tiles = manager.plan_tiles(affected.iter().collect(), &query.dimensions)?;
        let query = query.clone();
        tiles.map(move |tiles| self.map_of(tiles, &affected, &query))
    }

    /// The map of its tiles.
    fn map_of(
        &self,
        mut tiles: Vec<Option<Tile>>,
        affected: &AffectedTiles,
        query: &MapQuery,
    ) -> Result<Option<MapImage>, LayerError> {
        let (manager, grid) = (&self.manager, self.manager.grid());
        if tiles.iter().all(Option::is_none) {
            return Ok(None);
        }
        if self.wants_tile(query) {
            return Ok(tiles.pop().flatten().and_then(|tile| {
                let mut image = tile.image?;
                image.cacheability.cacheable &= tile.cacheable;
                image.cacheability.timestamp = tile.timestamp;
                image.cacheability.size = tile.size;
                Some(image)
            }));
        }
        let cacheable = tiles.iter().flatten().all(|tile| tile.cacheable);
        let images = tiles.into_iter().map(|tile| tile.and_then(|tile| tile.image)).collect();
        let side = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (columns, rows) = (side(affected.grid_size.0), side(affected.grid_size.1));
        let mosaic = TileMosaic::new(columns, rows, grid.tile_size(), images).map_err(MapImageError::from)?;
        let options = manager.image_options();
        let to = Place {
            bbox: query.bbox,
            size: query.size,
            srs: &query.srs,
        };
        let raster = warp_tiles(
            &mosaic,
            affected.bbox,
            grid.srs(),
            to,
            options,
            palette_of(options, query),
        )?;
        // In true colour, a transparent map of a transparent cache has alpha even where every pixel is opaque: clients
        // count on it. (A palette has it in its colours.)
        let has_alpha = options.is_transparent() && *manager.format() != ImageFormat::JPEG;
        let raster = if query.transparent && has_alpha && options.png_colors() == 0 {
            raster.into_rgba()
        } else {
            raster
        };
        // What the tiles of an opaque cache have of transparency ends where they are joined.
        let raster = if affected.count() > 1 && !options.is_transparent() && !raster.is_opaque() {
            raster.into_rgb()
        } else {
            raster
        };
        let raster = if manager.is_gray() && raster.is_opaque() {
            raster.into_gray()
        } else {
            raster
        };
        let mut map = MapImage::from_raster(raster, options.clone());
        map.cacheability.cacheable = cacheable;
        Ok(Some(map))
    }
}

/// Whether a pixel or more of a map lies beyond the extent, which is in its system.
fn sticks_out(query: &MapQuery, extent: BBox) -> bool {
    let (own, (width, height)) = (query.bbox, query.size);
    let (x, y) = (own.width() / f64::from(width), own.height() / f64::from(height));
    extent.minx - own.minx >= x
        || own.maxx - extent.maxx >= x
        || extent.miny - own.miny >= y
        || own.maxy - extent.maxy >= y
}

/// `mixed` tiles are asked for as PNG.
fn advertised(format: &ImageFormat) -> ImageFormat {
    if *format == ImageFormat::MIXED {
        ImageFormat::PNG
    } else {
        format.clone()
    }
}

/// Colours of the palette that a PNG of this map will get, 0 colours being none.
fn palette_of(options: &ImageOptions, query: &MapQuery) -> Option<usize> {
    let colors = usize::from(options.png_colors());
    (query.format == ImageFormat::PNG && colors > 0).then_some(colors)
}

impl MapLayer for CacheMapLayer {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        carry_out(&self.manager.platform, self.plan(query)?)
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        if query.tiled_only {
            self.check_tiled(query)?;
            return self.map(query);
        }
        if let Some(extent) = self.extent.as_ref().filter(|_| !self.tiles_only) {
            // Compared in the extent's system, as in MapProxy: a box without an image there is the client's error.
            let wanted = query.srs.transform_bbox(&extent.srs, query.bbox)?;
            let is_inside = extent.bbox.contains(&wanted);
            // In Mercator the poles are drawn in to its edge, so a box that reaches beyond seems to be inside; MapProxy
            // leaves the ground there black. Only where a box stays a box is that edge exactly known.
            if !is_inside || separable(&query.srs, &extent.srs).is_some() {
                let extent = extent.bbox_in(&query.srs)?;
                if !extent.contains(&query.bbox) && (!is_inside || sticks_out(query, extent)) {
                    return self.limited(query, extent);
                }
            }
        }
        self.map(query)
    }

    /// The first of its sources that knows something.
    fn get_info(&self, query: &InfoQuery) -> Result<Option<FeatureInfo>, LayerError> {
        Ok(self.get_infos(query)?.into_iter().next())
    }

    fn get_infos(&self, query: &InfoQuery) -> Result<Vec<FeatureInfo>, LayerError> {
        let infos = self.manager.sources()?.iter().map(|source| source.get_infos(query));
        Ok(infos.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The first of its sources' legends.
    fn get_legend(&self, query: &LegendQuery) -> Result<Option<MapImage>, LayerError> {
        Ok(self.get_legends(query)?.into_iter().next())
    }

    fn get_legends(&self, query: &LegendQuery) -> Result<Vec<MapImage>, LayerError> {
        let legends = self.manager.sources()?.iter().map(|source| source.get_legends(query));
        Ok(legends.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn dimension_names(&self) -> Vec<String> {
        self.manager
            .dimension_names()
            .map(<[String]>::to_vec)
            .unwrap_or_default()
    }

    fn stored_legend_size(&self) -> Option<(u32, u32)> {
        self.manager
            .sources()
            .ok()?
            .iter()
            .find_map(|source| source.stored_legend_size())
    }

    fn extent(&self) -> Option<&MapExtent> {
        self.extent.as_ref()
    }

    fn supports_meta_tiles(&self) -> bool {
        !self.tiles_only
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
