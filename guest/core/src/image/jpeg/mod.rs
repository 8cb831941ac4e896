//! Baseline JPEG (ITU-T T.81) in the vector instructions that WebAssembly has, since no well kept codec uses them: what
//! caches hold is decoded, only as far as it shows, and every map is encoded.
//!
//! The arithmetic is that of libjpeg's exact integer methods, so pixels and files are those of Pillow to the last bit.
//! It knows nothing of rasters; `decode/jpeg.rs` and `encode/jpeg.rs` do. What is not baseline is for zune-jpeg.

mod color;
mod dct;
mod decode;
mod encode;
mod header;
mod huffman;

pub(super) use encode::encode;
pub(super) use header::Header;

/// Where the coefficients of the zigzag order (T.81, figure A.6) stand in a block, row by row.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

#[cfg(test)]
mod tests;
