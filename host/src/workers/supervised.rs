//! A worker's side: it gets its sockets and what to serve from the supervisor, and tells it how it is.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::net::SendFlags;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{debug, error};

use super::line::{Kind, Message};
use crate::apps::Plan;
use crate::listen::{Listener, take_over};
use crate::server::Server;
use crate::status::Counts;

/// Tells a process that it is a worker, and which; set by the supervisor alone.
pub(super) const ASSIGNMENT: &str = "MAPPROXY_WORKER";

/// How often a worker tells what it has counted.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What a worker has to know before anything else.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// How many share the limits of the command line.
    pub(crate) workers: usize,
    /// Requests after which this one is replaced.
    pub(crate) max_requests: Option<u64>,
}

/// What this process was told by its supervisor; `None` in any other process.
pub(crate) fn assigned() -> Result<Option<Assignment>> {
    let Some(text) = std::env::var_os(ASSIGNMENT) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let parsed = serde_json::from_str(&text);
    Ok(Some(parsed.with_context(|| {
        format!("`{ASSIGNMENT}` is not set by a supervisor: `{text}`")
    })?))
}

/// A worker's line to its supervisor.
#[derive(Debug)]
pub(crate) struct Supervised {
    line: UnixStream,
    /// Taken over with the line.
    pub(crate) listeners: Vec<Listener>,
}

impl Supervised {
    /// Takes over standard input.
    pub(crate) fn connect() -> Result<Self> {
        let descriptor: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
        let line = UnixStream::from(descriptor);
        let listeners = take_over(&line).context("failed to take over the sockets of the supervisor")?;
        Ok(Self { line, listeners })
    }

    /// Waits for what to serve first.
    pub(crate) fn plan(&mut self) -> Result<Plan> {
        let message = Message::read(&mut self.line).context("the supervisor is gone")?;
        ensure!(message.kind == Kind::Plan, "expected a plan of the supervisor");
        Plan::from_bytes(&message.payload)
    }

    /// Tells the supervisor that connections are accepted, and does what it says from now on. From now on this process
    /// also ends when the supervisor does.
    pub(crate) fn ready(self, server: Arc<Server>, max_requests: Option<u64>) -> Result<()> {
        tell(&self.line, &Message::new(Kind::Ready, Vec::new())).context("the supervisor is gone")?;
        let (orders, received) = mpsc::unbounded_channel();
        let mut line = self.line.try_clone()?;
        std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || {
                while let Ok(message) = Message::read(&mut line) {
                    if orders.send(message).is_err() {
                        // The runtime has ended, and the process is about to.
                        while matches!(line.read(&mut [0; 64]), Ok(1..)) {}
                    }
                }
                // Whoever reads the log may be gone too. Writing to it would then panic, and this thread end alone.
                let _ = std::panic::catch_unwind(|| error!("the supervisor is gone"));
                // Nobody could stop this process any more.
                std::process::exit(1);
            })?;
        tokio::spawn(obey(Arc::clone(&server), received));
        tokio::spawn(report(server, self.line, max_requests));
        Ok(())
    }
}

async fn obey(server: Arc<Server>, mut orders: mpsc::UnboundedReceiver<Message>) {
    while let Some(message) = orders.recv().await {
        let done = match message.kind {
            Kind::Plan => match Plan::from_bytes(&message.payload) {
                Ok(plan) => server.serve_plan(plan).await,
                Err(error) => Err(error),
            },
            Kind::ReopenLog => server.access.reopen(),
            Kind::Ready | Kind::Counts | Kind::Tired => Ok(()),
        };
        if let Err(error) = done {
            error!("a worker failed to do what its supervisor said: {error:#}");
        }
    }
}

async fn report(server: Arc<Server>, line: UnixStream, max_requests: Option<u64>) {
    // Workers that start together should not end together.
    let limit = max_requests.map(|limit| limit + limit / 10 * u64::from(std::process::id() % 16) / 15);
    let mut last = None;
    let mut tired = false;
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let counts = server.counters.counts();
        if last != Some(counts) && say(&line, Kind::Counts, &counts).is_ok() {
            last = Some(counts);
        }
        if !tired && limit.is_some_and(|limit| server.counters.total() >= limit) {
            tired = tell(&line, &Message::new(Kind::Tired, Vec::new())).is_ok();
        }
    }
}

fn say(line: &UnixStream, kind: Kind, counts: &Counts) -> io::Result<()> {
    let payload = serde_json::to_vec(counts).map_err(io::Error::other)?;
    tell(line, &Message::new(kind, payload))
}

/// Sends a short message without ever waiting: a supervisor that does not listen must not stop requests.
fn tell(line: &UnixStream, message: &Message) -> io::Result<()> {
    let bytes = message.to_bytes();
    let sent = rustix::net::send(line, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    if sent < bytes.len() {
        debug!("a message to the supervisor was cut");
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}
