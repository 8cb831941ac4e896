//! Bounding boxes with MapProxy's comparisons (`bbox_intersects`, `bbox_contains` of `grid/__init__.py`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::python_float::write_python_float;

/// An axis-parallel rectangle in the units of some [`Srs`](super::Srs); x is always east, y always north.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BBox {
    /// West edge.
    pub minx: f64,
    /// South edge.
    pub miny: f64,
    /// East edge.
    pub maxx: f64,
    /// North edge.
    pub maxy: f64,
}

impl BBox {
    /// A box from its edges, taken as they are.
    pub const fn new(minx: f64, miny: f64, maxx: f64, maxy: f64) -> Self {
        Self { minx, miny, maxx, maxy }
    }

    /// The smallest box around `points`; points that are not finite are left out. `None` without any finite point.
    pub fn around(points: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut bbox: Option<Self> = None;
        for (x, y) in points {
            if !x.is_finite() || !y.is_finite() {
                continue;
            }
            let found = bbox.get_or_insert(Self::new(x, y, x, y));
            found.minx = found.minx.min(x);
            found.miny = found.miny.min(y);
            found.maxx = found.maxx.max(x);
            found.maxy = found.maxy.max(y);
        }
        bbox
    }

    /// East minus west.
    pub fn width(&self) -> f64 {
        self.maxx - self.minx
    }

    /// North minus south.
    pub fn height(&self) -> f64 {
        self.maxy - self.miny
    }

    /// Whether all four edges are finite numbers.
    pub fn is_finite(&self) -> bool {
        self.edges().iter().all(|edge| edge.is_finite())
    }

    /// Whether the box has no area (or has an edge that is not a number).
    pub fn is_empty(&self) -> bool {
        !(self.minx < self.maxx && self.miny < self.maxy)
    }

    /// West, south, east, north.
    pub const fn edges(&self) -> [f64; 4] {
        [self.minx, self.miny, self.maxx, self.maxy]
    }

    /// Whether the interiors overlap; boxes that only share an edge do not intersect.
    pub fn intersects(&self, other: &Self) -> bool {
        self.minx < other.maxx && self.maxx > other.minx && self.miny < other.maxy && self.maxy > other.miny
    }

    /// Whether `other` lies inside this box, within 1e-13 of this box's own width and height.
    pub fn contains(&self, other: &Self) -> bool {
        let x_delta = self.width().abs() / 1e13;
        let y_delta = self.height().abs() / 1e13;
        self.minx <= other.minx + x_delta
            && self.maxx >= other.maxx - x_delta
            && self.miny <= other.miny + y_delta
            && self.maxy >= other.maxy - y_delta
    }

    /// Whether the point lies inside or on an edge.
    pub fn contains_point(&self, x: f64, y: f64) -> bool {
        self.minx <= x && x <= self.maxx && self.miny <= y && y <= self.maxy
    }

    /// The common part; `None` when the boxes do not [intersect](Self::intersects).
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        self.intersects(other).then(|| {
            Self::new(
                self.minx.max(other.minx),
                self.miny.max(other.miny),
                self.maxx.min(other.maxx),
                self.maxy.min(other.maxy),
            )
        })
    }

    /// The smallest box around both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::new(
            self.minx.min(other.minx),
            self.miny.min(other.miny),
            self.maxx.max(other.maxx),
            self.maxy.max(other.maxy),
        )
    }

    /// Whether all edges agree within `x_delta` and `y_delta`.
    pub fn equals(&self, other: &Self, x_delta: f64, y_delta: f64) -> bool {
        (self.minx - other.minx).abs() < x_delta
            && (self.miny - other.miny).abs() < y_delta
            && (self.maxx - other.maxx).abs() < x_delta
            && (self.maxy - other.maxy).abs() < y_delta
    }

    /// Units per pixel in x and y for an image of `size` pixels.
    pub fn resolution(&self, size: (u32, u32)) -> (f64, f64) {
        (self.width() / f64::from(size.0), self.height() / f64::from(size.1))
    }

    /// The box with x and y swapped, for messages in north-east axis order.
    #[must_use]
    pub const fn swapped(&self) -> Self {
        Self::new(self.miny, self.minx, self.maxy, self.maxx)
    }
}

/// As MapProxy writes a bbox into a request: four Python floats joined by commas.
impl fmt::Display for BBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(96);
        for (index, edge) in self.edges().into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            write_python_float(&mut text, edge);
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: BBox = BBox::new(0.0, 0.0, 1.0, 1.0);

    #[test]
    fn prints_python_floats() {
        let check = |bbox: BBox, expect: &str| assert_eq!(bbox.to_string(), expect);
        check(BBox::new(-180.0, -90.0, 180.0, 90.0), "-180.0,-90.0,180.0,90.0");
        check(BBox::new(1e-5, 0.0, 1.5e16, 0.5), "1e-05,0.0,1.5e+16,0.5");
    }

    #[test]
    fn intersects_needs_a_common_interior() {
        let check = |other: BBox, expect: bool| {
            assert_eq!(UNIT.intersects(&other), expect, "{other}");
            assert_eq!(other.intersects(&UNIT), expect, "{other}");
        };
        check(BBox::new(0.5, 0.5, 2.0, 2.0), true);
        check(BBox::new(1.0, 0.0, 2.0, 1.0), false);
        check(BBox::new(0.0, -1.0, 1.0, 0.0), false);
        check(BBox::new(f64::NAN, 0.0, 1.0, 1.0), false);
    }

    #[test]
    fn contains_tolerates_rounding_errors() {
        let check = |other: BBox, expect: bool| assert_eq!(UNIT.contains(&other), expect, "{other}");
        check(UNIT, true);
        check(BBox::new(-1e-14, 0.0, 1.0 + 1e-14, 1.0), true);
        check(BBox::new(-1e-12, 0.0, 1.0, 1.0), false);
        check(BBox::new(0.25, 0.25, 0.5, 0.5), true);
    }

    #[test]
    fn around_ignores_points_at_infinity() {
        let points = [(f64::INFINITY, 0.0), (1.0, 2.0), (3.0, -1.0), (f64::NAN, 9.0)];
        assert_eq!(BBox::around(points), Some(BBox::new(1.0, -1.0, 3.0, 2.0)));
        assert_eq!(BBox::around([(f64::INFINITY, 0.0)]), None);
    }
}
