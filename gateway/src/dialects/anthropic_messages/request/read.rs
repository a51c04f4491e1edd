//! A client's body to the canonical request, with errors that name the field.
//!
//! Apart from writing because it is strict where writing is lenient. It must not decide what is sensible: ranges are the
//! upstream's to judge, types are ours.

use gatewright_types::{ChatRequest, Content, Fault, Message, Role};
use serde_json::value::RawValue;

use super::{HEADER, INLINE, METADATA, OUTPUT, THINKING, keep, keep_unknown, messages, own, raw_json, tools};
use crate::dialects::anthropic_messages::NAME;
use crate::dialects::out::Out;
use crate::dialects::wire::{self, Wrong};
use crate::dialects::{Asked, body};

/// The longest `user` that every upstream takes.
const LONGEST_USER: usize = 64;

/// Reads a request.
///
/// # Errors
/// [`gatewright_types::FaultKind::InvalidJson`] with line and column; [`gatewright_types::FaultKind::InvalidRequest`] with the field's
/// path.
pub(in super::super) fn read(body: &[u8], asked: &Asked<'_>) -> Result<ChatRequest, Fault> {
    let fields = body::fields(body)?;
    let mut request = ChatRequest { spoken: NAME, ..ChatRequest::default() };
    let mut system = None;
    let (mut model, mut any) = (false, false);
    for (name, raw) in &fields.0 {
        let wrong = |wrong: Wrong| body::invalid(wrong.within(name));
        match &**name {
            "model" => (request.model, model) = (wire::string(raw).map_err(wrong)?, true),
            "messages" => {
                request.messages.extend(messages::messages(raw, asked.sealer).map_err(wrong)?);
                any = true;
            }
            "system" if !wire::is_null(raw) => {
                let content = messages::content(raw).map_err(wrong)?;
                system = Some(Message { content, ..Message::text(Role::System, "") });
            }
            _ => field(&mut request, name, raw).map_err(wrong)?,
        }
    }
    for (name, there) in [("model", model), ("messages", any)] {
        if !there {
            return Err(body::missing(name));
        }
    }
    if request.messages.is_empty() {
        return Err(body::no_messages());
    }
    request.messages.splice(..0, system);
    if own(&request.extras, THINKING).is_none_or(|json| json == "null") {
        // Who does not ask others for thought looks for words in the first block.
        request.thinking.get_or_insert_default().hidden = true;
    }
    request.include_usage = request.stream;
    for (name, value) in asked.headers {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            keep(&mut request.extras, &format!("{HEADER}{name}"), &value);
        }
    }
    Ok(request)
}

fn field(request: &mut ChatRequest, name: &str, raw: &RawValue) -> Result<(), Wrong> {
    let sampling = &mut request.sampling;
    match name {
        _ if wire::is_null(raw) => keep_unknown(&mut request.extras, name, raw)?,
        "max_tokens" => sampling.max_tokens = Some(wire::plain(raw, "a whole number")?),
        "temperature" => sampling.temperature = Some(wire::float(raw)?),
        "top_p" => sampling.top_p = Some(wire::float(raw)?),
        "stop_sequences" => {
            let texts = wire::items(raw)?.into_iter().enumerate();
            sampling.stop = texts.map(|(i, text)| wire::string(text).map_err(|wrong| wrong.item(i))).collect::<Result<_, _>>()?;
        }
        "stream" => request.stream = wire::plain(raw, "a boolean")?,
        // Everybody's word, where it is known at all.
        "top_k" => request.extras.push(name, raw.to_owned()),
        "tools" => request.tools = tools::tools(raw)?,
        "tool_choice" => tools::choice(request, raw)?,
        "thinking" => thinking(request, raw)?,
        "output_config" => output(request, raw)?,
        "output_format" => request.response_format = Some(tools::format(raw)),
        "metadata" => metadata(request, raw)?,
        _ => keep_unknown(&mut request.extras, name, raw)?,
    }
    Ok(())
}

/// `{type: enabled, budget_tokens}`, `{type: adaptive}`, `{type: disabled}`, `{type: between_tools}`, which is not at all but for words
/// between calls, and what else comes: its vendor knows.
fn thinking(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let (mut kind, mut budget) = (None, None);
    for (name, value) in wire::object(raw)?.0 {
        match &*name {
            "type" => kind = Some(wire::string(value).map_err(|wrong| wrong.within("type"))?),
            "budget_tokens" => budget = Some(wire::plain(value, "a whole number").map_err(|wrong| wrong.within("budget_tokens"))?),
            _ => {}
        }
    }
    let thinking = request.thinking.get_or_insert_default();
    match kind.as_deref() {
        Some("disabled") => (thinking.budget, thinking.hidden) = (Some(0), true),
        Some("between_tools") => thinking.budget = Some(0),
        Some(_) => thinking.budget = budget,
        None => return Err(Wrong::says("expected the type, such as 'adaptive', but it is missing").within("type")),
    }
    keep(&mut request.extras, THINKING, raw);
    Ok(())
}

/// The effort counts for every upstream; the format is everybody's `response_format`; the rest is kept as it is.
fn output(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let mut rest = Out::default();
    rest.open();
    for (name, value) in wire::object(raw)?.0 {
        match &*name {
            "format" if !wire::is_null(value) => {
                request.response_format = Some(tools::format(value));
                continue;
            }
            "effort" if !wire::is_null(value) => {
                let effort = wire::string(value).map_err(|wrong| wrong.within("effort"))?;
                request.thinking.get_or_insert_default().effort = Some(effort);
            }
            _ => {}
        }
        rest.field(&name, value.get());
    }
    rest.close();
    let rest = String::from_utf8(rest.done().into()).unwrap_or_default();
    if rest.len() > 2 {
        keep(&mut request.extras, OUTPUT, &raw_json(rest));
    }
    Ok(())
}

/// `user_id` is everybody's `user`, where it is not longer than others take.
fn metadata(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    for (name, value) in wire::object(raw)?.0 {
        if name == "user_id" && !wire::is_null(value) {
            let user = wire::text(value).map_err(|wrong| wrong.within("user_id"))?;
            if user.len() <= LONGEST_USER {
                request.extras.push("user", value.to_owned());
            }
        }
    }
    keep(&mut request.extras, METADATA, raw);
    Ok(())
}

/// Marks a system message that stood among the others.
pub(super) fn inline(message: &mut Message) {
    keep(&mut message.extras, INLINE, &raw_json("true".to_owned()));
}

/// Whether a content says nothing.
pub(super) fn is_silent(content: &Content) -> bool {
    match content {
        Content::Absent | Content::Null => true,
        Content::Text(_) => false,
        Content::Parts(parts) => parts.is_empty(),
    }
}
