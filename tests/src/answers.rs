//! What tests ask of answers.

use bytes::Bytes;
use hyper::Response;

/// The content type without what follows a semicolon.
pub fn media_type(answer: &Response<Bytes>) -> String {
    header(answer, "content-type")
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A header, empty where there is none.
pub fn header(answer: &Response<Bytes>, name: &str) -> String {
    let value = answer
        .headers()
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    value.unwrap_or_default()
}

/// The body as text.
pub fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

/// The body of a document, with its ampersands escaped in one of the ways that mean the same.
pub fn markup(answer: &Response<Bytes>) -> String {
    text(answer).replace("&#38;", "&amp;").replace("&#x26;", "&amp;")
}
