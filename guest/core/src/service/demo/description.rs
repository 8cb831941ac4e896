//! What the demo page shows, as it reads it: see guest/core/demo/README.md.

use serde::Serialize;

use super::super::Context;
use super::super::tile::{Addressing, layer_path};
use crate::config::compiled::Kind;
use crate::config::model::{LayerNode, LayerTree, TileLayer, TmsService, WmsService, WmsVersion, WmtsService};
use crate::grid::{Origin, TileGrid};
use crate::srs::{BBox, Srs};

#[derive(Debug, Serialize)]
pub(super) struct Description {
    pub title: String,
    pub version: &'static str,
    pub base: String,
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
}

#[derive(Debug, Serialize)]
pub(super) struct DemoLayer {
    pub name: String,
    pub title: String,
    /// degrees: west, south, east, north
    pub extent: [f64; 4],
    pub services: Services,
}

#[derive(Debug, Serialize)]
pub(super) struct Services {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wms: Option<Wms>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wmts: Option<Wmts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiles: Vec<Tiles>,
}

#[derive(Debug, Serialize)]
pub(super) struct Wms {
    pub url: String,
    pub version: &'static str,
    pub capabilities: String,
    pub srs: Vec<String>,
    pub formats: Vec<String>,
    pub queryable: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Wmts {
    pub capabilities: String,
    pub matrix_sets: Vec<MatrixSet>,
}

#[derive(Debug, Serialize)]
pub(super) struct MatrixSet {
    pub name: String,
    pub srs: String,
    pub format: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Tiles {
    pub grid: String,
    pub srs: String,
    pub url: String,
    pub tms: String,
    pub origin: &'static str,
    pub bbox: [f64; 4],
    pub resolutions: Vec<f64>,
    pub tile_size: (u32, u32),
    pub format: String,
}

/// The services that are switched on, and what they have.
struct Configured {
    script_url: String,
    wms: Option<WmsService>,
    wmts: Option<WmtsService>,
    tms: Option<TmsService>,
    tile_layers: Vec<(TileLayer, TileGrid)>,
}

impl Description {
    pub(super) fn of(context: &Context<'_>) -> Self {
        let configured = Configured::of(context);
        let tree: LayerTree = context.compiled.get(Kind::LayerTree, "").unwrap_or_default();
        let mut layers = Vec::new();
        for root in &tree.roots {
            configured.add(root, &mut layers);
        }
        Self {
            title: configured.title().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            base: configured.script_url,
            layers,
            show: None,
        }
    }
}

impl Configured {
    fn of(context: &Context<'_>) -> Self {
        let services = context.application.services;
        let compiled = context.compiled;
        let tile_layers: Vec<TileLayer> = compiled.get(Kind::TileLayers, "").unwrap_or_default();
        Self {
            script_url: context.script_url(),
            wms: services.wms.then(|| compiled.get(Kind::WmsService, "")).flatten(),
            wmts: services.wmts.then(|| compiled.get(Kind::WmtsService, "")).flatten(),
            tms: services.tms.then(|| compiled.get(Kind::TmsService, "")).flatten(),
            tile_layers: tile_layers
                .into_iter()
                .filter_map(|layer| {
                    let grid = compiled.get(Kind::Grid, &layer.grid)?;
                    Some((layer, grid))
                })
                .collect(),
        }
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
            let services = Services {
                wms: self.wms.as_ref().map(|wms| self.wms(wms, node)),
                wmts: self.wmts.as_ref().and_then(|wmts| self.wmts(wmts, name)),
                tiles: self.tms.as_ref().map(|tms| self.tiles(tms, name)).unwrap_or_default(),
            };
            let draws = !node.layer.sources.is_empty() || !node.layer.children.is_empty();
            let services = Services {
                wms: services.wms.filter(|_| draws),
                ..services
            };
            if services.wms.is_some() || services.wmts.is_some() || !services.tiles.is_empty() {
                let degrees = node.layer.extent.bbox_in(&Srs::wgs84());
                layers.push(DemoLayer {
                    name: name.clone(),
                    title: node.layer.title.clone(),
                    extent: degrees
                        .unwrap_or_else(|_not_there| BBox::new(-180.0, -90.0, 180.0, 90.0))
                        .edges(),
                    services,
                });
            }
        }
        for child in &node.children {
            self.add(child, layers);
        }
    }

    fn wms(&self, service: &WmsService, node: &LayerNode) -> Wms {
        let version = match service.versions.iter().max() {
            Some(WmsVersion::V130) | None => "1.3.0",
            Some(WmsVersion::V111) => "1.1.1",
            Some(WmsVersion::V110) => "1.1.0",
            Some(WmsVersion::V100) => "1.0.0",
        };
        let url = format!("{}/service", self.script_url);
        Wms {
            capabilities: format!("{url}?SERVICE=WMS&VERSION={version}&REQUEST=GetCapabilities"),
            url,
            version,
            srs: service.srs.iter().map(|srs| srs.code().to_owned()).collect(),
            formats: service
                .image_formats
                .iter()
                .map(|format| format.mime.clone())
                .filter(|mime| mime.starts_with("image/png") || mime.starts_with("image/jpeg"))
                .collect(),
            queryable: node.layer.queryable,
        }
    }

    fn wmts(&self, service: &WmtsService, name: &str) -> Option<Wmts> {
        let matrix_sets: Vec<MatrixSet> = self
            .grids_of(name)
            .filter(|(_, grid)| grid.supports_access_with_origin(Origin::Ul))
            .map(|(layer, grid)| MatrixSet {
                name: grid.name().to_owned(),
                srs: grid.srs().code().to_owned(),
                format: layer.mime.clone(),
            })
            .collect();
        let path = if service.restful {
            "/wmts/1.0.0/WMTSCapabilities.xml"
        } else {
            "/service?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetCapabilities"
        };
        (!matrix_sets.is_empty()).then(|| Wmts {
            capabilities: format!("{}{path}", self.script_url),
            matrix_sets,
        })
    }

    fn tiles(&self, service: &TmsService, name: &str) -> Vec<Tiles> {
        let addressing = Addressing::tms(service.use_grid_names);
        self.grids_of(name)
            .map(|(layer, grid)| {
                let path = layer_path(addressing, layer);
                Tiles {
                    grid: grid.name().to_owned(),
                    srs: grid.srs().code().to_owned(),
                    url: format!("{}/tiles/{path}/{{z}}/{{x}}/{{y}}.{}", self.script_url, layer.format),
                    tms: format!("{}/tms/1.0.0/{path}", self.script_url),
                    origin: match service.origin.unwrap_or_else(|| grid.origin()) {
                        Origin::Ll => "sw",
                        Origin::Ul => "nw",
                    },
                    bbox: grid.bbox().edges(),
                    resolutions: grid
                        .external_levels(false)
                        .map(|(_, level)| grid.resolution(level))
                        .collect(),
                    tile_size: grid.tile_size(),
                    format: layer.format.clone(),
                }
            })
            .collect()
    }

    fn grids_of(&self, name: &str) -> impl Iterator<Item = &(TileLayer, TileGrid)> {
        self.tile_layers.iter().filter(move |(layer, _)| layer.name == name)
    }
}
