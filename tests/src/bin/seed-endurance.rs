//! Two long runs of `mapproxy seed` against the sample WMS, too long for a test: `make endurance`.
//!
//! `kills LEVEL KILLS PIECES`: a seed down to this level with so many pieces at once, killed so often at random moments and
//! each time taken up again, beside one that nobody disturbs. `growth LEVEL`: small tiles down to this level from a source that answers at once, with the
//! memory of the process every few seconds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use mapproxy_tests::command::{finish, start};
use mapproxy_tests::endurance::{Random, say};
use mapproxy_tests::site::Site;

const PATIENCE: Duration = Duration::from_hours(1);

/// Tiles of 64 pixels, 16 in a request: as many as usual, but drawn faster.
const KILLED: &str = "
layers: [{name: map, title: Map, sources: [map_cache]}]
caches:
  map_cache: {grids: [small], sources: [map], meta_buffer: 0, cache: {type: file, directory_layout: tms}}
grids: {small: {base: GLOBAL_WEBMERCATOR, tile_size: [64, 64]}}
sources: {map: {type: wms, req: {url: SAMPLE/service, layers: map}}}
";

/// Tiles of 16 pixels, 256 in a request.
const GROWING: &str = "
layers: [{name: map, title: Map, sources: [map_cache]}]
caches:
  map_cache: {grids: [small], sources: [map], meta_size: [16, 16], meta_buffer: 0, cache: {type: file, directory_layout: tms}}
grids: {small: {base: GLOBAL_WEBMERCATOR, tile_size: [16, 16], num_levels: 20}}
sources: {map: {type: wms, req: {url: SAMPLE/service, layers: map}}}
globals: {image: {paletted: false}}
";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u32| -> Result<u32> {
        match arguments.get(index) {
            Some(text) => text.parse().with_context(|| format!("`{text}` is no number")),
            None => Ok(default),
        }
    };
    match arguments.first().map(String::as_str) {
        Some("kills") => kills(number(1, 7)?, number(2, 20)?, number(3, 1)?).await,
        Some("growth") => growth(number(1, 10)?).await,
        _ => bail!("expected `kills [LEVEL] [KILLS] [PIECES]` or `growth [LEVEL]`"),
    }
}

fn site(configuration: &str, level: u32) -> Result<Site> {
    let site = Site::new(configuration)?;
    let seed = format!("seeds: {{all: {{caches: [map_cache], levels: {{to: {level}}}}}}}\n");
    std::fs::write(site.folder().join("seed.yaml"), seed)?;
    Ok(site)
}

/// Tiles in the cache, without locks and without what a process that was killed was writing.
fn tiles(site: &Site) -> BTreeSet<PathBuf> {
    let is_tile = |path: &PathBuf| {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "png")
    };
    site.cached_files().into_iter().filter(is_tile).collect()
}

async fn kills(level: u32, kills: u32, pieces: u32) -> Result<()> {
    let pieces_text = pieces.to_string();
    let arguments = ["seed", "-s", "seed.yaml", "--continue", "-q", "-c", &pieces_text];
    let undisturbed = site(KILLED, level)?;
    let began = Instant::now();
    let done = finish(start(undisturbed.folder(), arguments)?).await?;
    ensure!(done.code == 0, "{}", done.stderr);
    let (whole, needed) = (began.elapsed(), undisturbed.sample.requests().len());
    let expected = tiles(&undisturbed);
    say(&format!(
        "undisturbed: {} tiles, {needed} requests, {whole:.1?}",
        expected.len()
    ))?;

    let disturbed = site(KILLED, level)?;
    let mut random = Random::from_time();
    for kill in 1..=kills {
        // a moment anywhere in this part of the run, whatever is done then
        let until = needed * (kill as usize - 1) / kills as usize;
        let mut child = start(disturbed.folder(), arguments)?;
        disturbed.sample.requested(until.max(1), PATIENCE).await?;
        tokio::time::sleep(whole.mul_f64(random.fraction() / f64::from(kills))).await;
        child.kill().await?;
    }
    let done = finish(start(disturbed.folder(), arguments)?).await?;
    ensure!(done.code == 0, "{}", done.stderr);
    let asked = disturbed.sample.requests().len();
    let found = tiles(&disturbed);
    let other: Vec<_> = found.symmetric_difference(&expected).take(10).collect();
    ensure!(other.is_empty(), "too many or missing: {other:?}");
    let others: Vec<_> = disturbed
        .cached_files()
        .into_iter()
        .filter(|path| !found.contains(path))
        .collect();
    say(&format!("{} files that are no tiles: {others:?}", others.len()))?;
    for file in &expected {
        let read = |site: &Site| std::fs::read(site.cache_folder().join(file));
        ensure!(read(&disturbed)? == read(&undisturbed)?, "`{}` differs", file.display());
    }
    let twice = asked.saturating_sub(needed);
    say(&format!(
        "killed {kills} times: the same tiles byte for byte, {asked} requests, {:.2} % twice",
        100.0 * twice as f64 / needed as f64
    ))?;
    // what is under way when the process is killed, and nothing else
    ensure!(
        twice <= (kills * pieces) as usize,
        "more requests than that were made twice"
    );
    Ok(())
}

async fn growth(level: u32) -> Result<()> {
    let site = site(GROWING, level)?;
    let began = Instant::now();
    let mut child = start(site.folder(), ["seed", "-s", "seed.yaml", "-q"])?;
    let status = child.id().map(|pid| format!("/proc/{pid}/status")).context("it runs")?;
    let mut next = Duration::ZERO;
    while child.try_wait()?.is_none() {
        if began.elapsed() >= next {
            let requests = site.sample.requests().len();
            say(&format!(
                "{:6.1} s: {requests} requests, about {} tiles, {} MiB",
                began.elapsed().as_secs_f64(),
                requests * 256,
                resident(Path::new(&status))? >> 10
            ))?;
            next += Duration::from_secs(10);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let done = finish(child).await?;
    ensure!(done.code == 0, "{}", done.stderr);
    say(&format!(
        "{} tiles, {} requests, {:.1?}",
        site.cached_files().len(),
        site.sample.requests().len(),
        began.elapsed()
    ))
}

/// Resident memory of a process in KiB; 0 when it has just ended.
fn resident(status: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let Some(line) = line else { return Ok(0) };
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
