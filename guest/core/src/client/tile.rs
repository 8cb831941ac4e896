//! URL templates of tile servers: `http://host/%(z)s/%(x)s/%(y)s.%(format)s` and the other variables of behaviour
//! section 9 (MapProxy: `client/tile.py`).

use std::fmt::Write as _;

use crate::grid::{TileCoord, TileGrid};

/// A URL with variables in Python's notation.
#[derive(Debug, Clone)]
pub struct TileUrlTemplate {
    url: String,
    format: String,
}

impl TileUrlTemplate {
    /// `format` is the extension that `%(format)s` stands for.
    pub fn new(url: &str, format: &str) -> Self {
        Self {
            url: url.to_owned(),
            format: format.to_owned(),
        }
    }

    /// The URL of a tile. Variables that nobody knows stay as they are; the configuration was checked for them.
    pub fn substitute(&self, tile: TileCoord, grid: &TileGrid) -> String {
        let mut url = String::with_capacity(self.url.len() + 24);
        let mut rest = self.url.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            url.push_str(before);
            if let Some(tail) = after.strip_prefix('%') {
                url.push('%');
                rest = tail;
            } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                let (width, tail) = conversion(tail);
                match self.variable(name, tile, grid) {
                    Some(value) => {
                        let zeros = width.saturating_sub(value.len());
                        url.extend(std::iter::repeat_n('0', zeros));
                        url.push_str(&value);
                    }
                    None => {
                        let _ = write!(url, "%({name})s");
                    }
                }
                rest = tail;
            } else {
                url.push('%');
                rest = after;
            }
        }
        url.push_str(rest);
        url
    }

    fn variable(&self, name: &str, tile: TileCoord, grid: &TileGrid) -> Option<String> {
        let TileCoord { x, y, z } = tile;
        Some(match name {
            "x" => x.to_string(),
            "y" => y.to_string(),
            "z" => z.to_string(),
            "format" => self.format.clone(),
            "quadkey" => tile.quadkey(),
            "tc_path" => {
                let [x, y] = [x, y].map(|n| format!("{:03}/{:03}/{:03}", n / 1_000_000, n / 1000 % 1000, n % 1000));
                format!("{z:02}/{x}/{y}")
            }
            "tms_path" => format!("{z}/{x}/{y}"),
            "arcgiscache_path" => format!("L{z:02}/R{y:08x}/C{x:08x}"),
            "bbox" => {
                let bbox = grid.tile_bbox(tile);
                format!("{:.8},{:.8},{:.8},{:.8}", bbox.minx, bbox.miny, bbox.maxx, bbox.maxy)
            }
            _ => return None,
        })
    }
}

/// What follows a variable's name: `s`, `d` or `02d`; the width to fill with zeros, and the rest.
fn conversion(text: &str) -> (usize, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    match rest.strip_prefix(['s', 'd', 'i']) {
        Some(tail) => (number.parse().unwrap_or(0).min(32), tail),
        None => (0, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MapProxy 7.0.0 makes of the templates.
    #[test]
    fn variables_are_filled_in() {
        let geodetic = TileGrid::predefined("GLOBAL_GEODETIC").unwrap().build().unwrap();
        let mercator = TileGrid::predefined("GLOBAL_WEBMERCATOR").unwrap().build().unwrap();
        let check = |url: &str, grid: &TileGrid, expect: &str| {
            let tile = TileCoord { x: 3, y: 1, z: 2 };
            assert_eq!(TileUrlTemplate::new(url, "jpeg").substitute(tile, grid), expect);
        };
        check(
            "http://h/%(z)s/%(x)s/%(y)s.%(format)s",
            &geodetic,
            "http://h/2/3/1.jpeg",
        );
        check("http://h/%(quadkey)s", &geodetic, "http://h/13");
        check(
            "http://h/%(tc_path)s.png",
            &geodetic,
            "http://h/02/000/000/003/000/000/001.png",
        );
        check("http://h/%(tms_path)s", &geodetic, "http://h/2/3/1");
        check(
            "http://h/%(arcgiscache_path)s.png",
            &geodetic,
            "http://h/L02/R00000001/C00000003.png",
        );
        check(
            "http://h?b=%(bbox)s",
            &geodetic,
            "http://h?b=90.00000000,0.00000000,180.00000000,90.00000000",
        );
        check(
            "http://h?b=%(bbox)s",
            &mercator,
            "http://h?b=10018754.17139462,0.00000000,20037508.34278924,10018754.17139462",
        );
        check("http://h/%%/%(z)02d/%", &geodetic, "http://h/%/02/%");
        check("http://h/%(nobody)s/%20", &geodetic, "http://h/%(nobody)s/%20");
    }

    #[test]
    fn quadkeys_have_a_digit_per_level() {
        let check = |x, y, z, expect: &str| assert_eq!(TileCoord { x, y, z }.quadkey(), expect);
        check(0, 0, 0, "");
        check(3, 4, 2, "11");
        check(1_234_567, 87_654_321, 18, "121323233230220113");
    }
}
