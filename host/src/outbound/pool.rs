//! Connections to one origin: kept open after an answer, taken up again by the next request.
//!
//! No connection is opened before a request needs it: upstreams that serve one connection at a time (CGI servers, small
//! Python servers) would wait for a request that never comes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use rustls::ClientConfig;
use tokio::time::timeout;
use tracing::{Instrument as _, debug};
use wasmtime_wasi_http::{Error, WasiBody};

use super::connect::{self, Connected};
use super::{OriginKey, Outbound};

/// Servers close idle connections after some seconds (Apache: 5); one that is older is not worth the risk.
const MAX_IDLE: Duration = Duration::from_secs(15);

/// How long a connection from the pool may need to be ready.
const SETTLE: Duration = Duration::from_millis(100);

/// Time limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) between_bytes: Duration,
}

/// An origin and its idle connections.
pub(crate) struct Upstream {
    pub(super) key: OriginKey,
    pub(super) tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

struct Connection {
    sender: SendRequest<WasiBody>,
    /// The peer is a proxy that wants the whole URL in the request line.
    absolute_form: bool,
}

impl Upstream {
    pub(super) fn new(key: OriginKey, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            key,
            tls,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// The connection used last that is still open; those that are too old are closed.
    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| !idle.connection.sender.is_closed() && idle.since.elapsed() < MAX_IDLE);
        idle.pop().map(|idle| idle.connection)
    }

    fn put_back(&self, connection: Connection, max_idle: usize) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= max_idle {
            idle.remove(0);
        }
        idle.push(Idle {
            connection,
            since: Instant::now(),
        });
    }
}

/// Sends `request` over an idle connection, or a new one, and waits for the head of the answer.
///
/// The one case that is tried again: an idle connection turns out to be closed before any byte of the request was
/// written, so the server cannot have seen it.
pub(super) async fn send(
    outbound: &Outbound,
    upstream: &Arc<Upstream>,
    mut request: http::Request<WasiBody>,
    timeouts: Timeouts,
) -> Result<http::Response<PooledBody>, Error> {
    let max_idle = outbound.limits.idle_connections;
    while let Some(mut connection) = upstream.take() {
        // Ready as soon as its task has seen the end of the last answer; anything else is a connection in disorder.
        if !matches!(timeout(SETTLE, connection.sender.ready()).await, Ok(Ok(()))) {
            continue;
        }
        let form = RequestForm::apply(&mut request, connection.absolute_form);
        match exchange(&mut connection, request, timeouts).await {
            Ok(response) => return Ok(pooled(response, connection, upstream, max_idle)),
            Err((Some(unsent), _)) => {
                debug!(origin = %upstream.key, "an idle connection was closed");
                request = *unsent;
                form.undo(&mut request);
            }
            Err((None, error)) => return Err(error),
        }
    }

    let connected = timeout(timeouts.connect, connect::connect(outbound, upstream))
        .await
        .unwrap_or(Err(Error::ConnectionTimeout))?;
    let mut connection = handshake(connected, &mut request, upstream).await?;
    RequestForm::apply(&mut request, connection.absolute_form);
    match exchange(&mut connection, request, timeouts).await {
        Ok(response) => Ok(pooled(response, connection, upstream, max_idle)),
        Err((_, error)) => Err(error),
    }
}

async fn handshake(
    connected: Connected,
    request: &mut http::Request<WasiBody>,
    upstream: &Upstream,
) -> Result<Connection, Error> {
    let Connected {
        stream,
        absolute_form,
        proxy_authorization,
    } = connected;
    if let Some(value) = proxy_authorization {
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    let (sender, connection) = http1::Builder::new()
        // Map servers of the last twenty years answer; not all of them to the letter.
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .title_case_headers(true)
        .handshake(stream)
        .await?;
    let origin = upstream.key.clone();
    // Ends with the connection: when the server closes it, or when its `SendRequest` is dropped.
    tokio::spawn(
        async move {
            if let Err(error) = connection.await {
                debug!(%origin, %error, "a connection ended with an error");
            }
        }
        .in_current_span(),
    );
    Ok(Connection { sender, absolute_form })
}

/// The error comes with the request where nothing of it was sent.
type ExchangeError = (Option<Box<http::Request<WasiBody>>>, Error);

async fn exchange(
    connection: &mut Connection,
    request: http::Request<WasiBody>,
    timeouts: Timeouts,
) -> Result<http::Response<Incoming>, ExchangeError> {
    match timeout(timeouts.first_byte, connection.sender.try_send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => Err((error.take_message().map(Box::new), classify(&error.into_error()))),
        Err(_elapsed) => Err((None, Error::ConnectionReadTimeout)),
    }
}

pub(super) fn classify(error: &hyper::Error) -> Error {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Error::HttpResponseIncomplete
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() {
        Error::HttpProtocolError
    } else {
        Error::ConnectionTerminated
    }
}

/// The request line as the peer wants it: the path, or the whole URL for a proxy.
struct RequestForm {
    original: http::Uri,
}

impl RequestForm {
    fn apply(request: &mut http::Request<WasiBody>, absolute: bool) -> Self {
        let original = request.uri().clone();
        if !absolute {
            let path = original
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
            *request.uri_mut() = http::Uri::from(path);
        }
        // The authority may hold credentials, which do not belong into `Host`.
        let host = original.authority().map(|authority| {
            let text = authority.as_str();
            text.rsplit_once('@').map_or(text, |(_, host)| host)
        });
        if let Some(host) = host.and_then(|host| http::HeaderValue::from_str(host).ok()) {
            request.headers_mut().insert(HOST, host);
        }
        Self { original }
    }

    fn undo(self, request: &mut http::Request<WasiBody>) {
        *request.uri_mut() = self.original;
    }
}

/// The body of an answer; at its end the connection goes back to its upstream.
pub(super) struct PooledBody {
    incoming: Incoming,
    connection: Option<(Connection, Arc<Upstream>, usize)>,
}

fn pooled(
    response: http::Response<Incoming>,
    connection: Connection,
    upstream: &Arc<Upstream>,
    max_idle: usize,
) -> http::Response<PooledBody> {
    response.map(|incoming| PooledBody {
        incoming,
        connection: Some((connection, Arc::clone(upstream), max_idle)),
    })
}

impl PooledBody {
    fn release(&mut self) {
        if let Some((connection, upstream, max_idle)) = self.connection.take() {
            upstream.put_back(connection, max_idle);
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(context);
        match frame {
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                Poll::Ready(Some(Err(classify(&error))))
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        // Read to the last byte without asking whether more comes: an ordinary end.
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}
