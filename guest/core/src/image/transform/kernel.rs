//! Interpolation weights in fixed point, shared by the separable and the mesh warp.
//!
//! Weights have 14 fractional bits and sum up to exactly one, so a flat area keeps its level. After the first axis a
//! value has 6 fractional bits in an `i16` (bicubic overshoots to 1.5 times 255 at most), after the second it is cut to
//! a whole level as Pillow does.

/// One, as a weight.
pub(super) const ONE: i32 = 1 << 14;
/// Shift after the first axis, from 14 to 6 fractional bits.
pub(super) const FIRST_SHIFT: u32 = 8;
/// Shift after the second axis, from 6 + 14 fractional bits to none.
pub(super) const SECOND_SHIFT: u32 = 20;

/// Weights of the pixels from `floor(position) - (N / 2 - 1)` on, for the fraction of the position.
pub(super) fn weights<const N: usize>(fraction: f64) -> [i16; N] {
    let d = fraction;
    let mut exact = [0.0; N];
    if N == 4 {
        // The cubic of Pillow's Geometry.c, which is the usual one with a = -1.
        let (d2, d3) = (d * d, d * d * d);
        exact.copy_from_slice(&[2.0 * d2 - d - d3, 1.0 - 2.0 * d2 + d3, d + d2 - d3, d3 - d2]);
    } else {
        exact.copy_from_slice(&[1.0 - d, d]);
    }
    let mut weights = exact.map(|weight: f64| (weight * f64::from(ONE)).round() as i16);
    let sum: i32 = weights.iter().map(|&weight| i32::from(weight)).sum();
    let largest = if d < 0.5 { N / 2 - 1 } else { N / 2 };
    weights[largest] += (ONE - sum) as i16;
    weights
}

/// Whether a pixel of the source lies at this position.
pub(super) fn inside(position: f64, len: u32) -> bool {
    position >= 0.0 && position < f64::from(len)
}

/// First pixel and fraction for interpolation at this position: the centre of pixel 0 is at 0.5.
pub(super) fn split<const N: usize>(position: f64) -> (i64, f64) {
    let from_center = position - 0.5;
    let floor = from_center.floor();
    (floor as i64 - (N as i64 / 2 - 1), from_center - floor)
}

/// A level from a value with [`SECOND_SHIFT`] fractional bits.
pub(super) fn level(value: i32) -> u8 {
    (value >> SECOND_SHIFT).clamp(0, 255) as u8
}

/// RGBA as Pillow's premultiplied `RGBa`.
pub(super) fn premultiply(data: &mut [u8]) {
    for pixel in data.chunks_exact_mut(4) {
        let alpha = u32::from(pixel[3]);
        if alpha != 255 {
            for channel in &mut pixel[..3] {
                let product = u32::from(*channel) * alpha + 128;
                *channel = ((product + (product >> 8)) >> 8) as u8;
            }
        }
    }
}

/// And back.
pub(super) fn unpremultiply(data: &mut [u8]) {
    for pixel in data.chunks_exact_mut(4) {
        let alpha = u32::from(pixel[3]);
        if alpha != 255 && alpha != 0 {
            for channel in &mut pixel[..3] {
                *channel = (u32::from(*channel) * 255 / alpha).min(255) as u8;
            }
        }
    }
}
