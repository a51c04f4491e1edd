//! The loop of the thread that owns the device: admit, plan, run, draw, emit; then again, or sleep.
//!
//! Apart because it is where everything meets, and nowhere else. It must not wait for a reader: a sequence whose channel is full sits
//! out.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gatewright_types::{Delta, Usage};

use crate::answer::{MOST_DELTAS, Progress};
use crate::error::EngineError;
use crate::layers::Rows;
use crate::layers::decoder::{Decoder, Span, Wanted};
use crate::memory::KvMemory;
use crate::ops::EngineBackend;
use crate::queue::{Job, Outlet, Queue, Seat};
use crate::schedule::{Seen, Turn, turn};
use crate::sequence::{Sequence, Ticket};
use crate::tokens::Vocabulary;

/// A request some of whose choices are not finished.
struct Open {
    outlet: Outlet,
    _seat: Seat,
    /// Choices that are not finished.
    left: u32,
    usage: Usage,
}

/// The thread's state.
pub(crate) struct Worker<B: EngineBackend> {
    model: Decoder<B>,
    vocabulary: Arc<Vocabulary>,
    queue: Arc<Queue>,
    memory: KvMemory,
    requests: BTreeMap<u64, Open>,
    /// Choices of admitted requests that have no room yet.
    waiting: VecDeque<Sequence<B>>,
    running: Vec<Sequence<B>>,
    admitted: u64,
    steps: u64,
}

impl<B: EngineBackend> Worker<B> {
    /// A worker without work.
    pub(crate) fn new(model: Decoder<B>, vocabulary: Arc<Vocabulary>, queue: Arc<Queue>, memory: KvMemory) -> Self {
        Self {
            model,
            vocabulary,
            queue,
            memory,
            requests: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            admitted: 0,
            steps: 0,
        }
    }

    /// Works until nobody asks any more and all that was asked is done.
    pub(crate) fn run(mut self) {
        loop {
            match guarded("the engine", || Ok(self.advance())) {
                Ok(true) => {}
                Ok(false) if self.requests.is_empty() && self.queue.is_done() => break,
                Ok(false) => self.queue.wait(),
                Err(fault) => self.give_up(&fault),
            }
        }
    }

    /// Fails all that is open: what they had computed cannot be trusted. Who still waits in the queue is served.
    fn give_up(&mut self, fault: &EngineError) {
        self.running.clear();
        self.waiting.clear();
        std::mem::take(&mut self.requests).into_values().for_each(|mut open| open.fail(fault.clone()));
    }

    /// Lets in who may come, and does a step if somebody can run.
    fn advance(&mut self) -> bool {
        self.forget_the_gone();
        self.admit();
        let turn = turn(&self.seen());
        if turn.is_empty() {
            return false;
        }
        self.steps += 1;
        self.step(&turn);
        true
    }

    fn forget_the_gone(&mut self) {
        self.requests.retain(|_, open| !open.outlet.is_closed());
        let requests = &self.requests;
        self.running.retain(|s| requests.contains_key(&s.request));
        self.waiting.retain(|s| requests.contains_key(&s.request));
        self.queue.sweep();
    }

    /// In the order of arrival: who needs much memory is not passed by others who need less.
    fn admit(&mut self) {
        let mut free = self.memory.bytes().saturating_sub(self.running.iter().map(|s| s.claim).sum());
        while self.running.len() < self.memory.most_running() {
            if self.waiting.front().is_some_and(|next| next.claim > free) {
                break;
            } else if let Some(sequence) = self.waiting.pop_front() {
                free -= sequence.claim;
                self.running.push(sequence);
            } else if let Some((job, seat)) = self.queue.take() {
                self.open(job, seat);
            } else {
                break;
            }
        }
    }

    fn open(&mut self, job: Job, seat: Seat) {
        self.admitted += 1;
        let (request, served) = (self.admitted, self.steps);
        let claim = self.memory.claim(job.prompt.len().saturating_add(job.opening.limit));
        let ticket = |choice| Ticket { request, choice, served, claim };
        let new = |choice| Sequence::new(&job, ticket(choice), (self.model.cache(), &self.vocabulary));
        self.waiting.extend((0..job.plan.choices).map(new));
        let usage = Usage { prompt: job.prompt.len() as u64, reasoning: self.vocabulary.think().map(|_| 0), ..Usage::default() };
        self.requests.insert(request, Open { outlet: job.outlet, _seat: seat, left: job.plan.choices, usage });
    }

    fn seen(&self) -> Vec<Seen> {
        let mut planned: BTreeMap<u64, usize> = BTreeMap::new();
        let seen = self.running.iter().map(|s| {
            // Room for all choices of a request at once: they share one channel.
            let claims = planned.entry(s.request).or_default();
            *claims += MOST_DELTAS;
            let room = self.requests.get(&s.request).map_or(0, |open| open.outlet.capacity());
            // The first choice reads the prompt for its siblings.
            let reads_for_me = |o: &Sequence<B>| o.request == s.request && o.choice == 0 && o.unread() > 0;
            let waits = s.choice > 0 && s.is_new() && self.running.iter().any(reads_for_me);
            Seen { unread: s.unread(), ready: room >= *claims && !waits, served: s.served }
        });
        seen.collect()
    }

    fn step(&mut self, turn: &Turn) {
        let mut finished = Vec::new();
        if !turn.decode.is_empty() {
            let logits = self.forward(&turn.decode, 1, (Rows::Decode, Wanted::Last));
            self.take(&turn.decode, logits, &mut finished);
        }
        if let Some((at, n)) = turn.prefill {
            let whole = self.running.get(at).is_some_and(|s| s.unread() == n);
            let wanted = if whole { Wanted::Last } else { Wanted::Nothing };
            let logits = self.forward(&[at], n, (Rows::Prefill, wanted));
            if let Some(sequence) = self.running.get_mut(at) {
                sequence.has_read(n);
            }
            match logits {
                Ok(_) if !whole => {}
                Ok(logits) => {
                    let all = self.share_prompt(at);
                    let logits = logits.repeat(all.len());
                    self.take(&all, Ok(logits), &mut finished);
                }
                failed => self.take(&[at], failed, &mut finished),
            }
        }
        finished.sort_unstable();
        for at in finished.into_iter().rev() {
            self.running.swap_remove(at);
        }
    }

    /// Runs the sequences at these indexes, `n` tokens each; a panic of the backend becomes an error of those sequences alone.
    fn forward(&mut self, who: &[usize], n: usize, what: (Rows, Wanted)) -> Result<Vec<f32>, EngineError> {
        let mut spans = Vec::with_capacity(who.len());
        for (at, sequence) in self.running.iter_mut().enumerate() {
            if who.contains(&at) {
                sequence.served = self.steps;
                let adapter = sequence.adapter;
                let (cache, tokens) = sequence.next(n);
                spans.push(Span { cache, tokens, wanted: what.1, adapter });
            }
        }
        let model = &self.model;
        guarded("the device", || model.forward(&mut spans, what.0))
    }

    /// Gives what the sequence read to its running siblings that have not begun. It and they, by index.
    fn share_prompt(&mut self, at: usize) -> Vec<usize> {
        let Some((request, cache)) = self.running.get(at).map(|s| (s.request, s.cache.clone())) else { return Vec::new() };
        let mut all = vec![at];
        for (i, sibling) in self.running.iter_mut().enumerate() {
            if sibling.request == request && sibling.is_new() {
                sibling.take_prompt(cache.clone());
                all.push(i);
            }
        }
        all.sort_unstable();
        all
    }

    /// Draws a token for each sequence from its row of logits, in the order of the indexes, and emits what it says.
    fn take(&mut self, who: &[usize], logits: Result<Vec<f32>, EngineError>, finished: &mut Vec<usize>) {
        let vocab = self.model.vocab();
        let rows: Vec<_> = match &logits {
            Ok(logits) => logits.chunks_exact(vocab).map(Ok).collect(),
            Err(fault) => who.iter().map(|_| Err(fault.clone())).collect(),
        };
        for (at, row) in who.iter().zip(rows) {
            let Some(sequence) = self.running.get_mut(*at) else { continue };
            let Some(open) = self.requests.get_mut(&sequence.request) else { continue };
            let mut out = Vec::new();
            let vocabulary = &self.vocabulary;
            match row.and_then(|row| guarded("the writing of text", || sequence.accept(row, vocabulary, &mut out))) {
                Ok(Progress::Open) => {}
                Ok(Progress::Done) => {
                    finished.push(*at);
                    open.finish(sequence.counts(), &mut out);
                }
                Err(fault) => {
                    finished.push(*at);
                    open.fail(fault);
                }
            }
            let sent = out.into_iter().try_for_each(|delta| open.outlet.try_send(Ok(delta)));
            if sent.is_err() || open.left == 0 {
                // The reader left, or has all: the sequence is forgotten before the next step.
                self.requests.remove(&sequence.request);
            }
        }
    }
}

/// Runs what may panic; a panic is a fault of those it was run for, and the thread goes on.
fn guarded<T>(who: &str, work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(EngineError::Step(format!("{who} failed: {}", said.unwrap_or_default())))
    })
}

impl Open {
    /// Counts one choice as finished; with the last one, the usage of all is said.
    fn finish(&mut self, (generated, reasoning): (u64, u64), out: &mut Vec<Delta>) {
        self.left -= 1;
        self.usage.completion += generated;
        self.usage.reasoning = self.usage.reasoning.map(|sum| sum + reasoning);
        if self.left == 0 {
            out.push(Delta::Usage(self.usage.clone()));
        }
    }

    /// The request's last word. Room for it was seen before the step; if the reader left meanwhile, nobody misses it.
    fn fail(&mut self, fault: EngineError) {
        let _ = self.outlet.try_send(Err(fault));
        self.left = 0;
    }
}

#[cfg(test)]
mod tests;
