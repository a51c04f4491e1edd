//! What an engine is at and has done, in numbers: for whoever runs it.
//!
//! Apart because the loop writes it and others read it. It must not know how numbers are shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds in seconds of what [`Times`] counts; the last count has none.
pub const TIME_BOUNDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

/// How long something took, each time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Of all together, in seconds.
    pub sum: f64,
    /// How often it took at most as long as each of [`TIME_BOUNDS`] and longer than the one before; last, longer than all.
    pub counts: [u64; TIME_BOUNDS.len() + 1],
}

impl Times {
    pub(crate) fn note(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.sum += seconds;
        let at = TIME_BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }
}

/// An engine's numbers at one moment. Those of tokens and times only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Requests some of which runs, or whose prompt is being tokenised.
    pub running: usize,
    /// Requests that wait for their turn, those that gave their pages up among them.
    pub waiting: usize,
    /// Pages of keys and values that sequences hold.
    pub pages_used: usize,
    /// Pages that are kept for prompts to come.
    pub pages_cached: usize,
    /// Pages that hold nothing.
    pub pages_free: usize,
    /// Tokens of prompts that were let in.
    pub prompt_tokens: u64,
    /// Of those, found in pages that were kept.
    pub cached_tokens: u64,
    /// Tokens that were generated.
    pub generated_tokens: u64,
    /// Times that a sequence gave its pages up for another, to be computed again.
    pub preemptions: u64,
    /// Requests that were turned away because too many waited.
    pub refused: u64,
    /// From a request's coming to its first token.
    pub first_token: Times,
    /// From a token to the next of the same choice.
    pub between_tokens: Times,
}

/// The numbers, shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats(Arc<Mutex<EngineStats>>);

impl Stats {
    pub(crate) fn lock(&self) -> MutexGuard<'_, EngineStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_counted_once() {
        let mut times = Times::default();
        for ms in [1, 2, 3, 5, 900_000] {
            times.note(Duration::from_millis(ms));
        }
        assert_eq!((times.counts[0], times.counts[1], times.counts[2], times.counts[14]), (1, 1, 2, 1));
        assert!((times.sum - 900.011).abs() < 1e-9);
    }
}
