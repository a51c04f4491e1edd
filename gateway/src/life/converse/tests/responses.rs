//! Plugins at work on requests and answers in OpenAI's dialect of Responses: every channel, in both directions, and on what was kept.

use serde_json::{Value, json};

use super::{BLOCK, EVERYWHERE, REDACT};
use crate::dialects::Dialect;
use crate::dialects::openai_responses::OpenAiResponses;
use crate::life::kit::{Item, Kit, event, events, finish, says, spoken, stream_of};

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

/// What an upstream of this dialect says: two messages with a thought and an item of its own between them.
fn output(first: &str, second: &str) -> Value {
    let cited = json!([{"type": "file_citation", "index": 2, "file_id": "file_1", "filename": "a.pdf"}]);
    let part = |text: &str| json!([{"type": "output_text", "text": text, "annotations": cited, "logprobs": []}]);
    json!([
        {"type": "reasoning", "id": "rs_a", "summary": [], "content": [{"type": "reasoning_text", "text": "I think."}]},
        {"type": "message", "id": "msg_a", "role": "assistant", "phase": "commentary", "content": part(first)},
        {"type": "message", "id": "msg_b", "role": "assistant", "phase": "final_answer", "content": part(second)},
        {"type": "reasoning", "id": "rs_b", "summary": [], "content": [{"type": "reasoning_text", "text": "Once more."}]},
        {"type": "web_search_call", "id": "ws_a", "status": "completed"},
        {"type": "message", "id": "msg_c", "role": "assistant", "content": part("Done.")},
    ])
}

/// The same, whole or piece by piece.
fn said(output: &Value, streamed: bool) -> Vec<Item> {
    let response = json!({"id": "resp_up", "model": "m-1", "created_at": 1, "status": "completed", "output": output});
    if !streamed {
        let body = response.to_string();
        return vec![Item::Say(OpenAiResponses.read_body(bytes::Bytes::from(body)).unwrap())];
    }
    let mut list = vec![json!({"type": "response.created", "response": {"id": "resp_up", "model": "m-1"}})];
    for (at, item) in output.as_array().unwrap().iter().enumerate() {
        list.push(json!({"type": "response.output_item.added", "output_index": at, "item": item}));
        let text = item["content"][0]["text"].as_str().unwrap_or_default();
        let kind = if item["type"] == "reasoning" { "response.reasoning_text.delta" } else { "response.output_text.delta" };
        for piece in text.as_bytes().chunks(3) {
            list.push(json!({"type": kind, "output_index": at, "delta": std::str::from_utf8(piece).unwrap()}));
        }
        list.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    list.push(json!({"type": "response.completed", "response": response}));
    spoken(&OpenAiResponses, &list)
}

/// What a client is given, item by item.
fn told(output: &Value) -> Vec<String> {
    let tell = |item: &Value| {
        let text = item["content"][0]["text"].as_str().unwrap_or_default();
        let cited = item["content"][0]["annotations"].as_array().map_or(0, Vec::len);
        let phase = item["phase"].as_str().unwrap_or("-");
        format!("{} {phase} {text} {cited}", item["type"].as_str().unwrap())
    };
    output.as_array().unwrap().iter().map(tell).collect()
}

async fn answered(kit: &mut Kit, streamed: bool) -> Value {
    let heard = kit.responses(&json!({"model": "m", "stream": streamed, "input": "hi"})).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    if streamed { heard.events().pop().unwrap()["response"].clone() } else { heard.json() }
}

#[tokio::test]
async fn what_an_upstream_says_keeps_its_order_its_phases_and_its_sources_whether_policies_listen_or_not() {
    let quiet = "return { inspect = function() end }";
    let upper = r#"
return { inspect = function(ctx, event)
  for _, segment in event.segments do return { edit(segment, 1, 1, "I") } end
end }"#;
    let whole = "subscribe:\n  - {phases: [response], channels: [reasoning]}";
    for (manifest, source) in [None, Some((EVERYWHERE, REDACT)), Some((EVERYWHERE, quiet)), Some((whole, upper))].map(Option::unzip)
    {
        for (up, down) in [(false, false), (true, true), (true, false), (false, true)] {
            let mut kit = Kit::new();
            if let (Some(manifest), Some(source)) = (manifest, source) {
                kit.plugin("listens", manifest, source);
            }
            kit.script(said(&output("I look.", "It rains."), up));
            let output = answered(&mut kit, down).await["output"].clone();
            let wanted = [
                "reasoning - I think. 0",
                "message commentary I look. 1",
                "message final_answer It rains. 1",
                "reasoning - Once more. 0",
                "web_search_call -  0",
                "message - Done. 1",
            ];
            assert_eq!(told(&output), wanted, "{manifest:?}, {up} {down}");
            assert_eq!(output[4]["id"].as_str().unwrap().split("-gw-").next(), Some("ws_a"));
        }
    }
}

/// That a message begins is nothing that was said.
#[tokio::test]
async fn a_block_of_the_first_words_of_such_an_upstream_is_a_refusal() {
    for streamed in [false, true] {
        let mut kit = Kit::new();
        kit.plugin("topic", "window: 9\nsubscribe:\n  - {phases: [chunk], channels: all}", BLOCK);
        kit.script(said(&json!([output("forbidden", "")[1]]), true));
        let heard = kit.responses(&json!({"model": "m", "stream": streamed, "input": "hi"})).await;
        assert_eq!((heard.status, &heard.json()["error"]["code"]), (400, &json!("content_filter")), "{}", heard.text);
    }
}

/// It says where in the text something is, and that is elsewhere now.
#[tokio::test]
async fn sources_of_a_text_that_a_policy_changed_are_dropped() {
    for streamed in [false, true] {
        let mut kit = Kit::new();
        kit.plugin("redact", EVERYWHERE, REDACT);
        kit.script(said(&output("It is sk-123456, and a long text follows it.", "It rains."), streamed));
        let told = told(&answered(&mut kit, streamed).await["output"]);
        assert_eq!(told[1], "message commentary It is [redacted], and a long text follows it. 0");
        assert_eq!(told[2], "message final_answer It rains. 1");
    }
}

#[tokio::test]
async fn sources_of_an_earlier_answer_go_up_with_its_text_and_not_with_another() {
    let cited = json!([{"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://a.example", "title": "A"}]);
    for (text, left) in [("fine", 1), ("sk-123456", 0)] {
        let mut kit = Kit::new();
        kit.plugin("redact", EVERYWHERE, REDACT);
        kit.script(says("x"));
        let part = json!({"type": "output_text", "text": text, "annotations": cited});
        let input = json!([{"type": "message", "role": "assistant", "content": [part]}, {"role": "user", "content": "and?"}]);
        assert_eq!(kit.responses(&json!({"model": "m", "input": input})).await.status, 200);
        let asked = OpenAiResponses.write(&kit.upstream.asked.lock().unwrap()[0]).unwrap();
        let asked: Value = serde_json::from_slice(&asked).unwrap();
        assert_eq!(asked["input"][0]["content"][0]["annotations"].as_array().unwrap().len(), left, "{asked}");
    }
}

#[tokio::test]
async fn what_a_policy_changes_of_the_whole_answer_leaves_each_message_its_own_words() {
    for up in [false, true] {
        let mut kit = Kit::new();
        kit.plugin("redact", "subscribe:\n  - {phases: [response], channels: all}", REDACT);
        kit.script(said(&output("I look.", "The key is sk-123456, and sk-654321."), up));
        let output = answered(&mut kit, false).await["output"].clone();
        let messages: Vec<String> = told(&output).into_iter().filter(|item| item.starts_with("message")).collect();
        let wanted =
            ["message commentary I look. 0", "message final_answer The key is [redacted], and [redacted]. 0", "message - Done. 0"];
        assert_eq!(messages, wanted, "{up}");
    }
}

/// A word that nobody knows may be any word.
#[tokio::test]
async fn a_phase_that_nobody_knows_is_a_field_like_any_other_and_taken_out_where_all_must_be_seen() {
    for strict in [false, true] {
        let mut kit = Kit::new();
        kit.plugin("quiet", EVERYWHERE, "return { inspect = function() end }");
        kit.route().strict = strict;
        let mut output = output("I look.", "It rains.");
        output[2]["phase"] = "sk-123456".into();
        kit.script(said(&output, false));
        let heard = kit.responses(&json!({"model": "m", "input": "hi"})).await;
        let phase = if strict { "-" } else { "sk-123456" };
        let sources = if strict { 0 } else { 1 };
        let told = told(&heard.json()["output"]);
        let wanted = [format!("message commentary I look. {sources}"), format!("message {phase} It rains. {sources}")];
        assert_eq!(told[1..3], wanted);
        assert!(heard.header("x-gatewright-plugins").contains("answer:other"), "{:?}", heard.headers);
    }
}
