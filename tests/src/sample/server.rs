//! The HTTP side of the sample WMS: hyper on a runtime of its own, with faults and the log.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::fault::{Fault, LoggedRequest};
use super::request::Params;
use super::wms::{self, Reply};
use super::world::World;

/// A running sample WMS; stops when dropped.
#[derive(Debug)]
pub struct SampleWms {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropping it ends the accept loop and every connection.
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Debug)]
struct Shared {
    world: Arc<World>,
    base: String,
    state: Mutex<State>,
    /// The length of the log.
    logged: watch::Sender<usize>,
    /// Counts the releases of held requests.
    released: watch::Sender<u64>,
    busy: Busy,
}

/// Requests that are being answered.
#[derive(Debug, Default)]
struct Busy {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One of them, until it is dropped.
struct Answering<'a>(&'a Busy);

impl Busy {
    fn begin(&self) -> Answering<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Answering(self)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    log: Vec<LoggedRequest>,
}

impl SampleWms {
    /// Starts on a free port of the loopback address.
    pub fn start() -> Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts on an address; port 0 takes a free one.
    pub fn start_on(address: SocketAddr) -> Result<Self> {
        let world = World::get()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sample-wms")
            .enable_all()
            .build()
            .context("failed to start a runtime")?;
        // not by the runtime's `block_on`: the caller may be in a runtime of its own
        let listener =
            std::net::TcpListener::bind(address).with_context(|| format!("failed to listen on `{address}`"))?;
        listener
            .set_nonblocking(true)
            .context("failed to make the listener non-blocking")?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener).context("failed to hand the listener to the runtime")?
        };
        let address = listener.local_addr().context("failed to read the listener's address")?;
        let shared = Arc::new(Shared {
            world,
            base: format!("http://{address}"),
            state: Mutex::default(),
            logged: watch::Sender::new(0),
            released: watch::Sender::new(0),
            busy: Busy::default(),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            runtime: Some(runtime),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// The WMS's address up to and with the question mark.
    pub fn wms_url(&self) -> String {
        format!("{}/service?", self.url())
    }

    /// Misbehaves from now on, see [`Fault`].
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Forgets faults and log, and lets held requests go.
    pub fn reset(&self) {
        self.shared.reset();
        self.release();
    }

    /// Lets every request go that a fault with `hold` keeps waiting.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// All requests so far, `/ctl` and `/log` apart.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.state().log.clone()
    }

    /// The requests of one WMS operation.
    pub fn requests_of(&self, operation: &str) -> Vec<LoggedRequest> {
        self.requests()
            .into_iter()
            .filter(|request| request.is(operation))
            .collect()
    }

    /// The most requests that it ever answered at the same time.
    pub fn busiest(&self) -> usize {
        self.shared.busy.most.load(Ordering::SeqCst)
    }

    /// Takes the requests after the first `count` out of the log.
    pub(crate) fn forget(&self, count: usize) {
        let mut state = self.shared.state();
        state.log.truncate(count);
        self.shared.logged.send_replace(state.log.len());
    }

    /// Waits until so many requests have come in.
    pub async fn requested(&self, count: usize, patience: Duration) -> Result<()> {
        let mut logged = self.shared.logged.subscribe();
        let enough = logged.wait_for(|logged| *logged >= count);
        tokio::time::timeout(patience, enough)
            .await
            .with_context(|| format!("fewer than {count} requests came in"))?
            .context("the sample WMS has ended")?;
        Ok(())
    }
}

impl Drop for SampleWms {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // a panicking test thread leaves nothing half done here
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self) {
        let mut state = self.state();
        *state = State::default();
        self.logged.send_replace(0);
    }

    /// Logs a request and takes the fault that fits it.
    fn note(&self, request: LoggedRequest, path_and_query: &str) -> Option<Fault> {
        let mut state = self.state();
        state.log.push(request);
        self.logged.send_replace(state.log.len());
        let index = state
            .faults
            .iter()
            .position(|fault| fault.times != Some(0) && path_and_query.contains(&fault.matching))?;
        let fault = &mut state.faults[index];
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.clone())
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(Arc::clone(&shared), request));
            // a client that goes away, or a cut that was asked for: nothing to report
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type ReplyBody = BoxBody<Bytes, io::Error>;

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<ReplyBody>, Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match path.as_str() {
        "/ctl" => return Ok(plain(control(&shared, &query))),
        "/log" => {
            let log = serde_json::to_vec_pretty(&shared.state().log).unwrap_or_default();
            return Ok(plain(Reply::new(200, "application/json", log)));
        }
        _ => {}
    }
    let released = shared.released.subscribe();
    let path_and_query = if query.is_empty() {
        path.clone()
    } else {
        format!("{path}?{query}")
    };
    let logged = LoggedRequest {
        method: request.method().to_string(),
        path: path.clone(),
        params: Params::parse(&query).into_map(),
        query: query.clone(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect::<BTreeMap<_, _>>(),
    };
    let _answering = shared.busy.begin();
    let fault = shared.note(logged, &path_and_query).unwrap_or_default();
    tokio::time::sleep(fault.latency()).await;
    if fault.hold {
        let mut released = released;
        // an error means that the server is going down
        let _ = released.changed().await;
    }
    let reply = if let Some(answer) = fault.answer {
        let (content_type, body) = answer.body();
        Reply::new(200, content_type, body)
    } else {
        let world = Arc::clone(&shared.world);
        let base = shared.base.clone();
        let draw = move || wms::answer(&world, &base, &path, &Params::parse(&query));
        tokio::task::spawn_blocking(draw)
            .await
            .unwrap_or_else(|error| Reply::new(500, "text/plain", format!("failed to draw: {error}")))
    };
    Ok(with_fault(reply, &fault))
}

/// `/ctl?…`: the fields of [`Fault`], or `reset`, or `release`.
fn control(shared: &Shared, query: &str) -> Reply {
    let params: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut fault = serde_json::Map::new();
    for (name, value) in params {
        match name.as_str() {
            "reset" | "release" => {
                if name == "reset" {
                    shared.reset();
                }
                shared.released.send_modify(|count| *count += 1);
            }
            _ => {
                // numbers and booleans as such, anything else is text
                let value = serde_json::from_str(&value).unwrap_or(serde_json::Value::String(value));
                fault.insert(name, value);
            }
        }
    }
    if fault.is_empty() {
        return Reply::new(200, "text/plain", "ok\n");
    }
    match serde_json::from_value(fault.into()) {
        Ok(fault) => {
            shared.state().faults.push(fault);
            Reply::new(200, "text/plain", "ok\n")
        }
        Err(error) => Reply::new(400, "text/plain", format!("{error}\n")),
    }
}

fn plain(reply: Reply) -> Response<ReplyBody> {
    with_fault(reply, &Fault::default())
}

fn with_fault(reply: Reply, fault: &Fault) -> Response<ReplyBody> {
    let content_type = fault.content_type.as_deref().unwrap_or(&reply.content_type);
    let body = FaultyBody {
        length: reply.body.len(),
        left: Bytes::from(reply.body),
        sent: 0,
        cut_after: fault.cut_after,
        drip: fault.drip_ms.map(Duration::from_millis),
        pause: None,
    };
    let mut head = Response::builder()
        .status(fault.status.unwrap_or(reply.status))
        .header("content-type", content_type);
    if let Some(seconds) = fault.retry_after {
        head = head.header("retry-after", seconds);
    }
    head.body(body.boxed())
        .unwrap_or_else(|_invalid| Response::new(http_body_util::Empty::new().map_err(|never| match never {}).boxed()))
}

/// A body that may come slowly, or end with an error before all of it was sent.
#[derive(Debug)]
struct FaultyBody {
    length: usize,
    left: Bytes,
    sent: usize,
    cut_after: Option<usize>,
    drip: Option<Duration>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for FaultyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        const DRIP_BYTES: usize = 64;
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let mut size = self.left.len();
        if let Some(cut) = self.cut_after {
            size = size.min(cut.saturating_sub(self.sent));
            if size == 0 {
                return Poll::Ready(Some(Err(io::Error::other("cut as told"))));
            }
        }
        if self.drip.is_some() {
            size = size.min(DRIP_BYTES);
        }
        if size == 0 {
            return Poll::Ready(None);
        }
        self.sent += size;
        // a cut must come after the data has gone out, so let the connection flush first
        let pause = self.drip.or(self.cut_after.map(|_| Duration::from_millis(5)));
        self.pause = pause.map(|pause| Box::pin(tokio::time::sleep(pause)));
        let piece = self.left.split_to(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.sent) as u64)
    }
}
