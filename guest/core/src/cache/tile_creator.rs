//! Makes tiles that are missing: one by one, or several with one request (behaviour section 12; MapProxy:
//! `cache/tile_creator.py`).
//!
//! For each meta tile: take its lock, look whether another process has made the tiles meanwhile, ask the sources, split,
//! store, unlock. Several meta tiles of one map are made together, `concurrent_tile_creators` at a time: the requests of
//! all of them go out at once, together with those of other caches of the same map. Whatever waits for a lock lets the
//! rest go on, so that two processes cannot block each other (see `layer/plan.rs`).

use std::collections::VecDeque;
use std::rc::Rc;

use crate::client::carry_out;
use crate::grid::{MetaTile, TileCoord};
use crate::image::{
    ImageFormat, Layer, MapImage, Spacing, TileSplitter, WatermarkStyle, merge, peek_format, single_color, watermark,
};
use crate::layer::{LayerError, Plan, all};
use crate::lock::{FileLock, Waiter};
use crate::query::{Dimensions, MapQuery};
use crate::srs::BBox;

use super::tile_manager::Sources;
use super::{Tile, TileManager};

/// Makes tiles of one manager for one request.
#[derive(Debug)]
pub(super) struct TileCreator<'a> {
    manager: &'a TileManager,
    sources: &'a Sources,
    dimensions: Dimensions,
    /// see `expiry`
    limit: Option<f64>,
    /// A tile that cannot be made or stored is an error: nobody waits for it, so nothing is served in its place.
    strict: bool,
    /// the tiles that are asked for
    wanted: Vec<TileCoord>,
    waiting: VecDeque<Job>,
    /// for the lock of the first job
    waiter: Option<Waiter>,
    made: Vec<Tile>,
}

/// Tiles that are made under one lock.
#[derive(Debug)]
struct Job {
    main: TileCoord,
    pieces: Vec<Piece>,
}

/// One picture to ask for, and the tiles in it.
#[derive(Debug)]
struct Piece {
    bbox: BBox,
    size: (u32, u32),
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// the picture is a tile
    Tile(TileCoord),
    /// tiles and their upper left corners
    Tiles(Vec<(TileCoord, (i64, i64))>),
}

impl Piece {
    fn tiles(&self) -> Vec<TileCoord> {
        match &self.content {
            Content::Tile(tile) => vec![*tile],
            Content::Tiles(tiles) => tiles.iter().map(|(tile, _)| *tile).collect(),
        }
    }
}

impl Job {
    fn tiles(&self) -> Vec<TileCoord> {
        self.pieces.iter().flat_map(Piece::tiles).collect()
    }
}

/// A job that may be done, with its lock unless the cache keeps nothing.
type Locked = (Job, Option<Rc<FileLock>>);

type Maps = Vec<Result<Option<MapImage>, LayerError>>;

impl<'a> TileCreator<'a> {
    /// Makes the tiles `wanted`, and those that come with them.
    pub(super) fn new(
        manager: &'a TileManager,
        dimensions: Dimensions,
        limit: Option<f64>,
        wanted: Vec<TileCoord>,
    ) -> Result<Self, LayerError> {
        let creator = Self {
            manager,
            sources: manager.made_of()?,
            dimensions,
            limit,
            strict: false,
            wanted,
            waiting: VecDeque::new(),
            waiter: None,
            made: Vec::new(),
        };
        let waiting = creator.jobs(&creator.wanted).into();
        Ok(Self { waiting, ..creator })
    }

    /// For seeding: what is not made and stored is an error.
    pub(super) fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The tiles; those without anything are not among them.
    pub(super) fn create(self) -> Result<Vec<Tile>, LayerError> {
        let platform = &self.manager.platform;
        carry_out(platform, self.plan()?)
    }

    /// The same in steps. After a failure, the others of the batch are stored; nothing new is begun.
    pub(super) fn plan(mut self) -> Result<Plan<'a, Vec<Tile>>, LayerError> {
        loop {
            if self.waiting.is_empty() {
                return Ok(Plan::Done(self.made));
            }
            let batch = self.lock_some()?;
            if batch.is_empty() {
                return Ok(Plan::Wait {
                    held: Vec::new(),
                    again: Box::new(move || self.plan()),
                });
            }
            let batch = self.without_fresh(batch)?;
            match self.ask(&batch) {
                Plan::Done(maps) => self.finish_all(&batch, maps)?,
                plan => {
                    return plan.then(move |maps| {
                        self.finish_all(&batch, maps)?;
                        // its locks are free before others are taken
                        drop(batch);
                        self.plan()
                    });
                }
            }
        }
    }

    fn jobs(&self, tiles: &[TileCoord]) -> Vec<Job> {
        let manager = self.manager;
        let Some(meta_grid) = &self.sources.meta_grid else {
            return tiles
                .iter()
                .map(|tile| Job {
                    main: *tile,
                    pieces: vec![self.whole(*tile)],
                })
                .collect();
        };
        if manager.conf.minimize_meta_requests
            && tiles.len() > 1
            && !self.sources.bulk
            && let Some(meta_tile) = meta_grid.minimal_meta_tile(&manager.grid, tiles)
        {
            return vec![self.meta_job(&meta_tile)];
        }
        let mut jobs: Vec<Job> = Vec::new();
        for tile in tiles {
            let main = meta_grid.main_tile(&manager.grid, *tile);
            if !jobs.iter().any(|job| job.main == main) {
                jobs.push(self.meta_job(&meta_grid.meta_tile(&manager.grid, *tile)));
            }
        }
        jobs
    }

    fn whole(&self, tile: TileCoord) -> Piece {
        let grid = &self.manager.grid;
        Piece {
            bbox: grid.tile_bbox(tile),
            size: grid.tile_size(),
            content: Content::Tile(tile),
        }
    }

    fn meta_job(&self, meta_tile: &MetaTile) -> Job {
        let entries = meta_tile.tiles.iter();
        let pieces = if self.sources.bulk {
            entries
                .filter_map(|entry| entry.tile)
                .map(|tile| self.whole(tile))
                .collect()
        } else {
            let place = |(x, y): (i32, i32)| (i64::from(x), i64::from(y));
            let tiles = entries
                .filter_map(|entry| Some((entry.tile?, place(entry.offset))))
                .collect();
            vec![Piece {
                bbox: meta_tile.bbox,
                size: meta_tile.size,
                content: Content::Tiles(tiles),
            }]
        };
        Job {
            main: meta_tile.main_tile,
            pieces,
        }
    }

    /// At most so many meta tiles are made together.
    fn most(&self) -> usize {
        usize::try_from(self.manager.conf.concurrent_tile_creators)
            .unwrap_or(1)
            .max(1)
    }

    /// Takes as many jobs as may run together and whose locks are free. If none is, the first one's is waited for:
    /// nothing is returned until it is there.
    fn lock_some(&mut self) -> Result<Vec<Locked>, LayerError> {
        let locker = &self.manager.locker;
        let mut batch = Vec::new();
        if self.waiter.is_none() {
            let mut busy = VecDeque::new();
            while let Some(job) = self.waiting.pop_front() {
                if batch.len() >= self.most() {
                    busy.push_back(job);
                } else if !self.manager.cache.keeps_tiles() {
                    batch.push((job, None));
                } else if let Some(lock) = locker.try_acquire(job.main)? {
                    batch.push((job, Some(Rc::new(lock))));
                } else {
                    busy.push_back(job);
                }
            }
            self.waiting = busy;
        }
        if batch.is_empty()
            && let Some(job) = self.waiting.pop_front()
        {
            let waiter = self.waiter.get_or_insert_with(|| locker.waiter(job.main));
            if let Some(lock) = locker.attempt(waiter, job.main)? {
                self.waiter = None;
                batch.push((job, Some(Rc::new(lock))));
            } else {
                self.waiting.push_front(job);
            }
        }
        Ok(batch)
    }

    /// The jobs still to be done: another process may have made the tiles before we got the lock.
    fn without_fresh(&mut self, batch: Vec<Locked>) -> Result<Vec<Locked>, LayerError> {
        let mut to_make = Vec::with_capacity(batch.len());
        for (job, lock) in batch {
            if lock.is_some() && self.all_fresh(&job)? {
                for tile in job.tiles() {
                    let stored = self.manager.cache.load(tile, &self.dimensions)?;
                    self.made
                        .extend(stored.map(|stored| self.manager.stored_tile(tile, stored)));
                }
            } else {
                to_make.push((job, lock));
            }
        }
        Ok(to_make)
    }

    /// The maps of all sources for all pieces of a batch.
    fn ask(&self, batch: &[Locked]) -> Plan<'a, Maps> {
        let sources: &'a Sources = self.sources;
        let mut plans = Vec::new();
        for piece in batch.iter().flat_map(|(job, _)| &job.pieces) {
            let query = self.query(piece);
            plans.extend(sources.layers.iter().map(|source| source.plan(&query)));
        }
        // A batch is limited by its number of meta tiles; the sources of one are asked together, as MapProxy does.
        // Tiles fetched in bulk are limited one by one.
        let most = if sources.bulk { self.most() } else { usize::MAX };
        let locks = batch.iter().filter_map(|(_, lock)| lock.as_ref().map(Rc::downgrade));
        all(plans, most).holding(locks.collect())
    }

    /// Makes the tiles of a batch. A failing job does not keep the others from being stored, and a tile that is only
    /// fetched along with the `wanted` ones (in bulk) may fail: it is made when it is asked for.
    fn finish_all(&mut self, batch: &[Locked], maps: Maps) -> Result<(), LayerError> {
        let mut maps = maps.into_iter();
        let sources = self.sources.layers.len();
        let mut failure = None;
        for (job, lock) in batch {
            for piece in &job.pieces {
                let maps: Maps = maps.by_ref().take(sources).collect();
                match self.finish(piece, maps, lock.as_deref()) {
                    Ok(tiles) => self.made.extend(tiles),
                    Err(error) if !self.strict && !piece.tiles().iter().any(|tile| self.wanted.contains(tile)) => {
                        log::debug!(target: "mapproxy.cache", "a tile beside those asked for: {error}");
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn query(&self, piece: &Piece) -> MapQuery {
        MapQuery {
            bbox: piece.bbox,
            size: piece.size,
            srs: self.manager.grid.srs().clone(),
            format: self.manager.conf.request_format.clone(),
            transparent: self.manager.options.is_transparent(),
            tiled_only: false,
            dimensions: self.dimensions.clone(),
        }
    }

    fn all_fresh(&self, job: &Job) -> Result<bool, LayerError> {
        for tile in job.tiles() {
            if !self.manager.is_fresh(tile, &self.dimensions, self.limit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The stored tile, whatever its age.
    fn stale(&self, tile: TileCoord) -> Result<Option<Tile>, LayerError> {
        if self.limit.is_none() || self.strict {
            return Ok(None);
        }
        let stored = self.manager.cache.load(tile, &self.dimensions)?;
        Ok(stored.map(|stored| Tile {
            cacheable: false,
            ..self.manager.stored_tile(tile, stored)
        }))
    }

    /// What the sources gave as tiles, stored.
    fn finish(&self, piece: &Piece, maps: Maps, lock: Option<&FileLock>) -> Result<Vec<Tile>, LayerError> {
        let combined = self.combine(piece, maps);
        match (&piece.content, combined) {
            (_, Ok(None)) => Ok(Vec::new()),
            (Content::Tile(tile), Ok(Some(image))) => {
                if image.cacheability.authorize_stale
                    && let Some(stale) = self.stale(*tile)?
                {
                    return Ok(vec![stale]);
                }
                Ok(vec![self.keep(*tile, image)?])
            }
            (Content::Tile(tile), Err(error @ LayerError::Source { .. })) => match self.stale(*tile)? {
                Some(stale) => {
                    log::warn!(target: "mapproxy.cache", "serving stale tile {tile}: {error}");
                    Ok(vec![stale])
                }
                None => Err(error),
            },
            (_, Err(error)) => Err(error),
            (Content::Tiles(tiles), Ok(Some(image))) => {
                let size = self.manager.grid.tile_size();
                // These are encoded as they are.
                let stored = self.manager.cache.keeps_tiles()
                    && self.manager.conf.watermark.is_none()
                    && image.cacheability.cacheable;
                let offsets: Vec<_> = tiles.iter().map(|(_, offset)| *offset).collect();
                let mut splitter = TileSplitter::new(image, &self.manager.options, &offsets, size)?;
                if stored {
                    splitter = splitter.with_palettes();
                }
                let mut made = Vec::with_capacity(tiles.len());
                for (tile, offset) in tiles {
                    let image = splitter.tile(*offset)?;
                    made.push(self.keep(*tile, image)?);
                    if let Some(lock) = lock {
                        lock.beat();
                    }
                }
                Ok(made)
            }
        }
    }

    /// The maps of all sources as one; `None` if the only source has nothing.
    fn combine(&self, piece: &Piece, maps: Maps) -> Result<Option<MapImage>, LayerError> {
        let mut maps = maps.into_iter().collect::<Result<Vec<_>, _>>()?;
        if maps.len() == 1 {
            return Ok(maps.pop().flatten());
        }
        let layers: Vec<Layer> = maps.into_iter().flatten().map(Layer::from).collect();
        Ok(Some(merge(layers, &self.manager.options, Some(piece.size), None)?))
    }

    /// Whether the sources have tiles and nothing else. A `mixed` cache keeps those as they come, as MapProxy does.
    fn comes_as_tiles(&self) -> bool {
        self.sources.layers.iter().all(|source| !source.supports_meta_tiles())
    }

    /// Filters and stores a tile. It is served even if it cannot be stored.
    fn keep(&self, coord: TileCoord, mut image: MapImage) -> Result<Tile, LayerError> {
        let manager = self.manager;
        if let Some(style) = &manager.conf.watermark {
            let style = WatermarkStyle {
                font_size: style.font_size,
                color: style.color,
                opacity: style.opacity,
                spacing: if style.wide { Spacing::Wide } else { Spacing::Dense },
                ..WatermarkStyle::new(style.text.clone())
            };
            image = watermark(image, &style, (coord.x, coord.y))?;
        }
        let cacheability = image.cacheability;
        if !manager.cache.keeps_tiles() {
            let cacheable = cacheability.cacheable;
            return Ok(Tile {
                coord,
                image: Some(image),
                timestamp: None,
                size: None,
                cacheable,
            });
        }
        let color = if manager.cache.links_single_colors() && cacheability.cacheable {
            let raster = image.raster()?;
            single_color(raster).map(|color| {
                if raster.has_alpha() {
                    color.to_vec()
                } else {
                    color[..3].to_vec()
                }
            })
        } else {
            None
        };
        let mut tile = Tile {
            coord,
            image: None,
            timestamp: None,
            size: None,
            cacheable: cacheability.cacheable,
        };
        if *manager.format() == ImageFormat::MIXED && self.comes_as_tiles() && is_png_or_jpeg(&image) {
            image.options.format = Some(ImageFormat::MIXED);
        }
        let data = if cacheability.cacheable || needs_format(&image, manager.format()) {
            image.into_bytes(&manager.options)?
        } else {
            tile.image = Some(image);
            return Ok(tile);
        };
        if cacheability.cacheable {
            match manager.cache.store(coord, &self.dimensions, &data, color.as_deref()) {
                Ok(info) => (tile.timestamp, tile.size) = (info.timestamp, info.size),
                Err(error) if self.strict => return Err(error),
                Err(error) => log::error!(target: "mapproxy.cache", "tile {coord} not stored: {error}"),
            }
        }
        tile.image = Some(MapImage::from_bytes(data, manager.options.clone()).with_cacheability(cacheability));
        Ok(tile)
    }
}

/// Whether the image is there as a file that a `mixed` cache may have.
fn is_png_or_jpeg(image: &MapImage) -> bool {
    let format = image.encoded().and_then(peek_format);
    format.is_some_and(|format| format == ImageFormat::PNG || format == ImageFormat::JPEG)
}

/// Whether the image still has to become what clients expect of this cache.
fn needs_format(image: &MapImage, format: &ImageFormat) -> bool {
    image.options.format.as_ref() != Some(format)
}
