//! Plugins at work on requests and answers in Anthropic's dialect: every channel, in both directions, whoever answers.

use serde_json::{Value, json};

use super::{BLOCK, EVERYWHERE, REDACT};
use crate::life::kit::{Item, Kit, anthropic, event, events, finish, stream_of};

const SECRET: &str = "sk-123456";

fn ask(stream: bool) -> Value {
    json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "send", "input_schema": {"type": "object"}}]})
}

fn redacting() -> Kit {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    kit
}

/// A vendor's answer that leaks on every channel, with the secret cut in two on each.
fn leaks() -> Vec<Item> {
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let piece = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    anthropic(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 4, "output_tokens": 1}}}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        piece(0, json!({"type": "thinking_delta", "thinking": "It is sk-1"})),
        piece(0, json!({"type": "thinking_delta", "thinking": "23456, hush"})),
        piece(0, json!({"type": "signature_delta", "signature": "vendor=="})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        piece(1, json!({"type": "text_delta", "text": "Here: sk-12"})),
        piece(1, json!({"type": "text_delta", "text": "3456."})),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "t", "name": "send", "input": {}})),
        piece(2, json!({"type": "input_json_delta", "partial_json": "{\"text\":\"sk-"})),
        piece(2, json!({"type": "input_json_delta", "partial_json": "123456\"}"})),
        stop(2),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ])
}

#[tokio::test]
async fn every_channel_of_a_vendors_stream_is_redacted_and_blocks_keep_their_order() {
    let mut kit = redacting();
    kit.script(leaks());
    let heard = kit.messages(&ask(true), &[]).await;
    assert_eq!(heard.blocks(), ["thinking", "text", "tool_use"], "{}", heard.text);
    assert_eq!(heard.pieces("thinking"), "It is [redacted], hush");
    assert_eq!(heard.pieces("text"), "Here: [redacted].");
    assert_eq!(heard.pieces("partial_json"), r#"{"text":"[redacted]"}"#);
    assert!(
        !heard.text.contains("123456") && !heard.text.contains("vendor"),
        "an edited thought is not the vendor's: {}",
        heard.text
    );
    assert!(heard.text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    let verdicts = &kit.rows()[0].verdicts;
    assert!(verdicts.contains("answer:other"), "the signature has no channel: {verdicts}");
}

#[tokio::test]
async fn every_channel_of_others_streams_is_redacted_and_blocks_keep_their_order() {
    let mut kit = redacting();
    let call = r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"send","arguments":"{\"text\":\"sk-123456\"}"}}]}"#;
    kit.script(stream_of(&[
        r#"{"reasoning_content":"It is sk-1"}"#,
        r#"{"reasoning_content":"23456, hush"}"#,
        r#"{"content":"Here: sk-12"}"#,
        r#"{"content":"3456."}"#,
        call,
    ]));
    let heard = kit.messages(&ask(true), &[]).await;
    assert_eq!(heard.blocks(), ["thinking", "text", "tool_use"], "{}", heard.text);
    assert_eq!(
        (heard.pieces("thinking"), heard.pieces("text")),
        ("It is [redacted], hush".to_owned(), "Here: [redacted].".to_owned())
    );
    assert_eq!(heard.pieces("partial_json"), r#"{"text":"[redacted]"}"#);
    assert!(heard.pieces("signature").starts_with("gatewright."), "our own thought has our own seal");
}

#[tokio::test]
async fn a_signed_thought_that_nobody_edits_keeps_its_signature_behind_a_window() {
    let mut kit = redacting();
    let start = |index: u32, kind: &str| json!({"type": "content_block_start", "index": index, "content_block": {"type": kind}});
    kit.script(anthropic(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude"}}),
        start(0, "thinking"),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "A long thought, and harmless."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "vendor=="}}),
        json!({"type": "content_block_stop", "index": 0}),
        start(1, "text"),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "And a long and harmless word."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
    ]));
    let heard = kit.messages(&ask(true), &[]).await;
    assert_eq!(heard.blocks(), ["thinking", "text"], "{}", heard.text);
    assert_eq!(
        (heard.pieces("thinking").as_str(), heard.pieces("signature").as_str()),
        ("A long thought, and harmless.", "vendor==")
    );
    assert_eq!(heard.pieces("text"), "And a long and harmless word.");
}

#[tokio::test]
async fn every_channel_of_a_conversation_is_redacted_on_its_way_in() {
    let mut kit = redacting();
    kit.script(stream_of(&[r#"{"content":"ok"}"#]));
    let leaky = format!("my {SECRET}");
    let body = json!({"model": "m", "max_tokens": 9, "stream": true, "system": leaky, "messages": [
        {"role": "user", "content": leaky},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": leaky, "signature": "vendor=="}, {"type": "text", "text": leaky},
            {"type": "tool_use", "id": "t", "name": "send", "input": {"text": leaky}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": leaky}]}]}]});
    assert_eq!(kit.messages(&body, &[]).await.status, 200);
    let asked = kit.upstream.asked.lock().unwrap();
    use crate::dialects::{Dialect, anthropic_messages::AnthropicMessages, openai_chat::OpenAiChat};
    for dialect in [&AnthropicMessages as &dyn Dialect, &OpenAiChat] {
        let sent = String::from_utf8(dialect.write(&asked[0]).unwrap().to_vec()).unwrap();
        assert!(!sent.contains("123456") && !sent.contains("vendor=="), "{sent}");
        let wanted = if dialect.name() == "openai_chat" { 6 } else { 5 };
        assert_eq!(sent.matches("my [redacted]").count(), wanted, "thought without its signature is not sent to a vendor: {sent}");
    }
}

#[tokio::test]
async fn a_whole_answer_is_redacted_too() {
    let mut kit = redacting();
    kit.script(leaks());
    let heard = kit.messages(&ask(false), &[]).await;
    let content = &heard.json()["content"];
    assert_eq!((&content[0]["thinking"], &content[1]["text"]), (&json!("It is [redacted], hush"), &json!("Here: [redacted].")));
    assert_eq!(content[2]["input"], json!({"text": "[redacted]"}));
    assert!(!heard.text.contains("vendor"));
}

#[tokio::test]
async fn a_block_before_the_first_word_is_a_refusal_and_in_the_middle_a_proper_end() {
    let mut kit = Kit::new();
    kit.plugin("topic", "window: 10\nsubscribe:\n  - {phases: [request, chunk], channels: all}", BLOCK);
    let refused = kit.messages(&json!({"model": "m", "messages": [{"role": "user", "content": "forbidden"}]}), &[]).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    kit.script(stream_of(&[r#"{"content":"a long enough beginning, "}"#, r#"{"content":"and then the forbidden word"}"#]));
    let heard = kit.messages(&ask(true), &[]).await;
    assert!(heard.pieces("text").starts_with("a long enough") && !heard.text.contains("forbidden"), "{}", heard.text);
    let events = heard.events();
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "refusal");
    assert_eq!(
        (events[events.len() - 3]["type"].as_str(), events.last().unwrap()["type"].as_str()),
        (Some("content_block_stop"), Some("message_stop"))
    );
}

#[tokio::test]
async fn a_plugins_answer_is_an_answer_of_this_dialect() {
    let mut kit = Kit::new();
    kit.plugin(
        "canned",
        "subscribe:\n  - {phases: [request], channels: [user]}",
        "return { inspect = function() return { answer('Canned.') } end }",
    );
    let heard = kit.messages(&ask(false), &[("x-request-id", "r-1")]).await;
    assert_eq!((&heard.json()["id"], &heard.json()["content"][0]["text"]), (&json!("msg_r-1"), &json!("Canned.")));
    assert_eq!(kit.messages(&ask(true), &[]).await.pieces("text"), "Canned.");
}

#[tokio::test]
async fn what_no_plugin_can_inspect_is_recorded_and_refused_where_the_route_is_strict() {
    let hidden = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [
        {"type": "redacted_thinking", "data": "EmwKAhgBEgy3"}, {"type": "text", "text": "a"}]}, {"role": "user", "content": "and?"}]});
    let cached = json!({"model": "m", "metadata": {"user_id": "someone"}, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}]});
    let edits = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
        "context_management": {"edits": [{"type": "compact_20260112", "instructions": "say so"}]}});
    let elsewhere =
        json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "thinking": "hm"}]}]});
    for (strict, body, status) in [
        (false, &hidden, 200),
        (true, &hidden, 400),
        (true, &cached, 200),
        (false, &edits, 200),
        (true, &edits, 400),
        (true, &elsewhere, 400),
    ] {
        let mut kit = Kit::new();
        kit.route().strict = strict;
        kit.plugin(
            "redact",
            "window: 16\nsubscribe:\n  - {phases: [request, chunk], channels: [user, assistant, reasoning]}",
            REDACT,
        );
        kit.script(events(&[&event(r#"{"content":"x"}"#), &finish("stop")]));
        let heard = kit.messages(body, &[]).await;
        assert_eq!(heard.status, status, "{}", heard.text);
        let recorded = kit.rows()[0].verdicts.contains("request:other");
        assert_eq!(recorded, body["metadata"].is_null(), "{body}");
    }
}

/// Another vendor's answer that thinks, leaks and calls.
fn others_leaks() -> Vec<Item> {
    let call = r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"send","arguments":"{}"}}]}"#;
    stream_of(&[r#"{"reasoning_content":"It is sk-123456, hush"}"#, r#"{"content":"Here: sk-123456."}"#, call])
}

#[tokio::test]
async fn others_thought_that_the_client_did_not_ask_for_is_inspected_and_kept_from_it() {
    for thinking in [Value::Null, json!({"type": "disabled"})] {
        for stream in [true, false] {
            let mut kit = redacting();
            kit.script(others_leaks());
            let mut body = ask(stream);
            body["thinking"] = thinking.clone();
            let heard = kit.messages(&body, &[]).await;
            assert!(heard.status == 200 && !heard.text.contains("hush") && !heard.text.contains("signature"), "{}", heard.text);
            match stream {
                true => assert_eq!(
                    (heard.blocks(), heard.pieces("text")),
                    (vec!["text".to_owned(), "tool_use".into()], "Here: [redacted].".into())
                ),
                false => assert_eq!(heard.json()["content"][0]["text"], "Here: [redacted]."),
            }
            assert!(kit.rows()[0].verdicts.contains("reasoning"), "it is inspected all the same");
        }
    }
    let mut kit = Kit::new();
    kit.script(others_leaks());
    let mut body = ask(true);
    body["thinking"] = Value::Null;
    let heard = kit.messages(&body, &[]).await;
    assert_eq!(heard.blocks(), ["text", "tool_use"], "without any policy too: {}", heard.text);
}

#[tokio::test]
async fn what_the_clients_own_vendor_thinks_unasked_is_the_clients_byte_for_byte() {
    let list = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 4, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "vendor=="}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "send", "input": {}}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"x\": 1}"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    let bytes: String = list.iter().map(frame).collect();
    for thinking in [Value::Null, json!({"type": "disabled"}), json!({"type": "between_tools"})] {
        let mut kit = Kit::new();
        kit.route().cache = Some(std::time::Duration::from_secs(60));
        kit.script(anthropic(&list));
        let mut body = ask(true);
        body["thinking"] = thinking;
        assert_eq!(kit.messages(&body, &[]).await.text, bytes);
        let again = kit.messages(&body, &[]).await;
        let told = (again.header("x-gatewright-cache"), again.blocks(), again.pieces("signature"));
        assert_eq!(told, ("hit", vec!["thinking".to_owned(), "tool_use".into()], "vendor==".to_owned()), "and out of the cache");
        let mut kit = redacting();
        kit.script(leaks());
        let heard = kit.messages(&body, &[]).await;
        assert_eq!(heard.blocks(), ["thinking", "text", "tool_use"], "and as a policy leaves it: {}", heard.text);
        assert_eq!(heard.pieces("thinking"), "It is [redacted], hush");
    }
}

/// A tool of the gateway's, and a policy that sees answers whole.
fn looping() -> Kit {
    let tool = r#"
return { tools = { { name = "add", description = "adds", read_only = true, parameters = { type = "object" },
  call = function() return "5" end } } }"#;
    let mut kit = Kit::new();
    kit.plugin("calc", "", tool);
    kit.plugin("sees", "subscribe:\n  - {phases: [response], channels: all}", "return { inspect = function() end }");
    kit.route().tools = Some(crate::config::facts::ToolLoopFact { max_rounds: 3, max_time: std::time::Duration::from_secs(5) });
    kit
}

/// An answer that thinks and then speaks, or calls the gateway's tool: the client's own vendor's, and another's.
fn thinks(ours: &str, others: &str) -> (Vec<Item>, Vec<Item>) {
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let vendors = anthropic(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 4, "output_tokens": 1}}}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "The vendor thinks."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "vendor=="}}),
        json!({"type": "content_block_stop", "index": 0}),
        start(1, serde_json::from_str(ours).unwrap()),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]);
    (vendors, stream_of(&[r#"{"reasoning_content":"Another thinks."}"#, others]))
}

#[tokio::test]
async fn of_an_answer_that_is_held_over_rounds_each_rounds_thought_is_its_own_vendors() {
    let says = (r#"{"type":"text","text":"It is 5."}"#, r#"{"content":"It is 5."}"#);
    let calls = (
        r#"{"type":"tool_use","id":"t","name":"calc__add","input":{}}"#,
        r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"calc__add","arguments":"{}"}}]}"#,
    );
    for stream in [false, true] {
        let rounds =
            [[thinks(calls.0, calls.1).0, thinks(says.0, says.1).1], [thinks(calls.0, calls.1).1, thinks(says.0, says.1).0]];
        for round in rounds {
            let mut kit = looping();
            round.into_iter().for_each(|items| kit.script(items));
            let mut body = ask(stream);
            body["thinking"] = Value::Null;
            let heard = kit.messages(&body, &[]).await;
            assert!(heard.status == 200 && heard.text.contains("It is 5."), "{}", heard.text);
            let thought = (heard.text.contains("The vendor thinks."), heard.text.contains("Another thinks."));
            assert_eq!(thought, (true, false), "{}", heard.text);
        }
    }
}
