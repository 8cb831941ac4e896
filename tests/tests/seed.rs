//! `mapproxy seed`: caches are filled whatever happens to the process and to the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use mapproxy_tests::command::{Ended, finish, run, start};
use mapproxy_tests::sample::{Answer, Fault};
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
  city: {bbox: [13.1, 52.34, 13.7, 52.68], srs: 'EPSG:4326'}
seeds:
  world: {caches: [map_cache], levels: {to: 3}}
  deep: {caches: [map_cache], levels: {to: 5}}
  again: {caches: [map_cache], levels: {to: 3}, refresh_before: {seconds: 0}}
  deep_again: {caches: [map_cache], levels: {to: 5}, refresh_before: {seconds: 0}}
  west: {caches: [map_cache], levels: [2], coverages: [west], refresh_before: {days: 1}}
  city: {caches: [map_cache], levels: [12], coverages: [city]}
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
    // A dead process leaves its locks, which the run that goes on takes without waiting for them to grow stale.
    let done = seed(&site, "--seed=deep --continue -q --log warn").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stderr.contains("no sign of life"), "{}", done.stderr);
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

/// Requests for one meta tile of level 3, which is `3/0/6`.
fn one_meta_tile(fault: Fault) -> Fault {
    Fault {
        matching: "bbox=-20037508.342789244,-20037508.342789248,-10018754.17139462".to_owned(),
        ..fault
    }
}

/// A meta tile of which no request is answered well.
fn broken() -> Fault {
    one_meta_tile(Fault {
        status: Some(500),
        ..Fault::default()
    })
}

async fn failing(fault: Fault, arguments: &str) -> Result<()> {
    let site = site()?;
    site.sample.fault(one_meta_tile(fault));
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

/// Begins a task and ends it with SIGINT after so many requests.
async fn interrupted(site: &Site, task: &str, requests: usize) -> Result<()> {
    site.sample.fault(Fault {
        latency_ms: 50,
        ..Fault::default()
    });
    let run = start(site.folder(), ["seed", "-s", "seed.yaml", "--seed", task, "-q"])?;
    site.sample.requested(requests, PATIENCE).await?;
    let pid = run.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::INT)?;
    let ended = finish(run).await?;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_a_run_that_can_go_on() -> Result<()> {
    let site = site()?;
    interrupted(&site, "deep", 10).await?;
    assert!(site.folder().join(".mapproxy_seed_progress").exists());
    let needed = 22 + 64 + 256;
    let done = seed(&site, "--seed=deep --continue -q").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(site.sample.requests().len(), needed, "nothing was made twice");
    Ok(())
}

#[tokio::test]
async fn what_is_stored_can_be_seen() -> Result<()> {
    let site = site()?;
    let dry = seed(&site, "--seed=west -n").await?;
    assert!(dry.stdout.contains("level 2:\n    ░"), "{}", dry.stdout);
    assert_eq!(seed(&site, "--seed=west -q").await?.code, 0);
    let asked = site.sample.requests().len();
    let page = seed(&site, "--seed=world,west --map stored.html").await?;
    assert_eq!(page.code, 0, "{}", page.stderr);
    assert!(
        page.stdout
            .contains("  level 2: 8 of 16 tiles are stored\n  level 3: 0 of 64"),
        "{}",
        page.stdout
    );
    let html = std::fs::read_to_string(site.folder().join("stored.html"))?;
    assert!(
        html.contains("<h2>seed west: map_cache on GLOBAL_WEBMERCATOR</h2>"),
        "{html}"
    );
    assert_eq!(seed(&site, "--seed=world --map stored.png -q").await?.code, 0);
    let picture = image::open(site.folder().join("stored.png"))?;
    assert_eq!(picture.width(), 4 * 136 + 8, "four levels side by side");
    let wrong = seed(&site, "--seed=world --map stored.gif").await?;
    assert!(
        wrong.code != 0 && wrong.stderr.contains("ends in `.png` or `.html`"),
        "{}",
        wrong.stderr
    );
    assert_eq!(site.sample.requests().len(), asked, "nobody is asked for that");
    Ok(())
}

#[tokio::test]
async fn a_picture_of_a_city_shows_the_city() -> Result<()> {
    let site = site()?;
    let dry = seed(&site, "--seed=city -n").await?;
    let rows: Vec<&str> = dry.stdout.lines().filter(|line| line.contains('░')).collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| !row.contains('·')),
        "{}",
        dry.stdout
    );
    assert_eq!(seed(&site, "--seed=city -q").await?.code, 0);
    let stored = tiles(&site).len();
    let page = seed(&site, "--seed=city --map stored.html").await?;
    let expect = format!("level 12: {stored} of {stored} tiles are stored");
    assert!(stored > 0 && page.stdout.contains(&expect), "{expect}\n{}", page.stdout);
    Ok(())
}

#[tokio::test]
async fn the_list_of_failures_says_what_the_source_said() -> Result<()> {
    let check = async |fault: Fault, expect: &str| -> Result<()> {
        let site = site()?;
        site.sample.fault(fault);
        let done = seed(&site, "--seed=west --max-retries 0 --failed-file failed.txt").await?;
        assert_eq!(done.code, 4, "{}", done.stderr);
        let failed = std::fs::read_to_string(site.folder().join("failed.txt"))?;
        assert!(failed.contains(expect), "{expect}\n{failed}");
        assert!(!failed.contains("see logs") && !failed.contains("bbox="), "{failed}");
        Ok(())
    };
    let status = Fault {
        status: Some(503),
        ..Fault::default()
    };
    check(status, ": HTTP status 503").await?;
    let exception = Fault {
        answer: Some(Answer::Exception),
        ..Fault::default()
    };
    check(exception, "the sample WMS was told to fail").await?;
    let broken = Fault {
        cut_after: Some(10),
        ..Fault::default()
    };
    check(broken, ": the answer broke off").await
}

#[tokio::test]
async fn a_link_out_of_the_cache_is_refused_once_and_named() -> Result<()> {
    let site = site()?;
    let (level, elsewhere) = (
        site.cache_folder().join("map_cache_EPSG3857/2"),
        site.folder().join("elsewhere"),
    );
    std::fs::create_dir_all(&elsewhere)?;
    std::fs::create_dir_all(level.parent().unwrap())?;
    std::os::unix::fs::symlink(&elsewhere, &level)?;
    for task in ["--seed=west", "--cleanup=west"] {
        let done = seed(&site, &format!("{task} --retry-wait 20s --failed-file failed.txt")).await?;
        assert_eq!(done.code, 4, "{}", done.stderr);
        let failed = std::fs::read_to_string(site.folder().join("failed.txt"))?;
        assert!(failed.contains("/map_cache_EPSG3857/2` is a link out of"), "{failed}");
        assert!(!done.stderr.contains("is tried again"), "{}", done.stderr);
    }
    assert_eq!(std::fs::read_dir(&elsewhere)?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_task_whose_age_is_a_missing_file_does_not_run() -> Result<()> {
    let site = site()?;
    let tasks = "seeds: {a: {caches: [map_cache], levels: [0], refresh_before: {mtime: marks/planet}}}";
    std::fs::write(site.folder().join("marked.yaml"), tasks)?;
    let summary = run(site.folder(), "seed -s marked.yaml --summary").await?;
    assert!(
        summary
            .stdout
            .contains("/marks/planet`, whose age counts, cannot be found"),
        "{}",
        summary.stdout
    );
    let done = run(site.folder(), "seed -s marked.yaml").await?;
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains("cannot be run: "), "{}", done.stderr);
    assert_eq!(site.sample.requests().len(), 0);
    std::fs::create_dir(site.folder().join("marks"))?;
    std::fs::write(site.folder().join("marks/planet"), "")?;
    assert_eq!(run(site.folder(), "seed -s marked.yaml").await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_cache_that_is_worked_on_is_waited_for() -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        hold: true,
        ..Fault::default()
    });
    let start_one = || {
        start(
            site.folder(),
            "seed -s seed.yaml --seed=world --use-cache-lock --progress-file P -q".split(' '),
        )
    };
    let first = start_one()?;
    site.sample.requested(1, PATIENCE).await?;
    let second = start(
        site.folder(),
        "seed -s seed.yaml --seed=world --use-cache-lock -q".split(' '),
    )?;
    // while the first one works, time passes without a request of the second
    let deadline = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < deadline {
        assert!(site.sample.requests().len() <= 2, "two pieces of the first one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    site.sample.reset();
    site.sample.release();
    let (first, second) = (finish(first).await?, finish(second).await?);
    assert_eq!((first.code, second.code), (0, 0), "{}\n{}", first.stderr, second.stderr);
    assert_eq!(tiles(&site).len(), 85);
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_too_early_does_nothing() -> Result<()> {
    let site = site()?;
    let arguments = "--seed=world --reseed-file last --reseed-interval 1d -q";
    assert_eq!(seed(&site, arguments).await?.code, 0);
    let file = site.folder().join("last");
    let began = std::fs::metadata(&file)?.modified()?;
    assert!(
        began.elapsed()? < Duration::from_hours(1),
        "its time is the start of the run"
    );
    let tile = site.cache_folder().join("map_cache_EPSG3857/0/0/0.png");
    std::fs::remove_file(&tile)?;
    assert_eq!(seed(&site, arguments).await?.code, 0);
    assert!(!tile.exists(), "too early");
    make_old(&file)?;
    assert_eq!(seed(&site, arguments).await?.code, 0);
    assert!(tile.exists());
    assert!(std::fs::metadata(&file)?.modified()? >= began);
    Ok(())
}

#[tokio::test]
async fn a_run_ends_when_its_time_is_up() -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        latency_ms: 100,
        ..Fault::default()
    });
    let ended = seed(&site, "--seed=deep --duration 2s -q").await?;
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let asked = site.sample.requests().len();
    assert!((1..342).contains(&asked), "{asked}");
    site.sample.reset();
    let done = seed(&site, "--seed=deep --continue -q").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(site.sample.requests().len(), 342 - asked, "nothing was made twice");
    Ok(())
}

#[tokio::test]
async fn more_pieces_at_once_where_that_helps() -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        latency_ms: 100,
        ..Fault::default()
    });
    let done = seed(&site, "--seed=deep -c auto -q").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(site.sample.requests().len(), 342);
    Ok(())
}

/// One of twenty requests fails, one hangs, and the server asks for pauses, all at once.
#[tokio::test]
async fn a_bad_source_ends_in_an_exact_list_that_completes_the_cache() -> Result<()> {
    let site = site()?;
    // columns of meta tiles of level 5, of which there are 16 by 16
    let edge = |column: u32| f64::from(column) * 2_504_688.542_848_654 - 20_037_508.342_789_244;
    let fault = |column: u32, fault: Fault| {
        let matching = format!("bbox={}.", edge(column).trunc());
        site.sample.fault(Fault { matching, ..fault });
    };
    site.sample.fault(Fault {
        times: Some(2),
        status: Some(429),
        retry_after: Some(1),
        ..Fault::default()
    });
    fault(
        5,
        Fault {
            status: Some(500),
            ..Fault::default()
        },
    );
    fault(
        11,
        Fault {
            times: Some(1),
            hold: true,
            ..Fault::default()
        },
    );
    let began = Instant::now();
    let bounds = "-c 8 --rate 100/s --max-retries 1 --retry-wait 100ms";
    let done = seed(&site, &format!("--seed=deep -q --failed-file failed.txt {bounds}")).await?;
    let (asked, elapsed) = (site.sample.requests(), began.elapsed());
    assert_eq!(done.code, 4, "{}", done.stderr);
    let list = std::fs::read_to_string(site.folder().join("failed.txt"))?;
    let failed: BTreeSet<&str> = list.lines().filter_map(|line| line.split('\t').next()).collect();
    let mut missing = BTreeSet::new();
    for (x, y) in (0..16).flat_map(|x| (0..16).map(move |y| (2 * x, 2 * y))) {
        let tile = format!("map_cache_EPSG3857/5/{x}/{y}.png");
        if !site.cache_folder().join(tile).exists() {
            missing.insert(format!("5/{x}/{y}"));
        }
    }
    assert!(!failed.is_empty());
    assert!(
        failed.iter().all(|id| missing.contains(*id) || !id.starts_with("5/")),
        "{failed:?}\n{missing:?}"
    );
    assert_eq!(
        missing.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        failed.iter().copied().filter(|id| id.starts_with("5/")).collect(),
        "the list is exact"
    );
    assert!(
        elapsed >= Duration::from_millis(10) * (asked.len() as u32 - 1),
        "the rate is kept"
    );

    site.sample.reset();
    site.sample.release();
    let done = seed(&site, "--seed=deep -q --tiles-file failed.txt").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(site.sample.requests().len(), failed.len(), "nothing else is asked for");
    assert_eq!(tiles(&site).len(), 1365);
    Ok(())
}

#[tokio::test]
async fn a_run_that_goes_on_tries_what_has_failed() -> Result<()> {
    for stop in ["", "--on-error stop"] {
        let site = site()?;
        site.sample.fault(broken());
        let bounds = format!("--seed=again --max-retries 1 --retry-wait 100ms {stop}");
        let done = seed(&site, &bounds).await?;
        assert_eq!(done.code, 4, "{}", done.stderr);
        let told = "3/0/6 of seed again: map_cache on GLOBAL_WEBMERCATOR is tried again in 0.1 s: ";
        assert!(done.stderr.contains(told), "{}", done.stderr);
        assert!(done.stderr.contains("`--continue` tries them again"), "{}", done.stderr);

        let done = seed(&site, &format!("{bounds} --continue")).await?;
        assert_eq!(done.code, 4, "it still fails: {}", done.stderr);

        site.sample.reset();
        let done = seed(&site, "--seed=again --continue").await?;
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert_eq!(tiles(&site).len(), 85);
        if stop.is_empty() {
            assert_eq!(site.sample.requests().len(), 1, "nothing else is made");
        }
        assert!(!site.folder().join(".mapproxy_seed_progress").exists());
    }
    Ok(())
}

#[tokio::test]
async fn a_list_is_replaced_by_what_is_left_of_it() -> Result<()> {
    let site = site()?;
    site.sample.fault(broken());
    let list = site.folder().join("list.txt");
    std::fs::write(&list, "3/0/6\n3/2/6\n1/0/0\tof another task\n")?;
    let again = "--seed=world --tiles-file list.txt --failed-file list.txt --max-retries 0";
    let done = seed(&site, again).await?;
    assert_eq!(done.code, 4, "{}", done.stderr);
    let left = std::fs::read_to_string(&list)?;
    assert!(
        left.starts_with("3/0/6\tmap_cache\tGLOBAL_WEBMERCATOR\tseed world\t")
            && left.ends_with("\n1/0/0\tof another task\n")
            && left.lines().count() == 2,
        "{left}"
    );
    site.sample.reset();
    let done = seed(&site, again).await?;
    let left = std::fs::read_to_string(&list)?;
    assert_eq!(
        (done.code, left.as_str()),
        (0, "1/0/0\tof another task\n"),
        "{}",
        done.stderr
    );
    assert_eq!(tiles(&site).len(), 8);
    Ok(())
}

#[tokio::test]
async fn lists_are_for_the_tasks_that_have_such_tiles() -> Result<()> {
    let site = site()?;
    let check = async |list: &str, code: i32, told: &str| -> Result<()> {
        std::fs::write(site.folder().join("list.txt"), list)?;
        let done = seed(&site, "--seed=world,west --tiles-file list.txt").await?;
        assert_eq!(done.code, code, "{list}: {}", done.stderr);
        assert!(done.stderr.contains(told), "{list}: {}", done.stderr);
        Ok(())
    };
    check(
        "nonsense\n",
        2,
        "`list.txt`: line 1: expected `z/x/y`, found `nonsense`",
    )
    .await?;
    check("4/0/0\n", 1, "line 1 of the list, `4/0/0`, is for none of the tasks").await?;
    check(
        "2/0/0\tother\n",
        1,
        "line 1 of the list, `2/0/0\tother`, is for none of the tasks",
    )
    .await?;
    assert_eq!(site.sample.requests().len(), 0);
    check(
        "4/0/0\n2/0/0\n",
        0,
        "line 1 of the list, `4/0/0`, is for none of the tasks",
    )
    .await?;
    assert_eq!(
        site.sample.requests().len(),
        1,
        "both tasks have it, and it is made once"
    );
    Ok(())
}

#[tokio::test]
async fn a_run_over_other_things_leaves_the_state_alone() -> Result<()> {
    let site = site()?;
    let needed = 22 + 64 + 256;
    interrupted(&site, "deep_again", needed / 2).await?;
    site.sample.reset();
    let state = site.folder().join(".mapproxy_seed_progress");
    std::fs::write(site.folder().join("list.txt"), "3/0/6\n")?;
    std::fs::write(
        site.folder().join("other.yaml"),
        "seeds: {world: {caches: [map_cache], levels: [0]}}\n",
    )?;
    for other in [
        "--tiles-file list.txt --reseed-file stamp --reseed-interval 1d",
        "--seed=world",
        "--cleanup=old -i",
    ] {
        let done = seed(&site, other).await?;
        assert_eq!(done.code, 0, "{other}: {}", done.stderr);
        assert!(state.exists(), "{other}");
    }
    let done = run(site.folder(), "seed -f mapproxy.yaml -s other.yaml").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!site.folder().join("stamp").exists(), "a list is no complete run");

    let before = site.sample.requests().len();
    let done = seed(&site, "--seed=deep_again --continue").await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tiles(&site).len(), 1365);
    assert!(
        site.sample.requests().len() - before <= needed / 2,
        "it goes on from where it was, and what it made is new enough"
    );
    assert!(!state.exists());
    Ok(())
}

#[tokio::test]
async fn a_piece_that_is_given_up_leaves_nothing_locked() -> Result<()> {
    let site = Site::new(&CONFIGURATION.replace("client_timeout: 2", "client_timeout: 60"))?;
    std::fs::write(site.folder().join("seed.yaml"), SEED)?;
    site.sample.fault(one_meta_tile(Fault {
        times: Some(1),
        hold: true,
        ..Fault::default()
    }));
    // before the request itself is timed out, and the second try before a lock grows stale
    let bounds = "--piece-timeout 5s --max-retries 1 --retry-wait 100ms";
    let done = seed(&site, &format!("--seed=world -q {bounds}")).await?;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tiles(&site).len(), 85);
    Ok(())
}

#[tokio::test]
async fn a_state_that_cannot_be_written_is_told_at_once() -> Result<()> {
    let site = site()?;
    let done = seed(&site, "--seed=world --progress-file nowhere/state").await?;
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(
        done.stderr.contains("failed to write `nowhere/state`"),
        "{}",
        done.stderr
    );
    assert_eq!(site.sample.requests().len(), 0);
    Ok(())
}

#[tokio::test]
async fn two_runs_do_not_share_a_state() -> Result<()> {
    let site = site()?;
    site.sample.fault(Fault {
        hold: true,
        ..Fault::default()
    });
    let first = start(site.folder(), "seed -s seed.yaml --seed=world -q".split(' '))?;
    site.sample.requested(1, PATIENCE).await?;
    let second = seed(&site, "--cleanup=old --continue").await?;
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(
        second.stderr.contains("another seed keeps its state there"),
        "{}",
        second.stderr
    );
    site.sample.reset();
    site.sample.release();
    let first = finish(first).await?;
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(!first.stderr.contains("another seed"), "{}", first.stderr);
    Ok(())
}
