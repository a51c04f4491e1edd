//! What is sent of a request to servers that want it otherwise.

use super::*;
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::openai_chat::request::{read, write};
use crate::dialects::openai_responses::OpenAiResponses;
use crate::dialects::{Asked, Dialect as _, DialectRef};
use crate::upstreams::catalog::Catalog;
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
        read(json!({"model": model, "messages": [{"role": "user", "content": "x"}], "temperature": heat}).to_string().as_bytes())
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

/// What a known provider's servers would be sent of a request of this dialect, and what is told of it.
fn told(provider: &str, client: DialectRef, body: &Value) -> (Value, Option<String>, Vec<String>) {
    let catalog = Catalog::packed().unwrap();
    let row = catalog.find(provider).unwrap();
    let (quirks, dialect) = (&row.present.quirks, row.kind().unwrap().dialect());
    let request = client.read(body.to_string().as_bytes(), &Asked::default()).unwrap();
    let fitted = fit(quirks, &request).unwrap();
    let mut carried = dialect.carries(&fitted);
    dropped(quirks, &request).iter().for_each(|name| carried.leaves_out(name));
    (serde_json::from_slice(&dialect.write(&fitted).unwrap()).unwrap(), carried.thinking, carried.left_out)
}

#[test]
fn an_effort_is_said_in_the_words_that_a_model_takes_whoever_asks() {
    let messages = |model: &str, thinking: Value| json!({"model": model, "max_tokens": 9000, "thinking": thinking, "messages": [{"role": "user", "content": "x"}]});
    let (off, much) = (json!({"type": "disabled"}), json!({"type": "enabled", "budget_tokens": 20000}));
    for (model, thinking, effort, left) in [
        ("gpt-5.1", &off, Some("none"), None),
        ("gpt-5-mini-2025-08-07", &off, Some("minimal"), None),
        ("o3", &off, Some("low"), None),
        ("o3", &much, Some("high"), None),
        ("gpt-5.4", &json!({"type": "between_tools"}), Some("none"), None),
        ("gpt-4.1", &off, None, None),
        ("gpt-4.1", &much, None, Some("reasoning_effort")),
        ("gpt-4o-mini", &json!({"type": "adaptive"}), None, Some("reasoning_effort")),
        ("unheard-of", &off, None, Some("thinking")),
        ("unheard-of", &much, Some("high"), None),
    ] {
        let (body, told, left_out) = told("openai", &AnthropicMessages, &messages(model, thinking.clone()));
        assert_eq!(body["reasoning_effort"].as_str(), effort, "{model} {thinking}");
        assert_eq!(told, effort.map(|word| format!("effort={word}")), "{model} {thinking}");
        assert_eq!(left_out, left.into_iter().collect::<Vec<_>>(), "{model} {thinking}");
    }
    let mut most = messages("gpt-5.2", json!({"type": "adaptive"}));
    most["output_config"] = json!({"effort": "max"});
    assert_eq!(told("openai", &AnthropicMessages, &most).0["reasoning_effort"], "xhigh");
}

#[test]
fn claude_models_that_take_no_budget_are_told_an_effort_and_no_sampling() {
    let chat = |model: &str, effort: &str| {
        asks(json!({"model": model, "reasoning_effort": effort, "temperature": 0.2, "top_p": 0.9, "top_k": 5, "max_tokens": 30000}))
    };
    for model in
        ["claude-opus-4-7", "claude-opus-5-5", "claude-sonnet-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1"]
    {
        let (body, told, left_out) = told("anthropic", &OpenAiChat, &chat(model, "high"));
        assert_eq!(
            (&body["thinking"]["type"], &body["output_config"]),
            (&json!("adaptive"), &json!({"effort": "high"})),
            "{model}"
        );
        assert!(["temperature", "top_p", "top_k"].iter().all(|name| body.get(name).is_none()), "{body}");
        assert_eq!((told.as_deref(), left_out.len()), (Some("effort=high"), 3), "{model}: {left_out:?}");
    }
    for (model, off) in
        [("claude-opus-5", json!("disabled")), ("claude-sonnet-5-5", json!("between_tools")), ("claude-opus-5-5", Value::Null)]
    {
        assert_eq!(told("anthropic", &OpenAiChat, &chat(model, "none")).0["thinking"]["type"], off, "{model}");
    }
    let (body, told, left_out) = told("anthropic", &OpenAiChat, &chat("claude-sonnet-4-5", "high"));
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 16384}));
    assert_eq!((told.as_deref(), left_out), (Some("budget=16384"), vec!["temperature".into(), "top_p".into(), "top_k".to_owned()]));
}

#[test]
fn what_is_said_of_a_model_itself_comes_before_what_is_said_of_several() {
    let quirks: Quirks = toml::from_str("models = {'gpt-5x' = {efforts = ['low']}, 'gpt-5*' = {efforts = ['high']}}").unwrap();
    let first = |model| quirks.of_model(model).first().map(|of_model| of_model.efforts.join(","));
    assert_eq!(
        [first("gpt-5x"), first("gpt-5xy"), first("gpt-5")],
        [Some("low"), Some("high"), Some("high")].map(|word| word.map(str::to_owned))
    );
}

#[test]
fn a_claude_model_that_must_call_a_tool_does_not_think_first_whoever_asks() {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let chat = |model: &str| asks(json!({"model": model, "reasoning_effort": "high", "tools": [tool], "tool_choice": "required"}));
    let responses = json!({"model": "claude-opus-4-7", "input": "x", "reasoning": {"effort": "high"}, "tool_choice": "required",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]});
    let clients: [(DialectRef, Value); 3] = [
        (&OpenAiChat, chat("claude-opus-4-7")),
        (&OpenAiResponses, responses),
        // As it is with those that take a budget.
        (&OpenAiChat, chat("claude-sonnet-4-5")),
    ];
    for (client, body) in clients {
        let (sent, told, _) = told("anthropic", client, &body);
        assert_eq!((&sent["tool_choice"]["type"], sent.get("output_config"), told.as_deref()), (&json!("any"), None, Some("off")));
        assert!(matches!(sent["thinking"]["type"].as_str(), None | Some("disabled")), "{sent}");
    }
    let (sent, ..) = told("anthropic", &OpenAiChat, &chat("claude-sonnet-5-5"));
    assert_eq!(sent["thinking"], json!({"type": "between_tools"}));
    let catalog = Catalog::packed().unwrap();
    let request = read(chat("claude-opus-5-5").to_string().as_bytes()).unwrap();
    let fault = fit(&catalog.find("anthropic").unwrap().present.quirks, &request).unwrap_err();
    assert_eq!((fault.param.as_deref(), fault.retry), (Some("tool_choice"), Retry::Elsewhere), "it always thinks");
}

#[test]
fn who_takes_no_effort_gets_none_from_clients_of_any_dialect() {
    let responses = json!({"model": "m", "input": "x", "reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]});
    let messages = json!({"model": "m", "max_tokens": 9, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low"}, "messages": [{"role": "user", "content": "x"}]});
    let chat = asks(json!({"reasoning_effort": "high"}));
    let clients: [(DialectRef, &Value); 3] =
        [(&OpenAiChat, &chat), (&AnthropicMessages, &messages), (&OpenAiResponses, &responses)];
    for (client, body) in clients {
        let request = client.read(body.to_string().as_bytes(), &Asked::default()).unwrap();
        let dropping: Quirks = toml::from_str("models = {m = {drop = ['reasoning_effort']}}").unwrap();
        let fitted = fit(&dropping, &request).unwrap();
        assert_eq!(dropped(&dropping, &request), ["reasoning_effort"]);
        for upstream in [&OpenAiChat as DialectRef, &AnthropicMessages, &OpenAiResponses] {
            let sent: Value = serde_json::from_slice(&upstream.write(&fitted).unwrap()).unwrap();
            for name in ["reasoning_effort", "reasoning", "thinking", "output_config", "include"] {
                assert!(sent.get(name).is_none(), "{client:?} to {upstream:?}: {sent}");
            }
            assert_eq!(upstream.carries(&fitted).thinking, None, "{client:?} to {upstream:?}");
        }
        let refusing: Quirks = toml::from_str("refuse = ['reasoning_effort']").unwrap();
        assert_eq!(fit(&refusing, &request).unwrap_err().param.as_deref(), Some("reasoning_effort"), "{client:?}");
        let renaming: Quirks = toml::from_str("rename = {reasoning_effort = 'effort'}").unwrap();
        let sent: Value = serde_json::from_slice(&OpenAiChat.write(&fit(&renaming, &request).unwrap()).unwrap()).unwrap();
        assert!(sent["effort"].is_string() && sent.get("reasoning_effort").is_none(), "{client:?}: {sent}");
    }
}

#[test]
fn a_field_that_openai_does_not_know_is_not_sent_there() {
    let body = json!({"model": "gpt-4.1", "max_tokens": 9, "top_k": 5, "messages": [{"role": "user", "content": "x"}]});
    let (body, _, left_out) = told("openai", &AnthropicMessages, &body);
    assert_eq!((body.get("top_k"), left_out), (None, vec!["top_k".to_owned()]));
}

#[test]
fn ids_of_calls_are_made_such_as_the_server_takes_alike_in_call_and_result() {
    let history = |id: &str| {
        asks(json!({"messages": [
            {"role": "assistant", "content": null,
                "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "1"},
        ]}))
    };
    let ids = |quirk: &str, id: &str| {
        let body = sent(quirk, &history(id));
        [&body["messages"][0]["tool_calls"][0]["id"], &body["messages"][1]["tool_call_id"]]
            .map(|id| id.as_str().unwrap().to_owned())
    };
    let [call, result] = ids("call_ids = 'nine'", "toolu_01A09q90qw90lq917835lq9");
    assert!(call == result && call.len() == 9 && call.chars().all(|letter| letter.is_ascii_alphanumeric()), "{call} {result}");
    assert_eq!(ids("call_ids = 'nine'", "aB3xK9mP2"), ["aB3xK9mP2"; 2]);
    assert_eq!(ids("", "functions.f:0"), ["functions.f:0"; 2]);
    assert_eq!(Catalog::packed().unwrap().find("mistral").unwrap().present.quirks.call_ids, CallIds::Nine);
}
