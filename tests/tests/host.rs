//! The host under attack: a component that misbehaves, clients that misbehave, upstreams that misbehave.
//!
//! The component is that of `tests/hostile`; the path chooses its behaviour.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::{Request, StatusCode};
use mapproxy_tests::server::{Server, binary, hostile_component};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A directory that is removed at the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mapproxy-host-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self {
            path: path.canonicalize()?,
        })
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the temporary directory does no harm.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_misbehaviour_costs_one_request_and_no_other() -> Result<()> {
    let scratch = Scratch::new("misbehaviour")?;
    let server = Server::hostile(&scratch.file("config", "")?)?.args("--request-timeout 10s --max-memory 64MiB");
    let server = Arc::new(server.start().await?);
    let cases = [
        ("/loop", 503, "took longer than it may"),
        ("/memory", 500, "needed more than 67108864 bytes of memory"),
        ("/trap", 500, "`unreachable` instruction executed"),
        ("/panic", 500, "a panic, as asked"),
        ("/nothing", 500, "ended without an answer"),
        ("/deep", 500, "the instance trapped"),
    ];
    for (path, status, log) in cases {
        let mut others = JoinSet::new();
        for _ in 0..50 {
            let server = Arc::clone(&server);
            others.spawn(async move { server.get("/sleep?200").await });
        }
        let answer = server.get(path).await?;
        assert_eq!(answer.status(), status, "{path}");
        server.wait_for_log(log).await?;
        while let Some(other) = others.join_next().await {
            assert_eq!(other??.status(), 200, "beside {path}");
        }
        assert_eq!(server.get("/hello").await?.body(), "hello", "after {path}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_cut_short_does_not_look_complete() -> Result<()> {
    let scratch = Scratch::new("cut")?;
    let server = Server::hostile(&scratch.file("config", "")?)?
        .args("--request-timeout 1s")
        .start()
        .await?;
    for path in ["/trap-after-head", "/loop-after-head"] {
        assert!(server.get(path).await.is_err(), "{path}");
    }
    assert_eq!(server.get("/hello").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn each_request_gets_a_fresh_instance_unless_reuse_is_asked_for() -> Result<()> {
    let scratch = Scratch::new("fresh")?;
    let config = scratch.file("config", "")?;
    let check = async |arguments: &str, expect: &[&str]| -> Result<()> {
        let server = Server::hostile(&config)?.args(arguments).start().await?;
        for expect in expect {
            assert_eq!(server.get("/count").await?.body(), expect, "{arguments}");
        }
        Ok(())
    };
    check("", &["1", "1", "1"]).await?;
    check("--workers 1 --max-requests-per-instance 2", &["1", "2", "1", "2"]).await
}

#[tokio::test]
async fn only_the_directories_of_the_configuration_are_there() -> Result<()> {
    let scratch = Scratch::new("directories")?;
    let (read, write) = (scratch.path.join("data"), scratch.path.join("cache"));
    fs::create_dir(&read)?;
    fs::write(read.join("file"), "data")?;
    scratch.file("secret", "secret")?;
    std::os::unix::fs::symlink(scratch.path.join("secret"), read.join("link"))?;
    let config = format!("read {}\nwrite {}\n", read.display(), write.display());
    let server = Server::hostile(&scratch.file("config", &config)?)?.start().await?;
    assert!(write.is_dir(), "a writable directory is made");

    let check = async |verb: &str, path: &Path, expect: u16| -> Result<()> {
        let status = server.get(&format!("/{verb}{}", path.display())).await?.status();
        assert_eq!(status.as_u16(), expect, "{verb} {}", path.display());
        Ok(())
    };
    check("read", &read.join("file"), 200).await?;
    check("write", &write.join("file"), 200).await?;
    check("read", &write.join("file"), 200).await?;
    check("write", &read.join("file"), 404).await?;
    check("write", &read.join("new"), 404).await?;
    check("read", Path::new("/etc/passwd"), 404).await?;
    check("read", &scratch.path.join("secret"), 404).await?;
    check("read", &read.join("../secret"), 404).await?;
    check("read", &read.join("link"), 404).await?;
    assert_eq!(fs::read_to_string(read.join("file"))?, "data");
    Ok(())
}

#[tokio::test]
async fn files_are_sent_from_the_directories_of_the_configuration_alone() -> Result<()> {
    let scratch = Scratch::new("sendfile")?;
    let data = scratch.path.join("data");
    fs::create_dir(&data)?;
    fs::write(data.join("file"), "data")?;
    scratch.file("secret", "secret")?;
    std::os::unix::fs::symlink(scratch.path.join("secret"), data.join("link"))?;
    let config = scratch.file("config", &format!("read {}\n", data.display()))?;
    let server = Server::hostile(&config)?.start().await?;

    let get = async |target: String| -> Result<_> {
        let request = Request::get(target).header("x-sendfile-type", "none");
        let answer = server.send(request.body(Bytes::new())?).await?;
        assert!(!answer.headers().contains_key("x-sendfile"));
        Ok(answer)
    };
    let check = async |path: &Path, expect: &'static str| -> Result<()> {
        let answer = get(format!("/send{}", path.display())).await?;
        assert_eq!(
            (answer.status(), &answer.body()[..]),
            (StatusCode::OK, expect.as_bytes()),
            "{}",
            path.display()
        );
        Ok(())
    };
    // What a client says about sending files does not count.
    check(&data.join("file"), "data").await?;
    // Whatever cannot be sent, the instance is asked for.
    for path in [
        "data/missing",
        "data/link",
        "data/../secret",
        "secret",
        "data",
        "/etc/passwd",
    ] {
        check(&scratch.path.join(path), "from memory").await?;
    }
    let answer = get(format!("/insist{}", data.join("missing").display())).await?;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    Ok(())
}

#[tokio::test]
async fn a_cache_directory_may_be_deleted_at_any_time() -> Result<()> {
    let scratch = Scratch::new("deleted")?;
    let cache = scratch.path.join("cache/tiles");
    let server = Server::hostile(&scratch.file("config", &format!("write {}\n", cache.display()))?)?
        .start()
        .await?;
    let path = format!("/write{}/tile", cache.display());
    for _ in 0..3 {
        assert_eq!(server.get(&path).await?.status(), 200);
        assert!(cache.join("tile").is_file());
        fs::remove_dir_all(scratch.path.join("cache"))?;
    }
    Ok(())
}

/// A server that answers each connection with what `script` makes of the requests it gets, one after the other.
struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

/// What an upstream does with a request.
#[derive(Clone)]
enum Reply {
    Bytes(Vec<u8>),
    /// As above, then the connection is closed.
    Last(Vec<u8>),
    Silence,
}

impl Upstream {
    async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, answered, script) = (Arc::clone(&connections), Arc::clone(&requests), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (answered, script) = (Arc::clone(&answered), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if !head.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                        let reply = script(&String::from_utf8_lossy(&head));
                        head.clear();
                        match reply {
                            Reply::Bytes(bytes) => stream.write_all(&bytes).await?,
                            Reply::Last(bytes) => return stream.write_all(&bytes).await,
                            Reply::Silence => {}
                        }
                    }
                    Ok(())
                });
            }
        });
        Ok(Self {
            address,
            connections,
            requests,
        })
    }

    fn origin(&self) -> String {
        format!("origin http {} {}\n", self.address.ip(), self.address.port())
    }

    fn fetch(&self, path: &str) -> String {
        format!("/fetch?http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn ok(body: &[u8], headers: &str) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

#[tokio::test]
async fn only_the_origins_of_the_configuration_can_be_asked() -> Result<()> {
    let scratch = Scratch::new("origins")?;
    let named = Upstream::start(|_| Reply::Bytes(ok(b"map", ""))).await?;
    let other = Upstream::start(|_| Reply::Bytes(ok(b"secret", ""))).await?;
    let server = Server::hostile(&scratch.file("config", &named.origin())?)?
        .start()
        .await?;

    let answer = server.get(&named.fetch("/wms")).await?;
    assert_eq!((answer.status().as_u16(), text(answer.body()).as_str()), (200, "map"));
    let port = named.address.port();
    for url in [
        other.fetch("/"),
        format!("/fetch?https://127.0.0.1:{port}/"),
        format!("/fetch?http://localhost:{port}/"),
        "/fetch?http://127.0.0.1/".to_owned(),
        "/fetch?http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let answer = server.get(&url).await?;
        assert_eq!(answer.status(), 502, "{url}");
        assert_eq!(text(answer.body()), "ErrorCode::HttpRequestDenied", "{url}");
    }
    assert_eq!(other.connections(), 0);
    server
        .wait_for_log("an origin that its configuration does not name")
        .await?;
    Ok(())
}

#[tokio::test]
async fn connections_to_upstreams_are_kept_and_never_opened_in_advance() -> Result<()> {
    let scratch = Scratch::new("keep-alive")?;
    let upstream = Upstream::start(|head| {
        if head.starts_with("GET /close") {
            Reply::Last(ok(b"last", ""))
        } else {
            Reply::Bytes(ok(b"map", ""))
        }
    })
    .await?;
    let server = Server::hostile(&scratch.file("config", &upstream.origin())?)?
        .args("--workers 1")
        .start()
        .await?;
    for _ in 0..5 {
        assert_eq!(server.get(&upstream.fetch("/")).await?.status(), 200);
    }
    assert_eq!((upstream.connections(), upstream.requests()), (1, 5));
    // The server closes without saying so; the next request is made on a new connection.
    assert_eq!(text(server.get(&upstream.fetch("/close")).await?.body()), "last");
    assert_eq!(server.get(&upstream.fetch("/")).await?.status(), 200);
    assert_eq!((upstream.connections(), upstream.requests()), (2, 7));
    Ok(())
}

#[tokio::test]
async fn odd_upstreams_are_understood() -> Result<()> {
    let scratch = Scratch::new("odd")?;
    let upstream = Upstream::start(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            // Without a length the end of the connection is the end of the body.
            "/http10" => Reply::Last(b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\nold".to_vec()),
            "/gzip" => {
                assert!(head.to_ascii_lowercase().contains("accept-encoding: gzip"), "{head}");
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder
                    .write_all(b"compressed")
                    .and_then(|()| encoder.finish())
                    .map_or(Reply::Silence, |body| {
                        Reply::Bytes(ok(&body, "Content-Encoding: gzip\r\n"))
                    })
            }
            "/half" => Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec()),
            "/garbage" => Reply::Last(b"\x89PNG\r\n\r\n".to_vec()),
            "/empty" => Reply::Last(Vec::new()),
            "/large" => Reply::Bytes(ok(&vec![0; 2 << 20], "")),
            "/chunks" => {
                Reply::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec())
            }
            _ => Reply::Silence,
        }
    })
    .await?;
    let server = Server::hostile(&scratch.file("config", &upstream.origin())?)?
        .args("--upstream-timeout 500ms --max-upstream-body 1MiB")
        .start()
        .await?;
    let check = async |path: &str, status: u16, body: &str| -> Result<()> {
        let answer = server.get(&upstream.fetch(path)).await?;
        assert_eq!(
            (answer.status().as_u16(), text(answer.body()).as_str()),
            (status, body),
            "{path}"
        );
        Ok(())
    };
    check("/http10", 200, "old").await?;
    check("/gzip", 200, "compressed").await?;
    check("/chunks", 200, "abc").await?;
    check("/garbage", 502, "ErrorCode::HttpProtocolError").await?;
    check("/empty", 502, "ErrorCode::HttpResponseIncomplete").await?;
    check("/silence", 502, "ErrorCode::ConnectionReadTimeout").await?;
    check("/large", 502, "ErrorCode::HttpResponseBodySize(Some(2097152))").await?;
    // The guest of these tests takes an error within a body for its end.
    check("/half", 200, "half").await?;
    Ok(())
}

#[tokio::test]
async fn a_deadline_stops_waiting_for_an_upstream() -> Result<()> {
    let scratch = Scratch::new("deadline")?;
    let upstream = Upstream::start(|_| Reply::Silence).await?;
    let server = Server::hostile(&scratch.file("config", &upstream.origin())?)?
        .args("--request-timeout 500ms")
        .start()
        .await?;
    let started = Instant::now();
    assert_eq!(server.get(&upstream.fetch("/")).await?.status(), 503);
    assert!(started.elapsed() < Duration::from_secs(30));
    Ok(())
}

#[tokio::test]
async fn sigterm_lets_requests_finish_and_exits_with_zero() -> Result<()> {
    let scratch = Scratch::new("drain")?;
    let mut server = Server::hostile(&scratch.file("config", "")?)?.start().await?;
    let address = server.address();
    // Half an answer on the wire proves that the request is in flight.
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /trickle?40 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await?;
    let mut head = vec![0; 16];
    stream.read_exact(&mut head).await?;
    server.terminate()?;
    server.wait_for_log("stopping: waiting").await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    assert_eq!(String::from_utf8_lossy(&rest).matches("piece").count(), 40);
    assert!(server.wait().await?.success());
    assert!(TcpStream::connect(address).await.is_err());
    Ok(())
}

#[tokio::test]
async fn draining_is_bounded() -> Result<()> {
    let scratch = Scratch::new("drain-bounded")?;
    let mut server = Server::hostile(&scratch.file("config", "")?)?
        .args("--shutdown-timeout 200ms")
        .start()
        .await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    stream
        .write_all(b"GET /trickle?10000 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await?;
    stream.read_exact(&mut [0; 16]).await?;
    server.terminate()?;
    assert!(server.wait().await?.success());
    server.wait_for_log("stopping although requests are in flight").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_queue_requests_are_refused_with_retry_after() -> Result<()> {
    let scratch = Scratch::new("queue")?;
    let server = Server::hostile(&scratch.file("config", "")?)?.args("--max-in-flight 1 --queue 1");
    let server = Arc::new(server.start().await?);
    let mut requests = JoinSet::new();
    for _ in 0..6 {
        let server = Arc::clone(&server);
        requests.spawn(async move { server.get("/sleep?1000").await });
    }
    let mut statuses = Vec::new();
    while let Some(answer) = requests.join_next().await {
        let answer = answer??;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"));
        }
        statuses.push(answer.status().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503, 503, 503]);
    assert_eq!(server.get("/hello").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn clients_that_send_slowly_are_cut_off() -> Result<()> {
    let scratch = Scratch::new("slow")?;
    let server = Server::hostile(&scratch.file("config", "")?)?
        .args("--read-timeout 300ms")
        .start()
        .await?;
    let check = async |sent: &[u8], expect: &str| -> Result<()> {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(sent).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        assert!(answer.starts_with(expect), "{answer}");
        Ok(())
    };
    check(b"GET /hello HTT", "").await?;
    check(
        b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 408",
    )
    .await
}

#[tokio::test]
async fn clients_that_do_not_read_are_cut_off() -> Result<()> {
    let scratch = Scratch::new("stalled")?;
    let server = Server::hostile(&scratch.file("config", "")?)?
        .args("--write-timeout 300ms --access-log json")
        .start()
        .await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    stream
        .write_all(b"GET /large?50000000 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await?;
    let line = server.wait_for_log("\"path\":\"/large\"").await?;
    assert!(!line.contains("\"bytes\":50000000"), "{line}");
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).await;
    assert!(ended.is_err() || answer.len() < 50_000_000);
    Ok(())
}

#[tokio::test]
async fn oversize_requests_are_refused() -> Result<()> {
    let scratch = Scratch::new("oversize")?;
    let server = Server::hostile(&scratch.file("config", "")?)?
        .args("--max-body 1KiB")
        .start()
        .await?;
    let header = Request::get("/echo")
        .header("x-long", "x".repeat(70 << 10))
        .body(Bytes::new())?;
    assert_eq!(server.send(header).await?.status(), 431);
    let uri = Request::get(format!("/echo?{}", "x".repeat(33 << 10))).body(Bytes::new())?;
    assert_eq!(server.send(uri).await?.status(), 414);
    let fits = Request::post("/echo").body(Bytes::from(vec![b'x'; 1024]))?;
    assert_eq!(server.send(fits).await?.status(), 200);
    let body = Request::post("/echo").body(Bytes::from(vec![b'x'; 1025]))?;
    assert_eq!(server.send(body).await?.status(), 413);

    // In chunks the length is not known beforehand.
    let mut stream = TcpStream::connect(server.address()).await?;
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    stream
        .write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes())
        .await?;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await?;
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    Ok(())
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() -> Result<()> {
    let scratch = Scratch::new("head")?;
    let server = Server::hostile(&scratch.file("config", "")?)?.start().await?;
    for (path, length) in [("/hello", "5"), ("/trickle?3", "18")] {
        let answer = server.send(Request::head(path).body(Bytes::new())?).await?;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers().get("content-length").context("no length")?,
            length,
            "{path}"
        );
        assert!(answer.body().is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_its_guest() -> Result<()> {
    let scratch = Scratch::new("left")?;
    let server = Server::hostile(&scratch.file("config", "")?)?
        .args("--max-in-flight 1 --queue 0")
        .start()
        .await?;
    // The one place is taken; that it stays taken after the client has left shows that the guest goes on. A request
    // that finds the place taken by one of ours is refused, and is then made again.
    let stream = 'taken: loop {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream
            .write_all(b"GET /sleep?3000 HTTP/1.1\r\nHost: test\r\n\r\n")
            .await?;
        for _ in 0..20 {
            if server.get("/hello").await?.status() == 503 {
                break 'taken stream;
            }
        }
    };
    drop(stream);
    server.wait_for_log("\" 499 0 ").await?;
    assert_eq!(server.get("/hello").await?.status(), 503);
    while server.get("/hello").await?.status() != 200 {}
    Ok(())
}

#[tokio::test]
async fn guests_write_to_the_log_under_the_id_of_their_request() -> Result<()> {
    let scratch = Scratch::new("log")?;
    let server = Server::hostile(&scratch.file("config", "")?)?.start().await?;
    assert_eq!(server.get("/log").await?.status(), 200);
    for (text, level) in [
        ("a line on standard output", " INFO "),
        ("a line with a level", "ERROR "),
        ("a line without a level", " WARN "),
    ] {
        let line = server.wait_for_log(text).await?;
        assert!(line.contains(level) && line.contains("request{id="), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn forwarded_headers_are_passed_on_unless_told_otherwise() -> Result<()> {
    let scratch = Scratch::new("forwarded")?;
    let config = scratch.file("config", "")?;
    let check = async |arguments: &str, expect: bool| -> Result<()> {
        let server = Server::hostile(&config)?.args(arguments).start().await?;
        let request = Request::get("/echo")
            .header("X-Script-Name", "/maps")
            .header("X-Forwarded-Host", "example.org");
        let answer = server.send(request.body(Bytes::new())?).await?;
        let body = text(answer.body());
        assert_eq!(body.contains("x-script-name: /maps"), expect, "{body}");
        assert_eq!(body.contains("x-forwarded-host: example.org"), expect, "{body}");
        Ok(())
    };
    check("", true).await?;
    check("--no-forwarded-headers", false).await
}

#[tokio::test]
async fn a_broken_configuration_keeps_the_old_one_with_reload() -> Result<()> {
    let scratch = Scratch::new("reload")?;
    let part = scratch.file("part", "")?;
    let need = format!("need {}\n", part.display());
    let config = scratch.file("config", &need)?;
    let server = Server::hostile(&config)?.arg("--reload").start().await?;
    assert_eq!(server.get("/hello").await?.status(), 200);
    fs::write(&config, format!("{need}error first\n"))?;
    assert_eq!(server.get("/hello").await?.status(), 200);
    server.wait_for_log("first").await?;
    fs::write(&config, &need)?;
    assert_eq!(server.get("/hello").await?.status(), 200);
    server.wait_for_log("loaded the changed configuration").await?;
    // A file it was made from counts too.
    fs::write(&part, "changed")?;
    fs::write(&config, format!("{need}refuse"))?;
    assert_eq!(server.get("/hello").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn check_prints_all_problems_and_tells_by_its_exit_code() -> Result<()> {
    let scratch = Scratch::new("check")?;
    scratch.file("good.yaml", "warning doubtful\n")?;
    scratch.file("bad.yaml", "# comment\nerror one\nerror two\n")?;
    let run = |arguments: &str| -> Result<(bool, String, String)> {
        let output = std::process::Command::new(binary()?)
            .args(arguments.split(' '))
            .current_dir(&scratch.path)
            .env("MAPPROXY_COMPONENT", hostile_component()?)
            .output()?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
    };
    let (success, text, _) = run("check good.yaml")?;
    assert!(success);
    assert!(text.ends_with("1 file checked: 0 errors, 1 warning\n"), "{text}");
    let (success, text, _) = run("check good.yaml bad.yaml missing.yaml")?;
    assert!(!success);
    assert!(
        text.contains("error: two\n --> bad.yaml:3:1\n  |\n3 | error two\n  | ^^^^^\n"),
        "{text}"
    );
    assert!(text.contains("error: failed to find `missing.yaml`"), "{text}");
    assert!(text.ends_with("3 files checked: 3 errors, 1 warning\n"), "{text}");
    let (success, text, _) = run("check bad.yaml --format json")?;
    assert!(!success);
    let problems: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(problems[1]["message"], "two");
    assert_eq!(problems[1]["line"], 3);

    let (success, _, errors) = run("serve bad.yaml")?;
    assert!(!success);
    assert!(errors.ends_with("2 errors, 0 warnings\n"), "{errors}");

    let (success, _, _) = run("compile good.yaml")?;
    assert!(success);
    assert_eq!(
        fs::read_to_string(scratch.path.join("good.compiled"))?,
        "warning doubtful\n"
    );
    Ok(())
}

#[tokio::test]
async fn a_binary_can_carry_its_component() -> Result<()> {
    let scratch = Scratch::new("embed")?;
    let bundled = scratch.path.join("mapproxy");
    let status = std::process::Command::new(binary()?)
        .args(["embed", "--output"])
        .arg(&bundled)
        .arg("--component")
        .arg(hostile_component()?)
        .status()?;
    assert!(status.success());
    let config = scratch.file("config", "")?;
    let server = Server::builder()?.arg(&config).bundled(bundled).start().await?;
    assert_eq!(server.get("/hello").await?.body(), "hello");
    assert!(!server.log().contains("compiling"), "{}", server.log());
    Ok(())
}

#[tokio::test]
async fn workers_share_one_address_and_are_replaced() -> Result<()> {
    let scratch = Scratch::new("workers")?;
    let config = scratch.file("config", "warning said once\n")?;
    let mut server = Server::hostile(&config)?.args("--workers 3").start().await?;
    let children = format!("/proc/{0}/task/{0}/children", server.pid()?.as_raw_nonzero());
    let workers = || -> Result<Vec<i32>> {
        Ok(fs::read_to_string(&children)?
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?)
    };
    let before = workers()?;
    assert_eq!(before.len(), 3);
    for _ in 0..20 {
        assert_eq!(server.get("/hello").await?.body(), "hello");
    }
    assert_eq!(server.log().matches("said once").count(), 1);

    let victim = *before.first().context("there are workers")?;
    let pid = rustix::process::Pid::from_raw(victim).context("not 0")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    server.wait_for_log("starting another").await?;
    while workers()?.len() < 3 || workers()?.contains(&victim) {
        tokio::task::yield_now().await;
    }
    server.terminate()?;
    assert!(server.wait().await?.success());
    assert!(TcpStream::connect(server.address()).await.is_err());
    Ok(())
}

#[tokio::test]
async fn workers_do_not_outlive_their_supervisor() -> Result<()> {
    let scratch = Scratch::new("orphans")?;
    let mut server = Server::hostile(&scratch.file("config", "")?)?
        .args("--workers 2")
        .start()
        .await?;
    server.kill()?;
    server.wait().await?;
    while TcpStream::connect(server.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_not_shared_by_mistake() -> Result<()> {
    let scratch = Scratch::new("taken")?;
    let config = scratch.file("config", "")?;
    for workers in ["1", "2"] {
        let server = Server::hostile(&config)?.args("--workers 2").start().await?;
        let output = tokio::process::Command::new(binary()?)
            .args(["serve", "--workers", workers, "--listen", &server.address().to_string()])
            .arg(&config)
            .env("MAPPROXY_COMPONENT", hostile_component()?)
            .output()
            .await?;
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("failed to listen on"), "{error}");
    }
    Ok(())
}
