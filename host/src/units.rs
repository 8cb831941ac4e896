//! Sizes and durations as they are written on the command line: `64KiB`, `1.5G`, `120s`, `1500ms`, `0.5d`.

use std::time::Duration;

/// Parses a size in bytes. Without a unit the number is bytes; `K`, `M`, `G` (and `KB`, `KiB`, ..) are powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let (number, unit) = split_unit(text)?;
    let factor: u32 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("unknown unit `{unit}`; expected one of B, KiB, MiB, GiB")),
    };
    let bytes = number * f64::from(factor);
    // Up to there every whole number is one of `f64`; no machine has as much memory.
    if bytes > (1_u64 << 53) as f64 {
        return Err(format!("`{text}` is too large"));
    }
    Ok(bytes as usize)
}

/// Parses a duration. Without a unit the number is seconds; units are `ms`, `s`, `m`, `h`, `d`, `w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let seconds = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return Err(format!("unknown unit `{unit}`; expected one of ms, s, m, h, d, w")),
    };
    // A year: anything much longer overflows the arithmetic of timers.
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| *duration <= Duration::from_hours(366 * 24))
        .ok_or_else(|| format!("`{text}` is too long; expected at most a year"))
}

/// `1.5 MiB`: the number, which is not negative, and the unit.
fn split_unit(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let number = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.');
    let (number, unit) = text.split_at(number.count());
    let number = number
        .parse()
        .map_err(|_not_a_number| format!("`{text}` does not begin with a number"))?;
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
        check("1.5KiB", Some(1536));
        check("", None);
        check("M", None);
        check("5 parsecs", None);
        check("-1", None);
        check("1.2.3M", None);
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
        check("0.2s", Some(200));
        check(".5m", Some(30_000));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("0.5d", Some(43_200_000));
        check("1 w", Some(604_800_000));
        check("52w", Some(52 * 604_800_000));
        check("9999999h", None);
        check("5y", None);
        check("x", None);
        check("-1s", None);
        check("1.2.3s", None);
        check("1e400d", None);
    }
}
