//! Comparing pictures: against each other, and against the references in `tests/golden`.

#![expect(clippy::panic, reason = "assertions of tests")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use image::{Rgba, RgbaImage};

/// How far a picture may be from its reference.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Mean difference over all pixels and channels, of 255.
    pub mean: f64,
    /// Share of the pixels that may differ by more than 48 of 255 in some channel.
    pub outliers: f64,
}

impl Tolerance {
    /// Equal up to the choice of a palette.
    pub const QUANTIZED: Self = Self {
        mean: 2.0,
        outliers: 0.002,
    };
    /// Equal up to JPEG's losses.
    pub const JPEG: Self = Self {
        mean: 4.0,
        outliers: 0.02,
    };
    /// Every pixel the same.
    pub const EXACT: Self = Self {
        mean: 0.0,
        outliers: 0.0,
    };
}

/// What two pictures of one size differ by.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    pub mean: f64,
    pub outliers: f64,
}

/// Decodes a PNG or JPEG.
pub fn decode(bytes: &[u8]) -> Result<RgbaImage> {
    let start = String::from_utf8_lossy(bytes.get(..bytes.len().min(300)).unwrap_or_default()).into_owned();
    Ok(image::load_from_memory(bytes)
        .with_context(|| format!("not an image: {start}"))?
        .to_rgba8())
}

/// Compares two pictures of one size, transparent pixels as equal whatever their colour.
pub fn difference(a: &RgbaImage, b: &RgbaImage) -> Difference {
    assert_eq!(a.dimensions(), b.dimensions(), "the pictures differ in size");
    let (mut sum, mut outliers) = (0_u64, 0_u64);
    for (p, q) in a.pixels().zip(b.pixels()) {
        let delta = pixel_difference(*p, *q);
        sum += delta.iter().map(|d| u64::from(*d)).sum::<u64>();
        outliers += u64::from(delta.iter().any(|d| *d > 48));
    }
    let pixels = f64::from(a.width()) * f64::from(a.height());
    Difference {
        mean: sum as f64 / (pixels * 4.0),
        outliers: outliers as f64 / pixels,
    }
}

fn pixel_difference(p: Rgba<u8>, q: Rgba<u8>) -> [u8; 4] {
    let seen = |pixel: Rgba<u8>| {
        let [r, g, b, a] = pixel.0;
        [r, g, b].map(|v| (u16::from(v) * u16::from(a) / 255) as u8)
    };
    let ([r1, g1, b1], [r2, g2, b2]) = (seen(p), seen(q));
    [r1.abs_diff(r2), g1.abs_diff(g2), b1.abs_diff(b2), p[3].abs_diff(q[3])]
}

/// Fails unless two pictures are alike; `what` names them, and files in `target/pictures` that show both.
#[track_caller]
pub fn assert_alike(what: &str, expected: &RgbaImage, actual: &RgbaImage, tolerance: Tolerance) {
    let difference = difference(expected, actual);
    if difference.mean > tolerance.mean || difference.outliers > tolerance.outliers {
        let folder = pictures();
        let name = what.replace(|c: char| !c.is_alphanumeric(), "-");
        for (suffix, picture) in [("expected", expected), ("actual", actual)] {
            let path = folder.join(format!("{name}.{suffix}.png"));
            picture
                .save(&path)
                .unwrap_or_else(|error| panic!("failed to write `{}`: {error}", path.display()));
        }
        panic!(
            "{what}: {difference:?} is more than {tolerance:?}, see `{}`",
            folder.display()
        );
    }
}

/// Compares an encoded picture with `tests/golden/NAME.png`. With `UPDATE_GOLDEN=1` the reference is written instead.
#[track_caller]
pub fn assert_image_matches(name: &str, bytes: &[u8], tolerance: Tolerance) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(format!("{name}.png"));
    let actual = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        actual
            .save(&path)
            .unwrap_or_else(|error| panic!("failed to write `{}`: {error}", path.display()));
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "failed to read `{}`: {error}; run the test with UPDATE_GOLDEN=1 and look at what it wrote",
            path.display()
        )
    });
    assert_alike(
        name,
        &decode(&expected).expect("a reference is an image"),
        &actual,
        tolerance,
    );
}

/// `target/pictures`, made when missing.
fn pictures() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let folder = target.join("pictures");
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("failed to make `{}`: {error}", folder.display()));
    folder
}
