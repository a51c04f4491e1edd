//! The blocks of an answer to deltas: their beginnings, their pieces, or whole.
//!
//! Apart because it alone knows which block is under way. It must not know the message around them.

use gatewright_types::{Chunk, Delta, Extras};
use serde_json::value::RawValue;

use super::{Fields, foreign, get, kind, other, signature};
use crate::dialects::anthropic_messages::{CITATIONS, PIECE, keep};
use crate::dialects::wire;

/// The blocks of one answer so far.
#[derive(Default)]
pub(super) struct Blocks {
    /// Calls so far.
    calls: u32,
    /// Bytes of the thought under way.
    thought: usize,
    /// Whether the block under way is a call of the client's tools.
    calling: bool,
}

fn text(fields: &Fields<'_>, name: &str) -> String {
    get(fields, name).filter(|raw| wire::is_string(raw)).map(wire::lenient).unwrap_or_default()
}

impl Blocks {
    /// A block begins.
    pub(super) fn start(&mut self, chunk: &mut Chunk, block: Option<&RawValue>) {
        let Some((block, fields)) = block.and_then(|raw| Some((raw, wire::object(raw).ok()?.0))) else { return };
        self.thought = 0;
        self.calling = false;
        match &*kind(&fields) {
            "text" => say(chunk, text(&fields, "text")),
            "thinking" => self.think(chunk, text(&fields, "thinking")),
            "tool_use" => self.call(chunk, &fields),
            _ => chunk.deltas.push(foreign(block)),
        }
    }

    /// A piece of the block under way.
    pub(super) fn delta(&mut self, chunk: &mut Chunk, delta: Option<&RawValue>) {
        let Some((delta, fields)) = delta.and_then(|raw| Some((raw, wire::object(raw).ok()?.0))) else { return };
        match &*kind(&fields) {
            "text_delta" => say(chunk, text(&fields, "text")),
            "thinking_delta" => self.think(chunk, text(&fields, "thinking")),
            "signature_delta" => {
                chunk.deltas.extend(get(&fields, "signature").and_then(|raw| signature(raw, self.thought)));
            }
            "input_json_delta" if self.calling => {
                let (index, arguments) = (self.calls.saturating_sub(1), text(&fields, "partial_json"));
                if !arguments.is_empty() {
                    chunk.deltas.push(Delta::ToolCall { choice: 0, index, id: None, name: None, arguments, extras: Extras::new() });
                }
            }
            _ => chunk.deltas.push(other(PIECE, delta)),
        }
    }

    /// A whole block.
    pub(super) fn whole(&mut self, chunk: &mut Chunk, block: &RawValue) {
        self.start(chunk, Some(block));
        let Ok(fields) = wire::object(block) else { return };
        match &*kind(&fields.0) {
            "text" => {
                let citations = get(&fields.0, CITATIONS).filter(|raw| raw.get().len() > 2 && !wire::is_null(raw));
                chunk.deltas.extend(citations.map(|raw| other(CITATIONS, raw)));
            }
            "thinking" => {
                let signed = get(&fields.0, "signature").filter(|raw| raw.get().len() > 2 && wire::is_string(raw));
                chunk.deltas.extend(signed.and_then(|raw| signature(raw, self.thought)));
            }
            _ => {}
        }
    }

    fn think(&mut self, chunk: &mut Chunk, text: String) {
        self.thought += text.len();
        if !text.is_empty() {
            chunk.deltas.push(Delta::Reasoning { choice: 0, text });
        }
    }

    fn call(&mut self, chunk: &mut Chunk, fields: &Fields<'_>) {
        let mut extras = Extras::new();
        for (name, raw) in
            fields.iter().filter(|(name, raw)| !matches!(&**name, "type" | "id" | "name" | "input") && !wire::is_null(raw))
        {
            keep(&mut extras, name, raw);
        }
        // In a stream it is empty, and comes in pieces.
        let arguments = get(fields, "input").map(RawValue::get).filter(|json| json.len() > 2).unwrap_or_default().to_owned();
        let (id, name) = (Some(text(fields, "id")), Some(text(fields, "name")));
        chunk.deltas.push(Delta::ToolCall { choice: 0, index: self.calls, id, name, arguments, extras });
        self.calls = self.calls.saturating_add(1);
        self.calling = true;
    }
}

fn say(chunk: &mut Chunk, text: String) {
    if !text.is_empty() {
        chunk.deltas.push(Delta::Text { choice: 0, text });
    }
}
