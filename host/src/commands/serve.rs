//! `mapproxy serve`.

use std::io::Write as _;
use std::net::SocketAddr;
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
use crate::outbound::{Outbound, OutboundLimits};
use crate::projects::{Apps, Projects};
use crate::server::{self, Server, ServerLimits};
use crate::shutdown::{self, Signals};
use crate::workers::{self, Supervised};

/// Instances beside those of requests in flight: configurations being compiled.
const SPARE_INSTANCES: usize = 8;

/// Runs until a signal ends it.
pub(crate) fn serve(args: &ServeArgs, component: &ComponentArgs) -> Result<ExitCode> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let max_in_flight = args.max_in_flight.unwrap_or_else(|| (64 * processors).min(1024)).max(1);
    let workers = args.workers.unwrap_or(processors).clamp(1, max_in_flight);
    raise_open_files();

    let role = match workers::assigned()? {
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
                workers::supervise(workers, &args.listen, args.shutdown_timeout, announce).await?;
            }
            Role::Alone => {
                let mut listeners = Vec::new();
                for address in &args.listen {
                    listeners.push(server::bind(address).await?);
                }
                let bound = listeners
                    .iter()
                    .map(TcpListener::local_addr)
                    .collect::<Result<Vec<_>, _>>();
                let bound = bound.context("failed to read the address of a listener")?;
                run(args, Arc::clone(&server), listeners, || {
                    bound.into_iter().try_for_each(announce)
                })
                .await?;
            }
            Role::Worker(addresses) => {
                let supervisor = Supervised::connect()?;
                let listeners = addresses
                    .iter()
                    .map(|address| workers::listen(*address))
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
    Worker(Vec<SocketAddr>),
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
    ))
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
    listeners: Vec<TcpListener>,
    ready: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // Before anyone hears of us: whoever does may send a signal at once.
    let signals = Signals::catch()?;
    let hangup = signal(SignalKind::hangup())?;
    let (stopper, stop) = shutdown::channel();
    let connections = Arc::new(Semaphore::new(server.limits.max_connections));
    for listener in listeners {
        tokio::spawn(server::serve(
            Arc::clone(&server),
            listener,
            Arc::clone(&connections),
            stop.clone(),
        ));
    }
    drop(stop);
    tokio::spawn(reload_on_hangup(server, hangup));
    ready()?;
    shutdown::on_signal(signals, stopper, args.shutdown_timeout).await;
    Ok(())
}

/// The line that people and scripts wait for.
fn announce(address: SocketAddr) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")
        .and_then(|()| out.flush())
        .context("failed to write to stdout")?;
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
