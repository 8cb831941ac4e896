//! Deflate for rows of palette indices (RFC 1950, 1951), which are made for every tile that is stored.
//!
//! Matches are looked for at two places only: where the same four bytes were last, and in the row above. A general
//! compressor also keeps chains of earlier places and a window it has to move, clears 270 KB for each file, and takes a
//! third longer for files that are a twentieth smaller.

use wide::bytemuck::cast;
use wide::{i16x8, i32x4, u8x16};

/// The longest match (RFC 1951, 3.2.5).
const LONGEST: usize = 258;
/// How far back a match may be.
const FARTHEST: usize = 32 << 10;
/// Bits of the hash of four bytes.
const HASH: u32 = 12;
/// Literals and matches in one block, which has codes of its own.
const BLOCK: usize = 32 << 10;
/// The symbol that ends a block.
const END: usize = 256;

/// Symbols of literals and lengths, and of distances.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;

/// The order in which lengths of codes of lengths come (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The data in zlib's format. `stride` is the length of a row in bytes.
pub(super) fn zlib(data: &[u8], stride: usize) -> Vec<u8> {
    let mut bits = Bits {
        out: Vec::with_capacity(data.len() / 2 + 64),
        at: 0,
        held: 0,
        count: 0,
    };
    // deflate with a window of 32 KB, the quickest level
    bits.append(&[0x78, 0x01]);
    let mut places = [0_u32; 1 << HASH];
    let mut at = 0;
    loop {
        let start = at;
        let mut block = Block::new();
        at = block.fill(data, at, stride, &mut places);
        let last = at == data.len();
        block.write(&mut bits, &data[start..at], last);
        if last {
            break;
        }
    }
    bits.align();
    bits.append(&adler(data).to_be_bytes());
    bits.out
}

/// Bits, the first one lowest.
struct Bits {
    /// with room for what comes next
    out: Vec<u8>,
    /// where that is
    at: usize,
    held: u64,
    /// fewer than 8 after a [`flush`](Self::flush)
    count: u32,
}

impl Bits {
    /// Makes room for so many bytes.
    fn reserve(&mut self, bytes: usize) {
        self.out.resize(self.at + bytes + 16, 0);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.out.truncate(self.at);
        self.out.extend_from_slice(bytes);
        self.at = self.out.len();
    }

    /// No more than 56 until the next flush.
    #[inline]
    fn put(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
    }

    /// Writes whole bytes.
    #[inline]
    fn flush(&mut self) {
        let next = &mut self.out[self.at..self.at + 8];
        next.copy_from_slice(&self.held.to_le_bytes());
        self.at += (self.count / 8) as usize;
        self.held >>= self.count & !7;
        self.count &= 7;
    }

    /// Fills the last byte with zeros.
    fn align(&mut self) {
        self.count = self.count.next_multiple_of(8);
        self.reserve(0);
        self.flush();
    }
}

/// What a block is made of, and how often each symbol occurs.
struct Block {
    /// literals (below 256), and matches: the highest bit, 15 bits of length, 16 bits of distance less one
    tokens: Vec<u32>,
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

impl Block {
    fn new() -> Self {
        let mut literals = [0; LITERALS];
        literals[END] = 1;
        Self {
            tokens: Vec::with_capacity(BLOCK),
            literals,
            distances: [0; DISTANCES],
        }
    }

    fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
        self.tokens.push(byte.into());
    }

    fn copy(&mut self, length: usize, distance: usize) {
        self.literals[length_symbol(length).0] += 1;
        self.distances[distance_symbol(distance).0] += 1;
        self.tokens
            .push(1 << 31 | (length as u32) << 16 | (distance - 1) as u32);
    }

    /// Takes in what fits of the data from `at` on, and tells where that ends.
    #[inline(never)]
    fn fill(&mut self, data: &[u8], mut at: usize, stride: usize, places: &mut [u32; 1 << HASH]) -> usize {
        while self.tokens.len() < BLOCK {
            let Some(word) = word(data, at) else {
                let Some(&byte) = data.get(at) else { break };
                self.literal(byte);
                at += 1;
                continue;
            };
            let place = &mut places[(word.wrapping_mul(0x9E37_79B1) >> (32 - HASH)) as usize];
            let earlier = *place as usize;
            *place = at as u32;
            let mut length = 0;
            let mut distance = at - earlier;
            let farthest = at.min(FARTHEST);
            if (1..=farthest).contains(&distance) && self::word(data, earlier) == Some(word) {
                length = alike(data, earlier, at);
            }
            if stride != distance && (1..=farthest).contains(&stride) && self::word(data, at - stride) == Some(word) {
                let above = alike(data, at - stride, at);
                if above >= length {
                    (length, distance) = (above, stride);
                }
            }
            if length == 0 {
                self.literal(data[at]);
                at += 1;
            } else {
                self.copy(length, distance);
                at += length;
            }
        }
        at
    }

    /// Extra bits of all matches.
    fn extra(&self) -> u64 {
        let lengths = (0..)
            .zip(&self.literals[265..285])
            .map(|(symbol, &count)| (symbol / 4 + 1) * u64::from(count));
        let distances = (0..)
            .zip(&self.distances[4..])
            .map(|(symbol, &count)| (symbol / 2 + 1) * u64::from(count));
        lengths.sum::<u64>() + distances.sum::<u64>()
    }

    #[inline(never)]
    fn write(&self, bits: &mut Bits, data: &[u8], last: bool) {
        let literals = Codes::<LITERALS>::new(&self.literals, 15);
        let distances = Codes::<DISTANCES>::new(&self.distances, 15);
        let header = Header::new(&literals.lengths, &distances.lengths);
        let size = header.size() + literals.size(&self.literals) + distances.size(&self.distances) + self.extra();
        if size / 8 > data.len() as u64 {
            store(bits, data, last);
            return;
        }
        bits.reserve(size as usize / 8);
        bits.put(u32::from(last) | 2 << 1, 3);
        header.write(bits);
        for &token in &self.tokens {
            if token >> 31 == 0 {
                literals.put(bits, token as usize);
                bits.flush();
                continue;
            }
            let (symbol, extra, count) = length_symbol((token >> 16 & 0x7fff) as usize);
            literals.put(bits, symbol);
            bits.put(extra, count);
            let (symbol, extra, count) = distance_symbol((token & 0xffff) as usize + 1);
            distances.put(bits, symbol);
            bits.put(extra, count);
            bits.flush();
        }
        literals.put(bits, END);
        bits.flush();
    }
}

/// Data as it is (RFC 1951, 3.2.4).
fn store(bits: &mut Bits, data: &[u8], last: bool) {
    let mut rest = data;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(0xffff));
        bits.put(u32::from(last && after.is_empty()), 3);
        bits.align();
        let length = piece.len() as u16;
        bits.append(&length.to_le_bytes());
        bits.append(&(!length).to_le_bytes());
        bits.append(piece);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
}

#[inline]
fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// How many bytes are the same at both places, the first of which is earlier.
#[inline]
fn alike(data: &[u8], earlier: usize, at: usize) -> usize {
    let end = data.len().min(at + LONGEST);
    let (ours, theirs) = (&data[at..end], &data[earlier..earlier + (end - at)]);
    let (our_words, our_rest) = ours.as_chunks::<8>();
    let (their_words, their_rest) = theirs.as_chunks::<8>();
    for (index, (a, b)) in our_words.iter().zip(their_words).enumerate() {
        let differences = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differences != 0 {
            return index * 8 + differences.trailing_zeros() as usize / 8;
        }
    }
    let rest = our_rest.iter().zip(their_rest).take_while(|(a, b)| a == b);
    our_words.len() * 8 + rest.count()
}

/// Symbol of a length (3 to 258), its extra bits and how many these are.
#[inline]
fn length_symbol(length: usize) -> (usize, u32, u32) {
    if length == LONGEST {
        return (285, 0, 0);
    }
    let value = (length - 3) as u32;
    let count = (value | 4).ilog2() - 2;
    let symbol = 257 + (count << 2) + (value >> count);
    (symbol as usize, value & ((1 << count) - 1), count)
}

/// The same for a distance (1 to 32768).
#[inline]
fn distance_symbol(distance: usize) -> (usize, u32, u32) {
    let value = (distance - 1) as u32;
    let count = (value | 2).ilog2() - 1;
    let symbol = (count << 1) + (value >> count);
    (symbol as usize, value & ((1 << count) - 1), count)
}

/// Huffman codes (RFC 1951, 3.2.2).
struct Codes<const N: usize> {
    lengths: [u8; N],
    /// with the first bit lowest, the length above them
    codes: [u32; N],
}

impl<const N: usize> Codes<N> {
    /// The shortest codes of at most so many bits for symbols that occur so often. There is at least one.
    fn new(counts: &[u32; N], longest: usize) -> Self {
        let lengths = code_lengths(counts, longest);
        let mut next = [0_u16; 17];
        for &length in &lengths {
            next[usize::from(length) + 1] += 1;
        }
        next[1] = 0;
        for length in 1..17 {
            next[length] = (next[length] + next[length - 1]) << 1;
        }
        let codes = lengths.map(|length| {
            if length == 0 {
                return 0;
            }
            let code = next[usize::from(length)];
            next[usize::from(length)] += 1;
            u32::from(code.reverse_bits() >> (16 - length)) | u32::from(length) << 16
        });
        Self { lengths, codes }
    }

    #[inline]
    fn put(&self, bits: &mut Bits, symbol: usize) {
        bits.put(self.codes[symbol] & 0xffff, self.codes[symbol] >> 16);
    }

    /// In bits, of all symbols.
    fn size(&self, counts: &[u32; N]) -> u64 {
        let sizes = self.lengths.iter().zip(counts);
        sizes
            .map(|(&length, &count)| u64::from(length) * u64::from(count))
            .sum()
    }
}

/// Lengths of Huffman codes, none longer than `longest`.
fn code_lengths<const N: usize>(counts: &[u32; N], longest: usize) -> [u8; N] {
    let mut lengths = [0; N];
    let mut symbols: Vec<(u32, usize)> = (0..N).filter(|&s| counts[s] > 0).map(|s| (counts[s], s)).collect();
    if symbols.len() < 2 {
        // A decoder wants to read something.
        lengths[symbols.first().map_or(0, |(_, symbol)| *symbol)] = 1;
        return lengths;
    }
    symbols.sort_unstable();
    // The two that occur least become one, again and again: those come in order, and so do their sums.
    let leaves = symbols.len();
    let mut weights: Vec<u32> = symbols.iter().map(|(count, _)| *count).collect();
    let mut parents = vec![0; 2 * leaves - 1];
    let (mut leaf, mut sum) = (0, leaves);
    for node in leaves..2 * leaves - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            let smallest = if leaf < leaves && (sum >= node || weights[leaf] <= weights[sum]) {
                &mut leaf
            } else {
                &mut sum
            };
            weight += weights[*smallest];
            parents[*smallest] = node;
            *smallest += 1;
        }
        weights.push(weight);
    }
    // How many codes of each length there are; those that are too long become as long as is allowed.
    let mut depths = vec![0_usize; 2 * leaves - 1];
    let mut of_length = [0_usize; 16];
    for node in (0..2 * leaves - 2).rev() {
        depths[node] = depths[parents[node]] + 1;
        if node < leaves {
            of_length[depths[node].min(longest)] += 1;
        }
    }
    // That takes more room than there is: the deepest code that can be a bit longer makes some, until it is enough.
    let mut room: usize = (1..=longest)
        .map(|length| of_length[length] << (longest - length))
        .sum();
    while room > 1 << longest {
        let shorter = (1..longest).rev().find(|&length| of_length[length] > 0).unwrap_or(1);
        of_length[longest] -= 1;
        of_length[shorter] -= 1;
        of_length[shorter + 1] += 2;
        room -= 1;
    }
    // The longest go to those that occur least.
    let mut ordered = symbols.iter();
    for length in (1..=longest).rev() {
        for (_, symbol) in ordered.by_ref().take(of_length[length]) {
            lengths[*symbol] = length as u8;
        }
    }
    lengths
}

/// The lengths of both codes, packed (RFC 1951, 3.2.7).
struct Header {
    /// symbol, extra bits, how many
    runs: Vec<(usize, u32, u32)>,
    counts: [u32; 19],
    codes: Codes<19>,
    literals: usize,
    distances: usize,
}

impl Header {
    fn new(literals: &[u8; LITERALS], distances: &[u8; DISTANCES]) -> Self {
        let used = |lengths: &[u8], least: usize| {
            let last = lengths.iter().rposition(|&length| length > 0);
            last.map_or(least, |last| least.max(last + 1))
        };
        let (literal_count, distance_count) = (used(literals, 257), used(distances, 1));
        let lengths = [&literals[..literal_count], &distances[..distance_count]].concat();
        let mut runs = Vec::new();
        for run in lengths.chunk_by(|a, b| a == b) {
            let (length, mut left) = (run[0], run.len());
            if length == 0 {
                while left >= 3 {
                    let now = left.min(138);
                    runs.push(if now < 11 {
                        (17, now as u32 - 3, 3)
                    } else {
                        (18, now as u32 - 11, 7)
                    });
                    left -= now;
                }
            } else {
                runs.push((length.into(), 0, 0));
                left -= 1;
                while left >= 3 {
                    let now = left.min(6);
                    runs.push((16, now as u32 - 3, 2));
                    left -= now;
                }
            }
            runs.extend((0..left).map(|_| (length.into(), 0, 0)));
        }
        let mut counts = [0; 19];
        for (symbol, ..) in &runs {
            counts[*symbol] += 1;
        }
        Self {
            runs,
            counts,
            codes: Codes::new(&counts, 7),
            literals: literal_count,
            distances: distance_count,
        }
    }

    /// In bits.
    fn size(&self) -> u64 {
        let extra: u32 = self.runs.iter().map(|(_, _, count)| *count).sum();
        17 + 3 * 19 + self.codes.size(&self.counts) + u64::from(extra)
    }

    fn write(&self, bits: &mut Bits) {
        let last = ORDER.iter().rposition(|&symbol| self.codes.lengths[symbol] > 0);
        let ordered = last.map_or(4, |last| (last + 1).max(4));
        bits.put((self.literals - 257) as u32, 5);
        bits.put((self.distances - 1) as u32, 5);
        bits.put((ordered - 4) as u32, 4);
        for symbol in &ORDER[..ordered] {
            bits.put(self.codes.lengths[*symbol].into(), 3);
            bits.flush();
        }
        for &(symbol, extra, count) in &self.runs {
            self.codes.put(bits, symbol);
            bits.put(extra, count);
            bits.flush();
        }
    }
}

/// Adler-32 (RFC 1950, 8.2), sixteen bytes at a time.
fn adler(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let ones = i16x8::splat(1);
    let (first, second) = (
        i16x8::from([16, 15, 14, 13, 12, 11, 10, 9]),
        i16x8::from([8, 7, 6, 5, 4, 3, 2, 1]),
    );
    let (mut a, mut b) = (1_u32, 0_u32);
    // No sum of so many bytes leaves 32 bits.
    for part in data.chunks(5552) {
        let (groups, rest) = part.as_chunks::<16>();
        // The sum of the bytes, that of these sums before each group, and what bytes add to the latter in their groups.
        let [mut sum, mut before, mut within] = [i32x4::splat(0); 3];
        for group in groups {
            let group = u8x16::from(*group);
            let low: i16x8 = cast(u8x16::unpack_low(group, u8x16::splat(0)));
            let high: i16x8 = cast(u8x16::unpack_high(group, u8x16::splat(0)));
            before += sum;
            sum += low.dot(ones) + high.dot(ones);
            within += low.dot(first) + high.dot(second);
        }
        let [sum, before, within] = [sum, before, within].map(|lanes| lanes.reduce_add().cast_unsigned());
        b += a * (groups.len() * 16) as u32 + before * 16 + within;
        a += sum;
        for &byte in rest {
            a += u32::from(byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;

    use super::*;

    /// Packed, and checked with another's decoder, which checks the sum at the end too.
    fn packed(data: &[u8], stride: usize) -> usize {
        let packed = zlib(data, stride);
        let mut unpacked = Vec::new();
        ZlibDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == data, "{} bytes in rows of {stride}", data.len());
        packed.len()
    }

    /// Numbers without a pattern.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn what_repeats_becomes_short_and_what_does_not_hardly_longer() {
        let check = |what: &str, data: &[u8], stride: usize, most: usize| {
            let size = packed(data, stride);
            assert!(size <= most, "{what}: {size} bytes");
        };
        check("nothing", &[], 1, 30);
        check("one byte", &[7], 1, 30);
        check("one color", &vec![7; 65_792], 257, 400);
        check("two bytes in turn", &[1, 2].repeat(40_000), 100, 400);
        check("noise", &noise(65_792), 257, 65_792 + 30);
        check("much noise", &noise(300_000), 1000, 300_000 + 80);
        let row = noise(257);
        check("the same row", &row.repeat(256), 257, 1000);
        let mut steps = Vec::new();
        for y in 0..256_usize {
            steps.extend((0..257_usize).map(|x| ((x / 9 + y / 7) % 200) as u8));
        }
        check("areas", &steps, 257, 4500);
    }

    #[test]
    fn every_length_and_distance_is_written() {
        for length in 4..=259 {
            let piece = noise(length);
            packed(&[&piece[..], &[0, 1], &piece].concat(), 0);
        }
        for distance in (0..15)
            .flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1])
            .chain(32_766..32_770)
        {
            let data = [&noise(6)[..], &vec![9; distance], &noise(6)].concat();
            packed(&data, distance + 6);
        }
    }

    #[test]
    fn no_code_is_too_long() {
        // Each occurs as often as all before it together: the least frequent would have a code of 29 bits.
        let mut counts = [0; LITERALS];
        for (at, count) in counts[..30].iter_mut().enumerate() {
            *count = 1 << at;
        }
        for longest in [7, 15] {
            let lengths = code_lengths(&counts, longest);
            let room: usize = lengths
                .iter()
                .filter(|length| **length > 0)
                .map(|&length| 1 << (longest - usize::from(length)))
                .sum();
            assert_eq!(room, 1 << longest);
            assert!(lengths[29] < lengths[0]);
        }
    }

    proptest! {
        #[test]
        fn anything_comes_back(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..40), 1..60_usize), 0..8),
            stride in 0..600_usize,
        ) {
            let data: Vec<u8> = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect();
            packed(&data, stride);
        }
    }
}
