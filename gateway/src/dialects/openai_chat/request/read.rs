//! A client's body to the canonical request, with errors that name the field.
//!
//! Apart from writing because it is strict where writing is lenient. It must not decide what is sensible: ranges are the
//! upstream's to judge, types are ours.

use gatewright_types::{ChatRequest, Fault};
use serde_json::value::RawValue;

use super::super::NAME;
use super::{messages, note, noted, raw_json};
use crate::dialects::body;
use crate::dialects::out::Out;
use crate::dialects::wire::{self, Wrong};

/// Reads a request.
///
/// # Errors
/// [`gatewright_types::FaultKind::InvalidJson`] with line and column; [`gatewright_types::FaultKind::InvalidRequest`] with the field's
/// path in `param`, and what was expected and found in the message.
pub fn read(body: &[u8]) -> Result<ChatRequest, Fault> {
    let fields = body::fields(body)?;
    let mut request = ChatRequest { spoken: NAME, ..ChatRequest::default() };
    let (mut model, mut messages) = (false, false);
    for (name, raw) in &fields.0 {
        match &**name {
            "model" => model = true,
            "messages" => messages = true,
            _ => {}
        }
        field(&mut request, name, raw).map_err(|wrong| body::invalid(wrong.within(name)))?;
    }
    for (name, there) in [("model", model), ("messages", messages)] {
        if !there {
            return Err(body::missing(name));
        }
    }
    if request.messages.is_empty() {
        return Err(body::no_messages());
    }
    Ok(request)
}

/// Reads one field; those that are not known here are kept as they came.
pub(in crate::dialects) fn field(request: &mut ChatRequest, name: &str, raw: &RawValue) -> Result<(), Wrong> {
    match name {
        "model" => request.model = wire::string(raw)?,
        "messages" => request.messages = messages::messages(raw)?,
        "stream" if wire::is_null(raw) => {}
        "stream" => request.stream = wire::plain(raw, "a boolean")?,
        "tool_choice" => request.tool_choice = Some(raw.to_owned()),
        "response_format" => request.response_format = Some(raw.to_owned()),
        _ if wire::is_null(raw) => request.extras.push(name, raw.to_owned()),
        "tools" => {
            request.tools = messages::tools(raw)?;
            if request.tools.is_empty() {
                request.extras.push(name, raw.to_owned());
            }
        }
        "stream_options" => stream_options(request, raw)?,
        _ => sampling(request, name, raw)?,
    }
    Ok(())
}

fn sampling(request: &mut ChatRequest, name: &str, raw: &RawValue) -> Result<(), Wrong> {
    let (to, extras) = (&mut request.sampling, &mut request.extras);
    match name {
        "max_completion_tokens" => {
            if let Some(older) = to.max_tokens.filter(|_| !noted(extras, name)) {
                extras.push("max_tokens", raw_json(older.to_string()));
            }
            to.max_tokens = Some(wire::plain(raw, "a whole number")?);
            note(extras, "max_completion_tokens");
        }
        "max_tokens" => {
            let bound = wire::plain(raw, "a whole number")?;
            if noted(extras, "max_completion_tokens") {
                extras.push(name, raw.to_owned());
            } else {
                to.max_tokens = Some(bound);
            }
        }
        "temperature" => to.temperature = Some(wire::float(raw)?),
        "top_p" => to.top_p = Some(wire::float(raw)?),
        "presence_penalty" => to.presence_penalty = Some(wire::float(raw)?),
        "frequency_penalty" => to.frequency_penalty = Some(wire::float(raw)?),
        "seed" => to.seed = Some(wire::plain(raw, "a whole number")?),
        "n" => to.n = Some(wire::plain(raw, "a whole number")?),
        "logprobs" => to.logprobs = Some(wire::plain(raw, "a boolean")?),
        "top_logprobs" => to.top_logprobs = Some(wire::plain(raw, "a whole number")?),
        "stop" => stop(request, raw)?,
        _ => extras.push(name, raw.to_owned()),
    }
    Ok(())
}

fn stop(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    if wire::is_string(raw) {
        request.sampling.stop = vec![wire::string(raw)?];
        note(&mut request.extras, "stop");
        return Ok(());
    }
    let items = wire::items(raw).map_err(|_| Wrong::kind("a string or an array of strings", raw))?;
    let texts = items.iter().enumerate().map(|(i, item)| wire::string(item).map_err(|wrong| wrong.item(i)));
    request.sampling.stop = texts.collect::<Result<_, _>>()?;
    if request.sampling.stop.is_empty() {
        request.extras.push("stop", raw.to_owned());
    }
    Ok(())
}

/// What else it holds stays in the extras, less `include_usage`, which is the canonical request's.
fn stream_options(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let fields = wire::object(raw)?;
    let mut rest = Out::default();
    rest.open();
    let mut any = false;
    for (name, value) in &fields.0 {
        if name == "include_usage" {
            request.include_usage = !wire::is_null(value) && wire::plain(value, "a boolean").map_err(|wrong| wrong.within(name))?;
        } else {
            any = true;
            rest.string(name);
            rest.bare(b":");
            rest.raw(value.get());
        }
    }
    rest.close();
    if any {
        let rest = String::from_utf8(rest.done().into()).unwrap_or_default();
        request.extras.push("stream_options", raw_json(rest));
    }
    Ok(())
}
