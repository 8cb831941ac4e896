//! TMS profiles: what the Tile Map Service calls a grid, and the levels it shows.

use super::TileGrid;
use super::options::default_bbox;
use crate::srs::Srs;

/// The TMS profile of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TmsProfile {
    /// The world in Web Mercator, from 2 x 2 tiles on (`OSGEO:41001`).
    GlobalMercator,
    /// The world in longitude and latitude, from 2 x 1 tiles on.
    GlobalGeodetic,
    /// Any other grid.
    Local,
}

impl TmsProfile {
    /// The name in the service's documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GlobalMercator => "global-mercator",
            Self::GlobalGeodetic => "global-geodetic",
            Self::Local => "local",
        }
    }

    /// Whether the service leaves out the first level (the global profiles do).
    pub const fn skips_first_level(self) -> bool {
        !matches!(self, Self::Local)
    }
}

impl TileGrid {
    /// The TMS profile of this grid.
    pub fn tms_profile(&self) -> TmsProfile {
        let global = default_bbox(self.srs()).is_some_and(|world| world == self.bbox());
        if !global {
            TmsProfile::Local
        } else if self.srs().is_mercator() {
            TmsProfile::GlobalMercator
        } else if *self.srs() == Srs::wgs84() {
            TmsProfile::GlobalGeodetic
        } else {
            TmsProfile::Local
        }
    }

    /// The grid's level for a level counted by a client that knows only halvings (TMS, KML and `/tiles`): with
    /// `res_factor: sqrt2` every second level is shown, and `skip_first_level` leaves out the first one shown.
    /// `None` if there is no such level.
    pub fn internal_level(&self, external: i64, skip_first_level: bool) -> Option<u32> {
        let shown = external.checked_add(i64::from(skip_first_level))?;
        let factor = if self.is_sqrt2() { 2 } else { 1 };
        let level = u32::try_from(shown.checked_mul(factor)?).ok()?;
        (external >= 0 && level < self.levels()).then_some(level)
    }

    /// The levels shown to such clients, as (external number, grid level).
    pub fn external_levels(&self, skip_first_level: bool) -> impl Iterator<Item = (u32, u32)> {
        let step = if self.is_sqrt2() { 2 } else { 1 };
        let first = if skip_first_level { step } else { 0 };
        (0..).zip((first as u32..self.levels()).step_by(step))
    }
}
