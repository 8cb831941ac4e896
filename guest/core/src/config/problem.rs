//! What is wrong or doubtful about a configuration, with the place it was found.

use std::fmt;

/// Whether the configuration cannot be used, or can with doubts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem. A front end renders it with the source line and a caret; [`fmt::Display`] is the compact form
/// `mapproxy.yaml:12:5: error: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// file the problem is in
    pub file: String,
    /// 1-based; 0 where there is no position
    pub line: u32,
    /// 1-based, in characters; 0 where there is no position
    pub column: u32,
    /// length of the offending text in characters, at least 1
    pub length: u32,
    /// the source line, without its end
    pub source_line: String,
    /// where in the YAML tree: `caches.osm.grids[0]`
    pub yaml_path: String,
    /// what is wrong
    pub message: String,
    /// what was expected, or what to do; may be empty
    pub expected: String,
    /// the nearest valid spelling, where there is one
    pub suggestion: Option<String>,
}

impl Problem {
    /// A warning about a file as a whole.
    pub(super) fn without_place(file: &str, message: &str) -> Self {
        Self {
            severity: Severity::Warning,
            file: file.to_owned(),
            line: 0,
            column: 0,
            length: 1,
            source_line: String::new(),
            yaml_path: String::new(),
            message: message.to_owned(),
            expected: String::new(),
            suggestion: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(match self.severity {
            Severity::Error => ": error: ",
            Severity::Warning => ": warning: ",
        })?;
        if !self.yaml_path.is_empty() {
            write!(f, "{}: ", self.yaml_path)?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, ": did you mean `{suggestion}`?")?;
        }
        if !self.expected.is_empty() {
            write!(f, " ({})", self.expected)?;
        }
        Ok(())
    }
}

/// The candidate nearest to a misspelt name: at most a third of its letters changed, and no
/// more than three.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let length = name.chars().count();
    let limit = (length / 3).min(3);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Edit distance in which a swap of neighbours counts once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=b.len()).collect()];
    for (i, from) in a.iter().enumerate() {
        rows.rotate_left(1);
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut best = (rows[1][j] + usize::from(from != to))
                .min(rows[1][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *to && *from == b[j - 1] {
                best = best.min(rows[0][j - 1] + 1);
            }
            row.push(best);
        }
        rows[2] = row;
    }
    rows[2].last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_their_neighbour() {
        let names = ["osm_wms", "osm_cache", "meta_size", "srs"];
        let check = |name: &str, expect: Option<&str>| assert_eq!(nearest(name, names).as_deref(), expect, "{name}");
        check("osm_wmss", Some("osm_wms"));
        check("osm_wsm", Some("osm_wms"));
        check("metasize", Some("meta_size"));
        check("SRS", Some("srs"));
        check("crs", Some("srs"));
        check("x", None);
        check("something_else", None);
    }
}
