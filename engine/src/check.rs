//! What a request asks of this engine, checked: what it cannot do is refused by name, never ignored.
//!
//! Apart because it is the list of what is supported. It must not know text or tensors.

use gatewright_types::{ChatRequest, Extras};
use serde_json::Value;

use crate::config::GenerationConfig;
use crate::error::EngineError;
use crate::sample::Sampler;

/// Choices of one request.
pub(crate) const MAX_CHOICES: u32 = 16;
/// Stop texts of one request: each is looked for in every piece of the answer.
const MAX_STOPS: usize = 16;
/// Bytes of all of them.
const MAX_STOP_BYTES: usize = 4096;

/// Fields that dialects keep in the request's pocket and that would change the answer.
const UNSUPPORTED_EXTRAS: [&str; 7] =
    ["logit_bias", "top_k", "min_p", "repetition_penalty", "functions", "function_call", "prediction"];

/// How to answer a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) sampler: Sampler,
    pub(crate) seed: Option<u64>,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) choices: u32,
}

/// Reads the request's controls; what it leaves open is as the model's makers advise.
///
/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(crate) fn plan(request: &ChatRequest, advised: &GenerationConfig) -> Result<Plan, EngineError> {
    let sampling = &request.sampling;
    let refuse = |param: &str, what: &str| Err(EngineError::unsupported(param, format!("`{param}`: {what}")));
    if sampling.logprobs == Some(true) {
        return refuse("logprobs", "the embedded engine gives no log probabilities");
    }
    if sampling.top_logprobs.is_some_and(|n| n > 0) {
        return refuse("top_logprobs", "the embedded engine gives no log probabilities");
    }
    if sampling.presence_penalty.is_some_and(|p| p != 0.0) {
        return refuse("presence_penalty", "the embedded engine has no penalties");
    }
    if sampling.frequency_penalty.is_some_and(|p| p != 0.0) {
        return refuse("frequency_penalty", "the embedded engine has no penalties");
    }
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
        sampler: sampler(request, advised)?,
        seed: sampling.seed.map(i64::cast_unsigned),
        max_tokens: sampling.max_tokens.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        choices,
    })
}

fn sampler(request: &ChatRequest, advised: &GenerationConfig) -> Result<Sampler, EngineError> {
    let (temperature, top_p) = (request.sampling.temperature, request.sampling.top_p);
    if let Some(t) = temperature.filter(|t| !(0.0..=100.0).contains(t)) {
        return Err(EngineError::unsupported("temperature", format!("`temperature`: {t} is not between 0 and 100")));
    }
    if let Some(p) = top_p.filter(|p| !(0.0..=1.0).contains(p)) {
        return Err(EngineError::unsupported("top_p", format!("`top_p`: {p} is not between 0 and 1")));
    }
    let temperature = match temperature {
        Some(t) => t,
        None if advised.do_sample == Some(false) => 0.0,
        None => advised.temperature.unwrap_or(1.0),
    };
    if temperature <= 0.0 {
        return Ok(Sampler::Greedy);
    }
    let top_p = top_p.or(advised.top_p).unwrap_or(1.0);
    Ok(Sampler::Draw { temperature, top_p, top_k: advised.top_k.unwrap_or(0) })
}

/// Whether a field of the pocket is there and asks for something.
fn asks(extras: &Extras, name: &str) -> bool {
    extras.get(name).is_some_and(|json| !matches!(json, "null" | "{}" | "[]"))
}

fn is_text(format: Option<&str>) -> bool {
    let Some(json) = format else { return true };
    let value = serde_json::from_str::<Value>(json).unwrap_or(Value::Null);
    value.is_null() || value.get("type").and_then(Value::as_str) == Some("text")
}

#[cfg(test)]
mod tests {
    use gatewright_types::{RawJson, Sampling};

    use super::*;

    fn raw(json: &str) -> RawJson {
        serde_json::from_str(json).unwrap()
    }

    fn refused(change: impl FnOnce(&mut ChatRequest)) -> String {
        let mut request = ChatRequest::default();
        change(&mut request);
        match plan(&request, &GenerationConfig::default()) {
            Err(EngineError::Unsupported { param, message }) if message.contains(&param) => param,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        assert_eq!(refused(|r| r.sampling.logprobs = Some(true)), "logprobs");
        assert_eq!(refused(|r| r.sampling.top_logprobs = Some(2)), "top_logprobs");
        assert_eq!(refused(|r| r.sampling.presence_penalty = Some(0.5)), "presence_penalty");
        assert_eq!(refused(|r| r.sampling.frequency_penalty = Some(-0.5)), "frequency_penalty");
        assert_eq!(refused(|r| r.extras.push("logit_bias", raw(r#"{"5": 1}"#))), "logit_bias");
        assert_eq!(refused(|r| r.response_format = Some(raw(r#"{"type":"json_object"}"#))), "response_format");
        assert_eq!(refused(|r| r.tool_choice = Some(raw("\"required\""))), "tool_choice");
        assert_eq!(refused(|r| r.tool_choice = Some(raw(r#"{"type":"function"}"#))), "tool_choice");
        assert_eq!(refused(|r| r.sampling.max_tokens = Some(0)), "max_tokens");
        assert_eq!(refused(|r| r.sampling.n = Some(17)), "n");
        assert_eq!(refused(|r| r.sampling.temperature = Some(-1.0)), "temperature");
        assert_eq!(refused(|r| r.sampling.top_p = Some(1.5)), "top_p");
        assert_eq!(refused(|r| r.sampling.stop = vec!["a".to_owned(); 17]), "stop");
        assert_eq!(refused(|r| r.sampling.stop = vec!["a".repeat(2048), "b".repeat(2049)]), "stop");
    }

    #[test]
    fn fields_that_ask_for_nothing_pass() {
        let mut request = ChatRequest {
            response_format: Some(raw(r#"{"type":"text"}"#)),
            tool_choice: Some(raw("\"auto\"")),
            sampling: Sampling { logprobs: Some(false), presence_penalty: Some(0.0), ..Sampling::default() },
            ..ChatRequest::default()
        };
        request.sampling.stop = vec!["a".repeat(256); 16];
        request.extras.push("logit_bias", raw("{}"));
        request.extras.push("user", raw("\"someone\""));
        assert!(plan(&request, &GenerationConfig::default()).is_ok());
    }

    #[test]
    fn the_models_advice_fills_what_is_left_open() {
        let advised = GenerationConfig { temperature: Some(0.6), top_p: Some(0.95), ..GenerationConfig::default() };
        let with = |temperature, advised: &GenerationConfig| {
            let sampling = Sampling { temperature, seed: Some(-1), ..Sampling::default() };
            plan(&ChatRequest { sampling, ..ChatRequest::default() }, advised).unwrap()
        };
        assert_eq!(with(None, &advised).sampler, Sampler::Draw { temperature: 0.6, top_p: 0.95, top_k: 0 });
        assert_eq!(with(Some(0.0), &advised).sampler, Sampler::Greedy);
        let greedy = GenerationConfig { do_sample: Some(false), ..advised };
        assert_eq!(with(None, &greedy).sampler, Sampler::Greedy);
        assert_eq!(with(Some(0.5), &greedy).seed, Some(u64::MAX));
    }
}
