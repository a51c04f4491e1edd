//! The dialect against files: a request in, an upstream's body out; a stream in, a stream out, untouched and rewritten; the whole
//! answer gathered from it; and the shapes in which servers send tool calls.
//!
//! Each folder of `tests/golden/openai_chat` is a case. Apart because it runs reading and writing together. It must not say what is
//! right: that is in the files, for a person to judge.

use std::path::{Path, PathBuf};

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use bytes::Bytes;
use gatewright_types::{Chunk, Completion, gather_into};
use serde_json::Value;

use super::{delta, request, write};
use crate::dialects::anthropic_messages::golden::CALLS;
use crate::upstreams::sse::{Bounds, EventReader};

const CASES: [&str; 6] = ["deepseek_reasoning", "logprobs_n2", "multimodal", "reasoning_spelling", "tools", "unknown_fields"];

fn file(case: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai_chat").join(case).join(name)
}

fn text(case: &str, name: &str) -> String {
    std::fs::read_to_string(file(case, name)).unwrap_or_else(|error| panic!("{case}/{name}: {error}"))
}

fn json(case: &str, name: &str) -> Value {
    serde_json::from_str(&text(case, name)).unwrap()
}

/// Every chunk of a case's stream; its end was `[DONE]`.
fn chunks(case: &str) -> Vec<Chunk> {
    read(case, text(case, "stream_in.sse"))
}

fn read(case: &str, stream: String) -> Vec<Chunk> {
    let mut events = EventReader::new(Bounds { event: 1 << 20, total: 1 << 20 });
    events.push(Bytes::from(stream)).unwrap();
    let mut reader = delta::Reader::default();
    let mut chunks = Vec::new();
    while let Some(data) = events.next().unwrap() {
        match reader.event(data).unwrap() {
            Some(chunk) => chunks.push(chunk),
            None => return chunks,
        }
    }
    panic!("{case}: no [DONE]");
}

/// The whole stream, with its usage for who asked for it.
fn written(chunks: &[Chunk]) -> String {
    events(chunks, write::Begin { id: "ours".into(), model: "ours".into(), created: 1, include_usage: true, ..Default::default() })
}

fn events(chunks: &[Chunk], begin: write::Begin) -> String {
    let mut writer = write::EventWriter::new(begin);
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&writer.event(chunk).unwrap_or_default());
    }
    all.extend_from_slice(&writer.end());
    String::from_utf8(all).unwrap()
}

fn rewritten(case: &str) -> Vec<Chunk> {
    touched(chunks(case))
}

fn touched(chunks: Vec<Chunk>) -> Vec<Chunk> {
    chunks.into_iter().map(|chunk| Chunk { raw: None, ..chunk }).collect()
}

fn gathered(case: &str) -> Completion {
    let mut whole = Completion::default();
    chunks(case).into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
    whole
}

/// Compares, and shows what to put into the file if it differs.
fn same(case: &str, name: &str, found: &str) {
    assert!(text(case, name) == found, "{case}/{name} should be\n{found}");
}

#[test]
fn requests_reach_the_upstream_with_every_field() {
    for case in CASES {
        let read = request::read(text(case, "request.json").as_bytes()).unwrap();
        let body = request::write(&read);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let mut wanted = json(case, "request.json");
        // A stream is always asked for its usage.
        wanted["stream_options"]["include_usage"] = Value::Bool(true);
        assert_eq!(body, wanted, "{case}");
        same(case, "upstream.json", &format!("{}\n", serde_json::to_string_pretty(&body).unwrap()));
    }
}

#[test]
fn streams_that_nobody_touches_pass_byte_for_byte() {
    for case in CASES {
        same(case, "stream_out.sse", &written(&chunks(case)));
        if case != "reasoning_spelling" {
            assert_eq!(written(&chunks(case)), text(case, "stream_in.sse"), "{case}");
        }
    }
}

#[test]
fn streams_that_were_touched_are_rewritten_in_openais_shape() {
    for case in CASES {
        let begin =
            write::Begin { id: "ours".into(), model: "ours".into(), created: 1, include_usage: false, ..Default::default() };
        same(case, "stream_rewritten.sse", &events(&rewritten(case), begin));
    }
}

#[test]
fn streams_gather_to_a_whole_answer() {
    for case in CASES {
        let whole: Value = serde_json::from_slice(&write::whole(&gathered(case))).unwrap();
        same(case, "whole.json", &format!("{}\n", serde_json::to_string_pretty(&whole).unwrap()));
    }
}

#[test]
fn a_whole_answer_read_back_is_the_same() {
    for case in CASES {
        let body = write::whole(&gathered(case));
        let mut again = Completion::default();
        gather_into(&mut again, delta::read_body(body.clone()).unwrap());
        assert_eq!(write::whole(&again), body, "{case}");
    }
}

#[test]
fn what_we_write_reads_as_async_openais_types() {
    for case in CASES {
        let whole: CreateChatCompletionResponse = serde_json::from_slice(&write::whole(&gathered(case))).unwrap();
        assert!(!whole.choices.is_empty(), "{case}");
        for events in [written(&chunks(case)), written(&rewritten(case))] {
            for data in events.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
                let event: Result<CreateChatCompletionStreamResponse, _> = serde_json::from_str(data);
                assert!(event.is_ok(), "{case}: {:?} in {data}", event.err());
            }
        }
    }
}

#[test]
fn tool_calls_lose_nothing_in_whatever_shape_they_come() {
    for case in CALLS {
        let stream = text("../anthropic_messages/calls", &format!("{case}.in.sse"));
        let chunks = read(case, stream.clone());
        // Calls that their server numbers alike no client could tell apart.
        assert_eq!(written(&chunks) == stream, case != "numbered_alike", "{case}");
        same("calls", &format!("{case}.out.sse"), &written(&touched(chunks)));
    }
}
