//! What became of the tries at legs, as headers and records tell it.
//!
//! Apart because it is told of model calls, not of plugins. It must not know who tries.

use std::fmt::Write as _;

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
    all.map(|Tried { leg, did, why, us, lost }| Try { leg, did, why: *why, us: *us, lost_nanos: lost.map(|Nanos(nanos)| nanos) })
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
