//! HTTP messages as plain values, on both sides: what a client asked us, and what we ask an upstream server.

use std::time::Duration;

/// Request methods the services know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

/// Header names compare case-insensitively; values are kept as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// All values of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, v)| v.as_str())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Replaces every value of that name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.0.push((name.to_owned(), value.into()));
    }
}

/// A request of a client. The path is percent-decoded by the service that parses it, not here.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// `http` or `https`: what the carrier saw, before `X-Forwarded-Proto`
    pub scheme: String,
    /// `Host` header or authority: `localhost:8080`
    pub authority: String,
    /// still percent-encoded, begins with `/`
    pub path: String,
    /// without `?`, still percent-encoded; empty if there is none
    pub query: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// The carrier can send a file in place of a body, see [`Response::file`].
    pub sends_files: bool,
}

/// Our answer. `Content-Length` is the carrier's business; so is leaving out the body of a HEAD answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// Absolute path of the file that is the body, in place of `body`: its bytes need not pass through us. Only for
    /// requests whose carrier can do it ([`Request::sends_files`]).
    pub file: Option<String>,
}

impl Response {
    /// An answer with a content type. `text/*` types get `; charset=utf-8` from the application, see `app`.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut headers = Headers::default();
        headers.set("Content-type", content_type);
        Self {
            status,
            headers,
            body: body.into(),
            file: None,
        }
    }

    /// An answer whose body is a file, by its absolute path.
    pub fn of_file(status: u16, content_type: &str, path: String) -> Self {
        Self {
            file: Some(path),
            ..Self::new(status, content_type, Vec::new())
        }
    }
}

/// A request to an upstream server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// absolute URL, percent-encoded, without credentials and fragment
    pub url: String,
    /// `None` is GET
    pub post: Option<PostBody>,
    pub headers: Headers,
    /// until the answer is complete
    pub timeout: Duration,
    /// bytes of the answer beyond which it is given up
    pub max_body: usize,
}

/// Body of a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostBody {
    pub content_type: String,
    pub data: Vec<u8>,
}

/// Answer of an upstream server, complete.
#[derive(Debug, Clone)]
pub struct HttpReply {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    #[error("no answer within {} s", timeout.as_secs_f64())]
    Timeout { timeout: Duration },
    /// Name not found, refused, reset, TLS not accepted.
    #[error("connection failed: {reason}")]
    Connection { reason: String },
    /// The host's allow-list does not have this server.
    #[error("the configuration names no such server")]
    NotAllowed,
    #[error("the answer broke off: {reason}")]
    Incomplete { reason: String },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("invalid URL `{url}`: {reason}")]
    InvalidUrl { url: String, reason: String },
}
