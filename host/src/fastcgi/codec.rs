//! FastCGI records (FastCGI Specification 1.0, sections 3 to 5), without sockets: bytes in, events and bytes out.
//!
//! One connection carries one request at a time, as web servers use it (`FCGI_MPXS_CONNS` is 0). Records may arrive in
//! any split; what a web server sends against the protocol ends its connection.
//!
//! This file stands alone, so that the fuzz target can include it.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const VERSION: u8 = 1;
const HEADER_LEN: usize = 8;
/// Largest content of a record we send: a multiple of eight needs no padding.
const MAX_CONTENT: usize = 65528;
/// Room for what is received at once.
const READ_SIZE: usize = 4 << 10;
const PADDING: [u8; 8] = [0; 8];

const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const DATA: u8 = 8;
const GET_VALUES: u8 = 9;
const GET_VALUES_RESULT: u8 = 10;
const UNKNOWN_TYPE: u8 = 11;

/// The id of records that belong to no request.
const MANAGEMENT: u16 = 0;
const RESPONDER: u16 = 1;
const KEEP_CONN: u8 = 1;

/// How a request ended (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolStatus {
    RequestComplete = 0,
    /// A second request on a connection that is busy.
    CantMultiplex = 1,
    /// An authorizer or a filter is asked for.
    UnknownRole = 3,
}

/// What a web server may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of all parameters of a request.
    pub(crate) params: usize,
    /// Bytes of a request's body. The record that exceeds it is still handed on, what follows is dropped.
    pub(crate) stdin: usize,
    /// What we answer to `FCGI_MAX_CONNS` and `FCGI_MAX_REQS`.
    pub(crate) connections: usize,
}

/// Which request, and what becomes of the connection after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) id: u16,
    pub(crate) keep_open: bool,
}

/// The variables of a request, in the order they came.
pub(crate) type Params = Vec<(Bytes, Bytes)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A request with all its variables; its body follows.
    Request(Exchange, Params),
    /// A request with more variables than may be; its body follows.
    TooManyParams(Exchange),
    /// A piece of the body.
    Stdin(Bytes),
    /// The body is complete.
    StdinEnd,
    /// The web server has lost interest in the present request.
    Abort(Exchange),
    /// Bytes to send at once. `close` where the connection ends with them.
    Reply { bytes: Bytes, close: bool },
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("expected version 1 of the protocol, got `{0}`")]
    Version(u8),
    #[error("a record of type {kind} is too short: {len} bytes")]
    Short { kind: u8, len: usize },
    #[error("the length of a name or a value is larger than what there is")]
    Pair,
    #[error("request {0} begins anew before it has ended")]
    Begun(u16),
    #[error("a record of type {0} where none is expected")]
    Unexpected(u8),
}

/// Where the present request is.
#[derive(Debug)]
enum State {
    Idle,
    /// `bytes` has what came so far; `None` when that is too much.
    Params {
        exchange: Exchange,
        bytes: Option<BytesMut>,
    },
    Stdin {
        exchange: Exchange,
        received: usize,
    },
    /// All of it is here; the answer is on its way.
    Complete {
        exchange: Exchange,
    },
}

/// The receiving side of one connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: Limits,
    buffer: BytesMut,
    state: State,
}

struct Record {
    kind: u8,
    id: u16,
    content: Bytes,
}

impl Decoder {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: BytesMut::new(),
            state: State::Idle,
        }
    }

    /// Bytes that were received belong at its end, where there is room for a usual request: it comes with one system
    /// call then. It never holds much more than one record once [`Self::next`] has returned `None`.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_SIZE);
        &mut self.buffer
    }

    /// Whether no request is under way, nor the beginning of one.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.buffer.is_empty()
    }

    /// Whether the body of the present request is still to come.
    pub(crate) fn awaits_stdin(&self) -> bool {
        matches!(self.state, State::Stdin { .. })
    }

    /// The present request is answered; the next may come.
    pub(crate) fn finish(&mut self) {
        self.state = State::Idle;
    }

    /// What the bytes received so far mean; `None` when more are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Malformed> {
        while let Some(record) = self.record()? {
            if let Some(event) = self.take(record)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Option<Record>, Malformed> {
        let Some(&[version, kind, id1, id0, length1, length0, padding, _reserved]) = self.buffer.first_chunk() else {
            // A wrong version is wrong before the rest of the header is here.
            return match self.buffer.first() {
                Some(&version) if version != VERSION => Err(Malformed::Version(version)),
                _ => Ok(None),
            };
        };
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let length = usize::from(u16::from_be_bytes([length1, length0]));
        let total = HEADER_LEN + length + usize::from(padding);
        if self.buffer.len() < total {
            self.buffer.reserve(total - self.buffer.len());
            return Ok(None);
        }
        let mut record = self.buffer.split_to(total);
        record.advance(HEADER_LEN);
        record.truncate(length);
        Ok(Some(Record {
            kind,
            id: u16::from_be_bytes([id1, id0]),
            content: record.freeze(),
        }))
    }

    fn take(&mut self, record: Record) -> Result<Option<Event>, Malformed> {
        let Record { kind, id, content } = record;
        if id == MANAGEMENT {
            return self.manage(kind, content).map(|bytes| Some(reply(bytes)));
        }
        let active = match &self.state {
            State::Idle => None,
            State::Params { exchange, .. } | State::Stdin { exchange, .. } | State::Complete { exchange } => {
                Some(*exchange)
            }
        };
        if kind == BEGIN_REQUEST {
            return self.begin(id, &content, active);
        }
        let Some(exchange) = active.filter(|exchange| exchange.id == id) else {
            // "Ignore records whose request is not active", section 3.3: the rest of one that was aborted or refused.
            return Ok(None);
        };
        if kind == ABORT_REQUEST {
            self.state = State::Idle;
            return Ok(Some(Event::Abort(exchange)));
        }
        match (kind, &mut self.state) {
            (PARAMS, State::Params { exchange, bytes }) => {
                if !content.is_empty() {
                    append(bytes, &content, self.limits.params);
                    return Ok(None);
                }
                let exchange = *exchange;
                let event = match bytes.take() {
                    Some(bytes) => Event::Request(exchange, pairs(bytes.freeze())?),
                    None => Event::TooManyParams(exchange),
                };
                self.state = State::Stdin { exchange, received: 0 };
                Ok(Some(event))
            }
            (STDIN, State::Stdin { exchange, received }) => {
                if content.is_empty() {
                    self.state = State::Complete { exchange: *exchange };
                    return Ok(Some(Event::StdinEnd));
                }
                let before = *received;
                *received = before.saturating_add(content.len());
                Ok((before <= self.limits.stdin).then_some(Event::Stdin(content)))
            }
            // A responder has no use for it.
            (DATA, _) => Ok(None),
            _ => Err(Malformed::Unexpected(kind)),
        }
    }

    fn begin(&mut self, id: u16, content: &Bytes, active: Option<Exchange>) -> Result<Option<Event>, Malformed> {
        let Some(&[role1, role0, flags, ..]) = content.first_chunk::<8>() else {
            return Err(Malformed::Short {
                kind: BEGIN_REQUEST,
                len: content.len(),
            });
        };
        if let Some(active) = active {
            if active.id == id {
                return Err(Malformed::Begun(id));
            }
            return Ok(Some(reply(end_only(id, ProtocolStatus::CantMultiplex))));
        }
        let keep_open = flags & KEEP_CONN != 0;
        if u16::from_be_bytes([role1, role0]) != RESPONDER {
            return Ok(Some(Event::Reply {
                bytes: end_only(id, ProtocolStatus::UnknownRole),
                close: !keep_open,
            }));
        }
        self.state = State::Params {
            exchange: Exchange { id, keep_open },
            bytes: Some(BytesMut::new()),
        };
        Ok(None)
    }

    /// Records about the application as a whole (section 4).
    fn manage(&self, kind: u8, content: Bytes) -> Result<Bytes, Malformed> {
        let mut out = BytesMut::new();
        if kind != GET_VALUES {
            record(&mut out, UNKNOWN_TYPE, MANAGEMENT, &[kind, 0, 0, 0, 0, 0, 0, 0]);
            return Ok(out.freeze());
        }
        let mut values = BytesMut::new();
        let mut answered = Vec::new();
        for (name, _empty) in pairs(content)? {
            let value = match name.as_ref() {
                b"FCGI_MAX_CONNS" | b"FCGI_MAX_REQS" => self.limits.connections.to_string(),
                b"FCGI_MPXS_CONNS" => "0".to_owned(),
                _ => continue,
            };
            // Asked for again and again, three names would make an answer of any length.
            if !answered.contains(&name) {
                put_pair(&mut values, &name, value.as_bytes());
                answered.push(name);
            }
        }
        record(&mut out, GET_VALUES_RESULT, MANAGEMENT, &values);
        Ok(out.freeze())
    }
}

fn append(bytes: &mut Option<BytesMut>, content: &[u8], limit: usize) {
    if let Some(so_far) = bytes {
        if so_far.len().saturating_add(content.len()) <= limit {
            so_far.extend_from_slice(content);
        } else {
            *bytes = None;
        }
    }
}

/// Names and values (section 3.4).
fn pairs(mut bytes: Bytes) -> Result<Params, Malformed> {
    let mut pairs = Vec::new();
    while !bytes.is_empty() {
        let name = pair_length(&mut bytes)?;
        let value = pair_length(&mut bytes)?;
        if name.checked_add(value).is_none_or(|both| both > bytes.len()) {
            return Err(Malformed::Pair);
        }
        let name = bytes.split_to(name);
        pairs.push((name, bytes.split_to(value)));
    }
    Ok(pairs)
}

/// One byte, or four with the highest bit set.
fn pair_length(bytes: &mut Bytes) -> Result<usize, Malformed> {
    let short = *bytes.first().ok_or(Malformed::Pair)?;
    if short & 0x80 == 0 {
        bytes.advance(1);
        return Ok(usize::from(short));
    }
    let long = bytes.first_chunk().ok_or(Malformed::Pair)?;
    let long = u32::from_be_bytes(*long) & 0x7fff_ffff;
    bytes.advance(4);
    usize::try_from(long).map_err(|_too_large| Malformed::Pair)
}

fn put_pair(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    for part in [name, value] {
        match u8::try_from(part.len()) {
            Ok(short) if short < 0x80 => out.put_u8(short),
            _ => out.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX) | 0x8000_0000),
        }
    }
    out.put_slice(name);
    out.put_slice(value);
}

fn reply(bytes: Bytes) -> Event {
    Event::Reply { bytes, close: false }
}

/// Appends one record; `content` has at most 65,535 bytes.
fn record(out: &mut BytesMut, kind: u8, id: u16, content: &[u8]) {
    let length = u16::try_from(content.len()).expect("callers send less than a record holds");
    let padding = content.len().wrapping_neg() % 8;
    out.reserve(HEADER_LEN + content.len() + padding);
    out.put_u8(VERSION);
    out.put_u8(kind);
    out.put_u16(id);
    out.put_u16(length);
    out.put_u8(padding as u8);
    out.put_u8(0);
    out.put_slice(content);
    out.put_slice(PADDING.split_at(padding).0);
}

/// Appends `content` as records of the answer to request `id`.
pub(crate) fn stdout(out: &mut BytesMut, id: u16, content: &[u8]) {
    for piece in content.chunks(MAX_CONTENT) {
        record(out, STDOUT, id, piece);
    }
}

/// Appends the end of the answer to request `id`.
pub(crate) fn end(out: &mut BytesMut, id: u16) {
    record(out, STDOUT, id, &[]);
    end_request(out, id, ProtocolStatus::RequestComplete);
}

/// The end of a request that gets no answer.
pub(crate) fn end_only(id: u16, status: ProtocolStatus) -> Bytes {
    let mut out = BytesMut::new();
    end_request(&mut out, id, status);
    out.freeze()
}

fn end_request(out: &mut BytesMut, id: u16, status: ProtocolStatus) {
    record(out, END_REQUEST, id, &[0, 0, 0, 0, status as u8, 0, 0, 0]);
}

#[cfg(test)]
mod tests;
