//! How a model is told to think: what is passed on, what may not be, what becomes of it for models that take no budget, what is told.

use std::borrow::Cow;

use gatewright_types::ChatRequest;
use serde_json::{Value, json};

use super::{asked, sealer, sent};
use crate::dialects::anthropic_messages::request::{Thinks, adapt, carries, read};
use crate::dialects::{Asked, openai_chat};

fn thinking(thinking: &Value) -> ChatRequest {
    asked(&json!({"model": "m", "max_tokens": 9000, "thinking": thinking, "messages": [{"role": "user", "content": "q"}]}))
}

#[test]
fn a_type_that_only_its_vendor_knows_is_passed_on_and_its_thought_is_shown() {
    for (said, budget, told) in [
        (json!({"type": "between_tools"}), Some(0), "between_tools"),
        (json!({"type": "novel", "depth": 3}), None, "novel"),
        (json!({"type": "adaptive", "display": "omitted"}), None, "adaptive"),
    ] {
        let request = thinking(&said);
        assert_eq!(sent(&request)["thinking"], said);
        let known = request.thinking.clone().unwrap_or_default();
        assert_eq!((known.budget, known.hidden, carries(&request).thinking.as_deref()), (budget, false, Some(told)));
    }
    let wrong = |thinking: Value| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "thinking": thinking});
        read(body.to_string().as_bytes(), &Asked::default()).unwrap_err().param
    };
    for odd in [json!({}), json!({"type": 5})] {
        assert_eq!(wrong(odd).as_deref(), Some("thinking.type"));
    }
}

/// A conversation in the midst of calls, with a budget. `began` is the first block of the answer, `after` stands beside the result.
fn calling(began: &Value, after: &Value, model_goes_on: &Value) -> Value {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "1"});
    let blocks = |list: Vec<Value>| Value::from(list.into_iter().filter(|block| !block.is_null()).collect::<Vec<_>>());
    let mut messages = vec![
        json!({"role": "user", "content": "q"}),
        json!({"role": "assistant", "content": blocks(vec![began.clone(), call("a")])}),
        json!({"role": "user", "content": blocks(vec![result("a"), after.clone()])}),
    ];
    if !model_goes_on.is_null() {
        messages.push(json!({"role": "assistant", "content": blocks(vec![model_goes_on.clone(), call("b")])}));
        messages.push(json!({"role": "user", "content": blocks(vec![result("b")])}));
    }
    json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": messages})
}

#[test]
fn a_budget_is_taken_back_where_the_turn_did_not_begin_with_signed_thought() {
    let mut seal = sealer();
    seal.add("I think.");
    let ours = json!({"type": "thinking", "thinking": "I think.", "signature": seal.seal()});
    let theirs = json!({"type": "thinking", "thinking": "I think.", "signature": "EqVendor=="});
    let (none, beside) = (Value::Null, json!({"type": "text", "text": "Go on."}));
    let sealer = sealer();
    let read = |body: &Value| read(body.to_string().as_bytes(), &Asked { sealer: Some(&sealer), ..Asked::default() }).unwrap();
    for (began, after, goes_on, told) in [
        (&ours, &none, &none, "off"),
        (&none, &none, &none, "off"),
        // Words beside a result do not end the turn.
        (&ours, &beside, &none, "off"),
        (&theirs, &beside, &none, "budget=2000"),
        // A model that does not think between calls thinks at the beginning of its turn alone.
        (&theirs, &none, &json!({"type": "text", "text": "Again."}), "budget=2000"),
        (&ours, &none, &theirs, "off"),
    ] {
        let request = read(&calling(began, after, goes_on));
        let body = sent(&request);
        assert_eq!(carries(&request).thinking.as_deref(), Some(told), "{began} {after} {goes_on}");
        assert_eq!(body.get("thinking").is_some(), told != "off", "{body}");
    }
    let mut over = calling(&ours, &none, &none);
    let messages = over["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": "a"}));
    messages.push(json!({"role": "user", "content": "and?"}));
    assert_eq!(sent(&read(&over))["thinking"]["budget_tokens"], 2000, "another turn may think");
    let mut edited = read(&calling(&theirs, &none, &none));
    edited.messages[1].reasoning = Some("I thimk.".to_owned());
    assert_eq!(sent(&edited).get("thinking"), None, "what a policy changed is not signed");
}

/// What is sent of a request to a model that takes no budget.
fn adapted(request: ChatRequest, thinks: Thinks) -> (Value, Option<String>) {
    let mut request = Cow::Owned(request);
    adapt(&mut request, thinks).unwrap();
    let body = sent(&request);
    (json!([body["thinking"], body["output_config"]]), carries(&request).thinking)
}

#[test]
fn who_takes_no_budget_is_told_an_effort_and_who_always_thinks_the_least() {
    let chat = |effort: &str| {
        let body = json!({"model": "m", "reasoning_effort": effort, "messages": [{"role": "user", "content": "q"}]});
        openai_chat::request::read(body.to_string().as_bytes()).unwrap()
    };
    let summarized = json!({"type": "adaptive", "display": "summarized"});
    for (effort, word) in [("high", "high"), ("minimal", "low"), ("xhigh", "xhigh"), ("max", "max")] {
        let wanted = (json!([summarized, {"effort": word}]), Some(format!("effort={word}")));
        assert_eq!(adapted(chat(effort), Thinks::Adaptive), wanted);
    }
    let enabled = json!({"type": "enabled", "budget_tokens": 4000, "display": "omitted"});
    let wanted = (json!([{"type": "adaptive", "display": "omitted"}, {"effort": "medium"}]), Some("effort=medium".to_owned()));
    assert_eq!(adapted(thinking(&enabled), Thinks::Always), wanted);
    let off = json!({"type": "disabled"});
    for (thinks, thinking_sent, config, told) in [
        (Thinks::Adaptive, json!({"type": "disabled"}), Value::Null, "off"),
        (Thinks::BetweenTools, json!({"type": "between_tools"}), Value::Null, "between_tools"),
        (Thinks::Always, Value::Null, json!({"effort": "low"}), "effort=low"),
    ] {
        let wanted = (json!([thinking_sent, config]), Some(told.to_owned()));
        assert_eq!(adapted(thinking(&off), thinks), wanted);
        assert_eq!(adapted(chat("none"), thinks), wanted);
    }
    for own in [json!({"type": "adaptive"}), json!({"type": "between_tools"}), json!({"type": "novel"})] {
        assert_eq!(adapted(thinking(&own), Thinks::Always).0[0], own, "its client's own words stay");
    }
}

#[test]
fn who_takes_a_budget_alone_is_told_one() {
    let adaptive = json!({"type": "adaptive", "display": "omitted"});
    let mut request = thinking(&adaptive);
    let budget = |tokens: u64| (json!([{"type": "enabled", "budget_tokens": tokens}, null]), Some(format!("budget={tokens}")));
    assert_eq!(adapted(request.clone(), Thinks::Budget), budget(8999), "much, and less than the bound on tokens");
    let body = json!({"model": "m", "max_tokens": 9000, "thinking": adaptive, "output_config": {"effort": "low"},
        "messages": [{"role": "user", "content": "q"}]});
    assert_eq!(adapted(asked(&body), Thinks::Budget), budget(2048));
    request.sampling.max_tokens = Some(100);
    assert_eq!(adapted(request, Thinks::Budget), (json!([null, null]), Some("off".to_owned())));
    for own in [json!({"type": "enabled", "budget_tokens": 1024}), json!({"type": "disabled"})] {
        assert_eq!(adapted(thinking(&own), Thinks::Budget).0[0], own);
    }
}

#[test]
fn an_effort_of_the_clients_own_stays_beside_what_it_replaces() {
    let body = json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "max", "task_budget": {"total": 5}}, "messages": [{"role": "user", "content": "q"}]});
    let (sent, told) = adapted(asked(&body), Thinks::Adaptive);
    assert_eq!(sent, json!([{"type": "adaptive"}, {"effort": "max", "task_budget": {"total": 5}}]));
    assert_eq!(told.as_deref(), Some("effort=max"));
}

#[test]
fn thought_and_signatures_that_go_to_nobody_are_named() {
    let history = |block: Value| {
        asked(&json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"},
            {"role": "assistant", "content": [block, {"type": "text", "text": "a"}]}]}))
    };
    use crate::dialects::{Dialect as _, openai_responses::OpenAiResponses};
    let signed = history(json!({"type": "thinking", "thinking": "I think.", "signature": "EqVendor=="}));
    assert!(carries(&signed).left_out.is_empty());
    assert_eq!(openai_chat::OpenAiChat.carries(&signed).left_out, ["thinking.signature"]);
    assert_eq!(OpenAiResponses.carries(&signed).left_out, ["reasoning", "thinking.signature"]);
    let redacted = history(json!({"type": "redacted_thinking", "data": "Em"}));
    assert_eq!(openai_chat::OpenAiChat.carries(&redacted).left_out, ["thinking.signature"]);
    assert_eq!(OpenAiResponses.carries(&redacted).left_out, ["thinking.signature"]);
    let foreign = history(json!({"type": "thinking", "thinking": "I think.", "signature": ""}));
    assert_eq!(carries(&foreign).left_out, ["reasoning"]);
}

#[test]
fn a_thought_that_its_vendor_does_not_show_goes_back_with_its_signature() {
    let block = json!({"type": "thinking", "thinking": "", "signature": "EqVendor=="});
    let body = calling(&block, &Value::Null, &Value::Null);
    let request = asked(&body);
    assert_eq!(sent(&request), body);
    let chat: Value = serde_json::from_slice(&openai_chat::request::write(&request)).unwrap();
    assert_eq!(chat["messages"][1].get("reasoning_content"), None, "it is no text of anybody's");
}
