//! Checks a tree against the tables: types, missing keys, unknown keys.

use super::{Key, ROOT, Section, Type, Variant};
use crate::config::findings::Findings;
use crate::config::yaml::{Entry, Node};

/// Reports everything in the tree that the tables do not allow.
pub(in super::super) fn check(root: &Node, findings: &mut Findings) {
    check_keys(root, &ROOT, findings);
}

/// The same for a seed configuration.
pub(in super::super) fn check_seed(root: &Node, findings: &mut Findings) {
    check_keys(root, &super::seed::SEED, findings);
}

fn check_type(node: &Node, kind: &Type, findings: &mut Findings) {
    if node.is_null() {
        return; // as in MapProxy, a key without a value counts as not there
    }
    match kind {
        Type::Any => {}
        Type::List(of) if node.is_list() => {
            for item in node.items() {
                check_type(item, of, findings);
            }
        }
        Type::Either(kinds) => check_either(node, kinds, kind, findings),
        Type::Keys(section) if node.is_map() => check_keys(node, section, findings),
        Type::Map(of) if node.is_map() => {
            for entry in node.entries() {
                check_type(&entry.value, of, findings);
            }
        }
        Type::Tagged(variants) if node.is_map() => check_variant(node, variants, findings),
        Type::Layers => check_layers(node, findings),
        Type::Choice(words) if !fits(node, kind) => {
            let text = node.as_text();
            let problem = findings.error(
                node.at,
                match &text {
                    Some(text) => format!("unknown value `{text}`"),
                    None => format!("{} where a word is needed", node.kind()),
                },
            );
            problem.expect(expected(kind));
            if let Some(text) = text {
                problem.suggest(&text, words.iter().copied());
            }
        }
        Type::Hint(words) if !fits(node, kind) => {
            let text = node.as_text().unwrap_or_default();
            findings
                .warn(node.at, format!("unknown value `{text}` is ignored"))
                .expect(expected(kind))
                .suggest(&text, words.iter().copied());
        }
        _ if fits(node, kind) => {}
        _ => {
            findings
                .error(node.at, format!("{} where {} is needed", node.kind(), name(kind)))
                .expect(expected(kind));
        }
    }
}

/// Whether the node as such is of this type, without looking at what is in it.
fn fits(node: &Node, kind: &Type) -> bool {
    match kind {
        Type::Any => true,
        Type::Bool => node.as_bool().is_some(),
        Type::Int => node.as_i64().is_some(),
        Type::Number => node.as_f64().is_some(),
        Type::Text => node.as_text().is_some(),
        Type::Choice(words) | Type::Hint(words) => node.as_text().is_some_and(|text| words.contains(&text.as_str())),
        Type::Color => {
            node.as_str().is_some_and(|text| color(text).is_some()) || numbers(node).is_some_and(|n| n == 3 || n == 4)
        }
        Type::BBox => {
            numbers(node) == Some(4)
                || node
                    .as_str()
                    .is_some_and(|text| text.split(',').filter(|n| n.trim().parse::<f64>().is_ok()).count() == 4)
        }
        Type::Pair => numbers(node) == Some(2),
        Type::List(of) => node.is_list() && node.items().iter().all(|item| item.is_null() || fits(item, of)),
        Type::Either(kinds) => kinds.iter().any(|kind| fits(node, kind)),
        Type::Keys(_) | Type::Map(_) | Type::Tagged(_) => node.is_map(),
        Type::Layers => node.is_map() || node.is_list(),
    }
}

/// How many numbers are in a list of numbers.
fn numbers(node: &Node) -> Option<usize> {
    (node.is_list() && node.items().iter().all(|item| item.as_f64().is_some())).then(|| node.items().len())
}

/// `#rgb` to `#rrggbbaa`, the way Pillow's and MapProxy's parsers take it: 6 or 8 digits after the sign.
pub(in super::super) fn color(text: &str) -> Option<[u8; 4]> {
    let digits = text.strip_prefix('#')?;
    if !digits.is_ascii() || !(digits.len() == 6 || digits.len() == 8) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([
        byte(0)?,
        byte(2)?,
        byte(4)?,
        if digits.len() == 8 { byte(6)? } else { 255 },
    ])
}

/// The alternative of the same shape as the node is the one that is meant.
fn check_either(node: &Node, kinds: &[Type], kind: &Type, findings: &mut Findings) {
    if let Some(fitting) = kinds.iter().find(|kind| fits(node, kind)) {
        check_type(node, fitting, findings);
        return;
    }
    let same_shape = kinds.iter().find(|kind| match kind {
        Type::Keys(_) => node.is_map(),
        Type::List(_) => node.is_list(),
        Type::Choice(_) => node.as_str().is_some(),
        _ => false,
    });
    if let Some(kind @ (Type::Keys(_) | Type::List(_))) = same_shape {
        check_type(node, kind, findings);
        return;
    }
    let message = match node.as_text() {
        Some(text) => format!("`{text}` is not valid here"),
        None => format!("{} is not valid here", node.kind()),
    };
    findings.error(node.at, message).expect(expected(kind));
}

fn check_keys(node: &Node, section: &Section, findings: &mut Findings) {
    for entry in node.entries() {
        match (section.key(&entry.key), section.others) {
            (Some(key), _) => check_value(entry, key, findings),
            (None, Some(others)) => check_type(&entry.value, others, findings),
            (None, None) => {
                findings
                    .warn(entry.key_at, format!("unknown key `{}`", entry.key))
                    .suggest(&entry.key, section.all_keys().map(|key| key.name));
            }
        }
    }
    for key in section.all_keys().filter(|key| key.required) {
        if node.entry(key.name).is_none_or(|entry| {
            entry.value.is_null() && !matches!(key.kind, Type::Keys(_) | Type::List(_) | Type::Either(_))
        }) {
            findings
                .error(node.at, format!("`{}` is missing", key.name))
                .expect(key.doc.trim_end_matches('.').to_owned());
        }
    }
}

fn check_value(entry: &Entry, key: &Key, findings: &mut Findings) {
    check_type(&entry.value, key.kind, findings);
    if !key.supported && !entry.value.is_null() {
        findings.warn(entry.key_at, format!("not supported yet: `{}`", key.name));
    }
}

fn check_variant(node: &Node, variants: &[Variant], findings: &mut Findings) {
    let names = || variants.iter().map(|variant| variant.name);
    let Some(kind) = node.get("type") else {
        findings
            .error(node.at, "`type` is missing".to_owned())
            .expect(words(names()));
        return;
    };
    let text = kind.as_text().unwrap_or_default();
    let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
        findings
            .error(kind.at, format!("unknown type `{text}`"))
            .expect(words(names()))
            .suggest(&text, names());
        return;
    };
    // what is not supported is reported by the resolver, which knows what depends on it
    check_keys(node, variant.keys, findings);
}

/// The list form, or one of the older forms with maps, in which the key is the layer's name.
fn check_layers(node: &Node, findings: &mut Findings) {
    let layer = &super::layers::LAYER;
    if node.is_map() {
        for entry in node.entries() {
            check_type(&entry.value, &Type::Keys(layer), findings);
        }
    } else if node.is_list() {
        for item in node.items() {
            match item.entries() {
                // - osm: {title: ...}
                [entry] if entry.value.is_map() && layer.key(&entry.key).is_none() => {
                    check_type(&entry.value, &Type::Keys(layer), findings);
                }
                _ => check_type(item, &Type::Keys(layer), findings),
            }
        }
    } else {
        findings
            .error(node.at, format!("{} where a list of layers is needed", node.kind()))
            .expect(expected(&Type::Layers));
    }
}

/// A type in a sentence.
fn name(kind: &Type) -> &'static str {
    match kind {
        Type::Any => "a value",
        Type::Bool => "a boolean",
        Type::Int => "a whole number",
        Type::Number => "a number",
        Type::Text => "text",
        Type::Choice(_) | Type::Hint(_) => "a word",
        Type::Color => "a colour",
        Type::BBox => "a box",
        Type::Pair => "a pair of numbers",
        Type::List(_) => "a list",
        Type::Either(_) => "something else",
        Type::Keys(_) | Type::Map(_) | Type::Tagged(_) => "a map",
        Type::Layers => "a list of layers",
    }
}

/// What to write in its place.
pub(super) fn expected(kind: &Type) -> String {
    match kind {
        Type::Any => "anything".to_owned(),
        Type::Bool => "expected `true` or `false`".to_owned(),
        Type::Int => "expected a whole number".to_owned(),
        Type::Number => "expected a number".to_owned(),
        Type::Text => "expected text".to_owned(),
        Type::Choice(words_) | Type::Hint(words_) => words(words_.iter().copied()),
        Type::Color => "expected `#rrggbb`, `#rrggbbaa` or `[red, green, blue]`".to_owned(),
        Type::BBox => "expected `[minx, miny, maxx, maxy]`".to_owned(),
        Type::Pair => "expected `[columns, rows]`".to_owned(),
        Type::List(of) => format!(
            "expected a list, `[…]`: {}",
            expected(of).trim_start_matches("expected ")
        ),
        Type::Either(kinds) => {
            let all: Vec<_> = kinds
                .iter()
                .map(|kind| expected(kind).trim_start_matches("expected ").to_owned())
                .collect();
            format!("expected {}", all.join(", or "))
        }
        Type::Keys(section) => {
            let keys: Vec<_> = section
                .all_keys()
                .take(4)
                .map(|key| format!("`{}`", key.name))
                .collect();
            format!("expected a map with keys such as {}", keys.join(", "))
        }
        Type::Map(_) => "expected a map".to_owned(),
        Type::Tagged(_) => "expected a map with `type`".to_owned(),
        Type::Layers => "expected a list of layers with `name`, `title` and `sources`".to_owned(),
    }
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => format!("expected {last}"),
        Some((last, rest)) => format!("expected {} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
