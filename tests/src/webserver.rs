//! nginx, lighttpd and Apache as child processes, with the configurations of `etc/`.
//!
//! Of those, only paths, ports and names are changed: what is documented is what is tested. Around them goes what such a
//! program needs to run in a folder of its own, beside others.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Longest wait for a web server to begin or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Lighttpd,
    Apache,
}

/// One configuration of `etc/` and what is put in place of its paths, ports and names.
#[derive(Debug)]
pub struct Snippet {
    pub text: String,
    pub address: SocketAddr,
}

impl Snippet {
    /// Reads `etc/` and `file`; `replacements` come before the port of the web server, which is a free one.
    pub fn read(file: &str, replacements: &[(&str, &str)]) -> Result<Self> {
        let path = etc(file);
        let mut text = fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        for (from, to) in replacements {
            text = text.replace(from, to);
        }
        let address = free_address()?;
        let text = text.replace("listen 80;", &format!("listen {address};")).replace(
            "<VirtualHost *:80>",
            &format!("Listen {address}\n<VirtualHost {address}>"),
        );
        Ok(Self { text, address })
    }
}

/// A file of `etc/`.
pub fn etc(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc").join(file)
}

/// An address that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A running web server, and all it started; ended when dropped, also by a test that fails.
#[derive(Debug)]
pub struct WebServer {
    child: Child,
    folder: PathBuf,
}

impl WebServer {
    /// Starts `program` with a configuration. Its files go to `folder`.
    pub fn start(program: Program, snippet: &Snippet, folder: &Path) -> Result<Self> {
        open_folder(folder)?;
        let mut command = match program {
            Program::Nginx => nginx(snippet, folder)?,
            Program::Lighttpd => lighttpd(snippet, folder)?,
            Program::Apache => apache(snippet, folder)?,
        };
        command.env_remove("MAPPROXY_COMPONENT");
        let log = fs::File::create(folder.join("output"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {program:?}; `make tools` installs it"))?;
        let mut server = Self {
            child,
            folder: folder.to_owned(),
        };
        server.wait_for(snippet.address)?;
        Ok(server)
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the web server ended with {status}:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("nobody listens on {address}:\n{}", self.log());
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        ["output", "error.log"]
            .map(|name| fs::read_to_string(self.folder.join(name)).unwrap_or_default())
            .concat()
    }

    /// Every process it started, and those they started.
    pub fn descendants(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        let mut waiting = vec![self.child.id().to_string()];
        while let Some(id) = waiting.pop() {
            let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                waiting.extend(children.split_whitespace().map(str::to_owned));
            }
            let pid = id.parse().ok().and_then(Pid::from_raw);
            found.extend(pid);
        }
        found
    }

    /// Every process of `binary` among them.
    pub fn processes_of(&self, binary: &Path) -> Vec<Pid> {
        let runs = |pid: &Pid| {
            fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()))
                .is_ok_and(|exe| binary.canonicalize().is_ok_and(|binary| exe == binary))
        };
        self.descendants().into_iter().filter(runs).collect()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let all = self.descendants();
        if let Some(main) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(main, Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        for pid in all {
            if test_kill_process(pid).is_ok() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// A program of `/usr/sbin`, which is not in everybody's path.
fn program(name: &str) -> Command {
    let path = Path::new("/usr/sbin").join(name);
    Command::new(if path.exists() {
        path.as_os_str()
    } else {
        OsStr::new(name)
    })
}

/// A folder that everybody may use: web servers started by root work for somebody else.
pub fn open_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn nginx(snippet: &Snippet, folder: &Path) -> Result<Command> {
    let params = Path::new("/etc/nginx/fastcgi_params");
    fs::copy(params, folder.join("fastcgi_params"))
        .with_context(|| format!("failed to copy `{}`", params.display()))?;
    let here = folder.display();
    let user = if is_root() { "user root;" } else { "" };
    let main = format!(
        "daemon off;
{user}
worker_processes 1;
pid {here}/pid;
error_log {here}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    client_max_body_size 8m;
{}
}}
",
        snippet.text
    );
    fs::write(folder.join("nginx.conf"), main)?;
    let mut command = program("nginx");
    command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log"));
    command.arg("-c").arg(folder.join("nginx.conf"));
    Ok(command)
}

fn lighttpd(snippet: &Snippet, folder: &Path) -> Result<Command> {
    let here = folder.display();
    let main = format!(
        "server.document-root = \"{here}\"
server.bind = \"127.0.0.1\"
server.port = {}
server.errorlog = \"{here}/error.log\"
server.upload-dirs = (\"{here}\")
server.modules = ()
{}",
        snippet.address.port(),
        snippet.text
    );
    fs::write(folder.join("lighttpd.conf"), main)?;
    let mut command = program("lighttpd");
    command.arg("-D").arg("-f").arg(folder.join("lighttpd.conf"));
    Ok(command)
}

fn apache(snippet: &Snippet, folder: &Path) -> Result<Command> {
    let here = folder.display();
    let modules = Path::new("/usr/lib/apache2/modules");
    let mut load = String::new();
    for name in [
        "mpm_event",
        "authz_core",
        "alias",
        "env",
        "headers",
        "proxy",
        "proxy_fcgi",
        "proxy_http",
        "fcgid",
    ] {
        let file = modules.join(format!("mod_{name}.so"));
        if !file.exists() {
            bail!("`{}` is missing; `make tools` installs it", file.display());
        }
        // Writing to a String does not fail.
        let _ = writeln!(load, "LoadModule {name}_module {}", file.display());
    }
    let user = if is_root() { "User www-data\nGroup www-data" } else { "" };
    let main = format!(
        "ServerRoot {here}
ServerName example.org
DefaultRuntimeDir {here}
PidFile {here}/pid
ErrorLog {here}/error.log
{load}
Mutex file:{here} default
{user}
FcgidIPCDir {here}/fcgid
FcgidProcessTableFile {here}/fcgid_shm
{}",
        snippet.text
    );
    open_folder(&folder.join("fcgid"))?;
    fs::write(folder.join("apache.conf"), main)?;
    let mut command = program("apache2");
    command
        .arg("-D")
        .arg("FOREGROUND")
        .arg("-f")
        .arg(folder.join("apache.conf"));
    Ok(command)
}
