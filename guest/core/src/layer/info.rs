//! Feature information of several sources, and how it is put together. (MapProxy: `featureinfo.py`.)

mod html;
mod json;
mod xml;

use crate::xslt::{Method, Source, Stylesheet, XsltError};

/// Kind of document a source answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoKind {
    Text,
    Html,
    Xml,
    Json,
}

impl InfoKind {
    /// By media type (`text/html; charset=utf-8`) or the short names of the configuration (`html`); text for any other.
    pub fn of_media_type(media_type: &str) -> Self {
        let name = media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if name.contains("html") {
            Self::Html
        } else if name.contains("json") {
            Self::Json
        } else if name.contains("xml") || name.contains("gml") {
            Self::Xml
        } else {
            Self::Text
        }
    }
}

/// One answer to GetFeatureInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureInfo {
    pub kind: InfoKind,
    pub content: Vec<u8>,
}

impl FeatureInfo {
    /// The document that a style sheet makes of this one.
    pub fn transformed(&self, sheet: &str, kind: InfoKind) -> Result<Self, XsltError> {
        let text = String::from_utf8_lossy(&self.content);
        let source = match self.kind {
            InfoKind::Html => Source::Html(&text),
            InfoKind::Text | InfoKind::Xml | InfoKind::Json => Source::Xml(&text),
        };
        let method = match kind {
            InfoKind::Html => Method::Html,
            InfoKind::Xml => Method::Xml,
            InfoKind::Text | InfoKind::Json => Method::Text,
        };
        let content = Stylesheet::parse(sheet)?.transform(source, method)?.into_bytes();
        Ok(Self { kind, content })
    }

    /// One document of all, the first source's contents first: roots or bodies get each other's children, objects are
    /// merged, texts follow each other on lines. Documents of different kinds, and documents that are not what they
    /// claim to be, can only be put together as text. `None` if there is none.
    pub fn combine(infos: &[Self]) -> Option<Self> {
        let kind = infos.first()?.kind;
        if infos.iter().any(|info| info.kind != kind) {
            return Some(Self::text(infos));
        }
        let contents: Vec<&[u8]> = infos.iter().map(|info| info.content.as_slice()).collect();
        let combined = match (kind, contents.as_slice()) {
            (InfoKind::Text, _) => None,
            (InfoKind::Html, _) => Some(html::combine(&contents)),
            // one document is passed on as it came, whatever its encoding and formatting
            (InfoKind::Xml | InfoKind::Json, [single]) => Some(single.to_vec()),
            (InfoKind::Xml, _) => xml::combine(&contents),
            (InfoKind::Json, _) => json::combine(&contents),
        };
        Some(combined.map_or_else(|| Self::text(infos), |content| Self { kind, content }))
    }

    fn text(infos: &[Self]) -> Self {
        let contents: Vec<&[u8]> = infos
            .iter()
            .map(|info| info.content.as_slice())
            .filter(|content| !content.is_empty())
            .collect();
        Self {
            kind: InfoKind::Text,
            content: contents.join(&b'\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(infos: &[(InfoKind, &str)], expect: Option<(InfoKind, &str)>) {
        let info = |(kind, content): &(InfoKind, &str)| FeatureInfo {
            kind: *kind,
            content: content.as_bytes().into(),
        };
        let found = FeatureInfo::combine(&infos.iter().map(info).collect::<Vec<_>>());
        let found = found.map(|found| (found.kind, String::from_utf8(found.content).unwrap()));
        assert_eq!(
            found,
            expect.map(|(kind, content)| (kind, content.to_owned())),
            "{infos:?}"
        );
    }

    #[test]
    fn documents_of_one_kind_become_one_of_that_kind() {
        use InfoKind::{Html, Json, Text, Xml};
        check(&[], None);
        check(&[(Text, "a")], Some((Text, "a")));
        check(&[(Text, "a"), (Text, ""), (Text, "b")], Some((Text, "a\nb")));
        check(&[(Html, "info")], Some((Html, "<html><body>info</body></html>")));
        check(&[(Json, "{ }")], Some((Json, "{ }")));
        check(
            &[(Json, "{\"a\":1}"), (Json, "{\"b\":2}")],
            Some((Json, "{\"a\":1,\"b\":2}")),
        );
        check(
            &[(Xml, "<a><b/></a>"), (Xml, "<a><c/></a>")],
            Some((Xml, "<a><b/><c/></a>")),
        );
    }

    #[test]
    fn anything_else_becomes_text() {
        use InfoKind::{Html, Json, Text, Xml};
        check(&[(Text, "a"), (Html, "<b>b</b>")], Some((Text, "a\n<b>b</b>")));
        check(&[(Xml, "<a/>"), (Xml, "no xml")], Some((Text, "<a/>\nno xml")));
        check(&[(Json, "{}"), (Json, "nothing")], Some((Text, "{}\nnothing")));
    }
}
