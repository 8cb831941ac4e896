//! `bbox_srs` entries with a box: what may be asked for in an SRS. A map beyond is empty there.

use crate::config::model::WmsService;
use crate::image::position_in_image;
use crate::query::MapQuery;
use crate::srs::{BBox, Srs};

/// What of a map may be asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Allowed {
    All,
    Nothing,
    /// this box, of this size, at this place of the whole map
    Part {
        bbox: BBox,
        size: (u32, u32),
        offset: (u32, u32),
    },
}

pub(super) fn allowed(service: &WmsService, query: &MapQuery) -> Allowed {
    match limit(service, &query.srs) {
        None => Allowed::All,
        Some(limit) if limit.contains(&query.bbox) => Allowed::All,
        Some(limit) if limit.intersects(&query.bbox) => {
            let (size, offset, edges) = position_in_image(query.bbox.edges(), query.size, limit.edges());
            if size.0 == 0 || size.1 == 0 {
                return Allowed::Nothing;
            }
            let [minx, miny, maxx, maxy] = edges;
            Allowed::Part {
                bbox: BBox::new(minx, miny, maxx, maxy),
                size,
                offset,
            }
        }
        Some(_) => Allowed::Nothing,
    }
}

fn limit(service: &WmsService, srs: &Srs) -> Option<BBox> {
    service.bbox_srs.iter().find(|entry| entry.srs == *srs)?.bbox
}
