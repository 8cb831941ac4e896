//! What web servers send, what they should not send, and both in any split.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    params: 200,
    stdin: 100,
    connections: 7,
};

fn raw(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    let id = id.to_be_bytes();
    let mut out = vec![VERSION, kind, id[0], id[1], length[0], length[1], padding, 0];
    out.extend_from_slice(content);
    out.extend(vec![0xAA; usize::from(padding)]);
    out
}

fn begin(id: u16, role: u8, flags: u8) -> Vec<u8> {
    raw(BEGIN_REQUEST, id, &[0, role, flags, 0, 0, 0, 0, 0], 0)
}

fn params(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (name, value) in pairs {
        put_pair(&mut out, name.as_bytes(), value.as_bytes());
    }
    out.to_vec()
}

fn owned(pairs: &[(&str, &str)]) -> Params {
    pairs
        .iter()
        .map(|(name, value)| (Bytes::from((*name).to_owned()), Bytes::from((*value).to_owned())))
        .collect()
}

/// All events of `input`, which arrives in pieces of `step` bytes.
fn events(input: &[u8], step: usize) -> Result<Vec<Event>, Malformed> {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    for piece in input.chunks(step) {
        decoder.buffer().extend_from_slice(piece);
        while let Some(event) = decoder.next()? {
            events.push(event);
        }
    }
    Ok(events)
}

fn check(input: &[Vec<u8>], expect: &Result<Vec<Event>, Malformed>) {
    let input = input.concat();
    for step in [1, 3, 8, 1000] {
        assert_eq!(&events(&input, step), expect, "in steps of {step}");
    }
}

const FIRST: Exchange = Exchange {
    id: 1,
    keep_open: false,
};

#[test]
fn a_request() {
    let pairs = [("REQUEST_METHOD", "GET"), ("QUERY_STRING", "")];
    let long = "x".repeat(150);
    let with_long = [("A", long.as_str()), ("B", "1")];
    check(
        &[
            begin(1, 1, 0),
            raw(PARAMS, 1, &params(&pairs), 3),
            raw(PARAMS, 1, &[], 0),
            raw(STDIN, 1, &[], 0),
        ],
        &Ok(vec![Event::Request(FIRST, owned(&pairs)), Event::StdinEnd]),
    );
    // Parameters may be cut anywhere, also within a length.
    let bytes = params(&with_long);
    let (one, two) = bytes.split_at(4);
    check(
        &[
            begin(300, 1, 1),
            raw(PARAMS, 300, one, 0),
            raw(PARAMS, 300, two, 255),
            raw(PARAMS, 300, &[], 8),
            raw(STDIN, 300, b"body", 4),
            raw(DATA, 300, b"not for us", 0),
            raw(STDIN, 300, b"more", 0),
            raw(STDIN, 300, &[], 0),
        ],
        &Ok(vec![
            Event::Request(
                Exchange {
                    id: 300,
                    keep_open: true,
                },
                owned(&with_long),
            ),
            Event::Stdin(Bytes::from_static(b"body")),
            Event::Stdin(Bytes::from_static(b"more")),
            Event::StdinEnd,
        ]),
    );
}

#[test]
fn limits() {
    let bytes = vec![0; 60];
    check(
        &[
            begin(1, 1, 0),
            raw(PARAMS, 1, &[0; 201], 0),
            raw(PARAMS, 1, &[0; 10], 0),
            raw(PARAMS, 1, &[], 0),
            raw(STDIN, 1, &bytes, 0),
            raw(STDIN, 1, &bytes, 0),
            raw(STDIN, 1, &bytes, 0),
            raw(STDIN, 1, &[], 0),
        ],
        &Ok(vec![
            Event::TooManyParams(FIRST),
            Event::Stdin(bytes.clone().into()),
            // The one that tells whoever counts that it is too much.
            Event::Stdin(bytes.into()),
            Event::StdinEnd,
        ]),
    );
}

#[test]
fn management() {
    let mut values = BytesMut::new();
    put_pair(&mut values, b"FCGI_MPXS_CONNS", b"0");
    put_pair(&mut values, b"FCGI_MAX_REQS", b"7");
    let mut expect = BytesMut::new();
    record(&mut expect, GET_VALUES_RESULT, 0, &values);
    let asked = params(&[
        ("FCGI_MPXS_CONNS", ""),
        ("X", ""),
        ("FCGI_MAX_REQS", ""),
        ("FCGI_MPXS_CONNS", ""),
    ]);
    check(
        &[raw(GET_VALUES, 0, &asked, 0), raw(77, 0, b"what", 0)],
        &Ok(vec![
            reply(expect.freeze()),
            reply(Bytes::from_static(&[1, 11, 0, 0, 0, 8, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0])),
        ]),
    );
}

#[test]
fn other_roles_other_requests_and_aborts() {
    let end = |id: u8, status: u8| Bytes::from(vec![1, 3, 0, id, 0, 8, 0, 0, 0, 0, 0, 0, status, 0, 0, 0]);
    check(
        &[begin(4, 3, 0)],
        &Ok(vec![Event::Reply {
            bytes: end(4, 3),
            close: true,
        }]),
    );
    check(
        &[
            begin(4, 2, 1),
            raw(PARAMS, 4, b"ignored", 0),
            begin(1, 1, 0),
            begin(2, 1, 0),
            raw(PARAMS, 2, b"ignored", 0),
            raw(ABORT_REQUEST, 2, &[], 0),
            raw(PARAMS, 1, &[], 0),
            raw(ABORT_REQUEST, 1, &[], 0),
            raw(STDIN, 1, b"late", 0),
            raw(ABORT_REQUEST, 1, &[], 0),
        ],
        &Ok(vec![
            reply(end(4, 3)),
            reply(end(2, 1)),
            Event::Request(FIRST, Vec::new()),
            Event::Abort(FIRST),
        ]),
    );
}

#[test]
fn malformed() {
    check(&[vec![2, 1]], &Err(Malformed::Version(2)));
    check(&[vec![b'G']], &Err(Malformed::Version(b'G')));
    check(
        &[raw(BEGIN_REQUEST, 1, &[0, 1], 0)],
        &Err(Malformed::Short {
            kind: BEGIN_REQUEST,
            len: 2,
        }),
    );
    check(&[begin(1, 1, 0), begin(1, 1, 0)], &Err(Malformed::Begun(1)));
    check(
        &[begin(1, 1, 0), raw(STDIN, 1, &[], 0)],
        &Err(Malformed::Unexpected(STDIN)),
    );
    check(&[begin(1, 1, 0), raw(99, 1, &[], 0)], &Err(Malformed::Unexpected(99)));
    for bad in [
        &[5_u8][..],
        &[5, 5, 0],
        &[0x80, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        check(
            &[begin(1, 1, 0), raw(PARAMS, 1, bad, 0), raw(PARAMS, 1, &[], 0)],
            &Err(Malformed::Pair),
        );
    }
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let mut decoder = Decoder::new(LIMITS);
    for _ in 0..3 {
        assert!(decoder.is_idle());
        let request = [begin(1, 1, 1), raw(PARAMS, 1, &[], 0), raw(STDIN, 1, &[], 0)].concat();
        decoder.buffer().extend_from_slice(&request);
        let exchange = Exchange { id: 1, keep_open: true };
        assert_eq!(decoder.next(), Ok(Some(Event::Request(exchange, Vec::new()))));
        assert!(decoder.awaits_stdin());
        assert_eq!(decoder.next(), Ok(Some(Event::StdinEnd)));
        assert!(!decoder.awaits_stdin() && !decoder.is_idle());
        assert_eq!(decoder.next(), Ok(None));
        decoder.finish();
    }
}

#[test]
fn answers_are_records() {
    let mut out = BytesMut::new();
    stdout(&mut out, 1, b"hello");
    end(&mut out, 1);
    let expect = [
        raw(STDOUT, 1, b"hello", 3),
        raw(STDOUT, 1, &[], 0),
        raw(END_REQUEST, 1, &[0; 8], 0),
    ]
    .concat();
    let padded: Vec<u8> = expect
        .iter()
        .map(|byte| if *byte == 0xAA { 0 } else { *byte })
        .collect();
    assert_eq!(out, padded);

    let large = vec![b'x'; 200_000];
    let mut out = BytesMut::new();
    stdout(&mut out, 1, &large);
    let mut lengths = Vec::new();
    while !out.is_empty() {
        lengths.push(usize::from(u16::from_be_bytes([out[4], out[5]])));
        let padding = usize::from(out[6]);
        let last = lengths.last().copied().unwrap_or_default();
        out.advance(HEADER_LEN + last + padding);
        assert_eq!((last + padding) % 8, 0);
    }
    assert_eq!(lengths, [65528, 65528, 65528, 200_000 - 3 * 65528]);
}

proptest! {
    /// Whatever comes, in whatever pieces: the same events, no panic, and no memory beyond a record.
    #[test]
    fn anything_in_any_split(
        records in prop::collection::vec(
            (0..13_u8, 0..4_u16, prop::collection::vec(any::<u8>(), 0..40), 0..9_u8), 0..20),
        tail in prop::collection::vec(any::<u8>(), 0..20),
        cut in 1..50_usize,
    ) {
        let mut input: Vec<u8> = records
            .iter()
            .flat_map(|(kind, id, content, padding)| raw(*kind, *id, content, *padding))
            .collect();
        input.extend(tail);
        prop_assert_eq!(events(&input, cut), events(&input, usize::MAX));
        let mut decoder = Decoder::new(LIMITS);
        decoder.buffer().extend_from_slice(&input);
        while let Ok(Some(_)) = decoder.next() {}
    }

    /// What is sent as parameters and body comes out, however it is cut into records and packets.
    #[test]
    fn requests_come_through(
        pairs in prop::collection::vec(("[A-Z_]{0,12}", ".{0,20}"), 0..4),
        body in prop::collection::vec(any::<u8>(), 0..100),
        record_size in 1..40_usize,
        padding in any::<u8>(),
        cut in 1..70_usize,
    ) {
        let given: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let bytes = params(&given);
        prop_assume!(bytes.len() <= LIMITS.params);
        let mut input = begin(9, 1, 1);
        for piece in bytes.chunks(record_size) {
            input.extend(raw(PARAMS, 9, piece, padding));
        }
        input.extend(raw(PARAMS, 9, &[], padding));
        for piece in body.chunks(record_size) {
            input.extend(raw(STDIN, 9, piece, padding));
        }
        input.extend(raw(STDIN, 9, &[], 0));
        let mut received = Vec::new();
        let mut ended = false;
        for event in events(&input, cut).unwrap() {
            match event {
                Event::Request(exchange, params) => {
                    prop_assert_eq!(exchange, Exchange { id: 9, keep_open: true });
                    prop_assert_eq!(params, owned(&given));
                }
                Event::Stdin(bytes) => received.extend_from_slice(&bytes),
                Event::StdinEnd => ended = true,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(ended);
        prop_assert_eq!(received, body);
    }
}
