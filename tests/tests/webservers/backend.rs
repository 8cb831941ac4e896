//! The servers behind a web server: one with maps, one that misbehaves as it is told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mapproxy_tests::server::Server;
use mapproxy_tests::site::Site;
use mapproxy_tests::webserver::{free_address, open_folder};

const CONFIGURATION: &str = "
services:
  demo:
  tms: {use_grid_names: true}
  kml: {use_grid_names: true}
  wmts: {restful: true, kvp: true}
  wms:
    srs: ['EPSG:4326', 'EPSG:3857']
    featureinfo_types: [text]
    md: {title: Behind a web server}
layers:
  - {name: cached, title: Cached map, sources: [map_cache]}
  - {name: direct, title: Direct map, sources: [map]}
caches:
  map_cache: {grids: [GLOBAL_WEBMERCATOR], sources: [map]}
sources:
  map:
    type: wms
    supported_srs: ['EPSG:3857', 'EPSG:4326']
    wms_opts: {featureinfo: true}
    req: {url: SAMPLE/service, layers: map}
";

/// Where a server is asked by its web server.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    Socket(PathBuf),
    Http(SocketAddr),
}

impl Endpoint {
    #[expect(clippy::unnecessary_wraps, reason = "goes where `free_http` goes too")]
    pub(crate) fn socket_in(folder: &Path, name: &str) -> Result<Self> {
        Ok(Self::Socket(folder.join(name)))
    }

    pub(crate) fn free_http(_folder: &Path, _name: &str) -> Result<Self> {
        Ok(Self::Http(free_address()?))
    }
}

/// A server that can be stopped, and started again at the same place.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) endpoint: Endpoint,
    config: PathBuf,
    arguments: String,
    hostile: bool,
    server: Option<Server>,
}

impl Backend {
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let server = if self.hostile {
            Server::hostile(&self.config)?
        } else {
            Server::with(&self.config)?
        };
        let server = server.without_http().args(&self.arguments);
        let server = match &self.endpoint {
            Endpoint::Socket(path) => server
                .arg("--fastcgi")
                .arg(format!("unix:{},mode=0666", path.display())),
            Endpoint::Http(address) => server.arg("--listen").arg(address.to_string()),
        };
        self.server = Some(server.start().await?);
        Ok(())
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        self.server.as_ref().map(Server::log).unwrap_or_default()
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        let mut server = self.server.take().context("it runs")?;
        server.terminate()?;
        server.wait().await?;
        Ok(())
    }
}

/// Both servers, and the folder they work in.
#[derive(Debug)]
pub(crate) struct Backends {
    pub(crate) maps: Backend,
    pub(crate) hostile: Backend,
    site: Site,
}

impl Backends {
    pub(crate) async fn start(endpoint: impl Fn(&Path, &str) -> Result<Endpoint>, arguments: &str) -> Result<Self> {
        let mut backends = Self::new(endpoint, arguments)?;
        backends.maps.start_again().await?;
        backends.hostile.start_again().await?;
        Ok(backends)
    }

    /// For a web server that starts them itself.
    pub(crate) fn stopped() -> Result<Self> {
        Self::new(Endpoint::socket_in, "")
    }

    fn new(endpoint: impl Fn(&Path, &str) -> Result<Endpoint>, arguments: &str) -> Result<Self> {
        let site = Site::new(CONFIGURATION)?;
        open_folder(site.folder())?;
        let hostile_config = site.folder().join("hostile");
        std::fs::write(&hostile_config, "")?;
        let backend = |config: PathBuf, hostile: bool, name: &str| -> Result<Backend> {
            Ok(Backend {
                endpoint: endpoint(site.folder(), name)?,
                config,
                arguments: arguments.to_owned(),
                hostile,
                server: None,
            })
        };
        Ok(Self {
            maps: backend(site.configuration(), false, "maps-socket")?,
            hostile: backend(hostile_config, true, "hostile-socket")?,
            site,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.site.folder()
    }

    pub(crate) fn maps_config(&self) -> PathBuf {
        self.maps.config.clone()
    }

    pub(crate) fn hostile_config(&self) -> PathBuf {
        self.hostile.config.clone()
    }
}
