//! Between which resolutions something is drawn (MapProxy: `resolution_range` in `grid`).

use crate::config::model::ResRange;
use crate::query::MapQuery;
use crate::srs::{BBox, METERS_PER_DEGREE, Srs};

impl ResRange {
    /// Whether a map of this box and size (pixels) is drawn: coarser than neither `min_res` nor finer than `max_res` on
    /// either axis. Degrees count as metres on the equator.
    pub fn contains(&self, bbox: BBox, size: (u32, u32), srs: &Srs) -> bool {
        let unit = if srs.is_latlong() { METERS_PER_DEGREE } else { 1.0 };
        let x_res = bbox.width() * unit / f64::from(size.0);
        let y_res = bbox.height() * unit / f64::from(size.1);
        let too_coarse = self
            .min_res
            .is_some_and(|min| min + 1e-6 <= x_res || min + 1e-6 <= y_res);
        let too_fine = self.max_res.is_some_and(|max| max > x_res || max > y_res);
        !too_coarse && !too_fine
    }

    /// Whether this query is drawn.
    pub fn contains_query(&self, query: &MapQuery) -> bool {
        self.contains(query.bbox, query.size, &query.srs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_on_both_axes() {
        let check = |min_res, max_res, res: f64, srs: &str, expect| {
            let bbox = BBox::new(0.0, 0.0, res * 100.0, res * 100.0);
            let range = ResRange { min_res, max_res };
            let srs = Srs::new(srs).unwrap();
            assert_eq!(range.contains(bbox, (100, 100), &srs), expect, "{range:?} {res}");
        };
        check(None, None, 10.0, "EPSG:3857", true);
        check(Some(10.0), None, 10.0, "EPSG:3857", true);
        check(Some(10.0), None, 10.1, "EPSG:3857", false);
        check(None, Some(10.0), 10.0, "EPSG:3857", true);
        check(None, Some(10.0), 9.9, "EPSG:3857", false);
        check(Some(1e6), Some(1e5), 1.0, "EPSG:4326", true);
        check(Some(1e5), None, 1.0, "EPSG:4326", false);
    }
}
