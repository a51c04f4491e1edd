//! A request some of whose choices are not finished: where its deltas go, what it used, how long it took.
//!
//! Apart because all its choices share it. It must not know tensors or pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_types::{Delta, Prefill, Usage};

use crate::answer::MOST_DELTAS;
use crate::error::EngineError;
use crate::queue::{Job, Outlet, Seat};
use crate::sequence::Sequence;
use crate::stats::EngineStats;
use crate::tokens::Vocabulary;

/// How much the last request's time counts in [`Pace`].
const NEWEST: f64 = 0.2;

/// A request some of whose choices are not finished.
pub(super) struct Open {
    outlet: Outlet,
    _seat: Seat,
    /// Choices that are not finished.
    left: u32,
    usage: Usage,
    came: Instant,
    deadline: Option<Instant>,
    /// When it was let in, if it was.
    began: Option<Instant>,
    prefill: Arc<Prefill>,
}

impl Open {
    pub(super) fn new(job: Job, seat: Seat, vocabulary: &Vocabulary) -> Self {
        let (reasoning, cached) = (vocabulary.think().map(|_| 0), Some(0));
        Self {
            usage: Usage { prompt: job.prompt.len() as u64, reasoning, cached, ..Usage::default() },
            outlet: job.outlet,
            _seat: seat,
            left: job.plan.choices,
            came: job.came,
            deadline: job.deadline,
            began: None,
            prefill: job.prefill,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether nobody reads what it says.
    pub(super) fn is_left(&self) -> bool {
        self.outlet.is_closed()
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Deltas that its reader has room for.
    pub(super) fn room(&self) -> usize {
        self.outlet.capacity()
    }

    /// Whether its reader has room for one more choice beside so many, and for so much that it pays to compute again what that gave up.
    pub(super) fn has_room(&self, beside: usize) -> bool {
        self.room() >= (MOST_DELTAS * (beside + 1)).max(self.outlet.max_capacity() / 2)
    }

    pub(super) fn send(&self, delta: Delta) -> Result<(), EngineError> {
        self.outlet.try_send(Ok(delta)).map_err(|_| EngineError::Step("the reader left".to_owned()))
    }

    pub(super) fn tell(&self, reading: (usize, usize)) {
        self.prefill.tell(reading);
    }

    /// One of its choices was let in; so many tokens of the prompt are known. What is known when it comes again does not count.
    pub(super) fn begins(&mut self, now: Instant, known: usize, stats: &mut EngineStats) {
        if self.began.is_none() {
            self.began = Some(now);
            self.usage.cached = Some(known as u64);
            stats.prompt_tokens += self.usage.prompt;
            stats.cached_tokens += known as u64;
        }
    }

    /// One of its choices wrote a token.
    pub(super) fn wrote(&self, sequence: &mut Sequence, now: Instant, stats: &mut EngineStats) {
        stats.generated_tokens += 1;
        match sequence.wrote.replace(now) {
            Some(last) => stats.between_tokens.note(now - last),
            None if sequence.choice == 0 => stats.first_token.note(now - self.came),
            None => {}
        }
    }

    /// Counts one choice as finished; with the last one, the usage of all is said.
    pub(super) fn finish(&mut self, (generated, reasoning): (u64, u64), out: &mut Vec<Delta>) {
        self.left -= 1;
        self.usage.completion += generated;
        self.usage.reasoning = self.usage.reasoning.map(|sum| sum + reasoning);
        if self.left == 0 {
            out.push(Delta::Usage(self.usage.clone()));
        }
    }

    /// The request's last word. Room for it was seen before the step; if the reader left meanwhile, nobody misses it.
    pub(super) fn fail(&mut self, fault: EngineError) {
        let _ = self.outlet.try_send(Err(fault));
        self.left = 0;
    }

    /// Ends it if its time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.fail(EngineError::Deadline { began: self.began.is_some() });
        }
    }
}

/// How long requests take, once they are let in.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Seconds; the newest count most.
    mean: Option<f64>,
}

impl Pace {
    pub(super) fn ended(&mut self, open: &Open, now: Instant) {
        let Some(began) = open.began else { return };
        let took = (now - began).as_secs_f64();
        self.mean = Some(self.mean.map_or(took, |mean| mean + NEWEST * (took - mean)));
    }

    /// Until one of so many ends, if they end as those before did, one after the other.
    pub(super) fn next(&self, running: usize) -> Duration {
        Duration::try_from_secs_f64(self.mean.unwrap_or_default() / running.max(1) as f64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_that_run_is_done_sooner_than_one_alone() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(3), Duration::ZERO);
        pace.mean = Some(12.0);
        assert_eq!((pace.next(0), pace.next(4)), (Duration::from_secs(12), Duration::from_secs(3)));
    }
}
