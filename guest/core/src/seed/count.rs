//! How many tiles a task has, before it begins.
//!
//! What lies inside the area is counted by multiplying, what is on its edge by walking. Where the edge is too long to
//! walk, the last levels are extrapolated from those before them.

use super::{Failure, Seeder, Walk, Walked};
use crate::config::model::{SeedKind, SeedTask};
use crate::grid::TileGrid;

/// Meta tiles that are walked before the rest is extrapolated.
const WALKED: u64 = 20_000;

/// Numbers of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// level, meta tiles (requests to each source), tiles
    pub levels: Vec<(u32, u64, u64)>,
    /// counted, not extrapolated
    pub exact: bool,
}

impl Seeder {
    /// Counts a task; nothing for cleanups.
    pub fn estimate(&self, task: u32, skip_geoms: u32) -> Result<Estimate, Failure> {
        let task = self.usable(task)?;
        if task.empty || task.kind == SeedKind::Cleanup {
            return Ok(Estimate {
                levels: Vec::new(),
                exact: true,
            });
        }
        let manager = self.manager(&task)?;
        Ok(count(&task, manager.grid(), manager.meta_size()?, skip_geoms))
    }
}

fn count(task: &SeedTask, grid: &TileGrid, meta_size: (u32, u32), skip_geoms: u32) -> Estimate {
    let mut estimate = Estimate {
        levels: Vec::new(),
        exact: true,
    };
    let mut left = WALKED;
    for level in &task.levels {
        let (columns, rows) = grid.grid_size(*level);
        let size = (
            i64::from(meta_size.0).min(columns).max(1),
            i64::from(meta_size.1).min(rows).max(1),
        );
        let whole_metas = columns.unsigned_abs().div_ceil(size.0.unsigned_abs())
            * rows.unsigned_abs().div_ceil(size.1.unsigned_abs());
        let whole_tiles = columns.unsigned_abs().saturating_mul(rows.unsigned_abs());
        if task.coverages.is_empty() {
            estimate.levels.push((*level, whole_metas, whole_tiles));
            continue;
        }
        let counted = (left > 0)
            .then(|| walk_level(task, grid, meta_size, *level, skip_geoms, left))
            .flatten();
        let metas = if let Some((metas, looked_at)) = counted {
            left = left.saturating_sub(looked_at);
            metas
        } else {
            left = 0;
            estimate.exact = false;
            extrapolate(task, grid, estimate.levels.last(), *level, whole_metas)
        };
        let tiles = metas.saturating_mul((size.0 * size.1).unsigned_abs()).min(whole_tiles);
        estimate.levels.push((*level, metas, tiles));
    }
    estimate
}

/// Meta tiles of one level, and how many were looked at; `None` if there are more than `most`.
fn walk_level(
    task: &SeedTask,
    grid: &TileGrid,
    meta_size: (u32, u32),
    level: u32,
    skip_geoms: u32,
    most: u64,
) -> Option<(u64, u64)> {
    let levels = [level];
    // the last levels of the whole task, of which this may be one
    let behind = task.levels.iter().filter(|own| **own >= level).count();
    let walked = Walked {
        grid,
        meta_size,
        levels: &levels,
        area: &task.coverages,
        skip_geoms: if behind < skip_geoms as usize { 2 } else { 0 },
    };
    let mut walk = Walk::new(&walked);
    let mut metas = 0;
    while walk.next().is_some() {
        metas += 1;
        if metas > most {
            return None;
        }
    }
    Some((metas, metas))
}

/// The level before with the growth of the grid; with none before, the share of the grid's box.
fn extrapolate(task: &SeedTask, grid: &TileGrid, before: Option<&(u32, u64, u64)>, level: u32, whole: u64) -> u64 {
    if let Some((known, metas, _)) = before {
        let growth = grid.resolution(*known) / grid.resolution(level);
        return ((*metas as f64 * growth * growth).round() as u64).min(whole);
    }
    let area = |width: f64, height: f64| width.max(0.0) * height.max(0.0);
    let share: f64 = task
        .coverages
        .iter()
        .filter_map(|coverage| {
            let bbox = coverage.extent().bbox_in(grid.srs()).ok()?.intersection(&grid.bbox())?;
            Some(area(bbox.width(), bbox.height()) / area(grid.bbox().width(), grid.bbox().height()))
        })
        .sum();
    ((whole as f64 * share.min(1.0)).ceil() as u64).max(1)
}
