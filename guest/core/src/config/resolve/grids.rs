//! `grids`: options with those of the base, built (behaviour section 11).

use std::rc::Rc;

use super::{Resolver, bbox, number, pair, place, text};
use crate::config::yaml::{At, Node};
use crate::grid::{GridOptions, NamedRes, Origin, ResFactor, TileGrid};

/// Grids that exist without being configured.
pub(super) const PREDEFINED: [&str; 3] = ["GLOBAL_GEODETIC", "GLOBAL_MERCATOR", "GLOBAL_WEBMERCATOR"];

impl<'a> Resolver<'a, '_> {
    /// The grid of this name, built once. `named_at`: where it is named, for the message that there is none.
    pub(super) fn grid(&mut self, name: &str, named_at: At) -> Option<Rc<TileGrid>> {
        if let Some(grid) = self.grids.get(name) {
            return grid.clone();
        }
        let options = self.grid_options(name, named_at)?;
        let at = self.names.grids.get(name).map_or(named_at, |entry| entry.value.at);
        let grid = match options.build() {
            Ok(grid) => Some(Rc::new(grid)),
            Err(error) => {
                self.findings.error(at, format!("the grid cannot be built: {error}"));
                None
            }
        };
        self.grids.insert(name.to_owned(), grid.clone());
        grid
    }

    /// Names of all grids, for suggestions.
    pub(super) fn grid_names(&self) -> Vec<&'a str> {
        self.names.grids.keys().copied().chain(PREDEFINED).collect()
    }

    fn grid_options(&mut self, name: &str, named_at: At) -> Option<GridOptions> {
        let Some(entry) = self.names.grids.get(name).copied() else {
            let mut options = TileGrid::predefined(name);
            if let Some(options) = &mut options {
                self.grid_defaults(options);
            } else {
                let names = self.grid_names();
                self.findings
                    .error(named_at, format!("unknown grid `{name}`"))
                    .suggest(name, names);
            }
            return options;
        };
        if self.open_grids.iter().any(|open| open == name) {
            self.findings
                .error(named_at, format!("the grid `{name}` is based on itself"));
            return None;
        }
        let node = &entry.value;
        self.open_grids.push(name.to_owned());
        let options = self.own_options(name, node);
        self.open_grids.pop();
        options
    }

    fn own_options(&mut self, name: &str, node: &Node) -> Option<GridOptions> {
        let base = node.get("base").and_then(|base| Some((base.as_text()?, base.at)));
        let mut options = if let Some((base, at)) = base {
            self.grid_options(&base, at)?
        } else {
            let mut options = GridOptions::default();
            self.grid_defaults(&mut options);
            options
        };
        options.name = text(node, "name").unwrap_or_else(|| name.to_owned());
        if let Some(srs) = node.get("srs") {
            options.srs = Some(self.srs(srs)?);
        }
        if let Some(node) = node.get("bbox") {
            options.bbox = bbox(node);
        }
        if let Some(srs) = node.get("bbox_srs") {
            options.bbox_srs = Some(self.srs(srs)?);
        }
        if let Some(size) = node.get("tile_size").and_then(pair) {
            options.tile_size = Some(size);
        }
        if let Some(list) = node.get("res") {
            options.res = self.resolutions(list);
        }
        if let Some(factor) = node.get("res_factor") {
            options.res_factor = match factor.as_f64() {
                Some(factor) => Some(ResFactor::Number(factor)),
                None => Some(ResFactor::Sqrt2),
            };
        }
        options.num_levels = number(node, "num_levels")
            .map(|levels| levels as u32)
            .or(options.num_levels);
        options.min_res = number(node, "min_res").or(options.min_res);
        options.max_res = number(node, "max_res").or(options.max_res);
        options.stretch_factor = number(node, "stretch_factor").or(options.stretch_factor);
        options.max_shrink_factor = number(node, "max_shrink_factor").or(options.max_shrink_factor);
        if let Some(list) = node.get("threshold_res") {
            options.threshold_res = list.items().iter().filter_map(Node::as_f64).collect();
        }
        if let Some(other) = node.get("align_resolutions_with") {
            let grid = self.grid(&other.as_text()?, other.at)?;
            options.align_resolutions_with = Some(Box::new((*grid).clone()));
        }
        options.origin = text(node, "origin")
            .and_then(|origin| Origin::parse(&origin))
            .or(options.origin);
        if options.origin.is_none() {
            self.findings
                .warn(place(node, "origin"), format!("the grid `{name}` has no `origin`"))
                .expect("`ll` is used; say `origin: nw` or `origin: sw`");
        }
        Some(options)
    }

    fn grid_defaults(&self, options: &mut GridOptions) {
        options.tile_size = Some(self.globals.tile_size);
        options.stretch_factor = Some(self.globals.stretch_factor);
        options.max_shrink_factor = Some(self.globals.max_shrink_factor);
    }

    /// Numbers, or pairs of a name and a number.
    fn resolutions(&mut self, list: &Node) -> Option<Vec<NamedRes>> {
        let mut all = Vec::new();
        for item in list.items() {
            let entry = match (item.as_f64(), item.items()) {
                (Some(res), _) => Some(NamedRes { name: None, res }),
                (None, [name, res]) => name
                    .as_text()
                    .zip(res.as_f64())
                    .map(|(name, res)| NamedRes { name: Some(name), res }),
                _ => None,
            };
            if entry.is_none() {
                self.findings
                    .error(item.at, format!("{} where a resolution is needed", item.kind()))
                    .expect("expected a number, or `[name, number]`");
            }
            all.extend(entry);
        }
        (!all.is_empty()).then_some(all)
    }
}
