//! Messages as this dialect's items: the way back from `request`.
//!
//! Apart because a conversation is kept as its policies left it, and so is written from what they saw. It must not know answers. Items
//! have no ids here but those that they were kept under before: whoever lists them numbers the others.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use gatewright_types::{Content, Extras, Message, Part, Role, ToolCall};
use serde_json::value::RawValue;

use super::request::text_of_tool;
use super::sealed::{self, Sealed, Shown};
use super::{AFTER, ANNOTATIONS, BEFORE, INSTRUCTIONS, ITEM_ID, NAME, OPEN, THOUGHT_ID, ids, known_of, own, phase};
use crate::dialects::media::{Media, Source, What};
use crate::dialects::out::Out;
use crate::dialects::{Renamed, of_own};

/// Whom items are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// They are kept here: all of them.
    Keeping,
    /// An upstream is asked: it is shown no thought but what its own kind has sealed. OpenAI takes no other
    /// (<https://github.com/musistudio/claude-code-router/issues/1783>: "Expected an array with maximum length 0").
    Asking,
    /// One is asked that seals nothing: it is shown thought as it was.
    Showing,
}

/// Tools by the model's names.
type Known<'a> = HashMap<&'a str, &'a Renamed>;

/// Writes the items of a conversation, but for the request's own instructions: those hold for one answer.
pub(super) fn list(out: &mut Out, messages: &[Message], (tools, whom): (&[Renamed], For)) {
    let mut texts: HashSet<&str> = HashSet::new();
    let tools: Known<'_> = tools.iter().rev().map(|tool| (&*tool.called, tool)).collect();
    out.open_list();
    for message in messages.iter().filter(|message| own(&message.extras, INSTRUCTIONS).is_none()) {
        beside(out, message, (BEFORE, whom));
        match message.role {
            Role::Assistant => answer(out, message, (&tools, whom)),
            Role::Tool => result(out, message, (&texts, whom)),
            _ => words(out, message, (role(&message.role), whom)),
        }
        let custom = |call: &&ToolCall| known(call, &tools).is_some_and(|tool| tool.takes_text);
        texts.extend(message.tool_calls.iter().filter(custom).map(|call| call.id.as_str()));
        beside(out, message, (AFTER, whom));
    }
    out.close_list();
}

fn role(role: &Role) -> &str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::Assistant => "assistant",
        _ => "user",
    }
}

/// Items of kinds that we do not know: whoever is asked knows its own by the ids that it gave them.
fn beside(out: &mut Out, message: &Message, (place, whom): (&str, For)) {
    for (_, raw) in message.extras.iter().filter(|(name, _)| of_own(NAME, name) == Some(place)) {
        match ids::taken_off(raw).filter(|_| whom == For::Asking) {
            Some(theirs) => out.raw(theirs.get()),
            None => out.raw(raw.get()),
        }
    }
}

/// The id that an item was kept under: nobody else knows it.
fn id(out: &mut Out, extras: &Extras, (field, whom): (&str, For)) {
    own(extras, field).filter(|_| whom == For::Keeping).into_iter().for_each(|id| out.field("id", id));
}

/// How the client knows the tool that is called, if otherwise: as it declared it, or as the call says.
fn known<'a>(call: &ToolCall, tools: &Known<'a>) -> Option<Cow<'a, Renamed>> {
    let declared = tools.get(&*call.name).copied().map(Cow::Borrowed);
    known_of(&call.extras, &call.name).map(Cow::Owned).or(declared)
}

fn words(out: &mut Out, message: &Message, (role, whom): (&str, For)) {
    out.open();
    id(out, &message.extras, (ITEM_ID, whom));
    out.text("type", "message");
    out.text("role", role);
    out.text("status", "completed");
    phase(&message.extras).into_iter().for_each(|phase| out.field("phase", phase));
    out.name("content");
    let kind = if message.role == Role::Assistant { "output_text" } else { "input_text" };
    parts(out, &message.content, kind);
    if let (Some(refusal), true) = (&message.refusal, message.role == Role::Assistant) {
        // The list is open for one more part.
        out.open();
        out.text("type", "refusal");
        out.text("refusal", refusal);
        out.close();
    }
    out.close_list();
    out.close();
}

/// Writes the beginning of a list with all parts of a content.
fn parts(out: &mut Out, content: &Content, kind: &str) {
    out.open_list();
    match content {
        Content::Absent | Content::Null => {}
        Content::Text(text) => write_text(out, (text, &Extras::new()), kind),
        Content::Parts(parts) => parts.iter().for_each(|part| match part {
            Part::Text { text, extras } => write_text(out, (text, extras), kind),
            Part::Other { kind, raw } => media(out, kind, raw),
        }),
    }
}

fn write_text(out: &mut Out, (text, extras): (&str, &Extras), kind: &str) {
    out.open();
    out.text("type", kind);
    out.text("text", text);
    if kind == "output_text" {
        out.field(ANNOTATIONS, own(extras, ANNOTATIONS).unwrap_or("[]"));
        out.field("logprobs", "[]");
    }
    out.close();
}

fn media(out: &mut Out, kind: &str, raw: &RawValue) {
    let Some(media) = Media::read(kind, raw).filter(|_| of_own(NAME, kind).is_none()) else {
        return out.raw(raw.get());
    };
    out.open();
    match media.what {
        What::Image => {
            out.text("type", "input_image");
            out.text("image_url", &media.url());
            out.text("detail", &detail(raw));
        }
        What::File => {
            out.text("type", "input_file");
            match &media.source {
                Source::Url(url) => out.text("file_url", url),
                Source::Data { .. } => out.text("file_data", &media.url()),
            }
            media.name.iter().for_each(|name| out.text("filename", name));
        }
    }
    out.close();
}

/// How closely an image shall be looked at.
fn detail(raw: &RawValue) -> String {
    let found: serde_json::Value = serde_json::from_str(raw.get()).unwrap_or_default();
    found["image_url"]["detail"].as_str().unwrap_or("auto").to_owned()
}

/// A thought, or a piece of one.
fn thought(out: &mut Out, (text, named): (&str, &Extras), (sealed, whom): (Option<&Sealed>, For)) {
    let shown = sealed.map_or(Shown::Text, |sealed| sealed.shown);
    let part = |out: &mut Out, kind: &str| {
        if !text.is_empty() {
            out.open();
            out.text("type", kind);
            out.text("text", text);
            out.close();
        }
    };
    out.open();
    id(out, named, (THOUGHT_ID, whom));
    out.text("type", "reasoning");
    if whom == For::Showing {
        // A name of its own is wanted there, whichever.
        out.text("id", &format!("rs_{}", blake3::hash(text.as_bytes()).to_hex()));
    }
    out.name("summary");
    out.open_list();
    if shown == Shown::Summary && whom != For::Showing {
        part(out, "summary_text");
    }
    out.close_list();
    // Who sealed it has it.
    if whom == For::Showing || (shown == Shown::Text && whom == For::Keeping) {
        out.name("content");
        out.open_list();
        part(out, "reasoning_text");
        out.close_list();
    }
    match (sealed, whom) {
        (Some(sealed), For::Asking) => out.value("encrypted_content", &sealed.word),
        (Some(sealed), For::Keeping) => out.value("encrypted_content", &sealed.told()),
        _ => {}
    }
    out.close();
}

fn answer(out: &mut Out, message: &Message, (tools, whom): (&Known<'_>, For)) {
    let whom = if whom == For::Asking && own(&message.extras, OPEN).is_some() { For::Showing } else { whom };
    let (nameless, mut named) = (Extras::new(), &message.extras);
    for (text, sealed) in sealed::pieces(message.reasoning.as_deref().unwrap_or_default(), &message.extras) {
        let goes = match whom {
            For::Keeping => true,
            For::Asking => sealed.is_some(),
            For::Showing => !text.is_empty(),
        };
        if goes {
            thought(out, (text, std::mem::replace(&mut named, &nameless)), (sealed.as_ref(), whom));
        }
    }
    let silent = match &message.content {
        Content::Absent | Content::Null => true,
        Content::Text(_) => false,
        Content::Parts(parts) => parts.is_empty(),
    };
    if !silent || message.refusal.is_some() {
        words(out, message, ("assistant", whom));
    }
    message.tool_calls.iter().for_each(|made| call(out, made, (tools, whom)));
}

fn call(out: &mut Out, call: &ToolCall, (tools, whom): (&Known<'_>, For)) {
    let known = known(call, tools);
    let known = known.as_deref();
    let takes_text = known.is_some_and(|tool| tool.takes_text);
    out.open();
    id(out, &call.extras, (ITEM_ID, whom));
    out.text("type", if takes_text { "custom_tool_call" } else { "function_call" });
    out.text("call_id", &call.id);
    name(out, &call.name, known);
    if takes_text {
        out.text("input", &text_of_tool(&call.arguments));
    } else {
        out.text("arguments", call.json());
        out.text("status", "completed");
    }
    out.close();
}

/// The client's name for a tool.
pub(super) fn name(out: &mut Out, called: &str, known: Option<&Renamed>) {
    out.text("name", known.map_or(called, |tool| &tool.name));
    if let Some(space) = known.and_then(|tool| tool.namespace.as_deref()) {
        out.text("namespace", space);
    }
}

fn result(out: &mut Out, message: &Message, (texts, whom): (&HashSet<&str>, For)) {
    let call = message.tool_call_id.as_deref().unwrap_or_default();
    let takes_text = texts.contains(call);
    out.open();
    id(out, &message.extras, (ITEM_ID, whom));
    out.text("type", if takes_text { "custom_tool_call_output" } else { "function_call_output" });
    out.text("call_id", call);
    match &message.content {
        Content::Parts(_) => {
            out.name("output");
            parts(out, &message.content, "input_text");
            out.close_list();
        }
        content => out.text("output", &content.joined()),
    }
    if !takes_text {
        out.text("status", "completed");
    }
    out.close();
}
