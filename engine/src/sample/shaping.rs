//! What a request adds to and takes from the logits before anything is drawn: `logit_bias` and penalties.
//!
//! Apart because greedy answers are shaped as well. Penalties are as their makers define them:
//! * `presence_penalty` and `frequency_penalty` (OpenAI): `logit - count * frequency - (count > 0) * presence`, where `count` is how
//!   often the token was generated; the prompt does not count.
//! * `repetition_penalty` (Hugging Face transformers, after <https://arxiv.org/abs/1909.05858>): the logit of a token of the prompt or the
//!   answer is divided by it if above 0, and else multiplied.
//!
//! It must not know how a token is chosen.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a request asks for; each is applied to a token on its own, so that no order of tokens matters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shaping {
    pub(crate) presence: f32,
    pub(crate) frequency: f32,
    /// Above 0; 1 changes nothing.
    pub(crate) repetition: f32,
    /// Token id, and what is added to its logit.
    pub(crate) bias: Vec<(u32, f32)>,
}

impl Default for Shaping {
    fn default() -> Self {
        Self { presence: 0.0, frequency: 0.0, repetition: 1.0, bias: Vec::new() }
    }
}

/// What one sequence has read and written, as far as its penalties ask.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Tokens of prompt and answer.
    seen: BTreeSet<u32>,
    /// How often each token was generated.
    generated: BTreeMap<u32, u32>,
}

impl History {
    /// What begins with this prompt.
    pub(crate) fn new(prompt: &[u32], shaping: &Shaping) -> Self {
        let seen = if shaping.repeats() { prompt.iter().copied().collect() } else { BTreeSet::new() };
        Self { seen, generated: BTreeMap::new() }
    }

    /// Takes note of a generated token.
    pub(crate) fn push(&mut self, id: u32, shaping: &Shaping) {
        if shaping.repeats() {
            self.seen.insert(id);
        }
        if shaping.counts() {
            *self.generated.entry(id).or_default() += 1;
        }
    }
}

impl Shaping {
    fn repeats(&self) -> bool {
        self.repetition != 1.0
    }

    fn counts(&self) -> bool {
        self.presence != 0.0 || self.frequency != 0.0
    }

    /// The logits that are drawn from.
    pub(crate) fn apply<'a>(&self, logits: &'a [f32], history: &History) -> Cow<'a, [f32]> {
        if !self.repeats() && !self.counts() && self.bias.is_empty() {
            return Cow::Borrowed(logits);
        }
        let mut shaped = logits.to_vec();
        let mut change = |id: u32, how: &dyn Fn(f32) -> f32| {
            if let Some(logit) = shaped.get_mut(id as usize) {
                *logit = how(*logit);
            }
        };
        for (id, bias) in &self.bias {
            change(*id, &|logit| logit + bias);
        }
        for id in &history.seen {
            change(*id, &|logit| if logit > 0.0 { logit / self.repetition } else { logit * self.repetition });
        }
        for (id, count) in &history.generated {
            change(*id, &|logit| logit - self.frequency * *count as f32 - self.presence);
        }
        Cow::Owned(shaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(shaping: &Shaping, prompt: &[u32], generated: &[u32]) -> Vec<f32> {
        let mut history = History::new(prompt, shaping);
        generated.iter().for_each(|id| history.push(*id, shaping));
        shaping.apply(&[2.0, -2.0, 0.0, 4.0], &history).into_owned()
    }

    #[test]
    fn penalties_are_those_of_openai() {
        let presence = Shaping { presence: 0.5, ..Shaping::default() };
        assert_eq!(shaped(&presence, &[3], &[0, 0, 1]), [1.5, -2.5, 0.0, 4.0], "once, however often; not for the prompt");
        let frequency = Shaping { frequency: 0.25, ..Shaping::default() };
        assert_eq!(shaped(&frequency, &[3], &[0, 0, 1]), [1.5, -2.25, 0.0, 4.0]);
        let reward = Shaping { presence: -1.0, frequency: -0.5, ..Shaping::default() };
        assert_eq!(shaped(&reward, &[], &[2]), [2.0, -2.0, 1.5, 4.0]);
    }

    #[test]
    fn repetition_is_that_of_transformers() {
        let repetition = Shaping { repetition: 2.0, ..Shaping::default() };
        assert_eq!(shaped(&repetition, &[3, 3], &[0, 1, 1]), [1.0, -4.0, 0.0, 2.0], "prompt and answer, once");
    }

    #[test]
    fn a_bias_is_added_before_penalties() {
        let shaping = Shaping { repetition: 2.0, bias: vec![(1, 6.0), (9, 1.0)], ..Shaping::default() };
        assert_eq!(shaped(&shaping, &[1], &[]), [2.0, 2.0, 0.0, 4.0], "and an id that there is not changes nothing");
    }

    #[test]
    fn nothing_asked_is_nothing_copied() {
        let (shaping, logits) = (Shaping::default(), [1.0, 2.0]);
        let mut history = History::new(&[0], &shaping);
        history.push(1, &shaping);
        assert!(matches!(shaping.apply(&logits, &history), Cow::Borrowed(_)));
    }
}
