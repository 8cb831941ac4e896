//! Polygons in well-known text, one geometry per line (MapProxy's polygon files).

use ::wkt::Wkt;
use ::wkt::types::{LineString, Polygon as WktPolygon};

use super::{CoverageError, Polygon, Ring};

/// Reads all lines; empty ones and those starting with `#` are skipped.
pub(super) fn read(text: &str) -> Result<Vec<Polygon>, CoverageError> {
    let mut polygons = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let problem = |problem: String| CoverageError::Syntax {
            format: "WKT",
            place: format!("line {}", index + 1),
            problem,
        };
        let geometry: Wkt<f64> = line.parse().map_err(|error: &str| problem(error.to_owned()))?;
        add(&mut polygons, geometry).map_err(|error| problem(error.to_owned()))?;
    }
    Ok(polygons)
}

fn add(polygons: &mut Vec<Polygon>, geometry: Wkt<f64>) -> Result<(), &'static str> {
    match geometry {
        Wkt::Polygon(polygon) => polygons.extend(convert(&polygon)?),
        Wkt::MultiPolygon(parts) => {
            for polygon in parts.polygons() {
                polygons.extend(convert(polygon)?);
            }
        }
        _ => {}
    }
    Ok(())
}

fn convert(polygon: &WktPolygon<f64>) -> Result<Option<Polygon>, &'static str> {
    let mut rings = polygon
        .rings()
        .iter()
        .map(ring)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    Ok(rings.next().map(|exterior| Polygon {
        exterior,
        interiors: rings.collect(),
    }))
}

fn ring(line: &LineString<f64>) -> Result<Ring, &'static str> {
    let points: Ring = line.coords().iter().map(|coord| (coord.x, coord.y)).collect();
    super::polygon::check_ring(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<usize, &str>) {
        let found = read(text)
            .map(|polygons| polygons.len())
            .map_err(|error| error.to_string());
        match expect {
            Ok(count) => assert_eq!(found, Ok(count), "{text}"),
            Err(start) => {
                let message = found.unwrap_err();
                assert!(message.starts_with(start), "{message}");
            }
        }
    }

    #[test]
    fn reads_a_polygon_per_line() {
        check("POLYGON((0 0, 1 0, 1 1, 0 0))", Ok(1));
        check(
            "\n# comment\npolygon ((0 0, 1 0, 1 1, 0 0),(0.1 0.1, 0.2 0.1, 0.2 0.2, 0.1 0.1))\n",
            Ok(1),
        );
        check(
            "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)),((5 5, 6 5, 6 6, 5 5)))\r\nPOINT(1 1)",
            Ok(2),
        );
        check("POLYGON EMPTY", Ok(0));
    }

    #[test]
    fn names_the_line_of_an_error() {
        check("POLYGON((0 0, 1 0, 1 1, 0 0))\n\nPOLYGON((0 0, 1", Err("WKT, line 3: "));
        check("what", Err("WKT, line 1: "));
        check("POLYGON((0 0, 1 0))", Err("WKT, line 1: a ring has fewer than three"));
        check("POLYGON((0 0, 1 0, 1 1e999, 0 0))", Err("WKT, line 1: "));
    }
}
