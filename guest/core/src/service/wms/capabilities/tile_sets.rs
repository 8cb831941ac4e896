//! WMS-C: the tile sets behind the layers, as vendor specific capabilities (`OSGeo` WMS Tiling Client Recommendation).

use std::rc::Rc;

use super::document::Number;
use super::layer::BoxView;
use crate::config::model::TileLayer;
use crate::grid::TileGrid;
use crate::layer::LayerError;

/// One layer in one grid.
#[derive(Debug)]
pub(super) struct TileSet {
    pub(super) bbox: BoxView,
    /// units per pixel from coarse to fine, with spaces between
    pub(super) resolutions: String,
    pub(super) tile_size: (u32, u32),
    pub(super) format: String,
    pub(super) layer: String,
}

/// The tile sets of all layers, with the levels that TMS shows.
pub(super) fn tile_sets(
    layers: &[TileLayer],
    grid: impl Fn(&str) -> Result<Rc<TileGrid>, LayerError>,
) -> Result<Vec<TileSet>, LayerError> {
    let mut sets = Vec::with_capacity(layers.len());
    for layer in layers {
        let grid = grid(&layer.grid)?;
        let skips_first_level = grid.tms_profile().skips_first_level();
        let resolutions: Vec<String> = grid
            .external_levels(skips_first_level)
            .map(|(_, level)| Number::Calculated(grid.resolution(level)).to_string())
            .collect();
        sets.push(TileSet {
            bbox: BoxView {
                srs: grid.srs().code().to_owned(),
                edges: grid.bbox().into(),
            },
            resolutions: resolutions.join(" "),
            tile_size: grid.tile_size(),
            format: layer.mime.clone(),
            layer: layer.name.clone(),
        });
    }
    Ok(sets)
}
