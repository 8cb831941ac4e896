//! What a web server sends, and what nobody should send: the FastCGI decoder, and the variables of the requests it finds.
//!
//! The first byte says into what pieces the rest is cut: the events must be those of the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../host/src/fastcgi/codec.rs"]
#[expect(dead_code, reason = "the sending side")]
mod codec;
#[path = "../../host/src/percent.rs"]
mod percent;
#[path = "../../host/src/fastcgi/variables.rs"]
#[expect(dead_code, reason = "not every field is looked at")]
mod variables;

use codec::{Decoder, Event, Limits, Malformed};
use variables::Variables;

const LIMITS: Limits = Limits {
    params: 2000,
    stdin: 1000,
    connections: 8,
};

/// The events of `input` in pieces of `step` bytes, each request answered as soon as it is complete.
fn events(input: &[u8], step: usize) -> (Vec<Event>, Option<Malformed>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    for piece in input.chunks(step) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next() {
                Ok(Some(event)) => {
                    if event == Event::StdinEnd {
                        decoder.finish();
                    }
                    events.push(event);
                }
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(decoder.buffer().len() <= 8 + 65535 + 255);
    }
    (events, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((step, input)) = data.split_first() else { return };
    let (whole, error) = events(input, usize::MAX);
    let (pieces, error_of_pieces) = events(input, usize::from(*step).max(1));
    assert_eq!((&whole, error), (&pieces, error_of_pieces));
    for event in whole {
        let Event::Request(_, params) = event else { continue };
        for script_name in ["", "/proxy"] {
            if let Ok(variables) = Variables::read(params.clone(), script_name) {
                let uri = variables.uri.to_string();
                assert!(uri == "*" || uri.starts_with(&variables.mount), "{uri} {}", variables.mount);
                assert!(variables.mount.is_empty() || variables.mount.starts_with('/'));
                assert!(!percent::has_dots(variables.mount.as_bytes()));
                assert!(!variables.headers.contains_key("proxy"));
            }
        }
    }
});
