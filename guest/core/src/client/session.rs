//! What lasts between the requests to a server: authentication once it is challenged (RFC 7617 basic, RFC 7616 digest)
//! and cookies (RFC 6265). Instances live for one request, so both are kept in small files beside the locks, one set for
//! each server.
//!
//! A password is sent in the clear only to a server that asked for that (401 with `Basic`); it is remembered that it did.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{HttpReply, HttpRequest};
use crate::layer::{Session, Upstream};
use crate::platform::Platform;

/// Cookies of one server beyond these are forgotten, oldest first.
const MAX_COOKIES: usize = 50;
/// Longer cookies are not kept (RFC 6265, 6.1).
const MAX_COOKIE_BYTES: usize = 4096;

/// Adds what the server is known to want.
pub(super) fn prepare(platform: &dyn Platform, upstream: &mut Upstream) {
    let Some(session) = &upstream.session else { return };
    if let Some((user, password)) = &session.credentials
        && !upstream.request.headers.contains("authorization")
        && platform
            .files()
            .info(&wants_basic(session), crate::platform::Links::Follow)
            .is_ok()
    {
        upstream.request.headers.set("Authorization", basic(user, password));
    }
    if session.cookies {
        let target = Target::of(&upstream.request.url);
        let now = platform.clock().now().0;
        let sent = load(platform, session)
            .into_iter()
            .filter(|cookie| cookie.fits(&target, now));
        let sent: Vec<String> = sent.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if !sent.is_empty() {
            upstream.request.headers.set("Cookie", sent.join("; "));
        }
    }
}

/// Keeps the cookies of an answer.
pub(super) fn remember(platform: &dyn Platform, session: &Session, url: &str, reply: &HttpReply) {
    let told: Vec<&str> = reply.headers.all("set-cookie").collect();
    if !session.cookies || told.is_empty() {
        return;
    }
    let (target, now) = (Target::of(url), platform.clock().now().0);
    let before = load(platform, session);
    let mut jar = before.clone();
    for cookie in told.iter().filter_map(|text| Cookie::parse(text, &target, now)) {
        jar.retain(|known| known.name != cookie.name || known.path != cookie.path);
        jar.push(cookie);
    }
    jar.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
    let surplus = jar.len().saturating_sub(MAX_COOKIES);
    jar.drain(..surplus);
    if jar == before {
        return;
    }
    let written = serde_json::to_vec(&jar)
        .map_err(|error| error.to_string())
        .and_then(|data| {
            let files = platform.files();
            files
                .write_atomic(&jar_path(session), &data)
                .map_err(|error| error.to_string())
        });
    if let Err(reason) = written {
        log::error!(target: "mapproxy.source.request", "cookies not kept: {reason}");
    }
}

/// The `Authorization` that a challenge asks for; `None` if there is none, or it was sent already.
pub(super) fn authorization(
    platform: &dyn Platform,
    session: &Session,
    request: &HttpRequest,
    reply: &HttpReply,
) -> Option<String> {
    let (user, password) = session.credentials.as_ref()?;
    if reply.status != 401 {
        return None;
    }
    let challenges: Vec<Challenge> = reply.headers.all("www-authenticate").flat_map(challenges).collect();
    let digest = challenges.iter().filter(|challenge| challenge.scheme == "digest");
    let method = if request.post.is_some() { "POST" } else { "GET" };
    let cnonce = format!("{:016x}", platform.clock().random());
    let mut digest =
        digest.filter_map(|challenge| challenge.digest(user, password, method, &path(&request.url), &cnonce));
    if let Some(answer) = digest.next() {
        return Some(answer);
    }
    let answer = basic(user, password);
    let is_new = request.headers.get("authorization") != Some(&answer);
    let asked = challenges.iter().any(|challenge| challenge.scheme == "basic");
    (asked && is_new).then(|| {
        if let Err(error) = platform.files().write_atomic(&wants_basic(session), b"") {
            log::debug!(target: "mapproxy.source.request", "each request will be challenged: {error}");
        }
        answer
    })
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn wants_basic(session: &Session) -> String {
    format!("{}.basic", session.base)
}

fn jar_path(session: &Session) -> String {
    format!("{}.cookies", session.base)
}

fn load(platform: &dyn Platform, session: &Session) -> Vec<Cookie> {
    let file = platform.files().read(&jar_path(session)).ok();
    file.and_then(|(data, _)| serde_json::from_slice(&data).ok())
        .unwrap_or_default()
}

/// What a cookie has to fit.
#[derive(Debug)]
struct Target {
    is_secure: bool,
    /// without query
    path: String,
}

impl Target {
    fn of(url: &str) -> Self {
        let path = path(url);
        Self {
            is_secure: url.starts_with("https:"),
            path: path.split_once('?').map_or(path.as_str(), |(path, _)| path).to_owned(),
        }
    }
}

/// Path and query of a URL.
fn path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest
        .find(['/', '?'])
        .and_then(|start| rest.get(start..))
        .unwrap_or_default();
    let rest = rest.split('#').next().unwrap_or_default();
    if rest.starts_with('/') {
        rest.to_owned()
    } else {
        format!("/{rest}")
    }
}

/// A cookie of one server. `Domain` is ignored: none goes to another host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    secure: bool,
    /// seconds since 1970
    expires: Option<f64>,
}

impl Cookie {
    fn parse(text: &str, target: &Target, now: f64) -> Option<Self> {
        if text.len() > MAX_COOKIE_BYTES || text.chars().any(char::is_control) {
            return None;
        }
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let folder = target.path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            path: if folder.is_empty() { "/" } else { folder }.to_owned(),
            secure: false,
            expires: None,
        };
        let mut max_age = None;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => max_age = value.trim().parse::<f64>().ok().map(|seconds| now + seconds),
                "expires" => {
                    let time = httpdate::parse_http_date(value.trim()).ok();
                    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
                    cookie.expires = since.map(|since| since.as_secs_f64()).or(cookie.expires);
                }
                _ => {}
            }
        }
        cookie.expires = max_age.or(cookie.expires);
        (!cookie.name.is_empty()).then_some(cookie)
    }

    fn fits(&self, target: &Target, now: f64) -> bool {
        let below = target.path.strip_prefix(self.path.as_str());
        let in_path = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'));
        in_path && (!self.secure || target.is_secure) && self.expires.is_none_or(|expires| expires > now)
    }
}

/// One challenge of a `WWW-Authenticate` header.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    /// lower case
    scheme: String,
    /// names in lower case
    params: Vec<(String, String)>,
}

/// The challenges of one header: `Digest realm="a", nonce="b", Basic realm="c"`.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start();
        if let Some(value) = after.strip_prefix('=').filter(|_| !found.is_empty()) {
            let (value, tail) = param_value(value.trim_start());
            if let Some(challenge) = found.last_mut() {
                challenge.params.push((word.to_ascii_lowercase(), value));
            }
            rest = tail;
        } else {
            if !word.is_empty() {
                found.push(Challenge {
                    scheme: word.to_ascii_lowercase(),
                    params: Vec::new(),
                });
            }
            rest = after.strip_prefix('=').unwrap_or(after);
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    found
}

/// A token or quoted string, and what follows.
fn param_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    (value, chars.as_str())
}

impl Challenge {
    fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The answer to a digest challenge (RFC 7616, 3.4); `None` if it wants something we do not know.
    fn digest(&self, user: &str, password: &str, method: &str, uri: &str, cnonce: &str) -> Option<String> {
        let (realm, nonce) = (self.param("realm").unwrap_or_default(), self.param("nonce")?);
        let algorithm = self.param("algorithm").unwrap_or("MD5");
        let name = algorithm.to_ascii_uppercase();
        let hash: fn(String) -> String = match name.trim_end_matches("-SESS") {
            "MD5" => |text| format!("{:x}", Md5::digest(text)),
            "SHA-256" => |text| format!("{:x}", Sha256::digest(text)),
            _ => return None,
        };
        let has_qop = match self.param("qop") {
            None => false,
            Some(offered) if offered.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        let mut secret = hash(format!("{user}:{realm}:{password}"));
        if name.ends_with("-SESS") {
            secret = hash(format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = hash(format!("{method}:{uri}"));
        let response = if has_qop {
            hash(format!("{secret}:{nonce}:00000001:{cnonce}:auth:{request}"))
        } else {
            hash(format!("{secret}:{nonce}:{request}"))
        };
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut answer = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={algorithm}",
            quoted(user),
            quoted(realm),
            quoted(nonce),
        );
        if let Some(opaque) = self.param("opaque") {
            let _ = write!(answer, ", opaque=\"{}\"", quoted(opaque));
        }
        if has_qop {
            let _ = write!(answer, ", qop=auth, nc=00000001, cnonce=\"{cnonce}\"");
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::super::fetch::send_all;
    use super::*;
    use crate::http::{Headers, HttpFailure};
    use crate::platform::memory::{MemoryPlatform, reply};

    /// The examples of RFC 7616, 3.9.1.
    #[test]
    fn digests_are_those_of_the_rfc() {
        let check = |algorithm: &str, response: &str| {
            let header = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let challenge = challenges(&header).remove(0);
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let answer = challenge
                .digest("Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce)
                .unwrap();
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
        };
        check("MD5", "8ca523f5e9506fed4657c9700eebdbec");
        check(
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        );
    }

    #[test]
    fn challenges_are_told_apart() {
        let check = |header: &str, expect: &[(&str, &[(&str, &str)])]| {
            let found: Vec<(String, Vec<(String, String)>)> = challenges(header)
                .into_iter()
                .map(|challenge| (challenge.scheme, challenge.params))
                .collect();
            let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let expect: Vec<(String, Vec<(String, String)>)> = expect
                .iter()
                .map(|(scheme, params)| ((*scheme).to_owned(), own(params)))
                .collect();
            assert_eq!(found, expect, "{header}");
        };
        check("Basic realm=\"a, b\"", &[("basic", &[("realm", "a, b")])]);
        check(
            "Digest realm=\"x\\\"y\", nonce=n1 , Basic realm=z",
            &[
                ("digest", &[("realm", "x\"y"), ("nonce", "n1")]),
                ("basic", &[("realm", "z")]),
            ],
        );
        check("Negotiate, Basic", &[("negotiate", &[]), ("basic", &[])]);
        check("", &[]);
        check("= ,, \"", &[("\"", &[])]);
    }

    proptest::proptest! {
        #[test]
        fn no_header_is_too_broken(header in ".{0,60}", cookie in ".{0,60}") {
            let _ = challenges(&header);
            let _ = Cookie::parse(&cookie, &Target::of("http://h/a"), 0.0);
        }
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let check = |text: &str, url: &str, expect: bool| {
            let cookie = Cookie::parse(text, &Target::of("http://h/maps/service?x=1"), 100.0).unwrap();
            assert_eq!(cookie.fits(&Target::of(url), 200.0), expect, "{text} for {url}");
        };
        check("a=1", "http://h/maps/other", true);
        check("a=1", "http://h/mapsandmore", false);
        check("a=1", "http://h/", false);
        check("a=1; Path=/", "http://h/", true);
        check("a=1; Path=/; Secure", "http://h/", false);
        check("a=1; Path=/; Secure", "https://h?b", true);
        check("a=1; Path=/; Max-Age=50", "http://h/", false);
        check(
            "a=1; Path=/; Max-Age=150; Expires=Thu, 01 Jan 1970 00:00:01 GMT",
            "http://h/",
            true,
        );
        check("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT", "http://h/", false);
        assert_eq!(Cookie::parse("a=b\r\nX: y", &Target::of("http://h/"), 0.0), None);
        assert_eq!(Cookie::parse("nothing", &Target::of("http://h/"), 0.0), None);
    }

    fn upstream(cookies: bool, credentials: bool) -> Upstream {
        let session = Session {
            credentials: credentials.then(|| ("me".to_owned(), "secret".to_owned())),
            cookies,
            base: "/locks/server".to_owned(),
        };
        Upstream {
            request: HttpRequest {
                url: "http://h/maps?a=b".to_owned(),
                post: None,
                headers: Headers::default(),
                timeout: Duration::from_secs(1),
                max_body: 1000,
            },
            slots: None,
            session: Some(Rc::new(session)),
        }
    }

    fn told(status: u16, name: &str, value: &str) -> Result<HttpReply, HttpFailure> {
        let mut reply = reply(status, "text/plain", b"")?;
        reply.headers.set(name, value);
        Ok(reply)
    }

    fn send(memory: &Rc<MemoryPlatform>, upstream: Upstream) -> u16 {
        let platform: Rc<dyn Platform> = Rc::<MemoryPlatform>::clone(memory);
        let answers = send_all(&platform, vec![upstream], 1, &mut || {});
        answers.into_iter().next().unwrap().unwrap().status
    }

    fn sent(memory: &MemoryPlatform, header: &str) -> Vec<Option<String>> {
        memory
            .asked()
            .iter()
            .map(|request| request.headers.get(header).map(str::to_owned))
            .collect()
    }

    #[test]
    fn a_password_is_sent_in_the_clear_only_where_it_is_asked_for() {
        let memory = MemoryPlatform::new();
        memory.answer(|request| match request.headers.get("authorization") {
            None => told(401, "WWW-Authenticate", "Basic realm=\"x\""),
            Some(_) => told(200, "X-Fine", "yes"),
        });
        assert_eq!(send(&memory, upstream(false, true)), 200);
        assert_eq!(send(&memory, upstream(false, true)), 200);
        let basic = Some("Basic bWU6c2VjcmV0".to_owned());
        assert_eq!(
            sent(&memory, "authorization"),
            [None, basic.clone(), basic],
            "it is remembered"
        );
    }

    #[test]
    fn a_digest_is_sent_where_it_is_asked_for() {
        let memory = MemoryPlatform::new();
        memory.answer(|request| match request.headers.get("authorization") {
            None => told(
                401,
                "WWW-Authenticate",
                "Basic realm=\"x\", Digest realm=\"x\", nonce=\"n\", qop=\"auth\"",
            ),
            Some(answer) => {
                assert!(answer.starts_with("Digest username=\"me\""), "{answer}");
                assert!(
                    answer.contains("uri=\"/maps?a=b\"") && !answer.contains("secret"),
                    "{answer}"
                );
                told(200, "X-Fine", "yes")
            }
        });
        assert_eq!(send(&memory, upstream(false, true)), 200);
        assert_eq!(memory.asked().len(), 2);
        assert!(memory.paths().is_empty());
    }

    #[test]
    fn a_wrong_password_is_not_tried_again_and_again() {
        let memory = MemoryPlatform::new();
        memory.answer(|_| told(401, "WWW-Authenticate", "Basic realm=\"x\""));
        assert_eq!(send(&memory, upstream(false, true)), 401);
        assert_eq!(memory.asked().len(), 2);
        assert_eq!(send(&memory, upstream(false, false)), 401);
        assert_eq!(memory.asked().len(), 3);
    }

    #[test]
    fn cookies_last_from_one_request_to_the_next() {
        let memory = MemoryPlatform::new();
        memory.answer(|_| told(200, "Set-Cookie", "testcookie=42; Path=/"));
        send(&memory, upstream(true, false));
        send(&memory, upstream(true, false));
        send(&memory, upstream(false, false));
        assert_eq!(sent(&memory, "cookie"), [None, Some("testcookie=42".to_owned()), None]);
        assert_eq!(memory.paths(), ["/locks/server.cookies"]);
    }
}
