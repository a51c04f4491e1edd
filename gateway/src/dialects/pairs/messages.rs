//! How servers and clients of Anthropic's Messages speak of calls and tokens.
//!
//! Apart because it is a row of the table of pairs. It must not know another dialect.

use serde_json::{Value, json};

use super::{Calling, Counting, Made, none, one, two};

fn message(blocks: Vec<Value>) -> Vec<Value> {
    let start =
        json!({"type": "message_start", "message": {"id": "msg", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}});
    [start].into_iter().chain(blocks).chain([end, json!({"type": "message_stop"})]).collect()
}

fn opens(index: usize, id: &str, name: &str, input: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": name, "input": input}})
}

fn goes_on(index: usize, json: &str) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": json}})
}

fn closes(index: usize) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

pub(super) fn calls() -> Vec<Calling> {
    let (a, b) = (opens(0, "a", "f", json!({})), opens(1, "b", "g", json!({})));
    let usage = json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}});
    vec![
        (
            "one after the other",
            message(vec![
                a.clone(),
                goes_on(0, ""),
                goes_on(0, "{\"x\""),
                goes_on(0, ":1}"),
                closes(0),
                b.clone(),
                goes_on(1, r#"{"y":[2]}"#),
                closes(1),
            ]),
            two(),
        ),
        (
            "in turns",
            message(vec![
                a.clone(),
                b.clone(),
                goes_on(0, "{\"x\""),
                goes_on(1, "{\"y\":"),
                goes_on(0, ":1}"),
                goes_on(1, "[2]}"),
                closes(0),
                closes(1),
            ]),
            two(),
        ),
        (
            "whole, where they begin",
            message(vec![opens(0, "a", "f", json!({"x": 1})), closes(0), opens(1, "b", "g", json!({"y": [2]})), closes(1)]),
            two(),
        ),
        ("empty arguments", message(vec![a.clone(), closes(0)]), none()),
        ("arguments after usage", message(vec![a, goes_on(0, "{\"x\""), usage, goes_on(0, ":1}"), closes(0)]), one()),
    ]
}

/// Anthropic's clients want one block after the other, each begun and ended.
pub(super) fn begins(events: &[Value]) -> bool {
    let mut open = None;
    events.iter().all(|event| match event["type"].as_str() {
        Some("content_block_start") => open.replace(event["index"].clone()).is_none() && event["content_block"]["type"].is_string(),
        Some("content_block_delta") => open.as_ref() == Some(&event["index"]),
        Some("content_block_stop") => open.take() == Some(event["index"].clone()),
        _ => true,
    })
}

/// The calls, as a client puts them together.
pub(super) fn streamed(events: &[Value]) -> Made {
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    let begun = events.iter().filter(|event| event["content_block"]["type"] == "tool_use");
    let call = |event: &Value| {
        let pieces = events.iter().filter(|piece| piece["index"] == event["index"]);
        let input: String = pieces.filter_map(|piece| piece["delta"]["partial_json"].as_str()).collect();
        let block = &event["content_block"];
        let input = if input.is_empty() { block["input"].to_string() } else { input };
        (text(&block["id"]), text(&block["name"]), input)
    };
    begun.map(call).collect()
}

pub(super) fn whole(body: &Value) -> Made {
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    let calls = body["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
    calls.map(|call| (text(&call["id"]), text(&call["name"]), call["input"].to_string())).collect()
}

pub(super) fn usage() -> Vec<Counting> {
    let begins = |usage: Value| json!({"type": "message_start", "message": {"id": "msg", "model": "m", "usage": usage}});
    let ends = |usage: Value| json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
    let cached = json!({"input_tokens": 50, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10, "output_tokens": 1});
    let all = json!({"input_tokens": 50, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10, "output_tokens": 50});
    vec![
        (vec![begins(cached.clone()), ends(json!({"output_tokens": 50}))], [100, 50, 40, 0, 10]),
        (vec![begins(cached), ends(all)], [100, 50, 40, 0, 10]),
        (vec![begins(json!({"input_tokens": 100})), ends(json!({"output_tokens": 50}))], [100, 50, 0, 0, 0]),
    ]
}
