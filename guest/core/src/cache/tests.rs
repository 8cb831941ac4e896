//! Caches as a whole, assembled as from a configuration, on a platform in memory: what is asked of which server, what is
//! stored where, and who waits for whom.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use crate::assemble::Assembly;
use crate::client::get_maps;
use crate::config::compiled::{Compiled, CompiledBuilder, Kind};
use crate::config::model::{
    Application, BandMerge, BandSource, Cache, CacheBackend, CacheSources, DirectoryLayout, FileCache, HttpMethod,
    LayerSource, OnErrorRule, RefreshBefore, SingleColorLinks, Source, SourceHttp, SourceKind, TileSource, WmsSource,
    WmsVersion,
};
use crate::coverage::Coverage;
use crate::grid::{GridOptions, TileCoord, TileGrid};
use crate::http::HttpRequest;
use crate::image::{ImageFormat, ImageOptions, MapImage, Pixels, decode, encode, filled, peek_format};
use crate::layer::{LayerError, MapLayer};
use crate::lock::FileLock;
use crate::platform::memory::{MemoryPlatform, reply};
use crate::platform::{Clock, Platform, UnixTime};
use crate::query::MapQuery;
use crate::srs::{BBox, Srs};

use super::{Tile, TileManager};

const RED: [u8; 4] = [255, 0, 0, 255];

fn png(size: (u32, u32), color: [u8; 4]) -> Vec<u8> {
    encode(filled(size.0, size.1, color).unwrap().into_rgb(), &true_color(), None).unwrap()
}

fn true_color() -> ImageOptions {
    ImageOptions {
        colors: Some(0),
        ..ImageOptions::new(ImageFormat::PNG)
    }
}

/// `WIDTH` and `HEIGHT` of a request, or the size of a tile.
fn size_of(request: &HttpRequest) -> (u32, u32) {
    let value = |name: &str| {
        let parameters = request.url.split(['?', '&']);
        parameters
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)?
            .1
            .parse()
            .ok()
    };
    (value("width").unwrap_or(256), value("height").unwrap_or(256))
}

struct World {
    memory: Rc<MemoryPlatform>,
    caches: Vec<Cache>,
    sources: Vec<Source>,
    grids: Vec<TileGrid>,
    /// built at first use; caches need it when tiles are missing
    assembly: OnceCell<Assembly>,
}

impl World {
    /// A WMS `wms` that draws everything red, and a cache `cache` of it on `GLOBAL_MERCATOR`.
    fn new() -> Self {
        let memory = MemoryPlatform::new();
        memory.answer(|request| reply(200, "image/png", &png(size_of(request), RED)));
        let mercator = TileGrid::predefined("GLOBAL_MERCATOR").unwrap().build().unwrap();
        let geodetic = TileGrid::predefined("GLOBAL_GEODETIC").unwrap().build().unwrap();
        Self {
            memory,
            caches: vec![cache()],
            sources: vec![wms_source()],
            grids: vec![mercator, geodetic],
            assembly: OnceCell::new(),
        }
    }

    fn with(change: impl FnOnce(&mut Cache, &mut Source)) -> Self {
        let mut world = Self::new();
        change(&mut world.caches[0], &mut world.sources[0]);
        world
    }

    fn assembly(&self) -> &Assembly {
        self.assembly.get_or_init(|| self.build())
    }

    fn build(&self) -> Assembly {
        let mut builder = CompiledBuilder::new();
        let application = Application {
            base_dir: "/cache".to_owned(),
            lock_dir: "/locks".to_owned(),
            max_upstream_bytes: 1 << 24,
            ..Application::default()
        };
        builder.add(Kind::Application, "", &application);
        for cache in &self.caches {
            builder.add(Kind::Cache, &cache.name, cache);
        }
        for source in &self.sources {
            builder.add(Kind::Source, &source.name, source);
        }
        for grid in &self.grids {
            builder.add(Kind::Grid, grid.name(), grid);
        }
        Assembly::new(self.memory.clone(), Rc::new(Compiled::open(builder.finish()).unwrap()))
    }

    fn manager(&self) -> Rc<TileManager> {
        self.assembly().managers("cache").unwrap().remove(0)
    }

    fn layer(&self) -> Rc<dyn MapLayer> {
        self.assembly().cache_layer("cache").unwrap()
    }

    fn load(&self, x: i64, y: i64, z: u32) -> Result<Option<Tile>, LayerError> {
        self.manager().load_tile(TileCoord { x, y, z }, &Vec::new())
    }

    /// Tiles below `/cache`, without the directory.
    fn stored(&self) -> Vec<String> {
        let paths = self.memory.paths();
        paths
            .iter()
            .filter_map(|path| path.strip_prefix("/cache/"))
            .map(str::to_owned)
            .collect()
    }

    fn locks(&self) -> Vec<String> {
        self.memory
            .paths()
            .into_iter()
            .filter(|path| path.contains(".lck"))
            .collect()
    }
}

fn cache() -> Cache {
    Cache {
        name: "cache".to_owned(),
        grids: vec!["GLOBAL_MERCATOR".to_owned()],
        sources: CacheSources::Layers(vec![LayerSource::Source("wms".to_owned())]),
        backend: CacheBackend::File(FileCache {
            directories: vec!["/cache".to_owned()],
            layout: DirectoryLayout::Tms,
            extension: "png".to_owned(),
            directory_permissions: None,
            file_permissions: None,
        }),
        image: true_color(),
        format: ImageFormat::PNG,
        request_format: ImageFormat::PNG,
        meta_size: (2, 2),
        meta_buffer: 10,
        bulk_meta_tiles: false,
        minimize_meta_requests: false,
        concurrent_tile_creators: 2,
        disable_storage: false,
        use_direct_from: None,
        link_single_color_images: SingleColorLinks::Off,
        upscale_tiles: 0,
        downscale_tiles: 0,
        cache_rescaled_tiles: false,
        refresh_before: None,
        watermark: None,
        coverage: None,
        tile_lock_dir: "/locks".to_owned(),
        lock_timeout_s: 60.0,
        extents: Vec::new(),
        max_tile_limit: 500,
        unsupported: None,
    }
}

fn source(name: &str, kind: SourceKind) -> Source {
    Source {
        name: name.to_owned(),
        kind,
        coverage: None,
        seed_only: false,
        res_range: None,
        image: ImageOptions {
            format: None,
            ..true_color()
        },
        opacity: None,
        transparent_color: None,
        transparent_color_tolerance: 5,
        http: SourceHttp {
            timeout_s: 60.0,
            method: HttpMethod::Auto,
            headers: Vec::new(),
            credentials: None,
            hide_error_details: false,
            manage_cookies: false,
        },
        on_error: Vec::new(),
        concurrent_requests: 0,
    }
}

fn wms_source() -> Source {
    let wms = WmsSource {
        url: "http://wms/service".to_owned(),
        version: WmsVersion::V111,
        params: vec![("layers".to_owned(), "a".to_owned())],
        transparent: false,
        supported_srs: Vec::new(),
        supported_formats: Vec::new(),
        forward_req_params: Vec::new(),
        map: true,
        featureinfo: false,
        featureinfo_format: None,
        featureinfo_xslt: None,
        featureinfo_out_format: None,
        query_layers: None,
        legendgraphic: false,
        legendurl: None,
    };
    source("wms", SourceKind::Wms(Box::new(wms)))
}

fn tile_source() -> Source {
    let tile = TileSource {
        url: "http://tiles/%(z)s/%(x)s/%(y)s.%(format)s".to_owned(),
        grid: "GLOBAL_MERCATOR".to_owned(),
        transparent: false,
    };
    source("wms", SourceKind::Tile(tile))
}

fn wms_of(source: &mut Source) -> &mut WmsSource {
    match &mut source.kind {
        SourceKind::Wms(wms) => wms,
        _ => panic!("not a WMS"),
    }
}

fn map_query(bbox: [f64; 4], size: (u32, u32), srs: &str) -> MapQuery {
    let [minx, miny, maxx, maxy] = bbox;
    MapQuery {
        bbox: BBox { minx, miny, maxx, maxy },
        size,
        srs: Srs::new(srs).unwrap(),
        format: ImageFormat::PNG,
        transparent: false,
        tiled_only: false,
        dimensions: Vec::new(),
    }
}

/// `bbox`, `width` and `height` of the requests made.
fn asked(world: &World) -> Vec<String> {
    let part = |url: &str| {
        let keep = |pair: &&str| ["bbox=", "width=", "height="].iter().any(|name| pair.starts_with(name));
        url.split(['?', '&']).filter(keep).collect::<Vec<_>>().join(" ")
    };
    world.memory.asked_urls().iter().map(|url| part(url)).collect()
}

/// What MapProxy 7.0.0 asks for with the same grid and meta tiles.
#[test]
fn meta_tiles_are_cut_at_the_edge_of_the_grid() {
    let check = |meta_size, meta_buffer, tile: (i64, i64, u32), expect: &str| {
        let world = World::with(|cache, _| (cache.meta_size, cache.meta_buffer) = (meta_size, meta_buffer));
        world.load(tile.0, tile.1, tile.2).unwrap().unwrap();
        assert_eq!(asked(&world), [expect]);
    };
    check(
        (2, 2),
        10,
        (0, 0, 3),
        "bbox=-20037508.342789244,-20037508.342789244,-9823075.378984569,-9823075.378984569 width=522 height=522",
    );
    check(
        (2, 2),
        10,
        (3, 1, 3),
        "bbox=-10214432.963804673,-20037508.342789244,195678.7924100503,-9823075.378984569 width=532 height=522",
    );
    check(
        (2, 2),
        0,
        (4, 4, 3),
        "bbox=0.0,0.0,10018754.171394624,10018754.171394624 width=512 height=512",
    );
    check(
        (1, 1),
        0,
        (0, 0, 1),
        "bbox=-20037508.342789244,-20037508.342789244,0.0,0.0 width=256 height=256",
    );
    check(
        (4, 4),
        80,
        (0, 0, 0),
        "bbox=-20037508.342789244,-20037508.342789244,20037508.342789244,20037508.342789244 width=256 height=256",
    );
}

#[test]
fn one_request_makes_all_the_tiles_of_a_meta_tile() {
    let world = World::new();
    let tile = world.load(1, 0, 3).unwrap().unwrap();
    assert_eq!(tile.image.unwrap().size().unwrap(), (256, 256));
    assert_eq!(world.stored(), ["3/0/0.png", "3/0/1.png", "3/1/0.png", "3/1/1.png"]);
    assert!(world.locks().is_empty(), "{:?}", world.locks());
    world.load(0, 1, 3).unwrap().unwrap();
    assert_eq!(world.memory.asked().len(), 1);
    // the cache was deleted while the server runs
    world.memory.delete_tree("/cache");
    world.load(0, 1, 3).unwrap().unwrap();
    assert_eq!(world.memory.asked().len(), 2);
}

#[test]
fn a_cached_tile_is_one_read_and_passes_through() {
    let world = World::new();
    world
        .memory
        .insert("/cache/3/0/0.png", b"whatever is stored", UnixTime(1000.0));
    let manager = world.manager();
    world.memory.take_operations();
    let tile = manager
        .load_tile(TileCoord { x: 0, y: 0, z: 3 }, &Vec::new())
        .unwrap()
        .unwrap();
    assert_eq!(
        world.memory.take_operations(),
        [("read", "/cache/3/0/0.png".to_owned())]
    );
    assert_eq!((tile.timestamp, tile.size), (Some(UnixTime(1000.0)), Some(18)));
    let bytes = tile.image.unwrap().into_bytes(manager.image_options()).unwrap();
    assert_eq!(bytes, b"whatever is stored");
}

#[test]
fn a_single_tile_is_stored_as_the_server_sent_it() {
    let world = World::with(|cache, _| (cache.meta_size, cache.meta_buffer) = ((1, 1), 0));
    let tile = world.load(0, 0, 1).unwrap().unwrap();
    let sent = png((256, 256), RED);
    assert_eq!(world.memory.content("/cache/1/0/0.png").unwrap(), sent);
    assert_eq!(tile.image.unwrap().encoded().unwrap(), sent);
}

#[test]
fn meta_tiles_of_one_map_are_asked_for_together() {
    let world = World::new();
    let manager = world.manager();
    let tiles = [(0, 0), (2, 0), (4, 0)].map(|(x, y)| Some(TileCoord { x, y, z: 3 }));
    let found = manager.load_tiles(&tiles, &Vec::new()).unwrap();
    assert!(found.iter().all(Option::is_some));
    // `concurrent_tile_creators` is 2
    assert_eq!(world.memory.batches(), [2, 1]);
    assert_eq!(world.stored().len(), 12);
    assert!(world.locks().is_empty());
}

#[test]
fn missing_tiles_can_be_asked_for_with_one_request() {
    let world = World::with(|cache, _| cache.minimize_meta_requests = true);
    let tiles = [
        Some(TileCoord { x: 0, y: 0, z: 3 }),
        Some(TileCoord { x: 3, y: 1, z: 3 }),
        None,
    ];
    let found = world.manager().load_tiles(&tiles, &Vec::new()).unwrap();
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(
        asked(&world),
        ["bbox=-20037508.342789244,-20037508.342789244,195678.7924100503,-9823075.378984569 width=1034 height=522"]
    );
    assert_eq!(world.stored().len(), 8);
}

#[test]
fn bulk_meta_tiles_ask_for_each_tile_at_once() {
    let mut world = World::with(|cache, _| cache.bulk_meta_tiles = true);
    world.sources = vec![tile_source()];
    world.load(0, 0, 2).unwrap().unwrap();
    let mut urls = world.memory.asked_urls();
    urls.sort();
    assert_eq!(
        urls,
        [
            "http://tiles/2/0/0.png",
            "http://tiles/2/0/1.png",
            "http://tiles/2/1/0.png",
            "http://tiles/2/1/1.png"
        ]
    );
    assert_eq!(world.memory.batches(), [4]);
    assert_eq!(world.stored().len(), 4);
}

#[test]
fn tile_servers_are_asked_for_single_tiles_otherwise() {
    let mut world = World::new();
    world.sources = vec![tile_source()];
    world.load(1, 0, 2).unwrap().unwrap();
    assert_eq!(world.memory.asked_urls(), ["http://tiles/2/1/0.png"]);
    assert_eq!(world.stored(), ["2/1/0.png"]);
}

#[test]
fn who_waited_for_the_lock_finds_the_tiles() {
    let world = World::new();
    let manager = world.manager();
    let platform: Rc<dyn Platform> = world.memory.clone();
    // the lock's name is MapProxy's: md5 of the cache directory, then the main tile
    let lock = format!("/locks/{:x}-0-0-3.lck", <md5::Md5 as md5::Digest>::digest("/cache"));
    let other = std::cell::Cell::new(FileLock::try_acquire(&platform, &lock).unwrap());
    let memory = world.memory.clone();
    world.memory.on_sleep(move |now| {
        if now >= Duration::from_secs(2)
            && let Some(held) = other.take()
        {
            for name in ["0/0", "0/1", "1/0", "1/1"] {
                memory.insert(&format!("/cache/3/{name}.png"), b"made by the other", memory.now());
            }
            drop(held);
        }
    });
    let tile = manager
        .load_tile(TileCoord { x: 1, y: 1, z: 3 }, &Vec::new())
        .unwrap()
        .unwrap();
    assert_eq!(tile.image.unwrap().encoded().unwrap(), b"made by the other");
    assert!(world.memory.asked().is_empty());
    assert!(world.locks().is_empty());
}

#[test]
fn the_lock_of_a_dead_process_is_broken() {
    let world = World::new();
    let lock = format!("/locks/{:x}-0-0-3.lck", <md5::Md5 as md5::Digest>::digest("/cache"));
    world
        .memory
        .insert(&lock, b"dead", UnixTime(world.memory.now().0 - 60.0));
    world.load(1, 1, 3).unwrap().unwrap();
    assert_eq!(world.memory.asked().len(), 1);
    assert_eq!(world.stored().len(), 4);
    assert!(world.locks().is_empty());
}

#[test]
fn a_lock_that_stays_held_is_an_error() {
    let world = World::with(|cache, _| cache.lock_timeout_s = 3.0);
    let platform: Rc<dyn Platform> = world.memory.clone();
    let lock = format!("/locks/{:x}-0-0-3.lck", <md5::Md5 as md5::Digest>::digest("/cache"));
    let _held = FileLock::try_acquire(&platform, &lock).unwrap();
    let error = world.load(1, 1, 3).unwrap_err();
    assert!(matches!(error, LayerError::LockTimeout { .. }), "{error}");
    assert!(world.memory.asked().is_empty());
}

#[test]
fn while_one_meta_tile_is_locked_the_others_are_made() {
    let world = World::with(|cache, _| cache.lock_timeout_s = 3.0);
    let platform: Rc<dyn Platform> = world.memory.clone();
    let lock = format!("/locks/{:x}-0-0-3.lck", <md5::Md5 as md5::Digest>::digest("/cache"));
    let _held = FileLock::try_acquire(&platform, &lock).unwrap();
    let tiles = [(0, 0), (2, 0), (4, 0)].map(|(x, y)| Some(TileCoord { x, y, z: 3 }));
    let error = world.manager().load_tiles(&tiles, &Vec::new()).unwrap_err();
    assert!(matches!(error, LayerError::LockTimeout { .. }), "{error}");
    assert_eq!(world.stored().len(), 8);
    assert_eq!(world.locks(), [lock]);
}

#[test]
fn a_tile_that_cannot_be_stored_is_served() {
    let world = World::new();
    world.memory.make_read_only("/cache");
    let tile = world.load(0, 0, 3).unwrap().unwrap();
    assert!(tile.image.is_some());
    assert!(world.stored().is_empty());
    assert!(world.locks().is_empty());
}

#[test]
fn a_failing_server_leaves_neither_tile_nor_lock() {
    let check = |answer: fn() -> Result<crate::http::HttpReply, crate::http::HttpFailure>, message: &str| {
        let world = World::new();
        world.memory.answer(move |_| answer());
        let error = world.load(0, 0, 3).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
        assert!(world.memory.paths().is_empty(), "{:?}", world.memory.paths());
    };
    check(|| reply(500, "text/plain", b"no"), "HTTP Error \"http://wms/service?");
    check(
        || reply(200, "text/xml", b"<ServiceException/>"),
        "no image returned from source WMS: http://wms/service?",
    );
    check(
        || reply(200, "image/png", b"half an answer"),
        "no image returned from source WMS: http://wms/service?",
    );
    check(
        || Err(crate::http::HttpFailure::NotAllowed),
        "No response from URL \"http://wms/service?",
    );
}

#[test]
fn one_of_two_meta_tiles_may_fail() {
    let world = World::new();
    world.memory.answer(|request| {
        if request.url.contains("bbox=-20037508.34") {
            reply(200, "image/png", &png(size_of(request), RED))
        } else {
            reply(503, "text/plain", b"busy")
        }
    });
    let tiles = [(0, 0), (2, 0)].map(|(x, y)| Some(TileCoord { x, y, z: 3 }));
    world.manager().load_tiles(&tiles, &Vec::new()).unwrap_err();
    assert_eq!(world.stored().len(), 4);
    assert!(world.locks().is_empty());
}

#[test]
fn on_error_answers_with_a_colour_that_is_stored_only_if_wanted() {
    let check = |cache_it, stored| {
        let rule = OnErrorRule {
            status: Some(404),
            response: Some(RED),
            cache: cache_it,
            authorize_stale: false,
        };
        let world = World::with(|cache, source| {
            (cache.meta_size, cache.meta_buffer) = ((1, 1), 0);
            source.on_error = vec![rule];
        });
        world.memory.answer(|_| reply(404, "text/plain", b"nothing here"));
        let tile = world.load(0, 0, 1).unwrap().unwrap();
        assert_eq!(tile.cacheable, cache_it);
        let bytes = tile.image.unwrap().into_bytes(&true_color()).unwrap();
        assert_eq!(
            decode(&bytes, &crate::image::Limits::default()).unwrap().pixel(7, 7),
            Some(RED)
        );
        assert_eq!(world.stored().len(), stored);
    };
    check(true, 1);
    check(false, 0);
}

/// A single-tile cache whose only tile is too old, and a server that fails with 406.
fn stale_world(authorize_stale: bool, rule: bool) -> World {
    let rule = rule.then_some(OnErrorRule {
        status: Some(406),
        response: None,
        cache: false,
        authorize_stale,
    });
    let world = World::with(|cache, source| {
        (cache.meta_size, cache.meta_buffer) = ((1, 1), 0);
        cache.refresh_before = Some(RefreshBefore::Age(60.0));
        source.on_error = rule.into_iter().collect();
    });
    world.memory.insert(
        "/cache/1/0/0.png",
        &png((256, 256), RED),
        UnixTime(world.memory.now().0 - 100.0),
    );
    world.memory.answer(|_| reply(406, "text/plain", b""));
    world
}

#[test]
fn stale_tiles_are_made_anew() {
    let world = stale_world(false, false);
    world
        .memory
        .answer(|request| reply(200, "image/png", &png(size_of(request), [0, 0, 255, 255])));
    world.load(0, 0, 1).unwrap().unwrap();
    assert_eq!(
        world.memory.content("/cache/1/0/0.png").unwrap(),
        png((256, 256), [0, 0, 255, 255])
    );
    assert!(
        world
            .manager()
            .is_cached(TileCoord { x: 0, y: 0, z: 1 }, &Vec::new())
            .unwrap()
    );
}

#[test]
fn a_stale_tile_stands_in_for_a_failing_server() {
    let red = png((256, 256), RED);
    let first_pixel = |world: &World| {
        let image: MapImage = world.load(0, 0, 1).unwrap().unwrap().image.unwrap();
        image.into_raster().unwrap().pixel(0, 0).unwrap()
    };
    // no rule for this status, or one that allows it
    assert_eq!(first_pixel(&stale_world(false, false)), RED);
    assert_eq!(first_pixel(&stale_world(true, true)), RED);
    // a rule without `authorize_stale` wins over the stale tile
    let world = stale_world(false, true);
    assert_eq!(first_pixel(&world)[3], 0);
    assert_eq!(world.memory.content("/cache/1/0/0.png").unwrap(), red);
}

#[test]
fn without_storage_nothing_is_written() {
    let world = World::with(|cache, _| cache.disable_storage = true);
    world.load(0, 0, 3).unwrap().unwrap();
    assert!(world.memory.paths().is_empty());
    world.load(0, 0, 3).unwrap().unwrap();
    assert_eq!(world.memory.asked().len(), 2);
}

#[test]
fn a_cache_without_sources_serves_what_it_has() {
    let world = World::with(|cache, _| cache.sources = CacheSources::Layers(Vec::new()));
    world.memory.insert("/cache/3/0/0.png", b"tile", UnixTime(0.0));
    assert!(world.load(0, 0, 3).unwrap().is_some());
    assert!(world.load(1, 0, 3).unwrap().is_none());
    assert!(world.locks().is_empty());
}

#[test]
fn tiles_outside_coverage_and_grid_do_not_exist() {
    let world = World::with(|cache, _| {
        let area = BBox {
            minx: 0.0,
            miny: 0.0,
            maxx: 10.0,
            maxy: 10.0,
        };
        cache.coverage = Some(Coverage::from_bbox(area, Srs::new("EPSG:4326").unwrap()));
    });
    assert!(world.load(0, 0, 3).unwrap().is_none());
    assert!(world.load(4, 4, 3).unwrap().is_some());
    assert!(world.load(-1, 4, 3).unwrap().is_none());
    assert!(world.load(8, 4, 3).unwrap().is_none());
    assert!(world.load(0, 0, 30).unwrap().is_none());
    assert_eq!(world.memory.asked().len(), 1);
}

#[test]
fn a_cache_of_the_same_tiles_hands_them_on_as_they_are() {
    let mut world = World::new();
    let mut inner = cache();
    inner.name = "inner".to_owned();
    inner.sources = CacheSources::Layers(Vec::new());
    inner.backend = CacheBackend::File(FileCache {
        directories: vec!["/inner".to_owned()],
        layout: DirectoryLayout::Tc,
        extension: "png".to_owned(),
        directory_permissions: None,
        file_permissions: None,
    });
    world.caches.push(inner);
    world.caches[0].sources = CacheSources::Layers(vec![LayerSource::Cache("inner".to_owned())]);
    let tile = png((256, 256), RED);
    world
        .memory
        .insert("/inner/03/000/000/001/000/000/002.png", &tile, UnixTime(0.0));
    world.load(1, 2, 3).unwrap().unwrap();
    assert_eq!(world.memory.content("/cache/3/1/2.png").unwrap(), tile);
    assert!(world.load(0, 0, 3).unwrap().is_none());
}

#[test]
fn a_cache_on_another_grid_is_warped() {
    let mut world = World::new();
    let mut inner = cache();
    inner.name = "inner".to_owned();
    inner.grids = vec!["GLOBAL_GEODETIC".to_owned()];
    world.caches.push(inner);
    world.caches[0].sources = CacheSources::Layers(vec![LayerSource::Cache("inner".to_owned())]);
    (world.caches[0].meta_size, world.caches[0].meta_buffer) = ((1, 1), 0);
    let tile = world.load(2, 2, 2).unwrap().unwrap();
    let raster = tile.image.unwrap().into_raster().unwrap();
    assert_eq!((raster.pixel(3, 3), raster.pixel(250, 250)), (Some(RED), Some(RED)));
    assert!(
        world
            .memory
            .asked_urls()
            .iter()
            .all(|url| url.contains("srs=EPSG%3A4326"))
    );
}

#[test]
fn maps_are_made_of_the_tiles_they_show() {
    let world = World::new();
    let query = map_query([-1e6, -1e6, 1e6, 1e6], (100, 100), "EPSG:3857");
    let map = world.layer().get_map(&query).unwrap().unwrap();
    let raster = map.into_raster().unwrap();
    assert_eq!(raster.size(), (100, 100));
    assert_eq!(raster.pixel(50, 50), Some(RED));
    // in degrees, with nothing beyond the grid, in whichever name the degrees have
    for srs in ["EPSG:4326", "CRS:84", "EPSG:4258"] {
        let query = map_query([-180.0, -90.0, 180.0, 90.0], (360, 180), srs);
        let raster = world.layer().get_map(&query).unwrap().unwrap().into_raster().unwrap();
        assert_eq!(raster.pixel(180, 90), Some(RED), "{srs}");
        let beyond = [1, 178].map(|y| raster.pixel(180, y).unwrap()[3]);
        assert_eq!(beyond, [0, 0], "{srs}");
    }
}

#[test]
fn tiles_of_an_opaque_cache_are_joined_to_an_opaque_map() {
    for transparent in [false, true] {
        let world = World::with(|cache, _| cache.image.transparent = Some(transparent));
        let half = encode(filled(256, 256, [0, 0, 0, 0]).unwrap(), &true_color(), None).unwrap();
        world.memory.answer(move |_| reply(200, "image/png", &half));
        let query = MapQuery {
            transparent: true,
            ..map_query([-1e6, -1e6, 1e6, 1e6], (100, 100), "EPSG:3857")
        };
        let map = world.layer().get_map(&query).unwrap().unwrap();
        assert_eq!(map.into_raster().unwrap().is_opaque(), !transparent, "{transparent}");
    }
}

#[test]
fn a_tile_source_of_another_system_is_the_fault_of_that_source() {
    let mut world = World::with(|cache, _| cache.grids = vec!["GLOBAL_GEODETIC".to_owned()]);
    world.sources = vec![tile_source()];
    let error = world.load(0, 0, 1).unwrap_err();
    assert!(matches!(error, LayerError::Source { .. }), "{error}");
    assert!(error.to_string().contains("SRS of cache and tile source"), "{error}");
}

#[test]
fn maps_outside_the_grid_are_nothing() {
    let world = World::new();
    let query = map_query([3e7, 3e7, 4e7, 4e7], (100, 100), "EPSG:3857");
    assert!(world.layer().get_map(&query).unwrap().is_none());
    assert!(world.memory.asked().is_empty());
}

#[test]
fn too_many_tiles_and_unaligned_tiles_are_refused() {
    let world = World::with(|cache, _| cache.max_tile_limit = 4);
    let layer = world.layer();
    let fails = |query: &MapQuery, expect: &str| {
        let error = layer.get_map(query).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    };
    let wide = map_query([-2e7, -2e7, 2e7, 2e7], (2000, 2000), "EPSG:3857");
    fails(&wide, "too many tiles, max_tile_limit: 4, num_tiles: ");
    let half = 20_037_508.342_789_244;
    let tile = MapQuery {
        tiled_only: true,
        ..map_query([0.0, 0.0, half, half], (256, 256), "EPSG:900913")
    };
    assert!(layer.get_map(&tile).unwrap().unwrap().cacheability.timestamp.is_some());
    fails(
        &MapQuery {
            size: (200, 256),
            ..tile.clone()
        },
        "invalid tile size (use 256x256)",
    );
    fails(
        &MapQuery {
            format: ImageFormat::JPEG,
            ..tile.clone()
        },
        "invalid tile format, use png",
    );
    let bbox = BBox { minx: 1e6, ..tile.bbox };
    fails(
        &MapQuery { bbox, ..tile.clone() },
        "query does not align to tile boundaries",
    );
    let bbox = BBox {
        minx: -1e6,
        maxx: half - 1e6,
        ..tile.bbox
    };
    fails(&MapQuery { bbox, ..tile }, "not a single tile");
}

#[test]
fn sources_are_asked_in_a_system_they_support() {
    let world = World::with(|_, source| {
        wms_of(source).supported_srs = ["EPSG:4326", "EPSG:3857"].map(|code| Srs::new(code).unwrap()).to_vec();
    });
    let layer = world.assembly().source("wms").unwrap();
    // the same system in another spelling
    layer
        .get_map(&map_query([0.0, 0.0, 1e6, 1e6], (100, 100), "EPSG:900913"))
        .unwrap()
        .unwrap();
    let url = world.memory.asked_urls().pop().unwrap();
    assert!(
        url.contains("srs=EPSG%3A3857") && url.contains("bbox=0.0,0.0,1000000.0,1000000.0"),
        "{url}"
    );
    // another system: asked in the best one, warped
    let map = layer
        .get_map(&map_query([4e5, 5e6, 5e5, 5.1e6], (100, 100), "EPSG:25832"))
        .unwrap()
        .unwrap();
    let raster = map.into_raster().unwrap();
    assert_eq!((raster.size(), raster.pixel(50, 50)), ((100, 100), Some(RED)));
    let url = world.memory.asked_urls().pop().unwrap();
    assert!(url.contains("srs=EPSG%3A3857"), "{url}");
}

#[test]
fn only_the_part_inside_the_coverage_is_asked_for() {
    let world = World::with(|_, source| {
        let area = BBox {
            minx: 10.0,
            miny: 0.0,
            maxx: 20.0,
            maxy: 10.0,
        };
        source.coverage = Some(Coverage::from_bbox(area, Srs::new("EPSG:4326").unwrap()));
    });
    let layer = world.assembly().source("wms").unwrap();
    let map = layer
        .get_map(&map_query([0.0, 0.0, 20.0, 20.0], (200, 200), "EPSG:4326"))
        .unwrap()
        .unwrap();
    assert_eq!(asked(&world), ["bbox=10,0,20,10 width=100 height=100"]);
    let raster = map.into_raster().unwrap();
    assert_eq!(raster.size(), (200, 200));
    assert_eq!(raster.pixel(150, 150), Some(RED));
    assert_eq!(raster.pixel(50, 150).unwrap()[3], 0);
    assert_eq!(raster.pixel(150, 50).unwrap()[3], 0);
    // outside nobody is asked
    assert!(
        layer
            .get_map(&map_query([30.0, 0.0, 40.0, 10.0], (100, 100), "EPSG:4326"))
            .unwrap()
            .is_none()
    );
    assert_eq!(world.memory.asked().len(), 1);
}

#[test]
fn adjacent_layers_of_one_server_are_one_request() {
    let mut world = World::new();
    let mut other = wms_source();
    other.name = "other".to_owned();
    wms_of(&mut other).params = vec![("layers".to_owned(), "b,c".to_owned())];
    let mut opaque = other.clone();
    opaque.name = "opaque".to_owned();
    opaque.opacity = Some(0.5);
    world.sources.extend([other, opaque]);
    let assembly = world.assembly();
    let layer = |name| assembly.source(name).unwrap();
    let query = map_query([0.0, 0.0, 1.0, 1.0], (10, 10), "EPSG:4326");
    let both = layer("wms").combine(layer("other").as_ref(), &query).unwrap();
    both.get_map(&query).unwrap().unwrap();
    assert!(world.memory.asked_urls()[0].contains("layers=a,b,c"));
    assert!(layer("wms").combine(layer("opaque").as_ref(), &query).is_none());
}

#[test]
fn requests_of_a_limited_source_wait_for_a_place() {
    let world = World::with(|cache, source| {
        source.concurrent_requests = 1;
        cache.concurrent_tile_creators = 3;
    });
    let tiles = [(0, 0), (2, 0), (4, 0)].map(|(x, y)| Some(TileCoord { x, y, z: 3 }));
    let found = world.manager().load_tiles(&tiles, &Vec::new()).unwrap();
    assert!(found.iter().all(Option::is_some));
    assert_eq!(world.memory.batches(), [1, 1, 1]);
    assert!(world.locks().is_empty());
}

#[test]
fn tiles_are_kept_for_the_dimensions_that_matter() {
    let check = |forwarded: &[&str], expect: &str| {
        let world = World::with(|cache, source| {
            (cache.meta_size, cache.meta_buffer) = ((1, 1), 0);
            wms_of(source).forward_req_params = forwarded.iter().map(|name| (*name).to_owned()).collect();
        });
        let dimensions = [("time", "2020"), ("dim_any", "../x")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .to_vec();
        let tile = TileCoord { x: 0, y: 0, z: 1 };
        world.manager().load_tile(tile, &dimensions).unwrap().unwrap();
        assert_eq!(world.stored(), [expect]);
        assert_eq!(
            world.memory.asked_urls()[0].contains("time=2020"),
            !forwarded.is_empty()
        );
    };
    check(&[], "1/0/0.png");
    check(&["TIME"], "time-2020/1/0/0.png");
}

#[test]
fn a_hit_does_not_build_the_sources() {
    let mut world = World::new();
    world.sources.clear();
    world.memory.insert("/cache/3/0/0.png", b"tile", UnixTime(0.0));
    assert!(world.load(0, 0, 3).unwrap().is_some());
    assert!(matches!(world.load(1, 0, 3), Err(LayerError::NotSupported { .. })));
}

/// Stores the tile `z/x/y`.
fn put(world: &World, tile: &str, color: [u8; 4]) {
    let path = format!("/cache/{tile}.png");
    world.memory.insert(&path, &png((256, 256), color), UnixTime(1.0));
}

#[test]
fn missing_tiles_are_made_from_a_coarser_level() {
    for keep in [false, true] {
        let world = World::with(|cache, _| {
            cache.sources = CacheSources::Layers(Vec::new());
            cache.upscale_tiles = 2;
            cache.cache_rescaled_tiles = keep;
        });
        put(&world, "1/1/1", RED);
        let tile = world.load(5, 5, 3).unwrap().expect("two levels above is one");
        let raster = tile.image.unwrap().into_raster().unwrap();
        assert_eq!(raster.size(), (256, 256));
        assert!(world.load(0, 0, 3).unwrap().is_none(), "above that one is nothing");
        assert!(world.load(13, 13, 4).unwrap().is_none(), "three levels are too many");
        let expect: &[&str] = if keep {
            &["1/1/1.png", "2/2/2.png", "3/5/5.png"]
        } else {
            &["1/1/1.png"]
        };
        assert_eq!(world.stored(), expect);
    }
}

#[test]
fn missing_tiles_are_made_from_a_finer_level() {
    let world = World::with(|cache, _| {
        cache.sources = CacheSources::Layers(Vec::new());
        cache.downscale_tiles = 1;
    });
    put(&world, "3/4/5", RED);
    assert!(world.load(2, 2, 2).unwrap().is_some());
    assert!(world.load(3, 3, 2).unwrap().is_none());
    assert!(world.load(1, 1, 1).unwrap().is_none(), "two levels are too many");
    assert_eq!(world.stored().len(), 1, "rescaled tiles are not kept unless wanted");
}

#[test]
fn sources_come_before_rescaled_tiles() {
    let world = World::with(|cache, _| cache.upscale_tiles = 3);
    put(&world, "1/1/1", [0, 0, 255, 255]);
    world.load(4, 4, 3).unwrap().unwrap();
    assert_eq!(world.memory.asked_urls().len(), 1);
}

/// A world with a second cache, `other`, of the same source; what a map of both asks for.
fn two_caches() -> World {
    let mut world = World::new();
    let mut other = Cache {
        name: "other".to_owned(),
        ..cache()
    };
    if let CacheBackend::File(file) = &mut other.backend {
        file.directories = vec!["/cache/other".to_owned()];
    }
    world.caches.push(other);
    world
}

/// The map of several caches, of four meta tiles of each.
fn maps_of(world: &World, caches: &[&str]) -> Vec<Result<Option<MapImage>, LayerError>> {
    let layers: Vec<_> = caches
        .iter()
        .map(|name| world.assembly().cache_layer(name).unwrap())
        .collect();
    let platform: Rc<dyn Platform> = world.memory.clone();
    let half = 10_018_754.171_394_624;
    let query = map_query([-half, -half, half, half], (1024, 1024), "EPSG:3857");
    get_maps(&platform, &layers, &query).unwrap()
}

#[test]
fn caches_of_one_map_are_filled_together() {
    let world = two_caches();
    assert!(
        maps_of(&world, &["cache", "other"])
            .into_iter()
            .all(|map| map.unwrap().is_some())
    );
    // each has its own `concurrent_tile_creators`, 2
    assert_eq!(world.memory.batches(), [4, 4]);
    assert_eq!(world.stored().len(), 32);
    assert!(world.locks().is_empty());
}

#[test]
fn while_one_cache_waits_for_a_lock_the_others_are_filled() {
    let world = two_caches();
    let platform: Rc<dyn Platform> = world.memory.clone();
    // all meta tiles of the first cache are being made by somebody else
    let hold = |(x, y)| {
        let lock = format!("/locks/{:x}-{x}-{y}-3.lck", <md5::Md5 as md5::Digest>::digest("/cache"));
        FileLock::try_acquire(&platform, &lock).unwrap().unwrap()
    };
    let held = std::cell::RefCell::new([(2, 2), (4, 2), (2, 4), (4, 4)].map(hold).map(Some));
    let memory = Rc::clone(&world.memory);
    world.memory.on_sleep(move |now| {
        assert_eq!(memory.asked().len(), 4, "nobody sleeps while there is something to do");
        if now >= Duration::from_secs(1) {
            held.borrow_mut().iter_mut().for_each(|lock| drop(lock.take()));
        }
    });
    assert!(
        maps_of(&world, &["cache", "other"])
            .into_iter()
            .all(|map| map.unwrap().is_some())
    );
    assert_eq!(world.memory.batches()[..2], [2, 2]);
    assert_eq!(world.memory.asked().len(), 8);
    assert!(world.locks().is_empty());
}

#[test]
fn layers_of_the_same_cache_share_its_tiles() {
    let world = World::new();
    assert!(
        maps_of(&world, &["cache", "cache"])
            .into_iter()
            .all(|map| map.unwrap().is_some())
    );
    assert_eq!(world.memory.asked().len(), 4);
}

#[test]
fn a_cache_that_fails_leaves_the_others_alone() {
    let mut world = two_caches();
    world.sources.push(Source {
        name: "broken".to_owned(),
        ..wms_source()
    });
    world.caches[0].sources = CacheSources::Layers(vec![LayerSource::Source("broken".to_owned())]);
    wms_of(&mut world.sources[1]).url = "http://broken/service?".to_owned();
    world.memory.answer(|request| {
        let status = if request.url.contains("broken") { 500 } else { 200 };
        reply(status, "image/png", &png(size_of(request), RED))
    });
    let maps = maps_of(&world, &["cache", "other"]);
    assert!(maps[0].is_err());
    assert!(maps[1].as_ref().unwrap().is_some());
    // nothing new is begun behind the failure
    assert_eq!(world.memory.batches(), [4, 2]);
    assert!(world.locks().is_empty());
}

#[test]
fn sources_of_a_cache_of_caches_are_asked_together_and_its_lock_lives() {
    let mut world = two_caches();
    world.caches.push(Cache {
        name: "both".to_owned(),
        sources: CacheSources::Layers(
            ["cache", "other"]
                .map(|name| LayerSource::Cache(name.to_owned()))
                .to_vec(),
        ),
        format: ImageFormat::JPEG,
        meta_size: (1, 1),
        meta_buffer: 0,
        ..cache()
    });
    if let CacheBackend::File(file) = &mut world.caches[2].backend {
        file.directories = vec!["/cache/both".to_owned()];
    }
    let memory = Rc::clone(&world.memory);
    world.memory.answer(move |request| {
        memory.advance(Duration::from_secs(10));
        reply(200, "image/png", &png(size_of(request), RED))
    });
    let manager = world.assembly().managers("both").unwrap().remove(0);
    let tile = TileCoord { x: 2, y: 2, z: 3 };
    assert!(manager.load_tile(tile, &Vec::new()).unwrap().is_some());
    assert_eq!(world.memory.batches(), [2]);
    let touched = world.memory.take_operations();
    let own = format!("{:x}", <md5::Md5 as md5::Digest>::digest("/cache/both"));
    assert!(
        touched
            .iter()
            .any(|(what, path)| *what == "touch" && path.contains(&own)),
        "{touched:?}"
    );
    assert!(world.locks().is_empty());
}

#[test]
fn a_mixed_cache_keeps_what_a_tile_server_sends() {
    let mut world = World::with(|cache, _| {
        cache.format = ImageFormat::MIXED;
        cache.image.format = Some(ImageFormat::MIXED);
    });
    // of a WMS, opaque tiles are stored as JPEG
    world.load(0, 0, 1).unwrap().unwrap();
    assert_eq!(
        peek_format(&world.memory.content("/cache/1/0/0.png").unwrap()),
        Some(ImageFormat::JPEG)
    );
    world.assembly = OnceCell::new();
    world.sources = vec![tile_source()];
    world.memory.delete_tree("/cache");
    let tile = world.load(0, 0, 1).unwrap().unwrap();
    let sent = png((256, 256), RED);
    assert_eq!(world.memory.content("/cache/1/0/0.png").unwrap(), sent);
    assert_eq!(tile.image.unwrap().encoded().unwrap(), sent);
}

#[test]
fn the_map_of_grey_tiles_is_grey() {
    let band = BandSource {
        source: LayerSource::Source("wms".to_owned()),
        band: 0,
        factor: 1.0,
    };
    let world = World::with(|cache, _| {
        cache.sources = CacheSources::Bands(BandMerge {
            bands: vec![('l', vec![band])],
        });
    });
    let map = maps_of(&world, &["cache"]).remove(0).unwrap().unwrap();
    assert!(matches!(map.into_raster().unwrap().pixels(), Pixels::Gray(_)));
}

/// As MapProxy: tiles at the edge of a grid reach beyond it, what they are made of does not.
#[test]
fn a_cache_of_a_cache_asks_for_nothing_beyond_its_grid() {
    let mut world = two_caches();
    world.sources = vec![tile_source()];
    let utm = GridOptions {
        name: "utm".to_owned(),
        srs: Srs::new("EPSG:25832").ok(),
        bbox: Some(BBox::new(4.0, 46.0, 16.0, 56.0)),
        bbox_srs: Some(Srs::wgs84()),
        min_res: Some(5700.0),
        ..GridOptions::default()
    };
    world.grids.push(utm.build().unwrap());
    world.caches[0].grids = vec!["utm".to_owned()];
    world.caches[0].sources = CacheSources::Layers(vec![LayerSource::Cache("other".to_owned())]);
    world.load(0, 0, 0).unwrap().unwrap();
    let mut urls = world.memory.asked_urls();
    urls.sort();
    assert_eq!(urls, ["http://tiles/4/8/10.png", "http://tiles/4/8/11.png"]);
}
