//! The canonical request to an upstream's body.
//!
//! Apart from reading because it serves requests of any dialect, and what policies made of them. It must not know which upstream is
//! asked: what a model takes is the upstream's to judge.

use bytes::Bytes;
use gatewright_types::{ChatRequest, Fault, FaultKind, Message, Retry, Sampling};

use super::thought::{MAX_TOKENS, Thought};
use super::{HEADER, METADATA, OUTPUT, THINKING, own, signed, tools, turns};
use crate::dialects::anthropic_messages::NAME;
use crate::dialects::out::Out;
use crate::dialects::{Carried, foreign, openai_responses, signatures};

/// Writes the body that asks an upstream of this dialect.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] for what it has no words for: several choices, log probabilities, sound.
pub(in super::super) fn write(request: &ChatRequest) -> Result<Bytes, Fault> {
    refuse(request)?;
    let thinking = Thought::of(request);
    let mut out = Out::with_room(1024);
    out.open();
    out.text("model", &request.model);
    out.number("max_tokens", request.sampling.max_tokens.unwrap_or(MAX_TOKENS));
    turns::system(&mut out, &request.messages);
    turns::turns(&mut out, &request.messages);
    tools::write(&mut out, request);
    sampling(&mut out, request, &thinking);
    match &thinking {
        Thought::Nothing | Thought::Off => {}
        Thought::Said(json) => out.field(THINKING, json),
        Thought::Budget(tokens) => {
            out.name(THINKING);
            out.open();
            out.text("type", "enabled");
            out.number("budget_tokens", tokens);
            out.close();
        }
    }
    output(&mut out, request);
    metadata(&mut out, request);
    if request.stream {
        out.name("stream");
        out.raw("true");
    }
    out.own(NAME, &request.extras, |field| !matches!(field, THINKING | METADATA | OUTPUT) && !field.starts_with(HEADER));
    out.close();
    Ok(out.done())
}

/// What cannot be said is not left out in silence; another leg may have words for it.
fn refuse(request: &ChatRequest) -> Result<(), Fault> {
    let refusal =
        |param: &str, message: String| Err(Fault::caller(FaultKind::InvalidRequest, message).at(param).retry(Retry::Elsewhere));
    if request.sampling.n.is_some_and(|n| n > 1) {
        return refusal("n", "The model that would answer gives one choice only.".to_owned());
    }
    if request.sampling.logprobs == Some(true) {
        return refusal("logprobs", "The model that would answer tells no log probabilities.".to_owned());
    }
    foreign::refuse(request, NAME)?;
    match turns::unsayable(&request.messages) {
        Some((at, kind)) => {
            refusal(&format!("messages[{at}].content"), format!("The model that would answer takes no `{kind}` parts."))
        }
        None => Ok(()),
    }
}

/// What becomes of a request here.
pub(in super::super) fn carries(request: &ChatRequest) -> Carried {
    let thought = Thought::of(request);
    let mut carried = Carried { thinking: thought.in_effect(request), ..Carried::default() };
    let Sampling { presence_penalty, frequency_penalty, seed, temperature, top_p, .. } = request.sampling;
    let thinks = matches!(thought, Thought::Budget(_));
    let left = [
        ("presence_penalty", presence_penalty.is_some()),
        ("frequency_penalty", frequency_penalty.is_some()),
        ("seed", seed.is_some()),
        ("logit_bias", request.extras.get("logit_bias").is_some()),
        ("temperature", thinks && temperature.is_some_and(|heat| heat != 1.0)),
        ("top_p", thinks && top_p.is_some_and(|share| share != 1.0)),
        ("top_k", thinks && request.extras.get("top_k").is_some()),
    ];
    left.iter().filter(|(_, there)| *there).for_each(|(name, _)| carried.leaves_out(name));
    let thought = |message: &Message| message.reasoning.as_ref().is_some_and(|text| !text.is_empty());
    if request.messages.iter().any(|message| thought(message) && !signed::goes_back(message)) {
        carried.leaves_out("reasoning");
    }
    signatures::foreign(request, NAME).for_each(|name| carried.leaves_out(name));
    openai_responses::left_out(request).for_each(|name| carried.leaves_out(&name));
    foreign::leave_out(request, NAME, &mut carried);
    carried
}

fn sampling(out: &mut Out, request: &ChatRequest, thinking: &Thought<'_>) {
    let sampling = &request.sampling;
    // Whom we make think takes no other temperature than its own.
    if !matches!(thinking, Thought::Budget(_)) {
        for (name, number) in [("temperature", sampling.temperature.map(|heat| heat.min(1.0))), ("top_p", sampling.top_p)] {
            if let Some(number) = number {
                out.name(name);
                out.float(number);
            }
        }
        request.extras.get("top_k").into_iter().for_each(|json| out.field("top_k", json));
    }
    // Stop texts of nothing but white space are refused.
    let stops: Vec<&String> = sampling.stop.iter().filter(|text| !text.trim().is_empty()).collect();
    if !stops.is_empty() {
        out.name("stop_sequences");
        out.open_list();
        stops.into_iter().for_each(|text| out.string(text));
        out.close_list();
    }
}

/// Effort and format, and whatever else the client said of the answer.
fn output(out: &mut Out, request: &ChatRequest) {
    let (rest, schema) = (own(&request.extras, OUTPUT).and_then(|json| json.strip_suffix('}')), tools::schema(request));
    if rest.is_none() && schema.is_none() {
        return;
    }
    out.name(OUTPUT);
    match rest {
        Some(open) => out.raw(open),
        None => out.open(),
    }
    if let Some(schema) = schema {
        out.name("format");
        out.open();
        out.text("type", "json_schema");
        out.name("schema");
        out.raw(&schema.to_string());
        out.close();
    }
    out.close();
}

fn metadata(out: &mut Out, request: &ChatRequest) {
    match (own(&request.extras, METADATA), request.extras.get("user")) {
        (Some(said), _) => out.field(METADATA, said),
        (None, Some(user)) if user.starts_with('"') => {
            out.name(METADATA);
            out.open();
            out.field("user_id", user);
            out.close();
        }
        _ => {}
    }
}
