//! The compiled configuration: a container of segments, each found by kind and name without reading the others.
//!
//! A fresh instance per request opens it, so opening costs the same for four layers as for four thousand: the header is
//! checked, nothing else. Looking a segment up is a binary search in the sorted table, in place; only the segment asked
//! for is deserialised (postcard).
//!
//! ```text
//! magic "MPXYCONF" · format u32 · length of all u32 · version (u8 length, text)      little endian throughout
//! number of entries u32 · table of entries, 12 bytes each, sorted by (kind, name)
//!     kind u8 · name length u24 · offset of the name, which the data follows, u32 · data length u32
//! names and data
//! ```
//!
//! Every request pays for each byte, which is copied into its instance. So where there are many, segments that are much
//! like the first of their kind (layers of a catalogue differ by little more than their names) are packed (LZ4 with the
//! first one as dictionary); the highest bit of their length says so.

use std::borrow::Cow;
use std::fmt;

use lz4_flex::block::{DecompressError, compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"MPXYCONF";
/// Raised whenever a type of `config::model` changes its shape within one version of the component.
const FORMAT: u32 = 2;
/// Version of the component that writes and reads.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const ENTRY: usize = 12;
const PACKED: u32 = 1 << 31;
/// Up to this many bytes of data nothing is packed: copying them costs less than unpacking one segment.
const SMALL: usize = 64 << 10;
/// Longer segments are not packed, so that a damaged length cannot ask for much memory.
const MAX_PACKED: usize = 64 << 10;

/// What a segment holds. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// [`Application`](super::model::Application), name `""`
    Application = 1,
    /// [`WmsService`](super::model::WmsService), name `""`
    WmsService = 2,
    /// [`WmtsService`](super::model::WmtsService), name `""`
    WmtsService = 3,
    /// [`TmsService`](super::model::TmsService), name `""`
    TmsService = 4,
    /// [`KmlService`](super::model::KmlService), name `""`
    KmlService = 5,
    /// [`LayerTree`](super::model::LayerTree) by the names of its layers, name `""`
    LayerTree = 6,
    /// the names of all [`TileLayer`](super::model::TileLayer) segments in order, name `""`
    TileLayers = 7,
    /// [`Layer`](super::model::Layer) by name
    Layer = 8,
    /// [`TileLayer`](super::model::TileLayer), name `<layer>/<grid>`
    TileLayer = 9,
    /// the [`TileLayerKey`](super::model::TileLayerKey)s of a layer, by its name
    TileLayerIndex = 10,
    /// [`Cache`](super::model::Cache) by name
    Cache = 11,
    /// [`Source`](super::model::Source) by key
    Source = 12,
    /// [`TileGrid`](crate::grid::TileGrid) by the grid's name
    Grid = 13,
    /// the [`SourceFile`]s it was made from, name `""`
    Files = 14,
    /// [`SeedTask`](super::model::SeedTask) by its number in the order of `seed.yaml`
    SeedTask = 15,
}

/// A file the configuration was made from, as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// absolute
    pub path: String,
    /// SHA-256 of the content; `None`: it could not be read
    pub digest: Option<[u8; 32]>,
}

impl SourceFile {
    /// Whether the file is still the same; `None`: it cannot be read now.
    pub fn matches(&self, content: Option<&[u8]>) -> bool {
        self.digest == content.map(|content| Sha256::digest(content).into())
    }
}

/// Why bytes are not a compiled configuration of this component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompiledError {
    #[error("this is not a compiled configuration")]
    NotCompiled,
    #[error("the configuration was compiled by version `{found}`, this is version `{expected}`")]
    OtherVersion { found: String, expected: &'static str },
    #[error("the compiled configuration is damaged: expected {expected} bytes, got {found}")]
    Truncated { expected: usize, found: usize },
}

/// An opened compiled configuration.
#[derive(Clone)]
pub struct Compiled {
    bytes: Cow<'static, [u8]>,
    /// where the table begins
    table: usize,
    entries: usize,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("bytes", &self.bytes.len())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl Compiled {
    /// Checks the header: magic, version and length. Costs the same for every size.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, CompiledError> {
        let bytes = bytes.into();
        if bytes.get(..8) != Some(MAGIC.as_slice()) {
            return Err(CompiledError::NotCompiled);
        }
        let number = |at| read_u32(&bytes, at).ok_or(CompiledError::NotCompiled);
        let (format, length) = (number(8)?, number(12)? as usize);
        let version_length = usize::from(*bytes.get(16).ok_or(CompiledError::NotCompiled)?);
        let version = bytes.get(17..17 + version_length).ok_or(CompiledError::NotCompiled)?;
        if format != FORMAT || version != VERSION.as_bytes() {
            let found = format!("{} (format {format})", String::from_utf8_lossy(version));
            return Err(CompiledError::OtherVersion {
                found,
                expected: VERSION,
            });
        }
        if length != bytes.len() {
            return Err(CompiledError::Truncated {
                expected: length,
                found: bytes.len(),
            });
        }
        let entries = number(17 + version_length)? as usize;
        let table = 17 + version_length + 4;
        if entries
            .checked_mul(ENTRY)
            .and_then(|size| size.checked_add(table))
            .is_none_or(|end| end > bytes.len())
        {
            return Err(CompiledError::Truncated {
                expected: table.saturating_add(entries.saturating_mul(ENTRY)),
                found: bytes.len(),
            });
        }
        Ok(Self { bytes, table, entries })
    }

    /// The segment of this kind and name; `None` if there is none.
    pub fn get<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let damaged = |error: &dyn fmt::Display| {
            log::error!("compiled configuration: segment {kind:?} `{name}` is damaged: {error}");
        };
        let entry = self.find(kind, name)?;
        let data = if entry.packed {
            let first = self.entry(self.first(kind as u8))?;
            let unpacked = unpack(entry.data, first.data);
            Cow::Owned(unpacked.inspect_err(|error| damaged(error)).ok()?)
        } else {
            Cow::Borrowed(entry.data)
        };
        postcard::from_bytes(&data).inspect_err(|error| damaged(error)).ok()
    }

    /// Whether there is such a segment; reads nothing of it.
    pub fn contains(&self, kind: Kind, name: &str) -> bool {
        self.find(kind, name).is_some()
    }

    /// Names of all segments of a kind, sorted.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        (self.first(kind as u8)..self.entries).map_while(move |index| {
            let entry = self.entry(index)?;
            (entry.kind == kind as u8)
                .then_some(entry.name)
                .and_then(|name| std::str::from_utf8(name).ok())
        })
    }

    /// Files it was made from: a compiled file beside a changed YAML is refused with these.
    pub fn sources(&self) -> Vec<SourceFile> {
        self.get(Kind::Files, "").unwrap_or_default()
    }

    fn find(&self, kind: Kind, name: &str) -> Option<Entry<'_>> {
        let key = (kind as u8, name.as_bytes());
        let entry = self.entry(self.partition(|entry| (entry.kind, entry.name) < key))?;
        ((entry.kind, entry.name) == key).then_some(entry)
    }

    /// Index of the first entry of a kind.
    fn first(&self, kind: u8) -> usize {
        self.partition(|entry| entry.kind < kind)
    }

    /// First entry for which `before` is false; the table is sorted.
    fn partition(&self, before: impl Fn(&Entry<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle).is_some_and(|entry| before(&entry)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        if index >= self.entries {
            return None;
        }
        let number = |field: usize| read_u32(&self.bytes, self.table + index * ENTRY + 4 * field);
        let [kind, name_length @ ..] = number(0)?.to_le_bytes();
        let [low, middle, high] = name_length;
        let name_length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let (offset, length) = (number(1)? as usize, number(2)?);
        let (name, rest) = self.bytes.get(offset..)?.split_at_checked(name_length)?;
        Some(Entry {
            kind,
            name,
            data: rest.get(..(length & !PACKED) as usize)?,
            packed: length & PACKED != 0,
        })
    }
}

/// A segment in the container.
struct Entry<'a> {
    kind: u8,
    name: &'a [u8],
    data: &'a [u8],
    packed: bool,
}

/// `data` by reference to `dictionary`; `None` where that is hardly shorter.
fn pack(data: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    let packed = (data.len() <= MAX_PACKED).then(|| compress_prepend_size_with_dict(data, dictionary))?;
    (packed.len() * 4 < data.len() * 3).then_some(packed)
}

fn unpack(packed: &[u8], dictionary: &[u8]) -> Result<Vec<u8>, DecompressError> {
    match read_u32(packed, 0) {
        Some(length) if length as usize <= MAX_PACKED => decompress_size_prepended_with_dict(packed, dictionary),
        _ => Err(DecompressError::ExpectedAnotherByte),
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// Collects segments and writes the container.
#[derive(Debug, Default)]
pub struct CompiledBuilder {
    segments: Vec<(u8, String, Vec<u8>)>,
}

impl CompiledBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a segment. Of two with the same kind and name the later one counts.
    pub fn add(&mut self, kind: Kind, name: &str, value: &impl Serialize) {
        let data = postcard::to_allocvec(value).expect("the types of the model have no unsized sequences");
        self.segments.push((kind as u8, name.to_owned(), data));
    }

    /// The container. Equal segments give equal bytes, whatever the order they were added in.
    pub fn finish(mut self) -> Vec<u8> {
        self.segments.reverse();
        self.segments
            .sort_by(|a, b| (a.0, a.1.as_bytes()).cmp(&(b.0, b.1.as_bytes())));
        self.segments
            .dedup_by(|later, first| later.0 == first.0 && later.1 == first.1);

        let packed = self.packed();
        let data = |index: usize| packed[index].as_deref().unwrap_or(&self.segments[index].2);

        let header = MAGIC.len() + 4 + 4 + 1 + VERSION.len() + 4;
        let mut table = Vec::with_capacity(self.segments.len() * ENTRY);
        let mut payload = Vec::new();
        for (index, (kind, name, _)) in self.segments.iter().enumerate() {
            let data = data(index);
            let [low, middle, high, _] = (name.len() as u32).to_le_bytes();
            let offset = header + self.segments.len() * ENTRY + payload.len();
            let mark = if packed[index].is_some() { PACKED } else { 0 };
            table.extend_from_slice(&[*kind, low, middle, high]);
            table.extend_from_slice(&(offset as u32).to_le_bytes());
            table.extend_from_slice(&(data.len() as u32 | mark).to_le_bytes());
            payload.extend_from_slice(name.as_bytes());
            payload.extend_from_slice(data);
        }

        let length = header + table.len() + payload.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.push(VERSION.len() as u8);
        bytes.extend_from_slice(VERSION.as_bytes());
        bytes.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&table);
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// The packed form of each segment that has one.
    fn packed(&self) -> Vec<Option<Vec<u8>>> {
        if self.segments.iter().map(|(_, _, data)| data.len()).sum::<usize>() <= SMALL {
            return vec![None; self.segments.len()];
        }
        let of_kind = self.segments.chunk_by(|a, b| a.0 == b.0);
        of_kind
            .flat_map(|segments| {
                let (first, others) = segments.split_first().expect("chunks are not empty");
                let others = others.iter().map(|(_, _, data)| pack(data, &first.2));
                std::iter::once(None).chain(others)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut builder = CompiledBuilder::new();
        for name in ["osm", "b", "a", "zoo", ""] {
            builder.add(Kind::Layer, name, &format!("layer {name}"));
        }
        builder.add(Kind::Cache, "osm", &7_u32);
        builder.add(Kind::Cache, "osm", &8_u32);
        builder.finish()
    }

    #[test]
    fn segments_are_found_by_kind_and_name() {
        let compiled = Compiled::open(sample()).unwrap();
        for name in ["osm", "b", "a", "zoo", ""] {
            assert_eq!(compiled.get::<String>(Kind::Layer, name), Some(format!("layer {name}")));
        }
        assert_eq!(compiled.get::<String>(Kind::Layer, "os"), None);
        assert_eq!(compiled.get::<u32>(Kind::Cache, "osm"), Some(8), "the later one counts");
        assert_eq!(compiled.get::<u32>(Kind::Source, "osm"), None);
        assert_eq!(
            compiled.names(Kind::Layer).collect::<Vec<_>>(),
            ["", "a", "b", "osm", "zoo"]
        );
        assert!(compiled.contains(Kind::Cache, "osm"));
    }

    #[test]
    fn other_versions_and_cut_files_are_refused() {
        let bytes = sample();
        assert_eq!(
            Compiled::open(&b"services:"[..]).unwrap_err(),
            CompiledError::NotCompiled
        );
        assert_eq!(Compiled::open(Vec::new()).unwrap_err(), CompiledError::NotCompiled);
        let mut other = bytes.clone();
        other[17] = b'9';
        assert!(matches!(Compiled::open(other), Err(CompiledError::OtherVersion { .. })));
        let cut = bytes[..bytes.len() - 1].to_vec();
        assert!(matches!(Compiled::open(cut), Err(CompiledError::Truncated { .. })));
    }

    /// Many segments that are alike, some that are not.
    fn catalogue() -> Vec<u8> {
        let mut builder = CompiledBuilder::new();
        for number in 0..1000 {
            builder.add(Kind::Layer, &number.to_string(), &layer(number));
        }
        builder.add(Kind::Layer, "other", &"entirely different");
        builder.add(Kind::Cache, "", &"x".repeat(MAX_PACKED + 1));
        builder.add(Kind::Cache, "a", &"x".repeat(MAX_PACKED + 1));
        builder.finish()
    }

    fn layer(number: u32) -> (String, Vec<f64>) {
        (format!("layer {number}"), vec![20_037_508.342_789_244; 16])
    }

    #[test]
    fn segments_of_large_configurations_are_packed() {
        let bytes = catalogue();
        let plain = 1000 * postcard::to_allocvec(&layer(999)).unwrap().len();
        assert!(bytes.len() < plain / 2 + 2 * MAX_PACKED, "{} of {plain}", bytes.len());
        let compiled = Compiled::open(bytes).unwrap();
        for number in [0, 1, 17, 999] {
            assert_eq!(compiled.get(Kind::Layer, &number.to_string()), Some(layer(number)));
        }
        assert_eq!(
            compiled.get(Kind::Layer, "other"),
            Some("entirely different".to_owned())
        );
        assert_eq!(
            compiled.get::<String>(Kind::Cache, "a").map(|text| text.len()),
            Some(MAX_PACKED + 1)
        );
        assert_eq!(compiled.names(Kind::Layer).count(), 1001);
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..100_000, value: u8, large: bool) {
            let mut bytes = if large { catalogue() } else { sample() };
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(compiled) = Compiled::open(bytes) {
                let _ = compiled.get::<String>(Kind::Layer, "osm");
                let _ = compiled.get::<(String, Vec<f64>)>(Kind::Layer, "17");
                let _ = compiled.names(Kind::Layer).count();
            }
        }
    }
}
