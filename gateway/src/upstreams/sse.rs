//! Server-sent events: pieces of a body in, the data of whole events out. The gateway's only reader of them.
//!
//! Apart because it is pure: it is fed bytes and never waits, so that any way of cutting a stream can be tried. An event whose
//! bytes came in one piece is a slice of that piece, not a copy. It must not know what the data says.

use bytes::{Buf, Bytes, BytesMut};

/// Why a stream of events cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overrun {
    /// One event is larger than the bound.
    #[error("an event is larger than {0} bytes")]
    Event(usize),
    /// All events together are larger than the bound.
    #[error("the stream is larger than {0} bytes")]
    Total(usize),
}

/// Bounds of one stream, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// One event, with its framing.
    pub event: usize,
    /// The stream.
    pub total: usize,
}

/// Cuts a stream of bytes into events. [`EventReader::push`] bytes, then take [`EventReader::next`] until it has none.
#[derive(Debug)]
pub struct EventReader {
    bounds: Bounds,
    /// Bytes so far.
    total: usize,
    /// The beginning of an event that is not whole yet.
    tail: BytesMut,
    /// Bytes that were not looked at yet; empty while the end of the tail is being waited for.
    fresh: Bytes,
    scan: Scan,
    begun: bool,
}

/// How far the search for a blank line has come in the event at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    at: usize,
    line: usize,
    after_cr: bool,
}

impl Scan {
    /// The end of the event that starts at 0, its blank line included. Line ends are LF, CR LF or CR.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(step) = memchr::memchr2(b'\n', b'\r', bytes.get(self.at..)?) {
            let at = self.at + step;
            let byte = bytes.get(at).copied();
            let twin = byte == Some(b'\n') && self.after_cr && at == self.line;
            let blank = at == self.line && !twin;
            *self = Self { at: at + 1, line: at + 1, after_cr: byte == Some(b'\r') };
            if blank {
                let twin = self.after_cr && bytes.get(at + 1) == Some(&b'\n');
                return Some(at + 1 + usize::from(twin));
            }
        }
        self.at = bytes.len();
        None
    }
}

impl EventReader {
    /// A reader at the beginning of a stream.
    pub fn new(bounds: Bounds) -> Self {
        let (tail, fresh) = (BytesMut::new(), Bytes::new());
        Self { bounds, total: 0, tail, fresh, scan: Scan::default(), begun: false }
    }

    /// Adds the next bytes. All events before them must have been taken.
    ///
    /// # Errors
    /// [`Overrun::Total`].
    pub fn push(&mut self, bytes: Bytes) -> Result<(), Overrun> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > self.bounds.total {
            return Err(Overrun::Total(self.bounds.total));
        }
        if self.tail.is_empty() && self.fresh.is_empty() {
            self.fresh = bytes;
        } else {
            self.keep_fresh();
            self.tail.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// The data of the next whole event, its lines joined by LF. Events without data, comments among them, are passed over.
    ///
    /// # Errors
    /// [`Overrun::Event`].
    #[expect(clippy::should_implement_trait, reason = "an iterator's `None` would be final, and it cannot fail")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Overrun> {
        loop {
            let block = if self.tail.is_empty() {
                match self.scan.end(&self.fresh) {
                    Some(end) => self.fresh.split_to(end),
                    None => {
                        self.keep_fresh();
                        return self.within_bound(None);
                    }
                }
            } else {
                let Some(end) = self.scan.end(&self.tail) else { return self.within_bound(None) };
                let block = self.tail.split_to(end).freeze();
                self.fresh = self.tail.split().freeze();
                block
            };
            self.scan = Scan::default();
            if block.len() > self.bounds.event {
                return Err(Overrun::Event(self.bounds.event));
            }
            let data = data(self.after_mark(block));
            if data.is_some() {
                return Ok(data);
            }
        }
    }

    /// The data of an event that the stream's end cut off before its blank line, if there is any.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.keep_fresh();
        self.scan = Scan::default();
        let block = self.tail.split().freeze();
        data(self.after_mark(block))
    }

    fn within_bound(&self, event: Option<Bytes>) -> Result<Option<Bytes>, Overrun> {
        if self.tail.len() > self.bounds.event { Err(Overrun::Event(self.bounds.event)) } else { Ok(event) }
    }

    fn keep_fresh(&mut self) {
        self.tail.extend_from_slice(&self.fresh);
        self.fresh.clear();
    }

    /// The block, less a byte order mark at the beginning of the stream.
    fn after_mark(&mut self, mut block: Bytes) -> Bytes {
        if !std::mem::replace(&mut self.begun, true) && block.starts_with(b"\xEF\xBB\xBF") {
            block.advance(3);
        }
        block
    }
}

/// The data of one event's lines.
fn data(block: Bytes) -> Option<Bytes> {
    let mut only: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut at = 0;
    while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = at..at + end;
        at += end + 1;
        let Some(value) = value(block.get(line.clone()).unwrap_or_default()) else { continue };
        let value = block.slice(line.end - value..line.end);
        match (&only, &mut joined) {
            (None, _) => only = Some(value),
            (Some(first), None) => {
                let mut lines = BytesMut::with_capacity(block.len());
                for piece in [first.as_ref(), b"\n", value.as_ref()] {
                    lines.extend_from_slice(piece);
                }
                joined = Some(lines);
            }
            (Some(_), Some(lines)) => {
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&value);
            }
        }
    }
    joined.map(BytesMut::freeze).or(only)
}

/// How many bytes at the end of a line are the value of its `data` field, if that is its field.
fn value(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"data")?;
    match rest {
        [] => Some(0),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
