//! Trees written as XML, HTML or text (XSLT 1.0, section 16).

use std::fmt::Write as _;

use super::tree::{Kind, NodeId, Tree};

/// Elements that HTML writes without an end tag.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "wbr",
];

/// As XML, without declaration.
pub(super) fn to_xml(tree: &Tree, id: NodeId) -> String {
    let mut writer = Writer {
        tree,
        out: String::new(),
        is_html: false,
    };
    writer.write(
        id,
        &mut vec![("xml".to_owned(), "http://www.w3.org/XML/1998/namespace".to_owned())],
    );
    writer.out
}

/// As HTML.
pub(super) fn to_html(tree: &Tree, id: NodeId) -> String {
    let mut writer = Writer {
        tree,
        out: String::new(),
        is_html: true,
    };
    writer.write(
        id,
        &mut vec![("xml".to_owned(), "http://www.w3.org/XML/1998/namespace".to_owned())],
    );
    writer.out
}

struct Writer<'t> {
    tree: &'t Tree,
    out: String,
    is_html: bool,
}

impl Writer<'_> {
    /// `scope`: prefixes and what they stand for, innermost last.
    fn write(&mut self, id: NodeId, scope: &mut Vec<(String, String)>) {
        let tree = self.tree;
        let node = tree.get(id);
        match &node.kind {
            Kind::Root => node.children.iter().for_each(|child| self.write(*child, scope)),
            Kind::Element(name) => {
                let outer = scope.len();
                let written = name.written();
                let is_plain_html = self.is_html && name.uri.is_empty();
                self.out.push('<');
                self.out.push_str(&written);
                self.declare(&name.prefix, &name.uri, scope);
                for attribute in &node.attributes {
                    let Kind::Attribute(name, _) = &tree.get(*attribute).kind else {
                        continue;
                    };
                    if !name.prefix.is_empty() {
                        self.declare(&name.prefix, &name.uri, scope);
                    }
                }
                for attribute in &node.attributes {
                    let Kind::Attribute(name, value) = &tree.get(*attribute).kind else {
                        continue;
                    };
                    self.out.push(' ');
                    self.out.push_str(&name.written());
                    self.out.push_str("=\"");
                    escape(&mut self.out, value, true);
                    self.out.push('"');
                }
                let local = name.local.to_ascii_lowercase();
                if is_plain_html && VOID.contains(&local.as_str()) {
                    self.out.push('>');
                } else if node.children.is_empty() && !is_plain_html {
                    self.out.push_str("/>");
                } else {
                    self.out.push('>');
                    if is_plain_html && matches!(local.as_str(), "script" | "style") {
                        // these know no escapes; what would end them is left out
                        self.out.push_str(&tree.text(id).replace("</", "<\\/"));
                    } else {
                        node.children.iter().for_each(|child| self.write(*child, scope));
                    }
                    self.out.push_str("</");
                    self.out.push_str(&written);
                    self.out.push('>');
                }
                scope.truncate(outer);
            }
            Kind::Attribute(_, value) => escape(&mut self.out, value, false),
            Kind::Text(text, true) => self.out.push_str(text),
            Kind::Text(text, false) => escape(&mut self.out, text, false),
            Kind::Comment(text) => {
                self.out.push_str("<!--");
                self.out.push_str(&text.replace("--", "- -"));
                if text.ends_with('-') {
                    self.out.push(' ');
                }
                self.out.push_str("-->");
            }
            Kind::Instruction(target, value) => {
                self.out.push_str("<?");
                self.out.push_str(target);
                if !value.is_empty() {
                    self.out.push(' ');
                    self.out.push_str(&value.replace("?>", "? >"));
                }
                self.out.push_str(if self.is_html { ">" } else { "?>" });
            }
        }
    }

    fn declare(&mut self, prefix: &str, uri: &str, scope: &mut Vec<(String, String)>) {
        let known = scope
            .iter()
            .rev()
            .find(|(known, _)| known == prefix)
            .map_or("", |(_, uri)| uri.as_str());
        if known == uri {
            return;
        }
        self.out.push_str(" xmlns");
        if !prefix.is_empty() {
            self.out.push(':');
            self.out.push_str(prefix);
        }
        self.out.push_str("=\"");
        escape(&mut self.out, uri, true);
        self.out.push('"');
        scope.push((prefix.to_owned(), uri.to_owned()));
    }
}

fn escape(out: &mut String, text: &str, in_attribute: bool) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if in_attribute => out.push_str("&quot;"),
            '\n' | '\t' | '\r' if in_attribute => {
                let _ = write!(out, "&#{};", u32::from(char));
            }
            char if char.is_control() && !matches!(char, '\n' | '\t' | '\r') => {}
            char => out.push(char),
        }
    }
}
