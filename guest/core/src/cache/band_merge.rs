//! Bands of several sources as one picture (`sources: {r: [...], g: …}`, behaviour section 9; MapProxy: `BandMerger`).

use std::rc::Rc;

use crate::client::carry_out;
use crate::image::{Band, BandSource, ImageOptions, MapImage, MapImageError, Mode, merge_bands};
use crate::layer::{LayerError, MapLayer, Outcome, Plan, all};
use crate::platform::Platform;
use crate::query::MapQuery;

/// Draws each band from other sources.
#[derive(Debug)]
pub struct BandMergeLayer {
    platform: Rc<dyn Platform>,
    sources: Vec<Rc<dyn MapLayer>>,
    bands: Vec<BandSource>,
    options: ImageOptions,
}

impl BandMergeLayer {
    /// `bands` name `sources` by their index.
    pub fn new(
        platform: Rc<dyn Platform>,
        sources: Vec<Rc<dyn MapLayer>>,
        bands: Vec<BandSource>,
        options: ImageOptions,
    ) -> Self {
        Self {
            platform,
            sources,
            bands,
            options,
        }
    }
}

impl BandMergeLayer {
    /// The maps of the sources as one.
    fn merged(&self, maps: Vec<Outcome<Option<MapImage>>>, size: (u32, u32)) -> Result<Option<MapImage>, LayerError> {
        let mut cacheable = true;
        let mut rasters = Vec::new();
        let mut indices = Vec::new();
        for (index, map) in maps.into_iter().enumerate() {
            if let Some(map) = map? {
                cacheable &= map.cacheability.cacheable;
                rasters.push(map.into_raster()?);
                indices.push(index);
            }
        }
        if rasters.is_empty() {
            return Ok(None);
        }
        let position = |image: usize| indices.iter().position(|index| *index == image);
        let present = |band: &BandSource| position(band.image).map(|image| BandSource { image, ..*band });
        let bands: Vec<BandSource> = self.bands.iter().filter_map(present).collect();
        let raster = merge_bands(&rasters, &bands, size).map_err(MapImageError::from)?;
        let has = |target: Band| self.bands.iter().any(|band| band.target == target);
        let mode = if has(Band::L) {
            Mode::L
        } else if has(Band::A) {
            Mode::Rgba
        } else {
            Mode::Rgb
        };
        let mut map = MapImage::from_raster(
            raster,
            ImageOptions {
                mode: Some(mode),
                ..self.options.clone()
            },
        );
        map.cacheability.cacheable = cacheable;
        Ok(Some(map))
    }
}

impl MapLayer for BandMergeLayer {
    fn get_map(&self, query: &MapQuery) -> Result<Option<MapImage>, LayerError> {
        carry_out(&self.platform, self.plan(query)?)
    }

    fn plan(&self, query: &MapQuery) -> Result<Plan<'_>, LayerError> {
        let size = query.size;
        let plans = self.sources.iter().map(|source| source.plan(query)).collect();
        all(plans, usize::MAX).map(move |maps| self.merged(maps, size))
    }

    fn dimension_names(&self) -> Vec<String> {
        self.sources
            .iter()
            .flat_map(|source| source.dimension_names())
            .collect()
    }

    fn supports_meta_tiles(&self) -> bool {
        self.sources.iter().all(|source| source.supports_meta_tiles())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
