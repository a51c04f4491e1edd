//! An answer that was kept, as a stream: its events once more, each text in one piece.
//!
//! Apart because it is told of what was written, not of what was said: the items and the answer in the events are those that are kept, byte
//! for byte. It must not know where they are kept.

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;

use super::frames::Frames;
use crate::dialects::openai_responses::request::{get, text};
use crate::dialects::out::Out;
use crate::dialects::{Recalled, wire};

/// The events, those after a number alone where one is given. The last is always among them, for who asks has not seen the end; of an answer
/// that is not over there is none.
pub(in super::super) fn replay(kept: &Recalled, after: Option<u64>) -> Bytes {
    let mut all = Replay { frames: Frames::default(), after, taken: BytesMut::with_capacity(kept.body.len() * 3) };
    // What is kept was written here.
    let fields: wire::Fields<'_> = serde_json::from_str(&kept.body).unwrap_or(wire::Fields(Default::default()));
    for kind in ["response.created", "response.in_progress"] {
        all.event(kind, |out| {
            out.name("response");
            begun(out, &fields);
        });
    }
    let output = get(&fields, "output").and_then(|raw| wire::items(raw).ok()).unwrap_or_default();
    for (at, raw) in output.into_iter().enumerate() {
        if let Ok(fields) = wire::object(raw) {
            all.item(&Item { at, raw, fields });
        }
    }
    let status = text(&fields, "status").ok().flatten().unwrap_or_default();
    if matches!(&*status, "queued" | "in_progress") {
        return all.taken.freeze();
    }
    all.frames.not_before(after.map_or(0, |after| after.saturating_add(1)));
    // What was cancelled has no event of its own; as all that stops before its end it is incomplete.
    let end = if status == "cancelled" { "incomplete" } else { &status };
    all.event(&format!("response.{end}"), |out| out.field("response", &kept.body));
    all.frames.done();
    all.taken.extend_from_slice(&all.frames.take().unwrap_or_default());
    all.taken.freeze()
}

/// The answer as it was when it began.
fn begun(out: &mut Out, fields: &wire::Fields<'_>) {
    out.open();
    for (name, value) in &fields.0 {
        match &**name {
            "status" => out.text("status", "in_progress"),
            "output" => out.field("output", "[]"),
            "completed_at" | "error" | "incomplete_details" | "usage" => out.value(name, RawValue::NULL),
            _ => out.value(name, value),
        }
    }
    out.close();
}

struct Replay {
    frames: Frames,
    after: Option<u64>,
    taken: BytesMut,
}

/// An item of the output.
struct Item<'a> {
    at: usize,
    raw: &'a RawValue,
    fields: wire::Fields<'a>,
}

impl Item<'_> {
    fn text(&self, name: &str) -> String {
        text(&self.fields, name).ok().flatten().unwrap_or_default()
    }

    /// The item as it was when it began: nothing was in it.
    fn begun(&self, out: &mut Out, holds: &[&str]) {
        out.open();
        for (name, value) in &self.fields.0 {
            match &**name {
                "status" => out.text("status", "in_progress"),
                name if holds.contains(&name) => out.field(name, if wire::is_string(value) { "\"\"" } else { "[]" }),
                // It is sealed when it is whole.
                "encrypted_content" => {}
                _ => out.value(name, value),
            }
        }
        out.close();
    }
}

/// Of a part: the list that it is in, the field of its text, and what its events begin with and number it by.
struct Told {
    list: &'static str,
    field: &'static str,
    text: &'static str,
    part: &'static str,
    index: &'static str,
}

/// The kinds of parts that are told in pieces.
fn told(kind: &str) -> Option<Told> {
    let (content, number) = ("response.content_part", "content_index");
    let told = |list, field, text, (part, index)| Some(Told { list, field, text, part, index });
    match kind {
        "output_text" => told("content", "text", "response.output_text", (content, number)),
        "refusal" => told("content", "refusal", "response.refusal", (content, number)),
        "reasoning_text" => told("content", "text", "response.reasoning_text", (content, number)),
        "summary_text" => {
            let part = ("response.reasoning_summary_part", "summary_index");
            told("summary", "text", "response.reasoning_summary_text", part)
        }
        _ => None,
    }
}

impl Replay {
    /// An event, unless who asks has seen it.
    fn event(&mut self, kind: &str, fields: impl FnOnce(&mut Out)) {
        let seen = self.after.is_some_and(|after| self.frames.next() <= after);
        self.frames.event(kind, fields);
        let frame = self.frames.take().filter(|_| !seen);
        self.taken.extend_from_slice(&frame.unwrap_or_default());
    }

    fn item(&mut self, item: &Item<'_>) {
        let kind = item.text("type");
        let holds: &[&str] = match &*kind {
            "message" | "reasoning" => &["content", "summary"],
            "function_call" => &["arguments"],
            "custom_tool_call" => &["input"],
            _ => &[],
        };
        self.event("response.output_item.added", |out| {
            out.number("output_index", item.at);
            out.name("item");
            if holds.is_empty() { out.raw(item.raw.get()) } else { item.begun(out, holds) }
        });
        match &*kind {
            "message" | "reasoning" => ["summary", "content"].iter().for_each(|list| self.parts(item, list)),
            "function_call" => self.call(item, ("response.function_call_arguments", "arguments")),
            "custom_tool_call" => self.call(item, ("response.custom_tool_call_input", "input")),
            _ => {}
        }
        self.event("response.output_item.done", |out| {
            out.number("output_index", item.at);
            out.field("item", item.raw.get());
        });
    }

    /// An event of an item.
    fn of_item(&mut self, kind: &str, item: &Item<'_>, fields: impl FnOnce(&mut Out)) {
        self.event(kind, |out| {
            out.text("item_id", &item.text("id"));
            out.number("output_index", item.at);
            fields(out);
        });
    }

    fn call(&mut self, item: &Item<'_>, (kind, field): (&str, &str)) {
        let said = item.text(field);
        if !said.is_empty() {
            self.of_item(&format!("{kind}.delta"), item, |out| out.text("delta", &said));
        }
        // What broke off is never told to be whole.
        if item.text("status") == "incomplete" {
            return;
        }
        self.of_item(&format!("{kind}.done"), item, |out| {
            if field == "arguments" {
                out.text("name", &item.text("name"));
            }
            out.text(field, &said);
        });
    }

    /// The parts of a list, each told in one piece.
    fn parts(&mut self, item: &Item<'_>, list: &str) {
        let parts = get(&item.fields, list).and_then(|raw| wire::items(raw).ok()).unwrap_or_default();
        for (index, part) in parts.into_iter().enumerate() {
            let Ok(fields) = wire::object(part) else { continue };
            let kind = text(&fields, "type").ok().flatten().unwrap_or_default();
            let Some(told) = told(&kind).filter(|told| told.list == list) else { continue };
            self.part(item, (index, part, &fields), &told);
        }
    }

    fn part(&mut self, item: &Item<'_>, (index, part, fields): (usize, &RawValue, &wire::Fields<'_>), told: &Told) {
        let said = text(fields, told.field).ok().flatten().unwrap_or_default();
        let logprobs = get(fields, "logprobs").map_or("[]", |raw| raw.get());
        let with_logprobs = |out: &mut Out| {
            if told.text == "response.output_text" {
                out.field("logprobs", logprobs);
            }
        };
        self.of_item(&format!("{}.added", told.part), item, |out| {
            out.number(told.index, index);
            out.name("part");
            out.open();
            for (name, value) in &fields.0 {
                match &**name {
                    name if name == told.field => out.text(name, ""),
                    "annotations" | "logprobs" => out.field(name, "[]"),
                    _ => out.value(name, value),
                }
            }
            out.close();
        });
        if !said.is_empty() {
            self.of_item(&format!("{}.delta", told.text), item, |out| {
                out.number(told.index, index);
                out.text("delta", &said);
                with_logprobs(out);
            });
        }
        let notes = get(fields, "annotations").and_then(|raw| wire::items(raw).ok()).unwrap_or_default();
        for (number, note) in notes.into_iter().enumerate() {
            self.of_item("response.output_text.annotation.added", item, |out| {
                out.number(told.index, index);
                out.number("annotation_index", number);
                out.value("annotation", note);
            });
        }
        self.of_item(&format!("{}.done", told.text), item, |out| {
            out.number(told.index, index);
            out.text(told.field, &said);
            with_logprobs(out);
        });
        self.of_item(&format!("{}.done", told.part), item, |out| {
            out.number(told.index, index);
            out.field("part", part.get());
        });
    }
}
