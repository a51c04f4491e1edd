//! One choice while it is generated: its place in the prompt, its pages, its generator, its answer. Dropping it frees all. Its pages it may
//! give up before: all else stays, and what was in them is computed again, of the same tokens and in the same way.
//!
//! Apart because it is all the state that a generation has: weights are shared and only read, so that nothing can leak from one
//! request to another. It must not know who else runs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use gatewright_types::Delta;

use crate::answer::{Answer, Progress};
use crate::error::EngineError;
use crate::grammar::Guide;
use crate::layers::decoder::{Span, Wanted};
use crate::logprobs::Scored;
use crate::pages::{Holding, PAGE};
use crate::queue::Job;
use crate::reasoning::Channel;
use crate::sample::shaping::{History, Shaping};
use crate::sample::{Draws, Sampler, sample};
use crate::schedule::{AGAIN, PIECE, Rank, Work};
use crate::tokens::Vocabulary;

/// One choice of one request.
pub(crate) struct Sequence {
    /// The request's number.
    pub(crate) request: u64,
    /// Index among the choices.
    pub(crate) choice: u32,
    pub(crate) rank: Rank,
    /// The step that it last ran in, or came in.
    pub(crate) served: u64,
    /// Which of the model's adapters, if any.
    adapter: Option<usize>,
    /// When its last token was written.
    pub(crate) wrote: Option<Instant>,
    holding: Holding,
    prompt: Arc<[u32]>,
    /// All that it wrote; the last one was not run yet.
    written: Vec<u32>,
    /// Positions that its pages hold, of the prompt and of what it wrote.
    filled: usize,
    sampler: Sampler,
    shaping: Shaping,
    history: History,
    logprobs: Option<usize>,
    draws: Draws,
    /// Tokens that come next, whatever the model would say.
    forced: VecDeque<u32>,
    guide: Option<Guide>,
    answer: Answer,
}

impl Sequence {
    /// A sequence that has read nothing; `arrival` is the request's number.
    pub(crate) fn new(job: &Job, (arrival, choice): (u64, u32), holding: Holding, vocabulary: &Vocabulary) -> Self {
        Self {
            request: arrival,
            choice,
            rank: Rank::new(job.plan.priority, arrival, choice),
            served: 0,
            wrote: None,
            holding,
            adapter: job.adapter,
            prompt: job.prompt.clone(),
            written: Vec::new(),
            filled: 0,
            sampler: job.plan.sampler,
            shaping: job.plan.shaping.clone(),
            history: History::new(&job.prompt, &job.plan.shaping),
            logprobs: job.plan.logprobs,
            draws: Draws::new(job.seed, choice),
            forced: VecDeque::new(),
            guide: job.guide.clone(),
            answer: Answer::new(choice, &job.opening, vocabulary),
        }
    }

    /// What it does when it runs next.
    pub(crate) fn work(&self) -> Work {
        match self.prompt.len().saturating_sub(self.filled) {
            0 => match (self.prompt.len() + self.written.len()).saturating_sub(self.filled) {
                0 | 1 => Work::Write,
                left => Work::ReadAgain((left - 1).min(AGAIN)),
            },
            unread => Work::Read(unread.min(PIECE)),
        }
    }

    /// How many tokens that runs, and whether a new one is drawn then.
    fn run(&self, work: Work) -> (usize, Wanted) {
        match work {
            Work::Write => (1, Wanted::Last),
            Work::ReadAgain(n) => (n, Wanted::Nothing),
            Work::Read(n) if self.filled + n == self.prompt.len() && self.written.is_empty() => (n, Wanted::Last),
            Work::Read(n) => (n, Wanted::Nothing),
        }
    }

    /// The tokens to run next, and where they go.
    pub(crate) fn span(&self, work: Work) -> Span<'_> {
        let (n, wanted) = self.run(work);
        let tokens = match self.filled.checked_sub(self.prompt.len()) {
            None => &self.prompt[self.filled..self.filled + n],
            Some(at) => self.written.get(at..at + n).unwrap_or_default(),
        };
        Span { pages: self.holding.pages(), filled: self.filled, tokens, wanted, adapter: self.adapter }
    }

    /// Counts what was run, and lets others find what is full of the prompt.
    pub(crate) fn ran(&mut self, work: Work) {
        self.filled += self.run(work).0;
        self.holding.publish(&self.prompt, self.filled);
    }

    /// Takes what is known already of what it would read next. Gives how many tokens that are.
    pub(crate) fn adopt(&mut self) -> usize {
        let before = self.filled;
        self.filled = self.holding.adopt(&self.prompt, self.filled);
        self.filled - before
    }

    /// Takes pages for all tokens that it has so far; they were seen to be there.
    pub(crate) fn settle(&mut self) {
        self.holding.reserve(self.prompt.len() + self.written.len());
    }

    /// Takes pages for what it does next; false if there are not enough.
    pub(crate) fn reserve(&mut self) -> bool {
        let end = self.filled + self.run(self.work()).0;
        let enough = self.holding.reserve(end);
        debug_assert!(self.holding.may_write(self.filled), "a page that others see is written to");
        enough
    }

    /// Pages that it holds, and that all of its tokens take.
    pub(crate) fn pages(&self) -> (usize, usize) {
        (self.holding.pages().len(), (self.prompt.len() + self.written.len()).div_ceil(PAGE))
    }

    /// Gives its pages up: what they held is computed again.
    pub(crate) fn give_up_pages(&mut self) {
        self.holding.clear();
        self.filled = 0;
    }

    /// Tokens of the prompt that are read, and all of them.
    pub(crate) fn reading(&self) -> (usize, usize) {
        (self.filled.min(self.prompt.len()), self.prompt.len())
    }

    /// Takes the logits of its last row, draws the next token and writes what it says.
    ///
    /// # Errors
    /// [`EngineError::Step`] if the greatest of the logits is no finite number; [`EngineError::Unsupported`] if the grammar ended in nothing.
    pub(crate) fn accept(
        &mut self,
        logits: &[f32],
        vocabulary: &Vocabulary,
        out: &mut Vec<Delta>,
    ) -> Result<Progress, EngineError> {
        if self.forced.is_empty() && self.answer.has_thought_enough() {
            self.forced.extend(vocabulary.closing());
        }
        let id = match self.forced.pop_front() {
            Some(id) => id,
            None => self.draw(logits, vocabulary)?,
        };
        self.written.push(id);
        self.history.push(id, &self.shaping);
        let scored = self.logprobs.map(|top| Scored::of(logits, id, top));
        Ok(self.answer.push((id, scored), vocabulary, out))
    }

    /// The next token, of those that the grammar leaves. A thought is free, but it must be closed: an answer has to follow.
    fn draw(&mut self, logits: &[f32], vocabulary: &Vocabulary) -> Result<u32, EngineError> {
        let mut shaped = self.shaping.apply(logits, &self.history);
        let channel = self.answer.channel();
        match (&mut self.guide, channel) {
            (None, _) => {}
            (Some(guide), Channel::Text) => {
                let mut kept = shaped.into_owned();
                guide.keep(&mut kept, vocabulary)?;
                self.answer.keep_lines();
                shaped = Cow::Owned(kept);
            }
            (Some(_), Channel::Reasoning) => {
                let kept = shaped.to_mut();
                let ends = vocabulary.eos().iter();
                ends.for_each(|id| kept.get_mut(*id as usize).into_iter().for_each(|logit| *logit = f32::NEG_INFINITY));
            }
        }
        let drawn = sample(&shaped, self.sampler, &mut self.draws);
        let id = drawn.ok_or_else(|| EngineError::Step("the model computed no finite number".to_owned()))?;
        match (&mut self.guide, channel) {
            (Some(guide), Channel::Text) => guide.take(id, vocabulary)?,
            (Some(_), Channel::Reasoning) if vocabulary.think().is_some_and(|think| think.close == id) => {
                // What the model would write next; the grammar begins behind it.
                self.forced.extend(vocabulary.answering());
            }
            _ => {}
        }
        Ok(id)
    }

    /// Tokens generated, and of those thought.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.answer.generated() as u64, self.answer.reasoning() as u64)
    }
}
