//! Warps whose source column depends on the destination column alone, and the row on the row: stretching, and any pair
//! of cylindrical SRS. Two passes: down the columns for the rows that are needed, then along each row.

use wide::bytemuck::cast;
use wide::{i16x8, i32x4, i32x8, u8x16};

use super::Fill;
use super::kernel::{FIRST_SHIFT, SECOND_SHIFT, inside, premultiply, split, unpremultiply, weights};
use crate::image::options::Resampling;
use crate::image::raster::{Pixels, Raster, RasterError, checked_len};

/// Source position of every destination column and row, at the centre of the destination pixel. A position outside the
/// source, or NaN, stands for nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableMapping {
    /// Source x in pixels, one for each destination column.
    pub xs: Vec<f64>,
    /// Source y in pixels from the top, one for each destination row.
    pub ys: Vec<f64>,
}

impl SeparableMapping {
    /// Stretches a part of the source (in pixels) to `size`.
    ///
    /// # Errors
    /// The size is out of range.
    pub fn extent(left: f64, top: f64, right: f64, bottom: f64, size: (u32, u32)) -> Result<Self, RasterError> {
        checked_len(size.0, size.1)?;
        let axis = |from: f64, to: f64, len: u32| {
            let step = (to - from) / f64::from(len);
            (0..len).map(|i| from + (f64::from(i) + 0.5) * step).collect()
        };
        Ok(Self {
            xs: axis(left, right, size.0),
            ys: axis(top, bottom, size.1),
        })
    }

    /// The part of a source of `size` pixels that is looked at: x, y, width, height. `None` if it is none.
    pub fn source_window(&self, size: (u32, u32)) -> Option<(u32, u32, u32, u32)> {
        let axis = |positions: &[f64], len: u32| {
            let hits = || positions.iter().copied().filter(|&position| inside(position, len));
            let first = hits().reduce(f64::min)?;
            let last = hits().reduce(f64::max)?;
            // The cubic reaches two pixels to either side.
            let start = (first as u32).saturating_sub(2);
            let end = (last as u32 + 3).min(len);
            Some((start, end - start))
        };
        let (x, width) = axis(&self.xs, size.0)?;
        let (y, height) = axis(&self.ys, size.1)?;
        Some((x, y, width, height))
    }

    /// The same mapping for a source whose upper left corner is at pixel (`x`, `y`) of the one it was made for.
    #[must_use]
    pub fn shifted(&self, x: u32, y: u32) -> Self {
        let shift = |positions: &[f64], by: u32| positions.iter().map(|position| position - f64::from(by)).collect();
        Self {
            xs: shift(&self.xs, x),
            ys: shift(&self.ys, y),
        }
    }
}

/// The source warped by the mapping. A palette is kept for nearest neighbours and expanded otherwise.
///
/// # Errors
/// The size is out of range.
pub fn warp_separable(
    source: &Raster,
    mapping: &SeparableMapping,
    resampling: Resampling,
    fill: Fill,
) -> Result<Raster, RasterError> {
    let width = u32::try_from(mapping.xs.len()).unwrap_or(u32::MAX);
    let height = u32::try_from(mapping.ys.len()).unwrap_or(u32::MAX);
    let len = checked_len(width, height)?;
    let (src_width, src_height) = source.size();
    let gaps = Gaps {
        columns: mapping.xs.iter().map(|&x| !inside(x, src_width)).collect(),
        rows: mapping.ys.iter().map(|&y| !inside(y, src_height)).collect(),
    };
    let warped = match resampling {
        Resampling::Nearest => nearest(source, mapping, &gaps, len)?,
        Resampling::Bilinear => interpolated::<2>(source, mapping, &gaps, len)?,
        Resampling::Bicubic => interpolated::<4>(source, mapping, &gaps, len)?,
    };
    gaps.fill(warped, fill)
}

/// Destination columns and rows that lie outside the source.
struct Gaps {
    columns: Vec<bool>,
    rows: Vec<bool>,
}

impl Gaps {
    fn fill(&self, raster: Raster, fill: Fill) -> Result<Raster, RasterError> {
        if !self.columns.contains(&true) && !self.rows.contains(&true) {
            return Ok(raster);
        }
        let color = match fill {
            Fill::Transparent => [0; 4],
            Fill::Color([r, g, b]) => [r, g, b, 255],
        };
        let (width, height) = raster.size();
        // A palette with room takes the colour as a new entry.
        let raster = match (raster.into_pixels(), fill) {
            (Pixels::Indexed { indices, mut palette }, _) if palette.len() < 256 => {
                palette.push(color);
                Raster::new(width, height, Pixels::Indexed { indices, palette })?
            }
            (pixels @ Pixels::Rgb(_), Fill::Color(_)) => Raster::new(width, height, pixels)?,
            (pixels, _) => {
                let raster = Raster::new(width, height, pixels)?;
                if matches!(fill, Fill::Color(_)) && !raster.has_alpha() {
                    raster.into_rgb()
                } else {
                    raster.into_rgba()
                }
            }
        };
        let bpp = raster.bytes_per_pixel();
        let index;
        let value: &[u8] = if let Pixels::Indexed { palette, .. } = raster.pixels() {
            index = [(palette.len() - 1) as u8];
            &index
        } else {
            &color[..bpp]
        };
        let mut raster = raster;
        let stride = width as usize * bpp;
        for (row, &gap) in raster.bytes_mut().chunks_exact_mut(stride).zip(&self.rows) {
            for (pixel, _) in row
                .chunks_exact_mut(bpp)
                .zip(&self.columns)
                .filter(|&(_, &column)| gap || column)
            {
                pixel.copy_from_slice(value);
            }
        }
        Ok(raster)
    }
}

fn nearest(source: &Raster, mapping: &SeparableMapping, gaps: &Gaps, len: usize) -> Result<Raster, RasterError> {
    let bpp = source.bytes_per_pixel();
    // Gaps take the first pixel for now.
    let columns: Vec<usize> = mapping
        .xs
        .iter()
        .zip(&gaps.columns)
        .map(|(&x, &gap)| if gap { 0 } else { x as usize * bpp })
        .collect();
    let mut data = vec![0; len * bpp];
    let rows = mapping.ys.iter().zip(&gaps.rows);
    for (out, (&y, _)) in data
        .chunks_exact_mut(columns.len() * bpp)
        .zip(rows)
        .filter(|(_, (_, gap))| !**gap)
    {
        let row = source.row(y as u32);
        match bpp {
            1 => gather::<1>(out, row, &columns),
            3 => gather::<3>(out, row, &columns),
            _ => gather::<4>(out, row, &columns),
        }
    }
    source.with_bytes(mapping.xs.len() as u32, mapping.ys.len() as u32, data)
}

fn gather<const BPP: usize>(out: &mut [u8], row: &[u8], columns: &[usize]) {
    for (pixel, &at) in out.chunks_exact_mut(BPP).zip(columns) {
        pixel.copy_from_slice(&row[at..at + BPP]);
    }
}

fn interpolated<const N: usize>(
    source: &Raster,
    mapping: &SeparableMapping,
    gaps: &Gaps,
    len: usize,
) -> Result<Raster, RasterError> {
    let (width, height) = (mapping.xs.len() as u32, mapping.ys.len() as u32);
    let Some((x, y, src_width, src_height)) = mapping.source_window(source.size()) else {
        return Raster::new(width, height, Pixels::Gray(vec![0; len]));
    };
    let expanded;
    let (source, mapping) = match source.pixels() {
        Pixels::Gray(_) | Pixels::Rgb(_) => (source, mapping),
        // Palettes and alpha need a copy, of what is looked at alone.
        Pixels::Indexed { .. } | Pixels::Rgba(_) => {
            let window = source.crop(i64::from(x), i64::from(y), src_width, src_height)?;
            let mut window = window.into_true_color();
            if window.has_alpha() {
                premultiply(window.bytes_mut());
            }
            expanded = (window, mapping.shifted(x, y));
            (&expanded.0, &expanded.1)
        }
    };
    let bpp = source.bytes_per_pixel();
    let mut data = vec![0; len * bpp];
    match source.pixels() {
        Pixels::Gray(_) | Pixels::Indexed { .. } => two_passes::<N, 1>(source, mapping, gaps, &mut data),
        Pixels::Rgb(_) => two_passes::<N, 3>(source, mapping, gaps, &mut data),
        Pixels::Rgba(_) => {
            two_passes::<N, 4>(source, mapping, gaps, &mut data);
            unpremultiply(&mut data);
        }
    }
    source.with_bytes(width, height, data)
}

/// Pixels that are repeated on either side of a row, so that every column finds its neighbours.
const PAD: usize = 2;

fn two_passes<const N: usize, const BPP: usize>(
    source: &Raster,
    mapping: &SeparableMapping,
    gaps: &Gaps,
    out: &mut [u8],
) {
    let Some((left, _, span, _)) = mapping.source_window(source.size()) else {
        return;
    };
    let (left, span) = (left as usize, span as usize);
    // A gap has weights of zero, and so becomes zero.
    let columns: Vec<Column<N>> = mapping
        .xs
        .iter()
        .zip(&gaps.columns)
        .map(|(&x, &gap)| {
            if gap {
                return Column {
                    first: 0,
                    weights: [0; N],
                };
            }
            let (first, fraction) = split::<N>(x);
            let first = (first + PAD as i64 - left as i64).clamp(0, (span + 2 * PAD - N) as i64);
            Column {
                first: 2 * BPP * first as usize,
                weights: pairs(weights::<N>(fraction)),
            }
        })
        .collect();
    let mut line = vec![0_i16; (span + 2 * PAD) * BPP];
    // Each value and that of the next pixel. Four pairs are read where a pixel's begin, however many channels it has.
    let mut neighbours = vec![0_i16; 2 * (line.len() - BPP + 3)];
    let last_row = i64::from(source.height()) - 1;
    let rows = mapping.ys.iter().zip(&gaps.rows);
    for (out, (&y, _)) in out
        .chunks_exact_mut(mapping.xs.len() * BPP)
        .zip(rows)
        .filter(|(_, (_, gap))| !**gap)
    {
        let (first, fraction) = split::<N>(y);
        let mut taps: [&[u8]; N] = [&[]; N];
        for (tap, row) in taps.iter_mut().zip(first..) {
            *tap = &source.row(row.clamp(0, last_row) as u32)[left * BPP..][..span * BPP];
        }
        down(taps, weights::<N>(fraction), &mut line[PAD * BPP..][..span * BPP]);
        for pad in 0..PAD {
            line.copy_within(PAD * BPP..(PAD + 1) * BPP, pad * BPP);
            line.copy_within((PAD + span - 1) * BPP..(PAD + span) * BPP, (PAD + span + pad) * BPP);
        }
        for (pair, (&value, &next)) in neighbours
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(line.iter().zip(&line[BPP..]))
        {
            *pair = [value, next];
        }
        along::<N, BPP>(&neighbours, &columns, out);
    }
}

/// First pass: a line of the source's columns at a destination row, with 6 fractional bits.
fn down<const N: usize>(taps: [&[u8]; N], weights: [i16; N], line: &mut [i16]) {
    let (blocks, rest) = line.as_chunks_mut::<16>();
    let taps = taps.map(<[u8]>::as_chunks::<16>);
    let weights = pairs(weights);
    for (i, block) in blocks.iter_mut().enumerate() {
        *block = down_block(taps.map(|(blocks, _)| &blocks[i]), weights);
    }
    let padded = taps.map(|(_, rest)| std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0)));
    let block = down_block(padded.each_ref(), weights);
    rest.copy_from_slice(&block[..rest.len()]);
}

/// The weights of two taps in one number, as a vector of 16 bit lanes takes them in turn; only the first half is used.
fn pairs<const N: usize>(weights: [i16; N]) -> [i32; N] {
    std::array::from_fn(|k| match weights.get(2 * k..2 * k + 2) {
        Some(&[first, second]) => i32::from(second) << 16 | i32::from(first.cast_unsigned()),
        _ => 0,
    })
}

/// What to look up and how to weigh it for a destination column.
struct Column<const N: usize> {
    /// Where the pairs of its first pixel begin.
    first: usize,
    weights: [i32; N],
}

#[inline]
fn down_block<const N: usize>(taps: [&[u8; 16]; N], weights: [i32; N]) -> [i16; 16] {
    let half = i32x4::splat(1 << (FIRST_SHIFT - 1));
    // Loops would not be unrolled for WebAssembly.
    let mut sums = weigh(*taps[0], *taps[1], weights[0]).map(|sum| sum + half);
    if N == 4 {
        let [a, b, c, d] = weigh(*taps[2], *taps[3], weights[1]);
        sums = [sums[0] + a, sums[1] + b, sums[2] + c, sums[3] + d];
    }
    let [a, b, c, d] = sums.map(|sum| sum >> FIRST_SHIFT);
    let halves: [i16x8; 2] = [
        i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>([a, b])),
        i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>([c, d])),
    ];
    cast(halves)
}

/// The sums of two taps by their weights, which are a pair.
#[inline]
fn weigh(first: [u8; 16], second: [u8; 16], weights: i32) -> [i32x4; 4] {
    let (first, second, zero) = (u8x16::new(first), u8x16::new(second), u8x16::splat(0));
    let weights: i16x8 = cast(i32x4::splat(weights));
    let [low, high] = [u8x16::unpack_low(first, second), u8x16::unpack_high(first, second)];
    [
        u8x16::unpack_low(low, zero),
        u8x16::unpack_high(low, zero),
        u8x16::unpack_low(high, zero),
        u8x16::unpack_high(high, zero),
    ]
    .map(|pairs| cast::<u8x16, i16x8>(pairs).dot(weights))
}

/// Second pass: the destination row, out of pairs of values of neighbouring pixels. Three channels are computed as four,
/// of which the last is dropped: one vector.
fn along<const N: usize, const BPP: usize>(neighbours: &[i16], columns: &[Column<N>], out: &mut [u8]) {
    let weigh = |column: &Column<N>, k: usize| {
        let values = i16x8::from_slice_unaligned(&neighbours[column.first + 4 * k * BPP..][..8]);
        values.dot(cast(i32x4::splat(column.weights[k])))
    };
    let level = |column: &Column<N>| {
        let mut sum = weigh(column, 0);
        if N == 4 {
            sum += weigh(column, 1);
        }
        sum >> SECOND_SHIFT
    };
    for (pixels, columns) in out.chunks_mut(2 * BPP).zip(columns.chunks(2)) {
        let first = level(&columns[0]);
        let second = columns.get(1).map_or(first, level);
        let both = i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>([first, second]));
        let levels = u8x16::narrow_i16x8(both, both).to_array();
        for (pixel, levels) in pixels.chunks_exact_mut(BPP).zip(levels.chunks_exact(4)) {
            pixel.copy_from_slice(&levels[..BPP]);
        }
    }
}
