//! The resolutions of a grid's levels (MapProxy's `grid/resolutions.py`).
#![expect(clippy::float_cmp, reason = "factors are exact or rounded")]

use super::{GridError, GridOptions, NamedRes, TileGrid};
use crate::srs::BBox;

/// Resolutions given as a list: sorted from coarse to fine, with their names if any has one.
pub(super) fn listed(list: &[NamedRes]) -> Result<(Vec<f64>, Vec<Option<String>>), GridError> {
    if list.is_empty() {
        return Err(GridError::NoLevels);
    }
    for entry in list {
        check_res("res", entry.res)?;
    }
    let mut sorted: Vec<&NamedRes> = list.iter().collect();
    sorted.sort_by(|a, b| b.res.total_cmp(&a.res));
    let resolutions = sorted.iter().map(|entry| entry.res).collect();
    let names = if sorted.iter().any(|entry| entry.name.is_some()) {
        sorted.iter().map(|entry| entry.name.clone()).collect()
    } else {
        Vec::new()
    };
    Ok((resolutions, names))
}

/// Resolutions from `min_res`, `max_res`, `res_factor`, `num_levels` and `align_resolutions_with`.
pub(super) fn computed(options: &GridOptions, bbox: &BBox, tile_size: (u32, u32)) -> Result<Vec<f64>, GridError> {
    let factor = options.res_factor.map_or(2.0, super::ResFactor::value);
    if !(factor.is_finite() && factor > 1.0) {
        return Err(GridError::Value {
            key: "res_factor",
            value: factor,
            expected: "a number above 1 or `sqrt2`",
        });
    }
    for (key, res) in [("min_res", options.min_res), ("max_res", options.max_res)] {
        if let Some(res) = res {
            check_res(key, res)?;
        }
    }
    if let Some(levels) = options.num_levels
        && !(1..=MAX_LEVELS).contains(&levels)
    {
        return Err(GridError::Value {
            key: "num_levels",
            value: f64::from(levels),
            expected: "between 1 and 100",
        });
    }
    let resolutions = match &options.align_resolutions_with {
        Some(other) => aligned(options, factor, other)?,
        None => pyramid(options, factor, bbox, tile_size),
    };
    if resolutions.is_empty() {
        return Err(GridError::NoLevels);
    }
    Ok(resolutions)
}

/// More levels than any grid has a use for: 2^100 tiles.
const MAX_LEVELS: u32 = 100;

fn check_res(key: &'static str, res: f64) -> Result<(), GridError> {
    if res.is_finite() && res > 0.0 {
        Ok(())
    } else {
        Err(GridError::Value {
            key,
            value: res,
            expected: "a resolution in units per pixel above 0",
        })
    }
}

fn default_levels(factor: f64) -> u32 {
    if factor == std::f64::consts::SQRT_2 { 40 } else { 20 }
}

fn pyramid(options: &GridOptions, factor: f64, bbox: &BBox, tile_size: (u32, u32)) -> Vec<f64> {
    let first = options
        .min_res
        .unwrap_or_else(|| (bbox.width() / f64::from(tile_size.0)).max(bbox.height() / f64::from(tile_size.1)));
    match (options.max_res, options.num_levels) {
        (Some(last), Some(levels)) => logarithmic(first, last, levels),
        (Some(last), None) => {
            let mut resolutions = vec![first];
            let mut next = first / factor;
            while last < next && resolutions.len() < MAX_LEVELS as usize {
                resolutions.push(next);
                next /= factor;
            }
            resolutions
        }
        (None, levels) => {
            // each level divides the one before, so that rounding errors are those of MapProxy
            std::iter::successors(Some(first), |res| Some(res / factor))
                .take(levels.unwrap_or_else(|| default_levels(factor)) as usize)
                .collect()
        }
    }
}

/// `levels` resolutions from `first` to `last`, evenly spaced in their logarithms.
fn logarithmic(first: f64, last: f64, levels: u32) -> Vec<f64> {
    if levels == 1 {
        return vec![first];
    }
    let start = first.log10();
    let step = (start - last.log10()) / f64::from(levels - 1);
    (0..levels)
        .map(|level| 10_f64.powf(start - step * f64::from(level)))
        .collect()
}

/// The levels of `other` between `min_res` and `max_res`, in the spacing of `factor`.
fn aligned(options: &GridOptions, factor: f64, other: &TileGrid) -> Result<Vec<f64>, GridError> {
    const SQRT_2: f64 = std::f64::consts::SQRT_2;
    let round = |value: f64, digits: i32| {
        let scale = 10_f64.powi(digits);
        (value * scale).round() / scale
    };
    let upper = options.min_res.unwrap_or(f64::INFINITY);
    let lower = options.max_res.unwrap_or(0.0);
    // `num_levels` counts levels of the other grid: with a factor of sqrt2 there will be twice as many
    let mut resolutions: Vec<f64> = other
        .resolutions()
        .iter()
        .copied()
        .filter(|res| *res <= upper && *res >= lower)
        .take(options.num_levels.map_or(usize::MAX, |levels| levels as usize))
        .collect();
    if let [first, second, ..] = *resolutions.as_slice() {
        let spacing = round(first / second, 8);
        let own = round(factor, 8);
        let (two, sqrt2) = (2.0, round(SQRT_2, 8));
        if spacing != own {
            if own == two && spacing == sqrt2 {
                resolutions = resolutions.into_iter().step_by(2).collect();
            } else if own == sqrt2 && spacing == two {
                resolutions = resolutions.into_iter().flat_map(|res| [res, res / SQRT_2]).collect();
            } else {
                return Err(GridError::Align {
                    own: factor,
                    other: first / second,
                });
            }
        }
    }
    Ok(resolutions)
}
