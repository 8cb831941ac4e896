//! Compares grids with MapProxy's own answers, number by number: `testdata/README.md` says how they were made.
//!
//! Only the grid's bbox, where it was transformed, is taken from the golden file, so that projections do not count here.

use serde::Deserialize;

use super::{GridOptions, MetaGrid, MetaTile, NamedRes, NoTiles, Origin, ResFactor, TileCoord, TileGrid};
use crate::srs::{BBox, Srs};

type Tile = (i64, i64, u32);
type Edges = [f64; 4];

#[derive(Deserialize)]
struct Options {
    srs: String,
    bbox: Option<Edges>,
    bbox_srs: Option<String>,
    tile_size: Option<(u32, u32)>,
    origin: Option<String>,
    res: Option<Vec<f64>>,
    res_factor: Option<serde_json::Value>,
    num_levels: Option<u32>,
    min_res: Option<f64>,
    max_res: Option<f64>,
    threshold_res: Option<Vec<f64>>,
    stretch_factor: Option<f64>,
    max_shrink_factor: Option<f64>,
    align_with: Option<Box<Self>>,
}

/// Tile, bbox, bbox cut at the grid's, flipped tile.
type TileCase = (Tile, Edges, Edges, Tile);
/// Tiles with their offsets.
type Patterns = Vec<(Option<Tile>, (i32, i32))>;

#[derive(Deserialize)]
struct Golden {
    options: Options,
    bbox: Edges,
    resolutions: Vec<f64>,
    sizes: Vec<(i64, i64)>,
    access: (bool, bool),
    sqrt2: bool,
    subset_of: Vec<usize>,
    closest: Vec<(f64, u32)>,
    tiles: Vec<TileCase>,
    affected: Vec<(Edges, (u32, u32), String, Affected)>,
    /// Meta size, buffer, tile, main tile, bbox, size, grid size, tiles.
    #[expect(clippy::type_complexity, reason = "rows of a golden file")]
    meta: Vec<((u32, u32), u32, Tile, Tile, Edges, (u32, u32), (u32, u32), Patterns)>,
    #[expect(clippy::type_complexity, reason = "rows of a golden file")]
    minimal: Vec<((u32, u32), u32, Vec<Tile>, Edges, (u32, u32), (u32, u32), Patterns)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Affected {
    None(String),
    Tiles {
        bbox: Edges,
        size: (u64, u64),
        tiles: Vec<Option<Tile>>,
        level: u32,
    },
}

fn bbox(edges: Edges) -> BBox {
    BBox::new(edges[0], edges[1], edges[2], edges[3])
}

fn coord(tile: Tile) -> TileCoord {
    TileCoord::new(tile.0, tile.1, tile.2)
}

fn options(golden: &Options) -> GridOptions {
    GridOptions {
        srs: Some(Srs::new(&golden.srs).unwrap()),
        bbox: golden.bbox.map(bbox),
        bbox_srs: golden.bbox_srs.as_deref().map(|code| Srs::new(code).unwrap()),
        tile_size: golden.tile_size,
        origin: golden.origin.as_deref().map(|origin| Origin::parse(origin).unwrap()),
        res: golden
            .res
            .as_ref()
            .map(|list| list.iter().map(|res| NamedRes { name: None, res: *res }).collect()),
        res_factor: golden.res_factor.as_ref().map(|factor| match factor.as_f64() {
            Some(number) => ResFactor::Number(number),
            None => ResFactor::Sqrt2,
        }),
        num_levels: golden.num_levels,
        min_res: golden.min_res,
        max_res: golden.max_res,
        threshold_res: golden.threshold_res.clone().unwrap_or_default(),
        stretch_factor: golden.stretch_factor,
        max_shrink_factor: golden.max_shrink_factor,
        align_resolutions_with: golden
            .align_with
            .as_ref()
            .map(|other| Box::new(options(other).build().unwrap())),
        ..GridOptions::default()
    }
}

fn golden() -> Vec<(Golden, TileGrid)> {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("../../testdata/grid/grids.json")).unwrap();
    golden
        .into_iter()
        .map(|golden| {
            let mut options = options(&golden.options);
            if options.bbox_srs.take().is_some() {
                options.bbox = Some(bbox(golden.bbox));
            }
            let grid = options.build().unwrap();
            (golden, grid)
        })
        .collect()
}

#[test]
fn levels_are_mapproxys() {
    for (index, (golden, grid)) in golden().into_iter().enumerate() {
        assert_eq!(grid.bbox(), bbox(golden.bbox), "grid {index}");
        assert_eq!(grid.resolutions(), golden.resolutions, "grid {index}");
        let sizes: Vec<_> = (0..grid.levels()).map(|level| grid.grid_size(level)).collect();
        assert_eq!(sizes, golden.sizes, "grid {index}");
        assert_eq!(grid.is_sqrt2(), golden.sqrt2, "grid {index}");
        let access = (
            grid.supports_access_with_origin(Origin::Ll),
            grid.supports_access_with_origin(Origin::Ul),
        );
        assert_eq!(access, golden.access, "grid {index}");
        for (res, level) in golden.closest {
            assert_eq!(grid.closest_level(res), level, "grid {index} res {res}");
        }
    }
}

#[test]
fn subsets_are_mapproxys() {
    let golden = golden();
    for (index, (expect, grid)) in golden.iter().enumerate() {
        let subset_of: Vec<usize> = golden
            .iter()
            .enumerate()
            .filter(|(_, (_, other))| grid.is_subset_of(other))
            .map(|(other, _)| other)
            .collect();
        assert_eq!(subset_of, expect.subset_of, "grid {index}");
    }
}

#[test]
fn tile_boxes_are_mapproxys() {
    for (index, (golden, grid)) in golden().into_iter().enumerate() {
        for (tile, full, limited, flipped) in golden.tiles {
            let tile = coord(tile);
            assert_eq!(grid.tile_bbox(tile), bbox(full), "grid {index} {tile}");
            assert_eq!(grid.limited_tile_bbox(tile), bbox(limited), "grid {index} {tile}");
            assert_eq!(grid.flip(tile), coord(flipped), "grid {index} {tile}");
        }
    }
}

#[test]
fn affected_tiles_are_mapproxys() {
    for (index, (golden, grid)) in golden().into_iter().enumerate() {
        for (request, size, srs, expect) in golden.affected {
            let found = grid.affected_tiles(bbox(request), size, &Srs::new(&srs).unwrap());
            let place = format!("grid {index} {request:?} {size:?} {srs}");
            match expect {
                Affected::None(reason) if reason == "invalid" => {
                    assert_eq!(found, Err(NoTiles::InvalidBBox), "{place}");
                }
                Affected::None(_) => assert!(found.is_err(), "{place}: {found:?}"),
                Affected::Tiles {
                    bbox: extent,
                    size,
                    tiles,
                    level,
                } => {
                    let found = found.unwrap();
                    assert_eq!(found.level, level, "{place}");
                    assert_eq!(found.grid_size, size, "{place}");
                    assert_eq!(found.bbox, bbox(extent), "{place}");
                    let tiles: Vec<_> = tiles.into_iter().map(|tile| tile.map(coord)).collect();
                    assert_eq!(found.iter().collect::<Vec<_>>(), tiles, "{place}");
                }
            }
        }
    }
}

fn check_meta_tile(
    found: &MetaTile,
    extent: Edges,
    size: (u32, u32),
    grid_size: (u32, u32),
    tiles: Patterns,
    place: &str,
) {
    assert_eq!(found.bbox, bbox(extent), "{place}");
    assert_eq!(found.size, size, "{place}");
    assert_eq!(found.grid_size, grid_size, "{place}");
    let expect: Vec<_> = tiles
        .into_iter()
        .map(|(tile, offset)| (tile.map(coord), offset))
        .collect();
    let found: Vec<_> = found.tiles.iter().map(|entry| (entry.tile, entry.offset)).collect();
    assert_eq!(found, expect, "{place}");
}

#[test]
fn meta_tiles_are_mapproxys() {
    for (index, (golden, grid)) in golden().into_iter().enumerate() {
        for (meta_size, buffer, tile, main, extent, size, grid_size, tiles) in golden.meta {
            let meta = MetaGrid::new(meta_size, buffer);
            let place = format!("grid {index} {meta:?} {tile:?}");
            let found = meta.meta_tile(&grid, coord(tile));
            assert_eq!(meta.main_tile(&grid, coord(tile)), coord(main), "{place}");
            check_meta_tile(&found, extent, size, grid_size, tiles, &place);
        }
        for (meta_size, buffer, wanted, extent, size, grid_size, tiles) in golden.minimal {
            let meta = MetaGrid::new(meta_size, buffer);
            let place = format!("grid {index} {meta:?} {wanted:?}");
            let wanted: Vec<_> = wanted.into_iter().map(coord).collect();
            let found = meta.minimal_meta_tile(&grid, &wanted).unwrap();
            check_meta_tile(&found, extent, size, grid_size, tiles, &place);
        }
    }
}
