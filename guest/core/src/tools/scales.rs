//! `mapproxy util scales`: scales to resolutions and back (MapProxy: `script/scales.py`).

use std::fmt::Write as _;

use super::arithmetic::evaluate;

/// A pixel of the OGC is 0.28 mm wide.
const OGC_PIXEL: f64 = 0.000_28;
const INCH: f64 = 0.0254;
/// Metres of a degree at the equator, as MapProxy counts.
const DEGREE: f64 = 111_319.490_793_273_58;
/// More lines than that are a mistake.
const MOST: u32 = 1000;

/// How values are converted.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub struct ScaleQuery {
    /// lines to print, halving the last value
    pub levels: u32,
    /// pixels an inch; `None`: those of the OGC
    pub dpi: Option<f64>,
    /// resolutions are degrees a pixel
    pub degrees: bool,
    /// values are arithmetic
    pub evaluate: bool,
    /// all values again and again, a tenth of them each time
    pub repeat: bool,
    /// values are resolutions
    pub from_resolutions: bool,
    /// as the `res` of a grid
    pub as_configuration: bool,
}

/// A line for each level. Fails on a value that is no number above 0.
pub fn scales(values: &[String], query: &ScaleQuery) -> Result<String, String> {
    let read = |text: &String| {
        let value = if query.evaluate {
            evaluate(text)
        } else {
            text.trim().parse().ok()
        };
        value
            .filter(|value: &f64| value.is_finite() && *value > 0.0)
            .ok_or_else(|| format!("`{text}` is no number above 0"))
    };
    let given: Vec<f64> = values.iter().map(read).collect::<Result<_, _>>()?;
    let Some(last) = given.last().copied() else {
        return Err("expected a scale or resolution".to_owned());
    };
    let levels = query.levels.min(MOST) as usize;
    let mut all = given.clone();
    if query.repeat {
        let mut tenth = given;
        while all.len() < levels {
            for value in &mut tenth {
                *value /= 10.0;
            }
            all.extend(&tenth);
        }
        all.truncate(levels.max(1));
    } else {
        let halves = std::iter::successors(Some(last / 2.0), |value| Some(value / 2.0));
        all.extend(halves.take(levels.saturating_sub(1)));
    }
    let pixel = query.dpi.map_or(OGC_PIXEL, |dpi| INCH / dpi);
    let unit = if query.degrees { DEGREE } else { 1.0 };
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    if query.as_configuration {
        let dpi = query.dpi.unwrap_or(INCH / OGC_PIXEL);
        let _ = writeln!(
            text,
            "    res: [\n         #  res            level     scale @{dpi:.1} DPI"
        );
    }
    for (level, value) in all.into_iter().enumerate() {
        let (resolution, scale) = if query.from_resolutions {
            (value, value * unit / pixel)
        } else {
            (value * pixel / unit, value)
        };
        let _ = if query.as_configuration {
            writeln!(text, "    {resolution:20.10}, # {level:2} {scale:20.8}")
        } else if query.from_resolutions {
            writeln!(text, "{scale:20.10} # {level:2} {resolution:20.8}")
        } else {
            writeln!(text, "{resolution:20.10} # {level:2} {scale:20.8}")
        };
    }
    if query.as_configuration {
        text.push_str("    ]\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MapProxy 7.0.0 prints them.
    #[test]
    fn lines_are_those_of_mapproxy() {
        let check = |values: &[&str], query: ScaleQuery, expect: &str| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(scales(&values, &query).unwrap(), expect);
        };
        let query = ScaleQuery {
            levels: 4,
            ..ScaleQuery::default()
        };
        check(
            &["1000", "500"],
            query,
            concat!(
                "        0.2800000000 #  0        1000.00000000\n",
                "        0.1400000000 #  1         500.00000000\n",
                "        0.0700000000 #  2         250.00000000\n",
                "        0.0350000000 #  3         125.00000000\n",
                "        0.0175000000 #  4          62.50000000\n",
            ),
        );
        check(
            &["0.5"],
            ScaleQuery {
                from_resolutions: true,
                levels: 2,
                ..query
            },
            "     1785.7142857143 #  0           0.50000000\n      892.8571428571 #  1           0.25000000\n",
        );
        check(
            &["100000"],
            ScaleQuery {
                as_configuration: true,
                levels: 1,
                ..query
            },
            "    res: [\n         #  res            level     scale @90.7 DPI\n           28.0000000000, #  0      100000.00000000\n    ]\n",
        );
        check(
            &["360/256"],
            ScaleQuery {
                evaluate: true,
                degrees: true,
                levels: 1,
                ..query
            },
            "        0.0000000035 #  0           1.40625000\n",
        );
        check(
            &["1000", "500"],
            ScaleQuery {
                repeat: true,
                levels: 3,
                ..query
            },
            "        0.2800000000 #  0        1000.00000000\n        0.1400000000 #  1         500.00000000\n        0.0280000000 #  2         100.00000000\n",
        );
    }

    #[test]
    fn what_is_no_number_is_told() {
        for value in ["", "x", "-5", "0", "nan"] {
            assert!(scales(&[value.to_owned()], &ScaleQuery::default()).is_err(), "{value}");
        }
        assert!(scales(&[], &ScaleQuery::default()).is_err());
    }
}
