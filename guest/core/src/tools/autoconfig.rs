//! `mapproxy util autoconfig`: a configuration made from what a WMS offers (MapProxy: `script/conf/`).
//!
//! Each layer gets a source. Where a `base` configuration has grids in reference systems of the source, it gets a cache
//! on these grids, and the seed configuration a task for each of them.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::capabilities::{Capabilities, OfferedLayer};
use super::overwrite::overwrite;
use super::{Answer, Files, Output};
use crate::config::{GridInfo, Look, describe_grids};
use crate::grid::TileGrid;
use crate::srs::Srs;

/// What is to be made of a service.
#[derive(Debug, Clone, Default)]
pub struct AutoconfigQuery {
    /// absolute path or URL of the capabilities document
    pub capabilities: String,
    /// what people call it
    pub shown: String,
    /// absolute path of the configuration with the grids, and how the result names it
    pub base: Option<(String, String)>,
    /// absolute paths of files with changes
    pub overwrite: Option<String>,
    pub overwrite_seed: Option<String>,
}

/// Documents `config` and `seed`.
pub fn autoconfig(query: &AutoconfigQuery, files: &Files, environment: &BTreeMap<String, String>) -> Answer {
    let named = [
        Some(&query.capabilities),
        query.overwrite.as_ref(),
        query.overwrite_seed.as_ref(),
    ];
    let missing: Vec<String> = named
        .into_iter()
        .flatten()
        .filter(|path| !files.contains_key(*path))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Answer::Need(missing);
    }
    let grids = match &query.base {
        None => Vec::new(),
        Some((path, _)) => match describe_grids(path, files, environment) {
            Look::Need(paths) => return Answer::Need(paths),
            Look::Problems(problems) => return Answer::Problems(problems),
            Look::Found(grids) => own_grids(grids, files.get(path)),
        },
    };
    match make(query, files, &grids) {
        Ok(output) => Answer::Output(output),
        Err(reason) => Answer::Refused(reason),
    }
}

/// Grids of the file, in its order; those that every configuration has are no choice of the user's.
fn own_grids(mut grids: Vec<GridInfo>, base: Option<&Result<Vec<u8>, String>>) -> Vec<GridInfo> {
    grids.retain(|info| TileGrid::predefined(&info.name).is_none());
    let document: Value = base
        .and_then(|content| content.as_ref().ok())
        .and_then(|content| serde_yaml::from_slice(content).ok())
        .unwrap_or_default();
    let order: Vec<&str> = document
        .get("grids")
        .and_then(Value::as_mapping)
        .map(|map| map.keys().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    grids.sort_by_key(|info| order.iter().position(|name| *name == info.name).unwrap_or(order.len()));
    grids
}

fn make(query: &AutoconfigQuery, files: &Files, grids: &[GridInfo]) -> Result<Output, String> {
    let read = |path: &str| match files.get(path) {
        Some(Ok(content)) => Ok(content.as_slice()),
        Some(Err(reason)) => Err(format!("cannot read `{path}`: {reason}")),
        None => Err(format!("cannot read `{path}`")),
    };
    let changes = |path: Option<&String>| -> Result<Value, String> {
        let Some(path) = path else { return Ok(Value::Null) };
        serde_yaml::from_slice(read(path)?).map_err(|error| format!("`{path}` is no YAML: {error}"))
    };
    let capabilities = Capabilities::read(read(&query.capabilities)?).map_err(|error| error.to_string())?;
    let config_changes = changes(query.overwrite.as_ref())?;
    let part = |name: &str| config_changes.get(name).unwrap_or(&Value::Null);
    // Each step builds on the one before as the user has changed it: other reference systems, other caches.
    let mut sources = Sources::of(&capabilities);
    overwrite_map(&mut sources.made, part("sources"));
    let mut caches = caches(&sources.made, grids);
    overwrite_map(&mut caches, part("caches"));
    let tasks = tasks(&caches);
    let layers = layer(&capabilities.root, &caches);
    let mut config = Mapping::new();
    if let Some((_, base)) = &query.base {
        config.insert(text("base"), text(base));
    }
    let title = capabilities.title.as_deref().unwrap_or("WMS");
    config.insert(
        text("services"),
        map([("wms", map([("md", map([("title", text(title))]))]))]),
    );
    config.insert(text("layers"), Value::Sequence(layers.into_iter().collect()));
    config.insert(text("caches"), Value::Mapping(caches));
    config.insert(text("sources"), Value::Mapping(sources.made));
    let mut config = Value::Mapping(config);
    let mut seed = tasks;
    overwrite(&mut config, &config_changes);
    overwrite(&mut seed, &changes(query.overwrite_seed.as_ref())?);
    let write = |what: &str, document: &Value| -> Result<String, String> {
        let body = serde_yaml::to_string(document).map_err(|error| error.to_string())?;
        // What is shown may hold anything; it must not end the comment.
        let shown = query.shown.replace(['\n', '\r'], " ");
        Ok(format!(
            "# MapProxy {what}, made from the capabilities of\n#   {shown}\n# Look it through before it is used.\n\n{body}"
        ))
    };
    Ok(Output {
        notes: sources.notes,
        documents: vec![
            ("config".to_owned(), write("configuration", &config)?),
            ("seed".to_owned(), write("seed configuration", &seed)?),
        ],
        ..Output::default()
    })
}

fn overwrite_map(map: &mut Mapping, changes: &Value) {
    let mut value = Value::Mapping(std::mem::take(map));
    if changes.is_mapping() {
        overwrite(&mut value, changes);
    }
    if let Value::Mapping(changed) = value {
        *map = changed;
    }
}

fn source_name(layer: &str) -> String {
    format!("{layer}_wms")
}

/// Of the cache of a source.
fn cache_name(source: &str) -> String {
    format!("{}_cache", source.strip_suffix("_wms").unwrap_or(source))
}

/// The entry in `layers`; `None` for a heading with nothing below it. Layers show a cache where there is one.
fn layer(offered: &OfferedLayer, caches: &Mapping) -> Option<Value> {
    let mut entry = Mapping::new();
    if let Some(name) = &offered.name {
        let source = source_name(name);
        let cache = cache_name(&source);
        let shown = if caches.contains_key(&cache) { cache } else { source };
        entry.insert(text("name"), text(name));
        entry.insert(text("title"), text(offered.title.as_deref().unwrap_or(name)));
        entry.insert(text("sources"), Value::Sequence(vec![text(&shown)]));
    } else {
        entry.insert(text("title"), text(offered.title.as_deref().unwrap_or("layers")));
    }
    if let Some(description) = &offered.description {
        entry.insert(text("md"), map([("abstract", text(description))]));
    }
    let inner: Vec<Value> = offered.layers.iter().filter_map(|inner| layer(inner, caches)).collect();
    if !inner.is_empty() {
        entry.insert(text("layers"), Value::Sequence(inner));
    } else if offered.name.is_none() {
        return None;
    }
    Some(Value::Mapping(entry))
}

/// Sources of all layers with a name.
struct Sources {
    url: String,
    newer: bool,
    made: Mapping,
    notes: Vec<String>,
}

impl Sources {
    fn of(capabilities: &Capabilities) -> Self {
        let mut sources = Self {
            url: capabilities.url.clone().unwrap_or_default(),
            newer: capabilities.version == "1.3.0",
            made: Mapping::new(),
            notes: Vec::new(),
        };
        sources.add(&capabilities.root);
        sources
    }

    fn add(&mut self, offered: &OfferedLayer) {
        if let Some(layer) = &offered.name {
            let name = source_name(layer);
            if self.made.contains_key(&name) {
                self.notes.push(format!(
                    "the service offers `{layer}` more than once; these layers have one source"
                ));
            } else {
                let source = self.source(layer, offered);
                self.made.insert(text(&name), source);
            }
        }
        for inner in &offered.layers {
            self.add(inner);
        }
    }

    fn source(&mut self, layer: &str, offered: &OfferedLayer) -> Value {
        let mut srs: Vec<&String> = Vec::new();
        for code in &offered.srs {
            if Srs::new(code).is_ok() {
                srs.push(code);
            } else {
                self.notes.push(format!(
                    "the reference system `{code}` of `{layer}` is not known and left out"
                ));
            }
        }
        srs.sort_unstable();
        let mut request = Mapping::new();
        request.insert(text("url"), text(&self.url));
        request.insert(text("layers"), text(layer));
        if !offered.opaque {
            request.insert(text("transparent"), Value::Bool(true));
        }
        let mut source = Mapping::new();
        source.insert(text("type"), text("wms"));
        source.insert(text("req"), Value::Mapping(request));
        let mut options = Mapping::new();
        if self.newer {
            options.insert(text("version"), text("1.3.0"));
        }
        if offered.queryable {
            options.insert(text("featureinfo"), Value::Bool(true));
        }
        if !options.is_empty() {
            source.insert(text("wms_opts"), Value::Mapping(options));
        }
        if !srs.is_empty() {
            let codes = srs.into_iter().map(|code| text(code)).collect();
            source.insert(text("supported_srs"), Value::Sequence(codes));
        }
        if let Some(edges) = offered.lonlat {
            let bbox = Value::Sequence(edges.into_iter().map(Value::from).collect());
            source.insert(text("coverage"), map([("bbox", bbox), ("srs", text("EPSG:4326"))]));
        }
        for (key, resolution) in [("min_res", offered.resolutions.0), ("max_res", offered.resolutions.1)] {
            if let Some(resolution) = resolution {
                source.insert(text(key), Value::from(resolution));
            }
        }
        Value::Mapping(source)
    }
}

/// The texts of a list in a map.
fn texts<'a>(owner: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let list = owner.get(key).and_then(Value::as_sequence);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn list(names: &[&str]) -> Value {
    Value::Sequence(names.iter().map(|name| text(name)).collect())
}

/// A cache for each source that draws in the reference system of a grid.
fn caches(sources: &Mapping, grids: &[GridInfo]) -> Mapping {
    let mut caches = Mapping::new();
    for (name, source) in sources {
        let Some(name) = name.as_str() else { continue };
        let systems: Vec<Srs> = texts(source, "supported_srs")
            .filter_map(|code| Srs::new(code).ok())
            .collect();
        let fitting: Vec<&str> = grids
            .iter()
            .filter(|info| systems.contains(info.grid.srs()))
            .map(|info| info.name.as_str())
            .collect();
        if !fitting.is_empty() {
            let cache = map([("grids", list(&fitting)), ("sources", list(&[name]))]);
            caches.insert(text(&cache_name(name)), cache);
        }
    }
    caches
}

/// The seed configuration: a seed and a cleanup for each grid of each cache.
fn tasks(caches: &Mapping) -> Value {
    let (mut seeds, mut cleanups) = (Mapping::new(), Mapping::new());
    for (name, cache) in caches {
        let Some(name) = name.as_str() else { continue };
        for grid in texts(cache, "grids") {
            let [caches, grids] = [("caches", list(&[name])), ("grids", list(&[grid]))];
            // nothing is as old as that: to be filled in
            let before = map([("time", text("1900-01-01T00:00:00"))]);
            let task = text(&format!("{name}_{grid}"));
            seeds.insert(task.clone(), map([caches.clone(), grids.clone()]));
            cleanups.insert(task, map([caches, grids, ("remove_before", before)]));
        }
    }
    map([("seeds", Value::Mapping(seeds)), ("cleanups", Value::Mapping(cleanups))])
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (text(key), value));
    Value::Mapping(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::tests::{NEW, OLD};
    use super::*;

    const BASE: &str = "grids: {webmercator: {base: GLOBAL_WEBMERCATOR}, geodetic: {base: GLOBAL_GEODETIC}, utm: {srs: 'EPSG:25832', bbox: [5, 45, 15, 55], bbox_srs: 'EPSG:4326', origin: ll}}";
    const CHANGES: &str =
        "{caches: {__all__: {format: image/jpeg}}, sources: {____roads_wms: {supported_srs: ['EPSG:4326']}}}";

    fn ask(capabilities: &str, with_base: bool) -> Result<Vec<Value>, String> {
        let query = AutoconfigQuery {
            capabilities: "http://a/?x".to_owned(),
            shown: "http://a/\nkey: value".to_owned(),
            base: with_base.then(|| ("/base.yaml".to_owned(), "base.yaml".to_owned())),
            overwrite: with_base.then(|| "/changes.yaml".to_owned()),
            overwrite_seed: None,
        };
        let mut files = Files::new();
        loop {
            match autoconfig(&query, &files, &BTreeMap::new()) {
                Answer::Need(paths) => {
                    for path in paths {
                        let content = match path.as_str() {
                            "/base.yaml" => BASE,
                            "/changes.yaml" => CHANGES,
                            _ => capabilities,
                        };
                        files.insert(path, Ok(content.as_bytes().to_vec()));
                    }
                }
                Answer::Output(output) => {
                    assert!(output.documents.iter().all(|(_, text)| text.starts_with("# MapProxy ")));
                    return Ok(output
                        .documents
                        .iter()
                        .map(|(_, text)| serde_yaml::from_str(text).unwrap())
                        .collect());
                }
                Answer::Refused(reason) => return Err(reason),
                Answer::Problems(problems) => panic!("{problems:?}"),
            }
        }
    }

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn layers_become_sources() {
        let made = ask(NEW, false).unwrap();
        assert_eq!(
            made[0],
            yaml(
                "
services: {wms: {md: {title: \"T: it's\"}}}
layers:
- title: Root
  layers:
  - {name: 'ns:a', title: A, sources: ['ns:a_wms'], md: {abstract: \"two\\nlines\"}}
  - {title: group, layers: [{name: in, title: in, sources: [in_wms]}]}
caches: {}
sources:
  'ns:a_wms':
    type: wms
    req: {url: 'http://example.org/s?map=1&', layers: 'ns:a'}
    wms_opts: {version: 1.3.0, featureinfo: true}
    supported_srs: ['EPSG:3857', 'EPSG:4326']
    coverage: {bbox: [5.0, 45.0, 15.0, 55.0], srs: 'EPSG:4326'}
    min_res: 13.999999999999998
    max_res: 0.27999999999999997
  in_wms:
    type: wms
    req: {url: 'http://example.org/s?map=1&', layers: in, transparent: true}
    wms_opts: {version: 1.3.0}
    supported_srs: ['EPSG:3857', 'EPSG:4326']
    coverage: {bbox: [5.0, 45.0, 15.0, 55.0], srs: 'EPSG:4326'}
"
            )
        );
        assert!(ask("<html/>", false).unwrap_err().starts_with("Not a capabilities"));
    }

    #[test]
    fn grids_of_the_base_become_caches_and_changes_come_last() {
        let made = ask(OLD, true).unwrap();
        assert_eq!(made[0]["base"], yaml("base.yaml"));
        assert_eq!(
            made[0]["caches"],
            yaml(
                "
osm_cache: {grids: [webmercator, geodetic], sources: [osm_wms], format: image/jpeg}
osm_roads_cache: {grids: [geodetic], sources: [osm_roads_wms], format: image/jpeg}
"
            )
        );
        assert_eq!(made[0]["layers"][0]["layers"][0]["sources"], yaml("[osm_cache]"));
        assert_eq!(
            made[0]["sources"]["osm_roads_wms"]["supported_srs"],
            yaml("['EPSG:4326']")
        );
        assert_eq!(
            made[1]["seeds"]["osm_cache_geodetic"],
            yaml("{caches: [osm_cache], grids: [geodetic]}")
        );
        assert_eq!(made[1]["cleanups"].as_mapping().unwrap().len(), 3);
    }
}
