//! One request: checked, routed to its application, run in an instance, answered.

use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::error;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::Server;
use super::answer::{self, AnswerBody, Running, Streaming};
use super::mount::{self, SCRIPT_NAME};
use super::refusal::Refusal;
use super::sendfile;
use crate::admin;
use crate::app::App;
use crate::apps::Route;
use crate::instance::{Answer, Failure, LookedAt};
use crate::request_span::{RequestSpan, in_span};
use crate::shutdown::Stop;

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

/// What a listener knows of a request beside what is in it.
#[derive(Debug, Default)]
pub(crate) struct Carrier {
    /// Who asks, where that is known.
    pub(crate) client: Option<IpAddr>,
    /// The client's connection is encrypted.
    pub(crate) https: bool,
    /// The mount point a web server told us apart from the headers: what a client says about it is dropped.
    pub(crate) mount: Option<String>,
}

impl Server {
    /// Answers `request`, whatever protocol it came with. Never fails: whatever goes wrong is an answer too.
    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        carrier: Carrier,
        stop: Stop,
    ) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let mut entry = self.access.begin(id, carrier.client, &request);
        let span = RequestSpan::new(id, &request);
        let in_flight = self.counters.begin();
        let answer = async {
            let answer = self.run(request, carrier, started, stop, &span).await;
            answer.unwrap_or_else(Refusal::into_response)
        };
        let answer = Arc::clone(&span).scope(answer).await;
        drop(in_flight);
        self.counters.answered(answer.status());
        span.answered(answer.status(), started.elapsed());
        if let Some(entry) = &mut entry {
            entry.status = answer.status();
        }
        answer.map(|body| body.logged(entry))
    }

    async fn run<B>(
        self: &Arc<Self>,
        request: Request<B>,
        carrier: Carrier,
        started: Instant,
        stop: Stop,
        span: &Arc<RequestSpan>,
    ) -> Result<Response<AnswerBody>, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let deadline = started + self.limits.request_timeout;
        let head_only = request.method() == Method::HEAD;
        let request = self.accept(request, carrier).await?;
        let mounted = mount::script_name(request.headers());
        let path = mount::behind(request.uri().path(), &mounted);
        if let Some(health) = &self.health
            && path == "/healthz"
        {
            return Ok(admin::health(health).map(AnswerBody::whole));
        }
        let apps = self.apps();
        let route = timeout_at(deadline, apps.route(path, &mounted, &self.loader)).await;
        let (app, prefix_len) = match route.map_err(|_elapsed| Refusal::Deadline)? {
            Route::App { app, prefix_len } => (app, prefix_len),
            Route::Index(page) => return Ok(html(StatusCode::OK, page)),
            Route::NotFound => return Err(Refusal::NotFound),
            Route::Broken(page) => return Ok(html(StatusCode::INTERNAL_SERVER_ERROR, page)),
        };
        let request = if mounted.is_empty() && prefix_len == 0 {
            request
        } else {
            mount::enter(request, &mounted, prefix_len)?
        };
        let spare = request.clone();
        let (mut response, mut running) = self.ask(&app, request, deadline, stop.clone(), span).await?;
        if let Some(path) = sendfile::take(&mut response) {
            let looked_at = running.end().await.map_err(Refusal::Failed)?;
            if let Some(content) = sendfile::read(&app.directories, &path, looked_at) {
                return Ok(of_file(response, content, head_only));
            }
            let mut request = spare;
            sendfile::refuse(request.headers_mut());
            // Rare, so the place for a second instance is not in every request.
            (response, running) = Box::pin(self.ask(&app, request, deadline, stop, span)).await?;
            if sendfile::take(&mut response).is_some() {
                in_span(|| error!(path = %path.display(), "the instance named a file that is not its to send"));
                return Err(Refusal::NoAnswer);
            }
        }
        finish(response, running, head_only).await
    }

    /// Runs `request` in an instance of `app` until the head of its answer is known.
    async fn ask(
        self: &Arc<Self>,
        app: &Arc<App>,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        stop: Stop,
        span: &Arc<RequestSpan>,
    ) -> Result<(Response<HyperOutgoingBody>, Running), Refusal> {
        let permit = timeout_at(deadline, self.admit())
            .await
            .map_err(|_elapsed| Refusal::Busy)??;

        let (respond, mut answered) = oneshot::channel();
        let mut running = Running::new(|| {
            let guest = self.guest(Arc::clone(app), request, respond, deadline, permit, stop);
            Arc::clone(span).scope(guest)
        });
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
        match answer {
            Some(Ok(response)) => Ok((response, running)),
            Some(Err(code)) => {
                in_span(|| error!(?code, "the instance answered with an error code"));
                Err(Refusal::NoAnswer)
            }
            None => {
                running.end().await.map_err(Refusal::Failed)?;
                in_span(|| error!("the instance ended without an answer"));
                Err(Refusal::NoAnswer)
            }
        }
    }

    /// Checks what a client sent and reads its body: a slow client must not hold an instance.
    async fn accept<B>(&self, request: Request<B>, carrier: Carrier) -> Result<Request<Full<Bytes>>, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
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
        sendfile::allow(&mut parts.headers);
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
        if let Some(mount) = carrier.mount {
            parts.headers.remove(SCRIPT_NAME);
            insert_mount(&mut parts.headers, &mount)?;
        } else if !parts.headers.contains_key(SCRIPT_NAME) {
            insert_mount(&mut parts.headers, &self.script_name)?;
        }
        if carrier.https {
            parts.extensions.insert(Scheme::HTTPS);
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
    ) -> impl Future<Output = Result<Option<LookedAt>, Failure>> + Send + use<> {
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

fn insert_mount(headers: &mut HeaderMap, mount: &str) -> Result<(), Refusal> {
    if !mount.is_empty() {
        let value = HeaderValue::try_from(mount).map_err(|_invalid| Refusal::BadRequest("the path is not valid"))?;
        headers.insert(SCRIPT_NAME, value);
    }
    Ok(())
}

/// The answer whose body is a file.
fn of_file(mut response: Response<HyperOutgoingBody>, content: Bytes, head_only: bool) -> Response<AnswerBody> {
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    response.map(|_empty| AnswerBody::whole(if head_only { Bytes::new() } else { content }))
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
        let bytes = answer::collect(body).await.ok_or(Refusal::NoAnswer)?;
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
