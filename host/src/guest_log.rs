//! A guest's stdout and stderr become log lines, within the span of its request.
//!
//! A guest writes `LEVEL target: message`, one line each; a line without a level (a panic message, a stray `println!`)
//! counts as a warning on stderr and as information on stdout.

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::request_span::in_span;

/// A line longer than this is cut in pieces, so that a guest cannot fill the host's memory.
const MAX_LINE: usize = 16 << 10;

/// Which of the two streams a guest writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestStream {
    Stdout,
    Stderr,
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Used by WASI 0.3 alone.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineLog {
            stream: *self,
            line: Vec::new(),
        })
    }
}

struct LineLog {
    stream: GuestStream,
    line: Vec<u8>,
}

impl LineLog {
    fn emit(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end();
        if !line.is_empty() {
            in_span(|| log(self.stream, line));
        }
        self.line.clear();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineLog {
    async fn ready(&mut self) {}
}

impl OutputStream for LineLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE) {
                if self.line.len() + part.len() > MAX_LINE {
                    self.emit();
                }
                self.line.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                self.emit();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl Drop for LineLog {
    fn drop(&mut self) {
        self.emit();
    }
}

fn log(stream: GuestStream, line: &str) {
    let parsed = parse(line);
    let (level, source, message) = parsed.unwrap_or(match stream {
        GuestStream::Stdout => (Level::INFO, "", line),
        GuestStream::Stderr => (Level::WARN, "", line),
    });
    macro_rules! event {
        ($level:expr) => {
            if source.is_empty() {
                tracing::event!(target: "guest", $level, "{message}")
            } else {
                tracing::event!(target: "guest", $level, source, "{message}")
            }
        };
    }
    match level {
        Level::ERROR => event!(Level::ERROR),
        Level::WARN => event!(Level::WARN),
        Level::INFO => event!(Level::INFO),
        Level::DEBUG => event!(Level::DEBUG),
        Level::TRACE => event!(Level::TRACE),
    }
}

/// Splits `LEVEL target: message`; the target may be missing.
fn parse(line: &str) -> Option<(Level, &str, &str)> {
    let (level, rest) = line.split_once(' ')?;
    let level = match level {
        "ERROR" => Level::ERROR,
        "WARN" => Level::WARN,
        "INFO" => Level::INFO,
        "DEBUG" => Level::DEBUG,
        "TRACE" => Level::TRACE,
        _ => return None,
    };
    match rest.split_once(": ") {
        Some((target, message)) if !target.contains(char::is_whitespace) => Some((level, target, message)),
        _ => Some((level, "", rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets() {
        let check = |line: &str, expect: Option<(Level, &str, &str)>| assert_eq!(parse(line), expect, "{line}");
        check(
            "WARN core::cache: slow lock",
            Some((Level::WARN, "core::cache", "slow lock")),
        );
        check("INFO two words: more", Some((Level::INFO, "", "two words: more")));
        check("DEBUG done", Some((Level::DEBUG, "", "done")));
        check("thread 'main' panicked at src/lib.rs:1:1:", None);
        check("ERROR", None);
        check("", None);
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let mut log = LineLog {
            stream: GuestStream::Stderr,
            line: Vec::new(),
        };
        for _ in 0..10 {
            OutputStream::write(&mut log, Bytes::from(vec![b'x'; 10 << 10])).unwrap();
            assert!(log.line.len() <= MAX_LINE);
        }
    }
}
