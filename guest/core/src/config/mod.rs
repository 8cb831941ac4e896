//! The configuration: what the YAML says, checked and compiled.
//!
//! ```text
//! files -> load (yaml, base files, environment) -> spec (types, keys) -> resolve (names, defaults) -> compiled
//! ```
//! Everything before `compiled` runs once, when a configuration is checked or compiled; requests read [`Compiled`].

pub mod compiled;
mod findings;
mod layers;
mod load;
pub mod model;
mod problem;
mod resolve;
mod spec;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

pub use compiled::{Compiled, CompiledBuilder, CompiledError, Kind, SourceFile};
pub use problem::{Problem, Severity};
pub use resolve::utc;

use findings::Findings;
use load::{Inputs, Loader};

/// What became of a configuration.
#[derive(Debug, Clone)]
pub enum Outcome {
    Compiled(Box<Compilation>),
    /// Compile again with these files (absolute paths) added to those given so far.
    Need(Vec<String>),
    /// Errors and warnings, in the order of the files; at least one error.
    Problems(Vec<Problem>),
}

/// A compiled configuration with what it needs from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compilation {
    /// for [`Compiled::open`]
    pub bytes: Vec<u8>,
    /// every file it was made from
    pub files: Vec<String>,
    pub directories: Vec<Directory>,
    pub origins: Vec<Origin>,
    pub warnings: Vec<Problem>,
}

/// A directory requests need, as an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Directory {
    pub path: String,
    pub writable: bool,
}

/// A server requests may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`
    pub scheme: String,
    /// lower case; IPv6 without brackets
    pub host: String,
    pub port: u16,
    /// any certificate is accepted
    pub no_cert_checks: bool,
    /// PEM file with the certificates to trust
    pub ca_certs: Option<String>,
}

/// Compiles the configuration in the file `main` (absolute path); a pure function. `files`: every file given so far by
/// absolute path, with its content or why it cannot be read. `environment` answers `$VAR`.
///
/// A seed configuration is recognised and checked together with the `mapproxy.yaml` beside it, where there is one.
pub fn compile(
    main: &str,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
) -> Outcome {
    if !files.get(main).is_some_and(|content| is_seed(content.as_deref())) {
        return compile_files(Some(main), None, files, environment);
    }
    let proxy = load::join_path(load::directory_of(main), "mapproxy.yaml");
    match files.get(&proxy) {
        None => Outcome::Need(vec![proxy]),
        Some(Ok(_)) => compile_files(Some(&proxy), Some(main), files, environment),
        Some(Err(_)) => compile_files(None, Some(main), files, environment),
    }
}

/// Compiles the configuration `main` with the tasks of the seed configuration `seed`; otherwise as [`compile`].
pub fn compile_seed(
    main: &str,
    seed: &str,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
) -> Outcome {
    compile_files(Some(main), Some(seed), files, environment)
}

/// A grid as people see it.
#[derive(Debug, Clone)]
pub struct GridInfo {
    pub name: String,
    /// by a cache
    pub used: bool,
    /// keys and values in the order of the keys; a key with `*` has its default
    pub settings: Vec<(String, String)>,
    pub grid: crate::grid::TileGrid,
}

/// What became of a look at a part of a configuration.
#[derive(Debug, Clone)]
pub enum Look<T> {
    Found(T),
    /// Call again with these files.
    Need(Vec<String>),
    /// At least one error.
    Problems(Vec<Problem>),
}

/// All grids of the configuration `main`; arguments as for [`compile`]. What is wrong elsewhere does not matter.
pub fn describe_grids(
    main: &str,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
) -> Look<Vec<GridInfo>> {
    look(main, files, environment, |root, inputs, findings| {
        Some(resolve::grid_infos(root, load::directory_of(main), inputs, findings))
    })
}

/// The coverage of this name in the seed configuration `seed`; arguments as for [`compile`].
pub fn seed_coverage(
    seed: &str,
    name: &str,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
) -> Look<crate::coverage::Coverage> {
    look(seed, files, environment, |root, inputs, findings| {
        resolve::seed_coverage(root, load::directory_of(seed), name, inputs, findings)
    })
}

fn look<T>(
    main: &str,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
    find: impl FnOnce(&yaml::Node, &mut Inputs<'_>, &mut Findings) -> Option<T>,
) -> Look<T> {
    let mut inputs = Inputs::new(files);
    let mut findings = Findings::default();
    let mut loader = Loader::default();
    let root = loader.load(main, None, &mut inputs, environment, &mut findings);
    if !loader.fatal.is_empty() {
        return Look::Problems(loader.fatal);
    }
    let found = root.and_then(|root| find(&root, &mut inputs, &mut findings));
    if !inputs.missing.is_empty() {
        return Look::Need(inputs.missing.into_iter().collect());
    }
    match found {
        Some(found) if !findings.has_errors() => Look::Found(found),
        _ => {
            let views: Vec<_> = loader.files.iter().map(load::Loaded::as_file).collect();
            Look::Problems(findings.into_problems(&views))
        }
    }
}

/// Whether a file has tasks and nothing of what a `mapproxy.yaml` has.
fn is_seed(content: Result<&[u8], &String>) -> bool {
    let Some(text) = content.ok().and_then(|content| yaml::decode(content).ok()) else {
        return false;
    };
    let Ok(document) = yaml::parse(&text, 0) else {
        return false;
    };
    let has = |key: &&str| document.root.entry(key).is_some();
    ["seeds", "cleanups"].iter().any(has) && !["services", "layers", "caches", "sources"].iter().any(has)
}

fn compile_files(
    main: Option<&str>,
    seed: Option<&str>,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
) -> Outcome {
    let mut inputs = Inputs::new(files);
    let mut findings = Findings::default();
    let mut loader = Loader::default();
    let mut load = |path: Option<&str>| loader.load(path?, None, &mut inputs, environment, &mut findings);
    let (root, seed_root) = (load(main), load(seed));
    if !loader.fatal.is_empty() {
        return Outcome::Problems(loader.fatal);
    }
    if let Some(seed_root) = &seed_root {
        spec::check_seed(seed_root, &mut findings);
    }
    let tasks = seed_root.as_ref().zip(seed.map(load::directory_of));
    let resolved = match (&root, main) {
        (Some(root), Some(main)) if seed.is_none() || tasks.is_some() => {
            spec::check(root, &mut findings);
            resolve::resolve(root, load::directory_of(main), tasks, &mut inputs, &mut findings)
        }
        _ => None,
    };
    if !inputs.missing.is_empty() {
        return Outcome::Need(inputs.missing.into_iter().collect());
    }
    let failed = findings.has_errors();
    let views: Vec<_> = loader.files.iter().map(load::Loaded::as_file).collect();
    let mut problems = findings.into_problems(&views);
    let resolved = match (resolved, main, seed) {
        // the tasks alone: nothing to run, but nothing wrong
        (None, None, Some(seed)) if !failed => {
            problems.push(Problem::without_place(
                seed,
                "names of caches and grids are not checked: there is no `mapproxy.yaml` beside this file",
            ));
            Some(resolve::Resolved::default())
        }
        (resolved, ..) => resolved,
    };
    match resolved {
        Some(resolved) if !failed => {
            let digests: Vec<SourceFile> = inputs
                .used
                .iter()
                .map(|path| {
                    let content = files.get(path).and_then(|content| content.as_ref().ok());
                    SourceFile {
                        path: path.clone(),
                        digest: content.map(|content| Sha256::digest(content).into()),
                    }
                })
                .collect();
            let mut builder = resolved.builder;
            builder.add(Kind::Files, "", &digests);
            Outcome::Compiled(Box::new(Compilation {
                bytes: builder.finish(),
                files: inputs.used.into_iter().collect(),
                directories: resolved.directories,
                origins: resolved.origins,
                warnings: problems,
            }))
        }
        _ => Outcome::Problems(problems),
    }
}
