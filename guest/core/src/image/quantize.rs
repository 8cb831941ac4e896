//! True colour to a palette of at most N colours, without dithering, as MapProxy does for every PNG by default.
//!
//! A picture with few colours keeps exactly those. Otherwise the colours are gathered in bins (5 bits per channel, 3
//! bits of alpha), and the bins are split into boxes by Wu's criterion (Xiaolin Wu, "Efficient Statistical Computations
//! for Optimal Color Quantization", Graphics Gems II): always the box with the largest error, at the place that lowers
//! the error most. Each bin then has its palette entry, so the pixels are mapped with one look-up. Colours are
//! premultiplied while they are gathered: what is hardly visible hardly counts.
//!
//! A quarter of the pixels is gathered. What those miss gets the entry that is most like it; where that is not much like
//! it, all are gathered after all, so that a dot keeps its colour.

use std::collections::BinaryHeap;

use super::raster::{Pixels, Raster, RasterError, Window};

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
    PartQuantizer::new(colors, Window::ALL).part(raster, Window::ALL)
}

/// Cuts parts out of a picture and gives them palettes of at most so many colours: their own where they have no more, and
/// one for all others that it is good enough for, so that they do not differ where they meet.
#[derive(Debug)]
pub(super) struct PartQuantizer {
    colors: usize,
    /// all that is ever cut out
    shown: Window,
    rgb: Option<Reduction<3>>,
    rgba: Option<Reduction<4>>,
}

impl PartQuantizer {
    /// For palettes of `colors` (1 to 256) and one picture, of which no more is cut out than is `shown`.
    pub(super) fn new(colors: usize, shown: Window) -> Self {
        Self {
            colors: colors.clamp(1, 256),
            shown,
            rgb: None,
            rgba: None,
        }
    }

    /// What of the picture is in the window.
    pub(super) fn part(&mut self, raster: &Raster, window: Window) -> Result<Raster, RasterError> {
        let Window { x, y, width, height } = window.within(raster.size());
        let cut = |raster: &Raster| raster.crop(x.into(), y.into(), width, height);
        let colors = self.colors;
        let (indices, palette) = match raster.pixels() {
            Pixels::Indexed { palette, .. } if palette.len() <= colors => return cut(raster),
            Pixels::Indexed { .. } => return quantize(&cut(raster)?.into_true_color(), colors),
            Pixels::Gray(_) if colors == 256 => {
                let gray = (0..=255).map(|v| [v, v, v, 255]).collect();
                (cut(raster)?.bytes().to_vec(), gray)
            }
            Pixels::Gray(_) => return quantize(&cut(raster)?.into_rgb(), colors),
            Pixels::Rgb(_) => reduce(
                View::new(raster, window),
                View::new(raster, self.shown),
                colors,
                &mut self.rgb,
            ),
            Pixels::Rgba(_) => reduce(
                View::new(raster, window),
                View::new(raster, self.shown),
                colors,
                &mut self.rgba,
            ),
        };
        Raster::new(width, height, Pixels::Indexed { indices, palette })
    }
}

/// Pixels of a picture that has `BPP` bytes for each: a window of it.
#[derive(Clone, Copy)]
struct View<'a, const BPP: usize> {
    /// from the first pixel on
    data: &'a [u8],
    /// bytes from one row to the next
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a, const BPP: usize> View<'a, BPP> {
    fn new(raster: &'a Raster, window: Window) -> Self {
        let Window { x, y, width, height } = window.within(raster.size());
        let stride = raster.width() as usize * BPP;
        Self {
            data: &raster.bytes()[y as usize * stride + x as usize * BPP..],
            stride,
            width: width as usize,
            height: height as usize,
        }
    }

    fn len(self) -> usize {
        self.width * self.height
    }

    fn rows(self) -> impl Iterator<Item = &'a [[u8; BPP]]> {
        let rows = self.data.chunks(self.stride).take(self.height);
        rows.map(move |row| &row.as_chunks().0[..self.width])
    }

    /// All pixels.
    fn pixels(self) -> impl Iterator<Item = &'a [u8; BPP]> {
        self.rows().flatten()
    }

    /// Every fourth pixel of every row with a number that `rows` divides, in other columns than in the row before.
    fn sample(self, rows: usize) -> impl Iterator<Item = &'a [u8; BPP]> {
        let first = [0, 2, 1, 3].into_iter().cycle();
        self.rows()
            .step_by(rows)
            .zip(first)
            .flat_map(|(row, first)| row.get(first..).unwrap_or_default().iter().step_by(4))
    }
}

#[inline]
fn rgba<const BPP: usize>(pixel: &[u8; BPP]) -> [u8; 4] {
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
fn exact<const BPP: usize>(view: View<'_, BPP>, colors: usize) -> Option<(Vec<u8>, Vec<[u8; 4]>)> {
    let mut palette = PaletteBuilder::new(colors);
    let mut indices = Vec::with_capacity(view.len());
    let mut last = None;
    let mut last_index = 0;
    for row in view.rows() {
        for pixel in row {
            let color = rgba(pixel);
            if last != Some(color) {
                last_index = palette.index_of(color)?;
                last = Some(color);
            }
            indices.push(last_index);
        }
    }
    Some((indices, palette.into_palette()))
}

/// Places along a channel where a box may be cut.
const BUCKETS: usize = 64;

/// Pixels whose colours fall into one cell of the colour cube.
#[derive(Clone, Copy)]
struct Bin {
    /// Its cell, or which colour it is.
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

#[inline]
fn cell<const BPP: usize>(pixel: &[u8; BPP]) -> usize {
    let [r, g, b, a] = rgba(pixel).map(usize::from);
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

/// The cells that these pixels are in.
#[inline(never)] // its loop needs all registers
fn bins<'a, const BPP: usize>(pixels: impl Iterator<Item = &'a [u8; BPP]>) -> Vec<Bin> {
    // Sums of the channels and the count of each cell that there is, in the order in which they come.
    let mut sums: Vec<(u32, [u64; 5])> = Vec::with_capacity(4096);
    let mut known = vec![u32::MAX; cells::<BPP>()];
    pixels.for_each(|pixel| {
        let cell = cell(pixel);
        let known = &mut known[cell];
        if *known == u32::MAX {
            *known = sums.len() as u32;
            sums.push((cell as u32, [0; 5]));
        }
        let (_, sum) = &mut sums[*known as usize];
        sum[0] += u64::from(pixel[0]);
        sum[1] += u64::from(pixel[1]);
        sum[2] += u64::from(pixel[2]);
        if BPP == 4 {
            sum[3] += u64::from(pixel[3]);
        }
        sum[4] += 1;
    });
    let bins = sums.into_iter().map(|(cell, sum)| {
        let [red, green, blue, alpha, count] = sum.map(|sum| sum as f64);
        let alpha = if BPP == 4 { alpha } else { count * 255.0 };
        // Within a cell alpha is nearly the same, and exactly so where pixels are clear or opaque.
        let opacity = alpha / (count * 255.0);
        Bin::new(cell, count, [red * opacity, green * opacity, blue * opacity, alpha])
    });
    bins.collect()
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

/// These pixels in at most `colors` colours, with the palette that is `common` to all that is `shown` of the picture (made
/// if there is none) or one of their own.
fn reduce<const BPP: usize>(
    part: View<'_, BPP>,
    shown: View<'_, BPP>,
    colors: usize,
    common: &mut Option<Reduction<BPP>>,
) -> (Vec<u8>, Vec<[u8; 4]>) {
    if let Some(exact) = exact(part, colors) {
        return exact;
    }
    let common = common.get_or_insert_with(|| Reduction::of_some(shown, colors));
    let mut own = None;
    if part.len() < shown.len() {
        let error = common.error(part);
        if error > VISIBLE {
            let reduction = Reduction::of_some(part, colors);
            own = (error > reduction.error(part) * WORSE).then_some(reduction);
        }
    }
    let reduction = own.as_mut().unwrap_or(common);
    if let Some(indices) = reduction.indices(part) {
        return (indices, reduction.palette.clone());
    }
    let mut own = Reduction::of(part.pixels(), colors);
    let indices = own.indices(part).expect("all its cells were counted");
    (indices, own.palette)
}

/// Squared error of a channel, in levels, from which on a part of a picture may get a palette of its own.
const VISIBLE: f64 = 1.5 * 1.5;
/// It does where the squared error of the common one is more than so many times its own.
const WORSE: f64 = 1.5 * 1.5;

/// The smallest picture of which a sample is counted, in pixels.
const SAMPLED: usize = 128 * 128;

/// Squared distance of a colour that is not like any in the palette. If a sample missed it, all pixels are counted.
const FAR: u32 = 3 * 16 * 16;

/// A palette, and which of its colours each cell of the colour cube gets.
struct Reduction<const BPP: usize> {
    palette: Vec<[u8; 4]>,
    /// [`NEW`] where no pixel was counted.
    table: Vec<u16>,
}

const NEW: u16 = u16::MAX;

impl<const BPP: usize> std::fmt::Debug for Reduction<BPP> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reduction({} colors)", self.palette.len())
    }
}

impl<const BPP: usize> Reduction<BPP> {
    fn of<'a>(pixels: impl Iterator<Item = &'a [u8; BPP]>, colors: usize) -> Self {
        let mut bins = bins::<BPP>(pixels);
        let boxes = boxes(&mut bins, colors);
        let mut table = vec![NEW; cells::<BPP>()];
        for (index, color_box) in (0..).zip(&boxes) {
            for bin in &bins[color_box.start..color_box.end] {
                table[bin.number as usize] = index;
            }
        }
        let palette = boxes.iter().map(ColorBox::color).collect();
        Self { palette, table }
    }

    /// From a sample where the picture is large enough.
    fn of_some(view: View<'_, BPP>, colors: usize) -> Self {
        if view.len() < SAMPLED {
            Self::of(view.pixels(), colors)
        } else {
            Self::of(view.sample(1), colors)
        }
    }

    /// The index of each pixel; `None` if a colour that was not counted is far from all others.
    #[inline(never)] // its loop needs all registers
    fn indices(&mut self, view: View<'_, BPP>) -> Option<Vec<u8>> {
        let (palette, table) = (&self.palette, &mut self.table[..]);
        let mut indices = vec![0; view.len()];
        for (row, indices) in view.rows().zip(indices.chunks_exact_mut(view.width)) {
            for (pixel, to) in row.iter().zip(indices) {
                let index = &mut table[cell(pixel)];
                if *index == NEW {
                    let (nearest, distance) = nearest(palette, rgba(pixel));
                    if distance > FAR {
                        return None;
                    }
                    *index = nearest;
                }
                *to = *index as u8;
            }
        }
        Some(indices)
    }

    /// Mean squared error of a channel, in a sample.
    fn error(&self, view: View<'_, BPP>) -> f64 {
        let (mut sum, mut count) = (0, 0);
        view.sample(8).for_each(|pixel| {
            let index = self.table[cell(pixel)];
            let error = match self.palette.get(usize::from(index)) {
                Some(color) => distance(rgba(pixel), *color),
                None => nearest(&self.palette, rgba(pixel)).1,
            };
            sum += u64::from(error);
            count += BPP;
        });
        sum as f64 / count as f64
    }
}

/// Index of the colour that is most like this one, and how far it is.
#[cold]
fn nearest(palette: &[[u8; 4]], color: [u8; 4]) -> (u16, u32) {
    let distances = palette.iter().map(|known| distance(color, *known));
    let nearest = (0..).zip(distances).min_by_key(|(_, distance)| *distance);
    nearest.unwrap_or_default()
}

/// Squared distance of two colours, premultiplied.
#[inline]
fn distance(a: [u8; 4], b: [u8; 4]) -> u32 {
    let premultiplied = |[r, g, b, a]: [u8; 4]| match a {
        255 => [r, g, b, a].map(i32::from),
        _ => [r, g, b, 255].map(|channel| i32::from(channel) * i32::from(a) / 255),
    };
    let (a, b) = (premultiplied(a), premultiplied(b));
    (0..4).map(|k| (a[k] - b[k]).pow(2).cast_unsigned()).sum()
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
