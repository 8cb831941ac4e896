//! A listener of its own for whoever looks after the server: `/healthz` and `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::status::{Counts, Status};

/// Whoever looks after the server are few.
const MAX_CONNECTIONS: usize = 64;

/// Time to send the head of a request.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What has been counted up to now.
pub(crate) type Count = dyn Fn() -> Counts + Send + Sync;

/// Listens on `address` (`HOST:PORT`).
pub(crate) async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on `{address}` for `--admin`"))
}

/// Answers until the process ends; when it is asked to stop, the state says so.
pub(crate) async fn serve(listener: TcpListener, status: Arc<Status>, count: Arc<Count>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (status, count) = (Arc::clone(&status), Arc::clone(&count));
                tokio::spawn(async move {
                    serve_connection(stream, status, count).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "failed to accept a connection for `--admin`");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, status: Arc<Status>, count: Arc<Count>) {
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &status, &*count);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .keep_alive(false)
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection of `--admin` ended with an error");
    }
}

fn answer(method: &Method, path: &str, status: &Status, count: &Count) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
    }
    match path {
        "/healthz" => health(status).map(Full::new),
        "/metrics" => text(StatusCode::OK, status.metrics(&count())),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are `/healthz` and `/metrics`\n".to_owned(),
        ),
    }
}

/// The state in a word, with 200 where requests should be sent here and 503 otherwise.
pub(crate) fn health(status: &Status) -> Response<Bytes> {
    let state = status.state();
    let code = if state.serves() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    plain(code, format!("{}\n", state.word()))
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    plain(status, text).map(Full::new)
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let status = Status::default();
        let count = Counts::default;
        let check = |method: Method, path: &str, expect: u16| {
            assert_eq!(
                answer(&method, path, &status, &count).status().as_u16(),
                expect,
                "{method} {path}"
            );
        };
        check(Method::GET, "/healthz", 503);
        status.ready();
        check(Method::GET, "/healthz", 200);
        check(Method::HEAD, "/healthz", 200);
        check(Method::GET, "/metrics", 200);
        check(Method::GET, "/", 404);
        check(Method::POST, "/healthz", 405);
        status.draining();
        check(Method::GET, "/healthz", 503);
    }
}
