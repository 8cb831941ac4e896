//! The `tracing` span of a request, made only when there is something to log.
//!
//! A span costs 3 us, a tenth of a cached tile, and most requests write no line at all. At level debug each request has
//! its span from the beginning, so that lines of the libraries come within it too.

use std::sync::{Arc, OnceLock};

use http::{Method, Uri};
use tracing::{Instrument as _, Level, Span, enabled, info_span};

tokio::task_local! {
    static CURRENT: Arc<RequestSpan>;
}

/// A request as it appears in the log.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    id: u64,
    method: Method,
    uri: Uri,
    span: OnceLock<Span>,
}

impl RequestSpan {
    pub(crate) fn new<B>(id: u64, request: &http::Request<B>) -> Arc<Self> {
        let span = OnceLock::new();
        Arc::new(Self {
            id,
            method: request.method().clone(),
            uri: request.uri().clone(),
            span,
        })
    }

    fn span(&self) -> &Span {
        self.span.get_or_init(|| {
            info_span!(
                "request",
                id = format_args!("{:x}", self.id),
                method = %self.method,
                // Without the query: it may hold credentials.
                path = self.uri.path(),
                status = tracing::field::Empty,
                duration_ms = tracing::field::Empty,
            )
        })
    }

    /// Runs `future` as a part of this request. (Not `async` itself, which would hold the future once more for each way
    /// to await it: futures of requests are moved about, and their size is a matter of microseconds.)
    pub(crate) fn scope<F: Future>(self: Arc<Self>, future: F) -> impl Future<Output = F::Output> {
        let span = if enabled!(Level::DEBUG) {
            self.span().clone()
        } else {
            Span::none()
        };
        CURRENT.scope(self, future.instrument(span))
    }

    /// The end of the request, a line at level debug.
    pub(crate) fn answered(&self, status: http::StatusCode, elapsed: std::time::Duration) {
        if enabled!(Level::DEBUG) {
            let span = self.span();
            span.record("status", status.as_u16());
            span.record("duration_ms", elapsed.as_secs_f64() * 1000.0);
            span.in_scope(|| tracing::debug!("answered"));
        }
    }
}

/// Runs `log` within the span of the request that is being worked on.
pub(crate) fn in_span<T>(log: impl FnOnce() -> T) -> T {
    match CURRENT.try_with(Arc::clone) {
        Ok(current) => current.span().in_scope(log),
        Err(_outside_of_a_request) => log(),
    }
}

/// Makes `future`, which runs in a task of its own, a part of the request that is being worked on.
pub(crate) fn inherit<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let current = CURRENT.try_with(Arc::clone).ok();
    async move {
        match current {
            Some(current) => CURRENT.scope(current, future).await,
            None => future.await,
        }
    }
}
