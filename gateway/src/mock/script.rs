//! What a script may say, and which rule a request meets.
//!
//! Apart from the reading so that a test may read the rules in one screen. It must not know YAML or HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use super::question::Question;
use super::read::{self, ScriptError};

/// A script: rules in order; the first that fits is played, and an echo of the last user message when none does.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Ids that `GET /v1/models` lists.
    pub(super) models: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) then: Then,
}

/// Conditions; all that are given must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct When {
    /// Model, with `*` at the end for any rest.
    pub(super) model: Option<String>,
    /// Text that the last user message contains, whatever the case.
    pub(super) contains: Option<String>,
    /// Request headers and their values.
    pub(super) headers: Vec<(String, String)>,
    /// Which of the requests that meet the other conditions, counted from 1; empty is all.
    pub(super) nth: Vec<u64>,
    /// Whether the last message is a tool's result.
    pub(super) has_tool_result: Option<bool>,
    /// A tool that is offered: its name contains this text.
    pub(super) offers: Option<String>,
    /// Whether a stream is asked for.
    pub(super) stream: Option<bool>,
}

/// What is played.
#[derive(Clone, Debug, Default)]
pub(super) struct Then {
    pub(super) reasoning: Said,
    pub(super) text: Said,
    pub(super) refusal: Said,
    pub(super) tool_calls: Vec<Call>,
    /// Characters a chunk of a text that is not given in pieces.
    pub(super) chunk_chars: Option<usize>,
    /// Before the first chunk, or before a whole answer.
    pub(super) first_delay: Duration,
    /// Between two chunks.
    pub(super) between_delay: Duration,
    pub(super) usage: BTreeMap<String, u64>,
    pub(super) finish_reason: Option<String>,
    /// Fields that are put on each chunk and on the whole answer.
    pub(super) extra: serde_json::Map<String, serde_json::Value>,
    pub(super) fault: Option<Fault>,
}

/// A text, whole or in the pieces that it is to be sent in.
#[derive(Clone, Debug, Default)]
pub(super) enum Said {
    #[default]
    Nothing,
    Whole(String),
    Pieces(Vec<String>),
}

/// A tool call; the arguments are JSON text.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Said,
}

/// How an answer fails.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// An HTTP status with a body.
    Status { status: u16, body: Option<String>, retry_after: Option<String> },
    /// The connection is closed without an answer.
    Refuse,
    /// The connection is closed after so many chunks.
    Cut(usize),
    /// Nothing comes any more after so many chunks.
    Stall(usize),
    /// Something that is no JSON comes after so many chunks.
    Garbage(usize),
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// What is wrong and in which line.
    pub fn parse(yaml: &str) -> Result<Self, ScriptError> {
        read::script(yaml)
    }

    /// The script of the README's tour: echoes, leaks a key when asked to, and calls a calculator when it is offered one.
    pub fn tour() -> Self {
        // A test reads it, so the fallback is never played.
        Self::parse(include_str!("tour.yaml")).unwrap_or_default()
    }
}

impl When {
    /// Whether the conditions hold, `nth` left aside.
    pub(super) fn fits(&self, question: &Question) -> bool {
        let model = |wanted: &String| match wanted.strip_suffix('*') {
            Some(start) => question.model.starts_with(start),
            None => question.model == *wanted,
        };
        let contains = |text: &String| question.user.to_lowercase().contains(&text.to_lowercase());
        let header =
            |(name, value): &(String, String)| question.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value);
        self.model.as_ref().is_none_or(model)
            && self.contains.as_ref().is_none_or(contains)
            && (self.offers.is_none() || self.offered(question).is_some())
            && self.has_tool_result.is_none_or(|wanted| question.tool_result.is_some() == wanted)
            && self.stream.is_none_or(|wanted| question.stream == wanted)
            && self.headers.iter().all(header)
    }

    /// The tool that is looked for, if it is offered.
    pub(super) fn offered(&self, question: &Question) -> Option<String> {
        let wanted = self.offers.as_deref()?;
        question.tools.iter().find(|tool| tool.contains(wanted)).cloned()
    }

    /// Whether this occasion, counted from 1, is one of those that are wanted.
    pub(super) fn occasion(&self, nth: u64) -> bool {
        self.nth.is_empty() || self.nth.contains(&nth)
    }
}
