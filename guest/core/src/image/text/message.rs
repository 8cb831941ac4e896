//! The places where MapProxy writes into pictures, and how.

use serde::{Deserialize, Serialize};

use super::font::{PADDING, Style, draw};
use crate::image::blank::filled;
use crate::image::map_image::{MapImage, MapImageError};
use crate::image::merge::draw_over;
use crate::image::options::ImageOptions;
use crate::image::raster::{Raster, RasterError};

/// Size of the letters of messages, in pixels.
const MESSAGE_SIZE: f32 = 11.0;
const ATTRIBUTION_SIZE: f32 = 10.0;
const CLEAR: [u8; 4] = [0; 4];

/// A picture that holds a message: an exception "in image", or the errors of sources to be laid over a map (with
/// transparent options). The letters are black or white, whatever shows better on the background. Not to be stored.
///
/// # Errors
/// The size is out of range.
pub fn message_image(text: &str, size: (u32, u32), options: &ImageOptions) -> Result<MapImage, MapImageError> {
    let [r, g, b] = options.background();
    let transparent = options.is_transparent();
    // ITU-R 601
    let luminance = f32::from(r) * 0.299 + f32::from(g) * 0.587 + f32::from(b) * 0.114;
    let color = if luminance < 128.0 { [255; 4] } else { [0, 0, 0, 255] };
    let base = filled(size.0, size.1, if transparent { CLEAR } else { [r, g, b, 255] })?;
    let style = Style {
        size: MESSAGE_SIZE,
        color,
        background: CLEAR,
    };
    let raster = match draw(text, style, Some(size.0))? {
        Some(letters) => draw_over(base, &letters, (0, 0))?,
        None => base,
    };
    let mut image = MapImage::from_raster(raster, options.clone());
    image.cacheability.cacheable = false;
    Ok(image)
}

/// The map with an attribution in the lower right corner, on a box that lets it through.
///
/// # Errors
/// The map is no picture.
pub fn attribution(map: MapImage, text: &str) -> Result<MapImage, MapImageError> {
    let style = Style {
        size: ATTRIBUTION_SIZE,
        color: [0, 0, 0, 255],
        background: [255, 255, 255, 120],
    };
    over(map, |(width, height)| {
        let Some(letters) = draw(text, style, None)? else {
            return Ok(Vec::new());
        };
        // The box keeps a smaller distance to its text than a message does.
        let trim = PADDING - 2;
        let (inner_width, inner_height) = (letters.width() - 2 * trim, letters.height() - 2 * trim);
        let letters = letters.crop(i64::from(trim), i64::from(trim), inner_width, inner_height)?;
        let offset = (
            i64::from(width) - i64::from(inner_width),
            i64::from(height) - i64::from(inner_height),
        );
        Ok(vec![(letters, offset)])
    })
}

/// How the watermarks of neighbouring tiles are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// In every tile, shifted by half a tile in every other row.
    #[default]
    Dense,
    /// In the centre of every other tile.
    Wide,
}

/// `watermark` of a cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatermarkStyle {
    pub text: String,
    /// Pixels per em, 24 by default.
    pub font_size: u32,
    /// RGB, gray by default.
    pub color: [u8; 3],
    /// 0 to 255, 30 by default.
    pub opacity: u8,
    pub spacing: Spacing,
}

impl WatermarkStyle {
    /// The defaults with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            font_size: 24,
            color: [128; 3],
            opacity: 30,
            spacing: Spacing::default(),
        }
    }
}

/// The tile (`x`, `y` of its grid) with its watermark.
///
/// # Errors
/// The tile is no picture.
pub fn watermark(tile: MapImage, style: &WatermarkStyle, (x, y): (i64, i64)) -> Result<MapImage, MapImageError> {
    let odd = |number: i64| number.rem_euclid(2) == 1;
    if style.spacing == Spacing::Wide && odd(x) == odd(y) {
        return Ok(tile);
    }
    let [r, g, b] = style.color;
    let text_style = Style {
        size: style.font_size as f32,
        color: [r, g, b, style.opacity],
        background: CLEAR,
    };
    over(tile, |(width, height)| {
        let Some(letters) = draw(&style.text, text_style, None)? else {
            return Ok(Vec::new());
        };
        let (width, height) = (i64::from(width), i64::from(height));
        let (own_width, own_height) = (i64::from(letters.width()), i64::from(letters.height()));
        let top = (height - own_height) / 2;
        if style.spacing == Spacing::Dense && odd(y) {
            // Half of it at the left border and half at the right one, so that it goes on in the next tile.
            let half = own_width / 2;
            return Ok(vec![(letters.clone(), (-half, top)), (letters, (width - half, top))]);
        }
        Ok(vec![(letters, ((width - own_width) / 2, top))])
    })
}

/// What the debug source answers with: some lines on a transparent picture.
///
/// # Errors
/// The size is out of range.
pub fn debug_image(text: &str, size: (u32, u32)) -> Result<MapImage, MapImageError> {
    message_image(
        text,
        size,
        &ImageOptions {
            transparent: Some(true),
            ..ImageOptions::default()
        },
    )
}

/// A map with pictures drawn on it. It keeps its options and whether it may be stored.
fn over(
    map: MapImage,
    overlays: impl FnOnce((u32, u32)) -> Result<Vec<(Raster, (i64, i64))>, RasterError>,
) -> Result<MapImage, MapImageError> {
    let (options, cacheability, georeference) = (map.options.clone(), map.cacheability, map.georeference);
    let size = map.size()?;
    let overlays = overlays(size)?;
    if overlays.is_empty() {
        return Ok(map);
    }
    let mut raster = map.into_raster()?;
    for (overlay, offset) in &overlays {
        raster = draw_over(raster, overlay, *offset)?;
    }
    let mut image = MapImage::from_raster(raster, options).with_cacheability(cacheability);
    image.georeference = georeference;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::raster::Pixels;

    /// Bounding box of the pixels that differ from `background`.
    fn drawn(image: MapImage, background: [u8; 4]) -> Option<(u32, u32, u32, u32)> {
        let raster = image.into_raster().unwrap();
        let (width, height) = raster.size();
        (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .filter(|&(x, y)| raster.pixel(x, y) != Some(background))
            .map(|(x, y)| (x, y, x, y))
            .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1), a.2.max(b.2), a.3.max(b.3)))
    }

    fn tile() -> MapImage {
        let raster = Raster::new(256, 256, Pixels::Rgb([200, 220, 240].repeat(256 * 256))).unwrap();
        MapImage::from_raster(raster, ImageOptions::default())
    }

    const SKY: [u8; 4] = [200, 220, 240, 255];

    #[test]
    fn messages_begin_in_the_upper_left_corner_and_contrast() {
        let options = |bgcolor| ImageOptions {
            bgcolor: Some(bgcolor),
            ..ImageOptions::default()
        };
        let light = message_image("unknown layer: x", (256, 256), &options([255; 3])).unwrap();
        assert!(!light.cacheability.cacheable);
        let (left, top, right, bottom) = drawn(light.clone(), [255; 4]).unwrap();
        assert!(
            left < 10 && top < 10 && right < 150 && bottom < 25,
            "{left} {top} {right} {bottom}"
        );
        let darkest = |image: MapImage| image.into_raster().unwrap().into_rgb().bytes().iter().copied().min();
        assert!(darkest(light).unwrap() < 60);
        let dark = message_image("unknown layer: x", (256, 256), &options([0; 3])).unwrap();
        assert!(
            dark.into_raster()
                .unwrap()
                .into_rgb()
                .bytes()
                .iter()
                .copied()
                .max()
                .unwrap()
                > 200
        );
    }

    #[test]
    fn long_messages_are_wrapped_and_hostile_ones_survive() {
        let text = "a message that is much too long for one line of a picture that is so small";
        let image = message_image(text, (100, 100), &ImageOptions::default()).unwrap();
        let (_, _, right, bottom) = drawn(image, [255; 4]).unwrap();
        assert!(right < 100 && bottom > 40, "{right} {bottom}");
        for text in [
            "",
            "\n\n",
            "\u{0}\u{7f}",
            "\u{4e2d}\u{6587}",
            &"x".repeat(100_000),
            &"a\n".repeat(10_000),
        ] {
            for size in [(1, 1), (30, 2), (256, 256)] {
                message_image(text, size, &ImageOptions::default()).unwrap();
                attribution(tile(), text).unwrap();
            }
        }
        assert!(message_image("x", (0, 5), &ImageOptions::default()).is_err());
    }

    #[test]
    fn the_attribution_is_in_the_lower_right_corner() {
        let (left, top, right, bottom) = drawn(attribution(tile(), "© contributors").unwrap(), SKY).unwrap();
        assert_eq!((right, bottom), (255, 255));
        assert!(left > 150 && top > 235, "{left} {top}");
    }

    #[test]
    fn watermarks_alternate() {
        let check = |spacing, tile_coord, expect: Option<(bool, bool)>| {
            let style = WatermarkStyle {
                spacing,
                ..WatermarkStyle::new("Sample")
            };
            let touches = drawn(watermark(tile(), &style, tile_coord).unwrap(), SKY);
            assert_eq!(
                touches.map(|(left, _, right, _)| (left == 0, right == 255)),
                expect,
                "{spacing:?} {tile_coord:?}"
            );
        };
        check(Spacing::Dense, (0, 0), Some((false, false)));
        check(Spacing::Dense, (1, 0), Some((false, false)));
        check(Spacing::Dense, (0, 1), Some((true, true)));
        check(Spacing::Dense, (0, -1), Some((true, true)));
        check(Spacing::Wide, (0, 0), None);
        check(Spacing::Wide, (1, 0), Some((false, false)));
        check(Spacing::Wide, (1, 1), None);
        check(Spacing::Wide, (2, 1), Some((false, false)));
    }

    #[test]
    fn the_debug_picture_is_transparent() {
        let image = debug_image("bbox: 0 0 1 1\nres: 0.5", (256, 256))
            .unwrap()
            .into_raster()
            .unwrap();
        assert_eq!(image.pixel(200, 200), Some([0; 4]));
        assert!(drawn(MapImage::from_raster(image, ImageOptions::default()), [0; 4]).is_some());
    }
}
