//! Several processes that share the addresses: a supervisor and its workers.
//!
//! Instances come and go with page tables; threads of one process wait for each other there, processes do not (the
//! numbers are in docs/performance.md). Each worker has its own listening socket on the same address (`SO_REUSEPORT`)
//! and serves with one thread; sockets that cannot be opened twice (files, those we were started with) the supervisor
//! hands over. The supervisor holds the addresses, starts workers that end unexpectedly anew, and passes signals on.
//!
//! A worker's standard input is a socket to the supervisor: the listening sockets come through it, one byte says "I am
//! listening", its end says that the supervisor is gone.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::listen::{Listener, Opened, Protocol, Sockets, hand_over, take_over};
use crate::shutdown::Signals;

/// Holds the addresses for a worker; set by the supervisor alone.
const ADDRESSES: &str = "MAPPROXY_WORKER_ADDRESSES";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Pause before a worker that ended is replaced, so that one that cannot start does not use up the machine.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What is spoken on an address.
pub(crate) type Address = (Protocol, SocketAddr);

/// The addresses this process was told to serve by its supervisor; `None` in any other process.
pub(crate) fn assigned() -> Result<Option<Vec<Address>>> {
    let Some(text) = std::env::var_os(ADDRESSES) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let parsed: Option<Vec<Address>> = text.split_terminator(',').map(parse_address).collect();
    let parsed = parsed.with_context(|| format!("`{ADDRESSES}` is not a list of addresses: `{text}`"))?;
    Ok(Some(parsed))
}

fn parse_address(text: &str) -> Option<Address> {
    let (protocol, address) = text.split_once('=')?;
    let protocol = match protocol {
        "http" => Protocol::Http,
        "fastcgi" => Protocol::FastCgi,
        _ => return None,
    };
    Some((protocol, address.parse().ok()?))
}

fn write_address((protocol, address): Address) -> String {
    match protocol {
        Protocol::Http => format!("http={address}"),
        Protocol::FastCgi => format!("fastcgi={address}"),
    }
}

/// A socket on `address` that shares it with other processes; it takes no connections before `listen`.
fn shared_socket(address: SocketAddr) -> Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket
        .bind(address)
        .with_context(|| format!("failed to listen on `{address}`"))?;
    Ok(socket)
}

/// A worker's own listener.
pub(crate) fn listen((protocol, address): Address) -> Result<Listener> {
    shared_socket(address)?
        .listen(BACKLOG)
        .and_then(|socket| Listener::tcp(protocol, socket))
        .with_context(|| format!("failed to listen on `{address}`"))
}

/// A worker's line to its supervisor.
#[derive(Debug)]
pub(crate) struct Supervised {
    line: UnixStream,
}

impl Supervised {
    /// Takes over standard input.
    pub(crate) fn connect() -> Result<Self> {
        let descriptor: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self {
            line: UnixStream::from(descriptor),
        })
    }

    /// The listeners all workers share.
    pub(crate) fn listeners(&self) -> Result<Vec<Listener>> {
        take_over(&self.line).context("failed to take over the sockets of the supervisor")
    }

    /// Tells the supervisor that connections are accepted. From now on this process ends when the supervisor does.
    pub(crate) fn ready(mut self) -> Result<()> {
        self.line.write_all(b"r").context("the supervisor is gone")?;
        std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || {
                // Nothing is ever sent; the end or an error means that the other side is gone.
                while matches!(self.line.read(&mut [0]), Ok(1)) {}
                // Whoever reads the log may be gone too. Writing to it would then panic, and this thread end alone.
                let _ = std::panic::catch_unwind(|| error!("the supervisor is gone"));
                // Nobody could stop this process any more.
                std::process::exit(1);
            })?;
        Ok(())
    }
}

/// Starts `count` workers on `sockets`, calls `announce` with each address once they listen, and supervises them until a
/// signal ends it.
pub(crate) async fn supervise(
    count: usize,
    sockets: Sockets,
    shutdown_timeout: Duration,
    announce: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let signals = Signals::catch()?;
    // Never listens; keeps a port that was chosen by the system from being given to anyone else.
    let mut held = Vec::new();
    for (protocol, address) in &sockets.tcp {
        let resolved: Vec<SocketAddr> = tokio::net::lookup_host(address.as_str())
            .await
            .with_context(|| format!("failed to listen on `{address}`"))?
            .collect();
        let first = resolved
            .first()
            .with_context(|| format!("failed to listen on `{address}`: unknown host"))?;
        ensure_free(*first)?;
        let socket = shared_socket(*first)?;
        held.push((*protocol, socket));
    }
    let bound = held
        .iter()
        .map(|(protocol, socket)| Ok((*protocol, socket.local_addr()?)))
        .collect::<Result<Vec<Address>>>()?;
    let addresses: Vec<String> = bound.iter().copied().map(write_address).collect();
    let task = Task {
        addresses: addresses.join(","),
        opened: sockets.opened,
    };

    let mut workers = Vec::new();
    for _ in 0..count {
        workers.push(Worker::start(&task)?);
    }
    for worker in &mut workers {
        worker.wait_until_ready().await?;
    }
    for (protocol, address) in bound {
        announce(&protocol.at(address))?;
    }
    for opened in &task.opened {
        announce(&opened.listener.address()?)?;
    }
    run(workers, task, signals, shutdown_timeout).await
}

/// With `SO_REUSEPORT` two servers of one user could share a port by mistake, each getting half of the requests.
fn ensure_free(address: SocketAddr) -> Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .with_context(|| format!("failed to listen on `{address}`"))?;
    Ok(())
}

/// What every worker is given.
struct Task {
    /// For [`ADDRESSES`].
    addresses: String,
    opened: Vec<Opened>,
}

async fn run(workers: Vec<Worker>, task: Task, signals: Signals, shutdown_timeout: Duration) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut running, mut pids) = (JoinSet::new(), Vec::new());
    for worker in workers {
        pids.push(worker.pid);
        running.spawn(worker.wait());
    }
    let Signals {
        mut terminate,
        mut interrupt,
    } = signals;
    loop {
        tokio::select! {
            ended = running.join_next() => {
                let Some(Ok(pid)) = ended else { continue };
                error!(pid = pid.as_raw_nonzero(), "a worker ended unexpectedly, starting another");
                pids.retain(|other| *other != pid);
                tokio::time::sleep(RESTART_PAUSE).await;
                let worker = Worker::start(&task)?;
                pids.push(worker.pid);
                running.spawn(worker.wait());
            }
            _ = hangup.recv() => send(&pids, Signal::HUP),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    info!("stopping: waiting for the workers");
    drop(task);
    send(&pids, Signal::TERM);
    let all = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        // The workers keep to the limit by themselves; one that does not is broken.
        () = tokio::time::sleep(shutdown_timeout + Duration::from_secs(5)) => {
            warn!("a worker does not stop");
            send(&pids, Signal::KILL);
        }
        _ = terminate.recv() => send(&pids, Signal::KILL),
        _ = interrupt.recv() => send(&pids, Signal::KILL),
    }
    Ok(())
}

fn send(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // It may have ended by itself in this moment.
        let _ = kill_process(*pid, signal);
    }
}

struct Worker {
    child: Child,
    pid: Pid,
    line: Option<UnixStream>,
}

impl Worker {
    /// Runs this program again, with the same arguments.
    fn start(task: &Task) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env(ADDRESSES, &task.addresses)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Ctrl-C in a terminal goes to a whole group; the workers are to hear of it from us, once.
            .process_group(0)
            .spawn()
            .context("failed to start a worker")?;
        hand_over(&ours, task.opened.iter().map(|opened| &opened.listener)).context("a worker ended at once")?;
        let id = child.id().context("a worker ended at once")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("a process id is not 0")?;
        Ok(Self {
            child,
            pid,
            line: Some(ours),
        })
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let mut line = self.line.take().context("waited for once")?;
        let (line, answer) = tokio::task::spawn_blocking(move || {
            let mut answer = Vec::new();
            let mut byte = [0];
            if matches!(line.read(&mut byte), Ok(1)) {
                answer.extend_from_slice(&byte);
            }
            (line, answer)
        })
        .await?;
        self.line = Some(line);
        ensure!(answer == b"r", "a worker did not start");
        Ok(())
    }

    /// Waits for its end. The line to it stays open until then.
    async fn wait(mut self) -> Pid {
        match self.child.wait().await {
            Ok(status) if !status.success() => warn!(pid = self.pid.as_raw_nonzero(), %status, "a worker ended"),
            Ok(_) => {}
            Err(error) => warn!(pid = self.pid.as_raw_nonzero(), %error, "lost a worker"),
        }
        self.pid
    }
}
