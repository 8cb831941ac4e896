//! The floors of ARCHITECTURE.md: a module of the core imports only from lower floors (and from itself).
//! Also: every source file says in its header what it is, and nothing here mentions WASI.
#![expect(
    clippy::disallowed_methods,
    reason = "reads the sources of this crate, not data of the proxy"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of each floor, lowest first. Modules of one floor do not import each other.
const FLOORS: &[&[&str]] = &[
    &["http", "srs"],
    &["platform"],
    &["image", "grid", "coverage", "lock", "xslt"],
    &["query", "config"],
    &["request"],
    &["layer"],
    &["client"],
    &["source", "cache"],
    &["assemble"],
    &["service", "seed", "tools"],
    &["app"],
];

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Top-level modules that this text names as `crate::module`.
fn imports(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (position, name) in text.match_indices("crate::") {
        let (before, rest) = text.split_at(position);
        let (before, rest) = (before.chars().next_back(), rest.trim_start_matches(name));
        if before.is_some_and(|c| c == '$' || c.is_alphanumeric() || c == '_') {
            continue;
        }
        let names = rest.strip_prefix('{').map_or_else(
            || vec![rest],
            |list| {
                list.split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(str::trim)
                    .collect()
            },
        );
        for name in names {
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            modules.push(name);
        }
    }
    modules
}

/// The part of a file that is not its tests: tests may use any floor (a fake platform, say).
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name == "tests.rs" || name == "tests" || name.ends_with("_tests.rs")
    })
}

fn all_sources() -> (PathBuf, Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.sort();
    assert!(files.len() > 10, "found {} files under {}", files.len(), root.display());
    (root, files)
}

#[test]
fn modules_import_only_from_lower_floors() {
    let (root, files) = all_sources();
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !is_test_file(path)) {
        let inside = path.strip_prefix(&root).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .replace(".rs", "");
        if module == "lib" {
            continue;
        }
        let Some(floor) = floor_of(&module) else {
            wrong.push(format!("{}: module `{module}` has no floor", inside.display()));
            continue;
        };
        for import in imports(without_tests(&fs::read_to_string(path).unwrap())) {
            if import == module {
                continue;
            }
            match floor_of(&import) {
                Some(other) if other < floor => {}
                Some(_) => wrong.push(format!("{}: `{module}` imports `{import}`", inside.display())),
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let (_, files) = all_sources();
    let silent: Vec<_> = files
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "without a `//!` header: {silent:?}");
}

#[test]
fn wasi_is_named_in_the_shell_alone() {
    let (_, files) = all_sources();
    let wrong: Vec<_> = files
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            ["wasip2::", "wasi::", "wstd::"].iter().any(|word| text.contains(word))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
