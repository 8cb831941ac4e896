//! The steps a request is made of. `make bench` runs them natively and inside WebAssembly.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mapproxy_bench::{configuration, fastcgi_answer, fastcgi_events, fastcgi_request, mosaic, options, scene, tiles};
use mapproxy_core::config::compiled::{Compiled, Kind};
use mapproxy_core::config::model::TileLayer;
use mapproxy_core::grid::TileGrid;
use mapproxy_core::image::{
    Fill, ImageOptions, Limits, Resampling, SeparableMapping, decode, encode, quantize, warp_separable,
};
use mapproxy_core::srs::{BBox, Srs};

/// Width and height of the map in pixels, MapProxy's usual answer to a desktop client.
const MAP: (u32, u32) = (512, 512);

fn grids(criterion: &mut Criterion) {
    let grid = TileGrid::predefined("GLOBAL_WEBMERCATOR").and_then(|grid| grid.build().ok());
    let grid = grid.expect("a grid that exists");
    let (mercator, geographic) = (Srs::web_mercator(), Srs::wgs84());
    let bbox = BBox::new(886_000.0, 6_446_000.0, 1_036_000.0, 6_596_000.0);
    let degrees = BBox::new(8.0, 50.0, 9.3, 51.3);
    criterion.bench_function("grid: tiles of a map, same SRS", |bencher| {
        bencher.iter(|| grid.affected_bbox_and_level(black_box(bbox), MAP, &mercator));
    });
    criterion.bench_function("grid: tiles of a map, other SRS", |bencher| {
        bencher.iter(|| grid.affected_bbox_and_level(black_box(degrees), MAP, &geographic));
    });
}

fn pictures(criterion: &mut Criterion) {
    for format in ["png", "jpeg"] {
        let tiles = tiles(format);
        criterion.bench_function(&format!("decode: nine tiles, {format}"), |bencher| {
            bencher.iter(|| {
                for tile in &tiles {
                    let _ = black_box(decode(tile, &Limits::default()));
                }
            });
        });
        let palette = (format == "png").then_some(256);
        criterion.bench_function(&format!("mosaic: window of nine tiles, {format}"), |bencher| {
            bencher.iter(|| mosaic(&tiles, format).window((100, 90), MAP, palette, Fill::Transparent));
        });
        let map = scene(MAP.0);
        let options = options(format);
        criterion.bench_function(&format!("encode: a map, {format}"), |bencher| {
            bencher.iter_batched(|| map.clone(), |map| encode(map, &options, None), BatchSize::LargeInput);
        });
    }
    let true_color = ImageOptions {
        colors: Some(0),
        ..options("png")
    };
    let meta_tile = encode(scene(1024), &true_color, None).expect("a format that exists");
    criterion.bench_function("decode: a meta tile of true colour, png", |bencher| {
        bencher.iter(|| decode(&meta_tile, &Limits::default()));
    });
    let map = scene(MAP.0);
    criterion.bench_function("quantize: a map to 256 colours", |bencher| {
        bencher.iter(|| quantize(&map, 256));
    });
    let source = scene(768);
    let mapping = SeparableMapping::extent(10.0, 12.5, 740.0, 742.5, MAP).expect("a size that exists");
    for (name, resampling) in [
        ("nearest", Resampling::Nearest),
        ("bilinear", Resampling::Bilinear),
        ("bicubic", Resampling::Bicubic),
    ] {
        criterion.bench_function(&format!("warp: a map, {name}"), |bencher| {
            bencher.iter(|| warp_separable(&source, &mapping, resampling, Fill::Transparent));
        });
    }
}

fn configurations(criterion: &mut Criterion) {
    for layers in [4, 3000] {
        let bytes = configuration(layers);
        let name = format!("layer{}/webmercator", layers - 1);
        criterion.bench_function(
            &format!("configuration: open, find one of {layers} layers"),
            |bencher| {
                bencher.iter_batched(
                    || bytes.clone(),
                    |bytes| {
                        let compiled = Compiled::open(bytes).expect("compiled just now");
                        compiled
                            .get::<TileLayer>(Kind::TileLayer, &name)
                            .expect("a layer of it")
                    },
                    BatchSize::SmallInput,
                );
            },
        );
    }
}

fn fastcgi(criterion: &mut Criterion) {
    let request = fastcgi_request();
    criterion.bench_function("fastcgi: decode a request", |bencher| {
        bencher.iter(|| fastcgi_events(black_box(&request)));
    });
    let body = vec![7; 20_000];
    criterion.bench_function("fastcgi: encode an answer of 20 kB", |bencher| {
        bencher.iter(|| fastcgi_answer(black_box(&body)));
    });
}

criterion_group! {
    name = steps;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = grids, pictures, configurations, fastcgi
}
criterion_main!(steps);
