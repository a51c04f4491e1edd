//! What became of the tries at legs, as headers and records tell it.
//!
//! Apart because it is told of model calls, not of plugins. It must not know who tries.

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use super::verdicts::{bounded, separate};
use crate::money::Nanos;
use crate::observe::AttemptOutcome;

/// What became of one try at a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    /// Its name.
    pub(crate) leg: String,
    /// `spoke`, `retried`, `failed`, `withheld`, `skipped` or `lost`.
    pub(crate) did: &'static str,
    /// What it failed with.
    pub(crate) why: Option<&'static str>,
    /// Microseconds that it took.
    pub(crate) us: u64,
    /// What a call that was let go may have cost, where that is known. It is in no sum: nobody reported it.
    pub(crate) lost: Option<Nanos>,
    /// The model call that it was made for, counted from 1.
    pub(crate) round: u32,
    /// From when to when.
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

/// How many legs were gone by, and how often one was asked again, until the last model call was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Legs that were asked or passed over before the one that answered.
    pub(crate) fallbacks: usize,
    /// Tries at legs that had failed before.
    pub(crate) retries: usize,
}

/// The same, by the tries. One that is made beside another is no retry, nor a fallback where the other one answers.
pub(crate) fn walked(tries: &[Tried]) -> Walked {
    let is_try = |tried: &&Tried| tried.did != AttemptOutcome::Skipped.as_str();
    let Some(last) = tries.iter().rev().find(|tried| tried.did == AttemptOutcome::Spoke.as_str()) else { return Walked::default() };
    let round = || tries.iter().filter(|tried| tried.round == last.round);
    let mut before: Vec<&str> = round().filter(|tried| tried.began < last.began).map(|tried| tried.leg.as_str()).collect();
    before.sort_unstable();
    before.dedup();
    let again = |tried: &&Tried| round().filter(is_try).any(|other| other.leg == tried.leg && other.ended <= tried.began);
    Walked {
        fallbacks: before.iter().filter(|leg| **leg != last.leg).count(),
        retries: round().filter(is_try).filter(again).count(),
    }
}

/// One try at a leg, or a leg that was passed over.
#[derive(Serialize)]
pub(super) struct Try<'a> {
    leg: &'a str,
    did: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    us: u64,
    /// What a call that was let go may have cost: its prompt, by the leg's price. Not in the request's cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_nanos: Option<u64>,
}

/// The tries of a request, where there is more to tell than that each leg that was asked answered.
pub(super) fn tries(tries: &[Tried]) -> Vec<Try<'_>> {
    let told = |tried: &Tried| tried.did != AttemptOutcome::Spoke.as_str();
    let all = tries.iter().filter(|_| tries.iter().any(told));
    all.map(|Tried { leg, did, why, us, lost, .. }| Try {
        leg,
        did,
        why: *why,
        us: *us,
        lost_nanos: lost.map(|Nanos(nanos)| nanos),
    })
    .collect()
}

/// `openai/a=skipped; openai/b=failed:upstream-timeout; local/c=spoke`, where there is more to tell than that.
pub(super) fn way(of: &[Tried]) -> Option<String> {
    let mut text = String::new();
    for Try { leg, did, why, .. } in tries(of) {
        separate(&mut text);
        let _ = write!(text, "{leg}={did}");
        if let Some(why) = why {
            let _ = write!(text, ":{why}");
        }
    }
    (!text.is_empty()).then(|| bounded(text))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Tries: leg, what it did, when it began and ended, and for which model call.
    fn list(tries: &[(&str, AttemptOutcome, [u64; 2], u32)]) -> Vec<Tried> {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let tried = |(leg, did, [began, ended], round): &(&str, AttemptOutcome, [u64; 2], u32)| Tried {
            leg: (*leg).to_owned(),
            did: did.as_str(),
            why: None,
            us: 0,
            lost: None,
            round: *round,
            began: at(*began),
            ended: at(*ended),
        };
        tries.iter().map(tried).collect()
    }

    #[test]
    fn retries_and_fallbacks_are_those_of_the_call_that_was_answered_and_what_is_asked_beside_is_neither() {
        use AttemptOutcome::{Failed, Lost, Retried, Skipped, Spoke};
        for (what, tries, fallbacks, retries) in [
            ("three rounds", list(&[("a", Spoke, [0, 1], 1), ("a", Spoke, [2, 3], 2), ("a", Spoke, [4, 5], 3)]), 0, 0),
            ("one retry", list(&[("a", Retried, [0, 1], 1), ("a", Spoke, [2, 3], 1)]), 0, 1),
            ("a retry, then the next", list(&[("a", Retried, [0, 1], 1), ("a", Failed, [2, 3], 1), ("b", Spoke, [4, 5], 1)]), 1, 1),
            ("an outage", list(&[("a", Skipped, [0, 0], 1), ("b", Skipped, [1, 1], 1), ("c", Spoke, [2, 3], 1)]), 2, 0),
            ("a hedge that lost", list(&[("b", Lost, [1, 2], 1), ("a", Spoke, [0, 3], 1)]), 0, 0),
            ("a hedge of the same leg", list(&[("a", Lost, [0, 3], 1), ("a", Spoke, [1, 3], 1)]), 0, 0),
            ("a hedge that won", list(&[("a", Lost, [0, 3], 1), ("b", Spoke, [1, 3], 1)]), 1, 0),
            ("a hedge that failed", list(&[("b", Failed, [1, 2], 1), ("a", Spoke, [0, 3], 1)]), 0, 0),
            ("busy, and back", list(&[("a", Failed, [0, 1], 1), ("b", Failed, [2, 3], 1), ("a", Spoke, [4, 5], 1)]), 1, 1),
            ("nobody", list(&[("a", Failed, [0, 1], 1)]), 0, 0),
        ] {
            assert_eq!(walked(&tries), Walked { fallbacks, retries }, "{what}");
        }
    }
}
