//! One choice of an event: all deltas of a chunk that belong to it, in OpenAI's shape.
//!
//! Apart because a chunk may hold several texts of a choice (a guard released held text) that the client gets as one. It
//! must not know the event around it.

use std::borrow::Cow;

use gatewright_types::{Delta, RawJson};
use serde_json::value::RawValue;

use super::finish_word;
use super::whole::logprobs;
use crate::dialects::is_owned;
use crate::dialects::out::Out;

/// Whether the role of a choice was said already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RoleIs {
    Said,
    Unsaid,
}

/// Which choice a delta belongs to, if the client is told of it.
pub(super) fn index(delta: &Delta) -> Option<u32> {
    match delta {
        Delta::Text { choice, .. }
        | Delta::Reasoning { choice, .. }
        | Delta::Refusal { choice, .. }
        | Delta::ToolCall { choice, .. }
        | Delta::Logprobs { choice, .. }
        | Delta::Finish { choice, .. } => Some(*choice),
        Delta::Other { choice, delta, around } => {
            let tells = |extras: &gatewright_types::Extras| extras.iter().any(|(name, _)| !is_owned(name));
            (tells(delta) || tells(around)).then_some(*choice)
        }
        Delta::Start { .. } | Delta::ToolResult { .. } | Delta::Usage(_) => None,
    }
}

/// All text of one kind, joined.
fn joined<'a>(deltas: &'a [Delta], pick: impl Fn(&'a Delta) -> Option<&'a str>) -> Option<Cow<'a, str>> {
    let mut texts = deltas.iter().filter_map(pick);
    let first = texts.next()?;
    Some(texts.fold(Cow::Borrowed(first), |all, next| all + next))
}

/// Writes the choice `index` of these deltas.
pub(super) fn write(out: &mut Out, deltas: &[Delta], index: u32, role: RoleIs) {
    out.open();
    out.number("index", index);
    out.name("delta");
    write_delta(out, deltas, index, role);
    let mut values: Vec<&RawJson> = Vec::new();
    let mut finish = None;
    for delta in deltas {
        match delta {
            Delta::Logprobs { choice, value } if *choice == index => values.push(value),
            Delta::Finish { choice, reason } if *choice == index => finish = Some(finish_word(reason)),
            Delta::Other { choice, around, .. } if *choice == index => {
                out.extras(around, |name, _| !matches!(name, "index" | "delta" | "logprobs" | "finish_reason"));
            }
            _ => {}
        }
    }
    out.name("logprobs");
    logprobs(out, &values);
    match finish {
        Some(reason) => out.text("finish_reason", reason),
        None => out.value("finish_reason", RawValue::NULL),
    }
    out.close();
}

fn write_delta(out: &mut Out, deltas: &[Delta], index: u32, role: RoleIs) {
    let text = joined(deltas, |delta| match delta {
        Delta::Text { choice, text } if *choice == index => Some(text),
        _ => None,
    });
    let reasoning = joined(deltas, |delta| match delta {
        Delta::Reasoning { choice, text } if *choice == index => Some(text),
        _ => None,
    });
    let refusal = joined(deltas, |delta| match delta {
        Delta::Refusal { choice, text } if *choice == index => Some(text),
        _ => None,
    });
    out.open();
    if role == RoleIs::Unsaid {
        out.text("role", "assistant");
        if text.is_none() && reasoning.is_none() {
            out.text("content", "");
        }
    }
    for (name, text) in [("reasoning_content", reasoning), ("content", text), ("refusal", refusal)] {
        if let Some(text) = text {
            out.text(name, &text);
        }
    }
    write_calls(out, deltas, index);
    for delta in deltas {
        if let Delta::Other { choice, delta, .. } = delta
            && *choice == index
        {
            let typed = |name: &str| matches!(name, "role" | "tool_calls" | "reasoning" | "reasoning_content");
            out.extras(delta, |name, _| !typed(name));
        }
    }
    out.close();
}

fn write_calls(out: &mut Out, deltas: &[Delta], wanted: u32) {
    let mut any = false;
    for delta in deltas {
        let Delta::ToolCall { choice, index, id, name, arguments, extras } = delta else { continue };
        if *choice != wanted {
            continue;
        }
        if !any {
            out.name("tool_calls");
            out.open_list();
            any = true;
        }
        out.open();
        out.number("index", index);
        if let Some(id) = id {
            out.text("id", id);
            if extras.get("type").is_none() {
                out.text("type", "function");
            }
        }
        let function = extras.get("function").and_then(|json| json.strip_suffix('}'));
        let custom = extras.get("type").is_some() && name.is_none() && arguments.is_empty();
        if !custom {
            out.name("function");
            match function {
                Some(open) => out.raw(open),
                None => out.open(),
            }
            name.iter().for_each(|name| out.text("name", name));
            out.text("arguments", arguments);
            out.close();
        }
        out.extras(extras, |name, _| !matches!(name, "index" | "id" | "function"));
        out.close();
    }
    if any {
        out.close_list();
    }
}
