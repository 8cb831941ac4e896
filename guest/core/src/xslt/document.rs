//! XML documents of servers for those who only read them: elements by their local names.

use super::XsltError;
use super::tree::{Kind, NodeId, Tree};

/// A parsed document.
#[derive(Debug)]
pub struct Document {
    tree: Tree,
    top: NodeId,
}

/// An element of a [`Document`].
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    tree: &'a Tree,
    id: NodeId,
}

impl Document {
    /// Parses a document of any age: bytes that are no UTF-8 are taken for ISO 8859-1.
    pub fn parse(bytes: &[u8]) -> Result<Self, XsltError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        };
        let mut tree = Tree::default();
        let root = tree.parse(&text)?;
        let mut elements = tree.get(root).children.iter().copied();
        let top = elements
            .find(|id| matches!(tree.get(*id).kind, Kind::Element(_)))
            .unwrap_or(root);
        Ok(Self { tree, top })
    }

    /// The outermost element.
    pub fn top(&self) -> Element<'_> {
        Element {
            tree: &self.tree,
            id: self.top,
        }
    }
}

impl<'a> Element<'a> {
    /// The name without its prefix.
    pub fn name(&self) -> &'a str {
        self.tree.name(self.id).map_or("", |name| &name.local)
    }

    /// The value of an attribute, in whatever namespace.
    pub fn attribute(&self, local: &str) -> Option<&'a str> {
        let mut attributes = self.tree.get(self.id).attributes.iter();
        attributes.find_map(|id| match &self.tree.get(*id).kind {
            Kind::Attribute(name, value) if &*name.local == local => Some(value.as_str()),
            _ => None,
        })
    }

    /// The elements directly in it that have this name.
    pub fn children(self, name: &'a str) -> impl Iterator<Item = Self> {
        let tree = self.tree;
        let children = tree.get(self.id).children.iter();
        children
            .map(move |id| Self { tree, id: *id })
            .filter(move |child| matches!(tree.get(child.id).kind, Kind::Element(_)) && child.name() == name)
    }

    /// The first element at the end of this way.
    pub fn find(self, way: &[&'a str]) -> Option<Self> {
        match way {
            [] => Some(self),
            [first, rest @ ..] => self.children(first).find_map(|child| child.find(rest)),
        }
    }

    /// Its text without the white space around; `None` where there is none.
    pub fn text(&self) -> Option<String> {
        let text = self.tree.text(self.id).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The text of the element at the end of this way.
    pub fn text_of(self, way: &[&'a str]) -> Option<String> {
        self.find(way)?.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_local_names() {
        let text = "<!DOCTYPE a [<!ELEMENT b EMPTY>]><x:a xmlns:x='u'><x:b/><b><c n='1' x:m='2'> t </c></b></x:a>";
        let document = Document::parse(text.as_bytes()).unwrap();
        let top = document.top();
        assert_eq!((top.name(), top.children("b").count()), ("a", 2));
        assert_eq!(top.text_of(&["b", "c"]).as_deref(), Some("t"));
        let element = top.find(&["b", "c"]).unwrap();
        assert_eq!((element.attribute("n"), element.attribute("m")), (Some("1"), Some("2")));
        assert!(top.find(&["c"]).is_none());
        assert_eq!(
            Document::parse(b"<a>\xe4</a>").unwrap().top().text().as_deref(),
            Some("ä")
        );
        assert!(Document::parse(b"").is_err());
    }
}
