//! FastCGI from outside: the real host, asked record by record by a client that keeps to the protocol, and by one that
//! does not.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::{Response, StatusCode};
use mapproxy_tests::answers::{header, text};
use mapproxy_tests::fastcgi::{
    ABORT_REQUEST, BEGIN_REQUEST, Connection, END_REQUEST, GET_VALUES, GET_VALUES_RESULT, PARAMS, STDIN, UNKNOWN_TYPE,
    begin, get, pairs, record, request, socket, variables,
};
use mapproxy_tests::server::{Builder, Server, binary, hostile_component};
use mapproxy_tests::site::Site;
use tokio::net::UnixStream;

const CONFIGURATION: &str = "
services:
  tms: {use_grid_names: true}
  kml: {use_grid_names: true}
  wms:
    md: {title: Behind FastCGI}
layers:
  - {name: cached, title: Cached map, sources: [map_cache]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map]}
sources:
  map: {type: wms, req: {url: SAMPLE/service, layers: map}}
";

/// A folder with a socket in it, and the hostile component to serve there.
struct Hostile {
    folder: tempfile::TempDir,
}

impl Hostile {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("config"), "")?;
        Ok(Self { folder })
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    fn endpoint(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    fn server(&self) -> Result<Builder> {
        Ok(Server::hostile(&self.config())?.arg("--fastcgi").arg(self.endpoint()))
    }

    async fn start(&self) -> Result<Server> {
        self.server()?.without_http().start().await
    }

    /// What a server says that cannot start.
    async fn refusal(&self, arguments: &[&str], stdin: Stdio) -> Result<String> {
        let output = tokio::process::Command::new(binary()?)
            .arg("serve")
            .arg(self.config())
            .args(arguments)
            .env("MAPPROXY_COMPONENT", hostile_component()?)
            .stdin(stdin)
            .output()
            .await?;
        assert_eq!(output.status.code(), Some(1));
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn with(uri: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut variables = variables(uri);
    variables.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    variables
}

/// What the guest saw, of the hostile component's `/echo`.
fn saw(answer: &Response<Bytes>, line: &str) -> bool {
    text(answer).lines().any(|seen| seen.eq_ignore_ascii_case(line))
}

#[tokio::test]
async fn maps_are_served_below_the_mount_point() -> Result<()> {
    let site = Site::new(CONFIGURATION)?;
    let path = socket(site.folder());
    let server = site.server()?.arg("--fastcgi").arg(format!("unix:{}", path.display()));
    let server = server.start().await?;
    let mut connection = Connection::open(&path).await?;
    let mut ask = async |uri: &str, more: &[(&str, &str)]| connection.ask(&with(uri, more), &[]).await;

    let capabilities = ask("/proxy/service?SERVICE=WMS&REQUEST=GetCapabilities", &[]).await?;
    assert_eq!(capabilities.status(), StatusCode::OK);
    assert!(
        text(&capabilities).contains("\"http://maps.example.org/proxy/service?"),
        "{}",
        text(&capabilities)
    );
    let secure = ask("/proxy/service?SERVICE=WMS&REQUEST=GetCapabilities", &[("HTTPS", "on")]).await?;
    assert!(text(&secure).contains("\"https://maps.example.org/proxy/service?"));

    let tile = ask("/proxy/tms/1.0.0/cached/GLOBAL_WEBMERCATOR/2/1/1.png", &[]).await?;
    assert_eq!(
        (tile.status().as_u16(), header(&tile, "content-type").as_str()),
        (200, "image/png")
    );
    assert_eq!(
        tile.body(),
        server
            .get("/tms/1.0.0/cached/GLOBAL_WEBMERCATOR/2/1/1.png")
            .await?
            .body()
    );
    let etag = header(&tile, "etag");
    let unchanged = ask(
        "/proxy/tms/1.0.0/cached/GLOBAL_WEBMERCATOR/2/1/1.png",
        &[("HTTP_IF_NONE_MATCH", &etag)],
    )
    .await?;
    assert_eq!((unchanged.status().as_u16(), unchanged.body().len()), (304, 0));
    let head = ask(
        "/proxy/tms/1.0.0/cached/GLOBAL_WEBMERCATOR/2/1/1.png",
        &[("REQUEST_METHOD", "HEAD")],
    )
    .await?;
    assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
    assert_eq!(header(&head, "content-length"), tile.body().len().to_string());

    let log = server.wait_for_log("192.0.2.7 - - [").await?;
    assert!(
        log.contains("\"GET /proxy/service?SERVICE=WMS&REQUEST=GetCapabilities HTTP/1.1\" 200"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn what_the_web_server_says_reaches_the_guest() -> Result<()> {
    let hostile = Hostile::new()?;
    let _server = hostile
        .server()?
        .without_http()
        .args("--script-name /deep/down")
        .start()
        .await?;
    let mut connection = Connection::open(&hostile.socket()).await?;

    let body = "x".repeat(100_000);
    let length = body.len().to_string();
    let more = [
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_LENGTH", length.as_str()),
        ("CONTENT_TYPE", "text/xml"),
        ("HTTP_PROXY", "http://evil.example"),
        ("HTTP_X_SCRIPT_NAME", "/evil"),
        ("HTTP_CONNECTION", "close"),
        ("HTTP_ACCEPT", "first"),
        ("HTTP_ACCEPT", "last"),
    ];
    let answer = connection
        .ask(&with("/proxy/echo/stra%C3%9Fe?q=%20", &more), body.as_bytes())
        .await?;
    let echo = text(&answer);
    assert!(echo.starts_with("POST /echo/stra%C3%9Fe?q=%20"), "{echo}");
    assert!(saw(&answer, "x-script-name: /proxy"), "{echo}");
    assert!(
        saw(&answer, "content-type: text/xml") && saw(&answer, "accept: last"),
        "{echo}"
    );
    assert!(
        !echo.contains("evil") && !echo.to_lowercase().contains("connection:"),
        "{echo}"
    );
    assert!(echo.contains(&body));

    let swallowed = with(
        "/deep/down/echo",
        &[("SCRIPT_NAME", "/deep/down/echo"), ("PATH_INFO", "")],
    );
    let answer = connection.ask(&swallowed, &[]).await?;
    assert!(saw(&answer, "x-script-name: /deep/down"), "{}", text(&answer));
    Ok(())
}

#[tokio::test]
async fn limits_are_those_of_http() -> Result<()> {
    let hostile = Hostile::new()?;
    let _server = hostile
        .server()?
        .without_http()
        .args("--max-body 100KiB --max-header 4KiB --max-uri 1KiB")
        .start()
        .await?;
    let mut connection = Connection::open(&hostile.socket()).await?;
    let mut check = async |variables: &[(String, String)], body: &[u8], expect: u16| -> Result<()> {
        let answer = connection.ask(variables, body).await?;
        assert_eq!(answer.status().as_u16(), expect, "{}", text(&answer));
        Ok(())
    };
    let post = |length: &str| with("/proxy/echo", &[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", length)]);
    let large = vec![b'x'; 2 << 20];
    check(&post(&large.len().to_string()), &large, 413).await?;
    check(&post(""), &large, 413).await?;
    check(&post("5"), b"12345", 200).await?;
    check(&post("6"), b"12345", 400).await?;
    check(&post("five"), b"12345", 400).await?;
    check(&variables(&format!("/proxy/echo?{}", "x".repeat(1100))), &[], 414).await?;
    check(&with("/proxy/hello", &[("HTTP_COOKIE", &"x".repeat(20_000))]), &[], 431).await?;
    check(&with("/proxy/hello", &[("REQUEST_METHOD", "")]), &[], 400).await?;
    // The same connection serves on after all of that.
    check(&variables("/proxy/hello"), &[], 200).await
}

#[tokio::test]
async fn one_request_at_a_time() -> Result<()> {
    let hostile = Hostile::new()?;
    let _server = hostile.start().await?;
    let mut connection = Connection::open(&hostile.socket()).await?;

    connection
        .send(&record(
            GET_VALUES,
            0,
            &pairs(&[("FCGI_MPXS_CONNS", ""), ("WHAT", "")]),
            3,
        ))
        .await?;
    let values = connection.record().await?.context("an answer")?;
    assert_eq!(
        (values.kind, values.content.as_ref()),
        (GET_VALUES_RESULT, &pairs(&[("FCGI_MPXS_CONNS", "0")])[..])
    );
    connection.send(&record(42, 0, &[], 0)).await?;
    let unknown = connection.record().await?.context("an answer")?;
    assert_eq!((unknown.kind, unknown.content.first()), (UNKNOWN_TYPE, Some(&42)));

    // A second request beside one that runs.
    connection
        .send(&request(1, true, &variables("/proxy/sleep?300"), &[]))
        .await?;
    connection
        .send(&request(2, true, &variables("/proxy/hello"), &[]))
        .await?;
    let refused = connection.record().await?.context("an answer")?;
    assert_eq!(
        (refused.kind, refused.id, refused.content.get(4)),
        (END_REQUEST, 2, Some(&1))
    );
    assert_eq!(connection.answer(1).await?.body(), "slept");

    // An abort ends a request, not the connection.
    connection
        .send(&request(3, true, &variables("/proxy/sleep?20000"), &[]))
        .await?;
    connection.send(&record(ABORT_REQUEST, 3, &[], 0)).await?;
    let aborted = connection.record().await?.context("an answer")?;
    assert_eq!(
        (aborted.kind, aborted.id, aborted.content.get(4)),
        (END_REQUEST, 3, Some(&0))
    );
    assert_eq!(connection.ask(&variables("/proxy/hello"), &[]).await?.body(), "hello");

    // An authorizer, and then the end: this one did not ask to keep the connection.
    connection
        .send(&record(BEGIN_REQUEST, 4, &[0, 2, 1, 0, 0, 0, 0, 0], 0))
        .await?;
    let refused = connection.record().await?.context("an answer")?;
    assert_eq!((refused.kind, refused.content.get(4)), (END_REQUEST, Some(&3)));
    connection
        .send(&request(5, false, &variables("/proxy/hello"), &[]))
        .await?;
    assert_eq!(connection.answer(5).await?.body(), "hello");
    assert_eq!(connection.record().await?, None);
    Ok(())
}

#[tokio::test]
async fn any_split_of_records_and_packets() -> Result<()> {
    let hostile = Hostile::new()?;
    let _server = hostile.start().await?;
    let mut connection = Connection::open(&hostile.socket()).await?;
    let variables = with(
        "/proxy/echo",
        &[("REQUEST_METHOD", "POST"), ("HTTP_X_LONG", &"y".repeat(300))],
    );
    let given: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for size in [1, 7, 100] {
        let mut bytes = begin(9, true);
        for piece in pairs(&given).chunks(size) {
            bytes.extend(record(PARAMS, 9, piece, (size % 9) as u8));
        }
        bytes.extend(record(PARAMS, 9, &[], 255));
        for piece in b"the body of the request".chunks(size) {
            bytes.extend(record(STDIN, 9, piece, 8));
        }
        bytes.extend(record(STDIN, 9, &[], 0));
        for packet in bytes.chunks(size * 3 + 1) {
            connection.send(packet).await?;
        }
        let answer = connection.answer(9).await?;
        assert!(
            text(&answer).contains("the body of the request"),
            "{size}: {}",
            text(&answer)
        );
    }
    Ok(())
}

#[tokio::test]
async fn large_and_slow_and_broken_answers() -> Result<()> {
    let hostile = Hostile::new()?;
    let server = hostile
        .server()?
        .without_http()
        .args("--request-timeout 3s")
        .start()
        .await?;
    let mut connection = Connection::open(&hostile.socket()).await?;
    let large = connection.ask(&variables("/proxy/large?5242880"), &[]).await?;
    assert_eq!(large.body().len(), 5 << 20);
    let trickle = connection.ask(&variables("/proxy/trickle?10"), &[]).await?;
    assert!(!trickle.body().is_empty());
    // A body cut short must not look complete.
    for path in ["/proxy/trap-after-head", "/proxy/loop-after-head"] {
        let mut connection = Connection::open(&hostile.socket()).await?;
        assert!(connection.ask(&variables(path), &[]).await.is_err(), "{path}");
    }
    assert_eq!(get(&hostile.socket(), "/proxy/trap").await?.status(), 500);
    assert_eq!(get(&hostile.socket(), "/proxy/loop").await?.status(), 503);

    // Clients that leave in the middle: of their request, of waiting, of a large answer.
    for (uri, part) in [
        ("/proxy/hello", 30),
        ("/proxy/sleep?1000", usize::MAX),
        ("/proxy/large?50000000", usize::MAX),
    ] {
        for _ in 0..20 {
            let mut leaving = Connection::open(&hostile.socket()).await?;
            let bytes = request(1, true, &variables(uri), &[]);
            leaving
                .send(bytes.get(..part.min(bytes.len())).unwrap_or_default())
                .await?;
        }
    }
    assert_eq!(connection.ask(&variables("/proxy/hello"), &[]).await?.body(), "hello");
    server.wait_for_log(" 499 ").await?;
    Ok(())
}

#[tokio::test]
async fn endpoints_beside_and_instead_of_http() -> Result<()> {
    let hostile = Hostile::new()?;
    let server = hostile
        .server()?
        .args("--fastcgi tcp:127.0.0.1:0 --workers 1")
        .start()
        .await?;
    assert_eq!(server.get("/hello").await?.body(), "hello");
    assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");
    let line = server.wait_for_log("listening on fastcgi tcp:").await?;
    let address = line.rsplit("tcp:").next().unwrap_or_default();
    assert!(tokio::net::TcpStream::connect(address).await.is_ok(), "{line}");
    drop(server);

    let server = hostile.start().await?;
    assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");
    assert!(!server.log().contains("http://"), "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn a_socket_file_is_there_while_its_server_is() -> Result<()> {
    let hostile = Hostile::new()?;
    for workers in ["1", "2"] {
        let endpoint = format!("{},mode=0620", hostile.endpoint());
        let arguments = ["--fastcgi", &endpoint, "--workers", workers];
        let start = async || {
            let server = Server::hostile(&hostile.config())?;
            arguments.iter().fold(server, Builder::arg).without_http().start().await
        };
        let mut server = start().await?;
        let mode = std::fs::metadata(hostile.socket())?.permissions().mode();
        assert_eq!(mode & 0o777, 0o620);
        let error = hostile.refusal(&arguments, Stdio::null()).await?;
        assert!(error.contains("another server does"), "{error}");
        assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");

        server.kill()?;
        server.wait().await?;
        assert!(hostile.socket().exists());
        let mut server = start().await.context("in place of the one that was killed")?;
        assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");
        server.terminate()?;
        assert!(server.wait().await?.success());
        assert!(!hostile.socket().exists());
    }
    std::fs::write(hostile.socket(), "precious")?;
    let error = hostile
        .refusal(&["--fastcgi", &hostile.endpoint()], Stdio::null())
        .await?;
    assert!(error.contains("is not a socket"), "{error}");
    let error = hostile.refusal(&["--fastcgi", "fd:0"], Stdio::null()).await?;
    assert!(error.contains("standard input is not a listening socket"), "{error}");
    Ok(())
}

#[tokio::test]
async fn workers_share_a_socket_file() -> Result<()> {
    let hostile = Hostile::new()?;
    let server = hostile.server()?.args("--workers 3").start().await?;
    let children = format!("/proc/{0}/task/{0}/children", server.pid()?.as_raw_nonzero());
    let workers = || std::fs::read_to_string(&children);
    let before = workers()?;
    assert_eq!(before.split_whitespace().count(), 3);
    // All of them are replaced, one after the other, and the socket serves on.
    for worker in before.split_whitespace() {
        let pid = rustix::process::Pid::from_raw(worker.parse()?).context("not 0")?;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    }
    while workers()?.split_whitespace().count() < 3
        || before
            .split_whitespace()
            .any(|old| workers().is_ok_and(|now| now.contains(old)))
    {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");
        assert_eq!(server.get("/hello").await?.body(), "hello");
    }
    Ok(())
}

/// As spawn-fcgi, lighttpd and Apache's `mod_fcgid` do it.
#[tokio::test]
async fn a_listening_socket_on_standard_input() -> Result<()> {
    let hostile = Hostile::new()?;
    for arguments in ["", "--workers 2", "--fastcgi fd:0"] {
        let listener = std::os::unix::net::UnixListener::bind(hostile.socket())?;
        let server = Server::hostile(&hostile.config())?
            .args(arguments)
            .without_http()
            .stdin(OwnedFd::from(listener));
        let mut server = server.start().await?;
        assert_eq!(
            get(&hostile.socket(), "/proxy/hello").await?.body(),
            "hello",
            "{arguments}"
        );
        assert!(!server.log().contains("http://"), "{}", server.log());
        server.terminate()?;
        assert!(server.wait().await?.success());
        // It is not ours.
        std::fs::remove_file(hostile.socket())?;
    }
    Ok(())
}

/// As systemd does it: descriptor 3, and variables that tell of it.
#[tokio::test]
async fn sockets_of_a_service_manager() -> Result<()> {
    let hostile = Hostile::new()?;
    let listener = std::os::unix::net::UnixListener::bind(hostile.socket())?;
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve "$@" 3<&0 </dev/null"#;
    let mut server = tokio::process::Command::new("sh")
        .args(["-c", script])
        .arg(binary()?)
        .arg(hostile.config())
        .args(["--workers", "2"])
        .env("MAPPROXY_COMPONENT", hostile_component()?)
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    // Clients wait in the socket until it is served.
    assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");
    let id = server.id().context("it runs")?;
    let pid = rustix::process::Pid::from_raw(i32::try_from(id)?).context("not 0")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    assert!(server.wait().await?.success());
    Ok(())
}

/// Bytes that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// A good request in which bytes were changed, left out, doubled or cut off; or nothing but noise.
    fn malformed(&mut self) -> Vec<u8> {
        if self.below(10) == 0 {
            return (0..self.below(2000)).map(|_| self.next() as u8).collect();
        }
        let mut bytes = request(1, self.below(2) == 0, &variables("/proxy/hello"), b"a body");
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 => {
                    let part: Vec<u8> = bytes.iter().skip(at).take(self.below(40)).copied().collect();
                    bytes.splice(at..at, part);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.next() as u8;
                    }
                }
            }
        }
        bytes
    }
}

#[tokio::test]
async fn a_thousand_malformed_streams() -> Result<()> {
    let hostile = Hostile::new()?;
    let server = hostile
        .server()?
        .without_http()
        .args("--workers 1 --read-timeout 5s")
        .start()
        .await?;
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    for round in 0..1000 {
        let mut stream = UnixStream::connect(hostile.socket()).await?;
        let bytes = noise.malformed();
        // The server may have closed the connection before it has all of it.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
        if round % 100 == 0 {
            assert_eq!(
                get(&hostile.socket(), "/proxy/hello").await?.body(),
                "hello",
                "after {round}"
            );
        }
    }
    assert_eq!(get(&hostile.socket(), "/proxy/hello").await?.body(), "hello");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn a_client_of_another_protocol_is_turned_away() -> Result<()> {
    let hostile = Hostile::new()?;
    let server = hostile.start().await?;
    let mut connection = Connection::open(Path::new(&hostile.socket())).await?;
    connection.send(b"GET / HTTP/1.1\r\n\r\n").await?;
    assert!(connection.record().await.ok().flatten().is_none());
    server.wait_for_log("expected version 1 of the protocol").await?;
    Ok(())
}
