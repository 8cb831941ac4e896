//! A picture in one reference system as a map in another: joins `srs` and `image::transform` (MapProxy:
//! `ImageTransformer`). Maps are warped along a mesh whose corners alone are transformed.

use crate::image::{
    Fill, ImageOptions, MapImage, MapImageError, Mesh, PixelMapping, Raster, SameSrs, TileMosaic, transform_same_srs,
    warp_mesh,
};
use crate::srs::{AxisMappings, BBox, Srs, Transformer, separable};

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
    } else {
        warp_mesh(&raster, &mesh(from, to)?, resampling, fill)
    };
    let warped = warped.map_err(MapImageError::from)?;
    Ok(MapImage::from_raster(warped, options.clone()).with_cacheability(cacheability))
}

/// The mosaic, which covers `bbox` in `srs`, as a map at `to`. Only the tiles that are looked at are decoded. With
/// `palette` the answer will have at most so many colours.
pub fn warp_tiles(
    mosaic: &TileMosaic,
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
    Ok(mosaic.warp_mesh(mesh(from, to)?, resampling, fill)?)
}

/// How the pixels of one place lie in the other.
fn mesh(from: Place<'_>, to: Place<'_>) -> Result<Mesh, LayerError> {
    let (x_step, y_step) = resolution(to);
    let mapping = Between {
        from,
        to,
        // Straight meridians and parallels stay exactly straight, which the mesh makes use of.
        axes: separable(to.srs, from.srs),
        there: Transformer::new(to.srs, from.srs)?,
        back: Transformer::new(from.srs, to.srs)?,
    };
    Ok(Mesh::new(&mapping, to.size, y_step / x_step).map_err(MapImageError::from)?)
}

/// The mapping from the pixels of `to` to those of `from`, which knows its inverse.
struct Between<'a> {
    from: Place<'a>,
    to: Place<'a>,
    axes: Option<AxisMappings>,
    there: Transformer,
    back: Transformer,
}

impl PixelMapping for Between<'_> {
    fn map(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (x_step, y_step) = resolution(self.to);
        let (x, y) = (self.to.bbox.minx + x * x_step, self.to.bbox.maxy - y * y_step);
        let (x, y) = match &self.axes {
            Some(axes) => (axes.x(x), axes.y(y)),
            None => self.there.point(x, y)?,
        };
        let (x_step, y_step) = resolution(self.from);
        let (x, y) = ((x - self.from.bbox.minx) / x_step, (self.from.bbox.maxy - y) / y_step);
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    fn error(&self, x: f64, y: f64, source: (f64, f64)) -> Option<(f64, f64)> {
        let (x_step, y_step) = resolution(self.from);
        let (source_x, source_y) = (
            self.from.bbox.minx + source.0 * x_step,
            self.from.bbox.maxy - source.1 * y_step,
        );
        let (to_x, to_y) = self.back.point(source_x, source_y)?;
        let (x_step, y_step) = resolution(self.to);
        Some((
            (to_x - self.to.bbox.minx) / x_step - x,
            (self.to.bbox.maxy - to_y) / y_step - y,
        ))
    }
}

fn resolution(place: Place<'_>) -> (f64, f64) {
    (
        place.bbox.width() / f64::from(place.size.0),
        place.bbox.height() / f64::from(place.size.1),
    )
}
