//! The items of an answer: what each is made of, and how it is written, at its beginning and at its end.
//!
//! Apart because an item is written thrice: as it begins, as it ends, and in the whole answer. It must not know when that is.

use gatewright_types::RawJson;

use crate::dialects::openai_responses::items;
use crate::dialects::openai_responses::request::text_of_tool;
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
    Reasoning { text: String, envelope: Option<String> },
    Message(Vec<Part>),
    Call(Call),
}

/// A part of a message.
pub(super) struct Part {
    pub(super) kind: PartKind,
    pub(super) text: String,
    /// Log probabilities of its tokens, each as it came.
    pub(super) logprobs: Vec<RawJson>,
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

    /// The text for a tool that takes one.
    pub(super) fn input(&self) -> String {
        text_of_tool(&self.arguments)
    }
}

impl What {
    /// What comes before the core of its id.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Reasoning { .. } => "rs",
            Self::Message(_) => "msg",
            Self::Call(call) if call.takes_text() => "ctc",
            Self::Call(_) => "fc",
        }
    }

    /// Seals what was thought.
    pub(super) fn seal(&mut self, sealer: Option<&Sealer>) {
        if let (Self::Reasoning { text, envelope }, Some(sealer)) = (self, sealer) {
            *envelope = Some(sealer.envelope(text));
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
    /// The part, as far as it was said.
    pub(super) fn write(&self, out: &mut Out) {
        part(out, self.kind, (&self.text, &self.logprobs));
    }
}

/// A part of a message with this text.
pub(super) fn part(out: &mut Out, kind: PartKind, (text, logprobs): (&str, &[RawJson])) {
    out.open();
    match kind {
        PartKind::Text => {
            out.text("type", "output_text");
            out.name("annotations");
            out.raw("[]");
            out.name("logprobs");
            list(out, logprobs);
        }
        PartKind::Refusal => out.text("type", "refusal"),
    }
    out.text(kind.field(), text);
    out.close();
}

/// Values as they came.
pub(super) fn list(out: &mut Out, values: &[RawJson]) {
    out.open_list();
    values.iter().for_each(|value| out.raw(value.get()));
    out.close_list();
}

/// A thought with this text.
pub(super) fn thought(out: &mut Out, text: &str) {
    out.open();
    out.text("type", "reasoning_text");
    out.text("text", text);
    out.close();
}

impl Item {
    /// The item as it is now. One that is open has nothing in it yet.
    pub(super) fn write(&self, out: &mut Out) {
        let open = self.state == State::Open;
        let status = match self.state {
            State::Open => "in_progress",
            State::Complete => "completed",
            State::Cut => "incomplete",
        };
        out.open();
        out.text("id", &self.id);
        match &self.what {
            What::Reasoning { text, envelope } => {
                out.text("type", "reasoning");
                out.name("summary");
                out.raw("[]");
                out.name("content");
                out.open_list();
                if !open {
                    thought(out, text);
                }
                out.close_list();
                envelope.iter().for_each(|sealed| out.text("encrypted_content", sealed));
            }
            What::Message(parts) => {
                out.text("type", "message");
                out.text("status", status);
                out.text("role", "assistant");
                out.name("content");
                out.open_list();
                parts.iter().filter(|_| !open).for_each(|part| part.write(out));
                out.close_list();
            }
            What::Call(call) if call.takes_text() => {
                out.text("type", "custom_tool_call");
                out.text("status", status);
                out.text("call_id", &call.call_id);
                items::name(out, &call.called, call.known.as_ref());
                out.text("input", &if open { String::new() } else { call.input() });
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
