//! Answers that come from the host, not from a guest.

use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use tracing::warn;

use super::answer::AnswerBody;
use super::mount::InvalidPath;
use crate::instance::Failure;
use crate::request_span::in_span;

/// Why a request gets no answer of a guest.
#[derive(Debug)]
pub(crate) enum Refusal {
    BadRequest(&'static str),
    NotFound,
    SlowBody,
    BodyTooLarge,
    HeadTooLarge,
    UriTooLong,
    NoAnswer,
    Busy,
    Deadline,
    Failed(Failure),
}

impl From<InvalidPath> for Refusal {
    fn from(_invalid: InvalidPath) -> Self {
        Self::BadRequest("the path is not valid")
    }
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        let (status, text) = match &self {
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, *text),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found"),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request did not arrive in time",
            ),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body of the request is too large"),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head of the request is too large",
            ),
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
