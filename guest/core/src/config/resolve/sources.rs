//! `sources` (behaviour sections 9 and 10).

use std::fmt::Write as _;
use std::rc::Rc;

use super::coverages::file_url;
use super::globals::method;
use super::images::{is_true, rgba};
use super::needs::Url;
use super::{Access, BuiltSource, Resolver, flag, number, place, text, texts};
use crate::config::model::{
    ArcgisSource, OnErrorRule, ResRange, Source, SourceHttp, SourceKind, TileSource, WmsSource, WmsVersion,
};
use crate::config::yaml::{At, Node, Value};
use crate::image::ImageFormat;
use crate::srs::scale_to_res;
use crate::xslt::Stylesheet;

/// User and password of a URL.
type Credentials = Option<(String, String)>;

impl Resolver<'_, '_> {
    /// Whether there is a source of this name, with or without `:layers`.
    pub(super) fn has_source(&self, key: &str) -> bool {
        self.names.sources.contains_key(key)
            || key
                .split_once(':')
                .is_some_and(|(name, _)| self.names.sources.contains_key(name))
    }

    /// The source of this name or of `name:layer1,layer2`, built once. `None`: there is none (not reported here), or it
    /// is broken (reported).
    pub(super) fn source(&mut self, key: &str, named_at: At) -> Option<Rc<BuiltSource>> {
        if let Some(source) = self.sources.get(key) {
            return Some(Rc::clone(source));
        }
        let (name, layers) = if self.names.sources.contains_key(key) {
            (key, None)
        } else {
            key.split_once(':').map(|(name, layers)| (name, Some(layers)))?
        };
        let entry = *self.names.sources.get(name)?;
        let node = &entry.value;
        let kind = text(node, "type")?;
        if layers.is_some() && !["wms", "mapserver", "mapnik"].contains(&kind.as_str()) {
            self.findings
                .error(named_at, format!("a source of type `{kind}` has no layers to pick"))
                .expect("`source:layer` is for types wms, mapserver and mapnik");
            return None;
        }
        let built = Rc::new(self.build_source(key, node, &kind, layers, named_at));
        self.sources.insert(key.to_owned(), Rc::clone(&built));
        Some(built)
    }

    fn build_source(&mut self, key: &str, node: &Node, kind: &str, layers: Option<&str>, named_at: At) -> BuiltSource {
        let limit = self.coverage(node);
        let http = self.source_http(node);
        let (mut source_kind, mut access, mut draws, mut featureinfo, mut legend) =
            (SourceKind::Debug, Access::Maps, true, false, false);
        let mut credentials = None;
        let mut extent = None;
        let format = node.get("req").and_then(|req| text(req, "format"));
        match kind {
            "wms" | "mapserver" => {
                let (wms, user) = self.wms(node, kind, layers, named_at);
                (draws, featureinfo, legend) = match &wms {
                    Ok(wms) => (wms.map, wms.featureinfo, wms.legendgraphic || wms.legendurl.is_some()),
                    Err(_) => (true, false, false),
                };
                credentials = user;
                source_kind = wms.map_or_else(
                    |message| unsupported(kind, message),
                    |wms| SourceKind::Wms(Box::new(wms)),
                );
            }
            "tile" => {
                access = Access::Tiles;
                let (tile, user, grid_extent) = self.tile(node);
                credentials = user;
                extent = grid_extent;
                source_kind = tile.map_or_else(|message| unsupported(kind, message), SourceKind::Tile);
            }
            "debug" => access = Access::SingleTiles,
            "arcgis" => {
                let (arcgis, user) = self.arcgis(node);
                (draws, featureinfo) = match &arcgis {
                    Ok(arcgis) => (arcgis.map, arcgis.featureinfo),
                    Err(_) => (true, false),
                };
                credentials = user;
                source_kind = arcgis.map_or_else(
                    |message| unsupported(kind, message),
                    |arcgis| SourceKind::Arcgis(Box::new(arcgis)),
                );
            }
            "mapnik" | "ogcapitiles" | "ogcapimaps" => {
                let message = format!("not supported yet: source type `{kind}`");
                self.findings
                    .warn(place(node, "type"), message.clone())
                    .expect("layers that need it answer this message");
                if kind == "ogcapitiles" {
                    access = Access::Tiles;
                }
                source_kind = unsupported(kind, message);
            }
            other => source_kind = unsupported(other, format!("unknown source type `{other}`")),
        }
        let coverage = match limit {
            Ok(coverage) => coverage,
            Err(message) => {
                source_kind = unsupported(kind, message);
                None
            }
        };
        let image = node.get("image");
        let mut options = self.image_options(image, format.as_deref());
        let asked_transparent = node
            .get("req")
            .and_then(|req| is_true(req, "transparent"))
            .filter(|_| kind == "wms");
        options.transparent = match (
            options.transparent,
            asked_transparent.or_else(|| flag(node, "transparent")),
        ) {
            (None, Some(transparent)) => Some(transparent),
            (own, _) => own,
        };
        let transparent_color = image
            .and_then(|image| rgba(image.get("transparent_color")?))
            .map(|[r, g, b, _]| [r, g, b]);
        let source = Source {
            name: key.to_owned(),
            kind: source_kind,
            seed_only: !self.seeding && flag(node, "seed_only").unwrap_or(false),
            res_range: self.res_range(node),
            opacity: image.and_then(|image| number(image, "opacity")),
            transparent_color,
            transparent_color_tolerance: image
                .and_then(|image| number(image, "transparent_color_tolerance"))
                .map_or(self.globals.transparent_color_tolerance, |tolerance| {
                    tolerance.clamp(0.0, 255.0) as u8
                }),
            image: options,
            http: SourceHttp { credentials, ..http },
            on_error: self.on_error(node),
            concurrent_requests: number(node, "concurrent_requests")
                .map_or(self.globals.concurrent_requests, |number| number.max(0.0) as u32),
            coverage,
        };
        if source.concurrent_requests > 0 || source.http.credentials.is_some() || source.http.manage_cookies {
            self.needs.directory(&self.globals.lock_dir, true);
        }
        let extent = source
            .coverage
            .as_ref()
            .map(crate::coverage::Coverage::extent)
            .or(extent);
        BuiltSource {
            source,
            extent,
            featureinfo,
            legend,
            draws,
            access,
        }
    }

    /// A WMS, or MapServer, which the host answers as one.
    fn wms(
        &mut self,
        node: &Node,
        kind: &str,
        layers: Option<&str>,
        named_at: At,
    ) -> (Result<WmsSource, String>, Credentials) {
        let empty = Node {
            value: Value::Null,
            at: node.at,
        };
        let (req, opts) = (
            node.get("req").unwrap_or(&empty),
            node.get("wms_opts").unwrap_or(&empty),
        );
        let server = if kind == "mapserver" {
            self.map_file(req, node)
        } else {
            self.server(req, "url", node)
        };
        let (url, credentials) = match server {
            Ok(url) => url,
            Err(message) => return (Err(message), None),
        };
        let mut params = self.params(req);
        if let Some(picked) = layers {
            self.check_picked(picked, req, named_at);
            match params.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("layers")) {
                Some((_, value)) => picked.clone_into(value),
                None => params.push(("layers".to_owned(), picked.to_owned())),
            }
        }
        let legendurl = text(opts, "legendurl");
        if let Some(url) = &legendurl {
            self.legend_needs(url, place(opts, "legendurl"), node);
        }
        let legendgraphic = flag(opts, "legendgraphic").unwrap_or(false);
        if legendgraphic {
            self.needs.directory(&self.globals.base_dir, true);
        }
        let wms = WmsSource {
            url,
            version: version(&text(opts, "version").unwrap_or_default()).unwrap_or(WmsVersion::V111),
            params,
            transparent: is_true(req, "transparent").unwrap_or(false),
            supported_srs: self.srs_list(node.get("supported_srs")),
            supported_formats: texts(node, "supported_formats")
                .iter()
                .map(|name| self.request_format(name))
                .collect(),
            forward_req_params: texts(node, "forward_req_params"),
            map: flag(opts, "map").unwrap_or(true),
            featureinfo: flag(opts, "featureinfo").unwrap_or(false),
            featureinfo_format: text(opts, "featureinfo_format"),
            featureinfo_xslt: self.stylesheet(opts, "featureinfo_xslt"),
            featureinfo_out_format: text(opts, "featureinfo_out_format"),
            query_layers: text(opts, "query_layers"),
            legendgraphic,
            legendurl,
        };
        (Ok(wms), credentials)
    }

    /// Layers named in `source:a,b` have to be among those of the source.
    fn check_picked(&mut self, picked: &str, req: &Node, named_at: At) {
        let Some(own) = req.get("layers") else { return };
        let own: Vec<String> = match own.as_text() {
            Some(text) => text.split(',').map(|layer| layer.trim().to_owned()).collect(),
            None => own.items().iter().filter_map(Node::as_text).collect(),
        };
        for layer in picked
            .split(',')
            .filter(|layer| !own.iter().any(|known| known == layer))
        {
            self.findings
                .error(named_at, format!("the source has no layer `{layer}`"))
                .expect(format!("its layers are `{}`", own.join(",")))
                .suggest(layer, own.iter().map(String::as_str));
        }
    }

    /// `req` without `url`, as Python would spell the values; an SLD in a file becomes `sld_body`.
    fn params(&mut self, req: &Node) -> Vec<(String, String)> {
        let mut params: Vec<(String, String)> = Vec::new();
        for entry in req.entries().iter().filter(|entry| {
            // where a map file is asked there is no URL
            entry.key != "url" && (entry.key != "map" || req.get("url").is_some())
        }) {
            let mut value = match &entry.value.value {
                Value::Null => String::new(),
                Value::List(items) => items.iter().filter_map(Node::as_text).collect::<Vec<_>>().join(","),
                Value::Map(_) => {
                    self.findings
                        .error(entry.value.at, format!("{} where text is needed", entry.value.kind()));
                    continue;
                }
                _ => entry.value.as_text().unwrap_or_default(),
            };
            let mut name = entry.key.clone();
            if name.eq_ignore_ascii_case("sld")
                && let Some(path) = file_url(&value)
            {
                let path = self.path(path);
                match self.read(&path) {
                    Ok(content) => value = String::from_utf8_lossy(&content.unwrap_or_default()).into_owned(),
                    Err(reason) => {
                        self.findings
                            .error(entry.value.at, format!("cannot read the style `{path}`: {reason}"));
                        continue;
                    }
                }
                "sld_body".clone_into(&mut name);
            }
            match params.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, earlier)) => *earlier = format!("{earlier},{value}"),
                None => params.push((name, value)),
            }
        }
        params
    }

    fn tile(
        &mut self,
        node: &Node,
    ) -> (
        Result<TileSource, String>,
        Credentials,
        Option<crate::config::model::MapExtent>,
    ) {
        let grid_name = text(node, "grid").unwrap_or_else(|| {
            self.findings.warn(node.at, "the tile source has no `grid`").expect(
                "`GLOBAL_MERCATOR` is used; say `grid: GLOBAL_WEBMERCATOR` for servers that count rows from the north",
            );
            "GLOBAL_MERCATOR".to_owned()
        });
        if let Some(format) = node.get("request_format") {
            self.findings
                .warn(format.at, "`request_format` of a tile source has no effect")
                .expect("`%(format)s` is the `request_format` of the cache");
        }
        self.check_template(node);
        let Some(grid) = self.grid(&grid_name, place(node, "grid")) else {
            return (Err(format!("its grid `{grid_name}` cannot be built")), None, None);
        };
        let extent = Some(crate::config::model::MapExtent::new(grid.bbox(), grid.srs().clone()));
        match self.server(node, "url", node) {
            Ok((url, credentials)) => {
                let tile = TileSource {
                    url,
                    grid: grid_name,
                    transparent: flag(node, "transparent").unwrap_or(false),
                };
                (Ok(tile), credentials, extent)
            }
            Err(message) => (Err(message), None, extent),
        }
    }

    /// Variables of a tile URL: `%(name)s`, possibly `%(name)02d`.
    fn check_template(&mut self, node: &Node) {
        const NAMES: [&str; 9] = [
            "x",
            "y",
            "z",
            "format",
            "quadkey",
            "tc_path",
            "tms_path",
            "arcgiscache_path",
            "bbox",
        ];
        let Some(url) = text(node, "url") else { return };
        let names: Vec<&str> = url
            .split("%(")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(name, _)| name)
            .collect();
        for name in names.iter().filter(|name| !NAMES.contains(name)) {
            self.findings
                .error(place(node, "url"), format!("unknown variable `%({name})s`"))
                .expect(format!("expected one of `{}`", NAMES.join("`, `")))
                .suggest(name, NAMES);
        }
        if names.is_empty() && url.contains('{') {
            self.findings
                .warn(place(node, "url"), "the URL has no variables that are filled in")
                .expect("variables are written `%(z)s`, not `{z}`");
        }
    }

    fn arcgis(&mut self, node: &Node) -> (Result<ArcgisSource, String>, Credentials) {
        let empty = Node {
            value: Value::Null,
            at: node.at,
        };
        let (req, opts) = (node.get("req").unwrap_or(&empty), node.get("opts").unwrap_or(&empty));
        match self.server(req, "url", node) {
            Ok((url, credentials)) => {
                let arcgis = ArcgisSource {
                    url: arcgis_url(&url),
                    params: self.params(req),
                    transparent: is_true(req, "transparent").unwrap_or(false),
                    supported_srs: self.srs_list(node.get("supported_srs")),
                    map: flag(opts, "map").unwrap_or(true),
                    featureinfo: flag(opts, "featureinfo").unwrap_or(false),
                    featureinfo_tolerance: number(opts, "featureinfo_tolerance").unwrap_or(5.0).max(0.0) as u32,
                    featureinfo_return_geometries: flag(opts, "featureinfo_return_geometries").unwrap_or(false),
                };
                (Ok(arcgis), credentials)
            }
            Err(message) => (Err(message), None),
        }
    }

    /// The URL of a source's server, without credentials; the server is one that may be asked then.
    fn server(&mut self, owner: &Node, key: &str, source: &Node) -> Result<(String, Credentials), String> {
        let Some(written) = text(owner, key) else {
            return Err("it has no URL".to_owned());
        };
        match Url::parse(&written) {
            Ok(url) => {
                self.source_origin(&url, place(owner, key), source);
                Ok((url.address, url.credentials))
            }
            Err(problem) => {
                self.findings
                    .warn(place(owner, key), problem.clone())
                    .expect("expected `http://…` or `https://…`; the source cannot be asked");
                // asking it fails as asking any server does that is not there
                Ok((written, None))
            }
        }
    }

    /// Where the host answers for the map file of `req`: a name made of its path, so that naming the server allows this
    /// file and no other. See `host/src/bridge.rs`.
    fn map_file(&mut self, req: &Node, source: &Node) -> Result<(String, Credentials), String> {
        /// of a label of a name, which may have 63 letters (RFC 1035, 2.3.4)
        const BYTES: usize = 31;
        let path = text(req, "map").ok_or("it has no map file")?;
        let path = self.path(&path);
        let mut name = String::new();
        for (index, byte) in path.bytes().enumerate() {
            if index > 0 && index % BYTES == 0 {
                name.push('.');
            }
            // Writing to a String does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        let url = Url::parse(&format!("http://{name}.mapserver.invalid/"))?;
        self.source_origin(&url, place(req, "map"), source);
        if let Some(program) = source.get("mapserver") {
            self.findings
                .warn(program.at, "the program that answers is not chosen here")
                .expect("start the server with `--mapserver-binary`; it runs in the folder of the map file");
        }
        Ok((url.address, None))
    }

    fn source_origin(&mut self, url: &Url, at: At, source: &Node) {
        let own = source.get("http");
        let get = |key: &str| {
            own.and_then(|http| http.get(key))
                .or_else(|| self.globals.http.as_ref()?.get(key))
        };
        let no_cert_checks = get("ssl_no_cert_checks").and_then(Node::as_bool).unwrap_or(false);
        let ca_certs = get("ssl_ca_certs").and_then(Node::as_text).map(|path| self.path(&path));
        self.needs
            .origin(url, no_cert_checks, ca_certs.as_deref(), at, self.findings);
    }

    /// What a fixed legend needs: a server, or a directory to read.
    pub(super) fn legend_needs(&mut self, url: &str, at: At, owner: &Node) {
        if let Some(path) = file_url(url) {
            let path = self.path(path);
            self.needs.directory(crate::config::load::directory_of(&path), false);
            return;
        }
        self.needs.directory(&self.globals.base_dir, true);
        match Url::parse(url) {
            Ok(url) => {
                if url.credentials.is_some() {
                    self.needs.directory(&self.globals.lock_dir, true);
                }
                self.source_origin(&url, at, owner);
            }
            Err(problem) => {
                self.findings
                    .warn(at, problem)
                    .expect("expected `http://…`, `https://…` or `file://…`; there is no legend");
            }
        }
    }

    /// Text of a style sheet that works; anything else is reported.
    pub(super) fn stylesheet(&mut self, node: &Node, key: &str) -> Option<String> {
        let at = place(node, key);
        let written = text(node, key)?;
        let path = self.path(file_url(&written).unwrap_or(&written));
        let content = match self.read(&path) {
            Ok(content) => content?,
            Err(reason) => {
                self.findings
                    .error(at, format!("cannot read the style sheet `{path}`: {reason}"));
                return None;
            }
        };
        let content = String::from_utf8_lossy(&content).into_owned();
        match Stylesheet::parse(&content) {
            Ok(_) => Some(content),
            Err(error) => {
                self.findings
                    .error(at, format!("the style sheet `{path}`: {error}"))
                    .expect("XSLT 1.0 without what reads other files");
                None
            }
        }
    }

    /// `http` of a source over `globals.http`, key by key; headers replace each other as a whole.
    pub(super) fn source_http(&self, node: &Node) -> SourceHttp {
        let get = |key: &str| {
            node.get("http")
                .and_then(|http| http.get(key))
                .or_else(|| self.globals.http.as_ref()?.get(key))
        };
        SourceHttp {
            timeout_s: get("client_timeout").and_then(Node::as_f64).unwrap_or(60.0),
            method: method(get("method").and_then(Node::as_str)),
            headers: get("headers")
                .map(Node::entries)
                .unwrap_or_default()
                .iter()
                .filter_map(|entry| Some((entry.key.clone(), entry.value.as_text()?)))
                .collect(),
            credentials: None,
            hide_error_details: get("hide_error_details").and_then(Node::as_bool).unwrap_or(true),
            manage_cookies: get("manage_cookies").and_then(Node::as_bool).unwrap_or(false),
        }
    }

    fn on_error(&mut self, node: &Node) -> Vec<OnErrorRule> {
        let mut rules = Vec::new();
        for entry in node.get("on_error").map(Node::entries).unwrap_or_default() {
            let status = match (entry.key.as_str(), entry.key.parse::<u16>()) {
                ("other", _) => None,
                (_, Ok(status)) => Some(status),
                (key, Err(_)) => {
                    self.findings
                        .error(entry.key_at, format!("`{key}` is no HTTP status"))
                        .expect("expected a number, or `other`");
                    continue;
                }
            };
            let response = entry.value.get("response");
            rules.push(OnErrorRule {
                status,
                response: response
                    .filter(|response| response.as_str() != Some("transparent"))
                    .and_then(rgba),
                cache: flag(&entry.value, "cache").unwrap_or(false),
                authorize_stale: flag(&entry.value, "authorize_stale").unwrap_or(false),
            });
        }
        rules
    }

    /// `min_res`/`max_res` or `min_scale`/`max_scale`; the coarsest resolution belongs to the largest scale denominator.
    pub(super) fn res_range(&mut self, node: &Node) -> Option<ResRange> {
        let given = |key: &str| number(node, key).filter(|number| *number != 0.0);
        let (min_res, max_res) = (given("min_res"), given("max_res"));
        let (min_scale, max_scale) = (given("min_scale"), given("max_scale"));
        let by_res = min_res.is_some() || max_res.is_some();
        if by_res && (min_scale.is_some() || max_scale.is_some()) {
            let key = if min_scale.is_some() { "min_scale" } else { "max_scale" };
            self.findings
                .error(place(node, key), "resolutions and scales exclude one another")
                .expect("expected either `min_res` and `max_res`, or `min_scale` and `max_scale`");
            return None;
        }
        if by_res {
            return Some(ResRange { min_res, max_res });
        }
        (min_scale.is_some() || max_scale.is_some()).then(|| ResRange {
            min_res: max_scale.map(scale_to_res),
            max_res: min_scale.map(scale_to_res),
        })
    }
}

fn unsupported(kind: &str, message: String) -> SourceKind {
    SourceKind::Unsupported {
        kind: kind.to_owned(),
        message,
    }
}

pub(super) fn version(text: &str) -> Option<WmsVersion> {
    Some(match text {
        "1.0.0" => WmsVersion::V100,
        "1.1.0" => WmsVersion::V110,
        "1.1.1" => WmsVersion::V111,
        "1.3.0" => WmsVersion::V130,
        _ => return None,
    })
}

/// The address of the export operation: `…/MapServer/export`, `…/ImageServer/exportImage`.
fn arcgis_url(url: &str) -> String {
    for (server, operation) in [("/MapServer", "export"), ("/ImageServer", "exportImage")] {
        if let Some((before, _)) = url.split_once(server) {
            return format!("{before}{server}/{operation}");
        }
    }
    url.to_owned()
}

/// Options of a source's images inside a cache, which may decide the format.
pub(super) fn options_in_cache(source: &Source, request_format: Option<&ImageFormat>) -> crate::image::ImageOptions {
    let mut options = source.image.clone();
    if options.format.is_none() && matches!(source.kind, SourceKind::Wms(_) | SourceKind::Arcgis(_)) {
        options.format = request_format.cloned();
        if options.colors.is_none() && options.paletted && options.format.as_ref() == Some(&ImageFormat::PNG) {
            options.colors = Some(256);
        }
    }
    options
}
