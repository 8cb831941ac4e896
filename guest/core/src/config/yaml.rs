//! YAML text to a tree of [`Node`]s: the one module that knows the YAML library.
//!
//! `serde_yaml` stands on a port of libyaml, whose grammar is `PyYAML`'s (tabs, byte order mark, comments and all), so
//! what MapProxy reads is read here. Its own `Value` would refuse duplicate keys and knows no merge keys, and it keeps
//! no positions. Hence a visitor of ours:
//! - every node gets a number in visiting order. To find a position, the text is parsed again and the visitor fails at
//!   the node with that number: the library puts line and column into that error. This costs a parse for each position,
//!   but only where there is something to report, and cannot disagree with the first parse as a second parser could;
//! - of duplicate keys the last one counts, and they are noted;
//! - merge keys (`<<`) are applied as YAML 1.1 has them.
//!
//! Scalars of YAML 1.1 that 1.2 takes for text (`yes`, `on`, `0755`, `1_000`) stay text here; what expects a boolean or
//! number reads them (see [`Node::as_bool`], [`Node::as_f64`]).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

/// A node of the document with where it came from.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: At,
}

/// Which file, and which node of it in visiting order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At {
    pub(super) file: u32,
    pub(super) node: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value. Keys that are numbers are kept as their text.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: At,
    pub(super) value: Node,
}

impl Node {
    /// The value of a key; `None` if this is no map, has no such key, or the value is null.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Entries of a map; empty for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Items of a list; empty for anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Items of a list, or the node itself where one stands for a list of one.
    pub(super) fn one_or_more(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// Booleans, with those of YAML 1.1.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) => match text.as_str() {
                "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
                "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Numbers, also those that only YAML 1.1 takes for numbers, and those an environment variable gave.
    pub(super) fn as_f64(&self) -> Option<f64> {
        match &self.value {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Text(text) => match octal(text) {
                Some(value) => Some(value as f64),
                None => text
                    .replace('_', "")
                    .trim()
                    .parse()
                    .ok()
                    .filter(|value: &f64| value.is_finite()),
            },
            _ => None,
        }
    }

    /// Whole numbers; `2.0` is one.
    pub(super) fn as_i64(&self) -> Option<i64> {
        match &self.value {
            Value::Int(value) => Some(*value),
            _ => self
                .as_f64()
                .filter(|value| value.fract() == 0.0 && value.abs() < 9e15)
                .map(|value| value as i64),
        }
    }

    /// Any scalar as the text Python's `str` makes of it.
    pub(super) fn as_text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(crate::srs::python_float(*value)),
            Value::Bool(value) => Some(if *value { "True" } else { "False" }.to_owned()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Text that is written as text.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// For messages: what kind of value this is.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// `0755`: an octal number in YAML 1.1, text in 1.2.
fn octal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('0').filter(|digits| !digits.is_empty())?;
    i64::from_str_radix(digits, 8).ok()
}

/// A key that stands more than once in a map: only the last counts.
#[derive(Debug, Clone)]
pub(super) struct Duplicate {
    pub(super) key: String,
    pub(super) at: At,
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Node,
    pub(super) duplicates: Vec<Duplicate>,
}

/// Why a text is no YAML; 1-based position in characters, zeros if unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// The bytes of a file as text: UTF-8 or, with a byte order mark, UTF-16.
pub(super) fn decode(bytes: &[u8]) -> Result<String, SyntaxError> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .filter_map(|pair| Some(unit(pair.try_into().ok()?)))
            .collect();
        String::from_utf16(&units).map_err(|_error| SyntaxError::new("the file is not valid UTF-16"))
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, SyntaxError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let text = String::from_utf8_lossy(good);
        let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        SyntaxError {
            message: "the file is not valid UTF-8".to_owned(),
            line: text.matches('\n').count() as u32 + 1,
            column: column as u32,
        }
    })
}

/// Parses one document.
pub(super) fn parse(text: &str, file: u32) -> Result<Document, SyntaxError> {
    let state = State {
        file,
        next: Cell::new(0),
        target: None,
        duplicates: RefCell::default(),
    };
    let root = NodeSeed(&state)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| SyntaxError::from_yaml(&error))?;
    Ok(Document {
        root,
        duplicates: state.duplicates.into_inner(),
    })
}

/// Line and column of a node, 1-based, in characters; see the head of this file.
pub(super) fn position(text: &str, at: At) -> Option<(u32, u32)> {
    let state = State {
        file: at.file,
        next: Cell::new(0),
        target: Some(at.node),
        duplicates: RefCell::default(),
    };
    let error = NodeSeed(&state)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    let location = error.location()?;
    Some((location.line() as u32, location.column() as u32))
}

/// Length in characters of the scalar that begins at a position: to its closing quote, or to what ends a plain one.
pub(super) fn token_length(line: &str, column: u32) -> u32 {
    let rest: Vec<char> = line.chars().skip(column.saturating_sub(1) as usize).collect();
    let end = match rest.first() {
        Some(quote @ ('"' | '\'')) => rest
            .iter()
            .skip(1)
            .position(|c| c == quote)
            .map_or(rest.len(), |end| end + 2),
        Some('[' | '{' | '|' | '>') | None => 1,
        Some(_) => (0..rest.len())
            .find(|&at| match rest.get(at..) {
                Some([':'] | [',' | ']' | '}', ..]) => true,
                Some([':' | ' ', next, ..]) => next.is_whitespace() || *next == '#',
                _ => false,
            })
            .unwrap_or(rest.len()),
    };
    let spaces = rest
        .get(..end)
        .unwrap_or_default()
        .iter()
        .rev()
        .take_while(|c| c.is_whitespace())
        .count();
    (end - spaces).max(1) as u32
}

impl SyntaxError {
    fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            line: 0,
            column: 0,
        }
    }

    fn from_yaml(error: &serde_yaml::Error) -> Self {
        let (line, column) = error
            .location()
            .map_or((0, 0), |at| (at.line() as u32, at.column() as u32));
        // the library puts the position into the text; the problem carries it by itself
        let message = error
            .to_string()
            .replace(&format!(" at line {line} column {column}"), "");
        Self { message, line, column }
    }
}

/// State of one pass.
struct State {
    file: u32,
    next: Cell<u32>,
    /// node at which the pass fails, to learn its position
    target: Option<u32>,
    duplicates: RefCell<Vec<Duplicate>>,
}

impl State {
    fn number<E: serde::de::Error>(&self) -> Result<At, E> {
        let node = self.next.get();
        self.next.set(node + 1);
        if self.target == Some(node) {
            return Err(E::custom("found"));
        }
        Ok(At { file: self.file, node })
    }
}

struct NodeSeed<'s>(&'s State);

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        Ok(Node {
            value: Value::Null,
            at: self.0.number()?,
        })
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node {
            value: Value::Bool(value),
            at: self.0.number()?,
        })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node {
            value: Value::Int(value),
            at: self.0.number()?,
        })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        let value = i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Int);
        Ok(Node {
            value,
            at: self.0.number()?,
        })
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.visit_string(value.to_string())
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.visit_string(value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node {
            value: Value::Float(value),
            at: self.0.number()?,
        })
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Node, E> {
        Ok(Node {
            value: Value::Text(value),
            at: self.0.number()?,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let at = self.0.number()?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(NodeSeed(self.0))? {
            items.push(item);
        }
        Ok(Node {
            value: Value::List(items),
            at,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let at = self.0.number()?;
        let mut own: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merged: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key_seed(NodeSeed(self.0))? {
            let value = map.next_value_seed(NodeSeed(self.0))?;
            let (key_at, text) = (key.at, key.as_text());
            let Some(key) = text.or_else(|| key.is_null().then(|| "null".to_owned())) else {
                return Err(serde::de::Error::custom("a key has to be text or a number"));
            };
            if key == "<<" && merge(&mut merged, &value) {
                continue;
            }
            if let Some(earlier) = seen.get(&key).and_then(|&index| own.get_mut(index)) {
                self.0.duplicates.borrow_mut().push(Duplicate { key, at: key_at });
                (earlier.key_at, earlier.value) = (key_at, value);
            } else {
                seen.insert(key.clone(), own.len());
                own.push(Entry { key, key_at, value });
            }
        }
        if merged.is_empty() {
            return Ok(Node {
                value: Value::Map(own),
                at,
            });
        }
        // merged keys come first, as in PyYAML: the order of layers depends on it
        for entry in own {
            match merged.iter_mut().find(|earlier| earlier.key == entry.key) {
                Some(earlier) => *earlier = entry,
                None => merged.push(entry),
            }
        }
        Ok(Node {
            value: Value::Map(merged),
            at,
        })
    }

    /// A tag that YAML itself does not define: `PyYAML`'s safe loader refuses it, too.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        let at = self.0.number::<A::Error>();
        let (tag, content) = data.variant::<String>()?;
        at?;
        content.newtype_variant_seed(NodeSeed(self.0))?;
        Err(serde::de::Error::custom(format_args!("unknown tag `!{tag}`")))
    }
}

/// Adds what `<<: value` brings; of several maps the earlier ones win. False if the value is nothing to merge.
fn merge(into: &mut Vec<Entry>, value: &Node) -> bool {
    let maps = value.one_or_more();
    if !maps.iter().all(Node::is_map) {
        return false;
    }
    for entry in maps.iter().flat_map(Node::entries) {
        if !into.iter().any(|earlier| earlier.key == entry.key) {
            into.push(entry.clone());
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> String {
        fn show(node: &Node) -> String {
            match &node.value {
                Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
                Value::Map(entries) => {
                    let entries: Vec<_> = entries
                        .iter()
                        .map(|e| format!("{}={}", e.key, show(&e.value)))
                        .collect();
                    format!("{{{}}}", entries.join(" "))
                }
                Value::Text(text) => format!("'{text}'"),
                Value::Null => "-".to_owned(),
                _ => node.as_text().unwrap(),
            }
        }
        match parse(&decode(text.as_bytes()).unwrap(), 0) {
            Ok(document) => show(&document.root),
            Err(error) => format!("{}:{}: {}", error.line, error.column, error.message),
        }
    }

    #[test]
    fn yaml_is_read_as_pyyaml_reads_it() {
        let check = |text: &str, expect: &str| assert_eq!(tree(text), expect, "{text}");
        check("a: 1\nb: [x, 2.5, ~, true]\n", "{a=1 b=['x' 2.5 - True]}");
        check("\u{feff}a: 1\n", "{a=1}");
        check("a: 1\nb: 2\na: 3\n", "{a=3 b=2}");
        check("x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x}\n", "{x={a=1 b=2} y={a=1 b=3}}");
        check(
            "x: &x {a: 1}\nz: &z {a: 2, c: 4}\ny:\n  <<: [*x, *z]\n",
            "{x={a=1} z={a=2 c=4} y={a=1 c=4}}",
        );
        check("a:\tb\nc: d\t# tab\n", "{a='b' c='d'}");
        check("404: x\n1.5: y\n", "{404='x' 1.5='y'}");
        check("p: 0755\nq: '755'\ny: yes\n", "{p='0755' q='755' y='yes'}");
        check(
            "a: [1\n",
            "2:1: did not find expected ',' or ']', while parsing a flow sequence at line 1 column 4",
        );
        check("a: b: c\n", "1:5: mapping values are not allowed in this context");
        check("a: !foo bar\n", "1:4: a: unknown tag `!foo`");
        check("a: !!str 12\n", "{a='12'}");
        check(
            "--- 1\n--- 2\n",
            "0:0: deserializing from YAML containing more than one document is not supported",
        );
    }

    #[test]
    fn utf_16_is_decoded() {
        let bytes: Vec<u8> = "\u{feff}a: ü".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&bytes).unwrap(), "a: ü");
        assert_eq!(
            decode(b"a: 1\nb: \xff").unwrap_err(),
            SyntaxError {
                message: "the file is not valid UTF-8".to_owned(),
                line: 2,
                column: 4
            }
        );
    }

    #[test]
    fn positions_are_found_again() {
        let text = "base: &b\n  k: [1, 'zwei']\nother:\n  <<: *b\n  ü: {q: last}\n";
        let document = parse(text, 0).unwrap();
        let base = document.root.get("base").unwrap();
        let other = document.root.entry("other").unwrap();
        let check = |at: At, expect| assert_eq!(position(text, at), Some(expect));
        check(base.get("k").unwrap().items()[1].at, (2, 10));
        check(other.key_at, (3, 1));
        check(other.value.get("ü").unwrap().get("q").unwrap().at, (5, 10));
        check(other.value.get("k").unwrap().items()[0].at, (2, 7));
    }

    #[test]
    fn the_length_of_a_token_is_seen_in_its_line() {
        let check = |line: &str, column, expect| assert_eq!(token_length(line, column), expect, "{line}");
        check("  grids: [a, b]", 3, 5);
        check("  grids: [abc, b]", 11, 3);
        check("  title: some words # comment", 10, 10);
        check("  title: 'some words' # comment", 10, 12);
        check("  url: http://x/y", 8, 10);
        check("", 1, 1);
    }

    #[test]
    fn scalars_of_yaml_1_1_are_read_where_they_are_expected() {
        let scalar = |text: &str| parse(text, 0).unwrap().root;
        assert_eq!(scalar("Yes").as_bool(), Some(true));
        assert_eq!(scalar("off").as_bool(), Some(false));
        assert_eq!(scalar("1").as_bool(), None);
        assert_eq!(scalar("0755").as_i64(), Some(0o755));
        assert_eq!(scalar("1_000").as_i64(), Some(1000));
        assert_eq!(scalar("2.0").as_i64(), Some(2));
        assert_eq!(scalar("2.5").as_i64(), None);
        assert_eq!(scalar("0.00001").as_text().unwrap(), "1e-05");
    }
}
