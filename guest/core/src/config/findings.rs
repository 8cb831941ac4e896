//! Collects what is wrong while a configuration is checked. A finding names a node; file, line, path and source line are
//! looked up once everything is known, because they cost more than the check itself.

use super::problem::{Problem, Severity, nearest};
use super::yaml::{At, Node, Value, position, token_length};

/// Positions that are looked up (each costs a pass over its file); further problems go without.
const MAX_POSITIONS: usize = 300;

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    /// Errors become warnings: for parts no layer uses, which MapProxy never builds.
    lenient: bool,
}

/// One problem and its node.
#[derive(Debug)]
pub(super) struct Finding {
    severity: Severity,
    at: At,
    message: String,
    expected: String,
    suggestion: Option<String>,
}

impl Finding {
    /// What was expected, or what to do.
    pub(super) fn expect(&mut self, expected: impl Into<String>) -> &mut Self {
        self.expected = expected.into();
        self
    }

    /// Suggests this.
    pub(super) fn suggest_exactly(&mut self, suggestion: String) -> &mut Self {
        self.suggestion = Some(suggestion);
        self
    }

    /// Suggests the candidate nearest to `name`, if one is near.
    pub(super) fn suggest<'a>(&mut self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.suggestion = nearest(name, candidates);
        self
    }
}

impl Findings {
    pub(super) fn error(&mut self, at: At, message: impl Into<String>) -> &mut Finding {
        let severity = if self.lenient {
            Severity::Warning
        } else {
            Severity::Error
        };
        self.add(severity, at, message.into())
    }

    pub(super) fn warn(&mut self, at: At, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, at, message.into())
    }

    fn add(&mut self, severity: Severity, at: At, message: String) -> &mut Finding {
        self.list.push(Finding {
            severity,
            at,
            message,
            expected: String::new(),
            suggestion: None,
        });
        self.list.last_mut().expect("one was just pushed")
    }

    pub(super) fn set_lenient(&mut self, lenient: bool) {
        self.lenient = lenient;
    }

    pub(super) fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The problems with their positions, in the order of the files and lines. `files`: path, text and tree of each.
    pub(super) fn into_problems(mut self, files: &[File<'_>]) -> Vec<Problem> {
        self.list.sort_by_key(|finding| (finding.at, finding.severity));
        self.list.dedup_by(|a, b| a.at == b.at && a.message == b.message);
        let mut known: Option<(At, Option<(u32, u32)>)> = None;
        let mut looked_up = 0;
        let mut problems = Vec::new();
        for finding in self.list {
            let Some(file) = files.get(finding.at.file as usize) else {
                continue;
            };
            let place = match known {
                Some((at, place)) if at == finding.at => place,
                _ if looked_up < MAX_POSITIONS => {
                    looked_up += 1;
                    position(file.text, finding.at)
                }
                _ => None,
            };
            known = Some((finding.at, place));
            let (line, column) = place.unwrap_or((0, 0));
            let source_line = file
                .text
                .lines()
                .nth(line.saturating_sub(1) as usize)
                .filter(|_| line > 0)
                .unwrap_or_default();
            problems.push(Problem {
                severity: finding.severity,
                file: file.path.to_owned(),
                line,
                column,
                length: token_length(source_line, column),
                source_line: source_line.to_owned(),
                yaml_path: path_to(file.root, finding.at).unwrap_or_default(),
                message: finding.message,
                expected: finding.expected,
                suggestion: finding.suggestion,
            });
        }
        problems
    }
}

/// A file as problems are looked up in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    pub(super) root: &'a Node,
}

/// Path of a node or key: `caches.osm.grids[0]`. The root has none.
fn path_to(root: &Node, at: At) -> Option<String> {
    if root.at == at {
        return Some(String::new());
    }
    match &root.value {
        Value::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(join(&format!("[{index}]"), &path_to(item, at)?))),
        Value::Map(entries) => entries.iter().find_map(|entry| {
            let rest = if entry.key_at == at {
                String::new()
            } else {
                path_to(&entry.value, at)?
            };
            let key = if entry.key.contains(['.', '[', ' ']) {
                format!("'{}'", entry.key)
            } else {
                entry.key.clone()
            };
            Some(join(&key, &rest))
        }),
        _ => None,
    }
}

fn join(first: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{first}{dot}{rest}")
}
