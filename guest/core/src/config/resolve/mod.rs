//! From a checked tree to the model: references followed, defaults filled in, grids and coverages built.
//!
//! MapProxy builds what the layers need and never looks at the rest, so mistakes in parts that nothing uses are warnings
//! here. One file for each kind of thing; [`Resolver`] remembers what is built already.

mod caches;
mod coverages;
mod dimensions;
mod extents;
mod globals;
mod grid_infos;
mod grids;
mod images;
mod layers;
mod metadata;
mod needs;
mod seed;
mod services;
mod sources;

use std::collections::HashMap;
use std::rc::Rc;

use super::compiled::{CompiledBuilder, Kind};
use super::findings::Findings;
use super::load::{Inputs, join_path};
use super::model::{Cache, MapExtent, Source};
use super::yaml::{At, Entry, Node};
use super::{Directory, Origin};
use crate::grid::TileGrid;
use crate::image::ImageOptions;
use crate::srs::Srs;
pub use dimensions::utc;
use globals::Globals;
use needs::Needs;

/// The compiled configuration before it is closed, and what it needs.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) builder: CompiledBuilder,
    pub(super) directories: Vec<Directory>,
    pub(super) origins: Vec<Origin>,
}

/// Resolves everything. `seed`: a seed configuration and the directory its paths are relative to. `None` if nothing useful came out (problems tell why) or files are missing.
pub(super) fn resolve(
    root: &Node,
    directory: &str,
    seed: Option<(&Node, &str)>,
    inputs: &mut Inputs<'_>,
    findings: &mut Findings,
) -> Option<Resolved> {
    let mut resolver = Resolver::new(root, directory, seed.is_some(), inputs, findings);
    let layers = resolver.layers();
    let services = resolver.services();
    let tasks = seed.map(|(seed, directory)| resolver.seed_tasks(seed, directory));
    resolver.unused();
    if !resolver.inputs.missing.is_empty() {
        return None;
    }
    let Resolver {
        globals,
        grids,
        sources,
        caches,
        mut needs,
        ..
    } = resolver;
    let application = globals.application(&services);
    if needs.writes() {
        needs.directory(&application.base_dir, true);
        needs.directory(&application.lock_dir, true);
    }

    let mut builder = CompiledBuilder::new();
    builder.add(Kind::Application, "", &application);
    services.write(&mut builder);
    layers.write(&mut builder);
    for (name, grid) in &grids {
        if let Some(grid) = grid {
            builder.add(Kind::Grid, name, &**grid);
        }
    }
    for (key, source) in &sources {
        builder.add(Kind::Source, key, &source.source);
    }
    for (name, cache) in &caches {
        if let Some(cache) = cache {
            builder.add(Kind::Cache, name, &cache.cache);
        }
    }
    for (number, task) in tasks.into_iter().flatten().enumerate() {
        builder.add(Kind::SeedTask, &number.to_string(), &task);
    }
    Some(Resolved {
        builder,
        directories: needs.directories(),
        origins: needs.origins(),
    })
}

/// All grids of a configuration, see [`GridInfo`](super::GridInfo).
pub(super) fn grid_infos(
    root: &Node,
    directory: &str,
    inputs: &mut Inputs<'_>,
    findings: &mut Findings,
) -> Vec<super::GridInfo> {
    Resolver::new(root, directory, false, inputs, findings).grid_infos()
}

/// A coverage of a seed configuration, by its name.
pub(super) fn seed_coverage(
    root: &Node,
    directory: &str,
    name: &str,
    inputs: &mut Inputs<'_>,
    findings: &mut Findings,
) -> Option<crate::coverage::Coverage> {
    Resolver::new(root, directory, true, inputs, findings).named_area(root, name)
}

/// State while the configuration is resolved.
struct Resolver<'a, 'f> {
    root: &'a Node,
    /// of the main file; paths are relative to it
    directory: &'a str,
    inputs: &'a mut Inputs<'f>,
    findings: &'a mut Findings,
    globals: Globals,
    names: Names<'a>,
    /// by the name in `grids`; `None` if it cannot be built
    grids: HashMap<String, Option<Rc<TileGrid>>>,
    sources: HashMap<String, Rc<BuiltSource>>,
    caches: HashMap<String, Option<Rc<BuiltCache>>>,
    /// caches being built, to see circles
    open_caches: Vec<String>,
    open_grids: Vec<String>,
    needs: Needs,
    /// sources with `seed_only` are asked
    seeding: bool,
    /// an area without polygons is no mistake: nothing is done there
    empty_areas: bool,
}

/// A source with what the things above it have to know.
#[derive(Debug)]
struct BuiltSource {
    source: Source,
    /// `None`: the world
    extent: Option<MapExtent>,
    featureinfo: bool,
    legend: bool,
    /// it draws maps (no `map: false`)
    draws: bool,
    access: Access,
}

/// What a source can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// boxes of any size
    Maps,
    /// boxes of any size, but no meta tiles (`debug`)
    SingleTiles,
    /// tiles of its own grid only
    Tiles,
}

/// A cache with what the things above it have to know.
#[derive(Debug)]
struct BuiltCache {
    cache: Cache,
    grids: Vec<Rc<TileGrid>>,
    /// for each grid
    extents: Vec<MapExtent>,
    featureinfo: bool,
    legend: bool,
    res_range: Option<super::model::ResRange>,
    /// its own options, without what its sources add: what counts where it is the source of another cache
    own_image: ImageOptions,
}

/// What the sections name, for quick look-up. Later work on big files would be quadratic otherwise.
struct Names<'a> {
    grids: HashMap<&'a str, &'a Entry>,
    caches: HashMap<&'a str, &'a Entry>,
    sources: HashMap<&'a str, &'a Entry>,
}

impl<'a> Names<'a> {
    fn new(root: &'a Node) -> Self {
        let section = |name: &str| {
            root.get(name)
                .map(Node::entries)
                .unwrap_or_default()
                .iter()
                .map(|entry| (entry.key.as_str(), entry))
                .collect()
        };
        Self {
            grids: section("grids"),
            caches: section("caches"),
            sources: section("sources"),
        }
    }
}

impl<'a, 'f> Resolver<'a, 'f> {
    fn new(
        root: &'a Node,
        directory: &'a str,
        seeding: bool,
        inputs: &'a mut Inputs<'f>,
        findings: &'a mut Findings,
    ) -> Self {
        let globals = Globals::new(root, directory, findings);
        Self {
            root,
            directory,
            inputs,
            findings,
            globals,
            names: Names::new(root),
            grids: HashMap::new(),
            sources: HashMap::new(),
            caches: HashMap::new(),
            open_caches: Vec::new(),
            open_grids: Vec::new(),
            needs: Needs::default(),
            seeding,
            empty_areas: false,
        }
    }
}

impl Resolver<'_, '_> {
    /// A path of the configuration as an absolute one.
    fn path(&self, path: &str) -> String {
        join_path(self.directory, path)
    }

    /// A reference system; unknown ones are reported.
    fn srs(&mut self, node: &Node) -> Option<Srs> {
        let code = node.as_text()?;
        match Srs::new(&code) {
            Ok(srs) => Some(srs),
            Err(error) => {
                self.findings.error(node.at, error.to_string());
                None
            }
        }
    }

    /// A list of reference systems; unknown ones are reported.
    fn srs_list(&mut self, node: Option<&Node>) -> Vec<Srs> {
        node.map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| self.srs(item))
            .collect()
    }

    /// A file to be read now. `None`: asked for, or unreadable (the text says why).
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.inputs.read(path) {
            None => Ok(None),
            Some(Ok(content)) => Ok(Some(content.clone())),
            Some(Err(reason)) => Err(reason.clone()),
        }
    }

    /// Checks what no layer uses: mistakes there are warnings.
    fn unused(&mut self) {
        self.findings.set_lenient(true);
        let mut caches: Vec<_> = self.names.caches.values().copied().collect();
        caches.sort_by_key(|entry| entry.key_at);
        for entry in caches {
            self.cache(&entry.key, entry.key_at);
        }
        let mut sources: Vec<_> = self.names.sources.values().copied().collect();
        sources.sort_by_key(|entry| entry.key_at);
        for entry in sources {
            self.source(&entry.key, entry.key_at);
        }
        let mut grids: Vec<_> = self.names.grids.values().copied().collect();
        grids.sort_by_key(|entry| entry.key_at);
        for entry in grids {
            self.grid(&entry.key, entry.key_at);
        }
        self.findings.set_lenient(false);
    }
}

/// Two numbers as a size; negative and fractional ones are cut.
fn pair(node: &Node) -> Option<(u32, u32)> {
    let mut numbers = node.items().iter().map(Node::as_f64);
    Some((numbers.next()?? as u32, numbers.next()?? as u32))
}

/// Four numbers, as a list or as text with commas.
fn bbox(node: &Node) -> Option<crate::srs::BBox> {
    let numbers: Vec<f64> = match node.as_str() {
        Some(text) => text
            .split(',')
            .filter_map(|number| number.trim().parse().ok())
            .collect(),
        None => node.items().iter().filter_map(Node::as_f64).collect(),
    };
    match numbers.as_slice() {
        [minx, miny, maxx, maxy] => Some(crate::srs::BBox::new(*minx, *miny, *maxx, *maxy)),
        _ => None,
    }
}

/// Text of a key.
fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::as_text)
}

/// Boolean of a key.
fn flag(node: &Node, key: &str) -> Option<bool> {
    node.get(key).and_then(Node::as_bool)
}

/// Number of a key.
fn number(node: &Node, key: &str) -> Option<f64> {
    node.get(key).and_then(Node::as_f64)
}

/// Texts of a list.
fn texts(node: &Node, key: &str) -> Vec<String> {
    node.get(key)
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(Node::as_text)
        .collect()
}

/// Position of a key's value, or of the map if the key is not there.
fn place(node: &Node, key: &str) -> At {
    node.get(key).map_or(node.at, |value| value.at)
}
