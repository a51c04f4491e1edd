//! The dialect against files: a request in, an upstream's body out, in this dialect and in OpenAI's; a stream in, a stream out, untouched
//! and rewritten; the whole answer gathered from it; and other servers' tool calls in this dialect's blocks.
//!
//! Each folder of `tests/golden/anthropic_messages` is a case. Apart because it runs reading and writing together. It must not say what is
//! right: that is in the files, for a person to judge.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, gather_into};
use serde_json::Value;

use super::AnthropicMessages;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::{Asked, Begin, Dialect, Seal};
use crate::upstreams::sse::{Bounds, EventReader};

const CASES: [&str; 4] = ["plain", "server_tools", "thinking_omitted", "thinking_tools"];
/// Shapes of tool calls in other servers' streams, each with its stream here: for clients of every dialect.
pub(in crate::dialects) const CALLS: [&str; 7] = [
    "arguments_after_end",
    "arguments_after_usage",
    "empty_arguments",
    "ids_late_or_once",
    "numbered_alike",
    "parallel",
    "whole_in_one_delta",
];

fn file(case: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/anthropic_messages").join(case).join(name)
}

fn text(case: &str, name: &str) -> String {
    std::fs::read_to_string(file(case, name)).unwrap_or_else(|error| panic!("{case}/{name}: {error}"))
}

/// Every chunk of a stream; its end was a proper one.
fn chunks(dialect: &dyn Dialect, stream: String) -> Vec<Chunk> {
    let mut events = EventReader::new(Bounds { event: 1 << 20, total: 1 << 20 });
    events.push(Bytes::from(stream)).unwrap();
    let mut reader = dialect.reader();
    let mut chunks = Vec::new();
    while let Some(data) = events.next().unwrap() {
        match reader.event(data).unwrap() {
            Some(chunk) => chunks.push(chunk),
            None => return chunks,
        }
    }
    panic!("no proper end");
}

fn begin() -> Begin {
    let sealer = Some(Seal::new([3; 32]).of("acme"));
    Begin { id: "ours".into(), model: "ours".into(), created: 1, include_usage: true, sealer, ..Begin::default() }
}

fn events(dialect: &dyn Dialect, chunks: &[Chunk]) -> String {
    let mut writer = dialect.events(begin());
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&writer.event(chunk).unwrap_or_default());
    }
    all.extend_from_slice(&writer.end());
    String::from_utf8(all).unwrap()
}

fn touched(chunks: Vec<Chunk>) -> Vec<Chunk> {
    chunks.into_iter().map(|chunk| Chunk { raw: None, ..chunk }).collect()
}

fn ours(case: &str) -> Vec<Chunk> {
    chunks(&AnthropicMessages, text(case, "stream_in.sse"))
}

fn gathered(case: &str) -> Completion {
    let mut whole = Completion::default();
    ours(case).into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
    whole
}

/// Compares, and shows what to put into the file if it differs.
fn same(case: &str, name: &str, found: &str) {
    assert!(text(case, name) == found, "{case}/{name} should be\n{found}");
}

fn pretty(body: &Bytes) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    format!("{}\n", serde_json::to_string_pretty(&body).unwrap())
}

#[test]
fn requests_reach_an_upstream_of_the_same_dialect_with_every_field() {
    for case in CASES {
        let read = AnthropicMessages.read(text(case, "request.json").as_bytes(), &Asked::default()).unwrap();
        let body: Value = serde_json::from_slice(&AnthropicMessages.write(&read).unwrap()).unwrap();
        let wanted: Value = serde_json::from_str(&text(case, "request.json")).unwrap();
        assert_eq!(body, wanted, "{case}");
    }
}

#[test]
fn requests_reach_an_upstream_of_another_dialect_as_it_wants_them() {
    for case in CASES {
        let read = AnthropicMessages.read(text(case, "request.json").as_bytes(), &Asked::default()).unwrap();
        same(case, "openai_chat.json", &pretty(&OpenAiChat.write(&read).unwrap()));
    }
}

#[test]
fn streams_that_nobody_touches_pass_byte_for_byte() {
    for case in CASES {
        assert_eq!(events(&AnthropicMessages, &ours(case)), text(case, "stream_in.sse"), "{case}");
    }
}

#[test]
fn streams_that_were_touched_are_rewritten_in_this_shape() {
    for case in CASES {
        same(case, "stream_rewritten.sse", &events(&AnthropicMessages, &touched(ours(case))));
    }
}

#[test]
fn streams_become_another_dialects_streams() {
    for case in CASES {
        same(case, "openai_chat.sse", &events(&OpenAiChat, &ours(case)));
    }
}

#[test]
fn streams_gather_to_a_whole_answer() {
    for case in CASES {
        same(case, "whole.json", &pretty(&AnthropicMessages.whole(&gathered(case), &begin())));
    }
}

#[test]
fn a_whole_answer_read_back_is_the_same() {
    for case in CASES {
        let body = AnthropicMessages.whole(&gathered(case), &begin());
        let mut again = Completion::default();
        gather_into(&mut again, AnthropicMessages.read_body(body.clone()).unwrap());
        assert_eq!(AnthropicMessages.whole(&again, &begin()), body, "{case}");
    }
}

#[test]
fn other_servers_tool_calls_lose_nothing_in_blocks() {
    for case in CALLS {
        let stream = text("calls", &format!("{case}.in.sse"));
        same("calls", &format!("{case}.out.sse"), &events(&AnthropicMessages, &chunks(&OpenAiChat, stream)));
    }
}
