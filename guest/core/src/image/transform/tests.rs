//! Tests of `transform` against Pillow's results.

use super::*;
use crate::image::golden::picture;
use crate::image::raster::Pixels;

const METHODS: [Resampling; 3] = [Resampling::Nearest, Resampling::Bilinear, Resampling::Bicubic];
static PILLOW: &[u8] = include_bytes!("../golden/pillow.raw");

/// Compares with what Pillow made. Fixed point may cut a level off; premultiplied colours of low alpha are coarser.
fn compare(what: &str, got: &Raster, expect: &[u8], channels: usize) {
    let got = match channels {
        1 => got.clone().into_gray(),
        3 => got.clone().into_rgb(),
        _ => got.clone().into_rgba(),
    };
    assert_eq!(got.bytes().len(), expect.len(), "{what}");
    let mut off = 0;
    for (at, (got, expect)) in got
        .bytes()
        .chunks_exact(channels)
        .zip(expect.chunks_exact(channels))
        .enumerate()
    {
        let visible = if channels == 4 {
            u32::from(expect[3].max(1))
        } else {
            255
        };
        let tolerance = (1 + 255 / visible).min(255) as u8;
        for (&a, &b) in got.iter().zip(expect) {
            // Where nothing shows, the colour does not matter.
            let colorless = channels == 4 && expect[3] <= 2 && got[3] <= 2;
            assert!(
                colorless || a.abs_diff(b) <= tolerance,
                "{what}: pixel {at} is {got:?}, Pillow has {expect:?}"
            );
        }
        off += usize::from(got != expect && visible == 255);
    }
    let pixels = expect.len() / channels;
    assert!(off * 4 < pixels, "{what}: {off} of {pixels} pixels differ");
}

fn warped(
    source: &Raster,
    mapping: &dyn PixelMapping,
    size: (u32, u32),
    resampling: Resampling,
    fill: Fill,
) -> Result<Raster, RasterError> {
    warp_mesh(source, &Mesh::new(mapping, size, 1.0)?, resampling, fill)
}

#[test]
fn stretching_and_quads_equal_pillow() {
    let mut pillow = PILLOW;
    let mut next = |size: (u32, u32), channels: usize| {
        let (head, tail) = pillow.split_at((size.0 * size.1) as usize * channels);
        pillow = tail;
        head
    };
    for channels in [3, 4, 1] {
        let source = picture(40, 30, channels);
        for method in METHODS
            .iter()
            .copied()
            .filter(|method| channels != 1 || *method != Resampling::Nearest)
        {
            let cases = [
                ((25, 19), (1.3, 2.1, 38.7, 28.9)),
                ((31, 23), (5.2, 6.7, 20.9, 17.1)),
                ((24, 20), (-4.5, -3.2, 45.5, 35.1)),
            ];
            for (size, (left, top, right, bottom)) in cases {
                let what = format!("extent {left} {top} {right} {bottom} of {channels} channels, {method:?}");
                let mapping = SeparableMapping::extent(left, top, right, bottom, size).unwrap();
                let got = warp_separable(&source, &mapping, method, Fill::Color([0; 3]));
                // Pillow leaves clear black outside a picture with alpha.
                let fill = if channels == 4 {
                    Fill::Transparent
                } else {
                    Fill::Color([0; 3])
                };
                let filled = warp_separable(&source, &mapping, method, fill).unwrap();
                assert_eq!(got.unwrap().size(), size);
                compare(&what, &filled, next(size, channels), channels);
            }
        }
    }
    // One quad, smaller than what would be divided.
    let size = (26, 22);
    let (ul, ll, lr, ur) = ((2.5, 1.5), (4.25, 27.0), (37.5, 24.5), (33.0, 4.75));
    let mapping = |x: f64, y: f64| {
        let (u, v) = (x / 26.0, y / 22.0);
        let mix =
            |ul: f64, ur: f64, ll: f64, lr: f64| (ul * (1.0 - u) + ur * u) * (1.0 - v) + (ll * (1.0 - u) + lr * u) * v;
        Some((mix(ul.0, ur.0, ll.0, lr.0), mix(ul.1, ur.1, ll.1, lr.1)))
    };
    for channels in [3, 4] {
        for method in METHODS {
            let got = warped(&picture(40, 30, channels), &mapping, size, method, Fill::Transparent).unwrap();
            compare(
                &format!("quad of {channels} channels, {method:?}"),
                &got,
                next(size, channels),
                channels,
            );
        }
    }
    assert!(pillow.is_empty());
}

#[test]
fn the_plan_follows_mapproxy() {
    let check = |dst_size, dst_bbox, expect| {
        let got = SameSrs::plan((200, 100), [0.0, 0.0, 20.0, 10.0], dst_size, dst_bbox);
        assert_eq!(got, expect, "{dst_size:?} {dst_bbox:?}");
    };
    check((200, 100), [0.0, 0.0, 20.0, 10.0], SameSrs::Unchanged);
    check((200, 100), [0.009, 0.0, 20.009, 10.0], SameSrs::Unchanged);
    check((200, 100), [0.11, 0.0, 20.11, 10.0], SameSrs::Crop { x: 1, y: 0 });
    check((50, 50), [5.0, 2.0, 10.0, 7.0], SameSrs::Crop { x: 50, y: 30 });
    check((50, 50), [-5.0, 7.0, 0.0, 12.0], SameSrs::Crop { x: -50, y: -20 });
    check(
        (50, 50),
        [0.0, 0.0, 20.0, 10.0],
        SameSrs::Extent {
            left: 0.0,
            top: 0.0,
            right: 200.0,
            bottom: 100.0,
        },
    );
}

#[test]
fn what_is_outside_gets_the_fill() {
    let source = picture(4, 4, 3);
    let mapping = SeparableMapping::extent(-2.0, -2.0, 6.0, 6.0, (8, 8)).unwrap();
    for method in METHODS {
        let clear = warp_separable(&source, &mapping, method, Fill::Transparent).unwrap();
        assert_eq!(clear.pixel(0, 0), Some([0; 4]));
        assert_eq!(clear.pixel(3, 3).map(|p| p[3]), Some(255));
        let red = warp_separable(&source, &mapping, method, Fill::Color([255, 0, 0])).unwrap();
        assert_eq!(red.pixel(7, 4), Some([255, 0, 0, 255]));
        assert_eq!(red.pixel(4, 0), Some([255, 0, 0, 255]));
        assert!(matches!(red.pixels(), Pixels::Rgb(_)));
        let nothing = SeparableMapping {
            xs: vec![f64::NAN; 3],
            ys: vec![-5.0; 3],
        };
        assert_eq!(
            warp_separable(&source, &nothing, method, Fill::Transparent)
                .unwrap()
                .pixel(1, 1),
            Some([0; 4])
        );
        let none = |_: f64, _: f64| None::<(f64, f64)>;
        assert_eq!(
            warped(&source, &none, (9, 9), method, Fill::Transparent)
                .unwrap()
                .pixel(1, 1),
            Some([0; 4])
        );
    }
    let indexed = Raster::new(
        2,
        2,
        Pixels::Indexed {
            indices: vec![0, 1, 0, 1],
            palette: vec![[9, 9, 9, 255]; 2],
        },
    );
    let indexed = crop(&indexed.unwrap(), 1, 1, (2, 2), Fill::Transparent).unwrap();
    assert!(matches!(indexed.pixels(), Pixels::Indexed { .. }));
    assert_eq!(indexed.pixel(0, 0), Some([9, 9, 9, 255]));
    assert_eq!(indexed.pixel(1, 1), Some([0; 4]));
}

#[test]
fn flat_areas_keep_their_level() {
    let flat = Raster::new(20, 20, Pixels::Rgb([201, 255, 3].repeat(400))).unwrap();
    for method in METHODS {
        let mapping = SeparableMapping::extent(0.3, 0.7, 19.1, 19.9, (33, 17)).unwrap();
        let out = warp_separable(&flat, &mapping, method, Fill::Transparent).unwrap();
        assert_eq!(super::super::single_color(&out), Some([201, 255, 3, 255]), "{method:?}");
        let mesh = |x: f64, y: f64| Some((x * 0.31 + 2.0, y * 0.29 + 3.0));
        let out = warped(&flat, &mesh, (50, 50), method, Fill::Transparent).unwrap();
        assert_eq!(super::super::single_color(&out), Some([201, 255, 3, 255]), "{method:?}");
    }
}

#[test]
fn the_mesh_follows_a_curved_mapping() {
    // A ramp, so that the level tells the source position: the mesh may be one pixel off.
    let data = (0..256 * 256).map(|i| (i % 256) as u8).collect();
    let ramp = Raster::new(256, 256, Pixels::Gray(data)).unwrap();
    let exact = |x: f64, y: f64| 20.0 + x * 0.7 + (y / 60.0).sin() * 10.0;
    let mapping = |x: f64, y: f64| Some((exact(x, y), y * 0.8));
    let out = warped(&ramp, &mapping, (256, 256), Resampling::Bilinear, Fill::Color([0; 3])).unwrap();
    for y in 0..256 {
        for x in 0..256 {
            let expect = exact(f64::from(x) + 0.5, f64::from(y) + 0.5) - 0.5;
            let got = f64::from(out.pixel(x, y).unwrap()[0]);
            assert!(
                (got - expect.max(0.0)).abs() < 2.5,
                "{x} {y}: {got} instead of {expect}"
            );
        }
    }
}

#[test]
fn a_map_symmetric_about_the_equator_is_divided() {
    // The whole world in degrees from Web Mercator: the centre of the one rectangle has no error, the quarters do.
    let mercator = |latitude: f64| (45.0 + latitude / 2.0).to_radians().tan().ln().to_degrees();
    let mapping = |x: f64, y: f64| Some((x, 128.0 - mercator(80.0 - y * 160.0 / 128.0) / 360.0 * 256.0));
    let rows = Mesh::new(&mapping, (256, 128), 1.0).unwrap().separable().unwrap().ys;
    // Edges of rectangles are exact; what lies between follows a straight line.
    for row in [32, 64, 96] {
        let expect = mapping(0.0, f64::from(row)).unwrap().1;
        let got = f64::midpoint(rows[row as usize - 1], rows[row as usize]);
        assert!((got - expect).abs() < 6.0, "row {row}: {got} instead of {expect}");
    }
}

#[test]
fn rectangles_are_those_of_mapproxy() {
    // Web Mercator seen in degrees, 58 to 32 north in `rows` rows of 46 degrees in `columns` columns. The number of
    // rectangles and the source rows between them were taken from what MapProxy 7.0.0 hands to Pillow.
    let mercator = |latitude: f64| (45.0 + latitude / 2.0).to_radians().tan().ln().to_degrees();
    let (south, north) = (mercator(30.0), mercator(60.0));
    let check = |columns: u32, rows: u32, count: usize| {
        let mapping = |x: f64, y: f64| {
            let (longitude, latitude) = (x * 46.0 / f64::from(columns) - 8.0, 58.0 - y * 26.0 / f64::from(rows));
            Some((
                (longitude + 10.0) / 50.0 * 512.0,
                (north - mercator(latitude)) / (north - south) * 512.0,
            ))
        };
        let aspect = (26.0 / f64::from(rows)) / (46.0 / f64::from(columns));
        let mesh = Mesh::new(&mapping, (columns, rows), aspect).unwrap();
        assert_eq!(mesh.len(), count, "{columns}x{rows}");
        mesh.separable().unwrap()
    };
    let mapping = check(400, 300, 28);
    let edge = |row: usize, expect: f64| {
        let (above, below) = (mapping.ys[row - 1], mapping.ys[row]);
        assert!(
            above < expect && expect < below && below - above < 2.0,
            "{row}: {above} {below}"
        );
    };
    edge(37, 112.715);
    edge(75, 176.675);
    edge(150, 290.521);
    edge(225, 392.083);
    check(512, 512, 40);
    check(1000, 200, 256);
    check(200, 1000, 4);
    check(256, 256, 16);
    check(99, 99, 4);
    check(100, 100, 10);
    check(101, 210, 5);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn coordinate() -> impl Strategy<Value = f64> {
        prop_oneof![
            -5.0..45.0,
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(-1e300),
            Just(1e300),
            Just(40.0),
            Just(-0.0)
        ]
    }

    proptest! {
        #[test]
        fn no_mapping_panics(
            xs in prop::collection::vec(coordinate(), 1..40),
            ys in prop::collection::vec(coordinate(), 1..40),
            channels in prop::sample::select(vec![1_usize, 3, 4]),
            size in (1_u32..40, 1_u32..40),
        ) {
            let source = picture(size.0, size.1, channels);
            let mapping = SeparableMapping { xs, ys };
            let size = (mapping.xs.len() as u32, mapping.ys.len() as u32);
            for method in METHODS {
                for fill in [Fill::Transparent, Fill::Color([1, 2, 3])] {
                    prop_assert_eq!(warp_separable(&source, &mapping, method, fill).unwrap().size(), size);
                    let at = |positions: &[f64], at: f64| positions[(at as usize).min(positions.len() - 1)];
                    let mesh = |x: f64, y: f64| Some((at(&mapping.xs, x), at(&mapping.ys, y)));
                    prop_assert_eq!(warped(&source, &mesh, size, method, fill).unwrap().size(), size);
                }
            }
        }

        #[test]
        fn the_plan_survives_any_bbox(a in prop::array::uniform4(any::<f64>()), b in prop::array::uniform4(any::<f64>())) {
            let source = picture(8, 8, 3);
            prop_assert!(transform_same_srs(source, a, (5, 5), b, Resampling::Bicubic, Fill::Transparent).is_ok());
        }
    }
}
