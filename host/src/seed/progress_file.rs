//! The state of a run in a file: written anew every second, so that a run that was killed goes on where it was.
//!
//! It is JSON; MapProxy's own progress files are another format and are not read.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tracing::warn;

use super::ledger::Checkpoint;
use crate::component::hex;
use crate::replace::replace;

const VERSION: u64 = 2;

/// The state of all tasks of a run, and of others that were interrupted earlier.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProgressFile {
    path: PathBuf,
    /// The number of the run; one that goes on has it too.
    pub(crate) run: u64,
    tasks: BTreeMap<String, Checkpoint>,
}

impl ProgressFile {
    /// For a run that begins now, or one that goes on.
    pub(crate) fn open(path: &Path, goes_on: bool) -> Self {
        let mut file = Self::read(path).unwrap_or_else(|reason| {
            if goes_on {
                warn!(file = %path.display(), "{reason}; beginning anew");
            }
            Self::empty(path)
        });
        if !goes_on {
            file.run = new_run();
        }
        file
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            run: new_run(),
            tasks: BTreeMap::new(),
        }
    }

    fn read(path: &Path) -> Result<Self, String> {
        match fs::read(path) {
            Ok(bytes) => parse(path, &bytes).ok_or_else(|| "this is no state of a run of this version".to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::empty(path)),
            Err(error) => Err(format!("failed to read the state of the last run: {error}")),
        }
    }

    pub(crate) fn task(&self, key: &str) -> Checkpoint {
        self.tasks.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, key: &str, checkpoint: Checkpoint) {
        self.tasks.insert(key.to_owned(), checkpoint);
    }

    /// Forgets a task; the others stay.
    pub(crate) fn forget(&mut self, key: &str) {
        self.tasks.remove(key);
    }

    /// Forgets all tasks.
    pub(crate) fn clear(&mut self) {
        self.tasks.clear();
    }

    /// Writes the file; readers see the old one or the whole new one.
    pub(crate) fn write(&self) -> Result<()> {
        let tasks: serde_json::Map<String, Value> = self
            .tasks
            .iter()
            .map(|(key, task)| {
                let value = json!({
                    "started": task.started,
                    "planned": task.planned,
                    "cursor": task.cursor.as_deref().map(hex),
                    "progress": task.progress,
                    "retry": task.retry,
                });
                (key.clone(), value)
            })
            .collect();
        let document = json!({ "version": VERSION, "run": hex(&self.run.to_be_bytes()), "tasks": tasks });
        replace(&self.path, &serde_json::to_vec_pretty(&document)?, 0o666)
            .with_context(|| format!("failed to write `{}`", self.path.display()))
    }

    /// Writes what is left, or removes the file when that is nothing.
    pub(crate) fn finish(&self) -> Result<()> {
        if !self.tasks.is_empty() {
            return self.write();
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove `{}`", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// A number that no other run has.
pub(crate) fn new_run() -> u64 {
    RandomState::new().hash_one(std::process::id())
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
                started: task.get("started")?.as_f64(),
                planned: task.get("planned")?.as_bool()?,
                cursor,
                progress: task.get("progress")?.as_f64()?,
                retry: retry.filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            },
        );
    }
    let run = unhex(document.get("run")?.as_str()?)?;
    Some(ProgressFile {
        path: path.to_owned(),
        run: u64::from_be_bytes(run.try_into().ok()?),
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
        let mut file = ProgressFile::open(&path, false);
        let checkpoint = Checkpoint {
            started: Some(1234.5),
            planned: false,
            cursor: Some(vec![0, 1, 255]),
            progress: 0.25,
            retry: vec!["1/0/0".to_owned()],
        };
        file.set("a task", checkpoint.clone());
        file.set("another", Checkpoint::default());
        file.write().unwrap();
        let mut read = ProgressFile::open(&path, true);
        assert_eq!(read, file);
        assert_eq!(read.task("a task"), checkpoint);
        assert_eq!(read.task("a third"), Checkpoint::default());

        let new = ProgressFile::open(&path, false);
        assert_ne!(new.run, file.run);
        assert_eq!(
            new.task("a task"),
            checkpoint,
            "it is the run that says what it begins anew"
        );

        read.forget("a task");
        read.finish().unwrap();
        assert_eq!(ProgressFile::open(&path, true), read);
        read.clear();
        read.finish().unwrap();
        read.finish().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn other_files_are_no_state() {
        let path = path("other");
        for text in [
            "",
            "{}",
            "\u{80}pickle",
            r#"{"version": 3, "run": "0011223344556677", "tasks": {}}"#,
            r#"{"version": 2, "run": "00", "tasks": {}}"#,
            r#"{"version": 2, "run": "0011223344556677", "tasks": {"a": {"cursor": "0"}}}"#,
        ] {
            fs::write(&path, text).unwrap();
            assert!(ProgressFile::open(&path, true).tasks.is_empty(), "{text}");
            assert!(ProgressFile::read(&path).is_err(), "{text}");
        }
        fs::remove_file(&path).unwrap();
    }
}
