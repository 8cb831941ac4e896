//! A directory of configurations, each under its own path: `DIR/roads.yaml` answers below `/roads/` (MapProxy's
//! `MultiMapProxy`). Loaded at the first request, loaded again when a file changes, dropped from memory when others need
//! it or its open files. Starting reads none of them: thousands cost nothing until they are asked for.

mod loaded;
pub(crate) mod page;
mod slot;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use self::loaded::{Holdings, Loaded};
use self::slot::Found;
use crate::app::Loader;
use crate::apps::Route;

/// Half of what the process may open, for the directories of loaded projects; the rest is for connections and tiles.
fn max_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX))
}

/// A directory of configurations.
pub(crate) struct Projects {
    directory: PathBuf,
    allow_listing: bool,
    loaded: Loaded,
}

impl Projects {
    /// Those of `directory`; the ones that are loaded use at most `max_memory` bytes, nearly.
    pub(crate) fn new(directory: PathBuf, allow_listing: bool, max_memory: usize) -> Self {
        Self {
            directory,
            allow_listing,
            loaded: Loaded::new(Holdings {
                memory: max_memory,
                files: max_open_files(),
            }),
        }
    }

    /// Whether it is made from these.
    pub(crate) fn is(&self, directory: &Path, allow_listing: bool) -> bool {
        self.directory == directory && self.allow_listing == allow_listing
    }

    /// Where `path` leads; `base` is the path under which the projects are mounted.
    pub(crate) async fn route(&self, path: &str, base: &str, loader: &Loader) -> Route {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let segment = rest.split('/').next().unwrap_or_default();
        if segment.is_empty() {
            return if rest.is_empty() {
                Route::Index(self.index(base))
            } else {
                Route::NotFound
            };
        }
        let Some(name) = project_name(segment) else {
            return Route::NotFound;
        };
        let main = self.directory.join(format!("{name}.yaml"));
        if !main.is_file() {
            self.loaded.remove(&name);
            return Route::NotFound;
        }
        let slot = self.loaded.slot(&name, || main);
        let Found { app, fresh } = slot.app(loader).await;
        if fresh {
            self.loaded.trim();
        }
        match app {
            Some(app) => Route::App {
                app,
                prefix_len: segment.len() + 1,
            },
            None => Route::Broken(page::broken(&name)),
        }
    }

    fn index(&self, base: &str) -> String {
        let projects: Option<Vec<_>> = self.allow_listing.then(|| {
            let named = names(&self.directory).into_iter();
            named
                .map(|name| {
                    let segment = percent_encode(&name);
                    (name, segment)
                })
                .collect()
        });
        page::index(base, projects.as_deref())
    }
}

/// The project a path segment names. Nothing that could lead out of the directory is a name.
fn project_name(segment: &str) -> Option<String> {
    let name = percent_decode(segment)?;
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    plain.then_some(name)
}

/// The configurations of a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let file = |name: String| directory.join(format!("{name}.yaml"));
    names(directory).into_iter().map(file).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            project_name(&percent_encode(name.strip_suffix(".yaml")?))
        })
        .collect();
    names.sort();
    names
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_directory() {
        let check =
            |segment: &str, expect: Option<&str>| assert_eq!(project_name(segment).as_deref(), expect, "{segment}");
        check("roads", Some("roads"));
        check("old%20roads", Some("old roads"));
        check("stra%C3%9Fen", Some("straßen"));
        check("..", None);
        check("%2e%2e", None);
        check("..%2fetc", None);
        check("a%2fb", None);
        check("a%5Cb", None);
        check(".hidden", None);
        check("a%00", None);
        check("%", None);
        check("%zz", None);
        check("%ff", None);
        check("", None);
    }

    #[test]
    fn the_index_lists_configurations_alone() {
        let directory = std::env::temp_dir().join(format!("mapproxy-projects-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("a<b.yaml"), "").unwrap();
        std::fs::write(directory.join("notes.txt"), "").unwrap();
        let page = Projects::new(directory.clone(), true, 0).index("/maps");
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(page.contains("href=\"/maps/a%3Cb/\""), "{page}");
        assert!(!page.contains("notes"), "{page}");
    }
}
