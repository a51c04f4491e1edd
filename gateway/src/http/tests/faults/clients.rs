//! How clients of each dialect ask, and how they understand what they get.
//!
//! Apart because a dialect is a row here. It must not know what went wrong.

use serde_json::{Value, json};

use crate::life::kit::Heard;

/// Which of a client's words is which.
pub(super) const UNREACHABLE: usize = 0;
pub(super) const LATE: usize = 1;
pub(super) const CUT: usize = 2;
pub(super) const UNREADABLE: usize = 3;
pub(super) const BUSY: usize = 4;
pub(super) const DOWN: usize = 5;

/// How a client asks, and how it understands what it gets.
pub(super) struct Client {
    pub(super) path: &'static str,
    pub(super) asks: fn() -> Value,
    /// The text of a whole answer.
    pub(super) text: fn(&Value) -> String,
    /// The text of an event.
    pub(super) piece: fn(&Value) -> String,
    /// Whether a stream came to its proper end.
    pub(super) ended: fn(&Heard) -> bool,
    /// The word of a refusal, if its envelope is the dialect's.
    pub(super) error: fn(&Value) -> String,
    /// The word of a stream's failure, if it ends as the dialect has it.
    pub(super) failed: fn(&[Value]) -> String,
    /// The words for unreachable, late, cut, unreadable, busy, down.
    pub(super) words: [&'static str; 6],
    /// The status of what is down.
    pub(super) down: u16,
}

/// OpenAI's words.
const WORDS: [&str; 6] =
    ["upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_invalid", "rate_limit_exceeded", "upstream_error"];

fn code(body: &Value) -> String {
    words(&body["error"]["code"])
}

fn kind(body: &Value) -> String {
    if body["type"] == "error" { words(&body["error"]["type"]) } else { String::new() }
}

/// A failure is an event, with all of it twice, and the answer as it failed, with one of the few codes that it may have.
fn failed(events: &[Value]) -> String {
    let [.., told, failed] = events else { return String::new() };
    let (inner, error) = (&told["error"], &failed["response"]["error"]);
    let known = ["server_error", "rate_limit_exceeded", "invalid_prompt"].iter().any(|code| error["code"] == *code);
    let kinds = (told["type"].as_str(), failed["type"].as_str(), failed["response"]["status"].as_str());
    let same = ["code", "message", "param"].iter().all(|name| told[name] == inner[name]) && error["message"] == inner["message"];
    if known && same && kinds == (Some("error"), Some("response.failed"), Some("failed")) { code(told) } else { String::new() }
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Asks in the words that only servers of chat completions have beside them.
pub(super) const OF_TEXTS: Client = Client {
    path: "/v1/completions",
    asks: || json!({"model": "rig/m", "prompt": "hi"}),
    text: |body| words(&body["choices"][0]["text"]),
    piece: |event| words(&event["choices"][0]["text"]),
    ..CLIENTS[0]
};

pub(super) const CLIENTS: [Client; 3] = [
    Client {
        path: "/v1/chat/completions",
        asks: || json!({"model": "rig/m", "messages": [{"role": "user", "content": "hi"}]}),
        text: |body| words(&body["choices"][0]["message"]["content"]),
        piece: |event| words(&event["choices"][0]["delta"]["content"]),
        ended: Heard::is_done,
        error: code,
        failed: |events| events.last().map(code).unwrap_or_default(),
        words: WORDS,
        down: 502,
    },
    Client {
        path: "/v1/messages",
        asks: || json!({"model": "rig/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        text: |body| words(&body["content"][0]["text"]),
        piece: |event| words(&event["delta"]["text"]),
        ended: |heard| heard.text.contains("event: message_stop"),
        error: kind,
        failed: |events| events.last().map(kind).unwrap_or_default(),
        words: ["api_error", "timeout_error", "api_error", "api_error", "rate_limit_error", "overloaded_error"],
        down: 529,
    },
    Client {
        path: "/v1/responses",
        asks: || json!({"model": "rig/m", "input": "hi"}),
        text: |body| words(&body["output"][0]["content"][0]["text"]),
        piece: |event| if event["type"] == "response.output_text.delta" { words(&event["delta"]) } else { String::new() },
        ended: |heard| heard.text.contains("event: response.completed"),
        error: code,
        failed,
        words: WORDS,
        down: 502,
    },
];
