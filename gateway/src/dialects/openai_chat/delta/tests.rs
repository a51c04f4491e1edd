//! Answers as servers send them, odd ones among them.

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, Fault, FaultKind, FinishReason, Raw, gather_into};
use proptest::prelude::*;

use super::{Reader, read_body, read_event};

fn event(data: &'static str) -> Chunk {
    read_event(Bytes::from_static(data.as_bytes())).unwrap().unwrap()
}

fn failure(data: &'static str) -> Fault {
    read_event(Bytes::from_static(data.as_bytes())).unwrap_err()
}

/// Deltas without the start, as text.
fn said(chunk: &Chunk) -> String {
    let deltas: Vec<_> = chunk.deltas.iter().filter(|delta| !matches!(delta, Delta::Start { .. })).collect();
    format!("{deltas:?}")
}

fn whole(body: &'static str) -> Completion {
    let mut whole = Completion::default();
    gather_into(&mut whole, read_body(Bytes::from_static(body.as_bytes())).unwrap());
    whole
}

#[test]
fn a_chunk_keeps_its_bytes_and_its_unknown_fields() {
    let data = r#"{"id":"i","object":"o","created":1.5,"model":"m","fp":"x","choices":[{"index":0,"delta":{"content":"hé\n"}}]}"#;
    let chunk = event(data);
    assert!(matches!(&chunk.deltas[0], Delta::Start { id, model, created: 1 } if id == "i" && model == "m"));
    assert_eq!(said(&chunk), r#"[Text { choice: 0, text: "hé\n" }]"#);
    assert_eq!(chunk.extras.get("fp"), Some("\"x\""));
    assert!(matches!(&chunk.raw, Some(Raw::Event("openai_chat", raw)) if raw == data));
}

#[test]
fn the_end_of_a_stream_is_told_apart() {
    assert!(read_event(Bytes::from_static(b"[DONE]")).unwrap().is_none());
    assert!(read_event(Bytes::from_static(b" [DONE] ")).unwrap().is_none());
}

#[test]
fn a_stream_starts_once_and_only_when_it_names_itself() {
    let mut reader = Reader::default();
    let mut starts = |data: &'static str| {
        let chunk = reader.event(Bytes::from_static(data.as_bytes())).unwrap().unwrap();
        chunk.deltas.iter().filter(|delta| matches!(delta, Delta::Start { .. })).count()
    };
    // Azure sends this first.
    assert_eq!(starts(r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#), 0);
    assert_eq!(starts(r#"{"id":"i","model":"m","choices":[{"index":0,"delta":{"role":"assistant"}}]}"#), 1);
    assert_eq!(starts(r#"{"id":"i","model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}"#), 0);
}

#[test]
fn empty_and_null_say_nothing_in_a_stream() {
    let chunk = event(
        r#"{"id":"i","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null,
        "reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null}],"usage":null,"error":null}"#,
    );
    assert_eq!(said(&chunk), "[]");
}

#[test]
fn both_spellings_of_thought_are_reasoning_and_only_ours_passes_raw() {
    let ours = event(r#"{"choices":[{"index":0,"delta":{"reasoning_content":"a"}}]}"#);
    assert!(said(&ours).starts_with("[Reasoning") && ours.raw.is_some());
    let theirs = event(r#"{"choices":[{"index":0,"delta":{"reasoning":"a"}}]}"#);
    assert!(said(&theirs).starts_with("[Reasoning") && theirs.raw.is_none());
    let both = event(r#"{"choices":[{"index":0,"delta":{"reasoning":"a","reasoning_content":"a"}}]}"#);
    assert_eq!(said(&both), r#"[Reasoning { choice: 0, text: "a" }]"#);
    assert!(both.raw.is_some());
    let differ = event(r#"{"choices":[{"index":0,"delta":{"reasoning":"b","reasoning_content":"a"}}]}"#);
    assert_eq!((said(&differ).as_str(), differ.raw.is_none()), (r#"[Reasoning { choice: 0, text: "ab" }]"#, true));
}

#[test]
fn calls_come_in_pieces_or_whole_and_side_by_side() {
    let pieces = event(
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[
        {"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}},{"index":0,"function":{"arguments":"x"}}]}}]}"#,
    );
    let found = pieces.deltas.iter().map(|delta| match delta {
        Delta::ToolCall { index, id, name, arguments, .. } => (*index, id.as_deref(), name.as_deref(), arguments.as_str()),
        other => panic!("{other:?}"),
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found, [(1, Some("b"), Some("g"), "{}"), (0, None, None, "x")]);
    // No index: the place in the list. Arguments as an object: its text. A kind and fields that we do not know: kept.
    let odd = event(
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"k": 1},"z":0}},
        {"id":"b","type":"custom","custom":{"input":"i"},"sig":"s"}]}}]}"#,
    );
    let Delta::ToolCall { index: 0, arguments, extras, .. } = &odd.deltas[0] else { panic!() };
    assert_eq!((arguments.as_str(), extras.get("function")), ("{\"k\": 1}", Some("{\"z\":0}")));
    let Delta::ToolCall { index: 1, extras, .. } = &odd.deltas[1] else { panic!() };
    assert_eq!(
        (extras.get("type"), extras.get("custom"), extras.get("sig")),
        (Some("\"custom\""), Some("{\"input\":\"i\"}"), Some("\"s\""))
    );
}

#[test]
fn calls_that_their_server_does_not_number_apart_are_not_passed_as_they_came() {
    let mut reader = Reader::default();
    let mut of = |data: &'static str| {
        let chunk = reader.event(Bytes::from_static(data.as_bytes())).unwrap().unwrap();
        let indexes =
            chunk.deltas.iter().filter_map(|delta| if let Delta::ToolCall { index, .. } = delta { Some(*index) } else { None });
        (indexes.collect::<Vec<_>>(), chunk.raw.is_some())
    };
    let a = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    assert_eq!(of(a), (vec![0], true));
    assert_eq!(
        of(r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{"}}]}}]}"#),
        (vec![1], false)
    );
    assert_eq!(of(r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#), (vec![1], false));
    assert_eq!(
        of(r#"{"choices":[{"delta":{"tool_calls":[{"id":"c","function":{"name":"h","arguments":"{}"}}]}}]}"#),
        (vec![2], false)
    );
    let body = r#"{"choices":[{"message":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},{"index":0,"function":{"name":"g"}}]}}]}"#;
    assert_eq!(whole(body).choices[0].tool_calls.len(), 2, "in a whole answer they are a list");
}

#[test]
fn what_has_no_channel_is_kept_beside_the_text() {
    let chunk = event(r#"{"choices":[{"index":2,"delta":{"content":[{"type":"thinking"}],"audio":{"id":1}},"flag":true}]}"#);
    let Delta::Other { choice: 2, delta, around } = &chunk.deltas[0] else { panic!("{chunk:?}") };
    assert_eq!(delta.get("content"), Some(r#"[{"type":"thinking"}]"#));
    assert_eq!((delta.get("audio"), around.get("flag")), (Some(r#"{"id":1}"#), Some("true")));
}

#[test]
fn half_a_surrogate_pair_does_not_end_a_stream() {
    let text = |data: &'static str| said(&event(data));
    assert_eq!(text(r#"{"choices":[{"delta":{"content":"a\\\ud83d\n"}}]}"#), "[Text { choice: 0, text: \"a\\\\\u{fffd}\\n\" }]");
    assert_eq!(
        text(r#"{"choices":[{"delta":{"content":"\ude00\ud83d\ude00\ud800x"}}]}"#),
        "[Text { choice: 0, text: \"\u{fffd}😀\u{fffd}x\" }]"
    );
}

#[test]
fn usage_is_read_as_many_servers_write_it() {
    let usage = |data: &'static str| match event(data).deltas.pop() {
        Some(Delta::Usage(usage)) => usage,
        other => panic!("{other:?}"),
    };
    let openai = usage(
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,
        "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}"#,
    );
    assert_eq!((openai.prompt, openai.completion, openai.reasoning, openai.cached), (9, 5, Some(3), Some(4)));
    assert!(openai.extras.get("prompt_tokens_details").is_some() && openai.extras.get("total_tokens").is_none());
    let deepseek = usage(
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5.0,"total_tokens":99,"prompt_cache_hit_tokens":2}}"#,
    );
    assert_eq!((deepseek.completion, deepseek.cached, deepseek.extras.get("total_tokens")), (5, Some(2), Some("99")));
    let xai = usage(
        r#"{"choices":[],"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,
        "completion_tokens_details":{"reasoning_tokens":94}}}"#,
    );
    assert_eq!((xai.completion, xai.reasoning, xai.extras.get("total_tokens")), (103, Some(94), None));
    let absurd = usage(r#"{"choices":[],"usage":{"prompt_tokens":1e30,"completion_tokens":-7,"prompt_cache_hit_tokens":1e300}}"#);
    assert_eq!((absurd.prompt, absurd.completion, absurd.cached), (1 << 40, 0, Some(1 << 40)));
}

#[test]
fn an_error_where_an_answer_should_be_is_a_fault_with_its_body() {
    let fault = failure(r#"{"error":{"message":"slow down","type":"rate_limit_error","code":429}}"#);
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::UpstreamStatus(429), "slow down"));
    assert!(fault.body.is_some());
    let words = read_body(Bytes::from_static(br#"{"error":"out of memory"}"#)).unwrap_err();
    assert_eq!((words.kind, words.message.as_str(), words.body), (FaultKind::UpstreamStatus(500), "out of memory", None));
}

#[test]
fn what_is_no_answer_is_invalid_and_not_shown_to_the_client() {
    for data in ["", "hello <b>", "{\"choices\":[", "{\"choices\":[{\"delta\":\"secret\"}]}", "[]x", "{} {}"] {
        let fault = failure(data);
        assert_eq!(fault.kind, FaultKind::UpstreamInvalid, "{data}");
        assert!(!fault.message.contains("secret"));
    }
    assert_eq!(read_body(Bytes::from_static(br#"{"id":"x"}"#)).unwrap_err().kind, FaultKind::UpstreamInvalid);
}

#[test]
fn a_whole_body_has_all_choices_and_channels() {
    let whole = whole(
        r#"{"id":"i","object":"chat.completion","created":3,"model":"m","system_fingerprint":"f","choices":[
        {"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
          {"id":"b","type":"function","function":{"name":"g","arguments":"1"}}]},"logprobs":null,"finish_reason":"tool_calls"},
        {"index":0,"message":{"role":"assistant","content":"","reasoning":"t","refusal":"r","annotations":[]},
          "logprobs":{"content":[]},"finish_reason":"odd","seed":5}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    );
    assert_eq!((whole.id.as_str(), whole.created, whole.choices.len()), ("i", 3, 2));
    let [first, second] = &whole.choices[..] else { panic!() };
    assert_eq!((first.text.as_deref(), first.reasoning.as_deref(), first.refusal.as_deref()), (Some(""), Some("t"), Some("r")));
    assert_eq!((first.finish.clone(), first.logprobs.len()), (Some(FinishReason::Other("odd".into())), 1));
    assert_eq!((first.message_extras.get("annotations"), first.extras.get("seed")), (Some("[]"), Some("5")));
    assert_eq!((second.text.as_deref(), second.tool_calls.len(), second.tool_calls[1].name.as_str()), (None, 2, "g"));
    assert_eq!((whole.usage.unwrap().completion, whole.extras.get("system_fingerprint")), (2, Some("\"f\"")));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = read_event(Bytes::from(data));
    }

    #[test]
    fn no_json_makes_it_panic(text in r#"\{"(choices|usage|error|id)":(\[\{"(delta|index|message)":[\{\["a0-9:\]\}]{0,12}\}\]|[\[\]\{\}0-9"a]{0,8})\}"#) {
        let _ = read_event(Bytes::from(text));
    }
}
