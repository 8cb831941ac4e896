//! HTML as servers send it with feature information, read as a tree. No tag soup is refused; elements end where the next
//! one cannot be inside them, as the parser of libxml2 has it.

use super::XsltError;
use super::tree::{Kind, Name, NodeId, Tree};

const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "wbr",
];
/// These end a paragraph or heading that is open.
const BLOCKS: [&str; 22] = [
    "address",
    "blockquote",
    "center",
    "dir",
    "div",
    "dl",
    "fieldset",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "menu",
    "ol",
    "p",
    "pre",
    "table",
    "ul",
    "section",
];
const HEADINGS: [&str; 7] = ["p", "h1", "h2", "h3", "h4", "h5", "h6"];
/// These belong into the head.
const HEAD: [&str; 6] = ["base", "link", "meta", "script", "style", "title"];
/// Elements inside each other; deeper ones are put beside each other.
const MAX_DEPTH: usize = 200;

/// Parses a document or fragment.
pub(super) fn parse(tree: &mut Tree, text: &str) -> Result<NodeId, XsltError> {
    let root = tree.add(None, Kind::Root)?;
    let html = tree.add(Some(root), Kind::Element(name("html")))?;
    let mut parser = Parser {
        tree,
        open: vec![(html, "html".to_owned())],
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        parser.text(before)?;
        rest = parser.markup(after)?;
    }
    parser.text(rest)?;
    Ok(root)
}

fn name(local: &str) -> Name {
    Name {
        local: local.into(),
        ..Name::default()
    }
}

struct Parser<'t> {
    tree: &'t mut Tree,
    open: Vec<(NodeId, String)>,
}

impl Parser<'_> {
    fn place(&self) -> NodeId {
        self.open.last().expect("html stays open").0
    }

    fn is_open(&self, tag: &str) -> bool {
        self.open.iter().any(|(_, open)| open == tag)
    }

    fn text(&mut self, text: &str) -> Result<(), XsltError> {
        if text.trim().is_empty() && self.open.len() == 1 {
            return Ok(());
        }
        if self.open.len() == 1 {
            self.push("body", "")?;
            self.push("p", "")?;
        }
        let place = self.place();
        self.tree.add_text(place, &entities(text), false)
    }

    /// What follows a `<`; returns what follows the tag.
    fn markup<'a>(&mut self, after: &'a str) -> Result<&'a str, XsltError> {
        if let Some(comment) = after.strip_prefix("!--") {
            let (text, rest) = comment.split_once("-->").unwrap_or((comment, ""));
            let place = self.place();
            self.tree.add(Some(place), Kind::Comment(text.to_owned()))?;
            return Ok(rest);
        }
        if after.starts_with(['!', '?']) {
            return Ok(after.split_once('>').map_or("", |(_, rest)| rest));
        }
        let is_end = after.starts_with('/');
        let inner = after.trim_start_matches('/');
        let length = inner
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(byte))
            .count();
        let (tag, rest) = inner.split_at(length);
        if tag.is_empty() || !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.text("<")?;
            return Ok(after);
        }
        let tag = tag.to_ascii_lowercase().replace(':', "_");
        let end = tag_end(rest);
        let (attributes, rest) = rest.split_at(end);
        let rest = rest.strip_prefix('>').unwrap_or(rest);
        if is_end {
            self.close(&tag);
            return Ok(rest);
        }
        self.start(&tag, attributes)?;
        if matches!(tag.as_str(), "script" | "style") {
            let lower = rest.to_ascii_lowercase();
            let stop = lower.find(&format!("</{tag}")).unwrap_or(rest.len());
            let (content, rest) = rest.split_at(stop);
            let place = self.place();
            self.tree.add_text(place, content, false)?;
            return Ok(rest);
        }
        Ok(rest)
    }

    fn start(&mut self, tag: &str, attributes: &str) -> Result<(), XsltError> {
        match tag {
            "html" => return self.attributes_of_first("html", attributes),
            "head" if self.open.len() > 1 => return Ok(()),
            "body" => {
                if self.is_open("body") {
                    return Ok(());
                }
                self.open.truncate(1);
            }
            "head" => {}
            _ => {
                if self.is_open("head") && !HEAD.contains(&tag) {
                    self.open.truncate(1);
                }
                if self.open.len() == 1 {
                    self.push(if HEAD.contains(&tag) { "head" } else { "body" }, "")?;
                }
            }
        }
        if BLOCKS.contains(&tag)
            && let Some(position) = self
                .open
                .iter()
                .rposition(|(_, open)| HEADINGS.contains(&open.as_str()))
            && !self
                .open
                .iter()
                .skip(position)
                .any(|(_, open)| matches!(open.as_str(), "table" | "td" | "div"))
        {
            self.open.truncate(position.max(1));
        }
        let (closed, until): (&[&str], &[&str]) = match tag {
            "li" => (&["li"], &["ul", "ol", "menu", "dir"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl"]),
            "option" => (&["option"], &["select"]),
            "td" | "th" => (&["td", "th"], &["table", "tr"]),
            "tr" => (&["tr", "td", "th"], &["table"]),
            "thead" | "tbody" | "tfoot" => (&["tr", "td", "th", "thead", "tbody", "tfoot"], &["table"]),
            _ => (&[], &[]),
        };
        let limit = self
            .open
            .iter()
            .rposition(|(_, open)| until.contains(&open.as_str()))
            .map_or(1, |at| at + 1);
        let first = self
            .open
            .iter()
            .enumerate()
            .skip(limit)
            .find(|(_, (_, open))| closed.contains(&open.as_str()));
        if let Some((position, _)) = first {
            self.open.truncate(position);
        }
        self.push(tag, attributes)?;
        if VOID.contains(&tag) || self.open.len() > MAX_DEPTH {
            self.open.pop();
        }
        Ok(())
    }

    fn close(&mut self, tag: &str) {
        if matches!(tag, "html" | "body") {
            return; // what follows still belongs to the body
        }
        if let Some(position) = self.open.iter().rposition(|(_, open)| open == tag).filter(|at| *at > 0) {
            self.open.truncate(position);
        }
    }

    fn push(&mut self, tag: &str, attributes: &str) -> Result<(), XsltError> {
        let place = self.place();
        let element = self.tree.add(Some(place), Kind::Element(name(tag)))?;
        self.open.push((element, tag.to_owned()));
        self.attributes(element, attributes)
    }

    fn attributes_of_first(&mut self, tag: &str, attributes: &str) -> Result<(), XsltError> {
        match self.open.first().filter(|(_, open)| open == tag).map(|(id, _)| *id) {
            Some(element) => self.attributes(element, attributes),
            None => Ok(()),
        }
    }

    fn attributes(&mut self, element: NodeId, text: &str) -> Result<(), XsltError> {
        let mut rest = text.trim_matches(|c: char| c.is_whitespace() || c == '/');
        while !rest.is_empty() {
            let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            let after = after.trim_start();
            let (value, tail) = match after.strip_prefix('=').map(str::trim_start) {
                None => (key, after),
                Some(value) => match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                    Some(quote) => {
                        let inner = value.trim_start_matches(quote);
                        // an empty value has both quotes at its begin
                        let inner = if value.len() - inner.len() > 1 { "" } else { inner };
                        let after = value.strip_prefix(quote).unwrap_or_default();
                        let tail = after.split_once(quote).map_or("", |(_, tail)| tail);
                        (inner.split(quote).next().unwrap_or_default(), tail)
                    }
                    None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
                },
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if !key.is_empty() && key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(is_name) {
                let key = key.to_ascii_lowercase();
                self.tree.set_attribute(element, name(&key), entities(value))?;
            }
            rest = tail.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if key.is_empty() && rest.len() == after.len() {
                break;
            }
        }
        Ok(())
    }
}

/// Where the tag's `>` is, not counting those in quotes.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (position, char) in text.char_indices() {
        match (quote, char) {
            (None, '>') => return position,
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            _ => {}
        }
    }
    text.find('>').unwrap_or(text.len())
}

/// Character references; those that are not known stay as they are.
fn entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        let found = after
            .split_once(';')
            .and_then(|(name, tail)| Some((character(name)?, tail)));
        if let Some((char, tail)) = found {
            decoded.push(char);
            rest = tail;
        } else {
            decoded.push('&');
            rest = after;
        }
    }
    decoded.push_str(rest);
    decoded
}

/// Names of characters that are common in such documents.
const NAMED: [(&str, char); 24] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("deg", '°'),
    ("sup2", '²'),
    ("sup3", '³'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("agrave", 'à'),
    ("ccedil", 'ç'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("euro", '€'),
];

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    }
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, char)| *char)
}

#[cfg(test)]
mod tests {
    use super::super::output::to_xml;
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let mut tree = Tree::default();
        let root = parse(&mut tree, text).unwrap();
        assert_eq!(to_xml(&tree, root), expect, "{text}");
    }

    #[test]
    fn soup_becomes_a_tree() {
        check(
            "<body><h1>Hello<p>Bar3",
            "<html><body><h1>Hello</h1><p>Bar3</p></body></html>",
        );
        check("text", "<html><body><p>text</p></body></html>");
        check(
            "<!doctype html><HTML lang=de><head><title>T</title></head><body class=\"a b\" id=''>x<br>y</body></html>",
            "<html lang=\"de\"><head><title>T</title></head><body class=\"a b\" id=\"\">x<br/>y</body></html>",
        );
        check(
            "<table><tr><th>a<td>1 &lt; 2 &unknown;<tr><td><ul><li>x<li>y</ul></table>z",
            "<html><body><table><tr><th>a</th><td>1 &lt; 2 &amp;unknown;</td></tr><tr><td><ul><li>x</li><li>y</li></ul></td></tr></table>z</body></html>",
        );
        check(
            "<p>a<p>b</i></div><b>c",
            "<html><body><p>a</p><p>b<b>c</b></p></body></html>",
        );
        check(
            "<style>a > b</style><p a='>' b>1 < 2",
            "<html><head><style>a &gt; b</style></head><body><p a=\"&gt;\" b=\"b\">1 &lt; 2</p></body></html>",
        );
    }

    proptest::proptest! {
        #[test]
        fn no_soup_is_too_broken(text in "(<[/a-z =\"'>!-]{0,12}|[<>&;#a-z \"'=/]){0,30}") {
            let mut tree = Tree::default();
            let root = parse(&mut tree, &text).unwrap();
            Tree::default().parse(&to_xml(&tree, root)).unwrap();
        }
    }
}
