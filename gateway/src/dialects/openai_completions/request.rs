//! What is asked: a client's body to the canonical request, and that to an upstream's body.
//!
//! Apart because prompts become messages here and nowhere else: one each, and one for the text that shall follow (`suffix`), which the
//! model reads too. It must not know which upstream is asked.

use bytes::Bytes;
use gatewright_types::{ChatRequest, Fault, FaultKind, Message, Role};
use serde_json::value::RawValue;

use super::NAME;
use crate::dialects::openai_chat::request::{field, write_rest};
use crate::dialects::out::Out;
use crate::dialects::wire::{self, Wrong};
use crate::dialects::{body, keep, own, texts};

/// The note on the message that is the text which shall follow.
const SUFFIX: &str = "suffix";
/// Answers to one request, of all its prompts.
const MOST_CHOICES: u64 = 128;

/// Reads a request.
///
/// # Errors
/// It is no JSON, or no request: which field, what was expected and what found.
pub(super) fn read(body: &[u8]) -> Result<ChatRequest, Fault> {
    let fields = body::fields(body)?;
    let mut request = ChatRequest { spoken: NAME, wants: NAME, ..ChatRequest::default() };
    let (mut model, mut suffix) = (false, None);
    for (name, raw) in &fields.0 {
        model |= name == "model";
        if name == SUFFIX && wire::is_string(raw) {
            suffix = Some(*raw);
            continue;
        }
        one(&mut request, name, raw).map_err(|wrong| body::invalid(wrong.within(name)))?;
    }
    for (name, there) in [("model", model), ("prompt", !request.messages.is_empty())] {
        if !there {
            return Err(body::missing(name));
        }
    }
    let choices = request.messages.len() as u64 * u64::from(request.sampling.n.unwrap_or(1));
    if choices > MOST_CHOICES {
        let message = format!("The request asks for {choices} completions; {MOST_CHOICES} are given at most.");
        return Err(Fault::caller(FaultKind::InvalidRequest, message).at("prompt"));
    }
    if let Some(raw) = suffix {
        let text = wire::string(raw).map_err(|wrong| body::invalid(wrong.within(SUFFIX)))?;
        let mut message = Message::text(Role::User, text);
        keep(&mut message.extras, NAME, (SUFFIX, RawValue::TRUE));
        request.messages.push(message);
    }
    Ok(request)
}

fn one(request: &mut ChatRequest, name: &str, raw: &RawValue) -> Result<(), Wrong> {
    match name {
        "prompt" => texts::read(request, raw),
        // As in a chat. All else is another thing here, or only the upstream's to know.
        "model" | "stream" | "stream_options" | "max_tokens" | "temperature" | "top_p" | "presence_penalty"
        | "frequency_penalty" | "seed" | "n" | "stop" => field(request, name, raw),
        _ => {
            request.extras.push(name, raw.to_owned());
            Ok(())
        }
    }
}

pub(super) fn is_suffix(message: &Message) -> bool {
    message.extras.get(&own(NAME, SUFFIX)).is_some()
}

/// Writes the body that asks an upstream.
pub(super) fn write(request: &ChatRequest) -> Bytes {
    let mut out = Out::with_room(1024);
    out.open();
    out.text("model", &request.model);
    texts::write(&mut out, request, ("prompt", request.messages.iter().filter(|message| !is_suffix(message))));
    if let Some(message) = request.messages.iter().find(|message| is_suffix(message)) {
        out.text(SUFFIX, &message.content.joined());
    }
    write_rest(out, request)
}
