//! `mapproxy util gridconf-from-ogcapitilematrixset`: the tile matrix sets of an OGC API as grids (OGC 17-083r4).

use std::fmt::Write as _;

use serde_json::Value;

use super::{Answer, Files, Output};
use crate::srs::{Srs, python_float};

const SCHEMES: [&str; 2] = [
    "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes",
    "[ogc-rel:tiling-schemes]",
];
/// Sets of one service.
const MOST: usize = 1000;
/// Corners of two levels may differ by so many pixels of the finer one.
const TOLERANCE: f64 = 0.01;

/// The `grids` of a configuration for all sets that the service with this landing page knows. Sets that are no grid of
/// ours are told in the notes.
pub fn grids_of_matrix_sets(landing: &str, files: &Files) -> Answer {
    match follow(landing, files) {
        Ok(output) => Answer::Output(output),
        Err(Stop::Need(urls)) => Answer::Need(urls),
        Err(Stop::Refused(reason)) => Answer::Refused(reason),
    }
}

enum Stop {
    Need(Vec<String>),
    Refused(String),
}

fn follow(landing: &str, files: &Files) -> Result<Output, Stop> {
    let refused = |reason: String| Stop::Refused(reason);
    if !is_url(landing) {
        return Err(refused(format!(
            "`{landing}` is no URL; expected `http://` or `https://`"
        )));
    }
    let page = document(landing, files)?.map_err(refused)?;
    let sets = link(&page, |rel| SCHEMES.contains(&rel))
        .ok_or_else(|| refused(format!("`{landing}` has no link to tiling schemes")))?;
    let sets = resolve(landing, &sets).ok_or_else(|| refused(format!("`{sets}` is no address")))?;
    let list = document(&sets, files)?.map_err(refused)?;
    let items = list.get("tileMatrixSets").and_then(Value::as_array);
    let items = items.ok_or_else(|| refused(format!("`{sets}` holds no `tileMatrixSets`")))?;
    let mut notes = Vec::new();
    let mut addresses = Vec::new();
    for item in items.iter().take(MOST) {
        let own = link(item, |rel| rel == "self").and_then(|own| resolve(&sets, &own));
        match own {
            Some(address) => addresses.push(address),
            None => notes.push(format!("Cannot handle {}: it has no address", name_of(item))),
        }
    }
    let missing: Vec<String> = addresses
        .iter()
        .filter(|address| !files.contains_key(*address))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(Stop::Need(missing));
    }
    let mut text = "grids:\n".to_owned();
    for address in &addresses {
        let grid = document(address, files)?.and_then(|set| grid(&set));
        match grid {
            Ok(grid) => text.push_str(&grid),
            Err(reason) => notes.push(format!("Cannot handle {address}: {reason}")),
        }
    }
    Ok(Output {
        text,
        notes,
        ..Output::default()
    })
}

fn document(url: &str, files: &Files) -> Result<Result<Value, String>, Stop> {
    let content = files.get(url).ok_or_else(|| Stop::Need(vec![url.to_owned()]))?;
    Ok(match content {
        Ok(content) => serde_json::from_slice(content).map_err(|error| format!("`{url}` is no JSON: {error}")),
        Err(reason) => Err(format!("no answer from `{url}`: {reason}")),
    })
}

/// The address of the first link that fits; JSON comes first.
fn link(owner: &Value, fits: impl Fn(&str) -> bool) -> Option<String> {
    let links = owner.get("links")?.as_array()?;
    let text = |link: &Value, key: &str| link.get(key).and_then(Value::as_str).map(str::to_owned);
    let fitting = || {
        links
            .iter()
            .filter(|link| text(link, "rel").is_some_and(|rel| fits(&rel)))
    };
    let json = |link: &&Value| text(link, "type").is_none_or(|kind| kind.contains("json"));
    let chosen = fitting().find(json).or_else(|| fitting().next())?;
    text(chosen, "href")
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A link as seen from the document it stands in.
fn resolve(from: &str, link: &str) -> Option<String> {
    if is_url(link) {
        return Some(link.to_owned());
    }
    let (scheme, rest) = from.split_once("://")?;
    if let Some(other) = link.strip_prefix("//") {
        return Some(format!("{scheme}://{other}"));
    }
    if link.contains("://") {
        return None;
    }
    let rest = rest.split(['?', '#']).next()?;
    let host = rest.split('/').next()?;
    if link.starts_with('/') {
        return Some(format!("{scheme}://{host}{link}"));
    }
    let directory = rest.rsplit_once('/').map_or(host, |(directory, _)| directory);
    Some(format!("{scheme}://{directory}/{}", link.trim_start_matches("./")))
}

fn name_of(set: &Value) -> &str {
    set.get("id").and_then(Value::as_str).unwrap_or("a set without `id`")
}

/// A level of a set.
struct Matrix {
    resolution: f64,
    corner: (f64, f64),
    from_top: bool,
    tiles: (f64, f64),
    tile_size: (f64, f64),
}

fn matrix(level: &Value, north_first: bool) -> Result<Matrix, String> {
    let number = |key: &str| {
        let number = level
            .get(key)
            .and_then(Value::as_f64)
            .filter(|number| number.is_finite());
        number.ok_or_else(|| format!("a level has no `{key}`"))
    };
    let positive = |key: &str| match number(key)? {
        number if number > 0.0 => Ok(number),
        number => Err(format!("`{key}` is {number}")),
    };
    if level
        .get("variableMatrixWidths")
        .is_some_and(|widths| !widths.is_null())
    {
        return Err("rows of different widths are not supported".to_owned());
    }
    let corner = level.get("pointOfOrigin").and_then(Value::as_array);
    let corner: Vec<f64> = corner.into_iter().flatten().filter_map(Value::as_f64).collect();
    let [first, second] = corner.as_slice() else {
        return Err("a level has no `pointOfOrigin`".to_owned());
    };
    Ok(Matrix {
        resolution: positive("cellSize")?,
        corner: if north_first {
            (*second, *first)
        } else {
            (*first, *second)
        },
        from_top: level.get("cornerOfOrigin").and_then(Value::as_str) != Some("bottomLeft"),
        tiles: (positive("matrixWidth")?, positive("matrixHeight")?),
        tile_size: (positive("tileWidth")?, positive("tileHeight")?),
    })
}

/// The entry in `grids`.
fn grid(set: &Value) -> Result<String, String> {
    let name = set.get("id").and_then(Value::as_str).ok_or("it has no `id`")?;
    let crs = match set.get("crs") {
        Some(Value::String(crs)) => crs.clone(),
        Some(Value::Object(crs)) => crs
            .get("uri")
            .and_then(Value::as_str)
            .ok_or("only a CRS with an address is supported")?
            .to_owned(),
        _ => return Err("it has no `crs`".to_owned()),
    };
    let srs = code(&crs).and_then(|code| Srs::new(&code).ok());
    let srs = srs.ok_or_else(|| format!("CRS {crs} is not supported"))?;
    let axes = set.get("orderedAxes").and_then(Value::as_array);
    let first_axis = axes.and_then(|axes| axes.first()).and_then(Value::as_str);
    let north_first = match first_axis {
        Some(axis) => ["N", "NORTHING", "Y", "LAT", "LATITUDE"].contains(&axis.to_ascii_uppercase().as_str()),
        None => srs.is_axis_order_ne(),
    };
    let levels = set.get("tileMatrices").and_then(Value::as_array);
    let levels: Result<Vec<Matrix>, String> = levels
        .into_iter()
        .flatten()
        .map(|level| matrix(level, north_first))
        .collect();
    let levels = levels?;
    let first = levels.first().ok_or("it has no levels")?;
    for pair in levels.windows(2) {
        let [coarse, fine] = pair else { continue };
        if fine.resolution >= coarse.resolution {
            return Err("its levels do not become finer".to_owned());
        }
        let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * fine.resolution;
        if !near(coarse.corner.0, fine.corner.0)
            || !near(coarse.corner.1, fine.corner.1)
            || coarse.from_top != fine.from_top
        {
            return Err("its levels do not begin in the same corner".to_owned());
        }
        if coarse.tile_size != fine.tile_size {
            return Err("its levels have tiles of different sizes".to_owned());
        }
    }
    let width = first.resolution * first.tile_size.0 * first.tiles.0;
    let height = first.resolution * first.tile_size.1 * first.tiles.1;
    let (x, y) = first.corner;
    let (bottom, top) = if first.from_top {
        (y - height, y)
    } else {
        (y, y + height)
    };
    let bbox = [x, bottom, x + width, top].map(python_float);
    let resolutions: Vec<String> = levels.iter().map(|level| python_float(level.resolution)).collect();
    // JSON's strings are YAML's too
    let mut text = format!("  {}:\n", Value::String(name.to_owned()));
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "    srs: '{}'\n    bbox: [{}]\n    origin: {}\n    tile_size: [{}, {}]\n    res: [{}]\n",
        srs.code(),
        bbox.join(", "),
        if first.from_top { "ul" } else { "ll" },
        first.tile_size.0,
        first.tile_size.1,
        resolutions.join(", "),
    );
    Ok(text)
}

/// `http://www.opengis.net/def/crs/EPSG/0/3857` and `urn:ogc:def:crs:EPSG::3857` as `EPSG:3857`.
fn code(crs: &str) -> Option<String> {
    let mut parts = crs.rsplit(['/', ':']);
    let (number, _version, authority) = (parts.next()?, parts.next()?, parts.next());
    if number.eq_ignore_ascii_case("CRS84") {
        return Some("CRS:84".to_owned());
    }
    match authority {
        Some(authority) => Some(format!("{authority}:{number}")),
        None => Some(crs.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(id: &str, crs: &str) -> String {
        let level = |id: &str, size: f64, tiles: u32| {
            format!(
                "{{\"id\": \"{id}\", \"cellSize\": {size}, \"cornerOfOrigin\": \"topLeft\", \"pointOfOrigin\": [-20037508.3427892, 20037508.3427892], \"matrixWidth\": {tiles}, \"matrixHeight\": {tiles}, \"tileWidth\": 256, \"tileHeight\": 256}}"
            )
        };
        format!(
            "{{\"id\": \"{id}\", \"crs\": \"{crs}\", \"orderedAxes\": [\"E\", \"N\"], \"tileMatrices\": [{}, {}]}}",
            level("0", 156_543.033_928_04, 1),
            level("1", 78_271.516_964_020_5, 2)
        )
    }

    fn answer(url: &str) -> Result<Vec<u8>, String> {
        let text = match url {
            "http://a/ogcapi" => "{\"links\": [{\"rel\": \"self\", \"href\": \"/\"}, {\"rel\": \"http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes\", \"type\": \"application/json\", \"href\": \"/ogcapi/sets?f=json\"}]}".to_owned(),
            "http://a/ogcapi/sets?f=json" => "{\"tileMatrixSets\": [{\"id\": \"Web\", \"links\": [{\"rel\": \"self\", \"href\": \"sets/Web\"}]}, {\"id\": \"no\", \"links\": [{\"rel\": \"self\", \"href\": \"http://a/no\"}]}, {\"id\": \"gone\", \"links\": [{\"rel\": \"self\", \"href\": \"/gone\"}]}]}".to_owned(),
            "http://a/ogcapi/sets/Web" => set("Web", "http://www.opengis.net/def/crs/EPSG/0/3857"),
            "http://a/no" => set("no", "http://www.opengis.net/def/crs/EPSG/0/98765432"),
            _ => return Err("status 404".to_owned()),
        };
        Ok(text.into_bytes())
    }

    #[test]
    fn sets_become_grids() {
        let mut files = Files::new();
        let output = loop {
            match grids_of_matrix_sets("http://a/ogcapi", &files) {
                Answer::Need(urls) => files.extend(urls.into_iter().map(|url| {
                    let content = answer(&url);
                    (url, content)
                })),
                Answer::Output(output) => break output,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            output.text,
            "\
grids:
  \"Web\":
    srs: 'EPSG:3857'
    bbox: [-20037508.3427892, -20037508.342789043, 20037508.342789043, 20037508.3427892]
    origin: ul
    tile_size: [256, 256]
    res: [156543.03392804, 78271.5169640205]
"
        );
        assert_eq!(
            output.notes,
            [
                "Cannot handle http://a/no: CRS http://www.opengis.net/def/crs/EPSG/0/98765432 is not supported",
                "Cannot handle http://a/gone: no answer from `http://a/gone`: status 404",
            ]
        );
    }

    #[test]
    fn what_is_no_grid_is_told() {
        let good = set("x", "http://www.opengis.net/def/crs/OGC/1.3/CRS84");
        let check = |from: &str, to: &str, expect: &str| {
            let changed: Value = serde_json::from_str(&good.replacen(from, to, 1)).unwrap();
            let reason = grid(&changed).err().unwrap_or_default();
            assert!(reason.contains(expect), "{from} {to}: {reason}");
        };
        check("x", "x", "");
        check("\"topLeft\"", "\"bottomLeft\"", "same corner");
        check("\"tileWidth\": 256", "\"tileWidth\": 512", "different sizes");
        check("156543.03392804", "1.0", "finer");
        check("\"matrixWidth\": 1", "\"matrixWidth\": -1", "`matrixWidth` is -1");
        check("\"matrixWidth\": 1", "\"matrixWidth\": null", "no `matrixWidth`");
        check("[-20037508.3427892, 20037508.3427892]", "[1]", "no `pointOfOrigin`");
    }

    #[test]
    fn links_are_resolved() {
        let check = |link: &str, expect: Option<&str>| {
            assert_eq!(resolve("https://a:1/b/c?d=/e", link).as_deref(), expect, "{link}");
        };
        check("/x", Some("https://a:1/x"));
        check("x?y", Some("https://a:1/b/x?y"));
        check("./x", Some("https://a:1/b/x"));
        check("//z/x", Some("https://z/x"));
        check("http://q", Some("http://q"));
        check("file:///etc/passwd", None);
    }
}
