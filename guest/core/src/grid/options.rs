//! What the `grids` section of a configuration says of a grid, with nothing computed yet.

use super::{GridError, Origin, TileGrid, resolutions};
use crate::srs::{BBox, Srs};

/// The options of a grid. `None` stands for "not given"; the defaults are MapProxy's.
#[derive(Clone, Debug, Default)]
pub struct GridOptions {
    /// Name in the configuration.
    pub name: String,
    /// `srs`, by default `EPSG:900913`.
    pub srs: Option<Srs>,
    /// `bbox`, in `bbox_srs` if given; needed unless the system is `EPSG:4326` or Web Mercator.
    pub bbox: Option<BBox>,
    /// `bbox_srs`, by default `srs`.
    pub bbox_srs: Option<Srs>,
    /// `tile_size` in pixels, by default 256 x 256.
    pub tile_size: Option<(u32, u32)>,
    /// `res`: the resolutions in units per pixel, in any order. Excludes `min_res`, `max_res` and
    /// `align_resolutions_with`.
    pub res: Option<Vec<NamedRes>>,
    /// `res_factor`, by default 2.
    pub res_factor: Option<ResFactor>,
    /// `num_levels`, by default 20, with a factor of sqrt2 40.
    pub num_levels: Option<u32>,
    /// `min_res`: the coarsest resolution (the larger number).
    pub min_res: Option<f64>,
    /// `max_res`: the finest resolution (the smaller number).
    pub max_res: Option<f64>,
    /// `threshold_res`: where to switch from one level to the next, in any order.
    pub threshold_res: Vec<f64>,
    /// `stretch_factor`, by default 1.15.
    pub stretch_factor: Option<f64>,
    /// `max_shrink_factor`, by default 4.
    pub max_shrink_factor: Option<f64>,
    /// `align_resolutions_with`: the grid whose levels are taken where they fit.
    pub align_resolutions_with: Option<Box<TileGrid>>,
    /// `origin`, by default lower left.
    pub origin: Option<Origin>,
}

/// An entry of `res`: a resolution, possibly with a name (`[name, res]`).
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRes {
    /// The level's name in WMTS; without one it is the level's number with two digits.
    pub name: Option<String>,
    /// Units per pixel.
    pub res: f64,
}

/// `res_factor`: how many times finer each level is than the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResFactor {
    /// A number greater than 1.
    Number(f64),
    /// `sqrt2`: two levels for each halving.
    Sqrt2,
}

impl ResFactor {
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Number(value) => value,
            Self::Sqrt2 => std::f64::consts::SQRT_2,
        }
    }
}

impl GridOptions {
    /// Checks the options and computes the grid.
    pub fn build(&self) -> Result<TileGrid, GridError> {
        TileGrid::new(self)
    }

    pub(super) fn resolved_srs(&self) -> Srs {
        self.srs
            .clone()
            .unwrap_or_else(|| Srs::new("EPSG:900913").expect("EPSG:900913 is known"))
    }

    /// The grid's box in its own system.
    pub(super) fn resolved_bbox(&self, srs: &Srs) -> Result<BBox, GridError> {
        let bbox = match (self.bbox, &self.bbox_srs) {
            (Some(bbox), Some(bbox_srs)) if bbox_srs != srs => bbox_srs.transform_bbox(srs, bbox)?,
            (Some(bbox), _) => bbox,
            (None, _) => default_bbox(srs).ok_or_else(|| GridError::MissingBBox {
                srs: srs.code().to_owned(),
            })?,
        };
        if bbox.is_empty() || !bbox.is_finite() {
            return Err(GridError::EmptyBBox { bbox: bbox.to_string() });
        }
        Ok(bbox)
    }

    pub(super) fn resolved_tile_size(&self) -> Result<(u32, u32), GridError> {
        let (width, height) = self.tile_size.unwrap_or((256, 256));
        let possible = 1..=65_535;
        if !possible.contains(&width) || !possible.contains(&height) {
            return Err(GridError::TileSize { width, height });
        }
        Ok((width, height))
    }

    /// The resolutions from coarse to fine, with their names if any has one.
    pub(super) fn resolved_levels(
        &self,
        bbox: &BBox,
        tile_size: (u32, u32),
    ) -> Result<(Vec<f64>, Vec<Option<String>>), GridError> {
        let conflict = |given: bool, first, second| {
            if given {
                Err(GridError::Conflict { first, second })
            } else {
                Ok(())
            }
        };
        if let Some(list) = &self.res {
            conflict(self.min_res.is_some(), "res", "min_res")?;
            conflict(self.max_res.is_some(), "res", "max_res")?;
            conflict(self.align_resolutions_with.is_some(), "res", "align_resolutions_with")?;
            return resolutions::listed(list);
        }
        Ok((resolutions::computed(self, bbox, tile_size)?, Vec::new()))
    }
}

/// The whole world, for the systems where MapProxy knows it.
pub(super) fn default_bbox(srs: &Srs) -> Option<BBox> {
    const MERCATOR: f64 = 20_037_508.342_789_244;
    if srs.is_mercator() {
        Some(BBox::new(-MERCATOR, -MERCATOR, MERCATOR, MERCATOR))
    } else if *srs == Srs::wgs84() {
        Some(BBox::new(-180.0, -90.0, 180.0, 90.0))
    } else {
        None
    }
}
