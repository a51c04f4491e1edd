//! How much a request lets the model think, and whether the client is told of it.
//!
//! Apart because every API says it in words of its own: OpenAI's `reasoning_effort`, OpenRouter's `reasoning` and `include_reasoning`,
//! Qwen's `thinking_budget`, vLLM's `thinking_token_budget`, the `thinking` of Anthropic and DeepSeek. It must not know tokens' ids.

use gatewright_types::{ChatRequest, Extras};
use serde_json::{Map, Value};

use super::fields::{known, refuse, value};
use crate::error::EngineError;

/// What each effort is in tokens; `None` is as much as the model wants.
const EFFORTS: [(&str, Option<usize>); 6] =
    [("none", Some(0)), ("minimal", Some(512)), ("low", Some(2048)), ("medium", Some(8192)), ("high", None), ("xhigh", None)];

/// What a request hands to the model's chat template.
pub(super) const KWARGS: &str = "chat_template_kwargs";

/// What a request says of the thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Thinking {
    /// Tokens after which it is closed.
    pub(crate) budget: Option<usize>,
    pub(crate) shown: Shown,
}

/// Whether the client is told what the model thinks. It is counted either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shown {
    #[default]
    Yes,
    No,
}

/// What a request says, in its dialect's words or in those of the canonical request.
///
/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(super) fn thinking(request: &ChatRequest) -> Result<Thinking, EngineError> {
    let said = words(&request.extras)?;
    let Some(asked) = request.thinking.as_ref().filter(|_| said.budget.is_none()) else { return Ok(said) };
    // Of a word that we do not know, another dialect's, the model's own measure is taken.
    let effort = EFFORTS.iter().find(|(word, _)| asked.effort.as_deref() == Some(word)).and_then(|(_, tokens)| *tokens);
    let budget = asked.budget.map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
    Ok(Thinking { budget: budget.or(effort), ..said })
}

/// Reads all of them; a number counts more than a word.
fn words(extras: &Extras) -> Result<Thinking, EngineError> {
    let mut effort = effort("reasoning_effort", value(extras, "reasoning_effort"))?;
    let mut tokens = None;
    for name in ["thinking_budget", "thinking_token_budget"] {
        tokens = tokens.or(count(name, value(extras, name))?);
    }
    let mut shown = flag("include_reasoning", value(extras, "include_reasoning"))?;
    if let Some(mut fields) = object("reasoning", extras)? {
        effort = self::effort("reasoning.effort", fields.remove("effort"))?.or(effort);
        tokens = tokens.or(count("reasoning.max_tokens", fields.remove("max_tokens"))?);
        shown = flag("reasoning.exclude", fields.remove("exclude"))?.map(|hidden| !hidden).or(shown);
        if flag("reasoning.enabled", fields.remove("enabled"))? == Some(false) {
            tokens = Some(0);
        }
        known("reasoning", &fields)?;
    }
    if let Some(mut fields) = object("thinking", extras)? {
        tokens = tokens.or(count("thinking.budget_tokens", fields.remove("budget_tokens"))?);
        match fields.remove("type").as_ref().and_then(Value::as_str) {
            Some("disabled") => tokens = Some(0),
            Some("enabled" | "adaptive" | "auto") => {}
            _ => return refuse("thinking.type", "must be enabled or disabled"),
        }
        known("thinking", &fields)?;
    }
    // Qwen's switches, and DeepSeek's for V3.1: the template may heed them, but not every template does.
    let kwargs = object(KWARGS, extras)?.unwrap_or_default();
    for (name, given) in [("enable_thinking", value(extras, "enable_thinking").as_ref()), (KWARGS, kwargs.get("enable_thinking"))] {
        if flag(name, given.cloned())? == Some(false) {
            tokens = Some(0);
        }
    }
    if flag(KWARGS, kwargs.get("thinking").cloned())? == Some(false) {
        tokens = Some(0);
    }
    let shown = if shown == Some(false) { Shown::No } else { Shown::Yes };
    Ok(Thinking { budget: tokens.or(effort.flatten()), shown })
}

fn effort(name: &str, given: Option<Value>) -> Result<Option<Option<usize>>, EngineError> {
    let Some(given) = given.filter(|value| !value.is_null()) else { return Ok(None) };
    match EFFORTS.iter().find(|(word, _)| given.as_str() == Some(word)) {
        Some((_, tokens)) => Ok(Some(*tokens)),
        None => refuse(name, format!("must be one of {}", EFFORTS.map(|(word, _)| word).join(", "))),
    }
}

fn count(name: &str, given: Option<Value>) -> Result<Option<usize>, EngineError> {
    let Some(given) = given.filter(|value| !value.is_null()) else { return Ok(None) };
    match given.as_u64() {
        Some(tokens) => Ok(Some(usize::try_from(tokens).unwrap_or(usize::MAX))),
        None => refuse(name, "must be a whole number of tokens, from 0 on"),
    }
}

fn flag(name: &str, given: Option<Value>) -> Result<Option<bool>, EngineError> {
    match given {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(given)) => Ok(Some(given)),
        Some(_) => refuse(name, "must be true or false"),
    }
}

fn object(name: &str, extras: &Extras) -> Result<Option<Map<String, Value>>, EngineError> {
    match value(extras, name) {
        None => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(_) => refuse(name, "must be an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&'static str, &str)]) -> Result<Thinking, String> {
        let mut extras = Extras::new();
        fields.iter().for_each(|(name, json)| extras.push(*name, serde_json::from_str(json).unwrap()));
        words(&extras).map_err(|e| match e {
            EngineError::Unsupported { param, .. } => param,
            other => panic!("{other:?}"),
        })
    }

    fn budget(name: &'static str, json: &str) -> Option<usize> {
        read(&[(name, json)]).unwrap().budget
    }

    #[test]
    fn each_api_has_its_words() {
        assert_eq!(read(&[]), Ok(Thinking::default()));
        assert_eq!((budget("reasoning_effort", r#""low""#), budget("reasoning_effort", r#""high""#)), (Some(2048), None));
        assert_eq!((budget("thinking_budget", "100"), budget("thinking_token_budget", "0")), (Some(100), Some(0)));
        assert_eq!(budget("reasoning", r#"{"max_tokens": 7, "effort": "low"}"#), Some(7));
        assert_eq!(
            (budget("reasoning", r#"{"effort": "none"}"#), budget("reasoning", r#"{"enabled": false}"#)),
            (Some(0), Some(0))
        );
        assert_eq!(budget("thinking", r#"{"type": "enabled", "budget_tokens": 1024}"#), Some(1024));
        assert_eq!(budget("thinking", r#"{"type": "disabled"}"#), Some(0));
        assert_eq!(read(&[("reasoning_effort", r#""low""#), ("thinking_budget", "5")]).unwrap().budget, Some(5));
        assert_eq!((budget("enable_thinking", "false"), budget("enable_thinking", "true")), (Some(0), None));
        assert_eq!(budget(KWARGS, r#"{"thinking": false}"#), Some(0));
        assert_eq!(
            (budget(KWARGS, r#"{"enable_thinking": false}"#), budget(KWARGS, r#"{"enable_thinking": true}"#)),
            (Some(0), None)
        );
        assert_eq!(read(&[("include_reasoning", "false")]).unwrap().shown, Shown::No);
        assert_eq!(read(&[("reasoning", r#"{"exclude": true, "effort": "minimal"}"#)]).unwrap().shown, Shown::No);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(read(&[("reasoning_effort", r#""huge""#)]), Err("reasoning_effort".into()));
        assert_eq!(read(&[("thinking_budget", "-1")]), Err("thinking_budget".into()));
        assert_eq!(read(&[("include_reasoning", "0")]), Err("include_reasoning".into()));
        assert_eq!(read(&[("reasoning", r#"{"summary": "auto"}"#)]), Err("reasoning.summary".into()));
        assert_eq!(read(&[("thinking", r#"{"budget_tokens": 5}"#)]), Err("thinking.type".into()));
    }
}
