//! What the sample WMS can be told to do wrong, and the log of what it was asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A way to misbehave, for the requests whose path and query contain `matching`.
///
/// The first fault that fits a request is used. Over HTTP: `/ctl?matching=GetMap&times=1&status=503&latency_ms=200`,
/// with these field names; `/ctl?reset` forgets all faults and the log.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Part of path and query, empty for every request.
    pub matching: String,
    /// How many requests it applies to, `None` for all.
    pub times: Option<u32>,
    /// Waits before the answer.
    pub latency_ms: u64,
    /// Waits until [`SampleWms::release`](super::SampleWms::release) or `/ctl?release`.
    pub hold: bool,
    /// HTTP status in place of the right one.
    pub status: Option<u16>,
    /// `Retry-After` of the answer, in seconds.
    pub retry_after: Option<u32>,
    /// Content type in place of the right one.
    pub content_type: Option<String>,
    /// Body in place of the right one.
    pub answer: Option<Answer>,
    /// Sends that many bytes of the body, then cuts the connection.
    pub cut_after: Option<usize>,
    /// Sends the body in pieces of 64 bytes with this pause in between.
    pub drip_ms: Option<u64>,
}

/// A wrong body, with the content type that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An error page as web servers send it.
    Html,
    /// An OGC `ServiceExceptionReport`.
    Exception,
    Empty,
    /// `image/png` that is none.
    Garbage,
    /// A PNG whose header claims 65000 by 65000 pixels.
    HugeImage,
    /// 64 MiB of zero bytes said to be an image.
    HugeBody,
}

/// A request as it came in.
#[derive(Debug, Clone, Serialize)]
pub struct LoggedRequest {
    pub method: String,
    pub path: String,
    /// As sent, without the question mark.
    pub query: String,
    /// Decoded, names in upper case.
    pub params: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl LoggedRequest {
    /// A parameter's value, empty if it was not sent; `name` in any case.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(&name.to_ascii_uppercase()).map_or("", String::as_str)
    }

    /// The `BBOX` parameter's numbers as they were sent.
    pub fn bbox(&self) -> Vec<f64> {
        self.param("BBOX")
            .split(',')
            .filter_map(|number| number.parse().ok())
            .collect()
    }

    /// Whether the WMS operation is this one.
    pub fn is(&self, operation: &str) -> bool {
        self.param("REQUEST").eq_ignore_ascii_case(operation)
    }
}

impl Fault {
    /// Nothing wrong yet, for requests that contain this.
    pub fn matching(part: &str) -> Self {
        Self {
            matching: part.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }
}

impl Answer {
    /// Content type and body.
    pub(super) fn body(self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Html => (
                "text/html; charset=utf-8",
                b"<html><body><h1>Proxy Error</h1><p>Try again.</p></body></html>".to_vec(),
            ),
            Self::Exception => (
                "application/vnd.ogc.se_xml",
                super::wms::exception_report("1.1.1", None, "the sample WMS was told to fail").into_bytes(),
            ),
            Self::Empty => ("image/png", Vec::new()),
            Self::Garbage => ("image/png", b"\x89PNG\r\n\x1a\nthis is not an image".to_vec()),
            Self::HugeImage => ("image/png", huge_image()),
            Self::HugeBody => ("image/png", vec![0; 64 << 20]),
        }
    }
}

/// A valid signature and header chunk, and a data chunk that is far too short for it.
fn huge_image() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = b"IHDR".to_vec();
    header.extend(65_000_u32.to_be_bytes());
    header.extend(65_000_u32.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    for chunk in [
        header,
        b"IDAT\x78\x9c\x03\x00\x00\x00\x00\x01".to_vec(),
        b"IEND".to_vec(),
    ] {
        png.extend(u32::try_from(chunk.len() - 4).expect("short").to_be_bytes());
        png.extend(&chunk);
        png.extend(crc(&chunk).to_be_bytes());
    }
    png
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
