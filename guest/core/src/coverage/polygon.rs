//! Polygons as plain lists of points, and the two questions a request asks of them.
//!
//! The `geo` crate builds them when a configuration is compiled; a request needs only whether a box touches them or
//! lies inside, which a walk along the edges answers without any index to build.

use serde::{Deserialize, Serialize};

use crate::srs::{BBox, Transformer};

/// A closed line of points, x east. The last point is joined to the first and need not repeat it.
pub type Ring = Vec<(f64, f64)>;

/// An area with holes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Polygon {
    /// The outer edge.
    pub exterior: Ring,
    /// The holes.
    pub interiors: Vec<Ring>,
}

impl Polygon {
    /// A rectangle.
    pub fn from_bbox(bbox: &BBox) -> Self {
        let BBox { minx, miny, maxx, maxy } = *bbox;
        Self {
            exterior: vec![(minx, miny), (maxx, miny), (maxx, maxy), (minx, maxy)],
            interiors: Vec::new(),
        }
    }

    /// The rings, the outer one first.
    pub fn rings(&self) -> impl Iterator<Item = &Ring> {
        std::iter::once(&self.exterior).chain(&self.interiors)
    }

    /// The box around it; `None` without a finite point.
    pub fn bbox(&self) -> Option<BBox> {
        BBox::around(self.exterior.iter().copied())
    }

    /// Square units of its system, holes taken out.
    pub fn area(&self) -> f64 {
        let area = |ring: &Ring| {
            let next = ring.iter().cycle().skip(1);
            let doubled: f64 = ring.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
            doubled.abs() / 2.0
        };
        area(&self.exterior) - self.interiors.iter().map(area).sum::<f64>()
    }

    /// The polygon in another system; `None` if less than three corners of its outer ring have an image there.
    pub(super) fn transform(&self, transformer: &Transformer) -> Option<Self> {
        let ring = |points: &Ring| {
            let mut points = points.clone();
            transformer.points(&mut points);
            points.retain(|(x, y)| x.is_finite() && y.is_finite());
            (points.len() >= 3).then_some(points)
        };
        Some(Self {
            exterior: ring(&self.exterior)?,
            interiors: self.interiors.iter().filter_map(ring).collect(),
        })
    }

    /// Whether any point of the box (with its edge) lies in the polygon (with its edge).
    pub(super) fn intersects(&self, bbox: &BBox) -> bool {
        self.rings().flat_map(edges).any(|(a, b)| segment_touches(a, b, bbox))
            || self.contains_point(bbox.minx, bbox.miny)
    }

    /// Whether the box lies inside; its edge may run along the polygon's.
    pub(super) fn contains(&self, bbox: &BBox) -> bool {
        // no edge passes through the interior of the box, and the interior is inside
        !self.rings().flat_map(edges).any(|(a, b)| segment_crosses(a, b, bbox))
            && self.contains_point(f64::midpoint(bbox.minx, bbox.maxx), f64::midpoint(bbox.miny, bbox.maxy))
    }

    /// Whether the point lies inside, by the even-odd rule over all rings.
    pub(super) fn contains_point(&self, x: f64, y: f64) -> bool {
        let mut inside = false;
        for ((ax, ay), (bx, by)) in self.rings().flat_map(edges) {
            if (ay > y) != (by > y) && x < (bx - ax) * ((y - ay) / (by - ay)) + ax {
                inside = !inside;
            }
        }
        inside
    }
}

/// Checks a ring from a file, and drops the last point if it repeats the first.
pub(super) fn check_ring(mut ring: Ring) -> Result<Ring, &'static str> {
    if ring.len() > 1 && ring.first() == ring.last() {
        ring.pop();
    }
    if ring.len() < 3 {
        return Err("a ring has fewer than three different points");
    }
    if ring.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return Err("a coordinate is not a finite number");
    }
    Ok(ring)
}

/// The edges of a ring, the closing one included.
pub(super) fn edges(ring: &Ring) -> impl Iterator<Item = ((f64, f64), (f64, f64))> + '_ {
    let next = ring.iter().cycle().skip(1);
    ring.iter().copied().zip(next.copied())
}

/// Whether the segment shares a point with the box or its edge.
fn segment_touches(a: (f64, f64), b: (f64, f64), bbox: &BBox) -> bool {
    clip(a, b, bbox).is_some_and(|(start, end)| start <= end)
}

/// Whether the segment has points strictly inside the box.
fn segment_crosses(a: (f64, f64), b: (f64, f64), bbox: &BBox) -> bool {
    let Some((start, end)) = clip(a, b, bbox) else {
        return false;
    };
    let middle = f64::midpoint(start, end);
    let x = a.0 + (b.0 - a.0) * middle;
    let y = a.1 + (b.1 - a.1) * middle;
    start < end && bbox.minx < x && x < bbox.maxx && bbox.miny < y && y < bbox.maxy
}

/// The part of the segment within the box, as fractions of its length (Liang and Barsky).
fn clip(a: (f64, f64), b: (f64, f64), bbox: &BBox) -> Option<(f64, f64)> {
    // nearly all edges lie to one side, and comparing is cheaper than dividing
    if (a.0 < bbox.minx && b.0 < bbox.minx)
        || (a.0 > bbox.maxx && b.0 > bbox.maxx)
        || (a.1 < bbox.miny && b.1 < bbox.miny)
        || (a.1 > bbox.maxy && b.1 > bbox.maxy)
    {
        return None;
    }
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    for (delta, distance) in [
        (-dx, a.0 - bbox.minx),
        (dx, bbox.maxx - a.0),
        (-dy, a.1 - bbox.miny),
        (dy, bbox.maxy - a.1),
    ] {
        if delta == 0.0 {
            if distance < 0.0 || distance.is_nan() {
                return None;
            }
        } else {
            let at = distance / delta;
            if delta < 0.0 {
                start = start.max(at);
            } else {
                end = end.min(at);
            }
            if start > end || at.is_nan() {
                return None;
            }
        }
    }
    Some((start, end))
}
