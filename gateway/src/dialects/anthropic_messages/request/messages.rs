//! The conversation: each message of this dialect to the messages that it is made of.
//!
//! Apart from the request's own fields because of its rules of order. Errors carry the path inside the list. It must not know those
//! fields.

use gatewright_types::{Content, Extras, Message, Part, Role, ToolCall};
use serde_json::value::RawValue;

use super::read::{inline, is_silent};
use super::signed::{Signed, Thought};
use super::{keep, keep_unknown};
use crate::dialects::anthropic_messages::NAME;
use crate::dialects::wire::{self, Wrong};
use crate::dialects::{Sealer, own};

/// All messages.
pub(super) fn messages(raw: &RawValue, sealer: Option<&Sealer>) -> Result<Vec<Message>, Wrong> {
    let mut all = Vec::new();
    for (index, item) in wire::items(raw)?.into_iter().enumerate() {
        message(&mut all, item, sealer).map_err(|wrong| wrong.item(index))?;
    }
    Ok(all)
}

fn message(all: &mut Vec<Message>, raw: &RawValue, sealer: Option<&Sealer>) -> Result<(), Wrong> {
    let (mut role, mut said, mut extras) = (None, None, Extras::new());
    for (name, value) in wire::object(raw)?.0 {
        match &*name {
            "role" => role = Some(wire::string(value).map_err(|wrong| wrong.within("role"))?),
            "content" => said = Some(value),
            _ => keep_unknown(&mut extras, &name, value).map_err(|wrong| wrong.within(&name))?,
        }
    }
    let said = said.ok_or_else(|| Wrong::says("expected a string or an array of blocks, but it is missing").within("content"))?;
    let from = all.len();
    let read = match role.as_deref() {
        Some("user") => user(all, said),
        Some("assistant") => assistant(all, said, sealer),
        Some("system") => content(said).map(|content| {
            let mut message = Message { content, ..Message::text(Role::System, "") };
            inline(&mut message);
            all.push(message);
        }),
        _ => return Err(Wrong::says("expected one of 'user', 'assistant' or 'system'").within("role")),
    };
    read.map_err(|wrong| wrong.within("content"))?;
    for message in all.iter_mut().skip(from + 1) {
        message.continues = true;
    }
    if let Some(first) = all.get_mut(from) {
        first.extras.append(extras);
    }
    Ok(())
}

/// A string, or blocks of which each is a part.
pub(super) fn content(raw: &RawValue) -> Result<Content, Wrong> {
    if wire::is_string(raw) {
        return wire::string(raw).map(Content::Text);
    }
    let blocks = blocks(raw)?;
    let parts = blocks.into_iter().enumerate().map(|(i, block)| part(&block).map_err(|wrong| wrong.item(i)));
    parts.collect::<Result<_, _>>().map(Content::Parts)
}

/// One block: its kind, its fields, and all of it.
struct Block<'a> {
    kind: String,
    fields: wire::Fields<'a>,
    raw: &'a RawValue,
}

fn blocks(raw: &RawValue) -> Result<Vec<Block<'_>>, Wrong> {
    let items = wire::items(raw).map_err(|_| Wrong::kind("a string or an array of blocks", raw))?;
    let block = |(index, raw)| {
        let read = |raw| {
            let fields = wire::object(raw)?;
            let kind = fields.0.iter().find(|(name, _)| name == "type").map(|(_, kind)| wire::string(kind));
            let missing = || Wrong::says("expected the kind of the block, such as 'text', but it is missing");
            let kind = kind.unwrap_or_else(|| Err(missing())).map_err(|wrong| wrong.within("type"))?;
            Ok(Block { kind, fields, raw })
        };
        read(raw).map_err(|wrong: Wrong| wrong.item(index))
    };
    items.into_iter().enumerate().map(block).collect()
}

/// A block that is a part of a message's content.
fn part(block: &Block<'_>) -> Result<Part, Wrong> {
    match &*block.kind {
        "text" => {}
        // Others have them too.
        kind @ ("image" | "document") => return Ok(Part::Other { kind: kind.to_owned(), raw: block.raw.to_owned() }),
        kind => return Ok(Part::Other { kind: own(NAME, kind), raw: block.raw.to_owned() }),
    }
    let (mut text, mut extras) = (None, Extras::new());
    for (name, value) in &block.fields.0 {
        match &**name {
            "type" => {}
            "text" => text = Some(wire::string(value).map_err(|wrong| wrong.within("text"))?),
            _ => keep(&mut extras, name, value),
        }
    }
    let text = text.ok_or_else(|| Wrong::says("expected a string, but it is missing").within("text"))?;
    Ok(Part::Text { text, extras })
}

/// What a person says, and what tools answered: in the order in which it came.
fn user(all: &mut Vec<Message>, raw: &RawValue) -> Result<(), Wrong> {
    if wire::is_string(raw) {
        all.push(Message::text(Role::User, wire::string(raw)?));
        return Ok(());
    }
    let from = all.len();
    let mut parts = Vec::new();
    let say = |all: &mut Vec<Message>, parts: &mut Vec<Part>| {
        let content = Content::Parts(std::mem::take(parts));
        all.push(Message { content, ..Message::text(Role::User, "") });
    };
    for (index, block) in blocks(raw)?.iter().enumerate() {
        if block.kind == "tool_result" {
            if !parts.is_empty() {
                say(all, &mut parts);
            }
            all.push(result(block).map_err(|wrong| wrong.item(index))?);
        } else {
            parts.push(part(block).map_err(|wrong| wrong.item(index))?);
        }
    }
    if !parts.is_empty() || all.len() == from {
        say(all, &mut parts);
    }
    Ok(())
}

fn result(block: &Block<'_>) -> Result<Message, Wrong> {
    let mut message = Message { content: Content::Absent, tool_call_id: Some(String::new()), ..Message::text(Role::Tool, "") };
    for (name, value) in &block.fields.0 {
        let wrong = |wrong: Wrong| wrong.within(name);
        match &**name {
            "type" => {}
            "tool_use_id" => message.tool_call_id = Some(wire::string(value).map_err(wrong)?),
            "content" if !wire::is_null(value) => message.content = content(value).map_err(wrong)?,
            _ => keep_unknown(&mut message.extras, name, value).map_err(wrong)?,
        }
    }
    Ok(message)
}

/// Where a block may stand in one message of an answer: thought, then words, then calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Thought,
    Word,
    Call,
}

/// What a model answered.
fn assistant(all: &mut Vec<Message>, raw: &RawValue, sealer: Option<&Sealer>) -> Result<(), Wrong> {
    if wire::is_string(raw) {
        all.push(Message::text(Role::Assistant, wire::string(raw)?));
        return Ok(());
    }
    let silent = || Message { content: Content::Null, ..Message::text(Role::Assistant, "") };
    let (mut message, mut thoughts, mut at) = (silent(), Signed::default(), Rank::Thought);
    for (index, block) in blocks(raw)?.iter().enumerate() {
        let rank = match &*block.kind {
            "thinking" | "redacted_thinking" => Rank::Thought,
            "tool_use" => Rank::Call,
            _ => Rank::Word,
        };
        if rank < at {
            std::mem::take(&mut thoughts).put(&mut message);
            all.push(std::mem::replace(&mut message, silent()));
        }
        at = rank;
        let read = match rank {
            Rank::Thought => thought(block).map(|thought| thoughts.add(thought, sealer)),
            Rank::Call => call(block).map(|call| message.tool_calls.push(call)),
            Rank::Word => part(block).map(|part| match &mut message.content {
                Content::Parts(parts) => parts.push(part),
                content => *content = Content::Parts(vec![part]),
            }),
        };
        read.map_err(|wrong| wrong.item(index))?;
    }
    thoughts.put(&mut message);
    if is_silent(&message.content) && message.tool_calls.is_empty() && message.reasoning.is_none() {
        message.content = Content::Parts(Vec::new());
    }
    all.push(message);
    Ok(())
}

fn thought<'a>(block: &Block<'a>) -> Result<Thought<'a>, Wrong> {
    let mut thought = Thought::default();
    for (name, value) in &block.fields.0 {
        let wrong = |wrong: Wrong| wrong.within(name);
        match &**name {
            "thinking" => thought.text = wire::text(value).map_err(wrong)?,
            "signature" => thought.signature = Some(*value).filter(|value| value.get().len() > 2 && wire::is_string(value)),
            "data" => thought.redacted = Some(*value),
            _ => {}
        }
    }
    Ok(thought)
}

fn call(block: &Block<'_>) -> Result<ToolCall, Wrong> {
    let mut call = ToolCall { id: String::new(), name: String::new(), arguments: "{}".to_owned(), extras: Extras::new() };
    for (name, value) in &block.fields.0 {
        let wrong = |wrong: Wrong| wrong.within(name);
        match &**name {
            "type" => {}
            "id" => call.id = wire::string(value).map_err(wrong)?,
            "name" => call.name = wire::string(value).map_err(wrong)?,
            "input" => call.arguments = value.get().to_owned(),
            _ => keep(&mut call.extras, name, value),
        }
    }
    Ok(call)
}
