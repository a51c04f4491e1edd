//! What a request asks of this engine, checked: what it cannot do is refused by name, never ignored.
//!
//! Apart because it is the list of what is supported. It must not know text or tensors.

pub(crate) mod calls;
mod fields;
mod priority;
mod sampling;
pub(crate) mod shape;
pub(crate) mod thinking;

use gatewright_types::{ChatRequest, Priority};
use serde_json::{Map, Value};

use crate::config::GenerationConfig;
use crate::error::EngineError;
use crate::sample::Sampler;
use crate::sample::shaping::Shaping;
use calls::Callable;
use fields::{asks, refuse};
use shape::Wanted;
use thinking::Thinking;

/// Choices of one request.
pub(crate) const MAX_CHOICES: u32 = 16;
/// Stop texts of one request: each is looked for in every piece of the answer.
const MAX_STOPS: usize = 16;
/// Bytes of all of them.
const MAX_STOP_BYTES: usize = 4096;

/// Fields that dialects keep in the request's pocket and that would change the answer: of OpenAI's API, and of the servers of open models.
const UNSUPPORTED_EXTRAS: [&str; 28] = [
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
    "grammar",
    "ebnf",
    "chat_template",
    "continue_final_message",
    "top_a",
    "typical_p",
    "tfs_z",
    "mirostat",
    "no_repeat_ngram_size",
];

/// What templates are given of the conversation and the model, not of `chat_template_kwargs`.
const TEMPLATE_OWN: [&str; 7] = ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "unk_token", "pad_token"];

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
    pub(crate) priority: Priority,
    /// A word that only prompts with the same one share.
    pub(crate) cache_salt: Option<String>,
    pub(crate) thinking: Thinking,
    /// Calls that are read out of the text of a choice; 0 leaves it as it is.
    pub(crate) calls: u32,
    pub(crate) form: Form,
    /// What the chat template is given beside the conversation.
    pub(crate) template: Map<String, Value>,
}

/// What an answer must be; either may be left open. With both it is the one or the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Form {
    /// What its text must be.
    pub(crate) text: Option<Wanted>,
    /// Tools that it may consist of calls of, or must, if its text is left open.
    pub(crate) tools: Vec<Callable>,
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
    let calls = calls::calls(request)?;
    Ok(Plan {
        sampler: sampling::sampler(request, advised)?,
        shaping: sampling::shaping(request, advised, vocab)?,
        logprobs: sampling::logprobs(request)?,
        seed: sampling.seed.map(i64::cast_unsigned),
        max_tokens: sampling.max_tokens.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        choices,
        priority: priority::priority(request)?,
        cache_salt: priority::cache_salt(request)?,
        thinking: thinking::thinking(request)?,
        calls: calls.most,
        form: form(request, calls.forced)?,
        template: template(request)?,
    })
}

/// Where a call is forced, no text is written; where it is not, a text of some shape must leave the calls that may be made.
fn form(request: &ChatRequest, forced: Vec<Callable>) -> Result<Form, EngineError> {
    let text = shape::shape(request)?;
    if !forced.is_empty() {
        return Ok(Form { text: None, tools: forced });
    }
    let none = request.tool_choice.as_ref().is_some_and(|choice| choice.get() == "\"none\"");
    let tools = if text.is_none() || none { Vec::new() } else { calls::callable(request, |_| true)? };
    Ok(Form { text, tools })
}

/// What the request hands to the template; names that are the engine's to give are refused.
fn template(request: &ChatRequest) -> Result<Map<String, Value>, EngineError> {
    let Some(given) = request.extras.get(thinking::KWARGS) else { return Ok(Map::new()) };
    let all = match shape::parsed(thinking::KWARGS, given)? {
        Value::Null => Map::new(),
        Value::Object(all) => all,
        _ => return refuse(thinking::KWARGS, "must be an object"),
    };
    match all.keys().find(|name| TEMPLATE_OWN.contains(&name.as_str()) || name.starts_with("gatewright_")) {
        Some(name) => refuse(&format!("{}.{name}", thinking::KWARGS), "is the engine's to give"),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests;
