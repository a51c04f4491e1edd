//! In what a server departs from OpenAI's chat completions, as data, and a request made fit for it.
//!
//! Apart because no provider is named in code: a row of the catalog says what its server is like, and this does it. What a server does
//! not take is refused by name, so that the next leg is asked, or left out where the operator wants that. It must not know who asks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gatewright_types::{ChatRequest, Fault, FaultKind, RawJson, Retry, Role, Sampling};
use serde::Deserialize;
use serde_json::value::to_raw_value;

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
    /// What some of its models do not take besides, by their names; `*` at the end matches any rest.
    pub models: BTreeMap<String, Untaken>,
}

/// Fields that a model does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Untaken {
    /// An answer needs them.
    pub refuse: Vec<String>,
    /// An answer is as good without.
    pub drop: Vec<String>,
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

    /// What a model does not take besides.
    fn of_model<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Untaken> {
        let is = move |name: &str| name.strip_suffix('*').map_or(name == model, |start| model.starts_with(start));
        self.models.iter().filter(move |(name, _)| is(name)).map(|(_, untaken)| untaken)
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
    let of_model: Vec<&Untaken> = quirks.of_model(&request.model).collect();
    for name in quirks.refuse.iter().chain(of_model.iter().flat_map(|model| &model.refuse)) {
        if has(request, name) {
            let message = format!("`{name}` is not supported by the upstream that was asked.");
            return Err(Fault::caller(FaultKind::InvalidRequest, message).at(name.clone()).retry(Retry::Elsewhere));
        }
    }
    let dropped = quirks.drop.iter().chain(of_model.iter().flat_map(|model| &model.drop));
    for name in dropped.filter(|name| has(request, name)) {
        take(fitted.to_mut(), name);
    }
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
    Ok(fitted)
}

fn no_stream_options(quirks: &Quirks, fitted: &mut Cow<'_, ChatRequest>) {
    if quirks.no_stream_options && fitted.stream {
        let extras = &mut fitted.to_mut().extras;
        extras.take(STREAM_OPTIONS);
        note(extras, STREAM_OPTIONS);
    }
}

const NEWER: &str = "max_completion_tokens";
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

/// Whether a request has a field, by OpenAI's name.
fn has(request: &ChatRequest, name: &str) -> bool {
    let Sampling { max_tokens, temperature, top_p, presence_penalty, frequency_penalty, seed, stop, n, logprobs, top_logprobs } =
        &request.sampling;
    match name {
        "max_tokens" | "max_completion_tokens" => max_tokens.is_some(),
        // One is what everybody does who is not told otherwise.
        "temperature" => temperature.is_some_and(|heat| heat != 1.0),
        "top_p" => top_p.is_some_and(|share| share != 1.0),
        "presence_penalty" => presence_penalty.is_some_and(|penalty| penalty != 0.0),
        "frequency_penalty" => frequency_penalty.is_some_and(|penalty| penalty != 0.0),
        "seed" => seed.is_some(),
        "stop" => !stop.is_empty(),
        "n" => n.is_some_and(|n| n != 1),
        "logprobs" => logprobs.is_some_and(|wanted| wanted),
        "top_logprobs" => top_logprobs.is_some(),
        "tools" => !request.tools.is_empty(),
        "tool_choice" => request.tool_choice.is_some(),
        "response_format" => request.response_format.is_some(),
        other => request.extras.get(other).is_some_and(|json| json != "null"),
    }
}

/// Takes a field out of a request; its value, where it is one that can be sent under another name.
fn take(request: &mut ChatRequest, name: &str) -> Option<RawJson> {
    fn json<T: serde::Serialize>(value: Option<T>) -> Option<RawJson> {
        value.and_then(|value| to_raw_value(&value).ok())
    }
    let sampling = &mut request.sampling;
    match name {
        "max_tokens" | "max_completion_tokens" => {
            request.extras.take(NEWER);
            json(sampling.max_tokens.take())
        }
        "temperature" => json(sampling.temperature.take()),
        "top_p" => json(sampling.top_p.take()),
        "presence_penalty" => json(sampling.presence_penalty.take()),
        "frequency_penalty" => json(sampling.frequency_penalty.take()),
        "seed" => json(sampling.seed.take()),
        "stop" => {
            request.extras.take("stop");
            json(Some(std::mem::take(&mut sampling.stop)))
        }
        "n" => json(sampling.n.take()),
        "logprobs" => json(sampling.logprobs.take()),
        "top_logprobs" => json(sampling.top_logprobs.take()),
        "tools" => {
            request.tools.clear();
            None
        }
        "tool_choice" => request.tool_choice.take(),
        "response_format" => request.response_format.take(),
        other => request.extras.take(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::openai_chat::request::{read, write};
    use serde_json::{Value, json};

    /// What would be sent of a request to a server with these quirks.
    fn sent(quirks: &str, request: &Value) -> Value {
        let quirks: Quirks = toml::from_str(quirks).unwrap();
        let request = read(request.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&write(&fit(&quirks, &request).unwrap())).unwrap()
    }

    fn asks(fields: Value) -> Value {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    }

    #[test]
    fn the_bound_on_tokens_has_the_name_that_the_server_knows() {
        for (quirk, asked, wanted) in [
            ("max_tokens = 'max_tokens'", "max_completion_tokens", "max_tokens"),
            ("max_tokens = 'max_completion_tokens'", "max_tokens", "max_completion_tokens"),
            ("max_tokens = 'max_completion_tokens'", "max_completion_tokens", "max_completion_tokens"),
            ("", "max_completion_tokens", "max_completion_tokens"),
            ("", "max_tokens", "max_tokens"),
        ] {
            let body = sent(quirk, &asks(json!({asked: 7})));
            assert_eq!((&body[wanted], body.as_object().unwrap().len()), (&json!(7), 3), "{quirk} {asked}: {body}");
        }
    }

    #[test]
    fn fields_are_renamed_dropped_or_refused() {
        let body =
            sent("rename = {seed = 'random_seed'}\ndrop = ['user', 'n']", &asks(json!({"seed": 5, "user": "u", "n": 2, "x": 1})));
        assert_eq!(body, asks(json!({"random_seed": 5, "x": 1})));
        let quirks: Quirks = toml::from_str("refuse = ['logprobs', 'top_k']").unwrap();
        for (field, value) in [("logprobs", json!(true)), ("top_k", json!(3))] {
            let request = read(asks(json!({field: value})).to_string().as_bytes()).unwrap();
            let fault = fit(&quirks, &request).unwrap_err();
            assert_eq!((fault.status(), fault.param.as_deref(), fault.retry), (400, Some(field), Retry::Elsewhere));
        }
        let request = read(asks(json!({"logprobs": false, "top_k": null})).to_string().as_bytes()).unwrap();
        assert!(matches!(fit(&quirks, &request), Ok(Cow::Borrowed(_))), "what asks for nothing is no reason to refuse");
    }

    #[test]
    fn what_one_model_does_not_take_another_may() {
        let text = "models = {'o1*' = {refuse = ['temperature', 'logprobs']}}";
        let quirks: Quirks = toml::from_str(text).unwrap();
        let asking = |model: &str, heat: f64| {
            read(
                json!({"model": model, "messages": [{"role": "user", "content": "x"}], "temperature": heat}).to_string().as_bytes(),
            )
            .unwrap()
        };
        let fault = fit(&quirks, &asking("o1-mini", 0.5)).unwrap_err();
        assert_eq!((fault.param.as_deref(), fault.retry), (Some("temperature"), Retry::Elsewhere));
        assert!(fit(&quirks, &asking("gpt-4o", 0.5)).is_ok() && fit(&quirks, &asking("o1", 1.0)).is_ok());
        assert_eq!(fit(&quirks.dropping(), &asking("o1", 0.5)).unwrap().sampling.temperature, None);
    }

    #[test]
    fn thought_in_the_history_goes_as_the_server_wants_it() {
        let call = json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
        let history = |field: &str| {
            asks(json!({"messages": [
                {"role": "assistant", "content": "1", field: "t"},
                {"role": "assistant", "content": null, field: "t", "tool_calls": call},
            ]}))
        };
        let said = |quirk: &str, field: &str| {
            let body = sent(&format!("reasoning = '{quirk}'"), &history(field));
            let told = |at: usize| {
                let message = &body["messages"][at];
                (message.get("reasoning").is_some(), message.get("reasoning_content").is_some())
            };
            [told(0), told(1)]
        };
        for field in ["reasoning", "reasoning_content"] {
            assert_eq!(said("reasoning", field), [(true, false); 2], "{field}");
            assert_eq!(said("reasoning_content", field), [(false, true); 2], "{field}");
            assert_eq!(said("leave", field), [(false, false); 2], "{field}");
            assert_eq!(said("with_calls", field), [(false, false), (false, true)], "{field}");
        }
    }

    #[test]
    fn what_a_server_does_not_know_of_streams_and_roles_is_not_sent() {
        let asked = asks(json!({
            "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "developer", "content": "x"}],
        }));
        let body = sent("no_stream_options = true\nno_developer = true", &asked);
        assert_eq!((body.get("stream_options"), &body["messages"][0]["role"]), (None, &json!("system")));
        let body = sent("", &asked);
        assert_eq!((&body["stream_options"]["include_usage"], &body["messages"][0]["role"]), (&json!(true), &json!("developer")));
    }
}
