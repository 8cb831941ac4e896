//! The picture of a meta tile, cut into its tiles (MapProxy's `TileSplitter`).

use super::map_image::{MapImage, MapImageError};
use super::options::ImageOptions;
use super::transform::{Fill, crop};

/// Cuts tiles out of a meta tile. A palette is kept. The tiles may be stored if the meta tile may.
#[derive(Debug)]
pub struct TileSplitter<'a> {
    meta_tile: MapImage,
    options: &'a ImageOptions,
}

impl<'a> TileSplitter<'a> {
    /// Tiles get these options; what lies outside the meta tile becomes transparent or the background accordingly.
    pub fn new(meta_tile: MapImage, options: &'a ImageOptions) -> Self {
        Self { meta_tile, options }
    }

    /// The tile whose upper left corner is at `offset` of the meta tile, in pixels (may be negative).
    ///
    /// # Errors
    /// The meta tile is no picture, or the size is out of range.
    pub fn tile(&mut self, offset: (i64, i64), size: (u32, u32)) -> Result<MapImage, MapImageError> {
        let cacheability = self.meta_tile.cacheability;
        let tile = crop(
            self.meta_tile.raster()?,
            offset.0,
            offset.1,
            size,
            Fill::of(self.options),
        )?;
        Ok(MapImage::from_raster(tile, self.options.clone()).with_cacheability(cacheability))
    }
}
