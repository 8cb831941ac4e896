//! Makes tiles that are missing: one by one, or several with one request (behaviour section 12; MapProxy:
//! `cache/tile_creator.py`).
//!
//! For each meta tile: take its lock, look whether another process has made the tiles meanwhile, ask the sources, split,
//! store, unlock. Several meta tiles of one map are made together, `concurrent_tile_creators` at a time: the requests of
//! all of them go out at once. No lock is waited for while another one is held, so that two processes cannot block
//! each other.

use std::collections::VecDeque;

use crate::client::finish_plans;
use crate::grid::{MetaTile, TileCoord};
use crate::image::{
    ImageFormat, Layer, MapImage, Spacing, TileSplitter, WatermarkStyle, merge, single_color, watermark,
};
use crate::layer::{LayerError, Plan};
use crate::lock::FileLock;
use crate::query::{Dimensions, MapQuery};
use crate::srs::BBox;

use super::tile_manager::Sources;
use super::{Tile, TileManager};

/// Makes tiles of one manager for one request.
#[derive(Debug)]
pub(super) struct TileCreator<'a> {
    manager: &'a TileManager,
    sources: &'a Sources,
    dimensions: &'a Dimensions,
    /// see `expiry`
    limit: Option<f64>,
    /// A tile that cannot be made or stored is an error: nobody waits for it, so nothing is served in its place.
    strict: bool,
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

type Maps = Vec<Result<Option<MapImage>, LayerError>>;

impl<'a> TileCreator<'a> {
    pub(super) fn new(
        manager: &'a TileManager,
        dimensions: &'a Dimensions,
        limit: Option<f64>,
    ) -> Result<Self, LayerError> {
        let sources = manager.made_of()?;
        Ok(Self {
            manager,
            sources,
            dimensions,
            limit,
            strict: false,
        })
    }

    /// For seeding: what is not made and stored is an error.
    pub(super) fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Makes these tiles of the grid, and those that come with them. Tiles without anything are not among the result.
    pub(super) fn create(&self, tiles: &[TileCoord]) -> Result<Vec<Tile>, LayerError> {
        let mut waiting: VecDeque<Job> = self.jobs(tiles).into();
        let mut made = Vec::new();
        let mut failure = None;
        while !waiting.is_empty() {
            let batch = self.lock_some(&mut waiting)?;
            if let Err(error) = self.run(batch, tiles, &mut made) {
                // The others of the batch are stored; nothing new is begun.
                failure = Some(error);
                break;
            }
        }
        failure.map_or(Ok(made), Err)
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

    /// Takes as many jobs as may run together and whose locks are free; waits for the first one's if none is.
    fn lock_some(&self, waiting: &mut VecDeque<Job>) -> Result<Vec<(Job, Option<FileLock>)>, LayerError> {
        let manager = self.manager;
        let most = usize::try_from(manager.conf.concurrent_tile_creators)
            .unwrap_or(1)
            .max(1);
        let mut batch = Vec::new();
        let mut busy = VecDeque::new();
        while let Some(job) = waiting.pop_front() {
            if batch.len() >= most {
                busy.push_back(job);
            } else if !manager.cache.keeps_tiles() {
                batch.push((job, None));
            } else if let Some(lock) = manager.locker.try_acquire(job.main)? {
                batch.push((job, Some(lock)));
            } else {
                busy.push_back(job);
            }
        }
        if batch.is_empty()
            && let Some(job) = busy.pop_front()
        {
            let lock = manager.locker.acquire(job.main)?;
            batch.push((job, Some(lock)));
        }
        *waiting = busy;
        Ok(batch)
    }

    /// Makes the tiles of a batch. A failing job does not keep the others from being stored, and a tile that is only
    /// fetched along with the `wanted` ones (in bulk) may fail: it is made when it is asked for.
    fn run(
        &self,
        batch: Vec<(Job, Option<FileLock>)>,
        wanted: &[TileCoord],
        made: &mut Vec<Tile>,
    ) -> Result<(), LayerError> {
        let mut to_make = Vec::with_capacity(batch.len());
        for (job, lock) in batch {
            if lock.is_some() && self.all_fresh(&job)? {
                self.load_all(&job, made)?;
            } else {
                to_make.push((job, lock));
            }
        }
        let mut plans = Vec::new();
        for piece in to_make.iter().flat_map(|(job, _)| &job.pieces) {
            let query = self.query(piece);
            plans.extend(self.sources.layers.iter().map(|source| source.plan(&query)));
        }
        let mut maps = {
            let locks: Vec<&FileLock> = to_make.iter().filter_map(|(_, lock)| lock.as_ref()).collect();
            let mut beat = || locks.iter().for_each(|lock| lock.beat());
            self.fetch(plans, &mut beat).into_iter()
        };
        let sources = self.sources.layers.len();
        let mut failure = None;
        for (job, lock) in &to_make {
            for piece in &job.pieces {
                let maps: Maps = maps.by_ref().take(sources).collect();
                match self.finish(piece, maps, lock.as_ref()) {
                    Ok(tiles) => made.extend(tiles),
                    Err(error) if !self.strict && !piece.tiles().iter().any(|tile| wanted.contains(tile)) => {
                        log::debug!(target: "mapproxy.cache", "a tile beside those asked for: {error}");
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn fetch(&self, plans: Vec<Result<Plan, LayerError>>, beat: &mut dyn FnMut()) -> Maps {
        // A batch is limited by its number of meta tiles; the sources of one are asked together, as MapProxy does.
        // Tiles fetched in bulk are limited one by one.
        let creators = usize::try_from(self.manager.conf.concurrent_tile_creators)
            .unwrap_or(1)
            .max(1);
        let parallel = if self.sources.bulk {
            creators
        } else {
            plans.len().max(1)
        };
        finish_plans(&self.manager.platform, plans, parallel, beat)
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
            if !self.manager.is_fresh(tile, self.dimensions, self.limit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn load_all(&self, job: &Job, made: &mut Vec<Tile>) -> Result<(), LayerError> {
        for tile in job.tiles() {
            let stored = self.manager.cache.load(tile, self.dimensions)?;
            made.extend(stored.map(|stored| self.manager.stored_tile(tile, stored)));
        }
        Ok(())
    }

    /// The stored tile, whatever its age.
    fn stale(&self, tile: TileCoord) -> Result<Option<Tile>, LayerError> {
        if self.limit.is_none() || self.strict {
            return Ok(None);
        }
        let stored = self.manager.cache.load(tile, self.dimensions)?;
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
                let mut splitter = TileSplitter::new(image, &self.manager.options);
                let mut made = Vec::with_capacity(tiles.len());
                for (tile, offset) in tiles {
                    let image = splitter.tile(*offset, size)?;
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
        let data = if cacheability.cacheable || needs_format(&image, manager.format()) {
            image.into_bytes(&manager.options)?
        } else {
            tile.image = Some(image);
            return Ok(tile);
        };
        if cacheability.cacheable {
            match manager.cache.store(coord, self.dimensions, &data, color.as_deref()) {
                Ok(info) => (tile.timestamp, tile.size) = (info.timestamp, info.size),
                Err(error) if self.strict => return Err(error),
                Err(error) => log::error!(target: "mapproxy.cache", "tile {coord} not stored: {error}"),
            }
        }
        tile.image = Some(MapImage::from_bytes(data, manager.options.clone()).with_cacheability(cacheability));
        Ok(tile)
    }
}

/// Whether the image still has to become what clients expect of this cache.
fn needs_format(image: &MapImage, format: &ImageFormat) -> bool {
    image.options.format.as_ref() != Some(format)
}
