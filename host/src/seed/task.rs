//! A task as the host sees it, and pieces that failed for good.

use std::collections::HashSet;
use std::fmt;

use crate::bindings::seeding::{self, TaskKind};

/// A task with its number.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) number: u32,
    /// for people, if it has no name of its own in a seed configuration
    pub(crate) label: Option<String>,
    pub(crate) info: seeding::Task,
}

impl Task {
    pub(crate) fn is_seed(&self) -> bool {
        self.info.kind == TaskKind::Seed
    }

    pub(crate) fn kind(&self) -> &'static str {
        if self.is_seed() { "seed" } else { "cleanup" }
    }

    /// Kind and name in the seed configuration; tasks of several caches or grids share it.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.kind(), self.info.name)
    }

    /// For people.
    pub(crate) fn title(&self) -> String {
        match &self.label {
            Some(label) => label.clone(),
            None => format!("{}: {} on {}", self.name(), self.info.cache, self.info.grid),
        }
    }

    /// Name in the progress file.
    pub(crate) fn key(&self) -> String {
        let info = &self.info;
        format!(
            "{} {} {} {} {}",
            self.kind(),
            info.name,
            info.cache,
            info.grid,
            info.fingerprint
        )
    }
}

/// A piece that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) id: String,
    pub(crate) cache: String,
    pub(crate) grid: String,
    /// kind and name
    pub(crate) task: String,
    pub(crate) reason: String,
}

impl Failed {
    pub(crate) fn new(task: &Task, id: String, reason: String) -> Self {
        Self {
            id,
            cache: task.info.cache.clone(),
            grid: task.info.grid.clone(),
            task: task.name(),
            reason,
        }
    }

    /// A line of the list of failed pieces: `id cache grid task reason`, separated by tabs.
    pub(crate) fn line(&self) -> String {
        let flat = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        let fields = [&self.id, &self.cache, &self.grid, &self.task, &self.reason].map(|field| flat(field));
        fields.join("\t")
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            cache,
            grid,
            reason,
            ..
        } = self;
        write!(f, "{id} of {cache} on {grid}: {reason}")
    }
}

/// A list of pieces: lines of [`Failed::line`], or fewer of its fields. A line with a task is for that one, a line without
/// for each seed that has such a tile.
#[derive(Debug, Default)]
pub(crate) struct PieceList {
    lines: Vec<Line>,
    /// cache, grid and id of those that were given out without their task
    given: HashSet<[String; 3]>,
}

#[derive(Debug)]
struct Line {
    /// from 1
    number: usize,
    text: String,
    id: String,
    cache: Option<String>,
    grid: Option<String>,
    task: Option<String>,
    fits_a_task: bool,
}

impl Line {
    /// Whether the task has this piece.
    fn fits(&self, task: &Task) -> bool {
        let is = |field: &Option<String>, own: &str| field.as_ref().is_none_or(|field| field == own);
        let by_task = match &self.task {
            Some(name) => *name == task.name(),
            None => task.is_seed() && level(&self.id).is_some_and(|level| task.info.levels.contains(&level)),
        };
        by_task && is(&self.cache, &task.info.cache) && is(&self.grid, &task.info.grid)
    }
}

/// Of `z/x/y`.
fn level(id: &str) -> Option<u32> {
    let numbers: Vec<u32> = id.split('/').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match numbers[..] {
        [level, _, _] => Some(level),
        _ => None,
    }
}

impl PieceList {
    /// Empty lines and those that begin with `#` do not count.
    ///
    /// # Errors
    /// What is wrong with a line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let mut fields = line.split('\t').map(|field| field.trim().to_owned());
            let Some(id) = fields.next().filter(|id| !id.is_empty() && !id.starts_with('#')) else {
                continue;
            };
            let mut field = || fields.next().filter(|field| !field.is_empty());
            let line = Line {
                number,
                text: line.to_owned(),
                id,
                cache: field(),
                grid: field(),
                task: field(),
                fits_a_task: false,
            };
            if line.task.is_none() && level(&line.id).is_none() {
                return Err(format!("line {number}: expected `z/x/y`, found `{}`", line.id));
            }
            lines.push(line);
        }
        Ok(Self {
            lines,
            given: HashSet::new(),
        })
    }

    /// The pieces of a task, in order, but for those that an earlier task has got.
    pub(crate) fn of(&mut self, task: &Task) -> Vec<String> {
        let mut ids = Vec::new();
        for line in &mut self.lines {
            if !line.fits(task) {
                continue;
            }
            line.fits_a_task = true;
            let key = [task.info.cache.clone(), task.info.grid.clone(), line.id.clone()];
            if !task.is_seed() || self.given.insert(key) {
                ids.push(line.id.clone());
            }
        }
        ids
    }

    /// Lines that were for no task so far, with their numbers.
    pub(crate) fn left(&self) -> Vec<(usize, &str)> {
        let left = self.lines.iter().filter(|line| !line.fits_a_task);
        left.map(|line| (line.number, line.text.as_str())).collect()
    }
}

#[cfg(test)]
pub(super) fn fixture(cache: &str) -> Task {
    Task {
        number: 0,
        label: None,
        info: seeding::Task {
            kind: TaskKind::Seed,
            name: "name".to_owned(),
            cache: cache.to_owned(),
            grid: "grid".to_owned(),
            levels: vec![0, 1, 2, 3],
            facts: Vec::new(),
            unusable: None,
            fingerprint: "00".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_pieces_are_found_again() {
        let (seed, other) = (fixture("osm"), fixture("other"));
        let mut cleanup = fixture("osm");
        cleanup.info.kind = TaskKind::Cleanup;
        let line = |task: &Task, id: &str| Failed::new(task, id.to_owned(), "status\t500\nbad".to_owned()).line();
        let text = format!(
            "# failed\n{}\n\n{}\n1/0/0\n2/0/0\tother\n9/0/0\n",
            line(&seed, "3/1/2"),
            line(&cleanup, "4"),
        );
        let mut list = PieceList::parse(&text).unwrap();
        assert_eq!(list.of(&seed), ["3/1/2", "1/0/0"]);
        assert_eq!(list.of(&cleanup), ["4"]);
        assert_eq!(list.of(&other), ["1/0/0", "2/0/0"]);
        assert_eq!(list.left(), [(7, "9/0/0")], "a level that no task has");

        let mut twin = fixture("osm");
        twin.info.name = "twin".to_owned();
        assert_eq!(list.of(&twin), Vec::<String>::new(), "the other one has made it");
    }

    #[test]
    fn other_files_are_no_lists() {
        for (text, error) in [
            ("1/2/3\nnonsense\n", "line 2: expected `z/x/y`, found `nonsense`"),
            ("1/2", "line 1: expected `z/x/y`, found `1/2`"),
            ("1/2/-3\tcache", "line 1: expected `z/x/y`, found `1/2/-3`"),
        ] {
            assert_eq!(PieceList::parse(text).unwrap_err(), error);
        }
    }
}
