//! How the server of a source is asked and its answer judged: headers, credentials, `on_error`, the wording of errors
//! (behaviour section 10; MapProxy: `client/http.py`, `source/error.py`).

use std::rc::Rc;
use std::time::Duration;

use md5::{Digest as _, Md5};

use crate::config::model::{Application, OnErrorRule, Source, SourceHttp};
use crate::http::{Headers, HttpFailure, HttpReply, HttpRequest, PostBody};
use crate::layer::{LayerError, Session, Slots, Upstream};

const USER_AGENT: &str = concat!("mapproxy.wasm/", env!("CARGO_PKG_VERSION"));

/// Makes requests to the server of one source and judges its answers.
#[derive(Debug, Clone)]
pub struct SourceClient {
    http: Rc<SourceHttp>,
    on_error: Rc<[OnErrorRule]>,
    concurrent_requests: u32,
    lock_dir: Rc<str>,
    max_body: usize,
}

impl SourceClient {
    pub fn new(source: &Source, application: &Application) -> Self {
        Self {
            http: Rc::new(source.http.clone()),
            on_error: source.on_error.clone().into(),
            concurrent_requests: source.concurrent_requests,
            lock_dir: application.lock_dir.as_str().into(),
            max_body: usize::try_from(application.max_upstream_bytes).unwrap_or(usize::MAX),
        }
    }

    /// For what no source stands behind: static legends.
    pub fn without_source(http: &SourceHttp, application: &Application) -> Self {
        Self {
            http: Rc::new(http.clone()),
            on_error: Rc::from([]),
            concurrent_requests: 0,
            lock_dir: application.lock_dir.as_str().into(),
            max_body: usize::try_from(application.max_upstream_bytes).unwrap_or(usize::MAX),
        }
    }

    /// A request for `url`, which is percent-encoded and has no credentials.
    pub fn request(&self, url: String, post: Option<PostBody>) -> Upstream {
        let mut headers = Headers::default();
        headers.set("User-Agent", USER_AGENT);
        for (name, value) in &self.http.headers {
            headers.set(name, value.as_str());
        }
        let base = format!("{}/{:x}", self.lock_dir, Md5::digest(netloc(&url)));
        let has_session = self.http.credentials.is_some() || self.http.manage_cookies;
        let session = has_session.then(|| {
            Rc::new(Session {
                credentials: self.http.credentials.clone(),
                cookies: self.http.manage_cookies,
                base: base.clone(),
            })
        });
        let slots = (self.concurrent_requests > 0).then(|| Slots {
            base: format!("{base}.lck"),
            count: self.concurrent_requests,
        });
        let timeout = Duration::try_from_secs_f64(self.http.timeout_s).unwrap_or(Duration::from_mins(1));
        Upstream {
            request: HttpRequest {
                url,
                post,
                headers,
                timeout,
                max_body: self.max_body,
            },
            slots,
            session,
        }
    }

    /// The answer, if it is a success with a body; logged either way. `url` is the one that was asked.
    pub fn judge(&self, url: &str, answer: Result<HttpReply, HttpFailure>) -> Result<HttpReply, UpstreamFailure> {
        let (status, reason) = match answer {
            Ok(reply) if (200..300).contains(&reply.status) && reply.status != 204 => {
                log_request(url, &reply.status.to_string(), reply.body.len());
                return Ok(reply);
            }
            Ok(reply) => {
                log_request(url, &reply.status.to_string(), reply.body.len());
                (Some(reply.status), format!("HTTP Error \"{url}\": {}", reply.status))
            }
            Err(failure) => {
                log_request(url, "-", 0);
                (None, format!("No response from URL \"{url}\": {failure}"))
            }
        };
        Err(self.failure(status, reason))
    }

    /// A failure in words: the reason is logged, clients see it unless `hide_error_details` is on.
    pub fn failure(&self, status: Option<u16>, reason: String) -> UpstreamFailure {
        log::warn!(target: "mapproxy.source.request", "{reason}");
        let message = if !self.http.hide_error_details {
            reason
        } else if status.is_none() {
            "No response from URL (see logs for URL and reason).".to_owned()
        } else {
            "HTTP Error (see logs for URL and reason).".to_owned()
        };
        UpstreamFailure { status, message }
    }

    /// What the configuration says about this failure: the rule for its status, else the one for `other`.
    pub fn rule_for(&self, failure: &UpstreamFailure) -> Option<&OnErrorRule> {
        let exact = failure
            .status
            .and_then(|_| self.on_error.iter().find(|rule| rule.status == failure.status));
        exact.or_else(|| self.on_error.iter().find(|rule| rule.status.is_none()))
    }
}

/// A server did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFailure {
    /// its HTTP status, if it answered
    pub status: Option<u16>,
    /// for clients
    pub message: String,
}

impl From<UpstreamFailure> for LayerError {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Source {
            message: failure.message,
            status: failure.status,
        }
    }
}

fn log_request(url: &str, status: &str, bytes: usize) {
    log::info!(target: "mapproxy.source.request", "{url} {status} {:.1} KB", bytes as f64 / 1024.0);
}

/// `host:port` of a URL.
fn netloc(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::HttpMethod;

    fn client(on_error: Vec<OnErrorRule>, hide_error_details: bool) -> SourceClient {
        let http = SourceHttp {
            timeout_s: 10.0,
            method: HttpMethod::Auto,
            headers: vec![("X-Key".to_owned(), "a".to_owned())],
            credentials: Some(("user".to_owned(), "pass".to_owned())),
            hide_error_details,
            manage_cookies: false,
        };
        SourceClient {
            http: Rc::new(http),
            on_error: on_error.into(),
            concurrent_requests: 2,
            lock_dir: "/locks".into(),
            max_body: 1 << 20,
        }
    }

    fn reply(status: u16) -> HttpReply {
        HttpReply {
            status,
            headers: Headers::default(),
            body: b"x".to_vec(),
        }
    }

    fn refused() -> HttpFailure {
        HttpFailure::Connection {
            reason: "refused".to_owned(),
        }
    }

    #[test]
    fn requests_carry_headers_credentials_and_limits() {
        let upstream = client(Vec::new(), true).request("http://example.org:8080/service?a=b".to_owned(), None);
        let headers = &upstream.request.headers;
        // not before the server asks for it
        assert_eq!(headers.get("authorization"), None);
        let session = upstream.session.unwrap();
        assert_eq!(session.credentials, Some(("user".to_owned(), "pass".to_owned())));
        assert_eq!(session.base, "/locks/851c11cb64a3122868bb61b46f70d871");
        assert_eq!(headers.get("x-key"), Some("a"));
        assert!(
            headers
                .get("user-agent")
                .is_some_and(|agent| agent.starts_with("mapproxy.wasm/"))
        );
        assert_eq!(upstream.request.timeout, Duration::from_secs(10));
        // md5 of `example.org:8080`
        assert_eq!(
            upstream.slots.unwrap().base,
            "/locks/851c11cb64a3122868bb61b46f70d871.lck"
        );
    }

    #[test]
    fn answers_without_success_or_body_are_failures() {
        let check = |answer, hide, status, message: &str| {
            let failure = client(Vec::new(), hide).judge("http://h/s", answer).unwrap_err();
            assert_eq!((failure.status, failure.message.as_str()), (status, message));
        };
        check(Ok(reply(500)), false, Some(500), "HTTP Error \"http://h/s\": 500");
        check(Ok(reply(204)), false, Some(204), "HTTP Error \"http://h/s\": 204");
        check(
            Ok(reply(404)),
            true,
            Some(404),
            "HTTP Error (see logs for URL and reason).",
        );
        check(
            Err(refused()),
            false,
            None,
            "No response from URL \"http://h/s\": connection failed: refused",
        );
        check(
            Err(refused()),
            true,
            None,
            "No response from URL (see logs for URL and reason).",
        );
        assert!(client(Vec::new(), true).judge("http://h/s", Ok(reply(200))).is_ok());
        assert!(client(Vec::new(), true).judge("http://h/s", Ok(reply(203))).is_ok());
    }

    #[test]
    fn the_rule_of_the_status_comes_before_other() {
        let rule = |status, cache| OnErrorRule {
            status,
            response: None,
            cache,
            authorize_stale: false,
        };
        let client = client(vec![rule(None, false), rule(Some(500), true)], true);
        let cached = |status| {
            let failure = UpstreamFailure {
                status,
                message: String::new(),
            };
            client.rule_for(&failure).map(|rule| rule.cache)
        };
        assert_eq!(cached(Some(500)), Some(true));
        assert_eq!(cached(Some(404)), Some(false));
        assert_eq!(cached(None), Some(false));
    }
}
