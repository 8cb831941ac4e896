//! What grids are like, for people: their settings as written, defaults marked.

use std::collections::BTreeMap;

use super::{Resolver, texts};
use crate::config::GridInfo;
use crate::config::yaml::{Node, Value};
use crate::grid::Origin;
use crate::srs::{BBox, python_float};

impl Resolver<'_, '_> {
    /// All grids that can be built, predefined ones included.
    pub(super) fn grid_infos(&mut self) -> Vec<GridInfo> {
        let mut used: Vec<String> = Vec::new();
        for entry in self.root.get("caches").map(Node::entries).unwrap_or_default() {
            let own = texts(&entry.value, "grids");
            used.extend(if own.is_empty() {
                vec!["GLOBAL_MERCATOR".to_owned()]
            } else {
                own
            });
        }
        let mut infos = Vec::new();
        let mut names = self.grid_names();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let at = self.names.grids.get(name).map_or(self.root.at, |entry| entry.key_at);
            let Some(grid) = self.grid(name, at) else { continue };
            let mut settings = BTreeMap::new();
            self.settings(name, &mut settings, 0);
            for (key, value) in [
                ("bbox", numbers(&grid.bbox())),
                ("origin", quoted(grid.origin().as_str())),
                ("srs", quoted(grid.srs().code())),
                ("tile_size", format!("[{}, {}]", grid.tile_size().0, grid.tile_size().1)),
            ] {
                if !settings.contains_key(key) {
                    settings.insert(format!("{key}*"), value);
                }
            }
            infos.push(GridInfo {
                name: name.to_owned(),
                used: used.iter().any(|own| own == name),
                settings: settings.into_iter().collect(),
                grid: (*grid).clone(),
            });
        }
        infos
    }

    /// Settings of a grid and those of what it is based on.
    fn settings(&mut self, name: &str, settings: &mut BTreeMap<String, String>, depth: usize) {
        let Some(entry) = self.names.grids.get(name).copied() else {
            if let Some(options) = crate::grid::TileGrid::predefined(name) {
                let origin = match options.origin {
                    Some(Origin::Ul) => "nw",
                    _ => "sw",
                };
                settings.entry("origin".to_owned()).or_insert_with(|| quoted(origin));
                if let Some(srs) = &options.srs {
                    settings.entry("srs".to_owned()).or_insert_with(|| quoted(srs.code()));
                }
            }
            return;
        };
        for setting in entry.value.entries() {
            if setting.key != "base" && !setting.value.is_null() {
                settings
                    .entry(setting.key.clone())
                    .or_insert_with(|| written(&setting.value));
            }
        }
        let base = entry.value.get("base").and_then(Node::as_text);
        if let Some(base) = base.filter(|_| depth < self.names.grids.len()) {
            self.settings(&base, settings, depth + 1);
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn numbers(bbox: &BBox) -> String {
    format!("[{}]", bbox.edges().map(python_float).join(", "))
}

/// A value as Python's `repr` has it.
fn written(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let items = entries
                .iter()
                .map(|entry| format!("{}: {}", quoted(&entry.key), written(&entry.value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        _ => node.as_text().unwrap_or_else(|| "None".to_owned()),
    }
}
