//! The items of an answer: what each is made of, and how it is written, at its beginning and at its end.
//!
//! Apart because an item is written thrice: as it begins, as it ends, and in the whole answer. It must not know when that is.

use gatewright_types::RawJson;
use serde_json::value::to_raw_value;

use crate::dialects::openai_responses::items;
use crate::dialects::openai_responses::request::{text_of_cut, text_of_tool};
use crate::dialects::openai_responses::sealed::Shown;
use crate::dialects::out::Out;
use crate::dialects::{Renamed, Sealer};

/// One item.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) what: What,
}

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Complete,
    /// The answer ended in its midst.
    Cut,
}

/// What an item holds.
pub(super) enum What {
    Reasoning(Thought),
    Message(Message),
    Call(Call),
    /// Of a kind that only an upstream of this dialect has.
    Raw(RawJson),
}

/// A thought.
#[derive(Default)]
pub(super) struct Thought {
    pub(super) text: String,
    pub(super) shown: Shown,
    /// Its vendor's seal or ours, as JSON.
    pub(super) envelope: Option<RawJson>,
}

/// A message.
#[derive(Default)]
pub(super) struct Message {
    /// What it is to the turn, JSON.
    pub(super) phase: Option<RawJson>,
    pub(super) parts: Vec<Part>,
}

/// A part of a message.
pub(super) struct Part {
    pub(super) kind: PartKind,
    pub(super) text: String,
    /// Log probabilities of its tokens, each as it came.
    pub(super) logprobs: Vec<RawJson>,
    /// What is said of its text, each as it came.
    pub(super) annotations: Vec<RawJson>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Text,
    Refusal,
}

/// A call of a tool.
pub(super) struct Call {
    pub(super) call_id: String,
    /// The model's name for the tool.
    pub(super) called: String,
    /// How the client knows it, if otherwise.
    pub(super) known: Option<Renamed>,
    pub(super) arguments: String,
}

impl Call {
    pub(super) fn takes_text(&self) -> bool {
        self.known.as_ref().is_some_and(|tool| tool.takes_text)
    }

    /// The text for a tool that takes one, of a call in this state.
    pub(super) fn input(&self, state: State) -> String {
        match state {
            State::Open => String::new(),
            State::Complete => text_of_tool(&self.arguments),
            State::Cut => text_of_cut(&self.arguments),
        }
    }
}

impl What {
    /// What comes before the core of its id.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Reasoning(_) => "rs",
            Self::Raw(_) => "item",
            Self::Message(_) => "msg",
            Self::Call(call) if call.takes_text() => "ctc",
            Self::Call(_) => "fc",
        }
    }

    /// Seals what was thought, where its vendor did not.
    pub(super) fn seal(&mut self, sealer: Option<&Sealer>) {
        if let (Self::Reasoning(Thought { text, envelope: envelope @ None, .. }), Some(sealer)) = (self, sealer) {
            *envelope = to_raw_value(&sealer.envelope(text)).ok();
        }
    }
}

impl PartKind {
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Refusal => "refusal",
        }
    }
}

impl Part {
    /// One of which nothing was said yet.
    pub(super) fn new(kind: PartKind) -> Self {
        Self { kind, text: String::new(), logprobs: Vec::new(), annotations: Vec::new() }
    }

    /// The part, as far as it was said.
    pub(super) fn write(&self, out: &mut Out) {
        out.open();
        match self.kind {
            PartKind::Text => {
                out.text("type", "output_text");
                out.name("annotations");
                list(out, &self.annotations);
                out.name("logprobs");
                list(out, &self.logprobs);
            }
            PartKind::Refusal => out.text("type", "refusal"),
        }
        out.text(self.kind.field(), &self.text);
        out.close();
    }
}

/// Values as they came.
pub(super) fn list(out: &mut Out, values: &[RawJson]) {
    out.open_list();
    values.iter().for_each(|value| out.raw(value.get()));
    out.close_list();
}

/// A thought, or a summary of one, with this text.
pub(super) fn thought(out: &mut Out, shown: Shown, text: &str) {
    out.open();
    out.text("type", if shown == Shown::Text { "reasoning_text" } else { "summary_text" });
    out.text("text", text);
    out.close();
}

impl Thought {
    /// Its fields.
    fn write(&self, out: &mut Out, state: State) {
        out.text("type", "reasoning");
        for (name, shown) in [("summary", Shown::Summary), ("content", Shown::Text)] {
            out.name(name);
            out.open_list();
            if self.shown == shown && state != State::Open && !self.text.is_empty() {
                thought(out, shown, &self.text);
            }
            out.close_list();
        }
        self.envelope.iter().for_each(|sealed| out.value("encrypted_content", sealed));
    }
}

impl Item {
    /// The parts of a message.
    pub(super) fn parts(&self) -> &[Part] {
        if let What::Message(message) = &self.what { &message.parts } else { &[] }
    }

    /// The part of a message that came last.
    pub(super) fn last_part(&mut self) -> Option<&mut Part> {
        if let What::Message(message) = &mut self.what { message.parts.last_mut() } else { None }
    }

    /// The item as it is now. One that is open has nothing in it yet.
    pub(super) fn write(&self, out: &mut Out) {
        let open = self.state == State::Open;
        let status = match self.state {
            State::Open => "in_progress",
            State::Complete => "completed",
            State::Cut => "incomplete",
        };
        if let What::Raw(item) = &self.what {
            return out.raw(item.get());
        }
        out.open();
        out.text("id", &self.id);
        match &self.what {
            What::Reasoning(thought) => thought.write(out, self.state),
            What::Raw(_) => {}
            What::Message(message) => {
                out.text("type", "message");
                out.text("status", status);
                out.text("role", "assistant");
                message.phase.iter().for_each(|phase| out.value("phase", phase));
                out.name("content");
                out.open_list();
                message.parts.iter().filter(|_| !open).for_each(|part| part.write(out));
                out.close_list();
            }
            What::Call(call) if call.takes_text() => {
                out.text("type", "custom_tool_call");
                out.text("status", status);
                out.text("call_id", &call.call_id);
                items::name(out, &call.called, call.known.as_ref());
                out.text("input", &call.input(self.state));
            }
            What::Call(call) => {
                out.text("type", "function_call");
                out.text("status", status);
                out.text("call_id", &call.call_id);
                items::name(out, &call.called, call.known.as_ref());
                out.text("arguments", if open { "" } else { &call.arguments });
            }
        }
        out.close();
    }
}
