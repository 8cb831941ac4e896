//! Text of clients on its way into documents and messages.

use std::borrow::Cow;

/// The text with a replacement character for everything that XML 1.0 cannot hold and terminals should not see (control
/// characters and non-characters). Escaping is the document's business.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_unprintable =
        |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(is_unprintable) {
        Cow::Owned(text.replace(is_unprintable, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(printable("a\tb\n☃"), "a\tb\n☃");
        assert_eq!(
            printable("a\0b\u{1b}[1m\r\u{ffff}"),
            "a\u{fffd}b\u{fffd}[1m\u{fffd}\u{fffd}"
        );
    }
}
