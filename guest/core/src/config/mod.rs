//! The configuration: what the YAML says, checked and compiled.
//!
//! ```text
//! files -> load (yaml, base files, environment) -> spec (types, keys) -> resolve (names, defaults) -> compiled
//! ```
//! Everything before `compiled` runs once, when a configuration is checked or compiled; requests read [`Compiled`].

pub mod compiled;
mod findings;
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
pub fn compile(
    main: &str,
    files: &BTreeMap<String, Result<Vec<u8>, String>>,
    environment: &BTreeMap<String, String>,
) -> Outcome {
    let mut inputs = Inputs::new(files);
    let mut findings = Findings::default();
    let mut loader = Loader::default();
    let root = loader.load(main, None, &mut inputs, environment, &mut findings);
    if !loader.fatal.is_empty() {
        return Outcome::Problems(loader.fatal);
    }
    let resolved = match &root {
        Some(root) => {
            spec::check(root, &mut findings);
            resolve::resolve(root, load::directory_of(main), &mut inputs, &mut findings)
        }
        None => None,
    };
    if !inputs.missing.is_empty() {
        return Outcome::Need(inputs.missing.into_iter().collect());
    }
    let failed = findings.has_errors();
    let views: Vec<_> = loader.files.iter().map(load::Loaded::as_file).collect();
    let problems = findings.into_problems(&views);
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
