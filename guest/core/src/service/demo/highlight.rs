//! XML as markup that is pleasant to read: escaped, with the parts of its tags in colours.

use std::fmt::Write as _;

/// Larger documents are shown in one colour: browsers are slow with hundreds of thousands of elements.
const MAX_COLOURED_BYTES: usize = 512 * 1024;

/// Deeper elements are indented no further.
const MAX_INDENTED: usize = 40;

/// HTML for the inside of a `pre`. Lines that begin with a tag are indented by how deep it is.
pub(super) fn highlighted(xml: &str) -> String {
    let mut html = String::with_capacity(xml.len() * 2);
    if xml.len() > MAX_COLOURED_BYTES {
        escape(&mut html, xml);
        return html;
    }
    let mut depth = 0_usize;
    let mut rest = xml;
    while let Some((text, tag)) = split_at(rest, '<') {
        let end = if tag.starts_with("<!--") { "-->" } else { ">" };
        let length = tag.find(end).map_or(tag.len(), |at| at + end.len());
        let (tag, behind) = tag.split_at(length);
        let is_element = !tag.starts_with("<!") && !tag.starts_with("<?");
        if is_element && tag.starts_with("</") {
            depth = depth.saturating_sub(1);
        }
        if text.contains('\n') && text.trim().is_empty() {
            let _ = write!(html, "\n{:indent$}", "", indent = 2 * depth.min(MAX_INDENTED));
        } else {
            escape(&mut html, text);
        }
        if is_element {
            element(&mut html, tag);
            depth += usize::from(!tag.starts_with("</") && !tag.ends_with("/>"));
        } else {
            coloured(&mut html, "c", tag);
        }
        rest = behind;
    }
    escape(&mut html, rest);
    html
}

/// A tag: its name, and attributes with their values.
fn element(html: &mut String, tag: &str) {
    let length = tag.find(|c: char| c.is_whitespace()).unwrap_or(tag.len());
    let (name, mut rest) = tag.split_at(length);
    coloured(html, "t", name);
    while let Some((before, value)) = rest.find(['"', '\'']).map(|at| rest.split_at(at)) {
        coloured(html, "a", before);
        let quote = value.chars().next().unwrap_or('"');
        let length = value
            .char_indices()
            .skip(1)
            .find_map(|(at, c)| (c == quote).then_some(at + 1))
            .unwrap_or(value.len());
        let (value, behind) = value.split_at(length);
        coloured(html, "v", value);
        rest = behind;
    }
    coloured(html, "t", rest);
}

fn coloured(html: &mut String, class: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let _ = write!(html, "<b class={class}>");
    escape(html, text);
    html.push_str("</b>");
}

/// The text before a character, and the rest with it.
fn split_at(text: &str, c: char) -> Option<(&str, &str)> {
    text.find(c).map(|at| text.split_at(at))
}

fn escape(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#x27;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_have_colours() {
        assert_eq!(
            highlighted("<?xml?>\n<a b='1'>x &amp; y</a><!-- <c> -->"),
            "<b class=c>&lt;?xml?&gt;</b>\n<b class=t>&lt;a</b><b class=a> b=</b><b class=v>&#x27;1&#x27;</b>\
             <b class=t>&gt;</b>x &amp;amp; y<b class=t>&lt;/a&gt;</b><b class=c>&lt;!-- &lt;c&gt; --&gt;</b>"
        );
    }

    #[test]
    fn lines_are_indented() {
        let check = |xml: &str, expect: &str| assert_eq!(plain(&highlighted(xml)), expect);
        check("<a>\n<b>\n<c/>\n</b>\n</a>", "<a>\n  <b>\n    <c/>\n  </b>\n</a>");
        check("<a>\n\n        <b>x\ny</b>\n</a>\n", "<a>\n  <b>x\ny</b>\n</a>\n");
        check("</a></a>\n<b>", "</a></a>\n<b>");
    }

    /// The text that markup shows.
    fn plain(html: &str) -> String {
        let mut text = html.replace("</b>", "");
        for class in ["t", "a", "v", "c"] {
            text = text.replace(&format!("<b class={class}>"), "");
        }
        assert!(!text.contains(['<', '>', '"', '\'']), "{html}");
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#x27;", "'")
            .replace("&amp;", "&")
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_markup(xml in "[<>&\"'a-c =!/\u{e9}-]{0,60}") {
            prop_assert_eq!(plain(&highlighted(&xml)), xml);
        }
    }
}
