//! Rows of a PNG as they were before they were filtered (PNG specification, section 9).
//!
//! Every pixel needs its left neighbour, so a row alone is a chain of dependent steps. Two rows are undone at once, in
//! the two halves of one vector, the second four pixels behind the first: what it needs of the first is there by then.

use wide::bytemuck::cast;
use wide::{i16x8, u8x16, u64x2};

/// A row begins with a number that is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its row has filter {0}, expected 0 to 4")]
pub(super) struct UnknownFilter(u8);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    Sub,
    Up,
    Average,
    Paeth,
}

impl Filter {
    fn new(number: u8) -> Result<Self, UnknownFilter> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Sub,
            2 => Self::Up,
            3 => Self::Average,
            4 => Self::Paeth,
            _ => return Err(UnknownFilter(number)),
        })
    }
}

/// Undoes the filters of `filtered`, whole rows with their filter bytes, into `out`, as many rows without. `above` is the
/// row above the first, zeros where there is none. `BPP` is bytes per pixel (1 to 4), `BLOCK` four times that.
pub(super) fn unfilter<const BPP: usize, const BLOCK: usize>(
    filtered: &[u8],
    above: &[u8],
    out: &mut [u8],
) -> Result<(), UnknownFilter> {
    let stride = above.len();
    let mut above = above;
    let mut rows = filtered.chunks_exact(stride + 1);
    let mut outs = out.chunks_exact_mut(stride);
    while let (Some([filter, row @ ..]), Some(out)) = (rows.next(), outs.next()) {
        let filter = Filter::new(*filter)?;
        match filter {
            Filter::None => out.copy_from_slice(row),
            Filter::Up => {
                for ((out, &x), &b) in out.iter_mut().zip(row).zip(above) {
                    *out = x.wrapping_add(b);
                }
            }
            Filter::Sub | Filter::Average | Filter::Paeth => {
                let (Some([second, row_below @ ..]), Some(out_below)) = (rows.next(), outs.next()) else {
                    two_rows::<BPP, BLOCK>([filter, Filter::None], [row, &[]], above, [out, &mut []]);
                    break;
                };
                let second = Filter::new(*second)?;
                two_rows::<BPP, BLOCK>([filter, second], [row, row_below], above, [out, &mut *out_below]);
                above = out_below;
                continue;
            }
        }
        above = out;
    }
    Ok(())
}

/// Two rows one below the other, or one if the second is empty.
fn two_rows<const BPP: usize, const BLOCK: usize>(
    filters: [Filter; 2],
    rows: [&[u8]; 2],
    above: &[u8],
    outs: [&mut [u8]; 2],
) {
    if filters == [Filter::Paeth; 2] {
        in_blocks::<BPP, BLOCK, true>(filters, rows, above, outs);
    } else {
        in_blocks::<BPP, BLOCK, false>(filters, rows, above, outs);
    }
}

/// `PAETH` if both filters are that, which is both the most frequent pair and the slowest.
fn in_blocks<const BPP: usize, const BLOCK: usize, const PAETH: bool>(
    filters: [Filter; 2],
    rows: [&[u8]; 2],
    above: &[u8],
    [first, second]: [&mut [u8]; 2],
) {
    let above = above.as_chunks::<BLOCK>();
    let rows = rows.map(<[u8]>::as_chunks::<BLOCK>);
    let mut first = first.as_chunks_mut::<BLOCK>();
    let mut second = second.as_chunks_mut::<BLOCK>();
    let mut state = State::<PAETH>::new(filters);
    let count = above.0.len();
    let both = count.min(rows[1].0.len()).max(1);
    // The first row's block, and the second row's before it, where there are such.
    let step = |state: &mut State<PAETH>, at: usize, first: &mut Blocks<'_, BLOCK>, second: &mut Blocks<'_, BLOCK>| {
        let before = at.wrapping_sub(1);
        let (mut out, mut out_before) = ([0; BLOCK], [0; BLOCK]);
        state.block::<BPP, BLOCK>(
            &block(above, at),
            [&block(rows[0], at), &block(rows[1], before)],
            [&mut out, &mut out_before],
        );
        put(first, at, &out);
        put(second, before, &out_before);
    };
    step(&mut state, 0, &mut first, &mut second);
    if both > 1 {
        let inputs = above.0[1..].iter().zip(&rows[0].0[1..]).zip(rows[1].0);
        let outputs = first.0[1..].iter_mut().zip(second.0.iter_mut());
        for (((above, row), row_below), (out, out_below)) in inputs.zip(outputs) {
            state.block::<BPP, BLOCK>(above, [row, row_below], [out, out_below]);
        }
    }
    for at in both..=count + 1 {
        step(&mut state, at, &mut first, &mut second);
    }
}

/// Whole blocks of a row, and what is left.
type Blocks<'a, const BLOCK: usize> = (&'a mut [[u8; BLOCK]], &'a mut [u8]);

/// The block with this number, filled up with zeros; only zeros where there is none.
fn block<const BLOCK: usize>((blocks, rest): (&[[u8; BLOCK]], &[u8]), at: usize) -> [u8; BLOCK] {
    let mut padded = [0; BLOCK];
    if let Some(block) = blocks.get(at) {
        padded = *block;
    } else if at == blocks.len() {
        padded[..rest.len()].copy_from_slice(rest);
    }
    padded
}

fn put<const BLOCK: usize>((blocks, rest): &mut Blocks<'_, BLOCK>, at: usize, bytes: &[u8; BLOCK]) {
    if let Some(block) = blocks.get_mut(at) {
        *block = *bytes;
    } else if at == blocks.len() {
        rest.copy_from_slice(&bytes[..rest.len()]);
    }
}

/// What the next block needs to know of those before it. The lower four lanes are a pixel of the first row, the upper
/// four one of the second.
struct State<const PAETH: bool> {
    left: i16x8,
    corner: i16x8,
    /// The first row's last four pixels, which are above the second row's next.
    last: [u32; 4],
    /// Which neighbours a filter looks at, and whether it averages.
    uses_left: i16x8,
    uses_above: i16x8,
    uses_corner: i16x8,
    averages: i16x8,
}

impl<const PAETH: bool> State<PAETH> {
    fn new(filters: [Filter; 2]) -> Self {
        let where_one_of = |looking: &[Filter]| {
            let [first, second] = filters.map(|filter| u64::from(looking.contains(&filter)) * 0xffff_ffff);
            widen(first | second << 32).simd_gt(i16x8::splat(0))
        };
        Self {
            left: i16x8::splat(0),
            corner: i16x8::splat(0),
            last: [0; 4],
            uses_left: where_one_of(&[Filter::Sub, Filter::Average, Filter::Paeth]),
            uses_above: where_one_of(&[Filter::Up, Filter::Average, Filter::Paeth]),
            uses_corner: where_one_of(&[Filter::Paeth]),
            averages: where_one_of(&[Filter::Average]),
        }
    }

    #[inline]
    fn block<const BPP: usize, const BLOCK: usize>(
        &mut self,
        above: &[u8; BLOCK],
        rows: [&[u8; BLOCK]; 2],
        outs: [&mut [u8; BLOCK]; 2],
    ) {
        let above = pixels::<BPP, BLOCK>(above);
        let rows = rows.map(pixels::<BPP, BLOCK>);
        let last = self.last;
        let mut step = |i: usize| {
            let above = widen(u64::from(above[i]) | u64::from(last[i]) << 32);
            let differences = widen(u64::from(rows[0][i]) | u64::from(rows[1][i]) << 32);
            self.left = (self.predict(above) + differences) & i16x8::splat(0xff);
            self.corner = above;
            narrow(self.left)
        };
        // A loop would not be unrolled for WebAssembly, and would keep its pixels in memory.
        let done = [step(0), step(1), step(2), step(3)];
        self.last = done.map(|both| both as u32);
        let [first, second] = outs;
        write::<BPP, BLOCK>(first, self.last);
        write::<BPP, BLOCK>(second, done.map(|both| (both >> 32) as u32));
    }

    #[inline]
    fn predict(&self, above: i16x8) -> i16x8 {
        if PAETH {
            return paeth(self.left, above, self.corner);
        }
        // Where two of three neighbours are zero, the third is the nearest; where all are, zero is.
        let nearest = paeth(
            self.left & self.uses_left,
            above & self.uses_above,
            self.corner & self.uses_corner,
        );
        self.averages.bitselect((self.left + above) >> 1, nearest)
    }
}

/// The neighbour that is nearest to left + above - corner. In terms of the threshold 3 corner - left - above, as
/// `stb_image` has it: fewer steps from one pixel to the next than with three distances.
#[inline]
fn paeth(left: i16x8, above: i16x8, corner: i16x8) -> i16x8 {
    let threshold = corner + corner + corner - above - left;
    let (low, high) = (left.min(above), left.max(above));
    let low_or_corner = high.simd_gt(threshold).bitselect(corner, low);
    threshold.simd_gt(low).bitselect(low_or_corner, high)
}

/// A lane for each byte, the lowest byte first.
#[inline]
fn widen(bytes: u64) -> i16x8 {
    cast(u8x16::unpack_low(cast(u64x2::splat(bytes)), u8x16::splat(0)))
}

/// The inverse of [`widen`].
#[inline]
fn narrow(lanes: i16x8) -> u64 {
    cast::<u8x16, [u64; 2]>(u8x16::narrow_i16x8(lanes, lanes))[0]
}

/// Four pixels, the first channel in the lowest byte. What is above a pixel's channels may be anything.
#[inline]
fn pixels<const BPP: usize, const BLOCK: usize>(block: &[u8; BLOCK]) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    match BPP {
        1 => [block[0], block[1], block[2], block[3]].map(u32::from),
        2 => [word(0), word(0) >> 16, word(4), word(4) >> 16],
        3 => [
            word(0),
            word(0) >> 24 | word(4) << 8,
            word(4) >> 16 | word(8) << 16,
            word(8) >> 8,
        ],
        _ => [word(0), word(4), word(8), word(12)],
    }
}

/// The inverse of [`pixels`].
#[inline]
fn write<const BPP: usize, const BLOCK: usize>(block: &mut [u8; BLOCK], pixels: [u32; 4]) {
    let mut put = |at: usize, word: u32| block[at..at + 4].copy_from_slice(&word.to_le_bytes());
    match BPP {
        1 => block.copy_from_slice(&pixels.map(|pixel| pixel as u8)),
        2 => {
            put(0, pixels[0] & 0xffff | pixels[1] << 16);
            put(4, pixels[2] & 0xffff | pixels[3] << 16);
        }
        3 => {
            let pixels = pixels.map(|pixel| pixel & 0x00ff_ffff);
            put(0, pixels[0] | pixels[1] << 24);
            put(4, pixels[1] >> 8 | pixels[2] << 16);
            put(8, pixels[2] >> 16 | pixels[3] << 8);
        }
        _ => {
            for (at, pixel) in pixels.into_iter().enumerate() {
                put(4 * at, pixel);
            }
        }
    }
}
