//! Tests of the tile mosaic: windows, joined palettes, missing tiles.

use super::*;
use crate::image::golden::{picture, scene};
use crate::image::options::{ImageFormat, ImageOptions};
use crate::image::quantize::quantize;
use crate::image::{encode, transform_same_srs};

/// The picture cut into tiles of 16 x 16, each one changed by `change`.
fn tiles(source: &Raster, change: impl Fn(Raster) -> Raster) -> TileMosaic {
    let (columns, rows) = (source.width() / 16, source.height() / 16);
    let tile = |x: u32, y: u32| change(source.crop(i64::from(x * 16), i64::from(y * 16), 16, 16).unwrap());
    let tiles = (0..rows)
        .flat_map(|y| (0..columns).map(move |x| (x, y)))
        .map(|(x, y)| Some(MapImage::from_raster(tile(x, y), ImageOptions::default())))
        .collect();
    TileMosaic::new(columns, rows, (16, 16), tiles).unwrap()
}

const CLEAR: Fill = Fill::Transparent;

#[test]
fn a_window_is_what_the_whole_would_show() {
    for channels in [1, 3, 4] {
        let source = picture(64, 48, channels);
        let mosaic = tiles(&source, |tile| tile);
        assert_eq!(mosaic.size(), (64, 48));
        for (x, y, width, height) in [
            (0, 0, 64, 48),
            (5, 7, 30, 30),
            (16, 16, 16, 16),
            (63, 47, 1, 1),
            (15, 0, 2, 48),
        ] {
            let window = mosaic.window((x, y), (width, height), None, CLEAR).unwrap();
            assert_eq!(
                window.to_rgba(),
                source.crop(x, y, width, height).unwrap().to_rgba(),
                "{x} {y} {width} {height}"
            );
        }
    }
}

#[test]
fn palettes_are_joined_without_loss_where_they_fit() {
    let source = quantize(&scene(64), 40).unwrap();
    // Each tile gets a palette of its own.
    let mosaic = tiles(&source, |tile| quantize(&tile.into_rgb(), 256).unwrap());
    let window = mosaic.window((3, 5), (50, 41), Some(255), CLEAR).unwrap();
    assert!(matches!(window.pixels(), Pixels::Indexed { .. }));
    assert_eq!(window.to_rgb(), source.crop(3, 5, 50, 41).unwrap().to_rgb());
    // And true colour, if that is wanted.
    let window = mosaic.window((3, 5), (50, 41), None, CLEAR).unwrap();
    assert!(matches!(window.pixels(), Pixels::Rgb(_)));
    assert_eq!(window.to_rgb(), source.crop(3, 5, 50, 41).unwrap().to_rgb());
}

#[test]
fn palettes_that_do_not_fit_are_reduced() {
    let source = picture(64, 64, 3);
    let mosaic = tiles(&source, |tile| quantize(&tile, 256).unwrap());
    for colors in [255, 64] {
        let window = mosaic.window((0, 0), (64, 64), Some(colors), CLEAR).unwrap();
        let Pixels::Indexed { palette, .. } = window.pixels() else {
            panic!("no palette")
        };
        assert!(palette.len() <= colors);
        let error = |a: &Raster| {
            a.to_rgb()
                .iter()
                .zip(source.bytes())
                .map(|(a, b)| f64::from(a.abs_diff(*b)))
                .sum::<f64>()
                / 12288.0
        };
        let direct = error(&quantize(&source, colors).unwrap());
        assert!(
            error(&window) <= direct * 1.1,
            "{colors}: {} instead of {direct}",
            error(&window)
        );
    }
}

#[test]
fn missing_tiles_and_what_is_outside_get_the_fill() {
    let source = quantize(&picture(32, 32, 3), 20).unwrap();
    let mut mosaic = tiles(&source, |tile| tile);
    mosaic.tiles[1] = None;
    let clear = mosaic.window((-4, 0), (40, 32), Some(256), CLEAR).unwrap();
    assert!(matches!(clear.pixels(), Pixels::Indexed { .. }));
    assert_eq!(clear.pixel(0, 0), Some([0; 4]));
    assert_eq!(clear.pixel(20, 3), Some([0; 4]));
    assert_eq!(clear.pixel(4, 0), source.pixel(0, 0));
    let red = mosaic.window((0, 0), (32, 32), None, Fill::Color([255, 0, 0])).unwrap();
    assert!(matches!(red.pixels(), Pixels::Rgb(_)));
    assert_eq!(red.pixel(16, 0), Some([255, 0, 0, 255]));
    assert_eq!(red.pixel(16, 16), source.pixel(16, 16));
    let empty = TileMosaic::new(2, 2, (16, 16), Vec::new()).unwrap();
    assert_eq!(
        empty.window((0, 0), (5, 5), Some(256), CLEAR).unwrap().pixel(0, 0),
        Some([0; 4])
    );
}

#[test]
fn only_tiles_in_the_window_are_decoded() {
    let options = ImageOptions {
        colors: Some(0),
        ..ImageOptions::new(ImageFormat::PNG)
    };
    let good = encode(picture(16, 16, 3), &options, None).unwrap();
    let tile = |bytes: &[u8]| Some(MapImage::from_bytes(bytes.to_vec(), options.clone()));
    let mosaic = TileMosaic::new(2, 1, (16, 16), vec![tile(&good), tile(b"<html>")]).unwrap();
    assert_eq!(
        mosaic.window((0, 0), (16, 16), None, CLEAR).unwrap(),
        picture(16, 16, 3)
    );
    assert!(mosaic.window((0, 0), (17, 16), None, CLEAR).is_err());
}

#[test]
fn of_encoded_tiles_only_the_window_is_decoded() {
    let source = scene(96);
    let jpeg = ImageOptions::new(ImageFormat::JPEG);
    let tile = |x: u32, y: u32| {
        let tile = source.crop(i64::from(x * 32), i64::from(y * 32), 32, 32).unwrap();
        Some(MapImage::from_bytes(encode(tile, &jpeg, None).unwrap(), jpeg.clone()))
    };
    let tiles = (0..9).map(|at| tile(at % 3, at / 3)).collect();
    let mut mosaic = TileMosaic::new(3, 3, (32, 32), tiles).unwrap();
    let whole = mosaic.window((0, 0), (96, 96), None, CLEAR).unwrap();
    for ((x, y), (width, height)) in [
        ((0, 0), (96, 96)),
        ((13, 25), (57, 40)),
        ((40, 17), (1, 33)),
        ((60, 31), (9, 2)),
    ] {
        let window = mosaic.window((x, y), (width, height), None, CLEAR).unwrap();
        assert_eq!(
            window,
            whole.crop(x, y, width, height).unwrap(),
            "{x} {y} {width} {height}"
        );
    }
    // A tile of another size fills what it can, and nothing of it shows beyond.
    let small = source.crop(0, 0, 20, 10).unwrap();
    mosaic.tiles[4] = Some(MapImage::from_bytes(encode(small, &jpeg, None).unwrap(), jpeg));
    let whole = mosaic.window((0, 0), (96, 96), None, CLEAR).unwrap();
    assert_eq!(whole.pixel(51, 41).map(|color| color[3]), Some(255));
    assert_eq!(whole.pixel(52, 41), Some([0; 4]));
    for ((x, y), (width, height)) in [
        ((32, 32), (32, 32)),
        ((40, 35), (30, 3)),
        ((55, 50), (5, 5)),
        ((51, 41), (2, 2)),
    ] {
        let window = mosaic.window((x, y), (width, height), None, CLEAR).unwrap();
        let expect = whole.crop(x, y, width, height).unwrap();
        assert_eq!(window.to_rgba(), expect.to_rgba(), "{x} {y} {width} {height}");
    }
}

#[test]
fn maps_equal_those_of_the_whole() {
    let source = scene(64);
    let bbox = [0.0, 0.0, 64.0, 64.0];
    for method in [Resampling::Nearest, Resampling::Bilinear, Resampling::Bicubic] {
        for (size, dst) in [
            ((64, 64), [0.0, 0.0, 64.0, 64.0]),
            ((20, 20), [10.0, 20.0, 30.0, 40.0]),
            ((33, 21), [4.3, 5.1, 60.2, 44.0]),
            ((33, 21), [-9.0, 5.1, 90.0, 44.0]),
            ((5, 5), [100.0, 100.0, 110.0, 110.0]),
        ] {
            let mosaic = tiles(&source, |tile| tile);
            let map = mosaic.transform_same_srs(bbox, size, dst, method, None, CLEAR).unwrap();
            let whole = transform_same_srs(source.clone(), bbox, size, dst, method, CLEAR).unwrap();
            assert_eq!(map.to_rgba(), whole.to_rgba(), "{method:?} {dst:?}");
        }
    }
}

#[test]
fn impossible_mosaics_are_errors() {
    for (columns, rows, size) in [
        (0, 1, (16, 16)),
        (1, 1, (0, 16)),
        (u32::MAX, 1, (16, 16)),
        (1 << 20, 1 << 20, (1, 1)),
    ] {
        assert!(
            TileMosaic::new(columns, rows, size, Vec::new()).is_err(),
            "{columns} {rows} {size:?}"
        );
    }
    let mosaic = TileMosaic::new(1, 1, (16, 16), Vec::new()).unwrap();
    assert!(mosaic.window((i64::MIN, i64::MAX), (5, 5), None, CLEAR).is_ok());
    assert!(mosaic.window((0, 0), (u32::MAX, u32::MAX), None, CLEAR).is_err());
    // A tile of another size
    let tile = MapImage::from_raster(picture(40, 3, 3), ImageOptions::default());
    let mosaic = TileMosaic::new(1, 1, (16, 16), vec![Some(tile)]).unwrap();
    let window = mosaic.window((0, 0), (16, 16), None, CLEAR).unwrap();
    assert_eq!(window.pixel(3, 3), Some([0; 4]));
    assert_eq!(window.pixel(15, 2).map(|p| p[3]), Some(255));
}
