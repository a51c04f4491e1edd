//! Answers to clients: the events of a stream, and the whole answer that a stream ends with.
//!
//! A whole answer is a stream of which nobody sees the frames, so that both are the same. Apart from reading because it serves deltas from
//! anywhere: an upstream of any dialect, the engine, the cache, a policy's edit. It must not know what a plugin did, nor HTTP.

mod calls;
mod frames;
mod item;
mod output;
mod replay;

use std::sync::Arc;

use bytes::Bytes;
use gatewright_types::{Choice, Chunk, Completion, Delta, Extras, Fault, FinishReason, RawJson, Usage};
use serde_json::value::RawValue;

use self::frames::Frames;
use self::item::State;
use self::output::Output;
pub(super) use self::replay::replay;
use super::sealed::{Shown, pieces};
use super::{ITEM, NAME, PREFIX, SUMMARY, fault, keep, own};
use crate::dialects::out::Out;
use crate::dialects::{Begin, Echo, WriteEvents, of_own};

/// Writes the events of one stream, in order.
pub(super) struct Events {
    begin: Begin,
    echo: Arc<Echo>,
    frames: Frames,
    output: Output,
    started: bool,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    /// The whole answer, once it ended.
    whole: Option<Bytes>,
}

/// How far an answer is.
#[derive(Clone, Copy)]
enum Status<'a> {
    InProgress,
    Completed,
    /// Why.
    Incomplete(&'static str),
    Failed(&'a Fault),
}

impl Events {
    /// A writer that has written nothing yet.
    pub(super) fn new(begin: Begin) -> Self {
        let echo = begin.echo.clone().unwrap_or_default();
        let core = begin.id.strip_prefix(PREFIX).unwrap_or(&begin.id).to_owned();
        let output = Output::new(core, Arc::clone(&echo), begin.sealer.clone());
        Self { begin, echo, frames: Frames::default(), output, started: false, finish: None, usage: None, whole: None }
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            self.lifecycle("response.created", Status::InProgress);
            self.lifecycle("response.in_progress", Status::InProgress);
        }
    }

    fn hear(&mut self, chunk: &Chunk) {
        let mut logprobs: Vec<RawJson> = Vec::new();
        for delta in &chunk.deltas {
            match delta {
                Delta::Start { model, .. } if !model.is_empty() => model.clone_into(&mut self.begin.model),
                Delta::Finish { choice: 0, reason } => self.finish = Some(reason.clone()),
                Delta::Usage(usage) => self.usage = Some(usage.clone()),
                Delta::Logprobs { choice: 0, value } => logprobs.extend(output::tokens(value)),
                _ => {}
            }
        }
        self.start();
        // What was held back may come with what follows it.
        let rank = |delta: &Delta| match delta {
            Delta::Other { delta, .. } if own(delta, SUMMARY).is_some() => 0,
            Delta::Reasoning { .. } => 1,
            Delta::Other { .. } => 2,
            Delta::ToolCall { .. } => 4,
            _ => 3,
        };
        for wanted in 0..=4 {
            for delta in chunk.deltas.iter().filter(|delta| rank(delta) == wanted) {
                let with = if matches!(delta, Delta::Text { .. }) { std::mem::take(&mut logprobs) } else { Vec::new() };
                self.output.say(delta, &with, &mut self.frames);
            }
        }
    }

    /// An event that shows the answer as it is.
    fn lifecycle(&mut self, kind: &str, status: Status<'_>) {
        let (begin, echo, output, usage) = (&self.begin, &self.echo, &self.output, self.usage.as_ref());
        self.frames.event(kind, |out| {
            out.name("response");
            write_response(out, (begin, echo), (output, usage), status);
        });
    }

    /// Ends all that is open; how the answer ended.
    fn finish(&mut self) -> Status<'static> {
        let status = match self.finish {
            Some(FinishReason::Length) => Status::Incomplete("max_output_tokens"),
            Some(FinishReason::ContentFilter) => Status::Incomplete("content_filter"),
            _ => Status::Completed,
        };
        let state = if matches!(status, Status::Completed) { State::Complete } else { State::Cut };
        self.output.end(state, &mut self.frames);
        self.whole = Some(self.written(status));
        status
    }

    /// The answer as it is.
    fn written(&self, status: Status<'_>) -> Bytes {
        let mut out = Out::with_room(1024);
        write_response(&mut out, (&self.begin, &self.echo), (&self.output, self.usage.as_ref()), status);
        out.done()
    }
}

/// The answer with all its fields.
fn write_response(out: &mut Out, (begin, echo): (&Begin, &Echo), (output, usage): (&Output, Option<&Usage>), status: Status<'_>) {
    out.open();
    out.text("id", &begin.id);
    out.text("object", "response");
    out.number("created_at", begin.created);
    let word = match status {
        Status::InProgress => "in_progress",
        Status::Completed => "completed",
        Status::Incomplete(_) => "incomplete",
        Status::Failed(_) => "failed",
    };
    out.text("status", word);
    match status {
        Status::Completed => out.number("completed_at", begin.ended.max(begin.created)),
        _ => out.value("completed_at", RawValue::NULL),
    }
    match status {
        Status::Failed(fault) => {
            out.name("error");
            fault::of_answer(out, fault);
        }
        _ => out.value("error", RawValue::NULL),
    }
    match status {
        Status::Incomplete(reason) => {
            out.name("incomplete_details");
            out.open();
            out.text("reason", reason);
            out.close();
        }
        _ => out.value("incomplete_details", RawValue::NULL),
    }
    out.text("model", &begin.model);
    out.name("output");
    output.write(out);
    if !echo.fields.is_empty() {
        out.raw(&echo.fields);
    }
    match usage {
        Some(usage) => write_usage(out, usage),
        None => out.value("usage", RawValue::NULL),
    }
    out.close();
}

/// The tokens, each counted once: those of the cache and of thought are parts of the others.
fn write_usage(out: &mut Out, usage: &Usage) {
    out.name("usage");
    out.open();
    out.number("input_tokens", usage.prompt);
    out.name("input_tokens_details");
    out.open();
    out.number("cached_tokens", usage.cached.unwrap_or_default());
    out.number("cache_write_tokens", usage.cache_written.unwrap_or_default());
    out.close();
    out.number("output_tokens", usage.completion);
    out.name("output_tokens_details");
    out.open();
    out.number("reasoning_tokens", usage.reasoning.unwrap_or_default());
    out.close();
    out.number("total_tokens", usage.prompt.saturating_add(usage.completion));
    out.close();
}

impl WriteEvents for Events {
    fn event(&mut self, chunk: &Chunk) -> Option<Bytes> {
        self.hear(chunk);
        self.frames.take()
    }

    fn ends_at(&mut self, seconds: u64) {
        self.begin.ended = seconds;
    }

    fn end(&mut self) -> Bytes {
        self.start();
        let status = self.finish();
        let kind = if matches!(status, Status::Completed) { "response.completed" } else { "response.incomplete" };
        self.lifecycle(kind, status);
        self.frames.done();
        self.frames.take().unwrap_or_default()
    }

    fn fault(&mut self, fault: &Fault, _: &str) -> Bytes {
        self.start();
        self.frames.event("error", |out| fault::event(out, fault));
        self.output.end(State::Cut, &mut Frames::muted());
        self.lifecycle("response.failed", Status::Failed(fault));
        self.whole = Some(self.written(Status::Failed(fault)));
        self.frames.take().unwrap_or_default()
    }

    fn kept(&self) -> Option<Bytes> {
        self.whole.clone()
    }
}

/// The body of a whole answer.
pub(super) fn whole(answer: &Completion, begin: &Begin) -> Bytes {
    let mut events = Events::new(begin.clone());
    events.frames = Frames::muted();
    if !answer.model.is_empty() {
        answer.model.clone_into(&mut events.begin.model);
    }
    let mut deltas = Vec::new();
    if let Some(choice) = answer.choices.first() {
        think(&mut events, choice);
        let choice = choice.clone();
        deltas.extend(choice.text.map(|text| Delta::Text { choice: 0, text }));
        deltas.extend(choice.refusal.map(|text| Delta::Refusal { choice: 0, text }));
        deltas.extend(choice.logprobs.into_iter().map(|value| Delta::Logprobs { choice: 0, value }));
        deltas.extend((0u32..).zip(choice.tool_calls).map(|(index, call)| Delta::ToolCall {
            choice: 0,
            index,
            id: Some(call.id),
            name: Some(call.name),
            arguments: call.arguments,
            extras: call.extras,
        }));
        deltas.extend(choice.finish.map(|reason| Delta::Finish { choice: 0, reason }));
    }
    deltas.extend(answer.usage.clone().map(Delta::Usage));
    events.hear(&Chunk::of(deltas));
    events.finish();
    events.whole.unwrap_or_default()
}

/// What was thought, piece by piece with its seals; then the items that only this dialect has.
fn think(events: &mut Events, choice: &Choice) {
    let extras = &choice.message_extras;
    let other = |field: &str, value: &RawValue| {
        let mut delta = Extras::new();
        keep(&mut delta, field, value);
        Delta::Other { choice: 0, delta, around: Extras::new() }
    };
    let summary = extras.iter().find(|(name, _)| of_own(NAME, name) == Some(SUMMARY)).map(|(_, value)| value);
    for (text, sealed) in pieces(choice.reasoning.as_deref().unwrap_or_default(), extras) {
        let summed = sealed.as_ref().is_none_or(|sealed| sealed.shown == Shown::Summary);
        let mut deltas: Vec<Delta> = summary.filter(|_| summed).map(|value| other(SUMMARY, value)).into_iter().collect();
        deltas.push(Delta::Reasoning { choice: 0, text: text.to_owned() });
        if let Some(sealed) = sealed {
            let mut delta = Extras::new();
            sealed.put(&mut delta);
            deltas.push(Delta::Other { choice: 0, delta, around: Extras::new() });
        }
        events.hear(&Chunk::of(deltas));
    }
    let items = extras.iter().filter(|(name, _)| of_own(NAME, name) == Some(ITEM));
    items.for_each(|(_, item)| events.hear(&Chunk::of(vec![other(ITEM, item)])));
}

#[cfg(test)]
mod tests;
