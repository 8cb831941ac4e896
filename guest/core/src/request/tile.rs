//! Addresses of TMS, `/tiles` and KML. (MapProxy: `request/tile.py`; `OSGeo` Tile Map Service 1.0.0.)
//!
//! ```text
//! /tms                                             /tiles/{layer}[/{spec}]/{z}/{x}/{y}.{format}
//! /tms/1.0.0[/{layer}[/{spec}]]                    /tiles/1.0.0/…
//! /tms[/1.0.0]/{layer}[/{spec}]/{z}/{x}/{y}.{format}
//! /kml/{layer}[/{spec}][/{z}/{x}/{y}.{format}]
//! ```
//!
//! `spec` says which of a layer's grids is meant: `EPSG900913`, or the grid's name. Segments are decoded after the path
//! is split, so that `%2F` never makes two of one.

use super::percent_decode;

/// One tile of a layer, as addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileAddress {
    pub layer: LayerAddress,
    pub x: i64,
    pub y: i64,
    /// may be anything, also negative
    pub z: i64,
    /// what the address ends in: `png`, `kml`
    pub format: String,
}

/// A layer and, if the address says so, which of its grids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerAddress {
    pub name: String,
    pub spec: Option<String>,
}

/// What a `/tms` address asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TmsRequest {
    /// the list of services: `/tms`
    RootResource,
    /// all layers: `/tms/1.0.0`
    TileMapService,
    /// one layer: `/tms/1.0.0/{layer}[/{spec}]`
    TileMap(LayerAddress),
    Tile(TileAddress),
}

/// What a `/kml` address asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KmlRequest {
    /// the document of a tile; without one in the address the topmost
    Document(TileAddress),
    Tile(TileAddress),
}

/// An address that is none of the forms above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid request ({path})")]
pub struct InvalidAddress {
    /// decoded, for people
    pub path: String,
}

/// `path` begins with `/tms`, percent-encoded.
pub fn parse_tms(path: &str) -> Result<TmsRequest, InvalidAddress> {
    parse_tms_segments(&segments(path)).ok_or_else(|| invalid(path))
}

/// `path` begins with `/tiles`, percent-encoded.
pub fn parse_tiles(path: &str) -> Result<TileAddress, InvalidAddress> {
    let segments = segments(path);
    let address = match segments.as_slice() {
        ["1.0.0", rest @ ..] if rest.len() >= 4 => tile(rest),
        rest => tile(rest),
    };
    address.ok_or_else(|| invalid(path))
}

/// `path` begins with `/kml`, percent-encoded.
pub fn parse_kml(path: &str) -> Result<KmlRequest, InvalidAddress> {
    let segments = segments(path);
    let request = match segments.as_slice() {
        [_] | [_, _] => layer(&segments).map(|layer| {
            KmlRequest::Document(TileAddress {
                layer,
                x: 0,
                y: 0,
                z: 0,
                format: "kml".to_owned(),
            })
        }),
        rest => tile(rest).map(|address| {
            if address.format == "kml" {
                KmlRequest::Document(address)
            } else {
                KmlRequest::Tile(address)
            }
        }),
    };
    request.ok_or_else(|| invalid(path))
}

/// The segments behind the first, which named the service.
fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(2).collect()
}

fn parse_tms_segments(segments: &[&str]) -> Option<TmsRequest> {
    match segments {
        [] | [""] => Some(TmsRequest::RootResource),
        ["1.0.0"] | ["1.0.0", ""] => Some(TmsRequest::TileMapService),
        ["1.0.0", rest @ ..] if rest.len() <= 2 => layer(rest).map(TmsRequest::TileMap),
        // MapProxy answers without a version too, with the rows of the TMS
        ["1.0.0", rest @ ..] | rest => tile(rest).map(TmsRequest::Tile),
    }
}

fn layer(segments: &[&str]) -> Option<LayerAddress> {
    let (name, spec) = match segments {
        [name] => (name, None),
        [name, spec] => (name, Some(spec)),
        _ => return None,
    };
    let named = |text: &&str| (!text.is_empty()).then(|| percent_decode(text));
    Some(LayerAddress {
        name: named(name)?,
        spec: spec.map_or(Some(None), |spec| named(spec).map(Some))?,
    })
}

fn tile(segments: &[&str]) -> Option<TileAddress> {
    let (place, [z, x, file]) = segments.split_last_chunk::<3>()?;
    let (y, format) = file.rsplit_once('.')?;
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Some(TileAddress {
        layer: layer(place)?,
        x: integer(x)?,
        y: integer(y)?,
        z: integer(z)?,
        format: is_word(format).then(|| format.to_owned())?,
    })
}

/// A decimal integer. One too large for us is certainly outside every grid, so it becomes the largest there is.
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(
        text.parse()
            .unwrap_or(if digits.len() == text.len() { i64::MAX } else { i64::MIN }),
    )
}

fn invalid(path: &str) -> InvalidAddress {
    InvalidAddress {
        path: percent_decode(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str, spec: Option<&str>, zxy: (i64, i64, i64), format: &str) -> TileAddress {
        TileAddress {
            layer: LayerAddress {
                name: name.to_owned(),
                spec: spec.map(str::to_owned),
            },
            z: zxy.0,
            x: zxy.1,
            y: zxy.2,
            format: format.to_owned(),
        }
    }

    #[test]
    fn tms_addresses() {
        let layer = |name: &str, spec: Option<&str>| {
            TmsRequest::TileMap(LayerAddress {
                name: name.to_owned(),
                spec: spec.map(str::to_owned),
            })
        };
        let cases = [
            ("/tms", Some(TmsRequest::RootResource)),
            ("/tms/", Some(TmsRequest::RootResource)),
            ("/tms/1.0.0", Some(TmsRequest::TileMapService)),
            ("/tms/1.0.0/", Some(TmsRequest::TileMapService)),
            ("/tms/1.0.0/osm", Some(layer("osm", None))),
            ("/tms/1.0.0/o%20s%2Fm/EPSG4326", Some(layer("o s/m", Some("EPSG4326")))),
            (
                "/tms/1.0.0/osm/1/2/3.png",
                Some(TmsRequest::Tile(address("osm", None, (1, 2, 3), "png"))),
            ),
            (
                "/tms/1.0.0/osm/EPSG900913/-1/2/-3.jpeg",
                Some(TmsRequest::Tile(address(
                    "osm",
                    Some("EPSG900913"),
                    (-1, 2, -3),
                    "jpeg",
                ))),
            ),
            (
                "/tms/osm/webmercator/1/2/3.png",
                Some(TmsRequest::Tile(address("osm", Some("webmercator"), (1, 2, 3), "png"))),
            ),
            ("/tms/osm/webmercator", None),
            ("/tms/2.0.0", None),
            ("/tms/nope", None),
            ("/tms/1.0.0//", None),
            ("/tms/1.0.0/osm/", None),
            ("/tms/1.0.0/osm/EPSG900913/", None),
            ("/tms/1.0.0/osm/1/2", None),
            ("/tms/1.0.0/osm/1/2/3", None),
            ("/tms/1.0.0/osm/a/2/3.png", None),
            ("/tms/1.0.0/osm/1/2/3.p-g", None),
            ("/tms/1.0.0/osm/1/2/3.", None),
            ("/tms/1.0.0/osm/+1/2/3.png", None),
            ("/tms/1.0.0/osm/a/b/1/2/3.png", None),
            ("/tms/1.0.0//1/2/3.png", None),
        ];
        for (path, expect) in cases {
            assert_eq!(parse_tms(path).ok(), expect, "{path}");
        }
    }

    #[test]
    fn tiles_addresses() {
        let cases = [
            ("/tiles/osm/1/2/3.png", Some(address("osm", None, (1, 2, 3), "png"))),
            (
                "/tiles/1.0.0/osm/1/2/3.png",
                Some(address("osm", None, (1, 2, 3), "png")),
            ),
            (
                "/tiles/osm/utm/1/2/3.png",
                Some(address("osm", Some("utm"), (1, 2, 3), "png")),
            ),
            (
                "/tiles/1.0.0/osm/utm/1/2/3.png",
                Some(address("osm", Some("utm"), (1, 2, 3), "png")),
            ),
            ("/tiles/1.0.0/1/2/3.png", Some(address("1.0.0", None, (1, 2, 3), "png"))),
            (
                "/tiles/osm/99999999999999999999/-99999999999999999999/3.png",
                Some(address("osm", None, (i64::MAX, i64::MIN, 3), "png")),
            ),
            ("/tiles", None),
            ("/tiles/", None),
            ("/tiles/osm/0/0", None),
        ];
        for (path, expect) in cases {
            assert_eq!(parse_tiles(path).ok(), expect, "{path}");
        }
    }

    #[test]
    fn kml_addresses() {
        let cases = [
            (
                "/kml/osm",
                Some(KmlRequest::Document(address("osm", None, (0, 0, 0), "kml"))),
            ),
            (
                "/kml/osm/EPSG4326",
                Some(KmlRequest::Document(address("osm", Some("EPSG4326"), (0, 0, 0), "kml"))),
            ),
            (
                "/kml/osm/1/2/3.kml",
                Some(KmlRequest::Document(address("osm", None, (1, 2, 3), "kml"))),
            ),
            (
                "/kml/osm/g/1/2/3.png",
                Some(KmlRequest::Tile(address("osm", Some("g"), (1, 2, 3), "png"))),
            ),
            ("/kml", None),
            ("/kml/", None),
        ];
        for (path, expect) in cases {
            assert_eq!(parse_kml(path).ok(), expect, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics_and_no_segment_is_lost(rest in "(/[a-z0-9.%/-]{0,12}){0,7}", wild in "\\PC{0,60}") {
            for path in [format!("/tms{rest}"), format!("/tms/1.0.0{rest}"), wild] {
                let _ = (parse_tms(&path), parse_kml(&path));
                if let Ok(address) = parse_tiles(&path) {
                    let slashes = path.matches('/').count();
                    let version = usize::from(path.contains("/1.0.0/") && slashes > 5);
                    let spec = usize::from(address.layer.spec.is_some());
                    assert!(slashes == 5 + spec || slashes == 5 + spec + version, "{path}: {address:?}");
                }
            }
        }
    }
}
