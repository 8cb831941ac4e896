//! `mapproxy seed`.

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
use crate::bindings::seeding::Options;
use crate::cli::ComponentArgs;
use crate::component;
use crate::directories::next_round;
use crate::engine::{self, EngineLimits};
use crate::instance::Guests;
use crate::outbound::{Outbound, OutboundLimits};
use crate::seed::args::SeedArgs;
use crate::seed::map::{self, TaskMap};
use crate::seed::{
    Concurrency, Ended, Output, Pieces, ProgressFile, Rates, Retries, Runner, Style, Task, Turnstile, estimate_text,
    listed,
};

/// Instances beside those of pieces: one that plans, one that counts.
const SPARE_INSTANCES: usize = 4;
const UNKNOWN_TASK: u8 = 1;
const CONFIGURATION: u8 = 2;
pub(super) const INTERRUPTED: u8 = 3;
pub(super) const FAILED: u8 = 4;

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
        let now = unix_now();
        let progress = if args.continue_seed {
            ProgressFile::read(&args.progress_file, now)
        } else {
            ProgressFile::new(&args.progress_file, now)
        };
        let runner = Runner {
            guests: Arc::clone(&loader.guests),
            app: Arc::new(app),
            turnstile: Turnstile::new(Rates::new(args.rate.clone())),
            options: Options {
                started: progress.started,
                skip_uncached: args.skip_uncached,
                skip_geoms_for_last_levels: args.skip_geoms_for_last_levels,
                dry_run: args.dry_run,
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
        run(args, &runner, progress).await
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

async fn run(args: &SeedArgs, runner: &Runner, mut progress: ProgressFile) -> Result<ExitCode> {
    let all = runner.tasks().await?;
    let mut tasks = match select(args, &all) {
        Ok(tasks) => tasks,
        Err(error) => {
            report(&error);
            return Ok(ExitCode::from(UNKNOWN_TASK));
        }
    };
    let style = Style {
        format: args.format,
        quiet: args.quiet,
    };
    let failed_file = args.failed_file.as_deref().filter(|_| !args.dry_run && !args.summary);
    let mut output = Output::new(style, failed_file)?;
    if args.interactive {
        tasks.retain(wanted);
    }
    let mut unusable = false;
    if args.summary {
        for task in &tasks {
            describe(runner, task, &output).await?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    tasks.retain(|task| match &task.info.unusable {
        Some(reason) => {
            report(&anyhow::anyhow!("{} cannot be run: {reason}", task.title()));
            unusable = true;
            false
        }
        None => true,
    });
    if let Some(path) = &args.map {
        let mut maps = Vec::new();
        for task in &tasks {
            maps.push(runner.look(task).await?);
        }
        map::write(path, &maps)?;
        for TaskMap { title, levels } in &maps {
            output.note(title);
            for (level, picture) in levels {
                output.note(&format!("  level {level}: {}", map::counts(picture)));
            }
        }
        if !args.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let list = match &args.tiles_file {
        Some(path) => Some(fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?),
        None => None,
    };
    let ended = work(args, runner, tasks, list.as_deref(), &mut progress, &mut output).await?;
    output.summary(failed_file);
    output.event(&json!({ "event": "end", "complete": ended == Ended::Complete, "failed": output.any_failed() }));
    if ended == Ended::Interrupted {
        output.note("interrupted; `--continue` goes on from here");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if output.any_failed() {
        return Ok(ExitCode::from(FAILED));
    }
    if ended == Ended::Complete && !args.dry_run {
        progress.remove();
        finish_reseed(args, progress.started)?;
    }
    Ok(if unusable {
        ExitCode::from(CONFIGURATION)
    } else {
        ExitCode::SUCCESS
    })
}

async fn work(
    args: &SeedArgs,
    runner: &Runner,
    tasks: Vec<Task>,
    list: Option<&str>,
    progress: &mut ProgressFile,
    output: &mut Output,
) -> Result<Ended> {
    let mut waiting: std::collections::VecDeque<Task> = tasks.into();
    let mut passed = 0;
    let mut stop = runner.stop.clone();
    while let Some(task) = waiting.pop_front() {
        if *stop.borrow_and_update() > 0 {
            return Ok(Ended::Interrupted);
        }
        if args.dry_run && task.is_seed() {
            describe(runner, &task, output).await?;
            if let Some((level, picture)) = runner.look(&task).await?.levels.last() {
                output.note(&format!("  level {level}:\n{}", map::small(picture).trim_end()));
            }
            continue;
        }
        let checkpoint = progress.task(&task.key());
        if checkpoint.planned && checkpoint.retry.is_empty() && list.is_none() {
            continue;
        }
        let lock = if args.use_cache_lock {
            CacheLock::take(&task)?
        } else {
            Some(CacheLock(None))
        };
        let Some(_lock) = lock else {
            // others first; when all are locked, look again in a while
            waiting.push_back(task);
            passed += 1;
            if passed >= waiting.len() {
                passed = 0;
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    _ = stop.changed() => {}
                }
            }
            continue;
        };
        passed = 0;
        let pieces = match list {
            Some(list) if task.is_seed() => Pieces::Listed(listed(list, &task)),
            Some(_) => continue,
            None => Pieces::Planned(checkpoint),
        };
        output.begin(&task, runner.turnstile.requests());
        let keeps_state = list.is_none() && !args.dry_run;
        let mut save = |checkpoint| {
            if !keeps_state {
                return;
            }
            progress.set(&task.key(), checkpoint);
            if let Err(error) = progress.write() {
                warn!("{error:#}");
            }
        };
        let ended = runner.run(&task, pieces, output, &mut save).await?;
        output.end(&task, runner.turnstile.requests());
        if ended != Ended::Complete {
            return Ok(ended);
        }
    }
    Ok(Ended::Complete)
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
    let levels: Vec<_> = estimate
        .levels
        .iter()
        .map(|level| json!({ "level": level.level, "tiles": level.tiles, "pieces": level.pieces }))
        .collect();
    output.event(&json!({
        "event": "estimate", "kind": task.kind(), "name": task.info.name, "cache": task.info.cache,
        "grid": task.info.grid, "exact": estimate.exact, "levels": levels,
    }));
    Ok(())
}

/// Asks whether a task is to be run.
fn wanted(task: &Task) -> bool {
    let mut out = std::io::stdout().lock();
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

/// Held while a cache is worked on, see `--use-cache-lock`. The system releases it when the process ends.
struct CacheLock(Option<(File, PathBuf)>);

impl CacheLock {
    /// `None`: another process has it.
    fn take(task: &Task) -> Result<Option<Self>> {
        let name: String = task
            .info
            .cache
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        let path = PathBuf::from(format!(".mapproxy_seed_{name}.lck"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("failed to open `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(Some((file, path))))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("failed to lock `{}`", path.display()))
            }
        }
    }
}

impl Drop for CacheLock {
    fn drop(&mut self) {
        if let Some((file, path)) = &self.0
            && let Err(error) = file.unlock()
        {
            warn!(file = %path.display(), %error, "failed to release a lock");
        }
    }
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
