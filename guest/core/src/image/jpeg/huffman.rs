//! Entropy coded data to coefficients (T.81, annex F.2).
//!
//! `None` everywhere means: not as it should be. Whoever asked gives the file to a decoder that knows how to go on.

use wide::bytemuck::cast_mut;

use super::dct::{PLACES, Paired};

/// Codes up to this length are found in one step.
const SHORT: u32 = 9;
/// The longest code.
const LONGEST: usize = 16;
/// Coefficients of 8 bit samples have no more bits than this: 10 behind a run, 11 in the difference of a DC.
const MOST_BITS: u32 = 11;

/// Bits of a code and the value behind it.
const MOST_TOTAL: u32 = LONGEST as u32 + MOST_BITS;

/// A Huffman table as the file has it: how many codes there are of each length, and the symbols in the order of the codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition<'a> {
    pub(super) counts: &'a [u8; LONGEST],
    pub(super) symbols: &'a [u8],
}

/// What a code stands for, in one word, which a single load brings. 0 if there is no such code.
#[derive(Clone, Copy, Debug, Default)]
struct Symbol(u32);

impl Symbol {
    fn new(length: u8, symbol: u8) -> Self {
        let (run, size) = (symbol >> 4, symbol & 15);
        Self(u32::from_le_bytes([length + size, length, run, size]))
    }

    /// Bits of the code and of the value behind it.
    fn total(self) -> u32 {
        self.0 & 0xff
    }

    /// Bits of the code.
    fn length(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// Zeros before the coefficient.
    fn run(self) -> usize {
        (self.0 >> 16 & 0xff) as usize
    }

    /// Bits of the coefficient.
    fn size(self) -> u32 {
        self.0 >> 24
    }
}

/// A Huffman table to decode with.
#[derive(Debug)]
pub(super) struct Table {
    short: [Symbol; 1 << SHORT],
    /// By length: the first code that is longer, aligned to the left of 16 bits, and the place of its own first symbol.
    lengths: [(u32, u16); LONGEST + 1],
    symbols: Vec<Symbol>,
}

impl Table {
    /// `None` if there are more codes than fit, or one for more bits than a coefficient has.
    pub(super) fn new(definition: &Definition<'_>) -> Option<Self> {
        let mut table = Self {
            short: [Symbol::default(); 1 << SHORT],
            lengths: [(0, 0); LONGEST + 1],
            symbols: Vec::with_capacity(definition.symbols.len()),
        };
        let (mut code, mut symbols) = (0_u32, definition.symbols.iter());
        for (length, &count) in (1_u8..).zip(definition.counts) {
            let width = 1_u32 << (LONGEST as u32 - u32::from(length));
            table.lengths[usize::from(length)].1 = table.symbols.len() as u16;
            for _ in 0..count {
                let &symbol = symbols.next()?;
                let symbol = Symbol::new(length, symbol);
                if code + width > 1 << LONGEST || symbol.size() > MOST_BITS {
                    return None;
                }
                if u32::from(length) <= SHORT {
                    let unused = LONGEST as u32 - SHORT;
                    table.short[(code >> unused) as usize..((code + width) >> unused) as usize].fill(symbol);
                }
                table.symbols.push(symbol);
                code += width;
            }
            table.lengths[usize::from(length)].0 = code;
        }
        Some(table)
    }

    /// The symbol that these bits begin with.
    #[inline]
    fn symbol(&self, bits: u64) -> Option<Symbol> {
        let mut symbol = self.short[(bits >> (64 - SHORT)) as usize];
        if symbol.0 == 0 {
            symbol = self.long_symbol(bits);
        }
        (symbol.0 > 0).then_some(symbol)
    }

    #[cold]
    fn long_symbol(&self, bits: u64) -> Symbol {
        let code = (bits >> 48) as u32;
        let length = (SHORT as usize + 1..=LONGEST).find(|&length| code < self.lengths[length].0);
        let symbol = length.and_then(|length| {
            let first = self.lengths[length - 1].0;
            let place = u32::from(self.lengths[length].1) + ((code - first) >> (LONGEST - length));
            self.symbols.get(place as usize).copied()
        });
        symbol.unwrap_or_default()
    }
}

/// The value that follows the code these bits begin with (T.81, F.2.2.1, EXTEND).
#[inline]
fn value(bits: u64, symbol: Symbol) -> i32 {
    let bits = bits << symbol.length();
    let value = (bits >> 1 >> (63 - symbol.size())) as i32;
    // What begins with 0 is negative.
    let negative = !((bits as i64) >> 63) as i32;
    value + (negative & (1 - (1 << symbol.size())))
}

/// Whether one of the bytes is 0xff: whether one of the complement is 0.
pub(super) fn has_ff(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    (!word).wrapping_sub(ONES) & word & (ONES << 7) != 0
}

/// A stretch between two restart markers.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// In words.
    start: usize,
    /// How many there are.
    bits: usize,
}

/// The entropy coded data without stuffed bytes and markers, in words of 64 bits that begin with the highest one.
#[derive(Debug)]
pub(super) struct Scan {
    words: Vec<u64>,
    segments: Vec<Segment>,
}

impl Scan {
    /// What lies between the head of a scan and the next marker, or the first `most` stretches between restarts.
    pub(super) fn new(mut bytes: &[u8], most: usize) -> Option<Self> {
        let mut words = Vec::with_capacity(bytes.len() / 8 + 3);
        let mut segments = Vec::new();
        // The word that is not full yet, and how much there is of this stretch.
        let (mut word, mut start, mut bits) = (0, 0, 0);
        loop {
            let offset = bits % 64;
            if let Some((&chunk, rest)) = bytes.split_first_chunk()
                && !has_ff(u64::from_ne_bytes(chunk))
            {
                let chunk = u64::from_be_bytes(chunk);
                words.push(word | chunk >> offset);
                word = chunk << 1 << (63 - offset);
                bits += 64;
                bytes = rest;
                continue;
            }
            let (&byte, rest) = bytes.split_first()?;
            bytes = rest;
            if byte == 0xff {
                let (&marker, rest) = bytes.split_first()?;
                bytes = rest;
                if marker > 0 {
                    words.push(word);
                    segments.push(Segment { start, bits });
                    let restart = 0xd0 + ((segments.len() - 1) % 8) as u8;
                    if marker != restart || segments.len() == most {
                        break;
                    }
                    (word, start, bits) = (0, words.len(), 0);
                    continue;
                }
            }
            word |= u64::from(byte) << (56 - offset);
            bits += 8;
            if offset == 56 {
                words.push(std::mem::take(&mut word));
            }
        }
        // So that a reader finds two words wherever it is.
        words.extend([0; 2]);
        Some(Self { words, segments })
    }

    /// Reads the stretch with this number.
    pub(super) fn reader(&self, number: usize) -> Option<Reader<'_>> {
        let Segment { start, bits } = *self.segments.get(number)?;
        let words = self.words.get(start..)?;
        Some(Reader { words, bit: 0, bits })
    }
}

/// A place in a stretch of entropy coded data.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    words: &'a [u64],
    bit: usize,
    bits: usize,
}

impl Reader<'_> {
    /// The next 64 bits. At the end there are other ones behind the right ones: see [`Self::is_valid`].
    #[inline]
    fn peek(&self) -> Option<u64> {
        let word = self.bit / 64;
        let &[high, low] = self.words.get(word..word + 2)?.first_chunk()?;
        let offset = self.bit % 64;
        Some((high << offset) | (low >> 1 >> (63 - offset)))
    }

    /// Whether all that was read was there.
    pub(super) fn is_valid(&self) -> bool {
        self.bit <= self.bits
    }

    /// Reads the coefficients of a block into `out`, where all are 0, or skips them unless they are `SHOWN`. How many
    /// there are in zigzag order up to the last one that is not 0.
    pub(super) fn block<const SHOWN: bool>(
        &mut self,
        (dc_table, ac_table): (&Table, &Table),
        dc: &mut i32,
        out: &mut Paired,
    ) -> Option<usize> {
        let out: &mut [i16; 64] = cast_mut(out);
        let mut bits = self.peek()?;
        let symbol = dc_table.symbol(bits)?;
        *dc = dc.wrapping_add(value(bits, symbol));
        out[0] = *dc as i16;
        bits <<= symbol.total();
        let mut used = symbol.total();
        let mut next = 1;
        while next < 64 {
            if used > 64 - MOST_TOTAL {
                self.bit += used as usize;
                (bits, used) = (self.peek()?, 0);
            }
            let symbol = ac_table.symbol(bits)?;
            let before = bits;
            bits <<= symbol.total();
            used += symbol.total();
            if symbol.size() == 0 && symbol.run() < 15 {
                break; // end of block
            }
            next += symbol.run();
            // Sixteen zeros are a run of fifteen and a coefficient of no bits, which is 0.
            let &place = PLACES.get(next)?;
            if SHOWN {
                out[usize::from(place) % 64] = value(before, symbol) as i16;
            }
            next += 1;
        }
        self.bit += used as usize;
        Some(next)
    }
}
