//! Filling and cleaning caches in bounded pieces (behaviour section 19; MapProxy: `seed/`).
//!
//! Whoever runs this hands out work and keeps time; everything about maps is here. [`Seeder::plan`] names the next
//! pieces of a task, [`Seeder::run`] works one off. Both need nothing but the compiled configuration, so each can happen
//! in an instance of its own, in any process, and again.

mod count;
mod describe;
#[cfg(test)]
mod fixture;
mod picture;
#[cfg(test)]
mod tests;
mod walk;

use std::rc::Rc;

pub use count::Estimate;
pub use describe::TaskInfo;
pub use picture::{Cell, Picture};
pub use walk::{CursorError, Walk, Walked};

use crate::assemble::Assembly;
use crate::cache::{Sweep, TileManager};
use crate::config::model::{RefreshBefore, SeedKind, SeedTask};
use crate::config::{Compiled, Kind};
use crate::grid::TileCoord;
use crate::layer::LayerError;
use crate::platform::{FileError, Links, Platform};

/// Files and directories one piece of a cleanup looks at.
const SWEEP: u32 = 20_000;
/// Nobody writes a tile for so long, in seconds: what is unfinished then was left behind.
const UNFINISHED: f64 = 3600.0;

/// How a run was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// When it began, seconds since 1970: what ages are counted from.
    pub started: f64,
    /// Leave meta tiles alone of which nothing is stored.
    pub skip_uncached: bool,
    /// On so many of the last levels tiles are not compared with the coverage.
    pub skip_geoms: u32,
    /// Change nothing.
    pub dry_run: bool,
}

/// A piece of work, named by a text that [`Seeder::run`] understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// `z/x/y` of a meta tile's main tile; `z` for a whole level
    pub id: String,
    pub level: u32,
}

/// The next pieces of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub pieces: Vec<Piece>,
    /// where to go on; `None`: these were the last
    pub cursor: Option<Vec<u8>>,
    /// share of the task that is done with these pieces, 0 to 1
    pub progress: f64,
}

/// What a piece did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// tiles stored
    pub made: u64,
    /// bytes of the tiles stored or removed
    pub bytes: u64,
    /// tiles that were there
    pub there: u64,
    /// tiles where the sources have nothing to keep
    pub nothing: u64,
    /// tiles removed
    pub removed: u64,
    /// what would be removed, in a dry run
    pub paths: Vec<String>,
    /// the piece was too much for once: this is what is left of it
    pub rest: Option<String>,
}

/// Why a piece failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Worth another try: an upstream server, the file system.
    #[error("{0}")]
    Again(String),
    /// Somebody else holds a lock: worth another try at once.
    #[error("{0}")]
    Busy(String),
    /// No try will help.
    #[error("{0}")]
    Final(String),
}

impl From<LayerError> for Failure {
    fn from(error: LayerError) -> Self {
        let message = error.detail();
        match error {
            LayerError::LockTimeout { .. } => Self::Busy(message),
            LayerError::NotSupported { .. }
            | LayerError::Unavailable { .. }
            | LayerError::InvalidRequest { .. }
            | LayerError::File(FileError::NotPermitted { .. } | FileError::LeadsOut { .. }) => Self::Final(message),
            _ => Self::Again(message),
        }
    }
}

/// The tasks of a compiled configuration.
#[derive(Debug)]
pub struct Seeder {
    platform: Rc<dyn Platform>,
    compiled: Rc<Compiled>,
    assembly: Assembly,
}

impl Seeder {
    pub fn new(platform: Rc<dyn Platform>, compiled: Rc<Compiled>) -> Self {
        Self {
            assembly: Assembly::new(Rc::clone(&platform), Rc::clone(&compiled)),
            platform,
            compiled,
        }
    }

    /// The next pieces of a task, at most `limit`, from a cursor or from the beginning.
    pub fn plan(&self, task: u32, options: &Options, cursor: Option<&[u8]>, limit: u32) -> Result<Batch, Failure> {
        let task = self.usable(task)?;
        if task.empty {
            return Ok(Batch {
                pieces: Vec::new(),
                cursor: None,
                progress: 1.0,
            });
        }
        let manager = self.manager(&task)?;
        if task.kind == SeedKind::Cleanup && task.coverages.is_empty() && manager.can_sweep(&task.levels) {
            let level = |level: &u32| Piece {
                id: level.to_string(),
                level: *level,
            };
            return Ok(Batch {
                pieces: task.levels.iter().map(level).collect(),
                cursor: None,
                progress: 1.0,
            });
        }
        let walked = Walked {
            grid: manager.grid(),
            meta_size: manager.meta_size()?,
            levels: &task.levels,
            area: &task.coverages,
            skip_geoms: options.skip_geoms,
        };
        let mut walk = match cursor {
            Some(cursor) => Walk::resume(&walked, cursor).map_err(|error| Failure::Final(error.to_string()))?,
            None => Walk::new(&walked),
        };
        let mut pieces = Vec::new();
        while pieces.len() < limit.max(1) as usize
            && let Some(tile) = walk.next()
        {
            pieces.push(Piece {
                id: format!("{}/{}/{}", tile.z, tile.x, tile.y),
                level: tile.z,
            });
        }
        Ok(Batch {
            pieces,
            cursor: walk.cursor(),
            progress: walk.progress(),
        })
    }

    /// Works off a piece: one that [`plan`](Self::plan) named, the rest of one, or any tile of the grid.
    pub fn run(&self, task: u32, options: &Options, id: &str) -> Result<Report, Failure> {
        let task = self.usable(task)?;
        let manager = self.manager(&task)?;
        let unknown = || Failure::Final(format!("`{id}` is no tile of the grid `{}`", task.grid));
        match task.kind {
            SeedKind::Seed => {
                let tile = tile(id).ok_or_else(unknown)?;
                manager.grid().limit_tile(tile).ok_or_else(unknown)?;
                let limit = self.moment(task.before.as_ref(), options)?;
                let seeded = manager.seed(tile, limit, options.skip_uncached)?;
                Ok(Report {
                    made: seeded.made.into(),
                    bytes: seeded.bytes,
                    there: seeded.there.into(),
                    nothing: seeded.nothing.into(),
                    ..Report::default()
                })
            }
            SeedKind::Cleanup => {
                let before = if task.remove_all {
                    None
                } else {
                    Some(self.moment(task.before.as_ref(), options)?.unwrap_or(options.started))
                };
                let swept = if let Some(tile) = tile(id) {
                    manager.grid().limit_tile(tile).ok_or_else(unknown)?;
                    manager.clean(tile, before, options.dry_run)?
                } else {
                    let (level, after) = match id.split_once(':') {
                        Some((level, after)) => (level, Some(after)),
                        None => (id, None),
                    };
                    let number = level.parse().map_err(|_no_number| unknown())?;
                    let sweep = Sweep {
                        before,
                        unfinished_before: options.started - UNFINISHED,
                        dry_run: options.dry_run,
                        after,
                        limit: SWEEP,
                    };
                    let mut swept = manager.sweep(number, &sweep)?.ok_or_else(unknown)?;
                    swept.rest = swept.rest.map(|rest| format!("{level}:{rest}"));
                    swept
                };
                Ok(Report {
                    removed: swept.removed,
                    bytes: swept.bytes,
                    paths: swept.paths,
                    rest: swept.rest,
                    ..Report::default()
                })
            }
        }
    }

    fn task(&self, number: u32) -> Option<SeedTask> {
        self.compiled.get(Kind::SeedTask, &number.to_string())
    }

    fn usable(&self, number: u32) -> Result<SeedTask, Failure> {
        let task = self
            .task(number)
            .ok_or_else(|| Failure::Final(format!("there is no task {number}")))?;
        match &task.unusable {
            Some(reason) => Err(Failure::Final(reason.clone())),
            None => Ok(task),
        }
    }

    fn manager(&self, task: &SeedTask) -> Result<Rc<TileManager>, Failure> {
        let managers = self.assembly.managers(&task.cache)?;
        let own = managers.first().map(|manager| manager.conf().grids.clone());
        let index = own.and_then(|grids| grids.iter().position(|grid| *grid == task.grid));
        index
            .and_then(|index| managers.into_iter().nth(index))
            .ok_or_else(|| Failure::Final(format!("the cache `{}` has no grid `{}`", task.cache, task.grid)))
    }

    /// Seconds since 1970; `None`: no age was given.
    fn moment(&self, rule: Option<&RefreshBefore>, options: &Options) -> Result<Option<f64>, Failure> {
        Ok(match rule {
            None => None,
            Some(RefreshBefore::Age(seconds)) => Some(options.started - seconds),
            Some(RefreshBefore::Time(time)) => Some(*time),
            Some(RefreshBefore::FileTime(path)) => {
                let info = self.platform.files().info(path, Links::Follow);
                Some(info.map_err(|error| ageless(path, &error))?.modified.0)
            }
        })
    }
}

/// The age of a file that counts cannot be told.
fn ageless(path: &str, error: &FileError) -> Failure {
    let file = format!("the file `{path}`, whose age counts, cannot be found");
    match error {
        FileError::NotFound { .. } => Failure::Final(file),
        // an instance is not given a directory that is missing
        FileError::NotPermitted { .. } => Failure::Final(format!(
            "{file}: there is no permission for it, or its directory is missing"
        )),
        FileError::LeadsOut { .. } => Failure::Final(format!("the age of a file counts that cannot be read: {error}")),
        FileError::AlreadyExists { .. } | FileError::Other { .. } => {
            Failure::Again(format!("the age of a file counts that cannot be read: {error}"))
        }
    }
}

/// `z/x/y`
fn tile(id: &str) -> Option<TileCoord> {
    let mut parts = id.split('/');
    let (z, x, y) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(TileCoord::new(x.parse().ok()?, y.parse().ok()?, z.parse().ok()?))
}
