//! The compiled configuration: a container of segments, each found by kind and name without reading the others.
//!
//! A fresh instance per request opens it, so opening costs the same for four layers as for four thousand: the header is
//! checked, nothing else. Looking a segment up is a binary search in the sorted table, in place; only the segment asked
//! for is deserialised (postcard).
//!
//! ```text
//! magic "MPXYCONF" · format u32 · length of all u32 · version (u8 length, text)      little endian throughout
//! number of entries u32 · table of entries, 20 bytes each, sorted by (kind, name)
//!     kind u32 · name offset u32 · name length u32 · data offset u32 · data length u32
//! names and data
//! ```

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"MPXYCONF";
/// Raised whenever a type of `config::model` changes its shape within one version of the component.
const FORMAT: u32 = 1;
/// Version of the component that writes and reads.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const ENTRY: usize = 20;

/// What a segment holds. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
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
    /// [`LayerTree`](super::model::LayerTree), name `""`
    LayerTree = 6,
    /// all [`TileLayer`](super::model::TileLayer)s in order, name `""`
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
        let data = self.find(kind, name)?;
        match postcard::from_bytes(data) {
            Ok(value) => Some(value),
            Err(error) => {
                log::error!("compiled configuration: segment {kind:?} `{name}` is damaged: {error}");
                None
            }
        }
    }

    /// Whether there is such a segment; reads nothing of it.
    pub fn contains(&self, kind: Kind, name: &str) -> bool {
        self.find(kind, name).is_some()
    }

    /// Names of all segments of a kind, sorted.
    pub fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let start = self.partition(|entry| entry.0 < kind as u32);
        (start..self.entries).map_while(move |index| {
            let (found, name, _) = self.entry(index)?;
            (found == kind as u32)
                .then_some(name)
                .and_then(|name| std::str::from_utf8(name).ok())
        })
    }

    /// Files it was made from: a compiled file beside a changed YAML is refused with these.
    pub fn sources(&self) -> Vec<SourceFile> {
        self.get(Kind::Files, "").unwrap_or_default()
    }

    fn find(&self, kind: Kind, name: &str) -> Option<&[u8]> {
        let key = (kind as u32, name.as_bytes());
        let index = self.partition(|(kind, name, _)| (*kind, *name).cmp(&key) == Ordering::Less);
        let (found_kind, found_name, data) = self.entry(index)?;
        ((found_kind, found_name) == key).then_some(data)
    }

    /// First entry for which `before` is false; the table is sorted.
    fn partition(&self, before: impl Fn(&(u32, &[u8], &[u8])) -> bool) -> usize {
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

    fn entry(&self, index: usize) -> Option<(u32, &[u8], &[u8])> {
        if index >= self.entries {
            return None;
        }
        let at = self.table + index * ENTRY;
        let number = |field: usize| read_u32(&self.bytes, at + 4 * field).map(|n| n as usize);
        let slice = |offset: usize, length: usize| self.bytes.get(offset..offset.checked_add(length)?);
        let name = slice(number(1)?, number(2)?)?;
        let data = slice(number(3)?, number(4)?)?;
        Some((number(0)? as u32, name, data))
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// Collects segments and writes the container.
#[derive(Debug, Default)]
pub struct CompiledBuilder {
    segments: Vec<(u32, String, Vec<u8>)>,
}

impl CompiledBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a segment. Of two with the same kind and name the later one counts.
    pub fn add(&mut self, kind: Kind, name: &str, value: &impl Serialize) {
        let data = postcard::to_allocvec(value).expect("the types of the model have no unsized sequences");
        self.segments.push((kind as u32, name.to_owned(), data));
    }

    /// The container. Equal segments give equal bytes, whatever the order they were added in.
    pub fn finish(mut self) -> Vec<u8> {
        self.segments.reverse();
        self.segments
            .sort_by(|a, b| (a.0, a.1.as_bytes()).cmp(&(b.0, b.1.as_bytes())));
        self.segments
            .dedup_by(|later, first| later.0 == first.0 && later.1 == first.1);

        let header = MAGIC.len() + 4 + 4 + 1 + VERSION.len() + 4;
        let table = self.segments.len() * ENTRY;
        let payload: usize = self
            .segments
            .iter()
            .map(|(_, name, data)| name.len() + data.len())
            .sum();
        let length = header + table + payload;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.push(VERSION.len() as u8);
        bytes.extend_from_slice(VERSION.as_bytes());
        bytes.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        let mut offset = header + table;
        for (kind, name, data) in &self.segments {
            for number in [
                *kind,
                offset as u32,
                name.len() as u32,
                (offset + name.len()) as u32,
                data.len() as u32,
            ] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            offset += name.len() + data.len();
        }
        for (_, name, data) in &self.segments {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
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

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..200, value: u8) {
            let mut bytes = sample();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(compiled) = Compiled::open(bytes) {
                let _ = compiled.get::<String>(Kind::Layer, "osm");
                let _ = compiled.names(Kind::Layer).count();
            }
        }
    }
}
