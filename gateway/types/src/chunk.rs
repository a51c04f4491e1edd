//! What an answer is made of while it streams: chunks of deltas, typed by channel.
//!
//! Apart because everything that answers makes these and everything that guards, stores or writes answers takes them. It must
//! not know how they travel.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::extras::{Extras, RawJson};

/// One piece of an answer as it came: some deltas, what came beside them, and, until something changes it, the bytes themselves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chunk {
    /// Deltas in the order they were written.
    pub deltas: Vec<Delta>,
    /// Unknown fields of the chunk itself.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
    /// The bytes that this chunk was read from. Whoever changes `deltas` sets it to `None`: a raw copy repeats the text.
    #[serde(skip)]
    pub raw: Option<Raw>,
}

impl Chunk {
    /// A chunk of deltas that we made ourselves.
    pub fn of(deltas: Vec<Delta>) -> Self {
        Self { deltas, ..Self::default() }
    }
}

/// The bytes a chunk was read from, and what they are: a same-dialect client can be given them as they are.
#[derive(Clone, Debug)]
pub enum Raw {
    /// The data of one server-sent event (no `data:`, no blank line) of the dialect of that name.
    Event(&'static str, Bytes),
    /// A whole answer's body in the dialect of that name.
    Body(&'static str, Bytes),
}

/// One typed change of an answer. `choice` is the index among `n` choices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Delta {
    /// The answer begins.
    Start {
        /// The upstream's id of the answer.
        id: String,
        /// The model that answers, by its own name.
        model: String,
        /// Unix seconds.
        created: u64,
    },
    /// Visible text.
    Text {
        /// Index among the choices.
        choice: u32,
        /// The text to append.
        text: String,
    },
    /// Thought.
    Reasoning {
        /// Index among the choices.
        choice: u32,
        /// The text to append.
        text: String,
    },
    /// The model's own refusal.
    Refusal {
        /// Index among the choices.
        choice: u32,
        /// The text to append.
        text: String,
    },
    /// A piece of a tool call: the first one of an `index` carries id and name.
    ToolCall {
        /// Index among the choices.
        choice: u32,
        /// Which call of this choice.
        index: u32,
        /// Id of the call.
        id: Option<String>,
        /// Name of the tool.
        name: Option<String>,
        /// Text to append to the arguments.
        arguments: String,
        /// Unknown fields.
        extras: Extras,
    },
    /// The result of a tool that the gateway ran itself.
    ToolResult {
        /// Id of the call it answers.
        id: String,
        /// Name of the tool.
        name: String,
        /// What the tool said.
        text: String,
    },
    /// Log probabilities, as the dialect writes them. Repeats the text: dropped by whoever edits.
    Logprobs {
        /// Index among the choices.
        choice: u32,
        /// JSON as it came.
        value: RawJson,
    },
    /// What the answer cost in tokens.
    Usage(Usage),
    /// A choice ends.
    Finish {
        /// Index among the choices.
        choice: u32,
        /// Why.
        reason: FinishReason,
    },
    /// What has no channel: unknown fields of a choice or of its delta. Recorded as not inspected.
    Other {
        /// Index among the choices.
        choice: u32,
        /// Fields of the delta object.
        delta: Extras,
        /// Fields of the choice object around it.
        around: Extras,
    },
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done, or met a stop text.
    Stop,
    /// A bound on tokens was reached.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// A filter ended it.
    ContentFilter,
    /// A reason that we do not know, kept as it came.
    Other(String),
}

impl FinishReason {
    /// The field's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }

    /// The reason of that word.
    pub fn of(word: &str) -> Self {
        match word {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Tokens of one answer, each counted once per kind; `completion` includes `reasoning`, `prompt` includes `cached` and
/// `cache_written`, and that includes `cache_written_long`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens generated.
    pub completion: u64,
    /// Of those, thought.
    pub reasoning: Option<u64>,
    /// Of the prompt's, read from the upstream's own prompt cache.
    pub cached: Option<u64>,
    /// Of the prompt's, written into that cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_written: Option<u64>,
    /// Of those, written to last longer than is usual there, at a price of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_written_long: Option<u64>,
    /// Unknown fields of the usage object.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

impl Eq for Extras {}
