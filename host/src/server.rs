//! The listeners: they accept connections, within limits, until they are asked to stop, and speak HTTP/1.1 or FastCGI.

mod answer;
mod connection;
mod mount;
mod refusal;
mod request;
mod sendfile;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};

pub(crate) use self::answer::AnswerBody;
pub(crate) use self::connection::Guarded;
pub(crate) use self::mount::parse_script_name;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::request::Carrier;
use crate::access_log::AccessLog;
use crate::app::Loader;
use crate::apps::{Apps, Plan};
use crate::fastcgi;
use crate::listen::{Client, Opened, Protocol};
use crate::shutdown::Stop;
use crate::status::{Counters, Status};

/// Limits on what clients may send and how long they may take.
#[derive(Debug, Clone)]
pub(crate) struct ServerLimits {
    /// Largest head of a request, in bytes.
    pub(crate) max_header: usize,
    /// Longest request target, in bytes.
    pub(crate) max_uri: usize,
    /// Largest body of a request, in bytes.
    pub(crate) max_body: usize,
    pub(crate) max_connections: usize,
    /// Requests in an instance at the same time.
    pub(crate) max_in_flight: usize,
    /// Requests that wait for one of those to end.
    pub(crate) queue: usize,
    pub(crate) request_timeout: Duration,
    /// For the head of a request, and so for an idle connection, and for its body.
    pub(crate) read_timeout: Duration,
    /// Longest time a client may refuse to take bytes of the answer.
    pub(crate) write_timeout: Duration,
}

/// How long a connection that was just made may take to begin a request when the server stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// What all connections share.
pub(crate) struct Server {
    pub(crate) loader: Loader,
    apps: RwLock<Arc<Apps>>,
    pub(crate) limits: ServerLimits,
    pub(crate) access: AccessLog,
    /// Pass on what a client says about the proxies before us.
    pub(crate) trust_forwarded: bool,
    /// The mount point, `/proxy`, where a web server tells none; empty at the root.
    pub(crate) script_name: String,
    pub(crate) counters: Counters,
    /// What `/healthz` tells; `None` where a listener of its own does.
    pub(crate) health: Option<Arc<Status>>,
    in_flight: Arc<Semaphore>,
    queued: AtomicUsize,
    next_id: AtomicU64,
}

impl Server {
    /// A server that serves nothing yet.
    pub(crate) fn new(
        loader: Loader,
        limits: ServerLimits,
        access: AccessLog,
        trust_forwarded: bool,
        script_name: String,
        health: Option<Arc<Status>>,
    ) -> Self {
        // Ids of two processes, or of one before and after a restart, should differ in one log.
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let first_id = (since_epoch.as_secs() ^ u64::from(std::process::id()).rotate_left(16)) << 32;
        Self {
            in_flight: Arc::new(Semaphore::new(limits.max_in_flight)),
            queued: AtomicUsize::new(0),
            next_id: AtomicU64::new(first_id),
            loader,
            apps: RwLock::default(),
            limits,
            access,
            trust_forwarded,
            script_name,
            counters: Counters::default(),
            health,
        }
    }

    /// What is served at present.
    fn apps(&self) -> Arc<Apps> {
        Arc::clone(&self.apps.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves `plan` from now on; requests that run keep what they began with. What is served stays where that fails.
    pub(crate) async fn serve_plan(&self, plan: Plan) -> anyhow::Result<()> {
        let apps = Apps::open(plan, &self.apps(), &self.loader).await?;
        *self.apps.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(apps);
        Ok(())
    }
}

/// Accepts connections until `stop`. Connections that are open then finish their request.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: Opened,
    connections: Arc<Semaphore>,
    mut stop: Stop,
) -> io::Result<()> {
    // Whoever looks for us finds nobody, once nobody accepts.
    let Opened { listener, file: _file } = listener;
    let protocol = listener.protocol;
    let listener = listener.accepting()?;
    loop {
        // Without a free place we do not accept: clients wait in the kernel's queue rather than in our memory.
        let (permit, accepted) = tokio::select! {
            both = async {
                let permit = Arc::clone(&connections).acquire_owned().await;
                (permit, listener.accept().await)
            } => both,
            () = stop.requested() => return Ok(()),
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { return Ok(()) };
        match accepted {
            Ok(client) => {
                let server = Arc::clone(&server);
                let stop = stop.clone();
                tokio::spawn(async move {
                    match (protocol, client) {
                        (Protocol::Http, Client::Tcp(stream, peer)) => {
                            serve_http(server, stream, Some(peer), stop).await;
                        }
                        (Protocol::Http, Client::Unix(stream)) => serve_http(server, stream, None, stop).await,
                        (Protocol::FastCgi, Client::Tcp(stream, _web_server)) => {
                            fastcgi::serve_connection(server, stream, stop).await;
                        }
                        (Protocol::FastCgi, Client::Unix(stream)) => {
                            fastcgi::serve_connection(server, stream, stop).await;
                        }
                    }
                    drop(permit);
                });
                // Of connections that come all at once, each worker that shares the socket gets some: this one has its
                // first request answered before it takes another.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                // Out of file descriptors: the reason will not go away within microseconds.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_http<S>(server: Arc<Server>, stream: S, peer: Option<IpAddr>, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &server.limits;
    let guarded = Guarded::new(stream, limits.write_timeout);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(limits.read_timeout)
        .max_header_size(limits.max_header)
        .max_buf_size(limits.max_header.saturating_add(64 << 10))
        .max_headers(256)
        .half_close(false)
        .keep_alive(true);
    let begun = Arc::new(Notify::new());
    let service = {
        let server = Arc::clone(&server);
        let (stop, begun) = (stop.clone(), Arc::clone(&begun));
        hyper::service::service_fn(move |request| {
            let server = Arc::clone(&server);
            let stop = stop.clone();
            begun.notify_one();
            let carrier = Carrier {
                client: peer,
                ..Carrier::default()
            };
            async move { Ok::<_, Infallible>(server.answer(request, carrier, stop).await) }
        })
    };
    let connection = http.serve_connection(hyper_util::rt::TokioIo::new(guarded), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.requested() => {
            // A connection that was just made has a request on its way, which nobody else would answer.
            let early = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                _ = timeout(FIRST_REQUEST, begun.notified()) => None,
            };
            if let Some(ended) = early {
                ended
            } else {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        debug!(?peer, %error, "a connection ended with an error");
    }
}
