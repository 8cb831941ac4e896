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
        combine(parts, BooleanOps::intersection)
    }

    /// The area of the first of `parts` without that of the others, in its system.
    pub fn difference(parts: &[Self]) -> Result<Self, CoverageError> {
        combine(parts, BooleanOps::difference)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn square(minx: f64, miny: f64, maxx: f64, maxy: f64) -> Coverage {
        let polygon = Polygon::from_bbox(&BBox::new(minx, miny, maxx, maxy));
        Coverage::from_polygons(vec![polygon], Srs::wgs84()).unwrap()
    }

    fn has(coverage: &Coverage, x: f64, y: f64) -> bool {
        coverage.contains(BBox::new(x, y, x + 0.01, y + 0.01), &Srs::wgs84())
    }

    #[test]
    fn combines_areas_in_the_system_of_the_first() {
        let (a, b) = (square(0.0, 0.0, 10.0, 10.0), square(5.0, 5.0, 15.0, 15.0));
        let b = b.transform_to(&Srs::web_mercator()).unwrap();
        let check = |coverage: Coverage, expect: [bool; 3]| {
            assert_eq!(coverage.srs(), a.srs());
            let points = [(1.0, 1.0), (7.0, 7.0), (12.0, 12.0)];
            assert_eq!(points.map(|(x, y)| has(&coverage, x, y)), expect);
        };
        let parts = [a.clone(), b];
        check(Coverage::union(&parts).unwrap(), [true, true, true]);
        check(Coverage::common(&parts).unwrap(), [false, true, false]);
        check(Coverage::difference(&parts).unwrap(), [true, false, false]);
    }

    #[test]
    fn nothing_left_is_an_error() {
        let parts = [square(0.0, 0.0, 1.0, 1.0), square(5.0, 5.0, 6.0, 6.0)];
        assert_eq!(Coverage::common(&parts), Err(CoverageError::NoPolygons));
        assert_eq!(Coverage::union(&[]), Err(CoverageError::NoPolygons));
    }

    #[test]
    fn intersection_with_a_box() {
        let area = square(0.0, 0.0, 10.0, 10.0);
        let part = area
            .intersection(BBox::new(5.0, 5.0, 20.0, 20.0), &Srs::wgs84())
            .unwrap();
        assert!(part.extent().bbox.equals(&BBox::new(5.0, 5.0, 10.0, 10.0), 1e-6, 1e-6));
        assert_eq!(area.intersection(BBox::new(11.0, 5.0, 20.0, 20.0), &Srs::wgs84()), None);
        let area = Coverage::from_bbox(BBox::new(0.0, 0.0, 10.0, 10.0), Srs::wgs84());
        let part = area
            .intersection(BBox::new(5.0, 5.0, 20.0, 20.0), &Srs::wgs84())
            .unwrap();
        assert_eq!(part.extent().bbox, BBox::new(5.0, 5.0, 10.0, 10.0));
    }

    /// Two tiles of a list share an edge: a box over that edge lies inside both together.
    #[test]
    fn neighbours_are_merged() {
        let polygons = vec![
            Polygon::from_bbox(&BBox::new(0.0, 0.0, 1.0, 1.0)),
            Polygon::from_bbox(&BBox::new(1.0, 0.0, 2.0, 1.0)),
        ];
        let coverage = Coverage::from_polygons(polygons, Srs::wgs84()).unwrap();
        assert!(coverage.contains(BBox::new(0.5, 0.5, 1.5, 0.6), &Srs::wgs84()));
    }
}
