//! A whole answer, folded from chunks.
//!
//! Apart so that deltas are added up in one place. It must not know dialects, and never drops what it does not understand: unknown
//! fields end in the choice's extras.

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
    /// Calls, ordered by the index that the upstream gave them. Upstreams leave numbers out: then no call stands in for one.
    pub tool_calls: Vec<ToolCall>,
    /// The index of each call.
    pub call_indexes: Vec<u32>,
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
    whole.extras.replace(chunk.extras);
    for delta in chunk.deltas {
        add(whole, delta);
    }
}

const MAX_CHOICES: u32 = 128;
const MAX_CALLS: usize = 1024;

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
        Delta::ToolCall { choice: c, index, id, name, arguments, extras } => with(whole, c, |c| {
            let Some(call) = call(c, index) else { return };
            if let Some(id) = id.filter(|_| call.id.is_empty()) {
                call.id = id;
            }
            if let Some(name) = name.filter(|_| call.name.is_empty()) {
                call.name = name;
            }
            call.arguments.push_str(&arguments);
            call.extras.append(extras);
        }),
    }
}

/// The call of that index.
fn call(choice: &mut Choice, index: u32) -> Option<&mut ToolCall> {
    let at = match choice.call_indexes.binary_search(&index) {
        Ok(at) => at,
        Err(_) if choice.tool_calls.len() >= MAX_CALLS => return None,
        Err(at) => {
            let call = ToolCall { id: String::new(), name: String::new(), arguments: String::new(), extras: Extras::new() };
            choice.call_indexes.insert(at, index);
            choice.tool_calls.insert(at, call);
            at
        }
    };
    choice.tool_calls.get_mut(at)
}

fn with(whole: &mut Completion, index: u32, change: impl FnOnce(&mut Choice)) {
    if let Some(choice) = choice(whole, index) {
        change(choice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: u32, arguments: &str) -> Delta {
        let (id, name) = (Some(format!("t{index}")), Some("f".to_owned()));
        Delta::ToolCall { choice: 0, index, id, name, arguments: arguments.to_owned(), extras: Extras::new() }
    }

    #[test]
    fn calls_stand_in_the_order_of_their_indexes_and_none_stands_in_for_a_number_left_out() {
        let mut whole = Completion::default();
        gather_into(&mut whole, Chunk::of(vec![piece(7, "{"), piece(1, "[]"), piece(7, "}")]));
        let choice = &whole.choices[0];
        let calls: Vec<(&str, &str)> = choice.tool_calls.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
        assert_eq!((calls, &*choice.call_indexes), (vec![("t1", "[]"), ("t7", "{}")], &[1, 7][..]));
    }

    #[test]
    fn calls_are_bounded() {
        let mut whole = Completion::default();
        gather_into(&mut whole, Chunk::of((0..2000).map(|index| piece(index * 1000, "")).collect()));
        assert_eq!(whole.choices[0].tool_calls.len(), MAX_CALLS);
    }
}
