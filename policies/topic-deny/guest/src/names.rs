//! The contract's words for channels and phases.
//!
//! It is apart because it is all naming. It must not know settings.

use gatewright_plugin::{Channel, Phase};

/// The channel that the settings call by this name.
pub(crate) fn channel(name: &str) -> Option<Channel> {
    Some(match name {
        "system" => Channel::System,
        "user" => Channel::User,
        "assistant" => Channel::Assistant,
        "reasoning" => Channel::Reasoning,
        "refusal" => Channel::Refusal,
        "tool-definition" => Channel::ToolDefinition,
        "tool-args" => Channel::ToolArgs,
        "tool-output" => Channel::ToolOutput,
        "media" => Channel::Media,
        "other" => Channel::Other,
        _ => return None,
    })
}

/// The phase that the settings call by this name.
pub(crate) fn phase(name: &str) -> Option<Phase> {
    Some(match name {
        "request" => Phase::Request,
        "chunk" => Phase::Chunk,
        "response" => Phase::Response,
        "tool-call" => Phase::ToolCall,
        "tool-result" => Phase::ToolResult,
        _ => return None,
    })
}
