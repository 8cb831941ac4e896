//! `caches` (behaviour sections 12 and 13).

use std::rc::Rc;

use super::extents::{merge_extents, merge_ranges};
use super::globals::{links, meta_size};
use super::images::rgba;
use super::sources::options_in_cache;
use super::{Access, BuiltCache, BuiltSource, Resolver, flag, number, place, text, texts};
use crate::config::model::{
    BandMerge, BandSource, Cache, CacheBackend, CacheSources, DirectFrom, DirectoryLayout, FileCache, LayerSource,
    MapExtent, RefreshBefore, SourceKind, Watermark,
};
use crate::config::yaml::{At, Node, Value};
use crate::grid::TileGrid;
use crate::image::{ImageFormat, ImageOptions, compatible_options};

/// Something a cache is made from.
enum Part {
    Source(Rc<BuiltSource>),
    Cache(Rc<BuiltCache>),
}

impl Part {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Source(a), Self::Source(b)) => Rc::ptr_eq(a, b),
            (Self::Cache(a), Self::Cache(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Resolver<'_, '_> {
    pub(super) fn has_cache(&self, name: &str) -> bool {
        self.names.caches.contains_key(name)
    }

    /// The cache of this name, built once. `None`: there is none (not reported here), or it is broken (reported).
    pub(super) fn cache(&mut self, name: &str, named_at: At) -> Option<Rc<BuiltCache>> {
        if let Some(cache) = self.caches.get(name) {
            return cache.clone();
        }
        let entry = *self.names.caches.get(name)?;
        if self.open_caches.iter().any(|open| open == name) {
            let circle = self.open_caches.join("` → `");
            self.findings
                .error(named_at, format!("the cache `{name}` is made from itself"))
                .expect(format!("`{circle}` → `{name}`"));
            return None;
        }
        self.open_caches.push(name.to_owned());
        let cache = self.build_cache(name, &entry.value).map(Rc::new);
        self.open_caches.pop();
        self.caches.insert(name.to_owned(), cache.clone());
        cache
    }

    fn build_cache(&mut self, name: &str, node: &Node) -> Option<BuiltCache> {
        let grids = self.cache_grids(node);
        let empty = Node {
            value: Value::Null,
            at: node.at,
        };
        let store = node.get("cache").unwrap_or(&empty);
        let limit = self.coverage(store);
        let sources = self.cache_sources(node);
        // both are looked at before giving up, so that all mistakes are told
        let (grids, (sources, parts)) = (grids?, sources?);

        let format_name = text(node, "format").unwrap_or_else(|| "image/png".to_owned());
        self.check_format(&format_name, place(node, "format"));
        let request_name = text(node, "request_format");
        let request_format = self.request_format(request_name.as_deref().unwrap_or(&format_name));
        if format_name == "mixed" && !matches!(request_name.as_deref(), Some("image/png" | "image/vnd.jpeg-png")) {
            self.findings
                .error(
                    place(node, "format"),
                    "`format: mixed` needs a `request_format` with transparency",
                )
                .expect("expected `request_format: image/png` or `image/vnd.jpeg-png`");
        }
        let own_image = self.image_options(node.get("image"), Some(&format_name));
        let image = Self::cache_image(&own_image, &request_format, &parts);
        let format = image.format.clone().unwrap_or(ImageFormat::PNG);

        let wanted_size = meta_size(node, self.findings).unwrap_or(self.globals.meta_size);
        let wanted_buffer =
            number(node, "meta_buffer").map_or(self.globals.meta_buffer, |buffer| buffer.max(0.0) as u32);
        let bulk = flag(node, "bulk_meta_tiles").unwrap_or(self.globals.bulk_meta_tiles);
        self.check_meta(node, &parts, wanted_size != (1, 1) || wanted_buffer > 0);
        let all_tiles = !parts.is_empty()
            && parts
                .iter()
                .all(|part| matches!(part, Part::Source(source) if source.access == Access::Tiles));
        self.check_tile_grids(node, &parts, &grids);

        let (backend, backend_problem) = self.backend(name, node, store, &grids, &format);
        let tile_lock_dir = text(store, "tile_lock_dir")
            .map(|path| self.path(&path))
            .or_else(|| self.globals.tile_lock_dir.clone())
            .unwrap_or_else(|| {
                let directory = text(store, "directory").map(|path| self.path(&path));
                format!("{}/tile_locks", directory.unwrap_or_else(|| self.cache_dir(node)))
            });
        if !flag(node, "disable_storage").unwrap_or(false) {
            self.needs.directory(&tile_lock_dir, true);
        }
        let (coverage, coverage_problem) = match limit {
            Ok(coverage) => (coverage, None),
            Err(message) => (None, Some(message)),
        };
        let (upscale, downscale) = (
            number(node, "upscale_tiles").unwrap_or(0.0),
            number(node, "downscale_tiles").unwrap_or(0.0),
        );
        if upscale > 0.0 && downscale > 0.0 {
            self.findings.error(
                place(node, "downscale_tiles"),
                "`upscale_tiles` and `downscale_tiles` exclude one another",
            );
        }
        let own_extent = coverage.as_ref().map(crate::coverage::Coverage::extent);
        let extents: Vec<Option<MapExtent>> = grids
            .iter()
            .map(|grid| own_extent.clone().or_else(|| parts_extent(&parts, grid)))
            .collect();
        let unsupported = backend_problem.or(coverage_problem);
        let cache = Cache {
            name: name.to_owned(),
            grids: Self::grid_keys(node),
            sources,
            backend,
            format,
            request_format,
            meta_size: wanted_size,
            meta_buffer: if bulk && all_tiles { 0 } else { wanted_buffer },
            bulk_meta_tiles: bulk && all_tiles,
            minimize_meta_requests: flag(node, "minimize_meta_requests").unwrap_or(self.globals.minimize_meta_requests),
            concurrent_tile_creators: number(node, "concurrent_tile_creators")
                .map_or(self.globals.concurrent_tile_creators, |number| number.max(1.0) as u32),
            disable_storage: flag(node, "disable_storage").unwrap_or(false),
            use_direct_from: Self::direct_from(node),
            link_single_color_images: links(node).unwrap_or(self.globals.links),
            upscale_tiles: upscale.max(0.0) as u32,
            downscale_tiles: downscale.max(0.0) as u32,
            cache_rescaled_tiles: flag(node, "cache_rescaled_tiles").unwrap_or(false),
            refresh_before: self.before(node, "refresh_before"),
            watermark: watermark(node),
            image,
            coverage,
            tile_lock_dir,
            lock_timeout_s: self.globals.client_timeout_s,
            extents: extents.clone(),
            max_tile_limit: self.globals.max_tile_limit,
            unsupported,
        };
        Some(BuiltCache {
            own_image,
            extents: extents
                .into_iter()
                .zip(&grids)
                .map(|(extent, grid)| extent.unwrap_or_else(|| MapExtent::new(grid.bbox(), grid.srs().clone())))
                .collect(),
            featureinfo: parts.iter().any(|part| match part {
                Part::Source(source) => source.featureinfo,
                Part::Cache(cache) => cache.featureinfo,
            }),
            legend: parts.iter().any(|part| match part {
                Part::Source(source) => source.legend,
                Part::Cache(cache) => cache.legend,
            }),
            res_range: merge_ranges(parts.iter().map(|part| match part {
                Part::Source(source) => source.source.res_range,
                Part::Cache(cache) => cache.res_range,
            })),
            grids,
            cache,
        })
    }

    fn grid_keys(node: &Node) -> Vec<String> {
        let names = texts(node, "grids");
        if names.is_empty() {
            vec!["GLOBAL_MERCATOR".to_owned()]
        } else {
            names
        }
    }

    fn cache_grids(&mut self, node: &Node) -> Option<Vec<Rc<TileGrid>>> {
        let named: Vec<(String, At)> = node
            .get("grids")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| Some((item.as_text()?, item.at)))
            .collect();
        let named = if named.is_empty() {
            vec![("GLOBAL_MERCATOR".to_owned(), node.at)]
        } else {
            named
        };
        let grids: Vec<_> = named.iter().map(|(name, at)| self.grid(name, *at)).collect();
        grids.into_iter().collect()
    }

    fn cache_sources(&mut self, node: &Node) -> Option<(CacheSources, Vec<Part>)> {
        let Some(sources) = node.get("sources") else {
            return Some((CacheSources::Layers(Vec::new()), Vec::new()));
        };
        let mut parts = Vec::new();
        if sources.is_list() {
            let mut layers = Vec::new();
            let mut complete = true;
            for item in sources.items() {
                let Some(name) = item.as_text() else { continue };
                match self.part(&name, item.at) {
                    Some((layer, part)) => {
                        layers.push(layer);
                        parts.push(part);
                    }
                    None => complete = false,
                }
            }
            return complete.then_some((CacheSources::Layers(layers), parts));
        }
        let mut merge = BandMerge::default();
        for entry in sources.entries() {
            let mut band = Vec::new();
            for item in entry.value.items() {
                let Some(name) = item.get("source") else { continue };
                let (source, part) = self.part(&name.as_text()?, name.at)?;
                band.push(BandSource {
                    source,
                    band: number(item, "band").unwrap_or(0.0).clamp(0.0, 255.0) as u8,
                    factor: number(item, "factor").unwrap_or(1.0),
                });
                // a source counts once, however many of its bands are used
                if !parts.iter().any(|known: &Part| known.is(&part)) {
                    parts.push(part);
                }
            }
            if let Some(target) = entry.key.chars().next() {
                merge.bands.push((target, band));
            }
        }
        Some((CacheSources::Bands(merge), parts))
    }

    /// A source or, where there is no source of the name, a cache.
    fn part(&mut self, name: &str, at: At) -> Option<(LayerSource, Part)> {
        if self.has_source(name) {
            let source = self.source(name, at)?;
            return Some((LayerSource::Source(name.to_owned()), Part::Source(source)));
        }
        if self.has_cache(name) {
            let cache = self.cache(name, at)?;
            return Some((LayerSource::Cache(name.to_owned()), Part::Cache(cache)));
        }
        self.unknown_source(name, at);
        None
    }

    /// Reports a name that is neither a source nor a cache.
    pub(super) fn unknown_source(&mut self, name: &str, at: At) {
        let known: Vec<&str> = self
            .names
            .sources
            .keys()
            .chain(self.names.caches.keys())
            .copied()
            .collect();
        self.findings
            .error(at, format!("unknown source `{name}`"))
            .expect("expected a name from `sources` or `caches`")
            .suggest(name, known);
    }

    fn cache_image(base: &ImageOptions, request_format: &ImageFormat, parts: &[Part]) -> ImageOptions {
        let dummy = || ImageOptions {
            transparent: Some(true),
            ..ImageOptions::default()
        };
        let asked = request_format.name().starts_with("image/").then_some(request_format);
        let mut sources: Vec<ImageOptions> = parts
            .iter()
            .map(|part| match part {
                Part::Source(source) if !source.draws || source.source.seed_only => dummy(),
                Part::Source(source) => options_in_cache(&source.source, asked),
                Part::Cache(cache) => cache.own_image.clone(),
            })
            .collect();
        if sources.is_empty() {
            sources.push(dummy());
        }
        let mut base = base.clone();
        base.format.get_or_insert(ImageFormat::PNG);
        let mut options = compatible_options(&sources, Some(&base));
        options.colors.get_or_insert(0);
        options
    }

    /// Meta tiles need sources that draw boxes of any size: all of the cache's, or none.
    fn check_meta(&mut self, node: &Node, parts: &[Part], wanted: bool) {
        let draws_meta = |part: &Part| match part {
            Part::Source(source) => source.access == Access::Maps,
            Part::Cache(_) => true,
        };
        if wanted && parts.iter().any(draws_meta) && !parts.iter().all(draws_meta) {
            self.findings
                .error(
                    place(node, "sources"),
                    "the cache asks for meta tiles, which not all of its sources can draw",
                )
                .expect(
                    "set `meta_size: [1, 1]` and `meta_buffer: 0`, or put a cache of its own before the tile source",
                );
        }
    }

    /// A tile source fits the cache's grid only if a tile of one is a tile of the other.
    fn check_tile_grids(&mut self, node: &Node, parts: &[Part], grids: &[Rc<TileGrid>]) {
        for part in parts {
            let Part::Source(source) = part else { continue };
            let SourceKind::Tile(tile) = &source.source.kind else {
                continue;
            };
            let Some(Some(own)) = self.grids.get(&tile.grid).cloned() else {
                continue;
            };
            for grid in grids {
                let problem = if grid.srs() != own.srs() {
                    Some("reference system")
                } else if grid.tile_size() != own.tile_size() {
                    Some("tile size")
                } else {
                    None
                };
                if let Some(what) = problem {
                    self.findings
                        .warn(place(node, "grids"), format!("the grid `{}` has another {what} than the grid `{}` of the tile source `{}`", grid.name(), own.name(), source.source.name))
                        .expect("no tile of it can be made; make a cache with the grid of the source, and use that cache as the source of this one");
                }
            }
        }
    }

    fn cache_dir(&self, node: &Node) -> String {
        text(node, "cache_dir").map_or_else(|| self.globals.base_dir.clone(), |path| self.path(&path))
    }

    /// The store, and why it cannot be used.
    fn backend(
        &mut self,
        name: &str,
        node: &Node,
        store: &Node,
        grids: &[Rc<TileGrid>],
        format: &ImageFormat,
    ) -> (CacheBackend, Option<String>) {
        let kind = text(store, "type").unwrap_or_else(|| "file".to_owned());
        if kind != "file" {
            let message = format!("not supported yet: cache type `{kind}`");
            if !BACKENDS.contains(&kind.as_str()) {
                return (CacheBackend::Unsupported { kind }, Some(message)); // reported by the check of the keys
            }
            if flag(node, "disable_storage").unwrap_or(false) {
                return (CacheBackend::Unsupported { kind }, None); // nothing is stored, wherever that would be
            }
            self.findings
                .warn(place(store, "type"), message.clone())
                .expect("layers that need it answer this message");
            return (CacheBackend::Unsupported { kind }, Some(message));
        }
        let directory = text(store, "directory").map(|path| self.path(&path));
        if directory.is_some() && grids.len() > 1 {
            self.findings
                .error(place(store, "directory"), "`directory` is for caches with one grid")
                .expect("leave `directory` away, or make a cache for each grid");
        }
        let cache_dir = self.cache_dir(node);
        let by_grid_name = flag(store, "use_grid_names").unwrap_or(false);
        let directories: Vec<String> = grids
            .iter()
            .map(|grid| match &directory {
                Some(directory) => directory.clone(),
                None if by_grid_name => format!("{cache_dir}/{name}/{}", grid.name()),
                None => format!("{cache_dir}/{name}_{}", srs_path(grid)),
            })
            .collect();
        if !flag(node, "disable_storage").unwrap_or(false) {
            for directory in &directories {
                self.needs.directory(directory, true);
            }
        }
        let global = |key: &str, global: &Option<Node>| store.get(key).cloned().or_else(|| global.clone());
        let directory_permissions = global("directory_permissions", &self.globals.directory_permissions);
        let file_permissions = global("file_permissions", &self.globals.file_permissions);
        for permissions in [&directory_permissions, &file_permissions].into_iter().flatten() {
            self.findings
                .warn(
                    permissions.at,
                    "permissions have no effect: a component cannot set them",
                )
                .expect("files and directories get those of the umask of the host");
        }
        let file = FileCache {
            directories,
            layout: match text(store, "directory_layout").as_deref() {
                Some("mp") => DirectoryLayout::Mp,
                Some("tms") => DirectoryLayout::Tms,
                Some("reverse_tms") => DirectoryLayout::ReverseTms,
                Some("quadkey") => DirectoryLayout::Quadkey,
                Some("arcgis") => DirectoryLayout::Arcgis,
                _ => DirectoryLayout::Tc,
            },
            extension: format.ext().to_owned(),
            directory_permissions: self.permissions(directory_permissions.as_ref()),
            file_permissions: self.permissions(file_permissions.as_ref()),
        };
        (CacheBackend::File(file), None)
    }

    /// Octal digits, quoted or not.
    fn permissions(&mut self, node: Option<&Node>) -> Option<u32> {
        let node = node?;
        let digits = node.as_text()?;
        let mode = u32::from_str_radix(digits.trim_start_matches("0o"), 8)
            .ok()
            .filter(|mode| *mode <= 0o7777);
        if mode.is_none() {
            self.findings
                .error(node.at, format!("`{digits}` are no permissions"))
                .expect("expected an octal number such as `'755'`");
        }
        mode
    }

    fn direct_from(node: &Node) -> Option<DirectFrom> {
        if let Some(level) = number(node, "use_direct_from_level") {
            return Some(DirectFrom::Level(level.max(0.0) as u32));
        }
        number(node, "use_direct_from_res").map(DirectFrom::Res)
    }

    /// A moment: `refresh_before`, `remove_before`.
    pub(super) fn before(&mut self, node: &Node, key: &str) -> Option<RefreshBefore> {
        let refresh = node.get(key)?;
        if let Some(time) = refresh.get("time") {
            let written = time.as_text()?;
            let seconds = super::dimensions::unix_time(&written);
            if seconds.is_none() {
                self.findings
                    .error(time.at, format!("`{written}` is no time"))
                    .expect("expected a time such as `2010-10-21T12:35:00`");
            }
            if seconds.is_some() {
                self.findings
                    .warn(
                        time.at,
                        "the time is read as UTC, where MapProxy takes it for local time",
                    )
                    .expect("a component does not know the time zone");
            }
            return seconds.map(RefreshBefore::Time);
        }
        if let Some(path) = text(refresh, "mtime") {
            let path = self.path(&path);
            self.needs.directory(crate::config::load::directory_of(&path), false);
            return Some(RefreshBefore::FileTime(path));
        }
        let units = [
            ("seconds", 1.0),
            ("minutes", 60.0),
            ("hours", 3600.0),
            ("days", 86_400.0),
            ("weeks", 604_800.0),
        ];
        Some(RefreshBefore::Age(
            units
                .iter()
                .filter_map(|(unit, seconds)| Some(number(refresh, unit)? * seconds))
                .sum(),
        ))
    }
}

/// Types that are known and come later.
const BACKENDS: [&str; 8] = [
    "mbtiles",
    "sqlite",
    "geopackage",
    "couchdb",
    "redis",
    "s3",
    "azureblob",
    "compact",
];

/// What the sources cover of this grid; `None`: all of it.
fn parts_extent(parts: &[Part], grid: &TileGrid) -> Option<MapExtent> {
    let whole = MapExtent::new(grid.bbox(), grid.srs().clone());
    merge_extents(parts.iter().map(|part| match part {
        Part::Source(source) => source.extent.clone(),
        Part::Cache(cache) => cache.extents.first().and_then(|extent| extent.within(&whole)),
    }))
}

/// `EPSG900913`
pub(super) fn srs_path(grid: &TileGrid) -> String {
    grid.srs().code().replace(':', "")
}

fn watermark(node: &Node) -> Option<Watermark> {
    let watermark = node.get("watermark")?;
    Some(Watermark {
        text: text(watermark, "text")?,
        font_size: number(watermark, "font_size").unwrap_or(24.0).clamp(1.0, 1000.0) as u32,
        color: watermark
            .get("color")
            .and_then(rgba)
            .map_or([128; 3], |[r, g, b, _]| [r, g, b]),
        opacity: number(watermark, "opacity").unwrap_or(30.0).clamp(0.0, 255.0) as u8,
        wide: text(watermark, "spacing").as_deref() == Some("wide"),
    })
}
