//! The table of reference systems: EPSG code → axis order and definition.
//!
//! `data/epsg.txt` has a line per code, ascending: the code, `n` if the authority lists north first or `e` otherwise,
//! and the PROJ string without its `+` signs (`data/epsg.py` says how it was made). The file is searched as it lies in
//! the data segment: nothing is built when an instance starts, and a lookup touches a dozen of its pages.

use std::cmp::Ordering;

use proj4rs::Proj;

use super::SrsError;
use super::reference::Identity;

static TABLE: &str = include_str!("../../data/epsg.txt");

const WGS84: &str = "proj=longlat datum=WGS84";
const WEB_MERCATOR: &str = "proj=merc a=6378137 b=6378137 lat_ts=0 lon_0=0 x_0=0 y_0=0 k=1 units=m nadgrids=@null";

/// What is known of a system before its projection is set up.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// Whether northing comes first in protocol messages.
    pub(super) north_first: bool,
    text: DefinitionText,
}

#[derive(Clone, Debug)]
enum DefinitionText {
    Table(&'static str),
    Made(Box<str>),
}

impl Definition {
    const fn new(north_first: bool, text: &'static str) -> Self {
        Self {
            north_first,
            text: DefinitionText::Table(text),
        }
    }

    fn text(&self) -> &str {
        match &self.text {
            DefinitionText::Table(text) => text,
            DefinitionText::Made(text) => text,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.text()
            .split(' ')
            .filter_map(|token| token.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(super) fn is_latlong(&self) -> bool {
        self.parameter("proj") == Some("longlat")
    }

    /// Metres per unit of a projected system.
    pub(super) fn to_meter(&self) -> f64 {
        if let Some(factor) = self.parameter("to_meter") {
            return factor.parse().unwrap_or(1.0);
        }
        match self.parameter("units") {
            Some("us-ft") => 1200.0 / 3937.0,
            Some("ft") => 0.3048,
            Some("km") => 1000.0,
            _ => 1.0,
        }
    }

    /// Whether meridians and parallels are straight and parallel to the axes and the datum is WGS 84 or the same
    /// within centimetres, so that x depends on longitude only and y on latitude only.
    pub(super) fn is_cylindrical(&self) -> bool {
        let projection = matches!(
            self.parameter("proj"),
            Some("longlat" | "merc" | "webmerc" | "eqc" | "cea" | "mill")
        );
        let datum = match (self.parameter("datum"), self.parameter("towgs84")) {
            (Some(datum), _) => datum == "WGS84",
            (None, Some(shift)) => shift.split(',').all(|part| part == "0"),
            (None, None) => self.parameter("nadgrids") == Some("@null"),
        };
        projection && datum && self.parameter("pm").is_none()
    }

    pub(super) fn to_proj(&self, code: &str) -> Result<Proj, SrsError> {
        let text = self.text();
        let mut string = String::with_capacity(text.len() + 20);
        for token in text.split(' ') {
            string.push('+');
            string.push_str(token);
            string.push(' ');
        }
        Proj::from_proj_string(&string).map_err(|_unsupported| SrsError::UnsupportedProjection {
            code: code.to_owned(),
            projection: self.parameter("proj").unwrap_or("none").to_owned(),
        })
    }
}

/// The system of an upper-case code.
pub(super) fn find(code: &str) -> Option<(Identity, Definition)> {
    if matches!(
        code,
        "CRS:84"
            | "CRS84"
            | "OGC:CRS84"
            | "OGC:84"
            | "URN:OGC:DEF:CRS:OGC:1.3:CRS84"
            | "URN:OGC:DEF:CRS:OGC::CRS84"
            | "URN:OGC:DEF:CRS:CRS::84"
            | "HTTP://WWW.OPENGIS.NET/DEF/CRS/OGC/1.3/CRS84"
            | "HTTP://WWW.OPENGIS.NET/DEF/CRS/CRS/0/84"
    ) {
        return Some((Identity::Wgs84, Definition::new(false, WGS84)));
    }
    if let Some(number) = epsg_number(code) {
        return find_epsg(number);
    }
    None
}

fn find_epsg(number: u32) -> Option<(Identity, Definition)> {
    Some(match number {
        4326 => (Identity::Wgs84, Definition::new(true, WGS84)),
        3857 | 900_913 | 102_100 | 102_113 => (Identity::WebMercator, Definition::new(false, WEB_MERCATOR)),
        _ => {
            let (north_first, text) = search(TABLE, number)?;
            (Identity::Epsg(number), Definition::new(north_first, text))
        }
    })
}

/// The number in any of the spellings of an EPSG code, in upper case.
pub(super) fn epsg_number(code: &str) -> Option<u32> {
    let digits = if let Some(rest) = code.strip_prefix("EPSG:") {
        rest.trim_start_matches(':')
    } else if let Some(rest) = code.strip_prefix("URN:OGC:DEF:CRS:EPSG:") {
        // an edition may stand between the colons
        rest.rsplit(':').next()?
    } else if let Some(rest) = code
        .strip_prefix("HTTP://WWW.OPENGIS.NET/DEF/CRS/EPSG/")
        .or_else(|| code.strip_prefix("HTTPS://WWW.OPENGIS.NET/DEF/CRS/EPSG/"))
    {
        rest.rsplit('/').next()?
    } else if let Some(rest) = code.strip_prefix("HTTP://WWW.OPENGIS.NET/GML/SRS/EPSG.XML#") {
        rest
    } else {
        code
    };
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    only_digits.then(|| digits.parse().ok()).flatten()
}

/// Finds the line of `number` by bisection over the bytes of `table`.
fn search(table: &'static str, number: u32) -> Option<(bool, &'static str)> {
    let (mut low, mut high) = (0, table.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        // the line that `middle` lies in; low and high are always starts of lines
        let start = table.get(..middle)?.rfind('\n').map_or(0, |at| at + 1);
        let end = middle + table.get(middle..)?.find('\n')?;
        let line = table.get(start..end)?;
        let flag_at = line.find(|c: char| !c.is_ascii_digit())?;
        let (code, rest) = line.split_at_checked(flag_at)?;
        match code.parse::<u32>().ok()?.cmp(&number) {
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
            Ordering::Equal => {
                let north_first = rest.starts_with('n');
                return Some((north_first, rest.get(1..)?));
            }
        }
    }
    None
}
