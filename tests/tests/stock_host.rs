//! The component in a stock `wasmtime-wasi-http` host, without a line of ours: no `configure`, no allow-list, just
//! `wasi:http/proxy` and one preopened directory. It must answer what our own host answers.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use mapproxy_tests::sample::SampleWms;
use mapproxy_tests::server::{self, Server};
use tempfile::TempDir;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Nothing may be asked upstream here: the requests below are answered from the cache directory.
struct Hooks;

type Sending<T> = Box<dyn Future<Output = T> + Send>;
type Sent = (http::Response<WasiBody>, Sending<Result<(), Error>>);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Sending<Result<(), Error>>,
    ) -> Sending<Result<Sent, Error>> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

/// Calls `incoming-handler` of a fresh instance; status, content type and body.
async fn ask(component: &Path, directory: &Path, path: &str) -> Result<(u16, String, Bytes)> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, component)?;
    let mut linker: Linker<Host> = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let proxy = ProxyPre::new(linker.instantiate_pre(&component)?)?;

    let mut wasi = WasiCtx::builder();
    wasi.inherit_stderr()
        .preopened_dir(directory, directory.to_str().context("path")?, FsPerms::ReadWrite)?;
    let host = Host {
        table: ResourceTable::new(),
        wasi: wasi.build(),
        http: WasiHttpCtx::new(),
        hooks: Hooks,
    };
    let mut store = Store::new(&engine, host);
    let request = http::Request::get(format!("http://localhost:8080{path}")).body(Empty::<Bytes>::new())?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(sender)?;
    let proxy = proxy.instantiate_async(&mut store).await?;
    let task = tokio::spawn(async move {
        proxy
            .wasi_http_incoming_handler()
            .call_handle(&mut store, request, out)
            .await
    });
    let response = receiver.await.context("no response")??;
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get("content-type")
        .map_or("", |value| value.to_str().unwrap_or("?"))
        .to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    task.await??;
    Ok((status, content_type, body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_host_answers_the_same_bytes() -> Result<()> {
    let directory = TempDir::new()?;
    let root = directory.path().canonicalize()?;
    let upstream = SampleWms::start()?;
    let configuration = format!(
        "services: {{wms: {{srs: ['EPSG:4326', 'EPSG:3857']}}, wmts: , tms: {{use_grid_names: true}}}}\n\
         layers: [{{name: map, title: map, sources: [map]}}]\n\
         caches: {{map: {{grids: [GLOBAL_WEBMERCATOR], sources: [wms], meta_size: [2, 2]}}}}\n\
         sources: {{wms: {{type: wms, req: {{url: '{}/wms?', layers: map}}}}}}\n",
        upstream.url()
    );
    fs::write(root.join("mapproxy.yaml"), configuration)?;
    let server = Server::with(&root.join("mapproxy.yaml"))?.start().await?;
    // The first round fills the cache, so that the second needs no upstream.
    for path in PATHS {
        server.get(path).await?;
    }
    for compiled in [false, true] {
        if compiled {
            let made = std::process::Command::new(server::binary()?)
                .arg("compile")
                .arg(root.join("mapproxy.yaml"))
                .env("MAPPROXY_COMPONENT", server::component()?)
                .output()?;
            ensure!(
                made.status.success(),
                "mapproxy compile: {}",
                String::from_utf8_lossy(&made.stderr)
            );
            ensure!(
                root.join("mapproxy.compiled").is_file(),
                "mapproxy compile wrote nothing"
            );
        }
        for path in PATHS {
            let request = hyper::Request::get(*path)
                .header("host", "localhost:8080")
                .body(Bytes::new())?;
            let ours = server.send(request).await?;
            let (status, content_type, body) = ask(&server::component()?, &root, path).await?;
            assert_eq!(status, ours.status().as_u16(), "{path}");
            assert_eq!(content_type, ours.headers()["content-type"], "{path}");
            assert_eq!(body, ours.body(), "{path}, compiled: {compiled}");
        }
    }
    Ok(())
}

const PATHS: &[&str] = &[
    "/tms/1.0.0/map/GLOBAL_WEBMERCATOR/1/1/1.png",
    "/wmts/map/GLOBAL_WEBMERCATOR/2/1/1.png",
    "/service?service=WMS&version=1.1.1&request=GetMap&layers=map&styles=&srs=EPSG:4326&bbox=-20,30,40,60&width=200&height=100&format=image/png",
    "/service?service=WMS&version=1.3.0&request=GetCapabilities",
    "/nothing",
];
