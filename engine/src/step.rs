//! The loop of the thread that owns the device: admit, plan, run, draw, emit; then again, or sleep.
//!
//! Apart because it is where everything meets, and nowhere else. It must not wait for a reader: a sequence whose channel is full sits
//! out.

mod admission;
mod open;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::answer::Progress;
use crate::error::EngineError;
use crate::layers::Rows;
use crate::layers::cache::Pool;
use crate::layers::decoder::Decoder;
use crate::memory::KvMemory;
use crate::ops::EngineBackend;
use crate::pages::PageBook;
use crate::queue::Queue;
use crate::schedule::{Rank, Turn, Work};
use crate::sequence::Sequence;
use crate::tokens::Vocabulary;
use open::{Open, Pace};

/// The thread's state.
pub(crate) struct Worker<B: EngineBackend> {
    model: Decoder<B>,
    pool: Pool<B>,
    book: Rc<RefCell<PageBook>>,
    vocabulary: Arc<Vocabulary>,
    queue: Arc<Queue>,
    memory: KvMemory,
    requests: BTreeMap<u64, Open>,
    /// Choices of requests that have no place or no pages, in the order in which they are let in.
    waiting: BTreeMap<Rank, Sequence>,
    running: Vec<Sequence>,
    arrived: u64,
    steps: u64,
    pace: Pace,
}

impl<B: EngineBackend> Worker<B> {
    /// A worker without work.
    pub(crate) fn new(model: Decoder<B>, vocabulary: Arc<Vocabulary>, queue: Arc<Queue>, memory: KvMemory) -> Self {
        Self {
            pool: model.pool(memory.pages()),
            book: Rc::new(RefCell::new(PageBook::new(memory.pages(), memory.idle_pages()))),
            model,
            vocabulary,
            queue,
            memory,
            requests: BTreeMap::new(),
            waiting: BTreeMap::new(),
            running: Vec::new(),
            arrived: 0,
            steps: 0,
            pace: Pace::default(),
        }
    }

    /// Works until nobody asks any more and all that was asked is done.
    pub(crate) fn run(mut self) {
        loop {
            let worked = guarded("the engine", || Ok(self.advance()));
            self.tell();
            match worked {
                Ok(true) => {}
                Ok(false) if self.requests.is_empty() && self.queue.is_done() => break,
                Ok(false) => self.queue.wait(self.requests.values().filter_map(Open::deadline).min()),
                Err(fault) => self.give_up(&fault),
            }
        }
    }

    /// Fails all that is open: what they had computed cannot be trusted. Who still waits in the queue is served.
    fn give_up(&mut self, fault: &EngineError) {
        std::mem::take(&mut self.requests).into_values().for_each(|mut open| open.fail(fault.clone()));
        self.running.clear();
        self.waiting.clear();
        self.forget_pages();
    }

    /// Lets in who may come, and does a step if somebody can run.
    fn advance(&mut self) -> bool {
        self.forget_the_gone();
        self.take_in();
        self.admit();
        let turn = self.plan();
        if turn.is_empty() {
            return false;
        }
        self.steps += 1;
        self.step(&turn);
        true
    }

    fn step(&mut self, turn: &Turn) {
        let (mut finished, mut failed) = (Vec::new(), false);
        if !turn.write.is_empty() {
            let logits = self.forward(&turn.write, Work::Write);
            failed = logits.is_err();
            self.take(&turn.write, logits, &mut finished);
        }
        // If that failed, it begins anew in the next step.
        if let Some((at, work)) = turn.read.filter(|_| !failed) {
            let logits = self.forward(&[at], work);
            match logits {
                // Nothing is drawn before all is read.
                Ok(logits) if logits.is_empty() => {}
                logits => self.take(&[at], logits, &mut finished),
            }
        }
        finished.sort_unstable();
        for at in finished.into_iter().rev() {
            self.running.swap_remove(at);
        }
    }

    /// Runs the sequences at these indexes; a panic of the backend becomes an error of those sequences alone.
    fn forward(&mut self, who: &[usize], work: Work) -> Result<Vec<f32>, EngineError> {
        let rows = if matches!(work, Work::Read(_)) { Rows::Prefill } else { Rows::Decode };
        let spans: Vec<_> = who.iter().filter_map(|at| self.running.get(*at)).map(|sequence| sequence.span(work)).collect();
        let (model, pool) = (&self.model, &mut self.pool);
        let logits = guarded("the device", || model.forward(pool, &spans, rows));
        if logits.is_err() {
            self.begin_anew();
            return logits;
        }
        for at in who {
            let Some(sequence) = self.running.get_mut(*at) else { continue };
            sequence.served = self.steps;
            sequence.ran(work);
            if let Some(open) = self.requests.get(&sequence.request).filter(|_| sequence.choice == 0) {
                open.tell(sequence.reading());
            }
        }
        logits
    }

    /// Draws a token for each sequence from its row of logits, in the order of the indexes, and emits what it says.
    fn take(&mut self, who: &[usize], logits: Result<Vec<f32>, EngineError>, finished: &mut Vec<usize>) {
        let (vocab, now) = (self.model.vocab(), Instant::now());
        let rows: Vec<_> = match &logits {
            Ok(logits) => logits.chunks_exact(vocab).map(Ok).collect(),
            Err(fault) => who.iter().map(|_| Err(fault.clone())).collect(),
        };
        let stats = self.queue.stats.clone();
        let mut stats = stats.lock();
        for (at, row) in who.iter().zip(rows) {
            let Some(sequence) = self.running.get_mut(*at) else { continue };
            let Some(open) = self.requests.get_mut(&sequence.request) else { continue };
            let mut out = Vec::new();
            let vocabulary = &self.vocabulary;
            match row.and_then(|row| guarded("the writing of text", || sequence.accept(row, vocabulary, &mut out))) {
                Ok(progress) => {
                    open.wrote(sequence, now, &mut stats);
                    if progress == Progress::Done {
                        finished.push(*at);
                        open.finish(sequence.counts(), &mut out);
                    }
                }
                Err(fault) => {
                    finished.push(*at);
                    open.fail(fault);
                }
            }
            let sent = out.into_iter().try_for_each(|delta| open.send(delta));
            if sent.is_err() || open.is_done() {
                // The reader left, or has all: the sequence is forgotten before the next step.
                self.pace.ended(open, now);
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

#[cfg(test)]
mod tests;
