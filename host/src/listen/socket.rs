//! Listening sockets of either family, and the files of those in the file system.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Mode, OFlags};
use rustix::net::AddressFamily;
use rustix::net::sockopt::socket_domain;

use super::{Protocol, SocketFile};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket that listens, and what is spoken there.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) protocol: Protocol,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

/// A listener, and its file where it has one of ours.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) listener: Listener,
    /// Removed when this is dropped.
    pub(crate) file: Option<OwnFile>,
}

impl From<Listener> for Opened {
    fn from(listener: Listener) -> Self {
        Self { listener, file: None }
    }
}

impl Listener {
    pub(crate) fn tcp(protocol: Protocol, socket: tokio::net::TcpListener) -> io::Result<Self> {
        let socket = Socket::Tcp(socket.into_std()?);
        Ok(Self { protocol, socket })
    }

    /// Takes over a socket that listens already.
    pub(crate) fn from_descriptor(protocol: Protocol, socket: OwnedFd) -> io::Result<Self> {
        let socket = match socket_domain(&socket)? {
            AddressFamily::INET | AddressFamily::INET6 => Socket::Tcp(socket.into()),
            AddressFamily::UNIX => Socket::Unix(socket.into()),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the socket is neither of the internet nor of the file system",
                ));
            }
        };
        Ok(Self { protocol, socket })
    }

    /// As people write it: `http://127.0.0.1:8080`, `fastcgi unix:/run/mapproxy.sock`.
    pub(crate) fn address(&self) -> io::Result<String> {
        let socket = match &self.socket {
            Socket::Tcp(socket) => return Ok(self.protocol.at(socket.local_addr()?)),
            Socket::Unix(socket) => socket.local_addr()?,
        };
        let protocol = match self.protocol {
            Protocol::Http => "http",
            Protocol::FastCgi => "fastcgi",
        };
        let path = socket.as_pathname().unwrap_or(Path::new("")).display();
        Ok(format!("{protocol} unix:{path}"))
    }

    /// Ready for the present runtime.
    pub(crate) fn accepting(self) -> io::Result<Accepting> {
        match self.socket {
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(socket).map(Accepting::Tcp)
            }
            Socket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(socket).map(Accepting::Unix)
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// A listener within the runtime.
#[derive(Debug)]
pub(crate) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) enum Client {
    Tcp(tokio::net::TcpStream, IpAddr),
    Unix(tokio::net::UnixStream),
}

impl Accepting {
    pub(crate) async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer ends with a small write; Nagle would hold it back.
                let _ = stream.set_nodelay(true);
                Ok(Client::Tcp(stream, peer.ip()))
            }
            Self::Unix(listener) => Ok(Client::Unix(listener.accept().await?.0)),
        }
    }
}

/// Opens a socket file, in place of one that nobody listens on any more.
pub(crate) fn open_socket_file(protocol: Protocol, file: &SocketFile) -> Result<Opened> {
    let path = &file.path;
    remove_stale(path)?;
    let listener = bind(file).with_context(|| format!("failed to listen on `{}`", path.display()))?;
    let own = OwnFile::of(path).with_context(|| format!("failed to find `{}`", path.display()))?;
    let listener = Listener {
        protocol,
        socket: Socket::Unix(listener),
    };
    Ok(Opened {
        listener,
        file: Some(own),
    })
}

fn bind(file: &SocketFile) -> Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&file.path)?)?;
    // Nobody can connect before `listen`: there is no moment in which the wrong people may.
    if let Some(group) = &file.group {
        chown(&file.path, None, Some(group_id(group)?)).with_context(|| format!("failed to give it to `{group}`"))?;
    }
    if let Some(mode) = file.mode {
        fs::set_permissions(&file.path, fs::Permissions::from_mode(mode)).context("failed to set its permissions")?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn remove_stale(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("failed to look at `{}`", path.display())),
    };
    if !metadata.file_type().is_socket() {
        bail!(
            "failed to listen on `{}`: it exists, and is not a socket",
            path.display()
        );
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("failed to remove the old socket `{}`", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("failed to find out whether `{}` is in use", path.display())),
        Ok(_somebody) => bail!("failed to listen on `{}`: another server does", path.display()),
    }
}

/// A group of `/etc/group`, by name or number.
fn group_id(group: &str) -> Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string("/etc/group").context("failed to read `/etc/group`")?;
    group_in(&groups, group).with_context(|| format!("there is no group `{group}` in `/etc/group`"))
}

fn group_in(groups: &str, wanted: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

/// A socket file of ours. Another server may have put its own in the same place since; that one stays.
#[derive(Debug)]
pub(crate) struct OwnFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
    /// Keeps the number of its inode from being given to a successor.
    _open: OwnedFd,
}

impl OwnFile {
    fn of(path: &Path) -> io::Result<Self> {
        // This process may end in another directory than it began in.
        let path = std::path::absolute(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = rustix::fs::open(&path, flags, Mode::empty())?;
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Self {
            path,
            device_and_inode: (metadata.dev(), metadata.ino()),
            _open: open,
        })
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.device_and_inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove the socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mapproxy-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> SocketFile {
            SocketFile {
                path: self.0.join("socket"),
                mode: Some(0o620),
                group: None,
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_file_is_there_while_somebody_listens() {
        let folder = Folder::new("socket-file");
        let file = folder.file();
        let opened = open_socket_file(Protocol::FastCgi, &file).unwrap();
        assert_eq!(
            opened.listener.address().unwrap(),
            format!("fastcgi unix:{}", file.path.display())
        );
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o620);
        let refused = open_socket_file(Protocol::FastCgi, &file).unwrap_err();
        assert!(format!("{refused:#}").contains("another server does"), "{refused:#}");
        drop(opened);
        assert!(!file.path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_successor_is_left_alone() {
        let folder = Folder::new("socket-stale");
        let file = folder.file();
        let first = open_socket_file(Protocol::FastCgi, &file).unwrap();
        // As when the first one stops listening and still has answers to finish.
        let Opened {
            listener,
            file: first_file,
        } = first;
        drop(listener);
        let second = open_socket_file(Protocol::FastCgi, &file).unwrap();
        drop(first_file);
        assert!(file.path.exists());
        drop(second);
        assert!(!file.path.exists());
    }

    #[test]
    fn other_files_are_not_touched() {
        let folder = Folder::new("socket-other");
        let file = folder.file();
        fs::write(&file.path, "precious").unwrap();
        let refused = open_socket_file(Protocol::FastCgi, &file).unwrap_err();
        assert!(format!("{refused:#}").contains("is not a socket"), "{refused:#}");
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "precious");
    }

    #[test]
    fn groups() {
        let groups = "root:x:0:\nwww-data:x:33:nginx\nbroken\n";
        assert_eq!(group_in(groups, "www-data"), Some(33));
        assert_eq!(group_in(groups, "www"), None);
        assert_eq!(group_in(groups, "broken"), None);
        assert_eq!(group_id("7").unwrap(), 7);
    }
}
