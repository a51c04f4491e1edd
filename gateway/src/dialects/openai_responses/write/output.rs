//! The output of one answer while it comes: thoughts, messages and calls as items, each with its place and its id.
//!
//! A thought or a message is open until something else is said; calls are open side by side until the end, for a piece of any may come
//! late. Apart because it alone numbers items. It must not know how the answer begins and ends.

use std::sync::Arc;

use gatewright_types::{Delta, Extras, NO_ARGUMENTS, RawJson};
use serde_json::value::RawValue;

use super::annotations;
use super::calls::{Calls, Ready};
use super::frames::Frames;
use super::item::{Item, Message, Part, PartKind, State, Thought, What, list, thought};
use crate::dialects::openai_responses::sealed::{Sealed, Shown};
use crate::dialects::openai_responses::{ITEM, NAME, PHASE, SUMMARY, ids, own, phase};
use crate::dialects::out::Out;
use crate::dialects::{Echo, Renamed, Sealer, of_own, wire};

/// All items of an answer.
pub(super) struct Output {
    pub(super) items: Vec<Item>,
    /// The thought or message that is open.
    open: Option<usize>,
    calls: Calls,
    /// How the next thought is shown.
    shown: Shown,
    /// The phase of the next message, JSON.
    phase: Option<RawJson>,
    /// The part of the answer's id that its items share.
    core: String,
    echo: Arc<Echo>,
    sealer: Option<Sealer>,
}

/// As many items has an answer at most: what upstreams send is bounded, and so is what may be made of it.
const MOST_ITEMS: usize = 4096;
/// So many things are said of one text at most.
const MOST_ANNOTATIONS: usize = 4096;

impl Output {
    pub(super) fn new(core: String, echo: Arc<Echo>, sealer: Option<Sealer>) -> Self {
        let sealer = sealer.filter(|_| echo.seals);
        let (items, calls) = (Vec::new(), Calls::default());
        Self { items, open: None, calls, shown: Shown::Text, phase: None, core, echo, sealer }
    }

    /// Says a delta. `logprobs` are those that came with it.
    pub(super) fn say(&mut self, delta: &Delta, logprobs: &[RawJson], frames: &mut Frames) {
        match delta {
            Delta::Reasoning { choice: 0, text } if !text.is_empty() => self.think(text, frames),
            Delta::Text { choice: 0, text } if !text.is_empty() => self.words(PartKind::Text, (text, logprobs), frames),
            Delta::Refusal { choice: 0, text } if !text.is_empty() => self.words(PartKind::Refusal, (text, &[]), frames),
            Delta::ToolCall { choice: 0, .. } => {
                let ready = self.calls.hear(delta);
                ready.into_iter().for_each(|ready| self.call(ready, frames));
            }
            Delta::Other { choice: 0, delta, .. } => self.others(delta, frames),
            _ => {}
        }
    }

    /// What only an upstream of this dialect says: how a thought is shown, its seal, that a message begins, what is said of a text, items
    /// of its own. What others say of a text is said as here.
    fn others(&mut self, extras: &Extras, frames: &mut Frames) {
        if own(extras, SUMMARY).is_some() {
            self.end_open(State::Complete, frames);
            self.shown = Shown::Summary;
        }
        if own(extras, PHASE).is_some() {
            self.end_open(State::Complete, frames);
            self.phase = phase(extras).and_then(|phase| RawValue::from_string(phase.to_owned()).ok());
        }
        annotations::of(extras).iter().for_each(|annotation| self.annotate(annotation, frames));
        for sealed in Sealed::all(extras) {
            let open = self.open.filter(|at| matches!(self.items.get(*at), Some(Item { what: What::Reasoning(_), .. })));
            let at = match open {
                Some(at) => Some(at),
                // Of a thought that its vendor shows nothing of.
                None if sealed.is_on("") => self.begin(What::Reasoning(Thought::default()), frames),
                None => None,
            };
            let Some(Item { what: What::Reasoning(thought), .. }) = at.and_then(|at| self.items.get_mut(at)) else { continue };
            if sealed.is_on(&thought.text) {
                thought.envelope = Some(sealed.told());
                self.open = at;
                self.end_open(State::Complete, frames);
            }
        }
        for (_, item) in extras.iter().filter(|(name, _)| of_own(NAME, name) == Some(ITEM)) {
            if let Some(at) = self.begin(What::Raw(item.to_owned()), frames) {
                self.end_item(at, State::Complete, frames);
            }
        }
    }

    fn think(&mut self, said: &str, frames: &mut Frames) {
        let is_thought = |item: &Item| matches!(item.what, What::Reasoning(_));
        let at = match self.open.filter(|at| self.items.get(*at).is_some_and(is_thought)) {
            Some(at) => at,
            None => {
                let shown = std::mem::take(&mut self.shown);
                let Some(at) = self.begin(What::Reasoning(Thought { shown, ..Thought::default() }), frames) else { return };
                self.open = Some(at);
                self.of_thought(["response.content_part.added", "response.reasoning_summary_part.added"], at, frames, |out, _| {
                    out.name("part");
                    thought(out, shown, "");
                });
                at
            }
        };
        if let Some(Item { what: What::Reasoning(thought), .. }) = self.items.get_mut(at) {
            thought.text.push_str(said);
        }
        let names = ["response.reasoning_text.delta", "response.reasoning_summary_text.delta"];
        self.of_thought(names, at, frames, |out, _| out.text("delta", said));
    }

    /// An event of a thought, by its name where the thought is shown, or a summary of it.
    fn of_thought(&self, [text, summary]: [&str; 2], at: usize, frames: &mut Frames, fields: impl FnOnce(&mut Out, &Thought)) {
        let Some(What::Reasoning(thought)) = self.items.get(at).map(|item| &item.what) else { return };
        let (kind, index) = match thought.shown {
            Shown::Text => (text, "content_index"),
            Shown::Summary => (summary, "summary_index"),
        };
        self.event(kind, at, frames, |out| {
            out.number(index, 0);
            fields(out, thought);
        });
    }

    fn words(&mut self, kind: PartKind, (said, logprobs): (&str, &[RawJson]), frames: &mut Frames) {
        let Some((at, index)) = self.part(kind, frames) else { return };
        if let Some(part) = self.items.get_mut(at).and_then(Item::last_part) {
            part.text.push_str(said);
            part.logprobs.extend(logprobs.iter().cloned());
        }
        let name = if kind == PartKind::Text { "response.output_text.delta" } else { "response.refusal.delta" };
        self.event(name, at, frames, |out| {
            out.number("content_index", index);
            out.text("delta", said);
            if kind == PartKind::Text {
                out.name("logprobs");
                list(out, logprobs);
            }
        });
    }

    /// The message that is open and its last part, which is of this kind: each is begun if there is none.
    fn part(&mut self, kind: PartKind, frames: &mut Frames) -> Option<(usize, usize)> {
        let parts = |item: &Item| {
            let What::Message(Message { parts, .. }) = &item.what else { return None };
            Some((parts.len(), parts.last().map(|part| part.kind)))
        };
        let open = self.open.and_then(|at| Some((at, parts(self.items.get(at)?)?)));
        let (at, index) = match open {
            Some((at, (count, Some(last)))) if last == kind => return Some((at, count - 1)),
            Some((at, (count, _))) => {
                self.end_part(at, frames);
                (at, count)
            }
            None => {
                let phase = self.phase.take();
                let at = self.begin(What::Message(Message { phase, parts: Vec::new() }), frames)?;
                self.open = Some(at);
                (at, 0)
            }
        };
        if let Some(Item { what: What::Message(message), .. }) = self.items.get_mut(at) {
            message.parts.push(Part::new(kind));
        }
        self.event("response.content_part.added", at, frames, |out| {
            out.number("content_index", index);
            out.name("part");
            Part::new(kind).write(out);
        });
        Some((at, index))
    }

    /// Says something of the text that is open: where none is, there is nothing that it could be said of.
    fn annotate(&mut self, annotation: &RawJson, frames: &mut Frames) {
        let Some((at, item)) = self.open.and_then(|at| Some((at, self.items.get_mut(at)?))) else { return };
        let content = item.parts().len().saturating_sub(1);
        let Some(part) = item.last_part().filter(|part| part.kind == PartKind::Text) else { return };
        let number = part.annotations.len();
        if number >= MOST_ANNOTATIONS {
            return;
        }
        part.annotations.push(annotation.to_owned());
        self.event("response.output_text.annotation.added", at, frames, |out| {
            out.number("content_index", content);
            out.number("annotation_index", number);
            out.value("annotation", annotation);
        });
    }

    /// A call, or a piece of one.
    fn call(&mut self, ready: Ready, frames: &mut Frames) {
        match ready {
            Ready::Begins { index, call } => {
                let known = self.known(&call);
                if let Some(at) = self.begin(What::Call(super::item::Call { known, ..call }), frames) {
                    self.calls.began(index, at);
                    self.piece(at, None, frames);
                }
            }
            Ready::Piece { at, arguments } => self.piece(at, Some(&arguments), frames),
        }
    }

    /// How the client knows the tool that is called: as it declared it, or as whoever calls it knows it otherwise.
    fn known(&self, call: &super::item::Call) -> Option<Renamed> {
        let said = call.known.as_ref();
        let same = |tool: &&Renamed| said.is_some_and(|said| (&said.name, &said.namespace) == (&tool.name, &tool.namespace));
        let spaced = said.is_some_and(|said| said.namespace.is_some());
        let declared = self.echo.tools.iter().find(same);
        let declared = declared.or_else(|| self.echo.tools.iter().find(|tool| !spaced && tool.called == call.called));
        declared.or(said).cloned()
    }

    /// Arguments of a call: these, or those that it began with. The text of a tool that takes one is told when it is whole.
    fn piece(&mut self, at: usize, more: Option<&str>, frames: &mut Frames) {
        let Some(Item { what: What::Call(call), .. }) = self.items.get_mut(at) else { return };
        call.arguments.push_str(more.unwrap_or_default());
        let delta = more.map_or_else(|| call.arguments.clone(), str::to_owned);
        if !call.takes_text() && !delta.is_empty() {
            self.event("response.function_call_arguments.delta", at, frames, |out| out.text("delta", &delta));
        }
    }

    /// Begins an item; what was open before it ends.
    fn begin(&mut self, what: What, frames: &mut Frames) -> Option<usize> {
        self.end_open(State::Complete, frames);
        let at = self.items.len();
        if at >= MOST_ITEMS {
            return None;
        }
        let (id, what) = match what {
            What::Raw(item) => {
                let (id, item) = ids::given(&item, (&self.core, at));
                (id, What::Raw(item))
            }
            what => (format!("{}_{}_{at}", what.prefix(), self.core), what),
        };
        self.items.push(Item { id, state: State::Open, what });
        let item = self.items.last()?;
        frames.event("response.output_item.added", |out| {
            out.number("output_index", at);
            out.name("item");
            item.write(out);
        });
        Some(at)
    }

    fn end_open(&mut self, state: State, frames: &mut Frames) {
        if let Some(at) = self.open.take() {
            self.end_part(at, frames);
            self.end_item(at, state, frames);
        }
    }

    /// An event of an item.
    fn event(&self, kind: &str, at: usize, frames: &mut Frames, fields: impl FnOnce(&mut Out)) {
        let Some(item) = self.items.get(at) else { return };
        frames.event(kind, |out| {
            out.text("item_id", &item.id);
            out.number("output_index", at);
            fields(out);
        });
    }

    /// Ends the last part of a thought or a message.
    fn end_part(&self, at: usize, frames: &mut Frames) {
        match self.items.get(at).map(|item| &item.what) {
            Some(What::Reasoning(said)) if !said.text.is_empty() => {
                let names = ["response.reasoning_text.done", "response.reasoning_summary_text.done"];
                self.of_thought(names, at, frames, |out, said| out.text("text", &said.text));
                let names = ["response.content_part.done", "response.reasoning_summary_part.done"];
                self.of_thought(names, at, frames, |out, said| {
                    out.name("part");
                    thought(out, said.shown, &said.text);
                });
            }
            Some(What::Message(Message { parts, .. })) => {
                let Some(part) = parts.last() else { return };
                let name = if part.kind == PartKind::Text { "response.output_text.done" } else { "response.refusal.done" };
                let index = parts.len() - 1;
                self.event(name, at, frames, |out| {
                    out.number("content_index", index);
                    out.text(part.kind.field(), &part.text);
                    if part.kind == PartKind::Text {
                        out.name("logprobs");
                        list(out, &part.logprobs);
                    }
                });
                self.event("response.content_part.done", at, frames, |out| {
                    out.number("content_index", index);
                    out.name("part");
                    part.write(out);
                });
            }
            _ => {}
        }
    }

    /// Ends the arguments of a call. Those that broke off are never told to be whole.
    fn end_call(&self, at: usize, state: State, frames: &mut Frames) {
        let Some(What::Call(call)) = self.items.get(at).map(|item| &item.what) else { return };
        let input = if call.takes_text() { call.input(state) } else { String::new() };
        if !input.is_empty() {
            self.event("response.custom_tool_call_input.delta", at, frames, |out| out.text("delta", &input));
        }
        if state != State::Complete {
            return;
        }
        if call.takes_text() {
            return self.event("response.custom_tool_call_input.done", at, frames, |out| out.text("input", &input));
        }
        self.event("response.function_call_arguments.done", at, frames, |out| {
            items_name(out, call);
            out.text("arguments", &call.arguments);
        });
    }

    fn end_item(&mut self, at: usize, state: State, frames: &mut Frames) {
        let sealer = self.sealer.as_ref();
        let Some(item) = self.items.get_mut(at) else { return };
        item.state = state;
        item.what.seal(sealer);
        let item = &*item;
        frames.event("response.output_item.done", |out| {
            out.number("output_index", at);
            out.name("item");
            item.write(out);
        });
    }

    /// Nothing more comes; `state` is how what is still open ends.
    pub(super) fn end(&mut self, state: State, frames: &mut Frames) {
        self.end_open(state, frames);
        for ready in self.calls.name_all(&self.core) {
            self.call(ready, frames);
        }
        for at in 0..self.items.len() {
            let Some(item) = self.items.get(at) else { continue };
            if item.state == State::Open {
                let silent = |call: &super::item::Call| call.arguments.is_empty() && !call.takes_text();
                if state == State::Complete && matches!(&item.what, What::Call(call) if silent(call)) {
                    self.piece(at, Some(NO_ARGUMENTS), frames);
                }
                self.end_call(at, state, frames);
                self.end_item(at, state, frames);
            }
        }
    }

    /// The items, as they are.
    pub(super) fn write(&self, out: &mut Out) {
        out.open_list();
        self.items.iter().for_each(|item| item.write(out));
        out.close_list();
    }
}

fn items_name(out: &mut Out, call: &super::item::Call) {
    out.text("name", call.known.as_ref().map_or(&call.called, |tool| &tool.name));
}

/// The tokens of the values that came with a chunk.
pub(super) fn tokens(value: &RawValue) -> Vec<RawJson> {
    let fields = wire::object(value).ok();
    let content = fields.as_ref().and_then(|fields| fields.0.iter().find(|(name, _)| name == "content"));
    let tokens = content.and_then(|(_, list)| wire::items(list).ok()).unwrap_or_default();
    tokens.into_iter().map(ToOwned::to_owned).collect()
}
