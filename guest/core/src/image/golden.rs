//! Test pictures by formula, and what Pillow made of them: see `golden/make.py`.

use super::raster::{Pixels, Raster};

/// The picture of `make.py`: smooth waves with hard edges. 1, 3 or 4 channels.
pub(super) fn picture(width: u32, height: u32, channels: usize) -> Raster {
    let mut data = Vec::new();
    for y in 0..i64::from(height) {
        for x in 0..i64::from(width) {
            for c in 0..channels as i64 {
                let wave = (x * (3 + c) + y * (5 - c)) % 256;
                let edge = (x / 7 + y / 5 + c) % 3 == 0;
                let value = if edge { 255 - wave } else { wave / 2 + 40 * c };
                data.push((value % 256) as u8);
            }
            if channels == 4 {
                let alpha = if (x / 6 + y / 4) % 3 == 0 {
                    255
                } else {
                    (x * 9 + y * 4) % 256
                };
                *data.last_mut().unwrap() = alpha as u8;
            }
        }
    }
    let pixels = match channels {
        1 => Pixels::Gray(data),
        3 => Pixels::Rgb(data),
        _ => Pixels::Rgba(data),
    };
    Raster::new(width, height, pixels).unwrap()
}

/// Something like a map: areas, lines, shaded relief.
pub(super) fn scene(size: u32) -> Raster {
    const AREAS: [[i64; 3]; 6] = [
        [242, 239, 233],
        [170, 211, 223],
        [173, 209, 158],
        [224, 223, 223],
        [250, 242, 175],
        [205, 235, 176],
    ];
    let mut data = Vec::new();
    for y in 0..i64::from(size) {
        for x in 0..i64::from(size) {
            let area = (x * x / 97 + y * y / 131 + x * y / 61) / 200 % 6;
            let shade = if area % 3 == 2 { (x * 7 + y * 3) % 64 } else { 0 };
            let [r, g, b] = AREAS[area as usize];
            let color = if (x * 3 + y * 5) % 173 < 4 {
                [200 + x % 50, 120 + y % 60, 60 + (x + y) % 70]
            } else {
                [r - shade / 2, g - shade / 3, b - shade / 2]
            };
            data.extend(color.map(|v| v.clamp(0, 255) as u8));
        }
    }
    Raster::new(size, size, Pixels::Rgb(data)).unwrap()
}

/// More colours than any palette has.
pub(super) fn waves(size: u32) -> Raster {
    let color = |x: u32, y: u32| [x * 255 / size, y * 255 / size, (x + y) * 3 % 256].map(|v| v as u8);
    let data = (0..size)
        .flat_map(|y| (0..size).flat_map(move |x| color(x, y)))
        .collect();
    Raster::new(size, size, Pixels::Rgb(data)).unwrap()
}

/// The same, from clear to opaque.
pub(super) fn alpha_waves(size: u32) -> Raster {
    let mut waves = waves(size).into_rgba();
    for (at, pixel) in (0..).zip(waves.bytes_mut().chunks_exact_mut(4)) {
        let (x, y) = (at % i64::from(size), at / i64::from(size));
        pixel[3] = ((x + y) * 2 - i64::from(size)).clamp(0, 255) as u8;
    }
    waves
}
