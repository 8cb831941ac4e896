//! The mount point of a request: the leading part of the public path that does not concern the application.
//!
//! Web servers tell it in `X-Script-Name`, and leave it in the path or take it off; links in answers begin with it. The
//! guest, which knows such web servers too, gets the path without it.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;

use crate::percent::{encode, has_dots};

pub(super) const SCRIPT_NAME: HeaderName = HeaderName::from_static("x-script-name");

/// The public path is not one that can be asked for.
#[derive(Debug, thiserror::Error)]
#[error("the path is not valid")]
pub(super) struct InvalidPath;

/// The mount point that the headers name, `/maps`; empty at the root, and for one that is no plain path.
pub(super) fn script_name(headers: &HeaderMap) -> String {
    let value = headers.get(SCRIPT_NAME).and_then(|value| value.to_str().ok());
    match value.and_then(plain) {
        Some(path) if !path.is_empty() => format!("/{path}"),
        _ => String::new(),
    }
}

/// Reads the mount point of the command line: `/maps`, percent-encoded; empty for `/`.
pub(crate) fn parse_script_name(text: &str) -> Result<String, String> {
    let encoded = encode(text.as_bytes(), b"%");
    match plain(&encoded) {
        Some("") => Ok(String::new()),
        Some(path) if text.starts_with('/') => Ok(format!("/{path}")),
        _ => Err("expected the path of a URL, `/maps`".to_owned()),
    }
}

/// A path without slashes around it, if it is one that needs no escapes.
fn plain(path: &str) -> Option<&str> {
    let path = path.trim().trim_matches('/');
    let is_plain = encode(path.as_bytes(), b"%") == path && !has_dots(path.as_bytes());
    is_plain.then_some(path)
}

/// `path` behind `mount`, whether the web server left it there or not.
pub(super) fn behind<'path>(path: &'path str, mount: &str) -> &'path str {
    match path.strip_prefix(mount) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Takes `mount` off the path, and the `len` bytes behind it, which become part of the mount point.
pub(super) fn enter(
    mut request: Request<Full<Bytes>>,
    mount: &str,
    len: usize,
) -> Result<Request<Full<Bytes>>, InvalidPath> {
    let (more, rest) = behind(request.uri().path(), mount)
        .split_at_checked(len)
        .ok_or(InvalidPath)?;
    // As the guest takes it: anything else would be no mount point to it.
    let mount = format!("{mount}{}", encode(more.as_bytes(), b"%"));
    let rest = if rest.is_empty() { "/" } else { rest };
    // The guest would take `/tms` off `/tms/1.0.0` once more: this one it may.
    let again = if behind(rest, &mount) == rest {
        ""
    } else {
        mount.as_str()
    };
    let target = match request.uri().query() {
        Some(query) => format!("{again}{rest}?{query}"),
        None => format!("{again}{rest}"),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_invalid| InvalidPath)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_invalid| InvalidPath)?;
    let mount = HeaderValue::try_from(mount).map_err(|_invalid| InvalidPath)?;
    request.headers_mut().insert(SCRIPT_NAME, mount);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(parse_script_name(text).ok().as_deref(), expect, "{text}");
        };
        check("/maps", Some("/maps"));
        check("/a/b/", Some("/a/b"));
        check("/", Some(""));
        check("", Some(""));
        check("/stra\u{df}e", Some("/stra%C3%9Fe"));
        check("maps", None);
        check("/a/../b", None);
        check("http://host/maps", None);
    }

    #[test]
    fn mount_points() {
        let check = |uri: &str, client: Option<&str>, more: &str, expect: (&str, &str)| {
            let mut request = Request::get(uri).body(Full::default()).unwrap();
            if let Some(value) = client {
                request
                    .headers_mut()
                    .insert(SCRIPT_NAME, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let mount = script_name(request.headers());
            let request = enter(request, &mount, more.len()).unwrap();
            let target = request.uri().path_and_query().unwrap().as_str().to_owned();
            let name = request.headers()[SCRIPT_NAME].to_str().unwrap();
            assert_eq!((target.as_str(), name), expect, "{uri} {client:?}");
        };
        check("/roads/service?a=b", None, "/roads", ("/service?a=b", "/roads"));
        check("/roads", None, "/roads", ("/", "/roads"));
        check("/roads?a", None, "/roads", ("/?a", "/roads"));
        check("/roads/", Some("maps/"), "/roads", ("/", "/maps/roads"));
        check("/maps/roads/x", Some("/maps"), "/roads", ("/x", "/maps/roads"));
        check("/maps/x", Some("/maps"), "", ("/x", "/maps"));
        check("/maps", Some("/maps"), "", ("/", "/maps"));
        check("/mapsroads/x", Some("/maps"), "/mapsroads", ("/x", "/maps/mapsroads"));
        check("/tms/tms/1.0.0", None, "/tms", ("/tms/tms/1.0.0", "/tms"));
        check("/tms/tms/1.0.0?q", Some("/tms"), "", ("/tms/tms/1.0.0?q", "/tms"));
        check("/tms/tmsx", Some("/tms"), "", ("/tmsx", "/tms"));
        check("/a(b)/x", None, "/a(b)", ("/x", "/a%28b%29"));
        check("/roads/x", Some("/<b>"), "/roads", ("/x", "/roads"));
        check("/roads/x", Some("/\u{e4}"), "/roads", ("/x", "/roads"));
        check("/roads/x", Some("/a/../b"), "/roads", ("/x", "/roads"));
        check("http://host/roads/x", Some("/maps"), "/roads", ("/x", "/maps/roads"));
    }
}
