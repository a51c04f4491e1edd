//! What is answered: events of a stream and whole bodies to chunks of deltas.
//!
//! Apart because it is the chat's reading but for one thing: a choice's text stands beside its index, where a chat has a message. It
//! must not know which upstream it was.

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Fault, Raw};

use super::NAME;
use crate::dialects::openai_chat::delta;
use crate::dialects::{ReadEvents, wire};

/// Reads a whole answer.
///
/// # Errors
/// As of a chat.
pub(super) fn read_body(body: Bytes) -> Result<Chunk, Fault> {
    delta::read_body(body).map(of_chat)
}

/// Reads the events of one stream, in order.
#[derive(Debug, Default)]
pub(super) struct Reader(delta::Reader);

impl ReadEvents for Reader {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Fault> {
        Ok(self.0.event(data)?.map(of_chat))
    }
}

/// Takes the texts from where a chat has none.
fn of_chat(mut chunk: Chunk) -> Chunk {
    let mut deltas: Vec<Delta> = Vec::with_capacity(chunk.deltas.len() + 1);
    for delta in std::mem::take(&mut chunk.deltas) {
        let Delta::Other { choice, delta, mut around } = delta else {
            deltas.push(delta);
            continue;
        };
        if let Some(raw) = around.take("text") {
            let text = wire::lenient(&raw);
            // Before what repeats it.
            let at = deltas.iter().position(|delta| matches!(delta, Delta::Logprobs { choice: of, .. } if *of == choice));
            deltas.insert(at.unwrap_or(deltas.len()), Delta::Text { choice, text });
        }
        if !(delta.is_empty() && around.is_empty()) {
            deltas.push(Delta::Other { choice, delta, around });
        }
    }
    chunk.deltas = deltas;
    chunk.raw = match chunk.raw {
        Some(Raw::Event(_, data)) => Some(Raw::Event(NAME, data)),
        Some(Raw::Body(_, body)) => Some(Raw::Body(NAME, body)),
        None => None,
    };
    chunk
}
