//! The lists of a request: messages with their parts and calls, and the tools on offer.
//!
//! Apart from the request's own fields only for length. Errors carry the path inside the list. It must not know those
//! fields.

use gatewright_types::{Content, Extras, Message, Part, Role, Tool, ToolCall, ToolDefinition};
use serde_json::value::RawValue;

use super::{note, raw_json};
use crate::dialects::out::Out;
use crate::dialects::wire::{self, Wrong};

/// A list, each item through `read`.
fn each<'a, T>(raw: &'a RawValue, read: impl Fn(&'a RawValue) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    let items = wire::items(raw)?;
    items.into_iter().enumerate().map(|(i, item)| read(item).map_err(|wrong| wrong.item(i))).collect()
}

/// The conversation.
pub(super) fn messages(raw: &RawValue) -> Result<Vec<Message>, Wrong> {
    each(raw, message)
}

/// The tools on offer.
pub(super) fn tools(raw: &RawValue) -> Result<Vec<Tool>, Wrong> {
    each(raw, tool)
}

fn message(raw: &RawValue) -> Result<Message, Wrong> {
    let fields = wire::object(raw)?;
    let mut message = Message { content: Content::Absent, ..Message::text(Role::User, "") };
    let (mut role, mut second_thought) = (false, None);
    for (name, raw) in &fields.0 {
        role |= name == "role";
        if name == "reasoning" && !wire::is_null(raw) {
            second_thought = Some(wire::string(raw).map_err(|wrong| wrong.within(name))?);
            continue;
        }
        message_field(&mut message, name, raw).map_err(|wrong| wrong.within(name))?;
    }
    if !role {
        return Err(
            Wrong::says("expected one of 'system', 'developer', 'user', 'assistant' or 'tool', but it is missing").within("role")
        );
    }
    if let Some(text) = second_thought {
        reasoning(&mut message, text);
    }
    Ok(message)
}

fn message_field(message: &mut Message, name: &str, raw: &RawValue) -> Result<(), Wrong> {
    match name {
        "role" => message.role = role(&wire::text(raw)?),
        "content" => message.content = content(raw)?,
        _ if wire::is_null(raw) => message.extras.push(name, raw.to_owned()),
        "reasoning_content" => message.reasoning = Some(wire::string(raw)?),
        "refusal" => message.refusal = Some(wire::string(raw)?),
        "tool_call_id" => message.tool_call_id = Some(wire::string(raw)?),
        "name" => message.name = Some(wire::string(raw)?),
        "tool_calls" => {
            message.tool_calls = each(raw, tool_call)?;
            if message.tool_calls.is_empty() {
                message.extras.push(name, raw.to_owned());
            }
        }
        _ => message.extras.push(name, raw.to_owned()),
    }
    Ok(())
}

/// `reasoning` came: alone, it is the thought; beside an equal `reasoning_content`, both spellings are noted; beside another text,
/// both are kept as one thought, so that a policy sees them.
fn reasoning(message: &mut Message, text: String) {
    note(&mut message.extras, "reasoning");
    match &mut message.reasoning {
        None => message.reasoning = Some(text),
        Some(first) => {
            note(&mut message.extras, "reasoning_content");
            if *first != text {
                first.push_str(&text);
            }
        }
    }
}

fn role(word: &str) -> Role {
    match word {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => Role::Other(other.to_owned()),
    }
}

fn content(raw: &RawValue) -> Result<Content, Wrong> {
    match raw.get().as_bytes().first() {
        Some(b'"') => wire::string(raw).map(Content::Text),
        Some(b'n') => Ok(Content::Null),
        Some(b'[') => each(raw, part).map(Content::Parts),
        _ => Err(Wrong::kind("a string, an array of content parts or null", raw)),
    }
}

fn part(raw: &RawValue) -> Result<Part, Wrong> {
    let fields = wire::object(raw)?;
    let Some((_, kind)) = fields.0.iter().rev().find(|(name, _)| name == "type") else {
        return Err(Wrong::says("expected the kind of the part, such as 'text', but it is missing").within("type"));
    };
    let kind = wire::string(kind).map_err(|wrong| wrong.within("type"))?;
    if kind != "text" {
        return Ok(Part::Other { kind, raw: raw.to_owned() });
    }
    let (mut text, mut extras) = (None, Extras::new());
    for (name, value) in fields.0 {
        match &*name {
            "type" => {}
            "text" => text = Some(wire::string(value).map_err(|wrong| wrong.within("text"))?),
            _ => extras.push(name, value.to_owned()),
        }
    }
    let text = text.ok_or_else(|| Wrong::says("expected a string, but it is missing").within("text"))?;
    Ok(Part::Text { text, extras })
}

/// A call: what its `function` object has besides name and arguments is kept as an object under the extra `function`.
fn tool_call(raw: &RawValue) -> Result<ToolCall, Wrong> {
    let mut call = ToolCall { id: String::new(), name: String::new(), arguments: String::new(), extras: Extras::new() };
    let (mut typed, mut identified) = (false, false);
    for (name, value) in wire::object(raw)?.0 {
        let wrong = |wrong: Wrong| wrong.within(&name);
        match &*name {
            "id" if !wire::is_null(value) => (call.id, identified) = (wire::string(value).map_err(wrong)?, true),
            "type" => {
                typed = true;
                if wire::text(value).map_err(wrong)? != "function" {
                    call.extras.push(name, value.to_owned());
                }
            }
            "function" => function(&mut call, value).map_err(wrong)?,
            _ => call.extras.push(name, value.to_owned()),
        }
    }
    if !typed {
        note(&mut call.extras, "type");
    }
    if !identified && call.extras.get("id").is_none() {
        note(&mut call.extras, "id");
    }
    Ok(call)
}

fn function(call: &mut ToolCall, raw: &RawValue) -> Result<(), Wrong> {
    let mut rest = Out::default();
    rest.open();
    let mut any = false;
    for (name, value) in wire::object(raw)?.0 {
        let wrong = |wrong: Wrong| wrong.within(&name);
        match &*name {
            "name" => call.name = wire::string(value).map_err(wrong)?,
            "arguments" => call.arguments = wire::string(value).map_err(wrong)?,
            _ => {
                any = true;
                rest.string(&name);
                rest.bare(b":");
                rest.raw(value.get());
            }
        }
    }
    rest.close();
    if any {
        call.extras.push("function", raw_json(String::from_utf8(rest.done().into()).unwrap_or_default()));
    }
    Ok(())
}

fn tool(raw: &RawValue) -> Result<Tool, Wrong> {
    let fields = wire::object(raw)?;
    let kind = fields.0.iter().rev().find(|(name, _)| name == "type");
    let kind = kind.map(|(_, kind)| wire::text(kind)).transpose().map_err(|wrong| wrong.within("type"))?;
    if kind.as_deref().is_some_and(|kind| kind != "function") {
        return Ok(Tool::Other(raw.to_owned()));
    }
    let Some((_, function)) = fields.0.iter().rev().find(|(name, _)| name == "function") else {
        return Err(Wrong::says("expected an object, but it is missing").within("function"));
    };
    let mut tool = definition(function).map_err(|wrong| wrong.within("function"))?;
    for (name, value) in &fields.0 {
        if name != "type" && name != "function" {
            tool.extras.push(&**name, (*value).to_owned());
        }
    }
    if kind.is_none() {
        note(&mut tool.extras, "type");
    }
    Ok(Tool::Function(tool))
}

fn definition(raw: &RawValue) -> Result<ToolDefinition, Wrong> {
    let (mut name, mut description, mut parameters) = (None, None, None);
    let mut rest = Extras::new();
    for (field, value) in wire::object(raw)?.0 {
        let wrong = |wrong: Wrong| wrong.within(&field);
        match &*field {
            "name" => name = Some(wire::string(value).map_err(wrong)?),
            "description" if !wire::is_null(value) => description = Some(wire::string(value).map_err(wrong)?),
            "parameters" if !wire::is_null(value) => parameters = Some(value.to_owned()),
            _ => rest.push(field, value.to_owned()),
        }
    }
    let name = name.ok_or_else(|| Wrong::says("expected a string, but it is missing").within("name"))?;
    Ok(ToolDefinition { name, description, parameters, function_extras: rest, extras: Extras::new() })
}
