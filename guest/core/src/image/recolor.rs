//! Colours that become transparent, and pictures that are of one colour only.

use super::raster::{Pixels, Raster, full_palette};

/// The picture with every pixel transparent whose red, green and blue are all within `tolerance` of `color`
/// (`transparent_color`, section 9). What is transparent already stays so.
#[must_use]
pub fn make_transparent(raster: Raster, color: [u8; 3], tolerance: u8) -> Raster {
    let matches = |pixel: &[u8]| {
        pixel
            .iter()
            .zip(color)
            .all(|(&value, wanted)| value.abs_diff(wanted) <= tolerance)
    };
    let (width, height) = raster.size();
    let pixels = match raster.into_true_color_unless_palette().into_pixels() {
        Pixels::Indexed { indices, mut palette } => {
            for entry in &mut palette {
                if matches(&entry[..3]) {
                    entry[3] = 0;
                }
            }
            Pixels::Indexed { indices, palette }
        }
        Pixels::Rgba(mut data) => {
            for pixel in data.chunks_exact_mut(4) {
                if matches(&pixel[..3]) {
                    pixel[3] = 0;
                }
            }
            Pixels::Rgba(data)
        }
        pixels @ (Pixels::Gray(_) | Pixels::Rgb(_)) => pixels,
    };
    Raster::new(width, height, pixels).expect("the number of pixels is as before")
}

impl Raster {
    /// RGBA for everything but a palette.
    fn into_true_color_unless_palette(self) -> Self {
        if matches!(self.pixels(), Pixels::Indexed { .. }) {
            self
        } else {
            self.into_rgba()
        }
    }
}

/// The colour of a picture that has one only, `None` of any other. Opaque colours have an alpha of 255.
pub fn single_color(raster: &Raster) -> Option<[u8; 4]> {
    fn all_equal(data: &[u8], bpp: usize) -> bool {
        // Every pixel equals the one before it: one comparison of overlapping slices.
        data.len() >= bpp && data[bpp..] == data[..data.len() - bpp]
    }
    let same = match raster.pixels() {
        Pixels::Indexed { indices, palette } => {
            all_equal(indices, 1) || {
                // Different indices, but perhaps of the same colour.
                let table = full_palette(palette);
                let first = indices.first().map(|&index| table[usize::from(index)]);
                indices.iter().all(|&index| Some(table[usize::from(index)]) == first)
            }
        }
        _ => all_equal(raster.bytes(), raster.bytes_per_pixel()),
    };
    same.then(|| raster.pixel(0, 0)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_colors_become_transparent_as_in_mapproxy() {
        let data = vec![250, 10, 10, 100, 255, 5, 5, 0, 200, 0, 0, 77, 255, 15, 10, 200];
        let image = Raster::new(4, 1, Pixels::Rgba(data)).unwrap();
        let expect = [250, 10, 10, 0, 255, 5, 5, 0, 200, 0, 0, 77, 255, 15, 10, 0];
        assert_eq!(make_transparent(image.clone(), [255, 10, 10], 5).bytes(), expect);
        let opaque = make_transparent(image.into_rgb(), [255, 10, 10], 5);
        assert_eq!(
            (0..4).map(|x| opaque.pixel(x, 0).unwrap()[3]).collect::<Vec<_>>(),
            [0, 0, 255, 0]
        );
        let palette = vec![[255, 255, 255, 255], [0, 0, 0, 255]];
        let indexed = Raster::new(
            2,
            1,
            Pixels::Indexed {
                indices: vec![0, 1],
                palette,
            },
        )
        .unwrap();
        let indexed = make_transparent(indexed, [254, 254, 254], 1);
        assert_eq!(indexed.pixel(0, 0), Some([255, 255, 255, 0]));
        assert_eq!(indexed.pixel(1, 0), Some([0, 0, 0, 255]));
    }

    #[test]
    fn single_colors_are_found() {
        let check = |width, pixels, expect| {
            assert_eq!(single_color(&Raster::new(width, 1, pixels).unwrap()), expect);
        };
        check(2, Pixels::Rgb(vec![1, 2, 3, 1, 2, 3]), Some([1, 2, 3, 255]));
        check(2, Pixels::Rgb(vec![1, 2, 3, 1, 2, 4]), None);
        check(1, Pixels::Rgb(vec![1, 2, 3]), Some([1, 2, 3, 255]));
        check(2, Pixels::Rgba(vec![1, 2, 3, 0, 1, 2, 3, 0]), Some([1, 2, 3, 0]));
        check(
            2,
            Pixels::Indexed {
                indices: vec![0, 1],
                palette: vec![[9; 4], [9; 4]],
            },
            Some([9; 4]),
        );
        check(
            2,
            Pixels::Indexed {
                indices: vec![0, 1],
                palette: vec![[9; 4], [8; 4]],
            },
            None,
        );
        check(2, Pixels::Gray(vec![7, 7]), Some([7, 7, 7, 255]));
    }
}
