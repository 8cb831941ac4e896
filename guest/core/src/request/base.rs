//! Where clients see us: scheme, host and mount prefix, for the URLs in capabilities and pages.
//! (MapProxy: `Request` in `request/base.py`; section "HTTP front" of the behaviour.)
//!
//! All three may come from headers that any client can write, and they end up in documents that caches keep. So they are
//! taken only if they look like what they claim to be; anything else falls back to what the carrier saw.

use std::fmt::Write;

use crate::http::Request;

/// The public address of this application, and the path behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress<'a> {
    scheme: &'static str,
    host: String,
    script_name: String,
    path: &'a str,
}

impl<'a> PublicAddress<'a> {
    /// Reads `X-Forwarded-Proto`, `X-Forwarded-Host`, `Host` and `X-Script-Name`.
    pub fn of(request: &'a Request) -> Self {
        let scheme = forwarded(request, "x-forwarded-proto")
            .and_then(known_scheme)
            .or_else(|| known_scheme(&request.scheme))
            .unwrap_or("http");
        let host = [
            forwarded(request, "x-forwarded-host"),
            request.headers.get("host").map(str::trim),
            Some(request.authority.as_str()),
        ]
        .into_iter()
        .flatten()
        .find(|host| is_host(host))
        .unwrap_or("localhost");
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let script_name = request
            .headers
            .get("x-script-name")
            .and_then(script_name)
            .unwrap_or_default();
        let path = match request.path.strip_prefix(script_name.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => &request.path,
        };
        Self {
            scheme,
            host: host.strip_suffix(default_port).unwrap_or(host).to_owned(),
            script_name,
            path,
        }
    }

    /// `https://example.org`, without a slash at the end.
    pub fn server_url(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// `https://example.org/prefix`, without a slash at the end: what every URL of ours begins with.
    pub fn script_url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.script_name)
    }

    /// The path behind the mount prefix, still percent-encoded: `/tms/1.0.0/osm`. Empty or begins with `/`.
    pub fn path(&self) -> &'a str {
        self.path
    }
}

/// The first of a comma-separated list of forwarded values, which the outermost proxy wrote.
fn forwarded<'r>(request: &'r Request, header: &str) -> Option<&'r str> {
    let value = request.headers.get(header)?;
    value.split(',').next().map(str::trim)
}

fn known_scheme(scheme: &str) -> Option<&'static str> {
    if scheme.eq_ignore_ascii_case("http") {
        Some("http")
    } else if scheme.eq_ignore_ascii_case("https") {
        Some("https")
    } else {
        None
    }
}

/// A host name or address, possibly with a port: nothing that could end an attribute or a URL's authority.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

/// A mount prefix as a path: `/foo` from `foo`, `/foo` or `/foo/`; `None` for one that is no plain path.
fn script_name(value: &str) -> Option<String> {
    let path = value.trim().trim_matches('/');
    let is_plain = path.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'.' | b'-' | b'_' | b'~' | b'%' | b'+' | b',' | b':' | b'@'
            )
    }) && path.split('/').all(|part| part != "..");
    (is_plain && !path.is_empty() && path.len() <= 1024).then(|| format!("/{path}"))
}

/// Percent-encodes a name for one segment of a path, what may stand there stays as it is.
pub fn encode_segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || "-._~:@!$()*+,;=".contains(c) {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(encoded, "%{byte:02X}").expect("writing to a string does not fail");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method};

    fn request(path: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Request {
            method: Method::Get,
            scheme: "http".to_owned(),
            authority: "localhost:8080".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers: Headers(headers),
            body: Vec::new(),
            sends_files: false,
        }
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expect: &str) {
        let request = request("/service", headers);
        assert_eq!(PublicAddress::of(&request).script_url(), expect, "{headers:?}");
    }

    #[test]
    fn the_public_url_follows_the_forwarding_headers() {
        check(&[], "http://localhost:8080");
        check(&[("Host", "example.org")], "http://example.org");
        check(&[("Host", "example.org:80")], "http://example.org");
        check(&[("Host", "example.org:443")], "http://example.org:443");
        check(&[("Host", "[::1]:8080")], "http://[::1]:8080");
        check(&[("X-Script-Name", "/foo")], "http://localhost:8080/foo");
        check(&[("X-Script-Name", "foo/")], "http://localhost:8080/foo");
        check(&[("X-Script-Name", "/")], "http://localhost:8080");
        check(
            &[("X-Forwarded-Host", "example.org, bar.org"), ("Host", "x")],
            "http://example.org",
        );
        check(
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Script-Name", "/foo"),
                ("Host", "example.org:443"),
            ],
            "https://example.org/foo",
        );
        // https://github.com/mapproxy/mapproxy/issues/590
        check(
            &[("X-Forwarded-Proto", "https, http"), ("Host", "example.org")],
            "https://example.org",
        );
    }

    #[test]
    fn header_values_that_are_no_hosts_schemes_or_paths_are_not_believed() {
        check(&[("Host", "\"><script>")], "http://localhost:8080");
        check(&[("Host", "a b")], "http://localhost:8080");
        check(&[("Host", "user@evil.example")], "http://localhost:8080");
        check(&[("Host", "evil.example/path")], "http://localhost:8080");
        check(
            &[("X-Forwarded-Host", "evil\r\nSet-Cookie: a=b"), ("Host", "example.org")],
            "http://example.org",
        );
        check(&[("X-Forwarded-Proto", "javascript")], "http://localhost:8080");
        check(&[("X-Script-Name", "/a\"b")], "http://localhost:8080");
        check(&[("X-Script-Name", "/a/../b")], "http://localhost:8080");
        check(&[("X-Script-Name", "/<b>")], "http://localhost:8080");
        check(
            &[("X-Script-Name", "//evil.example")],
            "http://localhost:8080/evil.example",
        );
    }

    #[test]
    fn the_mount_prefix_is_taken_off_the_path_where_it_is_there() {
        let cases = [
            ("/foo/tms/1.0.0", "/foo", "/tms/1.0.0"),
            ("/tms/1.0.0", "/foo", "/tms/1.0.0"),
            ("/foo", "/foo", ""),
            ("/foobar", "/foo", "/foobar"),
            ("/", "", "/"),
        ];
        for (path, script_name, expect) in cases {
            let request = request(path, &[("X-Script-Name", script_name)]);
            assert_eq!(PublicAddress::of(&request).path(), expect, "{path} under {script_name}");
        }
    }

    #[test]
    fn names_are_encoded_as_segments() {
        assert_eq!(encode_segment("osm:roads_v1.2"), "osm:roads_v1.2");
        assert_eq!(encode_segment("a b/c?d&ä%"), "a%20b%2Fc%3Fd%26%C3%A4%25");
    }

    proptest::proptest! {
        #[test]
        fn urls_never_hold_anything_to_break_out_with(value in "\\PC{0,40}") {
            let request = request("/", &[("X-Script-Name", &value), ("X-Forwarded-Host", &value), ("X-Forwarded-Proto", &value)]);
            let url = PublicAddress::of(&request).script_url();
            assert!(!url.contains(['"', '\'', '<', '>', ' ', '\n', '\r', '\\', '#', '?']), "{url}");
        }
    }
}
