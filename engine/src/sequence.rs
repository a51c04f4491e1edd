//! One choice while it is generated: its place in the prompt, its cache, its generator, its answer. Dropping it frees all.
//!
//! Apart because it is all the state that a generation has: weights are shared and only read, so that nothing can leak from one
//! request to another. It must not know who else runs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use gatewright_types::Delta;

use crate::answer::{Answer, Progress};
use crate::error::EngineError;
use crate::grammar::Guide;
use crate::layers::cache::KvCache;
use crate::logprobs::Scored;
use crate::ops::EngineBackend;
use crate::queue::Job;
use crate::reasoning::Channel;
use crate::sample::shaping::{History, Shaping};
use crate::sample::{Draws, Sampler, sample};
use crate::tokens::Vocabulary;

/// What a sequence is given when it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// The request's number.
    pub(crate) request: u64,
    /// Index among the choices.
    pub(crate) choice: u32,
    /// The step of its arrival: who came before it has waited longer.
    pub(crate) served: u64,
    /// Bytes that its keys and values can come to.
    pub(crate) claim: u64,
}

/// One choice of one request.
pub(crate) struct Sequence<B: EngineBackend> {
    /// The request's number.
    pub(crate) request: u64,
    /// The step that it last ran in, or came in.
    pub(crate) served: u64,
    /// Index among the choices.
    pub(crate) choice: u32,
    /// Bytes that its keys and values can come to.
    pub(crate) claim: u64,
    pub(crate) cache: KvCache<B>,
    /// Which of the model's adapters, if any.
    pub(crate) adapter: Option<usize>,
    prompt: Arc<[u32]>,
    read: usize,
    last: [u32; 1],
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

impl<B: EngineBackend> Sequence<B> {
    /// A sequence that has read nothing.
    pub(crate) fn new(job: &Job, ticket: Ticket, parts: (KvCache<B>, &Vocabulary)) -> Self {
        Self {
            request: ticket.request,
            served: ticket.served,
            choice: ticket.choice,
            claim: ticket.claim,
            cache: parts.0,
            adapter: job.adapter,
            prompt: job.prompt.clone(),
            read: 0,
            last: [0],
            sampler: job.plan.sampler,
            shaping: job.plan.shaping.clone(),
            history: History::new(&job.prompt, &job.plan.shaping),
            logprobs: job.plan.logprobs,
            draws: Draws::new(job.seed, ticket.choice),
            forced: VecDeque::new(),
            guide: job.guide.clone(),
            answer: Answer::new(ticket.choice, &job.opening, parts.1),
        }
    }

    /// Tokens of the prompt that are not read yet.
    pub(crate) fn unread(&self) -> usize {
        self.prompt.len() - self.read
    }

    /// Whether no step ran yet.
    pub(crate) fn is_new(&self) -> bool {
        self.read == 0
    }

    /// The cache, and the tokens to run next: `n` of the prompt, or the last one.
    pub(crate) fn next(&mut self, n: usize) -> (&mut KvCache<B>, &[u32]) {
        let tokens = match self.prompt.get(self.read..(self.read + n).min(self.prompt.len())) {
            Some(tokens) if !tokens.is_empty() => tokens,
            _ => &self.last,
        };
        (&mut self.cache, tokens)
    }

    /// Counts tokens of the prompt that were run.
    pub(crate) fn has_read(&mut self, n: usize) {
        self.read = (self.read + n).min(self.prompt.len());
    }

    /// Takes over what a sibling computed of the same prompt, all of it.
    pub(crate) fn take_prompt(&mut self, sibling: KvCache<B>) {
        self.cache = sibling;
        self.read = self.prompt.len();
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
        self.last = [id];
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
