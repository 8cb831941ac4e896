//! `mapproxy util`: helpers that print, make configurations and export tiles.

use anyhow::Result;
use mapproxy_tests::command::{finish, run, start};
use mapproxy_tests::site::Site;

#[tokio::test]
async fn grids_are_described() -> Result<()> {
    let site = Site::new(
        "caches: {c: {grids: [mine], sources: []}}\ngrids: {mine: {base: GLOBAL_GEODETIC, num_levels: 2}}\n",
    )?;
    let listed = run(site.folder(), "util grids -f mapproxy.yaml -l").await?;
    assert_eq!(
        (listed.code, listed.stdout.as_str()),
        (0, "mine\n"),
        "{}",
        listed.stderr
    );
    let all = run(site.folder(), "util grids mapproxy.yaml --list --all").await?;
    assert_eq!(all.stdout.lines().count(), 4, "{}", all.stdout);
    let one = run(site.folder(), "util grids mapproxy.yaml -g MINE").await?;
    assert!(one.stdout.contains("00:  1.40625,"), "{}", one.stdout);
    let unknown = run(site.folder(), "util grids mapproxy.yaml -g other").await?;
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.starts_with("ERROR: unknown grid `other`"),
        "{}",
        unknown.stderr
    );
    Ok(())
}

#[tokio::test]
async fn scales_are_converted() -> Result<()> {
    let site = Site::new("services:\n")?;
    let done = run(site.folder(), "util scales -l 2 1000").await?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (
            0,
            "        0.2800000000 #  0        1000.00000000\n        0.1400000000 #  1         500.00000000\n"
        ),
        "{}",
        done.stderr
    );
    assert_eq!(run(site.folder(), "util scales x").await?.code, 2);
    Ok(())
}

#[tokio::test]
async fn a_service_becomes_a_configuration() -> Result<()> {
    let site = Site::new("grids: {web: {base: GLOBAL_WEBMERCATOR}}\n")?;
    let service = format!("{}/service", site.sample.url());
    let listed = run(
        site.folder(),
        &format!("util wms-capabilities {service} --version 1.3.0"),
    )
    .await?;
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert!(listed.stdout.contains("Version 1.3.0\n"), "{}", listed.stdout);
    assert!(listed.stdout.contains("  - name: map\n"), "{}", listed.stdout);

    let make = format!(
        "util autoconfig --capabilities {service} --base mapproxy.yaml --output made.yaml --output-seed seed.yaml"
    );
    let made = run(site.folder(), &make).await?;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let checked = run(site.folder(), "check made.yaml").await?;
    assert_eq!(checked.code, 0, "{}\n{}", checked.stdout, checked.stderr);
    let tasks = run(site.folder(), "seed -f made.yaml -s seed.yaml --summary").await?;
    assert!(
        tasks.stdout.contains("seed map_cache_web: map_cache on web"),
        "{}\n{}",
        tasks.stdout,
        tasks.stderr
    );

    let again = run(site.folder(), &make).await?;
    assert_eq!(again.code, 2);
    assert!(
        again.stderr.starts_with("ERROR: `made.yaml` already exists"),
        "{}",
        again.stderr
    );
    assert_eq!(run(site.folder(), &format!("{make} --force")).await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_none_is_told() -> Result<()> {
    let site = Site::new("services:\n")?;
    for (url, expect) in [
        (format!("{}/nothing", site.sample.url()), "the status is 404"),
        (
            "http://127.0.0.1:1/".to_owned(),
            "no answer from `http://127.0.0.1:1/?service=WMS",
        ),
        ("/etc/passwd".to_owned(), "is no URL"),
    ] {
        let listed = run(site.folder(), &format!("util wms-capabilities {url}")).await?;
        assert_eq!(listed.code, 2);
        assert!(
            listed.stderr.starts_with("ERROR: ") && listed.stderr.contains(expect),
            "{}",
            listed.stderr
        );
    }
    Ok(())
}

const EXPORTED: &str = "
layers: [{name: map, title: Map, sources: [map_cache]}]
caches: {map_cache: {grids: [GLOBAL_MERCATOR], sources: [map], meta_size: [2, 2], meta_buffer: 0, cache: {type: file}}}
sources: {map: {type: wms, req: {url: SAMPLE/service, layers: map}}}
globals: {image: {paletted: false}}
";

#[tokio::test]
async fn tiles_are_exported() -> Result<()> {
    let site = Site::new(EXPORTED)?;
    std::fs::write(
        site.folder().join("seed.yaml"),
        "seeds: {all: {caches: [map_cache], levels: [0]}}\n",
    )?;
    assert_eq!(run(site.folder(), "seed -s seed.yaml -q").await?.code, 0);
    let asked = site.sample.requests().len();

    let export = "util export -f mapproxy.yaml --source map_cache --grid GLOBAL_MERCATOR --levels 0..1 --dest tiles";
    let stored = run(site.folder(), export).await?;
    assert_eq!(stored.code, 0, "{}", stored.stderr);
    let read = |path: &str| std::fs::read(site.folder().join(path));
    let tile = "cache_data/map_cache_EPSG900913/00/000/000/000/000/000/000.png";
    assert_eq!(read("tiles/0/0/0.png")?, read(tile)?);
    assert!(read("tiles/1/0/0.png").is_err(), "it is not stored");
    assert_eq!(site.sample.requests().len(), asked, "an export asks nobody");

    let refused = run(site.folder(), export).await?;
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.starts_with("ERROR: `tiles` exists"),
        "{}",
        refused.stderr
    );
    let fetched = run(site.folder(), &format!("{export} --force --fetch-missing-tiles")).await?;
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    assert!(read("tiles/1/1/1.png").is_ok());
    assert!(!site.folder().join("tiles/tile_locks").exists(), "nothing but tiles");

    let packed = run(
        site.folder(),
        &export.replace("--dest tiles", "--type mbtile --dest map.mbtiles"),
    )
    .await?;
    assert_eq!(packed.code, 0, "{}", packed.stderr);
    assert!(
        packed.stdout.contains("5 tiles are in `map.mbtiles`"),
        "{}",
        packed.stdout
    );
    assert!(read("map.mbtiles")?.starts_with(b"SQLite format 3"));
    let left: Vec<_> = std::fs::read_dir(site.folder())?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(".tiles"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn exports_that_cannot_be_made_are_refused() -> Result<()> {
    let site = Site::new(EXPORTED)?;
    for (change, expect) in [
        (("--levels 0", "--levels x"), "`x` names no levels"),
        (("--levels 0", "--levels 25"), "has none of the levels `25`"),
        (("map_cache", "other"), "`--source other`: unknown source `other`"),
        (("map_cache", "map_cash"), "did you mean `map_cache`?"),
        (
            ("GLOBAL_MERCATOR", "GLOBAL_MERKATOR"),
            "did you mean `GLOBAL_MERCATOR`? There are GLOBAL_GEODETIC, GLOBAL_MERCATOR, GLOBAL_WEBMERCATOR",
        ),
        (
            ("GLOBAL_MERCATOR", "base=other"),
            "`--grid base=other`: unknown grid `other`",
        ),
        (
            ("GLOBAL_MERCATOR", "srs=EPSG:0"),
            "`--grid srs=EPSG:0`: unknown SRS `EPSG:0`",
        ),
        (
            ("--dest", "--coverage none.geojson --srs EPSG:4326 --dest"),
            "`--coverage none.geojson`: there is no such file",
        ),
        (
            ("--dest", "--coverage mapproxy.yaml --srs EPSG:4326 --dest"),
            "`--coverage mapproxy.yaml`: cannot read the coverage",
        ),
        (
            ("--dest", "--coverage 1,2,3,4 --srs EPSG:0 --dest"),
            "`--coverage 1,2,3,4`: unknown SRS `EPSG:0`",
        ),
        (("GLOBAL_MERCATOR", "foo=1"), "unknown key `foo`"),
        (("--dest", "--type geopackage --dest"), "not supported yet"),
        (("--source map_cache", ""), "missing option --source"),
        (("--dest", "--coverage 1,2,3 --srs EPSG:4326 --dest"), "is no box"),
    ] {
        let export = "util export -f mapproxy.yaml --source map_cache --grid GLOBAL_MERCATOR --levels 0 --dest tiles";
        let refused = run(site.folder(), &export.replace(change.0, change.1)).await?;
        assert_eq!(refused.code, 2, "{change:?}");
        let errors: Vec<&str> = refused.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
        assert!(
            matches!(errors.as_slice(), [error] if error.starts_with("ERROR: ") && error.contains(expect)),
            "{change:?}: {}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("__export__"), "{}", refused.stderr);
        assert!(!site.folder().join("tiles").exists(), "{change:?}");
    }
    Ok(())
}

#[tokio::test]
async fn levels_behind_the_last_are_no_levels_of_an_export() -> Result<()> {
    let site = Site::new(EXPORTED)?;
    let grid = "--grid base=GLOBAL_MERCATOR&num_levels=2".replace('&', "\u{a0}");
    let words =
        format!("util export -f mapproxy.yaml --source map_cache {grid} --levels 0..5 --type mbtile --dest a.mbtiles");
    let arguments = words.split(' ').map(|word| word.replace('\u{a0}', " "));
    let ended = finish(start(site.folder(), arguments)?).await?;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // a row of SQLite has its values one behind the other
    let database = std::fs::read(site.folder().join("a.mbtiles"))?;
    let has = |text: &str| database.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("maxzoom1") && !has("maxzoom5"));
    Ok(())
}

#[tokio::test]
async fn seed_configurations_are_checked_with_the_configuration_that_is_named() -> Result<()> {
    let site = Site::new(EXPORTED)?;
    let write = |name: &str, text: &str| {
        let path = site.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(path, text)
    };
    write("seeds/s.yaml", "seeds: {all: {caches: [map_cash], levels: [0]}}\n")?;
    write(
        "seeds/other.yaml",
        "caches: {map_cash: {grids: [GLOBAL_MERCATOR], sources: []}}\n",
    )?;
    for (arguments, code, expect) in [
        ("seeds/s.yaml", 0, "there is no `mapproxy.yaml` beside this file"),
        ("-f mapproxy.yaml seeds/s.yaml", 1, "unknown cache `map_cash`"),
        ("mapproxy.yaml seeds/s.yaml", 1, "did you mean `map_cache`?"),
        ("--proxy-conf seeds/other.yaml seeds/s.yaml", 0, "0 errors"),
        ("seeds/s.yaml seeds/other.yaml", 0, "2 files checked: 0 errors"),
        // which of them is meant?
        (
            "seeds/s.yaml seeds/other.yaml mapproxy.yaml",
            0,
            "there is no `mapproxy.yaml` beside this file",
        ),
        ("-f none.yaml seeds/s.yaml", 1, "failed to find `none.yaml`"),
        (
            "-f seeds/s.yaml mapproxy.yaml",
            1,
            "`--proxy-conf` expects a `mapproxy.yaml`",
        ),
        ("-f mapproxy.yaml seeds/other.yaml", 1, "this is no seed configuration"),
    ] {
        let checked = run(site.folder(), &format!("check {arguments}")).await?;
        assert_eq!(checked.code, code, "{arguments}: {}", checked.stdout);
        assert!(checked.stdout.contains(expect), "{arguments}: {}", checked.stdout);
    }
    let checked = run(site.folder(), "check mapproxy.yaml seeds/s.yaml").await?;
    let warnings = checked.stdout.matches("there are no `services`").count();
    assert_eq!(warnings, 1, "a problem is told once: {}", checked.stdout);
    Ok(())
}

#[tokio::test]
async fn names_of_mapproxy_util_are_understood() -> Result<()> {
    let site = Site::new("services: {demo: }\n")?;
    let listed = run(site.folder(), "util create --list-templates").await?;
    assert!(listed.stdout.contains("base-config: "), "{}", listed.stdout);
    let made = run(site.folder(), "util create -t base-config new").await?;
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(site.folder().join("new/etc/seed.yaml").exists());
    let deployment = run(
        site.folder(),
        "util create --template wsgi-app -f mapproxy.yaml made.ini",
    )
    .await?;
    assert_eq!(deployment.code, 0, "{}", deployment.stderr);
    let checked = run(site.folder(), "check new/etc/develop.ini made.ini").await?;
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    for (arguments, expect) in [
        ("create -t base-config new", "`--force` replaces them"),
        (
            "create -t wsgi-app -f mapproxy.yaml made.ini",
            "`--force` replaces them",
        ),
        ("create -t wsgi-app -f mapproxy.yaml app.py", "ends with `.ini`"),
        ("create -t wsgi-app made.ini", "needs `--mapproxy-conf`"),
        ("create -t other new", "expected one of base-config, wsgi-app"),
        (
            "defrag-compact-cache -f mapproxy.yaml --min-mb 1",
            "compact caches are not supported yet",
        ),
        (
            "serve-develop none.yaml --debug -b 127.0.0.1:0 --log-config log.ini",
            "failed to find `none.yaml`",
        ),
    ] {
        let refused = run(site.folder(), &format!("util {arguments}")).await?;
        assert_ne!(refused.code, 0, "{arguments}");
        assert!(refused.stderr.contains(expect), "{arguments}: {}", refused.stderr);
    }
    Ok(())
}
