//! Compares transformations with MapProxy's and PROJ's own: `testdata/README.md` says how they were made.

use serde::Deserialize;

use super::{BBox, METERS_PER_DEGREE, Srs};

#[derive(Deserialize)]
struct Golden {
    systems: Vec<System>,
    /// From, to, box, and the box it becomes or nothing.
    #[expect(clippy::type_complexity, reason = "rows of a golden file")]
    boxes: Vec<(String, String, [f64; 4], Option<[f64; 4]>)>,
}

#[derive(Deserialize)]
struct System {
    code: String,
    latlong: bool,
    ne: bool,
    geographic: String,
    /// Longitude, latitude, x, y.
    points: Vec<[f64; 4]>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../testdata/srs/srs.json")).unwrap()
}

#[test]
fn points_are_projs() {
    for system in golden().systems {
        let srs = Srs::new(&system.code).unwrap();
        assert_eq!(srs.is_latlong(), system.latlong, "{srs}");
        assert_eq!(srs.is_axis_order_ne(), system.ne, "{srs}");
        assert_eq!(srs.geographic().code(), system.geographic, "{srs}");
        let geographic = Srs::new(&system.geographic).unwrap();
        let to_meters = if system.latlong { METERS_PER_DEGREE } else { 1.0 };
        for [lon, lat, x, y] in system.points {
            let found = geographic.transform_point(&srs, lon, lat);
            let found = found.unwrap_or_else(|| panic!("{srs} has no image of {lon} {lat}"));
            let error = (found.0 - x).hypot(found.1 - y) * to_meters;
            assert!(error < 0.001, "{srs} {lon} {lat}: {found:?} is {error} m from {x} {y}");
            let back = srs.transform_point(&geographic, x, y).unwrap();
            let error = (back.0 - lon).hypot(back.1 - lat) * METERS_PER_DEGREE;
            // a datum shift loses the height, which costs up to a centimetre on the way back
            assert!(error < 0.01, "{srs} {x} {y}: {back:?} is {error} m from {lon} {lat}");
        }
    }
}

#[test]
fn boxes_are_mapproxys() {
    for (from, to, edges, expect) in golden().boxes {
        let (from, to) = (Srs::new(&from).unwrap(), Srs::new(&to).unwrap());
        let bbox = BBox::new(edges[0], edges[1], edges[2], edges[3]);
        let found = from.transform_bbox(&to, bbox);
        let Some(expect) = expect else {
            assert!(found.is_err(), "{from} {to} {bbox}");
            continue;
        };
        let tolerance = if from.is_mercator() || to.is_mercator() && from == Srs::wgs84() {
            1e-8
        } else {
            // PROJ may know a direct way between two datums, here all go by way of WGS 84
            0.03
        };
        let tolerance = if to.is_latlong() {
            tolerance / METERS_PER_DEGREE
        } else {
            tolerance
        };
        for (found, expect) in found.unwrap().edges().into_iter().zip(expect) {
            let limit = tolerance + expect.abs() * 1e-15;
            assert!(
                (found - expect).abs() <= limit,
                "{from} {to} {bbox}: {found} is not {expect}"
            );
        }
    }
}
