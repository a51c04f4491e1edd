//! One choice of a chunk or of a whole answer, to deltas.
//!
//! Apart because a stream's `delta` and a whole answer's `message` are read by the same code. Fields without a channel end in
//! [`Delta::Other`], so that they are passed on and put on the record. It must not know what else the answer says.

use gatewright_types::{Delta, Extras, FinishReason};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::Form;
use super::calls::{Numbers, Piece};
use crate::dialects::out::Out;
use crate::dialects::wire::{self, ListInto, ObjectInto, Take};

/// A choice while it is parsed.
#[derive(Default)]
pub(super) struct ChoiceIn<'a> {
    index: Option<u32>,
    finish: Option<FinishReason>,
    logprobs: Option<&'a RawValue>,
    said: Said,
    around: Extras,
}

impl<'de> Take<'de> for ChoiceIn<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "delta" | "message" => return map.next_value_seed(ObjectInto(&mut self.said)),
            "index" | "finish_reason" | "logprobs" => {}
            _ => return wire::keep(map, name, &mut self.around),
        }
        let raw: &'de RawValue = map.next_value()?;
        match name {
            _ if wire::is_null(raw) => {}
            "index" => self.index = wire::plain(raw, "").ok(),
            "logprobs" => self.logprobs = Some(raw),
            _ => self.finish = wire::text(raw).ok().map(|word| FinishReason::of(&word)),
        }
        Ok(())
    }
}

/// A `delta` or a `message` while it is parsed.
#[derive(Default)]
struct Said {
    text: Option<String>,
    reasoning: Option<String>,
    /// What came as `reasoning`.
    thought: Option<String>,
    refusal: Option<String>,
    calls: Vec<CallIn>,
    extras: Extras,
}

impl<'de> Take<'de> for Said {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "role" => return wire::skip(map),
            "content" => self.text = wire::take_text(map, name, &mut self.extras)?,
            "reasoning_content" => self.reasoning = wire::take_text(map, name, &mut self.extras)?,
            "reasoning" => self.thought = wire::take_text(map, name, &mut self.extras)?,
            "refusal" => self.refusal = wire::take_text(map, name, &mut self.extras)?,
            "tool_calls" => return map.next_value_seed(ListInto(&mut self.calls)),
            _ => return wire::keep(map, name, &mut self.extras),
        }
        Ok(())
    }
}

/// A tool call, or a piece of one, while it is parsed.
#[derive(Default)]
struct CallIn {
    index: Option<u32>,
    id: Option<String>,
    function: FunctionIn,
    extras: Extras,
}

impl<'de> Take<'de> for CallIn {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "function" => return map.next_value_seed(ObjectInto(&mut self.function)),
            "index" | "id" | "type" => {}
            _ => return wire::keep(map, name, &mut self.extras),
        }
        let raw: &'de RawValue = map.next_value()?;
        match name {
            _ if wire::is_null(raw) => {}
            "index" => self.index = wire::plain(raw, "").ok(),
            "id" => self.id = wire::string(raw).ok(),
            _ if raw.get() != "\"function\"" => self.extras.push(name, raw.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

/// The `function` of a call while it is parsed.
#[derive(Default)]
struct FunctionIn {
    name: Option<String>,
    arguments: Option<String>,
    extras: Extras,
}

impl<'de> Take<'de> for FunctionIn {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.name = wire::take_text(map, name, &mut self.extras)?,
            "arguments" => {
                let raw: &'de RawValue = map.next_value()?;
                // Some servers send the arguments as the object that they are instead of its text.
                self.arguments = match raw {
                    raw if wire::is_null(raw) => None,
                    raw if wire::is_string(raw) => Some(wire::lenient(raw)),
                    raw => Some(raw.get().to_owned()),
                };
            }
            _ => return wire::keep(map, name, &mut self.extras),
        }
        Ok(())
    }
}

impl ChoiceIn<'_> {
    /// Whether thought came under a name that is not the one we emit: then the bytes cannot be passed on as they are.
    pub(super) fn respelled(&self) -> bool {
        self.said.thought.is_some() && self.said.thought != self.said.reasoning
    }

    /// The deltas of this choice; `position` is its place in the list, which counts where it names no index. Whether each call has the
    /// number that its server gave it: else clients would not tell them apart.
    pub(super) fn into_deltas(self, position: usize, (form, numbers): (Form, &mut Numbers), deltas: &mut Vec<Delta>) -> bool {
        let choice = self.index.unwrap_or(u32::try_from(position).unwrap_or(u32::MAX));
        let mut kept = true;
        let said = self.said;
        // An empty text says something only in a whole answer, where it differs from null.
        let text = |text: Option<String>| text.filter(|text| !text.is_empty() || matches!(form, Form::Body { .. }));
        let reasoning = match (text(said.reasoning), text(said.thought)) {
            (Some(first), Some(second)) if first != second => Some(first + &second),
            (first, second) => first.or(second),
        };
        deltas.extend(reasoning.map(|text| Delta::Reasoning { choice, text }));
        deltas.extend(text(said.text).map(|text| Delta::Text { choice, text }));
        deltas.extend(text(said.refusal).map(|text| Delta::Refusal { choice, text }));
        for (position, call) in (0u32..).zip(said.calls) {
            let index = match form {
                // They are a list.
                Form::Body { .. } => position,
                Form::Event { .. } => {
                    let FunctionIn { name, arguments, .. } = &call.function;
                    let piece = Piece {
                        id: call.id.as_deref(),
                        name: name.as_deref(),
                        arguments: arguments.as_deref().unwrap_or_default(),
                    };
                    numbers.of((choice, call.index.unwrap_or(position)), piece)
                }
            };
            kept &= call.index == Some(index);
            deltas.push(call.into_delta(choice, index));
        }
        deltas.extend(self.logprobs.map(|value| Delta::Logprobs { choice, value: value.to_owned() }));
        if !said.extras.is_empty() || !self.around.is_empty() {
            deltas.push(Delta::Other { choice, delta: said.extras, around: self.around });
        }
        deltas.extend(self.finish.map(|reason| Delta::Finish { choice, reason }));
        kept || matches!(form, Form::Body { .. })
    }
}

impl CallIn {
    fn into_delta(self, choice: u32, index: u32) -> Delta {
        let mut extras = self.extras;
        if !self.function.extras.is_empty() {
            let mut rest = Out::default();
            rest.open();
            rest.extras(&self.function.extras, |_, _| true);
            rest.close();
            if let Ok(rest) = serde_json::from_slice(&rest.done()) {
                extras.push("function", rest);
            }
        }
        Delta::ToolCall {
            choice,
            index,
            id: self.id,
            name: self.function.name,
            arguments: self.function.arguments.unwrap_or_default(),
            extras,
        }
    }
}
