//! The contract's values, to the generated types and back.
//!
//! It is apart because it is all mapping and no meaning. It must not check anything: offsets and texts pass as they are.

use gatewright_types::{Channel, Phase};

use super::bindings::exports::gatewright::plugin::tools;
use super::bindings::gatewright::plugin::types;
use crate::api::{Context, ToolFailure};
use crate::guest::{ACTION_BYTES, Action, Event, ToolSpec};

/// The guest's form of an event.
pub(super) fn event(event: &Event<'_>) -> types::Event {
    let segments = event.segments.iter().map(|view| types::Segment {
        id: view.id,
        channel: channel(view.channel),
        text: view.text.to_owned(),
        sent: view.sent,
        label: view.label.map(str::to_owned),
    });
    types::Event { phase: phase(event.phase), segments: segments.collect(), last: event.last }
}

/// The guest's form of a context, with no notes yet.
pub(super) fn context(context: &Context) -> types::Context {
    types::Context {
        request_id: context.request_id.clone(),
        conversation: context.conversation.clone(),
        tenant: context.tenant.clone(),
        key: context.key.clone(),
        team: context.team.clone(),
        route: context.route.clone(),
        model: context.model.clone(),
        parameters: context.parameters.clone(),
        notes: Vec::new(),
    }
}

/// Our form of an action.
pub(super) fn action(action: types::Action) -> Action {
    match action {
        types::Action::Edit(it) => Action::Edit { segment: it.segment, start: it.start, end: it.end, text: it.text },
        types::Action::Hold(it) => Action::Hold { segment: it.segment, start: it.start },
        types::Action::Block(it) => Action::Block { code: it.code, message: it.message },
        types::Action::Answer(text) => Action::Answer(text),
        types::Action::Reask(it) => Action::Reask { route: it.route, instruction: it.instruction },
        types::Action::Set((pointer, value)) => Action::Set { pointer, value },
        types::Action::Note((key, value)) => Action::Note { key, value },
    }
}

/// What an action counts toward the output limit.
pub(super) fn weight(action: &types::Action) -> usize {
    let texts = match action {
        types::Action::Edit(it) => it.text.len(),
        types::Action::Hold(_) => 0,
        types::Action::Block(it) => it.code.len() + it.message.len(),
        types::Action::Answer(text) => text.len(),
        types::Action::Reask(it) => it.route.as_ref().map_or(0, String::len) + it.instruction.as_ref().map_or(0, String::len),
        types::Action::Set((left, right)) | types::Action::Note((left, right)) => left.len() + right.len(),
    };
    texts + ACTION_BYTES
}

/// Our form of a declared tool.
pub(super) fn tool(tool: tools::Tool) -> ToolSpec {
    let tools::Tool { name, description, parameters, read_only } = tool;
    ToolSpec { name, description, parameters, result: None, read_only }
}

/// Our form of a tool's refusal.
pub(super) fn failure(failure: tools::Failure) -> ToolFailure {
    match failure {
        tools::Failure::BadArguments(text) => ToolFailure::BadArguments(text),
        tools::Failure::Denied(text) => ToolFailure::Denied(text),
        tools::Failure::TryLater(text) => ToolFailure::TryLater(text),
        tools::Failure::Internal(text) => ToolFailure::Internal(text),
    }
}

const fn phase(phase: Phase) -> types::Phase {
    match phase {
        Phase::Request => types::Phase::Request,
        Phase::Chunk => types::Phase::Chunk,
        Phase::Response => types::Phase::Response,
        Phase::ToolCall => types::Phase::ToolCall,
        Phase::ToolResult => types::Phase::ToolResult,
    }
}

const fn channel(channel: Channel) -> types::Channel {
    match channel {
        Channel::System => types::Channel::System,
        Channel::User => types::Channel::User,
        Channel::Assistant => types::Channel::Assistant,
        Channel::Reasoning => types::Channel::Reasoning,
        Channel::Refusal => types::Channel::Refusal,
        Channel::ToolDefinition => types::Channel::ToolDefinition,
        Channel::ToolArgs => types::Channel::ToolArgs,
        Channel::ToolOutput => types::Channel::ToolOutput,
        Channel::Media => types::Channel::Media,
        Channel::Other => types::Channel::Other,
    }
}
