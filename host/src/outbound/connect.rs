//! From an origin to a byte stream: name lookup, TCP, a proxy where the environment names one, TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::{debug, warn};
use wasmtime_wasi_http::Error;

use super::Outbound;
use super::pool::Upstream;
use crate::bridge;

/// With several addresses an unreachable one (often IPv6) must not use up the whole time.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// A fresh connection.
pub(super) struct Connected {
    pub(super) stream: TokioIo<Stream>,
    /// The peer is a proxy that wants whole URLs.
    pub(super) absolute_form: bool,
    /// For that proxy.
    pub(super) proxy_authorization: Option<HeaderValue>,
}

/// Plain or encrypted, or a program on this machine.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Bridge(DuplexStream),
}

pub(super) async fn connect(outbound: &Outbound, upstream: &Upstream) -> Result<Connected, Error> {
    let key = &upstream.key;
    if let Some(map_file) = bridge::map_file(&key.host) {
        let Some(bridge) = &outbound.bridge else {
            warn!(map_file = %map_file.display(), "a source of type `mapserver` needs `--mapserver-binary`");
            return Err(Error::DestinationUnavailable);
        };
        return Ok(Connected {
            stream: TokioIo::new(Stream::Bridge(bridge.connect(map_file))),
            absolute_form: false,
            proxy_authorization: None,
        });
    }
    let uri = key
        .to_string()
        .parse::<http::Uri>()
        .map_err(|error| Error::InternalError(Some(error.to_string())))?;
    let proxy = outbound.proxies.intercept(&uri);
    let mut absolute_form = false;
    let mut proxy_authorization = None;
    let tcp = match &proxy {
        None => dial(&key.host, key.port).await?,
        Some(proxy) => {
            let tcp = dial_proxy(proxy).await?;
            if key.https {
                tunnel(tcp, &uri, proxy.basic_auth()).await?
            } else {
                absolute_form = true;
                proxy_authorization = proxy.basic_auth().cloned();
                tcp
            }
        }
    };
    let stream = match &upstream.tls {
        None => Stream::Plain(tcp),
        Some(config) => {
            let name = ServerName::try_from(key.host.clone()).map_err(|_invalid| Error::TlsCertificateError)?;
            let tls = TlsConnector::from(config.clone())
                .connect(name, tcp)
                .await
                .map_err(|error| {
                    debug!(origin = %key, %error, "TLS failed");
                    tls_error(&error)
                })?;
            Stream::Tls(Box::new(tls))
        }
    };
    Ok(Connected {
        stream: TokioIo::new(stream),
        absolute_form,
        proxy_authorization,
    })
}

fn tls_error(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, Error> {
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| {
        debug!(host, %error, "name lookup failed");
        Error::DnsError {
            rcode: Some(error.to_string()),
            info_code: None,
        }
    })?;
    let addresses: Vec<_> = addresses.collect();
    let mut last = Error::DestinationNotFound;
    for (index, address) in addresses.iter().enumerate() {
        let attempt = TcpStream::connect(address);
        let attempt = if index + 1 < addresses.len() {
            timeout(ATTEMPT_TIMEOUT, attempt)
                .await
                .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
        } else {
            attempt.await
        };
        match attempt {
            Ok(stream) => {
                // Without it a small request waits for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => {
                debug!(%address, %error, "connecting failed");
                last = match error.kind() {
                    io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                    io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                    io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                        Error::DestinationIpUnroutable
                    }
                    _ => Error::DestinationUnavailable,
                };
            }
        }
    }
    Err(last)
}

async fn dial_proxy(proxy: &Intercept) -> Result<TcpStream, Error> {
    let uri = proxy.uri();
    if uri.scheme_str() != Some("http") {
        let scheme = uri.scheme_str().unwrap_or_default();
        return Err(Error::InternalError(Some(format!(
            "proxies of type `{scheme}` are not supported; expected `http`"
        ))));
    }
    let host = uri.host().ok_or(Error::ConfigurationError)?;
    dial(
        host.trim_start_matches('[').trim_end_matches(']'),
        uri.port_u16().unwrap_or(80),
    )
    .await
}

/// `CONNECT` (RFC 9110, 9.3.6). The answer's head is read byte by byte so that nothing of the tunnel is swallowed.
async fn tunnel(mut tcp: TcpStream, uri: &http::Uri, authorization: Option<&HeaderValue>) -> Result<TcpStream, Error> {
    const MAX_HEAD: usize = 8 << 10;
    let refused = |_error: io::Error| Error::ConnectionTerminated;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(value) = authorization {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    tcp.write_all(&head).await.map_err(refused)?;

    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_HEAD {
            return Err(Error::HttpResponseHeaderSectionSize(None));
        }
        answer.push(tcp.read_u8().await.map_err(refused)?);
    }
    let accepted = answer.starts_with(b"HTTP/1.1 2") || answer.starts_with(b"HTTP/1.0 2");
    if accepted {
        return Ok(tcp);
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    debug!(answer = %String::from_utf8_lossy(line), "the proxy refused the tunnel");
    Err(Error::DestinationUnavailable)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Bridge(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => {
                let filled = buffer.filled().len();
                let read = Pin::new(stream).poll_read(context, buffer);
                match read {
                    // Old servers close without the TLS goodbye; the length of the body tells whether it is whole.
                    Poll::Ready(Err(error))
                        if error.kind() == io::ErrorKind::UnexpectedEof && buffer.filled().len() == filled =>
                    {
                        Poll::Ready(Ok(()))
                    }
                    other => other,
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Bridge(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Bridge(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Bridge(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
