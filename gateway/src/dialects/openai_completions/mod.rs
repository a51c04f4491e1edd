//! OpenAI's older completions (`/v1/completions`): a text, or several, that the model goes on writing.
//!
//! Apart because it is a dialect of its own to clients, and a second path of servers that speak chat completions. Prompts are messages
//! of the canonical request, what is written is its text: policies, limits and records are those of a chat. It must not know HTTP,
//! sockets or time.

mod delta;
mod request;
mod write;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Completion, Fault};
use serde_json::Value;

use super::openai_chat::{self, OpenAiChat};
use super::{Asked, Begin, Dialect, Listed, ReadEvents, Said, WriteEvents};

/// The name of this dialect.
pub const NAME: &str = "openai_completions";

/// How many texts shall be written on from: all messages but the text that shall follow.
pub(crate) fn texts(request: &ChatRequest) -> usize {
    request.messages.iter().filter(|message| !request::is_suffix(message)).count()
}

/// The row of this dialect.
#[derive(Clone, Copy)]
pub struct OpenAiCompletions;

impl Dialect for OpenAiCompletions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn beside(&self) -> Option<&'static str> {
        Some(openai_chat::NAME)
    }

    fn read(&self, body: &[u8], _: &Asked<'_>) -> Result<ChatRequest, Fault> {
        request::read(body)
    }

    fn events(&self, begin: Begin) -> Box<dyn WriteEvents> {
        Box::new(write::EventWriter::new(begin))
    }

    fn whole(&self, answer: &Completion, _: &Begin) -> Bytes {
        write::whole(answer)
    }

    fn envelope(&self, fault: &Fault, request_id: &str) -> Bytes {
        OpenAiChat.envelope(fault, request_id)
    }

    fn id_prefix(&self) -> &'static str {
        "cmpl-"
    }

    fn model(&self, model: &Listed<'_>) -> Value {
        OpenAiChat.model(model)
    }

    fn models(&self, models: Vec<Value>) -> Value {
        OpenAiChat.models(models)
    }

    fn url(&self, base: &str) -> String {
        format!("{base}/completions")
    }

    fn credentials(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        OpenAiChat.credentials(key)
    }

    fn write(&self, request: &ChatRequest) -> Result<Bytes, Fault> {
        Ok(request::write(request))
    }

    fn reader(&self) -> Box<dyn ReadEvents> {
        Box::new(delta::Reader::default())
    }

    fn read_body(&self, body: Bytes) -> Result<Chunk, Fault> {
        delta::read_body(body)
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        OpenAiChat.said(body)
    }
}
