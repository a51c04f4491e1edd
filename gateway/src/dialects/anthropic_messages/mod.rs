//! Anthropic's Messages API, as clients send it and as upstreams answer it.
//!
//! `request` reads and writes what is asked, `delta` reads answers, `write` writes them, `fault` words refusals. What the canonical types
//! do not have travels in their extras, byte for byte, under names of this dialect's own. Apart so that another API is another folder. It
//! must not know HTTP, sockets or time.

mod delta;
mod fault;
mod request;
mod write;

#[cfg(test)]
pub(super) mod golden;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Completion, Extras, Fault, FinishReason, Message, Role};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use self::request::Thinks;
pub(crate) use self::request::{adapt, asks_for_thought, forget_thought};
use super::{Asked, Begin, Carried, Dialect, Listed, ReadEvents, Said, WriteEvents};

/// The name of this dialect, as [`gatewright_types::Raw`] and [`gatewright_types::Fault::body`] carry it.
pub const NAME: &str = "anthropic_messages";

/// The version that is spoken with upstreams whose client names none.
const VERSION: &str = "2023-06-01";
/// What comes before the core of an answer's id.
const PREFIX: &str = "msg_";
/// The usage that an answer began with.
const USAGE: &str = "usage";
/// Of a usage: what was written into a cache, by how long it lasts there.
const WRITTEN: &str = "cache_creation";
const USUALLY: &str = "ephemeral_5m_input_tokens";
const FOR_LONG: &str = "ephemeral_1h_input_tokens";
/// A block that only this dialect has, as it began.
const BLOCK: &str = "block";
/// A piece of a block that only this dialect has.
const PIECE: &str = "piece";
/// What of an answer has no meaning here, but may hold text: an event, a field of a block.
const BESIDE: &str = "beside";
/// A vendor's signature on a thought, and of how many bytes.
const SIGNATURE: &str = "signature";
/// What a text is taken from.
const CITATIONS: &str = "citations";

/// The row of this dialect.
#[derive(Clone, Copy)]
pub struct AnthropicMessages;

impl Dialect for AnthropicMessages {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v1/messages"
    }

    fn count_path(&self) -> Option<&'static str> {
        Some("/v1/messages/count_tokens")
    }

    fn marks(&self) -> &'static [&'static str] {
        &["anthropic-version"]
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &["anthropic-version", "anthropic-beta"]
    }

    fn read(&self, body: &[u8], asked: &Asked<'_>) -> Result<ChatRequest, Fault> {
        request::read(body, asked)
    }

    fn events(&self, begin: Begin) -> Box<dyn WriteEvents> {
        Box::new(write::Events::new(begin))
    }

    fn whole(&self, answer: &Completion, begin: &Begin) -> Bytes {
        write::whole(answer, begin)
    }

    fn envelope(&self, fault: &Fault, request_id: &str) -> Bytes {
        fault::envelope(fault, request_id)
    }

    fn status(&self, fault: &Fault) -> u16 {
        fault::http_status(fault)
    }

    fn id_prefix(&self) -> &'static str {
        PREFIX
    }

    fn id_header(&self) -> Option<&'static str> {
        Some("request-id")
    }

    fn counted(&self, tokens: u64) -> Bytes {
        format!("{{\"input_tokens\":{tokens}}}").into()
    }

    fn model(&self, model: &Listed<'_>) -> Value {
        let created = jiff::Timestamp::from_second(i64::try_from(model.created).unwrap_or_default()).unwrap_or_default();
        json!({ "type": "model", "id": model.name, "display_name": model.name, "created_at": created.to_string() })
    }

    fn models(&self, models: Vec<Value>) -> Value {
        let id = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
        json!({ "first_id": id(models.first()), "last_id": id(models.last()), "has_more": false, "data": models })
    }

    fn has_blocks(&self) -> bool {
        true
    }

    fn url(&self, base: &str) -> String {
        if base.ends_with("/v1") { format!("{base}/messages") } else { format!("{base}/v1/messages") }
    }

    fn credentials(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        let key = key.map(|key| ("x-api-key", key.to_owned()));
        key.into_iter().chain([("anthropic-version", VERSION.to_owned())]).collect()
    }

    fn call_headers(&self, request: &ChatRequest) -> Vec<(&'static str, String)> {
        let said = |name: &'static str| {
            let json = request.extras.get(&super::own(NAME, &format!("header.{name}")))?;
            Some((name, serde_json::from_str(json).ok()?))
        };
        self.kept_headers().iter().filter_map(|name| said(name)).collect()
    }

    fn write(&self, request: &ChatRequest) -> Result<Bytes, Fault> {
        request::write(request)
    }

    fn carries(&self, request: &ChatRequest) -> Carried {
        request::carries(request)
    }

    fn reader(&self) -> Box<dyn ReadEvents> {
        Box::new(delta::Reader::default())
    }

    fn read_body(&self, body: Bytes) -> Result<Chunk, Fault> {
        delta::read_body(body)
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        fault::message(body)
    }
}

/// A vendor's signature, and how many bytes of thought it is on, as [`SIGNATURE`] carries it.
#[derive(serde::Deserialize, serde::Serialize)]
struct Signature<'a> {
    #[serde(borrow)]
    signature: &'a RawValue,
    bytes: usize,
}

impl<'a> Signature<'a> {
    fn read(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }
}

/// Whether a message is the result of a tool that failed.
pub(super) fn failed(message: &Message) -> bool {
    message.role == Role::Tool && own(&message.extras, "is_error") == Some("true")
}

/// The id of a call that nobody named: `at` is its place among those of the answer of this id.
fn call_id(answer: &str, at: impl std::fmt::Display) -> String {
    format!("toolu_{}_{at}", super::ids::plain(answer.strip_prefix(PREFIX).unwrap_or(answer)))
}

/// Why an answer ended, in this dialect's words; `calls` are its calls of tools. Where it was told which one to call, or always, a server
/// may say that it was done; clients of this dialect look for the word.
fn ended(reason: Option<&FinishReason>, mut calls: impl Iterator) -> &str {
    match reason {
        None | Some(FinishReason::Stop) if calls.next().is_some() => "tool_use",
        reason => reason.map_or("end_turn", stop_word),
    }
}

/// The word for a reason.
fn stop_word(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
        FinishReason::Other(word) => match &**word {
            "function_call" => "tool_use",
            word @ ("pause_turn" | "compaction") => word,
            _ => "end_turn",
        },
    }
}

/// Puts a field of this dialect's own into a pocket.
fn keep(extras: &mut Extras, field: &str, value: &RawValue) {
    super::keep(extras, NAME, (field, value));
}

/// The field of this dialect's own in a pocket.
fn own<'a>(extras: &'a Extras, field: &str) -> Option<&'a str> {
    extras.get(&super::own(NAME, field))
}
