//! From the segments of a compiled configuration to layers, caches and sources that work (floor 6).
//!
//! Everything is read and built when a request first asks for it, and kept until the request ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use crate::cache::{
    BandMergeLayer, CacheMapLayer, DummyTileCache, FileTileCache, MakeSources, TileCache, TileManager, TileManagerParts,
};
use crate::config::compiled::{Compiled, Kind};
use crate::config::model::{
    Application, BandMerge, Cache, CacheBackend, CacheSources, DirectFrom, Layer, LayerSource, MapExtent, Source,
    SourceKind, TileLayer,
};
use crate::grid::TileGrid;
use crate::image::{Band, BandSource};
use crate::layer::{LayerError, MapLayer, ResolutionConditional, SrsConditional};
use crate::platform::Platform;
use crate::source::{ArcgisMapSource, DebugSource, TileMapSource, UnsupportedSource, WmsMapSource};
use crate::srs::Srs;

/// A layer of the WMS with what draws it.
#[derive(Debug)]
pub struct WmsLayer {
    pub conf: Layer,
    /// bottom first
    pub sources: Vec<Rc<dyn MapLayer>>,
}

/// Parts of a configuration by name.
type Built<T> = RefCell<BTreeMap<String, T>>;

/// Builds what a request names.
#[derive(Debug)]
pub struct Assembly(Rc<Parts>);

#[derive(Debug)]
struct Parts {
    platform: Rc<dyn Platform>,
    compiled: Rc<Compiled>,
    application: Application,
    layers: Built<Rc<WmsLayer>>,
    grids: Built<Rc<TileGrid>>,
    sources: Built<Rc<dyn MapLayer>>,
    cache_layers: Built<Rc<dyn MapLayer>>,
    /// by cache name: one for each grid
    managers: Built<Vec<Rc<TileManager>>>,
    /// for caches, which build their sources when a tile is missing
    myself: Weak<Self>,
}

impl Assembly {
    pub fn new(platform: Rc<dyn Platform>, compiled: Rc<Compiled>) -> Self {
        Self(Rc::new_cyclic(|myself| Parts {
            application: compiled.get(Kind::Application, "").unwrap_or_default(),
            platform,
            compiled,
            layers: Built::default(),
            grids: Built::default(),
            sources: Built::default(),
            cache_layers: Built::default(),
            managers: Built::default(),
            myself: Weak::clone(myself),
        }))
    }

    pub fn application(&self) -> &Application {
        &self.0.application
    }

    /// A layer of the WMS; `None` if there is none of that name.
    pub fn wms_layer(&self, name: &str) -> Result<Option<Rc<WmsLayer>>, LayerError> {
        self.0.wms_layer(name)
    }

    /// A layer of the tile services on one grid; `None` if there is none.
    pub fn tile_layer(&self, layer: &str, grid: &str) -> Result<Option<(TileLayer, Rc<TileManager>)>, LayerError> {
        self.0.tile_layer(layer, grid)
    }

    /// A source of a layer: a cache or a source.
    pub fn layer_source(&self, source: &LayerSource) -> Result<Rc<dyn MapLayer>, LayerError> {
        self.0.layer_source(source)
    }

    /// A cache as a layer; with several grids, the one that suits the request's system is asked.
    pub fn cache_layer(&self, name: &str) -> Result<Rc<dyn MapLayer>, LayerError> {
        self.0.cache_layer(name)
    }

    /// A source by its key.
    pub fn source(&self, key: &str) -> Result<Rc<dyn MapLayer>, LayerError> {
        self.0.source(key)
    }

    /// A grid by its name.
    pub fn grid(&self, name: &str) -> Result<Rc<TileGrid>, LayerError> {
        self.0.grid(name)
    }

    /// The tile managers of a cache, one for each of its grids, in order.
    pub fn managers(&self, cache: &str) -> Result<Vec<Rc<TileManager>>, LayerError> {
        self.0.managers(cache)
    }
}

impl Parts {
    fn wms_layer(&self, name: &str) -> Result<Option<Rc<WmsLayer>>, LayerError> {
        if let Some(layer) = self.layers.borrow().get(name) {
            return Ok(Some(Rc::clone(layer)));
        }
        let Some(conf) = self.compiled.get::<Layer>(Kind::Layer, name) else {
            return Ok(None);
        };
        let sources = conf
            .sources
            .iter()
            .map(|source| self.layer_source(source))
            .collect::<Result<_, _>>()?;
        let layer = Rc::new(WmsLayer { conf, sources });
        self.layers.borrow_mut().insert(name.to_owned(), Rc::clone(&layer));
        Ok(Some(layer))
    }

    fn tile_layer(&self, layer: &str, grid: &str) -> Result<Option<(TileLayer, Rc<TileManager>)>, LayerError> {
        let Some(conf) = self
            .compiled
            .get::<TileLayer>(Kind::TileLayer, &format!("{layer}/{grid}"))
        else {
            return Ok(None);
        };
        let managers = self.managers(&conf.cache)?;
        let manager = managers.into_iter().find(|manager| manager.grid().name() == conf.grid);
        Ok(manager.map(|manager| (conf, manager)))
    }

    fn layer_source(&self, source: &LayerSource) -> Result<Rc<dyn MapLayer>, LayerError> {
        match source {
            LayerSource::Cache(name) => self.cache_layer(name),
            LayerSource::Source(key) => self.source(key),
        }
    }

    fn cache_layer(&self, name: &str) -> Result<Rc<dyn MapLayer>, LayerError> {
        if let Some(layer) = self.cache_layers.borrow().get(name) {
            return Ok(Rc::clone(layer));
        }
        let managers = self.managers(name)?;
        let layer = self.with_direct_access(managers.first(), self.layer_of(&managers, None))?;
        self.cache_layers
            .borrow_mut()
            .insert(name.to_owned(), Rc::clone(&layer));
        Ok(layer)
    }

    /// The tiles of a cache as a layer, within `limit` alone.
    fn layer_of(&self, managers: &[Rc<TileManager>], limit: Option<&MapExtent>) -> Rc<dyn MapLayer> {
        let layers = managers.iter().enumerate().map(|manager| map_layer(manager, limit));
        let mut layers: Vec<_> = layers.collect();
        if layers.len() == 1 {
            layers.swap_remove(0).1
        } else {
            Rc::new(SrsConditional::new(layers, self.application.preferred_src.clone()))
        }
    }

    /// `use_direct_from_level` and `use_direct_from_res`: finer maps come from the source itself.
    fn with_direct_access(
        &self,
        manager: Option<&Rc<TileManager>>,
        layer: Rc<dyn MapLayer>,
    ) -> Result<Rc<dyn MapLayer>, LayerError> {
        let Some(manager) = manager else { return Ok(layer) };
        let Some(from) = manager.conf().use_direct_from else {
            return Ok(layer);
        };
        let CacheSources::Layers(sources) = &manager.conf().sources else {
            return Ok(layer);
        };
        let [source] = sources.as_slice() else { return Ok(layer) };
        let grid = manager.grid();
        let resolution = match from {
            DirectFrom::Level(level) => grid.resolution(level),
            DirectFrom::Res(resolution) => resolution,
        };
        let direct = self.layer_source(source)?;
        Ok(Rc::new(ResolutionConditional::new(
            layer,
            direct,
            resolution,
            grid.srs().clone(),
        )))
    }

    fn source(&self, key: &str) -> Result<Rc<dyn MapLayer>, LayerError> {
        if let Some(source) = self.sources.borrow().get(key) {
            return Ok(Rc::clone(source));
        }
        let source = self.build_source(key)?;
        self.sources.borrow_mut().insert(key.to_owned(), Rc::clone(&source));
        Ok(source)
    }

    fn build_source(&self, key: &str) -> Result<Rc<dyn MapLayer>, LayerError> {
        let mut source: Source = self
            .compiled
            .get(Kind::Source, key)
            .ok_or_else(|| lacking("source", key))?;
        let kind = std::mem::replace(&mut source.kind, SourceKind::Debug);
        let platform = Rc::clone(&self.platform);
        Ok(match kind {
            SourceKind::Wms(wms) => Rc::new(WmsMapSource::new(platform, source, *wms, &self.application)),
            SourceKind::Tile(tile) => {
                let grid = self.grid(&tile.grid)?;
                Rc::new(TileMapSource::new(platform, source, &tile, grid, &self.application))
            }
            SourceKind::Debug => Rc::new(DebugSource),
            SourceKind::Arcgis(arcgis) => Rc::new(ArcgisMapSource::new(platform, source, &arcgis, &self.application)),
            SourceKind::Unsupported { message, .. } => Rc::new(UnsupportedSource::new(message)),
        })
    }

    fn grid(&self, name: &str) -> Result<Rc<TileGrid>, LayerError> {
        if let Some(grid) = self.grids.borrow().get(name) {
            return Ok(Rc::clone(grid));
        }
        let grid: TileGrid = self
            .compiled
            .get(Kind::Grid, name)
            .ok_or_else(|| lacking("grid", name))?;
        let grid = Rc::new(grid);
        self.grids.borrow_mut().insert(name.to_owned(), Rc::clone(&grid));
        Ok(grid)
    }

    fn managers(&self, cache: &str) -> Result<Vec<Rc<TileManager>>, LayerError> {
        if let Some(managers) = self.managers.borrow().get(cache) {
            return Ok(managers.clone());
        }
        let conf: Cache = self
            .compiled
            .get(Kind::Cache, cache)
            .ok_or_else(|| lacking("cache", cache))?;
        if let Some(message) = &conf.unsupported {
            return Err(LayerError::Unavailable {
                message: message.clone(),
            });
        }
        let conf = Rc::new(conf);
        let managers: Result<Vec<_>, _> = (0..conf.grids.len()).map(|index| self.manager(&conf, index)).collect();
        let managers = managers?;
        self.managers.borrow_mut().insert(cache.to_owned(), managers.clone());
        Ok(managers)
    }

    fn manager(&self, conf: &Rc<Cache>, grid_index: usize) -> Result<Rc<TileManager>, LayerError> {
        let grid = self.grid(conf.grids.get(grid_index).map_or("", String::as_str))?;
        let (parts, own_conf, own_grid) = (Weak::clone(&self.myself), Rc::clone(conf), Rc::clone(&grid));
        // Caches live no longer than the request, and that no longer than the assembly.
        let gone = || LayerError::NotSupported {
            what: "tiles after the end of a request".to_owned(),
        };
        let sources: MakeSources = Box::new(move || parts.upgrade().ok_or_else(gone)?.sources_of(&own_conf, &own_grid));
        let (cache, lock_identity): (Box<dyn TileCache>, String) = match &conf.backend {
            CacheBackend::File(file) => {
                let directory = file.directories.get(grid_index).map_or("", String::as_str);
                let cache: Box<dyn TileCache> = if conf.disable_storage {
                    Box::new(DummyTileCache)
                } else {
                    let links = conf.link_single_color_images;
                    Box::new(FileTileCache::new(Rc::clone(&self.platform), file, directory, links))
                };
                (cache, directory.to_owned())
            }
            CacheBackend::Unsupported { .. } if conf.disable_storage => (Box::new(DummyTileCache), String::new()),
            CacheBackend::Unsupported { kind } => {
                return Err(LayerError::NotSupported {
                    what: format!("cache type `{kind}`"),
                });
            }
        };
        let parts = TileManagerParts {
            platform: Rc::clone(&self.platform),
            conf: Rc::clone(conf),
            grid,
            cache,
            sources,
            lock_identity,
        };
        Ok(Rc::new(TileManager::new(parts)))
    }

    fn sources_of(&self, conf: &Cache, grid: &TileGrid) -> Result<Vec<Rc<dyn MapLayer>>, LayerError> {
        match &conf.sources {
            CacheSources::Layers(sources) => self.cache_sources(conf, grid, sources),
            CacheSources::Bands(bands) => Ok(vec![self.band_merge(conf, bands)?]),
        }
    }

    /// The sources of a cache. If all are caches with the same tiles in the same format, their tiles are handed on as
    /// they are stored; otherwise maps are made of them, and nothing is asked for beyond the grid.
    fn cache_sources(
        &self,
        conf: &Cache,
        grid: &TileGrid,
        sources: &[LayerSource],
    ) -> Result<Vec<Rc<dyn MapLayer>>, LayerError> {
        let same_tiles = sources.iter().map(|source| self.same_tiles(conf, grid, source));
        let same_tiles: Option<Vec<Rc<TileManager>>> = same_tiles.collect::<Result<_, _>>()?;
        if let Some(managers) = same_tiles.filter(|managers| !managers.is_empty()) {
            let tiles_of =
                |manager| -> Rc<dyn MapLayer> { Rc::new(CacheMapLayer::new(manager, None).for_tiles_only()) };
            return Ok(managers.into_iter().map(tiles_of).collect());
        }
        let limit = MapExtent::new(grid.bbox(), grid.srs().clone());
        let layer = |source: &LayerSource| match source {
            LayerSource::Cache(name) => Ok(self.layer_of(&self.managers(name)?, Some(&limit))),
            LayerSource::Source(key) => self.source(key),
        };
        sources.iter().map(layer).collect()
    }

    /// The tiles of `source`, if every tile of `grid` is one of them and stored in the same format.
    fn same_tiles(
        &self,
        conf: &Cache,
        grid: &TileGrid,
        source: &LayerSource,
    ) -> Result<Option<Rc<TileManager>>, LayerError> {
        let LayerSource::Cache(name) = source else {
            return Ok(None);
        };
        let managers = self.managers(name)?;
        let fits = |manager: &Rc<TileManager>| grid.is_subset_of(manager.grid()) && *manager.format() == conf.format;
        Ok(managers.into_iter().find(fits))
    }

    fn band_merge(&self, conf: &Cache, merge: &BandMerge) -> Result<Rc<dyn MapLayer>, LayerError> {
        let mut names: Vec<&LayerSource> = Vec::new();
        let mut bands = Vec::new();
        for (target, parts) in &merge.bands {
            let target = match target {
                'r' => Band::R,
                'g' => Band::G,
                'b' => Band::B,
                'a' => Band::A,
                _ => Band::L,
            };
            for part in parts {
                let image = names
                    .iter()
                    .position(|name| **name == part.source)
                    .unwrap_or(names.len());
                if image == names.len() {
                    names.push(&part.source);
                }
                bands.push(BandSource {
                    target,
                    image,
                    band: part.band,
                    factor: part.factor,
                });
            }
        }
        let sources = names
            .into_iter()
            .map(|name| self.layer_source(name))
            .collect::<Result<_, _>>()?;
        let platform = Rc::clone(&self.platform);
        Ok(Rc::new(BandMergeLayer::new(
            platform,
            sources,
            bands,
            conf.image.clone(),
        )))
    }
}

/// The tiles of one grid, by its place in the cache, as a layer, with the grid's system. `within`: no more of it.
fn map_layer((index, manager): (usize, &Rc<TileManager>), within: Option<&MapExtent>) -> (Srs, Rc<dyn MapLayer>) {
    let grid = manager.grid();
    let own = || MapExtent::new(grid.bbox(), grid.srs().clone());
    let limit = manager.conf().extents.get(index).cloned().flatten();
    let extent = limit.unwrap_or_else(own);
    // where the two do not meet, every query is outside of one or the other
    let extent = within.and_then(|within| extent.within(within)).unwrap_or(extent);
    (
        grid.srs().clone(),
        Rc::new(CacheMapLayer::new(Rc::clone(manager), Some(extent))),
    )
}

/// A name that the compiler let through but did not write.
fn lacking(what: &str, name: &str) -> LayerError {
    LayerError::NotSupported {
        what: format!("{what} `{name}`, which the compiled configuration lacks"),
    }
}
