//! Events, however they are cut and framed.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Bounds, EventReader, Overrun};

const WIDE: Bounds = Bounds { event: 1 << 16, total: 1 << 20 };

/// All events of a stream that comes in these pieces, and what was cut off.
fn read(pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
    let text = |data: Bytes| String::from_utf8_lossy(&data).into_owned();
    let mut reader = EventReader::new(WIDE);
    let mut events = Vec::new();
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece)).unwrap();
        while let Some(data) = reader.next().unwrap() {
            events.push(text(data));
        }
    }
    (events, reader.rest().map(text))
}

#[test]
fn events_are_read_in_every_framing_that_the_standard_allows() {
    let (events, rest) =
        read(&[b"\xEF\xBB\xBF: hello\ndata: a\n\ndata:b\r\n\r\ndata: c\r\rdata\n\nevent: x\nid: 7\nretry: 9\ndata:  d\n\n"]);
    assert_eq!(events, ["a", "b", "c", "", " d"]);
    assert_eq!(rest, None);
}

#[test]
fn lines_of_one_event_are_joined_and_comments_are_no_events() {
    let (events, _) = read(&[b":\n\n: keep-alive\n\ndata: {\ndata: \"a\": 1\ndata: }\n\ndatum: x\n\n\n\n"]);
    assert_eq!(events, ["{\n\"a\": 1\n}"]);
}

#[test]
fn what_the_end_cuts_off_is_told_apart() {
    let (events, rest) = read(&[b"data: a\n\ndata: [DO", b"NE]"]);
    assert_eq!((events, rest.as_deref()), (vec!["a".to_owned()], Some("[DONE]")));
}

#[test]
fn an_event_in_one_piece_is_not_copied() {
    let piece = Bytes::from_static(b"data: abc\n\ndata: def\n\n");
    let mut reader = EventReader::new(WIDE);
    reader.push(piece.clone()).unwrap();
    let within = |data: &Bytes| piece.as_ptr_range().contains(&data.as_ptr());
    assert!(within(&reader.next().unwrap().unwrap()) && within(&reader.next().unwrap().unwrap()));
}

#[test]
fn bounds_hold_for_an_event_and_for_the_stream() {
    let mut reader = EventReader::new(Bounds { event: 20, total: 1 << 10 });
    reader.push(Bytes::from_static(b"data: 0123456789012345678901234567890")).unwrap();
    assert_eq!(reader.next(), Err(Overrun::Event(20)));
    let mut reader = EventReader::new(Bounds { event: 20, total: 1 << 10 });
    reader.push(Bytes::from_static(b"data: 0123456789012345678901234567890\n\n")).unwrap();
    assert_eq!(reader.next(), Err(Overrun::Event(20)));
    let mut reader = EventReader::new(Bounds { event: 20, total: 8 });
    assert_eq!(reader.push(Bytes::from_static(b"data: a\n\n")), Err(Overrun::Total(8)));
}

proptest! {
    #[test]
    fn events_do_not_depend_on_how_the_stream_was_cut(
        lines in proptest::collection::vec("(data: ?[a-zé☃\u{1F600}]{0,6}|: [a-z]{0,3}|event: x|)(\n|\r\n|\r)", 0..24),
        cuts in proptest::collection::vec(0usize..200, 0..12),
    ) {
        let stream = lines.concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        let whole = read(&[&stream]);
        prop_assert_eq!(&read(&pieces), &whole);
        prop_assert_eq!(&read(&single), &whole);
    }
}
