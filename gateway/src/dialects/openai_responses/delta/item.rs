//! Items of an answer to deltas: what of each was told in pieces, and the rest when it is whole.
//!
//! Apart because a call of a tool that takes a text becomes arguments in JSON while it comes. It must not know the events around items.

use std::collections::{BTreeMap, BTreeSet};

use gatewright_types::{Delta, Extras, RawJson};
use serde_json::value::RawValue;

use crate::dialects::openai_responses::request::{get, joined_name, text};
use crate::dialects::openai_responses::sealed::{Sealed, Shown};
use crate::dialects::openai_responses::{
    ANNOTATION, CALLED, CUSTOM, ITEM, NAMESPACE, PHASE, SUMMARY, keep, keep_value, phase_field,
};
use crate::dialects::out::Out;
use crate::dialects::wire;

/// The items so far.
#[derive(Default)]
pub(super) struct Items {
    /// Those of which something was told.
    told: BTreeSet<u64>,
    calls: Vec<Call>,
    /// The thought that is under way: its item, and where it begins in all that was thought.
    thought: Option<(u64, usize, Shown)>,
    /// All that was thought.
    thoughts: String,
    /// Messages that began, and what is known of each.
    messages: BTreeMap<u64, Words>,
}

/// A message while it comes.
#[derive(Default)]
struct Words {
    phase: Option<String>,
    /// Something of it was said.
    spoken: bool,
    /// So many annotations of it were told.
    annotations: usize,
    texts: Texts,
}

/// The parts of a message that are texts: those that follow each other are told as one, and what is said of one points into all of it.
#[derive(Default)]
struct Texts {
    /// So many characters were told of the one that is under way.
    length: usize,
    /// Where in it each part begins, by the part's number.
    begin: BTreeMap<u64, usize>,
}

impl Texts {
    fn hear(&mut self, part: u64, said: &Delta) {
        match said {
            Delta::Text { text, .. } => {
                self.begin.entry(part).or_insert(self.length);
                self.length += text.chars().count();
            }
            // A refusal is a part of its own, and so are the texts after it.
            _ => self.length = 0,
        }
    }

    fn begin(&self, part: u64) -> usize {
        self.begin.get(&part).copied().unwrap_or_default()
    }
}

/// As many calls has an answer at most.
const MOST_CALLS: usize = 1024;

struct Call {
    at: u64,
    takes_text: bool,
    /// Whether some of the arguments was told.
    told: bool,
}

impl Items {
    /// Whether the model calls tools.
    pub(super) fn any_call(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Something of an item was told.
    fn tell(&mut self, at: u64) {
        self.told.insert(at);
    }

    /// Words of a part of a message come: with the first of them it begins.
    pub(super) fn says(&mut self, (at, part): (u64, u64), said: Delta, deltas: &mut Vec<Delta>) {
        self.tell(at);
        let words = self.messages.entry(at).or_default();
        words.texts.hear(part, &said);
        if !std::mem::replace(&mut words.spoken, true) {
            let mut delta = Extras::new();
            match words.phase.as_deref().map(|phase| (phase_field(phase), phase)) {
                Some((PHASE, phase)) => keep_value(&mut delta, PHASE, &phase),
                phase => {
                    keep_value(&mut delta, PHASE, &true);
                    phase.into_iter().for_each(|(field, phase)| keep_value(&mut delta, field, &phase));
                }
            }
            deltas.push(other(delta));
        }
        deltas.push(said);
    }

    /// Something is said of a part of a message.
    pub(super) fn annotation(&mut self, (at, part): (u64, u64), annotation: &RawValue, deltas: &mut Vec<Delta>) {
        let words = self.messages.entry(at).or_default();
        words.annotations += 1;
        let mut delta = Extras::new();
        match moved(annotation, words.texts.begin(part)) {
            Some(moved) => keep(&mut delta, ANNOTATION, &moved),
            None => keep(&mut delta, ANNOTATION, annotation),
        }
        deltas.push(other(delta));
    }

    /// A piece of a thought, or of its summary.
    pub(super) fn think(&mut self, (at, shown): (u64, Shown), text: String, deltas: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        self.tell(at);
        if self.thought.is_none_or(|(of, ..)| of != at) {
            self.thought = Some((at, self.thoughts.len(), shown));
            if shown == Shown::Summary {
                let mut delta = Extras::new();
                keep_value(&mut delta, SUMMARY, &true);
                deltas.push(other(delta));
            }
        }
        self.thoughts.push_str(&text);
        deltas.push(Delta::Reasoning { choice: 0, text });
    }

    /// An item begins: only calls say something then.
    pub(super) fn begin(&mut self, at: u64, item: &RawValue) -> Option<Delta> {
        let fields = wire::object(item).ok()?;
        let takes_text = match text(&fields, "type").ok()?.as_deref() {
            Some("function_call") => false,
            Some("custom_tool_call") => true,
            Some("message") => {
                self.messages.entry(at).or_default().phase = text(&fields, "phase").ok().flatten();
                return None;
            }
            _ => return None,
        };
        if self.calls.len() >= MOST_CALLS || self.calls.iter().any(|call| call.at == at) {
            return None;
        }
        let field = |name: &str| text(&fields, name).ok().flatten();
        let (name, namespace) = (field("name").unwrap_or_default(), field("namespace"));
        // Whether the client declared the tool is not known here: how it must know it otherwise goes along.
        let mut known = Extras::new();
        if takes_text {
            keep_value(&mut known, CUSTOM, &true);
        }
        let called = namespace.map_or_else(
            || name.clone(),
            |space| {
                keep_value(&mut known, CALLED, &name);
                keep_value(&mut known, NAMESPACE, &space);
                joined_name(&space, &name)
            },
        );
        self.calls.push(Call { at, takes_text, told: false });
        let id = field("call_id").or_else(|| field("id"));
        let mut call = self.call(self.calls.len() - 1, (id, Some(called)), String::new());
        if let Delta::ToolCall { extras, .. } = &mut call {
            *extras = known;
        }
        Some(call)
    }

    fn call(&self, number: usize, (id, name): (Option<String>, Option<String>), arguments: String) -> Delta {
        let index = u32::try_from(number).unwrap_or(u32::MAX);
        Delta::ToolCall { choice: 0, index, id, name, arguments, extras: Extras::new() }
    }

    /// A piece of a call's arguments, or of its text.
    pub(super) fn piece(&mut self, at: u64, said: &str) -> Option<Delta> {
        let number = self.calls.iter().position(|call| call.at == at)?;
        let call = self.calls.get_mut(number)?;
        let first = !std::mem::replace(&mut call.told, true);
        let arguments = match (call.takes_text, first) {
            (false, _) => said.to_owned(),
            (true, true) => format!("{{\"input\":\"{}", escaped(said)),
            (true, false) => escaped(said),
        };
        Some(self.call(number, (None, None), arguments))
    }

    /// An item is whole: what of it was not told is told now.
    pub(super) fn done(&mut self, at: u64, item: &RawValue, deltas: &mut Vec<Delta>) {
        let Ok(fields) = wire::object(item) else { return };
        match text(&fields, "type").ok().flatten().as_deref() {
            Some("message") => self.message(at, item, deltas),
            Some("reasoning") => self.thought(at, &fields, deltas),
            Some("function_call" | "custom_tool_call") => {
                deltas.extend(self.begin(at, item));
                deltas.extend(self.ends(at, &fields));
            }
            _ => {
                let mut delta = Extras::new();
                keep(&mut delta, ITEM, item);
                deltas.push(other(delta));
            }
        }
    }

    fn message(&mut self, at: u64, item: &RawValue, deltas: &mut Vec<Delta>) {
        self.begin(at, item);
        let told = self.told.contains(&at);
        let mut annotations = 0;
        let words = self.messages.entry(at).or_default();
        if told {
            // It may be known only now where its parts begin.
            words.texts = Texts::default();
        }
        let parts = wire::object(item).ok().and_then(|fields| wire::items(get(&fields, "content")?).ok()).unwrap_or_default();
        for (number, part) in (0u64..).zip(parts).filter_map(|(number, part)| Some((number, wire::object(part).ok()?))) {
            let said = |name: &str| text(&part, name).ok().flatten().filter(|text| !text.is_empty());
            let words = said("text").map(|text| Delta::Text { choice: 0, text });
            let refused = said("refusal").map(|text| Delta::Refusal { choice: 0, text });
            for delta in words.into_iter().chain(refused) {
                match told {
                    true => self.messages.entry(at).or_default().texts.hear(number, &delta),
                    false => self.says((at, number), delta, deltas),
                }
            }
            deltas.extend(get(&part, "logprobs").filter(|_| !told).and_then(super::logprobs));
            for annotation in get(&part, "annotations").and_then(|list| wire::items(list).ok()).unwrap_or_default() {
                annotations += 1;
                if annotations > self.messages.get(&at).map_or(0, |words| words.annotations) {
                    self.annotation((at, number), annotation, deltas);
                }
            }
        }
    }

    fn thought(&mut self, at: u64, fields: &wire::Fields<'_>, deltas: &mut Vec<Delta>) {
        if !self.told.contains(&at) {
            let content = texts(fields, "content");
            let (said, shown) =
                if content.is_empty() { (texts(fields, "summary"), Shown::Summary) } else { (content, Shown::Text) };
            self.think((at, shown), said.join("\n\n"), deltas);
        }
        if let Some(word) = get(fields, "encrypted_content").filter(|word| word.get().len() > 2) {
            let (from, shown) = match self.thought {
                Some((of, from, shown)) if of == at => (from, shown),
                _ => (self.thoughts.len(), Shown::Text),
            };
            let mut delta = Extras::new();
            Sealed::new((from, self.thoughts.get(from..).unwrap_or_default()), shown, word).put(&mut delta);
            deltas.push(other(delta));
        }
        self.thought = None;
    }

    /// The rest of a call.
    fn ends(&self, at: u64, fields: &wire::Fields<'_>) -> Option<Delta> {
        let number = self.calls.iter().position(|call| call.at == at)?;
        let call = self.calls.get(number)?;
        let said = |name: &str| text(fields, name).ok().flatten().unwrap_or_default();
        let rest = match (call.takes_text, call.told) {
            (false, true) => return None,
            (false, false) => said("arguments"),
            (true, true) => "\"}".to_owned(),
            (true, false) => format!("{{\"input\":\"{}\"}}", escaped(&said("input"))),
        };
        (!rest.is_empty()).then(|| self.call(number, (None, None), rest))
    }
}

/// What is said of a text, so many characters further on; `None` where that changes nothing.
fn moved(annotation: &RawValue, by: usize) -> Option<RawJson> {
    let fields = wire::object(annotation).ok().filter(|_| by > 0)?;
    let mut out = Out::default();
    out.open();
    for (name, value) in &fields.0 {
        match value.get().parse::<usize>().ok().filter(|_| matches!(&**name, "start_index" | "end_index")) {
            Some(index) => out.number(name, index.saturating_add(by)),
            None => out.field(name, value.get()),
        }
    }
    out.close();
    serde_json::from_slice(&out.done()).ok()
}

fn other(delta: Extras) -> Delta {
    Delta::Other { choice: 0, delta, around: Extras::new() }
}

/// A text as it stands in a string of JSON.
fn escaped(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.get(1..json.len() - 1).unwrap_or_default().to_owned()
}

/// The texts of a list of parts.
fn texts(fields: &wire::Fields<'_>, name: &str) -> Vec<String> {
    let parts = get(fields, name).and_then(|raw| wire::items(raw).ok()).unwrap_or_default();
    parts.into_iter().filter_map(|part| text(&wire::object(part).ok()?, "text").ok().flatten()).collect()
}
