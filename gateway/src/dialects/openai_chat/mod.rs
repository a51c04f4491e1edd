//! OpenAI's chat completions, as clients send them and as compatible upstreams answer them.
//!
//! `request` reads and writes what is asked, `delta` reads answers, `write` writes them, `fault` words refusals. Nothing is lost on the
//! way: what the canonical types do not have travels in their extras, byte for byte. Apart so that another API is another folder. It
//! must not know HTTP, sockets or time.

pub mod delta;
pub mod fault;
pub mod request;
pub mod write;

#[cfg(test)]
mod golden;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Completion, Fault};
use serde_json::{Value, json};

use super::{Asked, Begin, Carried, Dialect, Listed, ReadEvents, Said, WriteEvents};

/// The name of this dialect, as [`gatewright_types::Raw`] and [`gatewright_types::Fault::body`] carry it.
pub const NAME: &str = "openai_chat";

/// The row of this dialect.
#[derive(Clone, Copy)]
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v1/chat/completions"
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

    fn envelope(&self, fault: &Fault, _: &str) -> Bytes {
        fault::envelope(fault)
    }

    fn id_prefix(&self) -> &'static str {
        "chatcmpl-"
    }

    fn model(&self, model: &Listed<'_>) -> Value {
        json!({ "id": model.name, "object": "model", "created": model.created, "owned_by": model.owner })
    }

    fn models(&self, models: Vec<Value>) -> Value {
        json!({ "object": "list", "data": models })
    }

    fn url(&self, base: &str) -> String {
        format!("{base}/chat/completions")
    }

    fn credentials(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        key.map(|key| ("authorization", format!("Bearer {key}"))).into_iter().collect()
    }

    fn write(&self, request: &ChatRequest) -> Result<Bytes, Fault> {
        request::refuse(request)?;
        Ok(request::write(request))
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

impl WriteEvents for write::EventWriter {
    fn event(&mut self, chunk: &Chunk) -> Option<Bytes> {
        self.event(chunk)
    }

    fn end(&mut self) -> Bytes {
        write::EventWriter::end(self)
    }

    fn fault(&mut self, fault: &Fault, _: &str) -> Bytes {
        write::EventWriter::fault(self, fault)
    }
}

impl ReadEvents for delta::Reader {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Fault> {
        self.event(data)
    }
}
