//! Prompts and what is written on from them, in and out.

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, Extras, gather_into};
use serde_json::{Value, json};

use super::OpenAiCompletions;
use crate::dialects::{Asked, Begin, Dialect};

fn sent(body: &Value) -> Value {
    let request = OpenAiCompletions.read(body.to_string().as_bytes(), &Asked::default()).unwrap();
    serde_json::from_slice(&OpenAiCompletions.write(&request).unwrap()).unwrap()
}

#[test]
fn every_form_of_prompt_leaves_as_it_came() {
    for body in [
        json!({"model": "m", "prompt": "once", "max_tokens": 5, "logprobs": 2, "echo": true, "best_of": 2, "suffix": "end"}),
        json!({"model": "m", "prompt": ["a", "b"], "n": 2, "stop": ["x"], "temperature": 0.5, "suffix": null}),
        json!({"model": "m", "prompt": [1, 2], "logit_bias": {"5": 1}}),
        json!({"model": "m", "prompt": [[1, 2], [3]], "top_p": 0.5, "seed": 3, "user": "u"}),
    ] {
        assert_eq!(sent(&body), body);
    }
    let streamed = sent(&json!({"model": "m", "prompt": "x", "stream": true}));
    assert_eq!(streamed, json!({"model": "m", "prompt": "x", "stream": true, "stream_options": {"include_usage": true}}));
}

#[test]
fn what_the_model_reads_are_messages() {
    let body = r#"{"model":"m","suffix":"after","prompt":["a","b"],"messages":[{"role":"user","content":"hidden"}]}"#;
    let request = OpenAiCompletions.read(body.as_bytes(), &Asked::default()).unwrap();
    let texts: Vec<_> = request.messages.iter().map(|message| message.content.joined().into_owned()).collect();
    assert_eq!(texts, ["a", "b", "after"]);
    assert_eq!(super::texts(&request), 2, "nothing is written on from the text that shall follow");
    assert!(!String::from_utf8_lossy(&OpenAiCompletions.write(&request).unwrap()).contains("hidden"));
}

#[test]
fn what_is_no_request_is_refused_with_the_fields_name() {
    for (body, param) in [
        (json!({"prompt": "x"}), "model"),
        (json!({"model": "m"}), "prompt"),
        (json!({"model": "m", "prompt": {}}), "prompt"),
        (json!({"model": "m", "prompt": ["a", "b"], "n": 100}), "prompt"),
        (json!({"model": "m", "prompt": "x", "stop": 3}), "stop"),
    ] {
        let fault = OpenAiCompletions.read(body.to_string().as_bytes(), &Asked::default()).unwrap_err();
        assert_eq!((fault.status(), fault.param.as_deref()), (400, Some(param)), "{body}");
    }
}

const PIECE: &str = r#"{"id":"cmpl-1","object":"text_completion","created":7,"model":"m-1","choices":[{"text":"hi","index":0,"logprobs":{"tokens":["hi"]},"finish_reason":null}]}"#;

#[test]
fn events_keep_their_bytes_and_are_written_anew_where_they_were_changed() {
    let mut reader = OpenAiCompletions.reader();
    let mut chunk = reader.event(Bytes::from(PIECE)).unwrap().unwrap();
    let text = |chunk: &Chunk| chunk.deltas.iter().position(|delta| matches!(delta, Delta::Text { text, .. } if text == "hi"));
    let logprobs = chunk.deltas.iter().position(|delta| matches!(delta, Delta::Logprobs { .. }));
    assert!(text(&chunk).is_some() && text(&chunk) < logprobs, "{chunk:?}");
    let mut writer = OpenAiCompletions.events(Begin::default());
    assert_eq!(writer.event(&chunk).unwrap(), format!("data: {PIECE}\n\n"));
    chunk.raw = None;
    let frame = writer.event(&chunk).unwrap();
    let data: Value = serde_json::from_slice(frame.trim_ascii().strip_prefix(b"data: ").unwrap()).unwrap();
    assert_eq!(data, serde_json::from_str::<Value>(PIECE).unwrap());
    let usage = r#"{"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let usage = reader.event(Bytes::from(usage)).unwrap().unwrap();
    assert!(writer.event(&usage).is_none(), "it was not asked for");
    assert!(reader.event(Bytes::from("[DONE]")).unwrap().is_none());
    assert_eq!(writer.end(), "data: [DONE]\n\n");
}

#[test]
fn all_fields_of_a_choice_are_told_however_many_deltas_bring_them() {
    let around = |name: &str| {
        let mut around = Extras::new();
        around.push(name, serde_json::value::RawValue::TRUE.to_owned());
        Delta::Other { choice: 0, delta: Extras::new(), around }
    };
    let said = Delta::Text { choice: 0, text: "hi".to_owned() };
    let frame = OpenAiCompletions.events(Begin::default()).event(&Chunk::of(vec![around("a"), said, around("b")])).unwrap();
    let data: Value = serde_json::from_slice(frame.trim_ascii().strip_prefix(b"data: ").unwrap()).unwrap();
    let choice = &data["choices"][0];
    assert_eq!((&choice["a"], &choice["b"], &choice["text"]), (&json!(true), &json!(true), &json!("hi")));
}

#[test]
fn a_whole_answer_is_the_same_written_anew() {
    let body = json!({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m-1", "system_fingerprint": "f",
        "choices": [{"text": "a", "index": 0, "logprobs": null, "finish_reason": "length"},
            {"text": "b", "index": 1, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let chunk = OpenAiCompletions.read_body(Bytes::from(body.to_string())).unwrap();
    let mut answer = Completion::default();
    gather_into(&mut answer, chunk);
    let whole = OpenAiCompletions.whole(&answer, &Begin::default());
    assert_eq!(serde_json::from_slice::<Value>(&whole).unwrap(), body);
}
