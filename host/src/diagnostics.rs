//! Problems of a configuration, rendered for people and for programs.
//!
//! ```text
//! error: unknown source `osm_wmss`
//!   --> mapproxy.yaml:14:16
//!    |
//! 14 |     sources: [osm_wmss]
//!    |               ^^^^^^^^ did you mean `osm_wms`?
//!    |
//!    = at: caches.osm.sources[0]
//!    = expected: the name of a source or cache
//! ```

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;

use crate::bindings::{Problem, Severity};

/// Whether to use the colours of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    Never,
    Ansi,
}

impl Colours {
    /// What a stream gets: colours on a terminal, unless `NO_COLOR` says otherwise.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Self::chosen(stream.is_terminal(), std::env::var_os("NO_COLOR").as_deref())
    }

    /// By <https://no-color.org>, which help and errors of the command line follow as well: set and not empty.
    fn chosen(terminal: bool, no_color: Option<&OsStr>) -> Self {
        if terminal && no_color.is_none_or(OsStr::is_empty) {
            Self::Ansi
        } else {
            Self::Never
        }
    }
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// All problems as text, an empty line after each. Paths below `base` are shown relative to it.
pub(crate) fn render(problems: &[Problem], base: &Path, colours: Colours) -> String {
    let mut out = String::new();
    for problem in problems {
        render_one(&mut out, problem, base, colours);
        out.push('\n');
    }
    out
}

fn render_one(out: &mut String, problem: &Problem, base: &Path, colours: Colours) {
    let paint = |colour: &'static str| if colours == Colours::Ansi { colour } else { "" };
    let (severity, colour) = match problem.severity {
        Severity::Error => ("error", paint(RED)),
        Severity::Warning => ("warning", paint(YELLOW)),
    };
    let (blue, bold, reset) = (paint(BLUE), paint(BOLD), paint(RESET));
    let line_number = if problem.line == 0 {
        String::new()
    } else {
        problem.line.to_string()
    };
    let gutter = " ".repeat(line_number.len().max(1));
    let suggestion = problem
        .suggestion
        .as_ref()
        .map(|text| format!("did you mean `{text}`?"));

    // Writing to a String does not fail, here and below.
    let _ = writeln!(out, "{colour}{severity}{reset}{bold}: {}{reset}", problem.message);
    if !problem.file.is_empty() {
        let _ = writeln!(out, "{gutter}{blue}-->{reset} {}", location(problem, base));
    }
    let has_source = problem.line > 0 && !problem.source_line.trim().is_empty();
    if has_source {
        let _ = writeln!(out, "{gutter} {blue}|{reset}");
        let _ = writeln!(out, "{blue}{line_number} |{reset} {}", problem.source_line.trim_end());
        let (indent, carets) = underline(problem);
        let label = suggestion.as_deref().map(|text| format!(" {text}")).unwrap_or_default();
        let _ = writeln!(out, "{gutter} {blue}|{reset} {indent}{colour}{carets}{label}{reset}");
    }
    let notes = [
        ("at", Some(problem.yaml_path.as_str()).filter(|text| !text.is_empty())),
        (
            "expected",
            Some(problem.expected.as_str()).filter(|text| !text.is_empty()),
        ),
        ("help", suggestion.as_deref().filter(|_| !has_source)),
    ];
    if has_source && notes.iter().any(|(_, text)| text.is_some()) {
        let _ = writeln!(out, "{gutter} {blue}|{reset}");
    }
    for (name, text) in notes {
        if let Some(text) = text {
            let _ = writeln!(out, "{gutter} {blue}={reset} {bold}{name}{reset}: {text}");
        }
    }
}

fn location(problem: &Problem, base: &Path) -> String {
    let path = Path::new(&problem.file);
    let path = path.strip_prefix(base).unwrap_or(path).display();
    match (problem.line, problem.column) {
        (0, _) => path.to_string(),
        (line, 0) => format!("{path}:{line}"),
        (line, column) => format!("{path}:{line}:{column}"),
    }
}

/// What stands before the carets (tabs stay tabs, so that they line up), and the carets, within the line.
fn underline(problem: &Problem) -> (String, String) {
    let line: Vec<char> = problem.source_line.trim_end().chars().collect();
    let start = (problem.column.max(1) as usize - 1).min(line.len());
    let indent = line
        .iter()
        .take(start)
        .map(|character| if *character == '\t' { '\t' } else { ' ' })
        .collect();
    let length = (problem.length.max(1) as usize).min(line.len().saturating_sub(start).max(1));
    (indent, "^".repeat(length))
}

/// One line for a log: message, place in the YAML, expectation, suggestion.
pub(crate) fn one_line(problem: &Problem) -> String {
    let mut out = problem.message.clone();
    if !problem.yaml_path.is_empty() {
        let _ = write!(out, " at {}", problem.yaml_path);
    }
    if !problem.expected.is_empty() {
        let _ = write!(out, "; expected: {}", problem.expected);
    }
    if let Some(suggestion) = &problem.suggestion {
        let _ = write!(out, "; did you mean `{suggestion}`?");
    }
    out
}

/// `2 errors, 1 warning`.
pub(crate) fn summary(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let errors = plural(count(Severity::Error), "error");
    let warnings = plural(count(Severity::Warning), "warning");
    format!("{errors}, {warnings}")
}

/// One problem as a JSON object; the keys are those of `wit/mapproxy.wit`, with underscores.
pub(crate) fn json(problem: &Problem) -> serde_json::Value {
    serde_json::json!({
        "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "length": problem.length,
        "source_line": problem.source_line,
        "yaml_path": problem.yaml_path,
        "message": problem.message,
        "expected": problem.expected,
        "suggestion": problem.suggestion,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let check = |terminal, no_color: Option<&str>, expect| {
            assert_eq!(
                Colours::chosen(terminal, no_color.map(OsStr::new)),
                expect,
                "{no_color:?}"
            );
        };
        check(true, None, Colours::Ansi);
        check(true, Some(""), Colours::Ansi);
        check(true, Some("1"), Colours::Never);
        check(true, Some("0"), Colours::Never);
        check(false, None, Colours::Never);
    }

    fn problem() -> Problem {
        Problem {
            severity: Severity::Error,
            file: "/etc/mapproxy/mapproxy.yaml".to_owned(),
            line: 14,
            column: 15,
            length: 8,
            source_line: "    sources: [osm_wmss]".to_owned(),
            yaml_path: "caches.osm.sources[0]".to_owned(),
            message: "unknown source `osm_wmss`".to_owned(),
            expected: "the name of a source or cache".to_owned(),
            suggestion: Some("osm_wms".to_owned()),
        }
    }

    fn check(problem: &Problem, expect: &str) {
        let text = render(
            std::slice::from_ref(problem),
            Path::new("/etc/mapproxy"),
            Colours::Never,
        );
        assert_eq!(text, expect);
    }

    #[test]
    fn a_problem_with_a_position() {
        check(
            &problem(),
            "\
error: unknown source `osm_wmss`
  --> mapproxy.yaml:14:15
   |
14 |     sources: [osm_wmss]
   |               ^^^^^^^^ did you mean `osm_wms`?
   |
   = at: caches.osm.sources[0]
   = expected: the name of a source or cache

",
        );
    }

    #[test]
    fn a_problem_without_a_position() {
        let problem = Problem {
            severity: Severity::Warning,
            line: 0,
            column: 0,
            source_line: String::new(),
            expected: String::new(),
            ..problem()
        };
        check(
            &problem,
            "\
warning: unknown source `osm_wmss`
 --> mapproxy.yaml
  = at: caches.osm.sources[0]
  = help: did you mean `osm_wms`?

",
        );
    }

    #[test]
    fn carets_stay_within_the_line() {
        let check = |column, length, line: &str, expect: (&str, &str)| {
            let problem = Problem {
                column,
                length,
                source_line: line.to_owned(),
                ..problem()
            };
            let (indent, carets) = underline(&problem);
            assert_eq!((indent.as_str(), carets.as_str()), expect, "{line}");
        };
        check(3, 100, "a: b", ("  ", "^^"));
        check(100, 5, "a: b", ("    ", "^"));
        check(0, 0, "a: b", ("", "^"));
        check(2, 1, "\tä", ("\t", "^"));
    }

    #[test]
    fn summaries() {
        let warning = Problem {
            severity: Severity::Warning,
            ..problem()
        };
        assert_eq!(summary(&[problem(), problem(), warning]), "2 errors, 1 warning");
        assert_eq!(summary(&[]), "0 errors, 0 warnings");
    }
}
