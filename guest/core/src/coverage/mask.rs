//! Which pixels of a map show an area (MapProxy's `image/mask.py`).
//!
//! The rule is Pillow's, so that clipped maps end at the same pixels as MapProxy's: the polygon is shrunk by a tenth of
//! a pixel, every corner moves to the pixel it lies in, and all pixels on the resulting outline belong to the area. The
//! outlines of holes do not.
#![expect(clippy::float_cmp, reason = "corners are whole pixels")]

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
            let hole = snap(&offset(&to_pixels.ring(hole), -SHRINK_PX));
            self.fill(&hole, 0);
            // MapProxy first cuts the area at the map: a hole over its edge is a bay, and its outline is the area's
            if !hole.iter().all(|(x, y)| self.contains(*x, *y)) {
                self.outline(&hole, 255);
            }
        }
    }

    fn contains(&self, x: f64, y: f64) -> bool {
        (0.0..self.width as f64).contains(&x) && (0.0..self.height as f64).contains(&y)
    }

    /// The lines of pixels from `top` to `bottom`, as far as the map has them.
    fn rows(&self, top: f64, bottom: f64) -> std::ops::Range<usize> {
        let top = top.max(0.0);
        let bottom = bottom.min(self.height as f64 - 1.0);
        if top <= bottom {
            top as usize..bottom as usize + 1
        } else {
            0..0
        }
    }

    /// Fills a ring whose corners are pixels, its outline included.
    fn fill(&mut self, ring: &Ring, value: u8) {
        // where edges pass from one side of a line to the other: between pairs of them is inside
        let mut crossings: Vec<(usize, f64)> = Vec::new();
        for (a, b) in edges(ring) {
            // an edge passes the line it ends on, but not the one it starts on
            let rows = self.rows(a.1.min(b.1), a.1.max(b.1) - 1.0);
            crossings.extend(rows.map(|row| (row, x_at(a, b, row as f64))));
        }
        crossings.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for pair in crossings.chunks_exact(2) {
            if let [(row, start), (_, end)] = *pair {
                self.span(row, start, end, value);
            }
        }
        self.outline(ring, value);
    }

    /// Draws the edges of a ring: one pixel on each line they pass, all pixels of those along a line.
    fn outline(&mut self, ring: &Ring, value: u8) {
        for (a, b) in edges(ring) {
            for row in self.rows(a.1.min(b.1), a.1.max(b.1)) {
                if a.1 == b.1 {
                    self.span(row, a.0.min(b.0), a.0.max(b.0), value);
                } else {
                    let x = x_at(a, b, row as f64);
                    self.span(row, x, x, value);
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

/// Where an edge that is not horizontal passes a line.
fn x_at(a: (f64, f64), b: (f64, f64), y: f64) -> f64 {
    a.0 + (y - a.1) * ((b.0 - a.0) / (b.1 - a.1))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holes_are_outside() {
        let square = "POLYGON((2 2, 8 2, 8 8, 2 8),(4 4, 6 4, 6 6, 4 6))";
        let srs = Srs::web_mercator();
        let coverage = Coverage::from_wkt(square, srs.clone()).unwrap();
        let mask = coverage.mask(BBox::new(0.0, 0.0, 10.0, 10.0), &srs, (10, 10)).unwrap();
        let rows: Vec<String> = mask
            .chunks(10)
            .map(|row| row.iter().map(|pixel| if *pixel == 0 { '.' } else { '#' }).collect())
            .collect();
        // As Pillow draws it: the outline of the hole is outside as well.
        assert_eq!(
            rows[1..9].join("\n"),
            "\
..........
..######..
..#....#..
..#....#..
..#....#..
..#....#..
..######..
.........."
        );
    }

    #[test]
    fn a_box_is_cut_out() {
        let coverage = Coverage::from_bbox(BBox::new(0.0, 0.0, 5.0, 5.0), Srs::web_mercator());
        let mask = coverage
            .mask(BBox::new(0.0, 0.0, 10.0, 10.0), &Srs::web_mercator(), (10, 10))
            .unwrap();
        assert_eq!(mask.iter().map(|pixel| u32::from(*pixel)).sum::<u32>(), 25 * 255);
        assert_eq!(mask[9 * 10], 255);
    }

    proptest! {
        #[test]
        fn never_panics(
            points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..12),
            edges: [f64; 4], size in (0_u32..40, 0_u32..40),
        ) {
            let bbox = BBox::new(edges[0], edges[1], edges[2], edges[3]);
            let polygon = Polygon { exterior: points.clone(), interiors: vec![points] };
            if let Ok(coverage) = Coverage::from_disjoint_polygons(vec![polygon], Srs::wgs84()) {
                for srs in [Srs::wgs84(), Srs::web_mercator()] {
                    let _ = coverage.mask(bbox, &srs, size);
                    let _ = (coverage.intersects(bbox, &srs), coverage.contains(bbox, &srs));
                    let _ = coverage.transform_to(&srs);
                }
            }
        }
    }
}
