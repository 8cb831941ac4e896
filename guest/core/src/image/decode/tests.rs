//! Tests of `decode`: formats, limits, and bytes that are no picture.

use super::*;
use crate::image::golden::picture;
use crate::image::raster::Pixels;
use crate::image::{ImageOptions, encode};

/// Files that Pillow wrote, all of `picture(40, 30, ..)`: see `golden/make.py`.
static FILES: [(&str, &[u8]); 11] = [
    ("baseline.jpg", include_bytes!("../golden/baseline.jpg")),
    ("cmyk.jpg", include_bytes!("../golden/cmyk.jpg")),
    ("progressive.jpg", include_bytes!("../golden/progressive.jpg")),
    ("gray.jpg", include_bytes!("../golden/gray.jpg")),
    ("gray16.png", include_bytes!("../golden/gray16.png")),
    ("gray_alpha.png", include_bytes!("../golden/gray_alpha.png")),
    ("palette16.png", include_bytes!("../golden/palette16.png")),
    ("palette.gif", include_bytes!("../golden/palette.gif")),
    ("lzw.tif", include_bytes!("../golden/lzw.tif")),
    ("lossless.webp", include_bytes!("../golden/lossless.webp")),
    ("plain.bmp", include_bytes!("../golden/plain.bmp")),
];

fn file(name: &str) -> &'static [u8] {
    FILES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn every_format_is_read() {
    let check = |name: &str, channels: usize, tolerance: f64| {
        let raster = decode(file(name), &Limits::default()).unwrap();
        assert_eq!(raster.size(), (40, 30), "{name}");
        assert_eq!(peek_size(file(name)).unwrap(), (40, 30), "{name}");
        let expect = picture(40, 30, channels);
        let difference = match channels {
            4 => mean_difference(&raster.to_rgba(), expect.bytes()),
            _ => mean_difference(&raster.to_rgb(), &expect.to_rgb()),
        };
        assert!(difference <= tolerance, "{name}: {difference}");
        raster
    };
    check("cmyk.jpg", 3, 4.0);
    check("progressive.jpg", 3, 4.0);
    check("baseline.jpg", 3, 20.0);
    assert!(matches!(check("gray.jpg", 1, 3.0).pixels(), Pixels::Gray(_)));
    assert!(matches!(check("gray16.png", 1, 0.0).pixels(), Pixels::Gray(_)));
    assert!(matches!(check("lzw.tif", 3, 0.0).pixels(), Pixels::Rgb(_)));
    assert!(matches!(check("lossless.webp", 4, 0.0).pixels(), Pixels::Rgba(_)));
    assert!(matches!(check("plain.bmp", 3, 0.0).pixels(), Pixels::Rgb(_)));
    match check("palette16.png", 1, 12.0).pixels() {
        Pixels::Indexed { palette, .. } => assert_eq!(palette.len(), 16),
        other => panic!("{other:?}"),
    }
    let gif = decode(file("palette.gif"), &Limits::default()).unwrap();
    assert!(gif.has_alpha());
    let gray_alpha = decode(file("gray_alpha.png"), &Limits::default()).unwrap();
    assert!(matches!(gray_alpha.pixels(), Pixels::Rgba(_)));
}

#[test]
fn formats_are_told_by_their_first_bytes() {
    let check = |bytes: &[u8], expect: Option<ImageFormat>| assert_eq!(peek_format(bytes), expect);
    check(file("cmyk.jpg"), Some(ImageFormat::JPEG));
    check(file("gray16.png"), Some(ImageFormat::PNG));
    check(file("palette.gif"), Some(ImageFormat::GIF));
    check(file("lzw.tif"), Some(ImageFormat::TIFF));
    check(file("lossless.webp"), Some(ImageFormat::WEBP));
    check(file("plain.bmp"), Some(ImageFormat::BMP));
    check(b"<!DOCTYPE html>", None);
    check(b"", None);
}

#[test]
fn errors_say_what_was_found() {
    let check = |bytes: &[u8], limits: Limits, expect: &str| {
        assert_eq!(decode(bytes, &limits).unwrap_err().to_string(), expect);
    };
    let png = file("palette16.png");
    check(
        b"<?xml version=\"1.0\"?><ServiceException",
        Limits::default(),
        "not an image: begins with `<?xml version=\\\"1.0\\\"?><Se`, expected png, jpeg, gif, tiff, webp or bmp",
    );
    check(b"", Limits::default(), "not an image: empty");
    check(
        png,
        Limits {
            bytes: 100,
            ..Limits::default()
        },
        "image of 412 bytes is too large, the limit is 100",
    );
    for name in [
        "palette16.png",
        "gray.jpg",
        "palette.gif",
        "lzw.tif",
        "lossless.webp",
        "plain.bmp",
    ] {
        for limits in [
            Limits {
                side: 30,
                ..Limits::default()
            },
            Limits {
                pixels: 1199,
                ..Limits::default()
            },
        ] {
            let error = decode(file(name), &limits).unwrap_err();
            assert!(
                matches!(error, DecodeError::TooLarge { .. } | DecodeError::Broken { .. }),
                "{name}: {error}"
            );
        }
        let exact = Limits {
            side: 40,
            pixels: 1200,
            ..Limits::default()
        };
        assert!(decode(file(name), &exact).is_ok(), "{name}");
    }
}

#[test]
fn a_header_alone_cannot_take_memory() {
    // A PNG that says it has 50000 x 50000 pixels, and nothing else.
    let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    let body = [0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 8, 6, 0, 0, 0];
    bomb.extend(body);
    let mut crc = crc32fast::Hasher::new();
    crc.update(b"IHDR");
    crc.update(&body);
    bomb.extend(crc.finalize().to_be_bytes());
    assert!(matches!(
        decode(&bomb, &Limits::default()),
        Err(DecodeError::TooLarge { width: 50000, .. })
    ));
}

#[test]
fn what_is_cut_off_is_an_error() {
    // A half delivered tile must not be stored as if it were whole.
    for (name, bytes) in FILES {
        let half = &bytes[..bytes.len() / 2];
        assert!(decode(half, &Limits::default()).is_err(), "{name}");
    }
}

#[test]
fn narrow_palettes_are_unpacked() {
    for colors in [2_usize, 3, 4, 5, 16, 17, 256] {
        for width in [1_u32, 3, 7, 8, 9, 31] {
            let indices: Vec<u8> = (0..width * 5).map(|i| (i as usize % colors) as u8).collect();
            let palette: Vec<[u8; 4]> = (0..colors)
                .map(|i| [i as u8, 200, 0, if i == 1 { 7 } else { 255 }])
                .collect();
            let raster = Raster::new(width, 5, Pixels::Indexed { indices, palette }).unwrap();
            let options = ImageOptions {
                colors: Some(256),
                transparent: Some(true),
                ..ImageOptions::default()
            };
            let back = decode(&encode(raster.clone(), &options, None).unwrap(), &Limits::default()).unwrap();
            assert_eq!(back.to_rgba(), raster.to_rgba(), "{colors} colors, width {width}");
            assert!(matches!(back.pixels(), Pixels::Indexed { .. }));
        }
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            pixels: 1_000_000,
            side: 10_000,
            bytes: 1 << 20,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn changed_files_never_panic(
            which in 0..FILES.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
            cuts in any::<bool>(),
        ) {
            let mut bytes = FILES[which].1.to_vec();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            let _ = peek_size(&bytes);
            let _ = decode(&bytes, &limits());
        }

        #[test]
        fn noise_behind_a_magic_never_panics(which in 0..FILES.len(), noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = FILES[which].1[..12].to_vec();
            bytes.extend(noise);
            let _ = peek_size(&bytes);
            let _ = decode(&bytes, &limits());
        }
    }
}

#[test]
fn a_part_is_that_of_the_whole_picture() {
    let options = ImageOptions {
        colors: Some(0),
        ..ImageOptions::default()
    };
    let true_color = encode(picture(40, 30, 4), &options, None).unwrap();
    let part = |bytes: &[u8], (x, y, width, height)| {
        let window = Window { x, y, width, height };
        decode_part(bytes, &Limits::default(), window).unwrap()
    };
    let files = FILES.iter().map(|&(name, bytes)| (name, bytes));
    for (name, bytes) in files.chain([("rgba.png", &true_color[..])]) {
        let whole = decode(bytes, &Limits::default()).unwrap();
        for window in [
            (0, 0, 40, 30),
            (0, 0, 40, 1),
            (7, 5, 20, 11),
            (16, 8, 16, 16),
            (17, 0, u32::MAX, u32::MAX),
            (39, 29, 1, 1),
        ] {
            let (raster, (x, y)) = part(bytes, window);
            let shown = window.0.min(x)..(window.0.saturating_add(window.2)).min(40);
            assert!(x <= window.0 && x + raster.width() >= shown.end, "{name} {window:?}");
            assert!(
                y <= window.1 && y + raster.height() >= window.1.saturating_add(window.3).min(30),
                "{name} {window:?}"
            );
            let same = whole.crop(x.into(), y.into(), raster.width(), raster.height()).unwrap();
            assert_eq!(raster.bytes(), same.bytes(), "{name} {window:?}");
        }
        // What is outside is nothing, and no error.
        let (raster, (x, y)) = part(bytes, (100, 200, 3, 3));
        assert!(x < 40 && y < 30 && raster.height() <= 30, "{name}");
    }
    let size = |name: &str, window| part(file(name), window).0.size();
    assert_eq!(size("palette16.png", (0, 0, 40, 7)), (40, 7));
    assert_eq!(size("baseline.jpg", (17, 9, 5, 7)), (5, 7));
    assert_eq!(size("gray.jpg", (17, 9, 50, 70)), (23, 21));
}

/// Files that are cut off or changed are errors or pictures as they are with zune-jpeg alone.
#[test]
fn broken_jpegs_are_what_they_always_were() {
    // The mean difference of two pictures.
    let check = |bytes: &[u8], what: &str| {
        let ours = jpeg::decode(bytes, &Limits::default(), Window::ALL).map(|(raster, _)| raster);
        let theirs = jpeg::decode_any(bytes, &Limits::default());
        if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
            assert_eq!(ours.size(), theirs.size(), "{what}");
            return mean_difference(&ours.to_rgb(), &theirs.to_rgb());
        }
        assert_eq!(ours, theirs, "{what}");
        0.0
    };
    for name in ["baseline.jpg", "gray.jpg"] {
        let bytes = file(name);
        for len in 3..bytes.len() {
            assert!(check(&bytes[..len], &format!("{name}, {len} bytes")) < 1.5);
            // With an end, so that it does not look as if it was cut off.
            let what = format!("{name}, {len} bytes and an end");
            assert!(check(&[&bytes[..len], &[0xff, 0xd9]].concat(), &what) < 1.5, "{what}");
        }
        let (mut same, mut other) = (0, 0);
        for at in 2..bytes.len() {
            let change = [0x01, 0x80, 0xff][at % 3];
            let mut bytes = bytes.to_vec();
            bytes[at] ^= change;
            let difference = check(&bytes, &format!("{name}, byte {at} changed by {change}"));
            *(if difference < 1.5 { &mut same } else { &mut other }) += 1;
        }
        // Of factors and coefficients that no picture has, nonsense of different kinds is made.
        assert!(other * 20 < same, "{name}: {other} against {same}");
    }
}
