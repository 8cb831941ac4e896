//! Numbers as Python's `str(float)` writes them.
//!
//! MapProxy builds upstream URLs with Python's float formatting, and existing upstream caches, allow-lists and
//! MapProxy's own tests compare these URLs literally.

use std::fmt::Write;

/// Formats `value` as Python's `str(float)`: the shortest digits that read back as the same number, always with a
/// decimal point or an exponent; an exponent when the number is below 1e-4 or at least 1e16.
pub fn python_float(value: f64) -> String {
    let mut out = String::with_capacity(24);
    write_python_float(&mut out, value);
    out
}

/// Appends `value` to `out`, see [`python_float`].
pub(super) fn write_python_float(out: &mut String, value: f64) {
    const WRITES: &str = "writing to a string does not fail";
    if value.is_nan() {
        out.push_str("nan");
        return;
    }
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "inf" } else { "-inf" });
        return;
    }
    // Rust's Display gives the same shortest digits, but never an exponent
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e').expect("the LowerExp format has an exponent");
        let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}e{sign}{:02}", exponent.abs()).expect(WRITES);
    } else if value.fract() == 0.0 {
        write!(out, "{value:.1}").expect(WRITES);
    } else {
        write!(out, "{value}").expect(WRITES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_python() {
        let cases: &[(f64, &str)] = &[
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-180.0, "-180.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (0.000_123, "0.000123"),
            (9.999e-5, "9.999e-05"),
            (1e-5, "1e-05"),
            (-1.5e-7, "-1.5e-07"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e22, "1e+22"),
            (1.7e308, "1.7e+308"),
            (5e-324, "5e-324"),
            (1e-100, "1e-100"),
            (20_037_508.342_789_244, "20037508.342789244"),
            (156_543.033_928_040_97, "156543.03392804097"),
            (111_319.490_793_273_57, "111319.49079327357"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (123_456_789.123, "123456789.123"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ];
        for (value, expect) in cases {
            assert_eq!(python_float(*value), *expect, "{value:e}");
        }
    }
}
