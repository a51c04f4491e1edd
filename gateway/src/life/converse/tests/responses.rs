//! Plugins at work on requests and answers in OpenAI's dialect of Responses: every channel, in both directions, and on what was kept.

use serde_json::{Value, json};

use super::{BLOCK, EVERYWHERE, REDACT};
use crate::life::kit::{Kit, event, events, finish, says, stream_of};

const SECRET: &str = "sk-123456";

/// Blocks where a text of an earlier turn says `forbidden`.
const BLOCK_HISTORY: &str = r#"
return { inspect = function(ctx, event)
  local users, found = 0, false
  for _, segment in event.segments do
    if segment.channel == "user" then users = users + 1 end
    if string.find(segment.text, "forbidden", 1, true) then found = true end
  end
  if found and users > 1 then return { block("topic", "not again") } end
end }"#;

fn leaky() -> Value {
    json!({"model": "m", "stream": true, "instructions": format!("Never tell {SECRET}."),
        "tools": [{"type": "custom", "name": "patch", "description": format!("as {SECRET}")},
            {"type": "namespace", "name": "crm", "description": "d", "tools": [{"type": "function", "name": "find"}]}],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "it is sk-123"}, {"type": "input_text", "text": "456"}]},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": format!("so {SECRET}")}]},
            {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": format!("use {SECRET}")},
            {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": format!("got {SECRET}")}]},
            {"type": "function_call", "call_id": "d", "name": "find", "namespace": "crm", "arguments": format!("{{\"who\":\"{SECRET}\"}}")},
            {"type": "function_call_output", "call_id": "d", "output": format!("found {SECRET}")}]})
}

#[tokio::test]
async fn every_channel_is_redacted_on_both_ways_and_so_is_what_is_kept() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    let deltas = [
        event(r#"{"reasoning_content":"It is sk-1"}"#),
        event(r#"{"reasoning_content":"23456, hush"}"#),
        event(r#"{"content":"Here: sk-12"}"#),
        event(r#"{"content":"3456."}"#),
        event(r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"patch","arguments":"{\"input\":\"sk-"}}]}"#),
        event(r#"{"tool_calls":[{"index":0,"function":{"arguments":"123456\"}"}}]}"#),
        event(r#"{"tool_calls":[{"index":1,"id":"u","function":{"name":"crm__find","arguments":"{\"who\":\"sk-123456\"}"}}]}"#),
        finish("tool_calls"),
    ];
    kit.script(events(&deltas.iter().map(String::as_str).collect::<Vec<_>>()));
    let heard = kit.responses(&leaky()).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    let asked = serde_json::to_string(&kit.upstream.asked.lock().unwrap()[0]).unwrap();
    assert!(!asked.contains("123456") && asked.matches("[redacted]").count() >= 7, "{asked}");
    assert!(!heard.text.contains("123456"), "{}", heard.text);
    let last = heard.events().pop().unwrap()["response"].clone();
    let output = &last["output"];
    assert_eq!(output[0]["content"][0]["text"], "It is [redacted], hush");
    assert_eq!(output[1]["content"][0]["text"], "Here: [redacted].");
    assert_eq!((&output[2]["type"], &output[2]["input"]), (&json!("custom_tool_call"), &json!("[redacted]")));
    assert_eq!((&output[3]["namespace"], &output[3]["arguments"]), (&json!("crm"), &json!("{\"who\":\"[redacted]\"}")));
    assert_eq!(last["instructions"], "Never tell [redacted].");
    let path = format!("/v1/responses/{}", last["id"].as_str().unwrap());
    let (body, items) = (kit.get(&path).await, kit.get(&format!("{path}/input_items?order=asc")).await);
    assert!(!body.text.contains("123456") && !items.text.contains("123456"), "{}", items.text);
    let kinds: Vec<Value> = items.json()["data"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    let wanted = ["message", "reasoning", "custom_tool_call", "custom_tool_call_output", "function_call", "function_call_output"];
    assert_eq!(kinds, wanted);
    let on_disk = kit.rows();
    assert_eq!(on_disk.len(), 1);
}

#[tokio::test]
async fn policies_see_again_what_was_kept() {
    let mut kit = Kit::new();
    kit.plugin("topic", "subscribe:\n  - {phases: [request], channels: all}", BLOCK_HISTORY);
    kit.script(says("fine"));
    let first = kit.responses(&json!({"model": "m", "input": "forbidden, once"})).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let follows = json!({"model": "m", "input": "and?", "previous_response_id": first.json()["id"]});
    let heard = kit.responses(&follows).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (400, &json!("content_filter")), "{}", heard.text);
}

#[tokio::test]
async fn a_block_in_the_midst_of_an_answer_makes_it_incomplete_and_that_is_what_is_kept() {
    let mut kit = Kit::new();
    kit.plugin("topic", "window: 12\nsubscribe:\n  - {phases: [chunk], channels: [assistant]}", BLOCK);
    let long = r#"{"content":"a long beginning of it, which the client has already got, and then "}"#;
    kit.script(stream_of(&[long, r#"{"content":"the forbidden thing"}"#]));
    let heard = kit.responses(&json!({"model": "m", "stream": true, "input": "hi"})).await;
    let last = heard.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["incomplete_details"]["reason"]),
        (&json!("response.incomplete"), &json!("content_filter"))
    );
    assert!(!heard.text.contains("forbidden") && heard.is_done(), "{}", heard.text);
    let id = last["response"]["id"].as_str().unwrap();
    assert_eq!(kit.get(&format!("/v1/responses/{id}")).await.json(), last["response"]);
}

#[tokio::test]
async fn a_block_before_the_first_word_is_a_refusal_and_nothing_is_kept() {
    let mut kit = Kit::new();
    kit.plugin("topic", "subscribe:\n  - {phases: [request], channels: all}", BLOCK);
    let result = json!({"type": "function_call_output", "call_id": "c", "output": [
        {"type": "input_text", "text": "the forbid"}, {"type": "input_text", "text": "den thing"}]});
    for input in
        [json!("forbidden"), json!([result]), json!([{"type": "new_kind", "odd": "forbidden"}, {"role": "user", "content": "x"}])]
    {
        let heard = kit.responses(&json!({"model": "m", "stream": true, "input": input})).await;
        assert_eq!((heard.status, &heard.json()["error"]["code"]), (400, &json!("content_filter")), "{input}: {}", heard.text);
    }
    assert!(kit.upstream.asked.lock().unwrap().is_empty());
}
