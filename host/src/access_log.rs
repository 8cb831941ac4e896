//! One line for each request: Apache's combined format or JSON, to standard output or a file.
//!
//! Requests append to a buffer that a thread of its own writes out: a system call per request would be a tenth of what a
//! cached tile costs.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version};

const WRITE_EVERY: Duration = Duration::from_millis(100);

/// Lines that wait to be written; what does not fit (the disk hangs) is dropped and counted.
const MAX_WAITING: usize = 8 << 20;

/// What nginx logs for a client that left before its answer.
const CLIENT_LEFT: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// Format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessFormat {
    /// Apache's and nginx' `combined`.
    Combined,
    /// One JSON object per line, with the duration and the id of the request.
    Json,
    /// No access log.
    Off,
}

/// Where the lines go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: AccessFormat,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    /// `[day/month/year:hour:minute:second +0000]` of the second it was made for.
    time: (u64, String),
}

#[derive(Debug)]
enum Out {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl AccessLog {
    /// Opens `file` for appending; standard output without one.
    pub(crate) fn start(format: AccessFormat, file: Option<&Path>) -> Result<Self> {
        let out = match file {
            Some(path) => Out::File(path.to_owned(), open(path)?),
            None => Out::Stdout(io::stdout()),
        };
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            out: Mutex::new(out),
        });
        if format != AccessFormat::Off {
            let shared = Arc::downgrade(&shared);
            std::thread::Builder::new()
                .name("access-log".to_owned())
                .spawn(move || {
                    while let Some(shared) = shared.upgrade() {
                        shared.write();
                        drop(shared);
                        std::thread::sleep(WRITE_EVERY);
                    }
                })?;
        }
        Ok(Self { format, shared })
    }

    /// What has to be remembered of a request until it is answered; `None` without an access log.
    pub(crate) fn begin<B>(&self, id: u64, client: Option<IpAddr>, request: &http::Request<B>) -> Option<Box<Entry>> {
        if self.format == AccessFormat::Off {
            return None;
        }
        Some(Box::new(Entry {
            format: self.format,
            shared: Arc::clone(&self.shared),
            id,
            client,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            referer: text(request.headers(), &REFERER),
            user_agent: text(request.headers(), &USER_AGENT),
            started: Instant::now(),
            status: CLIENT_LEFT,
            bytes: 0,
        }))
    }

    /// Writes what waits.
    pub(crate) fn flush(&self) {
        self.shared.write();
    }

    /// Opens the file again after it was moved away.
    pub(crate) fn reopen(&self) -> Result<()> {
        self.shared.write();
        let mut out = self.shared.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Out::File(path, file) = &mut *out {
            *file = open(path)?;
        }
        Ok(())
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let (lines, dropped) = {
            let mut waiting = self.waiting();
            (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.dropped))
        };
        if dropped > 0 {
            tracing::warn!(dropped, "lines of the access log were lost: writing is too slow");
        }
        if lines.is_empty() {
            return;
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *out {
            Out::Stdout(stdout) => whole_lines(&lines)
                .try_for_each(|piece| stdout.write_all(piece))
                .and_then(|()| stdout.flush()),
            Out::File(_, file) => file.write_all(&lines),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "failed to write the access log");
        }
    }
}

/// Pieces that end with a line and, where lines are not longer than that, fit into one write to a pipe: several workers
/// share standard output, and a pipe keeps at most 4096 bytes together.
fn whole_lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const PIPE_BUF: usize = 4096;
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let end_of_line = |byte: &u8| *byte == b'\n';
        let (fitting, _) = bytes.split_at(bytes.len().min(PIPE_BUF));
        let end = fitting
            .iter()
            .rposition(end_of_line)
            .or_else(|| bytes.iter().position(end_of_line));
        let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        bytes = rest;
        Some(piece)
    })
}

fn open(path: &Path) -> Result<File> {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("failed to open the access log `{}`", path.display()))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A request on its way; it is logged when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    format: AccessFormat,
    shared: Arc<Shared>,
    id: u64,
    /// Unknown where a web server does not tell it.
    client: Option<IpAddr>,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<String>,
    user_agent: Option<String>,
    started: Instant,
    pub(crate) status: StatusCode,
    /// Bytes of the body.
    pub(crate) bytes: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let mut waiting = shared.waiting();
        if waiting.lines.len() > MAX_WAITING {
            waiting.dropped += 1;
            return;
        }
        let Waiting { lines, time, .. } = &mut *waiting;
        // Writing to a Vec does not fail.
        let _ = match self.format {
            AccessFormat::Json => self.write_json(lines, now),
            AccessFormat::Combined | AccessFormat::Off => self.write_combined(lines, time, now),
        };
    }
}

impl Entry {
    fn write_combined(&self, out: &mut Vec<u8>, time: &mut (u64, String), now: Duration) -> io::Result<()> {
        if time.0 != now.as_secs() || time.1.is_empty() {
            *time = (now.as_secs(), clf_time(now.as_secs()));
        }
        match self.client {
            Some(client) => write!(out, "{client}")?,
            None => out.push(b'-'),
        }
        write!(out, " - - [{}] \"{} ", time.1, self.method)?;
        escape(out, self.uri.path_and_query().map_or("*", |path| path.as_str()));
        write!(out, " {:?}\" {} {} \"", self.version, self.status.as_u16(), self.bytes)?;
        escape(out, self.referer.as_deref().unwrap_or("-"));
        out.extend_from_slice(b"\" \"");
        escape(out, self.user_agent.as_deref().unwrap_or("-"));
        out.extend_from_slice(b"\"\n");
        Ok(())
    }

    fn write_json(&self, out: &mut Vec<u8>, now: Duration) -> io::Result<()> {
        let line = serde_json::json!({
            "time": now.as_secs_f64(),
            "id": format_args!("{:x}", self.id).to_string(),
            "client": self.client,
            "method": self.method.as_str(),
            "path": self.uri.path(),
            "query": self.uri.query(),
            "status": self.status.as_u16(),
            "bytes": self.bytes,
            "duration_ms": self.started.elapsed().as_secs_f64() * 1000.0,
            "referer": self.referer,
            "user_agent": self.user_agent,
        });
        writeln!(out, "{line}")
    }
}

/// Keeps a client from writing lines of its own: quotes, backslashes and control characters become `\xHH`.
fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' || byte < b' ' || byte == 0x7f {
            // Writing to a Vec does not fail.
            let _ = write!(out, "\\x{byte:02x}");
        } else {
            out.push(byte);
        }
    }
}

/// Apache's time stamp in UTC, `10/Oct/2000:13:55:36 +0000`.
fn clf_time(seconds: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = civil_date(seconds);
    let name = MONTHS.get(month as usize - 1).unwrap_or(&"???");
    let rest = seconds % 86400;
    format!(
        "{day:02}/{name}/{year}:{:02}:{:02}:{:02} +0000",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Year, month and day in UTC, both from 1, of a time in seconds since 1970.
pub(crate) fn civil_date(seconds: u64) -> (u64, u64, u64) {
    // Howard Hinnant's `civil_from_days`: years begin in March, in eras of 400.
    let shifted = seconds / 86400 + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps() {
        let check = |seconds, expect| assert_eq!(clf_time(seconds), expect);
        check(0, "01/Jan/1970:00:00:00 +0000");
        check(971_186_136, "10/Oct/2000:13:55:36 +0000");
        check(951_782_400, "29/Feb/2000:00:00:00 +0000");
        check(1_735_689_599, "31/Dec/2024:23:59:59 +0000");
        check(4_107_542_400, "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut out = Vec::new();
        escape(&mut out, "a\"b\\c\nd");
        assert_eq!(out, br"a\x22b\x5cc\x0ad");
    }

    #[test]
    fn pieces_end_with_lines() {
        let check = |lengths: &[usize], expect: &[usize]| {
            let text: Vec<u8> = lengths
                .iter()
                .flat_map(|length| [vec![b'x'; length - 1], vec![b'\n']].concat())
                .collect();
            let pieces: Vec<usize> = whole_lines(&text).map(<[u8]>::len).collect();
            assert_eq!(pieces, expect, "{lengths:?}");
        };
        check(&[], &[]);
        check(&[10, 20], &[30]);
        check(&[4000, 90, 10], &[4090, 10]);
        check(&[5000, 10], &[5000, 10]);
        check(&[10, 5000], &[10, 5000]);
    }

    #[test]
    fn lines() {
        let file = std::env::temp_dir().join(format!("mapproxy-access-{}", std::process::id()));
        let log = AccessLog::start(AccessFormat::Combined, Some(&file)).unwrap();
        let request = http::Request::get("/service?a=b")
            .header(USER_AGENT, "test")
            .body(())
            .unwrap();
        let mut entry = log.begin(1, Some(IpAddr::from([127, 0, 0, 1])), &request).unwrap();
        entry.bytes = 17;
        entry.status = StatusCode::OK;
        drop(entry);
        log.flush();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(text.starts_with("127.0.0.1 - - ["), "{text}");
        assert!(
            text.ends_with("] \"GET /service?a=b HTTP/1.1\" 200 17 \"-\" \"test\"\n"),
            "{text}"
        );
    }
}
