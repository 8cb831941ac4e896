//! `mapproxy seed`: caches are filled whatever happens to the process and to the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use mapproxy_tests::command::{Ended, finish, run, start};
use mapproxy_tests::sample::Fault;
use mapproxy_tests::site::Site;

const CONFIGURATION: &str = "
layers:
  - {name: map, title: Map, sources: [map_cache]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map], meta_size: [2, 2], meta_buffer: 0, cache: {type: file, directory_layout: tms}}
sources:
  map: {type: wms, req: {url: SAMPLE/service, layers: map}, http: {client_timeout: 2}}
globals:
  image: {paletted: false}
";
const SEED: &str = "
coverages:
  west: {bbox: [-180, -85, -0.1, 85], srs: 'EPSG:4326'}
seeds:
  world: {caches: [map_cache], levels: {to: 3}}
  deep: {caches: [map_cache], levels: {to: 5}}
  west: {caches: [map_cache], levels: [2], coverages: [west], refresh_before: {days: 1}}
cleanups:
  old: {caches: [map_cache], levels: [2, 3], remove_before: {days: 1}}
  west: {caches: [map_cache], levels: [2], coverages: [west], remove_all: true}
";
const PATIENCE: Duration = Duration::from_mins(2);

fn site() -> Result<Site> {
    let site = Site::new(CONFIGURATION)?;
    std::fs::write(site.folder().join("seed.yaml"), SEED)?;
    Ok(site)
}

async fn seed(site: &Site, arguments: &str) -> Result<Ended> {
    run(site.folder(), &format!("seed -s seed.yaml {arguments}")).await
}

/// Tiles below the cache folder, without locks.
fn tiles(site: &Site) -> Vec<PathBuf> {
    let is_tile = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "png");
    site.cached_files().into_iter().filter(is_tile).collect()
}

fn make_old(path: &Path) -> Result<()> {
    let two_days_ago = SystemTime::now() - Duration::from_hours(48);
    Ok(std::fs::File::options()
        .append(true)
        .open(path)?
        .set_modified(two_days_ago)?)
}

#[tokio::test]
async fn a_cache_is_filled_once() -> Result<()> {
    let site = site()?;
    let dry = seed(&site, "--seed=world --dry-run").await?;
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("85 tiles in 22 pieces"), "{}", dry.stdout);
    assert_eq!(site.sample.requests().len(), 0, "a dry run asks nobody");

    let done = seed(&site, "--seed=world -c 3").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tiles(&site).len(), 85);
    assert_eq!(site.sample.requests().len(), 22, "one request for each meta tile");
    assert!(!site.folder().join(".mapproxy_seed_progress").exists());

    let again = seed(&site, "--seed=world").await?;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(site.sample.requests().len(), 22, "everything is there");
    Ok(())
}

#[tokio::test]
async fn exit_codes_tell_what_was_wrong() -> Result<()> {
    let site = site()?;
    let unknown = seed(&site, "--seed=wrld").await?;
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("unknown seed task `wrld`"),
        "{}",
        unknown.stderr
    );
    let missing = run(site.folder(), "seed -s seed.yaml -f other.yaml").await?;
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    std::fs::write(site.folder().join("wrong.yaml"), "seeds: {a: {caches: [map_cach]}}\n")?;
    let wrong = run(site.folder(), "seed -s wrong.yaml").await?;
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("did you mean `map_cache`?"), "{}", wrong.stderr);
    let summary = seed(&site, "--summary").await?;
    assert_eq!(summary.code, 0);
    for expected in [
        "seed world: map_cache on GLOBAL_WEBMERCATOR",
        "levels: 0-3",
        "coverage: west",
        "cleanup old",
    ] {
        assert!(summary.stdout.contains(expected), "{expected}\n{}", summary.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was() -> Result<()> {
    const KILLS: usize = 3;
    let undisturbed = site()?;
    let done = seed(&undisturbed, "--seed=deep -q").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let (expected, needed) = (tiles(&undisturbed), undisturbed.sample.requests().len());

    let site = site()?;
    for kill in 1..=KILLS {
        let mut child = start(site.folder(), "seed -s seed.yaml --seed=deep --continue -q".split(' '))?;
        site.sample.requested(needed * kill / (KILLS + 1), PATIENCE).await?;
        child.kill().await?;
    }
    // A dead process leaves its locks, which the next one breaks when they are old.
    let done = seed(&site, "--seed=deep --continue -q").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tiles(&site), expected);
    for tile in &expected {
        let read = |site: &Site| std::fs::read(site.cache_folder().join(tile));
        assert_eq!(read(&site)?, read(&undisturbed)?, "{}", tile.display());
    }
    let asked = site.sample.requests().len();
    assert!(
        asked <= needed + 2 * KILLS,
        "{asked} requests where {needed} were needed"
    );
    Ok(())
}

/// Meta tiles of level 3 of the sample's map that fail, by a part of their request.
async fn failing(fault: Fault, arguments: &str) -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        matching: "bbox=-20037508.342789244,-20037508.342789248,-10018754.17139462".to_owned(),
        ..fault
    });
    let done = seed(&site, &format!("--seed=world --failed-file failed.txt {arguments}")).await?;
    assert_eq!(done.code, 4, "{}\n{}", done.stdout, done.stderr);
    let failed = std::fs::read_to_string(site.folder().join("failed.txt"))?;
    let ids: BTreeSet<&str> = failed.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(ids, BTreeSet::from(["3/0/6"]), "{failed}");
    assert_eq!(tiles(&site).len(), 81, "all but the four of one meta tile");

    site.sample.reset();
    let done = seed(&site, "--seed=world --tiles-file failed.txt").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tiles(&site).len(), 85);
    assert_eq!(site.sample.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_source_that_fails_is_asked_again_and_its_tiles_are_listed() -> Result<()> {
    let fault = Fault {
        status: Some(500),
        ..Fault::default()
    };
    failing(fault, "--max-retries 1 --retry-wait 100ms").await
}

#[tokio::test]
async fn a_source_that_hangs_ends_nothing_else() -> Result<()> {
    let fault = Fault {
        hold: true,
        ..Fault::default()
    };
    failing(fault, "--max-retries 0").await
}

#[tokio::test]
async fn a_busy_source_gets_the_pause_it_asks_for() -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        times: Some(3),
        status: Some(429),
        retry_after: Some(1),
        ..Fault::default()
    });
    let began = Instant::now();
    let done = seed(&site, "--seed=world --retry-wait 10ms").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tiles(&site).len(), 85);
    assert_eq!(site.sample.requests().len(), 25, "three were refused");
    assert!(began.elapsed() >= Duration::from_secs(1));
    Ok(())
}

#[tokio::test]
async fn the_rate_is_kept() -> Result<()> {
    let site = site()?;
    let began = Instant::now();
    let done = seed(&site, "--seed=world --rate 20/s -c 8").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let asked = site.sample.requests().len();
    assert_eq!(asked, 22);
    assert!(began.elapsed() >= Duration::from_millis(50) * (asked as u32 - 1));
    Ok(())
}

#[tokio::test]
async fn events_are_json_lines() -> Result<()> {
    let site = site()?;
    let done = seed(&site, "--seed=world --format json").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let events: Vec<serde_json::Value> = done
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let of = |name: &str| events.iter().find(|event| event["event"] == name);
    assert_eq!(of("task").map(|event| event["name"].clone()), Some("world".into()));
    assert_eq!(of("task-end").map(|event| event["made"].clone()), Some(85.into()));
    assert_eq!(of("end").map(|event| event["complete"].clone()), Some(true.into()));
    Ok(())
}

#[tokio::test]
async fn old_tiles_are_cleaned_and_made_again() -> Result<()> {
    let site = site()?;
    assert_eq!(seed(&site, "--seed=world -q").await?.code, 0);
    let level = |level: u32| {
        let start = format!("map_cache_EPSG3857/{level}/");
        tiles(&site).into_iter().filter(|path| path.starts_with(&start)).count()
    };
    assert_eq!((level(2), level(3)), (16, 64));
    let tile = site.cache_folder().join("map_cache_EPSG3857/2/0/0.png");
    make_old(&tile)?;
    let before = site.sample.requests().len();
    assert_eq!(seed(&site, "--seed=west -q").await?.code, 0);
    assert_eq!(site.sample.requests().len(), before + 1, "the meta tile of the old one");

    make_old(&tile)?;
    std::fs::write(site.cache_folder().join("map_cache_EPSG3857/2/0/mine.txt"), "mine")?;
    make_old(&site.cache_folder().join("map_cache_EPSG3857/2/0/mine.txt"))?;
    let listed = seed(&site, "--cleanup=old -n").await?;
    assert!(
        listed.stdout.contains("map_cache_EPSG3857/2/0/0.png"),
        "{}",
        listed.stdout
    );
    assert_eq!((level(2), level(3)), (16, 64));
    assert_eq!(seed(&site, "--cleanup=old").await?.code, 0);
    assert_eq!((level(2), level(3)), (15, 64));
    assert!(site.cache_folder().join("map_cache_EPSG3857/2/0/mine.txt").exists());

    assert_eq!(seed(&site, "--cleanup=west").await?.code, 0);
    assert_eq!((level(2), level(3)), (8, 64), "columns 0 and 1 are west");
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_a_run_that_can_go_on() -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        latency_ms: 50,
        ..Fault::default()
    });
    let child = start(site.folder(), "seed -s seed.yaml --seed=deep -q".split(' '))?;
    site.sample.requested(10, PATIENCE).await?;
    let pid = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::INT)?;
    let ended = finish(child).await?;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(site.folder().join(".mapproxy_seed_progress").exists());
    let needed = 22 + 64 + 256;
    let done = seed(&site, "--seed=deep --continue -q").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(site.sample.requests().len(), needed, "nothing was made twice");
    Ok(())
}
