//! `mapproxy serve`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::absolute;
use super::check::fail;
use crate::access_log::AccessLog;
use crate::app::{Loader, ReloadPolicy, Slot, Warnings};
use crate::cli::{ComponentArgs, ServeArgs};
use crate::component;
use crate::engine::{self, EngineLimits};
use crate::instance::Guests;
use crate::listen::{self, Endpoint, Listener, Opened, Sockets};
use crate::outbound::{Outbound, OutboundLimits};
use crate::projects::{Apps, Projects};
use crate::server::{self, Server, ServerLimits};
use crate::shutdown::{self, Signals};
use crate::workers::{self, Address, Supervised};

/// Instances beside those of requests in flight: configurations being compiled.
const SPARE_INSTANCES: usize = 8;

/// Where HTTP is served, where nothing else is asked for.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";

/// Runs until a signal ends it.
pub(crate) fn serve(args: &ServeArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let max_in_flight = args.max_in_flight.unwrap_or_else(|| (64 * processors).min(1024)).max(1);
    raise_open_files();

    let assigned = workers::assigned()?;
    let default_workers = match &assigned {
        None if listen::started_by_web_server() => 1,
        _ => processors,
    };
    let workers = args.workers.unwrap_or(default_workers).clamp(1, max_in_flight);
    let role = match assigned {
        Some(addresses) => Role::Worker(addresses),
        None if workers > 1 => Role::Supervisor,
        None => Role::Alone,
    };
    let server = Arc::new(server(args, component, max_in_flight, workers)?);
    let runtime = match role {
        Role::Alone => {
            let threads = args.threads.unwrap_or(processors).max(1);
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build()
        }
        Role::Worker(_) | Role::Supervisor => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.context("failed to start the runtime")?;
    let result = runtime.block_on(async {
        // A configuration with errors is not worth opening a port for.
        if let Apps::Single(slot) = &server.apps {
            let warnings = if matches!(role, Role::Worker(_)) {
                Warnings::Drop
            } else {
                Warnings::Log
            };
            slot.reload(&server.loader, warnings).await?;
        }
        match &role {
            Role::Supervisor => {
                let sockets = Sockets::open(&endpoints(args), DEFAULT_ADDRESS)?;
                workers::supervise(workers, sockets, args.shutdown_timeout, announce).await?;
            }
            Role::Alone => {
                let Sockets { opened, tcp } = Sockets::open(&endpoints(args), DEFAULT_ADDRESS)?;
                let mut listeners = opened;
                for (protocol, address) in tcp {
                    let socket = TcpListener::bind(&address)
                        .await
                        .and_then(|socket| Listener::tcp(protocol, socket))
                        .with_context(|| format!("failed to listen on `{address}`"))?;
                    listeners.push(socket.into());
                }
                let addresses = listeners
                    .iter()
                    .map(|opened| opened.listener.address())
                    .collect::<Result<Vec<_>, _>>()
                    .context("failed to read the address of a listener")?;
                run(args, Arc::clone(&server), listeners, || {
                    addresses.iter().try_for_each(|address| announce(address))
                })
                .await?;
            }
            Role::Worker(addresses) => {
                let supervisor = Supervised::connect()?;
                let shared = supervisor.listeners()?;
                let own = addresses.iter().map(|address| workers::listen(*address));
                let listeners = own
                    .chain(shared.into_iter().map(Ok))
                    .map(|listener| listener.map(Opened::from))
                    .collect::<Result<_>>()?;
                run(args, Arc::clone(&server), listeners, || supervisor.ready()).await?;
            }
        }
        Ok(())
    });
    // Guests that did not end in time are not waited for.
    runtime.shutdown_background();
    server.access.flush();
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => fail(error),
    }
}

/// What this process does.
enum Role {
    /// Everything.
    Alone,
    /// Starts others that serve.
    Supervisor,
    /// Serves the addresses a supervisor named.
    Worker(Vec<Address>),
}

/// The server of one of `workers` processes.
fn server(args: &ServeArgs, component: &ComponentArgs, max_in_flight: usize, workers: usize) -> Result<Server> {
    let share = |total: usize| total.div_ceil(workers).max(1);
    let engine = engine::build(EngineLimits {
        instances: u32::try_from(share(max_in_flight) + SPARE_INSTANCES).context("`--max-in-flight` is too large")?,
        max_memory: args.max_memory,
    })?;
    engine::start_clock(&engine)?;
    let component = component::load(&engine, component.component.as_deref())?;
    let guests = Guests::new(&component, args.max_memory, args.max_requests_per_instance)?;
    let outbound = Outbound::new(OutboundLimits {
        connect_timeout: args.upstream_connect_timeout,
        read_timeout: args.upstream_timeout,
        max_body: args.max_upstream_body as u64,
        idle_connections: args.upstream_idle,
    });
    let loader = Loader {
        guests: Arc::new(guests),
        outbound: Arc::new(outbound),
    };
    let limits = ServerLimits {
        max_header: args.max_header.max(1 << 10),
        max_uri: args.max_uri,
        max_body: args.max_body,
        max_connections: share(args.max_connections),
        max_in_flight: share(max_in_flight),
        queue: args.queue.div_ceil(workers),
        request_timeout: args.request_timeout,
        read_timeout: args.read_timeout,
        write_timeout: args.write_timeout,
    };
    let access = AccessLog::start(args.access_log, args.access_log_file.as_deref())?;
    Ok(Server::new(
        loader,
        apps(args, workers)?,
        limits,
        access,
        !args.no_forwarded_headers,
        args.script_name.clone().unwrap_or_default(),
    ))
}

/// What the command line says to listen on.
fn endpoints(args: &ServeArgs) -> Vec<Endpoint> {
    let http = args.listen.iter().cloned().map(Endpoint::Http);
    let fastcgi = args.fastcgi.iter().cloned().map(Endpoint::FastCgi);
    http.chain(fastcgi).collect()
}

fn apps(args: &ServeArgs, workers: usize) -> Result<Apps> {
    if let Some(directory) = &args.projects {
        let directory = absolute(directory)?;
        ensure!(directory.is_dir(), "`{}` is not a directory", directory.display());
        return Ok(Apps::Projects(Projects::new(
            directory,
            args.allow_listing,
            args.max_projects_memory.div_ceil(workers),
        )));
    }
    let config = args.config.as_deref().context("expected a configuration")?;
    let policy = if args.reload {
        ReloadPolicy::KeepOld
    } else {
        ReloadPolicy::OnRequest
    };
    Ok(Apps::Single(Slot::new(absolute(config)?, policy)))
}

/// Serves `listeners` until a signal. `ready` is called when connections are accepted and signals are caught.
async fn run(
    args: &ServeArgs,
    server: Arc<Server>,
    listeners: Vec<Opened>,
    ready: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // Before anyone hears of us: whoever does may send a signal at once.
    let signals = Signals::catch()?;
    let hangup = signal(SignalKind::hangup())?;
    let (stopper, stop) = shutdown::channel();
    let connections = Arc::new(Semaphore::new(server.limits.max_connections));
    for listener in listeners {
        let serving = server::serve(Arc::clone(&server), listener, Arc::clone(&connections), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                error!(%error, "failed to listen");
            }
        });
    }
    drop(stop);
    tokio::spawn(reload_on_hangup(server, hangup));
    ready()?;
    shutdown::on_signal(signals, stopper, args.shutdown_timeout).await;
    Ok(())
}

/// The line that people and scripts wait for. A web server that starts us may have closed standard output.
fn announce(address: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    if !listen::started_by_web_server() {
        written.context("failed to write to stdout")?;
    }
    info!(%address, "listening");
    Ok(())
}

async fn reload_on_hangup(server: Arc<Server>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        if let Err(error) = server.access.reopen() {
            error!("{error:#}");
        }
        if let Apps::Single(slot) = &server.apps {
            slot.reload_and_report(&server.loader).await;
        }
    }
}

/// Each connection and each upstream connection is a file; the usual soft limit of 1024 is there for programs that use
/// `select`.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        warn!(%error, "failed to raise the limit of open files");
    }
}
