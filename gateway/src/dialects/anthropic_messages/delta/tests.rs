//! Answers of this dialect as deltas: what has a channel, what has none, and what is no answer.

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, FaultKind, FinishReason, Raw, gather_into};
use proptest::prelude::*;

use super::{Reader, read_body};
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::{Begin, Dialect, ReadEvents};

fn event(reader: &mut Reader, data: &'static str) -> Chunk {
    reader.event(Bytes::from_static(data.as_bytes())).unwrap().unwrap()
}

fn said(chunk: &Chunk) -> String {
    format!("{:?}", chunk.deltas)
}

#[test]
fn each_piece_has_its_channel_and_its_bytes() {
    let mut reader = Reader::default();
    let start =
        event(&mut reader, r#"{"type":"message_start","message":{"id":"i","model":"m","usage":{"input_tokens":3},"odd":1}}"#);
    assert!(said(&start).starts_with(r#"[Start { id: "i", model: "m""#));
    assert_eq!(start.extras.get("anthropic_messages.odd"), Some("1"));
    event(&mut reader, r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#);
    let thought =
        event(&mut reader, r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hmé"}}"#);
    assert_eq!(said(&thought), r#"[Reasoning { choice: 0, text: "hmé" }]"#);
    assert!(matches!(thought.raw, Some(Raw::Event("anthropic_messages", _))));
    let signed =
        event(&mut reader, r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s\/"}}"#);
    let Delta::Other { delta, .. } = &signed.deltas[0] else { panic!("{signed:?}") };
    assert_eq!(delta.get("anthropic_messages.signature"), Some(r#"{"signature":"s\/","bytes":4}"#));
    let text = event(&mut reader, r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#);
    assert_eq!(said(&text), r#"[Text { choice: 0, text: "a" }]"#);
    assert!(event(&mut reader, r#"{"type":"ping"}"#).deltas.is_empty());
    assert!(reader.event(Bytes::from_static(br#"{"type":"message_stop"}"#)).unwrap().is_none());
}

#[test]
fn calls_are_numbered_and_a_servers_own_are_none_of_the_clients() {
    let mut reader = Reader::default();
    let call = |reader: &mut Reader| {
        let chunk = event(
            reader,
            r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        );
        let Delta::ToolCall { index, arguments, .. } = &chunk.deltas[0] else { panic!("{chunk:?}") };
        assert_eq!(arguments, "");
        *index
    };
    assert_eq!((call(&mut reader), call(&mut reader)), (0, 1));
    let piece = r#"{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#;
    assert!(matches!(&event(&mut reader, piece).deltas[..], [Delta::ToolCall { index: 1, .. }]));
    event(
        &mut reader,
        r#"{"type":"content_block_start","index":5,"content_block":{"type":"server_tool_use","id":"t","name":"f","input":{}}}"#,
    );
    let own = r#"{"type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#;
    assert!(matches!(&event(&mut reader, own).deltas[..], [Delta::Other { .. }]));
    // Blocks that come in turns are told by their numbers.
    assert!(matches!(&event(&mut reader, piece).deltas[..], [Delta::ToolCall { index: 1, .. }]));
}

#[test]
fn the_end_is_told_in_everybodys_words_and_tokens_are_counted_once() {
    let mut reader = Reader::default();
    event(
        &mut reader,
        r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":10,"cache_creation_input_tokens":20,"output_tokens":1}}}"#,
    );
    let end = event(
        &mut reader,
        r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"x"},"usage":{"output_tokens":7}}"#,
    );
    assert!(end.deltas.iter().any(|delta| matches!(delta, Delta::Finish { reason: FinishReason::Stop, .. })));
    let Some(Delta::Usage(usage)) = end.deltas.last() else { panic!("{end:?}") };
    assert_eq!((usage.prompt, usage.cached, usage.cache_written, usage.completion), (33, Some(10), Some(20), 7));
    let reason = |word: &str| super::reason(word);
    assert_eq!(
        (reason("max_tokens"), reason("tool_use"), reason("refusal")),
        (FinishReason::Length, FinishReason::ToolCalls, FinishReason::ContentFilter)
    );
}

#[test]
fn an_error_where_an_answer_should_be_is_a_fault_with_its_body() {
    let data = Bytes::from_static(br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
    for fault in [Reader::default().event(data.clone()).unwrap_err(), read_body(data.clone()).unwrap_err()] {
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::UpstreamStatus(529), "Overloaded"));
        assert_eq!(fault.body, Some(("anthropic_messages", data.clone())));
    }
}

#[test]
fn what_is_no_answer_is_invalid_and_not_shown_to_the_client() {
    for data in ["", "secret", "[1]", "{\"type\":"] {
        let fault = Reader::default().event(Bytes::from_static(data.as_bytes())).unwrap_err();
        assert_eq!(fault.kind, FaultKind::UpstreamInvalid, "{data}");
        assert!(!fault.message.contains("secret"));
    }
    assert_eq!(read_body(Bytes::from_static(br#"{"id":"x"}"#)).unwrap_err().kind, FaultKind::UpstreamInvalid);
}

#[test]
fn a_whole_body_has_all_channels() {
    let body = r#"{"id":"i","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},
        {"type":"text","text":"a"},{"type":"tool_use","id":"c","name":"f","input":{"x": 1}}],"stop_reason":"tool_use","stop_sequence":null,
        "usage":{"input_tokens":1,"output_tokens":2},"odd":true}"#;
    let chunk = read_body(Bytes::from_static(body.as_bytes())).unwrap();
    assert!(matches!(&chunk.raw, Some(Raw::Body("anthropic_messages", raw)) if raw == body));
    let mut whole = Completion::default();
    gather_into(&mut whole, chunk);
    let choice = &whole.choices[0];
    assert_eq!((choice.text.as_deref(), choice.reasoning.as_deref()), (Some("a"), Some("t")));
    assert_eq!((choice.tool_calls[0].arguments.as_str(), choice.finish.clone()), (r#"{"x": 1}"#, Some(FinishReason::ToolCalls)));
    assert_eq!(whole.usage.unwrap().completion, 2);
}

#[test]
fn what_was_written_to_last_for_long_is_counted_and_told_again() {
    let body = |lasting: &str| {
        let usage = format!(
            r#"{{"input_tokens":10,"cache_creation_input_tokens":90,"cache_read_input_tokens":0,"cache_creation":{lasting},"output_tokens":1}}"#
        );
        let chunk = read_body(Bytes::from(format!(r#"{{"content":[],"stop_reason":"end_turn","usage":{usage}}}"#))).unwrap();
        let mut whole = Completion::default();
        gather_into(&mut whole, chunk);
        let again: serde_json::Value = serde_json::from_slice(&AnthropicMessages.whole(&whole, &Begin::default())).unwrap();
        (whole.usage.unwrap(), again["usage"]["cache_creation"].to_string())
    };
    for lasting in [
        r#"{"ephemeral_5m_input_tokens":30,"ephemeral_1h_input_tokens":60}"#,
        r#"{"ephemeral_1h_input_tokens":60,"ephemeral_1d_input_tokens":5}"#,
    ] {
        let (usage, told) = body(lasting);
        assert_eq!((usage.prompt, usage.cache_written, usage.cache_written_long), (100, Some(90), Some(60)));
        let same = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(same(&told), same(lasting));
    }
    assert_eq!(body("null").0.cache_written_long, None);
}

#[test]
fn what_clients_are_shown_and_nobody_reads_is_told() {
    let beside = |chunk: &Chunk| {
        let told = |delta: &Delta| match delta {
            Delta::Other { delta, .. } => delta.iter().any(|(name, _)| name.ends_with(".beside") || name.ends_with(".citations")),
            _ => false,
        };
        chunk.deltas.iter().any(told)
    };
    for data in [
        r#"{"type":"vendor_event","text":"hidden"}"#,
        r#"{"type":"content_block_stop","index":0,"x":"hidden"}"#,
        r#"{"type":"message_start","message":{"content":[{"type":"text","text":"hidden"}]}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","x":"hidden"}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","citations":[{"cited_text":"hidden"}]}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":["hidden"]}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","text":"hidden"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"","x":{"y":"hidden"}}}"#,
    ] {
        assert!(beside(&event(&mut Reader::default(), data)), "{data}");
    }
    for data in [
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_start","message":{"id":"i","type":"message","content":[],"usage":{}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}"#,
    ] {
        assert!(!beside(&event(&mut Reader::default(), data)), "{data}");
    }
    let body = r#"{"content":[{"type":"text","text":"a","note":"hidden"}],"stop_reason":"end_turn"}"#;
    assert!(beside(&read_body(Bytes::from_static(body.as_bytes())).unwrap()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Reader::default().event(Bytes::from(data));
    }

    #[test]
    fn no_json_makes_it_panic(text in r#"\{"type":"(message_start|content_block_delta|message_delta|error)","(message|delta|usage|error|content_block)":[\{\["a0-9:\]\}]{0,12}\}"#) {
        let _ = Reader::default().event(Bytes::from(text.clone()));
        let _ = read_body(Bytes::from(text));
    }
}
