//! How a request wants tokens to be chosen, with the bounds that OpenAI and vLLM set; what it leaves open is as the model's makers advise.
//!
//! Apart because these are the controls that every engine has. It must not know what is written with them.

use gatewright_types::{ChatRequest, Extras};
use serde_json::Value;

use super::fields::{number, refuse, value, within};
use crate::config::GenerationConfig;
use crate::error::EngineError;
use crate::sample::Sampler;
use crate::sample::shaping::Shaping;

/// Biases of one request: OpenAI takes 300.
const MAX_BIASES: usize = 1024;
/// Alternatives a token.
const MAX_TOP: u32 = 20;

pub(super) fn sampler(request: &ChatRequest, advised: &GenerationConfig) -> Result<Sampler, EngineError> {
    let sampling = &request.sampling;
    let given = |value: Option<f64>, name: &str, most: f64| value.map(|v| within(Some(v), name, 0.0..=most)).transpose();
    let (temperature, top_p) = (given(sampling.temperature, "temperature", 100.0)?, given(sampling.top_p, "top_p", 1.0)?);
    let (top_k, min_p) = (top_k(&request.extras)?, number(&request.extras, "min_p", 0.0..=1.0)?);
    let temperature = match temperature {
        Some(t) => t,
        None if advised.do_sample == Some(false) => 0.0,
        None => advised.temperature.unwrap_or(1.0),
    };
    if temperature <= 0.0 {
        return Ok(Sampler::Greedy);
    }
    Ok(Sampler::Draw {
        temperature,
        min_p: min_p.or(advised.min_p).unwrap_or(0.0),
        top_k: top_k.or(advised.top_k).unwrap_or(0),
        top_p: top_p.or(advised.top_p).unwrap_or(1.0),
    })
}

/// 0 and -1 are all, as in vLLM.
fn top_k(extras: &Extras) -> Result<Option<usize>, EngineError> {
    let Some(given) = value(extras, "top_k") else { return Ok(None) };
    match given.as_i64() {
        Some(-1) => Ok(Some(0)),
        Some(k) if k >= 0 => Ok(Some(usize::try_from(k).unwrap_or(usize::MAX))),
        _ => refuse("top_k", "must be a whole number from 0 on, or -1 for all"),
    }
}

/// `vocab` is the number of tokens.
pub(super) fn shaping(request: &ChatRequest, advised: &GenerationConfig, vocab: usize) -> Result<Shaping, EngineError> {
    let penalty = |value: Option<f64>, name: &str| match value {
        Some(given) => within(Some(given), name, -2.0..=2.0).map(|given| given as f32),
        None => Ok(0.0),
    };
    let repetition = number(&request.extras, "repetition_penalty", 0.01..=100.0)?.or(advised.repetition_penalty);
    Ok(Shaping {
        presence: penalty(request.sampling.presence_penalty, "presence_penalty")?,
        frequency: penalty(request.sampling.frequency_penalty, "frequency_penalty")?,
        repetition: repetition.unwrap_or(1.0) as f32,
        bias: bias(&request.extras, vocab)?,
    })
}

/// Token ids, as texts, to numbers between -100 and 100.
fn bias(extras: &Extras, vocab: usize) -> Result<Vec<(u32, f32)>, EngineError> {
    let name = "logit_bias";
    let all = match value(extras, name) {
        None => return Ok(Vec::new()),
        Some(Value::Object(all)) if all.len() <= MAX_BIASES => all,
        Some(_) => return refuse(name, format!("must be an object of at most {MAX_BIASES} token ids")),
    };
    let one = |(token, by): (String, Value)| match token.parse::<u32>() {
        Ok(id) if (id as usize) < vocab => Ok((id, within(by.as_f64(), name, -100.0..=100.0)? as f32)),
        _ => refuse(name, format!("`{token}` is no token id of this model")),
    };
    all.into_iter().map(one).collect()
}

/// How many alternatives are wanted beside each token's log probability; `None` if nothing is.
pub(super) fn logprobs(request: &ChatRequest) -> Result<Option<usize>, EngineError> {
    let (wanted, top) = (request.sampling.logprobs == Some(true), request.sampling.top_logprobs.unwrap_or(0));
    if top > MAX_TOP {
        return refuse("top_logprobs", format!("must be between 0 and {MAX_TOP}"));
    }
    if top > 0 && !wanted {
        return refuse("top_logprobs", "needs `logprobs` to be true");
    }
    Ok(wanted.then_some(top as usize))
}
