//! Frames of a stream while they are put together: each has the event's name, and its data with the next number of the sequence.
//!
//! Apart because all that is sent is sent through here. It must not know what an event says.

use bytes::Bytes;

use crate::dialects::out::Out;

/// Frames that were not taken yet.
#[derive(Default)]
pub(super) struct Frames {
    out: Option<Out>,
    sequence: u64,
    /// Nobody takes them: the answer is wanted whole.
    muted: bool,
}

impl Frames {
    /// Frames that nobody takes.
    pub(super) fn muted() -> Self {
        Self { muted: true, ..Self::default() }
    }

    /// The next event has this number, if it would have a smaller one.
    pub(super) fn not_before(&mut self, number: u64) {
        self.sequence = self.sequence.max(number);
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.sequence
    }

    /// An event of that type, with these fields.
    pub(super) fn event(&mut self, kind: &str, fields: impl FnOnce(&mut Out)) {
        if self.muted {
            return;
        }
        let out = self.out.get_or_insert_with(|| Out::with_room(384));
        for text in ["event: ", kind, "\ndata: "] {
            out.bare(text.as_bytes());
        }
        let since = out.length();
        out.open();
        out.text("type", kind);
        out.number("sequence_number", self.sequence);
        fields(out);
        out.close();
        out.unbreak(since);
        out.bare(b"\n\n");
        self.sequence = self.sequence.saturating_add(1);
    }

    /// What comes last in a clean stream.
    pub(super) fn done(&mut self) {
        if !self.muted {
            self.out.get_or_insert_with(Out::default).bare(b"data: [DONE]\n\n");
        }
    }

    /// All frames so far, if there are any.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.out.take().map(Out::done)
    }
}
