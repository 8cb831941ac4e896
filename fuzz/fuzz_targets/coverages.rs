//! Coverage files: WKT, GeoJSON, shapefiles and GeoPackages are read or refused, and what was read can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mapproxy_core::coverage::Coverage;
use mapproxy_core::srs::{BBox, Srs};

fuzz_target!(|input: &[u8]| {
    let wgs84 = Srs::wgs84();
    let Ok(coverage) = Coverage::from_file(input, wgs84.clone()) else {
        return;
    };
    let bbox = BBox::new(-10.0, -10.0, 30.0, 30.0);
    let touches = coverage.intersects(bbox, &wgs84);
    assert!(touches || !coverage.contains(bbox, &wgs84), "what is inside touches");
    let _ = coverage.mask(bbox, &wgs84, (16, 16));
    let _ = coverage.transform_to(&Srs::web_mercator());
});
