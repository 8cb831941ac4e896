//! Writes `docs/reference/configuration.md` from the tables. `UPDATE_DOCS=1 cargo nextest run -p mapproxy-core reference`
//! writes the page anew; without it the test compares.

use std::fmt::Write as _;

use super::seed::SEED;
use super::{ROOT, Section, Type};

const HEAD: &str = "# mapproxy.yaml: all keys

<!-- Written by a test from the tables in guest/core/src/config/spec: UPDATE_DOCS=1 cargo nextest run -p mapproxy-core reference -->

Keys are those of MapProxy 7.
Paths are relative to the directory of the configuration file.
Wherever text stands, `$NAME` and `${NAME}` are replaced by environment variables; unknown ones stay, with a warning.
A key without a value counts as not there, except under `services`.
\"Not yet\" means that the key is understood and checked, but has no effect so far; what depends on it says so in its answer.
";

/// Names of kinds of values, as the table shows them.
fn kind(kind: &Type) -> String {
    match kind {
        Type::Any => "anything".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::Int => "integer".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Choice(words) | Type::Hint(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Type::Color => "colour".to_owned(),
        Type::BBox => "box".to_owned(),
        Type::Pair => "[number, number]".to_owned(),
        Type::List(of) => format!("list of {}", self::kind(of)),
        Type::Either(kinds) => kinds.iter().map(self::kind).collect::<Vec<_>>().join(", or "),
        Type::Keys(section) => link(section),
        Type::Map(of) => format!("map of names to {}", self::kind(of)),
        Type::Tagged(variants) => {
            let links: Vec<_> = variants.iter().map(|variant| link(variant.keys)).collect();
            format!("by `type`: {}", links.join(", "))
        }
        Type::Layers => format!("list of {}", link(&super::layers::LAYER)),
    }
}

fn link(section: &Section) -> String {
    let anchor: String = section
        .title
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
            _ => None,
        })
        .collect();
    format!("[{}](#{anchor})", section.title)
}

/// Sections in the order they are first mentioned.
fn collect(section: &'static Section, all: &mut Vec<&'static Section>) {
    if all.iter().any(|known| std::ptr::eq(*known, section)) {
        return;
    }
    all.push(section);
    for shared in section.with {
        collect(shared, all);
    }
    for key in section.keys {
        collect_type(key.kind, all);
    }
}

fn collect_type(kind: &'static Type, all: &mut Vec<&'static Section>) {
    match kind {
        Type::List(of) | Type::Map(of) => collect_type(of, all),
        Type::Either(kinds) => kinds.iter().for_each(|kind| collect_type(kind, all)),
        Type::Keys(section) => collect(section, all),
        Type::Tagged(variants) => variants.iter().for_each(|variant| collect(variant.keys, all)),
        Type::Layers => collect(&super::layers::LAYER, all),
        _ => {}
    }
}

/// Types of sources and caches that are not supported yet: the titles of their sections.
fn later(all: &[&'static Section]) -> Vec<&'static str> {
    fn visit(kind: &'static Type, titles: &mut Vec<&'static str>) {
        match kind {
            Type::List(of) | Type::Map(of) => visit(of, titles),
            Type::Tagged(variants) => titles.extend(
                variants
                    .iter()
                    .filter(|variant| !variant.supported)
                    .map(|variant| variant.keys.title),
            ),
            _ => {}
        }
    }
    let mut titles = Vec::new();
    for key in all.iter().flat_map(|section| section.keys) {
        visit(key.kind, &mut titles);
    }
    titles
}

fn page() -> String {
    let mut all = Vec::new();
    collect(&ROOT, &mut all);
    collect(&SEED, &mut all);
    let later = later(&all);
    let mut page = HEAD.to_owned();
    for section in &all {
        let _ = write!(page, "\n## {}\n\n{}\n", section.title, section.doc);
        if later.contains(&section.title) {
            page.push_str("Not yet: layers that need this type answer `not supported yet`.\n");
        }
        if !section.with.is_empty() {
            let shared: Vec<_> = section.with.iter().map(|shared| link(shared)).collect();
            let _ = writeln!(page, "Also the keys of {}.", shared.join(", "));
        }
        if section.others.is_some() {
            page.push_str("Other keys are allowed.\n");
        }
        if section.keys.is_empty() {
            continue;
        }
        page.push_str("\n| key | type | default | |\n|---|---|---|---|\n");
        for key in section.keys {
            let default = if key.required { "required" } else { key.default };
            let note = if key.supported { "" } else { " *Not yet.*" };
            let _ = writeln!(
                page,
                "| `{}` | {} | {default} | {}{note} |",
                key.name,
                kind(key.kind),
                key.doc
            );
        }
    }
    page
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reads and writes a page of the documentation")]
fn the_reference_page_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/reference/configuration.md is out of date: run with UPDATE_DOCS=1"
    );
}

#[test]
fn titles_are_unique_and_every_key_says_what_it_is() {
    let mut all = Vec::new();
    collect(&ROOT, &mut all);
    collect(&SEED, &mut all);
    let mut titles: Vec<_> = all.iter().map(|section| section.title).collect();
    titles.sort_unstable();
    let count = titles.len();
    titles.dedup();
    assert_eq!(titles.len(), count);
    for key in all.iter().flat_map(|section| section.keys) {
        assert!(key.doc.ends_with('.') || key.doc.ends_with('…'), "`{}`", key.name);
    }
}
