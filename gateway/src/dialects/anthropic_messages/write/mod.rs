//! Answers to clients: events of a stream here, whole answers in [`whole`].
//!
//! Bytes that nobody touched are passed on as they came, until something was touched: from then on the blocks are our own, for what was
//! held back, edited or left out no longer stands where the upstream's numbers say. Apart from reading because it serves deltas from
//! anywhere: an upstream of this dialect or another, the engine, the cache, a policy's edit. It must not know what a plugin did, nor
//! HTTP.

mod blocks;
mod calls;
mod frames;
mod passing;
mod whole;

pub(super) use whole::whole;

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Extras, Fault, FinishReason, Raw, Usage};

use self::blocks::Blocks;
use self::frames::Frames;
use self::passing::{Passed, Passing};
use super::{FOR_LONG, NAME, USAGE, USUALLY, WRITTEN, fault, own};
use crate::dialects::out::Out;
use crate::dialects::{Begin, WriteEvents};

/// Writes the events of one stream, in order.
pub(super) struct Events {
    begin: Begin,
    frames: Frames,
    /// While all of it is the upstream's own.
    passing: Option<Passing>,
    blocks: Blocks,
    started: bool,
    end: End,
}

/// How it ends, once that was said.
#[derive(Default)]
struct End {
    reason: Option<FinishReason>,
    usage: Option<Usage>,
    /// What the upstream said of it beside.
    around: Extras,
    /// Fields of events that came later than the first one.
    later: Extras,
    /// The client was told.
    told: bool,
}

impl Events {
    /// A writer that has written nothing yet.
    pub(super) fn new(begin: Begin) -> Self {
        let blocks = Blocks::new(begin.sealer.clone());
        let passing = Some(Passing::default());
        Self { begin, frames: Frames::default(), passing, blocks, started: false, end: End::default() }
    }

    /// The upstream's own event, where it still fits; whether it was taken.
    fn passes(&mut self, chunk: &Chunk) -> bool {
        let Some(passing) = &mut self.passing else { return false };
        let Some(Raw::Event(NAME, data)) = &chunk.raw else { return false };
        match passing.pass(chunk, data, &mut self.frames) {
            Passed::Begun => self.started = true,
            Passed::Ended => self.end.told = true,
            Passed::Some => {}
            Passed::Never => return false,
        }
        true
    }

    /// From now on the blocks are ours: what is open stays so.
    fn take_over(&mut self) {
        if let Some(passing) = self.passing.take() {
            self.blocks.go_on(passing.open(), passing.call());
        }
    }

    fn rewrite(&mut self, chunk: &Chunk) {
        if let (Some(Raw::Event(NAME, data)), []) = (&chunk.raw, &*chunk.deltas) {
            // What says nothing is the frame of what does. Only the end of a call is news.
            return self.blocks.structure(data, &mut self.frames);
        }
        if !chunk.deltas.iter().any(|delta| !matches!(delta, Delta::Usage(_) | Delta::ToolResult { .. })) && chunk.extras.is_empty()
        {
            return self.note(chunk);
        }
        for delta in &chunk.deltas {
            if let Delta::Start { id, model, .. } = delta {
                name(&mut self.begin.id, id);
                name(&mut self.begin.model, model);
            }
        }
        self.start(chunk);
        // What was held back may come with what follows it.
        self.each(chunk, |delta| matches!(delta, Delta::Reasoning { .. }));
        self.each(chunk, |delta| matches!(delta, Delta::Other { delta, .. } if own(delta, super::SIGNATURE).is_some()));
        self.each(chunk, |delta| match delta {
            Delta::Other { delta, .. } => own(delta, super::SIGNATURE).is_none(),
            delta => matches!(delta, Delta::Text { .. } | Delta::Refusal { .. }),
        });
        self.each(chunk, |delta| matches!(delta, Delta::ToolCall { .. }));
        self.note(chunk);
    }

    fn each(&mut self, chunk: &Chunk, wanted: impl Fn(&Delta) -> bool) {
        chunk.deltas.iter().filter(|delta| wanted(delta)).for_each(|delta| self.blocks.say(delta, &mut self.frames));
    }

    /// What is told at the end.
    fn note(&mut self, chunk: &Chunk) {
        for delta in &chunk.deltas {
            match delta {
                Delta::Finish { choice: 0, reason } => self.end.reason = Some(reason.clone()),
                Delta::Usage(usage) => self.end.usage = Some(usage.clone()),
                Delta::Other { choice: 0, around, .. } => self.end.around.append(around.clone()),
                _ => {}
            }
        }
    }

    /// The beginning of the message, if it was not told.
    fn start(&mut self, chunk: &Chunk) {
        if std::mem::replace(&mut self.started, true) {
            self.end.later.replace(chunk.extras.clone());
            return;
        }
        let (begin, extras) = (&self.begin, &chunk.extras);
        self.frames.event("message_start", |out| {
            out.name("message");
            out.open();
            out.text("id", &begin.id);
            out.text("type", "message");
            out.text("role", "assistant");
            out.text("model", &begin.model);
            out.name("content");
            out.raw("[]");
            out.name("stop_reason");
            out.raw("null");
            out.name("stop_sequence");
            out.raw("null");
            out.name("usage");
            out.raw(own(extras, USAGE).unwrap_or(r#"{"input_tokens":0,"output_tokens":0}"#));
            out.own(NAME, extras, |field| field != USAGE);
            out.close();
        });
    }

    fn finish(&mut self) {
        let End { reason, usage, around, later, .. } = &self.end;
        let word = super::ended(reason.as_ref(), self.blocks.called());
        self.frames.event("message_delta", |out| {
            out.name("delta");
            out.open();
            write_stop(out, word, around);
            out.own(NAME, around, |field| !is_stop(field));
            out.close();
            out.name("usage");
            write_usage(out, usage.as_ref().unwrap_or(&Usage::default()));
            out.own(NAME, later, |field| field != USAGE);
        });
    }
}

fn name(to: &mut String, text: &str) {
    if !text.is_empty() {
        text.clone_into(to);
    }
}

/// `stop_reason` and `stop_sequence`.
fn write_stop(out: &mut Out, word: &str, around: &Extras) {
    out.name("stop_reason");
    match own(around, "stop_reason") {
        Some(said) if word != "refusal" => out.raw(said),
        _ => out.string(word),
    }
    out.name("stop_sequence");
    out.raw(own(around, "stop_sequence").unwrap_or("null"));
}

/// Whether what the upstream says of the end is told by [`write_stop`].
fn is_stop(field: &str) -> bool {
    matches!(field, "stop_reason" | "stop_sequence")
}

/// A usage object: the prompt's tokens in their parts, each once.
fn write_usage(out: &mut Out, usage: &Usage) {
    let (read, written) = (usage.cached.unwrap_or_default(), usage.cache_written.unwrap_or_default());
    out.open();
    out.number("input_tokens", usage.prompt.saturating_sub(read).saturating_sub(written));
    out.number("cache_creation_input_tokens", written);
    out.number("cache_read_input_tokens", read);
    out.number("output_tokens", usage.completion);
    if let Some(long) = usage.cache_written_long.filter(|_| own(&usage.extras, WRITTEN).is_none()) {
        out.name(WRITTEN);
        out.open();
        out.number(USUALLY, written.saturating_sub(long));
        out.number(FOR_LONG, long);
        out.close();
    }
    out.own(NAME, &usage.extras, |_| true);
    out.close();
}

impl WriteEvents for Events {
    fn event(&mut self, chunk: &Chunk) -> Option<Bytes> {
        if !self.passes(chunk) {
            self.take_over();
            self.rewrite(chunk);
        }
        self.frames.take()
    }

    fn end(&mut self) -> Bytes {
        if let Some(passing) = &mut self.passing {
            passing.settle(&mut self.frames);
        }
        if !self.end.told {
            self.take_over();
            self.start(&Chunk::default());
            self.blocks.end(&self.begin.id, &mut self.frames);
            self.finish();
        }
        self.frames.event("message_stop", |_| {});
        self.frames.take().unwrap_or_default()
    }

    fn fault(&mut self, fault: &Fault, request_id: &str) -> Bytes {
        self.frames.raw("error", &fault::envelope(fault, request_id));
        self.frames.take().unwrap_or_default()
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n")
    }
}

#[cfg(test)]
mod tests;
