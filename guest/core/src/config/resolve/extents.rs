//! Extents and resolution ranges of several layers put together, as MapProxy does it (`layer/merge.py`).

use crate::config::model::{MapExtent, ResRange};
use crate::srs::{BBox, Srs};

/// The world, what a source without coverage covers.
pub(super) fn world() -> MapExtent {
    MapExtent::new(BBox::new(-180.0, -90.0, 180.0, 90.0), Srs::wgs84())
}

/// What all of them cover. Those that cover the world (`None`) do not count; `None` if all do.
pub(super) fn merge_extents(extents: impl IntoIterator<Item = Option<MapExtent>>) -> Option<MapExtent> {
    let mut all = extents.into_iter().flatten();
    let first = all.next()?;
    Some(all.fold(first, |merged, extent| {
        let wgs84 = Srs::wgs84();
        match (merged.bbox_in(&wgs84), extent.bbox_in(&wgs84)) {
            (Ok(a), Ok(b)) => MapExtent::new(a.union(&b), wgs84),
            (Ok(a), Err(_)) => MapExtent::new(a, wgs84),
            (Err(_), Ok(b)) => MapExtent::new(b, wgs84),
            (Err(_), Err(_)) => merged,
        }
    }))
}

/// Where any of them draws; `None` is "everywhere", also if only one of them draws everywhere.
pub(super) fn merge_ranges(ranges: impl IntoIterator<Item = Option<ResRange>>) -> Option<ResRange> {
    let mut merged: Option<ResRange> = None;
    for range in ranges {
        let range = range?;
        merged = Some(match merged {
            None => range,
            Some(so_far) => ResRange {
                min_res: so_far.min_res.zip(range.min_res).map(|(a, b)| a.max(b)),
                max_res: so_far.max_res.zip(range.max_res).map(|(a, b)| a.min(b)),
            },
        });
    }
    merged.filter(|range| range.min_res.is_some() || range.max_res.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_joined_in_degrees_and_the_world_does_not_count() {
        let extent = |minx, miny, maxx, maxy| Some(MapExtent::new(BBox::new(minx, miny, maxx, maxy), Srs::wgs84()));
        assert_eq!(merge_extents([None, None]), None);
        assert_eq!(
            merge_extents([None, extent(5.0, 50.0, 10.0, 55.0)]),
            extent(5.0, 50.0, 10.0, 55.0)
        );
        assert_eq!(
            merge_extents([extent(5.0, 50.0, 10.0, 55.0), extent(20.0, 40.0, 22.0, 45.0)]),
            extent(5.0, 40.0, 22.0, 55.0)
        );
    }

    #[test]
    fn ranges_widen_and_one_without_limits_takes_them_away() {
        let range = |min_res, max_res| Some(ResRange { min_res, max_res });
        let check = |ranges: &[Option<ResRange>], expect| assert_eq!(merge_ranges(ranges.iter().copied()), expect);
        check(
            &[range(Some(100.0), Some(10.0)), range(Some(200.0), Some(50.0))],
            range(Some(200.0), Some(10.0)),
        );
        check(&[range(Some(100.0), Some(10.0)), None], None);
        check(
            &[range(Some(7.0), None), range(Some(5.0), None)],
            range(Some(7.0), None),
        );
        check(&[range(Some(7.0), None), range(None, Some(5.0))], None);
        check(&[], None);
    }
}
