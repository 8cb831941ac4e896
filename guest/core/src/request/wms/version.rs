//! Versions of the WMS: which one is spoken, and what its parameters are called.

use crate::config::model::WmsVersion;
use crate::request::QueryParams;

/// `1.1.1`
pub const fn code(version: WmsVersion) -> &'static str {
    match version {
        WmsVersion::V100 => "1.0.0",
        WmsVersion::V110 => "1.1.0",
        WmsVersion::V111 => "1.1.1",
        WmsVersion::V130 => "1.3.0",
    }
}

const fn numbers(version: WmsVersion) -> [u32; 3] {
    match version {
        WmsVersion::V100 => [1, 0, 0],
        WmsVersion::V110 => [1, 1, 0],
        WmsVersion::V111 => [1, 1, 1],
        WmsVersion::V130 => [1, 3, 0],
    }
}

/// The version to answer with (OGC 06-042, 6.2.4): the one asked for by `version` or `wmtver`; if we do not speak it,
/// the highest below it, or our lowest; the highest of all if none was asked for or it cannot be read.
/// `spoken` is ascending; 1.3.0 if it is empty.
pub fn negotiate(params: &QueryParams, spoken: &[WmsVersion]) -> WmsVersion {
    let highest = spoken.last().copied().unwrap_or(WmsVersion::V130);
    let lowest = spoken.first().copied().unwrap_or(highest);
    let Some(asked) = params
        .get("version")
        .or_else(|| params.get("wmtver"))
        .and_then(parse_numbers)
    else {
        return highest;
    };
    spoken
        .iter()
        .rev()
        .copied()
        .find(|version| numbers(*version) <= asked)
        .unwrap_or(lowest)
}

/// `1.1` is 1.1.0; anything behind a third number is ignored.
fn parse_numbers(text: &str) -> Option<[u32; 3]> {
    let mut found = [0; 3];
    let mut parts = text.trim().split('.');
    for (index, number) in found.iter_mut().enumerate() {
        match parts.next() {
            Some(part) => *number = part.parse().ok()?,
            None if index > 0 => break,
            None => return None,
        }
    }
    Some(found)
}

/// The parameter that names the reference system: `crs` since 1.3.0.
pub(super) const fn srs_name(version: WmsVersion) -> &'static str {
    match version {
        WmsVersion::V130 => "crs",
        _ => "srs",
    }
}

/// The parameter that names the version: `wmtver` in 1.0.0.
pub(super) fn required_version_name(params: &QueryParams, version: WmsVersion) -> &'static str {
    if version == WmsVersion::V100 && !params.contains("version") {
        "wmtver"
    } else {
        "version"
    }
}
