//! Python's `round(x, 12)` and `//` on floats, bit for bit: they decide tile bboxes and grid sizes.

/// `round(value, 12)`: the nearest multiple of 1e-12, ties decided on the exact binary value.
pub(super) fn round_12(value: f64) -> f64 {
    // From 8192 on the spacing of doubles exceeds 1e-12, so the value is the double nearest to its own rounding.
    // An integer is its own rounding as well.
    if value.abs() >= 8192.0 || value.fract() == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.12}").parse().unwrap_or(value)
}

/// `int(round(value, 5))`.
pub(super) fn round_5_truncated(value: f64) -> i64 {
    if !value.is_finite() || value.abs() >= 1e15 {
        return value as i64;
    }
    let rounded: f64 = format!("{value:.5}").parse().unwrap_or(value);
    rounded as i64
}

/// `dividend // divisor` for positive floats. Differs from `floor(dividend / divisor)` where the quotient rounds up to
/// an integer.
pub(super) fn floor_division(dividend: f64, divisor: f64) -> f64 {
    let remainder = dividend % divisor;
    let quotient = (dividend - remainder) / divisor;
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "bit for bit")]
mod tests {
    use super::*;

    #[test]
    fn rounds_as_python() {
        let cases = [
            (0.1 + 0.2, 0.3),
            (1.406_25, 1.406_25),
            (0.000_000_000_000_4, 0.0),
            (-0.000_000_000_000_6, -1e-12),
            (20_037_508.342_789_244, 20_037_508.342_789_244),
            (33.333_333_333_333_336, 33.333_333_333_333),
        ];
        for (value, expect) in cases {
            assert_eq!(round_12(value), expect, "{value:?}");
        }
    }

    #[test]
    fn divides_as_python() {
        // 1.0 // 0.1 is 9.0 in Python, because 0.1 is a little more than a tenth
        assert_eq!(floor_division(1.0, 0.1), 9.0);
        assert_eq!(floor_division(360.0, 1.406_25), 256.0);
    }

    #[test]
    fn truncates_after_rounding() {
        let cases = [(79.999_999, 80), (79.999_99, 79), (-0.5, 0), (12.7, 12)];
        for (value, expect) in cases {
            assert_eq!(round_5_truncated(value), expect, "{value:?}");
        }
    }
}
