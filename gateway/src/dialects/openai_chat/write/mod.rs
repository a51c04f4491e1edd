//! Answers to clients: events of a stream here, whole answers in [`whole`].
//!
//! Apart from reading because it serves deltas from anywhere: an upstream of this dialect, the engine, the cache, a policy's edit.
//! Bytes that nobody touched are passed on as they came. It must not know what a plugin did, nor HTTP.

mod calls;
mod choice;
pub(in crate::dialects) mod whole;

pub use crate::dialects::Begin;
pub use whole::whole;

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Fault, FinishReason, Raw, Usage};
use smallvec::SmallVec;

use self::calls::Calls;
use super::{NAME, fault};
use crate::dialects::out::Out;

/// Writes the events of one stream, in order.
#[derive(Debug)]
pub struct EventWriter {
    begin: Begin,
    /// One bit for each choice whose role was sent.
    roles: u128,
    calls: Calls,
}

impl EventWriter {
    /// A writer that has written nothing yet.
    pub fn new(begin: Begin) -> Self {
        Self { begin, roles: 0, calls: Calls::default() }
    }

    /// One event as a whole frame (`data: ...` and the blank line). `None` when there is nothing to tell the client, such as a usage
    /// that it did not ask for.
    pub fn event(&mut self, chunk: &Chunk) -> Option<Bytes> {
        let (mut starts, mut unwanted) = (false, false);
        for delta in &chunk.deltas {
            match delta {
                Delta::Start { id, model, created } => {
                    starts = true;
                    self.start(id, model, *created);
                }
                Delta::Usage(_) => unwanted = !self.begin.include_usage,
                _ => {}
            }
        }
        self.calls.hear(&chunk.deltas);
        if let Some(Raw::Event(NAME, data)) = &chunk.raw
            && !unwanted
            && !self.calls.comes_after(chunk)
        {
            if starts {
                // The upstream's own first events carry the roles.
                self.roles = u128::MAX;
            }
            return Some(frame(data));
        }
        let chunk = self.calls.keep_back(chunk)?;
        self.rewritten(&chunk)
    }

    /// The end of a clean stream.
    pub fn end(&mut self) -> Bytes {
        let mut all = Vec::new();
        for chunk in self.calls.told_late() {
            all.extend_from_slice(&self.rewritten(&chunk).unwrap_or_default());
        }
        all.extend_from_slice(b"data: [DONE]\n\n");
        all.into()
    }

    /// The end of a stream that failed: an error event, and no `[DONE]` after it.
    pub fn fault(&self, fault: &Fault) -> Bytes {
        frame(&fault::envelope(fault))
    }

    fn start(&mut self, id: &str, model: &str, created: u64) {
        if !id.is_empty() {
            id.clone_into(&mut self.begin.id);
        }
        if !model.is_empty() {
            model.clone_into(&mut self.begin.model);
        }
        if created != 0 {
            self.begin.created = created;
        }
    }

    fn rewritten(&mut self, chunk: &Chunk) -> Option<Bytes> {
        let told = chunk.deltas.iter().rev().find_map(|delta| if let Delta::Usage(tokens) = delta { Some(tokens) } else { None });
        let usage = told.filter(|_| self.begin.include_usage);
        let mut choices: SmallVec<[u32; 4]> = chunk.deltas.iter().filter_map(choice::index).collect();
        choices.sort_unstable();
        choices.dedup();
        if choices.is_empty() && usage.is_none() {
            let any = |wanted: fn(&Delta) -> bool| chunk.deltas.iter().any(wanted);
            if any(|delta| matches!(delta, Delta::Usage(_))) {
                return None;
            }
            if any(|delta| matches!(delta, Delta::Start { .. })) {
                choices.push(0);
            } else if chunk.extras.iter().all(|(name, _)| crate::dialects::is_owned(name)) {
                return None;
            }
        }
        let mut out = Out::with_room(384);
        out.bare(b"data: ");
        out.open();
        out.text("id", &self.begin.id);
        out.text("object", "chat.completion.chunk");
        out.number("created", self.begin.created);
        out.text("model", &self.begin.model);
        out.extras(&chunk.extras, |name, _| !matches!(name, "id" | "object" | "created" | "model" | "choices" | "usage"));
        out.name("choices");
        out.open_list();
        for index in choices {
            let role = self.role(index);
            choice::write(&mut out, &chunk.deltas, index, role);
        }
        out.close_list();
        Some(end_event(out, usage))
    }

    /// Whether this choice's role is still to be said; it is from now on.
    fn role(&mut self, choice: u32) -> choice::RoleIs {
        let bit = 1u128.checked_shl(choice).unwrap_or_default();
        let said = self.roles & bit != 0 || bit == 0;
        self.roles |= bit;
        if said { choice::RoleIs::Said } else { choice::RoleIs::Unsaid }
    }
}

/// Ends the frame of an event whose choices are written.
pub(in crate::dialects) fn end_event(mut out: Out, usage: Option<&Usage>) -> Bytes {
    if let Some(usage) = usage {
        out.name("usage");
        write_usage(&mut out, usage);
    }
    out.close();
    out.unbreak(0);
    out.bare(b"\n\n");
    out.done()
}

/// One event's data as a frame.
pub(in crate::dialects) fn frame(data: &[u8]) -> Bytes {
    let mut frame = Out::with_room(data.len() + 8);
    frame.bare(b"data: ");
    frame.line(data);
    frame.bare(b"\n\n");
    frame.done()
}

/// Why an answer ended, in this dialect's words. One that only Anthropic has says that the model may go on where it stopped; a client of
/// this dialect may, by asking again.
fn finish_word(reason: &FinishReason) -> &str {
    match reason.as_str() {
        "pause_turn" | "compaction" => "stop",
        word => word,
    }
}

/// A usage object, as events and whole answers write it.
pub(in crate::dialects) fn write_usage(out: &mut Out, usage: &Usage) {
    out.open();
    out.number("prompt_tokens", usage.prompt);
    out.number("completion_tokens", usage.completion);
    if usage.extras.get("total_tokens").is_none() {
        out.number("total_tokens", usage.prompt.saturating_add(usage.completion));
    }
    let details = [
        ("prompt_tokens_details", "cached_tokens", usage.cached),
        ("completion_tokens_details", "reasoning_tokens", usage.reasoning),
    ];
    for (name, inner, count) in details {
        if let Some(count) = count.filter(|_| usage.extras.get(name).is_none()) {
            out.name(name);
            out.open();
            out.number(inner, count);
            out.close();
        }
    }
    out.extras(&usage.extras, |name, _| !matches!(name, "prompt_tokens" | "completion_tokens"));
    out.close();
}

#[cfg(test)]
mod tests;
