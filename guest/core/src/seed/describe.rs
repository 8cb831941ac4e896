//! Tasks in words.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{Options, Seeder};
use crate::config::model::{RefreshBefore, SeedKind, SeedTask};
use crate::config::{Kind, utc};
use crate::grid::TileGrid;

/// A task as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    pub kind: SeedKind,
    pub name: String,
    pub cache: String,
    pub grid: String,
    pub levels: Vec<u32>,
    /// one fact a line
    pub facts: Vec<String>,
    /// why it cannot be run
    pub unusable: Option<String>,
    /// the same for as long as cursors stay valid
    pub fingerprint: String,
}

impl Seeder {
    /// All tasks, in the order of `seed.yaml`; their places are their numbers.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        (0..)
            .map_while(|number| self.task(number))
            .map(|mut task| {
                let fingerprint = self.fingerprint(&task);
                if task.unusable.is_none() && !task.remove_all {
                    // a file whose age counts and that is not there would be the failure of every single piece
                    let moment = self.moment(task.before.as_ref(), &Options::default());
                    task.unusable = moment.err().map(|error| error.to_string());
                }
                info(task, fingerprint)
            })
            .collect()
    }

    /// Everything a walk depends on: the task but for its ages, the grid, the size of meta tiles.
    fn fingerprint(&self, task: &SeedTask) -> String {
        let meta_size = self.manager(task).ok().and_then(|manager| manager.meta_size().ok());
        let grid: Option<TileGrid> = self.compiled.get(Kind::Grid, &task.grid);
        let walk = (&task.levels, &task.coverages, grid, meta_size, &task.cache);
        let bytes = postcard::to_allocvec(&walk).expect("the types of the model have no unsized sequences");
        let digest = Sha256::digest(bytes);
        digest.iter().take(8).fold(String::new(), |mut text, byte| {
            // writing to a string cannot fail
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn info(task: SeedTask, fingerprint: String) -> TaskInfo {
    let mut facts = vec![format!("levels: {}", levels(&task.levels))];
    facts.push(if task.empty {
        "coverage: empty, there is nothing to do".to_owned()
    } else if task.coverage_names.is_empty() {
        "coverage: the whole grid".to_owned()
    } else {
        format!("coverage: {}", task.coverage_names.join(", "))
    });
    facts.push(match (task.kind, &task.before) {
        (SeedKind::Seed, None) => "tiles that are stored stay".to_owned(),
        (SeedKind::Seed, Some(before)) => format!("tiles are made again if they are {}", moment(before)),
        (SeedKind::Cleanup, _) if task.remove_all => "all tiles are removed".to_owned(),
        (SeedKind::Cleanup, None) => "tiles stored before this run are removed".to_owned(),
        (SeedKind::Cleanup, Some(before)) => format!("tiles are removed if they are {}", moment(before)),
    });
    TaskInfo {
        kind: task.kind,
        name: task.name,
        cache: task.cache,
        grid: task.grid,
        levels: task.levels,
        facts,
        unusable: task.unusable,
        fingerprint,
    }
}

/// `0-5, 7`
fn levels(levels: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for level in levels {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *level => *last = *level,
            _ => ranges.push((*level, *level)),
        }
    }
    let texts: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    texts.join(", ")
}

fn moment(before: &RefreshBefore) -> String {
    match before {
        RefreshBefore::Age(seconds) if *seconds == 0.0 => "older than the start of this run".to_owned(),
        RefreshBefore::Age(seconds) => format!("older than {}", age(*seconds)),
        RefreshBefore::Time(time) => format!("older than {}", utc(*time)),
        RefreshBefore::FileTime(path) => format!("older than the file `{path}`"),
    }
}

fn age(seconds: f64) -> String {
    let units = [(86_400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")];
    let fitting = units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && (seconds / unit).fract() == 0.0);
    match fitting {
        Some((unit, name)) => {
            let number = seconds / unit;
            format!("{number} {name}{}", if number > 1.0 { "s" } else { "" })
        }
        None => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_written_as_ranges() {
        let check = |list: &[u32], expect: &str| assert_eq!(levels(list), expect);
        check(&[0, 1, 2, 5, 7, 8], "0-2, 5, 7-8");
        check(&[4], "4");
        check(&[], "");
    }

    #[test]
    fn ages_take_the_largest_unit() {
        let check = |seconds, expect: &str| assert_eq!(age(seconds), expect);
        check(86_400.0, "1 day");
        check(7200.0, "2 hours");
        check(5400.0, "90 minutes");
        check(1.5, "1.5 seconds");
    }

    #[test]
    fn moments_can_be_read() {
        let check = |before, expect: &str| assert_eq!(moment(&before), expect);
        check(RefreshBefore::Age(604_800.0), "older than 7 days");
        check(RefreshBefore::Age(-0.0), "older than the start of this run");
        check(RefreshBefore::Time(1_287_664_500.0), "older than 2010-10-21T12:35:00Z");
        check(RefreshBefore::FileTime("/a".to_owned()), "older than the file `/a`");
    }
}
