//! Our maps beside MapProxy's: same configuration, same source, same requests.
//!
//! The reference pictures lie in `tests/golden/mapproxy`, made by MapProxy 7.0.0 with `make.py` there.
//! `requests.txt` states the largest mean difference of each, of 255; maps in the cache's own reference system are
//! equal. A picture must also fit better where it lies than shifted by a pixel in any direction.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use image::RgbaImage;
use mapproxy_tests::sample::SampleWms;
use mapproxy_tests::server::Server;
use tempfile::TempDir;

fn golden() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/mapproxy"))
}

/// Mean difference of all samples where both pictures have pixels, with `ours` moved by `dx`, `dy` pixels. Colours
/// count as far as they are opaque.
fn mean_difference(ours: &RgbaImage, theirs: &RgbaImage, dx: i32, dy: i32) -> f64 {
    let (width, height) = theirs.dimensions();
    let mut sum = 0.0;
    let mut count = 0.0;
    for (x, y, theirs) in theirs.enumerate_pixels() {
        let (Some(x), Some(y)) = (x.checked_add_signed(dx), y.checked_add_signed(dy)) else {
            continue;
        };
        if x >= width || y >= height {
            continue;
        }
        let ours = ours.get_pixel(x, y);
        let alpha = f64::from(ours[3].max(theirs[3])) / 255.0;
        for channel in 0..3 {
            sum += f64::from(ours[channel].abs_diff(theirs[channel])) * alpha;
        }
        sum += f64::from(ours[3].abs_diff(theirs[3]));
        count += 4.0;
    }
    sum / count
}

/// The configuration of `golden/mapproxy` with this upstream and a cache of its own.
fn configuration(directory: &Path, upstream: &str) -> Result<std::path::PathBuf> {
    let text = fs::read_to_string(golden().join("mapproxy.yaml"))?
        .replace("@UPSTREAM@", upstream)
        .replace("@CACHE@", directory.join("cache").to_str().context("path")?);
    let path = directory.join("mapproxy.yaml");
    fs::write(&path, text)?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_equal_those_of_mapproxy() -> Result<()> {
    let directory = TempDir::new()?;
    let upstream = SampleWms::start()?;
    let server = Server::with(&configuration(directory.path(), upstream.url())?)?
        .start()
        .await?;
    let mut wrong = Vec::new();
    for line in fs::read_to_string(golden().join("requests.txt"))?.lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let [name, tolerance, request] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            bail!("requests.txt: `{line}`");
        };
        let tolerance: f64 = tolerance.parse()?;
        let answer = server.get(request).await?;
        let kind = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if answer.status() != 200 || !kind.starts_with("image/") {
            wrong.push(format!(
                "{name}: {} {}",
                answer.status(),
                String::from_utf8_lossy(answer.body())
            ));
            continue;
        }
        let extension = if kind == "image/jpeg" { "jpeg" } else { "png" };
        let theirs = image::open(golden().join(format!("{name}.{extension}")))?.into_rgba8();
        let ours = image::load_from_memory(answer.body())?.into_rgba8();
        if ours.dimensions() != theirs.dimensions() {
            wrong.push(format!(
                "{name}: {:?} instead of {:?}",
                ours.dimensions(),
                theirs.dimensions()
            ));
            continue;
        }
        let difference = mean_difference(&ours, &theirs, 0, 0);
        println!("{name}: mean difference {difference:.3} (at most {tolerance})");
        let shifted = [(1, 0), (-1, 0), (0, 1), (0, -1)].map(|(dx, dy)| mean_difference(&ours, &theirs, dx, dy));
        let best_shift = shifted.into_iter().fold(f64::INFINITY, f64::min);
        if difference > tolerance || difference > best_shift {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{extension}"));
            fs::write(&kept, answer.body())?;
            wrong.push(format!(
                "{name}: mean difference {difference:.3}, at most {tolerance}; shifted by a pixel {best_shift:.3}; ours: {}",
                kept.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), server.log());
    Ok(())
}
