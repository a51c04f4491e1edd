//! What a plugin may read of a request beside its texts: all fields but the messages, as one JSON object.
//!
//! Apart because it is a table. It must not know what plugins do with it; texts have channels and are not repeated here, but for
//! names and words that steer the answer.

use std::collections::BTreeMap;

use gatewright_types::{ChatRequest, Tool};
use serde::Serialize;
use serde_json::value::RawValue;

/// A field that is larger is left out, bytes: it is text, and texts are shown in the channel `other`.
const LARGEST: usize = 4096;
/// Names of tools that are told.
const MOST_TOOLS: usize = 256;

/// Names that are told by themselves: an extra of such a name says how it was spelled.
const OWN: [&str; 17] = [
    "model",
    "messages",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "stop",
    "tool_choice",
    "tools",
    "response_format",
];

#[derive(Serialize)]
struct Parameters<'a> {
    stream: bool,
    #[serde(flatten)]
    sampling: Sampling<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a RawValue>,
    /// Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a RawValue>,
    #[serde(flatten)]
    others: BTreeMap<&'a str, &'a RawValue>,
}

#[derive(Serialize)]
struct Sampling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    /// The same, where the client used the newer name.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

/// The parameters of a request.
pub(super) fn of(request: &ChatRequest) -> String {
    let of = &request.sampling;
    let sampling = Sampling {
        max_tokens: of.max_tokens,
        max_completion_tokens: of.max_tokens.filter(|_| request.extras.get("max_completion_tokens").is_some()),
        temperature: of.temperature,
        top_p: of.top_p,
        presence_penalty: of.presence_penalty,
        frequency_penalty: of.frequency_penalty,
        seed: of.seed,
        n: of.n,
        logprobs: of.logprobs,
        top_logprobs: of.top_logprobs,
        stop: &of.stop,
    };
    let small = |field: &&RawValue| field.get().len() <= LARGEST;
    // Of two extras of one name the last counts, as everywhere.
    let others = request.extras.iter().filter(|(name, value)| !OWN.contains(name) && value.get().len() <= LARGEST);
    let names = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function(tool) => Some(tool.name.as_str()),
        Tool::Other(_) => None,
    });
    let parameters = Parameters {
        stream: request.stream,
        sampling,
        tool_choice: request.tool_choice.as_deref().filter(small),
        tools: names.take(MOST_TOOLS).collect(),
        response_format: request.response_format.as_deref().filter(small),
        others: others.collect(),
    };
    // Names and JSON are always JSON.
    serde_json::to_string(&parameters).unwrap_or_else(|_| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::openai_chat::request;
    use serde_json::{Value, json};

    #[test]
    fn every_field_but_the_messages_is_told() {
        let body = json!({
            "model": "m", "messages": [{"role": "user", "content": "x"}], "stream": true, "max_completion_tokens": 5,
            "temperature": 0.5, "top_p": 0.9, "presence_penalty": 1.0, "frequency_penalty": -1.0, "seed": 7, "n": 2,
            "logprobs": true, "top_logprobs": 3, "stop": "a", "top_k": 40, "user": "u", "reasoning_effort": "low",
            "metadata": {"a": "b"}, "logit_bias": {"5": -1}, "tool_choice": "auto", "response_format": {"type": "text"},
            "parallel_tool_calls": false, "tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}],
            "large": "x".repeat(5000),
        });
        let told: Value = serde_json::from_str(&of(&request::read(body.to_string().as_bytes()).unwrap())).unwrap();
        let mut wanted = body;
        let fields = wanted.as_object_mut().unwrap();
        ["model", "messages", "large"].iter().for_each(|name| drop(fields.remove(*name)));
        fields.insert("max_tokens".to_owned(), json!(5));
        fields.insert("tools".to_owned(), json!(["find"]));
        fields.insert("stop".to_owned(), json!(["a"]));
        assert_eq!(told, wanted);
        assert_eq!(of(&ChatRequest::default()), r#"{"stream":false}"#);
    }
}
