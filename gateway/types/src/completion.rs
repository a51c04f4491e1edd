//! A whole answer, folded from chunks. The only place where deltas are added up.
//!
//! It must not know dialects, and never drops what it does not understand: unknown fields end in the choice's extras.

use crate::chunk::{Chunk, Delta, FinishReason, Usage};
use crate::extras::{Extras, RawJson};
use crate::request::ToolCall;

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// The upstream's id of the answer.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// Unix seconds.
    pub created: u64,
    /// Choices, by index.
    pub choices: Vec<Choice>,
    /// Tokens, once known.
    pub usage: Option<Usage>,
    /// Unknown fields of the answer; of a field that came more than once, the last one.
    pub extras: Extras,
}

/// One choice of a whole answer.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Visible text; `None` when none was sent.
    pub text: Option<String>,
    /// Thought.
    pub reasoning: Option<String>,
    /// The model's refusal.
    pub refusal: Option<String>,
    /// Calls, by index.
    pub tool_calls: Vec<ToolCall>,
    /// Log probabilities: one JSON value a chunk that had them.
    pub logprobs: Vec<RawJson>,
    /// Why it ended; `None` while it has not.
    pub finish: Option<FinishReason>,
    /// Unknown fields of the message.
    pub message_extras: Extras,
    /// Unknown fields of the choice.
    pub extras: Extras,
}

/// Adds one chunk to a whole answer. Choices and calls are created as their indexes appear, at most 128 choices and 1024 calls
/// each (a bound on what a hostile upstream can make us allocate; deltas beyond it are dropped).
pub fn gather_into(whole: &mut Completion, chunk: Chunk) {
    for (name, value) in chunk.extras.iter() {
        whole.extras.take(name);
        whole.extras.push(name, value.to_owned());
    }
    for delta in chunk.deltas {
        add(whole, delta);
    }
}

const MAX_CHOICES: u32 = 128;
const MAX_CALLS: u32 = 1024;

fn choice(whole: &mut Completion, index: u32) -> Option<&mut Choice> {
    if index >= MAX_CHOICES {
        return None;
    }
    let index = index as usize;
    if whole.choices.len() <= index {
        whole.choices.resize_with(index + 1, Choice::default);
    }
    whole.choices.get_mut(index)
}

fn append(to: &mut Option<String>, text: String) {
    match to {
        Some(whole) => whole.push_str(&text),
        None => *to = Some(text),
    }
}

fn add(whole: &mut Completion, delta: Delta) {
    match delta {
        Delta::Start { id, model, created } => {
            (whole.id, whole.model, whole.created) = (id, model, created);
        }
        Delta::Usage(usage) => whole.usage = Some(usage),
        Delta::ToolResult { .. } => {}
        Delta::Text { choice: c, text } => with(whole, c, |c| append(&mut c.text, text)),
        Delta::Reasoning { choice: c, text } => with(whole, c, |c| append(&mut c.reasoning, text)),
        Delta::Refusal { choice: c, text } => with(whole, c, |c| append(&mut c.refusal, text)),
        Delta::Logprobs { choice: c, value } => with(whole, c, |c| c.logprobs.push(value)),
        Delta::Finish { choice: c, reason } => with(whole, c, |c| c.finish = Some(reason)),
        Delta::Other { choice: c, delta, around } => with(whole, c, |c| {
            c.message_extras.append(delta);
            c.extras.append(around);
        }),
        Delta::ToolCall { choice: c, index, id, name, arguments, extras } if index < MAX_CALLS => with(whole, c, |c| {
            let index = index as usize;
            while c.tool_calls.len() <= index {
                c.tool_calls.push(ToolCall {
                    id: String::new(),
                    name: String::new(),
                    arguments: String::new(),
                    extras: Extras::new(),
                });
            }
            let Some(call) = c.tool_calls.get_mut(index) else { return };
            if let Some(id) = id.filter(|_| call.id.is_empty()) {
                call.id = id;
            }
            if let Some(name) = name.filter(|_| call.name.is_empty()) {
                call.name = name;
            }
            call.arguments.push_str(&arguments);
            call.extras.append(extras);
        }),
        Delta::ToolCall { .. } => {}
    }
}

fn with(whole: &mut Completion, index: u32, change: impl FnOnce(&mut Choice)) {
    if let Some(choice) = choice(whole, index) {
        change(choice);
    }
}
