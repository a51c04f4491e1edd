//! Blocks of our own: each text, thought and call in a block, one after the other.
//!
//! Apart because it alone numbers them. A block is open until something else is said; thought that no vendor has signed is sealed when its
//! block ends. It must not know how the message begins and ends.

use gatewright_types::{Delta, Extras};

use super::calls::{Call, Calls};
use super::frames::Frames;
use super::passing::{Kind, Open, Shape};
use crate::dialects::Sealer;
use crate::dialects::anthropic_messages::{BLOCK, NAME, PIECE, SIGNATURE, Signature, own};

/// The blocks of one answer.
pub(super) struct Blocks {
    open: Option<Open>,
    /// The number of the next one.
    next: u32,
    sealer: Option<Sealer>,
    thought: Thought,
    calls: Calls,
    /// The blocks of calls that the client has seen.
    called: u32,
    /// Words that came while a call was open: they stand after it.
    after: Vec<(Kind, String)>,
}

/// The thought of the block that is open.
#[derive(Default)]
struct Thought {
    bytes: usize,
    seal: Option<Sealer>,
    /// The client has the beginning of it from the upstream: we do not know what it says.
    unknown: bool,
}

impl Blocks {
    pub(super) fn new(sealer: Option<Sealer>) -> Self {
        let (thought, calls) = (Thought::default(), Calls::default());
        Self { open: None, next: 0, sealer, thought, calls, called: 0, after: Vec::new() }
    }

    /// Goes on where the upstream's own blocks ended.
    pub(super) fn go_on(&mut self, (open, next): (Option<Open>, u32), call: Option<u32>) {
        (self.open, self.next) = (open, next);
        self.called = u32::from(call.is_some());
        self.thought.unknown = true;
        if open.is_some_and(|open| open.kind == Kind::Call) {
            self.calls.goes_on(call);
        }
    }

    /// The beginning or end of an upstream's block that says nothing.
    pub(super) fn structure(&mut self, data: &[u8], frames: &mut Frames) {
        let stops = matches!(Shape::of(data), Some((Shape::Stop(_), _)));
        if stops && self.is_open(Kind::Call) {
            self.next_call(frames);
        }
    }

    fn is_open(&self, kind: Kind) -> bool {
        self.open.is_some_and(|open| open.kind == kind)
    }

    /// Says a delta.
    pub(super) fn say(&mut self, delta: &Delta, frames: &mut Frames) {
        match delta {
            Delta::Reasoning { choice: 0, text } => self.words(Kind::Thinking, text, frames),
            Delta::Text { choice: 0, text } | Delta::Refusal { choice: 0, text } => self.words(Kind::Text, text, frames),
            Delta::Other { choice: 0, delta, .. } => self.others(delta, frames),
            Delta::ToolCall { choice: 0, .. } => {
                self.calls.hear(delta);
                self.go_on_calling(frames);
            }
            _ => {}
        }
    }

    fn words(&mut self, kind: Kind, text: &str, frames: &mut Frames) {
        if text.is_empty() {
            return;
        }
        if self.is_open(Kind::Call) {
            match self.after.last_mut() {
                Some((last, words)) if *last == kind => words.push_str(text),
                _ => self.after.push((kind, text.to_owned())),
            }
            return;
        }
        let index = self.in_block(kind, frames);
        let (delta, field) = if kind == Kind::Thinking { ("thinking_delta", "thinking") } else { ("text_delta", "text") };
        if kind == Kind::Thinking {
            self.thought.bytes += text.len();
            self.thought.seal.iter_mut().for_each(|seal| seal.add(text));
        }
        piece(frames, index, (delta, field, text));
    }

    /// The number of an open block of this kind: the one that is, or a new one.
    fn in_block(&mut self, kind: Kind, frames: &mut Frames) -> u32 {
        if let Some(open) = self.open.filter(|open| open.kind == kind) {
            return open.index;
        }
        let (begun, thinks) = match kind {
            Kind::Thinking => (r#"{"type":"thinking","thinking":"","signature":""}"#, true),
            _ => (r#"{"type":"text","text":""}"#, false),
        };
        let index = self.start(kind, begun, frames);
        if thinks {
            self.thought = Thought { seal: self.sealer.clone(), ..Thought::default() };
        }
        index
    }

    fn start(&mut self, kind: Kind, block: &str, frames: &mut Frames) -> u32 {
        self.stop(frames);
        let index = self.next;
        self.next = self.next.saturating_add(1);
        self.open = Some(Open { index, kind });
        frames.event("content_block_start", |out| {
            out.number("index", index);
            out.name("content_block");
            out.raw(block);
        });
        index
    }

    /// Ends the block that is open.
    fn stop(&mut self, frames: &mut Frames) {
        let Some(open) = self.open.take() else { return };
        if let Some(seal) = self.thought.seal.take().filter(|_| open.kind == Kind::Thinking && !self.thought.unknown) {
            piece(frames, open.index, ("signature_delta", "signature", &seal.seal()));
        }
        frames.event("content_block_stop", |out| out.number("index", open.index));
    }

    /// What only this dialect has.
    fn others(&mut self, extras: &Extras, frames: &mut Frames) {
        if let Some(json) = own(extras, SIGNATURE) {
            self.sign(json, frames);
        }
        if let Some(block) = own(extras, BLOCK) {
            self.start(Kind::Other, block, frames);
        }
        for (name, value) in extras.iter() {
            if crate::dialects::of_own(NAME, name) != Some(PIECE) {
                continue;
            }
            if value.get().contains("\"citations_delta\"") && !self.is_open(Kind::Call) {
                // They may come before the text.
                self.in_block(Kind::Text, frames);
            }
            if let Some(open) = self.open {
                frames.event("content_block_delta", |out| {
                    out.number("index", open.index);
                    out.value("delta", value);
                });
            }
        }
    }

    /// A vendor's signature: it goes out on the very thought that it came with, also where nothing of that is shown.
    fn sign(&mut self, json: &str, frames: &mut Frames) {
        let Ok(Signature { signature, bytes }) = serde_json::from_str::<Signature<'_>>(json) else { return };
        // Of what passed before, the upstream's own count is all we know; what was held of it since is whole again by now.
        let whole = self.thought.unknown || self.thought.bytes == bytes;
        let index = match self.open {
            Some(Open { kind: Kind::Thinking, index }) if whole => Some(index),
            Some(Open { kind: Kind::Call, .. }) => None,
            _ if bytes == 0 => {
                self.stop(frames);
                Some(self.in_block(Kind::Thinking, frames))
            }
            _ => None,
        };
        if let Some(index) = index {
            frames.event("content_block_delta", |out| {
                out.number("index", index);
                out.name("delta");
                out.open();
                out.text("type", "signature_delta");
                out.value("signature", signature);
                out.close();
            });
            self.thought.seal = None;
            self.stop(frames);
        }
    }

    /// Says what there is of the call that is open, or opens the first that may be.
    fn go_on_calling(&mut self, frames: &mut Frames) {
        if !self.is_open(Kind::Call) {
            let Some(block) = self.calls.begin() else { return };
            self.start(Kind::Call, &block, frames);
            self.called = self.called.saturating_add(1);
        }
        if let (Some(open), Some(arguments)) = (self.open, self.calls.arguments()) {
            piece(frames, open.index, ("input_json_delta", "partial_json", &arguments));
        }
    }

    /// The call that is open is complete.
    fn next_call(&mut self, frames: &mut Frames) {
        self.stop(frames);
        self.calls.ends();
        for (kind, words) in std::mem::take(&mut self.after) {
            self.words(kind, &words, frames);
        }
        self.go_on_calling(frames);
    }

    /// The calls that the client has seen, as far as that is known.
    pub(super) fn called(&self) -> std::ops::Range<u32> {
        0..self.called
    }

    /// Nothing more comes in the answer of this id.
    pub(super) fn end(&mut self, answer: &str, frames: &mut Frames) {
        if self.is_open(Kind::Call) {
            self.next_call(frames);
        }
        self.calls.name_all(answer);
        while self.is_open(Kind::Call) || self.calls.waits() {
            self.go_on_calling(frames);
            self.next_call(frames);
        }
        self.stop(frames);
    }
}

fn piece(frames: &mut Frames, index: u32, (kind, field, text): (&str, &str, &str)) {
    frames.event("content_block_delta", |out| {
        out.number("index", index);
        out.name("delta");
        out.open();
        out.text("type", kind);
        out.text(field, text);
        out.close();
    });
}

impl Call {
    /// The beginning of its block.
    pub(super) fn block(&self) -> String {
        let mut out = crate::dialects::out::Out::default();
        out.open();
        out.text("type", "tool_use");
        out.text("id", &self.id);
        out.text("name", &self.name);
        out.name("input");
        out.raw("{}");
        out.own(NAME, &self.extras, |_| true);
        out.close();
        String::from_utf8(out.done().into()).unwrap_or_default()
    }
}
