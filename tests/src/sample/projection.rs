//! The three projections the sample WMS draws in, written out by their formulas so that the product's own projection
//! code is tested against something else.
//!
//! UTM follows Krüger's series in the third flattening up to the third order, which is good to a millimetre within
//! some 3000 km of the central meridian.

/// Metres from the equator to where web mercator maps are cut; also the half of its width.
const MERCATOR_EDGE: f64 = 20_037_508.342_789_244;
const EARTH_RADIUS: f64 = 6_378_137.0;

/// WGS 84 third flattening.
const N: f64 = 0.001_679_220_386_383_705;
/// Radius of the rectifying sphere times the UTM scale factor 0.9996, metres.
const K0_A: f64 = 0.9996 * 6_367_449.145_823_415;
const FALSE_EASTING: f64 = 500_000.0;
const CENTRAL_MERIDIAN: f64 = 9.0;
/// Degrees from the central meridian beyond which nothing is drawn.
const UTM_WINDOW: f64 = 50.0;

/// A reference system, axes always east then north.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Projection {
    /// EPSG:4326 and CRS:84, degrees.
    LonLat,
    /// EPSG:3857 and its elder names, metres.
    Mercator,
    /// EPSG:32632, metres.
    Utm32,
}

impl Projection {
    pub const ALL: [Self; 3] = [Self::LonLat, Self::Mercator, Self::Utm32];

    /// The projection of a code such as `EPSG:3857`, upper or lower case.
    pub fn from_code(code: &str) -> Option<Self> {
        match code.to_ascii_uppercase().as_str() {
            "EPSG:4326" | "CRS:84" => Some(Self::LonLat),
            "EPSG:3857" | "EPSG:900913" | "EPSG:102100" | "EPSG:102113" => Some(Self::Mercator),
            "EPSG:32632" => Some(Self::Utm32),
            _ => None,
        }
    }

    /// Map coordinates (east, north) of a place given in degrees.
    pub fn forward(self, lon: f64, lat: f64) -> [f64; 2] {
        match self {
            Self::LonLat => [lon, lat],
            Self::Mercator => {
                // the poles are infinitely far away: stop a little outside of the usual square
                let phi = lat.clamp(-89.5, 89.5).to_radians();
                [
                    lon / 180.0 * MERCATOR_EDGE,
                    EARTH_RADIUS * (std::f64::consts::FRAC_PI_4 + phi / 2.0).tan().ln(),
                ]
            }
            Self::Utm32 => utm_forward(lon, lat),
        }
    }

    /// Degrees (longitude, latitude) of a place given in map coordinates.
    pub fn inverse(self, x: f64, y: f64) -> [f64; 2] {
        match self {
            Self::LonLat => [x, y],
            Self::Mercator => [
                x / MERCATOR_EDGE * 180.0,
                (2.0 * (y / EARTH_RADIUS).exp().atan() - std::f64::consts::FRAC_PI_2).to_degrees(),
            ],
            Self::Utm32 => utm_inverse(x, y),
        }
    }

    /// The window of longitudes and latitudes that is drawn: min lon, min lat, max lon, max lat.
    pub fn window(self) -> [f64; 4] {
        match self {
            Self::LonLat | Self::Mercator => [-180.0, -90.0, 180.0, 90.0],
            Self::Utm32 => [
                CENTRAL_MERIDIAN - UTM_WINDOW,
                -80.0,
                CENTRAL_MERIDIAN + UTM_WINDOW,
                84.0,
            ],
        }
    }
}

fn utm_forward(lon: f64, lat: f64) -> [f64; 2] {
    let alpha = [
        N / 2.0 - 2.0 * N * N / 3.0 + 5.0 * N * N * N / 16.0,
        13.0 * N * N / 48.0 - 3.0 * N * N * N / 5.0,
        61.0 * N * N * N / 240.0,
    ];
    let lambda = (lon - CENTRAL_MERIDIAN).to_radians();
    let sin_phi = lat.to_radians().sin();
    let e = 2.0 * N.sqrt() / (1.0 + N);
    let t = (sin_phi.atanh() - e * (e * sin_phi).atanh()).sinh();
    let xi = t.atan2(lambda.cos());
    let eta = (lambda.sin() / t.hypot(lambda.cos())).asinh();
    let (mut east, mut north) = (eta, xi);
    for (j, a) in (1..).zip(alpha) {
        let k = 2.0 * f64::from(j);
        east += a * (k * xi).cos() * (k * eta).sinh();
        north += a * (k * xi).sin() * (k * eta).cosh();
    }
    [FALSE_EASTING + K0_A * east, K0_A * north]
}

fn utm_inverse(x: f64, y: f64) -> [f64; 2] {
    let beta = [
        N / 2.0 - 2.0 * N * N / 3.0 + 37.0 * N * N * N / 96.0,
        N * N / 48.0 + N * N * N / 15.0,
        17.0 * N * N * N / 480.0,
    ];
    let delta = [
        2.0 * N - 2.0 * N * N / 3.0 - 2.0 * N * N * N,
        7.0 * N * N / 3.0 - 8.0 * N * N * N / 5.0,
        56.0 * N * N * N / 15.0,
    ];
    let xi = y / K0_A;
    let eta = (x - FALSE_EASTING) / K0_A;
    let (mut xi1, mut eta1) = (xi, eta);
    for (j, b) in (1..).zip(beta) {
        let k = 2.0 * f64::from(j);
        xi1 -= b * (k * xi).sin() * (k * eta).cosh();
        eta1 -= b * (k * xi).cos() * (k * eta).sinh();
    }
    let chi = (xi1.sin() / eta1.cosh()).asin();
    let mut phi = chi;
    for (j, d) in (1..).zip(delta) {
        phi += d * (2.0 * f64::from(j) * chi).sin();
    }
    let lambda = eta1.sinh().atan2(xi1.cos());
    [CENTRAL_MERIDIAN + lambda.to_degrees(), phi.to_degrees()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(projection: Projection, lonlat: [f64; 2], expect: [f64; 2], tolerance: f64) {
        let there = projection.forward(lonlat[0], lonlat[1]);
        assert!(
            (there[0] - expect[0]).abs() < tolerance && (there[1] - expect[1]).abs() < tolerance,
            "{lonlat:?} -> {there:?}, expected {expect:?}"
        );
        let back = projection.inverse(there[0], there[1]);
        assert!(
            (back[0] - lonlat[0]).abs() < 1e-7 && (back[1] - lonlat[1]).abs() < 1e-7,
            "{lonlat:?} -> {back:?}"
        );
    }

    #[test]
    fn points_agree_with_published_values_and_come_back() {
        check(Projection::LonLat, [8.0, 53.0], [8.0, 53.0], 1e-12);
        check(
            Projection::Mercator,
            [180.0, 85.051_128_779_806_6],
            [MERCATOR_EDGE, MERCATOR_EDGE],
            1e-3,
        );
        check(
            Projection::Mercator,
            [8.0, 53.0],
            [890_555.926_346_188_8, 6_982_997.920_389_788],
            1e-3,
        );
        // on the central meridian: 0.9996 times the meridian arc of 45 degrees (4 984 944.378 m)
        check(Projection::Utm32, [9.0, 45.0], [500_000.0, 4_982_950.400], 1e-2);
        check(Projection::Utm32, [9.0, 0.0], [500_000.0, 0.0], 1e-6);
        check(Projection::Utm32, [12.0, 0.0], [833_978.556_9, 0.0], 1e-2);
    }
}
