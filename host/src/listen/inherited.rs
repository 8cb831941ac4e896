//! Sockets that were opened by whoever started this program: a web server that runs us itself, spawn-fcgi, or systemd.

use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result};
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};

use super::{Listener, Opened, Protocol};

/// The first descriptor systemd passes on (`sd_listen_fds(3)`).
const FIRST_DESCRIPTOR: RawFd = 3;

/// Our standard input, where it is a listening socket (FastCGI specification, section 2.2).
pub(crate) fn standard_input() -> Result<Option<Opened>> {
    let stdin = std::io::stdin();
    // An error: it is no socket at all.
    if !socket_acceptconn(stdin.as_fd()).unwrap_or(false) {
        return Ok(None);
    }
    let socket = stdin
        .as_fd()
        .try_clone_to_owned()
        .context("failed to take over standard input")?;
    let opened = opened(Protocol::FastCgi, socket).context("failed to listen on standard input")?;
    Ok(Some(opened))
}

/// The sockets of systemd's socket units (`LISTEN_FDS`). HTTP is spoken on those of the internet and FastCGI on socket
/// files, unless `FileDescriptorName=` says `http` or `fastcgi`.
pub(crate) fn from_service_manager() -> Result<Vec<Opened>> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let meant_for_us = variable("LISTEN_PID") == std::process::id().to_string();
    let count: RawFd = match variable("LISTEN_FDS").parse() {
        Ok(count) if meant_for_us => count,
        _ => return Ok(Vec::new()),
    };
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    (FIRST_DESCRIPTOR..FIRST_DESCRIPTOR.saturating_add(count))
        .map(|descriptor| {
            let name = names.next().unwrap_or_default();
            let socket = take(descriptor);
            let is_file = socket_domain(&socket).is_ok_and(|domain| domain == AddressFamily::UNIX);
            opened(protocol(name, is_file), socket)
                .with_context(|| format!("failed to listen on socket {descriptor} (`{name}`) of the service manager"))
        })
        .collect()
}

#[expect(unsafe_code, reason = "the service manager passes descriptors on as numbers")]
fn take(descriptor: RawFd) -> OwnedFd {
    // SAFETY: by the protocol of `LISTEN_FDS`, which names this very process, the descriptor is open and nobody else's.
    // The caller takes each one once, before anything else is opened by number.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn protocol(name: &str, is_file: bool) -> Protocol {
    match name {
        "http" => Protocol::Http,
        "fastcgi" => Protocol::FastCgi,
        _ if is_file => Protocol::FastCgi,
        _ => Protocol::Http,
    }
}

fn opened(protocol: Protocol, socket: OwnedFd) -> std::io::Result<Opened> {
    Listener::from_descriptor(protocol, socket).map(Opened::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_protocols() {
        let check = |name, is_file, expect| assert_eq!(protocol(name, is_file), expect, "{name} {is_file}");
        check("mapproxy.socket", true, Protocol::FastCgi);
        check("mapproxy.socket", false, Protocol::Http);
        check("http", true, Protocol::Http);
        check("fastcgi", false, Protocol::FastCgi);
        check("", false, Protocol::Http);
    }
}
