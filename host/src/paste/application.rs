//! `[app:…]`, `[composite:…]` and `[pipeline:…]`: which applications are below which paths.

use std::path::{Path, PathBuf};

use super::ini::{Entry, Ini, Section};
use super::{Application, Deployment, Mount, nearest, read};
use crate::bindings::Problem;

/// How deep applications may refer to each other; more is a circle.
const MAX_DEPTH: usize = 16;
/// Applications and problems beyond which no more are looked for.
const MAX_FOUND: usize = 1000;

const EXPECTED_USE: &str =
    "`egg:MapProxy#app`, `egg:MapProxy#multiapp`, `egg:Paste#urlmap`, `config:OTHER.ini` or the name of a section";

/// The kinds of sections that are applications, with all their spellings.
const APP: [&str; 2] = ["app", "application"];
const COMPOSITE: [&str; 2] = ["composite", "composit"];
const PIPELINE: [&str; 1] = ["pipeline"];

/// Filters that do nothing but what this server does by itself, or leaves to its log.
const IDLE_FILTERS: [&str; 5] = [
    "egg:Paste#translogger",
    "egg:Paste#gzip",
    "egg:Paste#evalerror",
    "egg:Paste#error_catcher",
    "egg:Paste#cgitb",
];

/// Adds the applications that the one called `name` consists of.
pub(super) fn mounts(ini: &Ini, name: &str, deployment: &mut Deployment) {
    let place = Asked {
        path: String::new(),
        depth: 0,
    };
    if let Err(problem) = named(ini, name, &place, None, deployment) {
        deployment.problems.push(*problem);
    }
    check_collisions(ini, deployment);
}

/// Where an application is wanted.
#[derive(Clone)]
struct Asked {
    /// The path it is mounted below.
    path: String,
    depth: usize,
}

impl Asked {
    fn deeper(&self) -> Self {
        Self {
            path: self.path.clone(),
            depth: self.depth + 1,
        }
    }
}

/// The application `name` of the file; `by` is the entry that names it.
fn named(
    ini: &Ini,
    name: &str,
    asked: &Asked,
    by: Option<&Entry>,
    deployment: &mut Deployment,
) -> Result<(), Box<Problem>> {
    let place = by.map_or_else(|| ini.top(), |entry| entry.place);
    // A composite that refers to itself in several places would be followed for ever: each step deeper multiplies.
    if deployment.mounts.len() + deployment.problems.len() > MAX_FOUND {
        return Ok(());
    }
    if asked.depth > MAX_DEPTH {
        return Err(Box::new(ini.error(place, format!("`{name}` refers to itself"), "")));
    }
    if let Some(reference) = name.strip_prefix("config:") {
        let (file, name) = reference.split_once('#').unwrap_or((reference, "main"));
        let path = ini.here().join(file);
        return match read(&path, deployment) {
            Some(other) => named(&other, name, &asked.deeper(), None, deployment),
            None => Err(Box::new(ini.error(
                place,
                format!("failed to use `{}`", path.display()),
                "",
            ))),
        };
    }
    let kinds = [
        ("app", &APP[..]),
        ("composite", &COMPOSITE[..]),
        ("pipeline", &PIPELINE[..]),
    ];
    for (kind, spellings) in kinds {
        let Some(section) = spellings.iter().find_map(|prefix| find(ini, prefix, name)) else {
            continue;
        };
        return match kind {
            "pipeline" => pipeline(ini, section, asked, deployment),
            _ => used(ini, section, asked, deployment),
        };
    }
    let known: Vec<&str> = ini
        .sections()
        .filter_map(|section| {
            let (kind, name) = section.name.split_once(':')?;
            [&APP[..], &COMPOSITE[..], &PIPELINE[..]]
                .concat()
                .contains(&kind)
                .then_some(name)
        })
        .collect();
    let mut problem = ini.error(
        place,
        format!("there is no application `{name}`"),
        format!("a section `[app:{name}]`, `[composite:{name}]` or `[pipeline:{name}]`"),
    );
    problem.suggestion = nearest(name, &known);
    Err(Box::new(problem))
}

/// The section `[PREFIX:NAME]`; the main one may be `[PREFIX]`.
pub(super) fn find<'ini>(ini: &'ini Ini, prefix: &str, name: &str) -> Option<&'ini Section> {
    ini.sections().find(|section| match section.name.split_once(':') {
        Some((kind, rest)) => kind.trim() == prefix && rest.trim() == name,
        None => section.name == prefix && name == "main",
    })
}

/// An `[app:…]` or `[composite:…]`, by what it uses.
fn used(ini: &Ini, section: &Section, asked: &Asked, deployment: &mut Deployment) -> Result<(), Box<Problem>> {
    filters_with(ini, section, deployment)?;
    let Some(entry) = section.entries.iter().find(|entry| entry.key == "use") else {
        let factory = section.entries.iter().find(|entry| entry.key.starts_with("paste."));
        return Err(Box::new(match factory {
            Some(factory) => ini.error(
                factory.key_place,
                format!("`{}` names Python code, which this server cannot run", factory.key),
                format!("`use = ` and {EXPECTED_USE}"),
            ),
            None => ini.error(
                section.place,
                format!("`[{}]` does not say what it uses", section.name),
                format!("`use = ` and {EXPECTED_USE}"),
            ),
        }));
    };
    let value = ini.value(section, entry)?;
    match value.as_str() {
        "egg:MapProxy#app" | "egg:MapProxy" | "egg:MapProxy#main" => {
            let configuration = path_value(ini, section, "mapproxy_conf")?;
            unknown_keys(
                ini,
                section,
                &["mapproxy_conf"],
                &["log_conf", "reload_files"],
                deployment,
            );
            deployment.mounts.push(Mount {
                path: asked.path.clone(),
                application: Application::Configuration(configuration),
            });
            Ok(())
        }
        "egg:MapProxy#multiapp" => {
            let directory = path_value(ini, section, "config_dir")?;
            let allow_listing = match ini.entry(section, "allow_listing") {
                Some(entry) => truth(&ini.value(section, entry)?).ok_or_else(|| {
                    ini.error(
                        entry.place,
                        "`allow_listing` is neither true nor false",
                        "`true` or `false`",
                    )
                })?,
                None => false,
            };
            unknown_keys(ini, section, &["config_dir", "allow_listing"], &[], deployment);
            deployment.mounts.push(Mount {
                path: asked.path.clone(),
                application: Application::Projects {
                    directory,
                    allow_listing,
                },
            });
            Ok(())
        }
        "egg:Paste#urlmap" | "egg:Paste" => url_map(ini, section, asked, deployment),
        other if other.starts_with("egg:") || other.starts_with("call:") => {
            let known = ["egg:MapProxy#app", "egg:MapProxy#multiapp", "egg:Paste#urlmap"];
            let mut problem = ini.error(entry.place, format!("unknown `use`: `{other}`"), EXPECTED_USE);
            problem.suggestion = nearest(other, &known);
            Err(Box::new(problem))
        }
        // Settings of this section go over those of the other; the only ones that could matter are these.
        other => {
            let before = deployment.mounts.len();
            unknown_keys(
                ini,
                section,
                &["mapproxy_conf", "config_dir", "allow_listing"],
                &[],
                deployment,
            );
            named(ini, other, &asked.deeper(), Some(entry), deployment)?;
            let overridden = ["mapproxy_conf", "config_dir", "allow_listing"]
                .iter()
                .any(|key| section.entries.iter().any(|entry| entry.key == *key));
            if overridden {
                for mount in deployment.mounts.iter_mut().skip(before) {
                    override_with(ini, section, mount)?;
                }
            }
            Ok(())
        }
    }
}

fn override_with(ini: &Ini, section: &Section, mount: &mut Mount) -> Result<(), Box<Problem>> {
    let own = |key: &str| section.entries.iter().any(|entry| entry.key == key);
    match &mut mount.application {
        Application::Configuration(path) if own("mapproxy_conf") => {
            *path = path_value(ini, section, "mapproxy_conf")?;
        }
        Application::Projects {
            directory,
            allow_listing,
        } => {
            if own("config_dir") {
                *directory = path_value(ini, section, "config_dir")?;
            }
            if let Some(entry) = ini.entry(section, "allow_listing") {
                *allow_listing = truth(&ini.value(section, entry)?).unwrap_or(*allow_listing);
            }
        }
        Application::Configuration(_) => {}
    }
    Ok(())
}

/// `egg:Paste#urlmap`: a path and an application in each line.
fn url_map(ini: &Ini, section: &Section, asked: &Asked, deployment: &mut Deployment) -> Result<(), Box<Problem>> {
    let mut found = false;
    for entry in &section.entries {
        let key = entry.key.as_str();
        let path = match key {
            "use" => continue,
            "not_found_app" => "/",
            _ if key.starts_with('/') => key,
            _ if key.starts_with("domain ") || key == "http" || key == "https" => {
                return Err(Box::new(ini.error(
                    entry.key_place,
                    "applications cannot be told apart by host name",
                    "a path; for several hosts, several servers behind a web server",
                )));
            }
            _ if is_setting(key) => continue,
            _ => {
                return Err(Box::new(ini.error(
                    entry.key_place,
                    format!("`{key}` is not a path"),
                    "`/path = application`",
                )));
            }
        };
        let plain = path
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=@".contains(character));
        if !plain || path.split('/').any(|segment| segment == ".." || segment == ".") {
            return Err(Box::new(ini.error(
                entry.key_place,
                format!("`{path}` is not a plain path"),
                "letters, digits, `-`, `.`, `_`, and `/` between them",
            )));
        }
        let name = ini.value(section, entry)?;
        let inner = Asked {
            path: format!("{}{}", asked.path, path.trim_end_matches('/')),
            depth: asked.depth + 1,
        };
        // One application that is wrong hides nothing of the others.
        if let Err(problem) = named(ini, &name, &inner, Some(entry), deployment) {
            deployment.problems.push(*problem);
        }
        found = true;
    }
    if found {
        Ok(())
    } else {
        Err(Box::new(ini.error(
            section.place,
            format!("`[{}]` maps no path to an application", section.name),
            "`/path = application`",
        )))
    }
}

/// `pipeline = filter filter application`.
fn pipeline(ini: &Ini, section: &Section, asked: &Asked, deployment: &mut Deployment) -> Result<(), Box<Problem>> {
    let Some(entry) = section.entries.iter().find(|entry| entry.key == "pipeline") else {
        return Err(Box::new(ini.error(
            section.place,
            format!("`[{}]` has no pipeline", section.name),
            "`pipeline = filter application`",
        )));
    };
    let value = ini.value(section, entry)?;
    let mut names: Vec<&str> = value.split_whitespace().collect();
    let Some(application) = names.pop() else {
        return Err(Box::new(ini.error(
            entry.place,
            "the pipeline is empty",
            "`pipeline = filter application`",
        )));
    };
    for name in names {
        filter(ini, name, entry, deployment)?;
    }
    named(ini, application, &asked.deeper(), Some(entry), deployment)
}

fn filters_with(ini: &Ini, section: &Section, deployment: &mut Deployment) -> Result<(), Box<Problem>> {
    match section.entries.iter().find(|entry| entry.key == "filter-with") {
        Some(entry) => {
            let name = ini.value(section, entry)?;
            filter(ini, &name, entry, deployment)
        }
        None => Ok(()),
    }
}

/// A filter is Python code in the way of each request. One that only logs or compresses can be left out.
fn filter(ini: &Ini, name: &str, by: &Entry, deployment: &mut Deployment) -> Result<(), Box<Problem>> {
    let section = find(ini, "filter", name);
    let used = section.and_then(|section| {
        let entry = section.entries.iter().find(|entry| entry.key == "use")?;
        ini.value(section, entry).ok()
    });
    let used = used.as_deref().unwrap_or(name);
    if IDLE_FILTERS.contains(&used) {
        deployment.problems.push(ini.warning(
            by.place,
            format!("the filter `{used}` is left out"),
            "the access log and error pages are the server's own",
        ));
        return Ok(());
    }
    Err(Box::new(ini.error(
        by.place,
        format!("the filter `{used}` cannot be run"),
        "a pipeline without it; behind a web server, `X-Script-Name` and `X-Forwarded-*` do what `prefix` does",
    )))
}

/// A path of a section, made absolute. Relative ones are below the current directory, as for Paste.
fn path_value(ini: &Ini, section: &Section, key: &str) -> Result<PathBuf, Box<Problem>> {
    let Some(entry) = ini.entry(section, key) else {
        return Err(Box::new(ini.error(
            section.place,
            format!("`[{}]` has no `{key}`", section.name),
            format!("`{key} = %(here)s/…`"),
        )));
    };
    let value = ini.value(section, entry)?;
    let path = Path::new(&value);
    let path = std::path::absolute(path).map_err(|_empty| {
        ini.error(
            entry.place,
            format!("`{key}` is empty"),
            format!("`{key} = %(here)s/…`"),
        )
    })?;
    let wanted = if key == "config_dir" {
        path.is_dir()
    } else {
        path.is_file()
    };
    if wanted {
        Ok(path)
    } else {
        let kind = if key == "config_dir" { "directory" } else { "file" };
        Err(Box::new(ini.error(
            entry.place,
            format!("there is no {kind} `{}`", path.display()),
            format!("a {kind}; relative paths begin in the current directory, `%(here)s` is the one of this file"),
        )))
    }
}

/// Warns of settings that mean nothing: those in `idle` did once.
fn unknown_keys(ini: &Ini, section: &Section, known: &[&str], idle: &[&str], deployment: &mut Deployment) {
    for entry in &section.entries {
        let key = entry.key.as_str();
        if known.contains(&key) || key == "use" || key == "filter-with" || is_setting(key) || ini.refers_to(key) {
            continue;
        }
        let mut problem = if idle.contains(&key) {
            ini.warning(entry.key_place, format!("`{key}` means nothing here"), idle_hint(key))
        } else {
            ini.warning(entry.key_place, format!("unknown option `{key}`"), "")
        };
        problem.suggestion = nearest(key, known);
        deployment.problems.push(problem);
    }
}

fn idle_hint(key: &str) -> &'static str {
    match key {
        "log_conf" => "levels in `[logger_…]` sections of this file, or `--log`",
        "reload_files" => "nothing: with `--reload` every file a configuration was made from is watched",
        _ => "",
    }
}

/// `set NAME = value` and `get NAME = value` only move variables of Python applications about.
fn is_setting(key: &str) -> bool {
    key.starts_with("set ") || key.starts_with("get ")
}

/// Python's idea of truth in a configuration file.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// Two applications at one path: one of them would never be asked.
fn check_collisions(ini: &Ini, deployment: &mut Deployment) {
    let mut paths: Vec<&str> = deployment.mounts.iter().map(|mount| mount.path.as_str()).collect();
    paths.sort_unstable();
    let twice = paths.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(format!("{a}/")),
        _ => None,
    });
    if let Some(path) = twice {
        let problem = ini.error(
            ini.top(),
            format!("two applications are mounted at `{path}`"),
            "one for each path",
        );
        deployment.problems.push(problem);
    }
}
