//! Answers as upstreams send them: in pieces, whole, odd and failed.

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Fault, FaultKind, FinishReason};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Reader, read_body};
use crate::dialects::ReadEvents;

fn read(reader: &mut Reader, event: &Value) -> Result<Option<Chunk>, Fault> {
    reader.event(Bytes::from(event.to_string()))
}

fn deltas(events: &[Value]) -> Vec<Delta> {
    let mut reader = Reader::default();
    events.iter().flat_map(|event| read(&mut reader, event).unwrap().unwrap().deltas).collect()
}

fn arguments(deltas: &[Delta], of: u32) -> String {
    let said = |delta: &Delta| match delta {
        Delta::ToolCall { index, arguments, .. } if *index == of => Some(arguments.clone()),
        _ => None,
    };
    deltas.iter().filter_map(said).collect()
}

#[test]
fn calls_that_come_whole_and_calls_that_come_in_pieces_say_the_same() {
    let call = |kind: &str, field: &str, text: &str| json!({"type": kind, "id": "i", "call_id": "c", "name": "f", field: text});
    let done = |at: u32, item: &Value| json!({"type": "response.output_item.done", "output_index": at, "item": item});
    let added = |at: u32, item: &Value| json!({"type": "response.output_item.added", "output_index": at, "item": item});
    let piece =
        |kind: &str, at: u32, text: &str| json!({"type": format!("response.{kind}.delta"), "output_index": at, "delta": text});
    let (function, custom) = (call("function_call", "arguments", "{\"a\":1}"), call("custom_tool_call", "input", "say \"x\"\n"));
    let whole = deltas(&[done(0, &function), done(1, &custom)]);
    let pieces = deltas(&[
        added(0, &call("function_call", "arguments", "")),
        added(1, &call("custom_tool_call", "input", "")),
        piece("custom_tool_call_input", 1, "say \"x"),
        piece("function_call_arguments", 0, "{\"a\""),
        piece("custom_tool_call_input", 1, "\"\n"),
        piece("function_call_arguments", 0, ":1}"),
        done(1, &custom),
        done(0, &function),
    ]);
    for said in [&whole, &pieces] {
        assert_eq!(arguments(said, 0), "{\"a\":1}");
        assert_eq!(serde_json::from_str::<Value>(&arguments(said, 1)).unwrap(), json!({"input": "say \"x\"\n"}));
    }
    let silent = deltas(&[added(0, &call("custom_tool_call", "input", "")), done(0, &call("custom_tool_call", "input", ""))]);
    assert_eq!(arguments(&silent, 0), "{\"input\":\"\"}");
}

fn told(deltas: &[Delta], name: &str) -> Vec<Value> {
    let others = deltas.iter().filter_map(|delta| if let Delta::Other { delta, .. } = delta { Some(delta) } else { None });
    let fields = others.flat_map(|extras| extras.iter().filter(|(field, _)| *field == format!("openai_responses.{name}")));
    fields.map(|(_, value)| serde_json::from_str(value.get()).unwrap()).collect()
}

#[test]
fn what_is_said_of_a_part_points_into_all_the_text_that_its_parts_are() {
    let note = |start: u64| json!({"type": "url_citation", "url": "u", "start_index": start, "end_index": start + 2});
    let file = json!({"type": "file_citation", "index": 1, "file_id": "f"});
    let text = |text: &str, notes: Value| json!({"type": "output_text", "text": text, "annotations": notes});
    let refusal = json!({"type": "refusal", "refusal": "No."});
    let content = json!([text("Äb", json!([])), text("CD", json!([note(0), file])), refusal, text("EF", json!([note(0)]))]);
    let item = json!({"type": "message", "content": content});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let wanted = [note(2), file.clone(), note(0)];
    assert_eq!(told(&deltas(std::slice::from_ref(&done)), "annotation"), wanted);
    let mut events = Vec::new();
    for (at, part) in content.as_array().unwrap().iter().enumerate() {
        let (kind, said) =
            if at == 2 { ("response.refusal.delta", &part["refusal"]) } else { ("response.output_text.delta", &part["text"]) };
        for letter in said.as_str().unwrap().chars() {
            events.push(json!({"type": kind, "output_index": 0, "content_index": at, "delta": letter.to_string()}));
        }
    }
    let pieces = events.clone();
    events.push(done.clone());
    assert_eq!(told(&deltas(&events), "annotation"), wanted, "notes that only the whole has");
    let mut events = pieces;
    let said = |part: u64, note: &Value| json!({"type": "response.output_text.annotation.added", "output_index": 0, "content_index": part, "annotation": note});
    events.insert(4, said(1, &file));
    events.insert(4, said(1, &note(0)));
    events.push(done);
    assert_eq!(told(&deltas(&events), "annotation"), wanted, "notes that are told one by one");
}

#[test]
fn a_phase_that_nobody_knows_is_no_note_of_ours() {
    let message = |phase: &str| json!({"type": "message", "phase": phase, "content": [{"type": "output_text", "text": "x"}]});
    let said = |phase: &str| deltas(&[json!({"type": "response.output_item.done", "output_index": 0, "item": message(phase)})]);
    assert_eq!((told(&said("commentary"), "phase"), told(&said("commentary"), "other_phase")), (vec![json!("commentary")], vec![]));
    assert_eq!((told(&said("sk-1"), "phase"), told(&said("sk-1"), "other_phase")), (vec![json!(true)], vec![json!("sk-1")]));
}

#[test]
fn how_an_answer_ends_is_read_from_its_status() {
    let end = |response: Value, calls: bool| {
        let mut reader = Reader::default();
        if calls {
            let item = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
            read(&mut reader, &json!({"type": "response.output_item.done", "output_index": 0, "item": item})).unwrap();
        }
        let chunk = read(&mut reader, &json!({"type": "response.completed", "response": response})).unwrap().unwrap();
        match chunk.deltas.last() {
            Some(Delta::Finish { reason, .. }) => reason.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end(json!({"status": "completed"}), false), FinishReason::Stop);
    assert_eq!(end(json!({"status": "completed"}), true), FinishReason::ToolCalls);
    assert_eq!(
        end(json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}), true),
        FinishReason::Length
    );
    assert_eq!(
        end(json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}), false),
        FinishReason::ContentFilter
    );
}

#[test]
fn what_failed_is_a_fault_with_its_status() {
    let fault = |event: Value| read(&mut Reader::default(), &event).unwrap_err();
    let limited = fault(json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": null}));
    assert_eq!((limited.kind, limited.message.as_str()), (FaultKind::UpstreamStatus(429), "slow down"));
    let failed = fault(json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "oh"}}}));
    assert_eq!((failed.kind, failed.message.as_str()), (FaultKind::UpstreamStatus(500), "oh"));
    let body = |json: &'static str| read_body(&Bytes::from_static(json.as_bytes())).unwrap_err().kind;
    assert_eq!(body(r#"{"id":"x","error":{"code":"server_error","message":"m"}}"#), FaultKind::UpstreamStatus(500));
    for odd in [r#"{"id":"x"}"#, "<html>", "[]"] {
        assert_eq!(body(odd), FaultKind::UpstreamInvalid, "{odd}");
    }
    assert!(Reader::default().event(Bytes::from_static(b"[DONE]")).unwrap().is_none());
}

#[test]
fn an_error_is_known_in_every_form_that_servers_send_it_in() {
    let error =
        json!({"type": "invalid_request_error", "code": "context_length_exceeded", "message": "too long", "param": "input"});
    let mut flat = error.clone();
    flat["type"] = "error".into();
    let failed = json!({"type": "response.failed", "response": {"error": {"code": error["code"], "message": error["message"]}}});
    for event in [json!({"error": error}), json!({"type": "error", "error": error, "sequence_number": 3}), flat, failed] {
        let fault = read(&mut Reader::default(), &event).unwrap_err();
        assert_eq!((fault.kind.clone(), fault.message.as_str()), (FaultKind::ContextLength, "too long"), "{event}");
        let told: Value = serde_json::from_slice(&super::fault::envelope(&fault)).unwrap();
        let mut wanted = error.clone();
        wanted["param"] = fault.param.clone().into();
        assert_eq!(told, json!({"error": wanted}), "{event}");
    }
    assert!(read(&mut Reader::default(), &json!({"type": "response.in_progress", "error": null})).is_ok());
}

#[test]
fn an_answers_last_event_is_the_end() {
    for (kind, over) in [("response.in_progress", false), ("response.completed", true), ("response.incomplete", true)] {
        let mut reader = Reader::default();
        read(&mut reader, &json!({"type": kind, "response": {}})).unwrap().unwrap();
        assert_eq!(reader.is_over(), over, "{kind}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Reader::default().event(Bytes::from(data.clone()));
        let _ = read_body(&Bytes::from(data));
    }

    #[test]
    fn no_json_makes_it_panic(text in r#"\{"type":"response\.(output_item\.(added|done)|output_text\.delta|completed|created)"(,"(item|response|delta|output_index|logprobs)":(\{"type":"(message|reasoning|function_call)"(,"(content|name|encrypted_content)":("x"|\[\{\}\]|1))?\}|"x"|7|\[\]|null)){0,3}\}"#) {
        let _ = Reader::default().event(Bytes::from(text));
    }
}
