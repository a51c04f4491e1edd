//! Streams in all ways to cut them: whatever the pieces, they add up to the same answer, and each event is about what was begun.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatewright_types::{Chunk, Delta, Extras, Fault, FaultKind, FinishReason};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Events;
use crate::dialects::{Begin, Echo, Renamed, Seal, WriteEvents};

fn begin() -> Begin {
    let tools = vec![Renamed { called: "ns__patch".into(), name: "patch".into(), namespace: Some("ns".into()), takes_text: true }];
    let echo = Some(Arc::new(Echo { tools, seals: true, ..Echo::default() }));
    Begin { id: "resp_x".into(), model: "m".into(), created: 1, sealer: Some(Seal::new([1; 32]).of("t")), echo, ..Begin::default() }
}

fn data(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty() && *frame != "data: [DONE]");
    let read = |frame: &str| {
        let (name, data) = frame.strip_prefix("event: ").and_then(|rest| rest.split_once("\ndata: ")).unwrap();
        let value: Value = serde_json::from_str(data).unwrap();
        assert_eq!(value["type"], name);
        value
    };
    frames.map(read).collect()
}

fn written(deltas: &[Vec<Delta>]) -> Vec<Value> {
    let mut events = Events::new(begin());
    let mut all = Vec::new();
    for deltas in deltas {
        all.extend(data(&events.event(&Chunk::of(deltas.clone())).unwrap_or_default()));
    }
    all.extend(data(&events.end()));
    all
}

fn call(index: u32, name: Option<&str>, arguments: &str) -> Delta {
    let id = name.map(|_| format!("c{index}"));
    Delta::ToolCall { choice: 0, index, id, name: name.map(Into::into), arguments: arguments.into(), extras: Extras::new() }
}

/// What an answer says, in order.
#[derive(Clone, Debug)]
enum Says {
    Thought(String),
    Text(String),
    Refusal(String),
    Call(u32, String),
}

fn says() -> impl Strategy<Value = Says> {
    let words = "[a-z\"\\\\é\n]{1,12}";
    prop_oneof![
        words.prop_map(Says::Thought),
        words.prop_map(Says::Text),
        words.prop_map(Says::Refusal),
        (0u32..3, words).prop_map(|(index, words)| Says::Call(index, words)),
    ]
}

/// The deltas of an answer, each text cut into pieces of so many characters.
fn cut(answer: &[Says], size: usize) -> Vec<Vec<Delta>> {
    let mut begun = Vec::new();
    let mut deltas = Vec::new();
    for said in answer {
        let (Says::Thought(text) | Says::Text(text) | Says::Refusal(text) | Says::Call(_, text)) = said;
        let letters: Vec<char> = text.chars().collect();
        for piece in letters.chunks(size) {
            let text: String = piece.iter().collect();
            deltas.push(vec![match said {
                Says::Thought(_) => Delta::Reasoning { choice: 0, text },
                Says::Text(_) => Delta::Text { choice: 0, text },
                Says::Refusal(_) => Delta::Refusal { choice: 0, text },
                Says::Call(index, _) => {
                    let first = !begun.contains(index);
                    begun.push(*index);
                    let name = if *index == 2 { "ns__patch" } else { "f" };
                    call(*index, first.then_some(name), &text)
                }
            }]);
        }
    }
    deltas.push(vec![Delta::Finish { choice: 0, reason: FinishReason::Stop }]);
    deltas
}

/// Follows a stream as a client does, and gives the items that its deltas add up to.
fn follow(events: &[Value]) -> Vec<Value> {
    let mut items: BTreeMap<u64, Value> = BTreeMap::new();
    let mut pieces: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let at = event["output_index"].as_u64().unwrap_or_default();
        let key = (at, event["content_index"].as_u64().unwrap_or_default());
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(at, items.len() as u64);
                items.insert(at, event["item"].clone());
            }
            "response.output_item.done" => {
                assert_eq!(items[&at]["id"], event["item"]["id"]);
                items.insert(at, event["item"].clone());
            }
            kind => {
                if let Some(id) = event["item_id"].as_str() {
                    assert_eq!(items[&at]["id"], id, "{kind}");
                }
                if let Some(text) = event["delta"].as_str() {
                    pieces.entry(key).or_default().push_str(text);
                }
                for field in ["text", "refusal", "arguments", "input"] {
                    if let Some(whole) = event[field].as_str() {
                        assert_eq!(pieces.get(&key).map_or("", String::as_str), whole, "{kind}");
                    }
                }
            }
        }
    }
    items.into_values().collect()
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_it_adds_up_to_the_same_answer(answer in proptest::collection::vec(says(), 0..8), size in 1usize..5) {
        let (pieces, whole) = (written(&cut(&answer, size)), written(&cut(&answer, 100)));
        let last = &pieces[pieces.len() - 1];
        prop_assert_eq!(&last["response"], &whole[whole.len() - 1]["response"]);
        prop_assert_eq!(&last["type"], "response.completed");
        prop_assert_eq!(&Value::Array(follow(&pieces)), &last["response"]["output"]);
    }

    #[test]
    fn a_stream_that_breaks_off_anywhere_ends_in_a_failure(answer in proptest::collection::vec(says(), 0..6), at in 0usize..20) {
        let deltas = cut(&answer, 2);
        let mut events = Events::new(begin());
        let mut all = Vec::new();
        for deltas in deltas.iter().take(at.min(deltas.len() - 1)) {
            all.extend(data(&events.event(&Chunk::of(deltas.clone())).unwrap_or_default()));
        }
        all.extend(data(&events.fault(&Fault::upstream("u", FaultKind::UpstreamCut, "it broke off"), "r")));
        let [.., error, failed] = &all[..] else { panic!() };
        prop_assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("upstream_cut")));
        prop_assert_eq!((&failed["type"], &failed["response"]["status"]), (&json!("response.failed"), &json!("failed")));
        prop_assert_eq!(&failed["response"]["error"]["message"], "it broke off");
        follow(&all);
        let kept: Value = serde_json::from_slice(&events.kept().unwrap()).unwrap();
        prop_assert_eq!(&kept, &failed["response"], "it is kept as it failed");
    }
}

#[test]
fn an_answer_that_says_nothing_is_an_answer() {
    let events = written(&[]);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["response.created", "response.in_progress", "response.completed"]);
    assert_eq!(events[2]["response"]["output"], json!([]));
    assert_eq!(events[2]["response"]["usage"], Value::Null);
}

#[test]
fn what_was_cut_by_a_filter_or_a_bound_is_incomplete() {
    for (reason, word) in [(FinishReason::Length, "max_output_tokens"), (FinishReason::ContentFilter, "content_filter")] {
        let text = Delta::Text { choice: 0, text: "Hel".into() };
        let events = written(&[vec![text, Delta::Finish { choice: 0, reason }]]);
        let last = &events[events.len() - 1];
        assert_eq!((&last["type"], &last["response"]["completed_at"]), (&json!("response.incomplete"), &Value::Null));
        assert_eq!(last["response"]["incomplete_details"]["reason"], word);
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    }
}

#[test]
fn a_call_that_breaks_off_is_never_told_to_be_whole_and_a_text_is_told_as_far_as_it_came() {
    for (arguments, input) in [
        (r#"{"input":"say"#, "say"),
        (r#"{"input":"say \ud83d\ude0"#, "say "),
        (r#"{"input":"say\"#, "say"),
        (r#"{"input":"say\\"#, "say\\"),
        (r#"{"input":"say""#, "say"),
        (r#"{"input":"say"}"#, "say"),
        (r#"{ "inp"#, ""),
        ("say", "say"),
    ] {
        let finish = Delta::Finish { choice: 0, reason: FinishReason::Length };
        let events = written(&[vec![call(0, Some("f"), arguments), call(1, Some("ns__patch"), arguments), finish]]);
        let output = follow(&events);
        assert_eq!((&output[0]["arguments"], &output[1]["input"]), (&json!(arguments), &json!(input)));
        assert!(output.iter().all(|item| item["status"] == "incomplete"));
        let whole = ["response.function_call_arguments.done", "response.custom_tool_call_input.done"];
        assert!(!events.iter().any(|event| whole.iter().any(|kind| event["type"] == *kind)), "{events:?}");
    }
}

#[test]
fn a_reason_that_nobody_knows_is_a_failure_and_the_words_of_other_servers_are_not() {
    let ends = |word: &str| {
        let text = Delta::Text { choice: 0, text: "Hel".into() };
        let mut events = Events::new(begin());
        let mut all = data(&events.event(&Chunk::of(vec![text, finish(word)])).unwrap_or_default());
        all.extend(data(&events.end()));
        let last = all.pop().unwrap();
        let whole: Value = serde_json::from_slice(&events.kept().unwrap()).unwrap();
        assert_eq!(whole, last["response"]);
        (last["type"].as_str().unwrap().to_owned(), whole["error"]["code"].clone(), whole["output"][0]["status"].clone())
    };
    fn finish(word: &str) -> Delta {
        Delta::Finish { choice: 0, reason: FinishReason::of(word) }
    }
    let failed = ("response.failed".to_owned(), json!("server_error"), json!("incomplete"));
    assert_eq!(ends("insufficient_system_resource"), failed);
    for word in ["pause_turn", "compaction", "eos", "stop_sequence"] {
        assert_eq!(ends(word).0, "response.completed", "{word}");
    }
    assert_eq!(ends("repetition").0, "response.incomplete");
}

#[test]
fn what_chat_completions_say_of_a_text_is_said_of_it_here() {
    let cited = json!([{"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 3}},
        {"type": "odd", "odd": {}}]);
    let mut delta = Extras::new();
    delta.push("annotations", serde_json::value::to_raw_value(&cited).unwrap());
    let text = Delta::Text { choice: 0, text: "Hey.".into() };
    let events = written(&[vec![text], vec![Delta::Other { choice: 0, delta, around: Extras::new() }]]);
    let wanted = json!({"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 3});
    let event = events.iter().find(|event| event["type"] == "response.output_text.annotation.added").unwrap();
    assert_eq!((&event["annotation"], &event["annotation_index"], &event["content_index"]), (&wanted, &json!(0), &json!(0)));
    let output = &events[events.len() - 1]["response"]["output"];
    assert_eq!(output[0]["content"][0]["annotations"], json!([wanted]));
}

#[test]
fn a_call_is_of_the_tool_that_its_upstream_named_however_its_names_are_joined() {
    let tools = vec![Renamed { called: "a__b_1234".into(), name: "b".into(), namespace: Some("a".into()), takes_text: false }];
    let begin = Begin { echo: Some(Arc::new(Echo { tools, ..Echo::default() })), ..begin() };
    let call = |index: u32, extras: &[(&str, Value)]| {
        let mut all = Extras::new();
        for (name, value) in extras {
            super::super::keep_value(&mut all, name, value);
        }
        let (id, name) = (Some(format!("c{index}")), Some("a__b".to_owned()));
        Delta::ToolCall { choice: 0, index, id, name, arguments: "{}".into(), extras: all }
    };
    let spaced = [("name", json!("b")), ("namespace", json!("a"))];
    let loaded = [("name", json!("b")), ("namespace", json!("x"))];
    let mut events = Events::new(begin);
    events.event(&Chunk::of(vec![call(0, &spaced), call(1, &[]), call(2, &loaded)]));
    events.end();
    let whole: Value = serde_json::from_slice(&events.kept().unwrap()).unwrap();
    let named: Vec<(&Value, &Value)> =
        whole["output"].as_array().unwrap().iter().map(|item| (&item["name"], &item["namespace"])).collect();
    assert_eq!(named, [(&json!("b"), &json!("a")), (&json!("a__b"), &Value::Null), (&json!("b"), &json!("x"))]);
}

#[test]
fn a_thought_goes_out_in_an_envelope_that_opens_for_its_tenant_alone() {
    let events = written(&[vec![Delta::Reasoning { choice: 0, text: "I think.".into() }]]);
    let item = &events[events.len() - 1]["response"]["output"][0];
    let sealed = item["encrypted_content"].as_str().unwrap();
    assert_eq!(Seal::new([1; 32]).of("t").open(sealed).as_deref(), Some("I think."));
    assert_eq!(Seal::new([1; 32]).of("other").open(sealed), None);
}
