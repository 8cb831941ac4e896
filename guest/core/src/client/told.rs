//! What operators are told of a server's words: its text on one line, without what it repeats of our secrets.
//!
//! Reasons of failures end in terminals, lists and events, which travel further than configurations do. What the
//! protocol asks of everyone stays readable; what somebody added to URLs and headers may be a key.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::Event;

use crate::http::HttpReply;
use crate::request::{QueryParams, percent_decode};

/// Characters that are told.
const MOST_TOLD: usize = 300;

/// Bytes of an answer that are looked at: a failing server may have sent a lot, many times.
const MOST_READ: usize = 8 << 10;

/// Stands for a secret.
const HIDDEN: &str = "…";

/// Parameters of protocols whose values are not secret, in lower case. Those that are numbers need not be named.
const PROTOCOL: [&str; 24] = [
    "bbox",
    "bboxsr",
    "crs",
    "elevation",
    "exceptions",
    "format",
    "geometrytype",
    "imagesr",
    "info_format",
    "layer",
    "layers",
    "map",
    "mapextent",
    "query_layers",
    "request",
    "service",
    "srs",
    "style",
    "styles",
    "tilematrix",
    "tilematrixset",
    "time",
    "transparent",
    "version",
];

/// Parts of the names of parameters whose values are secret even if they are numbers.
const SECRET: [&str; 9] = ["key", "token", "pass", "pw", "secret", "auth", "sig", "licen", "user"];

/// Headers whose values are not secret, in lower case.
const HARMLESS: [&str; 7] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "pragma",
    "user-agent",
];

/// What a server was given to know us by, in case it repeats it.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Of the URL that was asked: its path, parts of the path that look like keys, and parameters that are none of the
    /// protocol's, each as it was sent and decoded.
    pub(super) fn add_url(&mut self, url: &str) {
        let (page, query) = url.split_once('?').unwrap_or((url, ""));
        let path = page.split_once("://").map_or(page, |(_, rest)| rest);
        let path = path.find('/').and_then(|at| path.get(at..)).unwrap_or_default();
        // a single name says little, and is part of many words
        if path.matches('/').count() > 1 {
            self.add_encoded(path);
        }
        for part in path.split('/').filter(|part| looks_like_key(part)) {
            self.add_encoded(part);
        }
        for pair in query.split('&') {
            self.add_param(pair);
        }
    }

    /// A parameter as it stands in a query: `name=value`, or a value without name.
    pub(super) fn add_param(&mut self, pair: &str) {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let name = name.to_ascii_lowercase();
        if PROTOCOL.contains(&name.as_str()) {
            return;
        }
        if is_trivial(value) && !SECRET.iter().any(|secret| name.contains(secret)) {
            return;
        }
        self.add_encoded(value);
        // where `+` is a space
        self.0.extend(QueryParams::parse(pair).iter().map(|(_, value)| value));
    }

    /// The words of a header's value, and what they assign: `Bearer KEY`, `Token token="KEY"`, `session=KEY; a=b`. Of
    /// basic authentication also the user, whom some servers take for the key, and the password.
    pub(super) fn add_header(&mut self, name: &str, value: &str) {
        const SCHEMES: [&str; 5] = ["apikey", "basic", "bearer", "digest", "token"];
        if HARMLESS.contains(&name.to_ascii_lowercase().as_str()) {
            return;
        }
        for word in value.split([' ', '\t', ';', ',']) {
            let is_scheme = SCHEMES.contains(&word.to_ascii_lowercase().as_str());
            if is_scheme || word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
                continue;
            }
            if let Some((_, value)) = word.split_once('=') {
                self.0.push(value.trim_matches('"').to_owned());
            }
            self.0.push(word.to_owned());
        }
        if let Some((_, word)) = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            && let Ok(pair) = STANDARD.decode(word.trim())
        {
            let pair = String::from_utf8_lossy(&pair);
            self.0.extend(pair.splitn(2, ':').map(str::to_owned));
        }
    }

    fn add_encoded(&mut self, text: &str) {
        self.0.push(percent_decode(text));
        self.0.push(text.to_owned());
    }

    /// A text on one line without the secrets, and without parameters of other URLs.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        // what is shorter is part of many words
        let mut secrets: Vec<&String> = self.0.iter().filter(|secret| secret.len() > 3).collect();
        // one may be part of another
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let hide = |line: String, secret: &&String| line.replace(secret.as_str(), HIDDEN);
        let line = secrets.iter().fold(printable(text), hide);
        let words: Vec<&str> = line.split(' ').map(without_query).collect();
        shortened(&words.join(" "), MOST_TOLD)
    }
}

/// Numbers, lists of them, versions; and switches.
fn is_trivial(value: &str) -> bool {
    let has_letters = value.bytes().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    !has_letters || value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

/// Names of services and layers are words mostly, keys are letters and digits or long.
fn looks_like_key(part: &str) -> bool {
    let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
    has(u8::is_ascii_alphabetic) && (part.len() > 20 || (part.len() >= 8 && has(u8::is_ascii_digit)))
}

/// What an answer that is no map says in words: plain text, JSON, or the texts and codes of an XML document (an
/// exception). Pages of HTML are for people at a browser.
pub(super) fn words(reply: &HttpReply) -> Option<Cow<'_, str>> {
    let content_type = reply.headers.get("content-type")?.to_ascii_lowercase();
    let body = begin(&reply.body, MOST_READ);
    let text = String::from_utf8_lossy(body);
    let text = if content_type.contains("html") {
        return None;
    } else if content_type.contains("xml") {
        text_of_xml(&text).into()
    } else if content_type.contains("json") {
        // some write slashes so
        text.replace("\\/", "/").into()
    } else if content_type.contains("text/plain") {
        text
    } else {
        return None;
    };
    // half a secret would not be found
    let is_cut = body.len() < reply.body.len();
    match text.rsplit_once(char::is_whitespace) {
        Some((whole, _)) if is_cut => Some(whole.to_owned().into()),
        _ => Some(text),
    }
}

/// The first `most` bytes.
pub(crate) fn begin(body: &[u8], most: usize) -> &[u8] {
    body.get(..most).unwrap_or(body)
}

/// A text on one line, without characters that command a terminal or turn around what is read there.
pub(crate) fn printable(text: &str) -> String {
    let commands = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let seen: String = text.chars().filter(|c| c.is_whitespace() || !commands(*c)).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(line: &str, most: usize) -> String {
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    }
}

fn text_of_xml(document: &str) -> String {
    let mut reader = quick_xml::Reader::from_str(document);
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

/// A word up to where parameters begin, as in `/wms?a=b` or the rest of one that had a space in it.
fn without_query(word: &str) -> &str {
    match word.split_once(['?', '&']) {
        Some((page, query)) if query.contains('=') || word.contains("://") => page,
        _ => word,
    }
}
