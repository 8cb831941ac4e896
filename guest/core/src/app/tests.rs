//! The dispatcher and the tile services from the outside: requests in, answers out, over a configuration made by hand.

use std::rc::Rc;

use super::handle;
use crate::config::compiled::{Compiled, CompiledBuilder, Kind};
use crate::config::model::{
    Application, Cache, CacheBackend, CacheSources, Contact, Dimension, EnabledServices, FileCache, KeywordList,
    KmlService, Layer, LayerNode, LayerSource, LayerTree, ServiceMetadata, SingleColorLinks, TileLayer, TileLayerKey,
    TmsService, WmtsService,
};
use crate::coverage::MapExtent;
use crate::grid::{GridOptions, NamedRes, Origin, ResFactor, TileGrid};
use crate::http::{Headers, Method, Request, Response};
use crate::image::{ImageFormat, ImageOptions};
use crate::platform::memory::MemoryPlatform;
use crate::platform::{Platform, UnixTime};
use crate::srs::{BBox, PreferredSrs, Srs};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 as good as a picture";

/// What differs between the configurations of these tests.
struct Options {
    use_grid_names: bool,
    origin: Option<Origin>,
    cors_origin: Option<&'static str>,
    demo: bool,
}

const DEFAULT: Options = Options {
    use_grid_names: false,
    origin: None,
    cors_origin: Some("*"),
    demo: true,
};

struct Server {
    platform: Rc<MemoryPlatform>,
    compiled: Rc<Compiled>,
}

impl Server {
    fn new(options: &Options) -> Self {
        Self {
            platform: MemoryPlatform::new(),
            compiled: Rc::new(Compiled::open(compiled(options)).unwrap()),
        }
    }

    fn send(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Response {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = Request {
            method,
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers(headers),
            body: Vec::new(),
            sends_files: false,
        };
        let platform: Rc<dyn Platform> = Rc::<MemoryPlatform>::clone(&self.platform);
        handle(&platform, &self.compiled, &request)
    }

    fn get(&self, url: &str) -> Response {
        self.send(Method::Get, url, &[])
    }

    /// Status, content type and, of texts, the body as far as it is expected.
    #[track_caller]
    fn check(&self, url: &str, status: u16, content_type: &str, contains: &str) {
        let response = self.get(url);
        let found = (
            response.status,
            response.headers.get("content-type").unwrap_or_default(),
        );
        let body = String::from_utf8_lossy(&response.body);
        assert_eq!(found, (status, content_type), "{url}: {body}");
        assert!(body.contains(contains), "{url}: {body}");
    }
}

fn grids() -> Vec<TileGrid> {
    let predefined = |name: &str| TileGrid::predefined(name).unwrap();
    let named = |name: &str, options: GridOptions| GridOptions {
        name: name.to_owned(),
        ..options
    };
    let utm = GridOptions {
        srs: Some(Srs::new("EPSG:31467").unwrap()),
        bbox: Some(BBox::new(3_000_000.0, 5_000_000.0, 4_000_000.0, 6_100_000.0)),
        ..GridOptions::default()
    };
    let res = |name: Option<&str>, res: f64| NamedRes {
        name: name.map(str::to_owned),
        res,
    };
    let options = [
        predefined("GLOBAL_MERCATOR"),
        predefined("GLOBAL_GEODETIC"),
        predefined("GLOBAL_WEBMERCATOR"),
        named(
            "sqrt",
            GridOptions {
                res_factor: Some(ResFactor::Sqrt2),
                ..predefined("GLOBAL_MERCATOR")
            },
        ),
        named(
            "coarse",
            GridOptions {
                num_levels: Some(3),
                ..predefined("GLOBAL_MERCATOR")
            },
        ),
        named(
            "utm_nw",
            GridOptions {
                origin: Some(Origin::Ul),
                res: Some(vec![res(Some("city"), 1000.0), res(None, 0.000_14)]),
                ..utm.clone()
            },
        ),
        // 1100 km are no whole number of tiles: rows cannot be counted from the top
        named(
            "utm_sw",
            GridOptions {
                origin: Some(Origin::Ll),
                res: Some(vec![res(None, 1000.0), res(None, 500.0)]),
                ..utm
            },
        ),
    ];
    options.iter().map(|options| options.build().unwrap()).collect()
}

/// layer, grids, format
const LAYERS: [(&str, &[&str], &str); 7] = [
    ("roads", &["GLOBAL_MERCATOR"], "jpeg"),
    ("multi", &["GLOBAL_GEODETIC", "GLOBAL_MERCATOR"], "png"),
    ("two", &["GLOBAL_MERCATOR", "coarse"], "png"),
    ("fine", &["sqrt"], "png"),
    ("web mercator", &["GLOBAL_WEBMERCATOR"], "png"),
    ("utm", &["utm_nw", "utm_sw"], "png"),
    ("dated", &["coarse"], "png"),
];

fn compiled(options: &Options) -> Vec<u8> {
    let grids = grids();
    let mut builder = CompiledBuilder::new();
    for grid in &grids {
        builder.add(Kind::Grid, grid.name(), grid);
    }
    let mut tile_layers = Vec::new();
    let mut roots = Vec::new();
    for (name, grid_names, format) in LAYERS {
        let layer_grids: Vec<&TileGrid> = grid_names
            .iter()
            .map(|name| grids.iter().find(|grid| grid.name() == *name).unwrap())
            .collect();
        builder.add(Kind::Cache, name, &cache(name, &layer_grids, format));
        builder.add(Kind::Layer, name, &layer(name));
        roots.push(LayerNode {
            layer: layer(name),
            children: Vec::new(),
        });
        let keys: Vec<TileLayerKey> = layer_grids
            .iter()
            .map(|grid| TileLayerKey {
                grid: grid.name().to_owned(),
                srs_path: srs_path(grid),
            })
            .collect();
        builder.add(Kind::TileLayerIndex, name, &keys);
        for grid in layer_grids {
            let tile_layer = tile_layer(name, grid, format);
            tile_layers.push(tile_layer);
        }
    }
    TileLayer::add_all_to(&tile_layers, &mut builder);
    LayerTree { roots }.add_to(&mut builder);
    let md = ServiceMetadata {
        title: "Maps & <b>more</b>".to_owned(),
        keyword_list: vec![KeywordList {
            vocabulary: None,
            keywords: vec!["keyword1".to_owned()],
        }],
        contact: Some(Contact {
            person: Some("Bob Mustermann".to_owned()),
            ..Contact::default()
        }),
        ..ServiceMetadata::default()
    };
    builder.add(
        Kind::TmsService,
        "",
        &TmsService {
            use_grid_names: options.use_grid_names,
            origin: options.origin,
            md: md.clone(),
        },
    );
    builder.add(
        Kind::KmlService,
        "",
        &KmlService {
            use_grid_names: options.use_grid_names,
        },
    );
    builder.add(
        Kind::WmtsService,
        "",
        &WmtsService {
            kvp: true,
            restful: true,
            restful_template: "/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.{Format}".to_owned(),
            restful_featureinfo_template:
                "/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}/{I}/{J}.{InfoFormat}".to_owned(),
            featureinfo_formats: vec![("application/json".to_owned(), "geojson".to_owned())],
            md,
        },
    );
    builder.add(
        Kind::Application,
        "",
        &Application {
            cors_origin: options.cors_origin.map(str::to_owned),
            tile_expires_s: 259_200,
            services: EnabledServices {
                wmts: true,
                tms: true,
                kml: true,
                demo: options.demo,
                ..EnabledServices::default()
            },
            base_dir: "/cache".to_owned(),
            lock_dir: "/cache/locks".to_owned(),
            preferred_src: PreferredSrs::new(),
            background_url: None,
            max_upstream_bytes: 1 << 20,
            max_upstream_pixels: 1 << 20,
            max_tile_limit: 500,
        },
    );
    builder.finish()
}

fn srs_path(grid: &TileGrid) -> String {
    grid.srs().code().replace(':', "")
}

fn layer(name: &str) -> Layer {
    Layer {
        name: Some(name.to_owned()),
        title: format!("Title of {name}"),
        sources: vec![LayerSource::Cache(name.to_owned())],
        children: Vec::new(),
        tile_sources: Vec::new(),
        res_range: None,
        extent: MapExtent::new(BBox::new(-180.0, -85.0, 180.0, 85.0), Srs::wgs84()),
        queryable: false,
        has_legend: false,
        legendurl: None,
        wmts_kvp_legendurl: None,
        wmts_rest_legendurl: None,
        dimensions: Vec::new(),
        md: None,
    }
}

fn tile_layer(name: &str, grid: &TileGrid, format: &str) -> TileLayer {
    TileLayer {
        name: name.to_owned(),
        title: format!("Title of {name} & <co>"),
        cache: name.to_owned(),
        grid: grid.name().to_owned(),
        srs_path: srs_path(grid),
        format: format.to_owned(),
        mime: format!("image/{format}"),
        extent: MapExtent::new(grid.bbox(), grid.srs().clone()),
        dimensions: if name == "dated" {
            vec![Dimension {
                name: "time".to_owned(),
                values: vec!["2024".to_owned(), "2025".to_owned()],
                default: "2025".to_owned(),
            }]
        } else {
            Vec::new()
        },
        md: None,
        info_sources: Vec::new(),
        legendurl: None,
        wmts_kvp_legendurl: None,
        wmts_rest_legendurl: None,
        has_legend: false,
    }
}

/// A cache without sources: it has what lies in its directory.
fn cache(name: &str, grids: &[&TileGrid], format: &str) -> Cache {
    let format_name = ImageFormat::new(format!("image/{format}"));
    Cache {
        name: name.to_owned(),
        grids: grids.iter().map(|grid| grid.name().to_owned()).collect(),
        sources: CacheSources::Layers(Vec::new()),
        backend: CacheBackend::File(FileCache {
            directories: grids
                .iter()
                .map(|grid| format!("/cache/{name}_{}", grid.name()))
                .collect(),
            layout: crate::config::model::DirectoryLayout::Tms,
            extension: format.to_owned(),
            directory_permissions: None,
            file_permissions: None,
        }),
        image: ImageOptions::new(format_name.clone()),
        format: format_name.clone(),
        request_format: format_name,
        meta_size: (1, 1),
        meta_buffer: 0,
        bulk_meta_tiles: false,
        minimize_meta_requests: false,
        concurrent_tile_creators: 1,
        disable_storage: false,
        use_direct_from: None,
        link_single_color_images: SingleColorLinks::Off,
        upscale_tiles: 0,
        downscale_tiles: 0,
        cache_rescaled_tiles: false,
        refresh_before: None,
        watermark: None,
        coverage: None,
        tile_lock_dir: "/cache/locks".to_owned(),
        lock_timeout_s: 1.0,
        extents: Vec::new(),
        max_tile_limit: 500,
        unsupported: None,
    }
}

#[test]
fn the_first_segment_names_the_service() {
    let server = Server::new(&DEFAULT);
    server.check("/", 200, "text/html; charset=utf-8", "Welcome to MapProxy");
    server.check("", 200, "text/html; charset=utf-8", "http://localhost/demo/");
    server.check("/nope", 404, "text/plain; charset=utf-8", "not found");
    server.check("/wms", 404, "text/plain; charset=utf-8", "not found");
    server.check("/tmsx/1.0.0", 404, "text/plain; charset=utf-8", "not found");
    server.check("/tms", 200, "text/xml; charset=utf-8", "<Services>");
    server.check("/ogcapi", 404, "text/plain; charset=utf-8", "not found");
}

#[test]
fn every_answer_says_what_caches_and_scripts_need() {
    let server = Server::new(&DEFAULT);
    let document = server.get("/tms/1.0.0");
    assert_eq!(
        document.headers.get("vary"),
        Some("X-Script-Name, X-Forwarded-Host, X-Forwarded-Proto")
    );
    assert_eq!(document.headers.get("access-control-allow-origin"), Some("*"));
    let tile = server.get("/tiles/multi/0/0/0.png");
    assert_eq!((tile.status, tile.headers.get("vary")), (200, None));

    let without_cors = Server::new(&Options {
        cors_origin: None,
        ..DEFAULT
    });
    assert_eq!(
        without_cors.get("/tms").headers.get("access-control-allow-origin"),
        None
    );
}

#[test]
fn methods() {
    let server = Server::new(&DEFAULT);
    assert_eq!(server.send(Method::Head, "/tms", &[]).status, 200);
    assert_eq!(server.send(Method::Post, "/tms", &[]).status, 405);
    assert_eq!(
        server.send(Method::Other, "/tms", &[]).headers.get("allow"),
        Some("GET, HEAD, POST, OPTIONS")
    );
    let preflight = server.send(Method::Options, "/tms", &[("Origin", "http://example.org")]);
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.headers.get("access-control-allow-methods"),
        Some("GET, HEAD, POST, OPTIONS")
    );
}

#[test]
fn documents_name_the_public_address() {
    let server = Server::new(&DEFAULT);
    let headers = [
        ("X-Forwarded-Proto", "https"),
        ("X-Script-Name", "/maps"),
        ("Host", "example.org:443"),
    ];
    for path in ["/maps/tms/1.0.0", "/tms/1.0.0"] {
        let document = server.send(Method::Get, path, &headers);
        let body = String::from_utf8(document.body).unwrap();
        assert!(
            body.contains("href=\"https://example.org/maps/tms/1.0.0/roads/EPSG900913\""),
            "{body}"
        );
    }
}

/// The tile of the cache that an address reads, in the layout level/x/y.
#[track_caller]
fn check_tile(options: &Options, url: &str, file: &str) {
    let server = Server::new(options);
    server.platform.insert(file, JPEG, UnixTime(1_234_567_890.0));
    let response = server.get(url);
    let body = String::from_utf8_lossy(&response.body).into_owned();
    assert_eq!((response.status, response.body == JPEG), (200, true), "{url}: {body}");
    assert_eq!(
        response.headers.get("last-modified"),
        Some("Fri, 13 Feb 2009 23:31:30 GMT")
    );
    assert_eq!(
        response.headers.get("cache-control"),
        Some("public, max-age=259200, s-maxage=259200")
    );
}

#[test]
fn addresses_lead_to_tiles() {
    let nw = Options {
        origin: Some(Origin::Ul),
        ..DEFAULT
    };
    let names = Options {
        use_grid_names: true,
        ..DEFAULT
    };
    let roads = "/cache/roads_GLOBAL_MERCATOR/1/0/1.jpeg";
    // TMS: the global profiles leave out the first level
    check_tile(&DEFAULT, "/tms/1.0.0/roads/0/0/1.jpeg", roads);
    check_tile(&DEFAULT, "/tms/1.0.0/roads/EPSG900913/0/0/1.jpeg", roads);
    check_tile(&DEFAULT, "/tms/1.0.0/roads_EPSG900913/0/0/1.jpeg", roads);
    check_tile(&nw, "/tms/1.0.0/roads/0/0/1.jpeg", roads);
    check_tile(&names, "/tms/1.0.0/roads/GLOBAL_MERCATOR/0/0/1.jpeg", roads);
    check_tile(
        &DEFAULT,
        "/tms/1.0.0/utm/EPSG31467/0/0/0.png",
        "/cache/utm_utm_sw/0/0/0.png",
    );
    check_tile(
        &DEFAULT,
        "/tms/1.0.0/web%20mercator/EPSG3857/0/0/1.png",
        "/cache/web mercator_GLOBAL_WEBMERCATOR/1/0/0.png",
    );
    check_tile(&DEFAULT, "/tms/1.0.0/fine/1/0/0.png", "/cache/fine_sqrt/4/0/0.png");
    // /tiles: levels of the grid, rows from where is asked
    check_tile(&DEFAULT, "/tiles/roads/1/0/1.jpeg", roads);
    check_tile(&DEFAULT, "/tiles/1.0.0/roads/EPSG900913/1/0/1.jpeg", roads);
    check_tile(&DEFAULT, "/tiles/roads/1/0/0.jpeg?origin=nw", roads);
    check_tile(&DEFAULT, "/tiles/roads/1/0/1.jpeg?ORIGIN=sw", roads);
    check_tile(&DEFAULT, "/tiles/roads/1/0/1.jpeg?origin=up", roads);
    check_tile(&nw, "/tiles/roads/1/0/0.jpeg", roads);
    check_tile(&nw, "/tiles/roads/1/0/1.jpeg?origin=sw", roads);
    check_tile(&names, "/tiles/roads/GLOBAL_MERCATOR/1/0/1.jpeg", roads);
    check_tile(
        &DEFAULT,
        "/tiles/web%20mercator/EPSG3857/1/0/0.png",
        "/cache/web mercator_GLOBAL_WEBMERCATOR/1/0/0.png",
    );
    check_tile(&DEFAULT, "/tiles/fine/1/0/0.png", "/cache/fine_sqrt/2/0/0.png");
    // without an SRS: Web Mercator; KML prefers degrees
    check_tile(
        &DEFAULT,
        "/tiles/multi/1/0/0.png",
        "/cache/multi_GLOBAL_MERCATOR/1/0/0.png",
    );
    check_tile(
        &DEFAULT,
        "/kml/multi/1/0/0.png",
        "/cache/multi_GLOBAL_GEODETIC/1/0/0.png",
    );
    check_tile(&DEFAULT, "/kml/roads/1/0/1.jpeg", roads);
    check_tile(
        &DEFAULT,
        "/kml/web%20mercator/EPSG3857/1/0/1.png",
        "/cache/web mercator_GLOBAL_WEBMERCATOR/1/0/0.png",
    );
    // two grids in one SRS: the last
    check_tile(&DEFAULT, "/tiles/two/1/0/0.png", "/cache/two_coarse/1/0/0.png");
    // dimensions are directories
    check_tile(
        &DEFAULT,
        "/wmts/dated/coarse/01/0/0.png",
        "/cache/dated_coarse/time-2025/1/0/1.png",
    );
    // WMTS: rows from the top
    check_tile(&DEFAULT, "/wmts/roads/GLOBAL_MERCATOR/01/0/0.jpeg", roads);
    check_tile(&DEFAULT, "/wmts/roads/GLOBAL_MERCATOR/1/0/0.jpeg", roads);
    check_tile(
        &DEFAULT,
        "/wmts/web%20mercator/GLOBAL_WEBMERCATOR/1/0/0.png",
        "/cache/web mercator_GLOBAL_WEBMERCATOR/1/0/0.png",
    );
    check_tile(&DEFAULT, "/wmts/utm/utm_nw/city/0/0.png", "/cache/utm_utm_nw/0/0/0.png");
    check_tile(
        &DEFAULT,
        &kvp("layer=roads&tilematrixset=GLOBAL_MERCATOR&tilematrix=01&tilerow=0&tilecol=0&format=image/jpeg"),
        roads,
    );
    check_tile(
        &DEFAULT,
        &kvp("layer=roads&tilematrixset=GLOBAL_MERCATOR&tilematrix=1&tilerow=0&tilecol=0&format=jpeg"),
        roads,
    );
}

fn kvp(query: &str) -> String {
    format!("/service?service=WMTS&request=GetTile&version=1.0.0&style=&{query}")
}

#[test]
fn nothing_there_is_an_empty_png() {
    let server = Server::new(&DEFAULT);
    for url in [
        "/tms/1.0.0/roads/0/0/0.jpeg",
        "/tiles/roads/0/0/0.jpeg",
        "/wmts/roads/GLOBAL_MERCATOR/00/0/0.jpeg",
    ] {
        let response = server.get(url);
        assert_eq!(
            (response.status, response.headers.get("content-type")),
            (200, Some("image/png")),
            "{url}"
        );
        assert!(response.body.starts_with(b"\x89PNG"), "{url}");
        assert!(response.headers.get("etag").is_some(), "{url}");
    }
}

#[test]
fn errors_of_tms_are_documents() {
    let server = Server::new(&DEFAULT);
    let check = |url: &str, message: &str| server.check(url, 404, "text/xml; charset=utf-8", message);
    for tile in [
        "-1/0/0",
        "0/-1/0",
        "0/0/-1",
        "1/4/2",
        "0/1/3",
        "19/0/0",
        "99999999999999999999/0/0",
    ] {
        check(
            &format!("/tms/1.0.0/roads/{tile}.jpeg"),
            "<Message>The requested tile is outside the bounding box of the tile map.</Message>",
        );
    }
    check("/tms/1.0.0/nope/0/0/0.png", "<Message>unknown layer: nope</Message>");
    check("/tms/1.0.0/roads/EPSG4326/0/0/0.jpeg", "unknown layer: roads");
    check("/tms/1.0.0/roads/GLOBAL_MERCATOR/0/0/0.jpeg", "unknown layer: roads");
    check("/tms/1.0.0/utm/0/0/0.png", "unknown layer: utm");
    check(
        "/tms/1.0.0/roads/0/0/0.png",
        "invalid format (png). this tile set only supports (jpeg)",
    );
    check(
        "/tms/1.0.0/roads/0/0/0.jpg",
        "invalid format (jpg). this tile set only supports (jpeg)",
    );
    check("/tms/nope", "invalid request (/tms/nope)");
    check("/tms/1.0.0/%3Cb%3E/0/0/0.png", "unknown layer: &#60;b&#62;");
    check("/tms/1.0.0/a%00b/0/0/0.png", "unknown layer: a\u{fffd}b");
    assert_eq!(
        server.get("/tms/nope").headers.get("cache-control"),
        Some("no-cache, no-store")
    );

    let names = Server::new(&Options {
        use_grid_names: true,
        ..DEFAULT
    });
    names.check(
        "/tms/1.0.0/roads/0/0/0.jpeg",
        404,
        "text/xml; charset=utf-8",
        "unknown layer: roads",
    );
    names.check(
        "/tms/1.0.0/roads/EPSG900913/0/0/0.jpeg",
        404,
        "text/xml; charset=utf-8",
        "unknown layer: roads",
    );
}

#[test]
fn errors_of_tiles_and_kml_are_plain_text() {
    let server = Server::new(&DEFAULT);
    for service in ["tiles", "kml"] {
        let check = |path: &str, message: &str| {
            server.check(&format!("/{service}{path}"), 404, "text/plain; charset=utf-8", message);
        };
        check("/roads/0/0/-1.jpeg", "outside the bounding box");
        check("/roads/20/0/0.jpeg", "outside the bounding box");
        check("/nope/0/0/0.png", "unknown layer: nope");
        check("/roads/0/0/0.png", "invalid format (png)");
        check("", "invalid request (");
    }
}

#[test]
fn errors_of_wmts_are_exception_reports() {
    let server = Server::new(&DEFAULT);
    let check = |url: &str, status: u16, code: &str, text: &str| {
        server.check(
            url,
            status,
            "text/xml; charset=utf-8",
            &format!("exceptionCode=\"{code}"),
        );
        server.check(url, status, "text/xml; charset=utf-8", text);
    };
    let roads = "layer=roads&tilematrixset=GLOBAL_MERCATOR&tilematrix=01&tilerow=0&tilecol=0&format=image/jpeg";
    let with = |from: &str, to: &str| kvp(&roads.replace(from, to));
    check(
        &with("tilecol=0", "tilecol=-1"),
        400,
        "TileOutOfRange\" locator=\"tilecol",
        "outside the bounding box",
    );
    check(
        &with("tilematrix=01", "tilematrix=50"),
        400,
        "TileOutOfRange\" locator=\"tilematrix",
        "outside the bounding box",
    );
    check(
        &with("tilematrix=01", "tilematrix=x"),
        400,
        "InvalidParameterValue",
        "unknown tilematrix: x",
    );
    check(
        &with("jpeg", "png"),
        400,
        "InvalidParameterValue",
        "invalid format (png)",
    );
    check(
        &with("roads", "nope"),
        400,
        "InvalidParameterValue",
        "unknown layer: nope",
    );
    check(
        &with("GLOBAL_MERCATOR", "nope"),
        400,
        "InvalidParameterValue",
        "unknown tilematrixset: nope",
    );
    check(&with("tilerow=0", "tilerow=a"), 400, "InvalidParameterValue", "tilerow");
    check(
        &with("&tilerow=0", ""),
        400,
        "MissingParameterValue\" locator=\"tilerow",
        "missing parameters [&#39;tilerow&#39;]",
    );
    check(
        "/service?service=WMTS&request=Foo",
        501,
        "OperationNotSupported\" locator=\"Foo",
        "unknown WMTS request type",
    );
    check("/wmts/roads/GLOBAL_MERCATOR/01/-1/0.jpeg", 400, "TileOutOfRange", "");
    check(
        "/wmts/roads/GLOBAL_MERCATOR/01/0/0.png",
        400,
        "InvalidParameterValue",
        "invalid format",
    );
    check(
        "/wmts/utm/utm_sw/00/0/0.png",
        400,
        "InvalidParameterValue",
        "unknown tilematrixset: utm_sw",
    );
    check(
        "/wmts/roads/GLOBAL_MERCATOR/01/0/0/1/1.geojson",
        501,
        "OperationNotSupported",
        "layer roads not queryable",
    );
    check(
        "/wmts/roads/GLOBAL_MERCATOR/01/0/0/1/1.bla",
        400,
        "InvalidParameterValue",
        "unknown infoformat: bla",
    );
    let dimension =
        kvp("layer=dated&tilematrixset=coarse&tilematrix=01&tilerow=0&tilecol=0&format=image/png&TIME=..%2F..%2Fetc");
    check(
        &dimension,
        400,
        "InvalidParameterValue",
        "invalid dimension value for time",
    );
    server.check(
        "/wmts/nope",
        404,
        "text/plain; charset=utf-8",
        "invalid request (/wmts/nope)",
    );
}

#[test]
fn tms_capabilities() {
    let server = Server::new(&DEFAULT);
    let body = |url: &str| String::from_utf8(server.get(url).body).unwrap();
    let service = body("/tms/1.0.0/");
    assert_eq!(service, body("/tms/1.0.0"));
    assert_eq!(service.matches("<TileMap ").count(), 8, "{service}");
    for text in [
        "Maps &#38; &#60;b&#62;more",
        "Bob Mustermann",
        "keyword1",
        "srs=\"OSGEO:41001\" profile=\"global-mercator\"",
        "/tms/1.0.0/web%20mercator/EPSG3857\"",
        "profile=\"local\"",
    ] {
        assert!(service.contains(text), "{text}: {service}");
    }
    let tile_map = body("/tms/1.0.0/roads");
    assert_eq!(tile_map.matches("<TileSet ").count(), 19);
    for text in [
        "<BoundingBox minx=\"-20037508.342789244\" miny=\"-20037508.342789244\"",
        "<TileSet href=\"http://localhost/tms/1.0.0/roads/0\" units-per-pixel=\"78271.51696402048\" order=\"0\"/>",
        "mime-type=\"image/jpeg\" extension=\"jpeg\"",
    ] {
        assert!(tile_map.contains(text), "{text}: {tile_map}");
    }
}

#[test]
fn wmts_capabilities_show_what_can_be_counted_from_the_top() {
    let server = Server::new(&DEFAULT);
    for (url, encoding) in [
        ("/service?service=WMTS&request=GetCapabilities", "KVP"),
        ("/wmts/1.0.0/WMTSCapabilities.xml", "RESTful"),
    ] {
        let response = server.get(url);
        assert_eq!(response.headers.get("content-type"), Some("application/xml"));
        let body = String::from_utf8(response.body).unwrap();
        // `utm_sw`, `sqrt` and the first level of GLOBAL_GEODETIC cannot be counted from the top, and layer `fine` has no other grid
        assert_eq!(body.matches("<Layer>").count(), 6, "{url}");
        assert_eq!(body.matches("<ows:SupportedCRS>").count(), 4, "{url}");
        for text in [
            &format!("<ows:Value>{encoding}</ows:Value>"),
            "<ScaleDenominator>559082264.0287176</ScaleDenominator>",
            "<TopLeftCorner>-20037508.342789244 20037508.342789244</TopLeftCorner>",
            "<TopLeftCorner>6100000.0 3000000.0</TopLeftCorner>",
            "<ows:Identifier>city</ows:Identifier>",
            "<ScaleDenominator>0.5</ScaleDenominator>",
            "urn:ogc:def:crs:EPSG:900913",
            "<ows:Identifier>Time</ows:Identifier>",
        ] {
            assert!(body.contains(text), "{text}");
        }
        let resource =
            "template=\"http://localhost/wmts/web%20mercator/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.png\"";
        assert_eq!(body.contains(resource), encoding == "RESTful");
    }
}

#[test]
fn kml_documents_show_the_four_tiles_below() {
    let server = Server::new(&DEFAULT);
    let response = server.get("/kml/roads");
    assert_eq!(
        response.headers.get("content-type"),
        Some("application/vnd.google-earth.kml+xml")
    );
    let body = String::from_utf8(response.body).unwrap();
    let places: Vec<&str> = body
        .lines()
        .filter(|line| line.contains("<href>") && line.contains(".kml"))
        .map(str::trim)
        .collect();
    let expect = ["0/1", "1/1", "0/0", "1/0"]
        .map(|tile| format!("<href>http://localhost/kml/roads/EPSG900913/1/{tile}.kml</href>"));
    assert_eq!(places, expect);
    // the first tile below
    assert!(body.contains(
        "<north>90.000000</north><south>0.000000</south><east>0.000000</east><west>-180.000000</west></LatLonAltBox>\n        <Lod>"
    ), "{body}");
    // the map ends at 85°, the earth does not
    assert!(
        body.contains(
            "<north>90.000000</north><south>-90.000000</south><east>180.000000</east><west>-180.000000</west>"
        )
    );
    let etag = response.headers.get("etag").unwrap();
    assert_eq!(
        server
            .send(Method::Get, "/kml/roads", &[("If-None-Match", etag)])
            .status,
        304
    );
    // the topmost tile reaches further than the pole, which is where its place ends
    let topmost = String::from_utf8(server.get("/kml/multi").body).unwrap();
    assert!(
        topmost.contains("<north>90.000000</north><south>-90.000000</south><east>180.000000</east>"),
        "{topmost}"
    );
    assert!(!topmost.contains("270"), "{topmost}");
    // the last level has nothing below it
    let last = server.get("/kml/roads/19/1/1.kml");
    assert_eq!(
        (
            last.status,
            String::from_utf8(last.body).unwrap().contains("NetworkLink")
        ),
        (200, false)
    );
}

#[test]
fn the_demo_page_describes_the_layers() {
    let server = Server::new(&DEFAULT);
    let redirect = server.get("/demo");
    assert_eq!(
        (redirect.status, redirect.headers.get("location")),
        (301, Some("http://localhost/demo/"))
    );
    let page = server.get("/demo/");
    assert_eq!(
        page.headers.get("content-security-policy"),
        Some("default-src 'self'; img-src 'self' data:")
    );
    let body = String::from_utf8(page.body).unwrap();
    assert!(body.contains("<title>Maps &amp; &lt;b&gt;more&lt;/b&gt;</title>"));
    let json = body
        .split_once("id=\"mapproxy\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let description: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(description["title"], "Maps & <b>more</b>");
    let tiles = &description["layers"][0]["tiles"][0];
    assert_eq!(tiles["tms"]["path"], "roads/EPSG900913");
    assert_eq!((&tiles["format"], &tiles["wmts"]), (&"jpeg".into(), &true.into()));
    let grid = tiles["grid"].as_str().unwrap();
    assert_eq!(description["grids"][grid]["srs"], "EPSG:900913");
    assert_eq!(
        description["systems"]["EPSG:4326"],
        serde_json::json!({"degrees": true, "north_first": true})
    );
    assert_eq!(description["layers"][4]["tiles"][0]["grid"], "GLOBAL_WEBMERCATOR");

    let chosen = "/demo/?wmts_layer=roads&format=jpeg&srs=EPSG%3A900913";
    let show = r#""show":{"layer":"roads","service":"wmts","srs":"EPSG:900913","format":"jpeg"}"#;
    server.check(chosen, 200, "text/html; charset=utf-8", show);
    server.check(
        chosen,
        200,
        "text/html; charset=utf-8",
        "<h2>Layer Preview - roads</h2>",
    );

    let off = Server::new(&Options { demo: false, ..DEFAULT });
    off.check("/demo/", 404, "text/plain; charset=utf-8", "not found");
}

#[test]
fn the_demo_serves_two_files_and_no_others() {
    let server = Server::new(&DEFAULT);
    server.check("/demo/static/demo.css", 200, "text/css; charset=utf-8", "");
    server.check("/demo/static/demo.js", 200, "text/javascript; charset=utf-8", "");
    for name in [
        "",
        "x",
        "../index.html",
        "..%2f..%2fetc%2fpasswd",
        "demo.js/",
        "demo.js%00",
        "/etc/passwd",
        "demo.css/../demo.js",
    ] {
        server.check(
            &format!("/demo/static/{name}"),
            404,
            "text/plain; charset=utf-8",
            "not found",
        );
    }
}

#[test]
fn the_demo_escapes_what_clients_say() {
    let server = Server::new(&DEFAULT);
    let attack = "%22%3E%3Cscript%3Ealert('XSS')%3C/script%3E";
    for url in [
        format!("/demo/?wms_layer={attack}"),
        format!("/demo/?tms_layer={attack}&format={attack}&srs={attack}"),
        format!("/demo/?tms_capabilities&layer={attack}&srs={attack}"),
        format!("/demo/?wmts_capabilities&type={attack}"),
    ] {
        let body = String::from_utf8(server.get(&url).body).unwrap();
        assert!(!body.contains("<script>alert"), "{url}: {body}");
    }
    server.check(
        "/demo/?tms_capabilities",
        200,
        "text/html; charset=utf-8",
        "&lt;TileMapService",
    );
    server.check(
        "/demo/?wmts_capabilities",
        200,
        "text/html; charset=utf-8",
        "&lt;Capabilities",
    );
    assert_eq!(server.platform.asked_urls(), [""; 0]);
}

proptest::proptest! {
    #[test]
    fn no_path_is_too_strange(
        service in proptest::sample::select(vec!["tms", "tiles", "kml", "wmts", "demo", "service", "x"]),
        rest in "(/(roads|1\\.0\\.0|EPSG900913|[-0-9]{1,3}|\\.\\.|%2e%2e|%00|[a-z.%<\"'0-9]{0,8})){0,8}(\\.(png|jpeg|kml))?",
        query in "[a-z=&%.0-9<]{0,40}",
    ) {
        let server = Server::new(&DEFAULT);
        let response = server.get(&format!("/{service}{rest}?{query}"));
        assert!((200..=501).contains(&response.status));
        let is_document = response.headers.get("content-type").is_some_and(|media_type| media_type.contains("html") || media_type.contains("xml"));
        if is_document {
            let body = String::from_utf8(response.body).unwrap();
            assert!(!body.contains("<\"") && !body.contains('\0'), "{body}");
        }
        for (_, path) in server.platform.take_operations() {
            assert!(path.starts_with("/cache/") && !path.contains(".."), "{path}");
        }
    }
}
