//! An upstream's own events, passed on byte for byte for as long as they fit together.
//!
//! What says nothing, the beginnings and ends of blocks above all, waits until it is known that what stands between them passes too: a policy may hold back the words
//! of a block whose end has come. Apart because it knows the upstream's numbers, and nothing else does. It must not change a byte.

use bytes::Bytes;
use gatewright_types::{Chunk, Delta};
use serde::Deserialize;

use super::frames::Frames;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The message began.
    Begun,
    /// How it ends was told.
    Ended,
    Some,
    /// It does not fit: from now on nothing passes.
    Never,
}

/// The upstream's events so far.
#[derive(Default)]
pub(super) struct Passing {
    begun: bool,
    /// The block that is open for the client.
    open: Option<Open>,
    /// Blocks that the client has seen.
    blocks: u32,
    /// Which call of the answer began last.
    call: Option<u32>,
    /// Events that say nothing, and wait.
    waiting: Vec<(Shape, String, Bytes)>,
}

/// A block that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) index: u32,
    pub(super) kind: Kind,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
    /// A call of the client's tools.
    Call,
    Other,
}

/// What an event is to the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Message,
    Start(Open),
    Piece(u32),
    Stop(u32),
    End,
    /// A ping, or what we do not know.
    Beside,
}

impl Shape {
    /// The shape of an event, and its type.
    pub(super) fn of(data: &[u8]) -> Option<(Self, String)> {
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            index: u32,
            content_block: Option<Block>,
        }
        #[derive(Deserialize)]
        struct Block {
            #[serde(rename = "type")]
            kind: String,
        }
        let Event { kind, index, content_block } = serde_json::from_slice(data).ok()?;
        let shape = match &*kind {
            "message_start" => Self::Message,
            "content_block_start" => Self::Start(Open { index, kind: Kind::of(&content_block?.kind) }),
            "content_block_delta" => Self::Piece(index),
            "content_block_stop" => Self::Stop(index),
            "message_delta" => Self::End,
            _ => Self::Beside,
        };
        Some((shape, kind))
    }
}

impl Kind {
    fn of(word: &str) -> Self {
        match word {
            "text" => Self::Text,
            "thinking" => Self::Thinking,
            "tool_use" => Self::Call,
            _ => Self::Other,
        }
    }
}

/// Events that may wait.
const MOST_WAITING: usize = 64;

impl Passing {
    /// The block that is open for the client, and how many it has seen.
    pub(super) fn open(&self) -> (Option<Open>, u32) {
        (self.open, self.blocks)
    }

    /// Which call of the answer began last.
    pub(super) fn call(&self) -> Option<u32> {
        self.call
    }

    /// Passes an event on, or keeps it waiting.
    pub(super) fn pass(&mut self, chunk: &Chunk, data: &Bytes, frames: &mut Frames) -> Passed {
        let Some((shape, kind)) = Shape::of(data) else { return Passed::Never };
        let (open, blocks) = self.expected();
        let fits = match shape {
            Shape::Message => !self.begun,
            Shape::Start(start) => self.begun && open.is_none() && start.index == blocks,
            Shape::Piece(index) | Shape::Stop(index) => open.is_some_and(|open| open.index == index),
            Shape::End => self.begun && open.is_none(),
            Shape::Beside => true,
        };
        if !fits || self.waiting.len() >= MOST_WAITING {
            return Passed::Never;
        }
        let says = !chunk.deltas.is_empty();
        if let Shape::Start(_) = shape {
            let call = |delta: &Delta| if let Delta::ToolCall { index, .. } = delta { Some(*index) } else { None };
            self.call = chunk.deltas.iter().find_map(call);
        }
        match shape {
            Shape::Start(_) | Shape::Piece(_) | Shape::Stop(_) if !says => self.waiting.push((shape, kind, data.clone())),
            Shape::Beside if !self.waiting.is_empty() => self.waiting.push((shape, kind, data.clone())),
            _ => {
                self.settle(frames);
                self.see(shape);
                frames.raw(&kind, data);
            }
        }
        match shape {
            Shape::Message => Passed::Begun,
            Shape::End => Passed::Ended,
            _ => Passed::Some,
        }
    }

    /// Sends what waits.
    pub(super) fn settle(&mut self, frames: &mut Frames) {
        for (shape, kind, data) in std::mem::take(&mut self.waiting) {
            self.see(shape);
            frames.raw(&kind, &data);
        }
    }

    /// The client sees an event.
    fn see(&mut self, shape: Shape) {
        match shape {
            Shape::Message => self.begun = true,
            Shape::Start(open) => (self.open, self.blocks) = (Some(open), self.blocks.saturating_add(1)),
            Shape::Stop(_) => self.open = None,
            _ => {}
        }
    }

    /// What will be open, and how many blocks there will be, once all that waits is sent.
    fn expected(&self) -> (Option<Open>, u32) {
        self.waiting.iter().fold((self.open, self.blocks), |(open, blocks), (shape, ..)| match shape {
            Shape::Start(start) => (Some(*start), blocks.saturating_add(1)),
            Shape::Stop(_) => (None, blocks),
            _ => (open, blocks),
        })
    }
}
