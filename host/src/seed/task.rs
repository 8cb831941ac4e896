//! A task as the host sees it, and pieces that failed for good.

use crate::bindings::seeding::{self, TaskKind};

/// A task with its number.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) number: u32,
    pub(crate) info: seeding::Task,
}

impl Task {
    pub(crate) fn is_seed(&self) -> bool {
        self.info.kind == TaskKind::Seed
    }

    pub(crate) fn kind(&self) -> &'static str {
        if self.is_seed() { "seed" } else { "cleanup" }
    }

    /// For people.
    pub(crate) fn title(&self) -> String {
        format!(
            "{} {}: {} on {}",
            self.kind(),
            self.info.name,
            self.info.cache,
            self.info.grid
        )
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
    pub(crate) reason: String,
}

impl Failed {
    /// A line of the list of failed pieces: `id cache grid reason`, separated by tabs.
    pub(crate) fn line(&self) -> String {
        let flat = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        let fields = [&self.id, &self.cache, &self.grid, &self.reason].map(|field| flat(field));
        fields.join("\t")
    }
}

/// Pieces of a list that belong to a task: lines of [`Failed::line`], or ids alone, which belong to every task.
pub(crate) fn listed(text: &str, task: &Task) -> Vec<String> {
    let mut ids = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t').map(str::trim);
        let Some(id) = fields.next().filter(|id| !id.is_empty() && !id.starts_with('#')) else {
            continue;
        };
        let fits = |field: Option<&str>, own: &str| field.is_none_or(|field| field == own);
        let (cache, grid) = (fields.next(), fields.next());
        if fits(cache, &task.info.cache) && fits(grid, &task.info.grid) {
            ids.push(id.to_owned());
        }
    }
    ids
}

#[cfg(test)]
pub(super) fn fixture(cache: &str) -> Task {
    Task {
        number: 0,
        info: seeding::Task {
            kind: TaskKind::Seed,
            name: "name".to_owned(),
            cache: cache.to_owned(),
            grid: "grid".to_owned(),
            levels: vec![0],
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
        let failed = Failed {
            id: "3/1/2".to_owned(),
            cache: "osm".to_owned(),
            grid: "grid".to_owned(),
            reason: "status\t500\nbad".to_owned(),
        };
        let text = format!("# failed\n{}\n\n4/0/0\n5/0/0\tother\tgrid\t\n", failed.line());
        assert_eq!(listed(&text, &fixture("osm")), ["3/1/2", "4/0/0"]);
        assert_eq!(listed(&text, &fixture("other")), ["4/0/0", "5/0/0"]);
    }
}
