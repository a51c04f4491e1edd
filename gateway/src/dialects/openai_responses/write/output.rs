//! The output of one answer while it comes: thoughts, messages and calls as items, each with its place and its id.
//!
//! A thought or a message is open until something else is said; calls are open side by side until the end, for a piece of any may come
//! late. Apart because it alone numbers items. It must not know how the answer begins and ends.

use std::sync::Arc;

use gatewright_types::{Delta, Extras, RawJson};
use serde_json::value::RawValue;

use super::calls::{Calls, Ready};
use super::frames::Frames;
use super::item::{Item, Part, PartKind, State, Thought, What, list, part, thought};
use crate::dialects::openai_responses::sealed::{Sealed, Shown};
use crate::dialects::openai_responses::{ITEM, NAME, SUMMARY, own};
use crate::dialects::out::Out;
use crate::dialects::{Echo, Sealer, of_own, wire};

/// All items of an answer.
pub(super) struct Output {
    pub(super) items: Vec<Item>,
    /// The thought or message that is open.
    open: Option<usize>,
    calls: Calls,
    /// How the next thought is shown.
    shown: Shown,
    /// The part of the answer's id that its items share.
    core: String,
    echo: Arc<Echo>,
    sealer: Option<Sealer>,
}

/// As many items has an answer at most: what upstreams send is bounded, and so is what may be made of it.
const MOST_ITEMS: usize = 4096;

impl Output {
    pub(super) fn new(core: String, echo: Arc<Echo>, sealer: Option<Sealer>) -> Self {
        let sealer = sealer.filter(|_| echo.seals);
        Self { items: Vec::new(), open: None, calls: Calls::default(), shown: Shown::Text, core, echo, sealer }
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

    /// What only an upstream of this dialect says: how a thought is shown, its seal, items of its own.
    fn others(&mut self, extras: &Extras, frames: &mut Frames) {
        if own(extras, SUMMARY).is_some() {
            self.shown = Shown::Summary;
        }
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
        if let Some(Item { what: What::Message(parts), .. }) = self.items.get_mut(at)
            && let Some(part) = parts.last_mut()
        {
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
            if let What::Message(parts) = &item.what { Some((parts.len(), parts.last().map(|part| part.kind))) } else { None }
        };
        let open = self.open.and_then(|at| Some((at, parts(self.items.get(at)?)?)));
        let (at, index) = match open {
            Some((at, (count, Some(last)))) if last == kind => return Some((at, count - 1)),
            Some((at, (count, _))) => {
                self.end_part(at, frames);
                (at, count)
            }
            None => {
                let at = self.begin(What::Message(Vec::new()), frames)?;
                self.open = Some(at);
                (at, 0)
            }
        };
        if let Some(Item { what: What::Message(parts), .. }) = self.items.get_mut(at) {
            parts.push(Part { kind, text: String::new(), logprobs: Vec::new() });
        }
        self.event("response.content_part.added", at, frames, |out| {
            out.number("content_index", index);
            out.name("part");
            part(out, kind, ("", &[]));
        });
        Some((at, index))
    }

    /// A call, or a piece of one.
    fn call(&mut self, ready: Ready, frames: &mut Frames) {
        match ready {
            Ready::Begins { index, call } => {
                let known = self.echo.tools.iter().find(|tool| tool.called == call.called).cloned();
                if let Some(at) = self.begin(What::Call(super::item::Call { known, ..call }), frames) {
                    self.calls.began(index, at);
                    self.piece(at, None, frames);
                }
            }
            Ready::Piece { at, arguments } => self.piece(at, Some(&arguments), frames),
        }
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
        let id = match &what {
            What::Raw(item) => id_of(item).unwrap_or_default(),
            what => format!("{}_{}_{at}", what.prefix(), self.core),
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
            Some(What::Message(parts)) => {
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

    /// Ends the arguments of a call.
    fn end_call(&self, at: usize, frames: &mut Frames) {
        let Some(What::Call(call)) = self.items.get(at).map(|item| &item.what) else { return };
        if !call.takes_text() {
            self.event("response.function_call_arguments.done", at, frames, |out| {
                items_name(out, call);
                out.text("arguments", &call.arguments);
            });
            return;
        }
        let input = call.input();
        if !input.is_empty() {
            self.event("response.custom_tool_call_input.delta", at, frames, |out| out.text("delta", &input));
        }
        self.event("response.custom_tool_call_input.done", at, frames, |out| out.text("input", &input));
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
            if self.items.get(at).is_some_and(|item| item.state == State::Open) {
                self.end_call(at, frames);
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

/// The id that an item has of its own.
fn id_of(item: &RawValue) -> Option<String> {
    let fields = wire::object(item).ok()?;
    fields.0.iter().find(|(name, _)| name == "id").and_then(|(_, id)| wire::string(id).ok())
}

/// The tokens of the values that came with a chunk.
pub(super) fn tokens(value: &RawValue) -> Vec<RawJson> {
    let fields = wire::object(value).ok();
    let content = fields.as_ref().and_then(|fields| fields.0.iter().find(|(name, _)| name == "content"));
    let tokens = content.and_then(|(_, list)| wire::items(list).ok()).unwrap_or_default();
    tokens.into_iter().map(ToOwned::to_owned).collect()
}
