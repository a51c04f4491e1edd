//! The blocks of an answer to deltas: their beginnings, their pieces, or whole.
//!
//! Apart because it alone knows which block is under way. It must not know the message around them.

use gatewright_types::{Chunk, Delta, Extras};
use serde_json::value::RawValue;

use super::{Fields, beside, foreign, get, holds_text, kind, other, signature};
use crate::dialects::anthropic_messages::{BESIDE, CITATIONS, PIECE, keep};
use crate::dialects::wire;

/// The blocks of one answer so far.
#[derive(Default)]
pub(super) struct Blocks {
    /// Calls so far.
    calls: u32,
    /// Bytes of the thought under way.
    thought: usize,
    /// Whether the block that began last is a call of the client's tools.
    calling: bool,
    /// Whether each comes whole, and not in pieces.
    whole: bool,
    /// The number of each block, and which call it is, if it is one: some servers let them come in turns.
    at: Vec<(u64, Option<u32>)>,
}

/// A block, or a piece of one, and the block's number.
pub(super) type Numbered<'a> = (Option<&'a RawValue>, Option<u64>);

/// Numbers that are remembered.
const MOST: usize = 1024;

fn text(fields: &Fields<'_>, name: &str) -> String {
    get(fields, name).filter(|raw| wire::is_string(raw)).map(wire::lenient).unwrap_or_default()
}

impl Blocks {
    /// Those of an answer that is no stream.
    pub(super) fn of_body() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// A block begins, or comes whole.
    pub(super) fn start(&mut self, chunk: &mut Chunk, (block, number): Numbered<'_>) {
        let Some((block, fields)) = block.and_then(|raw| Some((raw, wire::object(raw).ok()?.0))) else { return };
        self.thought = 0;
        self.calling = false;
        let call = (kind(&fields) == "tool_use").then_some(self.calls);
        self.at.retain(|(at, _)| Some(*at) != number);
        self.at.extend(number.filter(|_| self.at.len() < MOST).map(|number| (number, call)));
        match &*kind(&fields) {
            "text" => {
                say(chunk, text(&fields, "text"));
                let citations = get(&fields, CITATIONS).filter(|raw| holds_text(raw));
                chunk.deltas.extend(citations.map(|raw| other(CITATIONS, raw)));
                unread(chunk, &fields, &["type", "text", CITATIONS]);
            }
            "thinking" => {
                self.think(chunk, text(&fields, "thinking"));
                let signed = get(&fields, "signature").filter(|raw| raw.get().len() > 2 && wire::is_string(raw));
                chunk.deltas.extend(signed.and_then(|raw| signature(raw, self.thought)));
                unread(chunk, &fields, &["type", "thinking", "signature"]);
            }
            "tool_use" => self.call(chunk, &fields),
            _ => chunk.deltas.push(foreign(block)),
        }
    }

    /// A piece of the block under way.
    pub(super) fn delta(&mut self, chunk: &mut Chunk, (delta, number): Numbered<'_>) {
        let Some((delta, fields)) = delta.and_then(|raw| Some((raw, wire::object(raw).ok()?.0))) else { return };
        let numbered = self.at.iter().find(|(at, _)| Some(*at) == number).map(|(_, call)| *call);
        let called = numbered.unwrap_or_else(|| self.calling.then(|| self.calls.saturating_sub(1)));
        match &*kind(&fields) {
            "text_delta" => {
                say(chunk, text(&fields, "text"));
                unread(chunk, &fields, &["type", "text"]);
            }
            "thinking_delta" => {
                self.think(chunk, text(&fields, "thinking"));
                unread(chunk, &fields, &["type", "thinking"]);
            }
            "signature_delta" => {
                unread(chunk, &fields, &["type", "signature"]);
                chunk.deltas.extend(get(&fields, "signature").and_then(|raw| signature(raw, self.thought)));
            }
            "input_json_delta" if called.is_some() => {
                unread(chunk, &fields, &["type", "partial_json"]);
                let arguments = text(&fields, "partial_json");
                if let Some(index) = called.filter(|_| !arguments.is_empty()) {
                    chunk.deltas.push(Delta::ToolCall { choice: 0, index, id: None, name: None, arguments, extras: Extras::new() });
                }
            }
            _ => chunk.deltas.push(other(PIECE, delta)),
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
        let input = get(fields, "input").map(RawValue::get).filter(|json| self.whole || json.len() > 2);
        let arguments = input.unwrap_or_default().to_owned();
        let (id, name) = (Some(text(fields, "id")), Some(text(fields, "name")));
        chunk.deltas.push(Delta::ToolCall { choice: 0, index: self.calls, id, name, arguments, extras });
        self.calls = self.calls.saturating_add(1);
        self.calling = true;
    }
}

/// Tells of what is in a block or a piece of one and is not read: other fields, and what should be a text but is none.
fn unread(chunk: &mut Chunk, fields: &Fields<'_>, read: &[&str]) {
    beside(chunk, fields, read);
    let odd = fields.iter().filter(|(name, raw)| *name != CITATIONS && read.contains(&&**name) && !wire::is_string(raw));
    chunk.deltas.extend(odd.filter(|(_, raw)| holds_text(raw)).map(|(_, raw)| other(BESIDE, raw)));
}

fn say(chunk: &mut Chunk, text: String) {
    if !text.is_empty() {
        chunk.deltas.push(Delta::Text { choice: 0, text });
    }
}
