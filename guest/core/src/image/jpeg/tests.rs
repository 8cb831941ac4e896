//! Tests of the JPEG decoder and encoder beside libjpeg's files and pixels: see `golden/make.py`.

use super::{Header, encode};
use crate::image::golden::picture;
use crate::image::raster::{Pixels, Raster, Window};

/// A file that Pillow wrote of `picture(..)`, and the pixels that it read from it again.
struct Sample {
    name: String,
    size: (u16, u16),
    /// 0 4:4:4, 1 4:2:2, 2 4:2:0, 3 gray.
    sampling: u16,
    quality: u16,
    restart: u16,
    file: &'static [u8],
    pixels: Raster,
}

fn samples() -> Vec<Sample> {
    let mut bytes: &'static [u8] = include_bytes!("../golden/jpeg.packed");
    let mut samples = Vec::new();
    while !bytes.is_empty() {
        let (numbers, rest) = bytes.split_at(14);
        let number = |at: usize| u16::from_le_bytes([numbers[2 * at], numbers[2 * at + 1]]);
        let [width, height, sampling, quality, restart, file, pixels] = std::array::from_fn(number);
        let (file, rest) = rest.split_at(file.into());
        let (pixels, rest) = rest.split_at(pixels.into());
        let pixels = if sampling == 3 {
            Pixels::Gray(pixels.to_vec())
        } else {
            Pixels::Rgb(pixels.to_vec())
        };
        samples.push(Sample {
            name: format!("{width}x{height}, sampling {sampling}, quality {quality}, restart {restart}"),
            size: (width, height),
            sampling,
            quality,
            restart,
            file,
            pixels: Raster::new(width.into(), height.into(), pixels).unwrap(),
        });
        bytes = rest;
    }
    samples
}

fn decode(file: &[u8], window: Window) -> Option<Vec<u8>> {
    let header = Header::parse(file)?;
    header.decode(window.within(header.size()))
}

#[test]
fn pixels_are_those_of_libjpeg() {
    let samples = samples();
    assert_eq!(samples.len(), 39);
    for sample in samples {
        let pixels = decode(sample.file, Window::ALL).expect(&sample.name);
        let differences = pixels.iter().zip(sample.pixels.bytes()).map(|(a, b)| a.abs_diff(*b));
        assert_eq!(differences.max(), Some(0), "{}", sample.name);
        assert_eq!(pixels, sample.pixels.bytes(), "{}", sample.name);
    }
}

#[test]
fn a_window_is_that_of_the_whole() {
    for sample in samples() {
        let (width, height) = sample.pixels.size();
        for (x, y) in [(0, 0), (1, 1), (7, 8), (8, 7), (15, 16), (16, 15), (17, 17), (31, 28)] {
            for (width, height) in [(1, 1), (2, 9), (8, 8), (16, 3), (u32::MAX, u32::MAX)] {
                let window = Window { x, y, width, height }.within(sample.pixels.size());
                let whole = sample
                    .pixels
                    .crop(window.x.into(), window.y.into(), window.width, window.height);
                let pixels = decode(sample.file, window);
                assert_eq!(
                    pixels.as_deref(),
                    Some(whole.unwrap().bytes()),
                    "{}: {window:?}",
                    sample.name
                );
            }
        }
        assert!(width > 0 && height > 0);
    }
}

#[test]
fn files_are_those_of_libjpeg() {
    let mut compared = 0;
    for sample in samples() {
        if (sample.sampling, sample.restart) == (2, 0) {
            let (width, height) = sample.size;
            let source = picture(width.into(), height.into(), 3);
            let file = encode(source.bytes(), sample.size, sample.quality as u8);
            assert!(file == sample.file, "{}", sample.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 11);
}

#[test]
fn what_comes_after_the_window_may_be_broken() {
    let sample = samples()
        .into_iter()
        .find(|sample| sample.size == (40, 30) && sample.sampling == 2)
        .unwrap();
    let mut file = sample.file[..sample.file.len() - 90].to_vec();
    file.extend([0xff, 0xd9]);
    let window = Window {
        x: 3,
        y: 2,
        width: 30,
        height: 6,
    };
    let whole = sample.pixels.crop(3, 2, 30, 6).unwrap();
    assert_eq!(decode(&file, window).as_deref(), Some(whole.bytes()));
    assert_eq!(decode(&file, Window::ALL), None);
}

#[test]
fn other_kinds_are_not_ours() {
    assert!(Header::parse(include_bytes!("../golden/progressive.jpg")).is_none());
    assert!(Header::parse(include_bytes!("../golden/cmyk.jpg")).is_none());
    let sample = samples()
        .into_iter()
        .find(|sample| sample.size == (40, 30) && sample.sampling == 2)
        .unwrap();
    let find = |marker: [u8; 2]| sample.file.windows(2).position(|pair| pair == marker).unwrap();
    let (quants, frame, codes, scan) = (
        find([0xff, 0xdb]),
        find([0xff, 0xc0]),
        find([0xff, 0xc4]),
        find([0xff, 0xda]),
    );
    let check = |at: usize, value: u8, ours: bool, what: &str| {
        let mut file = sample.file.to_vec();
        file[at] = value;
        assert_eq!(decode(&file, Window::ALL).is_some(), ours, "{what}");
    };
    check(frame + 1, 0xc1, true, "extended sequential");
    check(frame + 1, 0xc2, false, "progressive");
    check(frame + 1, 0xc9, false, "arithmetic");
    check(frame + 4, 12, false, "12 bits");
    check(frame + 6, 0, false, "the height comes later");
    check(frame + 8, 0, false, "no width");
    check(frame + 9, 1, false, "a length that does not fit");
    check(frame + 11, 0x12, false, "4:4:0");
    check(frame + 11, 0x41, false, "4:1:1");
    check(frame + 14, 0x21, false, "4:4:4, written in another way");
    check(frame + 12, 3, false, "no such factors");
    check(quants + 4, 0x10, false, "factors of 16 bits");
    check(codes + 4, 0x20, false, "no such class of codes");
    check(codes + 5, 9, false, "more codes than there are");
    check(scan + 5, 9, false, "no such component");
    check(scan + 6, 0x22, false, "no such codes");
    check(scan + 11, 1, false, "not all coefficients");
    // Without JFIF the names of the components say what they are; unless Adobe does.
    check(6, b'X', true, "no JFIF, but 1, 2, 3");
    let mut adobe = sample.file.to_vec();
    adobe.splice(2..2, [&[0xff, 0xee, 0, 14][..], b"Adobe\0\x64\0\0\0\0", &[1]].concat());
    assert!(Header::parse(&adobe).is_some());
    adobe[17] = 0;
    assert!(Header::parse(&adobe).is_none(), "RGB");
    let mut rgb = sample.file.to_vec();
    for (at, id) in [(frame + 10, b'R'), (frame + 13, b'G'), (frame + 16, b'B')] {
        rgb[at] = id;
    }
    for (at, id) in [(scan + 5, b'R'), (scan + 7, b'G'), (scan + 9, b'B')] {
        rgb[at] = id;
    }
    assert!(Header::parse(&rgb).is_some(), "JFIF is YCbCr");
    rgb[6] = b'X';
    assert!(Header::parse(&rgb).is_none(), "RGB");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn noise_in_a_scan_never_panics(
            which in any::<prop::sample::Index>(),
            noise in prop::collection::vec(any::<u8>(), 0..600),
            x in 0_u32..40,
            y in 0_u32..40,
        ) {
            let samples = samples();
            let sample = &samples[which.index(samples.len())];
            let scan = sample.file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
            let mut file = sample.file[..scan].to_vec();
            file.extend(noise);
            file.extend([0xff, 0xd9]);
            let _ = decode(&file, Window { x, y, width: 9, height: 9 });
        }

        #[test]
        fn noise_is_written_and_read(width in 1_u16..50, height in 1_u16..50, quality in 0_u8..=255, seed in any::<u64>()) {
            let mut state = seed | 1;
            let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * 3)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if state >> 63 == 0 { (state >> 40) as u8 } else { (state >> 62 & 1) as u8 * 255 }
                })
                .collect();
            let file = encode(&pixels, (width, height), quality);
            prop_assert_eq!(decode(&file, Window::ALL).map(|pixels| pixels.len()), Some(pixels.len()));
        }
    }
}
