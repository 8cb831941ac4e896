//! `mapproxy:proxy/seeding`: types of the WIT in and out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use mapproxy_core::config::model::SeedKind;
use mapproxy_core::platform::Platform;
use mapproxy_core::seed::{Cell, Failure, Options, Seeder};

pub(crate) use crate::bindings::exports::mapproxy::proxy::seeding as wit;
use crate::platform::Wasi;
use crate::{configuration, logger};

fn seeder() -> Result<Seeder, String> {
    seeder_on(Wasi::default())
}

fn seeder_on(wasi: Wasi) -> Result<Seeder, String> {
    logger::install();
    let wasi = Rc::new(wasi);
    let compiled = configuration::current(&wasi)?;
    let platform: Rc<dyn Platform> = wasi;
    Ok(Seeder::new(platform, compiled))
}

pub(crate) fn tasks() -> Result<Vec<wit::Task>, String> {
    let tasks = seeder()?.tasks().into_iter().map(|task| wit::Task {
        kind: match task.kind {
            SeedKind::Seed => wit::TaskKind::Seed,
            SeedKind::Cleanup => wit::TaskKind::Cleanup,
        },
        name: task.name,
        cache: task.cache,
        grid: task.grid,
        levels: task.levels,
        facts: task.facts,
        unusable: task.unusable,
        fingerprint: task.fingerprint,
    });
    Ok(tasks.collect())
}

pub(crate) fn count(task: u32, options: wit::Options) -> Result<wit::Estimate, wit::Failure> {
    let estimate = seeder()
        .map_err(wit::Failure::Permanent)?
        .estimate(task, options.skip_geoms_for_last_levels)
        .map_err(failure)?;
    let levels = estimate.levels.into_iter();
    Ok(wit::Estimate {
        levels: levels
            .map(|(level, pieces, tiles)| wit::LevelCount { level, pieces, tiles })
            .collect(),
        exact: estimate.exact,
    })
}

pub(crate) fn look(task: u32, options: wit::Options, level: u32) -> Result<wit::Picture, wit::Failure> {
    let picture = seeder()
        .map_err(wit::Failure::Permanent)?
        .picture(task, &self::options(options), level)
        .map_err(failure)?;
    let cells = picture.cells.into_iter().map(|cell| match cell {
        Cell::Outside => wit::Cell::Outside,
        Cell::Missing => wit::Cell::Missing,
        Cell::Partly => wit::Cell::Partly,
        Cell::Day => wit::Cell::Day,
        Cell::Week => wit::Cell::Week,
        Cell::Month => wit::Cell::Month,
        Cell::Year => wit::Cell::Year,
        Cell::Older => wit::Cell::Older,
    });
    Ok(wit::Picture {
        columns: picture.columns,
        cells: cells.collect(),
        looked_at: picture.looked_at,
        stored: picture.stored,
        complete: picture.complete,
    })
}

pub(crate) fn plan(
    task: u32,
    options: wit::Options,
    cursor: Option<&[u8]>,
    limit: u32,
) -> Result<wit::Batch, wit::Failure> {
    let batch = seeder()
        .map_err(wit::Failure::Permanent)?
        .plan(task, &self::options(options), cursor, limit)
        .map_err(failure)?;
    let pieces = batch.pieces.into_iter();
    Ok(wit::Batch {
        pieces: pieces
            .map(|piece| wit::Piece {
                id: piece.id,
                level: piece.level,
            })
            .collect(),
        cursor: batch.cursor,
        progress: batch.progress,
    })
}

pub(crate) fn run(task: u32, options: wit::Options, id: &str) -> Result<wit::Report, wit::Failure> {
    let mut piece = DefaultHasher::new();
    (options.run, task, id).hash(&mut piece);
    let report = seeder_on(Wasi::for_piece(piece.finish()))
        .map_err(wit::Failure::Permanent)?
        .run(task, &self::options(options), id)
        .map_err(failure)?;
    Ok(wit::Report {
        made: report.made,
        bytes: report.bytes,
        there: report.there,
        nothing: report.nothing,
        removed: report.removed,
        paths: report.paths,
        rest: report.rest,
    })
}

fn options(options: wit::Options) -> Options {
    Options {
        started: options.started,
        skip_uncached: options.skip_uncached,
        skip_geoms: options.skip_geoms_for_last_levels,
        dry_run: options.dry_run,
    }
}

fn failure(failure: Failure) -> wit::Failure {
    match failure {
        Failure::Again(message) => wit::Failure::Again(message),
        Failure::Busy(message) => wit::Failure::Busy(message),
        Failure::Final(message) => wit::Failure::Permanent(message),
    }
}
