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
    /// What followed what.
    pub order: Vec<Run>,
}

/// So much of one kind in a row, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Bytes of text.
    Text(usize),
    /// Bytes of thought.
    Reasoning(usize),
    /// Bytes of a refusal.
    Refusal(usize),
    /// The call of this index begins.
    Call(u32),
    /// Values of log probabilities.
    Logprobs(usize),
    /// Unknown fields: of the message, and of the choice.
    Other(usize, usize),
}

impl Run {
    /// Makes a run longer by one that follows it, where the two are one.
    fn grow(&mut self, next: Self) -> bool {
        match (self, next) {
            (Self::Text(length), Self::Text(more))
            | (Self::Reasoning(length), Self::Reasoning(more))
            | (Self::Refusal(length), Self::Refusal(more)) => *length += more,
            _ => return false,
        }
        true
    }
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

/// What a delta adds to the order of its choice.
fn run(delta: &Delta) -> Option<Run> {
    match delta {
        Delta::Text { text, .. } => Some(Run::Text(text.len())),
        Delta::Reasoning { text, .. } => Some(Run::Reasoning(text.len())),
        Delta::Refusal { text, .. } => Some(Run::Refusal(text.len())),
        Delta::ToolCall { index, .. } => Some(Run::Call(*index)),
        Delta::Logprobs { .. } => Some(Run::Logprobs(1)),
        Delta::Other { delta, around, .. } => Some(Run::Other(delta.iter().count(), around.iter().count())),
        _ => None,
    }
}

impl Choice {
    fn goes_on(&mut self, run: Option<Run>) {
        let Some(run) = run else { return };
        if !self.order.last_mut().is_some_and(|last| last.grow(run)) {
            self.order.push(run);
        }
    }

    fn append(&mut self, to: impl Fn(&mut Self) -> &mut Option<String>, (text, run): (String, Option<Run>)) {
        self.goes_on(run);
        match to(self) {
            Some(whole) => whole.push_str(&text),
            to => *to = Some(text),
        }
    }

    /// What was said, in the order in which it came, pieces that followed each other as one. A text whose length was changed since stands
    /// whole where it began.
    pub fn into_deltas(self, choice: u32) -> Vec<Delta> {
        let Self { text, reasoning, refusal, tool_calls, call_indexes, logprobs, finish, message_extras, extras, order } = self;
        let length = |of: fn(&Run) -> Option<usize>| order.iter().filter_map(of).sum::<usize>();
        let mut text = Cut::new(text, length(|run| if let Run::Text(length) = run { Some(*length) } else { None }));
        let mut thought = Cut::new(reasoning, length(|run| if let Run::Reasoning(length) = run { Some(*length) } else { None }));
        let mut refusal = Cut::new(refusal, length(|run| if let Run::Refusal(length) = run { Some(*length) } else { None }));
        let mut calls: Vec<Option<(u32, ToolCall)>> = call_indexes.into_iter().zip(tool_calls).map(Some).collect();
        let (mut values, mut fields, mut around) = (logprobs.into_iter(), message_extras.iter(), extras.iter());
        let mut deltas = Vec::with_capacity(order.len() + 1);
        for run in &order {
            match *run {
                Run::Text(length) => deltas.extend(text.next(length).map(|text| Delta::Text { choice, text })),
                Run::Reasoning(length) => deltas.extend(thought.next(length).map(|text| Delta::Reasoning { choice, text })),
                Run::Refusal(length) => deltas.extend(refusal.next(length).map(|text| Delta::Refusal { choice, text })),
                Run::Logprobs(count) => deltas.extend(values.by_ref().take(count).map(|value| Delta::Logprobs { choice, value })),
                Run::Call(index) => {
                    let at = calls.iter().position(|call| call.as_ref().is_some_and(|(of, _)| *of == index));
                    deltas.extend(at.and_then(|at| calls.get_mut(at)?.take()).map(|call| whole_call(choice, call)));
                }
                Run::Other(of_message, of_choice) => {
                    let delta: Extras = fields.by_ref().take(of_message).collect();
                    deltas.push(Delta::Other { choice, delta, around: around.by_ref().take(of_choice).collect() });
                }
            }
        }
        // Of a choice that was not put together here.
        deltas.extend(thought.rest().map(|text| Delta::Reasoning { choice, text }));
        deltas.extend(text.rest().map(|text| Delta::Text { choice, text }));
        deltas.extend(refusal.rest().map(|text| Delta::Refusal { choice, text }));
        deltas.extend(finish.map(|reason| Delta::Finish { choice, reason }));
        deltas
    }
}

fn whole_call(choice: u32, (index, call): (u32, ToolCall)) -> Delta {
    let ToolCall { id, name, arguments, extras } = call;
    Delta::ToolCall { choice, index, id: Some(id), name: Some(name), arguments, extras }
}

/// A text that is given in the pieces that it came in. The pieces are copies: a text that is cut in two keeps its room, and moves.
struct Cut {
    /// The whole of it; `None` once there is no more to give.
    text: Option<String>,
    /// So much of it was given, in bytes.
    given: usize,
    fits: bool,
}

impl Cut {
    fn new(text: Option<String>, length: usize) -> Self {
        Self { fits: text.as_ref().is_some_and(|text| text.len() == length), text, given: 0 }
    }

    fn next(&mut self, length: usize) -> Option<String> {
        let whole = self.text.as_ref()?;
        let to = self.given.saturating_add(length);
        match whole.get(self.given..to).filter(|_| self.fits && to < whole.len()) {
            Some(piece) => {
                self.given = to;
                Some(piece.to_owned())
            }
            None => self.rest(),
        }
    }

    /// What was not given yet.
    fn rest(&mut self) -> Option<String> {
        let whole = self.text.take()?;
        if self.given == 0 { Some(whole) } else { whole.get(self.given..).map(str::to_owned) }
    }
}

fn add(whole: &mut Completion, delta: Delta) {
    let run = run(&delta);
    match delta {
        Delta::Start { id, model, created } => {
            (whole.id, whole.model, whole.created) = (id, model, created);
        }
        Delta::Usage(usage) => whole.usage = Some(usage),
        Delta::ToolResult { .. } => {}
        Delta::Text { choice: c, text } => with(whole, c, |c| c.append(|c| &mut c.text, (text, run))),
        Delta::Reasoning { choice: c, text } => with(whole, c, |c| c.append(|c| &mut c.reasoning, (text, run))),
        Delta::Refusal { choice: c, text } => with(whole, c, |c| c.append(|c| &mut c.refusal, (text, run))),
        Delta::Logprobs { choice: c, value } => with(whole, c, |c| {
            c.logprobs.push(value);
            c.goes_on(run);
        }),
        Delta::Finish { choice: c, reason } => with(whole, c, |c| c.finish = Some(reason)),
        Delta::Other { choice: c, delta, around } => with(whole, c, |c| {
            c.message_extras.append(delta);
            c.extras.append(around);
            c.goes_on(run);
        }),
        Delta::ToolCall { choice: c, index, id, name, arguments, extras } => with(whole, c, |c| {
            if c.call_indexes.binary_search(&index).is_err() && c.tool_calls.len() < MAX_CALLS {
                c.goes_on(run);
            }
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
    fn what_was_said_is_told_in_the_order_in_which_it_came() {
        let text = |text: &str| Delta::Text { choice: 0, text: text.to_owned() };
        let thought = |text: &str| Delta::Reasoning { choice: 0, text: text.to_owned() };
        let field = |name: &str| {
            let mut delta = Extras::new();
            delta.push(name, serde_json::value::RawValue::TRUE.to_owned());
            Delta::Other { choice: 0, delta, around: Extras::new() }
        };
        let came = [
            vec![thought("a"), thought("b"), field("x"), text("1"), piece(1, "{"), text("2"), thought("c")],
            vec![field("y"), text("3"), text("4"), piece(1, "}"), piece(0, ""), field("x")],
        ];
        let mut whole = Completion::default();
        came.into_iter().for_each(|deltas| gather_into(&mut whole, Chunk::of(deltas)));
        let told = |choice: Choice| -> Vec<String> {
            let tell = |delta: Delta| match delta {
                Delta::Text { text, .. } | Delta::Reasoning { text, .. } => text,
                Delta::ToolCall { index, arguments, .. } => format!("{index}:{arguments}"),
                Delta::Other { delta, .. } => delta.iter().map(|(name, _)| name).collect(),
                other => format!("{other:?}"),
            };
            choice.into_deltas(0).into_iter().map(tell).collect()
        };
        let choice = whole.choices.remove(0);
        assert_eq!(told(choice.clone()), ["ab", "x", "1", "1:{}", "2", "c", "y", "34", "0:", "x"]);
        let changed = Choice { text: Some("nothing".to_owned()), ..choice };
        assert_eq!(
            told(changed),
            ["ab", "x", "nothing", "1:{}", "c", "y", "0:", "x"],
            "a text that no longer fits stands where it began"
        );
    }

    #[test]
    fn many_pieces_take_no_more_room_than_what_they_say() {
        let said = |choice, at| match at % 2 {
            0 => Delta::Text { choice, text: "word".to_owned() },
            _ => Delta::Reasoning { choice, text: "idea".to_owned() },
        };
        let mut whole = Completion::default();
        gather_into(&mut whole, Chunk::of((0..6000).map(|at| said(0, at)).collect()));
        let pieces = whole.choices.remove(0).into_deltas(0);
        let room = |delta: &Delta| match delta {
            Delta::Text { text, .. } | Delta::Reasoning { text, .. } => (text.len(), text.capacity()),
            other => panic!("{other:?}"),
        };
        let (length, room) = pieces.iter().map(room).fold((0, 0), |(length, room), (l, r)| (length + l, room + r));
        assert_eq!((pieces.len(), length), (6000, 24_000));
        assert!(room <= 2 * length, "{room} bytes are held for {length}");
    }

    #[test]
    fn calls_are_bounded() {
        let mut whole = Completion::default();
        gather_into(&mut whole, Chunk::of((0..2000).map(|index| piece(index * 1000, "")).collect()));
        assert_eq!(whole.choices[0].tool_calls.len(), MAX_CALLS);
    }
}
