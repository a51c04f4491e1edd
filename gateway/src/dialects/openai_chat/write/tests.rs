//! Events and whole answers, from deltas that did not come from an upstream of this dialect.

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, Extras, Fault, FaultKind, FinishReason, Usage, gather_into};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::delta;
use super::{Begin, EventWriter, whole};

fn writer(include_usage: bool) -> EventWriter {
    EventWriter::new(Begin { id: "chatcmpl-1".into(), model: "m".into(), created: 7, include_usage, ..Begin::default() })
}

fn value(frame: Option<Bytes>) -> Value {
    let frame = frame.unwrap();
    let data = frame.strip_prefix(b"data: ").and_then(|rest| rest.strip_suffix(b"\n\n")).unwrap();
    serde_json::from_slice(data).unwrap()
}

fn text(choice: u32, text: &str) -> Delta {
    Delta::Text { choice, text: text.into() }
}

fn usage() -> Usage {
    Usage { prompt: 3, completion: 4, reasoning: Some(1), ..Usage::default() }
}

fn event(data: &'static str) -> Chunk {
    delta::read_event(Bytes::from_static(data.as_bytes())).unwrap().unwrap()
}

#[test]
fn an_event_has_exactly_openais_shape_and_the_first_one_the_role() {
    let mut writer = writer(false);
    let first = value(writer.event(&Chunk::of(vec![text(0, "a"), text(0, "b")])));
    let wanted = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ab"}, "logprobs": null, "finish_reason": null}]});
    assert_eq!(first, wanted);
    let second = value(writer.event(&Chunk::of(vec![
        Delta::Reasoning { choice: 1, text: "t".into() },
        text(0, "c"),
        Delta::Finish { choice: 0, reason: FinishReason::Length },
    ])));
    assert_eq!(
        second["choices"],
        json!([
        {"index": 0, "delta": {"content": "c"}, "logprobs": null, "finish_reason": "length"},
        {"index": 1, "delta": {"role": "assistant", "reasoning_content": "t"}, "logprobs": null, "finish_reason": null}])
    );
    assert_eq!(&writer.end()[..], b"data: [DONE]\n\n");
}

#[test]
fn a_start_alone_says_the_role_and_an_empty_one_keeps_the_doors_names() {
    let mut writer = writer(false);
    let start = Delta::Start { id: String::new(), model: "engine".into(), created: 0 };
    let event = value(writer.event(&Chunk::of(vec![start])));
    assert_eq!((&event["id"], &event["model"], &event["created"]), (&json!("chatcmpl-1"), &json!("engine"), &json!(7)));
    assert_eq!(event["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(value(writer.event(&Chunk::of(vec![text(0, "x")])))["choices"][0]["delta"], json!({"content": "x"}));
}

#[test]
fn calls_are_written_in_pieces_with_their_unknown_fields() {
    let mut extras = Extras::new();
    extras.push("sig", RawValue::from_string("\"s\"".into()).unwrap());
    extras.push("function", RawValue::from_string("{\"z\":1}".into()).unwrap());
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str, extras: Extras| Delta::ToolCall {
        choice: 0,
        index: 0,
        id: id.map(Into::into),
        name: name.map(Into::into),
        arguments: arguments.into(),
        extras,
    };
    let mut writer = writer(false);
    let first = value(writer.event(&Chunk::of(vec![call(Some("c"), Some("f"), "", extras)])));
    assert_eq!(
        first["choices"][0]["delta"]["tool_calls"],
        json!([
        {"index": 0, "id": "c", "type": "function", "function": {"z": 1, "name": "f", "arguments": ""}, "sig": "s"}])
    );
    let next = value(writer.event(&Chunk::of(vec![call(None, None, "{}", Extras::new())])));
    assert_eq!(next["choices"][0]["delta"], json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}));
}

fn call(index: u32, name: Option<&str>, arguments: &str) -> Delta {
    let named = || name.map(Into::into);
    Delta::ToolCall { choice: 0, index, id: named(), name: named(), arguments: arguments.into(), extras: Extras::new() }
}

fn ends(reason: FinishReason) -> Delta {
    Delta::Finish { choice: 0, reason }
}

/// The first choices of the events of a stream that has each of these by itself.
fn choices(deltas: Vec<Delta>) -> Vec<Value> {
    let mut writer = writer(true);
    let mut all: Vec<u8> = deltas.into_iter().filter_map(|delta| writer.event(&Chunk::of(vec![delta]))).flatten().collect();
    all.extend_from_slice(&writer.end());
    let all = String::from_utf8(all).unwrap();
    let data: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let [data @ .., "[DONE]"] = &data[..] else { panic!("{all}") };
    data.iter().map(|data| serde_json::from_str::<Value>(data).unwrap()["choices"][0].clone()).collect()
}

#[test]
fn a_call_without_arguments_has_empty_ones_where_its_choice_ends_unless_it_was_cut() {
    let silent = |reason| vec![call(0, Some("f"), ""), call(1, Some("g"), ""), call(1, None, "{"), ends(reason)];
    let last = |deltas| choices(deltas).pop().unwrap();
    for reason in [FinishReason::ToolCalls, FinishReason::Stop] {
        let told = last(silent(reason.clone()));
        assert_eq!(told["delta"], json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}));
        assert_eq!(told["finish_reason"], reason.as_str());
    }
    assert_eq!(last(silent(FinishReason::Length))["delta"], json!({}));
    let mut extras = Extras::new();
    extras.push("type", RawValue::from_string("\"custom\"".into()).unwrap());
    let custom = Delta::ToolCall { choice: 0, index: 0, id: Some("a".into()), name: None, arguments: String::new(), extras };
    assert_eq!(last(vec![custom, ends(FinishReason::ToolCalls)])["delta"], json!({}), "of another kind: it has none");
    let mut cut = silent(FinishReason::ToolCalls);
    cut.push(ends(FinishReason::ContentFilter));
    let told = last(cut);
    assert_eq!((&told["delta"], &told["finish_reason"]), (&json!({}), &json!("content_filter")), "it does not end well any more");
}

#[test]
fn arguments_that_come_after_the_end_are_all_that_a_call_says_and_the_end_comes_after_them() {
    let bill = Delta::Usage(usage());
    let told =
        choices(vec![call(0, Some("f"), ""), ends(FinishReason::ToolCalls), bill, call(0, None, "{\"x\":1}"), text(0, "Late.")]);
    let pieces: Vec<&Value> = told.iter().map(|choice| &choice["delta"]["tool_calls"][0]["function"]["arguments"]).collect();
    assert_eq!(pieces, [&json!(""), &json!("{\"x\":1}"), &Value::Null, &Value::Null, &Value::Null]);
    let reasons: Vec<&Value> = told.iter().map(|choice| &choice["finish_reason"]).collect();
    assert_eq!(reasons, [&Value::Null, &Value::Null, &Value::Null, &json!("tool_calls"), &Value::Null]);
    assert_eq!(told[4], Value::Null, "the bill is the last");
}

#[test]
fn usage_is_told_to_those_who_asked_and_cut_out_for_others() {
    let last = Chunk::of(vec![Delta::Usage(usage())]);
    assert!(writer(false).event(&last).is_none());
    let told = value(writer(true).event(&last));
    assert_eq!(told["choices"], json!([]));
    assert_eq!(
        told["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
        "completion_tokens_details": {"reasoning_tokens": 1}})
    );
    // An upstream's own event loses its usage, and nothing else.
    let mixed = r#"{"id":"i","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"fp":"x","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let cut = value(writer(false).event(&event(mixed)));
    assert!(cut.get("usage").is_none() && cut["fp"] == "x" && cut["choices"][0]["finish_reason"] == "stop");
    let only = r#"{"id":"i","fp":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let mut both = (writer(false), writer(true));
    assert!(both.0.event(&event(only)).is_none());
    assert_eq!(both.1.event(&event(only)).unwrap(), format!("data: {only}\n\n"));
}

#[test]
fn what_the_client_is_not_told_writes_no_event() {
    let mut writer = writer(true);
    let result = Delta::ToolResult { id: "1".into(), name: "t".into(), text: "r".into() };
    assert!(writer.event(&Chunk::of(vec![result])).is_none());
    assert!(writer.event(&Chunk::default()).is_none());
}

#[test]
fn line_breaks_in_an_events_json_cannot_break_the_frame() {
    let frame = writer(true).event(&event("{\n\"choices\":\r\n[]}")).unwrap();
    assert_eq!(&frame[..], b"data: { \"choices\":  []}\n\n");
}

#[test]
fn a_fault_in_the_middle_is_an_error_event() {
    let frame = writer(true).fault(&Fault::upstream("u", FaultKind::UpstreamCut, "cut"));
    assert_eq!(value(Some(frame))["error"]["code"], "upstream_cut");
}

#[test]
fn a_reason_to_stop_that_only_anthropic_has_is_a_stop() {
    let paused = Chunk::of(vec![Delta::Finish { choice: 0, reason: FinishReason::of("pause_turn") }]);
    assert_eq!(value(writer(false).event(&paused))["choices"][0]["finish_reason"], "stop");
    let mut completion = Completion::default();
    gather_into(&mut completion, paused);
    let body: Value = serde_json::from_slice(&whole(&completion)).unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[test]
fn content_and_refusal_that_are_no_texts_are_kept_in_a_whole_answer() {
    let message = json!({"role": "assistant", "content": [{"type": "text", "text": "a"}], "refusal": {"odd": 1}});
    let body = json!({"id": "i", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    let chunk = delta::read_body(Bytes::from(body.to_string())).unwrap();
    let mut completion = Completion::default();
    gather_into(&mut completion, chunk);
    let written: Value = serde_json::from_slice(&whole(&completion)).unwrap();
    assert_eq!(written["choices"][0]["message"], message);
}

#[test]
fn a_whole_answer_has_openais_shape() {
    let mut completion = Completion { id: "i".into(), model: "m".into(), created: 9, ..Completion::default() };
    let logprobs = |json: &str| Delta::Logprobs { choice: 0, value: RawValue::from_string(json.into()).unwrap() };
    let chunk = Chunk::of(vec![
        Delta::Reasoning { choice: 0, text: "t".into() },
        text(0, "a"),
        text(0, "b"),
        logprobs(r#"{"content":[1],"refusal":null}"#),
        logprobs(r#"{"content":[2],"refusal":[3]}"#),
        Delta::Finish { choice: 0, reason: FinishReason::Stop },
        Delta::Usage(usage()),
    ]);
    gather_into(&mut completion, chunk);
    let body: Value = serde_json::from_slice(&whole(&completion)).unwrap();
    assert_eq!(
        body["choices"],
        json!([{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "ab", "reasoning_content": "t", "refusal": null},
        "logprobs": {"content": [1, 2], "refusal": [3]}}])
    );
    assert_eq!((&body["object"], &body["usage"]["total_tokens"]), (&json!("chat.completion"), &json!(7)));
}
