//! Which layer and grid an address means, and which of the grid's tiles.

use std::rc::Rc;

use super::super::Context;
use super::TileError;
use crate::cache::TileManager;
use crate::config::compiled::{Compiled, Kind};
use crate::config::model::{TileLayer, TileLayerKey};
use crate::grid::{Origin, TileCoord, TileGrid};
use crate::request::encode_segment;
use crate::request::tile::LayerAddress;

/// How a service names the grids of its layers.
#[derive(Debug, Clone, Copy)]
pub(in crate::service) struct Addressing {
    /// `use_grid_names`: by the grid's name, always; otherwise by its SRS, which may be left out
    pub use_grid_names: bool,
    /// which SRS is meant where none is named, the first that the layer has
    pub defaults: [&'static str; 2],
}

impl Addressing {
    /// TMS and `/tiles` take Web Mercator where a layer has it.
    pub(in crate::service) const fn tms(use_grid_names: bool) -> Self {
        Self {
            use_grid_names,
            defaults: ["EPSG900913", "EPSG4326"],
        }
    }

    /// KML takes longitude and latitude where a layer has them.
    pub(in crate::service) const fn kml(use_grid_names: bool) -> Self {
        Self {
            use_grid_names,
            defaults: ["EPSG4326", "EPSG900913"],
        }
    }

    /// Names of the layer and the grid. Two grids of a layer in one SRS have the same address; the last one counts.
    ///
    /// Without a spec, the name may be an old-fashioned one with the SRS at its end: `osm_EPSG3857`.
    pub(in crate::service) fn find(self, compiled: &Compiled, address: &LayerAddress) -> Option<(String, String)> {
        let LayerAddress { name, spec } = address;
        if self.use_grid_names {
            let grid = spec.as_ref()?;
            return compiled
                .contains(Kind::TileLayer, &format!("{name}/{grid}"))
                .then(|| (name.clone(), grid.clone()));
        }
        let grid_of = |layer: &str, srs_path: &str| {
            let keys: Vec<TileLayerKey> = compiled.get(Kind::TileLayerIndex, layer)?;
            grid_with(&keys, srs_path)
        };
        if let Some(srs_path) = spec {
            return Some((name.clone(), grid_of(name, srs_path)?));
        }
        let keys: Option<Vec<TileLayerKey>> = compiled.get(Kind::TileLayerIndex, name);
        let by_default = keys.and_then(|keys| self.defaults.iter().find_map(|srs_path| grid_with(&keys, srs_path)));
        if let Some(grid) = by_default {
            return Some((name.clone(), grid));
        }
        let (layer, srs_path) = name.rsplit_once('_')?;
        Some((layer.to_owned(), grid_of(layer, srs_path)?))
    }

    /// How a layer is addressed in documents: the part after its name.
    pub(in crate::service) fn spec(self, layer: &TileLayer) -> &str {
        if self.use_grid_names {
            &layer.grid
        } else {
            &layer.srs_path
        }
    }
}

fn grid_with(keys: &[TileLayerKey], srs_path: &str) -> Option<String> {
    let key = keys.iter().rfind(|key| key.srs_path == srs_path)?;
    Some(key.grid.clone())
}

/// `layer/spec` as a part of a URL.
pub(in crate::service) fn layer_path(addressing: Addressing, layer: &TileLayer) -> String {
    format!(
        "{}/{}",
        encode_segment(&layer.name),
        encode_segment(addressing.spec(layer))
    )
}

/// How a service numbers tiles.
#[derive(Debug, Clone, Copy)]
pub(in crate::service) struct Numbering {
    /// where rows are counted from; `None`: as in the grid
    pub origin: Option<Origin>,
    /// level 0 is the grid's second level
    pub skip_first_level: bool,
}

impl Numbering {
    /// The grid's own tile; `None` if the grid has no such tile.
    pub(in crate::service) fn tile(self, grid: &TileGrid, x: i64, y: i64, z: i64) -> Option<TileCoord> {
        let level = grid.internal_level(z, self.skip_first_level)?;
        let tile = grid.limit_tile(TileCoord::new(x, y, level))?;
        Some(match self.origin {
            Some(origin) => grid.from_origin(tile, origin),
            None => tile,
        })
    }
}

/// The layer an address means, with what makes its tiles.
pub(in crate::service) fn tile_layer(
    context: &Context<'_>,
    addressing: Addressing,
    address: &LayerAddress,
) -> Result<(TileLayer, Rc<TileManager>), TileError> {
    let unknown = || TileError::UnknownLayer {
        name: address.name.clone(),
    };
    let (layer, grid) = addressing.find(context.compiled, address).ok_or_else(unknown)?;
    context.assembly.tile_layer(&layer, &grid)?.ok_or_else(unknown)
}

/// The ending of an address has to be the layer's: `jpeg`, not `jpg`.
pub(in crate::service) fn check_format(layer: &TileLayer, asked: &str) -> Result<(), TileError> {
    if asked == layer.format {
        return Ok(());
    }
    Err(TileError::InvalidFormat {
        asked: asked.to_owned(),
        offered: layer.format.clone(),
    })
}
