//! What a run tells: bars on a terminal, lines elsewhere, events for programs; a table at the end.
//!
//! Progress goes to standard error; results and events go to standard output. A reader that goes away ends nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::task::{Failed, Task};
use crate::bindings::seeding::{Estimate, LevelCount, Report};

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
    bar: Option<ProgressBar>,
}

/// Where everything is told.
pub(crate) struct Output {
    style: Style,
    failed: Vec<Failed>,
    failed_file: Option<File>,
    current: Option<Running>,
    /// title, time, counts of each task that has ended
    table: Vec<(String, Duration, Totals)>,
}

impl Output {
    /// `failed_file`: failed pieces are written there as they fail.
    pub(crate) fn new(style: Style, failed_file: Option<&Path>) -> Result<Self> {
        let failed_file = failed_file
            .map(|path| File::create(path).with_context(|| format!("failed to create `{}`", path.display())));
        Ok(Self {
            style,
            failed: Vec::new(),
            failed_file: failed_file.transpose()?,
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

    pub(crate) fn begin(&mut self, task: &Task, requests: u64) {
        let now = Instant::now();
        let wants_bar = self.style.format == OutputFormat::Text && self.style.quiet == 0;
        let bar = (wants_bar && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
            // A template that is wrong is a mistake in this file; the bar then has its default looks.
            if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent_precise}% {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(task.title());
            bar
        });
        if bar.is_none() && self.style.quiet < 2 {
            self.note(&task.title());
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

    pub(crate) fn retried(&mut self) {
        if let Some(running) = &mut self.current {
            running.totals.retried += 1;
        }
    }

    /// A piece has failed for good.
    pub(crate) fn failed(&mut self, failed: Failed) {
        if let Some(running) = &mut self.current {
            running.totals.failed += 1;
        }
        if let Some(file) = &mut self.failed_file
            && let Err(error) = writeln!(file, "{}", failed.line())
        {
            tracing::error!(%error, "failed to write the list of failed pieces");
        }
        let line = format!(
            "failed: {} of {} on {}: {}",
            failed.id, failed.cache, failed.grid, failed.reason
        );
        match self.current.as_ref().and_then(|running| running.bar.as_ref()) {
            Some(bar) => bar.println(line),
            None if self.style.format == OutputFormat::Text => err(&line),
            None => {}
        }
        self.event(&json!({
            "event": "failed", "id": failed.id, "cache": failed.cache, "grid": failed.grid, "reason": failed.reason,
        }));
        self.failed.push(failed);
    }

    /// Called about once a second. `progress`: share of the task that is done.
    pub(crate) fn progress(&mut self, task: &Task, progress: f64, requests: u64, at_once: usize) {
        let style = self.style;
        let Some(running) = &mut self.current else { return };
        let now = Instant::now();
        let first = *running.first_progress.get_or_insert(progress);
        let (last_time, last_made, last_requests) = running.last;
        let seconds = now.duration_since(last_time).as_secs_f64().max(1e-3);
        let done = running.totals.made + running.totals.removed;
        let tiles = (done - last_made) as f64 / seconds;
        let asked = requests.saturating_sub(last_requests) as f64 / seconds;
        let elapsed = running.started.elapsed().as_secs_f64();
        let left = (progress > first && elapsed > 2.0)
            .then(|| Duration::try_from_secs_f64(elapsed * (1.0 - progress) / (progress - first)).ok())
            .flatten();
        let mut text = String::new();
        // Writing to a String does not fail.
        if let Some(level) = running.level {
            let _ = write!(text, "level {level}, ");
        }
        let _ = write!(
            text,
            "{done} tiles, {tiles:.0}/s, {asked:.0} requests/s, {at_once} at once"
        );
        if running.totals.retried + running.totals.failed > 0 {
            let _ = write!(
                text,
                ", {} tried again, {} failed",
                running.totals.retried, running.totals.failed
            );
        }
        if let Some(left) = left {
            let _ = write!(text, ", about {} left", time(left));
        }
        if let Some(bar) = &running.bar {
            bar.set_position((progress * STEPS as f64) as u64);
            bar.set_message(text);
            running.last = (now, done, requests);
            return;
        }
        if now.duration_since(running.last_line) < LINE || style.quiet > 0 {
            return;
        }
        running.last_line = now;
        running.last = (now, done, requests);
        match style.format {
            OutputFormat::Text => err(&format!("{:.1} % of {}: {text}", progress * 100.0, task.title())),
            OutputFormat::Json => out(&json!({
                "event": "progress", "name": task.info.name, "cache": task.info.cache, "grid": task.info.grid,
                "progress": progress, "level": running.level, "made": running.totals.made,
                "removed": running.totals.removed, "bytes": running.totals.bytes, "failed": running.totals.failed,
                "tiles_per_second": tiles, "requests_per_second": asked,
                "seconds_left": left.map(|left| left.as_secs()),
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

    /// The table of all tasks, and what failed.
    pub(crate) fn summary(&self, failed_file: Option<&Path>) {
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
            err(&format!(
                "  {} of {} on {}: {}",
                failed.id, failed.cache, failed.grid, failed.reason
            ));
        }
        match failed_file {
            Some(path) => err(&format!(
                "all of them are in `{0}`; `--tiles-file {0}` tries them again",
                path.display()
            )),
            None if self.failed.len() > NAMED => err("`--failed-file FILE` writes a list of all"),
            None => {}
        }
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

/// The counts of a task as a paragraph.
pub(crate) fn estimate_text(estimate: &Estimate, per_second: Option<f64>) -> String {
    let sum = |of: fn(&LevelCount) -> u64| estimate.levels.iter().map(of).fold(0_u64, u64::saturating_add);
    let (pieces, tiles) = (sum(|level| level.pieces), sum(|level| level.tiles));
    let about = if estimate.exact { "" } else { "about " };
    let mut text = format!("  {about}{tiles} tiles in {about}{pieces} pieces");
    // Writing to a String does not fail, here and below.
    let _ = write!(
        text,
        ", {about}{} at 10 KiB a tile",
        size(tiles.saturating_mul(10 << 10))
    );
    if let Some(seconds) = per_second.and_then(|rate| Duration::try_from_secs_f64(pieces as f64 / rate).ok()) {
        let _ = write!(text, ", at least {}", time(seconds));
    }
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

/// A line on standard output; a reader that went away misses it.
pub(crate) fn out(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line on standard error.
fn err(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
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
