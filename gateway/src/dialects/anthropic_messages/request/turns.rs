//! The conversation as this dialect wants it: instructions first, then turns of blocks.
//!
//! Apart because it alone decides which messages are one turn. It must not know the request's other fields.

use gatewright_types::{Content, Message, Part, Role, ToolCall};
use serde_json::value::RawValue;

use super::{INLINE, NOTES, own, signed};
use crate::dialects::anthropic_messages::NAME;
use crate::dialects::ids::plain;
use crate::dialects::media::{Media, Source, What};
use crate::dialects::{of_own, out::Out};

/// Whether a message belongs to the instructions before the conversation. Those that others put in its midst are moved there: not every
/// model of this dialect takes them elsewhere.
fn instructs(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer) && own(&message.extras, INLINE).is_none()
}

fn role(message: &Message) -> &'static str {
    match message.role {
        Role::System | Role::Developer => "system",
        Role::Assistant => "assistant",
        Role::User | Role::Tool | Role::Other(_) => "user",
    }
}

/// Writes the instructions, if there are any.
pub(super) fn system(out: &mut Out, messages: &[Message]) {
    let all: Vec<&Message> = messages.iter().filter(|message| instructs(message)).collect();
    match &*all {
        [] => {}
        [Message { content: Content::Text(text), .. }] => out.text("system", text),
        all => {
            out.name("system");
            out.open_list();
            all.iter().for_each(|message| content(out, &message.content));
            out.close_list();
        }
    }
}

/// Writes the turns.
pub(super) fn turns(out: &mut Out, messages: &[Message]) {
    let said: Vec<&Message> = messages.iter().filter(|message| !instructs(message)).collect();
    out.name("messages");
    out.open_list();
    for turn in said.chunk_by(|before, after| is_one_turn(before, after)) {
        write(out, turn);
    }
    out.close_list();
}

/// Whether two messages are one turn: they came as one, or results of tools are gathered, which must all stand in the next turn.
fn is_one_turn(before: &Message, after: &Message) -> bool {
    let joins = match after.role {
        Role::Tool => before.role == Role::Tool,
        Role::User => before.role == Role::Tool,
        _ => false,
    };
    role(before) == role(after) && (after.continues || joins)
}

fn write(out: &mut Out, turn: &[&Message]) {
    let Some(first) = turn.first() else { return };
    out.open();
    out.text("role", role(first));
    match turn {
        [Message { content: Content::Text(text), tool_calls, refusal: None, role, .. }]
            if tool_calls.is_empty() && *role != Role::Tool && !signed::is_signed(first) =>
        {
            out.text("content", text);
        }
        _ => {
            out.name("content");
            out.open_list();
            turn.iter().for_each(|message| blocks(out, message));
            out.close_list();
        }
    }
    if first.role != Role::Tool {
        out.own(NAME, &first.extras, |field| !NOTES.contains(&field));
    }
    out.close();
}

fn blocks(out: &mut Out, message: &Message) {
    match message.role {
        Role::Tool => result(out, message),
        Role::Assistant => {
            signed::write(out, message);
            content(out, &message.content);
            message.refusal.iter().for_each(|text| block(out, text));
            message.tool_calls.iter().for_each(|made| call(out, made));
        }
        _ => content(out, &message.content),
    }
}

/// A block of text. An empty one is refused, and says nothing.
fn block(out: &mut Out, text: &str) {
    if !text.is_empty() {
        out.open();
        out.text("type", "text");
        out.text("text", text);
        out.close();
    }
}

fn content(out: &mut Out, content: &Content) {
    match content {
        Content::Absent | Content::Null => {}
        Content::Text(text) => block(out, text),
        Content::Parts(parts) => parts.iter().for_each(|part| write_part(out, part)),
    }
}

fn write_part(out: &mut Out, part: &Part) {
    match part {
        Part::Text { text, .. } if text.is_empty() => {}
        Part::Text { text, extras } => {
            out.open();
            out.text("type", "text");
            out.text("text", text);
            out.own(NAME, extras, |_| true);
            out.close();
        }
        Part::Other { kind, raw } if is_native(kind) => out.raw(raw.get()),
        Part::Other { kind, raw } => {
            if let Some(media) = Media::read(kind, raw) {
                write_media(out, &media);
            }
        }
    }
}

fn is_native(kind: &str) -> bool {
    matches!(kind, "image" | "document") || of_own(NAME, kind).is_some()
}

/// The kind of a part that this dialect has no words for, if the conversation has one.
pub(super) fn unsayable(messages: &[Message]) -> Option<(usize, &str)> {
    let sayable = |kind: &str, raw: &RawValue| is_native(kind) || Media::read(kind, raw).is_some();
    messages.iter().enumerate().find_map(|(at, message)| {
        let Content::Parts(parts) = &message.content else { return None };
        parts.iter().find_map(|part| match part {
            Part::Other { kind, raw } if !sayable(kind, raw) => Some((at, kind.as_str())),
            _ => None,
        })
    })
}

fn write_media(out: &mut Out, media: &Media<'_>) {
    out.open();
    out.text("type", if media.what == What::Image { "image" } else { "document" });
    out.name("source");
    out.open();
    match &media.source {
        Source::Data { media_type, data } => {
            out.text("type", "base64");
            out.text("media_type", media_type);
            out.text("data", data);
        }
        Source::Url(url) => {
            out.text("type", "url");
            out.text("url", url);
        }
    }
    out.close();
    if let Some(name) = media.name.as_deref().filter(|_| media.what == What::File) {
        out.text("title", name);
    }
    out.close();
}

fn result(out: &mut Out, message: &Message) {
    out.open();
    out.text("type", "tool_result");
    out.text("tool_use_id", &plain(message.tool_call_id.as_deref().unwrap_or_default()));
    match &message.content {
        Content::Absent | Content::Null => {}
        Content::Text(text) => out.text("content", text),
        Content::Parts(parts) => {
            out.name("content");
            out.open_list();
            parts.iter().for_each(|part| write_part(out, part));
            out.close_list();
        }
    }
    out.own(NAME, &message.extras, |_| true);
    out.close();
}

/// A call. What is no JSON object cannot be said: it is told as the one field of one.
fn call(out: &mut Out, call: &ToolCall) {
    out.open();
    out.text("type", "tool_use");
    out.text("id", &plain(&call.id));
    out.text("name", &call.name);
    out.name("input");
    input(out, &call.arguments);
    out.own(NAME, &call.extras, |_| true);
    out.close();
}

/// A call's arguments as the object that they should be.
pub(in super::super) fn input(out: &mut Out, arguments: &str) {
    let whole = serde_json::from_str::<&RawValue>(arguments).is_ok_and(|raw| raw.get().starts_with('{'));
    match arguments.trim() {
        "" => out.raw("{}"),
        json if whole => out.raw(json),
        other => {
            out.open();
            out.text("arguments", other);
            out.close();
        }
    }
}
