//! Percent-encoding of paths (RFC 3986, section 2.1).

use std::fmt::Write as _;

/// The bytes of an encoded path, each with its place. What is no escape stands for itself.
pub(crate) fn decode(path: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let rest = path.get(at..)?;
        let byte = match rest {
            [b'%', high, low, ..] => match (char::from(*high).to_digit(16), char::from(*low).to_digit(16)) {
                (Some(high), Some(low)) => {
                    at += 2;
                    (high * 16 + low) as u8
                }
                _ => b'%',
            },
            _ => *rest.first()?,
        };
        at += 1;
        Some((byte, start))
    })
}

/// Encodes what is neither harmless anywhere in a path nor among `allowed`. `/` stays.
pub(crate) fn encode(bytes: &[u8], allowed: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/.-_~+,:@".contains(&byte) || allowed.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Whether a segment is `..`, encoded or not.
pub(crate) fn has_dots(path: &[u8]) -> bool {
    let decoded: Vec<u8> = decode(path).map(|(byte, _at)| byte).collect();
    decoded.split(|byte| *byte == b'/').any(|segment| segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let check = |text: &str, encoded: &str| {
            assert_eq!(encode(text.as_bytes(), b"!"), encoded);
            let back: Vec<u8> = decode(encoded.as_bytes()).map(|(byte, _at)| byte).collect();
            assert_eq!(back, text.as_bytes());
        };
        check("/a/b.png", "/a/b.png");
        check("/straße 1%!?", "/stra%C3%9Fe%201%25!%3F");
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        let decoded: Vec<(u8, usize)> = decode(b"%4a%4%zz%").collect();
        assert_eq!(
            decoded,
            [
                (b'J', 0),
                (b'%', 3),
                (b'4', 4),
                (b'%', 5),
                (b'z', 6),
                (b'z', 7),
                (b'%', 8)
            ]
        );
    }

    #[test]
    fn dots() {
        let check = |path: &str, expect| assert_eq!(has_dots(path.as_bytes()), expect, "{path}");
        check("/a/../b", true);
        check("..", true);
        check("/%2E%2e/b", true);
        check("/a..b/...", false);
    }
}
