//! The line between a supervisor and a worker: a socket pair, messages with a kind, a length and what they say.

use std::io::{self, Read};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Largest message; the largest ones are plans.
const MAX_MESSAGE: u32 = 1 << 30;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To a worker: what to serve from now on.
    Plan,
    /// To a worker: open the access log again.
    ReopenLog,
    /// From a worker: connections are accepted.
    Ready,
    /// From a worker: what it has counted.
    Counts,
    /// From a worker: it has done its share, and should be replaced.
    Tired,
}

const KINDS: [(u8, Kind); 5] = [
    (b'p', Kind::Plan),
    (b'l', Kind::ReopenLog),
    (b'r', Kind::Ready),
    (b'c', Kind::Counts),
    (b't', Kind::Tired),
];

impl Message {
    pub(super) fn new(kind: Kind, payload: Vec<u8>) -> Self {
        Self { kind, payload }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let letter = KINDS.iter().find(|(_, kind)| *kind == self.kind);
        let mut bytes = vec![letter.expect("every kind has its letter").0];
        // Whoever makes one that is too long is refused by the reader.
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Waits for a message; an error at the end of the line.
    pub(super) fn read(line: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 5];
        line.read_exact(&mut head)?;
        let (kind, length) = parse_head(head)?;
        let mut payload = vec![0; length];
        line.read_exact(&mut payload)?;
        Ok(Self { kind, payload })
    }

    /// As [`Self::read`], within a runtime.
    pub(super) async fn receive(line: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut head = [0; 5];
        line.read_exact(&mut head).await?;
        let (kind, length) = parse_head(head)?;
        let mut payload = vec![0; length];
        line.read_exact(&mut payload).await?;
        Ok(Self { kind, payload })
    }
}

fn parse_head(head: [u8; 5]) -> io::Result<(Kind, usize)> {
    let [letter, length @ ..] = head;
    let kind = KINDS.iter().find(|(known, _)| *known == letter);
    let length = u32::from_le_bytes(length);
    match kind {
        Some((_, kind)) if length <= MAX_MESSAGE => Ok((*kind, length as usize)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_arrive() {
        let sent = [
            Message::new(Kind::Plan, vec![7; 100_000]),
            Message::new(Kind::ReopenLog, Vec::new()),
            Message::new(Kind::Counts, b"{}".to_vec()),
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(Message::to_bytes).collect();
        let (mut blocking, mut within) = (bytes.as_slice(), bytes.as_slice());
        for message in &sent {
            assert_eq!(Message::read(&mut blocking).unwrap(), *message);
            assert_eq!(Message::receive(&mut within).await.unwrap(), *message);
        }
        assert!(Message::read(&mut blocking).is_err());
        assert!(Message::read(&mut &b"x\0\0\0\0"[..]).is_err());
        assert!(Message::read(&mut &b"p\xff\xff\xff\xff"[..]).is_err());
    }
}
