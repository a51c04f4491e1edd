//! What a request asks of this engine, checked: what it cannot do is refused by name, never ignored.
//!
//! Apart because it is the list of what is supported. It must not know text or tensors.

mod fields;
mod sampling;
pub(crate) mod thinking;

use gatewright_types::ChatRequest;
use serde_json::Value;

use crate::config::GenerationConfig;
use crate::error::EngineError;
use crate::sample::Sampler;
use crate::sample::shaping::Shaping;
use fields::{asks, refuse};
use thinking::Thinking;

/// Choices of one request.
pub(crate) const MAX_CHOICES: u32 = 16;
/// Stop texts of one request: each is looked for in every piece of the answer.
const MAX_STOPS: usize = 16;
/// Bytes of all of them.
const MAX_STOP_BYTES: usize = 4096;
/// Calls of one answer.
const MAX_CALLS: u32 = 128;

/// Fields that dialects keep in the request's pocket and that would change the answer: of OpenAI's API, and of the servers of open models.
const UNSUPPORTED_EXTRAS: [&str; 36] = [
    "functions",
    "function_call",
    "prediction",
    "web_search_options",
    "audio",
    "best_of",
    "echo",
    "suffix",
    "use_beam_search",
    "length_penalty",
    "min_tokens",
    "ignore_eos",
    "stop_token_ids",
    "include_stop_str_in_output",
    "bad_words",
    "allowed_token_ids",
    "logits_processors",
    "prompt_logprobs",
    "skip_special_tokens",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "grammar",
    "json_schema",
    "regex",
    "ebnf",
    "chat_template",
    "chat_template_kwargs",
    "continue_final_message",
    "top_a",
    "typical_p",
    "tfs_z",
    "mirostat",
    "no_repeat_ngram_size",
];

/// How to answer a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) sampler: Sampler,
    pub(crate) shaping: Shaping,
    /// How many alternatives are told of beside each token's log probability.
    pub(crate) logprobs: Option<usize>,
    pub(crate) seed: Option<u64>,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) choices: u32,
    pub(crate) thinking: Thinking,
    /// Calls that are read out of the text of a choice; 0 leaves it as it is.
    pub(crate) calls: u32,
}

/// Reads the request's controls; what it leaves open is as the model's makers advise. `vocab` is the number of tokens.
///
/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(crate) fn plan(request: &ChatRequest, advised: &GenerationConfig, vocab: usize) -> Result<Plan, EngineError> {
    let sampling = &request.sampling;
    if let Some(name) = UNSUPPORTED_EXTRAS.iter().find(|name| asks(&request.extras, name)) {
        return refuse(name, "the embedded engine does not support it");
    }
    if !is_text(request.response_format.as_ref().map(|f| f.get())) {
        return refuse("response_format", "the embedded engine writes text only");
    }
    if request.tool_choice.as_ref().is_some_and(|c| !matches!(c.get(), "\"auto\"" | "\"none\"" | "null")) {
        return refuse("tool_choice", "the embedded engine cannot be made to call a tool; use auto or none");
    }
    if sampling.max_tokens == Some(0) {
        return refuse("max_tokens", "must be at least 1");
    }
    if sampling.stop.len() > MAX_STOPS || sampling.stop.iter().map(String::len).sum::<usize>() > MAX_STOP_BYTES {
        return refuse("stop", "at most 16 texts, of 4096 bytes in all");
    }
    let choices = sampling.n.unwrap_or(1);
    if choices == 0 || choices > MAX_CHOICES {
        return refuse("n", "must be between 1 and 16");
    }
    Ok(Plan {
        sampler: sampling::sampler(request, advised)?,
        shaping: sampling::shaping(request, advised, vocab)?,
        logprobs: sampling::logprobs(request)?,
        seed: sampling.seed.map(i64::cast_unsigned),
        max_tokens: sampling.max_tokens.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        choices,
        thinking: thinking::thinking(request)?,
        calls: calls(request)?,
    })
}

/// Where no tool is offered, what looks like a call is text.
fn calls(request: &ChatRequest) -> Result<u32, EngineError> {
    let name = "parallel_tool_calls";
    let none = request.tools.is_empty() || request.tool_choice.as_ref().is_some_and(|choice| choice.get() == "\"none\"");
    match fields::value(&request.extras, name) {
        _ if none => Ok(0),
        None | Some(Value::Bool(true)) => Ok(MAX_CALLS),
        Some(Value::Bool(false)) => Ok(1),
        Some(_) => refuse(name, "must be true or false"),
    }
}

fn is_text(format: Option<&str>) -> bool {
    let Some(json) = format else { return true };
    let value = serde_json::from_str::<Value>(json).unwrap_or(Value::Null);
    value.is_null() || value.get("type").and_then(Value::as_str) == Some("text")
}

#[cfg(test)]
mod tests;
