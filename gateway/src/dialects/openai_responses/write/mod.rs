//! Answers to clients: the events of a stream, and the whole answer that a stream ends with.
//!
//! A whole answer is a stream of which nobody sees the frames, so that both are the same. Apart from reading because it serves deltas from
//! anywhere: an upstream of any dialect, the engine, the cache, a policy's edit. It must not know what a plugin did, nor HTTP.

mod annotations;
mod calls;
mod frames;
mod item;
mod output;
mod replay;

use std::sync::Arc;

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, Fault, FinishReason, Usage};
use serde_json::value::RawValue;

use self::frames::Frames;
use self::item::State;
use self::output::Output;
pub(super) use self::replay::replay;
use super::{PREFIX, STORE, fault};
use crate::dialects::out::Out;
use crate::dialects::{Begin, Echo, Ended, WriteEvents};

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
    /// Whoever answered stopped, for a reason that nobody knows.
    Broken,
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

    /// Says what a chunk says, in its order.
    fn hear(&mut self, chunk: &Chunk) {
        for delta in &chunk.deltas {
            match delta {
                Delta::Start { model, .. } if !model.is_empty() => model.clone_into(&mut self.begin.model),
                Delta::Finish { choice: 0, reason } => self.finish = Some(reason.clone()),
                Delta::Usage(usage) => self.usage = Some(usage.clone()),
                _ => {}
            }
        }
        self.start();
        let is_text = |delta: &&Delta| matches!(delta, Delta::Text { .. });
        let first = chunk.deltas.iter().position(|delta| is_text(&delta)).unwrap_or_default();
        for (at, delta) in chunk.deltas.iter().enumerate() {
            // Log probabilities follow their text; those before the first text can only be its own.
            let (before, after) = chunk.deltas.split_at(at);
            let early = if at == first { before } else { &[] };
            let its = early.iter().chain(after.iter().skip(1).take_while(|delta| !is_text(delta)));
            let tokens = its.filter_map(|delta| if let Delta::Logprobs { choice: 0, value } = delta { Some(value) } else { None });
            let tokens = if is_text(&delta) { tokens.flat_map(|value| output::tokens(value)).collect() } else { Vec::new() };
            self.output.say(delta, &tokens, &mut self.frames);
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

    /// Ends all that is open.
    fn finish(&mut self) -> Status<'static> {
        let status = ending(self.finish.as_ref());
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

/// How an answer ended, by the reason that whoever gave it names. Servers have words of their own for what is a proper end, or a bound;
/// one that nobody knows is no promise that all was said.
fn ending(reason: Option<&FinishReason>) -> Status<'static> {
    match reason {
        Some(FinishReason::Length) => Status::Incomplete("max_output_tokens"),
        Some(FinishReason::ContentFilter) => Status::Incomplete("content_filter"),
        None | Some(FinishReason::Stop | FinishReason::ToolCalls) => Status::Completed,
        Some(FinishReason::Other(word)) => match &**word {
            "pause_turn" | "compaction" => Status::Completed,
            "eos" | "eos_token" | "end_turn" | "stop_sequence" | "function_call" | "tool_call" => Status::Completed,
            "max_tokens" | "model_length" | "repetition" => Status::Incomplete("max_output_tokens"),
            _ => Status::Broken,
        },
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
        Status::Failed(_) | Status::Broken => "failed",
    };
    out.text("status", word);
    match status {
        Status::Completed => out.number("completed_at", begin.ended.at.max(begin.created)),
        _ => out.value("completed_at", RawValue::NULL),
    }
    match status {
        Status::Failed(fault) => {
            out.name("error");
            fault::of_answer(out, fault);
        }
        Status::Broken => {
            out.name("error");
            out.open();
            out.text("code", "server_error");
            out.text("message", "The model stopped before its answer was complete.");
            out.close();
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
    if let [before, after] = &echo.fields
        && !before.is_empty()
    {
        let is_over = !matches!(status, Status::InProgress);
        out.raw(before);
        out.number(STORE, echo.conversation.is_some() && (begin.ended.kept || !is_over));
        out.raw(after);
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

    fn ends(&mut self, ended: Ended) {
        self.begin.ended = ended;
    }

    fn end(&mut self) -> Bytes {
        self.start();
        let status = self.finish();
        let kind = match status {
            Status::Completed | Status::InProgress => "response.completed",
            Status::Incomplete(_) => "response.incomplete",
            Status::Failed(_) | Status::Broken => "response.failed",
        };
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
    let choice = answer.choices.first().cloned().unwrap_or_default();
    let deltas = choice.into_deltas(0).into_iter().chain(answer.usage.clone().map(Delta::Usage)).collect();
    events.hear(&Chunk::of(deltas));
    events.finish();
    events.whole.unwrap_or_default()
}

#[cfg(test)]
mod tests;
