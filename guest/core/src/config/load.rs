//! From files to one tree: `base` files are read and merged, environment variables put in (behaviour section 22).

use std::collections::{BTreeMap, BTreeSet};

use super::findings::{File, Findings};
use super::problem::{Problem, Severity};
use super::yaml::{At, Entry, Node, SyntaxError, Value, decode, parse, token_length};

/// Content of files by absolute path, as the host gave them.
pub(super) type Files = BTreeMap<String, Result<Vec<u8>, String>>;

/// Files a compilation reads; those that are not there yet are collected.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    files: &'a Files,
    /// asked for and not given yet
    pub(super) missing: BTreeSet<String>,
    /// used, readable or not
    pub(super) used: BTreeSet<String>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Self {
            files,
            missing: BTreeSet::new(),
            used: BTreeSet::new(),
        }
    }

    /// `None`: it has to be asked for.
    pub(super) fn read(&mut self, path: &str) -> Option<&'a Result<Vec<u8>, String>> {
        let content = self.files.get(path);
        if content.is_some() {
            self.used.insert(path.to_owned());
        } else {
            self.missing.insert(path.to_owned());
        }
        content
    }
}

/// A YAML file.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) root: Node,
}

impl Loaded {
    pub(super) fn as_file(&self) -> File<'_> {
        File {
            path: &self.path,
            text: &self.text,
            root: &self.root,
        }
    }
}

/// All YAML files of a configuration.
#[derive(Debug, Default)]
pub(super) struct Loader {
    /// in the order they are numbered in [`At`]
    pub(super) files: Vec<Loaded>,
    /// a file that cannot be read or is no YAML: nothing else is reported then
    pub(super) fatal: Vec<Problem>,
    open: Vec<String>,
}

impl Loader {
    /// The tree of a file with everything it extends. `None`: see `fatal`, or a file has to be asked for.
    /// `named_at`: where `base` names it.
    pub(super) fn load(
        &mut self,
        path: &str,
        named_at: Option<At>,
        inputs: &mut Inputs<'_>,
        environment: &BTreeMap<String, String>,
        findings: &mut Findings,
    ) -> Option<Node> {
        if self.open.iter().any(|open| open == path) {
            if let Some(at) = named_at {
                findings.error(at, format!("`{path}` extends itself"));
            }
            return None;
        }
        let content = match inputs.read(path)? {
            Ok(content) => content,
            Err(reason) => {
                match named_at {
                    Some(at) => _ = findings.error(at, format!("cannot read `{path}`: {reason}")),
                    None => self.fatal.push(fatal(
                        path,
                        "",
                        &SyntaxError {
                            message: format!("cannot read the file: {reason}"),
                            line: 0,
                            column: 0,
                        },
                    )),
                }
                return None;
            }
        };
        let number = self.files.len() as u32;
        let text = match decode(content) {
            Ok(text) => text,
            Err(error) => {
                self.fatal.push(fatal(path, &String::from_utf8_lossy(content), &error));
                return None;
            }
        };
        let document = match parse(&text, number) {
            Ok(document) => document,
            Err(error) => {
                self.fatal.push(fatal(path, &text, &error));
                return None;
            }
        };
        let mut root = document.root;
        if !root.is_map() {
            let message = format!("the file holds {} where a map is needed", root.kind());
            self.fatal.push(fatal(
                path,
                &text,
                &SyntaxError {
                    message,
                    line: 1,
                    column: 1,
                },
            ));
            return None;
        }
        for duplicate in &document.duplicates {
            findings.warn(
                duplicate.at,
                format!("`{}` stands here twice: the last one counts", duplicate.key),
            );
        }
        expand(&mut root, environment, findings);
        self.files.push(Loaded {
            path: path.to_owned(),
            text,
            root: root.clone(),
        });

        let bases = root
            .get("base")
            .map(|base| base.one_or_more().to_vec())
            .unwrap_or_default();
        if let Value::Map(entries) = &mut root.value {
            entries.retain(|entry| entry.key != "base");
        }
        self.open.push(path.to_owned());
        let mut merged: Option<Node> = None;
        let mut complete = true;
        for base in &bases {
            let Some(name) = base.as_text() else { continue };
            let base_path = join_path(directory_of(path), &name);
            match self.load(&base_path, Some(base.at), inputs, environment, findings) {
                Some(tree) => {
                    merged = Some(match merged {
                        Some(under) => merge(tree, under),
                        None => tree,
                    });
                }
                None => complete = false,
            }
        }
        self.open.pop();
        if !complete && (!self.fatal.is_empty() || !inputs.missing.is_empty()) {
            return None;
        }
        Some(match merged {
            Some(under) => merge(root, under),
            None => root,
        })
    }
}

fn fatal(path: &str, text: &str, error: &SyntaxError) -> Problem {
    let source_line = text
        .lines()
        .nth(error.line.saturating_sub(1) as usize)
        .filter(|_| error.line > 0)
        .unwrap_or_default();
    Problem {
        severity: Severity::Error,
        file: path.to_owned(),
        line: error.line,
        column: error.column,
        length: token_length(source_line, error.column),
        source_line: source_line.to_owned(),
        yaml_path: String::new(),
        message: error.message.clone(),
        expected: String::new(),
        suggestion: None,
    }
}

/// Lists under these keys replace those of the base; other lists follow them.
const REPLACED: &[&str] = &["bbox", "tile_size", "max_output_pixels", "sources", "grids", "res"];

/// `over` on top of `under`: maps deep, lists one after the other (with exceptions), layers by name. An empty list
/// takes the base's away.
fn merge(over: Node, under: Node) -> Node {
    let at = over.at;
    match (over.value, under.value) {
        (Value::Map(over), Value::Map(mut under)) => {
            for entry in over {
                match under.iter_mut().find(|below| below.key == entry.key) {
                    Some(below) => {
                        let old = std::mem::replace(&mut below.value, Node { value: Value::Null, at });
                        below.value = merge_value(&entry.key, entry.value, old);
                        below.key_at = entry.key_at;
                    }
                    None => under.push(entry),
                }
            }
            Node {
                value: Value::Map(under),
                at,
            }
        }
        (value, _) => Node { value, at },
    }
}

fn merge_value(key: &str, over: Node, under: Node) -> Node {
    match (&over.value, &under.value) {
        (Value::Null, _) if !under.is_null() => under,
        (Value::List(items), Value::List(_)) if items.is_empty() => Node {
            value: Value::Null,
            at: over.at,
        },
        (Value::List(_), Value::List(_)) if key == "layers" => merge_layers(&over, &under),
        (Value::List(_), Value::List(_)) if !REPLACED.contains(&key) => {
            let at = over.at;
            let items = under.items().iter().chain(over.items()).cloned().collect();
            Node {
                value: Value::List(items),
                at,
            }
        }
        _ => merge(over, under),
    }
}

/// Layers of the same name become one, others follow.
fn merge_layers(over: &Node, under: &Node) -> Node {
    let at = over.at;
    let mut layers = under.items().to_vec();
    for layer in over.items() {
        let name = layer.get("name").and_then(Node::as_text);
        let same = layers
            .iter_mut()
            .find(|below| name.is_some() && below.get("name").and_then(Node::as_text) == name);
        match same {
            Some(below) => {
                let old = std::mem::replace(below, Node { value: Value::Null, at });
                *below = merge(layer.clone(), old);
            }
            None => layers.push(layer.clone()),
        }
    }
    Node {
        value: Value::List(layers),
        at,
    }
}

/// `$NAME` and `${NAME}` in every text; names that are not set stay, with a warning.
fn expand(node: &mut Node, environment: &BTreeMap<String, String>, findings: &mut Findings) {
    match &mut node.value {
        Value::Text(text) if text.contains('$') => {
            let (expanded, unknown) = expand_text(text, environment);
            for name in unknown {
                findings
                    .warn(node.at, format!("the environment variable `{name}` is not set"))
                    .expect("the text is kept as it is");
            }
            *text = expanded;
        }
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, environment, findings)),
        Value::Map(entries) => entries
            .iter_mut()
            .for_each(|Entry { value, .. }| expand(value, environment, findings)),
        _ => {}
    }
}

fn expand_text(text: &str, environment: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let mut expanded = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, written, tail) = if let Some((name, tail)) = braced {
            (name, format!("${{{name}}}"), tail)
        } else {
            let end = after
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            (name, format!("${name}"), tail)
        };
        if let Some(value) = environment.get(name) {
            expanded.push_str(value);
        } else {
            if !name.is_empty() {
                unknown.push(name.to_owned());
            }
            expanded.push_str(&written);
        }
        rest = tail;
    }
    expanded.push_str(rest);
    (expanded, unknown)
}

/// Directory of a file, without the slash at its end; empty for the root.
pub(super) fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A path relative to a directory as an absolute one without `.`, `..` and double slashes.
pub(super) fn join_path(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{directory}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Option<Node> {
        let files: Files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Ok(text.as_bytes().to_vec())))
            .collect();
        let environment = BTreeMap::from([("NAME".to_owned(), "value".to_owned())]);
        let (mut inputs, mut findings) = (Inputs::new(&files), Findings::default());
        Loader::default().load("/etc/m.yaml", None, &mut inputs, &environment, &mut findings)
    }

    #[test]
    fn base_files_are_merged_as_mapproxy_merges_them() {
        let root = load(&[
            ("/etc/m.yaml", "base: sub/b.yaml\ncaches: {c: {grids: [x], meta_size: [1, 1], sources: [own]}}\nlayers: [{name: a, title: new}, {name: b}]\nservices: {wms: {srs: [two]}}\n"),
            ("/etc/sub/b.yaml", "base: [../c.yaml]\ncaches: {c: {grids: [y], format: png, sources: [other]}}\nlayers: [{name: a, title: old, md: 1}]\nservices: {wms: {srs: [one]}}\n"),
            ("/etc/c.yaml", "parts: {deep: 1}\n"),
        ])
        .unwrap();
        let text = |node: Option<&Node>| {
            node.map(|node| {
                node.items()
                    .iter()
                    .filter_map(Node::as_text)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .unwrap_or_default()
        };
        let cache = root.get("caches").unwrap().get("c").unwrap();
        assert_eq!(text(cache.get("grids")), "x");
        assert_eq!(text(cache.get("sources")), "own");
        assert_eq!(cache.get("format").unwrap().as_str(), Some("png"));
        assert_eq!(
            text(root.get("services").unwrap().get("wms").unwrap().get("srs")),
            "one two"
        );
        let layers = root.get("layers").unwrap().items();
        assert_eq!(layers.len(), 2);
        assert_eq!(layers[0].get("title").unwrap().as_str(), Some("new"));
        assert!(layers[0].get("md").is_some());
        assert!(root.get("parts").unwrap().get("deep").is_some());
    }

    #[test]
    fn missing_files_are_asked_for() {
        let files: Files = BTreeMap::from([("/m.yaml".to_owned(), Ok(b"base: [a.yaml, b/c.yaml]".to_vec()))]);
        let (mut inputs, mut findings) = (Inputs::new(&files), Findings::default());
        assert!(
            Loader::default()
                .load("/m.yaml", None, &mut inputs, &BTreeMap::new(), &mut findings)
                .is_none()
        );
        assert_eq!(inputs.missing.into_iter().collect::<Vec<_>>(), ["/a.yaml", "/b/c.yaml"]);
    }

    #[test]
    fn environment_variables_are_put_into_texts() {
        let environment = BTreeMap::from([("NAME".to_owned(), "value".to_owned())]);
        let check = |text: &str, expect: &str| assert_eq!(expand_text(text, &environment).0, expect);
        check("a $NAME b ${NAME}c", "a value b valuec");
        check("$NAMEX ${OTHER} $ 5", "$NAMEX ${OTHER} $ 5");
        check("$", "$");
        check("${NAME", "${NAME");
        assert_eq!(expand_text("$A ${B}", &environment).1, ["A", "B"]);
    }

    #[test]
    fn paths_are_made_absolute() {
        let check = |path: &str, expect: &str| assert_eq!(join_path("/etc/map", path), expect);
        check("./cache_data", "/etc/map/cache_data");
        check("../x//y/", "/etc/x/y");
        check("/abs/./z", "/abs/z");
        check("../../../..", "/");
    }
}
