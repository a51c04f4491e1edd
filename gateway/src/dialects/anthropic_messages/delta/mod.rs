//! What is answered: events of a stream and whole bodies to chunks of deltas.
//!
//! Apart from writing because it is lenient: whatever an upstream sends is kept, typed where we know the field and raw where we do
//! not. It must not know which upstream it was: faults name none, whoever asked fills that in.

mod block;
mod usage;

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Extras, Fault, FaultKind, FinishReason, Raw};
use serde_json::value::{RawValue, to_raw_value};
use smallvec::SmallVec;

use self::block::{Blocks, Numbered};
use self::usage::UsageIn;
use super::{BESIDE, BLOCK, NAME, Signature, USAGE, fault, keep};
use crate::dialects::{ReadEvents, wire};

/// The fields of an event or a body.
type Fields<'a> = SmallVec<[(std::borrow::Cow<'a, str>, &'a RawValue); 12]>;

/// Reads the events of one stream, in order.
#[derive(Default)]
pub(super) struct Reader {
    usage: UsageIn,
    blocks: Blocks,
}

impl ReadEvents for Reader {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Fault> {
        let fields = fields(&data)?;
        let mut chunk = Chunk::default();
        match &*kind(&fields) {
            "message_stop" => return Ok(None),
            "error" => return Err(fault::said_in(&fields, &data)),
            "message_start" => self.start(&mut chunk, get(&fields, "message")),
            "content_block_start" => self.blocks.start(&mut chunk, numbered(&fields, "content_block")),
            "content_block_delta" => self.blocks.delta(&mut chunk, numbered(&fields, "delta")),
            "message_delta" => self.finish(&mut chunk, &fields),
            // The end of a block, a ping, and what we do not know: for clients of this dialect, who are shown all of it.
            _ => {}
        }
        // What else the end of a message has is kept.
        if kind(&fields) != "message_delta" {
            beside(&mut chunk, &fields, read_of(&kind(&fields)));
        }
        chunk.raw = Some(Raw::Event(NAME, data.clone()));
        Ok(Some(chunk))
    }
}

impl Reader {
    fn start(&mut self, chunk: &mut Chunk, message: Option<&RawValue>) {
        let Some(message) = message.and_then(|raw| wire::object(raw).ok()) else { return };
        let text = |name: &str| get(&message.0, name).and_then(|raw| wire::string(raw).ok()).unwrap_or_default();
        chunk.deltas.push(Delta::Start { id: text("id"), model: text("model"), created: 0 });
        for (name, raw) in &message.0 {
            match &**name {
                "usage" => {
                    self.usage.take(raw);
                    keep(&mut chunk.extras, USAGE, raw);
                }
                // It begins empty; what is in it would be shown.
                "content" if holds_text(raw) => chunk.deltas.push(other(BESIDE, raw)),
                name if is_message_field(name) || wire::is_null(raw) => {}
                name => keep(&mut chunk.extras, name, raw),
            }
        }
    }

    fn finish(&mut self, chunk: &mut Chunk, fields: &Fields<'_>) {
        for (name, raw) in fields {
            match &**name {
                "type" | "delta" => {}
                "usage" => self.usage.take(raw),
                name => keep(&mut chunk.extras, name, raw),
            }
        }
        if let Some(delta) = get(fields, "delta").and_then(|raw| wire::object(raw).ok()) {
            end(chunk, &delta.0);
        }
        chunk.deltas.push(Delta::Usage(self.usage.read()));
    }
}

/// What every message has, and is told by deltas or not at all.
fn is_message_field(name: &str) -> bool {
    matches!(name, "id" | "type" | "role" | "model" | "content" | "stop_reason" | "stop_sequence" | "usage")
}

/// The end of an answer, from the fields that tell it.
fn end(chunk: &mut Chunk, fields: &Fields<'_>) {
    let mut around = Extras::new();
    let mut finish = None;
    for (name, raw) in fields.iter().filter(|(_, raw)| !wire::is_null(raw)) {
        match &**name {
            "stop_reason" => {
                let Ok(word) = wire::string(raw) else { continue };
                let reason = reason(&word);
                if super::stop_word(&reason) != word {
                    keep(&mut around, name, raw);
                }
                finish = Some(reason);
            }
            name if is_message_field(name) && name != "stop_sequence" => {}
            name => keep(&mut around, name, raw),
        }
    }
    if !around.is_empty() {
        chunk.deltas.push(Delta::Other { choice: 0, delta: Extras::new(), around });
    }
    chunk.deltas.extend(finish.map(|reason| Delta::Finish { choice: 0, reason }));
}

fn reason(word: &str) -> FinishReason {
    match word {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

/// Reads a whole answer: one chunk with all of it.
///
/// # Errors
/// [`FaultKind::UpstreamInvalid`] when it is no answer; the upstream's own error when the body holds one.
pub(super) fn read_body(body: Bytes) -> Result<Chunk, Fault> {
    let fields = fields(&body)?;
    if kind(&fields) == "error" {
        return Err(fault::said_in(&fields, &body));
    }
    let Some(content) = get(&fields, "content").and_then(|raw| wire::items(raw).ok()) else {
        return Err(unreadable("the body has no `content`", &body));
    };
    let text = |name: &str| get(&fields, name).and_then(|raw| wire::string(raw).ok()).unwrap_or_default();
    let mut chunk = Chunk::of(vec![Delta::Start { id: text("id"), model: text("model"), created: 0 }]);
    let (mut blocks, mut usage) = (Blocks::of_body(), UsageIn::default());
    content.into_iter().for_each(|block| blocks.start(&mut chunk, (Some(block), None)));
    for (name, raw) in fields.iter().filter(|(name, raw)| !is_message_field(name) && !wire::is_null(raw)) {
        keep(&mut chunk.extras, name, raw);
    }
    let ends: Fields<'_> = fields.iter().filter(|(name, _)| matches!(&**name, "stop_reason" | "stop_sequence")).cloned().collect();
    end(&mut chunk, &ends);
    if let Some(raw) = get(&fields, "usage") {
        usage.take(raw);
        chunk.deltas.push(Delta::Usage(usage.read()));
    }
    chunk.raw = Some(Raw::Body(NAME, body.clone()));
    Ok(chunk)
}

/// The fields of an event's data or of a body.
fn fields(data: &Bytes) -> Result<Fields<'_>, Fault> {
    let text = std::str::from_utf8(data).map_err(|_| unreadable("it is not UTF-8", data))?;
    let fields: Result<wire::Fields<'_>, _> = serde_json::from_str(text);
    // The error's own words may quote the answer.
    fields
        .map(|fields| fields.0)
        .map_err(|error| unreadable(&format!("{:?} error at column {}", error.classify(), error.column()), data))
}

fn get<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    fields.iter().find(|(field, _)| field == name).map(|(_, raw)| *raw)
}

/// A block, or a piece of one, and its number.
fn numbered<'a>(fields: &Fields<'a>, name: &str) -> Numbered<'a> {
    (get(fields, name), get(fields, "index").and_then(|raw| wire::plain(raw, "").ok()))
}

fn kind<'a>(fields: &Fields<'a>) -> std::borrow::Cow<'a, str> {
    get(fields, "type").and_then(|raw| wire::text(raw).ok()).unwrap_or_default()
}

/// A whole block without a channel, as the delta that carries it.
fn other(field: &str, raw: &RawValue) -> Delta {
    let mut delta = Extras::new();
    keep(&mut delta, field, raw);
    Delta::Other { choice: 0, delta, around: Extras::new() }
}

/// The fields of an event that are read.
fn read_of(event: &str) -> &'static [&'static str] {
    match event {
        "message_start" => &["type", "message"],
        "content_block_start" => &["type", "index", "content_block"],
        "content_block_delta" => &["type", "index", "delta"],
        "content_block_stop" | "ping" => &["type", "index"],
        _ => &[],
    }
}

/// Tells of fields that are not read, or come twice, and may hold text: clients of this dialect are shown them.
fn beside(chunk: &mut Chunk, fields: &Fields<'_>, read: &[&str]) {
    for (at, (name, raw)) in fields.iter().enumerate().filter(|(_, (_, raw))| holds_text(raw)) {
        if !read.contains(&&**name) || fields.iter().take(at).any(|(earlier, _)| earlier == name) {
            chunk.deltas.push(other(BESIDE, raw));
        }
    }
}

/// Whether a value may hold text: neither numbers nor words of JSON do, nor does what is empty.
fn holds_text(raw: &RawValue) -> bool {
    raw.get().len() > 2 && raw.get().starts_with(['"', '{', '['])
}

/// The signature of a thought, and of how many bytes of it.
fn signature(signature: &RawValue, bytes: usize) -> Option<Delta> {
    let value = to_raw_value(&Signature { signature, bytes }).ok()?;
    Some(other(super::SIGNATURE, &value))
}

/// A block that only this dialect has.
fn foreign(block: &RawValue) -> Delta {
    other(BLOCK, block)
}

/// As much of what cannot be read as is quoted, bytes.
const MAX_QUOTE: usize = 64 << 10;

/// What the upstream sent cannot be read. An operator who lets answers be logged sees the beginning of it, the client does not.
fn unreadable(why: &str, data: &[u8]) -> Fault {
    let beginning = String::from_utf8_lossy(data.get(..data.len().min(MAX_QUOTE)).unwrap_or_default());
    Fault::upstream("", FaultKind::UpstreamInvalid, "The upstream's answer could not be read.").detail(why).quote(beginning)
}

#[cfg(test)]
mod tests;
