//! Outgoing requests over TLS, and through a proxy that makes tunnels, to servers within this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::proxy::matcher::Matcher;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::{Error, WasiHttpHooks as _};

use super::*;

/// An HTTPS server for `localhost` that answers everything with `map`, and the PEM file of its certificate.
async fn https_server() -> (SocketAddr, PathBuf) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let file = std::env::temp_dir().join(format!("mapproxy-tls-{}-{}.pem", std::process::id(), address.port()));
    std::fs::write(&file, certified.cert.pem()).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Fails where the client does not trust us.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                read_head(&mut stream).await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nmap")
                    .await
                    .unwrap();
                stream.flush().await.unwrap();
                // Kept open until the client goes.
                read_head(&mut stream).await;
            });
        }
    });
    (address, file)
}

async fn read_head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if !matches!(reader.read_line(&mut head).await, Ok(1..)) {
            break;
        }
    }
    head
}

fn outbound(proxies: Matcher) -> Arc<Outbound> {
    let limits = OutboundLimits {
        connect_timeout: Duration::from_secs(30),
        read_timeout: Duration::from_secs(30),
        max_body: 1 << 20,
        idle_connections: 4,
    };
    Arc::new(Outbound {
        bridge: None,
        limits,
        proxies,
        roots: tls::SystemRoots::default(),
    })
}

async fn fetch(outbound: &Arc<Outbound>, origin: Origin) -> Result<Bytes, Error> {
    let uri = format!("{}/wms?layers=a", origin.key);
    let upstreams = outbound.upstreams(vec![origin]).unwrap();
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::get(uri).body(body).unwrap();
    let future = Outgoing::to(Arc::new(upstreams)).send_request(request, None, Box::new(std::future::ready(Ok(()))));
    let (response, _) = Box::into_pin(future).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

fn origin(https: bool, port: u16) -> Origin {
    let key = OriginKey {
        https,
        host: "localhost".to_owned(),
        port,
    };
    Origin {
        key,
        no_cert_checks: false,
        ca_certs: None,
    }
}

#[tokio::test]
async fn certificates_are_checked_as_the_configuration_says() {
    let (address, file) = https_server().await;
    let outbound = outbound(Matcher::builder().build());
    let origin = origin(true, address.port());

    let error = fetch(&outbound, origin.clone()).await.unwrap_err();
    assert!(matches!(error, Error::TlsCertificateError), "{error}");

    let trusting = Origin {
        no_cert_checks: true,
        ..origin.clone()
    };
    assert_eq!(fetch(&outbound, trusting).await.unwrap(), "map");

    let ca_certs = Some(file.to_str().unwrap().to_owned());
    let with_file = Origin {
        ca_certs: ca_certs.clone(),
        ..origin.clone()
    };
    assert_eq!(fetch(&outbound, with_file).await.unwrap(), "map");

    // The certificate is for `localhost`.
    let key = OriginKey {
        host: "127.0.0.1".to_owned(),
        ..origin.key.clone()
    };
    let other_name = Origin {
        key,
        ca_certs,
        no_cert_checks: false,
    };
    let error = fetch(&outbound, other_name).await.unwrap_err();
    assert!(matches!(error, Error::TlsCertificateError), "{error}");
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_proxy() {
    let (address, file) = https_server().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_address = proxy.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let head = read_head(&mut client).await;
        let mut server = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await
            .unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
        head
    });
    let proxies = Matcher::builder()
        .https(format!("http://user:secret@{proxy_address}"))
        .build();
    let origin = Origin {
        no_cert_checks: true,
        ..origin(true, address.port())
    };
    assert_eq!(fetch(&outbound(proxies), origin).await.unwrap(), "map");
    let head = seen.await.unwrap();
    assert!(
        head.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", address.port())),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"),
        "{head}"
    );
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn http_is_asked_of_the_proxy_with_the_whole_url() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_address = proxy.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let head = read_head(&mut client).await;
        client
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nmap")
            .await
            .unwrap();
        head
    });
    let proxies = Matcher::builder()
        .http(format!("http://{proxy_address}"))
        .no("example.org")
        .build();
    assert_eq!(fetch(&outbound(proxies), origin(false, 8081)).await.unwrap(), "map");
    let head = seen.await.unwrap();
    assert!(
        head.starts_with("GET http://localhost:8081/wms?layers=a HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("Host: localhost:8081\r\n"), "{head}");
}

#[test]
fn origins_of_urls() {
    let check = |uri: &str, expect: &str| {
        let key = OriginKey::of(&uri.parse().unwrap()).unwrap();
        assert_eq!(key.to_string(), expect, "{uri}");
    };
    check("http://Example.org/path?x", "http://example.org:80");
    check("https://example.org", "https://example.org:443");
    check("http://user:secret@example.org:8080/", "http://example.org:8080");
    check("http://[::1]:81/", "http://[::1]:81");
}
