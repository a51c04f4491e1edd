//! How many further tries a leg may cause: a share of the requests of the last ten seconds and a few a second besides, so that retries
//! and hedges never multiply an outage.
//!
//! Apart because it is pure: time is handed in. It must not know why something is asked again.

use std::time::{Duration, Instant};

use super::rolling::Rolling;
use crate::config::facts::RetryFact;

/// What it looks back on.
const SPAN: Duration = Duration::from_secs(10);

const ASKED: usize = 0;
const AGAIN: usize = 1;

/// The budget of one leg.
#[derive(Clone, Debug, Default)]
pub struct Budget(Rolling<2>);

impl Budget {
    /// A request comes to the leg for the first time.
    pub fn asked(&mut self, now: Instant) {
        self.0.add(ASKED, (SPAN, now));
    }

    /// Takes a further try out of it, if there is one left.
    pub fn take(&mut self, rules: &RetryFact, now: Instant) -> bool {
        let [asked, again] = self.0.sums(SPAN, now);
        let allowed = u64::from(rules.least).saturating_mul(SPAN.as_secs()) + asked.saturating_mul(u64::from(rules.percent)) / 100;
        let left = again < allowed;
        if left {
            self.0.add(AGAIN, (SPAN, now));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_comes_back_when_the_seconds_have_passed() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let rules = RetryFact { percent: 20, least: 1 };
        assert_eq!((0..50).filter(|_| budget.take(&rules, now)).count(), 10);
        assert_eq!((0..50).filter(|_| budget.take(&rules, now + SPAN)).count(), 10);
        let none = RetryFact { percent: 0, least: 0 };
        assert!(!Budget::default().take(&none, now));
    }

    proptest! {
        #[test]
        fn further_tries_are_never_more_than_a_share_and_a_few(
            steps in prop::collection::vec((0u64..800, any::<bool>()), 1..400),
            percent in 0u32..60,
            least in 0u32..3,
        ) {
            let (mut budget, mut now) = (Budget::default(), Instant::now());
            let rules = RetryFact { percent, least };
            let (mut asked, mut again) = (Vec::new(), Vec::new());
            for (millis, first) in steps {
                now += Duration::from_millis(millis);
                if first {
                    budget.asked(now);
                    asked.push(now);
                } else if budget.take(&rules, now) {
                    again.push(now);
                }
                let since = |list: &[Instant], span: Duration| list.iter().filter(|at| now - **at < span).count() as u64;
                let most = u64::from(least) * 10 + since(&asked, SPAN + Duration::from_millis(1)) * u64::from(percent) / 100;
                // Those that were allowed when more was asked stay in the count until they are forgotten.
                if !first && again.last() == Some(&now) {
                    prop_assert!(since(&again, SPAN * 9 / 10) <= most.max(1));
                }
            }
        }
    }
}
