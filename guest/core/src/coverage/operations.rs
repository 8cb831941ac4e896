//! Union, intersection and difference of areas.
//!
//! The `geo` crate computes them on integer coordinates, 2^-31 of the extent fine: millimetres for a country.

use geo::{BooleanOps, Coord, LineString, MultiPolygon, unary_union};

use super::{Coverage, CoverageError, Polygon, Ring};
use crate::srs::{BBox, Srs};

impl Coverage {
    /// The area of all `parts` together, in the system of the first.
    pub fn union(parts: &[Self]) -> Result<Self, CoverageError> {
        let (srs, areas) = in_first_srs(parts)?;
        let merged = unary_union(areas.iter().flatten());
        from_geo(merged, srs)
    }

    /// The area common to all `parts`, in the system of the first.
    pub fn common(parts: &[Self]) -> Result<Self, CoverageError> {
        combine(parts, |a, b| a.intersection(b))
    }

    /// The area of the first of `parts` without that of the others, in its system.
    pub fn difference(parts: &[Self]) -> Result<Self, CoverageError> {
        combine(parts, |a, b| a.difference(b))
    }

    /// The part of the area inside `bbox`, in this area's system; `None` if there is none.
    pub fn intersection(&self, bbox: BBox, srs: &Srs) -> Option<Self> {
        let bbox = srs.transform_bbox(self.srs(), bbox).ok()?;
        match self.polygons() {
            None => {
                let common = self.extent().bbox.intersection(&bbox)?;
                Some(Self::from_bbox(common, self.srs().clone()).with_clip(self.clip))
            }
            Some(_) if !self.intersects(bbox, self.srs()) => None,
            Some(polygons) => {
                let common = to_geo(polygons).intersection(&to_geo(&[Polygon::from_bbox(&bbox)]));
                let coverage = from_geo(common, self.srs().clone()).ok()?;
                Some(coverage.with_clip(self.clip))
            }
        }
    }
}

fn combine(
    parts: &[Coverage],
    operation: impl Fn(&MultiPolygon, &MultiPolygon) -> MultiPolygon,
) -> Result<Coverage, CoverageError> {
    let (srs, areas) = in_first_srs(parts)?;
    let result = areas.into_iter().reduce(|a, b| operation(&a, &b));
    from_geo(result.unwrap_or_else(|| MultiPolygon(Vec::new())), srs)
}

fn in_first_srs(parts: &[Coverage]) -> Result<(Srs, Vec<MultiPolygon>), CoverageError> {
    let first = parts.first().ok_or(CoverageError::NoPolygons)?;
    let srs = first.srs().clone();
    let areas = parts
        .iter()
        .map(|part| {
            let part = part.transform_to(&srs)?;
            Ok(match part.polygons() {
                Some(polygons) => to_geo(polygons),
                None => to_geo(&[Polygon::from_bbox(&part.extent().bbox)]),
            })
        })
        .collect::<Result<_, CoverageError>>()?;
    Ok((srs, areas))
}

/// Merges polygons if any two of them may overlap; otherwise they stay as they are, to the last bit.
pub(super) fn merge_overlapping(polygons: Vec<Polygon>) -> Vec<Polygon> {
    let boxes: Vec<BBox> = polygons.iter().filter_map(Polygon::bbox).collect();
    let overlapping = boxes.iter().enumerate().any(|(index, a)| {
        boxes
            .iter()
            .skip(index + 1)
            .any(|b| a.minx <= b.maxx && a.maxx >= b.minx && a.miny <= b.maxy && a.maxy >= b.miny)
    });
    if !overlapping {
        return polygons;
    }
    let merged = unary_union(&to_geo(&polygons));
    merged.into_iter().map(polygon_from_geo).collect()
}

fn to_geo(polygons: &[Polygon]) -> MultiPolygon {
    let ring = |points: &Ring| -> LineString { points.iter().map(|(x, y)| Coord { x: *x, y: *y }).collect() };
    polygons
        .iter()
        .map(|polygon| geo::Polygon::new(ring(&polygon.exterior), polygon.interiors.iter().map(ring).collect()))
        .collect()
}

fn from_geo(area: MultiPolygon, srs: Srs) -> Result<Coverage, CoverageError> {
    Coverage::from_disjoint_polygons(area.into_iter().map(polygon_from_geo).collect(), srs)
}

fn polygon_from_geo(polygon: geo::Polygon) -> Polygon {
    let ring = |line: LineString| -> Ring {
        let mut points: Ring = line.into_iter().map(|coord| (coord.x, coord.y)).collect();
        if points.len() > 1 && points.first() == points.last() {
            points.pop();
        }
        points
    };
    let (exterior, interiors) = polygon.into_inner();
    Polygon {
        exterior: ring(exterior),
        interiors: interiors.into_iter().map(ring).collect(),
    }
}
