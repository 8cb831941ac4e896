//! Messages of WMTS 1.0.0, as key-value pairs and as addresses of a template. (MapProxy: `request/wmts.py`;
//! OGC 07-057r7 sections 8 and 10.)

use super::tile::integer;
use super::{QueryParams, percent_decode};
use crate::query::Dimensions;

/// What a client asks the service for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WmtsRequest {
    GetCapabilities,
    GetTile(GetTile),
    GetFeatureInfo(GetFeatureInfo),
}

/// One tile. Rows count from the top, whatever the grid's own origin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetTile {
    pub layer: String,
    pub tile_matrix_set: String,
    /// the level's identifier; `01` as in the capabilities, or just the number
    pub tile_matrix: String,
    pub tile_col: i64,
    pub tile_row: i64,
    /// media type or extension: `image/png`, `png`; the layer's own if the template has no `{Format}`
    pub format: Option<String>,
    /// everything that is no parameter of WMTS, as the client (or the template) spells it
    pub dimensions: Dimensions,
}

/// What is at a pixel of a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetFeatureInfo {
    pub tile: GetTile,
    /// pixel column and row from the tile's upper left
    pub i: i64,
    pub j: i64,
    pub info_format: InfoFormat,
    pub feature_count: Option<u32>,
}

/// How the format of feature information was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfoFormat {
    /// `application/json`
    MediaType(String),
    /// `geojson`: the end of a REST address, see `featureinfo_formats`
    Suffix(String),
    /// a template without `{InfoFormat}`: the first that is configured
    Default,
}

/// Why parameters are no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WmtsRequestError {
    #[error("unknown WMTS request type '{request}'")]
    UnknownRequest { request: String },
    /// In the order of the standard, written as MapProxy writes lists.
    #[error("missing parameters ['{}']", names.join("', '"))]
    MissingParameters { names: Vec<&'static str> },
    #[error("invalid value for {name}: `{value}` is no whole number")]
    NoNumber { name: &'static str, value: String },
}

const TILE_PARAMS: [&str; 8] = [
    "version",
    "layer",
    "style",
    "tilematrixset",
    "tilematrix",
    "tilerow",
    "tilecol",
    "format",
];
const INFO_PARAMS: [&str; 3] = ["infoformat", "i", "j"];
const OTHER_PARAMS: [&str; 3] = ["service", "request", "feature_count"];

impl WmtsRequest {
    /// Reads key-value pairs. The values of `service` and `version` do not matter, that of `style` is not looked at.
    pub fn from_params(params: &QueryParams) -> Result<Self, WmtsRequestError> {
        let request = params.get("request").unwrap_or_default();
        match request.to_ascii_lowercase().as_str() {
            "getcapabilities" => Ok(Self::GetCapabilities),
            "gettile" => {
                require(params, &[&TILE_PARAMS])?;
                Ok(Self::GetTile(GetTile::from_params(params)?))
            }
            "getfeatureinfo" => {
                require(params, &[&TILE_PARAMS, &INFO_PARAMS])?;
                Ok(Self::GetFeatureInfo(GetFeatureInfo {
                    tile: GetTile::from_params(params)?,
                    i: number(params, "i")?,
                    j: number(params, "j")?,
                    info_format: InfoFormat::MediaType(text(params, "infoformat")),
                    feature_count: params.get("feature_count").and_then(|count| count.parse().ok()),
                }))
            }
            _ => Err(WmtsRequestError::UnknownRequest {
                request: request.to_owned(),
            }),
        }
    }
}

impl GetTile {
    fn from_params(params: &QueryParams) -> Result<Self, WmtsRequestError> {
        let is_dimension = |name: &str| {
            ![TILE_PARAMS.as_slice(), &INFO_PARAMS, &OTHER_PARAMS]
                .concat()
                .iter()
                .any(|standard| standard.eq_ignore_ascii_case(name))
        };
        Ok(Self {
            layer: text(params, "layer"),
            tile_matrix_set: text(params, "tilematrixset"),
            tile_matrix: text(params, "tilematrix"),
            tile_col: number(params, "tilecol")?,
            tile_row: number(params, "tilerow")?,
            // An empty one is any, as in MapProxy.
            format: Some(text(params, "format")).filter(|format| !format.is_empty()),
            dimensions: params
                .iter()
                .filter(|(name, _)| is_dimension(name))
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        })
    }
}

fn require(params: &QueryParams, groups: &[&[&'static str]]) -> Result<(), WmtsRequestError> {
    let names: Vec<&'static str> = groups
        .concat()
        .into_iter()
        .filter(|name| !params.contains(name))
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(WmtsRequestError::MissingParameters { names })
    }
}

fn text(params: &QueryParams, name: &str) -> String {
    params.get(name).unwrap_or_default().to_owned()
}

fn number(params: &QueryParams, name: &'static str) -> Result<i64, WmtsRequestError> {
    let value = params.get(name).unwrap_or_default().trim();
    integer(value).ok_or_else(|| WmtsRequestError::NoNumber {
        name,
        value: value.to_owned(),
    })
}

/// An address with variables, as configured: `/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.{Format}`.
///
/// It is read anew by each request that needs it; that costs less than a microsecond and no memory beyond the pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressTemplate<'t> {
    pieces: Vec<Piece<'t>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    Literal(&'t str),
    Variable(&'t str),
}

/// Values of an address's variables, in the order of the template.
type Found<'t> = Vec<(&'t str, String)>;

/// Attempts at one address before it counts as not matching: templates whose variables are not kept apart by literals
/// (`{a}{b}{c}`) would otherwise let a long path cost a lot.
const MAX_STEPS: usize = 20_000;
const MAX_PATH: usize = 4096;

impl<'t> AddressTemplate<'t> {
    /// Splits a template at its variables; `{{name}}` is the same as `{name}`.
    pub fn parse(template: &'t str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((literal, behind)) = rest.split_once('{') {
            let Some((name, behind)) = behind.trim_start_matches('{').split_once('}') else {
                break;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal));
            }
            pieces.push(Piece::Variable(name));
            rest = behind.trim_start_matches('}');
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest));
        }
        Self { pieces }
    }

    /// The tile an address names; `None` if it has another form. `path` is what comes behind `/wmts`, percent-encoded.
    pub fn match_tile(&self, path: &str) -> Option<GetTile> {
        self.values(path).and_then(tile_of)
    }

    /// The same with the pixel and the format of the answer.
    pub fn match_feature_info(&self, path: &str) -> Option<GetFeatureInfo> {
        let mut found = self.values(path)?;
        let i = integer(&take(&mut found, "I")?)?;
        let j = integer(&take(&mut found, "J")?)?;
        let info_format = take(&mut found, "InfoFormat").map_or(InfoFormat::Default, InfoFormat::Suffix);
        let tile = tile_of(found)?;
        Some(GetFeatureInfo {
            tile,
            i,
            j,
            info_format,
            feature_count: None,
        })
    }

    /// The template with some variables filled in, for clients: `http://…/osm/{TileMatrixSet}/…/{TileRow}.png`.
    pub fn fill(&self, values: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        for piece in &self.pieces {
            match *piece {
                Piece::Literal(literal) => filled.push_str(literal),
                Piece::Variable(name) => {
                    if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                        filled.push_str(value);
                    } else {
                        filled.push('{');
                        filled.push_str(name);
                        filled.push('}');
                    }
                }
            }
        }
        filled
    }

    fn values(&self, path: &str) -> Option<Found<'t>> {
        if path.len() > MAX_PATH {
            return None;
        }
        let path = percent_decode(path);
        let mut found = Vec::with_capacity(self.pieces.len());
        let mut steps = 0;
        matches(&self.pieces, &path, &mut found, &mut steps).then(|| {
            // collected from the last to the first
            found.reverse();
            found
        })
    }
}

/// Matches the whole of `text`, each variable as long as it can be; variables go to `found` from the last to the first.
fn matches<'t>(pieces: &[Piece<'t>], text: &str, found: &mut Found<'t>, steps: &mut usize) -> bool {
    *steps += 1;
    if *steps > MAX_STEPS {
        return false;
    }
    match pieces {
        [] => text.is_empty(),
        [Piece::Literal(literal), rest @ ..] => text
            .strip_prefix(literal)
            .is_some_and(|behind| matches(rest, behind, found, steps)),
        [Piece::Variable(name), rest @ ..] => {
            let allowed = characters_of(name);
            let longest = text.find(|c| !allowed(c)).unwrap_or(text.len());
            let (candidates, _) = text.split_at(longest);
            let ends = candidates.char_indices().rev().map(|(at, c)| at + c.len_utf8());
            { ends }.any(|end| {
                let (value, behind) = text.split_at(end);
                let is_match = matches(rest, behind, found, steps);
                if is_match {
                    found.push((name, value.to_owned()));
                }
                is_match
            })
        }
    }
}

/// What the value of a variable may consist of. Names may hold anything but a slash, dimensions have no way to one.
fn characters_of(variable: &str) -> fn(char) -> bool {
    match variable {
        "TileCol" | "TileRow" => |c| c.is_ascii_digit() || c == '-',
        "I" | "J" => |c| c.is_ascii_digit(),
        "Format" | "InfoFormat" => |c| c.is_alphanumeric() || c == '_',
        "Layer" | "TileMatrixSet" | "TileMatrix" | "Style" => |c| c != '/' && !c.is_control(),
        _ => |c| c.is_alphanumeric() || matches!(c, '_' | '.' | ',' | ':' | '-'),
    }
}

fn take(found: &mut Found<'_>, name: &str) -> Option<String> {
    let at = found.iter().position(|(known, _)| *known == name)?;
    Some(found.remove(at).1)
}

fn tile_of(mut found: Found<'_>) -> Option<GetTile> {
    Some(GetTile {
        layer: take(&mut found, "Layer")?,
        tile_matrix_set: take(&mut found, "TileMatrixSet")?,
        tile_matrix: take(&mut found, "TileMatrix")?,
        tile_col: integer(&take(&mut found, "TileCol")?)?,
        tile_row: integer(&take(&mut found, "TileRow")?)?,
        format: take(&mut found, "Format"),
        dimensions: found
            .into_iter()
            .filter(|(name, _)| *name != "Style")
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.{Format}";
    const INFO: &str = "/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}/{I}/{J}.{InfoFormat}";

    fn tile(names: [&str; 3], col: i64, row: i64, format: Option<&str>, dimensions: &[(&str, &str)]) -> GetTile {
        let [layer, tile_matrix_set, tile_matrix] = names.map(str::to_owned);
        GetTile {
            layer,
            tile_matrix_set,
            tile_matrix,
            tile_col: col,
            tile_row: row,
            format: format.map(str::to_owned),
            dimensions: dimensions
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn addresses_of_templates() {
        let dimensions = "/{Layer}/{TileMatrixSet}/{Time}/{Elevation}/{TileMatrix}/{TileCol}/{TileRow}.{Format}";
        let cases = [
            (
                DEFAULT,
                "/osm/webmercator/01/2/3.png",
                Some(tile(["osm", "webmercator", "01"], 2, 3, Some("png"), &[])),
            ),
            (
                DEFAULT,
                "/o%20s.m/g/1/-2/3.png",
                Some(tile(["o s.m", "g", "1"], -2, 3, Some("png"), &[])),
            ),
            (DEFAULT, "/osm/g/1/2/3", None),
            (DEFAULT, "/osm/g/1/2/3.png/4", None),
            (DEFAULT, "/x/osm/g/1/2/3.png", None),
            (DEFAULT, "/osm/g/1/a/3.png", None),
            (DEFAULT, "/osm/g/1/2-/3.png", None),
            (DEFAULT, "/o%2Fsm/g/1/2/3.png", None),
            (DEFAULT, "//g/1/2/3.png", None),
            (
                "/rest/{{Layer}}/{TileMatrixSet}-{TileMatrix}-{TileCol}-{TileRow}/x.{Format}",
                "/rest/a-b/g-h-1-2-3/x.png",
                Some(tile(["a-b", "g-h", "1"], 2, 3, Some("png"), &[])),
            ),
            (
                "/{Style}/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}/",
                "/default/osm/g/1/2/3/",
                Some(tile(["osm", "g", "1"], 2, 3, None, &[])),
            ),
            (
                dimensions,
                "/osm/g/2012-11-15T00:00:00/default/01/0/0.png",
                Some(tile(
                    ["osm", "g", "01"],
                    0,
                    0,
                    Some("png"),
                    &[("Time", "2012-11-15T00:00:00"), ("Elevation", "default")],
                )),
            ),
            (dimensions, "/osm/g/..%2F..%2Fetc/default/01/0/0.png", None),
        ];
        for (template, path, expect) in cases {
            assert_eq!(
                AddressTemplate::parse(template).match_tile(path),
                expect,
                "{template} {path}"
            );
        }
    }

    #[test]
    fn addresses_of_feature_information() {
        let expect = GetFeatureInfo {
            tile: tile(["osm", "g", "01"], 2, 3, None, &[]),
            i: 17,
            j: 27,
            info_format: InfoFormat::Suffix("geojson".to_owned()),
            feature_count: None,
        };
        let template = AddressTemplate::parse(INFO);
        assert_eq!(template.match_feature_info("/osm/g/01/2/3/17/27.geojson"), Some(expect));
        assert_eq!(template.match_feature_info("/osm/g/01/2/3/-17/27.geojson"), None);
        assert_eq!(template.match_feature_info("/osm/g/01/2/3.png"), None);
    }

    #[test]
    fn templates_are_filled_for_clients() {
        let template = AddressTemplate::parse(DEFAULT);
        assert_eq!(
            template.fill(&[("Layer", "osm"), ("Format", "png")]),
            "/osm/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.png"
        );
        assert_eq!(AddressTemplate::parse("/{{Layer}}{x").fill(&[]), "/{Layer}{x");
    }

    #[test]
    fn variables_without_separators_do_not_take_forever() {
        let template = "/{a}{b}{c}{d}{e}{Layer}{TileMatrixSet}{TileMatrix}{TileCol}{TileRow}/";
        let path = format!("/{}", "1".repeat(4000));
        assert_eq!(AddressTemplate::parse(template).match_tile(&path), None);
    }

    #[test]
    fn key_value_pairs() {
        let query = "service=WMTS&VERSION=1.0.0&Request=GetTile&layer=osm&style=&tilematrixset=g&tilematrix=01\
                     &tilerow=3&tilecol=-2&format=image/png";
        let expect = tile(["osm", "g", "01"], -2, 3, Some("image/png"), &[]);
        let parse = |query: &str| WmtsRequest::from_params(&QueryParams::parse(query));
        assert_eq!(parse(query), Ok(WmtsRequest::GetTile(expect.clone())));
        let any_format = tile(["osm", "g", "01"], -2, 3, None, &[]);
        assert_eq!(
            parse(&query.replace("image/png", "")),
            Ok(WmtsRequest::GetTile(any_format))
        );

        let info =
            query.replace("GetTile", "getfeatureinfo") + "&infoformat=text/plain&i=5&j=6&feature_count=2&TIME=now";
        let mut tile = expect;
        tile.dimensions = vec![("TIME".to_owned(), "now".to_owned())];
        let expect = GetFeatureInfo {
            tile,
            i: 5,
            j: 6,
            info_format: InfoFormat::MediaType("text/plain".to_owned()),
            feature_count: Some(2),
        };
        assert_eq!(parse(&info), Ok(WmtsRequest::GetFeatureInfo(expect)));
        assert_eq!(parse("request=GetCapabilities"), Ok(WmtsRequest::GetCapabilities));

        let errors = [
            ("", "unknown WMTS request type ''"),
            ("request=Foo", "unknown WMTS request type 'Foo'"),
            (
                "request=GetTile&version=1&layer=&style=&tilematrix=1&tilerow=1",
                "missing parameters ['tilematrixset', 'tilecol', 'format']",
            ),
            (
                &query.replace("tilerow=3", "tilerow=x"),
                "invalid value for tilerow: `x` is no whole number",
            ),
        ];
        for (query, expect) in errors {
            assert_eq!(
                parse(query).map_err(|error| error.to_string()),
                Err(expect.to_owned()),
                "{query}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_template_meets_any_path(template in "(/|\\{[A-Za-z]{0,6}\\}|[{}a.%]){0,12}", path in "[/a-z0-9.%{}-]{0,200}") {
            let template = AddressTemplate::parse(&template);
            let _ = (template.match_tile(&path), template.match_feature_info(&path), template.fill(&[]));
        }
    }
}
