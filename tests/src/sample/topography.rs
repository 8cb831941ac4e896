//! A continuous-tone picture for JPEG: invented, hill-shaded terrain on the real land, an invented sea floor around it.
//!
//! Heights are value noise on the unit sphere, a pure function of the place, so that neighbouring tiles fit.

/// Height of an invented terrain at a place in degrees, about -1 to 1, with `octaves` of detail.
pub(super) fn height(lon: f64, lat: f64, octaves: u32) -> f64 {
    let (sin_lon, cos_lon) = lon.to_radians().sin_cos();
    let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
    let mut point = [cos_lat * cos_lon * 6.0, cos_lat * sin_lon * 6.0, sin_lat * 6.0];
    let (mut sum, mut weight) = (0.0, 0.5);
    for octave in 0..octaves {
        let n = noise(point, octave);
        // ridges: mountain chains rather than blobs
        sum += weight * (1.0 - 2.0 * (2.0 * n - 1.0).abs());
        weight *= 0.55;
        point = point.map(|v| v * 2.03 + 0.7);
    }
    sum
}

/// Colour of land at a height, from valley to snow; the snow line falls towards the poles.
pub(super) fn land_colour(height: f64, lat: f64) -> [f64; 3] {
    let desert = 1.0 - ((lat.abs() - 24.0) / 10.0).abs().min(1.0);
    let cold = ((lat.abs() - 52.0) / 22.0).clamp(0.0, 1.0);
    let valley = mix(
        mix([112.0, 138.0, 92.0], [206.0, 184.0, 134.0], desert),
        [176.0, 182.0, 166.0],
        cold,
    );
    let slope = mix([150.0, 134.0, 98.0], [186.0, 156.0, 112.0], desert);
    let ground = mix(valley, slope, ((height + 0.2) * 1.2).clamp(0.0, 1.0));
    let snow = ((height - 0.85 + cold * 0.8) * 2.5).clamp(0.0, 1.0);
    mix(ground, [246.0, 248.0, 250.0], snow)
}

/// Colour of the sea at a height of its floor.
pub(super) fn sea_colour(height: f64) -> [f64; 3] {
    mix(
        [22.0, 54.0, 92.0],
        [58.0, 112.0, 150.0],
        ((height + 0.8) / 1.6).clamp(0.0, 1.0),
    )
}

pub(super) fn mix(a: [f64; 3], b: [f64; 3], t: f64) -> [f64; 3] {
    [
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
    ]
}

/// Smooth noise of 0 to 1 in space.
fn noise(point: [f64; 3], seed: u32) -> f64 {
    let base = point.map(f64::floor);
    let cell = base.map(|v| v as i32);
    let t = [point[0] - base[0], point[1] - base[1], point[2] - base[2]].map(|v| v * v * (3.0 - 2.0 * v));
    let corner = |dx: i32, dy: i32, dz: i32| lattice(cell[0] + dx, cell[1] + dy, cell[2] + dz, seed);
    let lerp = |a: f64, b: f64, t: f64| a + (b - a) * t;
    let row = |dy, dz| lerp(corner(0, dy, dz), corner(1, dy, dz), t[0]);
    let plane = |dz| lerp(row(0, dz), row(1, dz), t[1]);
    lerp(plane(0), plane(1), t[2])
}

/// A fixed pseudo-random number of 0 to 1 for each corner of the lattice.
fn lattice(x: i32, y: i32, z: i32, seed: u32) -> f64 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D)
        ^ seed.wrapping_mul(0x27D4_EB2F);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    f64::from(h ^ (h >> 15)) / f64::from(u32::MAX)
}
