//! Whether a model thought that was made to think: an empty or skipped thought is told with the finish.
//!
//! Apart because an answer without thought is an answer, only a worse one: its finish reason stays what it is, and clients that know no
//! other go on. What was missed stands beside it, as `stop_reason`, vLLM's field for what a finish reason has no word for. It must not
//! know tokens.

use gatewright_types::{Extras, FinishReason};
use serde_json::value::to_raw_value;

use crate::answer::Opening;
use crate::reasoning::Channel;

const FIELD: &str = "stop_reason";

/// What became of an answer's thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Thought {
    /// Nobody asked for one.
    #[default]
    NotDue,
    /// One is due, and nothing was thought yet.
    Due,
    /// There is something in it.
    Made,
}

impl Thought {
    /// A thought that a request left no tokens for is not due.
    pub(crate) fn new(opening: &Opening) -> Self {
        if opening.thought_due && opening.thinking.budget != Some(0) { Self::Due } else { Self::NotDue }
    }

    /// Takes note of a piece of thought.
    pub(crate) fn note(&mut self, text: &str) {
        if *self == Self::Due && !text.trim().is_empty() {
            *self = Self::Made;
        }
    }

    /// What is told of an answer that ends in this channel, with so many tokens of thought, its marks included.
    pub(crate) fn missed(self, (channel, tokens): (Channel, usize), reason: &FinishReason) -> Option<Extras> {
        if !matches!(reason, FinishReason::Stop | FinishReason::ToolCalls) {
            return None;
        }
        let word = match (channel, self) {
            (Channel::Reasoning, Self::Due | Self::Made) => "unfinished_thought",
            (Channel::Text, Self::Due) if tokens == 0 => "skipped_thought",
            (Channel::Text, Self::Due) => "empty_thought",
            _ => return None,
        };
        let mut extras = Extras::new();
        extras.push(FIELD, to_raw_value(word).ok()?);
        Some(extras)
    }
}
