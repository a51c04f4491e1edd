//! A request as the segments that plugins see, and the way back.
//!
//! Apart because it alone says which text of a request belongs to which channel. It must not know what plugins do. Every text
//! of a request has a place here: what has no channel of its own goes as `other`, and what nobody listens to is named.

use gatewright_types::{Channel, ChatRequest, Content, Message, Part, Phase, RawJson, Role, Segment, Tool};

use serde_json::value::RawValue;

use super::ears::{Ears, of_request};

/// Where a segment came from. Numbers are indexes: message, then part or call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spot {
    Text(usize),
    Part(usize, usize),
    Media(usize, usize),
    Reasoning(usize),
    Refusal(usize),
    Name(usize),
    Extra(usize, Box<str>),
    PartExtra(usize, usize, Box<str>),
    Arguments(usize, usize),
    ToolText(usize),
    ToolSchema(usize),
    ToolWhole(usize),
    Format,
    Choice,
    Field(Box<str>),
}

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

/// A request laid out as segments.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// What the plugins are shown; ids are indexes.
    pub(super) segments: Vec<Segment>,
    spots: Vec<Spot>,
    /// Channels that have text which no plugin hears, in the record's words.
    pub(super) unheard: Vec<&'static str>,
}

/// A request's texts on their way into a layout.
struct Laying<'a> {
    ears: &'a Ears,
    layout: Layout,
}

impl Laying<'_> {
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

    fn message(&mut self, at: usize, message: &Message, label: Option<&str>) {
        let channel = channel_of(&message.role);
        match &message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => self.add(channel, Spot::Text(at), (text, label)),
            Content::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    match part {
                        Part::Text { text, extras } => {
                            self.add(channel, Spot::Part(at, index), (text, label));
                            for (name, value) in extras.iter().filter(|(_, value)| has_text(value.get())) {
                                self.add(Channel::Other, Spot::PartExtra(at, index, name.into()), (value.get(), Some(name)));
                            }
                        }
                        Part::Other { kind, raw } => self.add(Channel::Media, Spot::Media(at, index), (raw.get(), Some(kind))),
                    }
                }
            }
        }
        self.add(Channel::Reasoning, Spot::Reasoning(at), (message.reasoning.as_deref().unwrap_or_default(), None));
        self.add(Channel::Refusal, Spot::Refusal(at), (message.refusal.as_deref().unwrap_or_default(), None));
        self.add(Channel::Other, Spot::Name(at), (message.name.as_deref().unwrap_or_default(), Some("name")));
        for (index, call) in message.tool_calls.iter().enumerate() {
            self.add(Channel::ToolArgs, Spot::Arguments(at, index), (&call.arguments, Some(&call.name)));
        }
        for (name, value) in message.extras.iter().filter(|(_, value)| has_text(value.get())) {
            self.add(Channel::Other, Spot::Extra(at, name.into()), (value.get(), Some(name)));
        }
    }

    fn tool(&mut self, at: usize, tool: &Tool) {
        match tool {
            Tool::Other(raw) => self.add(Channel::ToolDefinition, Spot::ToolWhole(at), (raw.get(), None)),
            Tool::Function(tool) => {
                let label = Some(tool.name.as_str());
                self.add(Channel::ToolDefinition, Spot::ToolText(at), (tool.description.as_deref().unwrap_or_default(), label));
                let schema = tool.parameters.as_ref().map_or("", |schema| schema.get());
                self.add(Channel::ToolDefinition, Spot::ToolSchema(at), (schema, label));
            }
        }
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
        }
        for (name, value) in request.extras.iter().filter(|(_, value)| has_text(value.get())) {
            if heard || !HARMLESS.contains(&name) {
                self.add(Channel::Other, Spot::Field(name.into()), (value.get(), Some(name)));
            }
        }
    }
}

/// Lays a request out for a chain with these ears.
pub(super) fn lay(request: &ChatRequest, ears: &Ears) -> Layout {
    let mut laying = Laying { ears, layout: Layout::default() };
    for (at, message) in request.messages.iter().enumerate() {
        let label = if message.role == Role::Tool { tool_of(request, message) } else { None };
        laying.message(at, message, label);
    }
    for (at, tool) in request.tools.iter().enumerate() {
        laying.tool(at, tool);
    }
    laying.fields(request);
    laying.layout
}

/// Whether a JSON value holds text: numbers, booleans and null do not.
pub(super) fn has_text(json: &str) -> bool {
    json.starts_with(['"', '{', '['])
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

/// Name of the tool that a tool message answers.
fn tool_of<'a>(request: &'a ChatRequest, message: &'a Message) -> Option<&'a str> {
    let id = message.tool_call_id.as_deref()?;
    let mut calls = request.messages.iter().flat_map(|message| &message.tool_calls);
    calls.find(|call| call.id == id).map(|call| call.name.as_str()).or(message.name.as_deref())
}

/// An edit made something that is no JSON where JSON must be: which field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson(pub(super) Channel);

impl Layout {
    /// Writes the segments' texts, where they differ, back into the request that was laid out. What repeats an edited text in
    /// the same message and was not inspected is dropped.
    pub(super) fn write_back(self, request: &mut ChatRequest, ears: &Ears) -> Result<(), NotJson> {
        let before = lay(request, ears);
        let extras_heard = ears.hears(Phase::Request, Channel::Other);
        for segment in self.segments {
            let index = segment.id as usize;
            let same = before.segments.get(index).is_none_or(|old| old.text == segment.text);
            let Some(spot) = before.spots.get(index).filter(|_| !same) else { continue };
            write(request, spot, segment.text).ok_or(NotJson(segment.channel))?;
            if let Some(message) = spot.message().and_then(|at| request.messages.get_mut(at)).filter(|_| !extras_heard) {
                drop_repeats(message);
            }
        }
        Ok(())
    }
}

/// Drops the unknown fields of a message that hold text.
fn drop_repeats(message: &mut Message) {
    let names: Vec<Box<str>> = message.extras.iter().filter(|(_, v)| has_text(v.get())).map(|(n, _)| n.into()).collect();
    for name in names {
        message.extras.take(&name);
    }
}

impl Spot {
    fn message(&self) -> Option<usize> {
        match self {
            Self::Text(at) | Self::Part(at, _) | Self::Reasoning(at) | Self::Refusal(at) | Self::Arguments(at, _) => Some(*at),
            _ => None,
        }
    }
}

fn json(text: String) -> Option<RawJson> {
    RawValue::from_string(text).ok()
}

fn put(extras: &mut gatewright_types::Extras, name: &str, text: String) -> Option<()> {
    let value = json(text)?;
    extras.take(name);
    extras.push(name, value);
    Some(())
}

/// Puts a text where it came from; `None` when it must be JSON and is not.
fn write(request: &mut ChatRequest, spot: &Spot, text: String) -> Option<()> {
    match spot {
        Spot::Format => request.response_format = Some(json(text)?),
        Spot::Choice => request.tool_choice = Some(json(text)?),
        Spot::Field(name) => put(&mut request.extras, name, text)?,
        Spot::ToolText(at) | Spot::ToolSchema(at) | Spot::ToolWhole(at) => match (request.tools.get_mut(*at)?, spot) {
            (Tool::Function(tool), Spot::ToolText(_)) => tool.description = Some(text),
            (Tool::Function(tool), _) => tool.parameters = Some(json(text)?),
            (Tool::Other(raw), _) => *raw = json(text)?,
        },
        Spot::Text(at) => request.messages.get_mut(*at)?.content = Content::Text(text),
        Spot::Reasoning(at) => request.messages.get_mut(*at)?.reasoning = Some(text),
        Spot::Refusal(at) => request.messages.get_mut(*at)?.refusal = Some(text),
        Spot::Name(at) => request.messages.get_mut(*at)?.name = Some(text),
        Spot::Extra(at, name) => put(&mut request.messages.get_mut(*at)?.extras, name, text)?,
        Spot::Arguments(at, call) => request.messages.get_mut(*at)?.tool_calls.get_mut(*call)?.arguments = text,
        Spot::Part(at, part) | Spot::Media(at, part) | Spot::PartExtra(at, part, _) => {
            let Content::Parts(parts) = &mut request.messages.get_mut(*at)?.content else { return None };
            match (parts.get_mut(*part)?, spot) {
                (Part::Text { extras, .. }, Spot::PartExtra(_, _, name)) => put(extras, name, text)?,
                (Part::Text { text: old, .. }, _) => *old = text,
                (Part::Other { raw, .. }, _) => *raw = json(text)?,
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
