//! Which calls of a stream have said nothing when their choice ends: clients read arguments as JSON, and an empty text is none.
//!
//! Some servers send arguments after a choice's end, so that only the stream's end shows that a call has none. Until then the end of such
//! a choice is kept back: OpenAI's own libraries tell a call as done, and read its arguments, where its choice ends. Apart because it
//! lasts for the stream, while events are written chunk by chunk. It must not know how a call is written.

use std::borrow::Cow;

use gatewright_types::{Chunk, Delta, Extras, FinishReason, NO_ARGUMENTS};

use super::choice;

/// The calls of one stream.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    /// What is told at the stream's end: how choices ended, and then the bill.
    late: Vec<Chunk>,
}

#[derive(Debug)]
struct Call {
    choice: u32,
    index: u32,
    /// Whether it is one of a function: others have no arguments.
    named: bool,
    /// Whether it has arguments.
    said: bool,
}

/// As many calls are remembered at most; the upstream's bytes are bounded where they are read.
const MOST_CALLS: usize = 1024;
/// As many chunks are kept back at most.
const MOST_LATE: usize = 256;

impl Calls {
    /// Hears what the client is told, in whose words ever.
    pub(super) fn hear(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            let Delta::ToolCall { choice, index, name, arguments, .. } = delta else { continue };
            let (choice, index) = (*choice, *index);
            let at = match self.all.iter().rposition(|call| (call.choice, call.index) == (choice, index)) {
                Some(at) => at,
                None if self.all.len() >= MOST_CALLS => continue,
                None => {
                    self.all.push(Call { choice, index, named: false, said: false });
                    self.all.len() - 1
                }
            };
            if let Some(call) = self.all.get_mut(at) {
                call.named |= name.as_ref().is_some_and(|name| !name.is_empty());
                call.said |= !arguments.is_empty();
            }
        }
    }

    /// Takes from a chunk what is told late; `None` where nothing is left of it.
    pub(super) fn keep_back<'a>(&mut self, chunk: &'a Chunk) -> Option<Cow<'a, Chunk>> {
        self.cut(&chunk.deltas);
        let ends = chunk.deltas.iter().any(|delta| self.waits(delta));
        if self.late.len() >= MOST_LATE || !(ends || self.comes_after(chunk)) {
            return Some(Cow::Borrowed(chunk));
        }
        let last = |delta: &Delta| self.waits(delta) || is_bill(delta);
        let (mut late, now): (Vec<Delta>, Vec<Delta>) = chunk.deltas.iter().cloned().partition(last);
        if now.iter().any(says) {
            self.late.push(Chunk::of(late));
            return Some(Cow::Owned(Chunk { deltas: now, extras: chunk.extras.clone(), raw: None }));
        }
        late.extend(now);
        self.late.push(Chunk { deltas: late, extras: chunk.extras.clone(), raw: None });
        None
    }

    /// Whether a chunk is nothing but the bill of what was kept back.
    pub(super) fn comes_after(&self, chunk: &Chunk) -> bool {
        !self.late.is_empty() && chunk.deltas.iter().any(is_bill) && !chunk.deltas.iter().any(says)
    }

    /// A choice that is cut does not end well any more.
    fn cut(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            let Delta::Finish { choice: cut, reason: FinishReason::Length | FinishReason::ContentFilter } = delta else { continue };
            for late in &mut self.late {
                late.deltas.retain(|delta| !matches!(delta, Delta::Finish { choice, .. } if choice == cut));
            }
        }
    }

    /// Whether a delta ends a choice as it should of which a call has not said anything.
    fn waits(&self, delta: &Delta) -> bool {
        let Delta::Finish { choice, reason } = delta else { return false };
        let cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        !cut && self.all.iter().any(|call| call.choice == *choice && call.named && !call.said)
    }

    /// What was kept back, with arguments for each call that has none.
    pub(super) fn told_late(&mut self) -> Vec<Chunk> {
        let mut late = std::mem::take(&mut self.late);
        for chunk in &mut late {
            let end = |delta: &Delta| if let Delta::Finish { choice, .. } = delta { Some(*choice) } else { None };
            let ends: Vec<u32> = chunk.deltas.iter().filter_map(end).collect();
            for call in self.all.iter_mut().filter(|call| ends.contains(&call.choice) && call.named && !call.said) {
                call.said = true;
                chunk.deltas.push(Delta::ToolCall {
                    choice: call.choice,
                    index: call.index,
                    id: None,
                    name: None,
                    arguments: NO_ARGUMENTS.to_owned(),
                    extras: Extras::new(),
                });
            }
        }
        late
    }
}

/// Whether a delta is of a choice, and the client is told of it.
fn says(delta: &Delta) -> bool {
    choice::index(delta).is_some()
}

/// Whether it tells what the answer cost.
fn is_bill(delta: &Delta) -> bool {
    matches!(delta, Delta::Usage(_))
}
