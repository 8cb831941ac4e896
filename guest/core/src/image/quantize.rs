//! True colour to a palette of at most N colours, without dithering, as MapProxy does for every PNG by default.
//!
//! A picture with few colours keeps exactly those. Otherwise the colours are gathered in bins (5 bits per channel, 3
//! bits of alpha), and the bins are split into boxes by Wu's criterion (Xiaolin Wu, "Efficient Statistical Computations
//! for Optimal Color Quantization", Graphics Gems II): always the box with the largest error, at the place that lowers
//! the error most. Each bin then has its palette entry, so the pixels are mapped with one look-up. Colours are
//! premultiplied while they are gathered: what is hardly visible hardly counts.

use std::collections::BinaryHeap;

use super::raster::{Pixels, Raster, RasterError};

/// Which of the 256 indices occur.
pub(crate) fn count_used(indices: &[u8]) -> [bool; 256] {
    let mut used = [false; 256];
    for &index in indices {
        used[usize::from(index)] = true;
    }
    used
}

/// How many different indices occur; looks only if the palette is no bound already.
pub(crate) fn used_colors(indices: &[u8], palette: usize) -> usize {
    if palette <= 1 {
        palette
    } else {
        count_used(indices).iter().filter(|used| **used).count()
    }
}

/// The picture with at most `colors` colours (1 to 256). A palette that is small enough already stays as it is.
///
/// # Errors
/// None in practice: the size is that of a picture.
pub fn quantize(raster: &Raster, colors: usize) -> Result<Raster, RasterError> {
    let colors = colors.clamp(1, 256);
    let (width, height) = raster.size();
    let (indices, palette) = match raster.pixels() {
        Pixels::Indexed { palette, .. } if palette.len() <= colors => return Ok(raster.clone()),
        Pixels::Indexed { .. } => return quantize(&raster.clone().into_true_color(), colors),
        Pixels::Gray(data) if colors == 256 => (data.clone(), (0..=255).map(|v| [v, v, v, 255]).collect()),
        Pixels::Gray(_) => return quantize(&raster.clone().into_rgb(), colors),
        Pixels::Rgb(data) => exact::<3>(data, colors).unwrap_or_else(|| reduce::<3>(data, colors)),
        Pixels::Rgba(data) => exact::<4>(data, colors).unwrap_or_else(|| reduce::<4>(data, colors)),
    };
    Raster::new(width, height, Pixels::Indexed { indices, palette })
}

fn rgba<const BPP: usize>(pixel: &[u8]) -> [u8; 4] {
    if BPP == 4 {
        [pixel[0], pixel[1], pixel[2], pixel[3]]
    } else {
        [pixel[0], pixel[1], pixel[2], 255]
    }
}

/// Slots of the hash table of colours, four times as many as colours.
const SLOTS: usize = 1024;

/// A growing palette that knows where its colours are.
pub(crate) struct PaletteBuilder {
    slots: [u16; SLOTS],
    palette: Vec<[u8; 4]>,
    most: usize,
}

impl PaletteBuilder {
    /// Empty, with room for `most` colours (1 to 256).
    pub(crate) fn new(most: usize) -> Self {
        Self {
            slots: [u16::MAX; SLOTS],
            palette: Vec::with_capacity(most),
            most: most.clamp(1, 256),
        }
    }

    /// Index of the colour, which is added if it is new; `None` if there is no room for it.
    pub(crate) fn index_of(&mut self, color: [u8; 4]) -> Option<u8> {
        // Fibonacci hashing; the table is never full, so the search ends.
        let mut slot = (u32::from_le_bytes(color).wrapping_mul(0x9E37_79B9) >> 22) as usize;
        loop {
            let index = self.slots[slot];
            match self.palette.get(usize::from(index)) {
                Some(known) if *known == color => return Some(index as u8),
                Some(_) => slot = (slot + 1) % SLOTS,
                None if self.palette.len() == self.most => return None,
                None => {
                    let index = self.palette.len() as u8;
                    self.slots[slot] = u16::from(index);
                    self.palette.push(color);
                    return Some(index);
                }
            }
        }
    }

    pub(crate) fn into_palette(self) -> Vec<[u8; 4]> {
        self.palette
    }
}

/// The picture's own colours, if there are at most `colors`.
fn exact<const BPP: usize>(data: &[u8], colors: usize) -> Option<(Vec<u8>, Vec<[u8; 4]>)> {
    let mut palette = PaletteBuilder::new(colors);
    let mut indices = Vec::with_capacity(data.len() / BPP);
    let mut last = None;
    let mut last_index = 0;
    for pixel in data.chunks_exact(BPP) {
        let color = rgba::<BPP>(pixel);
        if last != Some(color) {
            last_index = palette.index_of(color)?;
            last = Some(color);
        }
        indices.push(last_index);
    }
    Some((indices, palette.into_palette()))
}

/// Places along a channel where a box may be cut.
const BUCKETS: usize = 64;

/// Pixels whose colours fall into one cell of the colour cube.
#[derive(Clone, Copy)]
struct Bin {
    /// Which it was before bins were put in another order.
    number: u32,
    /// Its place along each channel, one of [`BUCKETS`].
    buckets: [u8; 4],
    count: f64,
    /// One divided by the count: bins are looked at once per cut.
    share: f64,
    /// Sums of the premultiplied channels.
    sum: [f64; 4],
}

impl Bin {
    fn new(number: u32, count: f64, sum: [f64; 4]) -> Self {
        let share = 1.0 / count;
        Self {
            number,
            buckets: sum.map(|sum| (sum * share) as u8 >> 2),
            count,
            share,
            sum,
        }
    }
}

/// Number of cells: 5 bits per colour channel, 3 bits of alpha where there is any.
const fn cells<const BPP: usize>() -> usize {
    if BPP == 4 { 1 << 18 } else { 1 << 15 }
}

fn cell<const BPP: usize>(pixel: &[u8]) -> usize {
    let [r, g, b, a] = rgba::<BPP>(pixel).map(usize::from);
    let rgb = (r >> 3) << 10 | (g >> 3) << 5 | b >> 3;
    if BPP == 3 {
        return rgb;
    }
    match a {
        // Clear and opaque have levels of their own, so that they stay so. Under clear pixels no colour shows.
        0 => 0,
        255 => 7 << 15 | rgb,
        _ => (1 + (a - 1) * 6 / 254) << 15 | rgb,
    }
}

/// Most pixels whose sums fit 32 bits.
const SUMMED: usize = 1 << 24;

/// The bins, and which of them each pixel is in.
fn bins<const BPP: usize>(data: &[u8]) -> (Vec<Bin>, Vec<u32>) {
    let mut sums: Vec<[u64; 3]> = Vec::with_capacity(4096);
    let mut totals: Vec<(f64, [f64; 4])> = Vec::with_capacity(4096);
    let mut known = vec![u32::MAX; cells::<BPP>()];
    let mut numbers = vec![0; data.len() / BPP];
    for (part, numbers) in data.chunks(SUMMED * BPP).zip(numbers.chunks_mut(SUMMED)) {
        gather::<BPP>(part, numbers, &mut known, &mut sums);
        totals.resize(sums.len(), (0.0, [0.0; 4]));
        for ((total_count, total), sum) in totals.iter_mut().zip(&mut sums) {
            let [red, green, blue, alpha] =
                [sum[0], sum[0] >> 32, sum[1], sum[1] >> 32].map(|sum| f64::from(sum as u32));
            let (count, alpha) = if BPP == 4 {
                (sum[2] as f64, alpha)
            } else {
                (alpha, alpha * 255.0)
            };
            // Within a cell alpha is nearly the same, and exactly so where pixels are clear or opaque.
            let opacity = if count > 0.0 { alpha / (count * 255.0) } else { 0.0 };
            *total_count += count;
            for (to, from) in total
                .iter_mut()
                .zip([red * opacity, green * opacity, blue * opacity, alpha])
            {
                *to += from;
            }
            *sum = [0; 3];
        }
    }
    let bins = (0..)
        .zip(totals)
        .map(|(number, (count, sum))| Bin::new(number, count, sum));
    (bins.collect(), numbers)
}

/// Numbers the cells of these pixels as they come, where they are not `known` (those are not `u32::MAX`), and adds the
/// pixels to the sums of their cells: two sums of 32 bits in each number, red and green, blue and alpha; then the count.
/// Without an alpha channel alpha is the count.
#[inline(never)] // its loop needs all registers
fn gather<const BPP: usize>(data: &[u8], numbers: &mut [u32], known: &mut [u32], sums: &mut Vec<[u64; 3]>) {
    for (pixel, number) in data.chunks_exact(BPP).zip(numbers) {
        let known = &mut known[cell::<BPP>(pixel)];
        if *known == u32::MAX {
            *known = sums.len() as u32;
            sums.push([0; 3]);
        }
        *number = *known;
        let [r, g, b, a] = rgba::<BPP>(pixel).map(u64::from);
        let sum = &mut sums[*known as usize];
        sum[0] += r | g << 32;
        if BPP == 4 {
            sum[1] += b | a << 32;
            sum[2] += 1;
        } else {
            sum[1] += b | 1 << 32;
        }
    }
}

#[inline(never)] // as above
fn look_up(table: &[u8], numbers: &[u32]) -> Vec<u8> {
    numbers.iter().map(|&number| table[number as usize]).collect()
}

/// A range of bins that share a palette entry.
#[derive(Clone, Copy)]
struct ColorBox {
    start: usize,
    end: usize,
    count: f64,
    sum: [f64; 4],
    /// Sums of the squared channels, each bin having its mean.
    squares: [f64; 4],
    /// Squared error per channel when all its colours become its mean.
    error: [f64; 4],
}

impl ColorBox {
    fn new(start: usize, end: usize, count: f64, sum: [f64; 4], squares: [f64; 4]) -> Self {
        let error = |channel: usize| squares[channel] - sum[channel] * sum[channel] / count;
        Self {
            start,
            end,
            count,
            sum,
            squares,
            // `max` is a function call in WebAssembly.
            error: std::array::from_fn(error).map(|error| if error > 0.0 { error } else { 0.0 }),
        }
    }

    fn of(bins: &[Bin], start: usize, end: usize) -> Self {
        let mut count = 0.0;
        let mut sum = [0.0; 4];
        let mut squares = [0.0; 4];
        for bin in &bins[start..end] {
            count += bin.count;
            for channel in 0..4 {
                sum[channel] += bin.sum[channel];
                squares[channel] += bin.sum[channel] * bin.sum[channel] * bin.share;
            }
        }
        Self::new(start, end, count, sum, squares)
    }

    /// Two boxes instead of this one, the second beginning at `middle`. Only the bins of the smaller are looked at.
    fn halves(&self, bins: &[Bin], middle: usize) -> (Self, Self) {
        let rest = |of: &Self, start: usize, end: usize| {
            let sum = std::array::from_fn(|channel| self.sum[channel] - of.sum[channel]);
            let squares = std::array::from_fn(|channel| self.squares[channel] - of.squares[channel]);
            Self::new(start, end, self.count - of.count, sum, squares)
        };
        if middle - self.start < self.end - middle {
            let first = Self::of(bins, self.start, middle);
            (first, rest(&first, middle, self.end))
        } else {
            let second = Self::of(bins, middle, self.end);
            (rest(&second, self.start, middle), second)
        }
    }

    fn total_error(&self) -> f64 {
        self.error.iter().sum()
    }

    fn color(&self) -> [u8; 4] {
        let alpha = self.sum[3] / self.count;
        if alpha < 0.5 {
            return [0; 4];
        }
        let channel = |sum: f64| (sum * 255.0 / self.sum[3]).round().min(255.0) as u8;
        [
            channel(self.sum[0]),
            channel(self.sum[1]),
            channel(self.sum[2]),
            alpha.round().min(255.0) as u8,
        ]
    }

    /// Two boxes instead of this one, cut across the channel with the largest error that can be cut.
    fn split(&self, bins: &mut [Bin]) -> Option<(Self, Self)> {
        let mut channels = [0, 1, 2, 3];
        channels.sort_by(|&a, &b| self.error[b].total_cmp(&self.error[a]));
        channels.iter().find_map(|&channel| {
            let cut = self.best_cut(&bins[self.start..self.end], channel)?;
            let (mut middle, mut end) = (self.start, self.end);
            loop {
                while middle < end && usize::from(bins[middle].buckets[channel]) < cut {
                    middle += 1;
                }
                while middle < end && usize::from(bins[end - 1].buckets[channel]) >= cut {
                    end -= 1;
                }
                if middle >= end {
                    return Some(self.halves(bins, middle));
                }
                bins.swap(middle, end - 1);
            }
        })
    }

    /// The bucket at which the second box begins, so that the error of both is smallest: with the sums S and counts n
    /// of both sides, |S1|^2 / n1 + |S2|^2 / n2 is largest.
    fn best_cut(&self, bins: &[Bin], channel: usize) -> Option<usize> {
        let mut buckets = [(0.0, [0.0; 4]); BUCKETS];
        for bin in bins {
            let (count, sum) = &mut buckets[usize::from(bin.buckets[channel])];
            *count += bin.count;
            for (to, from) in sum.iter_mut().zip(bin.sum) {
                *to += from;
            }
        }
        let (mut count, mut sum) = (0.0, [0.0; 4]);
        let mut best = None;
        for (bucket, (bucket_count, bucket_sum)) in buckets.iter().enumerate() {
            if count > 0.0 && *bucket_count > 0.0 && count < self.count {
                let mut gain = 0.0;
                for (&first, &all) in sum.iter().zip(&self.sum) {
                    let rest = all - first;
                    gain += first * first / count + rest * rest / (self.count - count);
                }
                if best.is_none_or(|(most, _)| gain > most) {
                    best = Some((gain, bucket));
                }
            }
            count += bucket_count;
            for (to, from) in sum.iter_mut().zip(bucket_sum) {
                *to += from;
            }
        }
        best.map(|(_, bucket)| bucket)
    }
}

/// Order in the queue of boxes: the one with the largest error first.
struct ByError(ColorBox);

impl Ord for ByError {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_error().total_cmp(&other.0.total_error())
    }
}
impl PartialOrd for ByError {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for ByError {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for ByError {}

/// The bins in at most `colors` boxes. Changes their order.
fn boxes(bins: &mut [Bin], colors: usize) -> Vec<ColorBox> {
    let mut open = BinaryHeap::with_capacity(colors);
    let mut done: Vec<ColorBox> = Vec::with_capacity(colors);
    open.push(ByError(ColorBox::of(bins, 0, bins.len())));
    while open.len() + done.len() < colors {
        let Some(ByError(largest)) = open.pop() else { break };
        match largest.split(bins) {
            Some((first, second)) => {
                open.push(ByError(first));
                open.push(ByError(second));
            }
            None => done.push(largest),
        }
    }
    done.extend(open.into_iter().map(|ByError(color_box)| color_box));
    done
}

fn reduce<const BPP: usize>(data: &[u8], colors: usize) -> (Vec<u8>, Vec<[u8; 4]>) {
    let (mut bins, numbers) = bins::<BPP>(data);
    let boxes = boxes(&mut bins, colors);
    let mut table = vec![0_u8; bins.len()];
    for (index, color_box) in (0..=255).zip(&boxes) {
        for bin in &bins[color_box.start..color_box.end] {
            table[bin.number as usize] = index;
        }
    }
    let indices = look_up(&table, &numbers);
    (indices, boxes.iter().map(ColorBox::color).collect())
}

/// The new index of each of these colours, which occur so many times, in a palette of at most `colors` (1 to 256), and
/// that palette. For pictures that are palettes already: their pixels need not be looked at.
pub(crate) fn reduce_weighted(weighted: &[([u8; 4], u32)], colors: usize) -> (Vec<u8>, Vec<[u8; 4]>) {
    let mut bins: Vec<Bin> = Vec::with_capacity(weighted.len());
    for (number, &([r, g, b, a], count)) in (0..).zip(weighted) {
        let count = f64::from(count.max(1));
        let alpha = f64::from(a) * count;
        let sum = [r, g, b].map(|channel| f64::from(channel) * alpha / 255.0);
        bins.push(Bin::new(number, count, [sum[0], sum[1], sum[2], alpha]));
    }
    let boxes = boxes(&mut bins, colors.clamp(1, 256));
    let mut indices = vec![0; weighted.len()];
    for (index, color_box) in (0..=255).zip(&boxes) {
        for bin in &bins[color_box.start..color_box.end] {
            indices[bin.number as usize] = index;
        }
    }
    (indices, boxes.iter().map(ColorBox::color).collect())
}

#[cfg(test)]
mod tests;
