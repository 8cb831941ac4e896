//! Polygons of the first feature table of a GeoPackage (OGC 12-128r18), an `SQLite` database (its "Database File Format").
//!
//! Read by hand because all that is wanted is a walk along one table: no crate in pure Rust does that without a whole
//! database. Pages are followed at most once, so that no file makes it go round in circles.

use std::collections::HashSet;

use super::{CoverageError, Polygon, Ring};

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";
/// Collections inside each other.
const MAX_DEPTH: u8 = 8;

/// Reads the polygons of the first feature table.
pub(super) fn read(content: &[u8]) -> Result<Vec<Polygon>, CoverageError> {
    let wrong = |problem: &str| CoverageError::Syntax {
        format: "GeoPackage",
        place: "database".to_owned(),
        problem: problem.to_owned(),
    };
    let database = Database::open(content).ok_or_else(|| wrong("the header is broken"))?;
    let broken = || wrong("a page or record is broken");
    let schema = database.table(1).ok_or_else(broken)?;
    let find = |name: &str| {
        schema.iter().find_map(|row| match row.values.as_slice() {
            [
                Value::Text(kind),
                Value::Text(own),
                _,
                Value::Integer(page),
                Value::Text(sql),
            ] if kind == "table" && own.eq_ignore_ascii_case(name) => Some((u32::try_from(*page).ok()?, sql.as_str())),
            _ => None,
        })
    };
    let (page, _) = find("gpkg_geometry_columns").ok_or_else(|| wrong("it has no feature tables"))?;
    let columns = database.table(page).ok_or_else(broken)?;
    let Some([Value::Text(table), Value::Text(column), ..]) = columns.first().map(|row| row.values.as_slice()) else {
        return Err(wrong("it has no feature tables"));
    };
    let (page, sql) = find(table).ok_or_else(|| wrong("its feature table is missing"))?;
    let index = column_index(sql, column).ok_or_else(|| wrong("its geometry column is missing"))?;
    let mut polygons = Vec::new();
    for row in database.table(page).ok_or_else(broken)? {
        if let Some(Value::Blob(geometry)) = row.values.get(index) {
            let read = geometry_polygons(geometry, &mut polygons);
            read.ok_or_else(|| CoverageError::Syntax {
                format: "GeoPackage",
                place: format!("feature {}", row.id),
                problem: "the geometry is broken".to_owned(),
            })?;
        }
    }
    Ok(polygons)
}

/// Place of a column in its table's definition.
fn column_index(sql: &str, column: &str) -> Option<usize> {
    let (_, body) = sql.split_once('(')?;
    let mut depth = 0_usize;
    let mut quote = None;
    let mut definitions = vec![String::new()];
    for char in body.chars() {
        match (quote, char) {
            (Some(open), char) if open == char => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(char),
            (None, '[') => quote = Some(']'),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => break,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                definitions.push(String::new());
                continue;
            }
            _ => {}
        }
        definitions.last_mut()?.push(char);
    }
    let name = |definition: &str| {
        let definition = definition.trim();
        let closing = match definition.chars().next()? {
            '[' => ']',
            quote @ ('"' | '`' | '\'') => quote,
            _ => return definition.split_whitespace().next().map(str::to_owned),
        };
        let inner = definition.get(1..)?;
        Some(inner.split(closing).next()?.to_owned())
    };
    definitions
        .iter()
        .position(|definition| name(definition).is_some_and(|name| name.eq_ignore_ascii_case(column)))
}

#[derive(Debug)]
enum Value {
    Null,
    Integer(i64),
    Real,
    Text(String),
    Blob(Vec<u8>),
}

#[derive(Debug)]
struct Row {
    id: i64,
    values: Vec<Value>,
}

#[derive(Debug)]
struct Database<'a> {
    content: &'a [u8],
    page_size: usize,
    /// bytes of a page that are used
    usable: usize,
}

impl<'a> Database<'a> {
    fn open(content: &'a [u8]) -> Option<Self> {
        let page_size = match number(content, 16, 2)? {
            1 => 65_536,
            size if size >= 512 => usize::try_from(size).ok()?,
            _ => return None,
        };
        let reserved = usize::from(*content.get(20)?);
        Some(Self {
            content,
            page_size,
            usable: page_size.checked_sub(reserved).filter(|usable| *usable >= 480)?,
        })
    }

    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(number.checked_sub(1)?)
            .ok()?
            .checked_mul(self.page_size)?;
        self.content.get(start..start.checked_add(self.page_size)?)
    }

    /// All rows of a table by the page of its root.
    fn table(&self, root: u32) -> Option<Vec<Row>> {
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![root];
        while let Some(page_number) = open.pop() {
            if !seen.insert(page_number) {
                return None;
            }
            let page = self.page(page_number)?;
            let start = if page_number == 1 { 100 } else { 0 };
            let cells = usize::try_from(number(page, start + 3, 2)?).ok()?;
            let kind = *page.get(start)?;
            let header = if kind == 5 { 12 } else { 8 };
            let mut below = Vec::new();
            for cell in 0..cells {
                let at = usize::try_from(number(page, start + header + cell * 2, 2)?).ok()?;
                match kind {
                    5 => below.push(u32::try_from(number(page, at, 4)?).ok()?),
                    13 => rows.push(self.row(page, at)?),
                    _ => return None,
                }
            }
            if kind == 5 {
                below.push(u32::try_from(number(page, start + 8, 4)?).ok()?);
                open.extend(below.into_iter().rev());
            }
        }
        Some(rows)
    }

    fn row(&self, page: &'a [u8], mut at: usize) -> Option<Row> {
        let length = usize::try_from(varint(page, &mut at)?).ok()?;
        let id = varint(page, &mut at)?;
        let record = self.payload(page, at, length)?;
        let mut place = 0;
        let header = usize::try_from(varint(&record, &mut place)?).ok()?;
        let mut data = header;
        let mut values = Vec::new();
        while place < header {
            let kind = varint(&record, &mut place)?;
            let size = match kind {
                0 | 8 | 9 => 0,
                1..=4 => usize::try_from(kind).ok()?,
                5 => 6,
                6 | 7 => 8,
                _ => usize::try_from(kind.checked_sub(12)? / 2).ok()?,
            };
            let bytes = record.get(data..data.checked_add(size)?)?;
            data += size;
            values.push(match kind {
                0 => Value::Null,
                8 => Value::Integer(0),
                9 => Value::Integer(1),
                1..=6 => {
                    let is_negative = bytes.first().is_some_and(|first| *first >= 128);
                    let whole = if is_negative { -1 } else { 0 };
                    Value::Integer(
                        bytes
                            .iter()
                            .fold(whole, |whole: i64, byte| (whole << 8) | i64::from(*byte)),
                    )
                }
                7 => Value::Real,
                kind if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
                _ => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            });
        }
        Some(Row { id, values })
    }

    /// A record, whose end may lie on other pages.
    fn payload(&self, page: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
        if length > self.content.len() {
            return None;
        }
        let most = self.usable - 35;
        if length <= most {
            return Some(page.get(at..at.checked_add(length)?)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let wanted = least + (length - least) % (self.usable - 4);
        let local = if wanted <= most { wanted } else { least };
        let mut record = page.get(at..at + local)?.to_vec();
        let mut next = u32::try_from(number(page, at + local, 4)?).ok()?;
        while record.len() < length {
            let page = self.page(next)?;
            let piece = (length - record.len()).min(self.usable - 4);
            record.extend_from_slice(page.get(4..4 + piece)?);
            next = u32::try_from(number(page, 0, 4)?).ok()?;
        }
        Some(record)
    }
}

/// A big endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// The format's numbers of one to nine bytes.
fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut number = 0_u64;
    for index in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if index == 8 {
            number = (number << 8) | u64::from(byte);
            break;
        }
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte < 128 {
            break;
        }
    }
    Some(number as i64)
}

/// Section 2.1.3: a header, then well-known binary.
fn geometry_polygons(blob: &[u8], polygons: &mut Vec<Polygon>) -> Option<()> {
    if !blob.starts_with(b"GP") {
        return None;
    }
    let flags = *blob.get(3)?;
    let envelope = match (flags >> 1) & 7 {
        0 => 0,
        1 => 32,
        2 | 3 => 48,
        4 => 64,
        _ => return None,
    };
    if flags & 16 != 0 {
        return Some(()); // an empty geometry
    }
    let mut at = 8 + envelope;
    wkb(blob, &mut at, 0, polygons)
}

fn wkb(bytes: &[u8], at: &mut usize, depth: u8, polygons: &mut Vec<Polygon>) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    let is_little = *bytes.get(*at)? == 1;
    *at += 1;
    let count = |at: &mut usize| {
        let four: [u8; 4] = bytes.get(*at..*at + 4)?.try_into().ok()?;
        *at += 4;
        Some(if is_little {
            u32::from_le_bytes(four)
        } else {
            u32::from_be_bytes(four)
        })
    };
    let kind = count(at)?;
    let dimensions = match kind / 1000 {
        0 => 2,
        1 | 2 => 3,
        3 => 4,
        _ => return None,
    };
    let coordinate = |at: usize| {
        let eight: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
        Some(if is_little {
            f64::from_le_bytes(eight)
        } else {
            f64::from_be_bytes(eight)
        })
    };
    match kind % 1000 {
        3 => {
            let mut rings: Vec<Ring> = Vec::new();
            for _ in 0..count(at)? {
                let mut ring = Ring::new();
                for _ in 0..count(at)? {
                    ring.push((coordinate(*at)?, coordinate(*at + 8)?));
                    *at += dimensions * 8;
                }
                rings.push(ring);
            }
            let mut rings = rings.into_iter();
            if let Some(exterior) = rings.next() {
                polygons.push(Polygon {
                    exterior,
                    interiors: rings.collect(),
                });
            }
            Some(())
        }
        4..=7 => {
            for _ in 0..count(at)? {
                wkb(bytes, at, depth + 1, polygons)?;
            }
            Some(())
        }
        // points and lines cover nothing; what follows one in a collection cannot be found without reading it
        1 => {
            *at += dimensions * 8;
            Some(())
        }
        2 => {
            let points = usize::try_from(count(at)?).ok()?;
            *at = at.checked_add(points.checked_mul(dimensions * 8)?)?;
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `sqlite3`: 512-byte pages, 40 polygons (so that the table has pages inside), the last one with
    /// 200 corners (so that it spills over), one with a hole, one with Z, a multipolygon, a point and a NULL.
    const AREAS: &[u8] = include_bytes!("../../testdata/coverage/areas.gpkg");

    #[test]
    fn polygons_come_from_the_first_feature_table() {
        let polygons = read(AREAS).unwrap();
        assert_eq!(polygons.len(), 45);
        assert_eq!(
            polygons[3].exterior,
            [(3.0, 0.0), (4.0, 0.0), (4.0, 1.0), (3.0, 1.0), (3.0, 0.0)]
        );
        assert_eq!(polygons[39].exterior.len(), 201);
        assert_eq!(polygons[40].interiors.len(), 1);
        assert_eq!(polygons[41].exterior[1], (2.0, 5.0));
        assert_eq!(polygons[44].exterior[0], (9.0, 9.0));
    }

    #[test]
    fn columns_are_found_in_their_definition() {
        let check = |sql: &str, column: &str, expect| assert_eq!(column_index(sql, column), expect, "{sql}");
        check("CREATE TABLE a (fid INTEGER PRIMARY KEY, geom BLOB)", "geom", Some(1));
        check(
            "CREATE TABLE \"a(b\" (\"x, y\" DECIMAL(3,2) DEFAULT ',', `Geom` POLYGON)",
            "geom",
            None,
        );
        check(
            "CREATE TABLE a (\"x, y\" DECIMAL(3,2) DEFAULT ',', `Geom` POLYGON)",
            "geom",
            Some(1),
        );
        check("CREATE TABLE a ([the geom] POLYGON, b TEXT)", "the geom", Some(0));
        check("CREATE TABLE a", "geom", None);
    }

    proptest::proptest! {
        #[test]
        fn no_database_is_too_broken(at in 0..AREAS.len(), byte: u8, length in 0..AREAS.len()) {
            let mut content = AREAS.to_vec();
            content[at] = byte;
            let _ = read(&content);
            let _ = read(&content[..length]);
        }
    }
}
