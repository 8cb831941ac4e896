//! Compares coverages with MapProxy's own answers: `testdata/README.md` says how they were made.

use serde::Deserialize;

use super::Coverage;
use crate::srs::{BBox, Srs};

#[derive(Deserialize)]
struct Golden {
    srs: String,
    wkt: String,
    extent: [f64; 4],
    /// Box, its system, intersects, contains.
    probes: Vec<([f64; 4], String, bool, bool)>,
    #[expect(clippy::type_complexity, reason = "rows of a golden file")]
    /// Box, its system, size, rows of `#` (inside) and `.`.
    masks: Vec<([f64; 4], String, (u32, u32), Vec<String>)>,
}

fn golden() -> Vec<(Golden, Coverage)> {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("../../testdata/coverage/coverages.json")).unwrap();
    golden
        .into_iter()
        .map(|golden| {
            let coverage = Coverage::from_wkt(&golden.wkt, Srs::new(&golden.srs).unwrap()).unwrap();
            (golden, coverage)
        })
        .collect()
}

fn bbox(edges: [f64; 4]) -> BBox {
    BBox::new(edges[0], edges[1], edges[2], edges[3])
}

#[test]
fn answers_are_mapproxys() {
    for (index, (golden, coverage)) in golden().into_iter().enumerate() {
        assert_eq!(coverage.extent().bbox, bbox(golden.extent), "coverage {index}");
        for (edges, srs, intersects, contains) in golden.probes {
            let (edges, srs) = (bbox(edges), Srs::new(&srs).unwrap());
            assert_eq!(coverage.intersects(edges, &srs), intersects, "coverage {index} {edges}");
            assert_eq!(coverage.contains(edges, &srs), contains, "coverage {index} {edges}");
        }
    }
}

/// A pixel on a slanted edge may differ: shrinking the polygon moves its corners a little differently, and corners
/// decide by the pixel they lie in. None may be further than that from MapProxy's edge, and at most one in a hundred.
#[test]
fn masks_are_mapproxys() {
    for (index, (golden, coverage)) in golden().into_iter().enumerate() {
        for (edges, srs, size, rows) in golden.masks {
            let mask = coverage.mask(bbox(edges), &Srs::new(&srs).unwrap(), size).unwrap();
            let found: Vec<String> = mask
                .chunks(size.0 as usize)
                .map(|row| row.iter().map(|pixel| if *pixel == 0 { '.' } else { '#' }).collect())
                .collect();
            let at = |x: i64, y: i64| {
                let row = usize::try_from(y).ok().and_then(|y| rows.get(y))?;
                usize::try_from(x).ok().and_then(|x| row.as_bytes().get(x))
            };
            let mut differing = 0;
            for (y, row) in (0..).zip(&found) {
                for (x, pixel) in (0..).zip(row.bytes()) {
                    if at(x, y) != Some(&pixel) {
                        differing += 1;
                        let near = (-1..=1).any(|dy| (-1..=1).any(|dx| at(x + dx, y + dy) == Some(&pixel)));
                        assert!(
                            near,
                            "coverage {index} {edges:?}: {x} {y}\n{}\n\n{}",
                            found.join("\n"),
                            rows.join("\n")
                        );
                    }
                }
            }
            assert!(
                differing * 100 <= size.0 * size.1,
                "coverage {index} {edges:?}: {differing} pixels differ\n{}\n\n{}",
                found.join("\n"),
                rows.join("\n")
            );
        }
    }
}
