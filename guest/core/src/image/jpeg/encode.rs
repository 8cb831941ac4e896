//! A baseline JPEG file with the sampling 4:2:0 and the tables of T.81, annex K, as most programs write it. Byte by byte
//! it is what libjpeg writes.

use wide::bytemuck::{cast, cast_ref};
use wide::{f32x4, i16x8, i32x4, i32x8};

use super::ZIGZAG;
use super::color::{from_rgb, halve};
use super::dct::forward;
use super::huffman::{Definition, has_ff};

/// Factors of annex K.1, row by row.
const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];

const LUMA_DC: Definition<'_> = Definition {
    counts: &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    symbols: &[0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b],
};

const LUMA_AC: Definition<'_> = Definition {
    counts: &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
    symbols: &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
        0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
        0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
        0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
        0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
        0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
        0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
        0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};

const CHROMA_DC: Definition<'_> = Definition {
    counts: &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    symbols: &[0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b],
};

const CHROMA_AC: Definition<'_> = Definition {
    counts: &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
    symbols: &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
        0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
        0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
        0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
        0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
        0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
        0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
        0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
        0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};

/// An RGB picture as a file. `quality` is libjpeg's, from 1 to 100; neither side is 0.
pub(in crate::image) fn encode(pixels: &[u8], size: (u16, u16), quality: u8) -> Vec<u8> {
    let quants = [LUMA, CHROMA].map(|table| scaled(&table, quality));
    let mut bits = Bits {
        words: Vec::with_capacity(pixels.len() / 64),
        last: Last { word: 0, free: 64 },
    };
    let [luma, chroma] = [(LUMA_DC, LUMA_AC, 0), (CHROMA_DC, CHROMA_AC, 1)].map(|(dc, ac, number)| Coding {
        reciprocals: reciprocals(&quants[number]),
        dc: codes(&dc),
        ac: codes(&ac),
    });
    let (width, height) = (usize::from(size.0), usize::from(size.1));
    // Blocks of luma that hold pixels. The others of a unit are empty.
    let blocks = width.div_ceil(8);
    let mut strip = Strip::new(width);
    let mut dcs = [0; 3];
    for (rows, pixels) in (0..height)
        .step_by(16)
        .map(|row| (height - row).div_ceil(8))
        .zip(pixels.chunks(width * 3 * 16))
    {
        strip.fill(pixels);
        for unit in 0..width.div_ceil(16) {
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let column = 2 * unit + x;
                if y < rows && column < blocks {
                    luma.block(&mut bits, &mut dcs[0], strip.luma.block(column, y));
                } else {
                    luma.nothing(&mut bits);
                }
            }
            for (samples, dc) in strip.chroma.iter().zip(&mut dcs[1..]) {
                chroma.block(&mut bits, dc, samples.block(unit, 0));
            }
        }
    }
    let mut out = Vec::with_capacity(bits.words.len() * 9 + 1024);
    header(&mut out, size, &quants);
    bits.write(&mut out);
    out.extend([0xff, 0xd9]);
    out
}

/// The factors for this quality, as `jpeg_quality_scaling` and `jpeg_add_quant_table` have them.
fn scaled(table: &[u8; 64], quality: u8) -> [u8; 64] {
    let quality = u32::from(quality.clamp(1, 100));
    let percent = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    table.map(|factor| ((u32::from(factor) * percent + 50) / 100).clamp(1, 255) as u8)
}

fn header(out: &mut Vec<u8>, (width, height): (u16, u16), quants: &[[u8; 64]; 2]) {
    out.extend([0xff, 0xd8]);
    let mut segment = |marker: u8, content: &[&[u8]]| {
        let content = content.concat();
        out.extend([0xff, marker]);
        out.extend((content.len() as u16 + 2).to_be_bytes());
        out.extend(content);
    };
    let [[w1, w0], [h1, h0]] = [width.to_be_bytes(), height.to_be_bytes()];
    segment(0xe0, &[b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"]);
    for (number, quants) in (0..).zip(quants) {
        segment(0xdb, &[&[number], &ZIGZAG.map(|at| quants[usize::from(at)])]);
    }
    segment(
        0xc0,
        &[&[8, h1, h0, w1, w0, 3], &[1, 0x22, 0], &[2, 0x11, 1], &[3, 0x11, 1]],
    );
    for (number, table) in [(0x00, LUMA_DC), (0x10, LUMA_AC), (0x01, CHROMA_DC), (0x11, CHROMA_AC)] {
        segment(0xc4, &[&[number], table.counts, table.symbols]);
    }
    segment(0xda, &[&[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]]);
}

/// Rows of samples.
struct Plane {
    stride: usize,
    samples: Vec<u8>,
}

impl Plane {
    fn new(stride: usize, rows: usize) -> Self {
        let samples = vec![0; stride * rows];
        Self { stride, samples }
    }

    fn row(&mut self, row: usize) -> &mut [u8] {
        &mut self.samples[row * self.stride..][..self.stride]
    }

    /// Makes this row the same as the one above.
    fn repeat(&mut self, row: usize) {
        self.samples
            .copy_within((row - 1) * self.stride..row * self.stride, row * self.stride);
    }

    /// The block at this place, counted in blocks; samples from -128 to 127.
    fn block(&self, column: usize, row: usize) -> [i16x8; 8] {
        let rows = &self.samples[row * 8 * self.stride + column * 8..];
        std::array::from_fn(|y| {
            let row = &rows[y * self.stride..][..8];
            i16x8::new(std::array::from_fn(|x| i16::from(row[x]))) - i16x8::splat(128)
        })
    }
}

/// A row of units: 16 rows of pixels.
struct Strip {
    width: usize,
    luma: Plane,
    /// Cb and Cr at half the size.
    chroma: [Plane; 2],
    /// Cb and Cr of two rows.
    full: [Plane; 2],
}

impl Strip {
    fn new(width: usize) -> Self {
        let stride = width.next_multiple_of(16);
        Self {
            width,
            luma: Plane::new(stride, 16),
            chroma: [(); 2].map(|()| Plane::new(stride / 2, 8)),
            full: [(); 2].map(|()| Plane::new(stride, 2)),
        }
    }

    /// Takes up to 16 rows of RGB pixels. Below and to the right of them samples are repeated: of chroma the means.
    fn fill(&mut self, pixels: &[u8]) {
        let Self {
            width,
            luma,
            chroma,
            full: [cb, cr],
        } = self;
        let width = *width;
        let mut rows = pixels.chunks_exact(width * 3);
        for pair in 0..8 {
            let lines = [rows.next(), rows.next()];
            for (row, line) in (2 * pair..).zip(lines) {
                let Some(line) = line else {
                    luma.repeat(row);
                    continue;
                };
                let (y, cb, cr) = (luma.row(row), cb.row(row % 2), cr.row(row % 2));
                from_rgb(line, &mut y[..width], &mut cb[..width], &mut cr[..width]);
                for samples in [y, cb, cr] {
                    let last = samples[width - 1];
                    samples[width..].fill(last);
                }
            }
            for (full, half) in [&mut *cb, &mut *cr].into_iter().zip(&mut *chroma) {
                match lines {
                    [None, _] => half.repeat(pair),
                    [Some(_), lower] => {
                        if lower.is_none() {
                            full.repeat(1);
                        }
                        let (upper, lower) = full.samples.split_at(full.stride);
                        halve(upper, lower, half.row(pair));
                    }
                }
            }
        }
    }
}

/// How blocks of a component become bits.
struct Coding {
    reciprocals: [[f32x4; 2]; 8],
    dc: [Code; 256],
    ac: [Code; 256],
}

/// The bits for a symbol, and how many there are.
#[derive(Clone, Copy, Default)]
struct Code {
    bits: u16,
    length: u16,
}

/// The codes by symbol (T.81, annex C).
fn codes(definition: &Definition<'_>) -> [Code; 256] {
    let mut codes = [Code::default(); 256];
    let mut symbols = definition.symbols.iter();
    let mut bits = 0;
    for (length, &count) in (1..).zip(definition.counts) {
        for &symbol in symbols.by_ref().take(usize::from(count)) {
            codes[usize::from(symbol)] = Code { bits, length };
            bits += 1;
        }
        bits <<= 1;
    }
    codes
}

/// Of eight times the factors, since the transform gives eight times the coefficients.
fn reciprocals(quants: &[u8; 64]) -> [[f32x4; 2]; 8] {
    let reciprocals = quants.map(|quant| 1.0 / (8.0 * f32::from(quant)));
    cast(reciprocals)
}

/// Rounded quotients, halves away from zero: exact, since dividends are below 2^15 and not nearer than a quarter to what
/// would be rounded the other way.
#[inline]
fn quantize(coefficients: i32x4, reciprocals: f32x4) -> i32x4 {
    /// Above this the steps of an f32 are 1, so adding it rounds.
    const STEPS_OF_ONE: f32 = 8_388_608.0;
    let sign = coefficients >> 31;
    let magnitude = (coefficients ^ sign) - sign;
    let rounded = (f32x4::from_i32x4(magnitude) + f32x4::splat(0.25)) * reciprocals + f32x4::splat(STEPS_OF_ONE);
    let magnitude = cast::<f32x4, i32x4>(rounded) & i32x4::splat(0x007f_ffff);
    (magnitude ^ sign) - sign
}

impl Coding {
    fn block(&self, bits: &mut Bits, dc: &mut i32, samples: [i16x8; 8]) {
        let coefficients = forward(&samples);
        let block: [i16x8; 8] = std::array::from_fn(|row| {
            let halves: [i32x4; 2] =
                std::array::from_fn(|half| quantize(coefficients[row][half], self.reciprocals[row][half]));
            i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>(halves))
        });
        // Which ones are not 0, in zigzag order.
        let mut mask = 0;
        for (row, masks) in block.iter().zip(&IN_ZIGZAG) {
            mask |= masks[row.simd_ne(i16x8::splat(0)).to_bitmask() as usize % 256];
        }
        let block: &[i16; 64] = cast_ref(&block);
        let Bits { words, last: end } = bits;
        let mut bits = *end;
        let value = i32::from(block[0]);
        let (size, low) = magnitude(value - *dc);
        bits.put(words, self.dc[size as usize], size, low);
        *dc = value;
        mask &= !1;
        let mut last = 0;
        while mask != 0 {
            let at = mask.trailing_zeros();
            mask &= mask - 1;
            let mut run = at - last - 1;
            while run > 15 {
                bits.put(words, self.ac[0xf0], 0, 0);
                run -= 16;
            }
            let value = block[usize::from(ZIGZAG[at as usize % 64]) % 64];
            let (size, low) = magnitude(i32::from(value));
            bits.put(words, self.ac[(run << 4 | size) as usize % 256], size, low);
            last = at;
        }
        if last < 63 {
            bits.put(words, self.ac[0], 0, 0); // end of block
        }
        *end = bits;
    }

    /// A block like the one before, but flat.
    fn nothing(&self, bits: &mut Bits) {
        for code in [self.dc[0], self.ac[0]] {
            bits.last.put(&mut bits.words, code, 0, 0);
        }
    }
}

/// How many bits a value takes, and which.
#[inline]
fn magnitude(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    // Negative ones are one less, so that they begin with 0.
    let low = (value + (value >> 31)) as u32 & ((1 << size) - 1);
    (size, low)
}

/// By row and by the columns that are not 0: their bits in zigzag order.
static IN_ZIGZAG: [[u64; 256]; 8] = {
    let mut masks = [[0; 256]; 8];
    let mut at = 0;
    while at < 64 {
        let (row, column) = (ZIGZAG[at] as usize / 8, ZIGZAG[at] % 8);
        let mut columns = 0;
        while columns < 256 {
            if columns >> column & 1 == 1 {
                masks[row][columns] |= 1 << at;
            }
            columns += 1;
        }
        at += 1;
    }
    masks
};

/// Collects entropy coded data, in words that begin with the highest bit.
struct Bits {
    words: Vec<u64>,
    last: Last,
}

/// The word that is not full yet, and how many of its bits are free, at least one. Apart, so that it stays in registers.
#[derive(Clone, Copy)]
struct Last {
    word: u64,
    free: u32,
}

impl Last {
    /// A code and `size` bits of a value behind it, together at most 27.
    #[inline]
    fn put(&mut self, words: &mut Vec<u64>, code: Code, size: u32, value: u32) {
        let length = u32::from(code.length) + size;
        let bits = u64::from(u32::from(code.bits) << size | value);
        if length < self.free {
            self.free -= length;
            self.word |= bits << self.free;
        } else {
            let over = length - self.free;
            words.push(self.word | bits >> over);
            // Nothing is left of the bits if none are over.
            self.word = bits << 1 << (63 - over);
            self.free = 64 - over;
        }
    }
}

impl Bits {
    /// Appends the data, with ones in what is left of the last byte, and a zero behind each byte 0xff.
    fn write(self, out: &mut Vec<u8>) {
        for word in self.words {
            if has_ff(word) {
                stuff(out, &word.to_be_bytes());
            } else {
                out.extend_from_slice(&word.to_be_bytes());
            }
        }
        let Last { word, free } = self.last;
        let filled = word | (u64::MAX >> (64 - free));
        stuff(out, &filled.to_be_bytes()[..(64 - free).div_ceil(8) as usize]);
    }
}

fn stuff(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0xff {
            out.push(0);
        }
    }
}
