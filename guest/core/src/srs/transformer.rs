//! Transformations between two systems, with exact closed forms for the pairs that web maps use all the time.

use std::f64::consts::{FRAC_PI_2, PI};
use std::fmt;

use proj4rs::transform::{Transform, TransformClosure, transform};

use super::definition::Identity;
use super::reference::MERCATOR_EXTENT;
use super::{BBox, Srs, SrsError};

/// Radius of the Web Mercator sphere in metres.
const RADIUS: f64 = 6_378_137.0;

/// A transformation from one system to another, prepared once and used for many points.
pub struct Transformer {
    from: Srs,
    to: Srs,
    method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Identity,
    Wgs84ToMercator,
    MercatorToWgs84,
    /// By way of longitude and latitude, with a change of datum or without.
    General {
        shifted: bool,
    },
}

impl Transformer {
    /// Prepares the transformation; fails if one of the projections is not implemented.
    pub fn new(from: &Srs, to: &Srs) -> Result<Self, SrsError> {
        let method = match (from.identity(), to.identity()) {
            (a, b) if a == b => Method::Identity,
            (Identity::Wgs84, Identity::WebMercator) => Method::Wgs84ToMercator,
            (Identity::WebMercator, Identity::Wgs84) => Method::MercatorToWgs84,
            (a, b) if a.body() != b.body() => {
                return Err(SrsError::DifferentBodies {
                    from: from.code().to_owned(),
                    to: to.code().to_owned(),
                });
            }
            _ => {
                let shifted = from.definition().datum() != to.definition().datum();
                from.proj(shifted)?;
                to.proj(shifted)?;
                Method::General { shifted }
            }
        };
        Ok(Self {
            from: from.clone(),
            to: to.clone(),
            method,
        })
    }

    /// Whether points come out as they went in.
    pub fn is_identity(&self) -> bool {
        self.method == Method::Identity
    }

    /// Transforms one point, x east; `None` where there is no image of it.
    pub fn point(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let mut points = [(x, y)];
        self.points(&mut points);
        let [(x, y)] = points;
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    /// Transforms points in place, x east; points without an image become infinite.
    pub fn points(&self, points: &mut [(f64, f64)]) {
        match self.method {
            Method::Identity => {}
            Method::Wgs84ToMercator => {
                for point in points {
                    *point = wgs84_to_mercator(point.0, point.1);
                }
            }
            Method::MercatorToWgs84 => {
                for point in points {
                    *point = mercator_to_wgs84(point.0, point.1);
                }
            }
            Method::General { shifted } => self.general(points, shifted),
        }
    }

    /// The box around `points` points on the edge of `bbox` after transformation, see [`Srs::transform_bbox`].
    pub fn bbox(&self, bbox: BBox, points: usize) -> Result<BBox, SrsError> {
        if self.is_identity() {
            return Ok(bbox);
        }
        let mut envelope = envelope_points(&bbox, points);
        self.points(&mut envelope);
        let mut result = BBox::around(envelope).ok_or_else(|| SrsError::Transformation {
            bbox,
            from: self.from.code().to_owned(),
            to: self.to.code().to_owned(),
        })?;
        if self.method == Method::Wgs84ToMercator {
            if bbox.minx <= -180.0 {
                result.minx = -MERCATOR_EXTENT;
            }
            if bbox.miny <= -85.06 {
                result.miny = -MERCATOR_EXTENT;
            }
            if bbox.maxx >= 180.0 {
                result.maxx = MERCATOR_EXTENT;
            }
            if bbox.maxy >= 85.06 {
                result.maxy = MERCATOR_EXTENT;
            }
        }
        Ok(result)
    }

    fn general(&self, points: &mut [(f64, f64)], shifted: bool) {
        let (Ok(from), Ok(to)) = (self.from.proj(shifted), self.to.proj(shifted)) else {
            points.fill((f64::INFINITY, f64::INFINITY));
            return;
        };
        // Mercator puts the poles infinitely far away; PROJ's rounding makes that very far, so that the world has a box.
        let poles_are_far = from.is_latlong() && !to.is_latlong() && self.to.definition().is_cylindrical();
        for point in points {
            let (mut x, mut y) = *point;
            if from.is_latlong() {
                (x, y) = (x.to_radians(), y.to_radians());
            }
            if poles_are_far && y.abs() <= FRAC_PI_2 + 1e-12 {
                y = y.clamp(1e-9 - FRAC_PI_2, FRAC_PI_2 - 1e-9);
            }
            let mut moved = Point { x, y };
            let image = match transform(from, to, &mut moved) {
                Ok(()) if to.is_latlong() => (moved.x.to_degrees(), moved.y.to_degrees()),
                Ok(()) => (moved.x, moved.y),
                Err(_no_image) => (f64::INFINITY, f64::INFINITY),
            };
            *point = if image.0.is_nan() || image.1.is_nan() {
                (f64::INFINITY, f64::INFINITY)
            } else {
                image
            };
        }
    }
}

impl fmt::Debug for Transformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transformer({} -> {}, {:?})", self.from, self.to, self.method)
    }
}

struct Point {
    x: f64,
    y: f64,
}

impl Transform for Point {
    fn transform_coordinates<F: TransformClosure>(&mut self, f: &mut F) -> proj4rs::errors::Result<()> {
        let (x, y, _) = f(self.x, self.y, 0.0)?;
        (self.x, self.y) = (x, y);
        Ok(())
    }
}

fn wgs84_to_mercator(lon: f64, lat: f64) -> (f64, f64) {
    let (lam, phi) = (lon.to_radians(), lat.to_radians());
    if phi.abs() > FRAC_PI_2 + 1e-12 || !(lam.is_finite() && phi.is_finite()) {
        return (f64::INFINITY, f64::INFINITY);
    }
    (RADIUS * wrap_longitude(lam), RADIUS * mercator_y(phi))
}

fn mercator_to_wgs84(x: f64, y: f64) -> (f64, f64) {
    let lam = wrap_longitude(x / RADIUS);
    (lam.to_degrees(), mercator_phi(y / RADIUS).to_degrees())
}

/// asinh(tan φ), the ordinate of spherical Mercator on the unit sphere.
fn mercator_y(phi: f64) -> f64 {
    phi.tan().asinh()
}

fn mercator_phi(y: f64) -> f64 {
    y.sinh().atan()
}

/// Brings a longitude into -π..=π, leaving values within it untouched, and those beyond it by no more than rounding
/// (as PROJ does): the edge of the world stays on its side.
fn wrap_longitude(lam: f64) -> f64 {
    if lam.abs() <= PI + 1e-12 {
        return lam;
    }
    let shifted = lam + PI;
    shifted - 2.0 * PI * (shifted / (2.0 * PI)).floor() - PI
}

/// Points on the edge of `bbox`, counter-clockwise from the lower left corner, evenly spaced on each side.
fn envelope_points(bbox: &BBox, points: usize) -> Vec<(f64, f64)> {
    let between = points.saturating_sub(4).div_ceil(4);
    let BBox { minx, miny, maxx, maxy } = *bbox;
    let steps = between + 1;
    let x_step = (maxx - minx) / steps as f64;
    let y_step = (maxy - miny) / steps as f64;
    let mut envelope = Vec::with_capacity(4 * steps);
    envelope.extend((0..steps).map(|i| (minx + i as f64 * x_step, miny)));
    envelope.extend((0..steps).map(|i| (maxx, miny + i as f64 * y_step)));
    envelope.extend((0..steps).map(|i| (maxx - i as f64 * x_step, maxy)));
    envelope.extend((0..steps).map(|i| (minx, maxy - i as f64 * y_step)));
    envelope
}

/// A transformation that treats the axes apart, see [`separable`].
pub struct AxisMappings {
    transformer: Transformer,
}

impl AxisMappings {
    /// The target x of a source x.
    pub fn x(&self, x: f64) -> f64 {
        self.transformer.point(x, 0.0).map_or(f64::NAN, |p| p.0)
    }

    /// The target y of a source y.
    pub fn y(&self, y: f64) -> f64 {
        self.transformer.point(0.0, y).map_or(f64::NAN, |p| p.1)
    }
}

impl fmt::Debug for AxisMappings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AxisMappings({:?})", self.transformer)
    }
}

/// The transformation as x → x and y → y, if it is one: between systems whose meridians and parallels are straight
/// and parallel to the axes (geographic, Mercator, plate carrée) on the same datum. An image is then warped row by row.
pub fn separable(from: &Srs, to: &Srs) -> Option<AxisMappings> {
    let (a, b) = (from.definition(), to.definition());
    if from != to && !(a.is_cylindrical() && b.is_cylindrical() && a.datum() == b.datum()) {
        return None;
    }
    Some(AxisMappings {
        transformer: Transformer::new(from, to).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn srs(code: &str) -> Srs {
        Srs::new(code).unwrap()
    }

    #[test]
    fn separable_only_between_cylindrical_systems_of_one_datum() {
        let check = |from: &str, to: &str, expect: bool| {
            assert_eq!(separable(&srs(from), &srs(to)).is_some(), expect, "{from} {to}");
        };
        check("EPSG:4326", "EPSG:3857", true);
        check("EPSG:3857", "CRS:84", true);
        check("EPSG:4258", "EPSG:900913", true);
        check("EPSG:4326", "EPSG:32662", true);
        check("EPSG:25832", "EPSG:25832", true);
        check("EPSG:4326", "EPSG:25832", false);
        check("EPSG:4314", "EPSG:3857", false);
    }

    #[test]
    fn separated_axes_give_the_same_points() {
        for (from, to) in [
            ("EPSG:4326", "EPSG:3857"),
            ("EPSG:3857", "EPSG:4258"),
            ("EPSG:32662", "EPSG:3857"),
        ] {
            let (from, to) = (srs(from), srs(to));
            let scale = if from.is_latlong() { 1.0 } else { METERS };
            let axes = separable(&from, &to).unwrap();
            for (x, y) in [(0.0, 0.0), (10.0, 50.0), (-120.0, -33.3), (179.0, 84.0)] {
                let (x, y) = (x * scale, y * scale);
                let expect = from.transform_point(&to, x, y).unwrap();
                assert_eq!((axes.x(x), axes.y(y)), expect);
            }
        }
    }

    const METERS: f64 = 100_000.0;

    #[test]
    fn points_without_an_image_become_infinite() {
        let mut points = [(200.0, 95.0), (10.0, 50.0), (f64::NAN, 0.0)];
        srs("EPSG:4326").transform_points(&srs("EPSG:3857"), &mut points);
        assert!(points[0].0.is_infinite() && points[1].0.is_finite() && points[2].0.is_infinite());
    }

    #[test]
    fn longitudes_wrap_at_the_date_line() {
        let check = |lon: f64, expect: f64| {
            let (x, _) = srs("EPSG:4326").transform_point(&srs("EPSG:3857"), lon, 0.0).unwrap();
            assert!((x - expect).abs() < 1e-6, "{lon}: {x}");
        };
        check(180.0, MERCATOR_EXTENT);
        check(-180.0, -MERCATOR_EXTENT);
        check(190.0, -18_924_313.434_856_508);
        check(-190.0, 18_924_313.434_856_508);
    }

    #[test]
    fn the_world_has_a_box_in_every_mercator() {
        for code in ["EPSG:3857", "EPSG:3395"] {
            let bbox = srs("EPSG:4326").transform_bbox(&srs(code), BBox::new(-180.0, -90.0, 180.0, 90.0));
            let bbox = bbox.unwrap();
            assert!(
                bbox.maxy > MERCATOR_EXTENT - 1.0 && bbox.miny < 1.0 - MERCATOR_EXTENT,
                "{code}: {bbox:?}"
            );
        }
    }

    #[test]
    fn the_edges_of_the_world_stay_on_their_side() {
        for (x, expect) in [(MERCATOR_EXTENT, 180.0), (-MERCATOR_EXTENT, -180.0)] {
            let (lon, _) = srs("EPSG:3857").transform_point(&srs("EPSG:4326"), x, 0.0).unwrap();
            assert!((lon - expect).abs() < 1e-9, "{x}: {lon}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(x: f64, y: f64, pair in 0_usize..12) {
            const CODES: [&str; 12] = ["EPSG:4326", "EPSG:3857", "EPSG:25832", "EPSG:31467", "EPSG:2056", "EPSG:28992",
                "EPSG:3035", "EPSG:3031", "EPSG:5514", "EPSG:27700", "ESRI:54030", "EPSG:3832"];
            let (from, to) = (srs(CODES[pair]), srs(CODES[(pair + 1) % 12]));
            let _ = from.transform_point(&to, x, y);
            let _ = from.transform_bbox(&to, BBox::new(x, y, x + 1.0, y + 1.0));
            let _ = srs("EPSG:4326").transform_bbox(&to, BBox::new(x, y, y, x));
        }
    }
}
