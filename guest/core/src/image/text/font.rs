//! Lines of text to a small picture, with the built-in font.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

use crate::image::raster::{Pixels, Raster, RasterError, checked_len};

/// `DejaVu` Sans, Latin, Greek and Cyrillic: see the README beside it.
static DEJAVU_SANS: &[u8] = include_bytes!("DejaVuSans-subset.ttf");

/// What a text looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Size of the font in pixels per em.
    pub(super) size: f32,
    /// RGBA of the letters.
    pub(super) color: [u8; 4],
    /// RGBA of the box around them.
    pub(super) background: [u8; 4],
}

/// Pixels around the text, and between two lines.
pub(super) const PADDING: u32 = 5;
const LINE_SPACING: f32 = 3.0;

/// A line longer than this is cut: texts come from anywhere.
const MAX_LINE: usize = 1000;
const MAX_LINES: usize = 100;
/// Pixels along a side; letters beyond are cut.
const MAX_SIDE: u32 = 4096;

/// The text as an RGBA picture, with a padding around it. With `wrap` no line is wider than so many pixels if it can be
/// broken between words. `None` if there is nothing to draw.
pub(super) fn draw(text: &str, style: Style, wrap: Option<u32>) -> Result<Option<Raster>, RasterError> {
    let Ok(font) = FontRef::try_from_slice(DEJAVU_SANS) else {
        return Ok(None);
    };
    // Font sizes are pixels per em, while the library wants the height of a line.
    let em = font.units_per_em().unwrap_or(2048.0);
    let scale = PxScale::from(style.size.clamp(1.0, 500.0) * font.height_unscaled() / em);
    let font = font.as_scaled(scale);
    let limit = wrap.map_or(f32::INFINITY, |width| width.saturating_sub(2 * PADDING).max(20) as f32);
    let width_of = |line: &str| line.chars().map(|c| font.h_advance(font.glyph_id(c))).sum::<f32>();
    let lines = wrapped(text, |line| width_of(line) <= limit);
    let width = lines.iter().map(|line| width_of(line)).fold(0.0, f32::max).ceil() as u32;
    if width == 0 {
        return Ok(None);
    }
    let line_height = font.height() + LINE_SPACING;
    let width = (width + 2 * PADDING).min(MAX_SIDE);
    let height = (line_height * lines.len() as f32 - LINE_SPACING).ceil() as u32 + 2 * PADDING;
    let height = height.min(MAX_SIDE);
    let mut data = style.background.repeat(checked_len(width, height)?);
    for (number, line) in lines.iter().enumerate() {
        let baseline = PADDING as f32 + line_height * number as f32 + font.ascent();
        let mut x = PADDING as f32;
        for c in line.chars() {
            let id = font.glyph_id(c);
            let glyph: Glyph = id.with_scale_and_position(scale, point(x, baseline));
            x += font.h_advance(id);
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, coverage| {
                let (px, py) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                if px >= 0.0 && py >= 0.0 && (px as u32) < width && (py as u32) < height {
                    let at = (py as usize * width as usize + px as usize) * 4;
                    blend(&mut data[at..at + 4], style.color, coverage.clamp(0.0, 1.0));
                }
            });
        }
    }
    Raster::new(width, height, Pixels::Rgba(data)).map(Some)
}

/// A letter over its box, both of which may be translucent.
fn blend(pixel: &mut [u8], color: [u8; 4], coverage: f32) {
    let above = f32::from(color[3]) / 255.0 * coverage;
    let below = f32::from(pixel[3]) / 255.0 * (1.0 - above);
    let alpha = above + below;
    if alpha <= 0.0 {
        return;
    }
    for (to, from) in pixel.iter_mut().zip(color).take(3) {
        *to = ((f32::from(from) * above + f32::from(*to) * below) / alpha).round() as u8;
    }
    pixel[3] = (alpha * 255.0).round() as u8;
}

/// The lines of the text, those that do not fit broken between words.
fn wrapped(text: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line: String = line.chars().filter(|c| !c.is_control()).take(MAX_LINE).collect();
        if fits(&line) {
            lines.push(line);
        } else {
            let mut current = String::new();
            for word in line.split(' ') {
                let longer = if current.is_empty() {
                    word.to_owned()
                } else {
                    format!("{current} {word}")
                };
                if current.is_empty() || fits(&longer) {
                    current = longer;
                } else {
                    lines.push(std::mem::replace(&mut current, word.to_owned()));
                }
            }
            lines.push(current);
        }
        if lines.len() >= MAX_LINES {
            break;
        }
    }
    lines
}
