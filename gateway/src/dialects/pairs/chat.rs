//! How servers and clients of OpenAI's chat completions speak of calls and tokens.
//!
//! Apart because it is a row of the table of pairs. It must not know another dialect.

use serde_json::{Value, json};

use super::{Calling, Counting, Made, none, one, two};

fn called(list: Value) -> Value {
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

pub(super) fn calls() -> Vec<Calling> {
    let (a, b) = (|arguments| begun(0, "a", "f", arguments), |arguments| begun(1, "b", "g", arguments));
    let named = |index: usize, name: &str| json!({"index": index, "function": {"name": name, "arguments": ""}});
    let identified =
        |index: usize, id: &str, arguments: &str| json!({"index": index, "id": id, "function": {"arguments": arguments}});
    let usage = used(json!({"prompt_tokens": 5, "completion_tokens": 3}));
    let mut all = vec![
        (
            "one after the other",
            ends(vec![called(json!([a("")])), called(json!([piece(0, r#"{"x":1}"#)])), called(json!([b(r#"{"y":[2]}"#)]))]),
            two(),
        ),
        (
            "parallel, in turns",
            ends(vec![
                called(json!([a("{\"x\"")])),
                called(json!([b("{\"y\":")])),
                called(json!([piece(0, ":1}")])),
                called(json!([piece(1, "[2]}")])),
            ]),
            two(),
        ),
        ("whole, in one delta", ends(vec![called(json!([a(r#"{"x":1}"#), b(r#"{"y":[2]}"#)]))]), two()),
        (
            "the id comes late",
            ends(vec![
                called(json!([named(0, "f")])),
                called(json!([identified(0, "a", "{\"x\"")])),
                called(json!([piece(0, ":1}")])),
            ]),
            one(),
        ),
        (
            "the id comes with each piece",
            ends(vec![called(json!([a("{\"x\"")])), called(json!([identified(0, "a", ":1}")]))]),
            one(),
        ),
        ("empty arguments", ends(vec![called(json!([a("")]))]), none()),
        ("no arguments", ends(vec![called(json!([{"index": 0, "id": "a", "function": {"name": "f"}}]))]), none()),
        (
            "an object for arguments",
            ends(vec![called(json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]))]),
            one(),
        ),
        ("arguments after usage", ends(vec![called(json!([a("{\"x\"")])), usage, called(json!([piece(0, ":1}")]))]), one()),
        late(),
        talking(),
    ];
    all.extend(numberless());
    all
}

/// Calls whose numbers do not tell them apart.
fn numberless() -> Vec<Calling> {
    let bare = |id: &str, name: &str, arguments: &str| json!({"id": id, "function": {"name": name, "arguments": arguments}});
    vec![
        ("without numbers", ends(vec![called(json!([bare("a", "f", r#"{"x":1}"#), bare("b", "g", r#"{"y":[2]}"#)]))]), two()),
        // Google's server of this dialect.
        (
            "all of the same number",
            ends(vec![called(json!([begun(0, "a", "f", r#"{"x":1}"#)])), called(json!([begun(0, "b", "g", r#"{"y":[2]}"#)]))]),
            two(),
        ),
        (
            "without numbers, and in pieces",
            ends(vec![
                called(json!([bare("a", "f", "")])),
                called(json!([{"function": {"arguments": r#"{"x":1}"#}}])),
                called(json!([bare("b", "g", "{\"y\":")])),
                called(json!([{"function": {"arguments": "[2]}"}}])),
            ]),
            two(),
        ),
    ]
}

/// A call whose arguments come when its choice has ended.
fn late() -> Calling {
    let end = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
    let list = vec![called(json!([begun(0, "a", "f", "")])), end, called(json!([piece(0, r#"{"x":1}"#)]))];
    ("arguments after the end", list, one())
}

/// A call with words around it and in its midst.
fn talking() -> Calling {
    let says = |text: &str| json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    let list =
        vec![says("I look."), called(json!([begun(0, "a", "f", "{\"x\"")])), says(" Wait."), called(json!([piece(0, ":1}")]))];
    ("words, a call, and words again", ends(list), one())
}

/// OpenAI's clients take id and name from the first piece of an index.
pub(super) fn begins(events: &[Value]) -> bool {
    let mut known = Vec::new();
    let pieces = events.iter().flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default());
    pieces.into_iter().all(|piece| {
        let first = !known.contains(&piece["index"]);
        known.push(piece["index"].clone());
        !first || (piece["id"].is_string() && piece["function"]["name"].is_string())
    })
}

/// The calls, as a client puts them together.
pub(super) fn streamed(events: &[Value]) -> Made {
    let mut made: Vec<(u64, [String; 3])> = Vec::new();
    let pieces = events.iter().flat_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default());
    for piece in pieces {
        let index = piece["index"].as_u64().unwrap();
        let at = made.iter().position(|(known, _)| *known == index).unwrap_or_else(|| {
            made.push((index, Default::default()));
            made.len() - 1
        });
        let said = |text: &Value| text.as_str().unwrap_or_default().to_owned();
        let [id, name, arguments] = &mut made[at].1;
        for (known, said) in [(id, said(&piece["id"])), (name, said(&piece["function"]["name"]))] {
            if known.is_empty() {
                *known = said;
            }
        }
        arguments.push_str(&said(&piece["function"]["arguments"]));
    }
    made.into_iter().map(|(_, [id, name, arguments])| (id, name, arguments)).collect()
}

pub(super) fn whole(body: &Value) -> Made {
    let calls = body["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    calls.iter().map(|call| (text(&call["id"]), text(&call["function"]["name"]), text(&call["function"]["arguments"]))).collect()
}

pub(super) fn usage() -> Vec<Counting> {
    let details = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 30}});
    let deepseek = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 30}});
    let both = json!({"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 40},
        "prompt_cache_hit_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 30}});
    let plain = json!({"prompt_tokens": 100, "completion_tokens": 50});
    let twice = vec![used(details.clone()), used(details.clone())];
    // xAI counts thought beside the completion.
    let xai = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 30}});
    let said = [vec![used(details)], vec![used(deepseek)], vec![used(both)], twice, vec![used(xai)]];
    let said = said.into_iter().map(|events| (events, [100, 50, 40, 30, 0]));
    said.chain([(vec![used(plain)], [100, 50, 0, 0, 0])]).collect()
}
