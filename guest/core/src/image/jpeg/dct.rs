//! The discrete cosine transform of 8 x 8 samples and its inverse, as two products of matrices with one rounding each:
//! exactly what the butterflies of libjpeg's `jfdctint.c` and `jidctint.c` add up to.
//!
//! A product takes two terms at a time, for which there is one instruction (`i32x4.dot_i16x8`, `pmaddwd`). So one side
//! has its rows in pairs, element by element, and of the other two neighbours are spread over a vector.

use std::hint::black_box;

use wide::bytemuck::cast;
use wide::{i16x8, i32x4, i32x8, u8x16};

use super::ZIGZAG;

/// Samples or coefficients, row by row.
pub(super) type Block = [i16x8; 8];

/// Coefficients with the rows 2i and 2i + 1 side by side, element by element: two vectors for each pair.
pub(super) type Paired = [[i16x8; 2]; 4];

/// Where the coefficients of the zigzag order stand in [`Paired`].
pub(super) const PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut at = 0;
    while at < 64 {
        let (row, column) = (ZIGZAG[at] / 8, ZIGZAG[at] % 8);
        places[at] = row / 2 * 16 + column * 2 + row % 2;
        at += 1;
    }
    places
};

/// 8192 times the cosines, row by row of frequency, each the sum of libjpeg's rounded constants (hence not quite regular).
const BASIS: [[i16; 8]; 8] = [
    [8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192],
    [11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363],
    [10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703],
    [9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633],
    [8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192],
    [6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437],
    [4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433],
    [2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260],
];

/// Bits of [`BASIS`] behind the point, and those kept between the two products.
const BITS: u32 = 13;
const KEPT: u32 = 2;

/// A factor in both of its roles.
struct Factor {
    /// On the left: two neighbours of a row, spread over a vector.
    spread: [[i16x8; 4]; 8],
    /// On the right: two rows, side by side.
    pairs: Paired,
}

static INVERSE: Factor = factor(true);
static FORWARD: Factor = factor(false);

const fn factor(inverse: bool) -> Factor {
    const fn at(inverse: bool, row: usize, column: usize) -> i16 {
        // The rows of the factor are summed over: frequencies on the way back, samples on the way there.
        if inverse {
            BASIS[row][column]
        } else {
            BASIS[column][row]
        }
    }
    let mut spread = [[i16x8::splat(0); 4]; 8];
    let mut pairs = [[i16x8::splat(0); 2]; 4];
    let mut pair = 0;
    while pair < 4 {
        let mut row = [0; 16];
        let mut column = 0;
        while column < 8 {
            let (a, b) = (at(inverse, 2 * pair, column), at(inverse, 2 * pair + 1, column));
            (row[2 * column], row[2 * column + 1]) = (a, b);
            spread[column][pair] = i16x8::new([a, b, a, b, a, b, a, b]);
            column += 1;
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = row;
        pairs[pair] = [
            i16x8::new([a, b, c, d, e, f, g, h]),
            i16x8::new([i, j, k, l, m, n, o, p]),
        ];
        pair += 1;
    }
    Factor { spread, pairs }
}

/// A row of a product: the sum of `PAIRS` pairs of terms, rounded to `1 << shift`, and `offset` added.
#[inline]
fn row<const PAIRS: usize>(spread: impl Fn(usize) -> i16x8, pairs: &Paired, shift: u32, offset: i32) -> [i32x4; 2] {
    let mut sums = [i32x4::splat((offset << shift) + (1 << (shift - 1))); 2];
    for (pair, [low, high]) in pairs.iter().enumerate().take(PAIRS) {
        let factor = spread(pair);
        sums[0] += factor.dot(*low);
        sums[1] += factor.dot(*high);
    }
    sums.map(|sum| sum >> shift)
}

#[inline]
fn narrow(halves: [i32x4; 2]) -> i16x8 {
    i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>(halves))
}

/// Two neighbours of a row, spread over a vector.
#[inline]
fn spread(row: i16x8, pair: usize) -> i16x8 {
    cast(i32x4::splat(cast::<i16x8, [i32; 4]>(row)[pair]))
}

/// Samples from 0 to 255 out of coefficients, of which all but the first `2 * PAIRS` rows and columns are 0, and their
/// factors. Two rows in each vector. All coefficients are 0 then.
#[inline]
pub(super) fn inverse<const PAIRS: usize>(coefficients: &mut Paired, quants: &Paired) -> [u8x16; 4] {
    // Out of sight of the optimiser, instructions take the factor from memory. Known to be constant, it would first be
    // copied to the stack, an eighth of the time of decoding.
    let Factor {
        spread: left,
        pairs: right,
    } = black_box(&INVERSE);
    let mut dequantized = Paired::default();
    for pair in 0..PAIRS {
        for half in 0..2 {
            dequantized[pair][half] = std::mem::take(&mut coefficients[pair][half]) * quants[pair][half];
        }
    }
    let columns: [i16x8; 8] =
        std::array::from_fn(|y| narrow(row::<PAIRS>(|pair| left[y][pair], &dequantized, BITS - KEPT, 0)));
    // The factor 8 of the two-dimensional transform is left to the end.
    let sample = |y: usize| {
        narrow(row::<PAIRS>(
            |pair| spread(columns[y], pair),
            right,
            BITS + KEPT + 3,
            128,
        ))
    };
    std::array::from_fn(|y| u8x16::narrow_i16x8(sample(2 * y), sample(2 * y + 1)))
}

/// Eight times the coefficients of samples from -128 to 127.
#[inline]
pub(super) fn forward(samples: &Block) -> [[i32x4; 2]; 8] {
    let Factor {
        spread: left,
        pairs: right,
    } = &FORWARD;
    let rows: Paired = std::array::from_fn(|pair| {
        let row = |y: usize| row::<4>(|pair| spread(samples[y], pair), right, BITS - KEPT, 0);
        let (even, odd) = (row(2 * pair), row(2 * pair + 1));
        std::array::from_fn(|half| cast((even[half] & i32x4::splat(0xffff)) | (odd[half] << 16)))
    });
    std::array::from_fn(|v| row::<4>(|pair| left[v][pair], &rows, BITS + KEPT, 0))
}
