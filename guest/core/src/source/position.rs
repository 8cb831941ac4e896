//! The point of a GetFeatureInfo in another reference system (behaviour section 2.6; MapProxy: `client/wms.py`).

use crate::layer::LayerError;
use crate::query::InfoQuery;
use crate::srs::Srs;

/// The query in a system that the source supports. In an equal one it stays as it is, by the code of the request and not
/// by the one listed (unlike maps).
pub(super) fn in_srs(query: &InfoQuery, srs: &Srs) -> Result<InfoQuery, LayerError> {
    if *srs == query.srs {
        return Ok(query.clone());
    }
    let (width, height) = (f64::from(query.size.0), f64::from(query.size.1));
    let x = query.bbox.minx + query.pos.0 / width * query.bbox.width();
    let y = query.bbox.maxy - query.pos.1 / height * query.bbox.height();
    let bbox = query.srs.transform_bbox(srs, query.bbox)?;
    let size = (
        query.size.0,
        (bbox.height() / bbox.width() * width).clamp(1.0, 1e6) as u32,
    );
    let outside = || LayerError::InvalidBBox {
        message: "could not transform the position".to_owned(),
    };
    let (x, y) = query.srs.transform_point(srs, x, y).ok_or_else(outside)?;
    let pos = (
        ((x - bbox.minx) / bbox.width() * width).round_ties_even(),
        ((bbox.maxy - y) / bbox.height() * f64::from(size.1)).round_ties_even(),
    );
    Ok(InfoQuery {
        bbox,
        size,
        srs: srs.clone(),
        pos,
        ..query.clone()
    })
}
