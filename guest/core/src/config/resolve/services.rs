//! `services` (behaviour sections 2 to 8).

use super::{Resolver, bbox, flag, metadata, pair, place, sources::version, text, texts};
use crate::config::compiled::{CompiledBuilder, Kind};
use crate::config::model::{
    BBoxSrs, EnabledServices, KmlService, OnSourceErrors, ServiceFormat, TmsService, WmsService, WmsVersion,
    WmtsService,
};
use crate::config::yaml::{Node, Value};
use crate::grid::Origin;
use crate::srs::Srs;

/// Services that are switched on.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) enabled: EnabledServices,
    wms: Option<WmsService>,
    wmts: Option<WmtsService>,
    tms: Option<TmsService>,
    kml: Option<KmlService>,
}

const DEFAULT_SRS: [&str; 5] = ["EPSG:4326", "EPSG:4258", "CRS:84", "EPSG:900913", "EPSG:3857"];
const DEFAULT_BBOX_SRS: [&str; 3] = ["EPSG:3857", "EPSG:4326", "EPSG:900913"];
const DEFAULT_FORMATS: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/GeoTIFF", "image/tiff"];
const TILE_TEMPLATE: &str = "/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.{Format}";
const INFO_TEMPLATE: &str = "/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}/{I}/{J}.{InfoFormat}";

impl Services {
    pub(super) fn write(&self, builder: &mut CompiledBuilder) {
        if let Some(wms) = &self.wms {
            builder.add(Kind::WmsService, "", wms);
        }
        if let Some(wmts) = &self.wmts {
            builder.add(Kind::WmtsService, "", wmts);
        }
        if let Some(tms) = &self.tms {
            builder.add(Kind::TmsService, "", tms);
        }
        if let Some(kml) = &self.kml {
            builder.add(Kind::KmlService, "", kml);
        }
    }
}

impl Resolver<'_, '_> {
    pub(super) fn services(&mut self) -> Services {
        let Some(node) = self.root.get("services") else {
            self.findings
                .warn(self.root.at, "there are no `services`")
                .expect("nothing is served");
            return Services::default();
        };
        let empty = Node {
            value: Value::Null,
            at: node.at,
        };
        let section = |name: &str| {
            node.entry(name)
                .map(|entry| if entry.value.is_null() { &empty } else { &entry.value })
        };
        let wms_md = section("wms").and_then(|wms| wms.get("md"));
        Services {
            enabled: EnabledServices {
                wms: section("wms").is_some(),
                wmts: section("wmts").is_some(),
                tms: section("tms").is_some(),
                kml: section("kml").is_some(),
                demo: section("demo").is_some(),
                ogcapi: section("ogcapi").is_some(),
            },
            wms: section("wms").map(|wms| self.wms_service(wms)),
            wmts: section("wmts").map(|wmts| self.wmts_service(wmts, wms_md)),
            tms: section("tms").map(|tms| TmsService {
                use_grid_names: flag(tms, "use_grid_names").unwrap_or(false),
                origin: text(tms, "origin").and_then(|origin| Origin::parse(&origin)),
                md: metadata::service(tms.get("md"), wms_md, "MapProxy TMS"),
            }),
            kml: section("kml").map(|kml| KmlService {
                use_grid_names: flag(kml, "use_grid_names").unwrap_or(false),
            }),
        }
    }

    fn wms_service(&mut self, node: &Node) -> WmsService {
        let srs = match node.get("srs") {
            Some(_) => self.srs_list(node.get("srs")),
            None => DEFAULT_SRS.iter().filter_map(|code| Srs::new(code).ok()).collect(),
        };
        let mut versions: Vec<WmsVersion> = texts(node, "versions")
            .iter()
            .filter_map(|text| version(text))
            .collect();
        if versions.is_empty() {
            versions = vec![WmsVersion::V100, WmsVersion::V110, WmsVersion::V111, WmsVersion::V130];
        }
        versions.sort_unstable();
        versions.dedup();
        let featureinfo_xslt: Vec<(String, String)> = node
            .get("featureinfo_xslt")
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .filter_map(|entry| {
                let xslt = node.get("featureinfo_xslt")?;
                Some((entry.key.clone(), self.stylesheet(xslt, &entry.key)?))
            })
            .collect();
        WmsService {
            versions,
            bbox_srs: self.bbox_srs(node, &srs),
            srs,
            image_formats: self.service_formats(node),
            featureinfo_types: self.featureinfo_types(node, &featureinfo_xslt),
            featureinfo_xslt,
            on_source_errors: if text(node, "on_source_errors").as_deref() == Some("raise") {
                OnSourceErrors::Raise
            } else {
                OnSourceErrors::Notify
            },
            max_output_pixels: match node.get("max_output_pixels") {
                Some(pixels) => match pair(pixels) {
                    Some((width, height)) => u64::from(width) * u64::from(height),
                    None => pixels.as_f64().unwrap_or(16e6).max(0.0) as u64,
                },
                None => 16_000_000,
            },
            concurrent_layer_renderer: node
                .get("concurrent_layer_renderer")
                .or_else(|| self.root.get("globals")?.get("wms")?.get("concurrent_layer_renderer"))
                .and_then(Node::as_f64)
                .map_or(1, |number| number.max(1.0) as u32),
            strict: flag(node, "strict").unwrap_or(false),
            http: self.source_http(&Node {
                value: Value::Null,
                at: node.at,
            }),
            attribution: node
                .get("attribution")
                .and_then(|attribution| text(attribution, "text")),
            md: metadata::service(node.get("md"), None, "MapProxy WMS"),
            inspire_md: node.get("inspire_md").and_then(metadata::inspire),
        }
    }

    /// Codes or `{srs, bbox}`; the default ones only as far as they can be asked for.
    fn bbox_srs(&mut self, node: &Node, srs: &[Srs]) -> Vec<BBoxSrs> {
        let Some(list) = node.get("bbox_srs") else {
            return DEFAULT_BBOX_SRS
                .iter()
                .filter(|code| srs.iter().any(|srs| srs.code() == **code))
                .filter_map(|code| {
                    Some(BBoxSrs {
                        srs: Srs::new(code).ok()?,
                        bbox: None,
                    })
                })
                .collect();
        };
        let mut all = Vec::new();
        for item in list.items() {
            let code = if item.is_map() { item.get("srs") } else { Some(item) };
            let Some(srs) = code.and_then(|code| self.srs(code)) else {
                continue;
            };
            all.push(BBoxSrs {
                srs,
                bbox: item.get("bbox").and_then(bbox),
            });
        }
        all
    }

    fn service_formats(&mut self, node: &Node) -> Vec<ServiceFormat> {
        let named: Vec<(String, crate::config::yaml::At)> = match node.get("image_formats") {
            Some(list) => list
                .items()
                .iter()
                .filter_map(|item| Some((item.as_text()?, item.at)))
                .collect(),
            None => DEFAULT_FORMATS
                .iter()
                .map(|name| ((*name).to_owned(), node.at))
                .collect(),
        };
        let mut formats: Vec<ServiceFormat> = Vec::new();
        for (name, at) in named {
            self.check_format(&name, at);
            let options = self.image_options(None, Some(&name));
            let mime = options
                .format
                .as_ref()
                .map_or_else(|| name.clone(), |format| format.name().to_owned());
            let format = ServiceFormat { mime, options };
            match formats.iter_mut().find(|known| known.mime == format.mime) {
                Some(known) => {
                    self.findings
                        .warn(at, format!("`{}` is offered twice", format.mime))
                        .expect("the last one counts");
                    *known = format;
                }
                None => formats.push(format),
            }
        }
        formats
    }

    fn featureinfo_types(&mut self, node: &Node, xslt: &[(String, String)]) -> Vec<String> {
        const KNOWN: [&str; 4] = ["text", "html", "xml", "json"];
        let Some(list) = node.get("featureinfo_types") else {
            return if xslt.is_empty() {
                ["text", "html", "xml"].map(str::to_owned).to_vec()
            } else {
                xslt.iter().map(|(kind, _)| kind.clone()).collect()
            };
        };
        for item in list.items() {
            let kind = item.as_text().unwrap_or_default();
            if !KNOWN.contains(&kind.as_str()) {
                self.findings
                    .error(item.at, format!("unknown kind of feature information `{kind}`"))
                    .expect("expected `text`, `html`, `xml` or `json`")
                    .suggest(&kind, KNOWN);
            }
        }
        texts(node, "featureinfo_types")
    }

    fn wmts_service(&mut self, node: &Node, wms_md: Option<&Node>) -> WmtsService {
        let (kvp, restful) = match (flag(node, "kvp"), flag(node, "restful")) {
            (None, None) => (true, true),
            (kvp, restful) => (kvp.unwrap_or(false), restful.unwrap_or(false)),
        };
        let restful_template = self.template(
            node,
            "restful_template",
            TILE_TEMPLATE,
            &["Layer", "TileMatrixSet", "TileMatrix", "TileCol", "TileRow"],
        );
        let restful_featureinfo_template = self.template(
            node,
            "restful_featureinfo_template",
            INFO_TEMPLATE,
            &["Layer", "TileMatrixSet", "TileMatrix", "TileCol", "TileRow", "I", "J"],
        );
        let mut featureinfo_formats = Vec::new();
        for format in node.get("featureinfo_formats").map(Node::items).unwrap_or_default() {
            let Some(mimetype) = text(format, "mimetype") else {
                continue;
            };
            let suffix = text(format, "suffix");
            if suffix.is_none() && restful {
                self.findings
                    .error(format.at, "`suffix` is missing")
                    .expect("expected what REST addresses of this format end in");
            }
            featureinfo_formats.push((mimetype, suffix.unwrap_or_default()));
        }
        WmtsService {
            kvp,
            restful,
            restful_template,
            restful_featureinfo_template,
            featureinfo_formats,
            md: metadata::service(node.get("md"), wms_md, "MapProxy WMTS"),
        }
    }

    /// A template of REST addresses; `{{x}}` of older versions is `{x}`.
    fn template(&mut self, node: &Node, key: &str, default: &str, required: &[&str]) -> String {
        let template = text(node, key)
            .unwrap_or_else(|| default.to_owned())
            .replace("{{", "{")
            .replace("}}", "}");
        let missing: Vec<String> = required
            .iter()
            .map(|name| format!("{{{name}}}"))
            .filter(|name| !template.contains(name.as_str()))
            .collect();
        if !missing.is_empty() {
            self.findings
                .error(
                    place(node, key),
                    format!("the template has no `{}`", missing.join("`, `")),
                )
                .expect(format!("for example `{default}`"));
        }
        template
    }
}
