//! Work in steps: what has to be asked of servers, and what becomes of the answers.
//!
//! A component has one thread, so servers are asked concurrently in one place only,
//! [`HttpClient::send_all`](crate::platform::HttpClient::send_all). A layer that needs servers says so with a
//! [`Plan`]; `client::carry_out` sends the requests and hands the answers back. The plans of several layers, caches or
//! meta tiles become one with [`all`]: what they ask goes out together, round by round.
//!
//! A plan never blocks: where it needs a lock that another process has, it says so ([`Plan::Wait`]), and the others of
//! its kind go on. So no lock is waited for without the work under way being finished, and two processes cannot block
//! each other.

use std::fmt;
use std::rc::{Rc, Weak};

use crate::http::{HttpFailure, HttpReply, HttpRequest};
use crate::image::MapImage;
use crate::lock::FileLock;

use super::LayerError;

/// A request to a server, with what limits how many may be under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub request: HttpRequest,
    pub slots: Option<Slots>,
    pub session: Option<Rc<Session>>,
}

/// `concurrent_requests` of a source: counted over all instances and processes with lock files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// path of the lock files without the number at their end
    pub base: String,
    pub count: u32,
}

/// What lasts between the requests to a server, see `client/session.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// user and password, for when the server asks for them
    pub credentials: Option<(String, String)>,
    /// cookies are kept and sent (`manage_cookies`)
    pub cookies: bool,
    /// path of the files in which it is kept, without what tells them apart
    pub base: String,
}

/// What a server answered.
pub type Answer = Result<HttpReply, HttpFailure>;

/// Locks that are held while a plan is under way, by whoever will release them.
pub(super) type HeldLocks = Vec<Weak<FileLock>>;

/// How a layer comes to its map, or a cache to its tiles.
pub enum Plan<'a, T = Option<MapImage>> {
    /// It has it, or knows that there is nothing.
    Done(T),
    /// Servers have to be asked.
    Ask(Ask<'a, T>),
    /// Something is waited for, mostly a lock: to be tried again after [`POLL`](crate::lock::POLL).
    Wait {
        held: HeldLocks,
        again: Box<dyn FnOnce() -> Result<Self, LayerError> + 'a>,
    },
}

/// Requests, and what becomes of the answers.
pub struct Ask<'a, T> {
    pub requests: Vec<Upstream>,
    /// how many of them may be under way at once
    pub parallel: usize,
    pub held: HeldLocks,
    /// gets the answers in the order of the requests
    pub answer: Next<'a, T>,
}

/// The next step, with the answers.
type Next<'a, T> = Box<dyn FnOnce(Vec<Answer>) -> Result<Plan<'a, T>, LayerError> + 'a>;

impl<T> fmt::Debug for Plan<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done(_) => "Done",
            Self::Ask(_) => "Ask",
            Self::Wait { .. } => "Wait",
        })
    }
}

impl<T> fmt::Debug for Ask<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl<'a, T: 'a> Plan<'a, T> {
    /// One request.
    pub fn ask(request: Upstream, finish: impl FnOnce(Answer) -> Result<T, LayerError> + 'a) -> Self {
        let answer = |answers: Vec<Answer>| {
            let missing = || {
                Err(HttpFailure::Incomplete {
                    reason: "the request was not sent".to_owned(),
                })
            };
            finish(answers.into_iter().next().unwrap_or_else(missing)).map(Self::Done)
        };
        Self::Ask(Ask {
            requests: vec![request],
            parallel: 1,
            held: HeldLocks::new(),
            answer: Box::new(answer),
        })
    }

    /// Goes on with the result.
    pub fn then<U: 'a>(
        self,
        next: impl FnOnce(T) -> Result<Plan<'a, U>, LayerError> + 'a,
    ) -> Result<Plan<'a, U>, LayerError> {
        Ok(match self {
            Self::Done(value) => next(value)?,
            Self::Ask(Ask {
                requests,
                parallel,
                held,
                answer,
            }) => Plan::Ask(Ask {
                requests,
                parallel,
                held,
                answer: Box::new(move |answers| answer(answers)?.then(next)),
            }),
            Self::Wait { held, again } => Plan::Wait {
                held,
                again: Box::new(move || again()?.then(next)),
            },
        })
    }

    /// The same, for a last step.
    pub fn map<U: 'a>(self, last: impl FnOnce(T) -> Result<U, LayerError> + 'a) -> Result<Plan<'a, U>, LayerError> {
        self.then(|value| last(value).map(Plan::Done))
    }

    /// While it is under way, these locks are kept alive.
    #[must_use]
    pub fn holding(self, locks: HeldLocks) -> Self {
        let with = |mut held: HeldLocks| {
            held.extend(locks.iter().cloned());
            held
        };
        match self {
            Self::Done(value) => Self::Done(value),
            Self::Ask(ask) => Self::Ask(Ask {
                requests: ask.requests,
                parallel: ask.parallel,
                held: with(ask.held),
                answer: Box::new(move |answers| Ok((ask.answer)(answers)?.holding(locks))),
            }),
            Self::Wait { held, again } => Self::Wait {
                held: with(held),
                again: Box::new(move || Ok(again()?.holding(locks))),
            },
        }
    }
}

/// Shows that the holders of locks are alive.
pub fn beat(held: &HeldLocks) {
    for lock in held.iter().filter_map(Weak::upgrade) {
        lock.beat();
    }
}

/// What a plan among others came to.
pub type Outcome<T> = Result<T, LayerError>;

/// Several plans as one: what they ask goes out together, at most `most` requests at once. One that fails leaves the
/// others alone; what waits is tried again with each round.
pub fn all<'a, T: 'a>(plans: Vec<Result<Plan<'a, T>, LayerError>>, most: usize) -> Plan<'a, Vec<Outcome<T>>> {
    let mut plans = plans;
    let (mut requests, mut parallel, mut held) = (Vec::new(), 0, HeldLocks::new());
    let mut counts = Vec::with_capacity(plans.len());
    let mut done = true;
    for plan in &mut plans {
        let mut count = 0;
        match plan {
            Ok(Plan::Ask(ask)) => {
                count = ask.requests.len();
                requests.append(&mut ask.requests);
                parallel += ask.parallel;
                held.extend(ask.held.iter().cloned());
                done = false;
            }
            Ok(Plan::Wait { held: own, .. }) => {
                held.extend(own.iter().cloned());
                done = false;
            }
            Ok(Plan::Done(_)) | Err(_) => {}
        }
        counts.push(count);
    }
    if done {
        let value = |plan: Result<Plan<'a, T>, LayerError>| match plan {
            Ok(Plan::Done(value)) => Some(Ok(value)),
            Err(error) => Some(Err(error)),
            Ok(_) => None,
        };
        return Plan::Done(plans.into_iter().filter_map(value).collect());
    }
    let locks = held.clone();
    let next = move |answers: Vec<Answer>| {
        let mut answers = answers.into_iter();
        let step = |(plan, count): (Result<Plan<'a, T>, LayerError>, usize)| {
            beat(&locks);
            match plan? {
                Plan::Ask(ask) => (ask.answer)(answers.by_ref().take(count).collect()),
                Plan::Wait { again, .. } => again(),
                done @ Plan::Done(_) => Ok(done),
            }
        };
        let plans = plans.into_iter().zip(counts).map(step).collect();
        Ok(all(plans, most))
    };
    if requests.is_empty() {
        return Plan::Wait {
            held,
            again: Box::new(move || next(Vec::new())),
        };
    }
    Plan::Ask(Ask {
        requests,
        parallel: parallel.min(most),
        held,
        answer: Box::new(next),
    })
}
