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
use super::lock::ProcessLock;
use super::task::Task;
use crate::component::hex;
use crate::replace::replace;

const VERSION: u64 = 2;

/// The state of all tasks of a run, and of others that were interrupted earlier. One run at a time has it.
#[derive(Debug)]
pub(crate) struct ProgressFile {
    path: PathBuf,
    /// what keys begin with: another seed configuration has other tasks
    seed_conf: String,
    tasks: BTreeMap<String, Checkpoint>,
    /// of a file beside it, since this one is replaced again and again
    _lock: ProcessLock,
}

impl ProgressFile {
    /// With what earlier runs left. `seed_conf`: absolute path of the seed configuration. `None`: another run has the file.
    ///
    /// # Errors
    /// The file cannot be locked.
    pub(crate) fn open(path: &Path, seed_conf: &Path) -> Result<Option<Self>> {
        let lock = ProcessLock::take(path.with_added_extension("lck"));
        let Some(lock) = lock.with_context(|| format!("failed to write `{}`", path.display()))? else {
            return Ok(None);
        };
        let tasks = match fs::read(path) {
            Ok(bytes) => parse(&bytes).unwrap_or_else(|| {
                warn!(file = %path.display(), "this is no state of a run of this version; it is replaced");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
        };
        Ok(Some(Self {
            path: path.to_owned(),
            seed_conf: seed_conf.display().to_string(),
            tasks,
            _lock: lock,
        }))
    }

    fn key(&self, task: &Task) -> String {
        format!("{}\t{}", self.seed_conf, task.key())
    }

    pub(crate) fn task(&self, task: &Task) -> Checkpoint {
        self.tasks.get(&self.key(task)).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, task: &Task, checkpoint: Checkpoint) {
        self.tasks.insert(self.key(task), checkpoint);
    }

    /// Forgets a task; the others stay.
    pub(crate) fn forget(&mut self, task: &Task) {
        self.tasks.remove(&self.key(task));
    }

    /// Forgets all tasks of the seed configuration, also those it had earlier.
    pub(crate) fn clear(&mut self) {
        let own = format!("{}\t", self.seed_conf);
        self.tasks.retain(|key, _| !key.starts_with(&own));
    }

    /// Writes the file; readers see the old one or the whole new one.
    pub(crate) fn write(&self) -> Result<()> {
        let tasks: serde_json::Map<String, Value> = self
            .tasks
            .iter()
            .map(|(key, task)| {
                let value = json!({
                    "started": task.started,
                    "run": task.run.map(|run| hex(&run.to_be_bytes())),
                    "planned": task.planned,
                    "cursor": task.cursor.as_deref().map(hex),
                    "progress": task.progress,
                    "retry": task.retry,
                });
                (key.clone(), value)
            })
            .collect();
        let document = json!({ "version": VERSION, "tasks": tasks });
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

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, Checkpoint>> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    if document.get("version")?.as_u64()? != VERSION {
        return None;
    }
    let mut tasks = BTreeMap::new();
    for (key, task) in document.get("tasks")?.as_object()? {
        let unhex = |field: &str| match task.get(field)? {
            Value::Null => Some(None),
            text => Some(Some(unhex(text.as_str()?)?)),
        };
        let run = match unhex("run")? {
            Some(bytes) => Some(u64::from_be_bytes(bytes.try_into().ok()?)),
            None => None,
        };
        let retry = task.get("retry")?.as_array()?.iter();
        tasks.insert(
            key.clone(),
            Checkpoint {
                started: task.get("started")?.as_f64(),
                run,
                planned: task.get("planned")?.as_bool()?,
                cursor: unhex("cursor")?,
                progress: task.get("progress")?.as_f64()?,
                retry: retry.filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            },
        );
    }
    Some(tasks)
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
    use super::super::task::fixture;
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mapproxy-progress-{name}-{}", std::process::id()))
    }

    fn open(path: &Path, seed_conf: &str) -> ProgressFile {
        let file = ProgressFile::open(path, Path::new(seed_conf)).unwrap();
        file.expect("nobody has it")
    }

    #[test]
    fn what_is_written_is_read() {
        let path = path("round");
        let (task, other) = (fixture("a"), fixture("b"));
        let checkpoint = Checkpoint {
            started: Some(1234.5),
            run: Some(u64::MAX - 1),
            planned: false,
            cursor: Some(vec![0, 1, 255]),
            progress: 0.25,
            retry: vec!["1/0/0".to_owned()],
        };
        let mut file = open(&path, "/one.yaml");
        file.set(&task, checkpoint.clone());
        file.set(&other, Checkpoint::default());
        file.write().unwrap();
        drop(file);

        let mut twin = open(&path, "/two.yaml");
        assert_eq!(twin.task(&task), Checkpoint::default(), "that is another configuration");
        twin.set(&task, Checkpoint::default());
        twin.write().unwrap();
        twin.clear();
        twin.finish().unwrap();
        drop(twin);

        let mut file = open(&path, "/one.yaml");
        assert_eq!(file.task(&task), checkpoint);
        file.forget(&other);
        file.finish().unwrap();
        assert!(path.exists(), "one is left");
        file.clear();
        file.finish().unwrap();
        file.finish().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn one_run_at_a_time_has_it() {
        let path = path("lock");
        let first = open(&path, "/one.yaml");
        assert!(ProgressFile::open(&path, Path::new("/one.yaml")).unwrap().is_none());
        drop(first);
        assert!(!path.with_added_extension("lck").exists());
        drop(open(&path, "/one.yaml"));
    }

    #[test]
    fn other_files_are_no_state() {
        for text in [
            "",
            "{}",
            "\u{80}pickle",
            r#"{"version": 3, "tasks": {}}"#,
            r#"{"version": 2, "tasks": {"a": {"cursor": "0"}}}"#,
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(parse(br#"{"version": 2, "tasks": {}}"#).is_some());
    }
}
