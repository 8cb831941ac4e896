//! `layers`: the tree, and the layers of the tile services (behaviour section 17).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::caches::srs_path;
use super::extents::{merge_extents, merge_ranges, world};
use super::{Access, BuiltCache, Resolver, dimensions, metadata, place, text};
use crate::config::compiled::{CompiledBuilder, Kind};
use crate::config::model::{
    Layer, LayerNode, LayerSource, LayerTree, MapExtent, ResRange, SourceKind, TileLayer, TileLayerKey,
};
use crate::config::yaml::{At, Node};
use crate::grid::Origin;
use crate::image::ImageFormat;

/// All layers.
#[derive(Debug, Default)]
pub(super) struct Layers {
    tree: LayerTree,
    /// with a segment of their own; later ones of the same key count
    segments: Vec<(String, Layer)>,
    tiles: Vec<TileLayer>,
}

/// A layer of the tree with what its group has to know.
struct Built {
    node: LayerNode,
    /// `None`: the world
    extent: Option<MapExtent>,
    /// keys of the segments that draw it, in drawing order
    drawn_by: Vec<String>,
}

impl Layers {
    pub(super) fn write(&self, builder: &mut CompiledBuilder) {
        self.tree.add_to(builder);
        for (key, layer) in &self.segments {
            builder.add(Kind::Layer, key, layer);
        }
        TileLayer::add_all_to(&self.tiles, builder);
        let mut index: HashMap<&str, Vec<TileLayerKey>> = HashMap::new();
        for tile in &self.tiles {
            index.entry(&tile.name).or_default().push(TileLayerKey {
                grid: tile.grid.clone(),
                srs_path: tile.srs_path.clone(),
            });
        }
        for (name, keys) in index {
            builder.add(Kind::TileLayerIndex, name, &keys);
        }
    }
}

impl Resolver<'_, '_> {
    pub(super) fn layers(&mut self) -> Layers {
        let mut layers = Layers::default();
        let mut names = HashSet::new();
        if let Some(node) = self.root.get("layers") {
            for (name, layer) in entries(node) {
                if let Some(built) = self.layer(name, layer, &mut layers, &mut names) {
                    layers.tree.roots.push(built.node);
                }
            }
        }
        let services = self.root.get("services");
        let wms = services.and_then(|services| services.entry("wms"));
        if layers.tree.roots.is_empty()
            && let Some(wms) = wms
        {
            let at = self.root.get("layers").map_or(wms.key_at, |layers| layers.at);
            self.findings
                .error(at, "there is no layer for the WMS")
                .expect("expected at least one layer with `sources`");
        }
        if services.is_some_and(|services| services.entry("wmts").is_some()) {
            self.check_wmts(&layers);
        }
        layers
    }

    /// A layer with those below it. `None`: the WMS does not show it (it draws nothing).
    fn layer(
        &mut self,
        name: Option<String>,
        node: &Node,
        layers: &mut Layers,
        names: &mut HashSet<String>,
    ) -> Option<Built> {
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            self.findings
                .warn(place(node, "name"), format!("there is another layer `{name}`"))
                .expect("the last one counts");
        }
        let children: Vec<Built> = node
            .get("layers")
            .map(entries)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, child)| self.layer(name, child, layers, names))
            .collect();
        let sources = self.layer_sources(node);
        let has_sources = node.get("sources").is_some();
        let own_range = self.res_range(node);
        let legendurl = text(node, "legendurl");
        if let Some(url) = &legendurl {
            self.legend_needs(url, place(node, "legendurl"), node);
        }
        let extent = merge_extents(
            sources
                .iter()
                .map(|source| source.extent.clone())
                .chain(children.iter().map(|child| child.extent.clone())),
        );
        let res_range = if has_sources {
            own_range.or_else(|| {
                merge_ranges(
                    sources
                        .iter()
                        .filter(|source| source.draws)
                        .map(|source| source.res_range),
                )
            })
        } else {
            merge_ranges(children.iter().map(|child| child.node.layer.res_range))
        };
        let layer = Layer {
            title: text(node, "title").or_else(|| name.clone()).unwrap_or_default(),
            sources: sources.iter().map(|source| source.layer.clone()).collect(),
            children: children
                .iter()
                .flat_map(|child| child.drawn_by.iter().cloned())
                .collect(),
            tile_sources: self.tile_sources(node, &sources),
            res_range,
            extent: extent.clone().unwrap_or_else(world),
            queryable: sources.iter().any(|source| source.featureinfo)
                || children.iter().any(|child| child.node.layer.queryable),
            has_legend: legendurl.is_some()
                || sources.iter().any(|source| source.legend)
                || children.iter().any(|child| child.node.layer.has_legend),
            legendurl,
            wmts_kvp_legendurl: text(node, "wmts_kvp_legendurl"),
            wmts_rest_legendurl: text(node, "wmts_rest_legendurl"),
            dimensions: dimensions::dimensions(node, self.findings),
            md: node.get("md").map(metadata::layer),
            name,
        };
        self.tile_layers(&layer, layers);
        if !has_sources && children.is_empty() {
            if layer.tile_sources.is_empty() {
                self.findings
                    .warn(node.at, "the layer draws nothing")
                    .expect("expected `sources`, `tile_sources` or `layers`");
            }
            return None;
        }
        // a layer without a name may draw as a part of its group: it gets a key no request can name
        let key = layer
            .name
            .clone()
            .unwrap_or_else(|| format!("\0{}", layers.segments.len()));
        let drawn_by = if has_sources {
            vec![key.clone()]
        } else {
            layer.children.clone()
        };
        if layer.name.is_some() || has_sources {
            layers.segments.push((key, layer.clone()));
        }
        let node = LayerNode {
            layer,
            children: children.into_iter().map(|child| child.node).collect(),
        };
        Some(Built { node, extent, drawn_by })
    }

    /// What the names in `sources` of a layer stand for: caches first, then sources.
    fn layer_sources(&mut self, node: &Node) -> Vec<NamedSource> {
        let mut all = Vec::new();
        for item in node.get("sources").map(Node::items).unwrap_or_default() {
            let Some(name) = item.as_text() else { continue };
            if self.has_cache(&name) {
                let Some(cache) = self.cache(&name, item.at) else {
                    continue;
                };
                all.push(NamedSource {
                    layer: LayerSource::Cache(name),
                    extent: cache.extents.first().cloned(),
                    res_range: cache.res_range,
                    featureinfo: cache.featureinfo,
                    legend: cache.legend,
                    draws: true,
                    debug: false,
                });
            } else if self.has_source(&name) {
                let Some(source) = self.source(&name, item.at) else {
                    continue;
                };
                if source.access == Access::Tiles {
                    self.findings
                        .error(item.at, format!("the tile source `{name}` cannot be asked for maps"))
                        .expect("make a cache with this source, and use that cache here");
                    continue;
                }
                all.push(NamedSource {
                    layer: LayerSource::Source(name),
                    extent: source.extent.clone().filter(|_| source.draws),
                    res_range: source.source.res_range,
                    featureinfo: source.featureinfo,
                    legend: source.legend,
                    draws: source.draws,
                    debug: matches!(source.source.kind, SourceKind::Debug),
                });
            } else {
                self.unknown_source(&name, item.at);
            }
        }
        all
    }

    /// Caches for the tile services: those named, or the one cache that draws the layer alone.
    fn tile_sources(&mut self, node: &Node, sources: &[NamedSource]) -> Vec<String> {
        if let Some(list) = node.get("tile_sources") {
            let mut caches = Vec::new();
            for item in list.items() {
                let Some(name) = item.as_text() else { continue };
                if self.has_cache(&name) {
                    caches.push(name);
                } else {
                    let known: Vec<&str> = self.names.caches.keys().copied().collect();
                    self.findings
                        .error(item.at, format!("unknown cache `{name}`"))
                        .expect("expected a name from `caches`")
                        .suggest(&name, known);
                }
            }
            return caches;
        }
        let mut drawing = sources
            .iter()
            .filter(|source| source.draws && !source.debug)
            .map(|source| &source.layer);
        match (drawing.next(), drawing.next()) {
            (Some(LayerSource::Cache(name)), None) => vec![name.clone()],
            _ => Vec::new(),
        }
    }

    fn tile_layers(&mut self, layer: &Layer, layers: &mut Layers) {
        let Some(name) = &layer.name else { return };
        for cache_name in &layer.tile_sources {
            let Some(cache) = self.cache(cache_name, At { file: 0, node: 0 }) else {
                continue;
            };
            for (index, grid_key) in cache.cache.grids.iter().enumerate() {
                let tile = tile_layer(layer, name, &cache, index, grid_key);
                if let Some(tile) = tile {
                    layers
                        .tiles
                        .retain(|other| !(other.name == tile.name && other.grid == tile.grid));
                    layers.tiles.push(tile);
                }
            }
        }
    }

    /// WMTS counts rows from the north; a grid whose rows do not end at its upper edge cannot be offered.
    fn check_wmts(&mut self, layers: &Layers) {
        let mut seen = HashSet::new();
        for tile in &layers.tiles {
            let Some(Some(grid)) = self.grids.get(&tile.grid).cloned() else {
                continue;
            };
            if seen.insert(tile.grid.clone()) && !grid.supports_access_with_origin(Origin::Ul) {
                let cache = self.names.caches.get(tile.cache.as_str());
                let at = match self.names.grids.get(tile.grid.as_str()) {
                    Some(entry) => entry.key_at,
                    None => cache.map_or(self.root.at, |cache| place(&cache.value, "grids")),
                };
                self.findings
                    .warn(
                        at,
                        format!(
                            "WMTS does not offer layers with the grid `{}`: its rows cannot be counted from the north",
                            tile.grid
                        ),
                    )
                    .expect("use `origin: nw`, or a `bbox` of whole tiles");
            }
        }
    }
}

/// A name in `sources` of a layer.
#[expect(clippy::struct_excessive_bools, reason = "independent properties")]
struct NamedSource {
    layer: LayerSource,
    extent: Option<MapExtent>,
    res_range: Option<ResRange>,
    featureinfo: bool,
    legend: bool,
    draws: bool,
    debug: bool,
}

fn tile_layer(layer: &Layer, name: &str, cache: &Rc<BuiltCache>, index: usize, grid_key: &str) -> Option<TileLayer> {
    let (grid, extent) = (cache.grids.get(index)?, cache.extents.get(index)?);
    // clients of a mixed cache are told PNG; the answer says what it is
    let format = if cache.cache.format == ImageFormat::MIXED {
        ImageFormat::PNG
    } else {
        cache.cache.format.clone()
    };
    let extent = match extent.bbox_in(grid.srs()) {
        Ok(bbox) => MapExtent::new(bbox, grid.srs().clone()),
        Err(_) => MapExtent::new(grid.bbox(), grid.srs().clone()),
    };
    Some(TileLayer {
        name: name.to_owned(),
        title: layer.title.clone(),
        cache: cache.cache.name.clone(),
        grid: grid_key.to_owned(),
        srs_path: srs_path(grid),
        format: format.ext().to_owned(),
        mime: format.mime_type().into_owned(),
        extent,
        dimensions: layer.dimensions.clone(),
        md: layer.md.clone(),
        info_sources: if layer.queryable {
            layer.sources.clone()
        } else {
            Vec::new()
        },
        legendurl: layer.legendurl.clone(),
        wmts_kvp_legendurl: layer.wmts_kvp_legendurl.clone(),
        wmts_rest_legendurl: layer.wmts_rest_legendurl.clone(),
        has_legend: layer.has_legend,
    })
}

/// Layers with their names: the list form, or the older forms in which the name is the key.
fn entries(node: &Node) -> Vec<(Option<String>, &Node)> {
    if node.is_map() {
        return node
            .entries()
            .iter()
            .map(|entry| (Some(entry.key.clone()), &entry.value))
            .collect();
    }
    node.items()
        .iter()
        .map(|item| match item.entries() {
            [entry] if entry.value.is_map() => (Some(entry.key.clone()), &entry.value),
            _ => (text(item, "name"), item),
        })
        .collect()
}
