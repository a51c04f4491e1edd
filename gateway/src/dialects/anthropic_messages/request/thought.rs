//! How much the model shall think, as it is told here, and as that is told to a client.
//!
//! Apart because a client says it in its own dialect's words, and a conversation may forbid it. It must not know which model is asked: a
//! request was made fit for it before, see `adapt`.

use gatewright_types::{ChatRequest, Message, Role};
use serde_json::Value;

use super::{OUTPUT, THINKING, own, signed};

/// A bound on tokens for who gives none: this dialect wants one.
pub(super) const MAX_TOKENS: u64 = 8192;
/// The least that a model may be told to think.
const LEAST_BUDGET: u64 = 1024;
/// What each effort of other dialects is in tokens.
const EFFORTS: [(&str, u64); 6] =
    [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16384), ("xhigh", 32768), ("max", 32768)];

/// How much everybody asks for in OpenAI's words.
pub(super) const EFFORT: &str = "reasoning_effort";

/// How the model shall think.
pub(super) enum Thought<'a> {
    Nothing,
    /// In this dialect's words.
    Said(&'a str),
    Budget(u64),
    /// It was asked to, and may not: see [`breaks_thought`].
    Off,
}

impl<'a> Thought<'a> {
    pub(super) fn of(request: &'a ChatRequest) -> Self {
        if let Some(said) = said(request) {
            let breaks = parsed(said)["type"] == "enabled" && breaks_thought(&request.messages);
            return if breaks { Self::Off } else { Self::Said(said) };
        }
        let budget = EFFORTS.iter().find(|(word, _)| effort(request) == Some(word)).map(|(_, tokens)| *tokens);
        let most = request.sampling.max_tokens.unwrap_or(MAX_TOKENS).saturating_sub(1);
        match budget.map(|tokens| tokens.min(most)).filter(|tokens| *tokens >= LEAST_BUDGET) {
            Some(_) if breaks_thought(&request.messages) || forces_a_call(request) => Self::Off,
            Some(tokens) => Self::Budget(tokens),
            None => Self::Nothing,
        }
    }

    /// The same in words, where the model is told anything.
    pub(super) fn in_effect(&self, request: &ChatRequest) -> Option<String> {
        let config = own(&request.extras, OUTPUT).map(parsed).unwrap_or_default();
        let effort = config["effort"].as_str().map(|word| format!("effort={}", in_a_header(word)));
        let thinking = request.thinking.as_ref();
        let asked = thinking.is_some_and(|thinking| thinking.effort.is_some() || thinking.budget.is_some());
        match self {
            Self::Budget(tokens) => Some(format!("budget={tokens}")),
            Self::Off => Some("off".to_owned()),
            Self::Said(json) => {
                let said = parsed(json);
                match (said["budget_tokens"].as_u64(), said["type"].as_str()) {
                    (Some(tokens), _) => Some(format!("budget={tokens}")),
                    (None, Some("disabled")) => Some("off".to_owned()),
                    (None, Some("adaptive")) => Some(effort.unwrap_or_else(|| "adaptive".to_owned())),
                    (None, word) => Some(in_a_header(word.unwrap_or("on"))),
                }
            }
            // A model that thinks without being told to takes an effort too.
            Self::Nothing if effort.is_some() => effort,
            Self::Nothing if asked || request.extras.get(EFFORT).is_some() => Some("off".to_owned()),
            Self::Nothing => None,
        }
    }
}

/// What the client said in this dialect's words.
pub(super) fn said(request: &ChatRequest) -> Option<&str> {
    own(&request.extras, THINKING).or(request.extras.get(THINKING)).filter(|json| *json != "null")
}

/// The effort that was asked for in OpenAI's words.
pub(super) fn effort(request: &ChatRequest) -> Option<&str> {
    request.extras.get(EFFORT).and_then(|json| json.strip_prefix('"')?.strip_suffix('"'))
}

pub(super) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// A client's text, on its way into a header.
fn in_a_header(word: &str) -> String {
    word.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(32).collect()
}

/// Whether the model is in the midst of calling tools without the signed thought that it began with: then it may not be given a budget. The
/// turn goes back to the last that a user said which was no result of a tool, nor beside one.
/// <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>: a turn is in one mode of thinking, tools included, and
/// begins with thought where that is on.
fn breaks_thought(messages: &[Message]) -> bool {
    let (mut first, mut calls, mut beside) = (None, false, false);
    for message in messages {
        match message.role {
            Role::User if !beside => (first, calls) = (None, false),
            Role::Assistant => {
                first.get_or_insert(message);
                calls |= !message.tool_calls.is_empty();
                beside = false;
            }
            Role::Tool => beside = true,
            _ => {}
        }
    }
    calls && first.is_some_and(|first| !signed::goes_back(first))
}

/// A model that must call a tool may not think first. Other choices are not said here, see `tools`.
pub(super) fn forces_a_call(request: &ChatRequest) -> bool {
    let choice = request.tool_choice.as_ref().map(|choice| parsed(choice.get())).unwrap_or_default();
    choice == "required" || choice["function"]["name"].is_string()
}
