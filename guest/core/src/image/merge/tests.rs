//! Tests of `merge`: order, opacity, masks and what passes through.

use super::*;
use crate::image::filled;
use crate::image::options::ImageFormat;

fn layer(color: [u8; 4], transparent: Option<bool>, opacity: Option<f32>) -> Layer {
    let raster = Raster::new(2, 2, Pixels::Rgba(color.repeat(4))).unwrap();
    let raster = if transparent == Some(true) {
        raster
    } else {
        raster.into_rgb()
    };
    Layer::from(MapImage::from_raster(
        raster,
        ImageOptions {
            transparent,
            opacity,
            ..ImageOptions::default()
        },
    ))
}

fn options(transparent: bool, bgcolor: [u8; 3]) -> ImageOptions {
    ImageOptions {
        transparent: Some(transparent),
        bgcolor: Some(bgcolor),
        ..ImageOptions::default()
    }
}

#[test]
fn layers_are_mixed_as_mapproxy_does() {
    let base = || layer([200, 100, 50, 255], Some(false), None);
    let check = |layers: Vec<Layer>, options: ImageOptions, expect: [u8; 4]| {
        let merged = merge(layers, &options, None, None).unwrap().into_raster().unwrap();
        assert_eq!(merged.pixel(0, 0), Some(expect), "{options:?}");
        merged
    };
    let white = [255; 3];
    let green = |alpha| layer([0, 255, 0, alpha], Some(true), None);
    // Values of MapProxy 7.0.0's merge_images.
    let opaque = check(vec![base(), green(128)], options(false, white), [100, 178, 25, 255]);
    assert!(matches!(opaque.pixels(), Pixels::Rgb(_)));
    let clear = check(vec![base(), green(128)], options(true, white), [100, 178, 25, 255]);
    assert!(matches!(clear.pixels(), Pixels::Rgba(_)));
    let blended = || layer([0, 255, 0, 255], None, Some(0.3));
    check(vec![base(), blended()], options(false, white), [140, 146, 35, 255]);
    check(vec![base(), blended()], options(true, white), [140, 146, 35, 255]);
    let faint = || layer([0, 255, 0, 200], Some(true), Some(0.3));
    check(vec![base(), faint()], options(true, white), [154, 136, 38, 255]);
    check(
        vec![green(100), layer([0, 0, 255, 100], Some(true), Some(0.3))],
        options(true, white),
        [0, 192, 63, 118],
    );
    check(
        vec![green(100), layer([0, 0, 255, 255], None, Some(0.3))],
        options(true, white),
        [0, 122, 133, 146],
    );
    // Not MapProxy's value: it would be that of an opaque layer.
    check(vec![base(), faint()], options(false, white), [154, 136, 38, 255]);
    check(vec![faint()], options(true, white), [0, 255, 0, 200]);
    check(vec![faint()], options(false, [16, 32, 48]), [12, 84, 37, 255]);
    check(
        vec![green(200), layer([10, 20, 200, 99], Some(true), None)],
        options(true, white),
        [4, 150, 89, 221],
    );
    check(
        vec![base(), layer([0, 255, 0, 255], None, Some(0.0))],
        options(false, white),
        [200, 100, 50, 255],
    );
}

#[test]
fn a_lone_layer_passes_through_untouched() {
    let bytes = vec![1, 2, 3];
    let image = |transparent| {
        let options = ImageOptions {
            transparent: Some(transparent),
            ..ImageOptions::new(ImageFormat::PNG)
        };
        // A PNG header of 2 x 2 pixels, and nothing that could be decoded.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x02".to_vec();
        png.extend(&bytes);
        MapImage::from_bytes(png, options)
    };
    for (own, wanted) in [(false, false), (false, true), (true, true)] {
        let merged = merge(vec![image(own).into()], &options(wanted, [0; 3]), Some((2, 2)), None).unwrap();
        let out = merged
            .into_bytes(&ImageOptions::new(ImageFormat::new("image/png; mode=8bit")))
            .unwrap();
        assert_eq!(out, image(own).encoded().unwrap());
    }
    // Wanted opaque, or larger: it has to be looked at.
    assert!(merge(vec![image(true).into()], &options(false, [0; 3]), Some((2, 2)), None).is_err());
    assert!(merge(vec![image(false).into()], &options(false, [0; 3]), Some((3, 2)), None).is_err());
}

#[test]
fn masks_and_offsets_place_a_layer() {
    let mask = Mask::new(2, 2, vec![255, 0, 0, 128]).unwrap();
    let masked = Layer {
        mask: Some(mask.clone()),
        ..layer([0, 0, 0, 255], Some(false), None)
    };
    let merged = merge(vec![masked], &options(false, [255; 3]), None, None)
        .unwrap()
        .into_raster()
        .unwrap();
    assert_eq!(
        merged.to_rgb()[..],
        [0, 0, 0, 255, 255, 255, 255, 255, 255, 127, 127, 127]
    );
    let merged = merge(
        vec![layer([9, 9, 9, 255], None, None)],
        &options(true, [255; 3]),
        None,
        Some(&mask),
    )
    .unwrap();
    assert_eq!(merged.into_raster().unwrap().to_rgba()[..8], [9, 9, 9, 255, 9, 9, 9, 0]);
    let moved = Layer {
        offset: (1, -1),
        ..layer([7, 7, 7, 255], None, None)
    };
    let merged = merge(vec![moved], &options(false, [0; 3]), Some((3, 2)), None)
        .unwrap()
        .into_raster()
        .unwrap();
    assert_eq!(merged.into_gray().bytes(), [0, 7, 7, 0, 0, 0]);
}

#[test]
fn a_result_may_be_stored_if_all_layers_may() {
    let mut bad = layer([1, 1, 1, 255], None, None);
    bad.image.cacheability.cacheable = false;
    let merged = merge(
        vec![layer([2, 2, 2, 255], None, None), bad],
        &options(false, [0; 3]),
        None,
        None,
    )
    .unwrap();
    assert!(!merged.cacheability.cacheable);
    assert!(merge(Vec::new(), &options(false, [0; 3]), None, None).is_err());
    let blank = merge(Vec::new(), &options(true, [0; 3]), Some((3, 2)), None).unwrap();
    assert_eq!(blank.into_raster().unwrap().pixel(2, 1), Some([0; 4]));
}

#[test]
fn parts_are_placed_at_whole_pixels() {
    let check = |whole, size, part, expect| assert_eq!(position_in_image(whole, size, part), expect);
    // Values of MapProxy 7.0.0's bbox_position_in_image.
    let square = [0.0, 0.0, 10.0, 10.0];
    check(
        square,
        (100, 100),
        [2.55, 3.339, 20.0, 7.777],
        ((75, 44), (25, 22), [2.55, 3.339, 10.0, 7.777]),
    );
    check(
        square,
        (100, 100),
        [-1.0, -1.0, 5.559, 20.0],
        ((55, 100), (0, 0), [0.0, 0.0, 5.559, 10.0]),
    );
    let world = [-180.0, -90.0, 180.0, 90.0];
    let part = [-170.51, -80.3, 100.77, 80.9];
    check(world, (360, 200), part, ((271, 179), (9, 10), part));
    // Hostile numbers
    let nothing = [f64::NAN; 4];
    position_in_image(nothing, (5, 5), nothing);
    let part = MapImage::from_raster(filled(2, 2, [5, 5, 5, 255]).unwrap(), ImageOptions::default());
    let placed = place_in_image(part, (1, 1), (4, 4), &options(false, [0; 3]))
        .unwrap()
        .into_raster()
        .unwrap();
    assert_eq!(placed.pixel(0, 0), Some([0; 4]));
    assert_eq!(placed.pixel(2, 2), Some([5, 5, 5, 255]));
}
