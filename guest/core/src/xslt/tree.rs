//! XML documents as trees: the data model of XPath 1.0 (section 5). Every document of a transformation (source, style
//! sheet fragments, result) lies in one arena, so a node is a number, and document order is the order of the numbers.

use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::XsltError;

/// A node of a [`Tree`].
pub(super) type NodeId = usize;

/// Nodes one transformation may make or read.
const MAX_NODES: usize = 2_000_000;
/// Elements inside each other.
const MAX_DEPTH: usize = 256;

/// An expanded name, with the prefix it was written with.
#[derive(Debug, Clone, Default)]
pub(super) struct Name {
    pub(super) prefix: Rc<str>,
    pub(super) local: Rc<str>,
    pub(super) uri: Rc<str>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.local == other.local && self.uri == other.uri
    }
}

impl Name {
    /// As it is written: `prefix:local`.
    pub(super) fn written(&self) -> String {
        if self.prefix.is_empty() {
            self.local.to_string()
        } else {
            format!("{}:{}", self.prefix, self.local)
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Root,
    Element(Name),
    Attribute(Name, String),
    /// with whether it is written without escaping
    Text(String, bool),
    Comment(String),
    Instruction(String, String),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) parent: Option<NodeId>,
    pub(super) children: Vec<NodeId>,
    pub(super) attributes: Vec<NodeId>,
    /// declared here: prefix, URI
    pub(super) namespaces: Vec<(String, String)>,
}

/// All nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) fn get(&self, id: NodeId) -> &Node {
        self.nodes.get(id).expect("ids are those of this tree's nodes")
    }

    fn get_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(id).expect("ids are those of this tree's nodes")
    }

    /// Adds a node as the last child (or attribute) of another; a root if there is none.
    pub(super) fn add(&mut self, parent: Option<NodeId>, kind: Kind) -> Result<NodeId, XsltError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(XsltError::TooMuch);
        }
        let id = self.nodes.len();
        let is_attribute = matches!(kind, Kind::Attribute(..));
        self.nodes.push(Node {
            kind,
            parent,
            children: Vec::new(),
            attributes: Vec::new(),
            namespaces: Vec::new(),
        });
        if let Some(parent) = parent {
            let owner = self.get_mut(parent);
            if is_attribute {
                owner.attributes.push(id);
            } else {
                owner.children.push(id);
            }
        }
        Ok(id)
    }

    /// Adds text, to the text before it if there is one.
    pub(super) fn add_text(&mut self, parent: NodeId, text: &str, raw: bool) -> Result<(), XsltError> {
        if text.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.get(parent).children.last().copied()
            && let Kind::Text(before, before_raw) = &mut self.get_mut(last).kind
            && *before_raw == raw
        {
            before.push_str(text);
            return Ok(());
        }
        self.add(Some(parent), Kind::Text(text.to_owned(), raw)).map(drop)
    }

    /// Sets an attribute, which replaces one of the same name.
    pub(super) fn set_attribute(&mut self, element: NodeId, name: Name, value: String) -> Result<(), XsltError> {
        let same = |id: &NodeId| matches!(&self.get(*id).kind, Kind::Attribute(known, _) if *known == name);
        let known = self.get(element).attributes.iter().copied().find(same);
        if let Some(known) = known {
            self.get_mut(known).kind = Kind::Attribute(name, value);
            return Ok(());
        }
        self.add(Some(element), Kind::Attribute(name, value)).map(drop)
    }

    /// The name of an element or attribute.
    pub(super) fn name(&self, id: NodeId) -> Option<&Name> {
        match &self.get(id).kind {
            Kind::Element(name) | Kind::Attribute(name, _) => Some(name),
            _ => None,
        }
    }

    /// The value of an attribute without namespace.
    pub(super) fn attribute(&self, element: NodeId, local: &str) -> Option<&str> {
        self.attribute_node(element, local).map(|(_, value)| value)
    }

    pub(super) fn attribute_node(&self, element: NodeId, local: &str) -> Option<(NodeId, &str)> {
        self.get(element)
            .attributes
            .iter()
            .find_map(|id| match &self.get(*id).kind {
                Kind::Attribute(name, value) if name.uri.is_empty() && &*name.local == local => {
                    Some((*id, value.as_str()))
                }
                _ => None,
            })
    }

    /// XPath's string value.
    pub(super) fn text(&self, id: NodeId) -> String {
        match &self.get(id).kind {
            Kind::Attribute(_, value) => value.clone(),
            Kind::Text(text, _) | Kind::Comment(text) | Kind::Instruction(_, text) => text.clone(),
            Kind::Root | Kind::Element(_) => {
                let mut text = String::new();
                self.collect_text(id, &mut text);
                text
            }
        }
    }

    fn collect_text(&self, id: NodeId, text: &mut String) {
        for child in &self.get(id).children {
            match &self.get(*child).kind {
                Kind::Text(own, _) => text.push_str(own),
                Kind::Element(_) => self.collect_text(*child, text),
                _ => {}
            }
        }
    }

    /// The namespace that a prefix stands for at an element.
    pub(super) fn namespace(&self, element: NodeId, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some("http://www.w3.org/XML/1998/namespace");
        }
        let mut place = Some(element);
        while let Some(id) = place {
            let node = self.get(id);
            if let Some((_, uri)) = node.namespaces.iter().find(|(known, _)| known == prefix) {
                return Some(uri);
            }
            place = node.parent;
        }
        prefix.is_empty().then_some("")
    }

    /// An element or attribute name as written at an element; attributes without prefix are in no namespace.
    pub(super) fn expand(&self, element: NodeId, written: &str, use_default: bool) -> Option<Name> {
        let (prefix, local) = written.split_once(':').unwrap_or(("", written));
        let is_name = |part: &str| {
            part.chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
                && part.starts_with(|c: char| c.is_alphabetic() || c == '_')
        };
        if !is_name(local) || (!prefix.is_empty() && !is_name(prefix)) {
            return None;
        }
        let uri = if prefix.is_empty() && !use_default {
            ""
        } else {
            self.namespace(element, prefix)?
        };
        Some(Name {
            prefix: prefix.into(),
            local: local.into(),
            uri: uri.into(),
        })
    }

    /// Parses a document. Entities beyond the predefined ones are refused: nothing outside the document is looked at.
    pub(super) fn parse(&mut self, text: &str) -> Result<NodeId, XsltError> {
        let root = self.add(None, Kind::Root)?;
        let mut reader = Reader::from_str(text);
        let mut open = vec![root];
        loop {
            let place = *open.last().expect("the root stays open");
            match reader.read_event().map_err(|error| XsltError::xml(&error))? {
                Event::Eof => break,
                Event::Start(start) => {
                    if open.len() > MAX_DEPTH {
                        return Err(XsltError::TooMuch);
                    }
                    let element = self.add_element(place, &start)?;
                    open.push(element);
                }
                Event::Empty(start) => drop(self.add_element(place, &start)?),
                Event::End(_) => drop(open.pop()),
                Event::Text(text) if place != root => self.add_text(place, &text, false)?,
                Event::CData(text) if place != root => self.add_text(place, &text, false)?,
                Event::GeneralRef(name) => {
                    let written = format!("&{};", &*name);
                    let text = unescape(&written).map_err(|error| XsltError::xml(&error))?;
                    self.add_text(place, &text, false)?;
                }
                Event::Comment(text) => drop(self.add(Some(place), Kind::Comment(text.to_string()))?),
                Event::PI(text) => {
                    let (target, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
                    let kind = Kind::Instruction(target.to_owned(), value.trim_start().to_owned());
                    self.add(Some(place), kind)?;
                }
                Event::Text(_) | Event::CData(_) | Event::Decl(_) | Event::DocType(_) => {}
            }
        }
        let has_element = |id: &NodeId| matches!(self.get(*id).kind, Kind::Element(_));
        if open.len() != 1 || !self.get(root).children.iter().any(has_element) {
            return Err(XsltError::Xml {
                reason: "the document is not complete".to_owned(),
            });
        }
        Ok(root)
    }

    fn add_element(&mut self, parent: NodeId, start: &BytesStart<'_>) -> Result<NodeId, XsltError> {
        let element = self.add(Some(parent), Kind::Element(Name::default()))?;
        let mut others = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| XsltError::xml(&error))?;
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|error| XsltError::xml(&error))?;
            let key: &str = attribute.key.as_ref();
            if key == "xmlns" {
                self.get_mut(element)
                    .namespaces
                    .push((String::new(), value.into_owned()));
            } else if let Some(prefix) = key.strip_prefix("xmlns:") {
                self.get_mut(element)
                    .namespaces
                    .push((prefix.to_owned(), value.into_owned()));
            } else {
                others.push((key.to_owned(), value.into_owned()));
            }
        }
        let unknown = |written: &str| XsltError::Xml {
            reason: format!("no namespace for `{written}`"),
        };
        let start_name = start.name();
        let written: &str = start_name.as_ref();
        let name = self.expand(element, written, true).ok_or_else(|| unknown(written))?;
        self.get_mut(element).kind = Kind::Element(name);
        for (key, value) in others {
            let name = self.expand(element, &key, false).ok_or_else(|| unknown(&key))?;
            self.add(Some(element), Kind::Attribute(name, value))?;
        }
        Ok(element)
    }

    /// Takes white space out that does not count: text of white space alone, except where `keep` says so.
    pub(super) fn strip(&mut self, id: NodeId, keep: &dyn Fn(&Self, NodeId) -> bool) {
        let children = self.get(id).children.clone();
        let is_blank = |id: &NodeId| matches!(&self.get(*id).kind, Kind::Text(text, _) if text.trim().is_empty());
        if !keep(self, id) {
            let left = children.iter().copied().filter(|child| !is_blank(child)).collect();
            self.get_mut(id).children = left;
        }
        for child in children {
            self.strip(child, keep);
        }
    }

    /// A copy of a node with everything in it.
    pub(super) fn copy(&mut self, id: NodeId, parent: NodeId) -> Result<(), XsltError> {
        let node = self.get(id).clone();
        match node.kind {
            Kind::Root => {}
            Kind::Attribute(name, value) => return self.set_attribute(parent, name, value),
            Kind::Text(text, raw) => return self.add_text(parent, &text, raw),
            kind => {
                let copy = self.add(Some(parent), kind)?;
                for attribute in node.attributes {
                    self.copy(attribute, copy)?;
                }
                for child in node.children {
                    self.copy(child, copy)?;
                }
                return Ok(());
            }
        }
        node.children.into_iter().try_for_each(|child| self.copy(child, parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_trees() {
        let mut tree = Tree::default();
        let root = tree
            .parse("<?xml version='1.0'?><a xmlns='u' k='&lt;1'>x &amp; <p:b xmlns:p='v'/><![CDATA[<y>]]></a>")
            .unwrap();
        let element = tree.get(root).children[0];
        assert_eq!(tree.text(root), "x & <y>");
        assert_eq!(tree.attribute(element, "k"), Some("<1"));
        assert_eq!(
            tree.name(element).map(|name| name.uri.to_string()).as_deref(),
            Some("u")
        );
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["", "text", "<a>", "<a></b>", "<a>&other;</a>", "<p:a/>", "<a b=1/>"] {
            assert!(Tree::default().parse(text).is_err(), "{text}");
        }
        assert!(Tree::default().parse(&"<a>".repeat(100_000)).is_err());
    }
}
