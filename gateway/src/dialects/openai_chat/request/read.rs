//! A client's body to the canonical request, with errors that name the field.
//!
//! Apart from writing because it is strict where writing is lenient. It must not decide what is sensible: ranges are the
//! upstream's to judge, types are ours.

use gatewright_types::{ChatRequest, Fault, FaultKind};
use serde_json::value::RawValue;

use super::super::out::Out;
use super::super::wire::{self, Wrong};
use super::{messages, note, noted, raw_json};

/// Reads a request.
///
/// # Errors
/// [`FaultKind::InvalidJson`] with line and column; [`FaultKind::InvalidRequest`] with the field's path in `param`, and what was
/// expected and found in the message.
pub fn read(body: &[u8]) -> Result<ChatRequest, Fault> {
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, &error))?;
    let fields: wire::Fields<'_> = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    let mut request = ChatRequest::default();
    let (mut model, mut messages) = (false, false);
    for (name, raw) in &fields.0 {
        match &**name {
            "model" => model = true,
            "messages" => messages = true,
            _ => {}
        }
        field(&mut request, name, raw).map_err(|wrong| invalid(wrong.within(name)))?;
    }
    for (name, there) in [("model", model), ("messages", messages)] {
        if !there {
            return Err(Fault::caller(FaultKind::InvalidRequest, format!("Missing required parameter: '{name}'.")).at(name));
        }
    }
    if request.messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with at least one message.";
        return Err(Fault::caller(FaultKind::InvalidRequest, message).at("messages"));
    }
    Ok(request)
}

fn field(request: &mut ChatRequest, name: &str, raw: &RawValue) -> Result<(), Wrong> {
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

fn invalid(wrong: Wrong) -> Fault {
    let message = format!("Invalid type for '{}': {}.", wrong.path, wrong.message);
    Fault::caller(FaultKind::InvalidRequest, message).at(wrong.path)
}

fn not_json(text: &str, error: &serde_json::Error) -> Fault {
    if error.is_data() {
        // JSON, but the outermost value is no object.
        return Fault::caller(FaultKind::InvalidRequest, "The body must be a JSON object.");
    }
    let what = error.to_string();
    let what = what.rsplit_once(" at line").map_or(&*what, |(what, _)| what);
    let position = if text.trim().is_empty() {
        "it is empty".to_owned()
    } else {
        format!("{what} at line {}, column {}", error.line(), error.column())
    };
    Fault::caller(FaultKind::InvalidJson, format!("The body of your request is not valid JSON: {position}."))
}

fn not_utf8(body: &[u8], error: &std::str::Utf8Error) -> Fault {
    let before = body.get(..error.valid_up_to()).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let message = format!("The body of your request is not valid JSON: not UTF-8 at line {line}, column {column}.");
    Fault::caller(FaultKind::InvalidJson, message)
}
