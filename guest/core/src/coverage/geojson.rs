//! Polygons of GeoJSON geometries, features and collections (RFC 7946).

use ::geojson::{Feature, GeoJson, Geometry, GeometryValue};

use super::{CoverageError, Polygon, Ring};

/// Reads all polygons of the document; geometries that are no areas are left out.
pub(super) fn read(text: &str) -> Result<Vec<Polygon>, CoverageError> {
    let syntax = |place: String, problem: String| CoverageError::Syntax {
        format: "GeoJSON",
        place,
        problem,
    };
    let document: GeoJson = text
        .parse()
        .map_err(|error: ::geojson::Error| syntax("document".to_owned(), error.to_string()))?;
    let mut polygons = Vec::new();
    match document {
        GeoJson::Geometry(geometry) => {
            add(&mut polygons, &geometry).map_err(|problem| syntax("geometry".to_owned(), problem.to_owned()))?;
        }
        GeoJson::Feature(feature) => {
            add_feature(&mut polygons, &feature).map_err(|problem| syntax("feature".to_owned(), problem.to_owned()))?;
        }
        GeoJson::FeatureCollection(collection) => {
            for (index, feature) in collection.features.iter().enumerate() {
                add_feature(&mut polygons, feature)
                    .map_err(|problem| syntax(format!("feature {}", index + 1), problem.to_owned()))?;
            }
        }
    }
    Ok(polygons)
}

fn add_feature(polygons: &mut Vec<Polygon>, feature: &Feature) -> Result<(), &'static str> {
    feature
        .geometry
        .as_ref()
        .map_or(Ok(()), |geometry| add(polygons, geometry))
}

fn add(polygons: &mut Vec<Polygon>, geometry: &Geometry) -> Result<(), &'static str> {
    match &geometry.value {
        GeometryValue::Polygon { coordinates } => polygons.extend(convert(coordinates)?),
        GeometryValue::MultiPolygon { coordinates } => {
            for polygon in coordinates {
                polygons.extend(convert(polygon)?);
            }
        }
        GeometryValue::GeometryCollection { geometries } => {
            for part in geometries {
                add(polygons, part)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn convert(rings: &[Vec<::geojson::Position>]) -> Result<Option<Polygon>, &'static str> {
    let mut rings = rings
        .iter()
        .map(|line| ring(line))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    Ok(rings.next().map(|exterior| Polygon {
        exterior,
        interiors: rings.collect(),
    }))
}

fn ring(line: &[::geojson::Position]) -> Result<Ring, &'static str> {
    let points = line
        .iter()
        .map(|position| match position.as_slice() {
            [x, y, ..] => Ok((*x, *y)),
            _ => Err("a position has fewer than two numbers"),
        })
        .collect::<Result<Ring, _>>()?;
    super::polygon::check_ring(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;

    fn count(text: &str) -> Result<usize, String> {
        read(text)
            .map(|polygons| polygons.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn reads_geometries_features_and_collections() {
        assert_eq!(count(SQUARE), Ok(1));
        let feature = format!(r#"{{"type":"Feature","properties":null,"geometry":{SQUARE}}}"#);
        assert_eq!(count(&feature), Ok(1));
        let collection = format!(
            r#"{{"type":"FeatureCollection","features":[{feature},{{"type":"Feature","properties":{{}},"geometry":null}},{feature}]}}"#
        );
        assert_eq!(count(&collection), Ok(2));
        let nested = format!(
            r#"{{"type":"GeometryCollection","geometries":[{SQUARE},{{"type":"Point","coordinates":[1,2]}}]}}"#
        );
        assert_eq!(count(&nested), Ok(1));
    }

    #[test]
    fn names_the_feature_of_an_error() {
        let feature =
            r#"{"type":"Feature","properties":null,"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,0]]]}}"#;
        let collection = format!(r#"{{"type":"FeatureCollection","features":[{feature}]}}"#);
        assert_eq!(
            count(&collection),
            Err("GeoJSON, feature 1: a ring has fewer than three different points".to_owned())
        );
        assert!(count("{").unwrap_err().starts_with("GeoJSON, document: "));
    }
}
