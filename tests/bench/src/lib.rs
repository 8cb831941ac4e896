//! What the benchmarks of `benches/` work on: pictures like maps, tiles of them, a configuration with many layers, and
//! the decoder of the host's FastCGI responder.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mapproxy_core::config::{Outcome, compile};
use mapproxy_core::image::{ImageFormat, ImageOptions, MapImage, Pixels, Raster, TileMosaic, encode};

#[rustfmt::skip] // would look for the tests of the decoder in the wrong place
#[path = "../../../host/src/fastcgi/codec.rs"]
#[expect(dead_code, reason = "the host's own file, of which not all is measured")]
mod codec;

/// Side of a tile in pixels.
pub const TILE: u32 = 256;
/// Tiles along a side of the mosaic.
pub const COLUMNS: u32 = 3;

/// Something like a map, RGB: areas, lines, shaded relief.
pub fn scene(size: u32) -> Raster {
    const AREAS: [[i64; 3]; 4] = [[242, 239, 233], [170, 211, 223], [173, 209, 158], [250, 242, 175]];
    let mut data = Vec::new();
    for y in 0..i64::from(size) {
        for x in 0..i64::from(size) {
            let area = (x * x / 97 + y * y / 131 + x * y / 61) / 200 % 4;
            let shade = if area == 2 { (x * 7 + y * 3) % 64 } else { 0 };
            let color = if (x * 3 + y * 5) % 173 < 4 {
                [200 + x % 50, 120 + y % 60, 60 + (x + y) % 70]
            } else {
                AREAS[area as usize].map(|v| v - shade / 2)
            };
            data.extend(color.map(|v| v.clamp(0, 255) as u8));
        }
    }
    Raster::new(size, size, Pixels::Rgb(data)).expect("three bytes for each pixel")
}

/// The options of a format, defaults otherwise.
pub fn options(format: &str) -> ImageOptions {
    ImageOptions::new(ImageFormat::new(format.to_owned()))
}

/// Nine encoded tiles, row by row, top row first.
pub fn tiles(format: &str) -> Vec<Vec<u8>> {
    let map = scene(TILE * COLUMNS);
    let places = (0..COLUMNS).flat_map(|row| (0..COLUMNS).map(move |column| (column, row)));
    places
        .map(|(column, row)| {
            let tile = map.crop(i64::from(column * TILE), i64::from(row * TILE), TILE, TILE);
            let tile = tile.expect("a part of the picture");
            encode(tile, &options(format), None).expect("a format that exists")
        })
        .collect()
}

/// The tiles side by side, still encoded.
pub fn mosaic(tiles: &[Vec<u8>], format: &str) -> TileMosaic {
    let tiles = tiles
        .iter()
        .map(|bytes| Some(MapImage::from_bytes(bytes.clone(), options(format))))
        .collect();
    TileMosaic::new(COLUMNS, COLUMNS, (TILE, TILE), tiles).expect("as many tiles as there are places")
}

/// A compiled configuration with so many layers, each with a cache of its own.
pub fn configuration(layers: usize) -> Vec<u8> {
    let mut text = String::from("services: {wms: , wmts: , tms: }\nlayers:\n");
    for number in 0..layers {
        let _ = writeln!(
            text,
            "  - {{name: layer{number}, title: Layer {number}, sources: [cache{number}]}}"
        );
    }
    text.push_str("caches:\n");
    for number in 0..layers {
        let _ = writeln!(text, "  cache{number}: {{grids: [webmercator], sources: [map]}}");
    }
    text.push_str("grids: {webmercator: {base: GLOBAL_WEBMERCATOR}}\n");
    text.push_str("sources: {map: {type: wms, req: {url: 'http://localhost/', layers: map}}}\n");
    let files = BTreeMap::from([("/etc/mapproxy.yaml".to_owned(), Ok(text.into_bytes()))]);
    match compile("/etc/mapproxy.yaml", &files, &BTreeMap::new()) {
        Outcome::Compiled(compilation) => compilation.bytes,
        other => unreachable!("a right configuration that needs no other file: {other:?}"),
    }
}

/// A GET request of nginx as FastCGI records: the beginning, its variables, an empty body.
pub fn fastcgi_request() -> Vec<u8> {
    const VARIABLES: [(&str, &str); 8] = [
        ("QUERY_STRING", ""),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/proxy/wmts/map/webmercator/6/17/12.png"),
        ("SCRIPT_NAME", "/proxy"),
        ("PATH_INFO", "/wmts/map/webmercator/6/17/12.png"),
        ("SERVER_NAME", "maps.example.org"),
        ("HTTP_HOST", "maps.example.org"),
        (
            "HTTP_USER_AGENT",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
    ];
    let mut params = Vec::new();
    for (name, value) in VARIABLES {
        params.extend([name.len() as u8, value.len() as u8]);
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value.as_bytes());
    }
    let record = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[1, kind, 0, 1, length[0], length[1], 0, 0], content].concat()
    };
    [
        record(1, &[0, 1, 1, 0, 0, 0, 0, 0]),
        record(4, &params),
        record(4, &[]),
        record(5, &[]),
    ]
    .concat()
}

/// Decodes the records of a request as the responder does; how many events they are.
pub fn fastcgi_events(records: &[u8]) -> usize {
    let mut decoder = codec::Decoder::new(codec::Limits {
        params: 1 << 16,
        stdin: 1 << 20,
        connections: 8,
    });
    decoder.buffer().extend_from_slice(records);
    let mut events = 0;
    while let Ok(Some(_)) = decoder.next() {
        events += 1;
    }
    events
}

/// The records of an answer with this body.
pub fn fastcgi_answer(body: &[u8]) -> usize {
    let mut out = bytes::BytesMut::with_capacity(body.len() + 1024);
    codec::stdout(&mut out, 1, b"Status: 200 OK\r\ncontent-type: image/png\r\n\r\n");
    codec::stdout(&mut out, 1, body);
    codec::end(&mut out, 1);
    out.len()
}
