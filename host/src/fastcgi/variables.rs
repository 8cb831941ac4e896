//! CGI variables (RFC 3875, and what web servers add to it) as an HTTP request.
//!
//! What the client asked for is `REQUEST_URI`: it is neither decoded nor rewritten. Which part of its path is the mount
//! point follows from `SCRIPT_NAME` and `PATH_INFO`, which web servers fill in each in its own way:
//!
//! | set up as | `REQUEST_URI` | `SCRIPT_NAME` | `PATH_INFO` |
//! |---|---|---|---|
//! | nginx split by hand or by `fastcgi_split_path_info`, lighttpd, `mod_fcgid` | `/proxy/service?..` | `/proxy` | `/service` |
//! | nginx without a split, Apache's plain `ProxyPass` | `/proxy/service?..` | `/proxy/service` | not sent |
//! | nginx split by hand, for `/proxy` itself | `/proxy` | empty | empty |
//!
//! The request that comes out has the path the client asked for, and the mount point apart.

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri, Version};

use crate::percent::{decode, encode, has_dots};

/// A request as a web server tells it, without its body.
#[derive(Debug)]
pub(crate) struct Variables {
    pub(crate) method: Method,
    /// Path and query as the client sees them, mount point included.
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// `/proxy`, or empty at the root; percent-encoded.
    pub(crate) mount: String,
    pub(crate) https: bool,
    /// Who asked the web server.
    pub(crate) client: Option<IpAddr>,
    /// Length of the body, where it was told.
    pub(crate) content_length: Option<u64>,
}

/// Why variables make no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VariablesError {
    #[error("there is no valid `REQUEST_METHOD`")]
    Method,
    #[error("there is neither a valid `REQUEST_URI` nor `SCRIPT_NAME` and `PATH_INFO`")]
    Uri,
    #[error("`CONTENT_LENGTH` is not a number")]
    ContentLength,
    #[error("a header is not valid")]
    Header,
}

/// Headers that belong to the connection between client and web server, or that some programs take for their
/// environment: `Proxy` as `HTTP_PROXY`. Length and type of the body have variables of their own.
const DROPPED: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Variables {
    /// Reads `params`; of a name that is repeated the last value counts. `script_name` is the configured mount point,
    /// for web servers that do not tell it, or empty; below it, it goes before what they say.
    pub(crate) fn read(params: Vec<(Bytes, Bytes)>, script_name: &str) -> Result<Self, VariablesError> {
        let params: HashMap<Bytes, Bytes> = params.into_iter().collect();
        let get = |name: &str| params.get(name.as_bytes()).map(Bytes::as_ref);
        let text = |name: &str| get(name).and_then(|value| std::str::from_utf8(value).ok());

        let method = get("REQUEST_METHOD").unwrap_or_default();
        let method = Method::from_bytes(method).map_err(|_invalid| VariablesError::Method)?;
        let https = text("HTTPS").is_some_and(|value| value.eq_ignore_ascii_case("on") || value == "1")
            || text("REQUEST_SCHEME").is_some_and(|value| value.eq_ignore_ascii_case("https"));
        let version = match get("SERVER_PROTOCOL") {
            Some(b"HTTP/1.0") => Version::HTTP_10,
            Some(b"HTTP/2.0" | b"HTTP/2") => Version::HTTP_2,
            Some(b"HTTP/3.0" | b"HTTP/3") => Version::HTTP_3,
            _ => Version::HTTP_11,
        };
        let content_length = match get("CONTENT_LENGTH").unwrap_or_default() {
            b"" => None,
            digits if digits.iter().all(u8::is_ascii_digit) => {
                let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                Some(length.ok_or(VariablesError::ContentLength)?)
            }
            _ => return Err(VariablesError::ContentLength),
        };

        let target = Target::of(
            get("REQUEST_URI").unwrap_or_default(),
            get("SCRIPT_NAME").unwrap_or_default(),
            get("PATH_INFO"),
            get("QUERY_STRING").unwrap_or_default(),
            (!script_name.is_empty()).then_some(script_name),
        )
        .ok_or(VariablesError::Uri)?;
        let uri = Uri::try_from(target.uri).map_err(|_invalid| VariablesError::Uri)?;

        let mut headers = HeaderMap::with_capacity(params.len());
        for (name, value) in &params {
            let Some(name) = name.strip_prefix(b"HTTP_") else {
                continue;
            };
            let name: Vec<u8> = name
                .iter()
                .map(|byte| if *byte == b'_' { b'-' } else { *byte })
                .collect();
            let name = HeaderName::from_bytes(&name).map_err(|_invalid| VariablesError::Header)?;
            // By its name as it is now: `HTTP_Proxy` means the same.
            if DROPPED.contains(&name.as_str()) {
                continue;
            }
            headers.insert(name, header(value)?);
        }
        if let Some(length) = content_length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Some(kind) = get("CONTENT_TYPE").filter(|kind| !kind.is_empty()) {
            headers.insert(CONTENT_TYPE, header(kind)?);
        }
        if headers.get(HOST).is_none_or(HeaderValue::is_empty) {
            let host = host(text, https);
            headers.insert(HOST, header(host.as_bytes())?);
        }
        Ok(Self {
            method,
            uri,
            version,
            headers,
            mount: target.mount,
            https,
            client: text("REMOTE_ADDR").and_then(|address| address.parse().ok()),
            content_length,
        })
    }
}

fn header(value: &[u8]) -> Result<HeaderValue, VariablesError> {
    HeaderValue::from_bytes(value).map_err(|_invalid| VariablesError::Header)
}

/// The web server's own name, for a client that names none (HTTP/1.0).
fn host<'v>(text: impl Fn(&str) -> Option<&'v str>, https: bool) -> String {
    let named = |name: &str| text(name).filter(|value| !value.is_empty());
    // nginx calls a server without a name `_`.
    let name = named("SERVER_NAME")
        .filter(|name| *name != "_")
        .or_else(|| named("SERVER_ADDR"))
        .unwrap_or("localhost");
    let name = if name.contains(':') && !name.starts_with('[') {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    let default_port = if https { "443" } else { "80" };
    match named("SERVER_PORT") {
        Some(port) if port != default_port => format!("{name}:{port}"),
        _ => name,
    }
}

/// What was asked for, and the mount point in it.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Path and query, mount point included.
    uri: String,
    mount: String,
}

impl Target {
    fn of(
        request_uri: &[u8],
        script_name: &[u8],
        path_info: Option<&[u8]>,
        query_string: &[u8],
        configured: Option<&str>,
    ) -> Option<Self> {
        if request_uri == b"*" {
            return Some(Self {
                uri: "*".to_owned(),
                mount: String::new(),
            });
        }
        let (path, query) = split_uri(request_uri);
        if path.starts_with(b"/") {
            let mount = configured
                .and_then(|configured| {
                    let decoded: Vec<u8> = decode(configured.as_bytes()).map(|(byte, _at)| byte).collect();
                    mount_before(path, &decoded)
                })
                .or_else(|| mount_in(path, script_name, path_info));
            if let Some(Split { mount, rest }) = mount {
                return Some(Self::new(path.get(..mount)?, path.get(rest..)?, query));
            }
        }
        // Rewritten, or without `REQUEST_URI`: decoded paths are all there is.
        let path_info = path_info.unwrap_or_default();
        if script_name.is_empty() && path_info.is_empty() {
            return None;
        }
        let script_name = script_name.strip_suffix(b"/").unwrap_or(script_name);
        if has_dots(script_name) || !(script_name.is_empty() || script_name.starts_with(b"/")) {
            return None;
        }
        let query = (!query_string.is_empty()).then_some(query_string);
        Some(Self::new(
            encode(script_name, b"").as_bytes(),
            encode(path_info, b"").as_bytes(),
            query,
        ))
    }

    /// From parts that are percent-encoded already; what may not stand in a URL is encoded.
    fn new(mount: &[u8], rest: &[u8], query: Option<&[u8]>) -> Self {
        let mount = encode(mount, b"%");
        let mut uri = mount.clone();
        let complete = rest.starts_with(b"/") || (rest.is_empty() && !mount.is_empty());
        if !complete {
            uri.push('/');
        }
        uri.push_str(&encode(rest, b"%!$&'()*;="));
        if let Some(query) = query {
            uri.push('?');
            uri.push_str(&encode(query, b"%!$&'()*;=?[]"));
        }
        Self { uri, mount }
    }
}

/// Path and query of a request target, which may be a whole URL.
fn split_uri(uri: &[u8]) -> (&[u8], Option<&[u8]>) {
    let uri = uri.split(|byte| *byte == b'#').next().unwrap_or_default();
    let find = |bytes: &[u8], wanted: u8| bytes.iter().position(|byte| *byte == wanted);
    let (path, query) = match find(uri, b'?') {
        Some(at) => {
            let (path, query) = uri.split_at(at);
            (path, query.get(1..))
        }
        None => (uri, None),
    };
    // `http://host/path`: a client that takes the web server for a proxy.
    let path = match path.windows(3).position(|window| window == b"://") {
        Some(at) if !path.starts_with(b"/") => {
            let after = path.get(at + 3..).unwrap_or_default();
            find(after, b'/').and_then(|slash| after.get(slash..)).unwrap_or(b"/")
        }
        _ => path,
    };
    (path, query)
}

/// Where in a path the mount point ends and the rest begins; slashes between them are of no use.
#[derive(Debug, Clone, Copy)]
struct Split {
    mount: usize,
    rest: usize,
}

impl Split {
    const ROOT: Self = Self { mount: 0, rest: 0 };
}

/// The mount point in `path`, as `SCRIPT_NAME` and `PATH_INFO` tell it; `None` where they speak of another path.
fn mount_in(path: &[u8], script_name: &[u8], path_info: Option<&[u8]>) -> Option<Split> {
    match path_info {
        Some(path_info) if !path_info.is_empty() => mount_ahead_of(path, path_info).or_else(|| {
            // nginx, where the path is split by hand, encodes it again.
            let decoded: Vec<u8> = decode(path_info).map(|(byte, _at)| byte).collect();
            mount_ahead_of(path, &decoded)
        }),
        // Without `PATH_INFO` a script name that is the whole path has swallowed it; empty ones say nothing at all.
        None if decode(path).map(|(byte, _at)| byte).eq(script_name.iter().copied()) => Some(Split::ROOT),
        _ if script_name.is_empty() => Some(Split::ROOT),
        _ => mount_before(path, script_name),
    }
}

/// What precedes `path_info` at the end of `path` is the mount point.
fn mount_ahead_of(path: &[u8], path_info: &[u8]) -> Option<Split> {
    let decoded: Vec<(u8, usize)> = decode(path).collect();
    let (before, tail) = decoded.split_at_checked(decoded.len().checked_sub(path_info.len())?)?;
    if !tail.iter().map(|(byte, _at)| byte).eq(path_info) {
        return None;
    }
    let (byte, mut rest) = *tail.first()?;
    if byte != b'/' {
        // lighttpd at the root: its `PATH_INFO` lacks the slash.
        rest = before
            .last()
            .filter(|(byte, _at)| *byte == b'/')
            .map(|(_byte, at)| *at)?;
    }
    // Web servers merge slashes, `/proxy//service` is `/proxy/service` to them.
    let mount = path.get(..rest)?;
    let slashes = mount.iter().rev().take_while(|byte| **byte == b'/').count();
    (!has_dots(mount)).then_some(Split {
        mount: mount.len() - slashes,
        rest,
    })
}

/// `script_name` is the mount point, where `path` begins with it and a segment ends there.
fn mount_before(path: &[u8], script_name: &[u8]) -> Option<Split> {
    let script_name = script_name.strip_suffix(b"/").unwrap_or(script_name);
    if has_dots(script_name) {
        return None;
    }
    let mut decoded = decode(path);
    for wanted in script_name {
        let (byte, _at) = decoded.next()?;
        if byte != *wanted {
            return None;
        }
    }
    let at = match decoded.next() {
        None => path.len(),
        Some((b'/', at)) => at,
        Some(_) => return None,
    };
    Some(Split { mount: at, rest: at })
}

#[cfg(test)]
mod tests;
