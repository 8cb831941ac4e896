//! What the demo page shows, as it reads it: see guest/core/demo/README.md.
//!
//! What layers have in common (services, grids, reference systems) is said once: the page of a configuration with
//! thousands of layers is loaded by telephones too.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::Context;
use super::super::tile::{Addressing, layer_path};
use crate::config::compiled::Kind;
use crate::config::model::{
    Dimension, KmlService, LayerMetadata, LayerNode, LayerTree, TileLayer, TmsService, WmsService, WmsVersion,
    WmtsService,
};
use crate::coverage::MapExtent;
use crate::grid::{Origin, TileGrid};
use crate::srs::{BBox, Srs};

/// Media types that browsers show.
const SHOWN_FORMATS: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

#[derive(Debug, Serialize)]
pub(super) struct Description {
    pub title: String,
    pub version: &'static str,
    pub base: String,
    /// of the whole service
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wms: Option<Wms>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wmts: Option<Wmts>,
    pub grids: BTreeMap<String, Grid>,
    /// every reference system that is named elsewhere, by its code
    pub systems: BTreeMap<String, System>,
    pub layers: Vec<DemoLayer>,
    /// what the page shows first
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show: Option<Show>,
}

#[derive(Debug, Serialize)]
pub(super) struct Show {
    pub layer: String,
    pub service: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Wms {
    pub url: String,
    pub version: &'static str,
    pub capabilities: String,
    pub srs: Vec<String>,
    /// those that browsers show
    pub formats: Vec<String>,
    /// of feature information, the media type that the page can show best
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Wmts {
    pub capabilities: String,
    /// for requests by query, which take dimensions whatever the template of addresses has
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kvp: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Grid {
    pub srs: String,
    pub bbox: [f64; 4],
    /// map units per pixel, the coarsest first
    pub resolutions: Vec<f64>,
    pub tile_size: (u32, u32),
    /// the corner that the grid begins at, which whole tiles are counted from: `sw` or `nw`
    pub origin: &'static str,
    /// of each level
    pub rows: Vec<i64>,
    /// the TMS counts levels from the second one on
    pub tms_skips_first: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct System {
    pub degrees: bool,
    /// WMS 1.3.0 writes the northing first
    pub north_first: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct DemoLayer {
    pub name: String,
    pub title: String,
    #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")]
    pub abstract_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Credit>,
    /// degrees: west, south, east, north
    pub extent: [f64; 4],
    /// in reference systems that browsers cannot work out
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extents: BTreeMap<String, [f64; 4]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<Dimension>,
    /// of its maps; `None` if the WMS does not draw it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wms: Option<WmsLayer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiles: Vec<Tiles>,
}

#[derive(Debug, Serialize)]
pub(super) struct Credit {
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct WmsLayer {
    pub queryable: bool,
    pub legend: bool,
}

/// A layer on one of its grids.
#[derive(Debug, Serialize)]
pub(super) struct Tiles {
    pub grid: String,
    /// file extension
    pub format: String,
    pub mime: String,
    pub wmts: bool,
    /// `/tiles` and `/tms`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tms: Option<TmsTiles>,
    /// path of the document to open in Google Earth
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kml: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct TmsTiles {
    /// layer and grid as addresses have them
    pub path: String,
    /// the corner of row 0 below `/tiles`: `sw` or `nw`
    pub origin: &'static str,
    /// `?origin=nw` works
    pub nw: bool,
}

/// What layers of the WMS and of the tile services have in common.
struct Shown<'a> {
    name: &'a str,
    title: &'a str,
    extent: &'a MapExtent,
    dimensions: &'a [Dimension],
    md: Option<&'a LayerMetadata>,
}

/// The services that are switched on, and what they have.
struct Configured {
    wms: Option<WmsService>,
    wmts: Option<WmtsService>,
    tms: Option<TmsService>,
    kml: Option<KmlService>,
    tile_layers: BTreeMap<String, Vec<TileLayer>>,
    grids: BTreeMap<String, TileGrid>,
    /// what [`DemoLayer::extents`] is about
    unfamiliar: Vec<Srs>,
}

impl Description {
    pub(super) fn of(context: &Context<'_>) -> Self {
        let configured = Configured::of(context);
        let base = context.script_url();
        let tree = LayerTree::of(context.compiled);
        let mut layers = Vec::new();
        for root in &tree.roots {
            configured.add(root, &mut layers);
        }
        configured.add_tile_layers(&mut layers);
        let grids = configured.grids.iter().map(|(name, grid)| {
            let described = Grid {
                srs: grid.srs().code().to_owned(),
                bbox: grid.bbox().edges(),
                resolutions: grid
                    .external_levels(false)
                    .map(|(_, level)| grid.resolution(level))
                    .collect(),
                tile_size: grid.tile_size(),
                origin: corner(grid.origin()),
                rows: grid
                    .external_levels(false)
                    .map(|(_, level)| grid.grid_size(level).1)
                    .collect(),
                tms_skips_first: grid.tms_profile().skips_first_level(),
            };
            (name.clone(), described)
        });
        let systems = configured.systems().map(|srs| {
            let system = System {
                degrees: srs.is_latlong(),
                north_first: srs.is_axis_order_ne(),
            };
            (srs.code().to_owned(), system)
        });
        Self {
            title: configured.title().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            attribution: configured.wms.as_ref().and_then(|wms| wms.attribution.clone()),
            wms: configured.wms.as_ref().map(|wms| Wms::of(wms, &base)),
            wmts: configured.wmts.as_ref().map(|wmts| Wmts {
                capabilities: format!("{base}{}", wmts_capabilities_path(wmts)),
                kvp: wmts.kvp.then(|| format!("{base}{WMTS_KVP}")),
            }),
            grids: grids.collect(),
            systems: systems.collect(),
            base,
            layers,
            show: None,
        }
    }
}

impl Wms {
    fn of(service: &WmsService, base: &str) -> Self {
        let version = match service.versions.iter().max() {
            Some(WmsVersion::V130) | None => "1.3.0",
            Some(WmsVersion::V111) => "1.1.1",
            Some(WmsVersion::V110) => "1.1.0",
            Some(WmsVersion::V100) => "1.0.0",
        };
        let url = format!("{base}/service");
        let shown = |mime: &String| {
            let name = mime.split(';').next().unwrap_or_default().trim();
            SHOWN_FORMATS.contains(&name)
        };
        Self {
            capabilities: format!("{url}?SERVICE=WMS&VERSION={version}&REQUEST=GetCapabilities"),
            url,
            version,
            srs: service.srs.iter().map(|srs| srs.code().to_owned()).collect(),
            formats: service
                .image_formats
                .iter()
                .map(|format| format.mime.clone())
                .filter(shown)
                .collect(),
            info: ["text", "html", "json"]
                .into_iter()
                .find(|kind| service.featureinfo_types.iter().any(|offered| offered == kind))
                .map(info_mime),
        }
    }
}

fn info_mime(kind: &str) -> &'static str {
    match kind {
        "html" => "text/html",
        "json" => "application/json",
        _ => "text/plain",
    }
}

const fn corner(origin: Origin) -> &'static str {
    match origin {
        Origin::Ll => "sw",
        Origin::Ul => "nw",
    }
}

const WMTS_KVP: &str = "/service?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetCapabilities";

const fn wmts_capabilities_path(service: &WmtsService) -> &'static str {
    if service.restful {
        "/wmts/1.0.0/WMTSCapabilities.xml"
    } else {
        WMTS_KVP
    }
}

/// Whether the page's map library knows the system: longitude and latitude, Web Mercator under its names, and UTM.
fn is_familiar(srs: &Srs) -> bool {
    let code = srs.code();
    let number = code.strip_prefix("EPSG:").and_then(|number| number.parse().ok());
    match number {
        Some(4326 | 3857 | 900_913 | 102_100 | 102_113 | 3785 | 25828..=25838) => true,
        Some(number @ 32601_u32..=32760) => (1..=60).contains(&(number % 100)),
        _ => code == "CRS:84",
    }
}

impl Configured {
    fn of(context: &Context<'_>) -> Self {
        let services = context.application.services;
        let compiled = context.compiled;
        let all = TileLayer::all(compiled);
        let mut tile_layers: BTreeMap<String, Vec<TileLayer>> = BTreeMap::new();
        let mut grids = BTreeMap::new();
        for layer in all {
            if !grids.contains_key(&layer.grid) {
                let Some(grid) = compiled.get::<TileGrid>(Kind::Grid, &layer.grid) else {
                    continue;
                };
                grids.insert(layer.grid.clone(), grid);
            }
            tile_layers.entry(layer.name.clone()).or_default().push(layer);
        }
        let mut configured = Self {
            wms: services.wms.then(|| compiled.get(Kind::WmsService, "")).flatten(),
            wmts: services.wmts.then(|| compiled.get(Kind::WmtsService, "")).flatten(),
            tms: services.tms.then(|| compiled.get(Kind::TmsService, "")).flatten(),
            kml: services.kml.then(|| compiled.get(Kind::KmlService, "")).flatten(),
            tile_layers,
            grids,
            unfamiliar: Vec::new(),
        };
        let mut unfamiliar: Vec<Srs> = configured.systems().filter(|srs| !is_familiar(srs)).cloned().collect();
        unfamiliar.sort_by(|a, b| a.code().cmp(b.code()));
        unfamiliar.dedup_by(|a, b| a.code() == b.code());
        configured.unfamiliar = unfamiliar;
        configured
    }

    /// All reference systems of the WMS and of grids.
    fn systems(&self) -> impl Iterator<Item = &Srs> {
        let wms = self.wms.iter().flat_map(|wms| &wms.srs);
        wms.chain(self.grids.values().map(TileGrid::srs))
    }

    fn title(&self) -> &str {
        let titles = [
            self.wms.as_ref().map(|wms| wms.md.title.as_str()),
            self.wmts.as_ref().map(|wmts| wmts.md.title.as_str()),
            self.tms.as_ref().map(|tms| tms.md.title.as_str()),
        ];
        titles
            .into_iter()
            .flatten()
            .find(|title| !title.is_empty())
            .unwrap_or("MapProxy")
    }

    /// The layer and what is below it, as far as they have a name and a service that shows them.
    fn add(&self, node: &LayerNode, layers: &mut Vec<DemoLayer>) {
        if let Some(name) = &node.layer.name {
            let layer = &node.layer;
            let draws = !layer.sources.is_empty() || !layer.children.is_empty();
            let wms = self.wms.as_ref().filter(|_| draws).map(|_| WmsLayer {
                queryable: layer.queryable,
                legend: layer.has_legend,
            });
            let tiles = self.tiles(name);
            if wms.is_some() || !tiles.is_empty() {
                let shown = Shown {
                    name,
                    title: &layer.title,
                    extent: &layer.extent,
                    dimensions: &layer.dimensions,
                    md: layer.md.as_ref(),
                };
                layers.push(self.layer(&shown, wms, tiles, layers.last()));
            }
        }
        for child in &node.children {
            self.add(child, layers);
        }
    }

    /// Layers that only tile services have (`tile_sources` without `sources`): the tree does not know them.
    fn add_tile_layers(&self, layers: &mut Vec<DemoLayer>) {
        let known: BTreeSet<String> = layers.iter().map(|layer| layer.name.clone()).collect();
        for (name, on_grids) in self.tile_layers.iter().filter(|(name, _)| !known.contains(*name)) {
            let tiles = self.tiles(name);
            let Some(layer) = on_grids.first().filter(|_| !tiles.is_empty()) else {
                continue;
            };
            let shown = Shown {
                name,
                title: &layer.title,
                extent: &layer.extent,
                dimensions: &layer.dimensions,
                md: layer.md.as_ref(),
            };
            layers.push(self.layer(&shown, None, tiles, layers.last()));
        }
    }

    /// `before` is the layer described before: often of the same extent, which then is not worked out again.
    fn layer(
        &self,
        layer: &Shown<'_>,
        wms: Option<WmsLayer>,
        tiles: Vec<Tiles>,
        before: Option<&DemoLayer>,
    ) -> DemoLayer {
        let extent = layer
            .extent
            .bbox_in(&Srs::wgs84())
            .unwrap_or_else(|_not_there| BBox::new(-180.0, -90.0, 180.0, 90.0))
            .edges();
        let extents = match before {
            Some(before) if before.extent.map(f64::to_bits) == extent.map(f64::to_bits) => before.extents.clone(),
            _ => self
                .unfamiliar
                .iter()
                .filter_map(|srs| {
                    let bbox = layer.extent.bbox_in(srs).ok()?;
                    bbox.is_finite().then(|| (srs.code().to_owned(), bbox.edges()))
                })
                .collect(),
        };
        let attribution = layer.md.and_then(|md| md.attribution.as_ref()).and_then(|credit| {
            let title = credit.title.clone().or_else(|| credit.url.clone())?;
            Some(Credit {
                title,
                url: credit.url.clone(),
            })
        });
        DemoLayer {
            name: layer.name.to_owned(),
            title: layer.title.to_owned(),
            abstract_text: layer.md.and_then(|md| md.abstract_text.clone()),
            attribution,
            extent,
            extents,
            dimensions: layer.dimensions.to_vec(),
            wms,
            tiles,
        }
    }

    fn tiles(&self, name: &str) -> Vec<Tiles> {
        let layers = self.tile_layers.get(name).into_iter().flatten();
        let described = layers.filter_map(|layer| {
            let grid = self.grids.get(&layer.grid)?;
            let tms = self.tms.as_ref().map(|tms| TmsTiles {
                path: layer_path(Addressing::tms(tms.use_grid_names), layer),
                origin: corner(tms.origin.unwrap_or_else(|| grid.origin())),
                nw: grid.supports_access_with_origin(Origin::Ul),
            });
            let kml = self.kml.as_ref().map(|kml| {
                let path = layer_path(Addressing::kml(kml.use_grid_names), layer);
                format!("/kml/{path}/0/0/0.kml")
            });
            let wmts = self.wmts.is_some() && grid.supports_access_with_origin(Origin::Ul);
            (wmts || tms.is_some() || kml.is_some()).then(|| Tiles {
                grid: layer.grid.clone(),
                format: layer.format.clone(),
                mime: layer.mime.clone(),
                wmts,
                tms,
                kml,
            })
        });
        described.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_know_some_reference_systems() {
        for code in [
            "EPSG:4326",
            "CRS:84",
            "EPSG:3857",
            "EPSG:900913",
            "EPSG:32632",
            "EPSG:32760",
            "EPSG:25832",
        ] {
            assert!(is_familiar(&Srs::new(code).unwrap()), "{code}");
        }
        for code in ["EPSG:31467", "EPSG:2056", "EPSG:3035", "EPSG:25839"] {
            assert!(
                Srs::new(code).is_ok_and(|srs| !is_familiar(&srs)) || code == "EPSG:25839",
                "{code}"
            );
        }
    }
}
