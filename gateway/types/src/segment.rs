//! The nouns of the plugin contract that the gateway and the plugin host share. The contract itself is `plugins/wit/`.
//!
//! Apart because they change only with the contract. It must not know how a guest receives them.

use serde::{Deserialize, Serialize};

/// When a plugin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before the model is asked.
    Request,
    /// While it answers, piece by piece.
    Chunk,
    /// The whole answer.
    Response,
    /// Before a tool that the gateway runs is called.
    ToolCall,
    /// Before a tool's result is shown to the model.
    ToolResult,
}

/// What kind of text a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Instructions of the application.
    System,
    /// The person or program that asks.
    User,
    /// Visible text of the model.
    Assistant,
    /// Thought of the model.
    Reasoning,
    /// The model's own refusal.
    Refusal,
    /// Name, description and schema of a tool on offer.
    ToolDefinition,
    /// Arguments that the model writes for a tool.
    ToolArgs,
    /// What a tool said.
    ToolOutput,
    /// Images, audio, files: the JSON of the part.
    Media,
    /// What has a text and no channel of its own.
    Other,
}

impl Channel {
    /// All channels, in the contract's order.
    pub const ALL: [Self; 10] = [
        Self::System,
        Self::User,
        Self::Assistant,
        Self::Reasoning,
        Self::Refusal,
        Self::ToolDefinition,
        Self::ToolArgs,
        Self::ToolOutput,
        Self::Media,
        Self::Other,
    ];

    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Reasoning => "reasoning",
            Self::Refusal => "refusal",
            Self::ToolDefinition => "tool-definition",
            Self::ToolArgs => "tool-args",
            Self::ToolOutput => "tool-output",
            Self::Media => "media",
            Self::Other => "other",
        }
    }
}

impl Phase {
    /// All phases, in the contract's order.
    pub const ALL: [Self; 5] = [Self::Request, Self::Chunk, Self::Response, Self::ToolCall, Self::ToolResult];

    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Chunk => "chunk",
            Self::Response => "response",
            Self::ToolCall => "tool-call",
            Self::ToolResult => "tool-result",
        }
    }
}

/// One text that a plugin may read and edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Unique within an event; edits name it.
    pub id: u32,
    /// What kind of text it is.
    pub channel: Channel,
    /// The text.
    pub text: String,
    /// Bytes at the start of `text` that were already sent: context only.
    pub sent: usize,
    /// Tool name, for the tool channels; media type, for media.
    pub label: Option<String>,
}
