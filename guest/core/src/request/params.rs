//! Query parameters of OGC requests. (MapProxy: `NoCaseMultiDict` and `RequestParams` in `request/base.py`.)
//!
//! Names compare without case, but keep the spelling they came with: what is forwarded to an upstream server, and the
//! names of dimensions, are the client's own. Values may repeat; blank ones count. Decoding never fails: bytes that are
//! no UTF-8 become replacement characters, a `%` without two digits stays as it is.

use crate::http::{Method, Request};

/// Parameters in the order they came, names without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryParams {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// as the client spelled it first
    name: String,
    /// at least one
    values: Vec<String>,
}

impl QueryParams {
    /// Parses a query string (without `?`): `a=1&b=&c` has three parameters.
    pub fn parse(query: &str) -> Self {
        let mut params = Self::default();
        params.extend_from_query(query);
        params
    }

    /// The parameters of a request: those of its query, and of a form in its body after them.
    pub fn of_request(request: &Request) -> Self {
        let mut params = Self::parse(&request.query);
        if request.method == Method::Post && is_form(request) {
            params.extend_from_query(&String::from_utf8_lossy(&request.body));
        }
        params
    }

    fn extend_from_query(&mut self, query: &str) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.append(&form_decode(name), form_decode(value));
        }
    }

    /// Adds a value behind those the name already has.
    pub fn append(&mut self, name: &str, value: impl Into<String>) {
        match self
            .entries
            .iter_mut()
            .find(|entry| entry.name.eq_ignore_ascii_case(name))
        {
            Some(entry) => entry.values.push(value.into()),
            None => self.entries.push(Entry {
                name: name.to_owned(),
                values: vec![value.into()],
            }),
        }
    }

    /// Replaces the values of a name; its first spelling stays.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self
            .entries
            .iter_mut()
            .find(|entry| entry.name.eq_ignore_ascii_case(name))
        {
            Some(entry) => entry.values = vec![value.into()],
            None => self.entries.push(Entry {
                name: name.to_owned(),
                values: vec![value.into()],
            }),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|entry| !entry.name.eq_ignore_ascii_case(name));
    }

    pub fn contains(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The first value, which may be blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entry(name)
            .and_then(|entry| entry.values.first())
            .map(String::as_str)
    }

    /// All values of a name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.entry(name)
            .into_iter()
            .flat_map(|entry| entry.values.iter().map(String::as_str))
    }

    /// All values of a name joined with `,`: how repeated parameters are understood where a list is expected.
    pub fn joined(&self, name: &str) -> Option<String> {
        self.entry(name).map(|entry| entry.values.join(","))
    }

    /// The parts of a list: `layers=a,b&LAYERS=c` is a, b, c. Absent and blank are both one empty part or none.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.all(name).flat_map(|value| value.split(',')).collect()
    }

    /// Names as spelled by the client, with their values joined with `,`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.values.join(",")))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// As a query string, without `?`; repeated values joined with `,`.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        for (name, value) in self.iter() {
            if !query.is_empty() {
                query.push('&');
            }
            form_encode_into(name, &mut query);
            query.push('=');
            form_encode_into(&value, &mut query);
        }
        query
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
    }
}

fn is_form(request: &Request) -> bool {
    request.headers.get("content-type").is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Percent-decodes a path or part of one; `+` stays.
pub fn percent_decode(text: &str) -> String {
    decode(text, false)
}

/// Percent-decodes a query name or value, where `+` is a space.
fn form_decode(text: &str) -> String {
    decode(text, true)
}

fn decode(text: &str, plus_is_space: bool) -> String {
    if !text.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return text.to_owned();
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut ahead = bytes.clone();
                if let (Some(high), Some(low)) = (ahead.next().and_then(hex_value), ahead.next().and_then(hex_value)) {
                    decoded.push(high << 4 | low);
                    bytes = ahead;
                } else {
                    decoded.push(byte);
                }
            }
            b'+' if plus_is_space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Percent-encodes a value for a query; commas stay, as upstream servers of MapProxy see them (`image%2Fpng`, `1,2`).
pub fn form_encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len() + 8);
    form_encode_into(value, &mut encoded);
    encoded
}

fn form_encode_into(value: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~' | b',') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    #[track_caller]
    fn check(query: &str, expect: &[(&str, &str)]) {
        let params = QueryParams::parse(query);
        let found: Vec<(&str, String)> = params.iter().collect();
        let expect: Vec<(&str, String)> = expect
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        assert_eq!(found, expect, "{query}");
    }

    #[test]
    fn queries_are_decoded_and_repeated_names_joined() {
        check("", &[]);
        check("&&", &[]);
        check("a", &[("a", "")]);
        check("a=&B=1", &[("a", ""), ("B", "1")]);
        check("LAYERS=a&layers=b,c&Layers=", &[("LAYERS", "a,b,c,")]);
        check("a=b=c", &[("a", "b=c")]);
        check("q=1+2%2B3%20", &[("q", "1 2+3 ")]);
        check("q=%", &[("q", "%")]);
        check("q=%4", &[("q", "%4")]);
        check("q=%zz%41", &[("q", "%zzA")]);
        check("q=%C3%A4", &[("q", "ä")]);
        check("q=%C3", &[("q", "\u{fffd}")]);
        check("q=a;b=2", &[("q", "a;b=2")]);
    }

    #[test]
    fn names_compare_without_case() {
        let mut params = QueryParams::parse("LAYERS=a,b&layers=c&FORMAT=image%2Fpng");
        assert_eq!(params.get("layers"), Some("a,b"));
        assert_eq!(params.joined("Layers").as_deref(), Some("a,b,c"));
        assert_eq!(params.list("layers"), ["a", "b", "c"]);
        assert_eq!(params.get("styles"), None);
        params.set("format", "image/jpeg");
        assert_eq!(params.to_query(), "LAYERS=a,b,c&FORMAT=image%2Fjpeg");
        params.remove("layers");
        assert!(!params.contains("LAYERS"));
    }

    #[test]
    fn values_are_encoded_with_literal_commas() {
        assert_eq!(form_encode("EPSG:4326"), "EPSG%3A4326");
        assert_eq!(form_encode("-180.0,-90.0 ä~_"), "-180.0,-90.0%20%C3%A4~_");
    }

    #[test]
    fn a_form_in_the_body_counts_as_query() {
        let mut headers = Headers::default();
        headers.set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8");
        let mut request = Request {
            method: Method::Post,
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            path: "/service".to_owned(),
            query: "service=WMS".to_owned(),
            headers,
            body: b"layers=a&SERVICE=x".to_vec(),
            sends_files: false,
        };
        assert_eq!(QueryParams::of_request(&request).to_query(), "service=WMS,x&layers=a");
        request.headers.set("Content-Type", "text/xml");
        assert_eq!(QueryParams::of_request(&request).to_query(), "service=WMS");
    }

    proptest::proptest! {
        #[test]
        fn any_query_is_parsed_and_written_again(query in "\\PC{0,60}", raw in "[%&=+a-fA-F0-9,;]{0,60}") {
            for text in [query, raw] {
                let params = QueryParams::parse(&text);
                let again = QueryParams::parse(&params.to_query());
                for (name, value) in params.iter().filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric())) {
                    if !name.is_empty() {
                        assert_eq!(again.joined(name), Some(value));
                    }
                }
            }
        }
    }
}
