//! A directory of configurations, each under its own path: `DIR/roads.yaml` answers below `/roads/` (MapProxy's
//! `MultiMapProxy`). Loaded at the first request, loaded again when a file changes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::app::{App, Loader, ReloadPolicy, Slot};

/// The applications of a server.
pub(crate) enum Apps {
    /// One application answers every path.
    Single(Slot),
    Projects(Projects),
}

/// Where a request goes.
pub(crate) enum Route {
    App {
        app: Arc<App>,
        /// Leading bytes of the path that are the application's mount point: `/roads`, or nothing.
        prefix_len: usize,
    },
    /// The page that lists the projects.
    Index,
    NotFound,
    /// The configuration cannot be used; the log tells why.
    Broken,
}

pub(crate) struct Projects {
    directory: PathBuf,
    allow_listing: bool,
    slots: RwLock<HashMap<String, Arc<Slot>>>,
}

impl Apps {
    pub(crate) async fn route(&self, path: &str, loader: &Loader) -> Route {
        match self {
            Self::Single(slot) => match slot.app(loader).await {
                Some(app) => Route::App { app, prefix_len: 0 },
                None => Route::Broken,
            },
            Self::Projects(projects) => projects.route(path, loader).await,
        }
    }
}

impl Projects {
    pub(crate) fn new(directory: PathBuf, allow_listing: bool) -> Self {
        Self {
            directory,
            allow_listing,
            slots: RwLock::default(),
        }
    }

    async fn route(&self, path: &str, loader: &Loader) -> Route {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let segment = rest.split('/').next().unwrap_or_default();
        if segment.is_empty() {
            return if self.allow_listing && rest.is_empty() {
                Route::Index
            } else {
                Route::NotFound
            };
        }
        let Some(name) = project_name(segment) else {
            return Route::NotFound;
        };
        let main = self.directory.join(format!("{name}.yaml"));
        if !main.is_file() {
            self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
            return Route::NotFound;
        }
        match self.slot(name, main).app(loader).await {
            Some(app) => Route::App {
                app,
                prefix_len: segment.len() + 1,
            },
            None => Route::Broken,
        }
    }

    fn slot(&self, name: String, main: PathBuf) -> Arc<Slot> {
        if let Some(slot) = self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Arc::clone(slot);
        }
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            slots
                .entry(name)
                .or_insert_with(|| Arc::new(Slot::new(main, ReloadPolicy::Strict))),
        )
    }

    /// The list of projects as a page. `base` is the path under which the server itself is mounted.
    pub(crate) fn index(&self, base: &str) -> String {
        let mut items = String::new();
        for name in names(&self.directory) {
            let href = format!("{}/{}/", base.trim_end_matches('/'), percent_encode(&name));
            // Writing to a String does not fail, here and below.
            let _ = writeln!(items, "<li><a href=\"{}\">{}</a></li>", escape(&href), escape(&name));
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Projects</title></head>\n\
             <body>\n<h1>Projects</h1>\n<ul>\n{items}</ul>\n</body>\n</html>\n"
        )
    }
}

/// The project a path segment names. Nothing that could lead out of the directory is a name.
fn project_name(segment: &str) -> Option<String> {
    let name = percent_decode(segment)?;
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    plain.then_some(name)
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
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
    fn the_index_escapes_names() {
        let directory = std::env::temp_dir().join(format!("mapproxy-projects-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("a<b.yaml"), "").unwrap();
        std::fs::write(directory.join("notes.txt"), "").unwrap();
        let page = Projects::new(directory.clone(), true).index("/maps");
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(page.contains("<li><a href=\"/maps/a%3Cb/\">a&lt;b</a></li>"), "{page}");
        assert!(!page.contains("notes"), "{page}");
    }
}
