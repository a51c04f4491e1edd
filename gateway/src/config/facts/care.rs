//! How much is done for an answer: when a leg is left alone, how often it is asked again, when a second one is asked beside it.
//!
//! Apart because these are rules of numbers. It must not know who keeps them.

use std::time::Duration;

/// When a leg is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerFact {
    /// Whether one ever is.
    pub enabled: bool,
    /// Tries in a hundred that must fail.
    pub percent: u32,
    /// Of so many tries at least.
    pub least: u32,
    /// Within this time.
    pub window: Duration,
    /// For how long, the first time; each further time is twice as long.
    pub rest: Duration,
    /// For how long at most.
    pub longest_rest: Duration,
    /// Requests at once that find out whether it answers again.
    pub probes: u32,
}

impl BreakerFact {
    /// Where nobody says otherwise.
    pub const DEFAULT: Self = Self {
        enabled: true,
        percent: 50,
        least: 20,
        window: Duration::from_secs(30),
        rest: Duration::from_secs(5),
        longest_rest: Duration::from_secs(120),
        probes: 1,
    };
}

impl Default for BreakerFact {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How much more may be asked of a leg than is asked of the gateway, retries and second requests together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryFact {
    /// Of a hundred requests of the last ten seconds.
    pub percent: u32,
    /// A second, besides.
    pub least: u32,
}

impl Default for RetryFact {
    fn default() -> Self {
        Self { percent: 20, least: 3 }
    }
}

/// When a second leg is asked beside one that has not begun to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgeFact {
    /// After this long; at least, where there is a percentile too.
    pub after: Option<Duration>,
    /// After the time within which the leg begins in so many of a hundred streams.
    pub percentile: Option<u8>,
}

/// What is done for the answers of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CareFact {
    /// When its legs are left alone.
    pub breaker: BreakerFact,
    /// How much they are asked again.
    pub retries: RetryFact,
    /// When a second one is asked.
    pub hedge: Option<HedgeFact>,
    /// Time that a leg has for the first word of a stream, before the next one is asked.
    pub first_token: Option<Duration>,
}
