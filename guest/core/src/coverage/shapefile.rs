//! Polygons of a shapefile's `.shp` part (ESRI Shapefile Technical Description, July 1998).
//!
//! Read by hand because it is little, and because counts in the file must never decide how much memory is asked for.

use super::{CoverageError, Polygon, Ring};

const HEADER_LENGTH: usize = 100;

/// Reads all polygon records; null records are skipped, and files of points or lines have no polygons.
pub(super) fn read(content: &[u8]) -> Result<Vec<Polygon>, CoverageError> {
    let mut polygons = Vec::new();
    let mut rest = content.get(HEADER_LENGTH..).unwrap_or_default();
    let mut number = 0_usize;
    while !rest.is_empty() {
        number += 1;
        let syntax = |problem: &str| CoverageError::Syntax {
            format: "shapefile",
            place: format!("record {number}"),
            problem: problem.to_owned(),
        };
        // record number and content length in 16-bit words, both big endian
        let length = rest
            .get(4..8)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
            .ok_or_else(|| syntax("the file ends within the record's header"))?;
        let end = 8_usize.saturating_add((length as usize).saturating_mul(2));
        let record = rest
            .get(8..end)
            .ok_or_else(|| syntax("the file ends within the record"))?;
        polygons.extend(read_record(record).map_err(syntax)?);
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(polygons)
}

fn read_record(record: &[u8]) -> Result<Vec<Polygon>, &'static str> {
    const TOO_SHORT: &str = "the record is shorter than its counts say";
    // Polygon, PolygonZ, PolygonM: the same up to the points
    if !matches!(int(record, 0), Some(5 | 15 | 25)) {
        return Ok(Vec::new());
    }
    let parts = int(record, 36).ok_or(TOO_SHORT)?;
    let points = int(record, 40).ok_or(TOO_SHORT)?;
    let first_point = 44_usize.saturating_add(parts.saturating_mul(4));
    if record.len() < first_point.saturating_add(points.saturating_mul(16)) {
        return Err(TOO_SHORT);
    }
    let mut rings = Vec::new();
    for part in 0..parts {
        let start = int(record, 44 + part * 4).ok_or(TOO_SHORT)?;
        let end = if part + 1 < parts {
            int(record, 48 + part * 4).ok_or(TOO_SHORT)?
        } else {
            points
        };
        if start > end || end > points {
            return Err("the parts of the record are out of order");
        }
        let ring: Option<Ring> = (start..end)
            .map(|point| {
                let at = first_point + point * 16;
                Some((double(record, at)?, double(record, at + 8)?))
            })
            .collect();
        rings.push(super::polygon::check_ring(ring.ok_or(TOO_SHORT)?)?);
    }
    Ok(assemble(rings))
}

/// Outer rings run clockwise, holes counter-clockwise; a hole belongs to the outer ring around its first point.
fn assemble(rings: Vec<Ring>) -> Vec<Polygon> {
    let (holes, outer): (Vec<Ring>, Vec<Ring>) = rings.into_iter().partition(|ring| signed_area(ring) > 0.0);
    let mut polygons: Vec<Polygon> = outer
        .into_iter()
        .map(|exterior| Polygon {
            exterior,
            interiors: Vec::new(),
        })
        .collect();
    for hole in holes {
        let around = hole
            .first()
            .and_then(|(x, y)| polygons.iter_mut().find(|polygon| polygon.contains_point(*x, *y)));
        match around {
            Some(polygon) => polygon.interiors.push(hole),
            // some writers do not care about the direction
            None => polygons.push(Polygon {
                exterior: hole,
                interiors: Vec::new(),
            }),
        }
    }
    polygons
}

/// Positive if the ring runs counter-clockwise.
fn signed_area(ring: &Ring) -> f64 {
    super::polygon::edges(ring)
        .map(|((ax, ay), (bx, by))| ax * by - bx * ay)
        .sum()
}

fn int(bytes: &[u8], at: usize) -> Option<usize> {
    let value = i32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?);
    usize::try_from(value).ok()
}

fn double(bytes: &[u8], at: usize) -> Option<f64> {
    Some(f64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(rings: &[&[(f64, f64)]]) -> Vec<u8> {
        let mut record = 5_i32.to_le_bytes().to_vec();
        record.extend([0; 32]);
        record.extend((rings.len() as i32).to_le_bytes());
        let points: usize = rings.iter().map(|ring| ring.len()).sum();
        record.extend((points as i32).to_le_bytes());
        let mut start = 0_i32;
        for ring in rings {
            record.extend(start.to_le_bytes());
            start += ring.len() as i32;
        }
        for (x, y) in rings.iter().copied().flatten() {
            record.extend(x.to_le_bytes());
            record.extend(y.to_le_bytes());
        }
        let mut file = vec![0, 0, 0x27, 0x0a];
        file.resize(HEADER_LENGTH, 0);
        file.extend(1_u32.to_be_bytes());
        file.extend((record.len() as u32 / 2).to_be_bytes());
        file.extend(record);
        file
    }

    #[test]
    fn reads_outer_rings_with_their_holes() {
        let clockwise = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0), (0.0, 0.0)];
        let hole = [(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0), (4.0, 4.0)];
        let island = [(20.0, 0.0), (20.0, 1.0), (21.0, 1.0), (20.0, 0.0)];
        let polygons = read(&file(&[&clockwise, &hole, &island])).unwrap();
        assert_eq!(polygons.len(), 2);
        assert_eq!(polygons[0].interiors.len(), 1);
        assert!(polygons[1].interiors.is_empty());
    }

    #[test]
    fn names_the_record_of_an_error() {
        let mut cut = file(&[&[(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)]]);
        cut.truncate(cut.len() - 4);
        assert_eq!(
            read(&cut).unwrap_err().to_string(),
            "shapefile, record 1: the file ends within the record"
        );
    }

    proptest! {
        #[test]
        fn never_panics(content in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..300, byte: u8) {
            let _ = read(&content);
            let mut damaged = file(&[&[(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)], &[(0.1, 0.1), (0.2, 0.1), (0.1, 0.2)]]);
            if let Some(place) = damaged.get_mut(at) {
                *place = byte;
            }
            let _ = read(&damaged);
        }
    }
}
