//! The reader of server-sent events: any bytes, cut anywhere, give the same events as in one piece, and never a panic.
//!
//! Apart because an upstream's bytes are anyone's. It must not know what the events say.
#![no_main]

use bytes::Bytes;
use gatewright::upstreams::sse::{Bounds, EventReader};
use libfuzzer_sys::fuzz_target;

/// The events of these pieces, and the rest; what came before an overrun counts too.
fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<Bytes>, bool) {
    let mut reader = EventReader::new(Bounds { event: 1 << 10, total: 1 << 14 });
    let mut found = Vec::new();
    for piece in pieces {
        if reader.push(Bytes::copy_from_slice(piece)).is_err() {
            return (found, None, true);
        }
        loop {
            match reader.next() {
                Ok(Some(event)) => found.push(event),
                Ok(None) => break,
                Err(_) => return (found, None, true),
            }
        }
    }
    (found, reader.rest(), false)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = events(std::iter::once(bytes));
    let cut = events(bytes.chunks(usize::from(size).max(1)));
    // Which event an overrun is noticed at may depend on the cut; what was read before is a beginning of the same.
    let shared = whole.0.len().min(cut.0.len());
    assert_eq!(whole.0[..shared], cut.0[..shared]);
    if !whole.2 && !cut.2 {
        assert_eq!(whole, cut);
    }
});
