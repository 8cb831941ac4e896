//! A picture in one reference system as a map in another: joins `srs` and `image::transform` (MapProxy:
//! `ImageTransformer`). Between cylindrical systems rows and columns are warped apart, otherwise along a mesh.

use crate::image::{
    Fill, ImageOptions, MapImage, MapImageError, Raster, SameSrs, SeparableMapping, TileMosaic, transform_same_srs,
    warp_mesh, warp_separable,
};
use crate::srs::{BBox, Srs, Transformer, separable};

use super::LayerError;

/// Where a picture lies, or is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub bbox: BBox,
    /// pixels
    pub size: (u32, u32),
    pub srs: &'a Srs,
}

/// The picture, which lies at `from`, as a map at `to`. It passes through as it is where both are the same.
pub fn warp_image(
    image: MapImage,
    from: Place<'_>,
    to: Place<'_>,
    options: &ImageOptions,
) -> Result<MapImage, LayerError> {
    let same_srs = from.srs == to.srs;
    let unchanged = || SameSrs::plan(from.size, from.bbox.edges(), to.size, to.bbox.edges()) == SameSrs::Unchanged;
    if same_srs && unchanged() {
        return Ok(image);
    }
    let cacheability = image.cacheability;
    let raster = image.into_raster()?;
    let (fill, resampling) = (Fill::of(options), options.resampling());
    let warped = if same_srs {
        transform_same_srs(raster, from.bbox.edges(), to.size, to.bbox.edges(), resampling, fill)
    } else if let Some(mapping) = separable_mapping(from, to) {
        warp_separable(&raster, &mapping, resampling, fill)
    } else {
        let mapping = point_mapping(from, to)?;
        warp_mesh(&raster, &mapping, to.size, resampling, fill)
    };
    let warped = warped.map_err(MapImageError::from)?;
    Ok(MapImage::from_raster(warped, options.clone()).with_cacheability(cacheability))
}

/// The mosaic, which covers `bbox` in `srs`, as a map at `to`. Only the tiles that are looked at are decoded. With
/// `palette` the answer will have at most so many colours.
pub fn warp_tiles(
    mut mosaic: TileMosaic,
    bbox: BBox,
    srs: &Srs,
    to: Place<'_>,
    options: &ImageOptions,
    palette: Option<usize>,
) -> Result<Raster, LayerError> {
    let (fill, resampling) = (Fill::of(options), options.resampling());
    if srs == to.srs {
        return Ok(mosaic.transform_same_srs(bbox.edges(), to.size, to.bbox.edges(), resampling, palette, fill)?);
    }
    let from = Place {
        bbox,
        size: mosaic.size(),
        srs,
    };
    if let Some(mapping) = separable_mapping(from, to) {
        return Ok(mosaic.warp(&mapping, resampling, fill)?);
    }
    let mapping = point_mapping(from, to)?;
    let raster = mosaic.into_raster(fill)?;
    Ok(warp_mesh(&raster, &mapping, to.size, resampling, fill).map_err(MapImageError::from)?)
}

/// Source pixels of all destination columns and rows, between systems with straight meridians and parallels.
fn separable_mapping(from: Place<'_>, to: Place<'_>) -> Option<SeparableMapping> {
    let axes = separable(to.srs, from.srs)?;
    let (x_step, y_step) = (
        to.bbox.width() / f64::from(to.size.0),
        to.bbox.height() / f64::from(to.size.1),
    );
    let (x_res, y_res) = resolution(from);
    let x = |column: u32| (axes.x(to.bbox.minx + (f64::from(column) + 0.5) * x_step) - from.bbox.minx) / x_res;
    let y = |row: u32| (from.bbox.maxy - axes.y(to.bbox.maxy - (f64::from(row) + 0.5) * y_step)) / y_res;
    Some(SeparableMapping {
        xs: (0..to.size.0).map(x).collect(),
        ys: (0..to.size.1).map(y).collect(),
    })
}

/// Source pixel of a destination pixel.
fn point_mapping<'a>(
    from: Place<'a>,
    to: Place<'a>,
) -> Result<impl Fn(f64, f64) -> Option<(f64, f64)> + use<'a>, LayerError> {
    let transformer = Transformer::new(to.srs, from.srs)?;
    let (x_step, y_step) = (
        to.bbox.width() / f64::from(to.size.0),
        to.bbox.height() / f64::from(to.size.1),
    );
    let (x_res, y_res) = resolution(from);
    Ok(move |x: f64, y: f64| {
        let (x, y) = transformer.point(to.bbox.minx + x * x_step, to.bbox.maxy - y * y_step)?;
        Some(((x - from.bbox.minx) / x_res, (from.bbox.maxy - y) / y_res))
    })
}

fn resolution(place: Place<'_>) -> (f64, f64) {
    (
        place.bbox.width() / f64::from(place.size.0),
        place.bbox.height() / f64::from(place.size.1),
    )
}
