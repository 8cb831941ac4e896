//! One request: checked, routed to its application, run in an instance, answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, warn};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::Server;
use super::answer::{self, AnswerBody, Running, Streaming};
use crate::app::App;
use crate::instance::{Answer, Failure};
use crate::projects::Route;
use crate::request_span::{RequestSpan, in_span};
use crate::shutdown::Stop;

const SCRIPT_NAME: HeaderName = HeaderName::from_static("x-script-name");

/// What a reverse proxy tells about the request it got.
const FORWARDED: [HeaderName; 7] = [
    SCRIPT_NAME,
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
];

impl Server {
    /// Answers `request`. Never fails: whatever goes wrong is an answer too.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        stop: Stop,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let mut entry = self.access.begin(id, peer, &request);
        let span = RequestSpan::new(id, &request);
        let answer = async {
            let answer = self.run(request, started, stop, &span).await;
            answer.unwrap_or_else(Refusal::into_response)
        };
        let answer = Arc::clone(&span).scope(answer).await;
        span.answered(answer.status(), started.elapsed());
        if let Some(entry) = &mut entry {
            entry.status = answer.status();
        }
        Ok(answer.map(|body| body.logged(entry)))
    }

    async fn run(
        self: &Arc<Self>,
        request: Request<Incoming>,
        started: Instant,
        stop: Stop,
        span: &Arc<RequestSpan>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let deadline = started + self.limits.request_timeout;
        let head_only = request.method() == Method::HEAD;
        let request = self.accept(request).await?;
        let base = script_name(request.headers());
        let route = timeout_at(deadline, self.apps.route(request.uri().path(), &base, &self.loader)).await;
        let (app, prefix_len) = match route.map_err(|_elapsed| Refusal::Deadline)? {
            Route::App { app, prefix_len } => (app, prefix_len),
            Route::Index(page) => return Ok(html(StatusCode::OK, page)),
            Route::NotFound => return Err(Refusal::NotFound),
            Route::Broken(page) => return Ok(html(StatusCode::INTERNAL_SERVER_ERROR, page)),
        };
        let request = mount(request, prefix_len)?;
        let permit = timeout_at(deadline, self.admit())
            .await
            .map_err(|_elapsed| Refusal::Busy)??;

        let (respond, mut answered) = oneshot::channel();
        let guest = self.guest(app, request, respond, deadline, permit, stop);
        let guest = Arc::clone(span).scope(guest);
        let mut running = Running::new(guest);
        let (ended, answer) = std::future::poll_fn(|context| {
            let ended = running.poll(context);
            // Once the guest has ended, its side of the channel is gone, so this is not pending for ever.
            Pin::new(&mut answered).poll(context).map(|answer| (ended, answer.ok()))
        })
        .await;
        if let Poll::Ready(Err(failure)) = ended {
            return Err(Refusal::Failed(failure));
        }
        // Without an answer the guest has dropped the handle of its answer, and may go on working for nobody.
        let response = match answer {
            Some(Ok(response)) => response,
            Some(Err(code)) => {
                in_span(|| error!(?code, "the instance answered with an error code"));
                return Err(Refusal::NoAnswer);
            }
            None => {
                std::future::poll_fn(|context| running.poll(context))
                    .await
                    .map_err(Refusal::Failed)?;
                in_span(|| error!("the instance ended without an answer"));
                return Err(Refusal::NoAnswer);
            }
        };
        finish(response, running, head_only).await
    }

    /// Checks what a client sent and reads its body: a slow client must not hold an instance.
    async fn accept(&self, request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Refusal> {
        let limits = &self.limits;
        let target_len = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if target_len > limits.max_uri {
            return Err(Refusal::UriTooLong);
        }
        let (mut parts, body) = request.into_parts();
        let body = if body.is_end_stream() {
            Bytes::new()
        } else {
            if body.size_hint().lower() > limits.max_body as u64 {
                return Err(Refusal::BodyTooLarge);
            }
            let read = timeout(limits.read_timeout, Limited::new(body, limits.max_body).collect()).await;
            match read.map_err(|_elapsed| Refusal::SlowBody)? {
                Ok(body) => body.to_bytes(),
                Err(error) if error.is::<LengthLimitError>() => return Err(Refusal::BodyTooLarge),
                Err(_broken) => return Err(Refusal::BadRequest("the body is incomplete")),
            }
        };
        // To a WSGI application HEAD is GET too; that way `Content-Length` is right.
        if parts.method == Method::HEAD {
            parts.method = Method::GET;
        }
        match parts.headers.get(HOST) {
            Some(host) if host.to_str().is_err() => return Err(Refusal::BadRequest("the host is not a name")),
            Some(_) => {}
            None if parts.uri.authority().is_some() => {}
            // HTTP/1.0 knows no `Host`; the guest needs one to make links.
            None if parts.version == Version::HTTP_10 => {
                parts.headers.insert(HOST, HeaderValue::from_static("localhost"));
            }
            None => return Err(Refusal::BadRequest("there is no Host header")),
        }
        if !self.trust_forwarded {
            for name in &FORWARDED {
                parts.headers.remove(name);
            }
        }
        Ok(Request::from_parts(parts, Full::new(body)))
    }

    /// Waits for a place among the requests in flight.
    async fn admit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Queued::enter(self).ok_or(Refusal::Busy)?;
        // The semaphore is never closed.
        Arc::clone(&self.in_flight)
            .acquire_owned()
            .await
            .map_err(|_closed| Refusal::Busy)
    }

    /// The guest's side of a request; what it fails with is logged here, also when nobody waits any more.
    fn guest(
        self: &Arc<Self>,
        app: Arc<App>,
        request: Request<Full<Bytes>>,
        respond: oneshot::Sender<Answer>,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
        stop: Stop,
    ) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let guests = Arc::clone(&self.loader.guests);
        async move {
            let result = timeout_at(deadline, guests.handle(&app, request, respond)).await;
            let result = result.unwrap_or(Err(Failure::Deadline));
            if let Err(failure) = &result {
                in_span(|| error!("{failure}"));
            }
            drop((permit, stop));
            result
        }
    }
}

fn html(status: StatusCode, page: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(page.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// A place in the queue.
struct Queued<'server> {
    server: &'server Server,
}

impl<'server> Queued<'server> {
    fn enter(server: &'server Server) -> Option<Self> {
        let place = Self { server };
        let before = server.queued.fetch_add(1, Ordering::Relaxed);
        // Dropping `place` gives the count back.
        (before < server.limits.queue).then_some(place)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.server.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

fn script_name(headers: &HeaderMap) -> String {
    let value = headers
        .get(SCRIPT_NAME)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let value = value.trim().trim_end_matches('/');
    if value.is_empty() || value.starts_with('/') {
        value.to_owned()
    } else {
        format!("/{value}")
    }
}

/// Takes the mount point off the path and adds it to the script name, as WSGI does it.
fn mount(mut request: Request<Full<Bytes>>, prefix_len: usize) -> Result<Request<Full<Bytes>>, Refusal> {
    if prefix_len == 0 {
        return Ok(request);
    }
    let bad = |_error| Refusal::BadRequest("the path is not valid");
    let (prefix, rest) = request
        .uri()
        .path()
        .split_at_checked(prefix_len)
        .ok_or(Refusal::NotFound)?;
    let rest = if rest.is_empty() { "/" } else { rest };
    let target = match request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let script_name = format!("{}{prefix}", script_name(request.headers()));
    let script_name =
        HeaderValue::try_from(script_name).map_err(|_invalid| Refusal::BadRequest("the path is not valid"))?;
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(bad)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_invalid| Refusal::BadRequest("the path is not valid"))?;
    request.headers_mut().insert(SCRIPT_NAME, script_name);
    Ok(request)
}

async fn finish(
    response: Response<HyperOutgoingBody>,
    running: Running,
    head_only: bool,
) -> Result<Response<AnswerBody>, Refusal> {
    let (mut head, body) = response.into_parts();
    let has_length = head.headers.contains_key(CONTENT_LENGTH);
    // These have no body, and a length would speak of another answer (RFC 9110, 8.6).
    let bodyless = head.status.is_informational()
        || head.status == StatusCode::NO_CONTENT
        || head.status == StatusCode::NOT_MODIFIED;

    let body = if running.ended() {
        let bytes = answer::collect(body).ok_or(Refusal::NoAnswer)?;
        if !has_length && !bodyless {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        AnswerBody::whole(if head_only || bodyless { Bytes::new() } else { bytes })
    } else {
        let streaming = Streaming {
            running,
            body,
            failed: false,
        };
        if head_only && !has_length && !bodyless {
            let length = answer::count(streaming).await.ok_or(Refusal::NoAnswer)?;
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            AnswerBody::whole(Bytes::new())
        } else {
            AnswerBody::streaming(streaming)
        }
    };
    Ok(Response::from_parts(head, body))
}

/// An answer that comes from the host, not from a guest.
#[derive(Debug)]
enum Refusal {
    BadRequest(&'static str),
    NotFound,
    SlowBody,
    BodyTooLarge,
    UriTooLong,
    NoAnswer,
    Busy,
    Deadline,
    Failed(Failure),
}

impl Refusal {
    fn into_response(self) -> Response<AnswerBody> {
        let (status, text) = match &self {
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, *text),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found"),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request did not arrive in time",
            ),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body of the request is too large"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "the URL is too long"),
            Self::NoAnswer | Self::Failed(_) if !self.is_deadline() => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal error; the log of the server tells more",
            ),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "the server is busy, try again later"),
            Self::Deadline | Self::NoAnswer | Self::Failed(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the request took too long")
            }
        };
        if matches!(self, Self::Busy) {
            in_span(|| warn!("too many requests in flight and waiting"));
        }
        let mut response = Response::new(AnswerBody::whole(format!("{text}\n").into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if matches!(self, Self::Busy) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if matches!(self, Self::BodyTooLarge | Self::SlowBody) {
            // The rest of the body is still on its way; reading it to the end would be what the limit is there against.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn is_deadline(&self) -> bool {
        matches!(self, Self::Failed(Failure::Deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounting() {
        let check = |uri: &str, prefix: &str, client: Option<&str>, expect: (&str, &str)| {
            let mut request = Request::get(uri).body(Full::default()).unwrap();
            if let Some(value) = client {
                request
                    .headers_mut()
                    .insert(SCRIPT_NAME, HeaderValue::from_str(value).unwrap());
            }
            let request = mount(request, prefix.len()).unwrap();
            let target = request.uri().path_and_query().unwrap().as_str().to_owned();
            let name = request
                .headers()
                .get(SCRIPT_NAME)
                .map_or("", |value| value.to_str().unwrap());
            assert_eq!((target.as_str(), name), expect, "{uri}");
        };
        check("/service?a=b", "", None, ("/service?a=b", ""));
        check("/service", "", Some("/maps"), ("/service", "/maps"));
        check("/roads/service?a=b", "/roads", None, ("/service?a=b", "/roads"));
        check("/roads", "/roads", None, ("/", "/roads"));
        check("/roads?a", "/roads", None, ("/?a", "/roads"));
        check("/roads/", "/roads", Some("maps/"), ("/", "/maps/roads"));
        check("http://host/roads/x", "/roads", Some("/maps"), ("/x", "/maps/roads"));
    }
}
