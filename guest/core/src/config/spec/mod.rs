//! What `mapproxy.yaml` and `seed.yaml` may say, as tables: every key with its type, default and meaning.
//!
//! The check of a configuration ([`check`]), its suggestions and `docs/reference/configuration.md` come from the same
//! tables (one file for each top-level key). References between sections are the resolver's business.

mod caches;
mod check;
mod common;
#[cfg(test)]
mod document;
mod globals;
mod layers;
mod seed;
mod services;
mod sources;

pub(super) use check::color;
pub(super) use check::{check, check_seed};

/// What a value has to be.
#[derive(Debug)]
pub(super) enum Type {
    /// anything at all; nothing is checked
    Any,
    Bool,
    Int,
    Number,
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words; others are ignored with a warning, as MapProxy does.
    Hint(&'static [&'static str]),
    /// `#ff0000`, `#ff000080`, or `[255, 0, 0]`
    Color,
    /// `[minx, miny, maxx, maxy]`, or the four numbers as text with commas between
    BBox,
    /// two numbers
    Pair,
    List(&'static Self),
    /// Any of these.
    Either(&'static [Self]),
    /// A map with these keys.
    Keys(&'static Section),
    /// A map with names of the user's choice.
    Map(&'static Self),
    /// A map whose `type` says which keys it has.
    Tagged(&'static [Variant]),
    /// The layer tree: a list of layers, a map of names to layers (order kept), or a list of maps with one layer each.
    Layers,
}

/// One value of `type`, and the keys that go with it.
#[derive(Debug)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "read where the documentation is written, in a test")
)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) keys: &'static Section,
    pub(super) supported: bool,
}

/// The keys of a map.
#[derive(Debug)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "read where the documentation is written, in a test")
)]
pub(super) struct Section {
    /// heading in the documentation
    pub(super) title: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
    /// further sets of keys that are allowed here
    pub(super) with: &'static [&'static Self],
    /// type of keys that are not listed; `None`: there should be none
    pub(super) others: Option<&'static Type>,
}

/// One key.
#[derive(Debug)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "read where the documentation is written, in a test")
)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: &'static Type,
    /// as the documentation shows it; empty if there is none
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
    pub(super) required: bool,
    pub(super) supported: bool,
}

impl Section {
    /// A section with a fixed set of keys.
    const fn new(title: &'static str, doc: &'static str, keys: &'static [Key]) -> Self {
        Self {
            title,
            doc,
            keys,
            with: &[],
            others: None,
        }
    }

    /// The same with shared sets of keys.
    const fn with(self, with: &'static [&'static Self]) -> Self {
        Self { with, ..self }
    }

    /// All keys, those of shared sets included.
    pub(super) fn all_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys
            .iter()
            .chain(self.with.iter().flat_map(|section| section.keys))
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|key| key.name == name)
    }
}

impl Key {
    /// An optional key.
    const fn new(name: &'static str, kind: &'static Type, default: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            default,
            doc,
            required: false,
            supported: true,
        }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Understood and checked, without effect yet.
    const fn later(self) -> Self {
        Self {
            supported: false,
            ..self
        }
    }
}

/// The whole file.
pub(super) static ROOT: Section = Section {
    title: "mapproxy.yaml",
    doc: "Top-level keys of the configuration file.",
    keys: &[
        Key::new(
            "base",
            &Type::Either(&[Type::Text, Type::List(&Type::Text)]),
            "",
            "Files this one extends, relative to it; its own values win.",
        ),
        Key::new(
            "globals",
            &Type::Keys(&globals::GLOBALS),
            "",
            "Settings for everything.",
        ),
        Key::new(
            "services",
            &Type::Keys(&services::SERVICES),
            "",
            "What clients can ask: a service exists if its key is there, even without a value.",
        ),
        Key::new("layers", &Type::Layers, "", "The tree of layers."),
        Key::new("caches", &Type::Map(&Type::Keys(&caches::CACHE)), "", "Caches by name."),
        Key::new("sources", &Type::Map(&sources::SOURCE), "", "Sources by name."),
        Key::new(
            "grids",
            &Type::Map(&Type::Keys(&globals::GRID)),
            "",
            "Grids by name; `GLOBAL_MERCATOR`, `GLOBAL_GEODETIC` and `GLOBAL_WEBMERCATOR` exist anyway.",
        ),
        Key::new("parts", &Type::Any, "", "Not used; a place for YAML anchors."),
    ],
    with: &[],
    others: None,
};
