//! Lists of expired tiles, as osm2pgsql and imposm write them: `z/x/y` lines, rows counted from the north.

use super::{CoverageError, Polygon};
use crate::srs::BBox;

/// Half the width of the world in Web Mercator.
const HALF_WORLD: f64 = 20_037_508.342_789_244;
/// Tiles smaller than this are no tiles: a level of 30 is 4 cm per tile.
const MAX_LEVEL: u32 = 30;

/// The boxes of all tiles, in Web Mercator. Tiles outside the world are left out.
pub(super) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Polygon>, CoverageError> {
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
            polygons.extend(tile_bbox(tile).map(|bbox| Polygon::from_bbox(&bbox)));
        }
    }
    Ok(polygons)
}

/// Level, column, row.
fn parse(line: &str) -> Option<(u32, i64, i64)> {
    let mut parts = line.split('/');
    let tile = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(tile)
}

fn tile_bbox((level, column, row): (u32, i64, i64)) -> Option<BBox> {
    let tiles = 1_i64 << level.min(MAX_LEVEL);
    if level > MAX_LEVEL || !(0..tiles).contains(&column) || !(0..tiles).contains(&row) {
        return None;
    }
    let edge = |index: i64| -HALF_WORLD + 2.0 * HALF_WORLD * (index as f64 / tiles as f64);
    Some(BBox::new(edge(column), -edge(row + 1), edge(column + 1), -edge(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Coverage;
    use crate::srs::Srs;

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
