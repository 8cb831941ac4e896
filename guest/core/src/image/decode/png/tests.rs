//! Tests of `decode::png`: what comes out is what the `png` crate alone makes of it.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::image::golden::picture;

/// A PNG that the encoder of the `png` crate would not write: any filter in any row.
struct Drawn {
    width: u32,
    height: u32,
    color_type: u8,
    bits: u8,
    /// Filter of each row, again from the first after the last.
    filters: Vec<u8>,
    /// Bytes of an IDAT chunk.
    piece: usize,
}

impl Drawn {
    fn file(&self) -> Vec<u8> {
        let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(self.color_type)];
        let stride = (self.width as usize * samples * usize::from(self.bits)).div_ceil(8);
        let mut rows = Vec::new();
        let mut noise = 7_u32;
        for y in 0..self.height as usize {
            rows.push(self.filters[y % self.filters.len()]);
            // Small differences, large ones, and the carry from 255 to 0.
            rows.extend((0..stride).map(|x| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (noise >> 24) as u8;
                if (x / 5 + y) % 3 == 0 { noise } else { noise % 5 }
            }));
        }
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(3));
        packed.write_all(&rows).unwrap();
        let packed = packed.finish().unwrap();

        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut header = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        header.extend([self.bits, self.color_type, 0, 0, 0]);
        chunk(&mut file, *b"IHDR", &header);
        if self.color_type == 3 {
            let colors: Vec<u8> = (0..768_u32 >> (8 - self.bits)).map(|v| (v * 37) as u8).collect();
            chunk(&mut file, *b"PLTE", &colors[..colors.len() / 3 * 3]);
            chunk(&mut file, *b"tRNS", &[0, 128]);
        }
        for piece in packed.chunks(self.piece) {
            chunk(&mut file, *b"IDAT", piece);
        }
        chunk(&mut file, *b"IEND", &[]);
        file
    }
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(name);
    file.extend(data);
    file.extend(crc32fast::hash(&file[start..]).to_be_bytes());
}

/// Our rows are those of the crate; or both say that the file is broken.
fn check(file: &[u8], rows: u32) -> Option<Raster> {
    let ours = decode(file, &Limits::default(), rows);
    let theirs = decode_rare(file, rows);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert!(ours == theirs, "{:?}: other pixels", ours.size());
            Some(ours)
        }
        (Err(DecodeError::Broken { .. }), Err(DecodeError::Broken { .. })) => None,
        (Err(ours), Err(theirs)) => {
            assert_eq!(ours, theirs);
            None
        }
        // The crate looks further ahead than the rows asked for.
        (Ok(ours), Err(DecodeError::Broken { .. })) if size(file).is_ok_and(|(_, height)| rows < height) => Some(ours),
        (ours, theirs) => panic!("{:?}, {:?}", ours.map(|r| r.size()), theirs.map(|r| r.size())),
    }
}

const COLORS: [(u8, u8); 8] = [(0, 8), (2, 8), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (6, 8)];

#[test]
fn every_filter_is_undone_in_every_layout() {
    for (color_type, bits) in COLORS {
        for width in [1, 2, 3, 4, 5, 7, 8, 9, 13, 64] {
            for first in 0..5 {
                for second in 0..5 {
                    for height in [1, 2, 5] {
                        let drawn = Drawn {
                            width,
                            height,
                            color_type,
                            bits,
                            filters: vec![first, second, second],
                            piece: 8192,
                        };
                        assert!(check(&drawn.file(), u32::MAX).is_some());
                    }
                }
            }
        }
    }
}

#[test]
fn pictures_larger_than_the_window_are_read() {
    for (width, height, rows) in [
        (700, 400, 400),
        (700, 400, 123),
        (70_000 / 4, 20, 20),
        (3, 60_000, 60_000),
    ] {
        for color_type in [2, 6] {
            let drawn = Drawn {
                width,
                height,
                color_type,
                bits: 8,
                filters: vec![4, 4, 1, 3, 4, 2, 0, 4],
                piece: 10_000,
            };
            assert!(check(&drawn.file(), rows).is_some());
        }
    }
}

#[test]
fn what_was_cut_off_or_changed_is_the_crates_picture_or_an_error() {
    for (color_type, bits) in [(2, 8), (3, 4)] {
        let drawn = Drawn {
            width: 21,
            height: 9,
            color_type,
            bits,
            filters: vec![4, 1, 3, 4, 4],
            piece: 100,
        };
        let file = drawn.file();
        let mut errors = 0;
        for end in 0..file.len() {
            errors += usize::from(check(&file[..end], u32::MAX).is_none());
        }
        assert!(errors > file.len() - 60, "{errors} of {}", file.len());
        for at in 0..file.len() {
            for bit in [0, 3, 7] {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                check(&changed, u32::MAX);
            }
        }
    }
}

#[test]
fn filters_that_do_not_exist_are_refused() {
    for filters in [vec![5], vec![4, 5], vec![0, 200]] {
        let drawn = Drawn {
            width: 10,
            height: 4,
            color_type: 2,
            bits: 8,
            filters: filters.clone(),
            piece: 8192,
        };
        assert!(check(&drawn.file(), u32::MAX).is_none(), "{filters:?}");
    }
}

#[test]
fn rows_below_those_asked_for_may_be_missing() {
    let file = Drawn {
        width: 300,
        height: 300,
        color_type: 2,
        bits: 8,
        filters: vec![4, 1],
        piece: 4000,
    }
    .file();
    let half = &file[..file.len() / 2];
    assert_eq!(check(half, 50).map(|raster| raster.size()), Some((300, 50)));
    assert!(check(half, 300).is_none());
}

#[test]
fn what_other_encoders_write_is_read() {
    for (channels, color_type) in [(1, ColorType::Grayscale), (3, ColorType::Rgb), (4, ColorType::Rgba)] {
        for filter in [::png::Filter::Adaptive, ::png::Filter::Avg, ::png::Filter::Paeth] {
            let picture = picture(517, 61, channels);
            let mut file = Vec::new();
            let mut encoder = ::png::Encoder::new(&mut file, 517, 61);
            encoder.set_color(color_type);
            encoder.set_filter(filter);
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(picture.bytes()).unwrap();
            drop(writer);
            assert!(check(&file, u32::MAX).unwrap() == picture);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn changed_bytes_are_the_crates_picture_or_an_error(
        size in (1_u32..40, 1_u32..12),
        layout in 0..COLORS.len(),
        filters in prop::collection::vec(0_u8..5, 1..6),
        piece in 1_usize..500,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        rows in 1_u32..14,
    ) {
        let ((width, height), (color_type, bits)) = (size, COLORS[layout]);
        let mut file = Drawn { width, height, color_type, bits, filters, piece }.file();
        // The header stays within bounds: a picture of gigabytes takes the test its time, not its correctness.
        for (at, value) in changes {
            let at = 33 + at.index(file.len() - 33);
            file[at] = value;
        }
        check(&file, rows);
    }
}
