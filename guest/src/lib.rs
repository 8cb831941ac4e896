//! `mapproxy.wasm`: the shell around the core. The only code that mentions WASI.
//!
//! It exports `wasi:http/incoming-handler`, which any host of `wasi:http` can call, and `mapproxy:proxy/configuration`,
//! with which a host that knows us compiles the configuration once and hands it to every fresh instance
//! (`wit/mapproxy.wit`).
#![expect(
    unsafe_code,
    reason = "the export macros of the bindings expand to `unsafe extern` functions, and an allocator is unsafe"
)]

mod allocator;
mod configuration;
mod files;
mod http_client;
mod logger;
mod platform;
mod redirect;
mod seeding;
mod tools;

use std::rc::Rc;

use mapproxy_core::http::{Method, Request, Response};
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method as WasiMethod, OutgoingBody, OutgoingResponse, ResponseOutparam,
    Scheme,
};
use wasip2::io::streams::StreamError;

use crate::platform::Wasi;

/// Largest request body that is read; the host has a limit of its own.
const MAX_BODY: usize = 16 << 20;

/// Names the file that is the body; `wit/mapproxy.wit` has the contract.
const SENDFILE: &str = "x-sendfile";
const SENDFILE_TYPE: &str = "x-sendfile-type";

mod bindings {
    #![allow(clippy::all, clippy::pedantic, clippy::restriction, reason = "generated code")]
    wit_bindgen::generate!({ path: "../wit", world: "full" });

    use super::Shell;
    export!(Shell);
}

struct Shell;

wasip2::http::proxy::export!(Shell);

impl wasip2::exports::http::incoming_handler::Guest for Shell {
    fn handle(incoming: IncomingRequest, out: ResponseOutparam) {
        logger::install();
        let platform = Rc::new(Wasi::default());
        let response = match read_request(&incoming) {
            Ok(mut request) => match configuration::current(&platform) {
                Ok(compiled) => {
                    request.sends_files = configuration::was_given()
                        && request.headers.get(SENDFILE_TYPE).is_none_or(|value| value != "none");
                    let platform: Rc<dyn mapproxy_core::platform::Platform> = platform;
                    mapproxy_core::app::handle(&platform, &compiled, &request)
                }
                Err(problem) => {
                    log::error!("{problem}");
                    Response::new(
                        500,
                        "text/plain; charset=utf-8",
                        "the configuration cannot be used, see the log\n",
                    )
                }
            },
            Err(response) => response,
        };
        answer(&response, out);
    }
}

impl bindings::exports::mapproxy::proxy::configuration::Guest for Shell {
    fn compile(
        main: String,
        files: Vec<bindings::exports::mapproxy::proxy::configuration::File>,
        environment: Vec<(String, String)>,
    ) -> bindings::exports::mapproxy::proxy::configuration::Outcome {
        configuration::compile(&main, files, environment)
    }

    fn configure(compiled: Vec<u8>) -> Result<(), String> {
        configuration::configure(compiled)
    }
}

impl bindings::exports::mapproxy::proxy::seeding::Guest for Shell {
    fn compile(
        main: String,
        seed: String,
        files: Vec<bindings::exports::mapproxy::proxy::configuration::File>,
        environment: Vec<(String, String)>,
    ) -> bindings::exports::mapproxy::proxy::configuration::Outcome {
        configuration::compile_seed(&main, &seed, files, environment)
    }

    fn tasks() -> Result<Vec<seeding::wit::Task>, String> {
        seeding::tasks()
    }

    fn count(task: u32, options: seeding::wit::Options) -> Result<seeding::wit::Estimate, seeding::wit::Failure> {
        seeding::count(task, options)
    }

    fn look(
        task: u32,
        options: seeding::wit::Options,
        level: u32,
    ) -> Result<seeding::wit::Picture, seeding::wit::Failure> {
        seeding::look(task, options, level)
    }

    fn plan(
        task: u32,
        options: seeding::wit::Options,
        cursor: Option<Vec<u8>>,
        limit: u32,
    ) -> Result<seeding::wit::Batch, seeding::wit::Failure> {
        seeding::plan(task, options, cursor.as_deref(), limit)
    }

    fn run(
        task: u32,
        options: seeding::wit::Options,
        id: String,
    ) -> Result<seeding::wit::Report, seeding::wit::Failure> {
        seeding::run(task, options, &id)
    }
}

impl bindings::exports::mapproxy::proxy::tools::Guest for Shell {
    fn ask(
        question: tools::wit::Question,
        files: Vec<bindings::exports::mapproxy::proxy::configuration::File>,
        environment: Vec<(String, String)>,
    ) -> tools::wit::Answer {
        tools::ask(question, files, environment)
    }
}

fn read_request(incoming: &IncomingRequest) -> Result<Request, Response> {
    let method = match incoming.method() {
        WasiMethod::Get => Method::Get,
        WasiMethod::Head => Method::Head,
        WasiMethod::Post => Method::Post,
        WasiMethod::Options => Method::Options,
        _ => Method::Other,
    };
    let target = incoming.path_with_query().unwrap_or_else(|| "/".to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let headers = http_client::headers(&incoming.headers());
    let body = if method == Method::Post {
        read_body(incoming)?
    } else {
        Vec::new()
    };
    Ok(Request {
        method,
        scheme: if matches!(incoming.scheme(), Some(Scheme::Https)) {
            "https"
        } else {
            "http"
        }
        .to_owned(),
        authority: headers
            .get("host")
            .map(str::to_owned)
            .or_else(|| incoming.authority())
            .unwrap_or_default(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        sends_files: false,
    })
}

fn read_body(incoming: &IncomingRequest) -> Result<Vec<u8>, Response> {
    let refuse = |status, text: &str| Response::new(status, "text/plain; charset=utf-8", text);
    let body: IncomingBody = incoming
        .consume()
        .map_err(|()| refuse(400, "the request has no body\n"))?;
    let stream = body.stream().map_err(|()| refuse(400, "the request has no body\n"))?;
    let mut data = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(piece) => data.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(data),
            Err(StreamError::LastOperationFailed(_)) => return Err(refuse(400, "the request broke off\n")),
        }
        if data.len() > MAX_BODY {
            return Err(refuse(413, "the request is too large\n"));
        }
    }
}

fn answer(response: &Response, out: ResponseOutparam) {
    let length = response.body.len().to_string();
    let bodyless = matches!(response.status, 204 | 304) || response.file.is_some();
    let fields = Fields::new();
    for (name, value) in &response.headers.0 {
        if let Err(error) = fields.append(name, value.as_bytes()) {
            log::error!("response header `{name}`: {error}");
        }
    }
    if let Some(path) = &response.file
        && let Err(error) = fields.append(SENDFILE, path.as_bytes())
    {
        log::error!("`{path}` cannot be sent: {error}");
    }
    if !bodyless {
        let _ = fields.set("content-length", &[length.into_bytes()]);
    }
    let outgoing = OutgoingResponse::new(fields);
    let _ = outgoing.set_status_code(response.status);
    let body = outgoing.body();
    // The head goes first, so that the host takes the body as it comes and never holds two copies of a large map.
    ResponseOutparam::set(out, Ok(outgoing));
    if let Ok(body) = body {
        let written = if bodyless {
            Ok(())
        } else {
            write_body(&body, &response.body)
        };
        // A client that has gone away is nobody's fault.
        if let Err(error) = written.and_then(|()| OutgoingBody::finish(body, None).map_err(|code| code.to_string())) {
            log::debug!("response not sent: {error}");
        }
    }
}

/// Writes all of `data`, waiting whenever the host has enough.
fn write_body(body: &OutgoingBody, data: &[u8]) -> Result<(), String> {
    let stream = body.write().map_err(|()| "the body was taken".to_owned())?;
    let mut rest = data;
    while !rest.is_empty() {
        let room = stream.check_write().map_err(|error| error.to_string())?;
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        stream.write(now).map_err(|error| error.to_string())?;
        rest = later;
    }
    Ok(())
}
