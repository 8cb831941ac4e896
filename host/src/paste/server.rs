//! `[server:…]`: what to listen on.

use super::application::find;
use super::ini::{Entry, Ini, Section};
use super::{Deployment, ServerSettings, nearest};
use crate::bindings::Problem;
use crate::listen::{Endpoint, FastCgiEndpoint, SocketFile};

/// What kind of server a `use` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    FastCgi,
}

const KNOWN: [(&str, Kind); 12] = [
    ("egg:Paste#http", Kind::Http),
    ("egg:PasteScript#cherrypy", Kind::Http),
    ("egg:PasteScript#wsgiutils", Kind::Http),
    ("egg:waitress#main", Kind::Http),
    ("egg:waitress", Kind::Http),
    ("egg:gunicorn#main", Kind::Http),
    ("egg:gunicorn", Kind::Http),
    ("egg:Flup#fcgi_thread", Kind::FastCgi),
    ("egg:Flup#fcgi_fork", Kind::FastCgi),
    ("egg:Flup#fcgi", Kind::FastCgi),
    ("egg:PasteScript#flup_fcgi_thread", Kind::FastCgi),
    ("egg:PasteScript#flup_fcgi_fork", Kind::FastCgi),
];

const EXPECTED_USE: &str = "`egg:Paste#http`, `egg:Flup#fcgi_thread` or `egg:Flup#fcgi_fork`";

/// Settings of Python servers whose work is done by limits of the command line here.
const IDLE: [&str; 24] = [
    "allowedServers",
    "connection_limit",
    "cleanup_interval",
    "channel_timeout",
    "daemon_threads",
    "debug",
    "maxSpare",
    "maxThreads",
    "minSpare",
    "multiplexed",
    "multiprocess",
    "multithreaded",
    "numthreads",
    "protocol_version",
    "request_queue_size",
    "server_name",
    "socket_timeout",
    "threadpool_options",
    "threadpool_workers",
    "threads",
    "timeout",
    "use_threadpool",
    "worker_class",
    "request_queue",
];

/// Takes over what `[server:NAME]` says. A file without one leaves the command line's defaults.
pub(super) fn settings(ini: &Ini, name: &str, deployment: &mut Deployment) {
    let Some(section) = find(ini, "server", name) else {
        if name != "main" {
            let known: Vec<&str> = ini
                .sections()
                .filter_map(|section| section.name.strip_prefix("server:"))
                .collect();
            let mut problem = ini.error(
                ini.top(),
                format!("there is no server `{name}`"),
                format!("a section `[server:{name}]`"),
            );
            problem.suggestion = nearest(name, &known);
            deployment.problems.push(problem);
        }
        return;
    };
    match read(ini, section, &mut deployment.problems) {
        Ok(settings) => deployment.server = settings,
        Err(problem) => deployment.problems.push(*problem),
    }
}

fn read(ini: &Ini, section: &Section, problems: &mut Vec<Problem>) -> Result<ServerSettings, Box<Problem>> {
    let Some(entry) = section.entries.iter().find(|entry| entry.key == "use") else {
        return Err(Box::new(ini.error(
            section.place,
            format!("`[{}]` does not say what it uses", section.name),
            format!("`use = ` and {EXPECTED_USE}"),
        )));
    };
    let used = ini.value(section, entry)?;
    let kind = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(&used));
    let Some((_, kind)) = kind else {
        let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
        let mut problem = ini.error(entry.place, format!("unknown server `{used}`"), EXPECTED_USE);
        problem.suggestion = nearest(&used, &names);
        return Err(Box::new(problem));
    };
    let mut keys = Keys {
        ini,
        section,
        host: None,
        port: None,
        listen: Vec::new(),
        socket: None,
        umask: None,
    };
    let mut settings = ServerSettings::default();
    for entry in &section.entries {
        match entry.key.as_str() {
            "use" => {}
            "host" => keys.host = Some(ini.value(section, entry)?),
            "port" => keys.port = Some(number::<u16>(ini, section, entry, "a port, 0 to 65535")?),
            "listen" | "bind" if *kind == Kind::Http => {
                keys.listen = ini
                    .value(section, entry)?
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect();
            }
            "socket" if *kind == Kind::FastCgi => keys.socket = Some(entry),
            "umask" if *kind == Kind::FastCgi => keys.umask = Some(entry),
            "maxChildren" | "workers" => {
                let count = number::<usize>(ini, section, entry, "a number of processes, at least 1")?;
                // The number that a prefork server may grow to; more than processors help nobody here.
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                settings.workers = Some(
                    if entry.key == "workers" {
                        count
                    } else {
                        count.min(processors)
                    }
                    .max(1),
                );
            }
            "maxRequests" | "max_requests" => {
                let count = number::<u64>(ini, section, entry, "a number of requests")?;
                settings.max_requests = Some(count).filter(|count| *count > 0);
            }
            "ssl_pem" | "ssl_context" | "certfile" | "keyfile" => {
                return Err(Box::new(ini.error(
                    entry.key_place,
                    "HTTPS is not served",
                    "a web server in front of this one, which has the certificate",
                )));
            }
            key => {
                let mut problem = if IDLE.contains(&key) {
                    ini.warning(
                        entry.key_place,
                        format!("`{key}` means nothing here"),
                        "`mapproxy serve --help` lists the limits of this server",
                    )
                } else {
                    ini.warning(entry.key_place, format!("unknown option `{key}`"), "")
                };
                problem.suggestion = nearest(key, &["host", "port", "socket", "umask", "maxChildren", "maxRequests"]);
                problems.push(problem);
            }
        }
    }
    settings.endpoints = match kind {
        Kind::Http => keys.http(),
        Kind::FastCgi => vec![keys.fastcgi()?],
    };
    Ok(settings)
}

/// What a server section says about addresses.
struct Keys<'ini> {
    ini: &'ini Ini,
    section: &'ini Section,
    host: Option<String>,
    port: Option<u16>,
    listen: Vec<String>,
    socket: Option<&'ini Entry>,
    umask: Option<&'ini Entry>,
}

impl Keys<'_> {
    fn http(&self) -> Vec<Endpoint> {
        if !self.listen.is_empty() {
            let any = |address: &String| match address.strip_prefix("*:") {
                Some(port) => format!("0.0.0.0:{port}"),
                None => address.clone(),
            };
            return self.listen.iter().map(|address| Endpoint::Http(any(address))).collect();
        }
        vec![Endpoint::Http(self.address("127.0.0.1", 8080))]
    }

    fn address(&self, default_host: &str, default_port: u16) -> String {
        let host = self
            .host
            .as_deref()
            .filter(|host| !host.is_empty())
            .unwrap_or(default_host);
        let port = self.port.unwrap_or(default_port);
        if host.contains(':') && !host.starts_with('[') {
            // `::1`, or Paste's `host:port`.
            match host.rsplit_once(':') {
                Some((name, digits)) if !name.contains(':') && digits.parse::<u16>().is_ok() => host.to_owned(),
                _ => format!("[{host}]:{port}"),
            }
        } else {
            format!("{host}:{port}")
        }
    }

    fn fastcgi(&self) -> Result<Endpoint, Box<Problem>> {
        let endpoint = match self.socket {
            Some(entry) => {
                let path = self.ini.value(self.section, entry)?;
                if path.is_empty() {
                    return Err(Box::new(self.ini.error(
                        entry.key_place,
                        "`socket` is empty",
                        "`socket = %(here)s/../var/fcgi-socket`",
                    )));
                }
                FastCgiEndpoint::Unix(SocketFile {
                    path: path.into(),
                    mode: self.mode()?,
                    group: None,
                })
            }
            None if self.host.is_some() || self.port.is_some() => {
                if self.port.is_none() {
                    return Err(Box::new(self.ini.error(
                        self.section.place,
                        format!("`[{}]` has no `port`", self.section.name),
                        "`port`, or `socket` in place of `host`",
                    )));
                }
                FastCgiEndpoint::Tcp(self.address("127.0.0.1", 0))
            }
            // Without either, the web server has started us and given us the socket.
            None => FastCgiEndpoint::StandardInput,
        };
        Ok(Endpoint::FastCgi(endpoint))
    }

    /// Permissions of the socket file by the umask, which is octal.
    fn mode(&self) -> Result<Option<u32>, Box<Problem>> {
        let Some(entry) = self.umask else { return Ok(None) };
        let text = self.ini.value(self.section, entry)?;
        let digits = text.trim_start_matches("0o");
        match u32::from_str_radix(digits, 8) {
            Ok(mask) if mask <= 0o777 => Ok(Some(0o777 & !mask)),
            _ => Err(Box::new(self.ini.error(
                entry.place,
                format!("`{text}` is not a umask"),
                "an octal number, `007` for example",
            ))),
        }
    }
}

fn number<N: std::str::FromStr>(
    ini: &Ini,
    section: &Section,
    entry: &Entry,
    expected: &str,
) -> Result<N, Box<Problem>> {
    let value = ini.value(section, entry)?;
    value
        .trim()
        .parse()
        .map_err(|_error| Box::new(ini.error(entry.place, format!("`{value}` is not a number that fits"), expected)))
}
