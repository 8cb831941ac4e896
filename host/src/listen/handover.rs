//! Listening sockets on their way from a supervisor to its workers, over the socket pair between them (`SCM_RIGHTS`,
//! unix(7)).
//!
//! Each message is one byte, the protocol, with one socket; a byte without a socket ends the list.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::{Listener, Protocol};

const HTTP: u8 = b'h';
const FASTCGI: u8 = b'f';
const END: u8 = b'e';

/// Sends `listeners`. They stay open here too, for the next worker.
pub(crate) fn hand_over<'l>(line: &UnixStream, listeners: impl IntoIterator<Item = &'l Listener>) -> io::Result<()> {
    for listener in listeners {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut sockets = SendAncillaryBuffer::new(&mut space);
        let socket = [listener.as_fd()];
        sockets.push(SendAncillaryMessage::ScmRights(&socket));
        let protocol = match listener.protocol {
            Protocol::Http => HTTP,
            Protocol::FastCgi => FASTCGI,
        };
        sendmsg(line, &[IoSlice::new(&[protocol])], &mut sockets, SendFlags::NOSIGNAL)?;
    }
    let mut nothing = SendAncillaryBuffer::default();
    sendmsg(line, &[IoSlice::new(&[END])], &mut nothing, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives what [`hand_over`] sends.
pub(crate) fn take_over(line: &UnixStream) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    loop {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut messages = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut byte)];
        let received = recvmsg(line, &mut parts, &mut messages, RecvFlags::CMSG_CLOEXEC)?;
        let socket = messages.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        let protocol = match (received.bytes, byte) {
            (1, [END]) => return Ok(listeners),
            (1, [HTTP]) => Protocol::Http,
            (1, [FASTCGI]) => Protocol::FastCgi,
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let socket = socket.ok_or(io::ErrorKind::InvalidData)?;
        listeners.push(Listener::from_descriptor(protocol, socket)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_arrive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut sent = Vec::new();
        for protocol in [Protocol::Http, Protocol::FastCgi, Protocol::Http] {
            let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sent.push(Listener::tcp(protocol, socket).unwrap());
        }
        hand_over(&ours, &sent).unwrap();
        let received = take_over(&theirs).unwrap();
        let addresses = |listeners: &[Listener]| -> Vec<String> {
            listeners.iter().map(|listener| listener.address().unwrap()).collect()
        };
        assert_eq!(addresses(&received), addresses(&sent));

        hand_over(&ours, []).unwrap();
        assert!(take_over(&theirs).unwrap().is_empty());
        drop(ours);
        assert!(take_over(&theirs).is_err());
    }
}
