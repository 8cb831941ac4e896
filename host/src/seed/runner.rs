//! Works off the tasks: plans ahead, keeps pieces running, tries failed ones again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::concurrency::{Concurrency, Window};
use super::gate::{PieceGate, Seen, Turnstile};
use super::ledger::{BatchNumber, Checkpoint, Ledger};
use super::map::TaskMap;
use super::output::{Output, Progress, Waiting};
use super::task::{Failed, Task};
use crate::app::App;
use crate::bindings::seeding::{Batch, Estimate, Failure, Options, Report};
use crate::instance::{Guests, Worker};
use crate::outbound::OriginKey;

/// Pieces that are planned at once.
const BATCH: u32 = 128;
/// How often the state is saved and shown.
const TICK: Duration = Duration::from_secs(1);
const LONGEST_RETRY_WAIT: Duration = Duration::from_mins(10);
/// Tries of a piece whose lock somebody else holds.
const BUSY_TRIES: u32 = 100;
const BUSY_WAIT: Duration = Duration::from_millis(100);
/// While more pieces than that wait for another try no new ones are planned: a source that is down must not fill the
/// memory.
const MOST_LATER: usize = 10_000;
/// With more pieces to name than that the state is saved less often: it takes a while.
const LONG_STATE: usize = 10_000;
const LONG_STATE_TICKS: u64 = 30;
/// Tries to plan, before it is taken for impossible.
const PLAN_TRIES: u32 = 3;

/// What happens to failed pieces before they have failed for good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    pub(crate) most: u32,
    pub(crate) first_wait: Duration,
}

/// What a piece that has failed for good means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    Skip,
    Stop,
}

/// How work on a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Complete,
    /// by a signal, or because its time was up
    Interrupted,
    /// by a failure, see [`OnError::Stop`]
    Failed,
}

/// Everything a run needs.
pub(crate) struct Runner {
    pub(crate) guests: Arc<Guests>,
    pub(crate) app: Arc<App>,
    pub(crate) turnstile: Arc<Turnstile>,
    pub(crate) options: Options,
    pub(crate) concurrency: Concurrency,
    pub(crate) retries: Retries,
    pub(crate) on_error: OnError,
    pub(crate) piece_timeout: Duration,
    /// 1: begin nothing new; 2: leave at once
    pub(crate) stop: watch::Receiver<u8>,
}

/// A piece and its history.
#[derive(Debug, Clone)]
struct Job {
    id: String,
    level: Option<u32>,
    /// `None`: it is kept by itself, see [`Ledger::postponed`]
    batch: Option<BatchNumber>,
    failures: u32,
    busy: u32,
}

struct Ran {
    job: Job,
    outcome: Result<Report, Failure>,
    seen: Seen,
    held: bool,
    elapsed: Duration,
}

/// Work on one task.
struct Work<'a> {
    runner: &'a Runner,
    options: Options,
    task: &'a Task,
    output: &'a mut Output,
    ledger: Ledger,
    cursor: Option<Vec<u8>>,
    planned: bool,
    plan_failures: u32,
    planner: Option<JoinHandle<Result<Batch, Failure>>>,
    ready: VecDeque<Job>,
    /// by the time of the next try
    later: BTreeMap<(Instant, u64), Job>,
    postponed: u64,
    running: JoinSet<Ran>,
    window: Window,
    /// servers that pieces of this task have asked
    origins: Vec<OriginKey>,
    /// why the last try failed
    trouble: Option<String>,
    ended: Option<Ended>,
}

impl Runner {
    /// The tasks of the application.
    pub(crate) async fn tasks(&self) -> Result<Vec<Task>> {
        match self.worker().await?.tasks().await? {
            Ok(tasks) => Ok((0..)
                .zip(tasks)
                .map(|(number, info)| Task {
                    number,
                    label: None,
                    info,
                })
                .collect()),
            Err(reason) => bail!("{reason}"),
        }
    }

    /// Counts a task.
    pub(crate) async fn count(&self, task: &Task) -> Result<Estimate> {
        done(self.worker().await?.count(task.number, self.options).await?)
    }

    /// Looks at all levels of a task.
    pub(crate) async fn look(&self, task: &Task) -> Result<TaskMap> {
        let mut levels = Vec::new();
        for level in &task.info.levels {
            let picture = self.worker().await?.look(task.number, self.options, *level).await?;
            levels.push((*level, done(picture)?));
        }
        Ok(TaskMap {
            title: task.title(),
            levels,
        })
    }

    async fn worker(&self) -> Result<Worker, crate::instance::Failure> {
        let gate = PieceGate::new(Arc::clone(&self.turnstile));
        self.guests.worker(&self.app, gate).await
    }

    /// Works a task off from this state on; `save` gets the state every second and at the end. What has failed is left in
    /// it.
    pub(crate) async fn run(
        &self,
        task: &Task,
        from: Checkpoint,
        output: &mut Output,
        save: &mut dyn FnMut(Checkpoint),
    ) -> Result<Ended> {
        let started = from.started.unwrap_or(self.options.started);
        let run = from.run.unwrap_or(self.options.run);
        let alone = |id: &String| Job {
            id: id.clone(),
            level: None,
            batch: None,
            failures: 0,
            busy: 0,
        };
        let mut work = Work {
            runner: self,
            options: Options {
                started,
                run,
                ..self.options
            },
            task,
            output,
            cursor: from.cursor.clone(),
            planned: from.planned,
            plan_failures: 0,
            ready: from.retry.iter().map(alone).collect(),
            ledger: Ledger::new(Checkpoint {
                started: Some(started),
                run: Some(run),
                ..from
            }),
            planner: None,
            later: BTreeMap::new(),
            postponed: 0,
            running: JoinSet::new(),
            window: Window::new(self.concurrency),
            origins: Vec::new(),
            trouble: None,
            ended: None,
        };
        let ended = work.run(save).await?;
        save(work.ledger.checkpoint());
        Ok(ended)
    }
}

impl Work<'_> {
    async fn run(&mut self, save: &mut dyn FnMut(Checkpoint)) -> Result<Ended> {
        let mut stop = self.runner.stop.clone();
        let mut tick = tokio::time::interval_at(Instant::now() + TICK, TICK);
        let mut ticks = 0_u64;
        loop {
            if *stop.borrow_and_update() >= 1 {
                self.ended = self.ended.or(Some(Ended::Interrupted));
            }
            if *stop.borrow() >= 2 {
                self.running.abort_all();
            }
            let wake = if self.ended.is_none() {
                self.plan_ahead();
                self.begin()
            } else {
                None
            };
            if self.running.is_empty() {
                if let Some(ended) = self.ended {
                    return Ok(ended);
                }
                if self.planned && self.ready.is_empty() && self.later.is_empty() && self.planner.is_none() {
                    return Ok(Ended::Complete);
                }
            }
            let wake = wake.unwrap_or_else(|| Instant::now() + TICK);
            tokio::select! {
                Some(ran) = self.running.join_next() => {
                    // A piece that was aborted has no result; it is not done.
                    if let Ok(ran) = ran {
                        self.ran(ran);
                    }
                }
                batch = next_batch(&mut self.planner) => self.take_batch(batch)?,
                _ = tick.tick() => {
                    ticks += 1;
                    if self.ledger.kept() < LONG_STATE || ticks.is_multiple_of(LONG_STATE_TICKS) {
                        save(self.ledger.checkpoint());
                    }
                    self.show();
                }
                () = sleep_until(wake) => {}
                _ = stop.changed() => {}
            }
        }
    }

    fn show(&mut self) {
        let state = Progress {
            share: self.ledger.progress(),
            requests: self.runner.turnstile.requests(),
            at_once: self.window.size(),
            waiting: self.waiting(),
        };
        self.output.progress(self.task, &state);
    }

    /// Why nothing goes on, if that is so.
    fn waiting(&self) -> Option<Waiting> {
        if !self.running.is_empty() || self.ended.is_some() {
            return None;
        }
        let now = Instant::now();
        let (until, reason) = if self.ready.is_empty() {
            let (next_try, _) = self.later.keys().next()?;
            (*next_try, self.trouble.clone())
        } else {
            let opens = self.runner.turnstile.opens(&self.origins)?;
            let paused = self.runner.turnstile.paused(&self.origins);
            (
                Instant::from_std(opens),
                paused.then(|| "the server asked for a pause".to_owned()),
            )
        };
        let left = until.saturating_duration_since(now);
        // between two requests at a rate there is always a little
        (left >= TICK).then_some(Waiting { left, reason })
    }

    /// Keeps some pieces ready.
    fn plan_ahead(&mut self) {
        let enough = self.ready.len() > self.window.size() * 2 + BATCH as usize / 2 || self.later.len() > MOST_LATER;
        if self.planned || self.planner.is_some() || enough {
            return;
        }
        let (guests, app) = (Arc::clone(&self.runner.guests), Arc::clone(&self.runner.app));
        let gate = PieceGate::new(Arc::clone(&self.runner.turnstile));
        let (number, options, cursor) = (self.task.number, self.options, self.cursor.clone());
        self.planner = Some(tokio::spawn(async move {
            let mut worker = guests.worker(&app, gate).await.map_err(again)?;
            let batch = worker.plan(number, options, cursor.as_deref(), BATCH).await;
            batch.map_err(again)?
        }));
    }

    fn take_batch(&mut self, batch: Result<Batch, Failure>) -> Result<()> {
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(Failure::Permanent(reason)) => bail!("{}: {reason}", self.task.title()),
            Err(Failure::Again(reason) | Failure::Busy(reason)) => {
                self.plan_failures += 1;
                if self.plan_failures >= PLAN_TRIES {
                    bail!("failed to plan {}: {reason}", self.task.title());
                }
                return Ok(());
            }
        };
        self.plan_failures = 0;
        self.planned = batch.cursor.is_none();
        self.cursor.clone_from(&batch.cursor);
        batch.pieces.retain(|piece| !self.ledger.knows(&piece.id));
        let number = self.ledger.planned(batch.pieces.len(), batch.cursor, batch.progress);
        let jobs = batch.pieces.into_iter().map(|piece| Job {
            id: piece.id,
            level: Some(piece.level),
            batch: Some(number),
            failures: 0,
            busy: 0,
        });
        self.ready.extend(jobs);
        Ok(())
    }

    /// Begins as many pieces as may run; returns when there is a reason to look again.
    fn begin(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            self.ready.push_front(entry.remove());
        }
        let next_try = self.later.keys().next().map(|(time, _)| *time);
        while self.running.len() < self.window.size() {
            if self.ready.is_empty() {
                return next_try;
            }
            if let Some(opens) = self.runner.turnstile.opens(&self.origins) {
                let opens = Instant::from_std(opens);
                return Some(next_try.map_or(opens, |time| time.min(opens)));
            }
            if let Some(job) = self.ready.pop_front() {
                self.start(job);
            }
        }
        next_try
    }

    fn start(&mut self, job: Job) {
        let (guests, app) = (Arc::clone(&self.runner.guests), Arc::clone(&self.runner.app));
        let gate = PieceGate::new(Arc::clone(&self.runner.turnstile));
        let (number, options) = (self.task.number, self.options);
        let limit = self.runner.piece_timeout;
        self.running.spawn(async move {
            let started = Instant::now();
            let worker_gate = Arc::clone(&gate);
            let piece = async {
                let mut worker = guests.worker(&app, worker_gate).await.map_err(again)?;
                worker.run(number, options, &job.id).await.map_err(again)?
            };
            // Dropping the instance ends it, whatever it was doing.
            let outcome = timeout(limit, piece)
                .await
                .unwrap_or_else(|_elapsed| Err(Failure::Again(format!("not done within {limit:?}"))));
            Ran {
                seen: gate.seen(),
                held: gate.was_held(),
                elapsed: started.elapsed(),
                job,
                outcome,
            }
        });
    }

    fn ran(&mut self, ran: Ran) {
        let Ran {
            mut job,
            outcome,
            seen,
            held,
            elapsed,
        } = ran;
        if seen.requests > 0 && !held {
            self.window.ended(elapsed, outcome.is_err());
        }
        for origin in seen.origins {
            if !self.origins.contains(&origin) {
                self.origins.push(origin);
            }
        }
        let reason = match outcome {
            Ok(report) => {
                self.output.did(self.task, job.level, &report);
                match report.rest {
                    Some(rest) => {
                        self.ledger.goes_on(&job.id, &rest);
                        self.ready.push_front(Job { id: rest, ..job });
                    }
                    None => self.ledger.done(job.batch, &job.id),
                }
                return;
            }
            Err(_) if held => {
                // it was not sent: the turnstile says when it may be
                self.ready.push_front(job);
                return;
            }
            Err(Failure::Busy(reason)) => {
                job.busy += 1;
                if job.busy <= BUSY_TRIES {
                    self.postpone(job, BUSY_WAIT);
                    return;
                }
                reason
            }
            Err(Failure::Again(reason)) => {
                job.failures += 1;
                if job.failures <= self.runner.retries.most {
                    let wait = self.runner.retries.first_wait;
                    let wait = wait
                        .saturating_mul(1 << (job.failures - 1).min(16))
                        .min(LONGEST_RETRY_WAIT);
                    self.output.retried(self.task, &job.id, &reason, wait);
                    self.trouble = Some(reason);
                    self.postpone(job, wait);
                    return;
                }
                reason
            }
            Err(Failure::Permanent(reason)) => reason,
        };
        self.ledger.failed(job.batch, &job.id);
        self.output.failed(Failed::new(self.task, job.id, reason));
        if self.runner.on_error == OnError::Stop {
            self.ended = Some(Ended::Failed);
        }
    }

    fn postpone(&mut self, mut job: Job, wait: Duration) {
        self.ledger.postponed(job.batch.take(), &job.id);
        self.postponed += 1;
        self.later.insert((Instant::now() + wait, self.postponed), job);
    }
}

/// The plan under way, or never.
async fn next_batch(planner: &mut Option<JoinHandle<Result<Batch, Failure>>>) -> Result<Batch, Failure> {
    let Some(handle) = planner else {
        return std::future::pending().await;
    };
    let batch = handle.await;
    *planner = None;
    batch.unwrap_or_else(|error| Err(again(error)))
}

fn done<T>(result: Result<T, Failure>) -> Result<T> {
    match result {
        Ok(done) => Ok(done),
        Err(Failure::Again(reason) | Failure::Busy(reason) | Failure::Permanent(reason)) => bail!("{reason}"),
    }
}

fn again(error: impl std::fmt::Display) -> Failure {
    Failure::Again(error.to_string())
}
