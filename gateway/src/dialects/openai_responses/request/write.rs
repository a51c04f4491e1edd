//! The canonical request to an upstream's body.
//!
//! Apart from reading because it serves requests of any dialect, and what policies made of them. Nothing is kept there: what is kept is
//! kept here. It must not know which upstream is asked: what a model takes is the upstream's to judge.

use bytes::Bytes;
use gatewright_types::{ChatRequest, Content, Fault, FaultKind, Part, Retry};
use serde_json::Value;

use crate::dialects::media::Media;
use crate::dialects::openai_responses::{
    BACKGROUND, ENCRYPTED, HOSTED, INCLUDE, INSTRUCTIONS, NAME, PREVIOUS, REASONING, SHARED, STORE, TOOL_CHOICE, echo, items, own,
};
use crate::dialects::out::Out;
use crate::dialects::{foreign, is_owned, of_own, openai_chat};

/// Notes of our own and fields that are written otherwise.
const WRITTEN: [&str; 7] = [BACKGROUND, HOSTED, INCLUDE, PREVIOUS, REASONING, STORE, TOOL_CHOICE];

/// Writes the body that asks an upstream of this dialect.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] for what it has no words for: several choices, stop texts, parts of other dialects alone.
pub(in super::super) fn write(request: &ChatRequest) -> Result<Bytes, Fault> {
    refuse(request)?;
    let renamed = super::renamed(&request.tools);
    let mut out = Out::with_room(1024);
    out.open();
    out.text("model", &request.model);
    let instructions = request.messages.iter().find(|message| own(&message.extras, INSTRUCTIONS).is_some());
    instructions.into_iter().for_each(|message| out.text("instructions", &message.content.joined()));
    out.name("input");
    items::list(&mut out, &request.messages, (&renamed, items::For::Asking));
    tools(&mut out, request);
    sampling(&mut out, request);
    reasoning(&mut out, request);
    if request.response_format.is_some() || request.extras.get("verbosity").is_some() {
        echo::text(&mut out, request);
    }
    for name in ["parallel_tool_calls", "user"].into_iter().chain(SHARED) {
        request.extras.get(name).into_iter().for_each(|json| out.field(name, json));
    }
    out.name(STORE);
    out.raw("false");
    if request.stream {
        out.name("stream");
        out.raw("true");
    }
    out.own(NAME, &request.extras, |field| !WRITTEN.contains(&field));
    out.close();
    Ok(out.done())
}

/// What cannot be said is not left out in silence; another leg may have words for it.
fn refuse(request: &ChatRequest) -> Result<(), Fault> {
    let refusal =
        |param: String, message: String| Err(Fault::caller(FaultKind::InvalidRequest, message).at(param).retry(Retry::Elsewhere));
    if request.sampling.n.is_some_and(|n| n > 1) {
        return refusal("n".to_owned(), "The model that would answer gives one choice only.".to_owned());
    }
    if !request.sampling.stop.is_empty() {
        return refusal("stop".to_owned(), "The model that would answer takes no texts to stop at.".to_owned());
    }
    foreign::refuse(request, NAME)?;
    for (at, message) in request.messages.iter().enumerate() {
        let Content::Parts(parts) = &message.content else { continue };
        for part in parts {
            let Part::Other { kind, raw } = part else { continue };
            let foreign = (is_owned(kind) && of_own(NAME, kind).is_none()) || matches!(&**kind, "image" | "document");
            if foreign && Media::read(kind, raw).is_none() {
                let kind = kind.rsplit('.').next().unwrap_or_default();
                return refusal(
                    format!("messages[{at}].content"),
                    format!("The model that would answer takes no such `{kind}` parts."),
                );
            }
        }
    }
    Ok(())
}

fn tools(out: &mut Out, request: &ChatRequest) {
    let hosted: Vec<Value> = own(&request.extras, HOSTED).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    if foreign::sayable(request, NAME).is_empty() && hosted.is_empty() {
        return;
    }
    echo::tools(out, &request.tools, &hosted);
    if request.tool_choice.is_some() || own(&request.extras, TOOL_CHOICE).is_some() {
        echo::choice(out, request, &super::renamed(&request.tools));
    }
}

fn sampling(out: &mut Out, request: &ChatRequest) {
    let sampling = &request.sampling;
    sampling.max_tokens.into_iter().for_each(|bound| out.number("max_output_tokens", bound));
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            out.name(name);
            out.float(number);
        }
    }
    sampling.top_logprobs.into_iter().for_each(|count| out.number("top_logprobs", count));
}

/// How the model shall reason, and what else is wanted: its own sealed thought where it is made to think, so that it can go back.
fn reasoning(out: &mut Out, request: &ChatRequest) {
    let said: Value = own(&request.extras, REASONING).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let effort = request.extras.get("reasoning_effort").map(str::to_owned);
    let effort = effort.or_else(|| openai_chat::request::effort(request).map(|word| Value::from(word).to_string()));
    let mut fields = if let Value::Object(fields) = said { fields } else { serde_json::Map::new() };
    if let Some(effort) = effort.and_then(|json| serde_json::from_str(&json).ok()) {
        fields.insert("effort".to_owned(), effort);
    }
    let mut wanted: Vec<String> =
        own(&request.extras, INCLUDE).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    if !fields.is_empty() {
        out.name(REASONING);
        out.raw(&Value::Object(fields).to_string());
        if !wanted.iter().any(|name| name == ENCRYPTED) {
            wanted.push(ENCRYPTED.to_owned());
        }
    }
    if request.sampling.logprobs == Some(true) && !wanted.iter().any(|name| name.ends_with(".logprobs")) {
        wanted.push("message.output_text.logprobs".to_owned());
    }
    if !wanted.is_empty() {
        out.name(INCLUDE);
        out.open_list();
        wanted.iter().for_each(|name| out.string(name));
        out.close_list();
    }
}
