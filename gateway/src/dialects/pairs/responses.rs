//! How servers and clients of OpenAI's Responses speak of calls and tokens.
//!
//! Apart because it is a row of the table of pairs. It must not know another dialect.

use serde_json::{Value, json};

use super::{Calling, Counting, Made, none, one, two};

/// The events of an answer with these in their midst.
fn answer(events: Vec<Value>, usage: &Value) -> Vec<Value> {
    let response = |status: &str| json!({"id": "resp_u", "object": "response", "created_at": 1, "model": "m", "status": status});
    let mut ends = response("completed");
    ends["usage"] = usage.clone();
    let first = json!({"type": "response.created", "response": response("in_progress")});
    [first].into_iter().chain(events).chain([json!({"type": "response.completed", "response": ends})]).collect()
}

fn item(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": format!("fc_{id}"), "type": "function_call", "call_id": id, "name": name, "arguments": arguments})
}

fn begins_at(at: usize, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": at, "item": item})
}

fn piece(at: usize, delta: &str) -> Value {
    json!({"type": "response.function_call_arguments.delta", "output_index": at, "delta": delta})
}

fn done(at: usize, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": at, "item": item})
}

pub(super) fn calls() -> Vec<Calling> {
    let (x, y) = (r#"{"x":1}"#, r#"{"y":[2]}"#);
    let (a, b) = (|arguments| item("a", "f", arguments), |arguments| item("b", "g", arguments));
    let answer = |events| answer(events, &json!({"input_tokens": 5, "output_tokens": 3}));
    let says = |text: &str| json!({"type": "response.output_text.delta", "output_index": 0, "delta": text});
    vec![
        (
            "one after the other",
            answer(vec![
                begins_at(0, a("")),
                piece(0, "{\"x\""),
                piece(0, ":1}"),
                done(0, a(x)),
                begins_at(1, b("")),
                piece(1, y),
                done(1, b(y)),
            ]),
            two(),
        ),
        (
            "parallel, in turns",
            answer(vec![
                begins_at(0, a("")),
                begins_at(1, b("")),
                piece(0, "{\"x\""),
                piece(1, "{\"y\":"),
                piece(0, ":1}"),
                piece(1, "[2]}"),
                done(0, a(x)),
                done(1, b(y)),
            ]),
            two(),
        ),
        ("whole, when they are done", answer(vec![begins_at(0, a("")), done(0, a(x)), done(1, b(y))]), two()),
        ("empty arguments", answer(vec![begins_at(0, a("")), done(0, a(""))]), none()),
        ("no more than an empty object", answer(vec![begins_at(0, a("")), piece(0, "{}"), done(0, a("{}"))]), none()),
        ("words, and a call", answer(vec![says("I look."), begins_at(1, a("")), piece(1, x), done(1, a(x))]), one()),
    ]
}

/// OpenAI's clients want each item begun, named, before its pieces, and done after them.
pub(super) fn begins(events: &[Value]) -> bool {
    let (mut open, mut numbers) = (Vec::new(), 0..);
    events.iter().all(|event| {
        let at = &event["output_index"];
        let numbered = event["sequence_number"].as_u64() == numbers.next();
        numbered
            && match event["type"].as_str().unwrap() {
                "response.output_item.added" => {
                    open.push(at.clone());
                    event["item"]["type"] != "function_call"
                        || (event["item"]["call_id"].is_string() && event["item"]["name"].is_string())
                }
                "response.output_item.done" => open.iter().position(|known| known == at).map(|place| open.remove(place)).is_some(),
                _ => at.is_null() || open.contains(at),
            }
    })
}

/// The calls, as a client puts them together: their pieces are what is said when they are done.
pub(super) fn streamed(events: &[Value]) -> Made {
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    let done =
        events.iter().filter(|event| event["type"] == "response.output_item.done" && event["item"]["type"] == "function_call");
    let call = |event: &Value| {
        let of_it = |kind: &'static str| events.iter().filter(move |piece| piece["type"] == kind);
        let here = |piece: &&Value| piece["output_index"] == event["output_index"];
        let pieces = of_it("response.function_call_arguments.delta").filter(here);
        let said: String = pieces.filter_map(|piece| piece["delta"].as_str()).collect();
        let told = of_it("response.function_call_arguments.done").find(here).unwrap();
        assert_eq!((&json!(said), &json!(said)), (&event["item"]["arguments"], &told["arguments"]), "{events:?}");
        (text(&event["item"]["call_id"]), text(&event["item"]["name"]), said)
    };
    done.map(call).collect()
}

pub(super) fn whole(body: &Value) -> Made {
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    let calls = body["output"].as_array().unwrap().iter().filter(|item| item["type"] == "function_call");
    calls.map(|call| (text(&call["call_id"]), text(&call["name"]), text(&call["arguments"]))).collect()
}

pub(super) fn usage() -> Vec<Counting> {
    let details = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 30}, "total_tokens": 150});
    let plain = json!({"input_tokens": 100, "output_tokens": 50, "total_tokens": 150});
    vec![(answer(Vec::new(), &details), [100, 50, 40, 30, 10]), (answer(Vec::new(), &plain), [100, 50, 0, 0, 0])]
}
