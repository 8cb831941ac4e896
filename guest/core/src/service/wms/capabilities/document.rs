//! The documents themselves: service metadata and operations, around the layer tree.

use std::fmt;

use askama::Template;

use super::layer::{Keyword, LayerView, keywords};
use super::tile_sets::{TileSet, tile_sets};
use crate::config::model::{Contact, InspireMetadata, LayerTree, TileLayer, WmsService, WmsVersion};
use crate::http::Response;
use crate::layer::LayerError;
use crate::request::wms::version_code;
use crate::service::Context;
use crate::service::document::render;
use crate::service::wms::formats::{format_elements_100, info_mime};
use crate::srs::python_float;

/// Answers GetCapabilities in this version. With `tiled`, WMS-C tile sets are told as well (1.1.x only: the other
/// versions have no place for them).
pub(in crate::service::wms) fn capabilities(
    context: &Context<'_>,
    service: &WmsService,
    version: WmsVersion,
    tiled: bool,
) -> Result<Response, LayerError> {
    let tree = LayerTree::of(context.compiled);
    let service_url = format!("{}?", context.request_url());
    let legend_size = |name: &str| stored_legend_size(context, name);
    let root = LayerView::tree(&tree, service, version, &service_url, &legend_size);
    let tile_sets = if tiled && matches!(version, WmsVersion::V110 | WmsVersion::V111) {
        let layers = TileLayer::all(context.compiled);
        Some(tile_sets(&layers, |name| context.assembly.grid(name))?)
    } else {
        None
    };
    let document = Capabilities::new(service, version, &service_url, &root, tile_sets);
    let media_type = match version {
        WmsVersion::V100 | WmsVersion::V130 => "text/xml",
        WmsVersion::V110 | WmsVersion::V111 => "application/vnd.ogc.wms_xml",
    };
    Ok(Response::new(200, media_type, document.to_xml()))
}

/// What is known about the legend of a layer without asking a server: all its sources' legends below each other.
fn stored_legend_size(context: &Context<'_>, name: &str) -> Option<(u32, u32)> {
    let layer = context.assembly.wms_layer(name).ok()??;
    super::super::legend::stored_size(context, &layer)
}

/// Everything a template looks at, in any version.
#[derive(Debug)]
pub(super) struct Capabilities<'a> {
    version: WmsVersion,
    title: &'a str,
    abstract_text: Option<&'a str>,
    keywords: Vec<Keyword<'a>>,
    online_resource: &'a str,
    contact: Option<&'a Contact>,
    fees: &'a str,
    access_constraints: &'a str,
    max_side_px: u64,
    service_url: &'a str,
    formats: Vec<&'a str>,
    info_formats: Vec<&'a str>,
    tile_sets: Option<Vec<TileSet>>,
    inspire: Option<&'a InspireMetadata>,
    root: &'a LayerView<'a>,
}

impl<'a> Capabilities<'a> {
    pub(super) fn new(
        service: &'a WmsService,
        version: WmsVersion,
        service_url: &'a str,
        root: &'a LayerView<'a>,
        tile_sets: Option<Vec<TileSet>>,
    ) -> Self {
        let md = &service.md;
        Self {
            version,
            title: &md.title,
            abstract_text: md.abstract_text.as_deref(),
            keywords: keywords(&md.keyword_list),
            online_resource: md.online_resource.as_deref().unwrap_or(service_url),
            contact: md.contact.as_ref(),
            fees: md.fees.as_deref().unwrap_or("none"),
            access_constraints: md.access_constraints.as_deref().unwrap_or("none"),
            max_side_px: service.max_output_pixels.isqrt(),
            service_url,
            formats: service
                .image_formats
                .iter()
                .map(|format| format.mime.as_str())
                .collect(),
            info_formats: service
                .featureinfo_types
                .iter()
                .map(|name| info_mime(name, version))
                .collect(),
            tile_sets,
            inspire: service.inspire_md.as_ref(),
            root,
        }
    }

    pub(super) fn to_xml(&self) -> String {
        match self.version {
            WmsVersion::V100 => render(&Document100 {
                doc: self,
                root: Layer100 { layer: self.root },
            }),
            WmsVersion::V110 | WmsVersion::V111 => {
                let separate_srs = self.version == WmsVersion::V111;
                render(&Document11x {
                    doc: self,
                    root: Layer11x {
                        layer: self.root,
                        separate_srs,
                    },
                })
            }
            WmsVersion::V130 => render(&Document130 {
                doc: self,
                root: Layer130 { layer: self.root },
            }),
        }
    }

    fn version_code(&self) -> &'static str {
        version_code(self.version)
    }

    fn dtd_url(&self) -> &'static str {
        match self.version {
            WmsVersion::V110 => "http://schemas.opengis.net/wms/1.1.0/capabilities_1_1_0.dtd",
            _ => "http://schemas.opengis.net/wms/1.1.1/WMS_MS_Capabilities.dtd",
        }
    }

    /// GetLegendGraphic exists since 1.1.1, and is told if there is a legend.
    fn tells_legends(&self) -> bool {
        self.version >= WmsVersion::V111 && self.root.tells_legend()
    }

    fn format_elements_100(&self) -> Vec<&'static str> {
        format_elements_100(self.formats.iter().copied())
    }

    /// 1.0.0 has names for GML only; anything else is called `MIME`.
    fn info_format_elements_100(&self) -> Vec<&'static str> {
        let name = |mime: &&str| if mime.contains("gml") { "GML.1" } else { "MIME" };
        self.info_formats.iter().map(name).collect()
    }
}

/// A number as Python writes it, which is how MapProxy's documents have them: a whole one that was calculated is
/// `10.0`, one that stands in the configuration is (nearly always) `10`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Calculated(f64),
    Configured(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Calculated(value) => f.write_str(&python_float(value)),
            Self::Configured(value) => {
                let text = python_float(value);
                f.write_str(text.strip_suffix(".0").unwrap_or(&text))
            }
        }
    }
}

#[derive(Template)]
#[template(path = "wms/capabilities_100.xml")]
struct Document100<'a> {
    doc: &'a Capabilities<'a>,
    root: Layer100<'a>,
}

#[derive(Template)]
#[template(path = "wms/capabilities_11x.xml")]
struct Document11x<'a> {
    doc: &'a Capabilities<'a>,
    root: Layer11x<'a>,
}

#[derive(Template)]
#[template(path = "wms/capabilities_130.xml")]
struct Document130<'a> {
    doc: &'a Capabilities<'a>,
    root: Layer130<'a>,
}

#[derive(Template)]
#[template(path = "wms/layer_100.xml")]
struct Layer100<'a> {
    layer: &'a LayerView<'a>,
}

#[derive(Template)]
#[template(path = "wms/layer_11x.xml")]
struct Layer11x<'a> {
    layer: &'a LayerView<'a>,
    /// 1.1.1 has an element for each SRS, 1.1.0 one for all
    separate_srs: bool,
}

#[derive(Template)]
#[template(path = "wms/layer_130.xml")]
struct Layer130<'a> {
    layer: &'a LayerView<'a>,
}

impl<'a> Layer100<'a> {
    fn children(&self) -> impl Iterator<Item = Self> + use<'a> {
        self.layer.children.iter().map(|layer| Self { layer })
    }
}

impl<'a> Layer11x<'a> {
    fn children(&self) -> impl Iterator<Item = Self> + use<'a> {
        let separate_srs = self.separate_srs;
        self.layer
            .children
            .iter()
            .map(move |layer| Self { layer, separate_srs })
    }
}

impl<'a> Layer130<'a> {
    fn children(&self) -> impl Iterator<Item = Self> + use<'a> {
        self.layer.children.iter().map(|layer| Self { layer })
    }
}

/// Units of a dimension (OGC 06-042 C.2): times are ISO 8601, other units are not configured anywhere.
fn units(dimension: &str) -> &'static str {
    if dimension.to_ascii_lowercase().contains("time") {
        "ISO8601"
    } else {
        ""
    }
}
