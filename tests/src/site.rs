//! A place to run the proxy in: a temporary folder with a `mapproxy.yaml`, and the sample WMS as its upstream.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use bytes::Bytes;
use hyper::Request;
use image::RgbaImage;

use crate::images::decode;
use crate::sample::SampleWms;
use crate::server::{Builder, Server, send};

/// A configuration in a folder of its own, deleted when dropped, and the sample WMS it asks.
#[derive(Debug)]
pub struct Site {
    pub sample: SampleWms,
    folder: tempfile::TempDir,
}

impl Site {
    /// Writes a configuration; `SAMPLE` in it stands for the sample WMS's address, `http://127.0.0.1:PORT`.
    pub fn new(configuration: &str) -> Result<Self> {
        let sample = SampleWms::start()?;
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        let site = Self { sample, folder };
        site.configure(configuration)?;
        Ok(site)
    }

    /// Writes another configuration in place of the present one.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        let text = configuration.replace("SAMPLE", self.sample.url());
        std::fs::write(self.configuration(), text).context("failed to write `mapproxy.yaml`")
    }

    /// Path of the `mapproxy.yaml`.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("mapproxy.yaml")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where caches lie unless the configuration says otherwise.
    pub fn cache_folder(&self) -> PathBuf {
        self.folder.path().join("cache_data")
    }

    /// A server with more to be said about it before it starts.
    pub fn server(&self) -> Result<Builder> {
        Server::with(&self.configuration())
    }

    /// Starts the proxy.
    pub async fn start(&self) -> Result<Server> {
        self.server()?.start().await
    }

    /// The map that the sample WMS itself answers, asked so that its log does not show it.
    pub async fn sample_map(&self, path: &str) -> Result<RgbaImage> {
        let before = self.sample.requests().len();
        let request = Request::get(path).body(Bytes::new())?;
        let answer = send(self.sample.address(), request).await?;
        self.sample.forget(before);
        decode(answer.body())
    }

    /// Every file below the cache folder, relative to it, sorted.
    pub fn cached_files(&self) -> Vec<PathBuf> {
        let root = self.cache_folder();
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                } else if let Ok(path) = entry.path().strip_prefix(&root) {
                    found.push(path.to_owned());
                }
            }
        }
        found.sort();
        found
    }
}
