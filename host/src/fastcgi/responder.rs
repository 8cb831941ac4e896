//! One connection of a web server: requests, one after the other, and their answers.
//!
//! A web server that closes its connection, or sends `FCGI_ABORT_REQUEST`, has lost its client; the answer is then
//! dropped as that of an HTTP client who leaves.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::codec::{self, Decoder, Event, Exchange, Limits, Malformed, Params, ProtocolStatus};
use super::variables::Variables;
use crate::server::{AnswerBody, Carrier, Guarded, Refusal, Server};
use crate::shutdown::Stop;

/// How long a connection is kept between requests: longer than web servers do (nginx: a minute), so that it is they who
/// close it, rather than we while their next request is on its way.
const IDLE: Duration = Duration::from_mins(10);

/// Bytes of an answer that are collected before they are written.
const WRITE_SIZE: usize = 256 << 10;

/// Why a connection ends before its time.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the web server sent what is no FastCGI: {0}")]
    Malformed(#[from] Malformed),
    #[error("the web server closed the connection")]
    Closed,
    #[error("the web server sent nothing for too long")]
    Slow,
    /// A body cut short must not look complete.
    #[error("the answer broke off")]
    CutShort,
}

/// What becomes of a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

impl Exchange {
    fn next(self) -> Next {
        if self.keep_open { Next::Request } else { Next::Close }
    }
}

/// Serves the requests of a web server until it closes the connection, or until `stop`.
pub(crate) async fn serve_connection<S>(server: Arc<Server>, stream: S, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = Limits {
        params: server.limits.max_header.saturating_add(server.limits.max_uri),
        stdin: server.limits.max_body,
        connections: server.limits.max_connections,
    };
    let mut connection = Connection {
        stream: Guarded::new(stream, server.limits.write_timeout),
        decoder: Decoder::new(limits),
        server,
        stop,
    };
    match connection.serve().await {
        Ok(()) => {}
        Err(error @ Lost::Malformed(_)) => warn!("{error}"),
        Err(error) => debug!("a connection of a web server ended: {error}"),
    }
}

struct Connection<S> {
    server: Arc<Server>,
    stop: Stop,
    stream: Guarded<S>,
    decoder: Decoder,
}

/// How a body that nobody wants ended.
enum Drained {
    Complete,
    Aborted,
}

/// A request that has begun: its variables, or that there are too many.
type Begun = (Exchange, Option<Params>);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn serve(&mut self) -> Result<(), Lost> {
        let mut patience = self.server.limits.read_timeout;
        while let Some((exchange, params)) = self.request(patience).await? {
            let next = match params.map(|params| Variables::read(params, &self.server.script_name)) {
                Some(Ok(variables)) => self.answer(exchange, variables).await?,
                Some(Err(error)) => {
                    warn!("a request that cannot be understood: {error}");
                    let refusal = Refusal::BadRequest("the web server's variables make no request");
                    self.refuse(exchange, refusal).await?
                }
                None => self.refuse(exchange, Refusal::HeadTooLarge).await?,
            };
            if next == Next::Close {
                break;
            }
            self.decoder.finish();
            patience = IDLE;
        }
        self.stream.shutdown().await?;
        Ok(())
    }

    /// The next request; `None` when it is time to stop, or when the web server has closed a connection at rest.
    async fn request(&mut self, patience: Duration) -> Result<Option<Begun>, Lost> {
        let read_timeout = self.server.limits.read_timeout;
        loop {
            while self.decoder.is_idle() {
                let mut stop = self.stop.clone();
                tokio::select! {
                    received = timeout(patience, self.stream.read_buf(self.decoder.buffer())) => match received {
                        Ok(Ok(0)) | Err(_) => return Ok(None),
                        Ok(received) => { received?; }
                    },
                    () = stop.requested() => return Ok(None),
                }
            }
            let event = timeout(read_timeout, self.event())
                .await
                .map_err(|_elapsed| Lost::Slow)??;
            match event {
                Event::Request(exchange, params) => return Ok(Some((exchange, Some(params)))),
                Event::TooManyParams(exchange) => return Ok(Some((exchange, None))),
                Event::Reply { bytes, close } => {
                    self.stream.write_all(&bytes).await?;
                    if close {
                        return Ok(None);
                    }
                }
                Event::Abort(exchange) => {
                    if self.aborted(exchange).await? == Next::Close {
                        return Ok(None);
                    }
                }
                // The decoder has none of these before a request.
                Event::Stdin(_) | Event::StdinEnd => {}
            }
        }
    }

    /// The next event, however long it takes. May be given up at any time.
    async fn event(&mut self) -> Result<Event, Lost> {
        loop {
            if let Some(event) = self.decoder.next()? {
                return Ok(event);
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                return Err(Lost::Closed);
            }
        }
    }

    async fn aborted(&mut self, exchange: Exchange) -> Result<Next, Lost> {
        let end = codec::end_only(exchange.id, ProtocolStatus::RequestComplete);
        self.stream.write_all(&end).await?;
        Ok(exchange.next())
    }

    async fn answer(&mut self, exchange: Exchange, variables: Variables) -> Result<Next, Lost> {
        let (stdin, body) = Stdin::new(variables.content_length);
        let mut request = Request::new(body);
        *request.method_mut() = variables.method;
        *request.uri_mut() = variables.uri;
        *request.version_mut() = variables.version;
        *request.headers_mut() = variables.headers;
        let carrier = Carrier {
            client: variables.client,
            https: variables.https,
            mount: Some(variables.mount),
        };
        let mut stdin = Some(stdin);
        let mut answer = pin!(Arc::clone(&self.server).answer(request, carrier, self.stop.clone()));
        let response = loop {
            let event = tokio::select! {
                biased;
                response = &mut answer => break response,
                event = self.event() => event?,
            };
            match event {
                Event::Stdin(bytes) => {
                    if let Some(stdin) = &stdin {
                        // Fails when nobody wants the body any more.
                        let _ = stdin.send(Some(bytes));
                    }
                }
                Event::StdinEnd => {
                    if let Some(stdin) = stdin.take() {
                        let _ = stdin.send(None);
                    }
                }
                Event::Abort(exchange) => return self.aborted(exchange).await,
                Event::Reply { bytes, .. } => self.stream.write_all(&bytes).await?,
                // The decoder has none of these during a request.
                Event::Request(..) | Event::TooManyParams(_) => {}
            }
        };
        self.send(exchange, response).await
    }

    async fn refuse(&mut self, exchange: Exchange, refusal: Refusal) -> Result<Next, Lost> {
        self.send(exchange, refusal.into_response()).await
    }

    /// Sends an answer, once all of the request is here: a web server that is still sending may not be listening.
    async fn send(&mut self, exchange: Exchange, response: Response<AnswerBody>) -> Result<Next, Lost> {
        let mut next = exchange.next();
        if self.decoder.awaits_stdin() {
            match timeout(self.server.limits.read_timeout, self.drain()).await {
                Ok(Ok(Drained::Complete)) => {}
                Ok(Ok(Drained::Aborted)) => return self.aborted(exchange).await,
                Ok(Err(lost)) => return Err(lost),
                // What is still to come would be taken for the next request.
                Err(_elapsed) => next = Next::Close,
            }
        }
        let (head, mut body) = response.into_parts();
        // Room for all of a usual answer: head, body, and a few record headers.
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(WRITE_SIZE);
        let mut out = BytesMut::with_capacity(expected.min(WRITE_SIZE) + 1024);
        codec::stdout(&mut out, exchange.id, &head_text(head.status, &head.headers));
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                event = self.event() => {
                    match event? {
                        Event::Abort(exchange) => return self.aborted(exchange).await,
                        Event::Reply { bytes, .. } => out.extend_from_slice(&bytes),
                        _ => {}
                    }
                    continue;
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    for piece in frame.data_ref().map_or(&[][..], Bytes::as_ref).chunks(WRITE_SIZE) {
                        codec::stdout(&mut out, exchange.id, piece);
                        if out.len() >= WRITE_SIZE || !body.is_end_stream() {
                            self.stream.write_all(&out).await?;
                            out.clear();
                        }
                    }
                }
                Some(Err(_logged)) => return Err(Lost::CutShort),
                None => break,
            }
        }
        codec::end(&mut out, exchange.id);
        self.stream.write_all(&out).await?;
        Ok(next)
    }

    /// Reads the rest of a body that nobody wants.
    async fn drain(&mut self) -> Result<Drained, Lost> {
        loop {
            match self.event().await? {
                Event::StdinEnd => return Ok(Drained::Complete),
                Event::Abort(_) => return Ok(Drained::Aborted),
                Event::Reply { bytes, .. } => self.stream.write_all(&bytes).await?,
                Event::Stdin(_) | Event::Request(..) | Event::TooManyParams(_) => {}
            }
        }
    }
}

/// The head of an answer as CGI has it (RFC 3875, section 6).
fn head_text(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or("Status");
    out.extend_from_slice(format!("Status: {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in headers {
        if is_for_clients(name) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Not what concerns a connection that does not exist here, nor what makes web servers send a file of theirs.
fn is_for_clients(name: &HeaderName) -> bool {
    let text = name.as_str();
    let orders_the_web_server = ["status", "x-sendfile", "x-accel-", "x-lighttpd-"]
        .iter()
        .any(|start| text.starts_with(start));
    !orders_the_web_server && ![CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name) && text != "keep-alive"
}

/// The body of a request, as it arrives. `None` is its end; without one, it is incomplete.
struct Stdin {
    pieces: mpsc::UnboundedReceiver<Option<Bytes>>,
    /// Bytes still to come, where the web server told how many.
    remaining: Option<u64>,
    ended: bool,
}

impl Stdin {
    /// What is sent waits in memory: the decoder limits how much that is.
    fn new(length: Option<u64>) -> (mpsc::UnboundedSender<Option<Bytes>>, Self) {
        let (sender, pieces) = mpsc::unbounded_channel();
        (
            sender,
            Self {
                pieces,
                remaining: length,
                ended: false,
            },
        )
    }
}

/// The body is shorter or longer than `CONTENT_LENGTH`, or the connection broke.
#[derive(Debug, thiserror::Error)]
#[error("the body is incomplete")]
struct Incomplete;

impl Body for Stdin {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        let Some(Some(bytes)) = piece else {
            self.ended = true;
            let complete = piece.is_some() && self.remaining.is_none_or(|remaining| remaining == 0);
            return Poll::Ready((!complete).then_some(Err(Incomplete)));
        };
        if let Some(remaining) = self.remaining {
            let Some(rest) = remaining.checked_sub(bytes.len() as u64) else {
                self.ended = true;
                return Poll::Ready(Some(Err(Incomplete)));
            };
            self.remaining = Some(rest);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        if let Some(remaining) = self.remaining {
            hint.set_lower(remaining);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::Collected;

    use super::*;

    #[test]
    fn heads() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "image/png"),
            ("connection", "close"),
            ("x-accel-redirect", "/etc/passwd"),
            ("x-sendfile", "/etc/passwd"),
            ("x-lighttpd-send-file", "/etc/passwd"),
            ("status", "200"),
            ("etag", "\"x\""),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let text = String::from_utf8(head_text(StatusCode::NOT_FOUND, &headers)).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["", "Status: 404 Not Found", "content-type: image/png", "etag: \"x\""]
        );
        assert!(text.starts_with("Status: ") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn bodies() {
        let check = async |length: Option<u64>, pieces: &[&'static str], end: bool, expect: Option<&str>| {
            let (sender, body) = Stdin::new(length);
            for piece in pieces {
                sender.send(Some(Bytes::from_static(piece.as_bytes()))).unwrap();
            }
            if end {
                sender.send(None).unwrap();
            }
            drop(sender);
            let body = body.collect().await.ok().map(Collected::to_bytes);
            assert_eq!(
                body.as_deref(),
                expect.map(str::as_bytes),
                "{length:?} {pieces:?} {end}"
            );
        };
        check(None, &[], true, Some("")).await;
        check(Some(0), &[], true, Some("")).await;
        check(None, &["ab", "c"], true, Some("abc")).await;
        check(Some(3), &["ab", "c"], true, Some("abc")).await;
        check(Some(4), &["ab", "c"], true, None).await;
        check(Some(2), &["ab", "c"], true, None).await;
        check(None, &["ab"], false, None).await;
    }
}
