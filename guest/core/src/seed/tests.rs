//! Tasks from plan to stored tiles, on a platform in memory.

use std::rc::Rc;

use super::{Batch, Failure, Options, Report, Seeder, ageless, fixture};
use crate::http::{Headers, HttpReply};
use crate::image::{ImageFormat, ImageOptions, MapImage, filled};
use crate::platform::memory::{EPOCH, MemoryPlatform};
use crate::platform::{FileError, Platform, UnixTime};

const MAPPROXY: &str = "
layers: [{name: a, title: a, sources: [c]}]
sources:
  w: {type: wms, seed_only: true, req: {url: 'http://maps/', layers: a}}
caches:
  c: {grids: [GLOBAL_GEODETIC], sources: [w], meta_size: [2, 2], meta_buffer: 0, cache: {type: file, directory: tiles, directory_layout: tms}}
  keyed: {grids: [GLOBAL_GEODETIC], sources: [w], cache: {type: file, directory: keyed, directory_layout: quadkey}}
  far: {grids: [GLOBAL_GEODETIC], sources: [w], cache: {type: couchdb}}
";
const SEED: &str = "
coverages:
  west: {bbox: [-180, -90, 0, 90], srs: 'EPSG:4326'}
  city: {bbox: [13.1, 52.34, 13.7, 52.68], srs: 'EPSG:4326'}
  farm: {bbox: [0, 0, 0.01, 0.01], srs: 'EPSG:4326'}
  yard: {bbox: [40, 40, 40.001, 40.001], srs: 'EPSG:4326'}
seeds:
  all: {caches: [c], levels: {to: 2}, refresh_before: {days: 1}}
  west: {caches: [c], coverages: [west], levels: [2]}
  far: {caches: [far], levels: [0]}
  city: {caches: [c], coverages: [city], levels: [12]}
  specks: {caches: [c], coverages: [farm, yard], levels: [16]}
cleanups:
  old: {caches: [c], levels: [1, 2], remove_before: {hours: 1}}
  marked: {caches: [c], levels: [2], remove_before: {mtime: marker}}
  everything: {caches: [c], remove_all: true, levels: [2]}
  east: {caches: [keyed], levels: [2]}
  keyed: {caches: [keyed], remove_all: true}
";

struct World {
    memory: Rc<MemoryPlatform>,
    seeder: Seeder,
    options: Options,
}

fn world() -> World {
    let memory = MemoryPlatform::new();
    memory.answer(|request| {
        let number = |name: &str| -> u32 {
            let (_, rest) = request.url.split_once(&format!("{name}=")).unwrap();
            rest.split('&').next().unwrap().parse().unwrap()
        };
        let raster = filled(number("width"), number("height"), [1, 2, 3, 255]).unwrap();
        let mut headers = Headers::default();
        headers.set("content-type", "image/png");
        Ok(HttpReply {
            status: 200,
            headers,
            body: MapImage::from_raster(raster, ImageOptions::default())
                .into_bytes(&ImageOptions {
                    format: Some(ImageFormat::PNG),
                    ..Default::default()
                })
                .unwrap(),
        })
    });
    let compiled = Rc::new(fixture::compile_texts(MAPPROXY, SEED));
    let platform: Rc<dyn Platform> = memory.clone();
    World {
        memory,
        seeder: Seeder::new(platform, compiled),
        options: Options {
            started: EPOCH,
            ..Options::default()
        },
    }
}

impl World {
    fn number(&self, name: &str) -> u32 {
        self.seeder.tasks().iter().position(|task| task.name == name).unwrap() as u32
    }

    fn plan(&self, name: &str) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = None;
        loop {
            let Batch {
                pieces, cursor: next, ..
            } = self
                .seeder
                .plan(self.number(name), &self.options, cursor.as_deref(), 2)
                .unwrap();
            ids.extend(pieces.into_iter().map(|piece| piece.id));
            match next {
                Some(next) => cursor = Some(next),
                None => return ids,
            }
        }
    }

    fn run(&self, name: &str) -> Report {
        let mut total = Report::default();
        for id in self.plan(name) {
            let report = self.seeder.run(self.number(name), &self.options, &id).unwrap();
            total.made += report.made;
            total.there += report.there;
            total.removed += report.removed;
            total.paths.extend(report.paths);
        }
        total
    }
}

#[test]
fn a_task_fills_its_cache_once() {
    let world = world();
    assert_eq!(world.plan("all"), ["2/0/0", "2/2/0", "1/0/0", "0/0/0"]);
    assert_eq!(world.run("all").made, 11);
    assert_eq!(
        world.memory.asked().len(),
        4,
        "one request for each meta tile, `seed_only` or not"
    );
    let again = world.run("all");
    assert_eq!((again.made, again.there), (0, 11));
    assert_eq!(world.memory.asked().len(), 4);
}

#[test]
fn what_is_missing_or_old_in_a_meta_tile_is_made_with_it() {
    let world = world();
    world.run("all");
    world.memory.delete_tree("/etc/tiles/2/3/1.png");
    assert_eq!(world.run("all").made, 4);
    world
        .memory
        .insert("/etc/tiles/2/0/1.png", b"old", UnixTime(EPOCH - 86_400.0));
    let mut only_stored = world;
    only_stored.options.skip_uncached = true;
    only_stored.memory.delete_tree("/etc/tiles/1");
    assert_eq!(only_stored.run("all").made, 4, "the old one's, but not level 1");
}

#[test]
fn without_an_age_stored_tiles_stay() {
    let world = world();
    assert_eq!(world.plan("west"), ["2/0/0"]);
    world.memory.insert("/etc/tiles/2/0/0.png", b"old", UnixTime(1.0));
    for y in 0..2 {
        for x in 0..2 {
            let path = format!("/etc/tiles/2/{x}/{y}.png");
            world.memory.insert(&path, b"old", UnixTime(1.0));
        }
    }
    assert_eq!(world.run("west").there, 4);
}

#[test]
fn cleanups_remove_by_age_or_all() {
    let mut world = world();
    world.run("all");
    for path in ["/etc/tiles/2/3/1.png", "/etc/tiles/1/0/0.png", "/etc/tiles/0/0/0.png"] {
        world.memory.insert(path, b"old", UnixTime(EPOCH - 3601.0));
    }
    assert_eq!(world.plan("old"), ["1", "2"]);
    world.options.dry_run = true;
    let listed = world.run("old");
    assert_eq!(listed.paths, ["/etc/tiles/1/0/0.png", "/etc/tiles/2/3/1.png"]);
    world.options.dry_run = false;
    assert_eq!(world.run("old").removed, 2);
    assert!(world.memory.content("/etc/tiles/0/0/0.png").is_some());
    assert_eq!(world.run("everything").removed, 7);
    assert!(
        world
            .memory
            .paths()
            .iter()
            .all(|path| !path.starts_with("/etc/tiles/2"))
    );
}

#[test]
fn layouts_without_level_directories_are_cleaned_tile_by_tile() {
    let world = world();
    world.memory.insert("/etc/keyed/01.png", b"old", UnixTime(1.0));
    world.memory.insert("/etc/keyed/0.png", b"other level", UnixTime(1.0));
    assert_eq!(world.plan("east"), ["2/0/0"]);
    assert_eq!(world.run("east").removed, 1);
    assert!(world.memory.content("/etc/keyed/0.png").is_some());
}

#[test]
fn layouts_without_level_directories_are_walked_where_levels_are_large() {
    let world = world();
    let tiles = [
        "/etc/keyed/0.png",
        "/etc/keyed/0123012301230123012.png",
        "/etc/keyed/12.png",
    ];
    let others = ["/etc/keyed/4.png", "/etc/keyed/notes.txt", "/etc/keyed/1/2.png"];
    for path in tiles.iter().chain(&others) {
        world.memory.insert(path, b"", UnixTime(1.0));
    }
    assert_eq!(world.plan("keyed").len(), 20, "a piece for each level");
    assert_eq!(world.run("keyed").removed, 3);
    let mut left = world.memory.paths();
    left.retain(|path| path.starts_with("/etc/keyed/"));
    assert_eq!(left, ["/etc/keyed/1/2.png", "/etc/keyed/4.png", "/etc/keyed/notes.txt"]);
}

#[test]
fn failures_are_told_apart() {
    let world = world();
    let number = world.number("all");
    for id in ["", "x", "1/2", "0/5/0", "9/-1/0", "1/0/0/0"] {
        assert!(
            matches!(world.seeder.run(number, &world.options, id), Err(Failure::Final(_))),
            "{id}"
        );
    }
    assert!(matches!(
        world.seeder.run(99, &world.options, "0/0/0"),
        Err(Failure::Final(_))
    ));
    let far = world.seeder.plan(world.number("far"), &world.options, None, 5);
    assert!(matches!(far, Err(Failure::Final(text)) if text.contains("couchdb")));
    world.memory.answer(|_| {
        Ok(HttpReply {
            status: 503,
            headers: Headers::default(),
            body: Vec::new(),
        })
    });
    assert!(matches!(
        world.seeder.run(number, &world.options, "0/0/0"),
        Err(Failure::Again(_))
    ));
    world.memory.insert("/etc/tiles/0/0/0.png", b"stale", UnixTime(1.0));
    assert!(
        matches!(
            world.seeder.run(number, &world.options, "0/0/0"),
            Err(Failure::Again(_))
        ),
        "an old tile is not the answer to a failure"
    );
}

#[test]
fn a_directory_that_may_not_be_written_is_not_tried_again() {
    let world = world();
    world.memory.make_read_only("/etc/tiles");
    let failed = world.seeder.run(world.number("all"), &world.options, "0/0/0");
    assert!(matches!(failed, Err(Failure::Final(_))), "{failed:?}");
}

#[test]
fn tiles_are_counted_beforehand() {
    let world = world();
    let all = world.seeder.estimate(world.number("all"), 0).unwrap();
    assert_eq!((all.levels, all.exact), (vec![(0, 1, 1), (1, 1, 2), (2, 2, 8)], true));
    let west = world.seeder.estimate(world.number("west"), 0).unwrap();
    assert_eq!(west.levels, [(2, 1, 4)]);
}

#[test]
fn a_picture_shows_what_is_stored() {
    use super::Cell::{Day, Missing};
    let world = world();
    let picture = |task: u32, level: u32| world.seeder.picture(task, &world.options, level).unwrap();
    let before = picture(1, 2);
    assert_eq!(
        (before.columns, before.cells.clone(), before.complete),
        (1, vec![Missing], true)
    );
    assert_eq!((before.looked_at, before.stored), (4, 0));
    world.seeder.run(1, &world.options, "2/0/0").unwrap();
    let after = picture(1, 2);
    assert_eq!((after.cells, after.stored), (vec![Day], 4));
    assert_eq!(picture(0, 2).cells, [Day, Missing]);
    assert_eq!(picture(0, 99).cells, []);
    assert!(matches!(
        world.seeder.picture(2, &world.options, 0),
        Err(Failure::Final(_))
    ));
}

#[test]
fn a_picture_spans_the_area_of_the_task() {
    use super::Cell::{Day, Missing, Outside};
    let world = world();
    let (city, specks) = (world.number("city"), world.number("specks"));
    let picture = |task: u32, level: u32| world.seeder.picture(task, &world.options, level).unwrap();
    let before = picture(city, 12);
    assert_eq!((before.columns, before.complete), (4, true));
    assert_eq!(before.cells, [Missing; 12]);
    assert_eq!((before.looked_at, before.stored), (48, 0));
    assert_eq!(world.run("city").made, 48);
    let after = picture(city, 12);
    assert_eq!((after.cells, after.stored), (vec![Day; 12], 48));
    assert_eq!(picture(city, 0).cells, [Missing]);

    let deep = picture(specks, 16);
    assert_eq!((deep.columns, deep.cells.len(), deep.complete), (64, 64 * 64, false));
    let shown = deep.cells.iter().enumerate().filter(|(_, cell)| **cell != Outside);
    let shown: Vec<_> = shown.map(|(place, cell)| (place, *cell)).collect();
    assert_eq!(
        shown,
        [(63, Missing), (63 * 64, Missing)],
        "the yard in the north-east, the farm in the south-west"
    );
    assert!(deep.looked_at <= 2 * 16, "{}", deep.looked_at);
    for id in world.plan("specks") {
        world.seeder.run(specks, &world.options, &id).unwrap();
    }
    let after = picture(specks, 16);
    assert_eq!((after.cells[63], after.cells[63 * 64]), (Day, Day));
    assert_eq!(after.stored, after.looked_at);
}

#[test]
fn a_missing_file_whose_age_counts_stops_the_task_before_it_runs() {
    let world = world();
    let marked = world.number("marked");
    let unusable = || world.seeder.tasks()[marked as usize].unusable.clone();
    let expect = "the file `/etc/marker`, whose age counts, cannot be found";
    assert_eq!(unusable().as_deref(), Some(expect));
    let failed = world.seeder.run(marked, &world.options, "2");
    assert!(
        matches!(&failed, Err(Failure::Final(text)) if text == expect),
        "{failed:?}"
    );
    world.memory.insert("/etc/marker", b"", UnixTime(EPOCH));
    assert_eq!(unusable(), None);
}

#[test]
fn a_file_whose_age_cannot_be_told_has_a_reason() {
    let path = || "/m".to_owned();
    let check = |error: FileError, is_final: bool, expect: &str| {
        let failure = ageless("/m", &error);
        assert_eq!(matches!(failure, Failure::Final(_)), is_final, "{failure:?}");
        assert_eq!(failure.to_string(), expect);
    };
    check(
        FileError::NotFound { path: path() },
        true,
        "the file `/m`, whose age counts, cannot be found",
    );
    let expect =
        "the file `/m`, whose age counts, cannot be found: there is no permission for it, or its directory is missing";
    check(FileError::NotPermitted { path: path() }, true, expect);
    let link = "/m".to_owned();
    let leads_out = FileError::LeadsOut { path: path(), link };
    let expect = "the age of a file counts that cannot be read: `/m` is a link out of the directories of the configuration; `/m` is not followed there";
    check(leads_out, true, expect);
    let reason = "I/O error".to_owned();
    let expect = "the age of a file counts that cannot be read: `/m`: I/O error";
    check(FileError::Other { path: path(), reason }, false, expect);
}
