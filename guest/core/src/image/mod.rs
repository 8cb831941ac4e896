//! Everything that touches pixels: decode, join, transform, merge, quantise, draw text, encode.
//!
//! Answers to MapProxy's `mapproxy/image/` and to section 15 of the behaviour inventory. Knows nothing of SRS, grids or
//! protocols: coordinates arrive as pixel positions, coverages as masks.

mod band_merge;
mod blank;
mod decode;
mod encode;
#[cfg(test)]
mod golden;
mod jpeg;
mod map_image;
mod mask;
mod merge;
mod mosaic;
mod options;
mod quantize;
mod raster;
mod recolor;
mod split;
mod text;
mod transform;

pub use band_merge::{Band, BandSource, merge_bands};
pub use blank::{blank, filled};
pub use decode::{DecodeError, Limits, decode, peek_format, peek_size};
pub use encode::{EncodeError, can_encode, encode};
pub use map_image::{Cacheability, GeoReference, MapImage, MapImageError};
pub use mask::Mask;
pub use merge::{Layer, merge, place_in_image, position_in_image};
pub use mosaic::TileMosaic;
pub use options::{
    EncodingOptions, ImageFormat, ImageOptions, Mode, Quantizer, Resampling, TiffCompression, UnknownName,
    compatible_options,
};
pub use quantize::quantize;
pub use raster::{MAX_PIXELS, Pixels, Raster, RasterError};
pub use recolor::{make_transparent, single_color};
pub use split::TileSplitter;
pub use text::{Spacing, WatermarkStyle, attribution, debug_image, message_image, watermark};
pub use transform::{
    Fill, Mesh, PixelMapping, SameSrs, SeparableMapping, crop, transform_same_srs, warp_mesh, warp_separable,
};
