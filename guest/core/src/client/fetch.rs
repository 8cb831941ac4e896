//! Carries out plans: sends the requests of several layers at once, within the limits of their sources.

use std::rc::Rc;
use std::time::Duration;

use crate::http::{HttpFailure, HttpRequest};
use crate::image::MapImage;
use crate::layer::{Answer, LayerError, MapLayer, Outcome, Plan, Upstream, all, beat};
use crate::lock::{FileLock, LockError, POLL, acquire_slot, try_acquire_slot};
use crate::platform::Platform;
use crate::query::MapQuery;

use super::session;

/// The maps of several layers in their order; what they ask of servers goes out together.
pub fn get_maps(
    platform: &Rc<dyn Platform>,
    layers: &[Rc<dyn MapLayer>],
    query: &MapQuery,
) -> Result<Vec<Outcome<Option<MapImage>>>, LayerError> {
    let plans = layers.iter().map(|layer| layer.plan(query)).collect();
    carry_out(platform, all(plans, usize::MAX))
}

/// Carries out a plan, step by step.
pub fn carry_out<T>(platform: &Rc<dyn Platform>, plan: Plan<'_, T>) -> Result<T, LayerError> {
    let mut plan = plan;
    loop {
        plan = match plan {
            Plan::Done(value) => return Ok(value),
            Plan::Ask(ask) => {
                let answers = send_all(platform, ask.requests, ask.parallel, &mut || beat(&ask.held));
                (ask.answer)(answers)?
            }
            Plan::Wait { held, again } => {
                beat(&held);
                platform.clock().sleep(POLL);
                again()?
            }
        };
    }
}

/// Sends requests at once, those of limited sources when they have a place; answers in the order of the requests.
/// Servers that ask for credentials are asked again with them.
pub fn send_all(
    platform: &Rc<dyn Platform>,
    mut requests: Vec<Upstream>,
    parallel: usize,
    heartbeat: &mut dyn FnMut(),
) -> Vec<Answer> {
    if requests.iter().all(|upstream| upstream.session.is_none()) {
        return exchange(platform, requests, parallel, heartbeat);
    }
    for upstream in &mut requests {
        session::prepare(platform.as_ref(), upstream);
    }
    let mut answers = exchange(platform, requests.clone(), parallel, heartbeat);
    let (mut positions, mut again) = (Vec::new(), Vec::new());
    for (position, (answer, mut upstream)) in answers.iter().zip(requests).enumerate() {
        let (Some(session), Ok(reply)) = (upstream.session.clone(), answer) else {
            continue;
        };
        session::remember(platform.as_ref(), &session, &upstream.request.url, reply);
        if let Some(answer) = session::authorization(platform.as_ref(), &session, &upstream.request, reply) {
            upstream.request.headers.set("Authorization", answer);
            session::prepare(platform.as_ref(), &mut upstream);
            positions.push((position, session, upstream.request.url.clone()));
            again.push(upstream);
        }
    }
    let second = exchange(platform, again, parallel, heartbeat);
    for ((position, session, url), answer) in positions.into_iter().zip(second) {
        if let Ok(reply) = &answer {
            session::remember(platform.as_ref(), &session, &url, reply);
        }
        if let Some(first) = answers.get_mut(position) {
            *first = answer;
        }
    }
    answers
}

fn exchange(
    platform: &Rc<dyn Platform>,
    requests: Vec<Upstream>,
    parallel: usize,
    heartbeat: &mut dyn FnMut(),
) -> Vec<Answer> {
    if requests.is_empty() {
        return Vec::new();
    }
    let parallel = parallel.max(1);
    if requests.iter().all(|upstream| upstream.slots.is_none()) {
        let requests: Vec<HttpRequest> = requests.into_iter().map(|upstream| upstream.request).collect();
        return platform.http().send_all(&requests, parallel, heartbeat);
    }
    let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
    let mut waiting: Vec<(usize, Upstream)> = requests.into_iter().enumerate().collect();
    while !waiting.is_empty() {
        let (batch, places) = next_batch(platform, &mut waiting, &mut answers, heartbeat);
        let (positions, batch): (Vec<usize>, Vec<HttpRequest>) = batch.into_iter().unzip();
        let mut beat = || {
            heartbeat();
            places.iter().for_each(FileLock::beat);
        };
        let replies = platform.http().send_all(&batch, parallel, &mut beat);
        for (position, reply) in positions.into_iter().zip(replies) {
            if let Some(answer) = answers.get_mut(position) {
                *answer = Some(reply);
            }
        }
    }
    let lost = || HttpFailure::Incomplete {
        reason: "no answer was kept".to_owned(),
    };
    answers
        .into_iter()
        .map(|answer| answer.unwrap_or_else(|| Err(lost())))
        .collect()
}

/// Takes out of `waiting` what may be sent now: all without a limit and those that find a place; if there are none,
/// waits for the first one's.
fn next_batch(
    platform: &Rc<dyn Platform>,
    waiting: &mut Vec<(usize, Upstream)>,
    answers: &mut [Option<Answer>],
    heartbeat: &mut dyn FnMut(),
) -> (Vec<(usize, HttpRequest)>, Vec<FileLock>) {
    let mut batch = Vec::new();
    let mut places = Vec::new();
    let mut left = Vec::new();
    for (position, upstream) in waiting.drain(..) {
        let Some(slots) = &upstream.slots else {
            batch.push((position, upstream.request));
            continue;
        };
        match try_acquire_slot(platform, &slots.base, slots.count) {
            Ok(Some(place)) => {
                places.push(place);
                batch.push((position, upstream.request));
            }
            Ok(None) => left.push((position, upstream)),
            Err(error) => refuse(answers, position, &error.into()),
        }
    }
    if batch.is_empty() && !left.is_empty() {
        let (position, upstream) = left.remove(0);
        if let Some(slots) = &upstream.slots {
            let timeout = upstream.request.timeout.max(Duration::from_secs(1));
            match acquire_slot(platform, &slots.base, slots.count, timeout, heartbeat) {
                Ok(place) => {
                    places.push(place);
                    batch.push((position, upstream.request));
                }
                Err(error) => refuse(answers, position, &error),
            }
        }
    }
    *waiting = left;
    (batch, places)
}

fn refuse(answers: &mut [Option<Answer>], position: usize, error: &LockError) {
    if let Some(answer) = answers.get_mut(position) {
        *answer = Some(Err(HttpFailure::Connection {
            reason: error.to_string(),
        }));
    }
}
