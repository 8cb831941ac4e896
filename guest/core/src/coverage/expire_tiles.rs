//! Lists of expired tiles, as osm2pgsql and imposm write them: `z/x/y` lines, rows counted from the north.

use super::{CoverageError, Polygon};
use crate::grid::{TileCoord, TileGrid};

/// The boxes of all tiles, in Web Mercator. Tiles outside the grid are left out.
pub(super) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Polygon>, CoverageError> {
    let grid = TileGrid::predefined("GLOBAL_WEBMERCATOR")
        .expect("it is predefined")
        .build()
        .expect("predefined grids are right");
    let mut polygons = Vec::new();
    for (name, text) in files {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let tile = parse(line).ok_or_else(|| CoverageError::Syntax {
                format: "tile list",
                place: format!("{name} line {}", index + 1),
                problem: format!("`{line}` is no tile: expected `z/x/y`"),
            })?;
            if let Some(tile) = grid.limit_tile(tile) {
                polygons.push(Polygon::from_bbox(&grid.tile_bbox(tile)));
            }
        }
    }
    Ok(polygons)
}

fn parse(line: &str) -> Option<TileCoord> {
    let mut parts = line.split('/').map(str::parse::<i64>);
    let (z, x, y) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if parts.next().is_some() {
        return None;
    }
    TileCoord::from_request(x, y, z)
}

#[cfg(test)]
mod tests {
    use crate::coverage::Coverage;
    use crate::srs::{BBox, Srs};

    #[test]
    fn covers_the_tiles() {
        let coverage = Coverage::from_expire_tiles([("a.tiles", "1/0/0\n1/1/0\n"), ("b.tiles", "")]).unwrap();
        let extent = coverage.extent();
        let half = 20_037_508.342_789_244;
        assert!(
            extent.bbox.equals(&BBox::new(-half, 0.0, half, half), 1.0, 1.0),
            "{}",
            extent.bbox
        );
        assert!(coverage.contains(BBox::new(-1000.0, 1000.0, 1000.0, 2000.0), &Srs::web_mercator()));
    }

    #[test]
    fn names_the_line_of_an_error() {
        let error = Coverage::from_expire_tiles([("a.tiles", "1/0/0\n1/0\n")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tile list, a.tiles line 2: `1/0` is no tile: expected `z/x/y`"
        );
    }
}
