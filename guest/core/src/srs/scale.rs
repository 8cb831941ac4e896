//! Resolutions and scale denominators, as OGC defines them: a pixel is 0.28 mm wide.

/// Width of a pixel in metres in the definition of a scale denominator.
pub const PIXEL_SIZE_METERS: f64 = 0.00028;

/// Metres per degree on the equator of WGS 84, as WMTS fixes it: 2π · 6378137 / 360.
pub const METERS_PER_DEGREE: f64 = 111_319.490_793_273_6;

/// The scale denominator of a resolution in metres per pixel.
pub fn res_to_scale(res_meters: f64) -> f64 {
    res_meters / PIXEL_SIZE_METERS
}

/// The resolution in metres per pixel of a scale denominator.
pub fn scale_to_res(scale_denominator: f64) -> f64 {
    scale_denominator * PIXEL_SIZE_METERS
}
