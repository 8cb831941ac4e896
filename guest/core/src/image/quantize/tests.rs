//! Tests of `quantize`: exact where it can be, and closer than Pillow's FASTOCTREE where it cannot.

use super::*;
use crate::image::golden::{alpha_waves, picture, scene, waves};

/// Mean absolute difference per channel, of premultiplied colours.
fn mean_error(a: &Raster, b: &Raster) -> f64 {
    let (a, b) = (a.to_rgba(), b.to_rgba());
    let premultiplied = |pixel: &[u8], k: usize| f64::from(pixel[k]) * f64::from(pixel[3]) / 255.0;
    let sum: f64 = a
        .chunks_exact(4)
        .zip(b.chunks_exact(4))
        .flat_map(|(a, b)| (0..3).map(move |k| (premultiplied(a, k) - premultiplied(b, k)).abs()))
        .sum();
    sum / (a.len() / 4 * 3) as f64
}

#[test]
fn colors_are_nearer_than_fastoctree_has_them() {
    // Mean errors of Pillow's FASTOCTREE for the same pictures, from `golden/make.py`.
    let check = |what: &str, raster: &Raster, colors: usize, fastoctree: f64| {
        let reduced = quantize(raster, colors).unwrap();
        let Pixels::Indexed { palette, .. } = reduced.pixels() else {
            panic!("no palette")
        };
        assert!(palette.len() <= colors);
        let error = mean_error(raster, &reduced);
        assert!(
            error <= fastoctree,
            "{what} with {colors}: {error:.3}, FASTOCTREE {fastoctree}"
        );
    };
    check("scene", &scene(256), 256, 0.672);
    check("scene", &scene(256), 64, 0.739);
    check("scene", &scene(256), 16, 1.191);
    check("waves", &waves(256), 256, 12.297);
    check("waves", &waves(256), 64, 15.324);
    check("waves", &waves(256), 16, 72.536);
    check("alpha_waves", &alpha_waves(256), 256, 7.337);
    check("alpha_waves", &alpha_waves(256), 64, 14.755);
    check("alpha_waves", &alpha_waves(256), 16, 74.323);
}

#[test]
fn few_colors_are_kept_exactly() {
    let check = |count: u32, colors: usize, exact: bool| {
        let data: Vec<u8> = (0..64 * 64_u32)
            .flat_map(|i| [(i % count) as u8, (i % count / 3) as u8, 7])
            .collect();
        let raster = Raster::new(64, 64, Pixels::Rgb(data)).unwrap();
        let reduced = quantize(&raster, colors).unwrap();
        assert_eq!(reduced.to_rgb() == raster.to_rgb(), exact, "{count} {colors}");
    };
    check(1, 1, true);
    check(256, 256, true);
    check(255, 256, true);
    check(256, 255, false);
    check(17, 16, false);
}

#[test]
fn a_dot_that_no_sample_has_keeps_its_color() {
    for (x, y) in [(100, 100), (101, 100), (102, 100), (103, 100), (101, 101), (102, 103)] {
        let mut picture = waves(256).into_rgb();
        for pixel in picture.bytes_mut().chunks_exact_mut(3) {
            pixel[0] /= 4;
        }
        let at = (y * 256 + x) * 3;
        picture.bytes_mut()[at..at + 3].copy_from_slice(&[255, 0, 0]);
        let got = quantize(&picture, 255).unwrap().pixel(x as u32, y as u32).unwrap();
        assert!(got[0] > 200 && got[1] < 30 && got[2] < 30, "{x} {y}: {got:?}");
    }
}

#[test]
fn palettes_that_are_small_enough_stay() {
    let palette = vec![[1, 2, 3, 255], [4, 5, 6, 0], [7, 8, 9, 255]];
    let raster = Raster::new(
        2,
        1,
        Pixels::Indexed {
            indices: vec![2, 0],
            palette,
        },
    )
    .unwrap();
    assert_eq!(quantize(&raster, 3).unwrap(), raster);
    assert_eq!(quantize(&raster, 2).unwrap().to_rgb(), raster.to_rgb());
}

#[test]
fn clear_and_opaque_stay_so() {
    let reduced = quantize(&alpha_waves(64), 32).unwrap();
    for (at, pixel) in (0..).zip(alpha_waves(64).to_rgba().chunks_exact(4)) {
        let got = reduced.pixel(at % 64, at / 64).unwrap()[3];
        if pixel[3] == 0 {
            assert!(got < 32, "clear became {got}");
        } else if pixel[3] == 255 {
            assert!(got > 223, "opaque became {got}");
        }
    }
}

#[test]
fn weights_decide_which_colors_stay() {
    // One colour everywhere, and a gray wedge that hardly occurs.
    let mut weighted: Vec<([u8; 4], u32)> = (0..=255).map(|v| ([v, v, v, 255], 1)).collect();
    weighted.push(([200, 30, 30, 255], 1_000_000));
    let (indices, palette) = reduce_weighted(&weighted, 16);
    assert!(palette.len() <= 16);
    assert_eq!(palette[usize::from(indices[256])], [200, 30, 30, 255]);
    assert!(palette[usize::from(indices[0])][0] < 30 && palette[usize::from(indices[255])][0] > 225);
    assert_eq!(reduce_weighted(&[([1, 2, 3, 0], 0)], 0).1.len(), 1);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_picture_gets_a_palette(data in prop::collection::vec(any::<u8>(), 4..2000), colors in 0..300_usize) {
            let pixels = data.len() as u32 / 12;
            prop_assume!(pixels > 0);
            let check = |raster: Raster| {
                let reduced = quantize(&raster, colors).unwrap();
                let fits = match reduced.pixels() {
                    Pixels::Indexed { indices, palette } => {
                        palette.len() <= colors.clamp(1, 256)
                            && indices.iter().all(|&index| usize::from(index) < palette.len())
                    }
                    _ => false,
                };
                (reduced.size() == raster.size()) && fits
            };
            let cut = |bpp: usize| data[..pixels as usize * bpp].to_vec();
            prop_assert!(check(Raster::new(pixels, 1, Pixels::Rgb(cut(3))).unwrap()));
            prop_assert!(check(Raster::new(pixels, 1, Pixels::Rgba(cut(4))).unwrap()));
            prop_assert!(check(Raster::new(pixels, 1, Pixels::Gray(cut(1))).unwrap()));
        }
    }
}

#[test]
fn gray_pictures_are_palettes_already() {
    let gray = picture(40, 30, 1);
    assert_eq!(quantize(&gray, 256).unwrap().to_rgb(), gray.to_rgb());
    assert!(mean_error(&gray, &quantize(&gray, 16).unwrap()) < 8.0);
}
