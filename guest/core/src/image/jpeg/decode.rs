//! The part of a picture that shows. What lies around it is read as far as it must be, and nothing is done with it.
//!
//! Units are decoded row by row into a strip of samples. Rows of pixels follow one row behind, since the chroma of the
//! last one in a strip is mixed with that of the next; so a strip keeps the last row of the one before it.

use std::ops::Range;

use super::color::{to_rgb, upsample};
use super::dct::{Paired, inverse};
use super::header::Header;
use super::huffman::Scan;
use crate::image::raster::Window;

/// Samples of a component in one row of units, below the last row of the row of units before.
struct Strip {
    stride: usize,
    samples: Vec<u8>,
}

impl Strip {
    fn new(stride: usize, rows: usize) -> Self {
        let samples = vec![0; stride * (1 + rows)];
        Self { stride, samples }
    }

    /// Row 0 is the last one of the strip before.
    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.stride]
    }

    /// Puts a block at this place, counted in blocks.
    fn put(&mut self, (column, row): (usize, usize), block: &[[u8; 8]; 8]) {
        let rows = &mut self.samples[(1 + row * 8) * self.stride + column * 8..];
        for (y, samples) in block.iter().enumerate() {
            rows[y * self.stride..][..8].copy_from_slice(samples);
        }
    }

    fn advance(&mut self) {
        let last = self.samples.len() - self.stride;
        self.samples.copy_within(last.., 0);
    }
}

/// The units (of so many pixels) that are needed for these pixels of a side, and for their neighbours.
fn units(shown: &Range<u32>, unit: u32, side: u32) -> Range<u32> {
    shown.start.saturating_sub(1) / unit..(shown.end + 1).min(side).div_ceil(unit)
}

/// Samples of a block, of which `count` coefficients in zigzag order may not be 0, but are then.
fn samples(coefficients: &mut Paired, quants: &Paired, count: usize) -> [[u8; 8]; 8] {
    let vectors = match count {
        0..=3 => inverse::<1>(coefficients, quants),
        4..=10 => inverse::<2>(coefficients, quants),
        11..=21 => inverse::<3>(coefficients, quants),
        _ => inverse::<4>(coefficients, quants),
    };
    wide::bytemuck::cast(vectors)
}

impl Header<'_> {
    /// The pixels of the window, which must lie within the picture: gray (one component) or RGB. `None` if something is
    /// wrong with the data, as far as it was read.
    pub(in crate::image) fn decode(&self, window: Window) -> Option<Vec<u8>> {
        let (width, height) = self.size();
        let (horizontal, vertical) = self.sampling();
        let across = width.div_ceil(8 * horizontal);
        let columns = units(&(window.x..window.x + window.width), 8 * horizontal, width);
        let rows = units(&(window.y..window.y + window.height), 8 * vertical, height);
        // Without restarts there is one stretch, with them as many as are needed for the last unit.
        let last = (rows.end - 1) * across + columns.end - 1;
        let scan = Scan::new(self.scan, last.checked_div(self.restart).unwrap_or(0) as usize + 1)?;
        let mut strips: Vec<_> = self
            .components
            .iter()
            .map(|component| {
                let stride = columns.len() * component.horizontal as usize * 8;
                Strip::new(stride, component.vertical as usize * 8)
            })
            .collect();
        let channels = self.components.len();
        let mut pixels = vec![0; window.width as usize * window.height as usize * channels];
        let mut lines = pixels.chunks_exact_mut(window.width as usize * channels);
        let mut output = Output::new(self, window, columns.start);
        let mut reader = scan.reader(0)?;
        let tables: Vec<_> = self
            .components
            .iter()
            .map(|component| self.tables_of(component))
            .collect::<Option<_>>()?;
        let mut predictions = [0; 3];
        let mut coefficients = Paired::default();
        for row in 0..rows.end {
            let end = if row + 1 == rows.end { columns.end } else { across };
            for column in 0..end {
                let number = row * across + column;
                if self.restart > 0 && number % self.restart == 0 && number > 0 {
                    if !reader.is_valid() {
                        return None;
                    }
                    reader = scan.reader((number / self.restart) as usize)?;
                    predictions = [0; 3];
                }
                let shown = row >= rows.start && columns.contains(&column);
                let channels = self.components.iter().zip(&tables).zip(&mut strips);
                for (((component, &tables), strip), dc) in channels.zip(&mut predictions) {
                    for y in 0..component.vertical {
                        for x in 0..component.horizontal {
                            if !shown {
                                reader.block::<false>(tables, dc, &mut coefficients)?;
                                continue;
                            }
                            let count = reader.block::<true>(tables, dc, &mut coefficients)?;
                            let column = (column - columns.start) * component.horizontal + x;
                            let block = samples(&mut coefficients, &component.quants, count);
                            strip.put((column as usize, y as usize), &block);
                        }
                    }
                }
            }
            if row >= rows.start {
                let bottom = window.y + window.height;
                let end = if row + 1 == rows.end {
                    bottom
                } else {
                    bottom.min((row + 1) * 8 * vertical - 1)
                };
                while output.next < end {
                    output.line(&strips, row, lines.next()?);
                }
                strips.iter_mut().for_each(Strip::advance);
            }
        }
        reader.is_valid().then_some(pixels)
    }
}

/// Makes rows of pixels out of strips.
struct Output<'a> {
    header: &'a Header<'a>,
    window: Window,
    /// First pixel of the strips, and as many samples of chroma as belong to the picture.
    left: u32,
    chroma_len: usize,
    /// The next row of the picture.
    next: u32,
    cb: Vec<u8>,
    cr: Vec<u8>,
    sums: Vec<u16>,
}

impl<'a> Output<'a> {
    fn new(header: &'a Header<'a>, window: Window, first_column: u32) -> Self {
        let (horizontal, _) = header.sampling();
        let chroma = header.size().0.div_ceil(horizontal) - first_column * 8;
        Self {
            header,
            window,
            left: first_column * 8 * horizontal,
            chroma_len: chroma as usize,
            next: window.y,
            cb: Vec::new(),
            cr: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// The next row of pixels; `strips` hold the row of units with this number.
    fn line(&mut self, strips: &[Strip], units: u32, out: &mut [u8]) {
        let (horizontal, vertical) = self.header.sampling();
        let (width, height) = self.header.size();
        // Row 0 of a strip is the last one of the strip before.
        let place = |row: u32, rows: u32| (row + 1 - units * rows) as usize;
        let row = self.next;
        self.next += 1;
        let shown = (self.window.x - self.left) as usize..(self.window.x - self.left + self.window.width) as usize;
        let luma = &strips[0].row(place(row, 8 * vertical))[shown.clone()];
        let [_, cb, cr] = strips else {
            out.copy_from_slice(luma);
            return;
        };
        let near = row / vertical;
        let last = height.div_ceil(vertical) - 1;
        let far = if row.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(last)
        };
        // libjpeg does not mix rows of less than three samples.
        let mixes = width.div_ceil(horizontal) > 2;
        for (strip, out) in [(cb, &mut self.cb), (cr, &mut self.cr)] {
            let samples = |row: u32| {
                let row = strip.row(place(row, 8));
                &row[..row.len().min(self.chroma_len)]
            };
            let near = samples(near);
            if horizontal == 1 {
                continue;
            }
            if mixes {
                upsample(near, (vertical == 2).then(|| samples(far)), &mut self.sums, out);
            } else {
                out.clear();
                out.extend(near.iter().flat_map(|&sample| [sample; 2]));
            }
        }
        if horizontal == 1 {
            let row = place(near, 8);
            to_rgb(luma, &cb.row(row)[shown.clone()], &cr.row(row)[shown], out);
        } else {
            to_rgb(luma, &self.cb[shown.clone()], &self.cr[shown], out);
        }
    }
}
