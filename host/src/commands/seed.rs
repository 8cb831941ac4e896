//! `mapproxy seed`.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use super::absolute;
use super::check::fail;
use crate::app::{Loader, log_warnings};
use crate::bindings::seeding::{Estimate, Options};
use crate::cli::ComponentArgs;
use crate::component;
use crate::directories::next_round;
use crate::engine::{self, EngineLimits};
use crate::instance::Guests;
use crate::outbound::{Outbound, OutboundLimits};
use crate::seed::args::SeedArgs;
use crate::seed::map::{self, TaskMap};
use crate::seed::{
    Checkpoint, Concurrency, Ended, Failed, Output, PieceList, ProcessLock, ProgressFile, Rates, Retries, Runner,
    Style, Task, Turnstile, err, estimate_line, estimate_text, estimated_bytes, least_time, new_run,
};

/// Instances beside those of pieces: one that plans, one that counts.
const SPARE_INSTANCES: usize = 4;
const UNKNOWN_TASK: u8 = 1;
const CONFIGURATION: u8 = 2;
pub(super) const INTERRUPTED: u8 = 3;
pub(super) const FAILED: u8 = 4;
/// Lines of a list that are named because they are for none of the tasks.
const NAMED: usize = 10;

/// Works off the tasks of a seed configuration.
pub(crate) fn seed(args: &SeedArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let Some(seed_conf) = args.seed_conf.as_ref().or(args.file.as_ref()) else {
        bail!("expected a seed configuration, `mapproxy seed -s seed.yaml`");
    };
    let proxy_conf = args
        .proxy_conf
        .clone()
        .unwrap_or_else(|| seed_conf.with_file_name("mapproxy.yaml"));
    if let Some(wait) = too_early(args)? {
        info!("`--reseed-file` is younger than `--reseed-interval`: nothing to do for {wait:?}");
        return Ok(ExitCode::SUCCESS);
    }
    let files = absolute(seed_conf).and_then(|seed| Ok((seed, absolute(&proxy_conf)?)));
    let (seed_conf, proxy_conf) = match files {
        Ok(files) => files,
        Err(error) => return Ok(configuration_error(&error)),
    };
    let limits = Work {
        concurrency: args.concurrency,
        max_memory: args.max_memory,
        piece_timeout: args.piece_timeout,
    };
    let loader = limits.loader(component, args.mapserver_binary.as_deref())?;
    runtime()?.block_on(async {
        let (app, warnings) = match loader.load_seed(&proxy_conf, &seed_conf).await {
            Ok(loaded) => loaded,
            Err(error) => {
                return match fail(error) {
                    Ok(_) => Ok(ExitCode::from(CONFIGURATION)),
                    Err(error) => Ok(configuration_error(&error)),
                };
            }
        };
        log_warnings(&warnings);
        let (stopper, stop) = watch::channel(0);
        stop_on_signals(&stopper)?;
        if let Some(duration) = args.duration {
            tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                stopper.send_modify(|stop| *stop = (*stop).max(1));
            });
        }
        let runner = Runner {
            guests: Arc::clone(&loader.guests),
            app: Arc::new(app),
            turnstile: Turnstile::new(Rates::new(args.rate.clone())),
            options: Options {
                started: unix_now(),
                skip_uncached: args.skip_uncached,
                skip_geoms_for_last_levels: args.skip_geoms_for_last_levels,
                dry_run: args.dry_run,
                run: new_run(),
            },
            concurrency: args.concurrency,
            retries: Retries {
                most: args.max_retries,
                first_wait: args.retry_wait,
            },
            on_error: args.on_error,
            piece_timeout: args.piece_timeout,
            stop,
        };
        run(args, &runner, &seed_conf).await
    })
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_unpark(next_round)
        .build()
        .context("failed to start the runtime")
}

/// How much is done at once, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) concurrency: Concurrency,
    /// of one instance, in bytes
    pub(super) max_memory: usize,
    pub(super) piece_timeout: Duration,
}

impl Work {
    /// `mapserver`: what answers for sources of that type.
    pub(super) fn loader(self, component: &ComponentArgs, mapserver: Option<&Path>) -> Result<Loader> {
        let instances = self.concurrency.most() + SPARE_INSTANCES;
        let engine = engine::build(EngineLimits {
            instances: u32::try_from(instances).context("`--concurrency` is too large")?,
            max_memory: self.max_memory,
        })?;
        engine::start_clock(&engine)?;
        let component = component::load(&engine, component.component.as_deref())?;
        let guests = Guests::new(&component, self.max_memory, 1)?;
        let outbound = Outbound::new(OutboundLimits {
            connect_timeout: self.piece_timeout,
            read_timeout: self.piece_timeout,
            max_body: 256 << 20,
            idle_connections: self.concurrency.most().max(8),
        })
        .with_mapserver(mapserver)?;
        Ok(Loader {
            guests: Arc::new(guests),
            outbound: Arc::new(outbound),
        })
    }
}

async fn run(args: &SeedArgs, runner: &Runner, seed_conf: &Path) -> Result<ExitCode> {
    let all = runner.tasks().await?;
    if all.is_empty() {
        let reason = format!("`{}` has neither `seeds` nor `cleanups`", seed_conf.display());
        return Ok(configuration_error(&anyhow::anyhow!(reason)));
    }
    let tasks = match select(args, &all) {
        Ok(tasks) => tasks,
        Err(error) => {
            report(&error);
            return Ok(ExitCode::from(UNKNOWN_TASK));
        }
    };
    let mut list = match args.tiles_file.as_deref().map(read_list).transpose()? {
        None => None,
        Some(Ok(list)) => Some(list),
        Some(Err(error)) => return Ok(configuration_error(&error)),
    };
    let style = Style {
        format: args.format,
        quiet: args.quiet,
    };
    let only_looks = args.dry_run || args.summary || args.map.is_some();
    let failed_file = args.failed_file.as_deref().filter(|_| !only_looks);
    let mut output = Output::new(style, failed_file, args.tiles_file.as_deref())?;

    let mut work: Vec<(Task, Checkpoint)> = Vec::new();
    for task in tasks {
        match list.as_mut().map(|list| list.of(&task)) {
            None => work.push((task, Checkpoint::default())),
            Some(ids) if ids.is_empty() => {}
            Some(ids) => work.push((task, Checkpoint::of_pieces(ids))),
        }
    }
    let others = list.as_ref().map(PieceList::left).unwrap_or_default();
    for (number, line) in others.iter().take(NAMED) {
        err(&format!(
            "line {number} of the list, `{line}`, is for none of the tasks"
        ));
    }
    if work.is_empty() && !others.is_empty() {
        return Ok(ExitCode::from(UNKNOWN_TASK));
    }
    let offered = work.len();
    if args.interactive {
        work.retain(|(task, _)| wanted(task));
    }
    let declined = offered - work.len();
    if args.summary {
        for (task, _) in &work {
            describe(runner, task, &output).await?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut unusable = false;
    work.retain(|(task, _)| match &task.info.unusable {
        Some(reason) => {
            report(&anyhow::anyhow!("{} cannot be run: {reason}", task.title()));
            unusable = true;
            false
        }
        None => true,
    });
    let done = ExitCode::from(if unusable { CONFIGURATION } else { 0 });
    if let Some(path) = &args.map {
        draw_map(runner, &work, path, &output).await?;
        if !args.dry_run {
            return Ok(done);
        }
    }
    let mut progress = None;
    if list.is_none() && !only_looks {
        progress = ProgressFile::open(&args.progress_file, seed_conf)?;
        if progress.is_none() {
            warn!(
                file = %args.progress_file.display(),
                "another seed keeps its state there, so this one keeps none; `--progress-file` is for those that run at the same time"
            );
        }
    }
    if let Some(progress) = &mut progress {
        for (task, from) in &mut work {
            if args.continue_seed {
                *from = progress.task(task);
            }
            from.started.get_or_insert(runner.options.started);
            from.run.get_or_insert(runner.options.run);
            progress.set(task, from.clone());
        }
        // now, not after an hour, is the time to learn that it cannot be written
        progress.write()?;
    }
    let begins = work.iter().filter_map(|(_, from)| from.started);
    let began = begins.fold(runner.options.started, f64::min);
    let tasks: Vec<Task> = work.iter().map(|(task, _)| task.clone()).collect();
    let mut run = Run {
        args,
        runner,
        progress: progress.as_mut(),
        output: &mut output,
        left: Vec::new(),
    };
    let ended = run.tasks(work).await?;
    let left = run.left;
    output.finish_failed_file(&left, &others)?;
    let can_go_on = progress.is_some();
    output.summary(can_go_on);
    output.event(&json!({ "event": "end", "complete": ended == Ended::Complete, "failed": output.any_failed() }));
    if ended == Ended::Interrupted {
        output.note(if can_go_on {
            "interrupted; `--continue` goes on from here"
        } else {
            "interrupted"
        });
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if output.any_failed() {
        return Ok(ExitCode::from(FAILED));
    }
    if let Some(progress) = &mut progress {
        if tasks.len() == all.len() {
            progress.clear();
        }
        for task in &tasks {
            progress.forget(task);
        }
        progress.finish()?;
    }
    if list.is_none() && !only_looks && declined == 0 && !unusable {
        finish_reseed(args, began)?;
    }
    Ok(done)
}

/// A list of pieces; the inner error is one of the file's content.
fn read_list(path: &Path) -> Result<Result<PieceList>> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    Ok(PieceList::parse(&text).map_err(|reason| anyhow::anyhow!("`{}`: {reason}", path.display())))
}

/// Draws what of the tasks is stored.
async fn draw_map(runner: &Runner, work: &[(Task, Checkpoint)], path: &Path, output: &Output) -> Result<()> {
    let mut maps = Vec::new();
    for (task, _) in work {
        maps.push(runner.look(task).await?);
    }
    map::write(path, &maps)?;
    for TaskMap { title, levels } in &maps {
        output.note(title);
        for (level, picture) in levels {
            output.note(&format!("  level {level}: {}", map::counts(picture)));
        }
    }
    Ok(())
}

/// Work on all tasks.
struct Run<'a> {
    args: &'a SeedArgs,
    runner: &'a Runner,
    /// `None`: no state is kept
    progress: Option<&'a mut ProgressFile>,
    output: &'a mut Output,
    /// pieces of a list that were not tried
    left: Vec<Failed>,
}

impl Run<'_> {
    async fn tasks(&mut self, work: Vec<(Task, Checkpoint)>) -> Result<Ended> {
        let mut waiting = VecDeque::from(work);
        let mut ended = Ended::Complete;
        let mut passed = 0;
        let mut told = HashSet::new();
        let mut stop = self.runner.stop.clone();
        while ended == Ended::Complete
            && let Some((task, from)) = waiting.pop_front()
        {
            if *stop.borrow_and_update() > 0 {
                waiting.push_front((task, from));
                ended = Ended::Interrupted;
            } else if self.args.dry_run && task.is_seed() {
                self.describe(&task, &from).await?;
            } else if from.is_complete() {
                self.output.note(&format!("{}: nothing is left to do", task.title()));
            } else {
                let lock = self.args.use_cache_lock.then(|| cache_lock(&task)).transpose()?;
                if !matches!(lock, Some(None)) {
                    passed = 0;
                    ended = self.task(&task, from).await?;
                    continue;
                }
                if self.args.quiet == 0 && told.insert(task.key()) {
                    err(&format!(
                        "{}: another seed works on this cache, waiting for it",
                        task.title()
                    ));
                }
                // others first; when all are locked, look again in a while
                waiting.push_back((task, from));
                passed += 1;
                if passed >= waiting.len() {
                    passed = 0;
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                        _ = stop.changed() => {}
                    }
                }
            }
        }
        for (task, from) in &waiting {
            self.leave(task, from);
        }
        Ok(ended)
    }

    async fn task(&mut self, task: &Task, from: Checkpoint) -> Result<Ended> {
        let mut about = None;
        if task.is_seed() && from.is_beginning() && self.args.quiet == 0 {
            let estimate = self.runner.count(task).await?;
            tell_estimate(self.runner, task, &estimate, self.output);
            about = Some(estimate_line(&estimate, self.runner.turnstile.rates().per_second()));
        }
        self.output
            .begin(task, about.as_deref(), self.runner.turnstile.requests());
        let (progress, mut last) = (&mut self.progress, Checkpoint::default());
        let mut is_written = true;
        let mut save = |checkpoint: Checkpoint| {
            if let Some(progress) = progress {
                progress.set(task, checkpoint);
                match progress.write() {
                    Ok(()) => is_written = true,
                    // once, not every second
                    Err(error) if is_written => {
                        is_written = false;
                        warn!("{error:#}");
                    }
                    Err(_) => {}
                }
            } else {
                last = checkpoint;
            }
        };
        let ended = self.runner.run(task, from, self.output, &mut save).await?;
        self.output.end(task, self.runner.turnstile.requests());
        self.leave(task, &last);
        Ok(ended)
    }

    /// Notes what of a list is left; what has failed is noted already.
    fn leave(&mut self, task: &Task, from: &Checkpoint) {
        if self.args.tiles_file.is_none() {
            return;
        }
        let failed = self.output.failed_of(task);
        let left = from.retry.iter().filter(|id| !failed.contains(id.as_str()));
        self.left
            .extend(left.map(|id| Failed::new(task, id.clone(), "not tried".to_owned())));
    }

    /// Tells what would be made.
    async fn describe(&mut self, task: &Task, from: &Checkpoint) -> Result<()> {
        if !from.retry.is_empty() {
            self.output
                .note(&format!("{}\n  {} pieces of the list:", task.title(), from.retry.len()));
            for id in &from.retry {
                self.output.note(&format!("    {id}"));
            }
            return Ok(());
        }
        describe(self.runner, task, self.output).await?;
        if let Some((level, picture)) = self.runner.look(task).await?.levels.last() {
            self.output
                .note(&format!("  level {level}:\n{}", map::small(picture).trim_end()));
        }
        Ok(())
    }
}

/// The tasks that are asked for.
fn select(args: &SeedArgs, all: &[Task]) -> Result<Vec<Task>> {
    let chosen = |names: Option<&Vec<String>>, other: bool, is_seed: bool| -> Result<Vec<Task>> {
        let of_kind = all.iter().filter(|task| task.is_seed() == is_seed);
        let kind = if is_seed { "seed" } else { "cleanup" };
        match names {
            None if other => Ok(Vec::new()),
            None => Ok(of_kind.cloned().collect()),
            Some(names) if names.iter().any(|name| name == "ALL") => Ok(of_kind.cloned().collect()),
            Some(names) => {
                for name in names {
                    if !of_kind.clone().any(|task| task.info.name == *name) {
                        let mut known: Vec<String> = of_kind.map(|task| format!("`{}`", task.info.name)).collect();
                        known.dedup();
                        let known = if known.is_empty() {
                            "none".to_owned()
                        } else {
                            known.join(", ")
                        };
                        bail!("unknown {kind} task `{name}`; there are: {known}");
                    }
                }
                Ok(of_kind
                    .filter(|task| names.contains(&task.info.name))
                    .cloned()
                    .collect())
            }
        }
    };
    let mut tasks = chosen(args.seed.as_ref(), args.cleanup.is_some(), true)?;
    tasks.extend(chosen(args.cleanup.as_ref(), args.seed.is_some(), false)?);
    Ok(tasks)
}

async fn describe(runner: &Runner, task: &Task, output: &Output) -> Result<()> {
    let mut text = task.title();
    for fact in &task.info.facts {
        text.push_str("\n  ");
        text.push_str(fact);
    }
    if let Some(reason) = &task.info.unusable {
        text.push_str("\n  cannot be run: ");
        text.push_str(reason);
        output.note(&text);
        output.event(&json!({ "event": "estimate", "name": task.info.name, "unusable": reason }));
        return Ok(());
    }
    let estimate = runner.count(task).await?;
    if task.is_seed() {
        text.push('\n');
        text.push_str(&estimate_text(&estimate, runner.turnstile.rates().per_second()));
    }
    output.note(&text);
    tell_estimate(runner, task, &estimate, output);
    Ok(())
}

/// The event of an estimate.
fn tell_estimate(runner: &Runner, task: &Task, estimate: &Estimate, output: &Output) {
    let levels: Vec<_> = estimate
        .levels
        .iter()
        .map(|level| json!({ "level": level.level, "tiles": level.tiles, "pieces": level.pieces }))
        .collect();
    let seconds = least_time(estimate, runner.turnstile.rates().per_second()).map(|time| time.as_secs_f64());
    output.event(&json!({
        "event": "estimate", "kind": task.kind(), "name": task.info.name, "cache": task.info.cache,
        "grid": task.info.grid, "exact": estimate.exact, "levels": levels,
        "bytes": task.is_seed().then(|| estimated_bytes(estimate)), "seconds_at_least": seconds,
    }));
}

/// Asks whether a task is to be run.
fn wanted(task: &Task) -> bool {
    let mut out = std::io::stderr().lock();
    let facts = task.info.facts.join("\n  ");
    let _ = write!(out, "{}\n  {facts}\nrun this task? [y/N] ", task.title()).and_then(|()| out.flush());
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) => matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"),
        Err(_) => false,
    }
}

/// One signal lets pieces come to their end, a second one does not.
pub(super) fn stop_on_signals(stop: &watch::Sender<u8>) -> Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                stop.send_modify(|stop| *stop = stop.saturating_add(1));
            }
        });
    }
    Ok(())
}

/// Held while a cache is worked on, see `--use-cache-lock`; `None`: another process has it.
fn cache_lock(task: &Task) -> Result<Option<ProcessLock>> {
    let cache = task.info.cache.chars();
    let name: String = cache.map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let path = PathBuf::from(format!(".mapproxy_seed_{name}.lck"));
    ProcessLock::take(path.clone()).with_context(|| format!("failed to lock `{}`", path.display()))
}

/// How long it is too early for the next run.
fn too_early(args: &SeedArgs) -> Result<Option<Duration>> {
    let (Some(file), Some(interval)) = (&args.reseed_file, args.reseed_interval) else {
        return Ok(None);
    };
    let modified = match fs::metadata(file) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", file.display())),
    };
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    Ok(interval.checked_sub(age).filter(|wait| !wait.is_zero()))
}

/// The run is complete: the file tells when it began.
fn finish_reseed(args: &SeedArgs, started: f64) -> Result<()> {
    let Some(path) = &args.reseed_file else { return Ok(()) };
    let touch = |path: &Path| -> std::io::Result<()> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let began = Duration::try_from_secs_f64(started).unwrap_or_default();
        file.set_modified(SystemTime::UNIX_EPOCH + began)
    };
    touch(path).with_context(|| format!("failed to write `{}`", path.display()))
}

pub(super) fn unix_now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn configuration_error(error: &anyhow::Error) -> ExitCode {
    report(error);
    ExitCode::from(CONFIGURATION)
}

fn report(error: &anyhow::Error) {
    // A reader that went away misses it.
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
}
