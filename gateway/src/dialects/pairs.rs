//! Each dialect's upstreams to each dialect's clients: calls of tools in every shape that servers send them, and tokens, each once.
//!
//! Apart because it is about pairs: what is read in one dialect, written in another and read there again must say the same. A new dialect
//! is a row of [`SPEAKERS`]. It must not say how a dialect writes; that is in its goldens.

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Usage, gather_into};
use serde_json::{Value, json};

use super::anthropic_messages::AnthropicMessages;
use super::openai_chat::OpenAiChat;
use super::{Begin, DialectRef};
use crate::upstreams::sse::{Bounds, EventReader};

/// A dialect, and how its servers send what the tables are about.
struct Speaker {
    dialect: DialectRef,
    calls: fn() -> Vec<Calling>,
    usage: fn() -> Vec<Counting>,
    /// Whether a client of it knows each call by what begins it.
    begins: fn(&[Value]) -> bool,
}

/// A name, events, and what was called in them.
type Calling = (&'static str, Vec<Value>, Made);

/// Events, and the tokens that they tell: prompt, completion, cached, reasoning, written.
type Counting = (Vec<Value>, [u64; 5]);

/// Calls that were made: id, name, arguments.
type Made = Vec<(&'static str, &'static str, &'static str)>;

const SPEAKERS: [Speaker; 2] = [
    Speaker { dialect: &OpenAiChat, calls: chat_calls, usage: chat_usage, begins: chat_begins },
    Speaker { dialect: &AnthropicMessages, calls: message_calls, usage: message_usage, begins: message_begins },
];

fn two() -> Made {
    vec![("a", "f", r#"{"x":1}"#), ("b", "g", r#"{"y":[2]}"#)]
}

fn calls(list: Value) -> Value {
    json!({"id": "c", "model": "m", "created": 1, "choices": [{"index": 0, "delta": {"tool_calls": list}, "finish_reason": null}]})
}

fn ends(list: Vec<Value>) -> Vec<Value> {
    let end = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    list.into_iter().chain([end, used(json!({"prompt_tokens": 5, "completion_tokens": 3}))]).collect()
}

fn used(usage: Value) -> Value {
    json!({"id": "c", "choices": [], "usage": usage})
}

fn piece(index: usize, arguments: &str) -> Value {
    json!({"index": index, "function": {"arguments": arguments}})
}

fn begun(index: usize, id: &str, name: &str, arguments: &str) -> Value {
    json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn chat_calls() -> Vec<Calling> {
    let (a, b) = (|arguments| begun(0, "a", "f", arguments), |arguments| begun(1, "b", "g", arguments));
    let named = |index: usize, name: &str| json!({"index": index, "function": {"name": name, "arguments": ""}});
    let identified =
        |index: usize, id: &str, arguments: &str| json!({"index": index, "id": id, "function": {"arguments": arguments}});
    let bare = |id: &str, name: &str, arguments: &str| json!({"id": id, "function": {"name": name, "arguments": arguments}});
    let usage = used(json!({"prompt_tokens": 5, "completion_tokens": 3}));
    vec![
        (
            "one after the other",
            ends(vec![calls(json!([a("")])), calls(json!([piece(0, r#"{"x":1}"#)])), calls(json!([b(r#"{"y":[2]}"#)]))]),
            two(),
        ),
        (
            "parallel, in turns",
            ends(vec![
                calls(json!([a("{\"x\"")])),
                calls(json!([b("{\"y\":")])),
                calls(json!([piece(0, ":1}")])),
                calls(json!([piece(1, "[2]}")])),
            ]),
            two(),
        ),
        ("whole, in one delta", ends(vec![calls(json!([a(r#"{"x":1}"#), b(r#"{"y":[2]}"#)]))]), two()),
        ("without numbers", ends(vec![calls(json!([bare("a", "f", r#"{"x":1}"#), bare("b", "g", r#"{"y":[2]}"#)]))]), two()),
        (
            "the id comes late",
            ends(vec![
                calls(json!([named(0, "f")])),
                calls(json!([identified(0, "a", "{\"x\"")])),
                calls(json!([piece(0, ":1}")])),
            ]),
            vec![("a", "f", r#"{"x":1}"#)],
        ),
        (
            "the id comes with each piece",
            ends(vec![calls(json!([a("{\"x\"")])), calls(json!([identified(0, "a", ":1}")]))]),
            vec![("a", "f", r#"{"x":1}"#)],
        ),
        ("empty arguments", ends(vec![calls(json!([a("")]))]), vec![("a", "f", "{}")]),
        ("no arguments", ends(vec![calls(json!([{"index": 0, "id": "a", "function": {"name": "f"}}]))]), vec![("a", "f", "{}")]),
        (
            "an object for arguments",
            ends(vec![calls(json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]))]),
            vec![("a", "f", r#"{"x":1}"#)],
        ),
        (
            "arguments after usage",
            ends(vec![calls(json!([a("{\"x\"")])), usage, calls(json!([piece(0, ":1}")]))]),
            vec![("a", "f", r#"{"x":1}"#)],
        ),
        talking(),
    ]
}

/// A call with words around it and in its midst.
fn talking() -> Calling {
    let says = |text: &str| json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    let list = vec![says("I look."), calls(json!([begun(0, "a", "f", "{\"x\"")])), says(" Wait."), calls(json!([piece(0, ":1}")]))];
    ("words, a call, and words again", ends(list), vec![("a", "f", r#"{"x":1}"#)])
}

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

fn message_calls() -> Vec<Calling> {
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
        ("empty arguments", message(vec![a.clone(), closes(0)]), vec![("a", "f", "{}")]),
        (
            "arguments after usage",
            message(vec![a, goes_on(0, "{\"x\""), usage, goes_on(0, ":1}"), closes(0)]),
            vec![("a", "f", r#"{"x":1}"#)],
        ),
    ]
}

/// OpenAI's clients take id and name from the first piece of an index.
fn chat_begins(events: &[Value]) -> bool {
    let mut known = Vec::new();
    let pieces = events.iter().flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default());
    pieces.into_iter().all(|piece| {
        let first = !known.contains(&piece["index"]);
        known.push(piece["index"].clone());
        !first || (piece["id"].is_string() && piece["function"]["name"].is_string())
    })
}

/// Anthropic's clients want one block after the other, each begun and ended.
fn message_begins(events: &[Value]) -> bool {
    let mut open = None;
    events.iter().all(|event| match event["type"].as_str() {
        Some("content_block_start") => open.replace(event["index"].clone()).is_none() && event["content_block"]["type"].is_string(),
        Some("content_block_delta") => open.as_ref() == Some(&event["index"]),
        Some("content_block_stop") => open.take() == Some(event["index"].clone()),
        _ => true,
    })
}

/// The chunks of these events.
fn heard(dialect: DialectRef, events: &[Value]) -> Vec<Chunk> {
    let mut reader = dialect.reader();
    events.iter().filter_map(|event| reader.event(Bytes::from(event.to_string())).unwrap()).collect()
}

fn gathered(chunks: &[Chunk]) -> Completion {
    let mut whole = Completion::default();
    chunks.iter().for_each(|chunk| gather_into(&mut whole, chunk.clone()));
    whole
}

/// The events that a client of that dialect is sent.
fn written(dialect: DialectRef, chunks: &[Chunk]) -> Vec<Value> {
    let mut writer = dialect.events(Begin { include_usage: true, ..Begin::default() });
    let mut bytes: Vec<u8> = chunks.iter().filter_map(|chunk| writer.event(chunk)).flatten().collect();
    bytes.extend_from_slice(&writer.end());
    let mut events = EventReader::new(Bounds { event: 1 << 20, total: 1 << 20 });
    events.push(Bytes::from(bytes)).unwrap();
    let data = std::iter::from_fn(|| events.next().unwrap());
    data.filter(|data| &data[..] != b"[DONE]").map(|data| serde_json::from_slice(&data).unwrap()).collect()
}

fn check_calls(name: &str, answer: &Completion, made: &Made) {
    let found: Vec<(&str, &str, Value)> = answer.choices[0]
        .tool_calls
        .iter()
        .map(|call| {
            let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
            (&*call.id, &*call.name, serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments)))
        })
        .collect();
    let made: Vec<(&str, &str, Value)> =
        made.iter().map(|(id, name, arguments)| (*id, *name, serde_json::from_str(arguments).unwrap())).collect();
    assert_eq!(found, made, "{name}");
}

#[test]
fn calls_reach_the_clients_of_every_dialect_whole_whatever_shape_they_come_in() {
    for from in &SPEAKERS {
        for (name, events, made) in (from.calls)() {
            let chunks = heard(from.dialect, &events);
            check_calls(name, &gathered(&chunks), &made);
            let touched: Vec<Chunk> = chunks.iter().map(|chunk| Chunk { raw: None, ..chunk.clone() }).collect();
            for to in &SPEAKERS {
                let name = format!("{name}: {:?} to {:?}", from.dialect, to.dialect);
                check_calls(&name, &gathered(&heard(to.dialect, &written(to.dialect, &chunks))), &made);
                let events = written(to.dialect, &touched);
                check_calls(&format!("{name}, rewritten"), &gathered(&heard(to.dialect, &events)), &made);
                // Who speaks the client's own dialect is passed on as it speaks.
                let own = from.dialect.name() == to.dialect.name();
                assert!(own || (to.begins)(&events), "{name}: {events:?}");
                let body = to.dialect.whole(&gathered(&chunks), &Begin::default());
                check_calls(&format!("{name}, whole"), &gathered(&[to.dialect.read_body(body).unwrap()]), &made);
            }
        }
    }
}

fn chat_usage() -> Vec<Counting> {
    let details = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 30}});
    let deepseek = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 30}});
    let both = json!({"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 40},
        "prompt_cache_hit_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 30}});
    let plain = json!({"prompt_tokens": 100, "completion_tokens": 50});
    let twice = vec![used(details.clone()), used(details.clone())];
    let said = [vec![used(details)], vec![used(deepseek)], vec![used(both)], twice];
    let said = said.into_iter().map(|events| (events, [100, 50, 40, 30, 0]));
    said.chain([(vec![used(plain)], [100, 50, 0, 0, 0])]).collect()
}

fn message_usage() -> Vec<Counting> {
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

fn tokens(usage: &Usage) -> [u64; 5] {
    let Usage { prompt, completion, cached, reasoning, cache_written, .. } = usage;
    [*prompt, *completion, cached.unwrap_or_default(), reasoning.unwrap_or_default(), cache_written.unwrap_or_default()]
}

#[test]
fn tokens_add_up_in_every_dialect_each_once() {
    for from in &SPEAKERS {
        for (events, wanted) in (from.usage)() {
            let chunks = heard(from.dialect, &events);
            let answer = gathered(&chunks);
            assert_eq!(tokens(answer.usage.as_ref().unwrap()), wanted, "{events:?}");
            for to in &SPEAKERS {
                // Of the parts, each dialect tells those that it has words for; the sums are the same in all.
                let same = |found: Usage, how: &str| {
                    let name = format!("{:?} to {:?}, {how}: {events:?}", from.dialect, to.dialect);
                    let found = tokens(&found);
                    assert_eq!(found[..3], wanted[..3], "{name}");
                    let told = found[3..].iter().zip(&wanted[3..]).all(|(found, wanted)| found == wanted || *found == 0);
                    assert!(told, "{name}: {found:?}");
                };
                let streamed = gathered(&heard(to.dialect, &written(to.dialect, &chunks)));
                same(streamed.usage.unwrap_or_default(), "streamed");
                let body = to.dialect.whole(&answer, &Begin::default());
                same(gathered(&[to.dialect.read_body(body).unwrap()]).usage.unwrap_or_default(), "whole");
            }
        }
    }
}
