//! Requests of this dialect: what is read of them, what is refused, what others' requests become.

mod thought;

use gatewright_types::{ChatRequest, Content, FaultKind, Message, Part, Retry, Role};
use serde_json::{Value, json};

use super::{keep, own, raw_json, read, write};
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::openai_chat::{self, OpenAiChat};
use crate::dialects::openai_responses::OpenAiResponses;
use crate::dialects::{Asked, Dialect, Seal, Sealer};

fn asked(body: &Value) -> ChatRequest {
    read(body.to_string().as_bytes(), &Asked::default()).unwrap()
}

fn sent(request: &ChatRequest) -> Value {
    serde_json::from_slice(&write(request).unwrap()).unwrap()
}

fn openai(body: &Value) -> Value {
    let mut body = body.clone();
    body["model"] = "m".into();
    sent(&openai_chat::request::read(body.to_string().as_bytes()).unwrap())
}

fn sealer() -> Sealer {
    Seal::new([9; 32]).of("acme")
}

#[test]
fn what_everybody_has_is_canonical() {
    let request = asked(&json!({"model": "m", "max_tokens": 5, "system": "s", "stop_sequences": ["x"], "top_k": 3, "messages": [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}, {"type": "text", "text": "so?"}]}],
        "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"}}));
    let roles: Vec<&Role> = request.messages.iter().map(|message| &message.role).collect();
    assert_eq!(roles, [&Role::System, &Role::Tool, &Role::User]);
    assert_eq!((request.messages[1].tool_call_id.as_deref(), request.messages[2].continues), (Some("t"), true));
    assert_eq!((request.sampling.max_tokens, &*request.sampling.stop), (Some(5), &["x".to_owned()][..]));
    assert_eq!(request.tool_choice.as_ref().unwrap().get(), "\"required\"");
    let extra = |name| request.extras.get(name);
    assert_eq!((extra("parallel_tool_calls"), extra("user"), extra("top_k")), (Some("false"), Some("\"u\""), Some("3")));
    let thinking = request.thinking.unwrap();
    assert_eq!((thinking.budget, thinking.effort.as_deref()), (Some(2000), Some("low")));
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    let wrong = |body: Value| read(body.to_string().as_bytes(), &Asked::default()).unwrap_err();
    let message = |message: Value| wrong(json!({"model": "m", "max_tokens": 1, "messages": [message]})).param.unwrap();
    assert_eq!(message(json!({"role": "user", "content": 5})), "messages[0].content");
    assert_eq!(message(json!({"role": "user", "content": [{"type": "text"}]})), "messages[0].content[0].text");
    assert_eq!(message(json!({"role": "tool", "content": "x"})), "messages[0].role");
    assert_eq!(message(json!({"role": "assistant", "content": [{"type": "tool_use", "id": 5}]})), "messages[0].content[0].id");
    let fault = wrong(json!({"model": "m", "messages": []}));
    assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::InvalidRequest, Some("messages")));
    assert_eq!(wrong(json!({"messages": [{"role": "user", "content": "x"}]})).param.as_deref(), Some("model"));
    assert_eq!(read(b"{", &Asked::default()).unwrap_err().kind, FaultKind::InvalidJson);
}

/// A conversation whose thought has this signature.
fn thought(signature: &str) -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "I think.", "signature": signature}, {"type": "text", "text": "a"}]}]})
}

#[test]
fn a_vendors_signature_goes_back_on_the_very_thought_and_on_no_other() {
    let mut request = asked(&thought("EqVendor=="));
    assert_eq!(
        sent(&request)["messages"][1]["content"][0],
        json!({"type": "thinking", "thinking": "I think.", "signature": "EqVendor=="})
    );
    let body: Value = serde_json::from_slice(&openai_chat::request::write(&request)).unwrap();
    assert!(!body.to_string().contains("EqVendor"), "a foreign signature is dropped");
    request.messages[1].reasoning = Some("I thimk.".to_owned());
    assert_eq!(
        sent(&request)["messages"][1]["content"],
        json!([{"type": "text", "text": "a"}]),
        "what a policy changed is not signed"
    );
}

#[test]
fn our_own_seal_is_verified_and_taken_off() {
    let mut made = sealer();
    made.add("I think.");
    let seal = made.seal();
    let sealer = sealer();
    let read = |body: Value| read(body.to_string().as_bytes(), &Asked { sealer: Some(&sealer), ..Asked::default() }).unwrap();
    let known = read(thought(&seal));
    assert_eq!(known.messages[1].reasoning.as_deref(), Some("I think."));
    assert_eq!(sent(&known)["messages"][1]["content"], json!([{"type": "text", "text": "a"}]), "a vendor is not shown it");
    let mut forged = thought(&seal);
    forged["messages"][1]["content"][0]["thinking"] = "I was told to.".into();
    assert_eq!(read(forged).messages[1].reasoning, None);
    assert_eq!(read(thought(&format!("{seal}x"))).messages[1].reasoning, None);
}

#[test]
fn a_client_cannot_write_notes_of_our_own() {
    let (part, note) =
        (json!({"bytes": usize::MAX, "redacted": "x"}), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    for (name, value) in [
        ("signed", json!({"sum": note, "parts": [part, part]})),
        ("redacted_thinking", json!({"sum": note, "parts": [part]})),
        ("block", json!({"type": "text", "text": "redacted_thinking FORBIDDEN"})),
        ("inline", json!(true)),
    ] {
        for role in ["assistant", "user", "system"] {
            let body = json!({"model": "m", "messages": [{"role": role, "content": "a", name: value}]});
            let fault = read(body.to_string().as_bytes(), &Asked::default()).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some(&*format!("messages[0].{name}")), "{fault:?}");
        }
    }
    for value in [json!("mine"), json!(null)] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "header.anthropic-beta": value});
        assert!(read(body.to_string().as_bytes(), &Asked::default()).is_err());
    }
    let mut answer = gatewright_types::Message::text(gatewright_types::Role::Assistant, "a");
    keep(&mut answer.extras, "block", &raw_json(r#"{"type":"text","text":"redacted_thinking"}"#.to_owned()));
    let mut request = asked(&json!({"model": "m", "messages": [{"role": "user", "content": "q"}]}));
    request.messages.push(answer);
    assert!(!sent(&request).to_string().contains("redacted_thinking"), "only blocks of that kind go back");
}

#[test]
fn thought_that_is_shown_to_nobody_is_no_steering_field() {
    let request = asked(
        &json!({"model": "m", "messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "Em"}]}]}),
    );
    assert_eq!(sent(&request)["messages"][0]["content"], json!([{"type": "redacted_thinking", "data": "Em"}]));
    let (name, _) = request.messages[0].extras.iter().next().unwrap();
    assert!(
        !crate::dialects::steers(crate::dialects::Place::Message, name)
            && own(&request.messages[0].extras, "redacted_thinking").is_some()
    );
}

#[test]
fn what_openais_dialect_has_no_words_for_is_refused_there_and_words_are_said() {
    use crate::dialects::Dialect as _;
    let leg = |block: Value| {
        openai_chat::OpenAiChat.write(&asked(&json!({"model": "m", "messages": [{"role": "user", "content": [block]}]})))
    };
    let source = |kind: &str| json!({"type": "document", "title": "T", "source": {"type": kind, "media_type": "text/plain", "data": "words"}});
    let body: Value = serde_json::from_slice(&leg(source("text")).unwrap()).unwrap();
    assert_eq!(body["messages"][0]["content"], "T\n\nwords");
    assert!(leg(source("base64")).is_ok());
    for block in
        [json!({"type": "search_result", "title": "t", "content": []}), source("file"), json!({"type": "container_upload"})]
    {
        let fault = leg(block).unwrap_err();
        assert_eq!((fault.param.as_deref(), fault.retry), (Some("messages[0].content"), Retry::Elsewhere));
    }
}

#[test]
fn others_conversations_become_turns() {
    let body = openai(&json!({"messages": [
        {"role": "system", "content": "s"}, {"role": "developer", "content": [{"type": "text", "text": "d"}]}, {"role": "user", "content": "q"},
        {"role": "assistant", "content": null, "reasoning_content": "foreign", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "not json"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"}, {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "system", "content": "late"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}, {"type": "text", "text": "see"}]}]}));
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "s"}, {"type": "text", "text": "d"}, {"type": "text", "text": "late"}])
    );
    let turns = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = turns.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(
        turns[1]["content"],
        json!([
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"arguments": "not json"}}])
    );
    assert_eq!(
        turns[2]["content"],
        json!([
        {"type": "tool_result", "tool_use_id": "a", "content": "1"}, {"type": "tool_result", "tool_use_id": "b", "content": "2"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}, {"type": "text", "text": "see"}])
    );
    assert_eq!(body["max_tokens"], 8192);
}

#[test]
fn others_controls_are_said_in_this_dialects_words() {
    let body = openai(
        &json!({"messages": [{"role": "user", "content": "q"}], "reasoning_effort": "low", "max_completion_tokens": 9000,
        "temperature": 1.7, "stop": "x", "user": "u", "parallel_tool_calls": false, "tool_choice": "auto", "seed": 5, "logit_bias": {},
        "tools": [{"type": "function", "function": {"name": "f", "strict": true}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}}),
    );
    assert_eq!(
        body,
        json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "q"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}, "stop_sequences": ["x"],
        "thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "metadata": {"user_id": "u"}})
    );
    let hot = openai(&json!({"messages": [{"role": "user", "content": "q"}], "temperature": 1.7}));
    assert_eq!(hot["temperature"], 1);
}

#[test]
fn nobody_is_made_to_think_in_the_midst_of_tool_calls() {
    let body = openai(&json!({"reasoning_effort": "high", "messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"}]}));
    assert_eq!(body.get("thinking"), None);
}

#[test]
fn what_cannot_be_said_is_refused_and_another_leg_may_take_it() {
    let refused = |change: fn(&mut ChatRequest)| {
        let mut request = ChatRequest { messages: vec![Message::text(Role::User, "x")], ..ChatRequest::default() };
        change(&mut request);
        let fault = write(&request).unwrap_err();
        assert_eq!(fault.retry, Retry::Elsewhere);
        fault.param.unwrap()
    };
    assert_eq!(refused(|request| request.sampling.n = Some(2)), "n");
    assert_eq!(refused(|request| request.sampling.logprobs = Some(true)), "logprobs");
    let sound = |request: &mut ChatRequest| {
        let raw = serde_json::from_str(r#"{"type":"input_audio"}"#).unwrap();
        request.messages[0].content = Content::Parts(vec![Part::Other { kind: "input_audio".into(), raw }]);
    };
    assert_eq!(refused(sound), "messages[0].content");
}

#[test]
fn what_only_one_vendors_servers_have_is_left_out_and_named_or_refused_where_it_is_demanded() {
    let function = json!({"type": "function", "function": {"name": "f"}});
    let custom = json!({"type": "custom", "custom": {"name": "c"}});
    let read = |tools: &[&Value], choice: Value| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": tools, "tool_choice": choice});
        openai_chat::request::read(body.to_string().as_bytes()).unwrap()
    };
    let request = read(&[&function, &custom], "auto".into());
    assert_eq!(sent(&request)["tools"], json!([{"name": "f", "input_schema": {"type": "object"}}]));
    assert_eq!(AnthropicMessages.carries(&request).left_out, ["tools:custom"]);
    assert!(OpenAiChat.carries(&request).left_out.is_empty(), "there it is at home");
    let alone = sent(&read(&[&custom], "auto".into()));
    assert!(alone.get("tools").is_none() && alone.get("tool_choice").is_none(), "{alone}");
    for demanded in [json!({"type": "custom", "custom": {"name": "c"}}), "required".into()] {
        let tools: &[&Value] = if demanded.is_string() { &[&custom] } else { &[&function, &custom] };
        let fault = write(&read(tools, demanded)).unwrap_err();
        assert_eq!((fault.status(), fault.param.as_deref(), fault.retry), (400, Some("tool_choice"), Retry::Elsewhere));
    }
    assert!(write(&read(&[&function, &custom], "required".into())).is_ok());
    let server = json!({"type": "web_search_20250305", "name": "web_search"});
    let asks = |choice: Value| {
        asked(
            &json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "tools": [server], "tool_choice": choice}),
        )
    };
    let request = asks(json!({"type": "auto", "disable_parallel_tool_use": true}));
    for dialect in [&OpenAiChat as &dyn Dialect, &OpenAiResponses] {
        let body: Value = serde_json::from_slice(&dialect.write(&request).unwrap()).unwrap();
        assert!(body.get("tools").is_none() && body.get("tool_choice").is_none(), "{body}");
        assert_eq!(dialect.carries(&request).left_out, ["tools:web_search_20250305"]);
        for demanded in [json!({"type": "tool", "name": "web_search"}), json!({"type": "any"})] {
            assert_eq!(dialect.write(&asks(demanded)).unwrap_err().param.as_deref(), Some("tool_choice"));
        }
    }
    assert_eq!(sent(&request)["tools"], json!([server]));
}

#[test]
fn ids_of_calls_have_the_letters_that_this_dialect_takes_alike_in_call_and_result() {
    let conversation = |id: &str| {
        openai(&json!({"messages": [{"role": "user", "content": "x"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": id, "content": "1"}]}))
    };
    let ids = |body: Value| {
        [&body["messages"][1]["content"][0]["id"], &body["messages"][2]["content"][0]["tool_use_id"]].map(Value::to_string)
    };
    let [call, result] = ids(conversation("functions.f:0"));
    assert!(call == result && call.starts_with("\"functions_f_0_"), "{call} {result}");
    assert_eq!(ids(conversation("call_a-1")), ["\"call_a-1\""; 2]);
}

#[test]
fn a_result_that_says_nothing_or_failed_is_told_to_who_has_no_words_for_it() {
    let result = |fields: Value| {
        let mut block = json!({"type": "tool_result", "tool_use_id": "a"});
        block.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        asked(&json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [block]}]}))
    };
    let told = |fields: Value| {
        let request = result(fields);
        let body: Value = serde_json::from_slice(&OpenAiChat.write(&request).unwrap()).unwrap();
        (body["messages"][0]["content"].clone(), OpenAiChat.carries(&request).left_out.join(","))
    };
    assert_eq!(told(json!({})), (json!(""), String::new()));
    assert_eq!(told(json!({"content": []})), (json!(""), String::new()));
    assert_eq!(told(json!({"is_error": true})), (json!("The tool failed."), "is_error".into()));
    assert_eq!(told(json!({"is_error": true, "content": "No such file."})), (json!("No such file."), "is_error".into()));
    assert_eq!(told(json!({"is_error": false, "content": "1"})), (json!("1"), String::new()));
    assert_eq!(OpenAiResponses.carries(&result(json!({"is_error": true}))).left_out, ["is_error"]);
}

#[test]
fn headers_of_the_client_are_kept_for_its_own_upstream() {
    use crate::dialects::Dialect;
    let headers = [("anthropic-beta", "context-management-2025-06-27".to_owned())];
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}).to_string();
    let request = read(body.as_bytes(), &Asked { headers: &headers, ..Asked::default() }).unwrap();
    assert_eq!(super::super::AnthropicMessages.call_headers(&request), headers);
    assert!(!sent(&request).to_string().contains("context-management"));
}

#[test]
fn names_that_are_ours_to_give_are_passed_over_where_a_stranger_sends_them() {
    let body = openai(
        &json!({"anthropic_messages.system": "hidden", "messages": [{"role": "user", "anthropic_messages.content": "hidden",
        "content": [{"type": "text", "text": "q", "anthropic_messages.citations": ["hidden"]}]}]}),
    );
    assert!(!body.to_string().contains("hidden"), "{body}");
}
