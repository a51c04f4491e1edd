//! What upstreams say when nothing is wrong, in each dialect, and what they say of an error.
//!
//! Apart because faults are made of it. It must not know a fault.

use serde_json::{Value, json};

use crate::config::facts::ProviderKind;

/// What an upstream says on a good day: `x`, of 5 and 3 tokens.
pub(super) struct Speech {
    pub(super) kind: ProviderKind,
    /// A whole answer of this text.
    pub(super) whole: fn(&str) -> String,
    /// Events up to the text, one that says this text, and those after it, each a frame of its own; the last is the end.
    pub(super) opening: fn() -> Vec<String>,
    pub(super) says: fn(&str) -> String,
    pub(super) closing: fn() -> Vec<String>,
    /// Whether all is said before that, so that servers may leave it out.
    pub(super) may_lack_end: bool,
    /// The body of a refusal, for being busy.
    pub(super) error: &'static str,
    /// All events that say the same.
    pub(super) failures: &'static [&'static str],
}

fn frame(event: &Value) -> String {
    match event["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    }
}

fn chat_event(choices: &Value) -> String {
    frame(&json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}))
}

fn text_event(text: &str, finish: Option<&str>) -> String {
    let choice = json!({"text": text, "index": 0, "logprobs": null, "finish_reason": finish});
    frame(&json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}))
}

/// Of the API beside chat completions that only their servers have.
pub(super) const TEXTS: Speech = Speech {
    kind: ProviderKind::OpenAi,
    whole: |text| {
        json!({"id": "c", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})
        .to_string()
    },
    opening: || vec![text_event("", None)],
    says: |text| text_event(text, None),
    closing: || [vec![text_event("", Some("stop"))], (SPEECHES[0].closing)()[1..].to_vec()].concat(),
    ..SPEECHES[0]
};

/// A response of Responses.
fn responded(status: &str, output: &Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "error": null, "output": output,
        "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}})
}

/// Its one item.
fn message(text: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

/// An event about it.
fn at(kind: &str, fields: &Value) -> String {
    let mut event = json!({"type": format!("response.{kind}"), "item_id": "msg_1", "output_index": 0, "content_index": 0});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    frame(&event)
}

pub(super) const SPEECHES: [Speech; 3] = [
    Speech {
        kind: ProviderKind::OpenAi,
        whole: |text| {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})
            .to_string()
        },
        opening: || vec![chat_event(&json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]))],
        says: |text| chat_event(&json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}])),
        closing: || {
            vec![
                chat_event(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
                frame(&json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})),
                "data: [DONE]\n\n".to_owned(),
            ]
        },
        may_lack_end: true,
        error: r#"{"error":{"message":"it is too much","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#,
        failures: &[
            r#"{"error":{"message":"it is too much","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#,
        ],
    },
    Speech {
        kind: ProviderKind::Anthropic,
        whole: |text| {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 5, "output_tokens": 3}})
            .to_string()
        },
        opening: || {
            vec![
                frame(
                    &json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                    "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}),
                ),
                frame(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
            ]
        },
        says: |text| frame(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})),
        closing: || {
            vec![
                frame(&json!({"type": "content_block_stop", "index": 0})),
                frame(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}})),
                frame(&json!({"type": "message_stop"})),
            ]
        },
        may_lack_end: true,
        error: r#"{"type":"error","error":{"type":"rate_limit_error","message":"it is too much"}}"#,
        failures: &[r#"{"type":"error","error":{"type":"rate_limit_error","message":"it is too much"}}"#],
    },
    Speech {
        kind: ProviderKind::OpenAiResponses,
        whole: |text| responded("completed", &json!([message(text)])).to_string(),
        opening: || {
            let begun = responded("in_progress", &json!([]));
            vec![
                frame(&json!({"type": "response.created", "sequence_number": 0, "response": begun})),
                at("output_item.added", &json!({"item": {"id": "msg_1", "type": "message", "role": "assistant", "content": []}})),
                at("content_part.added", &json!({"part": {"type": "output_text", "text": "", "annotations": []}})),
            ]
        },
        says: |text| at("output_text.delta", &json!({"delta": text, "logprobs": []})),
        closing: || {
            vec![
                at("output_text.done", &json!({"text": "x", "logprobs": []})),
                at("content_part.done", &json!({"part": {"type": "output_text", "text": "x", "annotations": []}})),
                at("output_item.done", &json!({"item": message("x")})),
                frame(&json!({"type": "response.completed", "response": responded("completed", &json!([message("x")]))})),
            ]
        },
        may_lack_end: false,
        error: r#"{"error":{"message":"it is too much","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#,
        failures: &[
            r#"{"error":{"message":"it is too much","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#,
            r#"{"type":"error","error":{"message":"it is too much","code":"rate_limit_exceeded"},"sequence_number":9}"#,
            r#"{"type":"error","message":"it is too much","code":"rate_limit_exceeded","param":null,"sequence_number":9}"#,
            r#"{"type":"response.failed","response":{"error":{"message":"it is too much","code":"rate_limit_exceeded"}}}"#,
        ],
    },
];
