//! A component that misbehaves in every way the host must survive. The first segment of the path chooses how.
//!
//! | path | what it does |
//! |---|---|
//! | `/hello` | answers at once |
//! | `/echo` | answers with the request: method, path, headers, body |
//! | `/count` | answers how many requests this instance has seen |
//! | `/loop` | computes for ever |
//! | `/loop-after-head` | sends the head and half a body, then computes for ever |
//! | `/memory` | asks for more and more memory |
//! | `/trap`, `/panic` | `unreachable`; a panic with a message |
//! | `/trap-after-head` | sends the head and half a body, then traps |
//! | `/nothing` | ends without an answer |
//! | `/deep` | recurses without end |
//! | `/fetch?URL` | asks the server and passes its status and body on, or the error code with status 502 |
//! | `/read/PATH` | reads a file; 404 with the error where it cannot |
//! | `/write/PATH` | writes a file, likewise |
//! | `/large?BYTES` | a body of that size |
//! | `/trickle?PIECES` | a body in pieces, 20 ms apart |
//! | `/sleep?MS` | waits, then answers |
//! | `/log` | writes to standard output and standard error |
//!
//! Its configuration is a text file, a line each: `read DIR`, `write DIR`, `origin http HOST PORT`, `need FILE`,
//! `error MESSAGE`, `warning MESSAGE`, `refuse` (compiles, but `configure` says no).
#![expect(
    unsafe_code,
    reason = "the export macros of the bindings expand to `unsafe extern` functions"
)]
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "misbehaving is its purpose"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::{OutputStream, StreamError};

mod bindings {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, reason = "generated code")]
    wit_bindgen::generate!({ path: "../../wit", world: "mapproxy" });

    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::mapproxy::proxy::configuration::{
    Access, Compiled, Directory, File, Guest as Configuration, Origin, Outcome, Problem, Severity,
};

struct Hostile;

wasip2::http::proxy::export!(Hostile);

impl Configuration for Hostile {
    fn compile(main: String, files: Vec<File>, _environment: Vec<(String, String)>) -> Outcome {
        let find = |path: &str| files.iter().find(|file| file.path == path);
        let Some(file) = find(&main) else {
            return Outcome::Need(vec![main]);
        };
        let content = match &file.content {
            Ok(content) => String::from_utf8_lossy(content).into_owned(),
            Err(error) => return Outcome::Problems(vec![problem(Severity::Error, &main, 0, "", error)]),
        };
        let mut compiled = Compiled {
            bytes: content.clone().into_bytes(),
            files: files.iter().map(|file| file.path.clone()).collect(),
            directories: Vec::new(),
            origins: Vec::new(),
            warnings: Vec::new(),
        };
        let mut needed = Vec::new();
        let mut errors = Vec::new();
        for (index, line) in content.lines().enumerate() {
            let number = index as u32 + 1;
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "read" => compiled.directories.push(Directory {
                    path: rest.to_owned(),
                    access: Access::Read,
                }),
                "write" => compiled.directories.push(Directory {
                    path: rest.to_owned(),
                    access: Access::ReadWrite,
                }),
                "origin" => compiled.origins.extend(origin(rest)),
                "need" if find(rest).is_none() => needed.push(rest.to_owned()),
                "error" => errors.push(problem(Severity::Error, &main, number, line, rest)),
                "warning" => compiled
                    .warnings
                    .push(problem(Severity::Warning, &main, number, line, rest)),
                _ => {}
            }
        }
        if !errors.is_empty() {
            errors.append(&mut compiled.warnings);
            Outcome::Problems(errors)
        } else if needed.is_empty() {
            Outcome::Compiled(compiled)
        } else {
            Outcome::Need(needed)
        }
    }

    fn configure(compiled: Vec<u8>) -> Result<(), String> {
        if compiled.starts_with(b"refuse") {
            Err("refused, as asked".to_owned())
        } else {
            Ok(())
        }
    }
}

fn origin(text: &str) -> Option<Origin> {
    let mut words = text.split(' ');
    Some(Origin {
        scheme: words.next()?.to_owned(),
        host: words.next()?.to_owned(),
        port: words.next()?.parse().ok()?,
        no_cert_checks: false,
        ca_certs: None,
    })
}

fn problem(severity: Severity, file: &str, line: u32, source_line: &str, message: &str) -> Problem {
    Problem {
        severity,
        file: file.to_owned(),
        line,
        column: u32::from(line > 0),
        length: 5,
        source_line: source_line.to_owned(),
        yaml_path: String::new(),
        message: message.to_owned(),
        expected: String::new(),
        suggestion: None,
    }
}

impl wasip2::exports::http::incoming_handler::Guest for Hostile {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        static SERVED: AtomicU32 = AtomicU32::new(0);
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;

        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (behaviour, rest) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""));
        match behaviour {
            "echo" => answer(out, 200, &echo(&request)),
            "count" => answer(out, 200, served.to_string().as_bytes()),
            "loop" => compute(),
            "loop-after-head" => {
                half_an_answer(out);
                compute();
            }
            "memory" => exhaust(),
            "trap" => core::arch::wasm32::unreachable(),
            "trap-after-head" => {
                half_an_answer(out);
                core::arch::wasm32::unreachable();
            }
            "panic" => panic!("a panic, as asked"),
            "nothing" => drop(out),
            "deep" => answer(out, 200, recurse(1).to_string().as_bytes()),
            "fetch" => match fetch(query) {
                Ok((status, body)) => answer(out, status, &body),
                Err(code) => answer(out, 502, format!("{code:?}").as_bytes()),
            },
            "read" => match std::fs::read(format!("/{rest}")) {
                Ok(bytes) => answer(out, 200, &bytes),
                Err(error) => answer(out, 404, error.to_string().as_bytes()),
            },
            "write" => match std::fs::write(format!("/{rest}"), b"written") {
                Ok(()) => answer(out, 200, b"written"),
                Err(error) => answer(out, 404, error.to_string().as_bytes()),
            },
            "send" if refuses_files(&request) => answer(out, 200, b"from memory"),
            "send" | "insist" => send_file(out, &format!("/{rest}")),
            "large" => answer(out, 200, &vec![b'x'; query.parse().unwrap_or(1 << 20)]),
            "trickle" => trickle(out, query.parse().unwrap_or(10)),
            "sleep" => {
                let millis: u64 = query.parse().unwrap_or(100);
                monotonic_clock::subscribe_duration(millis * 1_000_000).block();
                answer(out, 200, b"slept");
            }
            "log" => {
                println!("a line on standard output");
                eprintln!("ERROR hostile::log: a line with a level");
                eprintln!("a line without a level");
                answer(out, 200, b"logged");
            }
            "hello" => answer(out, 200, b"hello"),
            _ => answer(out, 404, b"no such behaviour"),
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, bytes: &[u8]) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).expect("the status is valid");
    let body = response.body().expect("taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("taken once");
    // Fails when the client is gone, which is none of our business.
    let _ = write(&stream, bytes);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = stream.check_write()? as usize;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    stream.flush()
}

/// Asks the host to send a file.
fn send_file(out: ResponseOutparam, path: &str) {
    let fields = Fields::new();
    fields
        .append("x-sendfile", path.as_bytes())
        .expect("the path is a valid header");
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("taken once");
    ResponseOutparam::set(out, Ok(response));
    let _ = OutgoingBody::finish(body, None);
}

fn refuses_files(request: &IncomingRequest) -> bool {
    request.headers().get("x-sendfile-type") == [b"none"]
}

fn half_an_answer(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("taken once");
    let _ = write(&stream, b"half an answer");
    // Let the host see it before the worst happens.
    monotonic_clock::subscribe_duration(10_000_000).block();
    std::mem::forget((stream, body));
}

fn trickle(out: ResponseOutparam, pieces: u32) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("taken once");
    for _ in 0..pieces {
        if write(&stream, b"piece\n").is_err() {
            return;
        }
        monotonic_clock::subscribe_duration(20_000_000).block();
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn echo(request: &IncomingRequest) -> Vec<u8> {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        other => format!("{other:?}"),
    };
    let mut text = format!("{method} {}\n", request.path_with_query().unwrap_or_default()).into_bytes();
    text.extend_from_slice(format!("authority: {}\n", request.authority().unwrap_or_default()).as_bytes());
    for (name, value) in request.headers().entries() {
        text.extend_from_slice(format!("{name}: {}\n", String::from_utf8_lossy(&value)).as_bytes());
    }
    text.push(b'\n');
    text.extend_from_slice(&read(&request.consume().expect("consumed once")));
    text
}

fn read(body: &IncomingBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(stream) = body.stream() {
        while let Ok(piece) = stream.blocking_read(64 << 10) {
            bytes.extend_from_slice(&piece);
        }
    }
    bytes
}

fn compute() {
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

fn exhaust() {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if std::hint::black_box(true) {
        recurse(depth + 1) + frame[0]
    } else {
        depth
    }
}

fn fetch(url: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let (scheme, rest) = url.split_once("://").ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let set = request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let future = wasip2::http::outgoing_handler::handle(request, None)?;
    future.subscribe().block();
    let response = future.get().expect("it is ready").expect("taken once")?;
    let status = response.status();
    Ok((status, read(&response.consume().expect("consumed once"))))
}
