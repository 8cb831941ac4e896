//! How the server of a source is asked and its answer judged: headers, credentials, `on_error`, the wording of errors
//! (behaviour section 10; MapProxy: `client/http.py`, `source/error.py`).

use std::rc::Rc;
use std::time::Duration;

use md5::{Digest as _, Md5};
use quick_xml::events::Event;

use crate::config::model::{Application, OnErrorRule, Source, SourceHttp};
use crate::http::{Headers, HttpFailure, HttpReply, HttpRequest, PostBody};
use crate::layer::{LayerError, Session, Slots, Upstream};
use crate::request::QueryParams;

const USER_AGENT: &str = concat!("mapproxy.wasm/", env!("CARGO_PKG_VERSION"));

/// Characters of a server's words that are told.
const MOST_SAID: usize = 300;

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
        let (status, reason, detail) = match answer {
            Ok(reply) if (200..300).contains(&reply.status) && reply.status != 204 => {
                log_request(url, &reply.status.to_string(), reply.body.len());
                return Ok(reply);
            }
            Ok(reply) => {
                log_request(url, &reply.status.to_string(), reply.body.len());
                (
                    Some(reply.status),
                    format!("HTTP Error \"{url}\": {}", reply.status),
                    self.detail(url, &format!("HTTP status {}", reply.status), Some(&reply)),
                )
            }
            Err(failure) => {
                log_request(url, "-", 0);
                let cause = match &failure {
                    HttpFailure::InvalidUrl { reason, .. } => format!("invalid URL: {reason}"),
                    other => other.to_string(),
                };
                (
                    None,
                    format!("No response from URL \"{url}\": {failure}"),
                    self.detail(url, &cause, None),
                )
            }
        };
        log::warn!(target: "mapproxy.source.request", "{reason}");
        // clients see the reason unless it is hidden from them
        let message = if !self.http.hide_error_details {
            reason
        } else if status.is_none() {
            "No response from URL (see logs for URL and reason).".to_owned()
        } else {
            "HTTP Error (see logs for URL and reason).".to_owned()
        };
        Err(UpstreamFailure {
            status,
            message,
            detail,
        })
    }

    /// A failure for operators: the server, the cause, and what the server says of it. Neither the URL, whose query may
    /// hold a key, nor what else is secret.
    pub fn detail(&self, url: &str, cause: &str, reply: Option<&HttpReply>) -> String {
        let mut detail = format!("`{}`: {cause}", netloc(url));
        if let Some(said) = reply.and_then(|reply| said(reply, &self.secrets(url))) {
            detail.push_str(": ");
            detail.push_str(&said);
        }
        detail
    }

    /// What a server was given to know us by, in case it repeats it.
    fn secrets(&self, url: &str) -> Vec<String> {
        const NAMES: [&str; 6] = ["key", "token", "pass", "secret", "auth", "sig"];
        let query = QueryParams::parse(url.split_once('?').map_or("", |(_, query)| query));
        let is_secret = |name: &str| NAMES.iter().any(|secret| name.to_ascii_lowercase().contains(secret));
        let in_query = query.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        let in_headers = self.http.headers.iter().map(|(_, value)| value.clone());
        let password = self.http.credentials.iter().map(|(_, password)| password.clone());
        let all = in_query.chain(in_headers).chain(password);
        // what is shorter is part of many words
        all.filter(|secret| secret.len() > 3).collect()
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
    /// for operators, see [`SourceClient::detail`]
    pub detail: String,
}

impl From<UpstreamFailure> for LayerError {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Source {
            message: failure.message,
            status: failure.status,
            detail: Some(failure.detail),
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

/// What an answer that is no map says in words, on one line: plain text, or the texts and codes of an XML document (an
/// exception). Pages of HTML are for people at a browser.
fn said(reply: &HttpReply, secrets: &[String]) -> Option<String> {
    let content_type = reply.headers.get("content-type")?.to_ascii_lowercase();
    let text = if content_type.contains("html") {
        return None;
    } else if content_type.contains("xml") {
        text_of_xml(&reply.body)
    } else if content_type.contains("text/plain") || content_type.contains("json") {
        let begin = reply.body.get(..MOST_SAID * 8).unwrap_or(&reply.body);
        String::from_utf8_lossy(begin).into_owned()
    } else {
        return None;
    };
    let words: Vec<&str> = text.split_whitespace().map(without_query).collect();
    let line = secrets
        .iter()
        .fold(words.join(" "), |line, secret| line.replace(secret, "…"));
    let mut short: String = line.chars().take(MOST_SAID).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

fn text_of_xml(document: &[u8]) -> String {
    let mut reader = quick_xml::Reader::from_reader(document);
    let mut text = String::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => {
                text.push(' ');
                for code in ["code", "exceptionCode"] {
                    if let Ok(Some(code)) = tag.try_get_attribute(code) {
                        text.push_str(&code.value);
                        text.push_str(": ");
                    }
                }
            }
            Ok(Event::Text(part)) => text.push_str(&part),
            Ok(Event::CData(part)) => text.push_str(&part),
            Ok(Event::GeneralRef(name)) => {
                text.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap_or("?"));
            }
            Ok(Event::Eof) | Err(_) => return text,
            Ok(_) => {}
        }
    }
}

/// A URL without its query, any other word as it is.
fn without_query(word: &str) -> &str {
    match word.split_once('?') {
        Some((page, _)) if word.contains("://") => page,
        _ => word,
    }
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
    fn operators_are_told_the_cause_and_no_secrets() {
        let url = "http://maps.example.org:8080/s?layers=a&api_key=k%33yk3y";
        let check = |answer: Result<(u16, &str, &str), HttpFailure>, expect: &str| {
            let answer = answer.map(|(status, content_type, body)| {
                let mut reply = reply(status);
                reply.headers.set("content-type", content_type);
                reply.body = body.as_bytes().to_vec();
                reply
            });
            let failure = client(Vec::new(), true).judge(url, answer).unwrap_err();
            assert_eq!(
                LayerError::from(failure).detail(),
                format!("`maps.example.org:8080`: {expect}")
            );
        };
        check(Err(refused()), "connection failed: refused");
        let invalid = HttpFailure::InvalidUrl {
            url: url.to_owned(),
            reason: "refused by the host".to_owned(),
        };
        check(Err(invalid), "invalid URL: refused by the host");
        check(Ok((503, "text/html", "<h1>Sorry</h1>")), "HTTP status 503");
        check(Ok((500, "text/plain", " disk\n full ")), "HTTP status 500: disk full");
        check(
            Ok((
                403,
                "text/plain",
                "k3yk3y is no key of user with pass, see http://h/s?x=1 please",
            )),
            "HTTP status 403: … is no key of user with …, see http://h/s please",
        );
        check(
            Ok((
                400,
                "application/vnd.ogc.se_xml",
                "<?xml version=\"1.0\"?>\n<!DOCTYPE x>\n<R>\n <E code=\"LayerNotDefined\">\nLayer &lt;a&gt; not\n \
                 <![CDATA[there & here]]></E></R>",
            )),
            "HTTP status 400: LayerNotDefined: Layer <a> not there & here",
        );
        check(Ok((400, "text/xml", "<a>broken <")), "HTTP status 400: broken");
        check(
            Ok((400, "text/plain", &"x".repeat(301))),
            &format!("HTTP status 400: {}…", "x".repeat(300)),
        );
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
                detail: String::new(),
            };
            client.rule_for(&failure).map(|rule| rule.cache)
        };
        assert_eq!(cached(Some(500)), Some(true));
        assert_eq!(cached(Some(404)), Some(false));
        assert_eq!(cached(None), Some(false));
    }
}
