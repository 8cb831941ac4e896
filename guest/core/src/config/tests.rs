//! Whole configurations: what becomes of them, and what is said about wrong ones.

use std::collections::BTreeMap;

use super::model::{Application, Cache, CacheBackend, Layer, Source, SourceKind, TileLayer, WmsService};
use super::{Compilation, Compiled, Kind, Outcome, Severity, compile};

type Files = BTreeMap<String, Result<Vec<u8>, String>>;

/// Compiles the first of these files; whatever else is asked for does not exist.
fn outcome(files: &[(&str, &str)]) -> Outcome {
    let mut given: Files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), Ok(text.as_bytes().to_vec())))
        .collect();
    compile_all(files[0].0, &mut given, |_| Err("no such file".to_owned()))
}

fn compile_all(main: &str, given: &mut Files, read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Outcome {
    let environment = BTreeMap::from([("HOST".to_owned(), "maps.example.org".to_owned())]);
    for _ in 0..20 {
        match compile(main, given, &environment) {
            Outcome::Need(paths) => {
                for path in paths {
                    let content = read(&path);
                    given.insert(path, content);
                }
            }
            done => return done,
        }
    }
    panic!("files are asked for again and again");
}

fn compiled(yaml: &str) -> (Compiled, Compilation) {
    match outcome(&[("/etc/map/mapproxy.yaml", yaml)]) {
        Outcome::Compiled(done) => (Compiled::open(done.bytes.clone()).unwrap(), *done),
        Outcome::Problems(problems) => panic!(
            "{}",
            problems
                .iter()
                .map(|problem| format!("{problem}\n"))
                .collect::<String>()
        ),
        Outcome::Need(paths) => panic!("{paths:?}"),
    }
}

const SIMPLE: &str = "
services: {demo: , tms: , wmts: , wms: {md: {title: Test}}}
layers:
  - {name: osm, title: OpenStreetMap, sources: [osm_cache]}
  - {name: direct, title: Direct, sources: ['wms:roads']}
caches:
  osm_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [wms]}
sources:
  wms: {type: wms, req: {url: 'http://user:secret@Example.org:8080/map?x=1', layers: 'land,roads', transparent: true}}
";

#[test]
fn a_simple_configuration_becomes_segments() {
    let (compiled, done) = compiled(SIMPLE);
    let application: Application = compiled.get(Kind::Application, "").unwrap();
    assert!(application.services.wms && application.services.tms && !application.services.kml);
    assert_eq!(application.cors_origin.as_deref(), Some("*"));
    assert_eq!(
        compiled.get::<WmsService>(Kind::WmsService, "").unwrap().md.title,
        "Test"
    );

    let cache: Cache = compiled.get(Kind::Cache, "osm_cache").unwrap();
    let CacheBackend::File(file) = &cache.backend else {
        panic!("{:?}", cache.backend)
    };
    assert_eq!(file.directories, ["/etc/map/cache_data/osm_cache_EPSG3857"]);
    assert_eq!(cache.tile_lock_dir, "/etc/map/cache_data/tile_locks");
    assert_eq!(cache.image.transparent, Some(true));

    let source: Source = compiled.get(Kind::Source, "wms:roads").unwrap();
    let SourceKind::Wms(wms) = &source.kind else {
        panic!("{:?}", source.kind)
    };
    assert_eq!(wms.url, "http://Example.org:8080/map?x=1");
    let params: Vec<_> = wms
        .params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(params, ["layers=roads", "transparent=True"]);
    assert_eq!(source.http.credentials, Some(("user".to_owned(), "secret".to_owned())));

    assert_eq!(
        compiled.get::<Layer>(Kind::Layer, "osm").unwrap().extent.srs.code(),
        "EPSG:3857"
    );
    let tile: TileLayer = compiled.get(Kind::TileLayer, "osm/GLOBAL_WEBMERCATOR").unwrap();
    assert_eq!(
        (tile.srs_path.as_str(), tile.format.as_str(), tile.mime.as_str()),
        ("EPSG3857", "png", "image/png")
    );
    assert!(!compiled.contains(Kind::TileLayer, "direct/GLOBAL_WEBMERCATOR"));

    let origins: Vec<_> = done
        .origins
        .iter()
        .map(|origin| format!("{}://{}:{}", origin.scheme, origin.host, origin.port))
        .collect();
    assert_eq!(origins, ["http://example.org:8080"]);
    let directories: Vec<_> = done
        .directories
        .iter()
        .map(|directory| (directory.path.as_str(), directory.writable))
        .collect();
    assert_eq!(directories, [("/etc/map/cache_data", true)]);
    assert_eq!(done.files, ["/etc/map/mapproxy.yaml"]);
    assert!(compiled.sources()[0].matches(Some(SIMPLE.as_bytes())));
    assert!(!compiled.sources()[0].matches(Some(b"other")));
}

/// Real configurations of other people are no part of this repository: their directory is named in the environment.
#[test]
#[expect(clippy::disallowed_methods, reason = "reads configurations for this test")]
fn the_corpus_named_in_the_environment_compiles() {
    let Ok(directory) = std::env::var("MAPPROXY_CORPUS") else {
        return;
    };
    let mut failures = String::new();
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.ends_with("mapproxy.yaml")) {
        let read = |path: &str| std::fs::read(path).map_err(|error| error.to_string());
        match compile_all(path, &mut Files::new(), read) {
            Outcome::Compiled(done) => {
                assert!(
                    done.warnings
                        .iter()
                        .all(|problem| problem.severity == Severity::Warning)
                );
                for problem in done.warnings {
                    println!("{problem}");
                }
            }
            Outcome::Problems(problems) => {
                for problem in problems {
                    failures.push_str(&format!("{problem}\n"));
                }
            }
            Outcome::Need(_) => unreachable!("compile_all answers these"),
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
