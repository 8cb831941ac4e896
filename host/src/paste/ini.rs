//! The text of an ini file, with the place of everything in it: Python's `configparser` as Paste Deploy uses it.
//!
//! Sections, `key = value` or `key: value`, comments in lines of their own (`#`, `;`), values that go on in indented
//! lines, `[DEFAULT]` behind every section, `%(name)s` replaced when a value is asked for. Keys are case-sensitive.

use std::path::{Path, PathBuf};

use crate::bindings::{Problem, Severity};

const DEFAULT: &str = "DEFAULT";

/// How deep values may refer to each other, as in Python.
const MAX_DEPTH: usize = 10;

/// Largest value with everything replaced, in bytes: references to references multiply.
const MAX_VALUE: usize = 64 << 10;

/// A parsed file.
#[derive(Debug, Clone)]
pub(super) struct Ini {
    pub(super) path: PathBuf,
    lines: Vec<String>,
    sections: Vec<Section>,
}

/// A section, in the order of the file.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) entries: Vec<Entry>,
}

/// A key and its value, not interpolated.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    /// As it is written.
    pub(super) raw: String,
    pub(super) place: Place,
}

/// Where something stands. All counted from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
    length: usize,
}

impl Ini {
    /// Reads a whole file; everything that is wrong with its form.
    pub(super) fn parse(path: &Path, text: &str) -> (Self, Vec<Problem>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut ini = Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            sections: Vec::new(),
        };
        let mut problems = Vec::new();
        let mut reader = Reader::default();
        for index in 0..ini.lines.len() {
            let line = ini.lines.get(index).cloned().unwrap_or_default();
            if let Err((place, message, expected)) = reader.line(index + 1, &line) {
                problems.push(ini.problem(Severity::Error, place, message, expected));
            }
        }
        ini.sections = reader.sections;
        (ini, problems)
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| section.name != DEFAULT)
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections().find(|section| section.name == name)
    }

    /// The directory of the file, `%(here)s`.
    pub(super) fn here(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The value of `key` as it applies to `section`: its own, or the default.
    pub(super) fn entry<'ini>(&'ini self, section: &'ini Section, key: &str) -> Option<&'ini Entry> {
        let default = self.sections.iter().find(|section| section.name == DEFAULT);
        section
            .entries
            .iter()
            .chain(default.into_iter().flat_map(|default| &default.entries))
            .find(|entry| entry.key == key)
    }

    /// The value of an entry of `section` with all references replaced.
    pub(super) fn value(&self, section: &Section, entry: &Entry) -> Result<String, Box<Problem>> {
        self.interpolate(section, &entry.raw, 0).map_err(|message| {
            Box::new(self.error(
                entry.place,
                message,
                "`%(name)s` with a key of the section or of `[DEFAULT]`; `%%` for a percent sign",
            ))
        })
    }

    /// Whether a value of the file refers to `key`.
    pub(super) fn refers_to(&self, key: &str) -> bool {
        let reference = format!("%({key})s");
        let mut entries = self.sections.iter().flat_map(|section| &section.entries);
        entries.any(|entry| entry.raw.contains(&reference))
    }

    fn interpolate(&self, section: &Section, raw: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("the value refers to itself".to_owned());
        }
        let mut out = String::new();
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let reference = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(")s"))
                .filter(|(name, _)| !name.contains(['(', ')', '\n']));
            let Some((name, after)) = reference else {
                return Err("`%` begins nothing that can be replaced".to_owned());
            };
            match (self.entry(section, name), name) {
                (Some(entry), _) => out.push_str(&self.interpolate(section, &entry.raw, depth + 1)?),
                (None, "here") => out.push_str(&self.here().to_string_lossy()),
                (None, "__file__") => out.push_str(&self.path.to_string_lossy()),
                (None, _) => return Err(format!("there is no value for `%({name})s`")),
            }
            if out.len() > MAX_VALUE {
                return Err("the value is too long".to_owned());
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    pub(super) fn error(&self, place: Place, message: impl Into<String>, expected: impl Into<String>) -> Problem {
        self.problem(Severity::Error, place, message.into(), expected.into())
    }

    pub(super) fn warning(&self, place: Place, message: impl Into<String>, expected: impl Into<String>) -> Problem {
        self.problem(Severity::Warning, place, message.into(), expected.into())
    }

    fn problem(&self, severity: Severity, place: Place, message: String, expected: String) -> Problem {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let source_line = place.line.checked_sub(1).and_then(|index| self.lines.get(index));
        Problem {
            severity,
            file: self.path.display().to_string(),
            line: number(place.line),
            column: number(place.column),
            length: number(place.length.max(1)),
            source_line: source_line.cloned().unwrap_or_default(),
            yaml_path: String::new(),
            message,
            expected,
            suggestion: None,
        }
    }

    /// The end of the file, for what is missing in it.
    pub(super) fn top(&self) -> Place {
        Place {
            line: usize::from(!self.lines.is_empty()),
            column: 1,
            length: 1,
        }
    }
}

type Wrong = (Place, String, String);

#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    /// How far the key is indented whose value may go on; `None` outside of values.
    indent: Option<usize>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), Wrong> {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        let indent = line.chars().take_while(|character| character.is_whitespace()).count();
        let place = Place {
            line: number,
            column: indent + 1,
            length: text.chars().count(),
        };
        if let Some(of_key) = self.indent
            && indent > of_key
            && let Some(entry) = self.sections.last_mut().and_then(|section| section.entries.last_mut())
        {
            if entry.raw.is_empty() {
                entry.place = place;
            } else {
                entry.raw.push('\n');
            }
            entry.raw.push_str(text);
            return Ok(());
        }
        self.indent = None;
        match text.strip_prefix('[') {
            Some(rest) => self.header(place, rest),
            None => self.entry(place, text, indent),
        }
    }

    fn header(&mut self, place: Place, rest: &str) -> Result<(), Wrong> {
        let Some((name, _ignored)) = rest.rsplit_once(']') else {
            return Err((
                place,
                "the section's name does not end".to_owned(),
                "`[name]`".to_owned(),
            ));
        };
        let name = name.trim();
        if let Some(first) = self.sections.iter().find(|section| section.name == name) {
            return Err((
                place,
                format!("the section `[{name}]` exists already, in line {}", first.place.line),
                "each section once".to_owned(),
            ));
        }
        self.sections.push(Section {
            name: name.to_owned(),
            place,
            entries: Vec::new(),
        });
        Ok(())
    }

    fn entry(&mut self, place: Place, text: &str, indent: usize) -> Result<(), Wrong> {
        let Some((key, value)) = text.split_once(['=', ':']) else {
            return Err((place, format!("`{text}` has no value"), "`key = value`".to_owned()));
        };
        let (key, value) = (key.trim_end(), value.trim());
        let Some(section) = self.sections.last_mut() else {
            return Err((
                place,
                format!("`{key}` stands before the first section"),
                "a line `[section]` above it".to_owned(),
            ));
        };
        if key.is_empty() {
            return Err((place, "there is no key".to_owned(), "`key = value`".to_owned()));
        }
        self.indent = Some(indent);
        let key_place = Place {
            length: key.chars().count(),
            ..place
        };
        if let Some(first) = section.entries.iter().find(|entry| entry.key == key) {
            return Err((
                key_place,
                format!("`{key}` is set already, in line {}", first.key_place.line),
                "each key once in a section".to_owned(),
            ));
        }
        let value_length = value.chars().count();
        section.entries.push(Entry {
            key: key.to_owned(),
            key_place,
            raw: value.to_owned(),
            place: if value.is_empty() {
                key_place
            } else {
                Place {
                    line: place.line,
                    column: place.column + place.length - value_length,
                    length: value_length,
                }
            },
        });
        Ok(())
    }
}
