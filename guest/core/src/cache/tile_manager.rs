//! Ties a grid, a cache and sources (MapProxy: `cache/tile_manager.py`).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use crate::client::carry_out;
use crate::config::model::{Cache, CacheSources};
use crate::grid::{MetaGrid, TileCoord, TileGrid};
use crate::image::{ImageFormat, ImageOptions, MapImage};
use crate::layer::{LayerError, MapLayer, Plan, all};
use crate::platform::Platform;
use crate::query::Dimensions;

use super::expiry::{self, is_stale};
use super::lock::TileLocker;
use super::tile_creator::TileCreator;
use super::{StoredTile, Tile, TileCache, TileInfo};

/// Builds the sources of a cache.
pub type MakeSources = Box<dyn Fn() -> Result<Vec<Rc<dyn MapLayer>>, LayerError>>;

/// What a [`TileManager`] is made of.
pub struct TileManagerParts {
    pub platform: Rc<dyn Platform>,
    pub conf: Rc<Cache>,
    pub grid: Rc<TileGrid>,
    pub cache: Box<dyn TileCache>,
    /// The sources, bottom first; called when a tile is missing, so that a hit does not build what it does not need.
    pub sources: MakeSources,
    /// what tells this cache's locks from those of others: the directory of a file cache
    pub lock_identity: String,
}

/// The tiles of one cache on one grid: loads them, and makes those that are missing or too old.
pub struct TileManager {
    pub(super) platform: Rc<dyn Platform>,
    pub(super) conf: Rc<Cache>,
    pub(super) grid: Rc<TileGrid>,
    pub(super) cache: Box<dyn TileCache>,
    make_sources: MakeSources,
    sources: OnceCell<Sources>,
    pub(super) locker: TileLocker,
    /// options of stored tiles, format included
    pub(super) options: ImageOptions,
}

/// What tiles are made of, and how.
#[derive(Debug)]
pub(super) struct Sources {
    /// bottom first
    pub(super) layers: Vec<Rc<dyn MapLayer>>,
    /// several tiles are asked for in one request
    pub(super) meta_grid: Option<MetaGrid>,
    /// several tiles are asked for one by one, under one lock
    pub(super) bulk: bool,
    /// names of the dimensions on which the tiles depend
    dimension_names: Vec<String>,
}

impl fmt::Debug for TileManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cache, grid) = (&self.conf.name, self.grid.name());
        f.debug_struct("TileManager")
            .field("cache", cache)
            .field("grid", &grid)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TileManagerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileManagerParts")
            .field("cache", &self.conf.name)
            .finish_non_exhaustive()
    }
}

impl TileManager {
    pub fn new(parts: TileManagerParts) -> Self {
        let TileManagerParts {
            platform,
            conf,
            grid,
            cache,
            sources,
            lock_identity,
        } = parts;
        let locker = TileLocker::new(
            Rc::clone(&platform),
            &conf.tile_lock_dir,
            lock_identity,
            conf.lock_timeout_s,
        );
        let options = ImageOptions {
            format: Some(conf.format.clone()),
            ..conf.image.clone()
        };
        Self {
            platform,
            conf,
            grid,
            cache,
            make_sources: sources,
            sources: OnceCell::new(),
            locker,
            options,
        }
    }

    pub fn grid(&self) -> &TileGrid {
        &self.grid
    }

    /// Format of the tiles; `mixed` may be PNG or JPEG.
    pub fn format(&self) -> &ImageFormat {
        &self.conf.format
    }

    /// How tiles are stored.
    pub fn image_options(&self) -> &ImageOptions {
        &self.options
    }

    /// The cache's configuration.
    pub fn conf(&self) -> &Cache {
        &self.conf
    }

    /// What its tiles are made of, bottom first.
    pub fn sources(&self) -> Result<&[Rc<dyn MapLayer>], LayerError> {
        Ok(&self.made_of()?.layers)
    }

    /// Names of the dimensions on which its tiles depend.
    pub fn dimension_names(&self) -> Result<&[String], LayerError> {
        Ok(&self.made_of()?.dimension_names)
    }

    /// The sources, built at the first call. Fails with [`LayerError::NotSupported`] if only some of them can draw meta
    /// tiles.
    pub(super) fn made_of(&self) -> Result<&Sources, LayerError> {
        if let Some(sources) = self.sources.get() {
            return Ok(sources);
        }
        let layers = (self.make_sources)()?;
        let (meta_grid, bulk) = meta_grid(&self.conf, &layers)?;
        let dimension_names = layers.iter().flat_map(|source| source.dimension_names()).collect();
        Ok(self.sources.get_or_init(|| Sources {
            layers,
            meta_grid,
            bulk,
            dimension_names,
        }))
    }

    /// Only what is stored is served.
    pub(super) fn has_no_sources(&self) -> bool {
        match &self.conf.sources {
            CacheSources::Layers(layers) => layers.is_empty(),
            CacheSources::Bands(merge) => merge.bands.is_empty(),
        }
    }

    /// Whether its tiles have one band of grey (`sources: {l: …}`).
    pub(super) fn is_gray(&self) -> bool {
        match &self.conf.sources {
            CacheSources::Layers(_) => false,
            CacheSources::Bands(merge) => merge.bands.iter().any(|(target, _)| *target == 'l'),
        }
    }

    /// The tile, made if need be; `None` if there is nothing.
    pub fn load_tile(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<Tile>, LayerError> {
        Ok(self.load_tiles(&[Some(tile)], dimensions)?.pop().flatten())
    }

    /// The tiles in their order, those missing made. `None` stays `None`, and stands for tiles without anything.
    pub fn load_tiles(
        &self,
        tiles: &[Option<TileCoord>],
        dimensions: &Dimensions,
    ) -> Result<Vec<Option<Tile>>, LayerError> {
        carry_out(&self.platform, self.plan_tiles(tiles.to_vec(), dimensions)?)
    }

    /// The same in steps.
    pub fn plan_tiles(
        &self,
        tiles: Vec<Option<TileCoord>>,
        dimensions: &Dimensions,
    ) -> Result<Plan<'_, Vec<Option<Tile>>>, LayerError> {
        let dimensions = self.own_dimensions(dimensions)?.into_owned();
        self.plan_from_levels(tiles, dimensions, self.rescale_levels())
    }

    /// The same, with the dimensions that count; tiles of which nothing is known are made from those of at most `levels`
    /// other levels.
    pub(super) fn plan_from_levels(
        &self,
        tiles: Vec<Option<TileCoord>>,
        dimensions: Dimensions,
        levels: u32,
    ) -> Result<Plan<'_, Vec<Option<Tile>>>, LayerError> {
        if levels == 0 {
            return self.load_or_make(tiles, dimensions);
        }
        self.load_or_make(tiles.clone(), dimensions.clone())?
            .then(move |mut found| {
                let unknown = |&(slot, tile): &(usize, Option<TileCoord>)| {
                    found.get(slot).is_some_and(Option::is_none) && tile.is_some_and(|tile| self.exists(tile))
                };
                let unknown: Vec<_> = tiles.into_iter().enumerate().filter(unknown).collect();
                let made = unknown.iter().filter_map(|(_, tile)| *tile);
                let made = made.map(|tile| self.rescaled(tile, &dimensions, levels)).collect();
                all(made, usize::MAX).map(move |made| {
                    for ((slot, _), tile) in unknown.into_iter().zip(made) {
                        if let Some(slot) = found.get_mut(slot) {
                            *slot = tile?;
                        }
                    }
                    Ok(found)
                })
            })
    }

    fn load_or_make(
        &self,
        tiles: Vec<Option<TileCoord>>,
        dimensions: Dimensions,
    ) -> Result<Plan<'_, Vec<Option<Tile>>>, LayerError> {
        let no_sources = self.has_no_sources();
        let limit = self.stale_limit();
        let mut found: Vec<Option<Tile>> = Vec::with_capacity(tiles.len());
        let mut missing = Vec::new();
        for &tile in &tiles {
            let Some(coord) = tile.filter(|coord| self.exists(*coord)) else {
                found.push(None);
                continue;
            };
            let stored = self.cache.load(coord, &dimensions)?;
            let fresh = stored.filter(|stored| no_sources || !is_stale(&stored.info, limit));
            if fresh.is_none() && !no_sources {
                missing.push(coord);
            }
            found.push(fresh.map(|stored| self.stored_tile(coord, stored)));
        }
        if missing.is_empty() {
            return Ok(Plan::Done(found));
        }
        let made = TileCreator::new(self, dimensions, limit, missing.clone())?.plan()?;
        made.map(move |made| {
            let mut made: Vec<Option<Tile>> = made.into_iter().map(Some).collect();
            for (slot, coord) in found.iter_mut().zip(tiles) {
                if slot.is_none() && coord.is_some_and(|coord| missing.contains(&coord)) {
                    let wanted = |tile: &&mut Option<Tile>| tile.as_ref().map(|tile| tile.coord) == coord;
                    *slot = made.iter_mut().find(wanted).and_then(Option::take);
                }
            }
            Ok(found)
        })
    }

    /// The file of a stored tile that is not too old, by its absolute path; `None` where there is none, and where its
    /// bytes would have to be looked at (`mixed` may be PNG or JPEG).
    pub fn stored_file(
        &self,
        tile: TileCoord,
        dimensions: &Dimensions,
    ) -> Result<Option<(String, TileInfo)>, LayerError> {
        if !self.exists(tile) || *self.format() == ImageFormat::MIXED {
            return Ok(None);
        }
        let dimensions = &*self.own_dimensions(dimensions)?;
        let limit = self.stale_limit();
        let found = self.cache.file(tile, dimensions)?;
        Ok(found.filter(|(_, info)| self.has_no_sources() || !is_stale(info, limit)))
    }

    /// Whether the tile is stored and not too old.
    pub fn is_cached(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<bool, LayerError> {
        self.is_fresh(tile, &*self.own_dimensions(dimensions)?, self.stale_limit())
    }

    /// Age and size of the stored tile, without making it.
    pub fn info(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<Option<TileInfo>, LayerError> {
        self.cache.info(tile, &*self.own_dimensions(dimensions)?)
    }

    /// Removes the stored tile.
    pub fn remove_tile(&self, tile: TileCoord, dimensions: &Dimensions) -> Result<(), LayerError> {
        self.cache.remove(tile, &*self.own_dimensions(dimensions)?)
    }

    /// Those dimensions that make a difference. (MapProxy keeps tiles for whatever value a client makes up.) A cache
    /// without sources has whatever was put there.
    fn own_dimensions<'a>(&self, dimensions: &'a Dimensions) -> Result<Cow<'a, Dimensions>, LayerError> {
        if dimensions.is_empty() || self.has_no_sources() {
            return Ok(Cow::Borrowed(dimensions));
        }
        let names = self.dimension_names()?;
        let is_own = |name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
        Ok(Cow::Owned(
            dimensions.iter().filter(|(name, _)| is_own(name)).cloned().collect(),
        ))
    }

    /// Whether this cache may have the tile at all (`cache.coverage`).
    pub(super) fn exists(&self, tile: TileCoord) -> bool {
        let covered = |area: &crate::coverage::Coverage| area.intersects(self.grid.tile_bbox(tile), self.grid.srs());
        self.grid.limit_tile(tile).is_some() && self.conf.coverage.as_ref().is_none_or(covered)
    }

    pub(super) fn is_fresh(
        &self,
        tile: TileCoord,
        dimensions: &Dimensions,
        limit: Option<f64>,
    ) -> Result<bool, LayerError> {
        Ok(self
            .cache
            .info(tile, dimensions)?
            .is_some_and(|info| !is_stale(&info, limit)))
    }

    pub(super) fn stored_tile(&self, coord: TileCoord, stored: StoredTile) -> Tile {
        let StoredTile { data, info } = stored;
        let image = MapImage::from_bytes(data, self.options.clone());
        Tile {
            coord,
            image: Some(image),
            timestamp: info.timestamp,
            size: info.size,
            cacheable: true,
        }
    }

    pub(super) fn stale_limit(&self) -> Option<f64> {
        expiry::limit(self.conf.refresh_before.as_ref(), self.platform.as_ref())
    }
}

/// How tiles are grouped, and whether they are asked for one by one all the same.
fn meta_grid(conf: &Cache, sources: &[Rc<dyn MapLayer>]) -> Result<(Option<MetaGrid>, bool), LayerError> {
    let configured = MetaGrid::new(conf.meta_size, conf.meta_buffer);
    if sources.is_empty() || !configured.is_meta() {
        return Ok((None, false));
    }
    let supported = sources.iter().filter(|source| source.supports_meta_tiles()).count();
    if supported == sources.len() {
        return Ok((Some(configured), false));
    }
    if supported > 0 {
        let what = format!(
            "meta tiles of cache `{}`: not all of its sources can draw them",
            conf.name
        );
        return Err(LayerError::NotSupported { what });
    }
    let bulk = conf.bulk_meta_tiles && conf.meta_size != (1, 1);
    Ok((bulk.then(|| MetaGrid::new(conf.meta_size, 0)), bulk))
}
