//! What a server may send as a picture: decoded within its limits or refused, and what was decoded can be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mapproxy_core::image::{
    Fill, ImageFormat, ImageOptions, Limits, MapImage, TileMosaic, decode, encode, peek_format, peek_size,
};

/// Small, so that a picture that passes is soon written.
const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    side: 512,
    pixels: 1 << 16,
};

fuzz_target!(|input: &[u8]| {
    let size = peek_size(input);
    let _ = peek_format(input);
    let Ok(raster) = decode(input, &LIMITS) else { return };
    assert!(raster.width() <= LIMITS.side && raster.height() <= LIMITS.side);
    if let Ok(size) = size {
        assert_eq!(raster.size(), size, "the size was known before");
    }
    let (width, height) = raster.size();
    let image = MapImage::from_bytes(input.to_vec(), ImageOptions::default()).with_limits(LIMITS);
    let mosaic = TileMosaic::new(1, 1, (width, height), vec![Some(image)]).expect("a size that exists");
    let window = (width.div_ceil(2), height.div_ceil(2));
    let corner = (i64::from(width / 3), i64::from(height / 3));
    let part = mosaic.window(corner, window, None, Fill::Transparent).expect("what is whole has parts");
    assert_eq!(part.size(), window);
    for format in [ImageFormat::PNG, ImageFormat::JPEG, ImageFormat::GIF] {
        encode(raster.clone(), &ImageOptions::new(format), None).expect("what was decoded can be written");
    }
});
