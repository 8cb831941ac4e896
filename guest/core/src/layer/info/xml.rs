//! XML documents put together: the first one, with the children of the other roots behind its own.

use quick_xml::Writer;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesEnd, BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::reader::Reader;

/// `None` if one of them is no XML (or not in UTF-8: only declarations of other encodings could tell).
pub(super) fn combine(documents: &[&[u8]]) -> Option<Vec<u8>> {
    let [first, others @ ..] = documents else { return None };
    let first = std::str::from_utf8(first).ok()?;
    let mut writer = Writer::new(Vec::with_capacity(
        documents.iter().map(|document| document.len()).sum(),
    ));
    let mut reader = Reader::from_str(first);
    let mut depth = 0_usize;
    let mut is_done = false;
    loop {
        match reader.read_event().ok()? {
            Event::Eof => break,
            Event::Start(start) => {
                depth += 1;
                writer.write_event(Event::Start(start)).ok()?;
            }
            Event::Empty(root) if depth == 0 => {
                let name = root.name();
                let end = BytesEnd::new(name.as_ref().to_owned());
                writer.write_event(Event::Start(root.borrow())).ok()?;
                write_children_of_all(&mut writer, others, &namespaces(&root)?)?;
                writer.write_event(Event::End(end)).ok()?;
                is_done = true;
            }
            Event::End(end) => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    write_children_of_all(&mut writer, others, &root_namespaces(first)?)?;
                    is_done = true;
                }
                writer.write_event(Event::End(end)).ok()?;
            }
            event => writer.write_event(event).ok()?,
        }
    }
    (is_done && depth == 0).then(|| writer.into_inner())
}

/// Declarations of namespaces: attribute name, value as written.
type Namespaces = Vec<(String, String)>;

fn namespaces(element: &BytesStart<'_>) -> Option<Namespaces> {
    let mut found = Namespaces::new();
    for attribute in element.attributes() {
        let Attribute { key, value } = attribute.ok()?;
        if key.as_ref() == "xmlns" || key.as_ref().starts_with("xmlns:") {
            found.push((key.as_ref().to_owned(), value.into_owned()));
        }
    }
    Some(found)
}

fn root_namespaces(document: &str) -> Option<Namespaces> {
    let mut reader = Reader::from_str(document);
    loop {
        match reader.read_event().ok()? {
            Event::Start(root) | Event::Empty(root) => return namespaces(&root),
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn write_children_of_all(writer: &mut Writer<Vec<u8>>, documents: &[&[u8]], outside: &Namespaces) -> Option<()> {
    documents
        .iter()
        .try_for_each(|document| write_children(writer, std::str::from_utf8(document).ok()?, outside))
}

/// Writes the children of a document's root. Namespaces that the root declares and the new place does not are declared
/// at each child.
fn write_children(writer: &mut Writer<Vec<u8>>, document: &str, outside: &Namespaces) -> Option<()> {
    let mut reader = Reader::from_str(document);
    let mut depth = 0_usize;
    let mut found_root = false;
    let mut missing = Namespaces::new();
    loop {
        match reader.read_event().ok()? {
            Event::Eof => break,
            Event::Start(start) => {
                if depth == 0 {
                    found_root = true;
                    missing = namespaces(&start)?;
                    missing.retain(|declared| !outside.contains(declared));
                } else {
                    let start = if depth == 1 {
                        with_namespaces(start, &missing)?
                    } else {
                        start
                    };
                    writer.write_event(Event::Start(start)).ok()?;
                }
                depth += 1;
            }
            Event::Empty(empty) => {
                if depth == 0 {
                    found_root = true;
                } else {
                    let empty = if depth == 1 {
                        with_namespaces(empty, &missing)?
                    } else {
                        empty
                    };
                    writer.write_event(Event::Empty(empty)).ok()?;
                }
            }
            Event::End(end) => {
                depth = depth.checked_sub(1)?;
                if depth > 0 {
                    writer.write_event(Event::End(end)).ok()?;
                }
            }
            event if depth > 0 => writer.write_event(event).ok()?,
            _ => {}
        }
    }
    (found_root && depth == 0).then_some(())
}

fn with_namespaces<'a>(mut element: BytesStart<'a>, missing: &Namespaces) -> Option<BytesStart<'a>> {
    let own = namespaces(&element)?;
    for (name, value) in missing {
        if !own.iter().any(|(known, _)| known == name) {
            element.push_attribute(Attribute {
                key: QName(name),
                value: value.as_str().into(),
            });
        }
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(documents: &[&str], expect: Option<&str>) {
        let documents: Vec<&[u8]> = documents.iter().map(|document| document.as_bytes()).collect();
        let found = combine(&documents).map(|combined| String::from_utf8(combined).unwrap());
        assert_eq!(found.as_deref(), expect, "{documents:?}");
    }

    #[test]
    fn children_of_all_roots_follow_each_other() {
        check(
            &["<a><b>1</b></a>", "<a><b>2</b>x</a>", "<c/>"],
            Some("<a><b>1</b><b>2</b>x</a>"),
        );
        check(
            &["<?xml version=\"1.0\"?>\n<a/>", "<a>&lt;<b k=\"v\"/><!-- c --></a>"],
            Some("<?xml version=\"1.0\"?>\n<a>&lt;<b k=\"v\"/><!-- c --></a>"),
        );
        check(&["<a><a></a></a>", "<x><y/></x>"], Some("<a><a></a><y/></a>"));
    }

    #[test]
    fn namespaces_come_along() {
        check(
            &[
                "<a xmlns=\"u\" xmlns:p=\"q\"><b/></a>",
                "<a xmlns=\"u\" xmlns:p=\"r\"><p:b/><p:c xmlns:p=\"s\"/></a>",
            ],
            Some("<a xmlns=\"u\" xmlns:p=\"q\"><b/><p:b xmlns:p=\"r\"/><p:c xmlns:p=\"s\"/></a>"),
        );
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        check(&["<a>", "<b/>"], None);
        check(&["<a/>", "text"], None);
        check(&["", "<a/>"], None);
        check(&["<a></b>", "<a/>"], None);
        check(&["<a/>", "<a><b></a>"], None);
    }
}
