//! Several processes that share the addresses: a supervisor and its workers.
//!
//! Instances come and go with page tables; threads of one process wait for each other there, processes do not (the
//! numbers are in docs/performance.md). Each worker serves with one thread, and has its own listening socket on each
//! address (`SO_REUSEPORT`); socket files and those we were started with all workers share. The supervisor opens all of
//! them, hands them to its workers and keeps them: what waits to be accepted when a worker ends, its successor accepts.
//!
//! The supervisor alone reads the configuration. Workers get it compiled, so that all serve the same, and one that is
//! replaced serves what the others serve, even if what is on disk is broken by then.
//!
//! A worker's standard input is a socket to the supervisor ([`line`]); its end says that the other one is gone.

mod line;
mod supervised;

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use self::line::{Kind, Message};
pub(crate) use self::supervised::{Assignment, Supervised, assigned};
use crate::apps::Plan;
use crate::listen::{Listener, Opened, Protocol, Sockets, hand_over};
use crate::shutdown::Signals;
use crate::status::{Counts, Status};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A worker that worked, and ended earlier than this after its start, is replaced after a short pause.
const YOUNG: Duration = Duration::from_secs(1);
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// Pause before a worker that never worked is replaced; doubled each time, so that one that cannot start does not use up
/// the machine.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What every worker is given, and how many there are.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) assignment: Assignment,
    /// Filter of the log, where the command line gives none.
    pub(crate) log: Option<String>,
    pub(crate) shutdown_timeout: Duration,
}

/// What workers have to be told.
#[derive(Debug)]
pub(crate) enum Change {
    /// Something else is to be served.
    Plan(Plan),
    /// The file of the access log was moved away.
    AccessLog,
}

/// Counts of all workers, those that have ended included.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    inner: Mutex<(HashMap<u64, Counts>, Counts)>,
}

impl Ledger {
    pub(crate) fn total(&self) -> Counts {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.values().fold(inner.1, |sum, counts| sum.and(*counts))
    }

    fn set(&self, worker: u64, counts: Counts) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.insert(worker, counts);
    }

    fn bury(&self, worker: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = inner.0.remove(&worker) {
            inner.1 = inner.1.and(counts.of_the_dead());
        }
    }
}

/// Starts the workers on `sockets`, calls `announce` with each address once they listen, and supervises them until a
/// signal ends it.
pub(crate) async fn supervise(
    orders: Orders,
    sockets: Sockets,
    plan: Plan,
    mut changes: mpsc::Receiver<Change>,
    status: Arc<Status>,
    ledger: Arc<Ledger>,
    announce: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let mut signals = Signals::catch()?;
    let mut addresses = Vec::new();
    for (protocol, address) in &sockets.tcp {
        addresses.push(Address::claim(*protocol, address).await?);
    }
    let (events, mut happened) = mpsc::unbounded_channel();
    let count = orders.assignment.workers;
    let mut team = Team {
        seats: Vec::new(),
        workers: HashMap::new(),
        next: 0,
        plan: plan_message(&plan)?,
        addresses,
        shared: sockets.opened,
        orders,
        status,
        ledger,
        events,
    };
    for seat in 0..count {
        let listeners = team.open()?;
        team.seats.push(Seat { listeners, failures: 0 });
        team.start(seat)?;
    }
    while !team.workers.values().all(|worker| worker.ready) {
        match happened.recv().await {
            Some(Event::Ended(id)) => {
                team.remove(id);
                bail!("a worker did not start");
            }
            Some(event) => team.happened(event)?,
            None => {}
        }
    }
    for address in &team.addresses {
        announce(&address.protocol.at(address.socket.local_addr()?))?;
    }
    for opened in &team.shared {
        announce(&opened.listener.address()?)?;
    }
    team.status.ready();
    loop {
        tokio::select! {
            Some(event) = happened.recv() => team.happened(event)?,
            Some(change) = changes.recv() => match change {
                Change::Plan(plan) => {
                    team.plan = plan_message(&plan)?;
                    team.tell_all(&team.plan);
                }
                Change::AccessLog => {
                    team.tell_all(&Arc::from(Message::new(Kind::ReopenLog, Vec::new()).to_bytes()));
                }
            },
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    team.drain(happened, signals).await;
    Ok(())
}

fn plan_message(plan: &Plan) -> Result<Arc<[u8]>> {
    Ok(Arc::from(Message::new(Kind::Plan, plan.to_bytes()?).to_bytes()))
}

/// An address that is ours: its socket never listens, but keeps a port that was chosen by the system from being given to
/// anyone else.
struct Address {
    protocol: Protocol,
    socket: TcpSocket,
}

impl Address {
    async fn claim(protocol: Protocol, address: &str) -> Result<Self> {
        let failed = || format!("failed to listen on `{address}`");
        let mut resolved = tokio::net::lookup_host(address).await.with_context(failed)?;
        let first = resolved.next().context("unknown host").with_context(failed)?;
        ensure_free(first).with_context(failed)?;
        let socket = shared_socket(first).with_context(failed)?;
        Ok(Self { protocol, socket })
    }

    /// One more socket that listens here.
    fn open(&self) -> Result<Listener> {
        let address = self.socket.local_addr()?;
        shared_socket(address)
            .and_then(|socket| socket.listen(BACKLOG))
            .and_then(|socket| Listener::tcp(self.protocol, socket))
            .with_context(|| format!("failed to listen on `{address}`"))
    }
}

/// A socket on `address` that shares it with others; it takes no connections before `listen`.
fn shared_socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = socket_for(address)?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// With `SO_REUSEPORT` two servers of one user could share a port by mistake, each getting half of the requests.
fn ensure_free(address: SocketAddr) -> std::io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = socket_for(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

fn socket_for(address: SocketAddr) -> std::io::Result<TcpSocket> {
    if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

/// What is told of workers.
enum Event {
    /// By the worker with this number.
    Said(u64, Message),
    Ended(u64),
    /// It is time to fill a seat again.
    Fill(usize),
}

/// A place for a worker: the sockets that are its own.
struct Seat {
    /// Empty while nobody sits here for a while: the system then gives new connections to others.
    listeners: Vec<Listener>,
    /// Workers that ended before they worked, one after the other.
    failures: u32,
}

struct Worker {
    seat: usize,
    pid: Pid,
    started: Instant,
    ready: bool,
    /// It makes room for another one.
    retiring: bool,
    line: mpsc::UnboundedSender<Arc<[u8]>>,
}

struct Team {
    seats: Vec<Seat>,
    workers: HashMap<u64, Worker>,
    /// Number of the next worker.
    next: u64,
    plan: Arc<[u8]>,
    addresses: Vec<Address>,
    /// Sockets all workers share.
    shared: Vec<Opened>,
    orders: Orders,
    status: Arc<Status>,
    ledger: Arc<Ledger>,
    events: mpsc::UnboundedSender<Event>,
}

impl Team {
    fn open(&self) -> Result<Vec<Listener>> {
        self.addresses.iter().map(Address::open).collect()
    }

    /// Runs this program again, with the same arguments.
    fn start(&mut self, seat: usize) -> Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .env(supervised::ASSIGNMENT, serde_json::to_string(&self.orders.assignment)?)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Ctrl-C in a terminal goes to a whole group; the workers are to hear of it from us, once.
            .process_group(0);
        if let Some(log) = &self.orders.log {
            command.env("MAPPROXY_LOG", log);
        }
        let child = command.spawn().context("failed to start a worker")?;
        // A command keeps its end of the line open.
        drop(command);
        let pid = child.id().context("a worker ended at once")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("a process id is not 0")?;
        let own = self.seats.get(seat).into_iter().flat_map(|seat| &seat.listeners);
        let shared = self.shared.iter().map(|opened| &opened.listener);
        let handed_over = hand_over(&ours, own.chain(shared));
        let id = self.next;
        self.next += 1;
        let (line, messages) = mpsc::unbounded_channel();
        // Fails where the channel is closed, which it is not.
        let _ = line.send(Arc::clone(&self.plan));
        tokio::spawn(follow(id, child, ours, messages, self.events.clone()));
        self.workers.insert(
            id,
            Worker {
                seat,
                pid,
                started: Instant::now(),
                ready: false,
                retiring: false,
                line,
            },
        );
        // One that ended at once is noticed as any other that does.
        if let Err(error) = handed_over {
            warn!(%error, "failed to hand sockets to a worker");
        }
        Ok(())
    }

    fn happened(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Said(id, message) => self.said(id, &message),
            Event::Ended(id) => {
                self.ended(id);
                Ok(())
            }
            Event::Fill(seat) => self.fill(seat),
        }
    }

    fn said(&mut self, id: u64, message: &Message) -> Result<()> {
        let Some(worker) = self.workers.get_mut(&id) else {
            return Ok(());
        };
        let seat = worker.seat;
        match message.kind {
            Kind::Ready => {
                worker.ready = true;
                // Now the one it replaces may go.
                for other in self.workers.values() {
                    if other.seat == seat && other.retiring {
                        send(other.pid, Signal::TERM);
                    }
                }
            }
            Kind::Counts => match serde_json::from_slice(&message.payload) {
                Ok(counts) => self.ledger.set(id, counts),
                Err(error) => warn!(%error, "a worker's counts are none"),
            },
            Kind::Tired if !worker.retiring => {
                worker.retiring = true;
                info!(
                    pid = worker.pid.as_raw_nonzero(),
                    "a worker has done its share, starting another"
                );
                self.status.worker_replaced();
                self.start(seat)?;
            }
            Kind::Tired | Kind::Plan | Kind::ReopenLog => {}
        }
        Ok(())
    }

    fn remove(&mut self, id: u64) -> Option<Worker> {
        self.ledger.bury(id);
        self.workers.remove(&id)
    }

    fn ended(&mut self, id: u64) {
        let Some(worker) = self.remove(id) else { return };
        let occupied = |other: &Worker| other.seat == worker.seat && !other.retiring;
        if worker.retiring && self.workers.values().any(occupied) {
            return;
        }
        let Some(seat) = self.seats.get_mut(worker.seat) else {
            return;
        };
        seat.failures = if worker.ready { 0 } else { seat.failures + 1 };
        let pause = if seat.failures > 0 {
            FIRST_PAUSE
                .saturating_mul(1 << (seat.failures - 1).min(16))
                .min(LONGEST_PAUSE)
        } else if worker.started.elapsed() < YOUNG {
            SHORT_PAUSE
        } else {
            Duration::ZERO
        };
        if seat.failures > 1 {
            // It may take a while. Until then no connection should wait here.
            seat.listeners.clear();
        }
        error!(
            pid = worker.pid.as_raw_nonzero(),
            ?pause,
            "a worker ended unexpectedly, starting another"
        );
        self.status.worker_replaced();
        let (events, seat) = (self.events.clone(), worker.seat);
        tokio::spawn(async move {
            sleep(pause).await;
            // Nobody listens when the supervisor ends.
            let _ = events.send(Event::Fill(seat));
        });
    }

    fn fill(&mut self, seat: usize) -> Result<()> {
        if self.seats.get(seat).is_some_and(|seat| seat.listeners.is_empty()) {
            let listeners = self.open()?;
            if let Some(seat) = self.seats.get_mut(seat) {
                seat.listeners = listeners;
            }
        }
        self.start(seat)
    }

    fn tell_all(&self, message: &Arc<[u8]>) {
        for worker in self.workers.values() {
            // Fails for one that has just ended.
            let _ = worker.line.send(Arc::clone(message));
        }
    }

    fn send_all(&self, signal: Signal) {
        for worker in self.workers.values() {
            send(worker.pid, signal);
        }
    }

    async fn drain(mut self, mut happened: mpsc::UnboundedReceiver<Event>, mut signals: Signals) {
        info!("stopping: waiting for the workers");
        self.status.draining();
        self.send_all(Signal::TERM);
        // Nobody listens any more: whoever connects now is told so, or finds our successor.
        self.seats.clear();
        self.addresses.clear();
        self.shared.clear();
        // The workers keep to the limit by themselves; one that does not is broken.
        let limit = sleep(self.orders.shutdown_timeout + Duration::from_secs(5));
        tokio::pin!(limit);
        let mut killed = false;
        while !self.workers.is_empty() {
            tokio::select! {
                event = happened.recv() => match event {
                    Some(Event::Ended(id)) => drop(self.remove(id)),
                    // It was on its way to serve and may not have known of the signal then.
                    Some(Event::Said(id, Message { kind: Kind::Ready, .. })) => {
                        if let Some(worker) = self.workers.get(&id) {
                            send(worker.pid, Signal::TERM);
                        }
                    }
                    Some(Event::Said(..) | Event::Fill(_)) => {}
                    None => return,
                },
                () = limit.as_mut(), if !killed => {
                    warn!("a worker does not stop");
                    killed = true;
                    self.send_all(Signal::KILL);
                }
                _ = signals.terminate.recv() => self.send_all(Signal::KILL),
                _ = signals.interrupt.recv() => self.send_all(Signal::KILL),
            }
        }
    }
}

fn send(pid: Pid, signal: Signal) {
    // It may have ended by itself in this moment.
    let _ = kill_process(pid, signal);
}

/// Carries messages to a worker and from it, and tells of its end.
async fn follow(
    id: u64,
    mut child: Child,
    line: UnixStream,
    mut messages: mpsc::UnboundedReceiver<Arc<[u8]>>,
    events: mpsc::UnboundedSender<Event>,
) {
    let line = line
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixStream::from_std(line));
    let tell = |event| {
        // Nobody listens when the supervisor ends.
        let _ = events.send(event);
    };
    match line {
        Ok(line) => {
            let (mut from, mut to) = line.into_split();
            let writing = tokio::spawn(async move {
                while let Some(message) = messages.recv().await {
                    // One that has ended is noticed by its end.
                    if to.write_all(&message).await.is_err() {
                        break;
                    }
                }
                // The line stays open until the worker is gone: its end would be the supervisor's end.
                (to, messages)
            });
            while let Ok(message) = Message::receive(&mut from).await {
                tell(Event::Said(id, message));
            }
            report_end(&mut child).await;
            writing.abort();
        }
        Err(error) => {
            error!(%error, "failed to talk to a worker");
            // It ends when its line does.
            report_end(&mut child).await;
        }
    }
    tell(Event::Ended(id));
}

async fn report_end(child: &mut Child) {
    let pid = child.id();
    match child.wait().await {
        Ok(status) if !status.success() => warn!(pid, %status, "a worker ended"),
        Ok(_) => {}
        Err(error) => warn!(pid, %error, "lost a worker"),
    }
}
