//! The applications of a server, each below its path.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::app::{App, Loader, Recipe};
use crate::projects::Projects;

/// What a server is to serve. A supervisor makes it, its workers get it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) mounts: Vec<(String, Planned)>,
}

/// An application to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Planned {
    App(Recipe),
    Projects {
        directory: PathBuf,
        allow_listing: bool,
        /// Bytes that loaded projects may use in one process.
        max_memory: usize,
    },
}

/// What is served.
#[derive(Default)]
pub(crate) struct Apps {
    /// Longer paths first.
    mounts: Vec<Mounted>,
}

struct Mounted {
    /// `/roads`, or nothing for the root.
    path: String,
    target: Target,
}

#[derive(Clone)]
enum Target {
    App(Arc<App>),
    Projects(Arc<Projects>),
}

/// Where a request goes.
pub(crate) enum Route {
    App {
        app: Arc<App>,
        /// Leading bytes of the path that are the application's mount point: `/roads`, or nothing.
        prefix_len: usize,
    },
    /// The start page of a directory of projects.
    Index(String),
    NotFound,
    /// The configuration cannot be used; the log tells why, the page that it is so.
    Broken(String),
}

impl Plan {
    /// For the way to another process: the length of what describes it, the description, the compiled configurations.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let lengths: Vec<usize> = self.recipes().map(|recipe| recipe.compiled.len()).collect();
        let head = serde_json::to_vec(&(&self.mounts, lengths))?;
        let mut bytes = u32::try_from(head.len())?.to_le_bytes().to_vec();
        bytes.extend_from_slice(&head);
        for recipe in self.recipes() {
            bytes.extend_from_slice(&recipe.compiled);
        }
        Ok(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (length, rest) = bytes.split_first_chunk().context("a plan begins with a length")?;
        let (head, mut rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .context("a plan is cut short")?;
        let (mut mounts, lengths): (Vec<(String, Planned)>, Vec<usize>) = serde_json::from_slice(head)?;
        let recipes = mounts.iter_mut().filter_map(|(_, planned)| match planned {
            Planned::App(recipe) => Some(recipe),
            Planned::Projects { .. } => None,
        });
        for (recipe, length) in recipes.zip(lengths) {
            let (compiled, more) = rest.split_at_checked(length).context("a plan is cut short")?;
            recipe.compiled = compiled.to_vec();
            rest = more;
        }
        ensure!(rest.is_empty(), "a plan has more than it says");
        Ok(Self { mounts })
    }

    fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        self.mounts.iter().filter_map(|(_, planned)| match planned {
            Planned::App(recipe) => Some(recipe),
            Planned::Projects { .. } => None,
        })
    }
}

impl Apps {
    /// Opens what `plan` says. What is as it was in `old` is taken over, with its connections and loaded projects.
    pub(crate) async fn open(plan: Plan, old: &Self, loader: &Loader) -> Result<Self> {
        let mut mounts = Vec::with_capacity(plan.mounts.len());
        for (path, planned) in plan.mounts {
            let same = old.mounts.iter().find(|mounted| mounted.target.is(&planned));
            let target = match (same, planned) {
                (Some(same), _) => same.target.clone(),
                (None, Planned::App(recipe)) => Target::App(Arc::new(loader.open(recipe).await?)),
                (
                    None,
                    Planned::Projects {
                        directory,
                        allow_listing,
                        max_memory,
                    },
                ) => Target::Projects(Arc::new(Projects::new(directory, allow_listing, max_memory))),
            };
            mounts.push(Mounted { path, target });
        }
        mounts.sort_by_key(|mounted| std::cmp::Reverse(mounted.path.len()));
        Ok(Self { mounts })
    }

    /// `path` is what a client asked for below `base`, the path under which the server itself is mounted.
    pub(crate) async fn route(&self, path: &str, base: &str, loader: &Loader) -> Route {
        let found = self.mounts.iter().find_map(|mounted| {
            let rest = path.strip_prefix(mounted.path.as_str())?;
            (rest.is_empty() || rest.starts_with('/') || mounted.path.is_empty()).then_some((mounted, rest))
        });
        let Some((mounted, rest)) = found else {
            return Route::NotFound;
        };
        match &mounted.target {
            Target::App(app) => Route::App {
                app: Arc::clone(app),
                prefix_len: mounted.path.len(),
            },
            Target::Projects(projects) => {
                let base = format!("{base}{}", mounted.path);
                match projects.route(rest, &base, loader).await {
                    Route::App { app, prefix_len } => Route::App {
                        app,
                        prefix_len: prefix_len + mounted.path.len(),
                    },
                    other => other,
                }
            }
        }
    }
}

impl Target {
    /// Whether it is what `planned` would become.
    fn is(&self, planned: &Planned) -> bool {
        match (self, planned) {
            (Self::App(app), Planned::App(recipe)) => app.recipe == *recipe,
            (
                Self::Projects(projects),
                Planned::Projects {
                    directory,
                    allow_listing,
                    ..
                },
            ) => projects.is(directory, *allow_listing),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_travel() {
        let plan = Plan {
            mounts: vec![
                ("/roads".to_owned(), Planned::App(Recipe::of_bytes(vec![0, 1, 2, 255]))),
                (
                    String::new(),
                    Planned::Projects {
                        directory: PathBuf::from("/etc/maps"),
                        allow_listing: true,
                        max_memory: 7,
                    },
                ),
                ("/rivers".to_owned(), Planned::App(Recipe::of_bytes(Vec::new()))),
            ],
        };
        let bytes = plan.to_bytes().unwrap();
        assert_eq!(Plan::from_bytes(&bytes).unwrap(), plan);
        for end in 0..bytes.len() {
            assert!(Plan::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        let nothing = Plan::default();
        assert_eq!(Plan::from_bytes(&nothing.to_bytes().unwrap()).unwrap(), nothing);
    }
}
