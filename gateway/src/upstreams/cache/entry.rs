//! One stored answer: how its chunks become bytes and come back, and the stream that replays them.
//!
//! Apart because the format is versioned. It must not know where the bytes lie.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use gatewright_types::{Chunk, Delta, Extras, Fault, FinishReason};

/// Version of the format, the first byte of an entry.
const VERSION: u8 = 1;
/// Version and expiry.
const HEAD: usize = 9;

/// A complete answer that is not in the folder yet.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) chunks: Arc<Vec<Chunk>>,
    pub(super) expires_ms: u64,
    /// About as many bytes in memory.
    pub(super) weight: usize,
}

impl Fresh {
    /// `version, expiry (u64), (length (u32), chunk (JSON))*`, integers big-endian. `None` for what has no JSON (never).
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(HEAD + self.weight);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.expires_ms.to_be_bytes());
        for chunk in self.chunks.iter() {
            let at = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            serde_json::to_writer(&mut bytes, chunk).ok()?;
            let length = u32::try_from(bytes.len() - at - 4).ok()?;
            bytes.get_mut(at..at + 4)?.copy_from_slice(&length.to_be_bytes());
        }
        Some(bytes)
    }
}

/// An answer again, from memory.
pub(super) struct Replay {
    chunks: Arc<Vec<Chunk>>,
    at: usize,
}

impl Replay {
    pub(super) fn new(chunks: Arc<Vec<Chunk>>) -> Self {
        Self { chunks, at: 0 }
    }
}

impl Stream for Replay {
    type Item = Result<Chunk, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = self.chunks.get(self.at).cloned();
        self.at += 1;
        Poll::Ready(chunk.map(Ok))
    }
}

/// When an entry expires, Unix milliseconds; `None` if it is of another version.
pub(super) fn expiry(bytes: &[u8]) -> Option<u64> {
    let (&version, rest) = bytes.split_first()?;
    let stamp: [u8; 8] = rest.get(..8)?.try_into().ok()?;
    (version == VERSION).then(|| u64::from_be_bytes(stamp))
}

/// The chunks of an entry, all of them or nothing: half an answer is none.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Chunk>> {
    let mut rest = bytes.get(HEAD..).filter(|rest| !rest.is_empty())?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (chunk, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        chunks.push(serde_json::from_slice(chunk).ok()?);
        rest = after;
    }
    Some(chunks)
}

/// Which choices began and which finished well.
#[derive(Default)]
pub(super) struct Finishes {
    seen: u128,
    finished: u128,
    spoiled: bool,
}

impl Finishes {
    pub(super) fn see(&mut self, chunk: &Chunk) {
        for delta in &chunk.deltas {
            let (choice, finish) = match delta {
                Delta::Text { choice, .. }
                | Delta::Reasoning { choice, .. }
                | Delta::Refusal { choice, .. }
                | Delta::ToolCall { choice, .. }
                | Delta::Logprobs { choice, .. }
                | Delta::Other { choice, .. } => (*choice, None),
                Delta::Finish { choice, reason } => (*choice, Some(reason)),
                Delta::Start { .. } | Delta::ToolResult { .. } | Delta::Usage(_) => continue,
            };
            let Some(bit) = 1_u128.checked_shl(choice) else {
                self.spoiled = true;
                continue;
            };
            self.seen |= bit;
            match finish {
                None => {}
                Some(FinishReason::Stop | FinishReason::Length | FinishReason::ToolCalls) => self.finished |= bit,
                // The older word for a tool call. Any other reason may be an upstream's trouble of the moment.
                Some(FinishReason::Other(word)) if word == "function_call" => self.finished |= bit,
                Some(FinishReason::ContentFilter | FinishReason::Other(_)) => self.spoiled = true,
            }
        }
    }

    /// Whether every choice that was seen finished well, and there is one.
    pub(super) fn clean(&self) -> bool {
        !self.spoiled && self.seen != 0 && self.seen == self.finished
    }
}

/// About as many bytes as a chunk takes in memory and on the disk.
pub(super) fn weight(chunk: &Chunk) -> usize {
    let extras = |extras: &Extras| extras.iter().map(|(n, v)| n.len() + v.get().len() + 32).sum::<usize>();
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let deltas = chunk.deltas.iter().map(|delta| match delta {
        Delta::Start { id, model, .. } => id.len() + model.len(),
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => text.len(),
        Delta::ToolCall { id, name, arguments, extras: more, .. } => optional(id) + optional(name) + arguments.len() + extras(more),
        Delta::ToolResult { id, name, text } => id.len() + name.len() + text.len(),
        Delta::Logprobs { value, .. } => value.get().len(),
        Delta::Usage(usage) => extras(&usage.extras),
        Delta::Finish { .. } => 0,
        Delta::Other { delta, around, .. } => extras(delta) + extras(around),
    });
    deltas.map(|bytes| bytes + 96).sum::<usize>() + extras(&chunk.extras) + 64
}
