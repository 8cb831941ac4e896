//! The tables of reference systems: code → axis order and definition.
//!
//! Each file in `data/` has a line per code, ascending: the code, `n` if the authority lists north first or `e`
//! otherwise, and the PROJ string without its `+` signs (`data/reference_systems.py` writes them). They are searched as
//! they lie in the data segment: nothing is built when an instance starts, and a lookup touches a dozen pages.

use std::cmp::Ordering;

use proj4rs::Proj;

use super::{METERS_PER_DEGREE, SrsError};

static EPSG: &str = include_str!("../../data/epsg.txt");
static ESRI: &str = include_str!("../../data/esri.txt");
static IAU: &str = include_str!("../../data/iau.txt");

/// What makes two systems the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// Longitude and latitude on WGS 84: `EPSG:4326`, `CRS:84`.
    Wgs84,
    /// The spherical Mercator projection of web maps: `EPSG:3857` and its older names.
    WebMercator,
    /// Any other EPSG code.
    Epsg(u32),
    /// A code of ESRI's.
    Esri(u32),
    /// A system of another celestial body: authority `IAU_2015`. The body is the code without its last two digits.
    Iau(u32),
}

impl Identity {
    /// The celestial body that the system is of; 0 is the Earth.
    pub(super) const fn body(self) -> u32 {
        match self {
            Self::Wgs84 | Self::WebMercator | Self::Epsg(_) | Self::Esri(_) => 0,
            Self::Iau(code) => code / 100,
        }
    }
}

/// What is known of a system before its projection is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition {
    /// Whether northing comes first in protocol messages.
    pub(super) north_first: bool,
    text: &'static str,
}

impl Definition {
    /// Stands in for a system that a compiled configuration names but this program does not know. It transforms nothing.
    pub(super) const UNKNOWN: Self = Self::new(false, "proj=unknown");

    const fn new(north_first: bool, text: &'static str) -> Self {
        Self { north_first, text }
    }

    fn parameter(&self, name: &str) -> Option<&'static str> {
        self.text
            .split(' ')
            .filter_map(|token| token.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(super) fn is_latlong(&self) -> bool {
        self.parameter("proj") == Some("longlat")
    }

    /// Metres per coordinate unit, for degrees on the equator.
    pub(super) fn meters_per_unit(&self) -> f64 {
        let number = |name| self.parameter(name).and_then(|value| value.parse::<f64>().ok());
        if self.is_latlong() {
            // other bodies are given by their radius, the Earth by the name of an ellipsoid
            return number("R")
                .or_else(|| number("a"))
                .map_or(METERS_PER_DEGREE, f64::to_radians);
        }
        if let Some(factor) = number("to_meter") {
            return factor;
        }
        match self.parameter("units") {
            Some("us-ft") => 1200.0 / 3937.0,
            Some("ft") => 0.3048,
            Some("km") => 1000.0,
            _ => 1.0,
        }
    }

    /// Whether meridians and parallels are straight and parallel to the axes, so that x depends on longitude alone and
    /// y on latitude alone.
    pub(super) fn is_cylindrical(&self) -> bool {
        let projection = matches!(
            self.parameter("proj"),
            Some("longlat" | "merc" | "webmerc" | "eqc" | "cea" | "mill")
        );
        projection && self.parameter("axis").is_none()
    }

    /// Ellipsoid and shift of a datum that is not (within centimetres) WGS 84.
    pub(super) fn datum(&self) -> Option<Datum> {
        self.parameter("towgs84").map(|shift| Datum {
            shift,
            ellipsoid: self.parameter("ellps"),
            semi_major: self.parameter("a"),
        })
    }

    /// Sets up the projection, with its datum shift or without any.
    pub(super) fn to_proj(self, code: &str, shifted: bool) -> Result<Proj, SrsError> {
        let mut string = String::with_capacity(self.text.len() + 40);
        for token in self.text.split(' ').filter(|token| !token.starts_with("towgs84=")) {
            string.push('+');
            string.push_str(token);
            string.push(' ');
        }
        if shifted {
            string.push_str("+towgs84=");
            string.push_str(self.parameter("towgs84").unwrap_or("0,0,0"));
        }
        let unsupported = || SrsError::UnsupportedProjection {
            code: code.to_owned(),
            projection: self.parameter("proj").unwrap_or("none").replace('_', " "),
        };
        let proj = Proj::from_proj_string(&string).map_err(|_error| unsupported())?;
        if proj.has_inverse() && proj.has_forward() {
            Ok(proj)
        } else {
            Err(unsupported())
        }
    }
}

/// A datum, to compare with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datum {
    shift: &'static str,
    ellipsoid: Option<&'static str>,
    semi_major: Option<&'static str>,
}

const CRS84: [&str; 9] = [
    "CRS:84",
    "CRS84",
    "OGC:CRS84",
    "OGC:84",
    "URN:OGC:DEF:CRS:OGC:1.3:CRS84",
    "URN:OGC:DEF:CRS:OGC::CRS84",
    "URN:OGC:DEF:CRS:CRS::84",
    "HTTP://WWW.OPENGIS.NET/DEF/CRS/OGC/1.3/CRS84",
    "HTTP://WWW.OPENGIS.NET/DEF/CRS/CRS/0/84",
];

/// What an upper-case code names, without looking whether there is such a system.
pub(super) fn identify(code: &str) -> Option<Identity> {
    if let Some(number) = epsg_number(code) {
        return Some(match number {
            4326 => Identity::Wgs84,
            3857 | 900_913 | 102_100 | 102_113 => Identity::WebMercator,
            _ => Identity::Epsg(number),
        });
    }
    if CRS84.contains(&code) {
        return Some(Identity::Wgs84);
    }
    if let Some(number) = number_of(code, "IAU_2015").or_else(|| number_of(code, "IAU")) {
        return Some(Identity::Iau(number));
    }
    Some(match number_of(code, "ESRI")? {
        102_100 | 102_113 => Identity::WebMercator,
        number => Identity::Esri(number),
    })
}

/// The definition of the system that `code` was identified as.
pub(super) fn define(identity: Identity, code: &str) -> Option<Definition> {
    match identity {
        Identity::Wgs84 => Some(Definition::new(!CRS84.contains(&code), "proj=longlat ellps=WGS84")),
        Identity::WebMercator => Some(Definition::new(false, "proj=webmerc ellps=WGS84")),
        Identity::Epsg(number) => search(EPSG, number),
        Identity::Esri(number) => search(ESRI, number),
        Identity::Iau(number) => search(IAU, number),
    }
}

/// The number in any of the spellings of an EPSG code, in upper case.
pub(super) fn epsg_number(code: &str) -> Option<u32> {
    number_of(code, "EPSG")
        .or_else(|| only_digits(code.strip_prefix("HTTP://WWW.OPENGIS.NET/GML/SRS/EPSG.XML#")?))
        .or_else(|| only_digits(code))
}

/// The number of a code of an authority: `A:n`, `urn:ogc:def:crs:A:version:n`, `http://www.opengis.net/def/crs/A/version/n`.
fn number_of(code: &str, authority: &str) -> Option<u32> {
    if let Some(rest) = code.strip_prefix(authority) {
        return only_digits(rest.strip_prefix(':')?);
    }
    let (rest, separator) = if let Some(rest) = code.strip_prefix("URN:OGC:DEF:CRS:") {
        (rest, ':')
    } else {
        let rest = code
            .strip_prefix("HTTP://WWW.OPENGIS.NET/DEF/CRS/")
            .or_else(|| code.strip_prefix("HTTPS://WWW.OPENGIS.NET/DEF/CRS/"))?;
        (rest, '/')
    };
    let rest = rest.strip_prefix(authority)?.strip_prefix(separator)?;
    only_digits(rest.rsplit(separator).next()?)
}

fn only_digits(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Finds the line of `number` by bisection over the bytes of `table`.
fn search(table: &'static str, number: u32) -> Option<Definition> {
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
            Ordering::Equal => return Some(Definition::new(rest.starts_with('n'), rest.get(1..)?)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of a table can be found, and says which projection it is.
    #[test]
    fn tables_are_sorted() {
        for table in [EPSG, ESRI, IAU] {
            for line in table.lines() {
                let digits = line.find(|c: char| !c.is_ascii_digit()).unwrap();
                let (code, rest) = line.split_at(digits);
                let found = search(table, code.parse().unwrap()).unwrap();
                assert_eq!(Some(found.text), rest.get(1..));
                assert!(found.text.starts_with("proj="), "{line}");
            }
        }
        for missing in [0, 1, 1999, 4_000_000_000] {
            assert!(search(EPSG, missing).is_none());
        }
    }

    #[test]
    fn understands_the_spellings_of_a_code() {
        let check = |code: &str, expect: Option<u32>| assert_eq!(epsg_number(code), expect, "{code}");
        check("EPSG:25832", Some(25832));
        check("25832", Some(25832));
        check("URN:OGC:DEF:CRS:EPSG::25832", Some(25832));
        check("URN:OGC:DEF:CRS:EPSG:6.9:25832", Some(25832));
        check("URN:OGC:DEF:CRS:EPSG:25832", Some(25832));
        check("HTTP://WWW.OPENGIS.NET/DEF/CRS/EPSG/0/25832", Some(25832));
        check("HTTP://WWW.OPENGIS.NET/GML/SRS/EPSG.XML#25832", Some(25832));
        check("EPSG:", None);
        check("EPSG:-1", None);
        check("EPSG:99999999999999", None);
        check("EPSG:+4326", None);
        check("", None);
    }
}
