//! The canonical request: what a client asks of a model, whatever API it speaks.
//!
//! Apart because all rooms read it. It must not know any dialect's field names: what a dialect has and this lacks travels in
//! the `extras` of the object it came on.

use std::sync::Arc;

use serde::Serialize;

use crate::extras::{Extras, RawJson};
use crate::prefill::Prefill;
use crate::priority::Priority;

/// One chat request. Serialises canonically (field order fixed, `extras` in their order): the cache's key is taken from that.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChatRequest {
    /// Model or route name as the client gave it; a leg replaces it by the upstream's name.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tools that the model may call, the client's and the gateway's.
    pub tools: Vec<Tool>,
    /// Which tool to call: JSON as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<RawJson>,
    /// Sampling controls.
    pub sampling: Sampling,
    /// Wanted shape of the answer: JSON as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<RawJson>,
    /// How much the model may think, where the client's dialect has words of its own for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// Whether the client asked for a stream. Not a part of the cache's key.
    #[serde(skip)]
    pub stream: bool,
    /// Whether a stream shall end with a usage chunk (`stream_options.include_usage`). Not a part of the cache's key.
    #[serde(skip)]
    pub include_usage: bool,
    /// What is wanted, where that is no chat: the name of the dialect that alone can say it. The messages are then its texts.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub wants: &'static str,
    /// Name of the dialect that it was read in; empty for one of our own making. Not a part of the cache's key.
    #[serde(skip)]
    pub spoken: &'static str,
    /// On whose account it is asked. Not a part of the cache's key, which has the tenant beside it.
    #[serde(skip)]
    pub origin: Origin,
    /// Unknown fields of the request itself.
    pub extras: Extras,
}

/// On whose account a request is asked, and who waits.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Whose prompts what is computed of this one may be kept for, and no one else's.
    pub tenant: String,
    /// How urgent it is, and the most that it may ask for; `None` grants whatever it asks for.
    pub priority: Option<Priority>,
    /// Where an engine says how far it has read the prompt.
    pub prefill: Arc<Prefill>,
}

/// How much a model may think.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Thinking {
    /// Tokens; 0 is not at all, `None` as much as it wants.
    pub budget: Option<u64>,
    /// In a word: `low`, `medium`, `high`.
    pub effort: Option<String>,
    /// The client is not told of it, for it did not ask to be. Not a part of the cache's key.
    #[serde(skip)]
    pub hidden: bool,
}

/// Sampling controls; `None` leaves the choice to whoever answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sampling {
    /// Bound on generated tokens, reasoning included.
    pub max_tokens: Option<u64>,
    /// 0 is greedy.
    pub temperature: Option<f64>,
    /// Nucleus: the least set of tokens whose probabilities add up to this.
    pub top_p: Option<f64>,
    /// Penalty on tokens that are present already.
    pub presence_penalty: Option<f64>,
    /// Penalty on tokens by how often they were used.
    pub frequency_penalty: Option<f64>,
    /// Same seed and request, same answer, where who answers can promise it.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Number of choices.
    pub n: Option<u32>,
    /// Whether log probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives per token.
    pub top_logprobs: Option<u32>,
}

/// Who speaks. `Developer` is OpenAI's newer word for system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Operator of the application.
    System,
    /// The same, in OpenAI's newer word.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
    /// A role that we do not know, kept as it came.
    Other(String),
}

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// What the model thought when it said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// What the model refused with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Calls that the assistant made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool message answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Name of the speaker or tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether this and the message before are one in the client's dialect, which mixes what has messages of its own here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Unknown fields.
    pub extras: Extras,
}

impl Message {
    /// A message of plain text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Content::Text(text.into()),
            reasoning: None,
            refusal: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
            continues: false,
            extras: Extras::new(),
        }
    }
}

/// Content of a message, in the form that it came in, so that it leaves in the same form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum Content {
    /// No content field.
    #[default]
    Absent,
    /// An explicit null.
    Null,
    /// One text.
    Text(String),
    /// A list of parts.
    Parts(Vec<Part>),
}

impl Content {
    /// All text of the content, parts joined by nothing. Media and unknown parts have none.
    pub fn joined(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Absent | Self::Null => "".into(),
            Self::Text(text) => text.as_str().into(),
            Self::Parts(parts) => {
                let texts = parts.iter().filter_map(|p| if let Part::Text { text, .. } = p { Some(text.as_str()) } else { None });
                texts.collect::<String>().into()
            }
        }
    }
}

/// One part of a content list.
#[derive(Clone, Debug, Serialize)]
pub enum Part {
    /// Text.
    Text {
        /// The text itself.
        text: String,
        /// Unknown fields of the part.
        extras: Extras,
    },
    /// Anything else, whole, byte for byte: images, audio, files, kinds not known yet.
    Other {
        /// The part's `type`.
        kind: String,
        /// The whole part as it came.
        raw: RawJson,
    },
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text { text: a, extras: x }, Self::Text { text: b, extras: y }) => a == b && x == y,
            (Self::Other { raw: a, .. }, Self::Other { raw: b, .. }) => a.get() == b.get(),
            _ => false,
        }
    }
}

/// One call of a tool by the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolCall {
    /// Id that the result refers to.
    pub id: String,
    /// Tool's name.
    pub name: String,
    /// Arguments: JSON text as the model wrote it, perhaps invalid.
    pub arguments: String,
    /// Unknown fields of the call.
    pub extras: Extras,
}

impl ToolCall {
    /// The arguments as JSON: of a call that says nothing, an empty object.
    pub fn json(&self) -> &str {
        if self.arguments.trim().is_empty() { NO_ARGUMENTS } else { &self.arguments }
    }
}

/// What the arguments of a call without any are as JSON.
pub const NO_ARGUMENTS: &str = "{}";

/// A tool that is offered to the model.
#[derive(Clone, Debug, Serialize)]
pub enum Tool {
    /// A function with JSON arguments.
    Function(ToolDefinition),
    /// A kind we do not know, byte for byte.
    Other(RawJson),
}

/// A function that the model may call.
#[derive(Clone, Debug, Serialize)]
pub struct ToolDefinition {
    /// Name, unique in a request.
    pub name: String,
    /// What it does, for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<RawJson>,
    /// Unknown fields of the function object (`strict`).
    pub function_extras: Extras,
    /// Unknown fields of the tool object around it.
    pub extras: Extras,
}

impl PartialEq for Tool {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Function(a), Self::Function(b)) => a == b,
            (Self::Other(a), Self::Other(b)) => a.get() == b.get(),
            _ => false,
        }
    }
}

impl PartialEq for ToolDefinition {
    fn eq(&self, other: &Self) -> bool {
        let raw = |p: &Option<RawJson>| p.as_ref().map(|r| r.get().to_owned());
        self.name == other.name
            && self.description == other.description
            && raw(&self.parameters) == raw(&other.parameters)
            && self.function_extras == other.function_extras
            && self.extras == other.extras
    }
}
