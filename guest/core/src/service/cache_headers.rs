//! What clients and proxies may keep: `ETag`, `Last-modified`, `Cache-control`, and the answer 304 to those who ask
//! whether their copy is still good. (MapProxy: `response.py`; RFC 9110 section 13, RFC 9111.)

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};

use crate::http::{Request, Response};
use crate::platform::UnixTime;
use crate::srs::python_float;

/// What tells one state of a resource from another.
#[derive(Debug, Clone, PartialEq)]
pub struct Validators {
    etag: String,
    modified: Option<UnixTime>,
}

impl Validators {
    /// Of a tile: MapProxy's tag, so that clients keep their copies when it is replaced by us. `size` in bytes.
    pub fn of_tile(timestamp: UnixTime, size: u64) -> Self {
        let text = format!("{}{size}", python_float(timestamp.0));
        Self {
            etag: md5_hex(text.as_bytes()),
            modified: Some(timestamp),
        }
    }

    /// Of a document made for this request, which has no age.
    pub fn of_document(body: &[u8]) -> Self {
        Self {
            etag: md5_hex(body),
            modified: None,
        }
    }

    /// Of a file that comes with this release and never changes within it. `size` in bytes.
    pub fn of_release(name: &str, size: usize) -> Self {
        Self {
            etag: md5_hex(format!("{name} {} {size}", env!("CARGO_PKG_VERSION")).as_bytes()),
            modified: None,
        }
    }

    /// Whether the client's copy is this one. `If-None-Match` decides if there is one, also against
    /// `If-Modified-Since` (RFC 9110 section 13.1.3).
    fn match_request(&self, request: &Request) -> bool {
        if let Some(tags) = request.headers.get("if-none-match") {
            return tags
                .split(',')
                .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
                .any(|tag| tag == self.etag || tag == "*");
        }
        let (Some(modified), Some(since)) = (self.modified, request.headers.get("if-modified-since")) else {
            return false;
        };
        parse_http_date(since.trim())
            .and_then(|since| since.duration_since(UNIX_EPOCH).ok())
            .is_some_and(|since| since.as_secs() as i64 >= modified.seconds())
    }
}

/// Adds the headers of an answer that may be kept for `max_age_s` seconds; a 304 without body if the client has it.
pub fn cacheable(mut response: Response, request: &Request, validators: &Validators, max_age_s: u64) -> Response {
    if validators.match_request(request) {
        response.status = 304;
        response.body = Vec::new();
        response.file = None;
        response
            .headers
            .0
            .retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    }
    // pushed, not set: a fresh answer has none of them, and this is the path of every tile
    let headers = &mut response.headers.0;
    headers.push(("ETag".to_owned(), validators.etag.clone()));
    if let Some(modified) = validators.modified {
        headers.push(("Last-modified".to_owned(), http_date(modified)));
    }
    headers.push((
        "Cache-control".to_owned(),
        format!("public, max-age={max_age_s}, s-maxage={max_age_s}"),
    ));
    response
}

/// Adds the headers of an answer nobody may keep: errors, and maps that lack a source.
pub fn not_cacheable(mut response: Response) -> Response {
    response.headers.set("Cache-Control", "no-cache, no-store");
    response.headers.set("Pragma", "no-cache");
    response.headers.set("Expires", "-1");
    response
}

/// A date in any of the three forms of RFC 9110 section 5.6.7. In the first, the day of the week says nothing new, so it
/// may be wrong.
fn parse_http_date(text: &str) -> Option<SystemTime> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date);
    }
    let (_, date) = text.split_once(", ")?;
    DAYS.iter()
        .find_map(|day| httpdate::parse_http_date(&format!("{day}, {date}")).ok())
}

/// `Fri, 13 Feb 2009 23:31:30 GMT`; times HTTP cannot write are moved to the nearest it can.
fn http_date(time: UnixTime) -> String {
    const YEAR_9999: u64 = 253_402_300_799;
    let seconds = u64::try_from(time.seconds()).unwrap_or(0).min(YEAR_9999);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn md5_hex(data: &[u8]) -> String {
    let digest = Md5::digest(data);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method};

    const TIME: UnixTime = UnixTime(1_234_567_890.0);

    fn answer(headers: &[(&str, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = Request {
            method: Method::Get,
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            path: "/tiles/a/0/0/0.png".to_owned(),
            query: String::new(),
            headers: Headers(headers),
            body: Vec::new(),
            sends_files: false,
        };
        let response = Response::new(200, "image/png", *b"tile");
        cacheable(response, &request, &Validators::of_tile(TIME, 10214), 259_200)
    }

    #[test]
    fn tiles_carry_tag_date_and_age() {
        let response = answer(&[]);
        assert_eq!(response.status, 200);
        // md5("1234567890.010214")
        assert_eq!(response.headers.get("ETag"), Some("a4b85e1a675022430a0d03778841a25f"));
        assert_eq!(
            response.headers.get("Last-modified"),
            Some("Fri, 13 Feb 2009 23:31:30 GMT")
        );
        assert_eq!(
            response.headers.get("Cache-control"),
            Some("public, max-age=259200, s-maxage=259200")
        );
    }

    #[test]
    fn a_client_with_the_same_state_gets_304_without_a_body() {
        let tag = "a4b85e1a675022430a0d03778841a25f";
        let cases: &[(&str, &str, u16)] = &[
            ("If-None-Match", tag, 304),
            ("If-None-Match", &format!("\"{tag}\""), 304),
            ("If-None-Match", &format!("W/\"x\", \"{tag}\""), 304),
            ("If-None-Match", "*", 304),
            ("If-None-Match", &format!("{tag}foo"), 200),
            ("If-None-Match", "", 200),
            ("If-Modified-Since", "Fri, 15 Feb 2009 23:31:30 GMT", 304),
            ("If-Modified-Since", "Fri, 13 Feb 2009 23:31:31 GMT", 304),
            ("If-Modified-Since", "Fri, 13 Feb 2009 23:31:30 GMT", 304),
            ("If-Modified-Since", "Fri, 13 Feb 2009 23:31:29 GMT", 200),
            ("If-Modified-Since", "Friday, 13-Feb-09 23:31:30 GMT", 304),
            ("If-Modified-Since", "Friday, 13-Feb-09 23:31:29 GMT", 200),
            ("If-Modified-Since", "Fri Feb 13 23:31:30 2009", 304),
            ("If-Modified-Since", "Fri Feb 13 23:31:29 2009", 200),
            ("If-Modified-Since", "Fri Foo 13 23:31:29 2009", 200),
            ("If-Modified-Since", "1234567890", 200),
        ];
        for (name, value, status) in cases {
            let response = answer(&[(name, value)]);
            assert_eq!(response.status, *status, "{name}: {value}");
            assert_eq!(response.body.is_empty(), *status == 304);
            assert_eq!(response.headers.get("Content-type").is_none(), *status == 304);
            assert_eq!(response.headers.get("ETag"), Some(tag));
        }
    }

    #[test]
    fn dates_out_of_range_are_clamped() {
        assert_eq!(http_date(UnixTime(-1.0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(UnixTime(f64::NAN)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(UnixTime(1e300)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
