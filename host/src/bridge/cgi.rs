//! One run of a CGI program (RFC 3875): its environment, its limits, and what its output says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::percent;

/// Largest head of an answer.
const MAX_HEAD: usize = 16 << 10;
/// What is kept of standard error for the log.
const MAX_COMPLAINT: u64 = 2 << 10;

/// The program and its limits.
pub(super) struct Program {
    pub(super) binary: PathBuf,
    /// for one answer; a process that needs longer is killed
    pub(super) time: Duration,
    /// bytes
    pub(super) max_answer: u64,
}

impl Program {
    /// What the program answers about a map file. Dropping the future kills the process and those it started.
    pub(super) async fn run(&self, map_file: &Path, query: &str) -> Result<Response<Bytes>> {
        let mut child = Command::new(&self.binary)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            .envs([
                ("GATEWAY_INTERFACE", "CGI/1.1"),
                ("SERVER_PROTOCOL", "HTTP/1.1"),
                ("SERVER_SOFTWARE", "mapproxy"),
                ("SERVER_NAME", "localhost"),
                ("SERVER_PORT", "80"),
                ("SCRIPT_NAME", ""),
                ("REMOTE_ADDR", "127.0.0.1"),
                ("REQUEST_METHOD", "GET"),
            ])
            .env("QUERY_STRING", with_map_file(query, map_file))
            .current_dir(map_file.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start `{}`", self.binary.display()))?;
        let mut group = Group::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let everything = async {
            let (output, complaint, status) = tokio::join!(
                read(stdout, self.max_answer.saturating_add(1)),
                complaint(stderr),
                child.wait()
            );
            anyhow::Ok((output?, complaint, status?))
        };
        let (output, complaint, status) = timeout(self.time, everything)
            .await
            .with_context(|| format!("no answer within {:?}", self.time))??;
        group.has_ended();
        ensure!(
            output.len() as u64 <= self.max_answer,
            "its answer is longer than {} bytes",
            self.max_answer
        );
        // a program may complain and still answer
        parse(output).with_context(|| format!("{status}: {complaint}"))
    }
}

/// The program with what it started (a wrapper script starts the real one): killed unless it ended by itself.
struct Group(Option<Pid>);

impl Group {
    /// Of a process that leads one.
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // an error says that nobody is left
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // dropping the rest closes the pipe, which ends a program that goes on
        stream.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The beginning of standard error; the rest is read and forgotten, so that the program does not wait for us.
async fn complaint(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut kept = Vec::new();
    let _ = (&mut stream).take(MAX_COMPLAINT).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// Variables of ours that the program sees: what it needs to find its libraries and data. Nothing that a client sent is
/// among the variables, and no `HTTP_PROXY`.
fn is_passed_on(name: &OsString) -> bool {
    const NAMES: [&str; 6] = [
        "PATH",
        "LANG",
        "LC_ALL",
        "TZ",
        "LD_LIBRARY_PATH",
        "MAPSERVER_CONFIG_FILE",
    ];
    const BEGINNINGS: [&str; 4] = ["MS_", "GDAL_", "PROJ_", "FONTCONFIG_"];
    name.to_str()
        .is_some_and(|name| NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)))
}

/// The query for this map file and no other: `map` names it, and `map.layer..` or `map_layer..` would change it.
fn with_map_file(query: &str, map_file: &Path) -> String {
    let is_safe = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
        let name: Vec<u8> = percent::decode(name.as_bytes())
            .map(|(byte, _)| byte.to_ascii_lowercase())
            .collect();
        let rest = name.trim_ascii().strip_prefix(b"map");
        !pair.is_empty() && rest.is_none_or(|rest| rest.first().is_some_and(u8::is_ascii_alphanumeric))
    };
    // in a query `+` is a blank
    let map = percent::encode(map_file.as_os_str().as_encoded_bytes(), b"").replace('+', "%2B");
    let map = format!("map={map}");
    std::iter::once(map.as_str())
        .chain(query.split('&').filter(is_safe))
        .collect::<Vec<_>>()
        .join("&")
}

/// Head, empty line, body. Of the head, status and media type count.
fn parse(output: Vec<u8>) -> Result<Response<Bytes>> {
    let (mut status, mut kind) = (StatusCode::OK, None);
    let mut at = 0;
    loop {
        let rest = output.get(at..).unwrap_or_default();
        let Some(length) = rest.iter().take(MAX_HEAD).position(|byte| *byte == b'\n') else {
            bail!("its answer has no head");
        };
        at += length + 1;
        let line = String::from_utf8_lossy(rest.get(..length).unwrap_or_default());
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        ensure!(at < MAX_HEAD, "the head of its answer is too long");
        let (name, value) = line.split_once(':').context("its answer has no head")?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "status" => {
                let code = value.split(' ').next().unwrap_or_default();
                status = code.parse().with_context(|| format!("`{code}` is no status"))?;
            }
            "content-type" => kind = Some(HeaderValue::from_str(value).context("its media type is none")?),
            _ => {}
        }
    }
    let mut response = Response::new(Bytes::from(output).slice(at..));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, kind.context("its answer has no media type")?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_file_is_not_the_clients_choice() {
        let check =
            |query: &str, expect: &str| assert_eq!(with_map_file(query, Path::new("/a b.map")), expect, "{query}");
        check("", "map=/a%20b.map");
        check("REQUEST=GetMap&layers=x", "map=/a%20b.map&REQUEST=GetMap&layers=x");
        check("MAP=/etc/passwd&m%61p=x&map&x=1", "map=/a%20b.map&x=1");
        check(
            "map.layer[0].data=x&map_web=y&map[x]=1&mapped=1",
            "map=/a%20b.map&mapped=1",
        );
        check("+map=/etc/passwd&%20map=x&&", "map=/a%20b.map");
    }

    #[test]
    fn answers_have_a_head_and_a_body() {
        let good = |text: &str| {
            let answer = parse(text.as_bytes().to_vec()).unwrap();
            let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            (answer.status().as_u16(), kind, answer.into_body())
        };
        let body = Bytes::from_static(b"a\n\nb");
        assert_eq!(
            good("Content-Type: text/plain\n\na\n\nb"),
            (200, "text/plain".to_owned(), body.clone())
        );
        assert_eq!(
            good("status: 404 Not Found\r\nX: y\r\ncontent-type:image/png\r\n\r\na\n\nb"),
            (404, "image/png".to_owned(), body)
        );
        for wrong in [
            "",
            "no head",
            "Content-Type: text/plain\n",
            "X: y\n\nbody",
            "<html>\n\n",
            "Status: x\nContent-Type: a/b\n\n",
        ] {
            assert!(parse(wrong.as_bytes().to_vec()).is_err(), "{wrong}");
        }
        assert!(parse([b"X: ".as_slice(), &vec![b'y'; 2 * MAX_HEAD], b"\n\n"].concat()).is_err());
    }

    #[test]
    fn only_what_the_program_needs_is_passed_on() {
        for (name, expect) in [
            ("PATH", true),
            ("MS_ERRORFILE", true),
            ("HTTP_PROXY", false),
            ("HOME", false),
            ("AWS_SECRET", false),
        ] {
            assert_eq!(is_passed_on(&OsString::from(name)), expect, "{name}");
        }
    }
}
