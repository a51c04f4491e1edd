//! A request as the segments that plugins see.
//!
//! Apart because it alone says which text of a request belongs to which channel; the way back is in [`spot`]. It must not know
//! what plugins do. Every text of a request has a place here: what has no channel of its own goes as `other`, and what nobody
//! listens to is named.

mod spot;

use std::collections::HashMap;

use gatewright_types::{
    Channel, ChatRequest, Content, Extras, Message, Part, Phase, Role, Segment, Tool, ToolCall, ToolDefinition,
};

pub(super) use self::spot::Layout;
#[cfg(test)]
pub(super) use self::spot::NotJson;
use self::spot::{OfCall, OfMessage, OfTool, Spot};
use super::ears::{Ears, of_request};
use crate::dialects::{Place, steers};

/// Fields of a request that say how to answer and never reach the model: they may be inspected, but need not be.
const HARMLESS: [&str; 13] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "parallel_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "verbosity",
    "reasoning_effort",
    "stream_options",
    "modalities",
    "prompt_cache_retention",
    "reasoning",
];

/// A request's texts on their way into a layout.
struct Laying<'a> {
    ears: &'a Ears,
    /// Names of the tools that were called, by the call's id.
    called: HashMap<&'a str, &'a str>,
    layout: Layout,
}

impl<'a> Laying<'a> {
    fn add(&mut self, channel: Channel, spot: Spot, (text, label): (&str, Option<&str>)) {
        if text.is_empty() {
            return;
        }
        if !self.ears.hears(Phase::Request, channel) {
            return self.miss(channel);
        }
        let id = u32::try_from(self.layout.spots.len()).unwrap_or(u32::MAX);
        let label = label.map(str::to_owned);
        self.layout.segments.push(Segment { id, channel, text: text.to_owned(), sent: 0, label });
        self.layout.spots.push(spot);
    }

    fn miss(&mut self, channel: Channel) {
        let word = of_request(channel);
        if !self.layout.unheard.contains(&word) {
            self.layout.unheard.push(word);
        }
    }

    /// Unknown fields that hold text; `spot` says where the one at a position is.
    fn extras(&mut self, (channel, place): (Channel, Place), extras: &Extras, spot: impl Fn(usize) -> Spot) {
        let heard = self.ears.hears(Phase::Request, channel);
        for (at, (name, value)) in extras.iter().enumerate().filter(|(_, (_, value))| has_text(value.get())) {
            if heard || !steers(place, name) {
                self.add(channel, spot(at), (value.get(), Some(name)));
            }
        }
    }

    fn message(&mut self, at: usize, message: &Message) {
        let of = |part| Spot::Message(at, part);
        let channel = channel_of(&message.role);
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        let tool =
            self.called.get(id).copied().or(message.name.as_deref()).filter(|_| message.role == Role::Tool && !id.is_empty());
        match &message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => self.add(channel, of(OfMessage::Text), (text, tool)),
            Content::Parts(parts) => self.parts(at, parts, (channel, tool)),
        }
        if let Role::Other(word) = &message.role
            && channel == Channel::Other
        {
            self.add(Channel::Other, of(OfMessage::Role), (word, Some("role")));
        }
        self.add(Channel::Reasoning, of(OfMessage::Reasoning), (message.reasoning.as_deref().unwrap_or_default(), None));
        self.add(Channel::Refusal, of(OfMessage::Refusal), (message.refusal.as_deref().unwrap_or_default(), None));
        self.add(Channel::Other, of(OfMessage::Name), (message.name.as_deref().unwrap_or_default(), Some("name")));
        self.add(Channel::Other, of(OfMessage::Answers), (id, Some("tool_call_id")));
        for (index, call) in message.tool_calls.iter().enumerate() {
            self.call(call, |part| Spot::Call(at, index, part));
        }
        self.extras((Channel::Other, Place::Message), &message.extras, |position| of(OfMessage::Extra(position)));
    }

    /// Parts of a content. Texts that follow each other are one segment, for the model is shown them as one text.
    fn parts(&mut self, at: usize, parts: &[Part], (channel, label): (Channel, Option<&str>)) {
        let mut from = 0;
        while let Some(part) = parts.get(from) {
            let texts =
                parts[from..].iter().map_while(|part| if let Part::Text { text, .. } = part { Some(&**text) } else { None });
            let ends = texts.clone().scan(0, |end, text| {
                *end += text.len();
                Some(*end)
            });
            let ends: Box<[usize]> = ends.collect();
            if let Part::Other { kind, raw } = part {
                self.add(Channel::Media, Spot::Media(at, from), (raw.get(), Some(kind)));
            }
            let length = ends.len();
            if length > 0 {
                let text = texts.collect::<String>();
                self.add(channel, Spot::Parts(at, from, ends), (&text, label));
            }
            for (index, part) in parts.iter().enumerate().skip(from).take(length) {
                if let Part::Text { extras, .. } = part {
                    self.extras((Channel::Other, Place::Within), extras, |position| Spot::PartExtra(at, index, position));
                }
            }
            from += length.max(1);
        }
    }

    fn call(&mut self, call: &ToolCall, spot: impl Fn(OfCall) -> Spot) {
        self.add(Channel::ToolArgs, spot(OfCall::Arguments), (&call.arguments, Some(&call.name)));
        self.add(Channel::Other, spot(OfCall::Name), (&call.name, Some("name")));
        self.add(Channel::Other, spot(OfCall::Id), (&call.id, Some("id")));
        self.extras((Channel::Other, Place::Within), &call.extras, |position| spot(OfCall::Extra(position)));
    }

    fn tool(&mut self, at: usize, tool: &Tool) {
        match tool {
            Tool::Other(raw) => self.add(Channel::ToolDefinition, Spot::Tool(at, OfTool::Whole), (raw.get(), None)),
            Tool::Function(tool) => self.definition(tool, |part| Spot::Tool(at, part)),
        }
    }

    fn definition(&mut self, tool: &ToolDefinition, spot: impl Fn(OfTool) -> Spot) {
        let label = Some(tool.name.as_str());
        let schema = tool.parameters.as_ref().map_or("", |schema| schema.get());
        self.add(Channel::ToolDefinition, spot(OfTool::Name), (&tool.name, label));
        self.add(Channel::ToolDefinition, spot(OfTool::Description), (tool.description.as_deref().unwrap_or_default(), label));
        self.add(Channel::ToolDefinition, spot(OfTool::Schema), (schema, label));
        self.extras((Channel::ToolDefinition, Place::Within), &tool.function_extras, |position| spot(OfTool::Extra(position)));
        self.extras((Channel::ToolDefinition, Place::Within), &tool.extras, |position| spot(OfTool::Around(position)));
    }

    /// Fields of the request itself.
    fn fields(&mut self, request: &ChatRequest) {
        let heard = self.ears.hears(Phase::Request, Channel::Other);
        let schema = request.response_format.as_ref().map_or("", |format| format.get());
        if heard || schema.contains("schema") {
            self.add(Channel::Other, Spot::Format, (schema, Some("response_format")));
        }
        if heard {
            let choice = request.tool_choice.as_ref().map_or("", |choice| choice.get());
            self.add(Channel::Other, Spot::Choice, (choice, Some("tool_choice")));
            for (at, text) in request.sampling.stop.iter().enumerate() {
                self.add(Channel::Other, Spot::Stop(at), (text, Some("stop")));
            }
        }
        for (at, (name, value)) in request.extras.iter().enumerate().filter(|(_, (_, value))| has_text(value.get())) {
            if heard || !(HARMLESS.contains(&name) || steers(Place::Request, name)) {
                self.add(Channel::Other, Spot::Field(at), (value.get(), Some(name)));
            }
        }
    }
}

/// Lays a request out for a chain with these ears.
pub(super) fn lay(request: &ChatRequest, ears: &Ears) -> Layout {
    let mut called = HashMap::new();
    for call in request.messages.iter().flat_map(|message| &message.tool_calls) {
        called.entry(call.id.as_str()).or_insert(call.name.as_str());
    }
    let mut laying = Laying { ears, called, layout: Layout::default() };
    for (at, message) in request.messages.iter().enumerate() {
        laying.message(at, message);
    }
    for (at, tool) in request.tools.iter().enumerate() {
        laying.tool(at, tool);
    }
    laying.fields(request);
    laying.layout
}

/// Whether a JSON value holds text: numbers, booleans, null and what is empty do not.
pub(super) fn has_text(json: &str) -> bool {
    json.len() > 2 && json.starts_with(['"', '{', '['])
}

fn channel_of(role: &Role) -> Channel {
    match role {
        Role::System | Role::Developer => Channel::System,
        Role::User => Channel::User,
        Role::Assistant => Channel::Assistant,
        Role::Tool => Channel::ToolOutput,
        Role::Other(word) if word == "function" => Channel::ToolOutput,
        Role::Other(_) => Channel::Other,
    }
}

#[cfg(test)]
mod tests;
