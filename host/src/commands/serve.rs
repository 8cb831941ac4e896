//! `mapproxy serve`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tracing::{error, info, warn};

use super::check::fail;
use crate::access_log::AccessLog;
use crate::admin;
use crate::app::{LoadError, Loader, log_warnings};
use crate::cli::{ComponentArgs, ServeArgs};
use crate::component;
use crate::directories::next_round;
use crate::engine::{self, EngineLimits};
use crate::instance::Guests;
use crate::listen::{self, Endpoint, Listener, Opened, Sockets};
use crate::logging;
use crate::outbound::{Outbound, OutboundLimits};
use crate::paste::{Application, Names, ServerSettings};
use crate::reload::{Reading, Reloader, Source};
use crate::server::{self, Server, ServerLimits};
use crate::shutdown::{self, Signals, Stop};
use crate::status::Status;
use crate::watch::Stamp;
use crate::workers::{self, Assignment, Ledger, Orders, Supervised};

/// Instances beside those of requests in flight: configurations being compiled and tried.
const SPARE_INSTANCES: usize = 8;

/// Where HTTP is served, where nothing else is asked for.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";

/// Runs until a signal ends it.
pub(crate) fn serve(args: &ServeArgs, component: &ComponentArgs) -> Result<ExitCode> {
    raise_open_files();
    if let Some(assignment) = workers::assigned()? {
        let server = server(args, component, assignment.workers, &Arc::default())?;
        let runtime = one_thread()?;
        let result = runtime
            .block_on(work(args, &server, assignment))
            .map_err(LoadError::Host);
        return end(runtime, &server, result);
    }
    let source = source(args)?;
    // A Paste Deploy file tells how many processes there are; what is wrong with it is said when all is read.
    let settings = source.deployment().server;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let default_workers = if listen::started_by_web_server() { 1 } else { processors };
    let workers = args.workers.or(settings.workers).unwrap_or(default_workers);
    let assignment = Assignment {
        workers: workers.clamp(1, max_in_flight(args)),
        max_requests: args.max_requests_per_worker.or(settings.max_requests),
    };
    let status = Arc::new(Status::default());
    let server = server(args, component, assignment.workers, &status)?;
    let alone = assignment.workers == 1 && assignment.max_requests.is_none();
    let runtime = if alone {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(args.threads.unwrap_or(processors).max(1))
            .enable_all()
            .on_thread_unpark(next_round)
            .build()
            .context("failed to start the runtime")
    } else {
        one_thread()
    }?;
    let result = runtime.block_on(async {
        let reloader = Reloader {
            source,
            server: Arc::clone(&server),
            status: Arc::clone(&status),
            projects_memory: args.max_projects_memory.div_ceil(assignment.workers),
            settings,
            workers: None,
        };
        // A configuration with errors is not worth opening a port for.
        let reading = reloader.source.read(&server.loader, reloader.projects_memory).await;
        let reading = reading.map_err(|unread| unread.error)?;
        log_warnings(&reading.warnings);
        server.serve_plan(reading.plan.clone()).await?;
        if alone {
            serve_alone(args, reloader, reading).await?;
        } else {
            supervise(args, reloader, reading, assignment).await?;
        }
        Ok(())
    });
    end(runtime, &server, result)
}

/// Guests that did not end in time are not waited for.
fn end(runtime: Runtime, server: &Server, result: Result<(), LoadError>) -> Result<ExitCode> {
    runtime.shutdown_background();
    server.access.flush();
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => fail(error),
    }
}

fn one_thread() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(next_round)
        .build()
        .context("failed to start the runtime")
}

fn source(args: &ServeArgs) -> Result<Source> {
    let names = Names {
        app: &args.app_name,
        server: &args.server_name,
    };
    if let Some(directory) = &args.projects {
        let source = Source::of(directory, args.allow_listing, names)?;
        anyhow::ensure!(
            matches!(source, Source::Application(Application::Projects { .. })),
            "`{}` is not a directory",
            directory.display()
        );
        return Ok(source);
    }
    let config = args.config.as_deref().context("expected a configuration")?;
    Source::of(config, args.allow_listing, names)
}

fn max_in_flight(args: &ServeArgs) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    args.max_in_flight.unwrap_or_else(|| (64 * processors).min(1024)).max(1)
}

/// The server of one of `workers` processes.
fn server(args: &ServeArgs, component: &ComponentArgs, workers: usize, status: &Arc<Status>) -> Result<Arc<Server>> {
    let share = |total: usize| total.div_ceil(workers).max(1);
    let max_in_flight = share(max_in_flight(args));
    let engine = engine::build(EngineLimits {
        instances: u32::try_from(max_in_flight + SPARE_INSTANCES).context("`--max-in-flight` is too large")?,
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
    })
    .with_mapserver(args.mapserver_binary.as_deref())?;
    let loader = Loader {
        guests: Arc::new(guests),
        outbound: Arc::new(outbound),
    };
    let limits = ServerLimits {
        max_header: args.max_header.max(1 << 10),
        max_uri: args.max_uri,
        max_body: args.max_body,
        max_connections: share(args.max_connections),
        max_in_flight,
        queue: args.queue.div_ceil(workers),
        request_timeout: args.request_timeout,
        read_timeout: args.read_timeout,
        write_timeout: args.write_timeout,
    };
    let access = AccessLog::start(args.access_log, args.access_log_file.as_deref())?;
    Ok(Arc::new(Server::new(
        loader,
        limits,
        access,
        !args.no_forwarded_headers,
        args.script_name.clone().unwrap_or_default(),
        args.admin.is_none().then(|| Arc::clone(status)),
    )))
}

/// What to listen on: what the command line says, else what a Paste Deploy file says.
fn endpoints(args: &ServeArgs, settings: &ServerSettings) -> Vec<Endpoint> {
    let http = args.listen.iter().cloned().map(Endpoint::Http);
    let fastcgi = args.fastcgi.iter().cloned().map(Endpoint::FastCgi);
    let said: Vec<Endpoint> = http.chain(fastcgi).collect();
    if said.is_empty() {
        settings.endpoints.clone()
    } else {
        said
    }
}

/// What is watched, where that is asked for.
fn watched(args: &ServeArgs, files: Vec<Stamp>) -> Option<Vec<Stamp>> {
    args.reload.then_some(files)
}

/// Everything in this process.
async fn serve_alone(args: &ServeArgs, reloader: Reloader, reading: Reading) -> Result<()> {
    if let Some(filter) = &reading.log {
        logging::filter_by(filter)?;
    }
    let Sockets { opened, tcp } = Sockets::open(&endpoints(args, &reloader.settings), DEFAULT_ADDRESS)?;
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
    let server = Arc::clone(&reloader.server);
    let status = Arc::clone(&reloader.status);
    if let Some(address) = &args.admin {
        let counted = Arc::clone(&server);
        start_admin(
            address,
            Arc::clone(&status),
            Arc::new(move || counted.counters.counts()),
        )
        .await?;
    }
    // Before anyone hears of us: whoever does may send a signal at once.
    let signals = Signals::catch()?;
    let hangup = signal(SignalKind::hangup())?;
    let (stopper, stop) = shutdown::channel();
    accept(&server, listeners, &stop);
    drop(stop);
    tokio::spawn(reloader.run(hangup, watched(args, reading.files)));
    status.ready();
    addresses.iter().try_for_each(|address| announce(address))?;
    shutdown::on_signal(signals, stopper, args.shutdown_timeout, || status.draining()).await;
    Ok(())
}

/// Starts others that serve.
async fn supervise(args: &ServeArgs, mut reloader: Reloader, reading: Reading, assignment: Assignment) -> Result<()> {
    let log = match reading.log {
        Some(filter) => logging::filter_by(&filter)?.then_some(filter),
        None => None,
    };
    let sockets = Sockets::open(&endpoints(args, &reloader.settings), DEFAULT_ADDRESS)?;
    let status = Arc::clone(&reloader.status);
    let ledger = Arc::new(Ledger::default());
    if let Some(address) = &args.admin {
        let counted = Arc::clone(&ledger);
        start_admin(address, Arc::clone(&status), Arc::new(move || counted.total())).await?;
    }
    let (changes, changed) = mpsc::channel(1);
    reloader.workers = Some(changes);
    let hangup = signal(SignalKind::hangup())?;
    tokio::spawn(reloader.run(hangup, watched(args, reading.files)));
    let orders = Orders {
        assignment,
        log,
        shutdown_timeout: args.shutdown_timeout,
    };
    workers::supervise(orders, sockets, reading.plan, changed, status, ledger, announce).await
}

/// Serves what a supervisor says.
async fn work(args: &ServeArgs, server: &Arc<Server>, assignment: Assignment) -> Result<()> {
    let mut supervisor = Supervised::connect()?;
    server.serve_plan(supervisor.plan()?).await?;
    let listeners = std::mem::take(&mut supervisor.listeners);
    let signals = Signals::catch()?;
    // Access logs are opened again when the supervisor says so.
    let _ignored = signal(SignalKind::hangup())?;
    let (stopper, stop) = shutdown::channel();
    accept(server, listeners.into_iter().map(Opened::from).collect(), &stop);
    drop(stop);
    if let Some(health) = &server.health {
        health.ready();
    }
    supervisor.ready(Arc::clone(server), assignment.max_requests)?;
    shutdown::on_signal(signals, stopper, args.shutdown_timeout, || {
        if let Some(health) = &server.health {
            health.draining();
        }
    })
    .await;
    Ok(())
}

/// Accepts connections on `listeners` until `stop`.
fn accept(server: &Arc<Server>, listeners: Vec<Opened>, stop: &Stop) {
    let connections = Arc::new(Semaphore::new(server.limits.max_connections));
    for listener in listeners {
        let serving = server::serve(Arc::clone(server), listener, Arc::clone(&connections), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                error!(%error, "failed to listen");
            }
        });
    }
}

async fn start_admin(address: &str, status: Arc<Status>, count: Arc<admin::Count>) -> Result<()> {
    let listener = admin::listen(address).await?;
    info!(address = %listener.local_addr()?, "health and metrics");
    tokio::spawn(admin::serve(listener, status, count));
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
