//! Whole configurations: what becomes of them, and what is said about wrong ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

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
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
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
    let is_configuration = |path: &&String| ["mapproxy.yaml", "seed.yaml"].iter().any(|end| path.ends_with(end));
    for path in paths.iter().filter(is_configuration) {
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
                    let _ = writeln!(failures, "{problem}");
                }
            }
            Outcome::Need(_) => unreachable!("compile_all answers these"),
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The problems of a wrong configuration as text, with the line and a mark below it.
fn problems(yaml: &str) -> String {
    let problems = match outcome(&[("mapproxy.yaml", yaml)]) {
        Outcome::Problems(problems) => problems,
        Outcome::Compiled(done) => done.warnings,
        Outcome::Need(paths) => panic!("{paths:?}"),
    };
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{problem}");
        if problem.line > 0 {
            let before = " ".repeat(problem.column as usize - 1);
            let _ = writeln!(text, "  | {}", problem.source_line);
            let _ = writeln!(text, "  | {before}{}", "^".repeat(problem.length as usize));
        }
    }
    text
}

/// A configuration around the part that is wrong.
fn with(part: &str) -> String {
    const REST: [(&str, &str); 4] = [
        ("services:", "services: {wms: }\n"),
        ("layers:", "layers: [{name: a, title: A, sources: [cache]}]\n"),
        (
            "caches:",
            "caches: {cache: {grids: [GLOBAL_GEODETIC], sources: [osm_wms]}}\n",
        ),
        (
            "sources:",
            "sources: {osm_wms: {type: wms, req: {url: 'http://x/', layers: 'a,b'}}}\n",
        ),
    ];
    let rest = REST
        .iter()
        .filter(|(key, _)| !part.lines().any(|line| line.starts_with(key)));
    rest.fold(part.to_owned(), |text, (_, default)| text + default)
}

#[test]
fn wrong_configurations_are_explained() {
    let cases = [
        "layers: [{name: a, title: A, sources: [osm_wmss]}]\n",
        "caches:\n  cache:\n    grids: [GLOBAL_MERCATR]\n    sources: [osm_wms]\n    meta_sise: [4, 4]\n",
        "caches:\n  cache: {sources: [other], grids: [GLOBAL_GEODETIC]}\n  other: {sources: [cache]}\n",
        "sources:\n  osm_wms:\n    type: wsm\n    req: {url: 'http://x/'}\n",
        "sources:\n  osm_wms:\n    type: wms\n    req: {layers: 5}\n    min_res: ten\n    wms_opts: {version: '1.2', featureinfo: maybe}\n",
        "layers:\n  - name: a\n    title: A\n    sources: ['osm_wms:a,c', tiles]\nsources:\n  osm_wms: {type: wms, req: {url: 'http://x/', layers: 'a,b'}}\n  tiles: {type: tile, grid: GLOBAL_MERCATOR, url: 'http://x/%(z)s/%(zz)s'}\n",
        "grids:\n  utm: {srs: 'EPSG:25832', origin: nw}\n  nowhere: {srs: 'EPSG:99999', origin: nw}\ncaches:\n  cache: {grids: [utm, nowhere], sources: [osm_wms]}\n",
        "caches:\n  cache:\n    sources: [osm_wms, tiles]\nsources:\n  osm_wms: {type: wms, req: {url: 'http://x/'}}\n  tiles: {type: tile, grid: GLOBAL_MERCATOR, url: 'http://x/%(z)s'}\n",
        "sources:\n  osm_wms:\n    type: wms\n    req: {url: 'http://x/'}\n    coverage: {datasource: missing.shp, srs: 'EPSG:4326'}\n",
        "sources:\n  osm_wms:\n    type: wms\n    req: {url: 'http://$HOST/$PATH'}\n    on_error: {foo: {response: '#ff00'}, 404: {}}\n",
        "layers:\n  - name: a\n    titel: A\n    sources: cache\n    dimensions: {time: {values: ['2020-01-01/2020/P1D']}}\n",
        "caches:\n  cache:\n    format: mixed\n    upscale_tiles: 1\n    downscale_tiles: 1\n    refresh_before: {time: soon}\n    cache: {type: file, directory: x, directory_layout: tsm}\n    grids: [GLOBAL_GEODETIC, GLOBAL_MERCATOR]\n    sources: [osm_wms]\n",
        "caches:\n  cache: {sources: [osm_wms], cache: {type: s3, bucket_name: b}}\n  cache: {sources: [osm_wms], format: png, cache: {type: s3, bucket_name: b}}\n",
        "services:\n  wms: {srs: EPSG:4326, featureinfo_types: [txt]}\n  wmts: {restful_template: '/{Layer}/{TileMatrix}'}\n  wsm:\n",
        "services:\n  wms: {title: [}\n",
        "a: b\nc: d: e\n",
        "- a list\n",
        "",
    ];
    let text: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, part)| {
            let whole =
                part.ends_with("}\n") || part.ends_with("]\n") || part.ends_with(":\n") || part.ends_with("A\n");
            let yaml = if whole && !part.contains("[}") {
                with(part)
            } else {
                (*part).to_owned()
            };
            format!("{}:\n{}", number + 1, problems(&yaml))
        })
        .collect();
    insta::assert_snapshot!(text.concat());
}

/// A seed configuration is recognised, and checked with the configuration beside it.
#[test]
fn seed_configurations_are_explained() {
    let proxy = with(
        "caches:\n  cache: {grids: [GLOBAL_GEODETIC, GLOBAL_MERCATOR], sources: [osm_wms]}\n  other: {grids: [GLOBAL_MERCATOR], sources: [osm_wms]}\n  thin: {sources: [osm_wms], disable_storage: true}\n",
    );
    let cases = [
        "seeds:\n  a: {caches: [cach], grids: [GLOBAL_GEODETIK], coverages: [here], levels: {form: 1}}\ncoverages:\n  there: {bbox: [0, 0, 1, 1], srs: 'EPSG:4326'}\n",
        "seeds:\n  a: {grids: [GLOBAL_GEODETIC]}\n  b: {caches: [cache, other]}\n  c: {caches: [thin], levels: 5}\n",
        "cleanups:\n  a: {caches: [cache], grids: [GLOBAL_WEBMERCATOR], remove_befor: {days: 1}, levels: [99]}\n",
        "seeds:\n  a: {caches: [other], coverages: [file], refresh_before: {time: soon}}\ncoverages:\n  file: {datasource: missing.wkt, srs: 'EPSG:4326'}\n",
    ];
    let mut text = String::new();
    for (number, seed) in cases.iter().enumerate() {
        let outcome = outcome(&[("/etc/seed.yaml", seed), ("/etc/mapproxy.yaml", &proxy)]);
        let _ = writeln!(text, "{}:", number + 1);
        let problems = match outcome {
            Outcome::Problems(problems) => problems,
            Outcome::Compiled(done) => done.warnings,
            Outcome::Need(paths) => panic!("{paths:?}"),
        };
        for problem in problems.iter().filter(|problem| problem.file.ends_with("seed.yaml")) {
            let _ = writeln!(text, "{problem}");
        }
    }
    let alone = outcome(&[("/etc/seed.yaml", "seeds: {a: {caches: [anything]}}\n")]);
    assert!(matches!(alone, Outcome::Compiled(done) if done.warnings.len() == 1));
    insta::assert_snapshot!(text);
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,200}", at in 0_usize..1000, insert in "[-:{}\\[\\]&*!|>'\"%@`#,?<\\n \\tA-Za-z0-9.$]{0,12}") {
        let _ = problems(&text);
        let mut yaml = SIMPLE.to_owned();
        let at = (0..=at % yaml.len()).rev().find(|at| yaml.is_char_boundary(*at)).unwrap_or(0);
        yaml.insert_str(at, &insert);
        let _ = problems(&yaml);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reads configurations for this test")]
fn every_configuration_of_testdata_compiles() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/config");
    let mut warnings = String::new();
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.strip_suffix(".yaml").is_some()) {
        let read = |path: &str| std::fs::read(path).map_err(|error| error.kind().to_string());
        let done = match compile_all(path, &mut Files::new(), read) {
            Outcome::Compiled(done) => done,
            other => panic!("{path}: {other:?}"),
        };
        Compiled::open(done.bytes.clone()).unwrap();
        for problem in &done.warnings {
            warnings.push_str(&format!("{problem}\n").replace(directory, "."));
        }
        for needed in done
            .directories
            .iter()
            .map(|d| format!("  needs {} {}", d.path, if d.writable { "to write" } else { "to read" }))
        {
            warnings.push_str(&format!("{needed}\n").replace(directory, "."));
        }
        for origin in &done.origins {
            let checks = if origin.no_cert_checks { ", any certificate" } else { "" };
            let _ = writeln!(
                warnings,
                "  asks {}://{}:{}{checks}",
                origin.scheme, origin.host, origin.port
            );
        }
    }
    insta::assert_snapshot!(warnings);
}
