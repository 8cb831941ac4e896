//! The real `mapproxy` binary as a child process, and a small HTTP client to ask it.
//!
//! The binary and the components come from `MAPPROXY_BIN`, `MAPPROXY_COMPONENT` and `MAPPROXY_HOSTILE_COMPONENT`, by
//! default from the target folder the test itself lies in. They are not built here: a missing one fails the test with
//! the command to run.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Longest wait for anything a healthy server does at once; generous, since machines that run tests are busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// The `mapproxy` binary.
pub fn binary() -> Result<PathBuf> {
    artifact("MAPPROXY_BIN", "debug/mapproxy", "cargo build -p mapproxy-host")
}

/// `mapproxy.wasm`.
pub fn component() -> Result<PathBuf> {
    artifact(
        "MAPPROXY_COMPONENT",
        "wasm32-wasip2/component/mapproxy.wasm",
        "make component",
    )
}

/// The component of `tests/hostile`.
pub fn hostile_component() -> Result<PathBuf> {
    artifact(
        "MAPPROXY_HOSTILE_COMPONENT",
        "wasm32-wasip2/component/mapproxy_hostile.wasm",
        "cargo build --profile component --target wasm32-wasip2 -p mapproxy-hostile",
    )
}

fn artifact(variable: &str, below_target: &str, command: &str) -> Result<PathBuf> {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => target_directory()?.join(below_target),
    };
    ensure!(
        path.is_file(),
        "`{}` is missing: run `{command}`, or set `{variable}`",
        path.display()
    );
    Ok(path)
}

/// A test program lies in `target/debug/deps`.
fn target_directory() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(PathBuf::from(directory));
    }
    let program = std::env::current_exe()?;
    let directory = program
        .ancestors()
        .nth(3)
        .context("the test program is not in a target folder")?;
    Ok(directory.to_owned())
}

/// How to start a server.
#[derive(Debug)]
pub struct Builder {
    component: Option<PathBuf>,
    binary: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    http: bool,
    stdin: Option<OwnedFd>,
}

impl Builder {
    /// Serves FastCGI alone: no HTTP listener is asked for.
    #[must_use]
    pub fn without_http(mut self) -> Self {
        self.http = false;
        self
    }

    /// Standard input of the server.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Adds an argument of `mapproxy serve`.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several, separated by spaces.
    #[must_use]
    pub fn args(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_whitespace().map(OsString::from));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs another component than `mapproxy.wasm`.
    #[must_use]
    pub fn component(mut self, path: PathBuf) -> Self {
        self.component = Some(path);
        self
    }

    /// Runs another binary, with the component it carries.
    #[must_use]
    pub fn bundled(mut self, binary: PathBuf) -> Self {
        self.binary = binary;
        self.component = None;
        self
    }

    /// Starts the server on a free port and waits until it listens.
    pub async fn start(self) -> Result<Server> {
        let mut command = Command::new(&self.binary);
        command.arg("serve").args(&self.arguments);
        if self.http {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        // Proxies of the machine that runs the tests have nothing to do with servers on this machine.
        for name in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        match &self.component {
            Some(component) => command.env("MAPPROXY_COMPONENT", component),
            None => command.env_remove("MAPPROXY_COMPONENT"),
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(self.stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start `{}`", self.binary.display()))?;
        let log = Log::default();
        log.follow(child.stdout.take().context("stdout is piped")?);
        log.follow(child.stderr.take().context("stderr is piped")?);

        tokio::select! {
            line = log.wait(if self.http { "listening on http://" } else { "listening on " }) => {
                let address = match line?.split_once("http://") {
                    Some((_, address)) => address.trim().parse()?,
                    None => SocketAddr::from(([0; 4], 0)),
                };
                Ok(Server { child, address, log })
            }
            status = child.wait() => {
                // What it said last may still be on its way.
                tokio::task::yield_now().await;
                bail!("the server ended with {}:\n{}", status?, log.text())
            }
        }
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: Log,
}

impl Server {
    /// Serves `config` with `mapproxy.wasm`.
    pub fn with(config: &Path) -> Result<Builder> {
        Ok(Builder {
            component: Some(component()?),
            ..Self::bare(config)?
        })
    }

    /// Serves `config` with the component of `tests/hostile`.
    pub fn hostile(config: &Path) -> Result<Builder> {
        Ok(Builder {
            component: Some(hostile_component()?),
            ..Self::bare(config)?
        })
    }

    fn bare(config: &Path) -> Result<Builder> {
        Ok(Self::builder()?.arg(config))
    }

    /// A server without a configuration yet.
    pub fn builder() -> Result<Builder> {
        Ok(Builder {
            component: None,
            binary: binary()?,
            arguments: Vec::new(),
            environment: Vec::new(),
            http: true,
            stdin: None,
        })
    }

    /// Where it serves HTTP; port 0 where it does not.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything it wrote so far, standard output and standard error.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line with `text` and returns it.
    pub async fn wait_for_log(&self, text: &str) -> Result<String> {
        self.log.wait(text).await
    }

    pub async fn get(&self, path: &str) -> Result<Response<Bytes>> {
        self.send(Request::get(path).body(Bytes::new())?).await
    }

    /// Asks for `path`; panics unless the answer has that status and its body holds `expect`.
    pub async fn check(&self, path: &str, status: u16, expect: &str) -> Result<()> {
        let answer = self.get(path).await?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(answer.status().as_u16(), status, "{path}: {body}");
        assert!(body.contains(expect), "{path}: {body}");
        Ok(())
    }

    /// Sends a request over a connection of its own. `Host` is added where it is missing.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        send(self.address, request).await
    }

    /// Process id, for signals.
    pub fn pid(&self) -> Result<rustix::process::Pid> {
        let id = self.child.id().context("the server has ended")?;
        rustix::process::Pid::from_raw(i32::try_from(id)?).context("a process id is not 0")
    }

    /// Process ids of its children.
    pub fn workers(&self) -> Result<Vec<i32>> {
        let file = format!("/proc/{0}/task/{0}/children", self.pid()?.as_raw_nonzero());
        let children = std::fs::read_to_string(file)?;
        Ok(children.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Where `--admin` listens.
    pub async fn admin(&self) -> Result<SocketAddr> {
        let line = self.wait_for_log("health and metrics").await?;
        let address = line.rsplit("address=").next().unwrap_or_default();
        Ok(address.trim().parse()?)
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        Ok(rustix::process::kill_process(
            self.pid()?,
            rustix::process::Signal::HUP,
        )?)
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        Ok(rustix::process::kill_process(
            self.pid()?,
            rustix::process::Signal::TERM,
        )?)
    }

    /// Sends SIGKILL.
    pub fn kill(&self) -> Result<()> {
        Ok(rustix::process::kill_process(
            self.pid()?,
            rustix::process::Signal::KILL,
        )?)
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        Ok(timeout(PATIENCE, self.child.wait())
            .await
            .context("the server does not end")??)
    }
}

/// Sends a request to `address`, over a connection of its own.
pub async fn send(address: SocketAddr, mut request: Request<Bytes>) -> Result<Response<Bytes>> {
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, address.to_string().parse()?);
    }
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Response::from_parts(head, body))
    };
    timeout(PATIENCE, exchange).await.context("no answer")?
}

/// A number that `--admin` tells under `/metrics`.
pub async fn metric(admin: SocketAddr, name: &str) -> Result<u64> {
    let answer = send(admin, Request::get("/metrics").body(Bytes::new())?).await?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("there is no `{name}` in\n{text}"))?;
    Ok(value.parse()?)
}

/// Waits until `condition` holds; fails after a minute.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let holds = async {
        while !condition().await? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    timeout(PATIENCE, holds)
        .await
        .with_context(|| format!("not within a minute: {what}"))?
}

/// The lines a child writes.
#[derive(Debug, Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    grown: Arc<Notify>,
}

impl Log {
    fn follow(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                log.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                log.grown.notify_waiters();
            }
        });
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    async fn wait(&self, text: &str) -> Result<String> {
        let found = async {
            loop {
                let grown = self.grown.notified();
                tokio::pin!(grown);
                // Registered before looking, so that no line is missed.
                grown.as_mut().enable();
                let line = {
                    let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                    lines.iter().find(|line| line.contains(text)).cloned()
                };
                if let Some(line) = line {
                    return line;
                }
                grown.await;
            }
        };
        timeout(PATIENCE, found)
            .await
            .with_context(|| format!("no line with `{text}` in the log:\n{}", self.text()))
    }
}
