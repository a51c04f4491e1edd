//! Where each segment of a request came from, and how a text that a plugin changed gets back there.
//!
//! Apart from the laying out because it alone writes into a request. It must not know channels' meaning or who listens.

use gatewright_plugins::Cut;
use gatewright_types::{Channel, ChatRequest, Content, Extras, Message, Part, RawJson, Role, Segment, Tool};
use serde_json::value::RawValue;

use super::has_text;
use crate::dialects::{Place, points_into_text, steers};
use crate::life::ears::Ears;

/// Where a segment came from. Numbers are indexes: message, tool or field; then part or call. Unknown fields go by position, for
/// one object may have a name twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Message(usize, OfMessage),
    /// Text parts in a row: the message, the first of them, and where each ends in the segment.
    Parts(usize, usize, Box<[usize]>),
    Media(usize, usize),
    PartExtra(usize, usize, usize),
    Call(usize, usize, OfCall),
    Tool(usize, OfTool),
    Format,
    Choice,
    Stop(usize),
    Field(usize),
}

/// Which text of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfMessage {
    Text,
    Role,
    Reasoning,
    Refusal,
    Name,
    /// The id of the call that it answers.
    Answers,
    Extra(usize),
}

/// Which text of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfCall {
    Arguments,
    Name,
    Id,
    Extra(usize),
}

/// Which text of a tool on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfTool {
    Whole,
    Name,
    Description,
    Schema,
    /// Within its function.
    Extra(usize),
    /// Beside its function.
    Around(usize),
}

/// A request laid out as segments.
#[derive(Debug, Default)]
pub(in crate::life) struct Layout {
    /// What the plugins are shown; ids are indexes.
    pub(in crate::life) segments: Vec<Segment>,
    pub(super) spots: Vec<Spot>,
    /// Channels that have text which no plugin hears, in the record's words.
    pub(in crate::life) unheard: Vec<&'static str>,
}

/// An edit made something that is no JSON where JSON must be: which field.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::life) struct NotJson(pub(in crate::life) Channel);

impl Layout {
    /// Writes the segments that were cut back into the request that was laid out. What repeats an edited text beside it and was
    /// not inspected by plugins with these ears is dropped.
    pub(in crate::life) fn write_back(mut self, request: &mut ChatRequest, cuts: &[Cut], ears: &Ears) -> Result<(), NotJson> {
        let mut edited = vec![false; self.spots.len()];
        for cut in cuts {
            let index = cut.segment as usize;
            if let (Some(spot), Some(edited)) = (self.spots.get_mut(index), edited.get_mut(index)) {
                *edited = true;
                spot.shift(cut);
            }
        }
        let heard = ears.hears(gatewright_types::Phase::Request, Channel::Other);
        for (segment, spot) in self.segments.into_iter().zip(self.spots) {
            if !edited.get(segment.id as usize).is_some_and(|edited| *edited) {
                continue;
            }
            write(request, &spot, segment.text).ok_or(NotJson(segment.channel))?;
            if !heard {
                drop_repeats(request, &spot);
            }
        }
        Ok(())
    }
}

impl Spot {
    /// Moves the ends of parts as a cut moved the text. What replaces text of several parts goes to the first of them.
    fn shift(&mut self, cut: &Cut) {
        let Self::Parts(_, _, ends) = self else { return };
        for end in ends.iter_mut() {
            if *end >= cut.end {
                // An insertion at the joint of two parts goes to the first.
                *end = *end - (cut.end - cut.start) + cut.length;
            } else if *end > cut.start {
                *end = cut.start + cut.length;
            }
        }
    }
}

/// Drops the unknown fields beside a text of a message that hold text.
fn drop_repeats(request: &mut ChatRequest, spot: &Spot) {
    let (Spot::Message(at, _) | Spot::Parts(at, ..) | Spot::Call(at, ..)) = spot else { return };
    let Some(message) = request.messages.get_mut(*at) else { return };
    let drop_at = |place: Place, extras: &mut Extras| extras.retain(|name, value| !has_text(value) || steers(place, name));
    let drop = |extras: &mut Extras| drop_at(Place::Within, extras);
    drop_at(Place::Message, &mut message.extras);
    match (spot, &mut message.content) {
        (Spot::Call(_, call, _), _) => message.tool_calls.get_mut(*call).into_iter().for_each(|call| drop(&mut call.extras)),
        (Spot::Parts(_, first, ends), Content::Parts(parts)) => {
            for part in parts.iter_mut().skip(*first).take(ends.len()) {
                if let Part::Text { extras, .. } = part {
                    drop(extras);
                }
            }
        }
        _ => {}
    }
}

fn json(text: String) -> Option<RawJson> {
    RawValue::from_string(text).ok()
}

/// Puts a text where it came from; `None` when it must be JSON and is not.
fn write(request: &mut ChatRequest, spot: &Spot, text: String) -> Option<()> {
    match spot {
        Spot::Format => request.response_format = Some(json(text)?),
        Spot::Choice => request.tool_choice = Some(json(text)?),
        Spot::Stop(at) => *request.sampling.stop.get_mut(*at)? = text,
        Spot::Field(at) => request.extras.set(*at, json(text)?)?,
        Spot::Tool(at, part) => write_tool(request.tools.get_mut(*at)?, *part, text)?,
        Spot::Message(at, part) => write_message(request.messages.get_mut(*at)?, *part, text)?,
        Spot::Call(at, call, part) => {
            let call = request.messages.get_mut(*at)?.tool_calls.get_mut(*call)?;
            match part {
                OfCall::Arguments => call.arguments = text,
                OfCall::Name => call.name = text,
                OfCall::Id => call.id = text,
                OfCall::Extra(position) => call.extras.set(*position, json(text)?)?,
            }
        }
        Spot::Parts(at, first, ends) => write_parts(parts(request, *at)?.get_mut(*first..)?, ends, &text)?,
        Spot::Media(at, part) => {
            let Part::Other { raw, .. } = parts(request, *at)?.get_mut(*part)? else { return None };
            *raw = json(text)?;
        }
        Spot::PartExtra(at, part, position) => {
            let Part::Text { extras, .. } = parts(request, *at)?.get_mut(*part)? else { return None };
            extras.set(*position, json(text)?)?;
        }
    }
    Some(())
}

fn parts(request: &mut ChatRequest, at: usize) -> Option<&mut Vec<Part>> {
    match &mut request.messages.get_mut(at)?.content {
        Content::Parts(parts) => Some(parts),
        _ => None,
    }
}

fn write_parts(parts: &mut [Part], ends: &[usize], text: &str) -> Option<()> {
    let mut from = 0;
    for (part, end) in parts.iter_mut().zip(ends) {
        let Part::Text { text: old, extras } = part else { return None };
        let new = text.get(from..*end)?;
        if old != new {
            new.clone_into(old);
            extras.retain(|name, _| !points_into_text(name));
        }
        from = *end;
    }
    (from == text.len()).then_some(())
}

fn write_message(message: &mut Message, part: OfMessage, text: String) -> Option<()> {
    match part {
        OfMessage::Text => message.content = Content::Text(text),
        OfMessage::Role => message.role = Role::Other(text),
        OfMessage::Reasoning => message.reasoning = Some(text),
        OfMessage::Refusal => message.refusal = Some(text),
        OfMessage::Name => message.name = Some(text),
        OfMessage::Answers => message.tool_call_id = Some(text),
        OfMessage::Extra(position) => message.extras.set(position, json(text)?)?,
    }
    Some(())
}

fn write_tool(tool: &mut Tool, part: OfTool, text: String) -> Option<()> {
    match (tool, part) {
        (Tool::Other(raw), _) => *raw = json(text)?,
        (Tool::Function(tool), OfTool::Name) => tool.name = text,
        (Tool::Function(tool), OfTool::Description) => tool.description = Some(text),
        (Tool::Function(tool), OfTool::Schema) => tool.parameters = Some(json(text)?),
        (Tool::Function(tool), OfTool::Extra(position)) => tool.function_extras.set(position, json(text)?)?,
        (Tool::Function(tool), OfTool::Around(position)) => tool.extras.set(position, json(text)?)?,
        (Tool::Function(_), OfTool::Whole) => return None,
    }
    Some(())
}
