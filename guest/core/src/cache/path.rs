//! Where a tile is in a file cache: MapProxy's directory layouts, byte for byte (behaviour section 13; MapProxy:
//! `cache/path.py`). An existing cache directory is served as it is, and MapProxy serves ours.

use std::fmt::Write as _;

use crate::config::model::DirectoryLayout;
use crate::grid::TileCoord;
use crate::query::Dimensions;

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Such a value could leave the cache directory.
    #[error("value `{value}` of dimension `{name}` cannot be part of a path: expected no empty, `.` or `..` segments")]
    DimensionValue { name: String, value: String },
    #[error("`{name}` cannot be the name of a dimension: expected letters, digits, `_`, `-` or `.`")]
    DimensionName { name: String },
    #[error("tile {tile} cannot be in a cache")]
    Tile { tile: TileCoord },
}

/// Longest directory name for a dimension; beyond it file systems refuse.
const MAX_DIMENSION: usize = 200;

/// The path of a tile below `directory`:
///
/// | layout | tile x=3, y=4, z=2, extension png |
/// |---|---|
/// | tc | `02/000/000/003/000/000/004.png` |
/// | mp | `02/0000/0003/0000/0004.png` |
/// | tms | `2/3/4.png` |
/// | `reverse_tms` | `4/3/2.png` |
/// | quadkey | `11.png` |
/// | arcgis | `L02/R00000004/C00000003.png` |
///
/// Dimensions come before the level (`time-2020/dim_level-700/02/…`), except in the last two, which have none.
pub fn tile_path(
    directory: &str,
    layout: DirectoryLayout,
    tile: TileCoord,
    dimensions: &Dimensions,
    extension: &str,
) -> Result<String, PathError> {
    let TileCoord { x, y, z } = tile;
    if x < 0 || y < 0 {
        return Err(PathError::Tile { tile });
    }
    let mut path = String::with_capacity(directory.len() + 40);
    path.push_str(directory);
    path.push('/');
    if !matches!(layout, DirectoryLayout::Quadkey | DirectoryLayout::Arcgis) {
        push_dimensions(&mut path, dimensions)?;
    }
    // Writing to a string cannot fail.
    let _ = match layout {
        DirectoryLayout::Tc => {
            let [x, y] = [x, y].map(|n| (n / 1_000_000, n / 1000 % 1000, n % 1000));
            push_number(&mut path, i64::from(z), 2);
            for part in [x.0, x.1, x.2, y.0, y.1, y.2] {
                path.push('/');
                push_number(&mut path, part, 3);
            }
            Ok(())
        }
        DirectoryLayout::Mp => {
            let [x, y] = [x, y].map(|n| (n / 10_000, n % 10_000));
            push_number(&mut path, i64::from(z), 2);
            for part in [x.0, x.1, y.0, y.1] {
                path.push('/');
                push_number(&mut path, part, 4);
            }
            Ok(())
        }
        DirectoryLayout::Tms => write!(path, "{z}/{x}/{y}"),
        DirectoryLayout::ReverseTms => write!(path, "{y}/{x}/{z}"),
        DirectoryLayout::Quadkey => write!(path, "{}", tile.quadkey()),
        DirectoryLayout::Arcgis => write!(path, "L{z:02}/R{y:08x}/C{x:08x}"),
    };
    path.push('.');
    path.push_str(extension);
    Ok(path)
}

/// Appends `number`, not negative, with at least `width` digits. (`write!` takes ten times as long, which is felt where a
/// tile costs some 50 us.)
fn push_number(path: &mut String, number: i64, width: u32) {
    let mut power = 10_i64.saturating_pow(width - 1);
    while number / power >= 10 {
        power *= 10;
    }
    while power > 0 {
        let digit = u8::try_from(number / power % 10).unwrap_or_default();
        path.push(char::from(b'0' + digit));
        power /= 10;
    }
}

/// `time-2020/dim_level-700/`: first the predefined dimensions, then those that begin with `dim_`, each sorted by name.
fn push_dimensions(path: &mut String, dimensions: &Dimensions) -> Result<(), PathError> {
    if dimensions.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&(String, String)> = dimensions.iter().collect();
    sorted.sort_by_key(|(name, _)| (name.starts_with("dim_"), name.as_str()));
    for (name, value) in sorted {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.starts_with('.') || name.len() > MAX_DIMENSION || !name.chars().all(is_name) {
            return Err(PathError::DimensionName { name: name.clone() });
        }
        // Slashes make directories, as in MapProxy (`time-2020-01-01/2020-01-02`).
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
        let inside = value.trim_start_matches('/');
        let harmless = !value.contains(|c: char| c.is_control()) && value.len() <= MAX_DIMENSION;
        let leading = value.len() - inside.len();
        if !harmless || leading > 1 || !inside.split('/').all(is_segment) {
            return Err(PathError::DimensionValue {
                name: name.clone(),
                value: value.clone(),
            });
        }
        path.push_str(name);
        path.push('-');
        path.push_str(value);
        path.push('/');
    }
    Ok(())
}

/// The way from the directory of `link` to `target`, both absolute: `../../single_color_tiles/fe0004.png`.
pub(super) fn relative_path(link: &str, target: &str) -> String {
    let from: Vec<&str> = link
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory)
        .split('/')
        .collect();
    let to: Vec<&str> = target.split('/').collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    up.chain(to.iter().skip(shared).copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use DirectoryLayout::{Arcgis, Mp, Quadkey, ReverseTms, Tc, Tms};

    fn dimensions(pairs: &[(&str, &str)]) -> Dimensions {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Paths that MapProxy 7.0.0 gives these tiles.
    #[test]
    fn layouts_are_those_of_mapproxy() {
        let check = |layout, small: &str, large: &str, dimension: &str| {
            let path = |x, y, z, dims: &[(&str, &str)]| {
                tile_path("/c", layout, TileCoord { x, y, z }, &dimensions(dims), "png").unwrap()
            };
            assert_eq!(path(3, 4, 2, &[]), format!("/c/{small}"));
            assert_eq!(path(1_234_567, 87_654_321, 18, &[]), format!("/c/{large}"));
            let dims = [("dim_level", "700"), ("time", "2020-01-01T00:00:00Z")];
            assert_eq!(path(3, 4, 2, &dims), format!("/c/{dimension}{small}"));
        };
        let dims = "time-2020-01-01T00:00:00Z/dim_level-700/";
        check(
            Tc,
            "02/000/000/003/000/000/004.png",
            "18/001/234/567/087/654/321.png",
            dims,
        );
        check(Mp, "02/0000/0003/0000/0004.png", "18/0123/4567/8765/4321.png", dims);
        check(Tms, "2/3/4.png", "18/1234567/87654321.png", dims);
        check(ReverseTms, "4/3/2.png", "87654321/1234567/18.png", dims);
        check(Quadkey, "11.png", "121323233230220113.png", "");
        check(Arcgis, "L02/R00000004/C00000003.png", "L18/R05397fb1/C0012d687.png", "");
    }

    #[test]
    fn dimensions_are_sorted_with_their_own_last() {
        let check = |pairs: &[(&str, &str)], expect: &str| {
            let tile = TileCoord { x: 0, y: 0, z: 0 };
            let path = tile_path("/c", Tms, tile, &dimensions(pairs), "png");
            assert_eq!(path, Ok(format!("/c/{expect}0/0/0.png")));
        };
        check(
            &[("dim_b", "1"), ("dim_a", "2"), ("elevation", "3")],
            "elevation-3/dim_a-2/dim_b-1/",
        );
        check(
            &[("elevation", "0/5"), ("DIM_x", "a b"), ("time", "x"), ("TIME2", "q")],
            "DIM_x-a b/TIME2-q/elevation-0/5/time-x/",
        );
        check(&[("time", "a..b")], "time-a..b/");
        check(&[("time", "ä:%2e")], "time-ä:%2e/");
        check(&[("time", "/abs")], "time-/abs/");
    }

    #[test]
    fn no_dimension_leads_out_of_the_cache() {
        let check = |name: &str, value: &str| {
            let tile = TileCoord { x: 0, y: 0, z: 0 };
            assert!(
                tile_path("/c", Tc, tile, &dimensions(&[(name, value)]), "png").is_err(),
                "{name}={value}"
            );
        };
        for value in [
            "..", "../../x", "a/../b", "a/..", "/..", "//a", "./x", "", "a/", "a\0b", "a\nb",
        ] {
            check("time", value);
        }
        for name in ["dim_../x", "dim_/x", "", "..", "dim_\0"] {
            check(name, "1");
        }
        check("time", &"x".repeat(300));
        let outside = TileCoord { x: -1, y: 0, z: 0 };
        assert!(tile_path("/c", Tc, outside, &Vec::new(), "png").is_err());
    }

    #[test]
    fn links_are_relative() {
        let check = |link: &str, target: &str, expect: &str| assert_eq!(relative_path(link, target), expect);
        check(
            "/c/01/000/1.png",
            "/c/single_color_tiles/fe0004.png",
            "../../single_color_tiles/fe0004.png",
        );
        check(
            "/c/1.png",
            "/c/single_color_tiles/fe0004.png",
            "single_color_tiles/fe0004.png",
        );
        check("/c/a/1.png", "/d/x.png", "../../d/x.png");
    }

    proptest::proptest! {
        #[test]
        fn paths_stay_inside(name in "\\PC{0,20}", value in "[./a\\\\%~\\PC]{0,20}") {
            let tile = TileCoord { x: 1, y: 2, z: 3 };
            if let Ok(path) = tile_path("/c", Tms, tile, &vec![(name, value)], "png") {
                proptest::prop_assert!(path.starts_with("/c/"));
                proptest::prop_assert!(path.split('/').all(|segment| segment != ".." && segment != "."));
            }
        }
    }
}
