//! Log probabilities of an answer's tokens, given with the text that they wrote and not before.
//!
//! Apart because text may be held back, or cut off where a stop text ends it, and what tells of it must be too. They are of the model's
//! own distribution, before any control of the request (as vLLM's `raw_logprobs`). This is the one place of the engine that writes JSON of a
//! wire: [`Delta::Logprobs`] has the shape of OpenAI's API. It must not know how a token is chosen.

use std::collections::VecDeque;

use gatewright_types::RawJson;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::tokens::Vocabulary;

#[cfg(doc)]
use gatewright_types::Delta;

/// What stands for the logarithm of 0, which JSON has no number for; OpenAI's.
const NEVER: f64 = -9999.0;

/// A token and how likely it and others were.
#[derive(Debug)]
pub(crate) struct Scored {
    token: (u32, f64),
    /// The likeliest, first.
    top: Vec<(u32, f64)>,
}

impl Scored {
    /// The token `id`, and the `top` likeliest. The sum is taken in the order of ids.
    pub(crate) fn of(logits: &[f32], id: u32, top: usize) -> Self {
        let logit = |l: f32| if l.is_nan() { f64::NEG_INFINITY } else { f64::from(l) };
        let most = logits.iter().map(|l| logit(*l)).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|l| (logit(*l) - most).exp()).sum();
        let logprob = |l: f64| (l - most - sum.ln()).max(NEVER);
        let mut all: Vec<(u32, f64)> = if top == 0 { Vec::new() } else { (0u32..).zip(logits.iter().map(|l| logit(*l))).collect() };
        let likelier = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if top < all.len() {
            all.select_nth_unstable_by(top, likelier);
            all.truncate(top);
        }
        all.sort_unstable_by(likelier);
        let own = logits.get(id as usize).map_or(f64::NEG_INFINITY, |l| logit(*l));
        Self { token: (id, logprob(own)), top: all.into_iter().map(|(id, l)| (id, logprob(l))).collect() }
    }

    fn json(&self, vocabulary: &Vocabulary) -> Value {
        let one = |(id, logprob): &(u32, f64)| {
            let bytes = vocabulary.bytes(*id);
            json!({ "token": String::from_utf8_lossy(&bytes), "logprob": logprob, "bytes": bytes })
        };
        let mut entry = one(&self.token);
        if let Some(fields) = entry.as_object_mut() {
            fields.insert("top_logprobs".into(), self.top.iter().map(one).collect());
        }
        entry
    }
}

/// Entries that wait for the text of their tokens.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Where the text of each begins, in bytes of all text that was written.
    entries: VecDeque<(usize, Scored)>,
    written: usize,
    given: usize,
}

impl Waiting {
    /// Takes the entry of a token whose text is written next, behind `held` bytes that are to be written before.
    pub(crate) fn note(&mut self, scored: Scored, held: usize) {
        self.entries.push_back((self.written + held, scored));
    }

    /// Forgets the entries of what was not written: it turned out to be no text of the answer.
    pub(crate) fn forget(&mut self) {
        let written = self.written;
        self.entries.retain(|(start, _)| *start < written);
    }

    /// Counts text that was written, given or not.
    pub(crate) fn write(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// Entries of text that is given now, as JSON; `None` if there are none.
    pub(crate) fn give(&mut self, bytes: usize, vocabulary: &Vocabulary) -> Option<RawJson> {
        self.given += bytes;
        let given = self.given;
        let due = self.entries.iter().take_while(|(start, _)| *start < given).count();
        let due: Vec<Value> = self.entries.drain(..due).map(|(_, scored)| scored.json(vocabulary)).collect();
        if due.is_empty() { None } else { to_raw_value(&json!({ "content": due, "refusal": null })).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_equals_stand_in_the_order_of_ids() {
        let logits = [1.0f32, 3.0, f32::NAN, 3.0, f32::NEG_INFINITY];
        let scored = Scored::of(&logits, 0, 5);
        assert_eq!(scored.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 0, 2, 4]);
        let sum: f64 = scored.top.iter().map(|(_, l)| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert_eq!(scored.top[4].1, NEVER);
        assert!((scored.token.1 - (-2.0 - (2.0f64 + (-2.0f64).exp()).ln())).abs() < 1e-12, "{scored:?}");
        assert!(Scored::of(&logits, 0, 0).top.is_empty());
    }
}
