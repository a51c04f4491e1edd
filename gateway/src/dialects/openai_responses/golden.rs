//! The dialect against files: a request in, the bodies that ask upstreams of all dialects out; such an upstream's stream in, this dialect's
//! stream and whole answer out, and an upstream of this dialect as others tell it; other servers' tool calls as items.
//!
//! Each folder of `tests/golden/openai_responses` is a case. Apart because it runs reading and writing together. It must not say what is
//! right: that is in the files, for a person to judge.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Completion, gather_into};
use serde_json::Value;

use super::OpenAiResponses;
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::anthropic_messages::golden::CALLS;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::{Asked, Begin, Dialect, Ended, Seal};
use crate::upstreams::sse::{Bounds, EventReader};

const ENDED: Ended = Ended { at: 2, kept: true };
const CASES: [&str; 3] = ["conversation", "plain", "tools"];
const UPSTREAMS: [&str; 2] = ["upstream", "items"];

fn golden(dialect: &str, case: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect).join(case).join(name)
}

fn read_file(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(case: &str, name: &str) -> String {
    read_file(&golden(super::NAME, case, name))
}

fn request(case: &str) -> ChatRequest {
    OpenAiResponses.read(text(case, "request.json").as_bytes(), &Asked { keeps: true, ..Asked::default() }).unwrap()
}

/// Every chunk of a chat stream.
fn chunks(stream: String) -> Vec<Chunk> {
    chunks_of(&OpenAiChat, stream)
}

fn chunks_of(dialect: &dyn Dialect, stream: String) -> Vec<Chunk> {
    let mut events = EventReader::new(Bounds { event: 1 << 20, total: 1 << 20 });
    events.push(Bytes::from(stream)).unwrap();
    let mut reader = dialect.reader();
    let mut chunks = Vec::new();
    while let Some(data) = events.next().unwrap() {
        chunks.extend(reader.event(data).unwrap());
    }
    chunks
}

fn begin(case: Option<&str>) -> Begin {
    let sealer = Some(Seal::new([3; 32]).of("acme"));
    let echo = case.and_then(|case| OpenAiResponses.echo(&request(case))).map(Arc::new);
    Begin { id: "resp_1".into(), model: "ours".into(), created: 1, include_usage: true, sealer, echo, ended: ENDED }
}

fn events(case: Option<&str>, chunks: &[Chunk]) -> String {
    let mut writer = OpenAiResponses.events(begin(case));
    let mut all = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&writer.event(chunk).unwrap_or_default());
    }
    writer.ends(ENDED);
    all.extend_from_slice(&writer.end());
    String::from_utf8(all).unwrap()
}

/// Compares, and shows what to put into the file if it differs.
fn same(case: &str, name: &str, found: &str) {
    assert!(text(case, name) == found, "{case}/{name} should be\n{found}");
}

fn pretty(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    format!("{}\n", serde_json::to_string_pretty(&body).unwrap())
}

#[test]
fn requests_reach_upstreams_of_other_dialects_as_they_want_them() {
    for case in CASES {
        same(case, "openai_chat.json", &pretty(&OpenAiChat.write(&request(case)).unwrap()));
        same(case, "anthropic_messages.json", &pretty(&AnthropicMessages.write(&request(case)).unwrap()));
        same(case, "openai_responses.json", &pretty(&OpenAiResponses.write(&request(case)).unwrap()));
    }
}

#[test]
fn a_conversation_that_is_kept_reads_back_as_the_same() {
    for case in CASES {
        let mut asked: Value = serde_json::from_str(&text(case, "request.json")).unwrap();
        asked["store"] = true.into();
        let read =
            |body: &Value| OpenAiResponses.read(body.to_string().as_bytes(), &Asked { keeps: true, ..Asked::default() }).unwrap();
        let first = read(&asked);
        let kept = OpenAiResponses.echo(&first).unwrap().conversation.unwrap();
        same(case, "kept.json", &pretty(kept.as_bytes()));
        asked["input"] = serde_json::from_str(&kept).unwrap();
        let again = OpenAiResponses.echo(&read(&asked)).unwrap().conversation.unwrap();
        assert_eq!(kept, again, "{case}");
    }
}

#[test]
fn streams_of_another_dialect_become_items() {
    for case in CASES {
        same(case, "stream_out.sse", &events(Some(case), &chunks(text(case, "stream_in.sse"))));
    }
}

#[test]
fn a_whole_answer_is_what_its_stream_ends_with() {
    for case in CASES {
        let mut whole = Completion::default();
        let chunks = chunks(text(case, "stream_in.sse"));
        let stream = events(Some(case), &chunks);
        chunks.into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
        let body = pretty(&OpenAiResponses.whole(&whole, &begin(Some(case))));
        same(case, "whole.json", &body);
        let data = stream.lines().rfind(|line| line.contains("\"response\":")).unwrap();
        let last: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), last["response"], "{case}");
    }
}

#[test]
fn other_servers_tool_calls_lose_nothing_in_items() {
    for case in CALLS {
        let stream = read_file(&golden("anthropic_messages", "calls", &format!("{case}.in.sse")));
        same("calls", &format!("{case}.out.sse"), &events(None, &chunks(stream)));
    }
}

/// What an upstream of this dialect says, streamed.
fn upstream(case: &str) -> Vec<Chunk> {
    chunks_of(&OpenAiResponses, text(case, "stream_in.sse"))
}

#[test]
fn an_upstream_of_this_dialect_is_told_in_every_dialect() {
    for case in UPSTREAMS {
        same(case, "stream_out.sse", &events(Some(case), &upstream(case)));
        for (dialect, name) in [(&OpenAiChat as &dyn Dialect, "openai_chat.sse"), (&AnthropicMessages, "anthropic_messages.sse")] {
            let mut writer = dialect.events(begin(None));
            let mut all: Vec<u8> = upstream(case).iter().flat_map(|chunk| writer.event(chunk).unwrap_or_default()).collect();
            all.extend_from_slice(&writer.end());
            same(case, name, &String::from_utf8(all).unwrap());
        }
    }
}

#[test]
fn a_stream_and_a_body_of_this_dialect_are_the_same_answer() {
    for case in UPSTREAMS {
        let gathered = |chunks: Vec<Chunk>| {
            let mut whole = Completion::default();
            chunks.into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
            pretty(&OpenAiResponses.whole(&whole, &begin(Some(case))))
        };
        let body = OpenAiResponses.read_body(Bytes::from(text(case, "body_in.json"))).unwrap();
        let streamed = gathered(upstream(case));
        assert_eq!(gathered(vec![body]), streamed);
        same(case, "whole.json", &streamed);
        let stream = events(Some(case), &upstream(case));
        let data = stream.lines().rfind(|line| line.contains("\"response\":")).unwrap();
        let last: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&streamed).unwrap(), last["response"], "{case}");
    }
}

/// What a client was told and sends again reaches the upstream as that told it: in its order, under its own ids, untouched.
#[test]
fn what_an_upstream_of_this_dialect_said_goes_back_to_it_as_it_came() {
    let told: Value = serde_json::from_str(&text("items", "whole.json")).unwrap();
    let mut items = told["output"].as_array().unwrap().clone();
    items.push(serde_json::json!({"role": "user", "content": "and?"}));
    let body = serde_json::json!({"model": "m", "input": items}).to_string();
    let read = OpenAiResponses.read(body.as_bytes(), &Asked::default()).unwrap();
    let asked: Value = serde_json::from_slice(&OpenAiResponses.write(&read).unwrap()).unwrap();
    let said: Value = serde_json::from_str(&text("items", "body_in.json")).unwrap();
    let without_id = |item: &Value| {
        let mut item = item.clone();
        if matches!(item["type"].as_str(), Some("message" | "reasoning" | "function_call" | "custom_tool_call")) {
            let fields = item.as_object_mut().unwrap();
            ["id", "status"].iter().for_each(|name| drop(fields.remove(*name)));
        }
        item
    };
    let (asked, said) = (asked["input"].as_array().unwrap(), said["output"].as_array().unwrap());
    for (asked, said) in asked.iter().zip(said) {
        assert_eq!(without_id(asked), without_id(said));
    }
    assert_eq!(asked.len(), said.len() + 1);
}

#[test]
fn a_vendors_seal_goes_back_to_it_byte_for_byte_unless_a_policy_changed_the_thought() {
    let answer: Value = serde_json::from_str(&text("upstream", "whole.json")).unwrap();
    let mut items = answer["output"].as_array().unwrap().clone();
    items.push(serde_json::json!({"role": "user", "content": "and?"}));
    let body = serde_json::json!({"model": "m", "input": items}).to_string();
    let mut read = OpenAiResponses.read(body.as_bytes(), &Asked::default()).unwrap();
    let asks = |request: &ChatRequest| serde_json::from_slice::<Value>(&OpenAiResponses.write(request).unwrap()).unwrap();
    let thought = asks(&read)["input"][0].clone();
    assert_eq!(
        (&thought["encrypted_content"], &thought["summary"][0]["text"]),
        (&"gAAAAAvendor==".into(), &"First this.\n\nThen that.".into())
    );
    let others = [OpenAiChat.write(&read).unwrap(), AnthropicMessages.write(&read).unwrap()];
    assert!(others.iter().all(|body| !String::from_utf8_lossy(body).contains("gAAAAA")), "no other vendor sees it");
    read.messages[0].reasoning = Some("First [redacted].".to_owned());
    assert!(!asks(&read).to_string().contains("gAAAAA"));
}
