//! HTML documents put together: one body with the contents of all. Nothing is parsed beyond finding the body; what
//! servers send as feature information is seldom valid, and browsers cope.

/// The first document, with the bodies of the others behind its own. Fragments get the elements around them.
pub(super) fn combine(documents: &[&[u8]]) -> Vec<u8> {
    let [first, others @ ..] = documents else {
        return Vec::new();
    };
    let mut combined = match body(first) {
        Some((start, end)) => {
            let (head, tail) = first.split_at(end);
            let mut combined = head.to_vec();
            append(&mut combined, others);
            if start == end && others.is_empty() {
                combined.truncate(end);
            }
            combined.extend_from_slice(tail);
            return combined;
        }
        None => b"<html><body>".to_vec(),
    };
    combined.extend_from_slice(without_frame(first));
    append(&mut combined, others);
    combined.extend_from_slice(b"</body></html>");
    combined
}

fn append(combined: &mut Vec<u8>, others: &[&[u8]]) {
    for other in others {
        match body(other) {
            Some((start, end)) => combined.extend_from_slice(other.get(start..end).unwrap_or_default()),
            None => combined.extend_from_slice(without_frame(other)),
        }
    }
}

/// Where the contents of `<body …>` begin and end. A body that is not closed ends with the document.
fn body(document: &[u8]) -> Option<(usize, usize)> {
    let tag = find_tag(document, b"<body", 0)?;
    let start = tag + document.get(tag..)?.iter().position(|byte| *byte == b'>')? + 1;
    let end = find_tag(document, b"</body", start)
        .or_else(|| find_tag(document, b"</html", start))
        .unwrap_or(document.len());
    Some((start, end))
}

/// A document without body, without its `<html>`, `<head>` and doctype.
fn without_frame(document: &[u8]) -> &[u8] {
    let tag_end = |tag: usize| {
        let rest = document.get(tag..).unwrap_or_default();
        rest.iter()
            .position(|byte| *byte == b'>')
            .map_or(document.len(), |end| tag + end + 1)
    };
    let start = find_tag(document, b"</head", 0)
        .or_else(|| find_tag(document, b"<html", 0))
        .or_else(|| find_tag(document, b"<!doctype", 0))
        .map_or(0, tag_end);
    let end = find_tag(document, b"</html", start).unwrap_or(document.len());
    document.get(start..end).unwrap_or_default()
}

/// Position of a tag that begins with `name`, in any case, as a whole word.
fn find_tag(document: &[u8], name: &[u8], from: usize) -> Option<usize> {
    let rest = document.get(from..)?;
    rest.windows(name.len())
        .enumerate()
        .position(|(position, window)| {
            window.eq_ignore_ascii_case(name) && !rest.get(position + name.len()).is_some_and(u8::is_ascii_alphanumeric)
        })
        .map(|position| from + position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(documents: &[&str], expect: &str) {
        let documents: Vec<&[u8]> = documents.iter().map(|document| document.as_bytes()).collect();
        assert_eq!(String::from_utf8(combine(&documents)).unwrap(), expect, "{documents:?}");
    }

    #[test]
    fn bodies_follow_each_other() {
        check(&["info"], "<html><body>info</body></html>");
        check(&["äüß▼", "<p>b</p>"], "<html><body>äüß▼<p>b</p></body></html>");
        check(
            &[
                "<html><head><title>t</title></head><BODY class='x'><p>a</p></BODY></html>",
                "<html><body>b</body></html>",
            ],
            "<html><head><title>t</title></head><BODY class='x'><p>a</p>b</BODY></html>",
        );
        check(&["<body>a", "<!doctype html><html><head></head>b</html>"], "<body>ab");
        check(
            &["<html>a</html>", "<html><bodyguard>b</html>"],
            "<html><body>a<bodyguard>b</body></html>",
        );
        check(&["<html><body></body></html>"], "<html><body></body></html>");
        check(&["", ""], "<html><body></body></html>");
    }

    proptest::proptest! {
        #[test]
        fn no_document_is_too_broken(first in "[<>/a-z ]{0,40}", second in "(<body|</body|<html|</head|>|x| ){0,12}") {
            let combined = combine(&[first.as_bytes(), second.as_bytes()]);
            assert!(combined.len() <= first.len() + second.len() + 26);
        }
    }
}
