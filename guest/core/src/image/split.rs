//! The picture of a meta tile, cut into its tiles (MapProxy's `TileSplitter`).

use super::encode::palette_size;
use super::map_image::{Cacheability, MapImage, MapImageError};
use super::options::ImageOptions;
use super::quantize::PartQuantizer;
use super::raster::{Pixels, Raster, Window};
use super::transform::{Fill, crop};

/// Cuts tiles out of a meta tile. A palette is kept. The tiles may be stored if the meta tile may.
#[derive(Debug)]
pub struct TileSplitter<'a> {
    /// what of the meta tile is in its tiles, or more
    pixels: Raster,
    /// where in the meta tile these pixels are
    corner: (i64, i64),
    /// what of the pixels is in its tiles
    shown: Window,
    size: (u32, u32),
    cacheability: Cacheability,
    options: &'a ImageOptions,
    quantizer: Option<PartQuantizer>,
}

impl<'a> TileSplitter<'a> {
    /// For tiles of this size, in pixels, whose upper left corners are at `offsets` of the meta tile (may be negative):
    /// no more of it than these is decoded where that can be. Tiles get these options; what lies outside the meta tile
    /// becomes transparent or the background accordingly.
    ///
    /// # Errors
    /// The meta tile is no picture.
    pub fn new(
        meta_tile: MapImage,
        options: &'a ImageOptions,
        offsets: &[(i64, i64)],
        size: (u32, u32),
    ) -> Result<Self, MapImageError> {
        let cacheability = meta_tile.cacheability;
        let (xs, ys): (Vec<_>, Vec<_>) = offsets.iter().copied().unzip();
        let ((x, width), (y, height)) = (extent(&xs, size.0), extent(&ys, size.1));
        let (pixels, corner) = meta_tile.into_part(Window { x, y, width, height })?;
        let shown = Window {
            x: x.saturating_sub(corner.0),
            y: y.saturating_sub(corner.1),
            width,
            height,
        };
        Ok(Self {
            pixels,
            shown,
            corner: (corner.0.into(), corner.1.into()),
            size,
            cacheability,
            options,
            quantizer: None,
        })
    }

    /// Tiles that become palettes when they are encoded have them already. They share one where it is good enough. Those
    /// of one colour stay as they are: whoever stores them once for all looks at their channels.
    #[must_use]
    pub fn with_palettes(self) -> Self {
        let Some(colors) = palette_size(self.options) else {
            return self;
        };
        let pixels = if self.options.is_transparent() {
            self.pixels
        } else {
            self.pixels.into_opaque()
        };
        Self {
            pixels,
            quantizer: Some(PartQuantizer::new(colors, self.shown)),
            ..self
        }
    }

    /// The tile at this offset.
    ///
    /// # Errors
    /// The size is out of range.
    pub fn tile(&mut self, (x, y): (i64, i64)) -> Result<MapImage, MapImageError> {
        let (x, y) = (x - self.corner.0, y - self.corner.1);
        let window = Window::inside(self.pixels.size(), (x, y), self.size);
        let reduced = match (&mut self.quantizer, window) {
            (Some(quantizer), Some(window)) => Some(quantizer.part(&self.pixels, window)?),
            _ => None,
        };
        let tile = match reduced
            .filter(|tile| !matches!(tile.pixels(), Pixels::Indexed { palette, .. } if palette.len() == 1))
        {
            Some(tile) => tile,
            None => crop(&self.pixels, x, y, self.size, Fill::of(self.options))?,
        };
        Ok(MapImage::from_raster(tile, self.options.clone()).with_cacheability(self.cacheability))
    }
}

/// What of an axis pieces of this length take up that begin at these places; nothing is before its beginning.
fn extent(starts: &[i64], length: u32) -> (u32, u32) {
    let inside = |at: Option<i64>| at.map_or(0, |at| at.clamp(0, i64::from(u32::MAX)) as u32);
    let start = inside(starts.iter().min().copied());
    let end = inside(starts.iter().max().map(|last| last.saturating_add(length.into())));
    (start, end.saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::golden::{alpha_waves, picture, scene, waves};
    use crate::image::raster::copy_rows;
    use crate::image::{ImageFormat, Limits, Mode, decode, encode, quantize};

    const SIDE: u32 = 128;
    const PLACES: [(i64, i64); 4] = [(20, 10), (148, 10), (20, 138), (148, 138)];

    fn png() -> ImageOptions {
        ImageOptions::new(ImageFormat::PNG)
    }

    /// The four tiles of a picture of 300 x 300 pixels, as pixels.
    fn split(meta_tile: &Raster, options: &ImageOptions) -> Vec<Raster> {
        let image = MapImage::from_raster(meta_tile.clone(), options.clone());
        let splitter = TileSplitter::new(image, options, &PLACES, (SIDE, SIDE)).unwrap();
        let mut splitter = splitter.with_palettes();
        PLACES
            .map(|place| splitter.tile(place).unwrap().into_raster().unwrap())
            .into()
    }

    fn palette(raster: &Raster) -> &[[u8; 4]] {
        match raster.pixels() {
            Pixels::Indexed { palette, .. } => palette,
            other => panic!("no palette but {other:?}"),
        }
    }

    /// Root of the mean squared error of a channel.
    fn error(a: &Raster, b: &Raster) -> f64 {
        let (a, b) = (a.to_rgba(), b.to_rgba());
        let squares = a.iter().zip(&*b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        (squares.sum::<f64>() / (a.len() / 4 * 3) as f64).sqrt()
    }

    /// The first two tiles of one picture, the others of another.
    fn halves(upper: &Raster, lower: &Raster) -> Raster {
        let mut both = upper.clone().into_rgb();
        let lower = lower.crop(0, 138, 300, 162).unwrap().into_rgb();
        copy_rows(&lower, both.bytes_mut(), 300, 300, 0, 138);
        both
    }

    /// Water that grows deeper: more colours than a palette has, and all alike.
    fn sea() -> Raster {
        let color = |x: u32, y: u32| [100 + x / 20, 140 + y / 20, 200 + (x + 2 * y) / 40].map(|v| v as u8);
        let data = (0..300).flat_map(|y| (0..300).flat_map(move |x| color(x, y))).collect();
        Raster::new(300, 300, Pixels::Rgb(data)).unwrap()
    }

    #[test]
    fn tiles_share_a_palette_unless_their_own_is_much_better() {
        let check = |what: &str, meta_tile: &Raster, shared: usize| {
            let tiles = split(meta_tile, &png());
            let common = palette(&tiles[3]);
            assert_eq!(
                tiles.iter().filter(|tile| palette(tile) == common).count(),
                shared,
                "{what}"
            );
            for (tile, (x, y)) in tiles.iter().zip(PLACES) {
                let original = meta_tile.crop(x, y, SIDE, SIDE).unwrap();
                let (got, own) = (
                    error(tile, &original),
                    error(&quantize(&original, 255).unwrap(), &original),
                );
                assert!(
                    got < 1.6 || got < own * 1.55,
                    "{what}: {got}, its own palette has {own}"
                );
            }
        };
        check("map", &scene(300), 4);
        check("sea above a photo", &halves(&sea(), &waves(300)), 2);
        check("map above a photo", &halves(&scene(300), &waves(300)), 3);
        check("sea above a map", &halves(&sea(), &scene(300)), 2);
    }

    #[test]
    fn few_colors_are_kept_exactly() {
        let few = quantize(&scene(300), 200).unwrap().into_rgb();
        let meta_tile = halves(&few, &waves(300));
        for (tile, (x, y)) in split(&meta_tile, &png()).iter().zip(PLACES).take(2) {
            assert_eq!(tile.to_rgb(), meta_tile.crop(x, y, SIDE, SIDE).unwrap().to_rgb());
        }
    }

    #[test]
    fn palettes_are_made_where_the_files_have_them() {
        let waves = waves(300);
        let with = |change: fn(&mut ImageOptions)| {
            let mut options = png();
            change(&mut options);
            split(&waves, &options)[0].clone()
        };
        let check = |colors: usize, change: fn(&mut ImageOptions)| assert_eq!(palette(&with(change)).len(), colors);
        check(255, |_| {});
        check(16, |options| options.colors = Some(16));
        check(256, |options| options.mode = Some(Mode::P));
        let unchanged = |change: fn(&mut ImageOptions)| assert!(matches!(with(change).pixels(), Pixels::Rgb(_)));
        unchanged(|options| options.colors = Some(0));
        unchanged(|options| options.mode = Some(Mode::Rgb));
        unchanged(|options| options.paletted = false);
        unchanged(|options| options.format = Some(ImageFormat::JPEG));
        unchanged(|options| options.format = Some(ImageFormat::MIXED));
    }

    #[test]
    fn alpha_is_in_the_palette_where_the_tiles_are_transparent() {
        let clear = |transparent: bool| {
            let options = ImageOptions {
                transparent: Some(transparent),
                ..png()
            };
            split(&alpha_waves(300), &options)
                .iter()
                .filter(|tile| !tile.is_opaque())
                .count()
        };
        assert_eq!((clear(true), clear(false)), (3, 0));
    }

    #[test]
    fn tiles_of_one_color_keep_their_channels() {
        let gray = Raster::new(300, 300, Pixels::Rgba([7, 7, 7, 255].repeat(300 * 300))).unwrap();
        let transparent = ImageOptions {
            transparent: Some(true),
            ..png()
        };
        assert!(matches!(split(&gray, &transparent)[0].pixels(), Pixels::Rgba(_)));
    }

    #[test]
    fn what_is_outside_is_filled_and_nothing_but_the_tiles_is_decoded() {
        let meta_tile = picture(200, 150, 3);
        let file = encode(
            meta_tile.clone(),
            &ImageOptions {
                colors: Some(0),
                ..png()
            },
            None,
        )
        .unwrap();
        let check = |bytes: &[u8], places: &[(i64, i64)], expected: bool| {
            let image = MapImage::from_bytes(bytes.to_vec(), png());
            let options = png();
            let Ok(mut splitter) = TileSplitter::new(image, &options, places, (64, 64)) else {
                assert!(!expected, "{places:?}");
                return;
            };
            assert!(expected, "{places:?}");
            for &(x, y) in places {
                let fill = Fill::of(&options);
                let want = crop(&meta_tile, x, y, (64, 64), fill).unwrap();
                assert_eq!(splitter.tile((x, y)).unwrap().into_raster().unwrap(), want, "{x} {y}");
            }
        };
        check(&file, &[(-10, -5), (100, 20), (170, 120), (1000, 1000)], true);
        let cut_off = &file[..file.len() * 2 / 3];
        check(cut_off, &[(10, 5), (74, 5)], true);
        check(cut_off, &[(10, 5), (10, 69)], false);
        assert!(decode(cut_off, &Limits::default()).is_err());
    }
}
