//! How much a model shall think, in the words that it takes.
//!
//! Apart because it is the one thing that each dialect asks for otherwise and each model takes otherwise. A client's word of OpenAI's own
//! stays what it is: what a model takes of those is its server's to judge. It must not know who asks.

use std::borrow::Cow;

use gatewright_types::{ChatRequest, Fault};
use serde_json::value::to_raw_value;

use super::OfModel;
use super::fields::EFFORT;
use crate::dialects::{anthropic_messages, efforts, openai_chat};

/// Says it as the rules of a model want it.
///
/// # Errors
/// The model cannot do what else is wanted while it thinks.
pub(super) fn fit(of_model: &[&OfModel], fitted: &mut Cow<'_, ChatRequest>) -> Result<(), Fault> {
    if let Some(thinks) = of_model.iter().find_map(|model| model.thinking) {
        anthropic_messages::adapt(fitted, thinks)?;
    }
    if let Some(known) = of_model.iter().map(|model| &model.efforts).find(|known| !known.is_empty())
        && let Some(word) = wanted(fitted).and_then(|word| efforts::nearest(word, known))
        && let Ok(json) = to_raw_value(word)
    {
        fitted.to_mut().extras.push(EFFORT, json);
    }
    Ok(())
}

/// The effort that is wanted in words of another dialect than OpenAI's.
fn wanted(request: &ChatRequest) -> Option<&str> {
    let thinking = request.thinking.as_ref().filter(|_| request.extras.get(EFFORT).is_none())?;
    match (thinking.budget, thinking.effort.as_deref()) {
        (Some(0), _) => Some(efforts::NONE),
        (_, Some(word)) => Some(word),
        _ => openai_chat::request::effort(request),
    }
}
