//! What a run tells: bars on a terminal, lines elsewhere, events for programs; a table at the end.
//!
//! Progress goes to standard error; results and events go to standard output. A reader that goes away ends nothing.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::task::{Failed, Task};
use crate::bindings::seeding::{Estimate, LevelCount, Report};
use crate::replace::replace;

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// A JSON object a line, for programs.
    Json,
}

/// How much is told, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: OutputFormat,
    /// 1: no progress; 2: nothing but errors
    pub(crate) quiet: u8,
}

/// Time between two lines of progress.
const LINE: Duration = Duration::from_secs(5);
/// Steps of a bar.
const STEPS: u64 = 10_000;
/// Failed pieces that are named at the end.
const NAMED: usize = 10;
/// Time between two lines about pieces that are tried again.
const TROUBLE: Duration = Duration::from_secs(30);

/// Counts of a task, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) made: u64,
    pub(crate) bytes: u64,
    pub(crate) there: u64,
    pub(crate) nothing: u64,
    pub(crate) removed: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) requests: u64,
}

/// How far a task is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// share that is done, 0 to 1
    pub(super) share: f64,
    /// requests sent by all tasks
    pub(super) requests: u64,
    /// pieces that may run at once
    pub(super) at_once: usize,
    /// nothing goes on
    pub(super) waiting: Option<Waiting>,
}

/// Nothing goes on for so long.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) left: Duration,
    pub(super) reason: Option<String>,
}

struct Running {
    started: Instant,
    requests_before: u64,
    totals: Totals,
    /// tiles made by level
    levels: BTreeMap<u32, u64>,
    level: Option<u32>,
    last_line: Instant,
    last: (Instant, u64, u64),
    first_progress: Option<f64>,
    last_trouble: Option<Instant>,
    bar: Option<ProgressBar>,
}

/// The list of what failed.
enum FailedList {
    /// gets each line when it comes
    Open(File),
    /// is replaced at the end: it is the list that is worked off
    AtEnd,
}

/// Where everything is told.
pub(crate) struct Output {
    style: Style,
    failed: Vec<Failed>,
    failed_file: Option<(PathBuf, FailedList)>,
    current: Option<Running>,
    /// title, time, counts of each task that has ended
    table: Vec<(String, Duration, Totals)>,
}

impl Output {
    /// `failed_file`: failed pieces are written there as they fail; at the end, if it is the list that is worked off.
    pub(crate) fn new(style: Style, failed_file: Option<&Path>, worked_off: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| -> Result<(PathBuf, FailedList)> {
            let same = |other: &Path| matches!((path.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b);
            let list = if worked_off.is_some_and(same) {
                FailedList::AtEnd
            } else {
                FailedList::Open(File::create(path).with_context(|| format!("failed to create `{}`", path.display()))?)
            };
            Ok((path.to_owned(), list))
        };
        Ok(Self {
            style,
            failed: Vec::new(),
            failed_file: failed_file.map(open).transpose()?,
            current: None,
            table: Vec::new(),
        })
    }

    /// A line for people, unless nothing is wanted.
    pub(crate) fn note(&self, text: &str) {
        if self.style.format == OutputFormat::Text && self.style.quiet < 2 {
            out(text);
        }
    }

    /// An event for programs.
    pub(crate) fn event(&self, event: &serde_json::Value) {
        if self.style.format == OutputFormat::Json {
            out(&event.to_string());
        }
    }

    /// Work on a task begins; `about`: what there is to do, if that was counted. `requests`: sent so far.
    pub(crate) fn begin(&mut self, task: &Task, about: Option<&str>, requests: u64) {
        let now = Instant::now();
        let wants_bar = self.style.format == OutputFormat::Text && self.style.quiet == 0;
        let bar = (wants_bar && std::io::stderr().is_terminal()).then(|| {
            let bar = BARS.get_or_init(MultiProgress::new).add(ProgressBar::new(STEPS));
            // A template that is wrong is a mistake in this file; the bar then has its default looks.
            if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent_precise}% {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(task.title());
            bar
        });
        match about {
            Some(about) => self.note(&format!("{}: {about}", task.title())),
            None if bar.is_none() => self.note(&task.title()),
            None => {}
        }
        self.event(&json!({
            "event": "task", "kind": task.kind(), "name": task.info.name, "cache": task.info.cache,
            "grid": task.info.grid, "levels": task.info.levels,
        }));
        self.current = Some(Running {
            started: now,
            requests_before: requests,
            totals: Totals::default(),
            levels: BTreeMap::new(),
            level: None,
            last_line: now,
            last: (now, 0, requests),
            first_progress: None,
            last_trouble: None,
            bar,
        });
    }

    /// A piece is done.
    pub(crate) fn did(&mut self, task: &Task, level: Option<u32>, report: &Report) {
        let Some(running) = &mut self.current else { return };
        let totals = &mut running.totals;
        totals.made += report.made;
        totals.bytes += report.bytes;
        totals.there += report.there;
        totals.nothing += report.nothing;
        totals.removed += report.removed;
        if let Some(level) = level {
            running.level = Some(level);
            *running.levels.entry(level).or_default() += report.made;
        }
        for path in &report.paths {
            match self.style.format {
                OutputFormat::Text => out(path),
                OutputFormat::Json => {
                    self.event(&json!({ "event": "would-remove", "task": task.info.name, "path": path }));
                }
            }
        }
    }

    /// A piece has failed and is tried again after this time. One in a while is told.
    pub(super) fn retried(&mut self, task: &Task, id: &str, reason: &str, wait: Duration) {
        tracing::debug!(piece = id, reason, "a piece failed and is tried again");
        let Some(running) = &mut self.current else { return };
        running.totals.retried += 1;
        if self.style.quiet > 0 || running.last_trouble.is_some_and(|last| last.elapsed() < TROUBLE) {
            return;
        }
        running.last_trouble = Some(Instant::now());
        match self.style.format {
            OutputFormat::Text => err(&format!(
                "{id} of {} is tried again in {}: {reason}",
                task.title(),
                time(wait)
            )),
            OutputFormat::Json => self.event(&json!({
                "event": "retry", "id": id, "name": task.info.name, "cache": task.info.cache, "grid": task.info.grid,
                "seconds": wait.as_secs_f64(), "reason": reason,
            })),
        }
    }

    /// A piece has failed for good.
    pub(crate) fn failed(&mut self, failed: Failed) {
        if let Some(running) = &mut self.current {
            running.totals.failed += 1;
        }
        if let Some((_, FailedList::Open(file))) = &mut self.failed_file
            && let Err(error) = writeln!(file, "{}", failed.line())
        {
            tracing::error!(%error, "failed to write the list of failed pieces");
        }
        if self.style.format == OutputFormat::Text {
            err(&format!("failed: {failed}"));
        }
        self.event(&json!({
            "event": "failed", "id": failed.id, "cache": failed.cache, "grid": failed.grid, "task": failed.task,
            "reason": failed.reason,
        }));
        self.failed.push(failed);
    }

    /// Ends the list of what failed with what of the list that is worked off was not tried, and, if it is that list, with
    /// its lines that were for none of the tasks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn finish_failed_file(&mut self, not_tried: &[Failed], others: &[(usize, &str)]) -> Result<()> {
        let Some((path, list)) = &mut self.failed_file else {
            return Ok(());
        };
        let lines = |pieces: &[Failed]| -> String { pieces.iter().map(|failed| failed.line() + "\n").collect() };
        let written = match list {
            FailedList::Open(file) => file.write_all(lines(not_tried).as_bytes()),
            FailedList::AtEnd => {
                let others: Vec<String> = others.iter().map(|(_, line)| format!("{line}\n")).collect();
                let text = lines(&self.failed) + &lines(not_tried) + &others.concat();
                replace(path, text.as_bytes(), 0o666)
            }
        };
        written.with_context(|| format!("failed to write `{}`", path.display()))
    }

    /// Called about once a second.
    pub(super) fn progress(&mut self, task: &Task, progress: &Progress) {
        let style = self.style;
        let Some(running) = &mut self.current else { return };
        let now = Instant::now();
        let share = progress.share;
        let first = *running.first_progress.get_or_insert(share);
        let (last_time, last_made, last_requests) = running.last;
        let seconds = now.duration_since(last_time).as_secs_f64().max(0.1);
        let done = running.totals.made + running.totals.removed;
        let tiles = (done - last_made) as f64 / seconds;
        let asked = progress.requests.saturating_sub(last_requests) as f64 / seconds;
        let elapsed = running.started.elapsed().as_secs_f64();
        // A share that grows because pieces wait for another try tells nothing.
        let went_well = done + running.totals.there + running.totals.nothing > 0;
        let left = (went_well && share > first && elapsed > 2.0)
            .then(|| Duration::try_from_secs_f64(elapsed * (1.0 - share) / (share - first)).ok())
            .flatten();
        let mut text = String::new();
        // Writing to a String does not fail.
        if let Some(level) = running.level {
            let _ = write!(text, "level {level}, ");
        }
        let _ = write!(
            text,
            "{done} tiles, {tiles:.0}/s, {asked:.0} requests/s, {} at once",
            progress.at_once
        );
        if running.totals.retried + running.totals.failed > 0 {
            let _ = write!(
                text,
                ", {} tried again, {} failed",
                running.totals.retried, running.totals.failed
            );
        }
        match (&progress.waiting, left) {
            (Some(Waiting { left, reason }), _) => {
                let _ = write!(text, ", waiting for {}", time(*left));
                if let Some(reason) = reason {
                    let _ = write!(text, ": {reason}");
                }
            }
            (None, Some(left)) => {
                let _ = write!(text, ", about {} left", time(left));
            }
            (None, None) => {}
        }
        if let Some(bar) = &running.bar {
            bar.set_position((share * STEPS as f64) as u64);
            bar.set_message(text);
            running.last = (now, done, progress.requests);
            return;
        }
        if now.duration_since(running.last_line) < LINE || style.quiet > 0 {
            return;
        }
        running.last_line = now;
        running.last = (now, done, progress.requests);
        match style.format {
            OutputFormat::Text => err(&format!("{:.1} % of {}: {text}", share * 100.0, task.title())),
            OutputFormat::Json => out(&json!({
                "event": "progress", "name": task.info.name, "cache": task.info.cache, "grid": task.info.grid,
                "progress": share, "level": running.level, "made": running.totals.made,
                "removed": running.totals.removed, "bytes": running.totals.bytes, "retried": running.totals.retried,
                "failed": running.totals.failed, "tiles_per_second": tiles, "requests_per_second": asked,
                "seconds_left": left.map(|left| left.as_secs()),
                "waiting": progress.waiting.as_ref().map(|waiting| json!({
                    "seconds": waiting.left.as_secs_f64(), "reason": waiting.reason,
                })),
            })
            .to_string()),
        }
    }

    /// The task has ended.
    pub(crate) fn end(&mut self, task: &Task, requests: u64) {
        let Some(running) = self.current.take() else { return };
        if let Some(bar) = running.bar {
            bar.finish_and_clear();
        }
        let mut totals = running.totals;
        totals.requests = requests.saturating_sub(running.requests_before);
        let levels: Vec<_> = running.levels.iter().collect();
        self.event(&json!({
            "event": "task-end", "name": task.info.name, "cache": task.info.cache, "grid": task.info.grid,
            "made": totals.made, "there": totals.there, "nothing": totals.nothing, "removed": totals.removed,
            "bytes": totals.bytes, "failed": totals.failed, "requests": totals.requests,
            "seconds": running.started.elapsed().as_secs_f64(), "levels": levels,
        }));
        self.table.push((task.title(), running.started.elapsed(), totals));
    }

    /// The table of all tasks, and what failed; `--continue` tries that again if the state `is_kept`.
    pub(crate) fn summary(&self, is_kept: bool) {
        if self.style.format != OutputFormat::Text {
            return;
        }
        if self.style.quiet < 2 && !self.table.is_empty() {
            out(table(&self.table).trim_end());
        }
        if self.failed.is_empty() {
            return;
        }
        err(&format!("{} pieces failed:", self.failed.len()));
        for failed in self.failed.iter().take(NAMED) {
            err(&format!("  {failed}"));
        }
        if is_kept {
            err("`--continue` tries them again");
        }
        match &self.failed_file {
            Some((path, _)) => err(&format!(
                "all of them are in `{0}`; `--tiles-file {0}` tries them again",
                path.display()
            )),
            None if self.failed.len() > NAMED => err("`--failed-file FILE` writes a list of all"),
            None => {}
        }
    }

    /// The pieces of a task that have failed for good.
    pub(crate) fn failed_of(&self, task: &Task) -> HashSet<&str> {
        let of_task = self.failed.iter().filter(|failed| {
            failed.cache == task.info.cache && failed.grid == task.info.grid && failed.task == task.name()
        });
        of_task.map(|failed| failed.id.as_str()).collect()
    }

    pub(crate) fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }
}

fn table(rows: &[(String, Duration, Totals)]) -> String {
    let head = [
        "task",
        "made",
        "were there",
        "nothing",
        "removed",
        "failed",
        "requests",
        "size",
        "time",
    ];
    let mut cells: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for (title, elapsed, totals) in rows {
        let counts = [
            totals.made,
            totals.there,
            totals.nothing,
            totals.removed,
            totals.failed,
            totals.requests,
        ];
        let mut row = vec![title.clone()];
        row.extend(counts.map(|count| count.to_string()));
        row.extend([size(totals.bytes), time(*elapsed)]);
        cells.push(row);
    }
    let width = |column: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &cells {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a String does not fail.
            let _ = if column == 0 {
                write!(text, "{cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    }
    text
}

/// What the tiles of a task may take, in bytes.
pub(crate) fn estimated_bytes(estimate: &Estimate) -> u64 {
    let tiles = estimate.levels.iter().map(|level| level.tiles);
    tiles.fold(0_u64, u64::saturating_add).saturating_mul(10 << 10)
}

/// What a task takes at least when its sources get so many requests a second.
pub(crate) fn least_time(estimate: &Estimate, per_second: Option<f64>) -> Option<Duration> {
    let pieces: f64 = estimate.levels.iter().map(|level| level.pieces as f64).sum();
    Duration::try_from_secs_f64(pieces / per_second?).ok()
}

/// The counts of a task in a line.
pub(crate) fn estimate_line(estimate: &Estimate, per_second: Option<f64>) -> String {
    let sum = |of: fn(&LevelCount) -> u64| estimate.levels.iter().map(of).fold(0_u64, u64::saturating_add);
    let (pieces, tiles) = (sum(|level| level.pieces), sum(|level| level.tiles));
    let about = if estimate.exact { "" } else { "about " };
    let mut text = format!(
        "{about}{tiles} tiles in {about}{pieces} pieces, {about}{} at 10 KiB a tile",
        size(estimated_bytes(estimate))
    );
    if let Some(seconds) = least_time(estimate, per_second) {
        // Writing to a String does not fail.
        let _ = write!(text, ", at least {}", time(seconds));
    }
    text
}

/// The counts of a task as a paragraph.
pub(crate) fn estimate_text(estimate: &Estimate, per_second: Option<f64>) -> String {
    let mut text = format!("  {}", estimate_line(estimate, per_second));
    for level in &estimate.levels {
        let _ = write!(
            text,
            "\n    level {:>2}: {} tiles, {} pieces",
            level.level, level.tiles, level.pieces
        );
    }
    text
}

/// `1.5 MiB`
fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{number:.1} {name}")
    }
}

/// `2 h 5 min`
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The bars on the terminal, once there are any.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Takes the bars off the terminal while something else is written there.
pub(crate) fn beside_bars<T>(write: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// A line on standard output; a reader that went away misses it.
pub(crate) fn out(line: &str) {
    let _ = beside_bars(|| writeln!(std::io::stdout().lock(), "{line}"));
}

/// A line on standard error.
pub(crate) fn err(line: &str) {
    let _ = beside_bars(|| writeln!(std::io::stderr().lock(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(size(17), "17 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
        assert_eq!(time(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(time(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(time(Duration::from_mins(125)), "2 h 5 min");
        assert_eq!(time(Duration::from_hours(25)), "1 d 1 h");
    }

    #[test]
    fn the_table_is_aligned() {
        let totals = Totals {
            made: 16,
            bytes: 2048,
            ..Totals::default()
        };
        let rows = [
            ("seed a: c on g".to_owned(), Duration::from_secs(1), totals.clone()),
            ("cleanup longer: c on g".to_owned(), Duration::from_secs(100), totals),
        ];
        let text = table(&rows);
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [lengths[0]; 3], "{text}");
    }
}
