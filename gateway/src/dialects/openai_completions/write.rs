//! Answers to clients: events of a stream, and whole answers. Bytes that nobody touched are passed on as they came.
//!
//! Apart from reading because it serves deltas from anywhere: an upstream, the cache, a policy's edit. It must not know what a plugin did.

use std::collections::BTreeMap;

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Delta, Extras, Fault, FinishReason, Raw, RawJson, Usage};

use super::NAME;
use crate::dialects::openai_chat::fault::envelope;
use crate::dialects::openai_chat::write::whole::{last_of_each, logprobs, nullable};
use crate::dialects::openai_chat::write::{end_event, frame, write_usage};
use crate::dialects::out::Out;
use crate::dialects::{Begin, WriteEvents};

/// Writes the events of one stream, in order.
#[derive(Debug)]
pub(super) struct EventWriter(Begin);

impl EventWriter {
    pub(super) fn new(begin: Begin) -> Self {
        Self(begin)
    }

    fn rewritten(&self, chunk: &Chunk, usage: Option<&Usage>) -> Option<Bytes> {
        let mut choices: BTreeMap<u32, Said<'_>> = BTreeMap::new();
        for delta in &chunk.deltas {
            match delta {
                Delta::Text { choice, text } => choices.entry(*choice).or_default().text.push_str(text),
                Delta::Logprobs { choice, value } => choices.entry(*choice).or_default().logprobs.push(value),
                Delta::Finish { choice, reason } => choices.entry(*choice).or_default().finish = Some(reason),
                Delta::Other { choice, around, .. } => choices.entry(*choice).or_default().extras.append(around.clone()),
                _ => {}
            }
        }
        if choices.is_empty() && usage.is_none() {
            return None;
        }
        let mut out = Out::with_room(256);
        out.bare(b"data: ");
        head(&mut out, (&self.0.id, &self.0.model, self.0.created));
        out.extras(&chunk.extras, |name, _| !HEAD.contains(&name));
        out.name("choices");
        out.open_list();
        choices.iter().for_each(|(index, said)| said.write(&mut out, *index));
        out.close_list();
        Some(end_event(out, usage))
    }
}

impl WriteEvents for EventWriter {
    fn event(&mut self, chunk: &Chunk) -> Option<Bytes> {
        let mut usage = None;
        for delta in &chunk.deltas {
            match delta {
                Delta::Start { id, model, created } => {
                    for (text, place) in [(id, &mut self.0.id), (model, &mut self.0.model)] {
                        if !text.is_empty() {
                            text.clone_into(place);
                        }
                    }
                    if *created != 0 {
                        self.0.created = *created;
                    }
                }
                Delta::Usage(tokens) => usage = Some(tokens),
                _ => {}
            }
        }
        let unwanted = usage.is_some() && !self.0.include_usage;
        match &chunk.raw {
            Some(Raw::Event(NAME, data)) if !unwanted => Some(frame(data)),
            _ => self.rewritten(chunk, usage.filter(|_| !unwanted)),
        }
    }

    fn end(&mut self) -> Bytes {
        Bytes::from_static(b"data: [DONE]\n\n")
    }

    fn fault(&mut self, fault: &Fault, _: &str) -> Bytes {
        frame(&envelope(fault))
    }
}

/// One choice of an event or of a whole answer.
#[derive(Default)]
struct Said<'a> {
    text: String,
    logprobs: Vec<&'a RawJson>,
    finish: Option<&'a FinishReason>,
    extras: Extras,
}

impl Said<'_> {
    fn write(&self, out: &mut Out, index: u32) {
        out.open();
        out.text("text", &self.text);
        out.number("index", index);
        out.name("logprobs");
        logprobs(out, &self.logprobs);
        nullable(out, "finish_reason", self.finish.map(FinishReason::as_str));
        last_of_each(out, &self.extras, &["text", "index", "logprobs", "finish_reason"]);
        out.close();
    }
}

/// Names of an answer that are written from what is typed.
const HEAD: [&str; 6] = ["id", "object", "created", "model", "choices", "usage"];

fn head(out: &mut Out, (id, model, created): (&str, &str, u64)) {
    out.open();
    out.text("id", id);
    out.text("object", "text_completion");
    out.number("created", created);
    out.text("model", model);
}

/// The body of a whole answer.
pub(super) fn whole(answer: &Completion) -> Bytes {
    let mut out = Out::with_room(1024);
    head(&mut out, (&answer.id, &answer.model, answer.created));
    out.name("choices");
    out.open_list();
    for (index, choice) in (0u32..).zip(&answer.choices) {
        let said = Said {
            text: choice.text.clone().unwrap_or_default(),
            logprobs: choice.logprobs.iter().collect(),
            finish: choice.finish.as_ref(),
            extras: choice.extras.clone(),
        };
        said.write(&mut out, index);
    }
    out.close_list();
    if let Some(usage) = &answer.usage {
        out.name("usage");
        write_usage(&mut out, usage);
    }
    last_of_each(&mut out, &answer.extras, &HEAD);
    out.close();
    out.done()
}
