//! Frames of a stream while they are put together: an event's name, and its data on one line.
//!
//! Apart because all that is sent is sent through here. It must not know what an event says.

use bytes::Bytes;

use crate::dialects::out::Out;

/// Frames that were not taken yet.
#[derive(Default)]
pub(super) struct Frames(Option<Out>);

impl Frames {
    fn out(&mut self) -> &mut Out {
        self.0.get_or_insert_with(|| Out::with_room(256))
    }

    /// An event of that type, with these fields.
    pub(super) fn event(&mut self, kind: &str, fields: impl FnOnce(&mut Out)) {
        let out = self.out();
        for text in ["event: ", kind, "\ndata: "] {
            out.bare(text.as_bytes());
        }
        let since = out.length();
        out.open();
        out.text("type", kind);
        fields(out);
        out.close();
        out.unbreak(since);
        out.bare(b"\n\n");
    }

    /// An event whose data is there already.
    pub(super) fn raw(&mut self, kind: &str, data: &[u8]) {
        let out = self.out();
        for text in ["event: ", kind, "\ndata: "] {
            out.bare(text.as_bytes());
        }
        out.line(data);
        out.bare(b"\n\n");
    }

    /// All frames so far, if there are any.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.0.take().map(Out::done)
    }
}
