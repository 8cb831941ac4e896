//! Whether a document is XML: what the targets hold answers to.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Without an error to its end, attributes included, and without control characters.
pub(crate) fn well_formed(text: &str) -> bool {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return true,
            Ok(Event::Start(start) | Event::Empty(start)) if start.attributes().any(|one| one.is_err()) => return false,
            Ok(Event::Text(text)) if text.as_ref().chars().any(|c| c < ' ' && !"\t\r\n".contains(c)) => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}
