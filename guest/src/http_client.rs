//! `platform::HttpClient` on `wasi:http/outgoing-handler`.
//!
//! A component has one thread, but any number of requests can be under way: all of them are waited for in one `poll`,
//! together with a timer for the time-outs and the caller's heartbeat.

use std::collections::VecDeque;
use std::time::Duration;

use mapproxy_core::http::{Headers, HttpFailure, HttpReply, HttpRequest};
use mapproxy_core::platform::HttpClient;
use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    Scheme,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, StreamError};

use crate::redirect;

/// Redirects that are followed before it is given up, as in MapProxy's client.
const MAX_REDIRECTS: usize = 5;
/// How often a waiting caller shows a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Largest piece of an answer taken at once.
const PIECE: u64 = 1 << 20;

/// The host's outgoing HTTP.
#[derive(Debug, Default)]
pub(crate) struct WasiHttp;

impl HttpClient for WasiHttp {
    fn send(&self, request: &HttpRequest) -> Result<HttpReply, HttpFailure> {
        self.send_all(std::slice::from_ref(request), 1, &mut || ())
            .pop()
            .unwrap_or_else(|| {
                Err(HttpFailure::Connection {
                    reason: "nothing was sent".to_owned(),
                })
            })
    }

    fn send_all(
        &self,
        requests: &[HttpRequest],
        parallel: usize,
        heartbeat: &mut dyn FnMut(),
    ) -> Vec<Result<HttpReply, HttpFailure>> {
        let mut results: Vec<Option<Result<HttpReply, HttpFailure>>> = requests.iter().map(|_| None).collect();
        let mut waiting: VecDeque<usize> = (0..requests.len()).collect();
        let mut running: Vec<Exchange<'_>> = Vec::new();
        let mut last_beat = now();
        loop {
            while running.len() < parallel.max(1)
                && let Some(index) = waiting.pop_front()
            {
                let request = &requests[index];
                match start(request, &request.url) {
                    Ok(future) => running.push(Exchange {
                        index,
                        request,
                        url: request.url.clone(),
                        deadline: now() + request.timeout,
                        redirects: 0,
                        state: State::Head(future),
                    }),
                    Err(failure) => results[index] = Some(Err(failure)),
                }
            }
            if running.is_empty() {
                break;
            }
            wait(&running, last_beat + HEARTBEAT);
            if now() >= last_beat + HEARTBEAT {
                heartbeat();
                last_beat = now();
            }
            let mut still_running = Vec::with_capacity(running.len());
            for exchange in running {
                let index = exchange.index;
                match exchange.advance() {
                    Progress::Going(exchange) => still_running.push(exchange),
                    Progress::Done(result) => results[index] = Some(result),
                }
            }
            running = still_running;
        }
        results
            .into_iter()
            .map(|result| result.expect("every request was started and ended"))
            .collect()
    }
}

/// One request under way.
struct Exchange<'a> {
    index: usize,
    request: &'a HttpRequest,
    /// of the request, or where it was redirected to
    url: String,
    deadline: Duration,
    redirects: usize,
    state: State,
}

enum State {
    Head(FutureIncomingResponse),
    Body(Body),
}

/// Field order is drop order: a stream must go before its body.
struct Body {
    stream: InputStream,
    _owner: IncomingBody,
    status: u16,
    headers: Headers,
    data: Vec<u8>,
}

enum Progress<'a> {
    Going(Exchange<'a>),
    Done(Result<HttpReply, HttpFailure>),
}

impl<'a> Exchange<'a> {
    fn pollable(&self) -> Pollable {
        match &self.state {
            State::Head(future) => future.subscribe(),
            State::Body(body) => body.stream.subscribe(),
        }
    }

    /// Takes what has arrived, without waiting.
    fn advance(mut self) -> Progress<'a> {
        if now() >= self.deadline {
            return Progress::Done(Err(HttpFailure::Timeout {
                timeout: self.request.timeout,
            }));
        }
        match self.state {
            State::Head(ref future) => match future.get() {
                None => Progress::Going(self),
                Some(Err(())) => Progress::Done(Err(HttpFailure::Connection {
                    reason: "answer was taken".to_owned(),
                })),
                Some(Ok(Err(code))) => Progress::Done(Err(self.failure(&code))),
                Some(Ok(Ok(response))) => {
                    let status = response.status();
                    let headers = headers(&response.headers());
                    if matches!(status, 301 | 302 | 303 | 307 | 308)
                        && self.request.post.is_none()
                        && let Some(location) = headers.get("location")
                    {
                        let target = redirect::resolve(&self.url, location);
                        return self.redirect(target);
                    }
                    let opened = response
                        .consume()
                        .and_then(|body| body.stream().map(|stream| (stream, body)));
                    match opened {
                        Ok((stream, body)) => {
                            self.state = State::Body(Body {
                                stream,
                                _owner: body,
                                status,
                                headers,
                                data: Vec::new(),
                            });
                            self.advance()
                        }
                        Err(()) => Progress::Done(Err(HttpFailure::Incomplete {
                            reason: "no body".to_owned(),
                        })),
                    }
                }
            },
            State::Body(mut body) => loop {
                match body.stream.read(PIECE) {
                    Ok(piece) if piece.is_empty() => {
                        self.state = State::Body(body);
                        return Progress::Going(self);
                    }
                    Ok(piece) => {
                        if body.data.len() + piece.len() > self.request.max_body {
                            return Progress::Done(Err(HttpFailure::TooLarge {
                                limit: self.request.max_body,
                            }));
                        }
                        // The usual answer arrives in one piece, which then is the body as it is.
                        if body.data.is_empty() {
                            body.data = piece;
                        } else {
                            let length = body.data.len();
                            if body.data.capacity() - length < piece.len() {
                                // doubled, but never beyond the limit, which an instance has memory for
                                let wanted = (2 * length).clamp(length + piece.len(), self.request.max_body);
                                body.data.reserve_exact(wanted - length);
                            }
                            body.data.extend_from_slice(&piece);
                        }
                    }
                    Err(StreamError::Closed) => {
                        return Progress::Done(Ok(HttpReply {
                            status: body.status,
                            headers: body.headers,
                            body: body.data,
                        }));
                    }
                    Err(StreamError::LastOperationFailed(error)) => {
                        return Progress::Done(Err(HttpFailure::Incomplete {
                            reason: error.to_debug_string(),
                        }));
                    }
                }
            },
        }
    }

    fn redirect(mut self, target: Result<String, HttpFailure>) -> Progress<'a> {
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            let reason = format!("redirected more than {MAX_REDIRECTS} times");
            return Progress::Done(Err(HttpFailure::Connection { reason }));
        }
        match target.and_then(|url| Ok((start(self.request, &url)?, url))) {
            Ok((future, url)) => {
                self.url = url;
                self.state = State::Head(future);
                Progress::Going(self)
            }
            Err(failure) => Progress::Done(Err(failure)),
        }
    }

    fn failure(&self, code: &ErrorCode) -> HttpFailure {
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => HttpFailure::NotAllowed,
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout => HttpFailure::Timeout {
                timeout: self.request.timeout,
            },
            ErrorCode::HttpResponseBodySize(_) => HttpFailure::TooLarge {
                limit: self.request.max_body,
            },
            ErrorCode::HttpResponseIncomplete | ErrorCode::ConnectionTerminated => HttpFailure::Incomplete {
                reason: "connection closed".to_owned(),
            },
            ErrorCode::HttpRequestUriInvalid => HttpFailure::InvalidUrl {
                url: self.url.clone(),
                reason: "refused by the host".to_owned(),
            },
            ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => HttpFailure::Connection {
                reason: "name not found".to_owned(),
            },
            ErrorCode::ConnectionRefused => HttpFailure::Connection {
                reason: "connection refused".to_owned(),
            },
            other => HttpFailure::Connection {
                reason: other.to_string(),
            },
        }
    }
}

/// Until one of the exchanges moves, the next of their deadlines, or the next heartbeat.
fn wait(running: &[Exchange<'_>], next_beat: Duration) {
    let mut until = next_beat;
    let mut pollables: Vec<Pollable> = Vec::with_capacity(running.len() + 1);
    for exchange in running {
        until = until.min(exchange.deadline);
        pollables.push(exchange.pollable());
    }
    pollables.push(monotonic_clock::subscribe_duration(nanoseconds(
        until.saturating_sub(now()),
    )));
    poll(&pollables.iter().collect::<Vec<_>>());
}

fn start(request: &HttpRequest, url: &str) -> Result<FutureIncomingResponse, HttpFailure> {
    let invalid = |reason: &str| HttpFailure::InvalidUrl {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let (scheme, authority, path) =
        redirect::split(url).ok_or_else(|| invalid("expected `http://…` or `https://…`"))?;
    let fields = Fields::new();
    // What is meant for one server is told to no other, wherever it redirects to.
    let is_same = redirect::split(&request.url).is_some_and(|asked| (asked.0, asked.1) == (scheme, authority));
    let is_secret = |name: &str| name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("cookie");
    for (name, value) in request.headers.0.iter().filter(|(name, _)| is_same || !is_secret(name)) {
        fields
            .append(name, value.as_bytes())
            .map_err(|error| HttpFailure::Connection {
                reason: format!("header `{name}`: {error}"),
            })?;
    }
    if let Some(post) = &request.post {
        let length = post.data.len().to_string();
        for (name, value) in [
            ("content-type", post.content_type.as_str()),
            ("content-length", &length),
        ] {
            fields
                .set(name, &[value.as_bytes().to_vec()])
                .map_err(|error| HttpFailure::Connection {
                    reason: format!("header `{name}`: {error}"),
                })?;
        }
    }
    let outgoing = OutgoingRequest::new(fields);
    let method = if request.post.is_some() {
        Method::Post
    } else {
        Method::Get
    };
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    outgoing.set_method(&method).map_err(|()| invalid("method refused"))?;
    outgoing
        .set_scheme(Some(&scheme))
        .map_err(|()| invalid("scheme refused"))?;
    outgoing
        .set_authority(Some(authority))
        .map_err(|()| invalid("host name refused"))?;
    outgoing
        .set_path_with_query(Some(path))
        .map_err(|()| invalid("path refused"))?;

    let options = RequestOptions::new();
    let timeout = Some(nanoseconds(request.timeout));
    // A host that does not know one of them ignores it; the deadline of the exchange holds in any case.
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);

    let body = request.post.as_ref().map(|post| (post, outgoing.body()));
    let future = outgoing_handler::handle(outgoing, Some(options)).map_err(|code| match code {
        ErrorCode::HttpRequestDenied => HttpFailure::NotAllowed,
        other => HttpFailure::Connection {
            reason: other.to_string(),
        },
    })?;
    if let Some((post, body)) = body {
        let broken = |reason: String| HttpFailure::Connection { reason };
        let body = body.map_err(|()| broken("no request body".to_owned()))?;
        crate::write_body(&body, &post.data).map_err(broken)?;
        OutgoingBody::finish(body, None).map_err(|code| broken(code.to_string()))?;
    }
    Ok(future)
}

pub(crate) fn headers(fields: &Fields) -> Headers {
    Headers(
        fields
            .entries()
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
            .collect(),
    )
}

fn now() -> Duration {
    Duration::from_nanos(monotonic_clock::now())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
