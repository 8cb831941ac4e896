//! Sizes and durations as they are written on the command line: `64KiB`, `512M`, `120s`, `1500ms`.

use std::time::Duration;

/// Parses a size in bytes. Without a unit the number is bytes; `K`, `M`, `G` (and `KB`, `KiB`, ..) are powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let (number, unit) = split_unit(text)?;
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("unknown unit `{unit}`; expected one of B, KiB, MiB, GiB")),
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// Parses a duration. Without a unit the number is seconds; units are `ms`, `s`, `m`, `h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let millis: usize = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(format!("unknown unit `{unit}`; expected one of ms, s, m, h")),
    };
    let millis = number
        .checked_mul(millis)
        .ok_or_else(|| format!("`{text}` is too long"))?;
    // A year: anything longer overflows the arithmetic of timers.
    if millis > 365 * 24 * 60 * 60 * 1000 {
        return Err(format!("`{text}` is too long"));
    }
    Ok(Duration::from_millis(millis as u64))
}

fn split_unit(text: &str) -> Result<(usize, &str), String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = number
        .parse()
        .map_err(|error| format!("expected a whole number with a unit: {error}"))?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expect: Option<usize>| assert_eq!(parse_size(text).ok(), expect, "{text}");
        check("0", Some(0));
        check("17", Some(17));
        check("64KiB", Some(65536));
        check("64 kb", Some(65536));
        check("2M", Some(2 << 20));
        check("1GiB", Some(1 << 30));
        check("", None);
        check("M", None);
        check("5 parsecs", None);
        check("-1", None);
        check("99999999999999999999", None);
        check("18446744073709551615G", None);
    }

    #[test]
    fn durations() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), expect.map(Duration::from_millis), "{text}");
        };
        check("120", Some(120_000));
        check("1500ms", Some(1500));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("1d", None);
        check("9999999h", None);
    }
}
