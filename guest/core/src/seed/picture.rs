//! What of a task is stored, level by level, as a small picture: for people, before and after a run.
//!
//! A level has as many cells as meta tiles, but no more than [`MOST`] in a row or column; where a cell stands for many
//! meta tiles, some of them are looked at. So a picture takes the same time whatever the level.

use super::{Failure, Options, Seeder};
use crate::grid::{Origin, TileCoord};

/// Cells in a row or column.
const MOST: i64 = 64;
/// Meta tiles of a cell that are looked at, in each direction.
const SAMPLES: i64 = 2;
const DAY: f64 = 86_400.0;

/// A level of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Cells in a row.
    pub columns: u32,
    /// Row by row from the north, see [`Cell`].
    pub cells: Vec<Cell>,
    /// Tiles that were looked at, and those of them that are stored.
    pub looked_at: u64,
    pub stored: u64,
    /// Every tile was looked at.
    pub complete: bool,
}

/// What a part of a level is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// not of the task
    Outside,
    /// nothing is stored
    Missing,
    /// not everything that was looked at is stored
    Partly,
    /// everything is, and the oldest tile is of this age
    Day,
    Week,
    Month,
    Year,
    Older,
}

impl Seeder {
    /// A picture of one level of a task.
    pub fn picture(&self, task: u32, options: &Options, level: u32) -> Result<Picture, Failure> {
        let task = self.usable(task)?;
        let manager = self.manager(&task)?;
        let grid = manager.grid();
        if task.empty || level >= grid.levels() {
            return Ok(Picture {
                complete: true,
                ..Picture::default()
            });
        }
        let (columns, rows) = grid.grid_size(level);
        let meta = manager.meta_size()?;
        let size = (
            i64::from(meta.0).min(columns).max(1),
            i64::from(meta.1).min(rows).max(1),
        );
        let metas = (ceiling(columns, size.0), ceiling(rows, size.1));
        let shape = (metas.0.min(MOST), metas.1.min(MOST));
        let mut picture = Picture {
            columns: shape.0 as u32,
            complete: metas.0 <= shape.0 * SAMPLES && metas.1 <= shape.1 * SAMPLES,
            ..Picture::default()
        };
        for row in 0..shape.1 {
            // the northernmost row comes first
            let row = match grid.origin() {
                Origin::Ul => row,
                Origin::Ll => shape.1 - 1 - row,
            };
            for column in 0..shape.0 {
                let mut found = Found::default();
                for y in samples(row, shape.1, metas.1) {
                    for x in samples(column, shape.0, metas.0) {
                        let tile = TileCoord::new(x * size.0, y * size.1, level);
                        let last = TileCoord::new(
                            (tile.x + size.0).min(columns) - 1,
                            (tile.y + size.1).min(rows) - 1,
                            level,
                        );
                        let bbox = grid.tile_bbox(tile).union(&grid.tile_bbox(last));
                        let of_task = task.coverages.is_empty()
                            || task.coverages.iter().any(|area| area.intersects(bbox, grid.srs()));
                        if of_task {
                            found.add(&manager.stored_times(tile)?);
                        }
                    }
                }
                picture.looked_at += found.looked_at;
                picture.stored += found.stored;
                picture.cells.push(found.cell(options.started));
            }
        }
        Ok(picture)
    }
}

/// How many steps of `step` it takes to get to `length`.
fn ceiling(length: i64, step: i64) -> i64 {
    (length + step - 1) / step
}

/// Meta tiles of a cell: all, or some evenly spread.
fn samples(cell: i64, cells: i64, metas: i64) -> impl Iterator<Item = i64> {
    let (first, end) = (cell * metas / cells, (cell + 1) * metas / cells);
    let count = (end - first).clamp(1, SAMPLES);
    (0..count).map(move |sample| first + sample * (end - first) / count)
}

#[derive(Debug, Default)]
struct Found {
    looked_at: u64,
    stored: u64,
    oldest: Option<f64>,
}

impl Found {
    fn add(&mut self, times: &[Option<f64>]) {
        self.looked_at += times.len() as u64;
        for time in times.iter().flatten() {
            self.stored += 1;
            self.oldest = Some(self.oldest.map_or(*time, |oldest| oldest.min(*time)));
        }
    }

    fn cell(&self, now: f64) -> Cell {
        let Some(oldest) = self.oldest else {
            return if self.looked_at == 0 {
                Cell::Outside
            } else {
                Cell::Missing
            };
        };
        if self.stored < self.looked_at {
            return Cell::Partly;
        }
        match (now - oldest) / DAY {
            age if age < 1.0 => Cell::Day,
            age if age < 7.0 => Cell::Week,
            age if age < 30.0 => Cell::Month,
            age if age < 365.0 => Cell::Year,
            _ => Cell::Older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_the_cell() {
        let check = |cell, cells, metas, expect: &[i64]| {
            let samples: Vec<i64> = samples(cell, cells, metas).collect();
            assert_eq!(samples, expect, "{cell} of {cells}, {metas} meta tiles");
        };
        check(0, 1, 1, &[0]);
        check(1, 2, 2, &[1]);
        check(0, 64, 128, &[0, 1]);
        check(63, 64, 6400, &[6300, 6350]);
        check(2, 3, 4, &[2, 3]);
    }

    #[test]
    fn cells_have_the_age_of_their_oldest_tile() {
        let check = |ages: &[Option<f64>], expect: Cell| {
            let mut found = Found::default();
            let times: Vec<_> = ages.iter().map(|age| age.map(|age| 1e9 - age * DAY)).collect();
            found.add(&times);
            assert_eq!(found.cell(1e9), expect, "{ages:?}");
        };
        check(&[], Cell::Outside);
        check(&[None, None], Cell::Missing);
        check(&[Some(1.0), None], Cell::Partly);
        check(&[Some(0.0), Some(0.5)], Cell::Day);
        check(&[Some(0.0), Some(5.0)], Cell::Week);
        check(&[Some(400.0)], Cell::Older);
        check(&[Some(-1.0)], Cell::Day);
    }
}
