//! Answers in this dialect: untouched, touched in the middle, made by others.

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, Extras, Fault, FaultKind, FinishReason, Usage, gather_into};
use serde_json::{Value, json};

use super::Events;
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::{Begin, Dialect, Seal, Sealer, WriteEvents};

fn sealer() -> Sealer {
    Seal::new([3; 32]).of("acme")
}

fn seal(text: &str) -> String {
    let mut sealer = sealer();
    sealer.add(text);
    sealer.seal()
}

fn begin() -> Begin {
    Begin { id: "msg_r".into(), model: "m".into(), sealer: Some(sealer()), ..Begin::default() }
}

fn events(chunks: &[Chunk]) -> Vec<Value> {
    let mut writer = Events::new(begin());
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&writer.event(chunk).unwrap_or_default());
    }
    all.extend_from_slice(&writer.end());
    parsed(&String::from_utf8(all).unwrap())
}

fn parsed(text: &str) -> Vec<Value> {
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
    let event = |frame: &str| {
        let (name, data) = frame.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        data
    };
    frames.map(event).collect()
}

/// The blocks as a client's library puts them together.
fn blocks(events: &[Value]) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    let mut open = None;
    for event in events {
        let index = event["index"].as_u64().unwrap_or_default() as usize;
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, index), (None, blocks.len()), "{events:?}");
                open = Some(index);
                blocks.push(event["content_block"].clone());
            }
            "content_block_stop" => assert_eq!(open.take(), Some(index), "{events:?}"),
            "content_block_delta" => {
                assert_eq!(open, Some(index), "{events:?}");
                for (field, to) in
                    [("text", "text"), ("thinking", "thinking"), ("signature", "signature"), ("partial_json", "json")]
                {
                    if let Some(text) = event["delta"][field].as_str() {
                        let before = blocks[index][to].as_str().unwrap_or_default().to_owned();
                        blocks[index][to] = (before + text).into();
                    }
                }
            }
            _ => {}
        }
    }
    assert_eq!(open, None, "{events:?}");
    blocks
}

fn text(text: &str) -> Delta {
    Delta::Text { choice: 0, text: text.into() }
}

fn thought(text: &str) -> Delta {
    Delta::Reasoning { choice: 0, text: text.into() }
}

fn finish(reason: FinishReason) -> Delta {
    Delta::Finish { choice: 0, reason }
}

fn call(index: u32, names: Option<(&str, &str)>, arguments: &str) -> Delta {
    let (id, name) = names.map(|(id, name)| (id.to_owned(), name.to_owned())).unzip();
    Delta::ToolCall { choice: 0, index, id, name, arguments: arguments.into(), extras: Extras::new() }
}

fn of(deltas: impl IntoIterator<Item = Delta>) -> Vec<Chunk> {
    deltas.into_iter().map(|delta| Chunk::of(vec![delta])).collect()
}

/// Chunks as they are read of these events.
fn read(list: &[Value]) -> Vec<Chunk> {
    let mut reader = AnthropicMessages.reader();
    list.iter().filter_map(|event| reader.event(Bytes::from(event.to_string())).unwrap()).collect()
}

fn upstream() -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "c", "usage": {"input_tokens": 4, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "I think."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "vendor"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 9}}),
    ]
}

#[test]
fn others_thought_is_sealed_and_words_follow_it() {
    let usage = Usage { prompt: 10, completion: 4, cached: Some(3), cache_written: Some(2), ..Usage::default() };
    let start = Delta::Start { id: "c-1".into(), model: "r1".into(), created: 5 };
    let said = [start, thought("I "), thought("think."), text("Hel"), text("lo."), finish(FinishReason::Stop), Delta::Usage(usage)];
    let events = events(&of(said));
    assert_eq!((&events[0]["message"]["id"], &events[0]["message"]["model"]), (&json!("c-1"), &json!("r1")));
    assert_eq!(
        blocks(&events),
        [
            json!({"type": "thinking", "thinking": "I think.", "signature": seal("I think.")}),
            json!({"type": "text", "text": "Hello."})
        ]
    );
    let end = &events[events.len() - 2];
    assert_eq!(end["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    let tokens = json!({"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 4});
    assert_eq!((&end["usage"], &events.last().unwrap()["type"]), (&tokens, &json!("message_stop")));
}

#[test]
fn a_block_whose_words_are_held_back_is_not_ended_without_them() {
    let mut chunks = read(&upstream());
    // A policy held the thought and its signature until the text came, and the text until the end.
    let held: Vec<Delta> = [chunks.remove(2), chunks.remove(2)].into_iter().flat_map(|chunk| chunk.deltas).collect();
    let words = chunks.remove(4).deltas;
    let end = chunks.last_mut().unwrap();
    end.raw = None;
    end.deltas.splice(..0, held.into_iter().chain(words));
    assert_eq!(
        blocks(&events(&chunks)),
        [json!({"type": "thinking", "thinking": "I think.", "signature": "vendor"}), json!({"type": "text", "text": "Hello."})]
    );
}

#[test]
fn a_stream_is_taken_over_in_the_middle_of_a_block() {
    let mut chunks = read(&upstream());
    chunks[6] = Chunk::of(vec![text("Hell")]);
    chunks.insert(7, Chunk::of(vec![text("o!")]));
    let events = events(&chunks);
    assert_eq!(events[3]["delta"]["signature"], "vendor");
    assert_eq!(blocks(&events)[1], json!({"type": "text", "text": "Hello!"}));
    assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], 9);
}

#[test]
fn an_edited_thought_has_no_vendors_signature() {
    let mut chunks = read(&upstream());
    chunks.iter_mut().for_each(|chunk| chunk.raw = None);
    chunks[2].deltas = vec![thought("I [removed].")];
    // A policy's host drops it; were it to come, its text is another.
    assert_eq!(blocks(&events(&chunks))[0]["signature"], seal("I [removed].").as_str());
    chunks.remove(3);
    assert_eq!(blocks(&events(&chunks))[0]["signature"], seal("I [removed].").as_str());
}

#[test]
fn a_signature_on_a_thought_that_is_not_shown_has_a_block_of_its_own() {
    let mut list = upstream();
    list.remove(2);
    for touched in 0..list.len() {
        let mut chunks = read(&list);
        // From here on the blocks are our own; before, what says nothing waits.
        chunks.iter_mut().skip(touched).for_each(|chunk| chunk.raw = None);
        let blocks = blocks(&events(&chunks));
        assert_eq!(blocks[0], json!({"type": "thinking", "thinking": "", "signature": "vendor"}), "{touched}");
        assert_eq!((blocks.len(), &blocks[1]["text"]), (2, &json!("Hello.")), "{touched}");
    }
    let mut whole = Completion::default();
    read(&list).into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
    let body: Value = serde_json::from_slice(&super::whole(&whole, &begin())).unwrap();
    let wanted = json!([{"type": "thinking", "thinking": "", "signature": "vendor"}, {"type": "text", "text": "Hello."}]);
    assert_eq!(body["content"], wanted);
}

#[test]
fn a_call_that_was_held_leaves_no_end_without_a_beginning() {
    let mut list = upstream();
    list.truncate(8);
    list.push(json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}));
    list.push(json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}}));
    list.push(json!({"type": "content_block_stop", "index": 2}));
    list.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}));
    let mut chunks = read(&list);
    // The beginning and the piece were taken out, and come whole with the end.
    chunks.drain(8..10);
    let end = chunks.last_mut().unwrap();
    end.raw = None;
    end.deltas.insert(0, call(0, Some(("t", "f")), "{}"));
    let events = events(&chunks);
    assert_eq!(blocks(&events)[2], json!({"type": "tool_use", "id": "t", "name": "f", "input": {}, "json": "{}"}));
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn a_call_is_taken_over_in_its_middle_and_the_next_one_follows() {
    let start = |index: u32, id: &str| json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": "f", "input": {}}});
    let piece = |index: u32, text: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": text}});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let list = [
        json!({"type": "message_start", "message": {"id": "m"}}),
        start(0, "a"),
        piece(0, "{\"x\""),
        piece(0, ":1}"),
        stop(0),
        start(1, "b"),
        piece(1, "{}"),
        stop(1),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}),
    ];
    for touched in 1..list.len() {
        let mut chunks = read(&list);
        chunks[touched].raw = None;
        let found = blocks(&events(&chunks));
        let json: Vec<_> = found.iter().map(|block| (block["id"].as_str().unwrap(), block["json"].as_str().unwrap())).collect();
        assert_eq!(json, [("a", "{\"x\":1}"), ("b", "{}")], "{touched}");
    }
}

#[test]
fn words_after_a_call_stand_after_it() {
    let said = [call(0, Some(("a", "f")), "{"), text("So."), call(0, None, "}"), finish(FinishReason::ToolCalls)];
    let blocks = blocks(&events(&of(said)));
    assert_eq!((blocks[0]["json"].as_str(), blocks[1]["text"].as_str()), (Some("{}"), Some("So.")));
}

#[test]
fn an_answer_with_calls_ends_in_them_whatever_its_server_says() {
    let reason = |reason: Option<FinishReason>| {
        let said = [call(0, Some(("a", "f")), "{}")].into_iter().chain(reason.map(finish));
        let mut whole = Completion::default();
        let chunks = of(said);
        chunks.iter().for_each(|chunk| gather_into(&mut whole, chunk.clone()));
        let body: Value = serde_json::from_slice(&super::whole(&whole, &begin())).unwrap();
        let events = events(&chunks);
        assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], body["stop_reason"]);
        body["stop_reason"].as_str().unwrap().to_owned()
    };
    assert_eq!((reason(Some(FinishReason::Stop)), reason(None)), ("tool_use".into(), "tool_use".into()));
    assert_eq!(reason(Some(FinishReason::Length)), "max_tokens");
    assert_eq!(reason(Some(FinishReason::ContentFilter)), "refusal");
}

#[test]
fn calls_that_nobody_named_are_named_after_their_answer() {
    let mut piece = call(0, None, "{}");
    if let Delta::ToolCall { name, .. } = &mut piece {
        *name = Some("f".to_owned());
    }
    let start = |id: &str| Delta::Start { id: id.to_owned(), model: "m".to_owned(), created: 0 };
    let id = |answer: &str| {
        let chunks = of([start(answer), piece.clone(), finish(FinishReason::ToolCalls)]);
        let mut whole = Completion::default();
        chunks.iter().for_each(|chunk| gather_into(&mut whole, chunk.clone()));
        let body: Value = serde_json::from_slice(&super::whole(&whole, &begin())).unwrap();
        assert_eq!(blocks(&events(&chunks))[0]["id"], body["content"][0]["id"]);
        body["content"][0]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!((id("chatcmpl-1"), id("msg_2")), ("toolu_chatcmpl-1_0".into(), "toolu_2_0".into()));
}

#[test]
fn an_answer_that_a_policy_ends_is_a_refusal_and_a_proper_end() {
    let mut chunks = read(&upstream());
    chunks.truncate(7);
    chunks.push(Chunk::of(vec![finish(FinishReason::ContentFilter)]));
    let events = events(&chunks);
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "refusal");
    assert_eq!(blocks(&events).len(), 2);
}

#[test]
fn a_failure_is_an_error_event() {
    let mut writer = Events::new(begin());
    let fault = Fault::upstream("x", FaultKind::UpstreamCut, "it broke off");
    let events = parsed(std::str::from_utf8(&writer.fault(&fault, "r-1")).unwrap());
    let wanted = json!({"type": "error", "error": {"type": "api_error", "message": "it broke off"}, "request_id": "r-1"});
    assert_eq!(events, [wanted]);
}

#[test]
fn a_whole_answer_of_others_is_blocks() {
    let mut whole = Completion { id: "c".into(), model: "m".into(), ..Completion::default() };
    let said = [
        text("Hi."),
        thought("I think."),
        call(0, Some(("a", "f")), "{\"x\": 1}"),
        call(1, Some(("b", "g")), ""),
        finish(FinishReason::Length),
    ];
    of(said).into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
    let body: Value = serde_json::from_slice(&super::whole(&whole, &begin())).unwrap();
    assert_eq!(
        body["content"],
        json!([{"type": "thinking", "thinking": "I think.", "signature": seal("I think.")}, {"type": "text", "text": "Hi."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}, {"type": "tool_use", "id": "b", "name": "g", "input": {}}])
    );
    assert_eq!(
        (&body["type"], &body["stop_reason"], &body["stop_sequence"]),
        (&json!("message"), &json!("max_tokens"), &Value::Null)
    );
}
