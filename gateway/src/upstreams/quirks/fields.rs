//! Fields of a request by OpenAI's names, wherever the canonical request has them.
//!
//! Apart because it alone knows which names are typed, which are extras, and which other dialects say in words of their own. It must not
//! know what a server takes.

use gatewright_types::{ChatRequest, RawJson, Sampling};
use serde_json::value::to_raw_value;

use crate::dialects::{anthropic_messages, openai_chat, openai_responses};

pub(super) const NEWER: &str = "max_completion_tokens";
/// How much a model shall think.
pub(super) const EFFORT: &str = "reasoning_effort";

/// Whether a request has a field, by OpenAI's name: what it asks for, and what it says in asking for nothing.
pub(super) fn has(request: &ChatRequest, name: &str) -> bool {
    name == EFFORT && request.thinking.as_ref().is_some_and(|thinking| thinking.budget.is_some()) || asks(request, name)
}

/// Whether a request asks for something in a field, by OpenAI's name.
pub(super) fn asks(request: &ChatRequest, name: &str) -> bool {
    let Sampling { max_tokens, temperature, top_p, presence_penalty, frequency_penalty, seed, stop, n, logprobs, top_logprobs } =
        &request.sampling;
    match name {
        "max_tokens" | "max_completion_tokens" => max_tokens.is_some(),
        // One is what everybody does who is not told otherwise.
        "temperature" => temperature.is_some_and(|heat| heat != 1.0),
        "top_p" => top_p.is_some_and(|share| share != 1.0),
        "presence_penalty" => presence_penalty.is_some_and(|penalty| penalty != 0.0),
        "frequency_penalty" => frequency_penalty.is_some_and(|penalty| penalty != 0.0),
        "seed" => seed.is_some(),
        "stop" => !stop.is_empty(),
        "n" => n.is_some_and(|n| n != 1),
        "logprobs" => logprobs.is_some_and(|wanted| wanted),
        "top_logprobs" => top_logprobs.is_some(),
        "tools" => !request.tools.is_empty(),
        "tool_choice" => request.tool_choice.is_some(),
        "response_format" => request.response_format.is_some(),
        EFFORT => request.extras.get(EFFORT).is_some_and(|json| json != "null") || anthropic_messages::asks_for_thought(request),
        other => request.extras.get(other).is_some_and(|json| json != "null"),
    }
}

/// Takes a field out of a request; its value, where it is one that can be sent under another name.
pub(super) fn take(request: &mut ChatRequest, name: &str) -> Option<RawJson> {
    fn json<T: serde::Serialize>(value: Option<T>) -> Option<RawJson> {
        value.and_then(|value| to_raw_value(&value).ok())
    }
    let sampling = &mut request.sampling;
    match name {
        "max_tokens" | "max_completion_tokens" => {
            request.extras.take(NEWER);
            json(sampling.max_tokens.take())
        }
        "temperature" => json(sampling.temperature.take()),
        "top_p" => json(sampling.top_p.take()),
        "presence_penalty" => json(sampling.presence_penalty.take()),
        "frequency_penalty" => json(sampling.frequency_penalty.take()),
        "seed" => json(sampling.seed.take()),
        "stop" => {
            request.extras.take("stop");
            json(Some(std::mem::take(&mut sampling.stop)))
        }
        "n" => json(sampling.n.take()),
        "logprobs" => json(sampling.logprobs.take()),
        "top_logprobs" => json(sampling.top_logprobs.take()),
        "tools" => {
            request.tools.clear();
            None
        }
        "tool_choice" => request.tool_choice.take(),
        "response_format" => request.response_format.take(),
        EFFORT => {
            let word = openai_chat::request::effort(request).and_then(|word| to_raw_value(word).ok());
            anthropic_messages::forget_thought(request);
            openai_responses::forget_thought(&mut request.extras);
            request.extras.take(EFFORT).or(word)
        }
        other => request.extras.take(other),
    }
}
