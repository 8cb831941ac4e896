//! What clients ask of a web server that has us behind it, and what they get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use mapproxy_tests::answers::{header, markup, media_type, text};
use mapproxy_tests::images::decode;
use mapproxy_tests::server::send;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const TILE: &str = "/tms/1.0.0/cached/GLOBAL_WEBMERCATOR/2/1/1.png";
const MAP: &str = "SERVICE=WMS&VERSION=1.1.1&STYLES=&SRS=EPSG:4326&BBOX=0,40,20,60&WIDTH=200&HEIGHT=200&FORMAT=image/png&LAYERS=direct";

/// Clients of one web server.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    address: SocketAddr,
    /// Where we are mounted; empty at the root.
    prefix: String,
    /// Host and port that links lead to.
    linked: String,
}

impl Clients {
    pub(crate) fn new(address: SocketAddr, prefix: &str) -> Self {
        Self {
            address,
            prefix: prefix.to_owned(),
            linked: format!("example.org:{}", address.port()),
        }
    }

    /// For a web server that does not tell its port.
    pub(crate) fn without_port(mut self) -> Self {
        "example.org".clone_into(&mut self.linked);
        self
    }

    fn host(&self) -> String {
        format!("example.org:{}", self.address.port())
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Response<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, self.host());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.address, request.body(body)?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response<Bytes>> {
        self.ask(Method::GET, path, &[], Bytes::new()).await
    }

    /// Many clients ask for the same at once; everybody is answered.
    pub(crate) async fn get_at_once(&self, path: &'static str, count: usize) -> Result<()> {
        let clients = Arc::new(self.clone());
        let mut all = JoinSet::new();
        for _ in 0..count {
            let clients = Arc::clone(&clients);
            all.spawn(async move { clients.get(path).await });
        }
        while let Some(answer) = all.join_next().await {
            let answer = answer??;
            ensure!(
                answer.status() == StatusCode::OK,
                "{path}: {} {}",
                answer.status(),
                text(&answer)
            );
        }
        Ok(())
    }

    /// Asks until there is an answer of the server behind.
    pub(crate) async fn wait_until_served(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Ok(answer) = self.get("/hello").await
                && answer.status() == StatusCode::OK
            {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the server behind is not asked again");
            tokio::task::yield_now().await;
        }
    }

    /// All services, with links that lead back here.
    pub(crate) async fn ask_for_maps(&self) -> Result<()> {
        let base = format!("http://{}{}", self.linked, self.prefix);
        let expect_link = async |path: &str, link: &str| -> Result<()> {
            let answer = self.get(path).await?;
            let page = markup(&answer);
            ensure!(answer.status() == StatusCode::OK, "{path}: {} {page}", answer.status());
            ensure!(
                page.contains(&format!("{base}{link}")),
                "no `{base}{link}` in {path}: {page}"
            );
            // And no link that leads anywhere else on this host.
            let elsewhere = page.split("http://").skip(1).find(|link| {
                link.starts_with("127.0.0.1") || link.starts_with("localhost") || {
                    link.starts_with("example.org") && !format!("http://{link}").starts_with(&base)
                }
            });
            ensure!(elsewhere.is_none(), "a link out of {base} in {path}: {elsewhere:?}");
            Ok(())
        };
        expect_link(
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.3.0",
            "/service?",
        )
        .await?;
        expect_link(
            "/service?SERVICE=WMS&REQUEST=GetCapabilities&VERSION=1.1.1",
            "/service?",
        )
        .await?;
        expect_link("/service?SERVICE=WMTS&REQUEST=GetCapabilities", "/service?").await?;
        expect_link("/wmts/1.0.0/WMTSCapabilities.xml", "/wmts/cached/").await?;
        expect_link("/tms/1.0.0/", "/tms/1.0.0/cached/GLOBAL_WEBMERCATOR").await?;
        expect_link(
            "/kml/cached/GLOBAL_WEBMERCATOR/0/0/0.kml",
            "/kml/cached/GLOBAL_WEBMERCATOR/",
        )
        .await?;

        let tile = self.get(TILE).await?;
        ensure!(media_type(&tile) == "image/png", "{} {}", tile.status(), text(&tile));
        assert_eq!(decode(tile.body())?.dimensions(), (256, 256));
        let etag = header(&tile, "etag");
        let unchanged = self
            .ask(Method::GET, TILE, &[("if-none-match", &etag)], Bytes::new())
            .await?;
        assert_eq!((unchanged.status().as_u16(), unchanged.body().len()), (304, 0));
        let head = self.ask(Method::HEAD, TILE, &[], Bytes::new()).await?;
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
        assert_eq!(media_type(&head), "image/png");
        // Apache leaves it out.
        let length = header(&head, "content-length");
        assert!(length.is_empty() || length == tile.body().len().to_string(), "{length}");

        let map = self.get(&format!("/service?{MAP}&REQUEST=GetMap")).await?;
        ensure!(media_type(&map) == "image/png", "{}", text(&map));
        assert_eq!(decode(map.body())?.dimensions(), (200, 200));
        let info =
            format!("/service?{MAP}&REQUEST=GetFeatureInfo&QUERY_LAYERS=direct&X=100&Y=100&INFO_FORMAT=text/plain");
        let info = self.get(&info).await?;
        assert_eq!(
            (info.status().as_u16(), media_type(&info).as_str()),
            (200, "text/plain"),
            "{}",
            text(&info)
        );
        let error = self.get("/service?SERVICE=WMS&REQUEST=GetMap&LAYERS=none").await?;
        assert!(text(&error).contains("ServiceException"), "{}", text(&error));
        assert_eq!(
            self.get("/tms/1.0.0/none/0/0/0.png").await?.status(),
            StatusCode::NOT_FOUND
        );

        let demo = self.get("/demo/").await?;
        assert_eq!((demo.status().as_u16(), media_type(&demo).as_str()), (200, "text/html"));
        let script = self.get("/demo/static/demo.js").await?;
        assert_eq!(
            (script.status().as_u16(), media_type(&script).as_str()),
            (200, "text/javascript")
        );
        assert_eq!(self.get("/").await?.status(), StatusCode::OK);

        self.get_at_once(TILE, 64).await
    }

    /// What is hard to pass on: bodies, odd paths, large and slow answers, clients that leave.
    pub(crate) async fn misbehave(&self) -> Result<()> {
        let body = Bytes::from("x".repeat(200_000));
        let path = "/echo/stra%C3%9Fe%20x/%E6%9D%B1%E4%BA%AC%3F?q=%20%C3%A4%2F&r";
        let answer = self
            .ask(
                Method::POST,
                path,
                &[("content-type", "text/xml"), ("x-script-name", "/evil")],
                body.clone(),
            )
            .await?;
        let echo = text(&answer);
        let (head, seen) = echo.split_once("\n\n").unwrap_or_default();
        ensure!(answer.status() == StatusCode::OK, "{} {echo}", answer.status());
        assert_eq!(seen.len(), body.len());
        assert!(head.starts_with(&format!("POST {path}\n")), "{head}");
        let lines: Vec<String> = head.lines().map(str::to_lowercase).collect();
        let has = |line: &str| lines.iter().any(|seen| seen == line);
        assert!(has("content-type: text/xml"), "{head}");
        let mount = format!("x-script-name: {}", self.prefix);
        assert!(has(&mount) || self.prefix.is_empty(), "{head}");
        assert!(!head.contains("evil"), "{head}");

        let large = self.get("/large?5242880").await?;
        assert_eq!((large.status().as_u16(), large.body().len()), (200, 5 << 20));
        assert_eq!(self.get("/trap").await?.status(), StatusCode::INTERNAL_SERVER_ERROR);

        for path in ["/sleep?1000", "/large?50000000"] {
            for _ in 0..10 {
                let mut client = TcpStream::connect(self.address).await?;
                let request = format!("GET {}{path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.prefix, self.host());
                client.write_all(request.as_bytes()).await?;
                if path.starts_with("/large") {
                    // In the middle of the answer.
                    client.read_exact(&mut vec![0; 100_000]).await?;
                }
            }
        }
        self.get_at_once("/hello", 64).await
    }
}
