//! Pixels to PNG. The chunks are written here and deflated by zlib-rs, which is both faster and denser than what the
//! `png` crate offers between its extremes.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::EncodeError;
use crate::image::quantize::count_used;
use crate::image::raster::{Pixels, Raster, full_palette};

/// Deflates palette rows, which are stored as they are (PNG specification 12.7: filters do not help palettes). A map is
/// made for one answer: where most pixels are like their left neighbours, the quick level finds nearly what the others
/// find. What is no larger than a tile is worth more: it is stored, and sent again and again. If it shrinks much it
/// shrinks quickly, and often more still: there another level is worth its time, which elsewhere takes half as long again
/// and saves a twentieth.
fn deflate_indexed(rows: &[u8], indices: &[u8]) -> Result<Vec<u8>, EncodeError> {
    const TILE: usize = 256 * 256;
    if indices.len() <= TILE {
        let packed = deflate(rows, 2)?;
        return if packed.len() < rows.len() / 6 {
            deflate(rows, 3)
        } else {
            Ok(packed)
        };
    }
    let pairs = indices.iter().zip(&indices[1..]);
    let runs = pairs.filter(|(index, next)| index == next).count();
    let mostly_runs = runs as f64 > indices.len() as f64 * 0.65;
    deflate(rows, if mostly_runs { 1 } else { 2 })
}

/// True colour rows are filtered first.
const TRUE_COLOR_LEVEL: u32 = 3;

/// The picture as PNG. A palette loses the entries nobody uses and takes 1, 2 or 4 bits per pixel where it can.
pub(super) fn encode(raster: &Raster) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = raster.size();
    let row_len = width as usize;
    let (color_type, bits, body, palette) = match raster.pixels() {
        Pixels::Indexed { indices, palette } => {
            let compact = Compact::new(indices, palette);
            let rows = compact.rows(indices, row_len, height);
            (3, compact.bits, deflate_indexed(&rows, indices)?, Some(compact.palette))
        }
        Pixels::Gray(data) => (0, 8, deflate(&filtered::<1>(data, row_len), TRUE_COLOR_LEVEL)?, None),
        Pixels::Rgb(data) => (2, 8, deflate(&filtered::<3>(data, row_len), TRUE_COLOR_LEVEL)?, None),
        Pixels::Rgba(data) => (6, 8, deflate(&filtered::<4>(data, row_len), TRUE_COLOR_LEVEL)?, None),
    };
    let mut out = Vec::with_capacity(body.len() + 1200);
    out.extend_from_slice(b"\x89PNG\r\n\x1a\n");
    let mut header = [0; 13];
    header[..4].copy_from_slice(&width.to_be_bytes());
    header[4..8].copy_from_slice(&height.to_be_bytes());
    header[8] = bits;
    header[9] = color_type;
    chunk(&mut out, *b"IHDR", &header)?;
    if let Some(palette) = palette {
        let rgb: Vec<u8> = palette
            .iter()
            .flat_map(|color| [color[0], color[1], color[2]])
            .collect();
        chunk(&mut out, *b"PLTE", &rgb)?;
        // Translucent colours come first, so the list may end with the last of them.
        let alpha: Vec<u8> = palette
            .iter()
            .map(|color| color[3])
            .take_while(|&alpha| alpha != 255)
            .collect();
        if !alpha.is_empty() {
            chunk(&mut out, *b"tRNS", &alpha)?;
        }
    }
    chunk(&mut out, *b"IDAT", &body)?;
    chunk(&mut out, *b"IEND", &[])?;
    Ok(out)
}

fn chunk(out: &mut Vec<u8>, name: [u8; 4], data: &[u8]) -> Result<(), EncodeError> {
    let len = u32::try_from(data.len()).ok().filter(|&len| len <= 1 << 31);
    let Some(len) = len else {
        return Err(EncodeError::Failed {
            format: "png",
            reason: format!("a chunk of {} bytes is too long", data.len()),
        });
    };
    let mut crc = crc32fast::Hasher::new();
    crc.update(&name);
    crc.update(data);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&name);
    out.extend_from_slice(data);
    out.extend_from_slice(&crc.finalize().to_be_bytes());
    Ok(())
}

fn deflate(rows: &[u8], level: u32) -> Result<Vec<u8>, EncodeError> {
    let failed = |err: std::io::Error| EncodeError::Failed {
        format: "png",
        reason: err.to_string(),
    };
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(rows.len() / 4 + 64), Compression::new(level));
    encoder.write_all(rows).map_err(failed)?;
    encoder.finish().map_err(failed)
}

/// A palette without unused entries, translucent ones first, and how to get there.
struct Compact {
    palette: Vec<[u8; 4]>,
    /// New index of each old one; `None` where nothing changes.
    table: Option<[u8; 256]>,
    bits: u8,
}

impl Compact {
    fn new(indices: &[u8], palette: &[[u8; 4]]) -> Self {
        let used = count_used(indices);
        let colors = full_palette(palette);
        let mut order: Vec<u8> = (0..=255).filter(|&index| used[usize::from(index)]).collect();
        order.sort_by_key(|&index| colors[usize::from(index)][3] == 255);
        let mut table = [0; 256];
        for (new, &old) in (0..=255).zip(&order) {
            table[usize::from(old)] = new;
        }
        let identity = order.iter().all(|&old| table[usize::from(old)] == old);
        let bits = match order.len() {
            0..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        let palette = order.iter().map(|&old| colors[usize::from(old)]).collect();
        Self {
            palette,
            table: (!identity).then_some(table),
            bits,
        }
    }

    /// Scan lines, each with its filter byte (0, none).
    fn rows(&self, indices: &[u8], width: usize, height: u32) -> Vec<u8> {
        let per_byte = usize::from(8 / self.bits);
        let mut rows = Vec::with_capacity((width.div_ceil(per_byte) + 1) * height as usize);
        for line in indices.chunks_exact(width) {
            rows.push(0);
            match (&self.table, per_byte) {
                (None, 1) => rows.extend_from_slice(line),
                (Some(table), 1) => rows.extend(line.iter().map(|&index| table[usize::from(index)])),
                (table, _) => rows.extend(line.chunks(per_byte).map(|group| {
                    group.iter().zip(1_u32..).fold(0, |byte, (&index, place)| {
                        let index = table.as_ref().map_or(index, |table| table[usize::from(index)]);
                        byte | index << (8 - u32::from(self.bits) * place)
                    })
                })),
            }
        }
        rows
    }
}

/// Scan lines, each with the filter that leaves the smallest sum of differences (PNG specification 12.7).
fn filtered<const BPP: usize>(data: &[u8], width: usize) -> Vec<u8> {
    let stride = width * BPP;
    let mut rows = Vec::with_capacity(data.len() + data.len() / stride);
    let mut above: &[u8] = &vec![0; stride];
    let mut candidates = [(); 4].map(|()| vec![0; stride]);
    for line in data.chunks_exact(stride) {
        let [sub, up, average, paeth] = &mut candidates;
        let head = BPP.min(stride);
        sub[..head].copy_from_slice(&line[..head]);
        for ((to, &x), &left) in sub[head..].iter_mut().zip(&line[head..]).zip(line) {
            *to = x.wrapping_sub(left);
        }
        for ((to, &x), &b) in up.iter_mut().zip(line).zip(above) {
            *to = x.wrapping_sub(b);
        }
        for ((to, &x), &b) in average.iter_mut().zip(line).zip(above).take(head) {
            *to = x.wrapping_sub(b / 2);
        }
        for (((to, &x), &left), &b) in average[head..]
            .iter_mut()
            .zip(&line[head..])
            .zip(line)
            .zip(&above[head..])
        {
            *to = x.wrapping_sub(left.midpoint(b));
        }
        paeth[..head].copy_from_slice(&up[..head]);
        let corner = line.iter().zip(above);
        for (((to, &x), (&left, &corner)), &b) in paeth[head..]
            .iter_mut()
            .zip(&line[head..])
            .zip(corner)
            .zip(&above[head..])
        {
            *to = x.wrapping_sub(paeth_predictor(left, b, corner));
        }
        let mut best = (cost(line), 0, line);
        for (candidate, kind) in candidates.iter().zip(1..) {
            let cost = cost(candidate);
            if cost < best.0 {
                best = (cost, kind, candidate);
            }
        }
        rows.push(best.1);
        rows.extend_from_slice(best.2);
        above = line;
    }
    rows
}

fn cost(row: &[u8]) -> u64 {
    // Two steps, so that the inner sum stays in a narrow type and vectorises.
    row.chunks(1 << 16)
        .map(|part| u64::from(part.iter().map(|&v| u32::from((v as i8).unsigned_abs())).sum::<u32>()))
        .sum()
}

fn paeth_predictor(left: u8, above: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(above), i16::from(corner));
    let (to_left, to_above, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    let nearest = if to_above <= to_corner { above } else { corner };
    if to_left <= to_above && to_left <= to_corner {
        left
    } else {
        nearest
    }
}
