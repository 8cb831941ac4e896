//! Tests of `encode`: what is written is read back the same.

use super::*;
use crate::image::decode::{Limits, decode, peek_format};
use crate::image::golden::{picture, scene, waves};
use crate::image::options::{EncodingOptions, TiffCompression};

fn options(format: &str) -> ImageOptions {
    ImageOptions::new(ImageFormat::new(format.to_owned()))
}

fn round_trip(raster: &Raster, options: &ImageOptions) -> Raster {
    decode(&encode(raster.clone(), options, None).unwrap(), &Limits::default()).unwrap()
}

fn layout(raster: &Raster) -> &'static str {
    match raster.pixels() {
        Pixels::Indexed { .. } if raster.has_alpha() => "P+alpha",
        Pixels::Indexed { .. } => "P",
        Pixels::Gray(_) => "L",
        Pixels::Rgb(_) => "RGB",
        Pixels::Rgba(_) => "RGBA",
    }
}

#[test]
fn modes_follow_mapproxy() {
    let (rgb, rgba, gray) = (picture(40, 30, 3), picture(40, 30, 4), picture(40, 30, 1));
    let png = || options("image/png");
    let check = |raster: &Raster, options: ImageOptions, expect: &str| {
        assert_eq!(layout(&round_trip(raster, &options)), expect, "{options:?}");
    };
    check(&rgb, png(), "P");
    check(
        &rgb,
        ImageOptions {
            paletted: false,
            ..png()
        },
        "RGB",
    );
    check(
        &rgb,
        ImageOptions {
            colors: Some(0),
            ..png()
        },
        "RGB",
    );
    check(
        &rgb,
        ImageOptions {
            mode: Some(Mode::Rgb),
            ..png()
        },
        "RGB",
    );
    check(
        &rgb,
        ImageOptions {
            mode: Some(Mode::Rgba),
            ..png()
        },
        "RGBA",
    );
    check(
        &rgb,
        ImageOptions {
            mode: Some(Mode::L),
            ..png()
        },
        "L",
    );
    check(
        &rgb,
        ImageOptions {
            mode: Some(Mode::P),
            colors: Some(0),
            ..png()
        },
        "P",
    );
    check(&rgba, png(), "P");
    check(
        &rgba,
        ImageOptions {
            transparent: Some(true),
            ..png()
        },
        "P+alpha",
    );
    check(
        &rgba,
        ImageOptions {
            colors: Some(0),
            ..png()
        },
        "RGBA",
    );
    check(
        &rgba,
        ImageOptions {
            mode: Some(Mode::Rgb),
            ..png()
        },
        "RGB",
    );
    check(&gray, png(), "P");
    check(
        &gray,
        ImageOptions {
            colors: Some(0),
            ..png()
        },
        "L",
    );
    check(&rgba, options("image/jpeg"), "RGB");
    check(&rgba, options("image/tiff"), "RGBA");
    check(&rgba, options("png8"), "P");
    check(&rgba, options("bmp"), "RGB");
    check(&rgba, options("webp"), "RGBA");
}

#[test]
fn what_is_lossless_comes_back_the_same() {
    for raster in [
        picture(40, 30, 1),
        picture(40, 30, 3),
        picture(40, 30, 4),
        picture(1, 1, 3),
        picture(1, 70, 4),
    ] {
        for format in ["png", "tiff", "webp"] {
            for tiff_compression in [None, Some(TiffCompression::Lzw)] {
                let encoding = EncodingOptions {
                    tiff_compression,
                    ..EncodingOptions::default()
                };
                let options = ImageOptions {
                    colors: Some(0),
                    encoding,
                    ..options(format)
                };
                assert_eq!(
                    round_trip(&raster, &options).to_rgba(),
                    raster.to_rgba(),
                    "{format} {raster:?}"
                );
            }
        }
    }
}

#[test]
fn mixed_is_jpeg_where_opaque() {
    let check = |raster: Raster, expect| {
        let bytes = encode(raster, &options("mixed"), None).unwrap();
        assert_eq!(peek_format(&bytes), Some(expect));
    };
    check(picture(40, 30, 3), ImageFormat::JPEG);
    check(picture(40, 30, 3).into_rgba(), ImageFormat::JPEG);
    check(picture(40, 30, 4), ImageFormat::PNG);
}

#[test]
fn gif_keeps_what_is_clear() {
    let data = [[255, 0, 0, 255], [0, 255, 0, 128], [0, 0, 255, 127], [9, 9, 9, 0]].concat();
    let raster = Raster::new(2, 2, Pixels::Rgba(data)).unwrap();
    let back = round_trip(&raster, &options("gif"));
    assert_eq!(back.pixel(0, 0), Some([255, 0, 0, 255]));
    assert_eq!(back.pixel(1, 0), Some([0, 255, 0, 255]));
    assert_eq!(back.pixel(0, 1).map(|p| p[3]), Some(0));
    assert_eq!(back.pixel(1, 1).map(|p| p[3]), Some(0));
    assert_eq!(
        round_trip(&scene(64), &options("gif")).to_rgb(),
        quantize(&scene(64), 256).unwrap().to_rgb()
    );
}

#[test]
fn files_are_not_larger_than_pillow_writes_them() {
    // Sizes from `golden/make.py`. For a palette file both write the same indices.
    let check = |what: &str, raster: &Raster, options: ImageOptions, pillow: usize| {
        let got = encode(raster.clone(), &options, None).unwrap().len();
        assert!(got * 100 <= pillow * 115, "{what}: {got} bytes, Pillow {pillow}");
    };
    let true_color = || ImageOptions {
        colors: Some(0),
        ..options("png")
    };
    check("scene RGB", &scene(256), true_color(), 19241);
    let indices = scene(256).bytes().iter().skip(1).step_by(3).copied().collect();
    let palette = (0..=255_u8).map(|level| [level, level, level, 255]).collect();
    let indexed = Raster::new(256, 256, Pixels::Indexed { indices, palette }).unwrap();
    check("indexed scene", &indexed, options("png"), 8000);
    check("scene JPEG", &scene(256), options("jpeg"), 19425);
    check("waves JPEG", &waves(256), options("jpeg"), 11027);
}

#[test]
fn small_palettes_take_few_bits() {
    let check = |colors: usize, most: usize| {
        let palette = (0..=255_u8).map(|i| [i, i, i, 255]).collect();
        // Every other entry is used.
        let indices = (0..256 * 256).map(|i| (i * 7 % colors * 2 % 256) as u8).collect();
        let raster = Raster::new(256, 256, Pixels::Indexed { indices, palette }).unwrap();
        let bytes = encode(raster.clone(), &options("png"), None).unwrap();
        assert_eq!(usize::from(bytes[24]), most, "{colors}");
        assert_eq!(
            decode(&bytes, &Limits::default()).unwrap().to_rgb(),
            raster.to_rgb(),
            "{colors}"
        );
    };
    check(1, 1);
    check(2, 1);
    check(4, 2);
    check(16, 4);
    check(17, 8);
}

#[test]
fn geotiffs_say_where_they_are() {
    let check = |epsg, geographic, compression, key: u16| {
        let place = GeoReference {
            bbox: [10.0, 40.0, 50.0, 70.0],
            epsg: Some(epsg),
            geographic,
        };
        let encoding = EncodingOptions {
            tiff_compression: compression,
            ..EncodingOptions::default()
        };
        let options = ImageOptions {
            encoding,
            ..options("image/GeoTIFF")
        };
        let bytes = encode(picture(40, 30, 3), &options, Some(&place)).unwrap();
        let mut decoder = ::tiff::decoder::Decoder::new(Cursor::new(&bytes)).unwrap();
        let mut tag = |tag| decoder.get_tag(::tiff::tags::Tag::from_u16_exhaustive(tag)).unwrap();
        assert_eq!(tag(33550).into_f64_vec().unwrap(), [1.0, 1.0, 0.0]);
        assert_eq!(tag(33922).into_f64_vec().unwrap(), [0.0, 0.0, 0.0, 10.0, 70.0, 0.0]);
        let keys = tag(34735).into_u16_vec().unwrap();
        let model = if geographic { 2 } else { 1 };
        assert_eq!(keys, [1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, key, 0, 1, epsg]);
        // Pixels in YCbCr: libtiff reads them, the `image` crate only sees how many there are.
        assert_eq!(decoder.dimensions().unwrap(), (40, 30));
        let strip = decoder.get_tag_u64(::tiff::tags::Tag::StripOffsets).unwrap() as usize;
        if compression == Some(TiffCompression::Jpeg) {
            assert_eq!(decode(&bytes[strip..], &Limits::default()).unwrap().size(), (40, 30));
        }
    };
    check(3857, false, None, 3072);
    check(4326, true, Some(TiffCompression::Lzw), 2048);
    check(25832, false, Some(TiffCompression::Jpeg), 3072);
}

#[test]
fn unknown_formats_and_sizes_are_errors() {
    let check = |format: &str, raster: &Raster, expect: &str| {
        assert_eq!(
            encode(raster.clone(), &options(format), None).unwrap_err().to_string(),
            expect
        );
    };
    let small = picture(1, 1, 3);
    check(
        "image/foo",
        &small,
        "cannot write images as `image/foo`, expected png, jpeg, gif, tiff, geotiff, webp, bmp or mixed",
    );
    let long = Raster::new(70_000, 1, Pixels::Gray(vec![0; 70_000])).unwrap();
    check(
        "jpeg",
        &long,
        "jpeg images are at most 65535 pixels wide and high, got 70000x1",
    );
    check(
        "gif",
        &long,
        "gif images are at most 65535 pixels wide and high, got 70000x1",
    );
    assert!(encode(long.clone(), &options("webp"), None).is_err());
    assert!(encode(long, &options("png"), None).is_ok());
    assert!(can_encode(&ImageFormat::new("GeoTIFF")) && !can_encode(&ImageFormat::new("svg+xml")));
}

#[test]
fn paths_through_a_picture_with_few_pixels_never_panic() {
    for (width, height) in [(1, 1), (1, 2), (2, 1), (3, 3), (17, 1)] {
        for channels in [1, 3, 4] {
            for format in ["png", "jpeg", "gif", "tiff", "webp", "bmp", "mixed"] {
                for (colors, mode) in [(None, None), (Some(1), None), (Some(3), None), (Some(0), Some(Mode::P))] {
                    let options = ImageOptions {
                        colors,
                        mode,
                        transparent: Some(true),
                        ..options(format)
                    };
                    encode(picture(width, height, channels), &options, None).unwrap();
                }
            }
        }
    }
}

#[test]
fn maps_and_tiles_of_every_level_come_back() {
    // Long runs and short ones, as a map and as a tile.
    for change in [9770, 7] {
        let indices = (0..512 * 512_u32).map(|i| (i / change % 251) as u8).collect();
        let palette = (0..=255).map(|v| [v, 255 - v, 40, 255]).collect();
        let map = Raster::new(512, 512, Pixels::Indexed { indices, palette }).unwrap();
        let tile = map.crop(0, 0, 256, 256).unwrap();
        for raster in [map, tile] {
            assert_eq!(
                round_trip(&raster, &options("png")).to_rgb(),
                raster.to_rgb(),
                "{change}"
            );
        }
    }
}
