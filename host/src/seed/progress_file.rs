//! The state of a run in a file: written anew every few seconds, so that a run that was killed goes on where it was.
//!
//! It is JSON; MapProxy's own progress files are another format and are not read.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tracing::warn;

use super::ledger::Checkpoint;
use crate::component::hex;
use crate::replace::replace;

const VERSION: u64 = 1;

/// The state of all tasks of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProgressFile {
    path: PathBuf,
    /// When the run began, seconds since 1970: ages are counted from there, also by the run that goes on.
    pub(crate) started: f64,
    tasks: BTreeMap<String, Checkpoint>,
}

impl ProgressFile {
    /// For a run that begins now.
    pub(crate) fn new(path: &Path, started: f64) -> Self {
        Self {
            path: path.to_owned(),
            started,
            tasks: BTreeMap::new(),
        }
    }

    /// For a run that goes on; as [`Self::new`] (with a warning) where there is nothing to go on with.
    pub(crate) fn read(path: &Path, now: f64) -> Self {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::new(path, now),
            Err(error) => {
                warn!(file = %path.display(), %error, "failed to read the state of the last run; beginning anew");
                return Self::new(path, now);
            }
        };
        parse(path, &bytes).unwrap_or_else(|| {
            warn!(file = %path.display(), "this is no state of a run of this version; beginning anew");
            Self::new(path, now)
        })
    }

    pub(crate) fn task(&self, key: &str) -> Checkpoint {
        self.tasks.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, key: &str, checkpoint: Checkpoint) {
        self.tasks.insert(key.to_owned(), checkpoint);
    }

    /// Writes the file; readers see the old one or the whole new one.
    pub(crate) fn write(&self) -> Result<()> {
        let tasks: serde_json::Map<String, Value> = self
            .tasks
            .iter()
            .map(|(key, task)| {
                let value = json!({
                    "planned": task.planned,
                    "cursor": task.cursor.as_deref().map(hex),
                    "progress": task.progress,
                    "retry": task.retry,
                });
                (key.clone(), value)
            })
            .collect();
        let document = json!({ "version": VERSION, "started": self.started, "tasks": tasks });
        replace(&self.path, &serde_json::to_vec_pretty(&document)?, 0o666)
            .with_context(|| format!("failed to write `{}`", self.path.display()))
    }

    /// The run is complete: there is nothing to go on with.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            warn!(file = %self.path.display(), %error, "failed to remove the state of the complete run");
        }
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Option<ProgressFile> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    if document.get("version")?.as_u64()? != VERSION {
        return None;
    }
    let mut tasks = BTreeMap::new();
    for (key, task) in document.get("tasks")?.as_object()? {
        let cursor = match task.get("cursor")? {
            Value::Null => None,
            text => Some(unhex(text.as_str()?)?),
        };
        let retry = task.get("retry")?.as_array()?.iter();
        tasks.insert(
            key.clone(),
            Checkpoint {
                planned: task.get("planned")?.as_bool()?,
                cursor,
                progress: task.get("progress")?.as_f64()?,
                retry: retry.filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            },
        );
    }
    Some(ProgressFile {
        path: path.to_owned(),
        started: document.get("started")?.as_f64()?,
        tasks,
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mapproxy-progress-{name}-{}", std::process::id()))
    }

    #[test]
    fn what_is_written_is_read() {
        let path = path("round");
        let mut file = ProgressFile::new(&path, 1234.5);
        let checkpoint = Checkpoint {
            planned: false,
            cursor: Some(vec![0, 1, 255]),
            progress: 0.25,
            retry: vec!["1/0/0".to_owned()],
        };
        file.set("a task", checkpoint.clone());
        file.write().unwrap();
        let read = ProgressFile::read(&path, 9.0);
        assert_eq!(read, file);
        assert_eq!(read.task("a task"), checkpoint);
        assert_eq!(read.task("another"), Checkpoint::default());
        file.remove();
        file.remove();
        assert_eq!(ProgressFile::read(&path, 9.0), ProgressFile::new(&path, 9.0));
    }

    #[test]
    fn other_files_are_no_state() {
        let path = path("other");
        for text in [
            "",
            "{}",
            "\u{80}pickle",
            r#"{"version": 2, "started": 1, "tasks": {}}"#,
            r#"{"version": 1, "started": 1, "tasks": {"a": {"cursor": "0"}}}"#,
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(ProgressFile::read(&path, 7.0), ProgressFile::new(&path, 7.0), "{text}");
        }
        fs::remove_file(&path).unwrap();
    }
}
