//! Models that choose by themselves how much they think, and take an effort in the place of a budget, and models that take a budget alone.
//!
//! Apart because which models these are is data, and a rule of theirs changes nothing for others. It must not know their names.
//!
//! The rules: <https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting>, "Thinking support, defaults, and rejected
//! configurations by model", and <https://platform.claude.com/docs/en/build-with-claude/effort>.

use std::borrow::Cow;

use gatewright_types::{ChatRequest, Extras, Fault, FaultKind, Retry};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::thought::{EFFORT, effort, forces_a_call, parsed, said};
use super::{OUTPUT, THINKING, keep, own, raw_json};
use crate::dialects::anthropic_messages::NAME;
use crate::dialects::out::Out;
use crate::dialects::{efforts, wire};

/// How a model is told to think. All but the first take no budget but `adaptive` and an effort; they differ in how they are told not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinks {
    /// By a budget, and in no other way.
    Budget,
    /// `disabled`.
    Adaptive,
    /// `between_tools`.
    BetweenTools,
    /// Nothing: it always thinks. The least effort comes nearest.
    Always,
}

/// The efforts that all of them take.
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// Says how the model shall think in the words that it takes. What its client said in such words stays as it is.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] where it always thinks, and must call a tool: another leg may do both.
pub(crate) fn adapt(request: &mut Cow<'_, ChatRequest>, thinks: Thinks) -> Result<(), Fault> {
    let told = said(request).map(parsed).unwrap_or_default();
    match (told["type"].as_str(), effort(request)) {
        (Some("adaptive"), _) if thinks == Thinks::Budget => {
            let config = own(&request.extras, OUTPUT).map(parsed).unwrap_or_default();
            let request = request.to_mut();
            forget(&mut request.extras, THINKING);
            configure(&mut request.extras, None);
            // As everybody asks for a budget here. Who says nothing more is thought much for.
            let word = config["effort"].as_str().unwrap_or("high");
            request.extras.push(EFFORT, raw_json(json!(word).to_string()));
        }
        _ if thinks == Thinks::Budget => {}
        (Some("enabled"), _) => {
            let mut thinking = json!({ "type": "adaptive" });
            if let Value::String(display) = &told["display"] {
                thinking["display"] = display.as_str().into();
            }
            let word = told["budget_tokens"].as_u64().map(efforts::of_budget);
            tell(request.to_mut(), Some(&thinking), word);
        }
        (Some("disabled"), _) | (None, Some(efforts::NONE)) => still(request.to_mut(), thinks),
        // Who speaks another dialect may want both; here a call is not forced on a model that thinks.
        (None, Some(_)) if forces_a_call(request) => {
            if thinks == Thinks::Always {
                let message = "The model that would answer always thinks, and cannot be told to call a tool.";
                let fault = Fault::caller(FaultKind::InvalidRequest, message).at("tool_choice");
                return Err(fault.retry(Retry::Elsewhere));
            }
            still(request.to_mut(), thinks);
        }
        (None, Some(word)) => {
            let word = efforts::nearest(word, &EFFORTS);
            // Others show what was thought without being asked to.
            tell(request.to_mut(), Some(&json!({ "type": "adaptive", "display": "summarized" })), word);
        }
        _ => {}
    }
    Ok(())
}

/// Tells a model not to think, or as little as it can.
fn still(request: &mut ChatRequest, thinks: Thinks) {
    match thinks {
        Thinks::Adaptive => tell(request, Some(&json!({ "type": "disabled" })), None),
        Thinks::BetweenTools => tell(request, Some(&json!({ "type": "between_tools" })), None),
        Thinks::Always | Thinks::Budget => tell(request, None, Some("low")),
    }
}

/// Puts what the model is told into a request. An effort that its client gave in this dialect's words stays.
fn tell(request: &mut ChatRequest, thinking: Option<&Value>, effort: Option<&str>) {
    forget(&mut request.extras, THINKING);
    if let Some(thinking) = thinking.and_then(|thinking| to_raw_value(thinking).ok()) {
        keep(&mut request.extras, THINKING, &thinking);
    }
    let known = own(&request.extras, OUTPUT).map(parsed).unwrap_or_default();
    if let Some(word) = effort.filter(|_| !known["effort"].is_string()) {
        configure(&mut request.extras, Some(word));
    }
}

/// Takes a field out, also where another dialect's client gave it under this name.
fn forget(extras: &mut Extras, field: &str) {
    extras.take(&crate::dialects::own(NAME, field));
    extras.take(field);
}

/// Sets or takes the effort of an answer's configuration; the rest of it stays as it is.
fn configure(extras: &mut Extras, effort: Option<&str>) {
    let rest = extras.take(&crate::dialects::own(NAME, OUTPUT));
    let mut out = Out::default();
    out.open();
    let fields = rest.as_deref().and_then(|raw: &RawValue| wire::object(raw).ok());
    for (name, value) in fields.iter().flat_map(|fields| &fields.0).filter(|(name, _)| name != "effort") {
        out.field(name, value.get());
    }
    effort.into_iter().for_each(|word| out.text("effort", word));
    out.close();
    let json = String::from_utf8(out.done().into()).unwrap_or_default();
    if json.len() > 2 {
        keep(extras, OUTPUT, &raw_json(json));
    }
}

/// Whether a request asks for thought in this dialect's words.
pub(crate) fn asks_for_thought(request: &ChatRequest) -> bool {
    let asks = |thinking: &gatewright_types::Thinking| {
        thinking.budget != Some(0) && (thinking.budget.is_some() || thinking.effort.is_some())
    };
    let told = own(&request.extras, THINKING).map(parsed).unwrap_or_default();
    request.thinking.as_ref().is_some_and(asks) || matches!(told["type"].as_str(), Some("enabled" | "adaptive"))
}

/// Takes out all that a request says of thought in this dialect's words.
pub(crate) fn forget_thought(request: &mut ChatRequest) {
    if let Some(thinking) = &mut request.thinking {
        (thinking.budget, thinking.effort) = (None, None);
    }
    request.extras.take(&crate::dialects::own(NAME, THINKING));
    if own(&request.extras, OUTPUT).is_some() {
        configure(&mut request.extras, None);
    }
}
