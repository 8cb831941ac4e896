//! `mapproxy util export`: tiles of a cache or source into another place (MapProxy: `script/export.py`).
//!
//! An export is a seed: of a cache whose source is what is exported, stored where and how it was asked for. What is made
//! here are the two configurations of that seed; whoever asked runs it.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::{Answer, Files, Output};
use crate::config::{Look, describe_grids};
use crate::grid::{Origin, TileGrid};
use crate::srs::{Srs, python_float};

/// Name of the cache and the task, and of a grid given in words.
const NAME: &str = "__export__";
/// More levels than a grid can have.
const MOST_LEVELS: u32 = 100;

/// What is exported, and where to.
#[derive(Debug, Clone, Default)]
pub struct ExportQuery {
    /// absolute path of the configuration
    pub main: String,
    /// cache or source
    pub source: String,
    /// name, or `key=value ...`
    pub grid: String,
    /// `1,2,5` or `0..10`
    pub levels: String,
    /// directory layout
    pub layout: String,
    /// absolute path of the directory of the tiles
    pub directory: String,
    /// box, or absolute path of a file
    pub coverage: Option<String>,
    pub srs: Option<String>,
    pub filter: Option<String>,
    pub fetch_missing: bool,
}

/// Documents: the configurations by the absolute paths they are to be read as, the main one first; then what describes
/// the tiles, as names and values: `minzoom`, `maxzoom`, `bounds`, and `origin` where rows count from the north.
pub fn export(query: &ExportQuery, files: &Files, environment: &BTreeMap<String, String>) -> Answer {
    let grids = match describe_grids(&query.main, files, environment) {
        Look::Need(paths) => return Answer::Need(paths),
        Look::Problems(problems) => return Answer::Problems(problems),
        Look::Found(grids) => grids,
    };
    let has_grid = grids.iter().any(|info| info.name == query.grid);
    let made = match make(query, files, has_grid) {
        Ok(made) => made,
        Err(reason) => return Answer::Refused(reason),
    };
    // the grid as it came out, which also tells whether a definition in words is one
    let mut files = files.clone();
    files.insert(made.main.0.clone(), Ok(made.main.1.clone().into_bytes()));
    let grids = match describe_grids(&made.main.0, &files, environment) {
        Look::Need(paths) => return Answer::Need(paths),
        Look::Problems(problems) => return Answer::Problems(problems),
        Look::Found(grids) => grids,
    };
    let grid = grids
        .into_iter()
        .find(|info| info.name == made.grid)
        .map(|info| info.grid);
    let mut documents = vec![made.main, made.seed];
    documents.extend(grid.map(|grid| description(&made.levels, &grid)).unwrap_or_default());
    Answer::Output(Output {
        documents,
        ..Output::default()
    })
}

struct Made {
    /// path and text
    main: (String, String),
    seed: (String, String),
    grid: String,
    levels: Vec<u32>,
}

fn make(query: &ExportQuery, files: &Files, has_grid: bool) -> Result<Made, String> {
    let levels = levels(&query.levels)?;
    let mut main = Mapping::new();
    main.insert("base".into(), query.main.as_str().into());
    let grid_name = if has_grid {
        query.grid.as_str()
    } else if query.grid.contains('=') {
        let mut grids = Mapping::new();
        grids.insert(NAME.into(), words(&query.grid)?);
        main.insert("grids".into(), grids.into());
        NAME
    } else {
        return Err(format!(
            "unknown grid `{}`; expected a name or a definition such as `srs=EPSG:3857 res=100,50`",
            query.grid
        ));
    };
    let mut cache = Mapping::new();
    cache.insert("grids".into(), vec![grid_name].into());
    cache.insert("sources".into(), vec![query.source.as_str()].into());
    cache.insert("meta_size".into(), vec![1, 1].into());
    cache.insert("meta_buffer".into(), 0.into());
    let mut store = Mapping::new();
    store.insert("type".into(), "file".into());
    store.insert("directory".into(), query.directory.as_str().into());
    store.insert("directory_layout".into(), query.layout.as_str().into());
    cache.insert("cache".into(), store.into());
    let known = caches(query, files);
    let mut caches = Mapping::new();
    if let Some(exported) = known.get(&query.source) {
        // tiles go over as they are
        for key in ["format", "request_format", "image"] {
            if let Some(value) = exported.get(key) {
                cache.insert(key.into(), value.clone());
            }
        }
        if !query.fetch_missing {
            // nothing but what is stored
            let mut stored = Mapping::new();
            stored.insert("sources".into(), Value::Sequence(Vec::new()));
            caches.insert(query.source.as_str().into(), stored.into());
        }
    }
    caches.insert(NAME.into(), cache.into());
    main.insert("caches".into(), caches.into());

    let mut task = Mapping::new();
    task.insert("caches".into(), vec![NAME].into());
    task.insert("levels".into(), levels.clone().into());
    let mut seed = Mapping::new();
    if let Some(coverage) = &query.coverage {
        task.insert("coverages".into(), vec![NAME].into());
        let mut coverages = Mapping::new();
        coverages.insert(NAME.into(), area(query, coverage)?);
        seed.insert("coverages".into(), coverages.into());
    }
    let mut seeds = Mapping::new();
    seeds.insert(NAME.into(), task.into());
    seed.insert("seeds".into(), seeds.into());

    let directory = query.main.rsplit_once('/').map_or("", |(directory, _)| directory);
    let write = |name: &str, document: Mapping| {
        let text = serde_yaml::to_string(&document).map_err(|error| error.to_string())?;
        Ok::<_, String>((format!("{directory}/{NAME}{name}.yaml"), text))
    };
    Ok(Made {
        main: write("", main)?,
        seed: write("seed", seed)?,
        grid: grid_name.to_owned(),
        levels,
    })
}

/// What a container of tiles has to say about them.
fn description(levels: &[u32], grid: &TileGrid) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |key: &str, value: String| facts.push((key.to_owned(), value));
    if let (Some(first), Some(last)) = (levels.iter().min(), levels.iter().max()) {
        fact("minzoom", first.to_string());
        fact("maxzoom", last.to_string());
    }
    if let Ok(bbox) = grid.srs().transform_bbox(&Srs::wgs84(), grid.bbox()) {
        fact("bounds", bbox.edges().map(python_float).join(","));
    }
    if grid.origin() == Origin::Ul {
        fact("origin", grid.origin().as_str().to_owned());
    }
    facts
}

/// `1,2,5` or `0..10`, both ends included.
fn levels(text: &str) -> Result<Vec<u32>, String> {
    let number = |text: &str| text.trim().parse().ok().filter(|level| *level < MOST_LEVELS);
    let levels: Option<Vec<u32>> = match text.split_once("..") {
        Some((first, last)) => number(first)
            .zip(number(last))
            .map(|(first, last)| (first..=last).collect()),
        None => text.split(',').map(number).collect(),
    };
    levels
        .filter(|levels| !levels.is_empty())
        .ok_or_else(|| format!("`{text}` names no levels; expected `1,2,5` or `0..10`"))
}

/// `srs=EPSG:3857 res='100 50' bbox=5,45,15,55` as a map.
fn words(text: &str) -> Result<Value, String> {
    const KEYS: &[&str] = &[
        "base",
        "bbox",
        "bbox_srs",
        "srs",
        "origin",
        "res",
        "res_factor",
        "min_res",
        "max_res",
        "num_levels",
        "tile_size",
        "max_shrink_factor",
        "max_stretch_factor",
        "align_resolutions_with",
        "threshold_res",
    ];
    let mut map = Mapping::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unknown = || {
            format!(
                "`{text}` is no grid: expected `key=value` with one of {}",
                KEYS.join(", ")
            )
        };
        let (key, behind) = rest.split_once('=').ok_or_else(unknown)?;
        let key = key.trim();
        if !KEYS.contains(&key) {
            return Err(format!(
                "invalid grid: unknown key `{key}`; expected one of {}",
                KEYS.join(", ")
            ));
        }
        let quote = behind.chars().next().filter(|first| matches!(first, '\'' | '"'));
        let (value, after) = match quote {
            Some(quote) => behind
                .strip_prefix(quote)
                .and_then(|inside| inside.split_once(quote))
                .ok_or_else(|| format!("the value of `{key}` has no closing quote"))?,
            None => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        let is_list = matches!(key, "res" | "bbox" | "tile_size");
        let parts = value.split([',', ' ']).filter(|part| !part.is_empty());
        let scalar = |part: &str| {
            serde_yaml::from_str::<Value>(part)
                .ok()
                .filter(|value| !value.is_mapping())
        };
        let scalar = |part: &str| scalar(part).unwrap_or_else(|| part.into());
        let value = if is_list {
            Value::Sequence(parts.map(scalar).collect())
        } else {
            scalar(value)
        };
        map.insert(key.into(), value);
        rest = after.trim_start();
    }
    Ok(map.into())
}

/// The caches of the configuration and of what it is based on, as written.
fn caches(query: &ExportQuery, files: &Files) -> BTreeMap<String, Value> {
    let mut caches = BTreeMap::new();
    // `describe_grids` has read these files, so they are YAML; which of them are based on which does not matter here
    // but for the main one, which has the last word.
    let main = files.get_key_value(&query.main);
    for (_, content) in files.iter().filter(|(path, _)| **path != query.main).chain(main) {
        let Ok(content) = content else { continue };
        let Ok(document) = serde_yaml::from_slice::<Value>(content) else {
            continue;
        };
        for (name, value) in document.get("caches").and_then(Value::as_mapping).into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            let merged: &mut Value = caches.entry(name.to_owned()).or_default();
            super::overwrite::overwrite(merged, value);
        }
    }
    caches
}

fn area(query: &ExportQuery, coverage: &str) -> Result<Value, String> {
    let mut area = Mapping::new();
    let edges: Option<Vec<f64>> = coverage.split(',').map(|edge| edge.trim().parse().ok()).collect();
    let key = match edges {
        Some(edges) if edges.len() == 4 => {
            area.insert("bbox".into(), edges.into());
            "a box"
        }
        Some(_) => return Err(format!("`{coverage}` is no box; expected `minx,miny,maxx,maxy`")),
        None => {
            area.insert("datasource".into(), coverage.into());
            "a file"
        }
    };
    let srs = query.srs.as_deref();
    let srs = srs.ok_or_else(|| format!("`--coverage` with {key} needs `--srs`"))?;
    area.insert("srs".into(), srs.into());
    if let Some(filter) = &query.filter {
        area.insert("where".into(), filter.as_str().into());
    }
    Ok(area.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "
caches:
  inner: {grids: [GLOBAL_MERCATOR], sources: [wms], format: image/jpeg}
  outer: {grids: [GLOBAL_MERCATOR], sources: [inner], format: image/jpeg}
sources: {wms: {type: wms, req: {url: 'http://a/', layers: a}}}
";

    fn ask(query: &ExportQuery) -> Result<Vec<Value>, String> {
        let query = ExportQuery {
            main: "/m.yaml".to_owned(),
            layout: "tms".to_owned(),
            directory: "/out".to_owned(),
            levels: "0..2".to_owned(),
            ..query.clone()
        };
        let files = Files::from([("/m.yaml".to_owned(), Ok(CONFIGURATION.as_bytes().to_vec()))]);
        match export(&query, &files, &BTreeMap::new()) {
            Answer::Output(output) => Ok(output
                .documents
                .iter()
                .take(2)
                .map(|(_, text)| serde_yaml::from_str(text).unwrap())
                .collect()),
            Answer::Refused(reason) => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    fn query(source: &str, grid: &str) -> ExportQuery {
        ExportQuery {
            source: source.to_owned(),
            grid: grid.to_owned(),
            ..ExportQuery::default()
        }
    }

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn an_export_is_a_seed() {
        let made = ask(&query("outer", "GLOBAL_MERCATOR")).unwrap();
        assert_eq!(
            made[0],
            yaml(
                "
base: /m.yaml
caches:
  outer: {sources: []}
  __export__:
    grids: [GLOBAL_MERCATOR]
    sources: [outer]
    meta_size: [1, 1]
    meta_buffer: 0
    cache: {type: file, directory: /out, directory_layout: tms}
    format: image/jpeg
"
            )
        );
        assert_eq!(
            made[1],
            yaml("seeds: {__export__: {caches: [__export__], levels: [0, 1, 2]}}")
        );
        let fetching = ExportQuery {
            fetch_missing: true,
            coverage: Some("10,10,20,20".to_owned()),
            srs: Some("EPSG:4326".to_owned()),
            ..query("outer", "base=GLOBAL_MERCATOR tile_size='512 512' min_res=100000")
        };
        let made = ask(&fetching).unwrap();
        assert_eq!(
            made[0]["grids"],
            yaml("{__export__: {base: GLOBAL_MERCATOR, tile_size: [512, 512], min_res: 100000}}")
        );
        assert!(made[0]["caches"].get("outer").is_none());
        assert_eq!(
            made[1]["coverages"],
            yaml("{__export__: {bbox: [10.0, 10.0, 20.0, 20.0], srs: 'EPSG:4326'}}")
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |grid: &str, coverage: Option<&str>, expect: &str| {
            let mut query = query("outer", grid);
            query.coverage = coverage.map(str::to_owned);
            let reason = ask(&query).unwrap_err();
            assert!(reason.contains(expect), "{reason}");
        };
        check("foo=1", None, "unknown key `foo`");
        check("other", None, "unknown grid `other`");
        check("res='1", None, "no closing quote");
        check("GLOBAL_MERCATOR", Some("1,2,3"), "is no box");
        check("GLOBAL_MERCATOR", Some("/a.geojson"), "a file needs `--srs`");
        for wrong in ["", "x", "1..x", "-1", "0..1000"] {
            assert!(levels(wrong).is_err(), "{wrong}");
        }
        assert_eq!(levels("1, 2,5"), Ok(vec![1, 2, 5]));
    }
}
