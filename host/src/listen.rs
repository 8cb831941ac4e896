//! What a server listens on: HTTP and FastCGI, on addresses, socket files and sockets that were opened by whoever
//! started this program.

mod handover;
mod inherited;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, ensure};

pub(crate) use self::handover::{hand_over, take_over};
use self::inherited::{from_service_manager, standard_input};
use self::socket::open_socket_file;
pub(crate) use self::socket::{Client, Listener, Opened};

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    FastCgi,
}

impl Protocol {
    /// An address as people write it: `http://127.0.0.1:8080`, `fastcgi tcp:127.0.0.1:9000`.
    pub(crate) fn at(self, address: SocketAddr) -> String {
        match self {
            Self::Http => format!("http://{address}"),
            Self::FastCgi => format!("fastcgi tcp:{address}"),
        }
    }
}

/// A place to listen on, and what is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// HTTP on `HOST:PORT`; port 0 for any free one.
    Http(String),
    FastCgi(FastCgiEndpoint),
}

/// Where a web server finds us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FastCgiEndpoint {
    /// `unix:PATH[,mode=0660][,group=NAME]`
    Unix(SocketFile),
    /// `tcp:HOST:PORT`; port 0 for any free one.
    Tcp(String),
    /// `fd:0`: the listening socket that is our standard input.
    StandardInput,
}

/// A socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketFile {
    pub(crate) path: PathBuf,
    /// Permissions, `0o660` for example; what the umask leaves without one.
    pub(crate) mode: Option<u32>,
    /// Name or number of its group.
    pub(crate) group: Option<String>,
}

/// Why a text names no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("expected `unix:PATH`, `tcp:HOST:PORT` or `fd:0`")]
    Form,
    #[error("expected `unix:` and the path of a socket file")]
    Path,
    #[error("expected `tcp:HOST:PORT`")]
    Address,
    #[error("only descriptor 0 can be a socket for FastCGI, not `{0}`")]
    Descriptor(String),
    #[error("`mode={0}` is not an octal number up to 0777")]
    Mode(String),
    #[error("`group=` needs a name")]
    Group,
}

impl FromStr for FastCgiEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (kind, rest) = text.split_once(':').ok_or(EndpointError::Form)?;
        match kind {
            "unix" => socket_file(rest).map(Self::Unix),
            "tcp" => match rest.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self::Tcp(rest.to_owned())),
                _ => Err(EndpointError::Address),
            },
            "fd" if rest == "0" => Ok(Self::StandardInput),
            "fd" => Err(EndpointError::Descriptor(rest.to_owned())),
            _ => Err(EndpointError::Form),
        }
    }
}

/// Reads `PATH[,mode=0660][,group=NAME]`. A comma that begins no option belongs to the path.
fn socket_file(text: &str) -> Result<SocketFile, EndpointError> {
    let (mut path, mut mode, mut group) = (text, None, None);
    while let Some((rest, option)) = path.rsplit_once(',') {
        if let Some(value) = option.strip_prefix("mode=") {
            let bits = u32::from_str_radix(value, 8).ok().filter(|bits| *bits <= 0o777);
            mode = Some(bits.ok_or_else(|| EndpointError::Mode(value.to_owned()))?);
        } else if let Some(name) = option.strip_prefix("group=") {
            if name.is_empty() {
                return Err(EndpointError::Group);
            }
            group = Some(name.to_owned());
        } else {
            break;
        }
        path = rest;
    }
    if path.is_empty() {
        return Err(EndpointError::Path);
    }
    Ok(SocketFile {
        path: PathBuf::from(path),
        mode,
        group,
    })
}

/// Everything to listen on: what is open already, and the addresses that are still to be opened.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Socket files, and what we were started with: open once, shared by all processes.
    pub(crate) opened: Vec<Opened>,
    /// `HOST:PORT`: opened by each process for itself.
    pub(crate) tcp: Vec<(Protocol, String)>,
}

impl Sockets {
    /// Opens the socket files of `endpoints` and takes over the sockets this process was started with; HTTP on
    /// `default` where there is nothing else.
    pub(crate) fn open(endpoints: &[Endpoint], default: &str) -> Result<Self> {
        let mut opened = from_service_manager()?;
        match standard_input()? {
            Some(socket) => opened.push(socket),
            None => ensure!(
                !endpoints.contains(&Endpoint::FastCgi(FastCgiEndpoint::StandardInput)),
                "standard input is not a listening socket"
            ),
        }
        let mut tcp = Vec::new();
        for endpoint in endpoints {
            match endpoint {
                Endpoint::Http(address) => tcp.push((Protocol::Http, address.clone())),
                Endpoint::FastCgi(FastCgiEndpoint::Tcp(address)) => tcp.push((Protocol::FastCgi, address.clone())),
                Endpoint::FastCgi(FastCgiEndpoint::Unix(file)) => {
                    opened.push(open_socket_file(Protocol::FastCgi, file)?);
                }
                // One of those above.
                Endpoint::FastCgi(FastCgiEndpoint::StandardInput) => {}
            }
        }
        if opened.is_empty() && tcp.is_empty() {
            tcp.push((Protocol::Http, default.to_owned()));
        }
        Ok(Self { opened, tcp })
    }
}

/// Whether a web server started this process: then it also decides how many there are.
pub(crate) fn started_by_web_server() -> bool {
    matches!(standard_input(), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let unix = |path: &str, mode, group: Option<&str>| {
            Ok(FastCgiEndpoint::Unix(SocketFile {
                path: PathBuf::from(path),
                mode,
                group: group.map(str::to_owned),
            }))
        };
        let check = |text: &str, expect| assert_eq!(text.parse::<FastCgiEndpoint>(), expect, "{text}");
        check("unix:/run/m.sock", unix("/run/m.sock", None, None));
        check("unix:var/m,mode=0660", unix("var/m", Some(0o660), None));
        check(
            "unix:m,mode=600,group=www-data",
            unix("m", Some(0o600), Some("www-data")),
        );
        check("unix:m,group=33,mode=0666", unix("m", Some(0o666), Some("33")));
        check("unix:/a,b/m,mode=0660", unix("/a,b/m", Some(0o660), None));
        check(
            "tcp:127.0.0.1:9000",
            Ok(FastCgiEndpoint::Tcp("127.0.0.1:9000".to_owned())),
        );
        check("tcp:[::1]:0", Ok(FastCgiEndpoint::Tcp("[::1]:0".to_owned())));
        check("fd:0", Ok(FastCgiEndpoint::StandardInput));
        check("/run/m.sock", Err(EndpointError::Form));
        check("http:127.0.0.1:80", Err(EndpointError::Form));
        check("unix:", Err(EndpointError::Path));
        check("unix:,mode=0660", Err(EndpointError::Path));
        check("unix:m,mode=0999", Err(EndpointError::Mode("0999".to_owned())));
        check("unix:m,mode=1777", Err(EndpointError::Mode("1777".to_owned())));
        check("unix:m,group=", Err(EndpointError::Group));
        check("tcp:9000", Err(EndpointError::Address));
        check("tcp::9000", Err(EndpointError::Address));
        check("tcp:localhost:port", Err(EndpointError::Address));
        check("fd:3", Err(EndpointError::Descriptor("3".to_owned())));
    }
}
