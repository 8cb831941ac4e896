//! A FastCGI client: what a web server says to us, record by record.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::{Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longest wait for anything a healthy server does at once.
const PATIENCE: Duration = Duration::from_mins(1);

pub const BEGIN_REQUEST: u8 = 1;
pub const ABORT_REQUEST: u8 = 2;
pub const END_REQUEST: u8 = 3;
pub const PARAMS: u8 = 4;
pub const STDIN: u8 = 5;
pub const STDOUT: u8 = 6;
pub const GET_VALUES: u8 = 9;
pub const GET_VALUES_RESULT: u8 = 10;
pub const UNKNOWN_TYPE: u8 = 11;

/// A record, without its padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub id: u16,
    pub content: Bytes,
}

/// A record as bytes, with `padding`.
pub fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u8(1);
    out.put_u8(kind);
    out.put_u16(id);
    out.put_u16(content.len() as u16);
    out.put_u8(padding);
    out.put_u8(0);
    out.put_slice(content);
    out.put_bytes(0x55, usize::from(padding));
    out
}

/// The record that begins a request for a responder.
pub fn begin(id: u16, keep_open: bool) -> Vec<u8> {
    record(BEGIN_REQUEST, id, &[0, 1, u8::from(keep_open), 0, 0, 0, 0, 0], 0)
}

/// Names and values as the content of records.
pub fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        for part in [name, value] {
            match u8::try_from(part.len()) {
                Ok(short) if short < 0x80 => out.put_u8(short),
                _ => out.put_u32(part.len() as u32 | 0x8000_0000),
            }
        }
        out.put_slice(name.as_bytes());
        out.put_slice(value.as_bytes());
    }
    out
}

/// What a web server says about a request of `uri`, mounted at `/proxy`.
pub fn variables(uri: &str) -> Vec<(String, String)> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path_info = decode(path.strip_prefix("/proxy").unwrap_or(path));
    [
        ("REQUEST_METHOD", "GET"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_URI", uri),
        ("SCRIPT_NAME", "/proxy"),
        ("PATH_INFO", path_info.as_str()),
        ("QUERY_STRING", query),
        ("CONTENT_LENGTH", ""),
        ("CONTENT_TYPE", ""),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("SERVER_NAME", "example.org"),
        ("SERVER_PORT", "80"),
        ("HTTP_HOST", "maps.example.org"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Percent-decoded, as web servers give it.
fn decode(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).unwrap_or(("", piece));
        out.extend(u8::from_str_radix(digits, 16));
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A whole request as bytes: `variables`, of which the last value of each name counts, and a body.
pub fn request(id: u16, keep_open: bool, variables: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut out = begin(id, keep_open);
    for piece in pairs(&variables).chunks(60_000) {
        out.extend(record(PARAMS, id, piece, 0));
    }
    out.extend(record(PARAMS, id, &[], 0));
    for piece in body.chunks(32_760) {
        out.extend(record(STDIN, id, piece, 0));
    }
    out.extend(record(STDIN, id, &[], 0));
    out
}

/// A connection to a socket file.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: BytesMut,
}

impl Connection {
    pub async fn open(socket: &Path) -> Result<Self> {
        let stream = timeout(PATIENCE, UnixStream::connect(socket))
            .await
            .context("no connection")?;
        let stream = stream.with_context(|| format!("failed to connect to `{}`", socket.display()))?;
        Ok(Self {
            stream,
            buffer: BytesMut::new(),
        })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        Ok(sent.context("the server takes no bytes")??)
    }

    /// The next record; `None` when the server has closed the connection.
    pub async fn record(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(&[version, kind, id1, id0, length1, length0, padding, _]) = self.buffer.first_chunk() {
                ensure!(version == 1, "a record of version {version}");
                let length = usize::from(u16::from_be_bytes([length1, length0]));
                let total = 8 + length + usize::from(padding);
                if self.buffer.len() >= total {
                    let mut record = self.buffer.split_to(total);
                    record.advance(8);
                    record.truncate(length);
                    return Ok(Some(Record {
                        kind,
                        id: u16::from_be_bytes([id1, id0]),
                        content: record.freeze(),
                    }));
                }
            }
            let received = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            if received.context("no record")?? == 0 {
                ensure!(self.buffer.is_empty(), "half a record");
                return Ok(None);
            }
        }
    }

    /// The answer to request `id`, from here to its end.
    pub async fn answer(&mut self, id: u16) -> Result<Response<Bytes>> {
        let mut output = BytesMut::new();
        loop {
            let record = self.record().await?.context("the answer broke off")?;
            ensure!(record.id == id, "a record of request {}", record.id);
            match record.kind {
                STDOUT => output.extend_from_slice(&record.content),
                END_REQUEST => {
                    ensure!(record.content.as_ref() == [0; 8], "ended with {:?}", record.content);
                    return parse(&output.freeze());
                }
                kind => bail!("a record of type {kind}"),
            }
        }
    }

    /// Sends a request and receives its answer; the connection stays.
    pub async fn ask(&mut self, variables: &[(String, String)], body: &[u8]) -> Result<Response<Bytes>> {
        self.send(&request(1, true, variables, body)).await?;
        self.answer(1).await
    }
}

/// Sends one request to a socket file, over a connection of its own.
pub async fn get(socket: &Path, uri: &str) -> Result<Response<Bytes>> {
    Connection::open(socket).await?.ask(&variables(uri), &[]).await
}

/// A CGI response.
fn parse(output: &Bytes) -> Result<Response<Bytes>> {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("no head")?;
    let (head, body) = (output.slice(..end), output.slice(end + 4..));
    let mut response = Response::new(body);
    for line in std::str::from_utf8(&head)?.lines() {
        let (name, value) = line.split_once(": ").context("no header")?;
        if name == "Status" {
            *response.status_mut() = StatusCode::from_bytes(value.as_bytes().get(..3).context("no status")?)?;
        } else {
            let name: hyper::header::HeaderName = name.parse()?;
            response.headers_mut().append(name, value.parse()?);
        }
    }
    Ok(response)
}

/// Where the socket of a server in `folder` lies. Its path is short enough for a socket address.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("fcgi-socket")
}
