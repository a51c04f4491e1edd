//! The request's own fields.
//!
//! Apart from items and tools, which are read after them: a call is told under the name of a tool on offer. It must not decide what is
//! sensible: ranges are the upstream's to judge, types are ours.

use gatewright_types::{ChatRequest, Fault, FaultKind, Message, Role};
use serde_json::value::RawValue;

use super::turns::Turns;
use super::{get, invalid, raw_json, text, tools};
use crate::dialects::openai_responses::{
    BACKGROUND, HOSTED, INCLUDE, INSTRUCTIONS, NAME, PREVIOUS, REASONING, SHARED, STORE, keep, keep_value, own,
};
use crate::dialects::wire::{self, Wrong};
use crate::dialects::{Asked, body};

/// Fields that are of this dialect alone, and say how to answer.
const KEPT: [&str; 5] = ["client_metadata", "max_tool_calls", "metadata", "prompt_cache_options", "truncation"];
/// Names of notes of our own: a client may not write them.
const NOTES: [&str; 1] = [HOSTED];

/// A request while it is read.
#[derive(Default)]
struct Read<'a> {
    request: ChatRequest,
    input: Option<&'a RawValue>,
    instructions: Option<String>,
    previous: Option<String>,
    choice: Option<&'a RawValue>,
    store: bool,
}

/// Reads a request.
///
/// # Errors
/// [`FaultKind::InvalidJson`] with line and column; [`FaultKind::InvalidRequest`] with the field's path; [`FaultKind::UnknownAnswer`]
/// when it follows an answer that is not kept.
pub(in super::super) fn read(body: &[u8], asked: &Asked<'_>) -> Result<ChatRequest, Fault> {
    let fields = body::fields(body)?;
    let mut read = Read { store: true, ..Read::default() };
    read.request.spoken = NAME;
    let mut model = false;
    for (name, raw) in &fields.0 {
        model |= name == "model";
        read.field(name, raw).map_err(|wrong| invalid(wrong.within(name)))?;
    }
    if !model {
        return Err(body::missing("model"));
    }
    read.done(asked)
}

impl<'a> Read<'a> {
    fn field(&mut self, name: &str, raw: &'a RawValue) -> Result<(), Wrong> {
        let request = &mut self.request;
        match name {
            "model" => request.model = wire::string(raw)?,
            // What is null is as if it were not there.
            _ if wire::is_null(raw) => {}
            "input" => self.input = Some(raw),
            "instructions" => self.instructions = Some(wire::string(raw)?),
            PREVIOUS => self.previous = Some(wire::string(raw)?),
            STORE => self.store = wire::plain(raw, "a boolean")?,
            "stream" => request.stream = wire::plain(raw, "a boolean")?,
            "tools" => tools::tools(request, raw)?,
            "tool_choice" => self.choice = Some(raw),
            "text" => said(request, raw)?,
            REASONING => reasoning(request, raw)?,
            INCLUDE => include(request, raw)?,
            "user" => {
                wire::text(raw)?;
                request.extras.push(name, raw.to_owned());
            }
            "parallel_tool_calls" => {
                wire::plain::<bool>(raw, "a boolean")?;
                request.extras.push(name, raw.to_owned());
            }
            BACKGROUND => {
                if wire::plain(raw, "a boolean")? {
                    keep(&mut request.extras, name, raw);
                }
            }
            "conversation" => {
                return Err(Wrong::says("conversations have no ids of their own here; use `previous_response_id`"));
            }
            "prompt" => return Err(Wrong::says("there are no stored prompts here")),
            // Padding, of which there is none.
            "stream_options" => {}
            _ => return self.other(name, raw),
        }
        Ok(())
    }

    fn other(&mut self, name: &str, raw: &RawValue) -> Result<(), Wrong> {
        let sampling = &mut self.request.sampling;
        match name {
            "max_output_tokens" => sampling.max_tokens = Some(wire::plain(raw, "a whole number")?),
            "temperature" => sampling.temperature = Some(wire::float(raw)?),
            "top_p" => sampling.top_p = Some(wire::float(raw)?),
            "presence_penalty" => sampling.presence_penalty = Some(wire::float(raw)?),
            "frequency_penalty" => sampling.frequency_penalty = Some(wire::float(raw)?),
            "top_logprobs" => {
                let count: u32 = wire::plain(raw, "a whole number")?;
                sampling.top_logprobs = Some(count);
                sampling.logprobs = sampling.logprobs.or((count > 0).then_some(true));
            }
            "metadata" => {
                wire::object(raw)?;
                keep(&mut self.request.extras, name, raw);
            }
            name if SHARED.contains(&name) => {
                wire::text(raw)?;
                keep(&mut self.request.extras, name, raw);
            }
            name if KEPT.contains(&name) => keep(&mut self.request.extras, name, raw),
            name if NOTES.contains(&name) => return Err(Wrong::says("no field of that name is taken here")),
            _ => keep(&mut self.request.extras, name, raw),
        }
        Ok(())
    }

    fn done(mut self, asked: &Asked<'_>) -> Result<ChatRequest, Fault> {
        if let Some(raw) = self.choice {
            tools::choice(&mut self.request, raw).map_err(|wrong| invalid(wrong.within("tool_choice")))?;
        }
        if self.request.tools.is_empty() {
            self.request.tool_choice = None;
        }
        if own(&self.request.extras, BACKGROUND).is_some() && !(self.store && asked.keeps) {
            let why = "what is made in the background must be kept, and this request or this gateway keeps no responses";
            return Err(invalid(Wrong::says(why).within(BACKGROUND)));
        }
        let renamed = tools::renamed(&self.request.tools);
        let mut turns = Turns::new(asked, &renamed);
        if let Some(id) = &self.previous {
            if !turns.follow(id).map_err(|wrong| turns.fault(wrong.within(PREVIOUS)))? {
                return Err(unkept(id, asked));
            }
            keep_value(&mut self.request.extras, PREVIOUS, id);
        }
        if let Some(raw) = self.input {
            turns.input(raw).map_err(|wrong| turns.fault(wrong.within("input")))?;
        }
        let mut messages = turns.done();
        if messages.is_empty() {
            return Err(body::missing("input"));
        }
        if let Some(text) = self.instructions {
            let mut message = Message::text(Role::System, text);
            keep(&mut message.extras, INSTRUCTIONS, &raw_json("true".to_owned()));
            messages.insert(0, message);
        }
        let mut request = self.request;
        request.messages = messages;
        request.include_usage = request.stream;
        keep(&mut request.extras, STORE, &raw_json((self.store && asked.keeps).to_string()));
        Ok(request)
    }
}

fn unkept(id: &str, asked: &Asked<'_>) -> Fault {
    let id = &id[..id.floor_char_boundary(128)];
    if asked.recalled.iter().any(|kept| kept.id == id) {
        let message = format!("Previous response with id '{id}' is not complete yet.");
        return Fault::caller(FaultKind::InvalidRequest, message).at(PREVIOUS);
    }
    let message = match asked.keeps {
        true => format!("Previous response with id '{id}' not found."),
        false => format!("Previous response with id '{id}' not found: this gateway keeps no responses."),
    };
    Fault::caller(FaultKind::UnknownAnswer, message).at(PREVIOUS)
}

/// `{effort, summary}`: the effort counts for every upstream.
fn reasoning(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let fields = wire::object(raw)?;
    text(&fields, "summary")?;
    if text(&fields, "effort")?.is_some()
        && let Some(effort) = get(&fields, "effort")
    {
        request.extras.push("reasoning_effort", effort.to_owned());
    }
    keep(&mut request.extras, REASONING, raw);
    Ok(())
}

/// `{format, verbosity}`.
fn said(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let fields = wire::object(raw)?;
    if let Some(format) = get(&fields, "format") {
        request.response_format = tools::format(format).map_err(|wrong| wrong.within("format"))?;
    }
    if text(&fields, "verbosity")?.is_some()
        && let Some(verbosity) = get(&fields, "verbosity")
    {
        request.extras.push("verbosity", verbosity.to_owned());
    }
    Ok(())
}

fn include(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    for (at, item) in wire::items(raw)?.into_iter().enumerate() {
        if wire::text(item).map_err(|wrong| wrong.item(at))? == "message.output_text.logprobs" {
            request.sampling.logprobs = Some(true);
        }
    }
    keep(&mut request.extras, INCLUDE, raw);
    Ok(())
}
