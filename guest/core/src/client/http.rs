//! How the server of a source is asked and its answer judged: headers, credentials, `on_error`, the wording of errors
//! (behaviour section 10; MapProxy: `client/http.py`, `source/error.py`).

use std::rc::Rc;
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::session::basic;
use super::told::{Secrets, words};
use crate::config::model::{Application, OnErrorRule, Source, SourceHttp, SourceKind};
use crate::http::{Headers, HttpFailure, HttpReply, HttpRequest, PostBody};
use crate::layer::{LayerError, Session, Slots, Upstream};
use crate::request::form_encode;

const USER_AGENT: &str = concat!("mapproxy.wasm/", env!("CARGO_PKG_VERSION"));

/// Makes requests to the server of one source and judges its answers.
#[derive(Debug, Clone)]
pub struct SourceClient {
    http: Rc<SourceHttp>,
    /// of a WMS: URLs do not have them where they are posted
    params: Rc<[(String, String)]>,
    on_error: Rc<[OnErrorRule]>,
    concurrent_requests: u32,
    lock_dir: Rc<str>,
    max_body: usize,
}

impl SourceClient {
    pub fn new(source: &Source, application: &Application) -> Self {
        let params = match &source.kind {
            SourceKind::Wms(wms) => wms.params.clone(),
            _ => Vec::new(),
        };
        Self {
            http: Rc::new(source.http.clone()),
            params: params.into(),
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
            params: Rc::from([]),
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

    /// A failure for operators: the server, the cause, and what the server says of it, without what may be secret.
    pub fn detail(&self, url: &str, cause: &str, reply: Option<&HttpReply>) -> String {
        let secrets = self.secrets(url);
        let mut detail = format!("`{}`: {}", netloc(url), secrets.hidden_in(cause));
        let said = reply.and_then(words).map(|words| secrets.hidden_in(&words));
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            detail.push_str(": ");
            detail.push_str(&said);
        }
        detail
    }

    fn secrets(&self, url: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_url(url);
        for (name, value) in self.params.iter() {
            secrets.add_param(&format!("{}={}", form_encode(name), form_encode(value)));
        }
        for (name, value) in &self.http.headers {
            secrets.add_header(name, value);
        }
        if let Some((user, password)) = &self.http.credentials {
            secrets.add_header("Authorization", &basic(user, password));
        }
        secrets
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
            params: Rc::from([]),
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

    #[track_caller]
    fn check_detail(
        client: &SourceClient,
        url: &str,
        answer: Result<(u16, &str, impl Into<Vec<u8>>), HttpFailure>,
        expect: &str,
    ) {
        let answer = answer.map(|(status, content_type, body)| {
            let mut reply = reply(status);
            reply.headers.set("content-type", content_type);
            reply.body = body.into();
            reply
        });
        let failure = client.judge(url, answer).unwrap_err();
        assert_eq!(
            LayerError::from(failure).detail(),
            format!("`maps.example.org:8080`: {expect}")
        );
    }

    #[test]
    fn operators_are_told_the_cause_and_the_words() {
        let url = "http://maps.example.org:8080/s?layers=a";
        let check = |answer: Result<(u16, &str, &str), HttpFailure>, expect: &str| {
            check_detail(&client(Vec::new(), true), url, answer, expect);
        };
        check(Err(refused()), "connection failed: refused");
        let invalid = HttpFailure::InvalidUrl {
            url: url.to_owned(),
            reason: format!("redirect from `{url}`"),
        };
        check(
            Err(invalid),
            "invalid URL: redirect from `http://maps.example.org:8080/s",
        );
        check(Ok((503, "text/html", "<h1>Sorry</h1>")), "HTTP status 503");
        check(Ok((503, "text/plain", "\x07\n")), "HTTP status 503");
        check(Ok((500, "text/plain", " disk\n full ")), "HTTP status 500: disk full");
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
            Ok((400, "text/plain", &"é".repeat(301))),
            &format!("HTTP status 400: {}…", "é".repeat(300)),
        );
        check(
            Ok((400, "text/plain", &"é".repeat(300))),
            &format!("HTTP status 400: {}", "é".repeat(300)),
        );
    }

    #[test]
    fn words_of_servers_cannot_command_terminals() {
        let url = "http://maps.example.org:8080/s";
        check_detail(
            &client(Vec::new(), true),
            url,
            Ok((
                500,
                "text/plain",
                "\x1b[31mred\x1b[0m\x07 \u{9b}2Jgone\r\x08 \u{202e}turned\u{202c} \u{2066}\u{2069}\u{2028}é",
            )),
            "HTTP status 500: [31mred[0m 2Jgone turned é",
        );
        let cause = client(Vec::new(), true).detail(url, "no image but `text/\x1b[2J`", None);
        assert_eq!(cause, "`maps.example.org:8080`: no image but `text/[2J`");
    }

    #[test]
    fn only_the_begin_of_an_answer_is_read() {
        let url = "http://maps.example.org:8080/s?id=k3yk3y";
        let check = |content_type: &str, body: String, expect: &str| {
            let answer = Ok((500, content_type, body));
            check_detail(&client(Vec::new(), true), url, answer, expect);
        };
        let begin = "<e>no</e>";
        // the cut goes through the key, and through a character
        let until = (8 << 10) - begin.len() - 4;
        check(
            "text/xml",
            format!("{begin}{}<e> k3yk3y</e>", " ".repeat(until - 3)),
            "HTTP status 500: no",
        );
        check(
            "text/plain",
            format!("no{}k3yk3y", " ".repeat(until + 8)),
            "HTTP status 500: no",
        );
        for indent in ["", " "] {
            check(
                "text/xml",
                format!("{indent}<e>no {}</e>", "é".repeat(8 << 10)),
                "HTTP status 500: no",
            );
        }
        check(
            "text/xml",
            format!("<!--{}-->{begin}", "-".repeat(9 << 10)),
            "HTTP status 500",
        );
    }

    #[test]
    fn operators_are_told_no_secrets() {
        let host = "http://maps.example.org:8080";
        let told = |client: &SourceClient, url: &str, body: &str, expect: &str| {
            let answer = Ok((403, "text/plain", body));
            check_detail(
                client,
                &format!("{host}{url}"),
                answer,
                &format!("HTTP status 403: {expect}"),
            );
        };
        let with = |name: &str, value: &str| {
            let mut client = client(Vec::new(), true);
            Rc::make_mut(&mut client.http).headers = vec![(name.to_owned(), value.to_owned())];
            client
        };
        let plain = with("X-Key", "a");

        // headers: words, and what they assign
        let bearer = with("Authorization", "Bearer XYZ-1");
        told(&bearer, "/s", "invalid Bearer token XYZ-1.", "invalid Bearer token ….");
        told(&with("X-Key", "XYZ1"), "/s", "invalid: XYZ1", "invalid: …");
        let cookie = with("Cookie", "session=XYZ1; lang=\"klingon\"");
        told(&cookie, "/s", "session XYZ1 speaks klingon", "session … speaks …");
        let accept = with("Accept", "image/png");
        told(&accept, "/s", "no image/png here", "no image/png here");
        // `user:pa:ss` and `user:pass`
        let basic = with("Authorization", "Basic dXNlcjpwYTpzcw==");
        told(
            &basic,
            "/s",
            "user may not pa:ss with Basic dXNlcjpwYTpzcw==",
            "… may not … with Basic …",
        );
        told(
            &plain,
            "/s",
            "user may not pass with Basic dXNlcjpwYXNz",
            "… may not … with Basic …",
        );

        // parameters that are none of the protocol's, as they were sent and decoded
        told(&plain, "/s?a=k%33yk3y", "k3yk3y, k%33yk3y", "…, …");
        told(&plain, "/s?licence=a%2Fb%26c=d", "a%2Fb%26c=d or a/b&c=d", "… or …");
        told(&plain, "/s?a=my+key", "my key, my+key", "…, …");
        told(&plain, "/s?k3yk3y", "k3yk3y", "…");
        told(&plain, "/s?api_key=123456", "123456", "…");
        let protocol = "/s?LAYERS=roads&Format=image%2Fpng&VERSION=1.1.1&bbox=0.0,1e-07,2,3&dpi=9600&tiled=true\
                        &map=/maps/osm.map&srs=EPSG%3A3857&STYLES=";
        let words = "true: no roads as image/png of 1.1.1 in EPSG:3857 for 0.0,1e-07,2,3 at 9600 in /maps/osm.map";
        told(&plain, protocol, words, words);
        let posted = SourceClient {
            params: Rc::from([("licence".to_owned(), "k3y/k3y".to_owned())]),
            ..with("X-Key", "a")
        };
        told(&posted, "/s", "k3y/k3y or k3y%2Fk3y", "… or …");

        // paths, and parts of them that look like keys
        let path = "/tiles/k3yk3yk3y/3/4/5.png";
        told(
            &plain,
            path,
            "/srv/tiles/k3yk3yk3y/3/4/5.png is no tile",
            "/srv… is no tile",
        );
        told(&plain, path, "tiles of k3yk3yk3y, level 3", "tiles of …, level 3");
        told(&plain, "/keykeykey/3/4/5.png", "no /keykeykey/3/4/5.png", "no …");
        told(&plain, "/s/%6B3yk3yk3y/3", "k3yk3yk3y or %6B3yk3yk3y", "… or …");
        check_detail(
            &plain,
            &format!("{host}{path}"),
            Ok((
                403,
                "application/json",
                r#"{"path": "\/tiles\/k3yk3yk3y\/3\/4\/5.png"}"#,
            )),
            r#"HTTP status 403: {"path": "…"}"#,
        );

        // other URLs have parameters as well
        told(&plain, "/s", "see http://h/s?x please", "see http://h/s please");
        told(&plain, "/s", "GET /wms?pw=a b&pw=c failed", "GET /wms b failed");
        told(&plain, "/s", "why? ok?", "why? ok?");
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
