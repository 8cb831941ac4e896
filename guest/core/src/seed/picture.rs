//! What of a task is stored, level by level, as a small picture: for people, before and after a run.
//!
//! A picture spans the area of the task. It has as many cells as there are meta tiles, but no more than [`MOST`] in a row
//! or column; where a cell stands for many meta tiles, some of them that belong to the area are looked at. What lies
//! inside or outside the area is found in large pieces, so a picture takes about the same time whatever the level.

use std::ops::Range;

use super::walk::{Frame, Touch};
use super::{Failure, Options, Seeder, Walk, Walked};
use crate::cache::TileManager;

/// Cells in a row or column.
const MOST: u64 = 64;
/// Cells and meta tiles are looked at in halves, and so many halves of a cell, in each direction, get a look.
const HALVES: u64 = 2;
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
        let nothing = Picture {
            complete: true,
            ..Picture::default()
        };
        if task.empty || level >= grid.levels() {
            return Ok(nothing);
        }
        let levels = [level];
        let walked = Walked {
            grid,
            meta_size: manager.meta_size()?,
            levels: &levels,
            area: &task.coverages,
            skip_geoms: 0,
        };
        let walk = Walk::new(&walked);
        let Some(frame) = walk.around(level) else {
            return Ok(nothing);
        };
        let (columns, rows) = (frame.columns, frame.rows);
        let shape = shape(columns, rows);
        let mut painter = Painter {
            manager: &manager,
            walk: &walk,
            frame,
            shape,
            now: options.started,
            picture: Picture {
                columns: shape.0 as u32,
                cells: vec![Cell::Outside; (shape.0 * shape.1) as usize],
                complete: columns <= shape.0 * HALVES && rows <= shape.1 * HALVES,
                ..Picture::default()
            },
        };
        painter.paint(&Block::new(0..shape.0, 0..shape.1), Touch::Partly)?;
        Ok(painter.picture)
    }
}

/// Columns and rows of the cells for those of the meta tiles: in the same proportion.
fn shape(columns: u64, rows: u64) -> (u64, u64) {
    let longest = columns.max(rows).max(MOST);
    let cells = |length: u64| (u128::from(length) * u128::from(MOST) / u128::from(longest)) as u64;
    (cells(columns).max(1), cells(rows).max(1))
}

/// Neighbouring cells, or neighbouring meta tiles.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    columns: Range<u64>,
    rows: Range<u64>,
}

impl Block {
    fn new(columns: Range<u64>, rows: Range<u64>) -> Self {
        Self { columns, rows }
    }

    fn is_single(&self) -> bool {
        self.columns.end - self.columns.start <= 1 && self.rows.end - self.rows.start <= 1
    }

    /// Column and row in the middle.
    fn middle(&self) -> (u64, u64) {
        let middle = |range: &Range<u64>| range.start + (range.end - range.start) / 2;
        (middle(&self.columns), middle(&self.rows))
    }

    /// The block in four, or fewer where it is one wide or high.
    fn quarters(&self) -> Vec<Self> {
        let halves = |range: &Range<u64>| {
            let middle = range.start + (range.end - range.start).div_ceil(HALVES);
            [range.start..middle, middle..range.end]
        };
        let mut quarters = Vec::new();
        for rows in halves(&self.rows) {
            for columns in halves(&self.columns) {
                if !columns.is_empty() && !rows.is_empty() {
                    quarters.push(Self::new(columns, rows.clone()));
                }
            }
        }
        quarters
    }
}

struct Painter<'a> {
    manager: &'a TileManager,
    walk: &'a Walk<'a>,
    frame: Frame,
    /// columns and rows of the cells
    shape: (u64, u64),
    now: f64,
    picture: Picture,
}

impl Painter<'_> {
    /// Fills in these cells. `above`: how the block they are a part of lies to the area.
    fn paint(&mut self, cells: &Block, above: Touch) -> Result<(), Failure> {
        let metas = self.metas(cells);
        let touch = match above {
            Touch::Partly => self.touch(&metas),
            known => known,
        };
        if touch == Touch::Outside {
            return Ok(());
        }
        if !cells.is_single() {
            return cells
                .quarters()
                .iter()
                .try_for_each(|quarter| self.paint(quarter, touch));
        }
        let mut found = Found::default();
        for quarter in metas.quarters() {
            let sample = if touch == Touch::Inside {
                Some(quarter.middle())
            } else {
                self.some_of_area(&quarter)
            };
            if let Some((column, row)) = sample {
                found.add(&self.manager.stored_times(self.frame.at(column, row))?);
            }
        }
        self.picture.looked_at += found.looked_at;
        self.picture.stored += found.stored;
        let place = cells.rows.start * self.shape.0 + cells.columns.start;
        if let Some(cell) = self.picture.cells.get_mut(place as usize) {
            *cell = found.cell(self.now);
        }
        Ok(())
    }

    /// The meta tiles that cells stand for.
    fn metas(&self, cells: &Block) -> Block {
        let scaled = |range: &Range<u64>, cells: u64, metas: u64| {
            let scaled = |cell: u64| (u128::from(cell) * u128::from(metas) / u128::from(cells)) as u64;
            scaled(range.start)..scaled(range.end)
        };
        Block::new(
            scaled(&cells.columns, self.shape.0, self.frame.columns),
            scaled(&cells.rows, self.shape.1, self.frame.rows),
        )
    }

    fn touch(&self, metas: &Block) -> Touch {
        let corner = |column, row| self.walk.bbox(self.frame.at(column, row));
        let first = corner(metas.columns.start, metas.rows.start);
        let last = corner(metas.columns.end - 1, metas.rows.end - 1);
        self.walk.touch_box(first.union(&last))
    }

    /// A meta tile of the area, in the middle if that is one.
    fn some_of_area(&self, metas: &Block) -> Option<(u64, u64)> {
        let (column, row) = metas.middle();
        match self.touch(metas) {
            Touch::Outside => None,
            Touch::Partly
                if !metas.is_single()
                    && self.touch(&Block::new(column..column + 1, row..row + 1)) == Touch::Outside =>
            {
                metas.quarters().iter().find_map(|quarter| self.some_of_area(quarter))
            }
            Touch::Inside | Touch::Partly => Some((column, row)),
        }
    }
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
    fn cells_keep_the_proportion_of_the_area() {
        let check = |metas: (u64, u64), expect| assert_eq!(shape(metas.0, metas.1), expect, "{metas:?}");
        check((1, 1), (1, 1));
        check((64, 3), (64, 3));
        check((65, 33), (64, 32));
        check((1 << 40, 1 << 39), (64, 32));
        check((3, 100_000), (1, 64));
    }

    #[test]
    fn blocks_fall_apart_without_loss() {
        let block = Block::new(3..8, 1..2);
        assert_eq!(block.quarters(), [Block::new(3..6, 1..2), Block::new(6..8, 1..2)]);
        assert_eq!(block.middle(), (5, 1));
        assert_eq!(Block::new(0..2, 0..2).quarters().len(), 4);
        let single = Block::new(5..6, 7..8);
        assert!(single.is_single());
        assert_eq!(single.quarters(), [single]);
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
