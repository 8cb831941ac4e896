//! `360/256`: numbers with the four operations and parentheses, for `scales --eval`.

/// The value of an expression; `None` if it is none.
pub(super) fn evaluate(text: &str) -> Option<f64> {
    let mut rest = text;
    let value = sum(&mut rest, 0)?;
    rest.trim()
        .is_empty()
        .then_some(value)
        .filter(|value| value.is_finite())
}

/// Deeper nesting is no arithmetic.
const DEEPEST: u32 = 50;

fn sum(rest: &mut &str, depth: u32) -> Option<f64> {
    let mut value = product(rest, depth)?;
    loop {
        if take(rest, '+') {
            value += product(rest, depth)?;
        } else if take(rest, '-') {
            value -= product(rest, depth)?;
        } else {
            return Some(value);
        }
    }
}

fn product(rest: &mut &str, depth: u32) -> Option<f64> {
    let mut value = factor(rest, depth)?;
    loop {
        if take(rest, '*') {
            value *= factor(rest, depth)?;
        } else if take(rest, '/') {
            value /= factor(rest, depth)?;
        } else {
            return Some(value);
        }
    }
}

fn factor(rest: &mut &str, depth: u32) -> Option<f64> {
    if depth > DEEPEST {
        return None;
    }
    if take(rest, '-') {
        return factor(rest, depth + 1).map(|value| -value);
    }
    if take(rest, '(') {
        let value = sum(rest, depth + 1)?;
        return take(rest, ')').then_some(value);
    }
    *rest = rest.trim_start();
    let digits = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    // `1e5` and `1e-5`
    let (_, behind) = rest.split_at(digits);
    let exponent = behind.strip_prefix(['e', 'E']).map_or(0, |power| {
        let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
        let length = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        if length == 0 {
            0
        } else {
            1 + power.len() - unsigned.len() + length
        }
    });
    let (number, behind) = rest.split_at(digits + exponent);
    *rest = behind;
    number.parse().ok()
}

fn take(rest: &mut &str, sign: char) -> bool {
    match rest.trim_start().strip_prefix(sign) {
        Some(behind) => {
            *rest = behind;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_values() {
        let check = |text: &str, expect: Option<f64>| assert_eq!(evaluate(text), expect, "{text}");
        check("360/256", Some(1.40625));
        check(" 2 * (3 + 4) - 1 ", Some(13.0));
        check("-2*-3", Some(6.0));
        check("1e3/2", Some(500.0));
        check("1.5e-1", Some(0.15));
        check("2-1-1", Some(0.0));
        for wrong in ["", "a", "1/0", "(1", "1)", "1 2", "2**3", "__import__('os')"] {
            check(wrong, None);
        }
        check(&"(".repeat(10_000), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[-+*/()0-9.e ]{0,60}") {
            let _ = evaluate(&text);
        }
    }
}
