//! `refresh_before`: from when on a stored tile is too old (behaviour section 12).

use crate::config::model::RefreshBefore;
use crate::platform::{Links, Platform, UnixTime};

use super::TileInfo;

/// The time at or before which tiles are stale; `None` if they never are. A missing file means never.
pub(super) fn limit(rule: Option<&RefreshBefore>, platform: &dyn Platform) -> Option<f64> {
    match rule? {
        RefreshBefore::Age(seconds) => Some(platform.clock().now().0 - seconds),
        RefreshBefore::Time(time) => Some(*time),
        RefreshBefore::FileTime(path) => match platform.files().info(path, Links::Follow) {
            Ok(info) => Some(info.modified.0),
            Err(error) => {
                log::warn!(target: "mapproxy.cache", "refresh_before: {error}");
                None
            }
        },
    }
}

/// Whole seconds of the tile against the limit, as MapProxy compares. A tile without a time counts as old.
pub(super) fn is_stale(info: &TileInfo, limit: Option<f64>) -> bool {
    limit.is_some_and(|limit| info.timestamp.map_or(-1, UnixTime::seconds) as f64 <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::memory::{EPOCH, MemoryPlatform};

    #[test]
    fn limits_come_from_age_time_or_file() {
        let memory = MemoryPlatform::new();
        memory.insert("/marker", b"", UnixTime(77.0));
        let check = |rule: Option<RefreshBefore>, expect| assert_eq!(limit(rule.as_ref(), memory.as_ref()), expect);
        check(None, None);
        check(Some(RefreshBefore::Age(60.0)), Some(EPOCH - 60.0));
        check(Some(RefreshBefore::Time(5.0)), Some(5.0));
        check(Some(RefreshBefore::FileTime("/marker".to_owned())), Some(77.0));
        check(Some(RefreshBefore::FileTime("/absent".to_owned())), None);
    }

    #[test]
    fn whole_seconds_are_compared() {
        let check = |time: Option<f64>, limit, expect| {
            let info = TileInfo {
                timestamp: time.map(UnixTime),
                size: None,
            };
            assert_eq!(is_stale(&info, limit), expect, "{time:?} {limit:?}");
        };
        check(Some(100.9), Some(100.0), true);
        check(Some(101.0), Some(100.9), false);
        check(Some(100.9), Some(100.5), true);
        check(None, Some(0.0), true);
        check(None, None, false);
    }
}
