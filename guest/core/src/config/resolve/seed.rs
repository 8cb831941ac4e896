//! Tasks of a seed configuration (behaviour section 19; MapProxy: `seed/config.py`).

use std::rc::Rc;

use super::{BuiltCache, Resolver, flag, number, place, texts};
use crate::config::model::{SeedKind, SeedTask};
use crate::config::yaml::{Entry, Node};
use crate::coverage::Coverage;
use crate::grid::TileGrid;

/// The area of a task.
#[derive(Debug, Default)]
struct Area {
    coverages: Vec<Coverage>,
    names: Vec<String>,
    unusable: Option<String>,
    empty: bool,
}

impl<'a> Resolver<'a, '_> {
    /// The tasks in the order of the file, one for each cache and grid. Paths are relative to `directory`.
    pub(super) fn seed_tasks(&mut self, root: &'a Node, directory: &'a str) -> Vec<SeedTask> {
        let mut tasks = Vec::new();
        for (section, kind) in [("seeds", SeedKind::Seed), ("cleanups", SeedKind::Cleanup)] {
            for entry in root.get(section).map(Node::entries).unwrap_or_default() {
                if entry.value.is_map() {
                    self.tasks_of(root, directory, entry, kind, &mut tasks);
                }
            }
        }
        tasks
    }

    fn tasks_of(&mut self, root: &Node, directory: &'a str, entry: &Entry, kind: SeedKind, tasks: &mut Vec<SeedTask>) {
        let node = &entry.value;
        let key = match kind {
            SeedKind::Seed => "refresh_before",
            SeedKind::Cleanup => "remove_before",
        };
        let own_directory = std::mem::replace(&mut self.directory, directory);
        let area = self.task_area(root, node);
        let before = self.before(node, key);
        self.directory = own_directory;
        let remove_all = kind == SeedKind::Cleanup && flag(node, "remove_all").unwrap_or(false);
        let mut first_grids: Option<Vec<String>> = None;
        for item in node.get("caches").map(Node::one_or_more).unwrap_or_default() {
            let Some(name) = item.as_text() else { continue };
            let Some(cache) = self.task_cache(item, &name) else {
                continue;
            };
            if cache.cache.disable_storage {
                self.findings.error(
                    item.at,
                    format!("the cache `{name}` stores nothing (`disable_storage`)"),
                );
                continue;
            }
            let wanted = texts(node, "grids");
            if wanted.is_empty() {
                let same = first_grids.get_or_insert_with(|| cache.cache.grids.clone());
                if *same != cache.cache.grids {
                    self.findings
                        .error(
                            item.at,
                            format!("the cache `{name}` has other grids than the first one"),
                        )
                        .expect("name the `grids`, or make a task for each cache");
                    continue;
                }
            }
            self.check_grids(node, &name, &cache);
            for (grid_name, grid) in cache.cache.grids.iter().zip(&cache.grids) {
                if !wanted.is_empty() && !wanted.contains(grid_name) {
                    continue;
                }
                let levels = levels(node, grid);
                if levels.is_empty() {
                    self.findings
                        .warn(
                            place(
                                node,
                                if node.get("levels").is_some() {
                                    "levels"
                                } else {
                                    "resolutions"
                                },
                            ),
                            format!("the grid `{grid_name}` has none of these levels"),
                        )
                        .expect(format!("expected levels from 0 to {}", grid.levels().saturating_sub(1)));
                    continue;
                }
                // corners are transformed and compared in the grid's system, as in MapProxy
                let coverages: Result<Vec<_>, _> = area
                    .coverages
                    .iter()
                    .map(|area| area.transform_to(grid.srs()))
                    .collect();
                let (coverages, outside) = match coverages {
                    Ok(coverages) => (coverages, None),
                    Err(error) => (
                        Vec::new(),
                        Some(format!("the coverage cannot be used on this grid: {error}")),
                    ),
                };
                let task = SeedTask {
                    kind,
                    name: entry.key.clone(),
                    cache: name.clone(),
                    grid: grid_name.clone(),
                    levels,
                    coverages,
                    coverage_names: area.names.clone(),
                    before: before.clone(),
                    remove_all,
                    unusable: area
                        .unusable
                        .clone()
                        .or(outside)
                        .or_else(|| cache.cache.unsupported.clone()),
                    empty: area.empty,
                };
                push(tasks, task, cache.cache.upscale_tiles, cache.cache.downscale_tiles);
            }
        }
    }

    fn task_cache(&mut self, item: &Node, name: &str) -> Option<Rc<BuiltCache>> {
        if !self.has_cache(name) {
            let names: Vec<&str> = self.names.caches.keys().copied().collect();
            self.findings
                .error(item.at, format!("unknown cache `{name}`"))
                .expect("expected a name from `caches`")
                .suggest(name, names);
            return None;
        }
        let cache = self.cache(name, item.at);
        if cache.is_none() {
            self.findings
                .error(item.at, format!("the cache `{name}` cannot be used"));
        }
        cache
    }

    /// Every grid a task names has to be one of the cache's.
    fn check_grids(&mut self, node: &Node, name: &str, cache: &BuiltCache) {
        for item in node.get("grids").map(Node::items).unwrap_or_default() {
            let Some(grid) = item.as_text() else { continue };
            if !cache.cache.grids.contains(&grid) {
                let own: Vec<_> = cache.cache.grids.iter().map(|grid| format!("`{grid}`")).collect();
                self.findings
                    .error(item.at, format!("the cache `{name}` has no grid `{grid}`"))
                    .expect(format!("expected {}", own.join(", ")))
                    .suggest(&grid, cache.cache.grids.iter().map(String::as_str));
            }
        }
    }

    /// The coverage of this name; `None` with an error why.
    pub(super) fn named_area(&mut self, root: &Node, name: &str) -> Option<Coverage> {
        let entries = root.get("coverages").map(Node::entries).unwrap_or_default();
        let Some(entry) = entries.iter().find(|entry| entry.key == name) else {
            let known: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.key)).collect();
            self.findings
                .error(root.at, format!("unknown coverage `{name}`"))
                .expect(format!("expected one of {}", known.join(", ")))
                .suggest(name, entries.iter().map(|entry| entry.key.as_str()));
            return None;
        };
        match self.seed_area(&entry.value) {
            Ok(Some(coverage)) => Some(coverage),
            Ok(None) => {
                self.findings.error(entry.value.at, "the coverage holds no polygon");
                None
            }
            Err(reason) => {
                self.findings.error(entry.value.at, reason);
                None
            }
        }
    }

    fn task_area(&mut self, root: &Node, node: &Node) -> Area {
        let mut area = Area::default();
        let empty = Node {
            value: crate::config::yaml::Value::Null,
            at: root.at,
        };
        let known = root.get("coverages").unwrap_or(&empty);
        let items = node.get("coverages").map(Node::items).unwrap_or_default();
        for item in items {
            let Some(name) = item.as_text() else { continue };
            let Some(entry) = known.entry(&name) else {
                self.findings
                    .error(item.at, format!("unknown coverage `{name}`"))
                    .expect("expected a name from `coverages`")
                    .suggest(&name, known.entries().iter().map(|entry| entry.key.as_str()));
                continue;
            };
            match self.seed_area(&entry.value) {
                Ok(Some(coverage)) => area.coverages.push(coverage),
                Ok(None) => {}
                Err(reason) => area.unusable = Some(format!("coverage `{name}`: {reason}")),
            }
            area.names.push(name);
        }
        area.empty = !items.is_empty() && area.coverages.is_empty() && area.unusable.is_none();
        area
    }
}

/// Levels of a task that the grid has, ascending.
fn levels(node: &Node, grid: &TileGrid) -> Vec<u32> {
    let last = grid.levels().saturating_sub(1);
    let mut levels: Vec<u32> = if let Some(levels) = node.get("levels") {
        if levels.is_list() {
            let numbers = levels.items().iter().filter_map(Node::as_i64);
            numbers.filter_map(|level| u32::try_from(level).ok()).collect()
        } else {
            let end = |key| number(levels, key).map(|level| level.clamp(0.0, f64::from(u32::MAX)) as u32);
            (end("from").unwrap_or(0)..=end("to").unwrap_or(last).min(last)).collect()
        }
    } else if let Some(resolutions) = node.get("resolutions") {
        if resolutions.is_list() {
            let numbers = resolutions.items().iter().filter_map(Node::as_f64);
            numbers.map(|resolution| grid.closest_level(resolution)).collect()
        } else {
            let end = |key| number(resolutions, key).map(|resolution| grid.closest_level(resolution));
            (end("from").unwrap_or(0)..=end("to").unwrap_or(last)).collect()
        }
    } else {
        (0..=last).collect()
    };
    levels.retain(|level| *level <= last);
    levels.sort_unstable();
    levels.dedup();
    levels
}

/// Tiles of caches that are made of other levels need those first: a task for each level.
fn push(tasks: &mut Vec<SeedTask>, task: SeedTask, upscale: u32, downscale: u32) {
    if task.kind == SeedKind::Cleanup || (upscale == 0 && downscale == 0) {
        tasks.push(task);
        return;
    }
    let mut levels = task.levels.clone();
    if downscale > 0 {
        levels.reverse();
    }
    tasks.extend(levels.into_iter().map(|level| SeedTask {
        levels: vec![level],
        ..task.clone()
    }));
}
