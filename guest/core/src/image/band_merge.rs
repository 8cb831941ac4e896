//! A picture whose bands come from those of others (`sources: {r: [...], g: [...]}`, section 9; MapProxy's `BandMerger`).

use serde::{Deserialize, Serialize};

use super::raster::{Pixels, Raster, RasterError, checked_len, expand_row, palette_table};

/// A band of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    R,
    G,
    B,
    /// Alpha: makes the result RGBA.
    A,
    /// Luminance: makes the result gray.
    L,
}

/// What one band of one picture adds to a band of the result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandSource {
    /// The band it is added to.
    pub target: Band,
    /// Which of the pictures.
    pub image: usize,
    /// Which of its bands: 0 to 2 for RGB, 3 for alpha. A gray picture has the same value in the first three.
    pub band: u8,
    /// The values are multiplied with this and cut to whole levels.
    pub factor: f64,
}

/// The bands of `images` summed up to a picture of `size` pixels. A band without a source is 0, alpha 255. Pixels that
/// a picture does not have add nothing.
///
/// # Errors
/// The size is out of range.
pub fn merge_bands(images: &[Raster], bands: &[BandSource], size: (u32, u32)) -> Result<Raster, RasterError> {
    let len = checked_len(size.0, size.1)?;
    let has = |band: Band| bands.iter().any(|source| source.target == band);
    let channels = if has(Band::L) {
        1
    } else if has(Band::A) {
        4
    } else {
        3
    };
    let mut data = vec![0_u8; len * channels];
    let mut row_pixels = vec![0; size.0 as usize * 4];
    for source in bands {
        let Some(image) = images.get(source.image) else {
            continue;
        };
        let channel = match source.target {
            Band::L | Band::R => 0,
            Band::G => 1,
            Band::B => 2,
            Band::A => 3,
        };
        // A luminance among colours has no place to go.
        if channel >= channels || source.target == Band::L && channels != 1 || source.target != Band::L && channels == 1
        {
            continue;
        }
        let scaled: [u8; 256] = std::array::from_fn(|value| (value as f64 * source.factor).clamp(0.0, 255.0) as u8);
        let table = palette_table(image);
        let columns = size.0.min(image.width()) as usize;
        for (y, row) in (0..image.height()).zip(data.chunks_exact_mut(size.0 as usize * channels)) {
            let pixels = &mut row_pixels[..columns * 4];
            expand_row::<4>(image, &table, 0, y, pixels);
            for (to, from) in row.chunks_exact_mut(channels).zip(pixels.chunks_exact(4)) {
                let value = from
                    .get(usize::from(source.band))
                    .map_or(0, |&value| scaled[usize::from(value)]);
                to[channel] = to[channel].saturating_add(value);
            }
        }
    }
    let pixels = match channels {
        1 => Pixels::Gray(data),
        4 => Pixels::Rgba(data),
        _ => Pixels::Rgb(data),
    };
    Raster::new(size.0, size.1, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_summed_as_mapproxy_does() {
        let images = [
            Raster::new(1, 1, Pixels::Rgb(vec![201, 101, 51])).unwrap(),
            Raster::new(1, 1, Pixels::Gray(vec![77])).unwrap(),
        ];
        let check = |bands: &[(Band, usize, u8, f64)], expect: &[u8]| {
            let bands: Vec<_> = bands
                .iter()
                .map(|&(target, image, band, factor)| BandSource {
                    target,
                    image,
                    band,
                    factor,
                })
                .collect();
            assert_eq!(
                merge_bands(&images, &bands, (1, 1)).unwrap().bytes(),
                expect,
                "{bands:?}"
            );
        };
        // Values of MapProxy 7.0.0's BandMerger.
        check(
            &[(Band::R, 0, 0, 0.5), (Band::R, 0, 1, 0.333), (Band::G, 0, 2, 1.0)],
            &[133, 51, 0],
        );
        check(&[(Band::R, 0, 0, 2.0), (Band::G, 1, 0, 1.0)], &[255, 77, 0]);
        check(&[(Band::R, 0, 0, 1.0), (Band::A, 0, 1, 0.7)], &[201, 0, 0, 70]);
        check(
            &[(Band::L, 0, 0, 0.21), (Band::L, 0, 1, 0.72), (Band::L, 0, 2, 0.07)],
            &[117],
        );
        check(&[(Band::R, 0, 3, 1.0)], &[255, 0, 0]);
        // Hostile numbers
        check(
            &[(Band::R, 9, 0, 1.0), (Band::G, 0, 200, 1.0), (Band::B, 0, 0, f64::NAN)],
            &[0, 0, 0],
        );
    }
}
