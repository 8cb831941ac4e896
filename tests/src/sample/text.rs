//! Labels: outlines of a typeface as paths, so that a halo can be stroked around them.

use ab_glyph::{Font as _, FontArc, GlyphId, OutlineCurve};
use tiny_skia::{Path, PathBuilder};

/// Width of a text in pixels when set in `size` pixels with `spacing` pixels between letters.
pub(super) fn width(font: &FontArc, text: &str, size: f32, spacing: f32) -> f32 {
    layout(font, text, size, spacing).1
}

/// The outline of a text whose baseline starts at `x`, `y`; nothing for blank text.
pub(super) fn path(font: &FontArc, text: &str, size: f32, spacing: f32, x: f32, y: f32) -> Option<Path> {
    let scale = scale(font, size);
    let mut builder = PathBuilder::new();
    for (glyph, offset) in layout(font, text, size, spacing).0 {
        let Some(outline) = font.outline(glyph) else { continue };
        let at = |p: ab_glyph::Point| (x + offset + p.x * scale, y - p.y * scale);
        let mut last = None;
        for curve in outline.curves {
            let start = match &curve {
                OutlineCurve::Line(a, _) | OutlineCurve::Quad(a, ..) | OutlineCurve::Cubic(a, ..) => at(*a),
            };
            if last != Some(start) {
                builder.move_to(start.0, start.1);
            }
            let end = match curve {
                OutlineCurve::Line(_, b) => {
                    let b = at(b);
                    builder.line_to(b.0, b.1);
                    b
                }
                OutlineCurve::Quad(_, b, c) => {
                    let (b, c) = (at(b), at(c));
                    builder.quad_to(b.0, b.1, c.0, c.1);
                    c
                }
                OutlineCurve::Cubic(_, b, c, d) => {
                    let (b, c, d) = (at(b), at(c), at(d));
                    builder.cubic_to(b.0, b.1, c.0, c.1, d.0, d.1);
                    d
                }
            };
            last = Some(end);
        }
    }
    builder.finish()
}

fn scale(font: &FontArc, size: f32) -> f32 {
    size / font.units_per_em().unwrap_or(1000.0)
}

/// Each glyph with its offset, and the width of all.
fn layout(font: &FontArc, text: &str, size: f32, spacing: f32) -> (Vec<(GlyphId, f32)>, f32) {
    let scale = scale(font, size);
    let mut glyphs = Vec::new();
    let mut x = 0.0;
    let mut previous = None;
    for character in text.chars() {
        let glyph = font.glyph_id(character);
        if let Some(previous) = previous {
            x += font.kern_unscaled(previous, glyph) * scale + spacing;
        }
        glyphs.push((glyph, x));
        x += font.h_advance_unscaled(glyph) * scale;
        previous = Some(glyph);
    }
    (glyphs, x)
}
