//! Which pixels of a map show an area (MapProxy's `image/mask.py`).
//!
//! The rule is Pillow's, so that clipped maps end at the same pixels as MapProxy's: the polygon is shrunk by a tenth of
//! a pixel, every corner moves to the pixel it lies in, and all pixels on the resulting outline belong to the area. The
//! outlines of holes do not.

use super::area::touches;
use super::polygon::edges;
use super::{Coverage, CoverageError, Polygon, Ring};
use crate::srs::{BBox, Srs, Transformer};

/// By how much polygons are shrunk, in pixels: an edge exactly between two pixels belongs to the inner one.
const SHRINK_PX: f64 = 0.1;

impl Coverage {
    /// Where a map of `bbox` shows the area: one byte per pixel, top row first, 255 inside and 0 outside.
    pub fn mask(&self, bbox: BBox, srs: &Srs, size: (u32, u32)) -> Result<Vec<u8>, CoverageError> {
        let mut mask = Mask::new(size);
        let pixels = ToPixels::new(bbox, size);
        match self.polygons() {
            None => {
                let area = self.srs().transform_bbox(srs, self.extent().bbox)?;
                mask.draw(&Polygon::from_bbox(&area), &pixels);
            }
            Some(polygons) => {
                let transformer = Transformer::new(self.srs(), srs)?;
                let visible = srs.transform_bbox(self.srs(), bbox)?;
                for polygon in polygons {
                    if !polygon.bbox().is_some_and(|around| touches(&around, &visible)) {
                        continue;
                    }
                    if transformer.is_identity() {
                        mask.draw(polygon, &pixels);
                    } else if let Some(polygon) = polygon.transform(&transformer) {
                        mask.draw(&polygon, &pixels);
                    }
                }
            }
        }
        Ok(mask.pixels)
    }
}

/// From map units to pixels, y downwards.
struct ToPixels {
    bbox: BBox,
    x_scale: f64,
    y_scale: f64,
}

impl ToPixels {
    fn new(bbox: BBox, size: (u32, u32)) -> Self {
        Self {
            bbox,
            x_scale: f64::from(size.0) / bbox.width(),
            y_scale: f64::from(size.1) / bbox.height(),
        }
    }

    fn ring(&self, ring: &Ring) -> Ring {
        ring.iter()
            .map(|(x, y)| ((x - self.bbox.minx) * self.x_scale, (self.bbox.maxy - y) * self.y_scale))
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect()
    }
}

struct Mask {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Mask {
    fn new(size: (u32, u32)) -> Self {
        let (width, height) = (size.0 as usize, size.1 as usize);
        Self {
            width,
            height,
            pixels: vec![0; width.saturating_mul(height)],
        }
    }

    fn draw(&mut self, polygon: &Polygon, to_pixels: &ToPixels) {
        let exterior = to_pixels.ring(&polygon.exterior);
        // what shrinking makes vanish
        if !BBox::around(exterior.iter().copied())
            .is_some_and(|around| around.width() > 2.0 * SHRINK_PX && around.height() > 2.0 * SHRINK_PX)
        {
            return;
        }
        self.fill(&snap(&offset(&exterior, SHRINK_PX)), 255);
        for hole in &polygon.interiors {
            self.fill(&snap(&offset(&to_pixels.ring(hole), -SHRINK_PX)), 0);
        }
    }

    /// Fills a ring whose corners are pixels, its outline included.
    fn fill(&mut self, ring: &Ring, value: u8) {
        let (mut top, mut bottom) = (f64::INFINITY, f64::NEG_INFINITY);
        for (_, y) in ring {
            top = top.min(*y);
            bottom = bottom.max(*y);
        }
        let top = top.max(0.0);
        let bottom = bottom.min(self.height as f64 - 1.0);
        if !(top <= bottom) {
            return;
        }
        // x where edges pass from one side of a line to the other: between pairs of them is inside
        let mut crossings: Vec<f64> = Vec::new();
        for row in top as usize..=bottom as usize {
            let y = row as f64;
            crossings.clear();
            for ((ax, ay), (bx, by)) in edges(ring) {
                if ay == by {
                    if ay == y {
                        self.span(row, ax.min(bx), ax.max(bx), value);
                    }
                } else if ay.min(by) <= y && y <= ay.max(by) {
                    let x = ax + (y - ay) * ((bx - ax) / (by - ay));
                    self.span(row, x, x, value);
                    if (ay > y) != (by > y) {
                        crossings.push(x);
                    }
                }
            }
            crossings.sort_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                if let [start, end] = *pair {
                    self.span(row, start, end, value);
                }
            }
        }
    }

    fn span(&mut self, row: usize, start: f64, end: f64, value: u8) {
        let last = self.width as f64 - 1.0;
        let (start, end) = (start.round(), end.round());
        if end < 0.0 || start > last {
            return;
        }
        let first = row * self.width;
        let range = first + start.max(0.0) as usize..=first + end.min(last) as usize;
        if let Some(pixels) = self.pixels.get_mut(range) {
            pixels.fill(value);
        }
    }
}

/// Every corner at the pixel it lies in.
fn snap(ring: &Ring) -> Ring {
    ring.iter().map(|(x, y)| (x.floor(), y.floor())).collect()
}

/// Moves the edges of a ring inwards by `distance`, or outwards if it is negative.
fn offset(ring: &Ring, distance: f64) -> Ring {
    let area: f64 = edges(ring).map(|((ax, ay), (bx, by))| ax * by - bx * ay).sum();
    let distance = distance * area.signum();
    let count = ring.len();
    let corner = |index: usize| ring.get(index % count).copied().unwrap_or_default();
    (0..count)
        .map(|index| {
            let (x, y) = corner(index);
            // the directions of the edges before and after, and the normals to their left
            let (before, after) = (
                direction(corner(index + count - 1), (x, y)),
                direction((x, y), corner(index + 1)),
            );
            let (Some(before), Some(after)) = (before, after) else {
                return (x, y);
            };
            let (nx, ny) = (-before.1 - after.1, before.0 + after.0);
            let along = 1.0 + before.0 * after.0 + before.1 * after.1;
            // Where both moved edges meet; at sharp corners that would be far away.
            let scale = distance / along.max(0.1);
            (x + nx * scale, y + ny * scale)
        })
        .collect()
}

fn direction(from: (f64, f64), to: (f64, f64)) -> Option<(f64, f64)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    (length > 0.0 && length.is_finite()).then(|| (dx / length, dy / length))
}
