//! Legs in trouble: when they are left alone, asked again, or helped out by another.
//!
//! Apart because these are numbers and no names. It must not know who keeps the rules.

use super::super::facts::{BreakerFact, HedgeFact, RetryFact};
use super::super::raw::{Hedge, Root};
use super::Resolver;

impl Resolver<'_> {
    pub(super) fn breaker(&mut self, root: &Root) -> BreakerFact {
        let (raw, default) = (&root.breaker, BreakerFact::default());
        let longest_rest = self.span("/breaker/longest_rest", raw.longest_rest.as_ref(), default.longest_rest);
        let rest = self.span("/breaker/rest", raw.rest.as_ref(), default.rest.min(longest_rest));
        if rest > longest_rest {
            self.complain("/breaker/rest", "this is longer than `longest_rest`", None);
        }
        BreakerFact {
            enabled: raw.enabled.unwrap_or(default.enabled),
            percent: raw.percent.unwrap_or(default.percent),
            least: raw.least.unwrap_or(default.least),
            window: self.span("/breaker/window", raw.window.as_ref(), default.window),
            rest,
            longest_rest,
            probes: raw.probes.unwrap_or(default.probes),
        }
    }

    pub(super) fn retries(&self, root: &Root) -> RetryFact {
        let default = RetryFact::default();
        RetryFact { percent: root.retries.percent.unwrap_or(default.percent), least: root.retries.least.unwrap_or(default.least) }
    }

    pub(super) fn hedge(&mut self, at: &str, raw: &Hedge) -> HedgeFact {
        if raw.after.is_none() && raw.percentile.is_none() {
            let hint = "give `after`, `percentile` or both".to_owned();
            self.complain_key(at, "nothing says when a second leg is asked", Some(hint));
        }
        let after = raw.after.as_ref().map(|text| self.span(&format!("{at}/after"), Some(text), Default::default()));
        HedgeFact { after, percentile: raw.percentile }
    }
}
