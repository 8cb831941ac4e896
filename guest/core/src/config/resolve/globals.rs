//! `globals` with defaults (behaviour section 18).

use super::{flag, number, pair, place, services::Services, text};
use crate::config::findings::Findings;
use crate::config::load::join_path;
use crate::config::model::{Application, HttpMethod, SingleColorLinks};
use crate::config::yaml::Node;
use crate::image::Resampling;
use crate::srs::{PreferredSrs, Srs};

/// Values of `globals` that other sections fall back to.
#[derive(Debug)]
pub(super) struct Globals {
    pub(super) resampling: Resampling,
    pub(super) paletted: bool,
    pub(super) jpeg_quality: Option<u8>,
    pub(super) stretch_factor: f64,
    pub(super) max_shrink_factor: f64,
    pub(super) transparent_color_tolerance: u8,
    /// `globals.image.formats`
    pub(super) formats: Option<Node>,
    /// `globals.http`, to be overlaid by a source's
    pub(super) http: Option<Node>,
    pub(super) concurrent_requests: u32,
    pub(super) client_timeout_s: f64,
    pub(super) base_dir: String,
    pub(super) lock_dir: String,
    pub(super) tile_lock_dir: Option<String>,
    pub(super) directory_permissions: Option<Node>,
    pub(super) file_permissions: Option<Node>,
    pub(super) meta_size: (u32, u32),
    pub(super) meta_buffer: u32,
    pub(super) bulk_meta_tiles: bool,
    pub(super) max_tile_limit: u64,
    pub(super) minimize_meta_requests: bool,
    pub(super) concurrent_tile_creators: u32,
    pub(super) links: SingleColorLinks,
    pub(super) tile_size: (u32, u32),
    cors_origin: Option<String>,
    tile_expires_s: u64,
    preferred_src: PreferredSrs,
    background_url: Option<String>,
}

/// Answers of upstream servers larger than this are given up. While one is read it takes twice its size of an instance's
/// memory, of which there are 512 MiB by default.
const MAX_UPSTREAM_BYTES: u64 = 128 << 20;
/// Images of upstream servers with more pixels than this are not decoded.
const MAX_UPSTREAM_PIXELS: u64 = 100_000_000;

impl Globals {
    pub(super) fn new(root: &Node, directory: &str, findings: &mut Findings) -> Self {
        let none = Node {
            value: crate::config::yaml::Value::Null,
            at: root.at,
        };
        let globals = root.get("globals").unwrap_or(&none);
        let section = |name: &str| globals.get(name).unwrap_or(&none);
        let (image, http, cache) = (section("image"), section("http"), section("cache"));
        let path = |node: &Node, key: &str| text(node, key).map(|path| join_path(directory, &path));
        let base_dir = path(cache, "base_dir").unwrap_or_else(|| join_path(directory, "cache_data"));
        Self {
            resampling: text(image, "resampling_method")
                .and_then(|name| name.parse().ok())
                .unwrap_or_default(),
            paletted: flag(image, "paletted").unwrap_or(true),
            jpeg_quality: number(image, "jpeg_quality").map(|quality| quality.clamp(1.0, 100.0) as u8),
            stretch_factor: number(image, "stretch_factor").unwrap_or(1.15),
            max_shrink_factor: number(image, "max_shrink_factor").unwrap_or(4.0),
            transparent_color_tolerance: number(image, "transparent_color_tolerance").unwrap_or(5.0) as u8,
            formats: image.get("formats").cloned(),
            http: Some(http.clone()),
            concurrent_requests: number(http, "concurrent_requests").unwrap_or(0.0) as u32,
            client_timeout_s: number(http, "client_timeout").unwrap_or(60.0),
            lock_dir: path(cache, "lock_dir").unwrap_or_else(|| join_path(directory, "cache_data/tile_locks")),
            tile_lock_dir: path(cache, "tile_lock_dir"),
            base_dir,
            directory_permissions: cache.get("directory_permissions").cloned(),
            file_permissions: cache.get("file_permissions").cloned(),
            meta_size: meta_size(cache, findings).unwrap_or((4, 4)),
            meta_buffer: number(cache, "meta_buffer").unwrap_or(80.0) as u32,
            bulk_meta_tiles: flag(cache, "bulk_meta_tiles").unwrap_or(false),
            max_tile_limit: number(cache, "max_tile_limit").unwrap_or(500.0) as u64,
            minimize_meta_requests: flag(cache, "minimize_meta_requests").unwrap_or(false),
            concurrent_tile_creators: number(cache, "concurrent_tile_creators").unwrap_or(2.0) as u32,
            links: links(cache).unwrap_or(SingleColorLinks::Off),
            tile_size: section("grid").get("tile_size").and_then(pair).unwrap_or((256, 256)),
            cors_origin: match http.entry("access_control_allow_origin") {
                Some(entry) => entry.value.as_text().filter(|origin| !origin.is_empty()),
                None => Some("*".to_owned()),
            },
            tile_expires_s: (number(section("tiles"), "expires_hours").unwrap_or(72.0).max(0.0) * 3600.0) as u64,
            preferred_src: preferred_src(section("srs"), findings),
            background_url: text(section("background"), "url")
                .or_else(|| Some("https://tile.openstreetmap.org/{z}/{x}/{y}.png".to_owned())),
        }
    }

    pub(super) fn application(&self, services: &Services) -> Application {
        Application {
            cors_origin: self.cors_origin.clone(),
            tile_expires_s: self.tile_expires_s,
            services: services.enabled,
            base_dir: self.base_dir.clone(),
            lock_dir: self.lock_dir.clone(),
            preferred_src: self.preferred_src.clone(),
            background_url: self.background_url.clone(),
            max_upstream_bytes: MAX_UPSTREAM_BYTES,
            max_upstream_pixels: MAX_UPSTREAM_PIXELS,
            max_tile_limit: self.max_tile_limit,
        }
    }
}

/// `meta_size`, at least one tile each way.
pub(super) fn meta_size(node: &Node, findings: &mut Findings) -> Option<(u32, u32)> {
    let size = node.get("meta_size").and_then(pair)?;
    if size.0 == 0 || size.1 == 0 {
        findings
            .error(place(node, "meta_size"), "`meta_size` is zero")
            .expect("expected at least `[1, 1]`");
        return None;
    }
    Some(size)
}

/// `link_single_color_images`; plain `true` is a symbolic link.
pub(super) fn links(node: &Node) -> Option<SingleColorLinks> {
    let value = node.get("link_single_color_images")?;
    Some(match value.as_bool() {
        Some(false) => SingleColorLinks::Off,
        None if value.as_str() == Some("hardlink") => SingleColorLinks::Hardlink,
        Some(true) | None => SingleColorLinks::Symlink,
    })
}

/// `http.method`.
pub(super) fn method(name: Option<&str>) -> HttpMethod {
    match name {
        Some("GET") => HttpMethod::Get,
        Some("POST") => HttpMethod::Post,
        _ => HttpMethod::Auto,
    }
}

fn preferred_src(srs: &Node, findings: &mut Findings) -> PreferredSrs {
    let mut preferred = PreferredSrs::default();
    for entry in srs.get("preferred_src_proj").map(Node::entries).unwrap_or_default() {
        let mut known = |code: &str, at| match Srs::new(code) {
            Ok(srs) => Some(srs),
            Err(error) => {
                findings.error(at, error.to_string());
                None
            }
        };
        let target = known(&entry.key, entry.key_at);
        let sources = entry
            .value
            .items()
            .iter()
            .filter_map(|item| known(&item.as_text()?, item.at))
            .collect();
        if let Some(target) = target {
            preferred.add(target, sources);
        }
    }
    preferred
}
