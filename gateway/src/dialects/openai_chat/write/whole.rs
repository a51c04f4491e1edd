//! A whole answer, gathered from deltas, in OpenAI's shape.
//!
//! Apart from events only by shape. Where the upstream's own body is untouched, nobody comes here: it is passed on as it is. It must
//! not know who answered, or in how many pieces.

use std::collections::BTreeMap;

use bytes::Bytes;
use gatewright_types::{Choice, Completion, Extras, RawJson};
use serde_json::value::RawValue;

use super::super::request::write_call;
use super::{finish_word, write_usage};
use crate::dialects::is_owned;
use crate::dialects::out::Out;

/// The body of a whole answer. For a single chunk whose [`gatewright_types::Raw::Body`] is of this dialect, send that instead.
pub fn whole(completion: &Completion) -> Bytes {
    let mut out = Out::with_room(1024);
    out.open();
    out.text("id", &completion.id);
    out.text("object", "chat.completion");
    out.number("created", completion.created);
    out.text("model", &completion.model);
    out.name("choices");
    out.open_list();
    for (index, choice) in completion.choices.iter().enumerate() {
        write_choice(&mut out, index, choice);
    }
    out.close_list();
    if let Some(usage) = &completion.usage {
        out.name("usage");
        write_usage(&mut out, usage);
    }
    last_of_each(&mut out, &completion.extras, &["id", "object", "created", "model", "choices", "usage"]);
    out.close();
    out.done()
}

fn write_choice(out: &mut Out, index: usize, choice: &Choice) {
    out.open();
    out.number("index", index);
    out.name("message");
    out.open();
    out.text("role", "assistant");
    said(out, "content", (choice.text.as_deref(), &choice.message_extras));
    if let Some(text) = &choice.reasoning {
        out.text("reasoning_content", text);
    }
    said(out, "refusal", (choice.refusal.as_deref(), &choice.message_extras));
    if !choice.tool_calls.is_empty() {
        out.name("tool_calls");
        out.open_list();
        choice.tool_calls.iter().for_each(|call| write_call(out, call, call.json()));
        out.close_list();
    }
    let typed = ["role", "content", "reasoning", "reasoning_content", "refusal", "tool_calls"];
    last_of_each(out, &choice.message_extras, &typed);
    out.close();
    out.name("logprobs");
    logprobs(out, &choice.logprobs.iter().collect::<Vec<_>>());
    nullable(out, "finish_reason", choice.finish.as_ref().map(finish_word));
    last_of_each(out, &choice.extras, &["index", "message", "logprobs", "finish_reason"]);
    out.close();
}

/// A text of the message; where it came as something else than a text (content in parts), that.
fn said(out: &mut Out, name: &str, (text, extras): (Option<&str>, &Extras)) {
    match extras.get(name).filter(|_| text.is_none()) {
        Some(kept) => {
            out.name(name);
            out.raw(kept);
        }
        None => nullable(out, name, text),
    }
}

pub(in crate::dialects) fn nullable(out: &mut Out, name: &str, text: Option<&str>) {
    match text {
        Some(text) => out.text(name, text),
        None => out.value(name, RawValue::NULL),
    }
}

/// Extras that were gathered from many chunks: of each name the last one, and none that is `typed`.
pub(in crate::dialects) fn last_of_each(out: &mut Out, extras: &Extras, typed: &[&str]) {
    let last: BTreeMap<&str, &RawValue> = extras.iter().filter(|(name, _)| !typed.contains(name) && !is_owned(name)).collect();
    for (name, value) in last {
        out.string(name);
        out.bare(b":");
        out.raw(value.get());
    }
}

/// One chunk's `logprobs` object, or those of many as one: their lists joined.
pub(in crate::dialects) fn logprobs(out: &mut Out, values: &[&RawJson]) {
    match values {
        [] => out.raw("null"),
        [only] => out.raw(only.get()),
        [.., last] => match join(values) {
            Some(lists) => write_lists(out, &lists),
            None => out.raw(last.get()),
        },
    }
}

type Lists<'a> = BTreeMap<&'a str, Option<Vec<&'a RawValue>>>;

fn join<'a>(values: &[&'a RawJson]) -> Option<Lists<'a>> {
    let mut all = Lists::new();
    for value in values {
        let lists: Lists<'a> = serde_json::from_str(value.get()).ok()?;
        for (name, list) in lists {
            match (all.entry(name).or_default(), list) {
                (Some(whole), Some(list)) => whole.extend(list),
                (whole @ None, list) => *whole = list,
                (Some(_), None) => {}
            }
        }
    }
    Some(all)
}

fn write_lists(out: &mut Out, lists: &Lists<'_>) {
    out.open();
    for (name, list) in lists {
        out.string(name);
        out.bare(b":");
        match list {
            None => out.raw("null"),
            Some(list) => {
                out.open_list();
                list.iter().for_each(|value| out.raw(value.get()));
                out.close_list();
            }
        }
    }
    out.close();
}
