//! Rows of samples to rows of pixels: chroma to full size, YCbCr to RGB (JFIF 1.02), and back. Exactly as libjpeg does it
//! (`jdsample.c` "fancy", `jdcolor.c`, `jccolor.c`, `jcsample.c`).

use wide::bytemuck::cast;
use wide::{i16x8, i32x4, i32x8, u8x16};

/// Makes a row of chroma twice as wide: three parts of a sample and one of its neighbour. With `far`, the row is first
/// mixed of three parts `near` and one part `far`, the rows of samples beside the row of pixels.
pub(super) fn upsample(near: &[u8], far: Option<&[u8]>, sums: &mut Vec<u16>, out: &mut Vec<u8>) {
    sums.clear();
    sums.push(0);
    if let Some(far) = far {
        sums.extend(
            near.iter()
                .zip(far)
                .map(|(&near, &far)| 3 * u16::from(near) + u16::from(far)),
        );
    } else {
        sums.extend(near.iter().map(|&near| u16::from(near)));
    }
    sums.push(0);
    // At both ends a sample is its own neighbour.
    let len = sums.len();
    (sums[0], sums[len - 1]) = (sums[1], sums[len - 2]);
    if far.is_some() {
        double::<4, 8, 7>(sums, out);
    } else {
        double::<2, 1, 2>(sums, out);
    }
}

/// Rounding goes down for one neighbour and up for the other, lest the picture gets darker or brighter.
fn double<const SHIFT: u32, const LEFT: u16, const RIGHT: u16>(sums: &[u16], out: &mut Vec<u8>) {
    let len = sums.len() - 2;
    out.resize(2 * len, 0);
    let (left, right) = (&sums[..len], &sums[2..]);
    for (((pair, &left), &sum), &right) in out
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(left)
        .zip(&sums[1..=len])
        .zip(right)
    {
        pair[0] = ((3 * sum + left + LEFT) >> SHIFT) as u8;
        pair[1] = ((3 * sum + right + RIGHT) >> SHIFT) as u8;
    }
}

/// `out` is RGB, three bytes for each sample.
pub(super) fn to_rgb(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    let (y, y_rest) = y.as_chunks::<16>();
    let (cb, cb_rest) = cb.as_chunks();
    let (cr, cr_rest) = cr.as_chunks();
    let (out, out_rest) = out.as_chunks_mut::<48>();
    for (((out, &y), &cb), &cr) in out.iter_mut().zip(y).zip(cb).zip(cr) {
        *out = rgb(y, cb, cr);
    }
    if !out_rest.is_empty() {
        let last = rgb(filled(y_rest), filled(cb_rest), filled(cr_rest));
        out_rest.copy_from_slice(&last[..out_rest.len()]);
    }
}

/// These bytes, and 0 behind them.
fn filled<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0))
}

/// One from each in turn.
fn unpack(a: u8x16, b: u8x16) -> [u8x16; 2] {
    [u8x16::unpack_low(a, b), u8x16::unpack_high(a, b)]
}

fn widen(bytes: u8x16) -> [i16x8; 2] {
    unpack(bytes, u8x16::splat(0)).map(cast)
}

#[inline]
fn rgb(y: [u8; 16], cb: [u8; 16], cr: [u8; 16]) -> [u8; 48] {
    let (y, cb, cr) = (u8x16::new(y), u8x16::new(cb), u8x16::new(cr));
    let center = i16x8::splat(128);
    let luma = widen(y);
    let (blue, red) = (widen(cb).map(|v| v - center), widen(cr).map(|v| v - center));
    let pairs = unpack(cb, cr).map(|pairs| widen(pairs).map(|v| v - center));
    // 65536 times the part of the factors that fits 16 bits; the rest of them are whole.
    let mix = |half: usize, cb: i16, cr: i16| {
        let factors = i16x8::new([cb, cr, cb, cr, cb, cr, cb, cr]);
        let mixed = pairs[half].map(|pair| (pair.dot(factors) + i32x4::splat(0x8000)) >> 16);
        luma[half] + i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>(mixed))
    };
    let bytes = |half: [i16x8; 2]| u8x16::narrow_i16x8(half[0], half[1]).to_array();
    let r = bytes([0, 1].map(|half| mix(half, 0, 26345) + red[half])); // 1.402 Cr
    let g = bytes([0, 1].map(|half| mix(half, -22554, 18734) - red[half])); // -0.34414 Cb - 0.71414 Cr
    let b = bytes([0, 1].map(|half| mix(half, -14942, 0) + blue[half] + blue[half])); // 1.772 Cb
    let mut out = [0; 48];
    for (((out, r), g), b) in out.as_chunks_mut::<3>().0.iter_mut().zip(r).zip(g).zip(b) {
        *out = [r, g, b];
    }
    out
}

/// Samples of a row of RGB pixels, as many of each as there are pixels.
pub(super) fn from_rgb(pixels: &[u8], y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    let (pixels, rest) = pixels.as_chunks::<48>();
    let (y, y_rest) = y.as_chunks_mut::<16>();
    let (cb, cb_rest) = cb.as_chunks_mut::<16>();
    let (cr, cr_rest) = cr.as_chunks_mut::<16>();
    for (((pixels, y), cb), cr) in pixels.iter().zip(y).zip(cb).zip(cr) {
        [*y, *cb, *cr] = ycbcr(pixels);
    }
    if !rest.is_empty() {
        let last = ycbcr(&filled(rest));
        for (out, last) in [y_rest, cb_rest, cr_rest].into_iter().zip(last) {
            out.copy_from_slice(&last[..out.len()]);
        }
    }
}

#[inline]
fn ycbcr(pixels: &[u8; 48]) -> [[u8; 16]; 3] {
    let pixels: [u8x16; 3] = cast(*pixels);
    let [r, g, b] = [0, 1, 2].map(|band| {
        let [first, second, third] = const { &BANDS }[band];
        pixels[0].shuffle_zeroing(first) | pixels[1].shuffle_zeroing(second) | pixels[2].shuffle_zeroing(third)
    });
    // Four vectors of four pairs each.
    let pairs = |a: u8x16, b: u8x16| {
        let [low, high] = unpack(a, b).map(widen);
        [low[0], low[1], high[0], high[1]]
    };
    let (rg, bg) = (pairs(r, g), pairs(b, g));
    // 65536 times the factors; what is above 32767 comes in two parts or is shifted.
    let factors = |a: i16, b: i16| i16x8::new([a, b, a, b, a, b, a, b]);
    let halves = |pair: i16x8| (cast::<i16x8, i32x4>(pair) & i32x4::splat(0xffff)) << 15;
    let bytes = |[a, b, c, d]: [i32x4; 4]| {
        let narrow = |low: i32x4, high: i32x4| i16x8::from_i32x8_saturate(cast([low >> 16, high >> 16]));
        u8x16::narrow_i16x8(narrow(a, b), narrow(c, d)).to_array()
    };
    let round = i32x4::splat(0x8000);
    let chroma = i32x4::splat((128 << 16) + 0x7fff);
    let each = [0, 1, 2, 3];
    // 0.299 R + 0.587 G + 0.114 B
    let y = each.map(|i| rg[i].dot(factors(19595, 22086)) + bg[i].dot(factors(7471, 16384)) + round);
    // -0.16874 R - 0.33126 G + 0.5 B
    let cb = each.map(|i| rg[i].dot(factors(-11059, -21709)) + halves(bg[i]) + chroma);
    // 0.5 R - 0.41869 G - 0.08131 B
    let cr = each.map(|i| bg[i].dot(factors(-5329, -27439)) + halves(rg[i]) + chroma);
    [bytes(y), bytes(cb), bytes(cr)]
}

/// Where the samples of each band are in 48 bytes of pixels: by vector, 255 for those in other ones.
const BANDS: [[u8x16; 3]; 3] = {
    let mut bands = [[u8x16::splat(255); 3]; 3];
    let mut band = 0;
    while band < 3 {
        let mut places = [[255; 16]; 3];
        let mut pixel = 0;
        while pixel < 16 {
            let at = 3 * pixel + band;
            places[at / 16][pixel] = (at % 16) as u8;
            pixel += 1;
        }
        bands[band] = [u8x16::new(places[0]), u8x16::new(places[1]), u8x16::new(places[2])];
        band += 1;
    }
    bands
};

/// Means of 2 x 2 samples. Rounding goes down and up in turn, lest the picture gets darker or brighter.
pub(super) fn halve(upper: &[u8], lower: &[u8], out: &mut [u8]) {
    let samples = upper.as_chunks::<4>().0.iter().zip(lower.as_chunks::<4>().0);
    for (out, (&upper, &lower)) in out.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
        let [a, b, c, d] = upper.map(u16::from);
        let [e, f, g, h] = lower.map(u16::from);
        *out = [((a + b + e + f + 1) >> 2) as u8, ((c + d + g + h + 2) >> 2) as u8];
    }
}
