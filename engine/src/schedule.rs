//! Who runs next, who is let in, and who gives its place up. Everyone who writes gets one token a step; of those that have something to
//! read, one reads a bounded piece of it: the one that waited longest, where a less urgent one's waiting counts a little later. So a long
//! prompt delays others by one piece at most, and nobody starves.
//!
//! Apart because it is pure. It must not know tensors, pages or text. Urgency is a head start and no privilege: who came long enough ago
//! is before all that come now.

use gatewright_types::Priority;

/// Tokens of a prompt that are read in one step.
pub(crate) const PIECE: usize = 256;
/// Tokens of its own that a sequence reads again in one step: they are computed as they were written, which takes longer.
pub(crate) const AGAIN: usize = 64;
/// Arrivals by which the next class comes earlier.
const HEAD_START: u64 = 256;

/// The order in which requests are served: the least comes first, and gives its place up last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    turn: u64,
    arrival: u64,
    choice: u32,
    pub(crate) priority: Priority,
}

impl Rank {
    /// Of one that sits out because its reader does not read: it needs no place and no pages before that does.
    pub(crate) fn sitting_out(self) -> Self {
        Self { turn: u64::MAX, ..self }
    }

    fn gives_way_to(&self, waiting: &Self) -> bool {
        self.turn == u64::MAX || self.priority > waiting.priority && self > waiting
    }

    /// Of one choice of the request that came as the `arrival`th.
    pub(crate) fn new(priority: Priority, arrival: u64, choice: u32) -> Self {
        Self { turn: arrival + HEAD_START * priority as u64, arrival, choice, priority }
    }
}

/// What a sequence does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// So many tokens of its prompt.
    Read(usize),
    /// So many tokens that it has written before.
    ReadAgain(usize),
    /// Its next token.
    Write,
}

/// What the schedule sees of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) work: Work,
    /// Whether its reader has room for what a step may say.
    pub(crate) ready: bool,
    /// The step that it last ran in, or came in.
    pub(crate) served: u64,
    pub(crate) priority: Priority,
}

/// Who runs in one step, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// One token each.
    pub(crate) write: Vec<usize>,
    /// Something it has to read.
    pub(crate) read: Option<(usize, Work)>,
}

impl Turn {
    /// Whether nobody runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.write.is_empty() && self.read.is_none()
    }
}

/// Steps that a reader's waiting counts later.
fn later(priority: Priority) -> u64 {
    match priority {
        Priority::High => 0,
        Priority::Normal => 4,
        Priority::Low => 16,
    }
}

/// The next step.
pub(crate) fn turn(sequences: &[Seen]) -> Turn {
    let ready = || sequences.iter().enumerate().filter(|(_, s)| s.ready);
    Turn {
        write: ready().filter(|(_, s)| s.work == Work::Write).map(|(i, _)| i).collect(),
        read: ready()
            .filter(|(_, s)| s.work != Work::Write)
            .min_by_key(|(_, s)| s.served + later(s.priority))
            .map(|(i, s)| (i, s.work)),
    }
}

/// Who gives its pages up for one that needs some: who would be served last, if that is not before it. It may be itself.
pub(crate) fn victim(needs: &Rank, running: &[Rank]) -> Option<usize> {
    running.iter().enumerate().filter(|(_, rank)| *rank >= needs).max_by_key(|(_, rank)| **rank).map(|(i, _)| i)
}

/// Who gives its place up for one that waits, the last of them first: those that sit out, and those that are less urgent and come after it.
pub(crate) fn outranked(waiting: &Rank, running: &[Rank]) -> Vec<usize> {
    let mut all: Vec<usize> = (0..running.len()).filter(|i| running[*i].gives_way_to(waiting)).collect();
    all.sort_unstable_by_key(|i| std::cmp::Reverse(running[*i]));
    all
}

#[cfg(test)]
mod tests;
