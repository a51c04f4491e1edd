//! In what a server departs from OpenAI's chat completions, as data, and a request made fit for it.
//!
//! Apart because no provider is named in code: a row of the catalog says what its server is like, and this does it. What a server does
//! not take is refused by name, so that the next leg is asked, or left out where the operator wants that. It must not know who asks.

mod effort;
mod fields;

use std::borrow::Cow;
use std::collections::BTreeMap;

use gatewright_types::{ChatRequest, Fault, FaultKind, Retry, Role};
use serde::Deserialize;

use self::fields::{NEWER, asks, has, take};
use crate::dialects::anthropic_messages::Thinks;
use crate::dialects::ids::nine;
use crate::dialects::openai_chat::request::{note, unnote};
use crate::dialects::{openai_responses, recalled};

/// What a server wants otherwise. The default is a server that takes all that OpenAI's does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct Quirks {
    /// The field for the bound on tokens.
    pub max_tokens: MaxTokens,
    /// What becomes of thought in the history.
    pub reasoning: Reasoning,
    /// Ids of tool calls in the history.
    pub call_ids: CallIds,
    /// Whether it does not know `stream_options`.
    pub no_stream_options: bool,
    /// Whether it does not know the role `developer`.
    pub no_developer: bool,
    /// Fields that it knows by another name, by OpenAI's.
    pub rename: BTreeMap<String, String>,
    /// Fields that it does not take, and an answer needs: refused, or left out where the operator says so.
    pub refuse: Vec<String>,
    /// Fields that it does not take, and an answer is as good without.
    pub drop: Vec<String>,
    /// Fields on how to serve, of OpenAI's, that it takes: clients of other dialects may ask for them too.
    pub takes: Vec<String>,
    /// What holds of some of its models besides, by their names; `*` at the end matches any rest.
    pub models: BTreeMap<String, OfModel>,
}

/// What holds of some models alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfModel {
    /// Fields that it does not take, and an answer needs.
    pub refuse: Vec<String>,
    /// Fields that it does not take, and an answer is as good without.
    pub drop: Vec<String>,
    /// How it is told to think, where Messages are spoken and it does not take all that others do.
    pub thinking: Option<Thinks>,
    /// The words for an effort that it takes, where OpenAI's dialects are spoken.
    pub efforts: Vec<String>,
}

impl Quirks {
    /// The same, leaving out what it would refuse.
    #[must_use]
    pub fn dropping(mut self) -> Self {
        self.drop.append(&mut self.refuse);
        for model in self.models.values_mut() {
            model.drop.append(&mut model.refuse);
        }
        self
    }

    /// What holds of a model besides; what is said of fewer models comes first.
    fn of_model<'a>(&'a self, model: &'a str) -> Vec<&'a OfModel> {
        let is = |name: &str| name.strip_suffix('*').map_or(name == model, |start| model.starts_with(start));
        let mut found: Vec<_> = self.models.iter().filter(|(name, _)| is(name)).collect();
        found.sort_by_key(|(name, _)| std::cmp::Reverse((!name.ends_with('*'), name.len())));
        found.into_iter().map(|(_, of_model)| of_model).collect()
    }
}

/// The field for the bound on tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokens {
    /// As the client wrote it.
    #[default]
    AsAsked,
    /// `max_tokens`, always.
    MaxTokens,
    /// `max_completion_tokens`, always.
    MaxCompletionTokens,
}

/// Ids of tool calls in the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// It takes any.
    #[default]
    Any,
    /// It takes those of nine letters and digits: others are made such.
    Nine,
}

/// What becomes of thought in the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// It is sent under the name that the client used.
    #[default]
    AsAsked,
    /// It is sent as `reasoning_content`.
    ReasoningContent,
    /// It is sent as `reasoning`.
    Reasoning,
    /// It is left out.
    Leave,
    /// It is left out but of messages with tool calls, which must have it, as `reasoning_content`.
    WithCalls,
    /// It is sent under the name that the client used, and as open items where Responses are spoken.
    Open,
}

/// The request as this server takes it: copied only where something in it must change.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] with the field's name where it has one that the server does not take: another leg may.
pub fn fit<'a>(quirks: &Quirks, request: &'a ChatRequest) -> Result<Cow<'a, ChatRequest>, Fault> {
    let mut fitted = Cow::Borrowed(request);
    if quirks.reasoning != Reasoning::WithCalls && recalled::is_marked(&request.extras) {
        recalled::take(fitted.to_mut());
    }
    if *quirks == Quirks::default() {
        return Ok(fitted);
    }
    if !request.wants.is_empty() {
        // All others are of chats.
        no_stream_options(quirks, &mut fitted);
        return Ok(fitted);
    }
    quirks.takes.iter().for_each(|name| openai_responses::share(&mut fitted, name));
    let of_model = quirks.of_model(&request.model);
    for name in quirks.refuse.iter().chain(of_model.iter().flat_map(|model| &model.refuse)) {
        if asks(request, name) {
            let message = format!("`{name}` is not supported by the upstream that was asked.");
            return Err(Fault::caller(FaultKind::InvalidRequest, message).at(name.clone()).retry(Retry::Elsewhere));
        }
    }
    for name in drops(quirks, &of_model).filter(|name| has(request, name)) {
        take(fitted.to_mut(), name);
    }
    effort::fit(&of_model, &mut fitted)?;
    for (name, other) in quirks.rename.iter().filter(|(name, _)| has(request, name)) {
        let request = fitted.to_mut();
        if let Some(value) = take(request, name) {
            request.extras.push(other.as_str(), value);
        }
    }
    if request.sampling.max_tokens.is_some() {
        let newer = request.extras.get(NEWER).is_some();
        match quirks.max_tokens {
            MaxTokens::MaxTokens if newer => drop(fitted.to_mut().extras.take(NEWER)),
            MaxTokens::MaxCompletionTokens if !newer => note(&mut fitted.to_mut().extras, NEWER),
            _ => {}
        }
    }
    no_stream_options(quirks, &mut fitted);
    fit_messages(quirks, request, &mut fitted);
    if quirks.call_ids == CallIds::Nine {
        fit_ids(request, &mut fitted);
    }
    Ok(fitted)
}

/// What is left out of a request that this server does not take, and an answer is as good without.
pub fn dropped(quirks: &Quirks, request: &ChatRequest) -> Vec<String> {
    if !request.wants.is_empty() {
        return Vec::new();
    }
    drops(quirks, &quirks.of_model(&request.model)).filter(|name| asks(request, name)).cloned().collect()
}

fn drops<'a>(quirks: &'a Quirks, of_model: &[&'a OfModel]) -> impl Iterator<Item = &'a String> {
    quirks.drop.iter().chain(of_model.iter().flat_map(|model| &model.drop))
}

fn no_stream_options(quirks: &Quirks, fitted: &mut Cow<'_, ChatRequest>) {
    if quirks.no_stream_options && fitted.stream {
        let extras = &mut fitted.to_mut().extras;
        extras.take(STREAM_OPTIONS);
        note(extras, STREAM_OPTIONS);
    }
}

const STREAM_OPTIONS: &str = "stream_options";
/// Of thought in a message.
const NAMES: [&str; 2] = ["reasoning", "reasoning_content"];

fn fit_messages(quirks: &Quirks, request: &ChatRequest, fitted: &mut Cow<'_, ChatRequest>) {
    for (at, message) in request.messages.iter().enumerate() {
        let developer = quirks.no_developer && message.role == Role::Developer;
        let said = message.reasoning.is_some() || message.extras.get("reasoning").is_some();
        let thought = quirks.reasoning != Reasoning::AsAsked && said;
        if !developer && !thought {
            continue;
        }
        let Some(message) = fitted.to_mut().messages.get_mut(at) else { continue };
        if developer {
            message.role = Role::System;
        }
        if !thought {
            continue;
        }
        match quirks.reasoning {
            Reasoning::AsAsked => {}
            Reasoning::Open => openai_responses::keep_open(&mut message.extras),
            Reasoning::WithCalls if !message.tool_calls.is_empty() => unnote(&mut message.extras, &NAMES),
            Reasoning::ReasoningContent => unnote(&mut message.extras, &NAMES),
            Reasoning::Reasoning => {
                unnote(&mut message.extras, &NAMES);
                note(&mut message.extras, "reasoning");
            }
            Reasoning::Leave | Reasoning::WithCalls => {
                message.reasoning = None;
                message.extras.retain(|name, _| !NAMES.contains(&name));
            }
        }
    }
}

/// Calls and their results keep to each other, for an id's letters depend on the id alone.
fn fit_ids(request: &ChatRequest, fitted: &mut Cow<'_, ChatRequest>) {
    for (at, message) in request.messages.iter().enumerate() {
        if message.tool_calls.is_empty() && message.tool_call_id.is_none() {
            continue;
        }
        let Some(message) = fitted.to_mut().messages.get_mut(at) else { continue };
        let ids = message.tool_calls.iter_mut().map(|call| &mut call.id).chain(message.tool_call_id.as_mut());
        ids.for_each(|id| *id = nine(id).into_owned());
    }
}

#[cfg(test)]
mod tests;
