//! One choice's tokens to deltas: text, thought, calls, stop texts, the bounds on tokens, the end.
//!
//! Apart because it is pure: ids in, deltas out. It must not know how the ids came to be. Stop texts are looked for in the visible
//! text alone: neither a thought nor a call is a part of the answer that a client asked to be cut.

use gatewright_types::{Delta, Extras, FinishReason};

use crate::check::thinking::{Shown, Thinking};
use crate::logprobs::{Scored, Waiting};
use crate::reasoning::{Channel, Mark, Splitter};
use crate::repetition::Loops;
use crate::sample::Draws;
use crate::stop::{Scanned, StopScan};
use crate::thought::Thought;
use crate::tokens::{TextStream, Vocabulary};
use crate::tools::{Piece, ToolScan};

/// Deltas that one token can make at most, a `Usage` after the end included.
pub(crate) const MOST_DELTAS: usize = 16;
/// How an answer ends that repeats itself without end; vLLM's word for it.
const REPETITION: &str = "repetition";

/// One choice as it is written.
#[derive(Debug)]
pub(crate) struct Answer {
    choice: u32,
    text: TextStream,
    splitter: Splitter,
    /// Where calls are read.
    tools: Option<ToolScan>,
    stop: StopScan,
    scores: Waiting,
    loops: Loops,
    limit: usize,
    thinking: Thinking,
    /// Calls that were told, and how many may be.
    told: u32,
    calls: u32,
    ids: Draws,
    generated: usize,
    reasoning: usize,
    thought: Thought,
}

/// What an answer begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// The channel that the prompt left open.
    pub(crate) channel: Channel,
    /// Texts that end it.
    pub(crate) stops: Vec<String>,
    /// Tokens at most, at least 1.
    pub(crate) limit: usize,
    pub(crate) thinking: Thinking,
    /// Calls at most; 0 if calls are text like any other.
    pub(crate) calls: u32,
    /// What the ids of calls are drawn with.
    pub(crate) call_seed: u64,
    /// Whether the model was made to think before it answers: that it did not is told.
    pub(crate) thought_due: bool,
}

/// Whether an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More tokens are wanted.
    Open,
    /// A `Finish` was written.
    Done,
}

/// Where deltas go, and what they are read with.
struct Writing<'a> {
    vocabulary: &'a Vocabulary,
    out: &'a mut Vec<Delta>,
}

impl Answer {
    /// An answer without tokens.
    pub(crate) fn new(choice: u32, opening: &Opening, vocabulary: &Vocabulary) -> Self {
        Self {
            choice,
            text: TextStream::default(),
            splitter: Splitter::new(vocabulary.think(), opening.channel),
            tools: (opening.calls > 0).then(ToolScan::default),
            stop: StopScan::new(&opening.stops),
            scores: Waiting::default(),
            loops: Loops::default(),
            limit: opening.limit,
            thinking: opening.thinking,
            told: 0,
            calls: opening.calls,
            ids: Draws::new(opening.call_seed, choice),
            generated: 0,
            reasoning: 0,
            thought: Thought::new(opening),
        }
    }

    /// Where the next token goes.
    pub(crate) fn channel(&self) -> Channel {
        self.splitter.channel()
    }

    /// Tokens so far, the one that ended it included.
    pub(crate) fn generated(&self) -> usize {
        self.generated
    }

    /// Of those, thought, its marks included.
    pub(crate) fn reasoning(&self) -> usize {
        self.reasoning
    }

    /// Whether the thought must end now: it has all the tokens that the request gave it, and its last character is whole.
    pub(crate) fn has_thought_enough(&self) -> bool {
        let spent = self.thinking.budget.is_some_and(|budget| self.reasoning >= budget);
        spent && self.splitter.channel() == Channel::Reasoning && self.text.is_whole()
    }

    /// Takes note that the text that comes is held to a grammar: none of it may be left out.
    pub(crate) fn keep_lines(&mut self) {
        self.splitter.keep_lines();
    }

    /// Takes the next token, and how likely it was if that is wanted, and writes its deltas to `out`.
    pub(crate) fn push(&mut self, (id, scored): (u32, Option<Scored>), vocabulary: &Vocabulary, out: &mut Vec<Delta>) -> Progress {
        let to = &mut Writing { vocabulary, out };
        self.generated += 1;
        if vocabulary.ends(id) {
            return self.end(FinishReason::Stop, to);
        }
        let before = self.splitter.channel();
        let switches = vocabulary.think().is_some_and(|t| id == t.open || id == t.close);
        let held = self.tools.as_ref().map_or(Some(0), ToolScan::held);
        if let (Some(scored), Some(held), Channel::Text, false) = (scored, held, before, switches) {
            self.scores.note(scored, held);
        }
        let scanned = if switches { self.turn(id, to) } else { self.say(id, to) };
        if before == Channel::Reasoning || self.splitter.channel() == Channel::Reasoning {
            self.reasoning += 1;
        }
        let repeats = self.loops.push(id);
        if scanned == Progress::Done {
            return self.finish(FinishReason::Stop, to);
        }
        if repeats {
            return self.end(FinishReason::of(REPETITION), to);
        }
        if self.generated >= self.limit {
            return self.end(FinishReason::Length, to);
        }
        Progress::Open
    }

    fn say(&mut self, id: u32, to: &mut Writing<'_>) -> Progress {
        let piece = self.text.push(to.vocabulary, id);
        self.write(&piece, to)
    }

    /// A token that switches the channel: what the old one held back is written first.
    fn turn(&mut self, id: u32, to: &mut Writing<'_>) -> Progress {
        let progress = self.let_go(to);
        let marked = self.splitter.note(id);
        debug_assert_eq!(marked, Mark::Switch);
        progress
    }

    /// Writes all that was held back; done if a stop text ended in it.
    fn let_go(&mut self, to: &mut Writing<'_>) -> Progress {
        let rest = self.text.finish(to.vocabulary);
        if self.write(&rest, to) == Progress::Done {
            return Progress::Done;
        }
        let pieces = self.tools.as_mut().map(ToolScan::finish).unwrap_or_default();
        if self.tell(pieces, to) == Progress::Done {
            return Progress::Done;
        }
        let held = self.stop.finish();
        self.give(held, to);
        Progress::Open
    }

    /// Writes a piece to the open channel; done if the answer ended in it.
    fn write(&mut self, piece: &str, to: &mut Writing<'_>) -> Progress {
        let piece = self.splitter.push(piece);
        match (self.splitter.channel(), &mut self.tools) {
            (Channel::Reasoning, _) => {
                self.thought.note(&piece);
                if !piece.is_empty() && self.thinking.shown == Shown::Yes {
                    to.out.push(Delta::Reasoning { choice: self.choice, text: piece });
                }
                Progress::Open
            }
            (Channel::Text, None) => self.tell(vec![Piece::Text(piece)], to),
            (Channel::Text, Some(tools)) => {
                let pieces = tools.push(&piece);
                self.tell(pieces, to)
            }
        }
    }

    fn tell(&mut self, pieces: Vec<Piece>, to: &mut Writing<'_>) -> Progress {
        for piece in pieces {
            let (id, name, arguments) = match piece {
                Piece::Text(text) => {
                    self.scores.write(text.len());
                    match self.stop.push(&text) {
                        Scanned::Open(text) => self.give(text, to),
                        Scanned::Stopped(text) => {
                            self.give(text, to);
                            return Progress::Done;
                        }
                    }
                    continue;
                }
                // One more than were asked for: the answer ends before it.
                Piece::Call(_) if self.told >= self.calls => return Progress::Done,
                Piece::Call(name) => {
                    let held = self.stop.finish();
                    self.give(held, to);
                    self.scores.forget();
                    self.told += 1;
                    (Some(format!("call_{:016x}", self.ids.bits())), Some(name), String::new())
                }
                Piece::Arguments(arguments) => (None, None, arguments),
            };
            let index = self.told.saturating_sub(1);
            to.out.push(Delta::ToolCall { choice: self.choice, index, id, name, arguments, extras: Extras::new() });
        }
        Progress::Open
    }

    /// Gives text, behind the log probabilities of its tokens.
    fn give(&mut self, text: String, to: &mut Writing<'_>) {
        if text.is_empty() {
            return;
        }
        let choice = self.choice;
        to.out.extend(self.scores.give(text.len(), to.vocabulary).map(|value| Delta::Logprobs { choice, value }));
        to.out.push(Delta::Text { choice, text });
    }

    fn end(&mut self, reason: FinishReason, to: &mut Writing<'_>) -> Progress {
        let reason = match self.let_go(to) {
            Progress::Done => FinishReason::Stop,
            Progress::Open => reason,
        };
        self.finish(reason, to)
    }

    fn finish(&mut self, reason: FinishReason, to: &mut Writing<'_>) -> Progress {
        let called = self.told > 0;
        let reason = if called && reason == FinishReason::Stop { FinishReason::ToolCalls } else { reason };
        let at = (self.splitter.channel(), self.reasoning);
        to.out.extend(self.thought.missed(at, &reason).map(|around| Delta::Other {
            choice: self.choice,
            delta: Extras::new(),
            around,
        }));
        to.out.push(Delta::Finish { choice: self.choice, reason });
        Progress::Done
    }
}

#[cfg(test)]
mod tests;
