//! Whether a leg is worth asking. Closed, it is asked; when too many tries of it fail it opens, and is left alone for a while; then it
//! is half open: a bounded number of probes decides. One that has too much to do rests, and is asked again as before: it answers, and a
//! probe would only wait at the end of its queue.
//!
//! Apart because it is pure: time and the outcome of tries are handed in. It must not know requests, nor what a fault is: `health`
//! says what counts.

use std::time::{Duration, Instant};

use super::rolling::Rolling;
use crate::config::facts::BreakerFact;

/// What a try says of the leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Good,
    /// It began to answer, and nobody waited for the end.
    Began,
    /// It fails.
    Bad,
    /// It has too much to do, and wants to be left alone for so long.
    Busy(Option<Duration>),
    /// Nothing: the caller was to blame, or did not wait.
    Nothing,
}

/// Leave to ask, until the try has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    probe: bool,
    /// Which opening it came after: what began before says nothing of what is now.
    era: u32,
}

impl Permit {
    /// Whether it is one of those that decide if the leg is asked again.
    pub const fn is_probe(&self) -> bool {
        self.probe
    }
}

/// As the breaker is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    Closed,
    /// It is probed.
    HalfOpen,
    /// It is left alone for so long.
    Open(Duration),
}

impl Standing {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open(_) => "open",
        }
    }

    /// Its figure in the metrics.
    pub const fn level(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open(_) => 2,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Closed,
    Resting {
        until: Instant,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        probing: u32,
    },
}

const GOOD: usize = 0;
const BAD: usize = 1;
const BUSY: usize = 2;

/// The breaker of one leg.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    phase: Phase,
    counts: Rolling<3>,
    era: u32,
    /// Times that it opened for failures since an answer last went well to its end: each is longer.
    trips: u32,
}

/// How long somebody is to wait where all probes are under way.
const PROBED: Duration = Duration::from_secs(1);

impl Breaker {
    /// Asks for leave.
    ///
    /// # Errors
    /// How long the leg is left alone.
    pub fn ask(&mut self, rules: &BreakerFact, now: Instant) -> Result<Permit, Duration> {
        if !rules.enabled {
            return Ok(Permit { probe: false, era: self.era });
        }
        if let Phase::Open { until } | Phase::Resting { until } = self.phase {
            match (until.saturating_duration_since(now), self.phase) {
                (Duration::ZERO, Phase::Open { .. }) => self.phase = Phase::HalfOpen { probing: 0 },
                (Duration::ZERO, _) => self.close(),
                (left, _) => return Err(left),
            }
        }
        match &mut self.phase {
            Phase::HalfOpen { probing } if *probing >= rules.probes.max(1) => Err(PROBED),
            Phase::HalfOpen { probing } => {
                *probing += 1;
                Ok(Permit { probe: true, era: self.era })
            }
            _ => Ok(Permit { probe: false, era: self.era }),
        }
    }

    /// A try speaks: a probe has done its work with that, and what it comes to counts like any other's. One that is cut after its first
    /// word takes nothing back of how long the leg is left alone next time.
    pub fn spoke(&mut self, permit: &mut Permit) {
        if permit.probe && permit.era == self.era {
            self.close();
            *permit = Permit { probe: false, era: self.era };
        }
    }

    /// A try has ended so. Whether the breaker opened with it.
    pub fn ended(&mut self, permit: Permit, health: Health, (rules, now): (&BreakerFact, Instant)) -> bool {
        if permit.era != self.era || !rules.enabled {
            return false;
        }
        if health == Health::Good {
            self.trips = 0;
        }
        match (&mut self.phase, permit.probe) {
            (Phase::HalfOpen { probing }, true) => {
                *probing = probing.saturating_sub(1);
                match health {
                    Health::Nothing => return false,
                    Health::Good | Health::Began => self.close(),
                    Health::Bad => self.trip(rules, now),
                    Health::Busy(after) => self.rest(after, rules, now),
                }
                matches!(health, Health::Bad | Health::Busy(_))
            }
            (Phase::Closed, false) => self.count(health, rules, now),
            _ => false,
        }
    }

    /// Whether it is asked like any other, and was not left alone lately.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// How it stands.
    pub fn standing(&self, rules: &BreakerFact, now: Instant) -> Standing {
        match self.phase {
            _ if !rules.enabled => Standing::Closed,
            Phase::Closed => Standing::Closed,
            Phase::HalfOpen { .. } => Standing::HalfOpen,
            Phase::Resting { until } if until <= now => Standing::Closed,
            Phase::Open { until } | Phase::Resting { until } => match until.saturating_duration_since(now) {
                Duration::ZERO => Standing::HalfOpen,
                left => Standing::Open(left),
            },
        }
    }

    /// Failures are one rule and having too much to do another: each is judged by its own share of all tries.
    fn count(&mut self, health: Health, rules: &BreakerFact, now: Instant) -> bool {
        let kind = match health {
            Health::Good | Health::Began => GOOD,
            Health::Bad => BAD,
            Health::Busy(_) => BUSY,
            Health::Nothing => return false,
        };
        self.counts.add(kind, (rules.window, now));
        let sums = self.counts.sums(rules.window, now);
        let tries: u64 = sums.iter().sum();
        let enough = kind != GOOD && tries >= u64::from(rules.least.max(1));
        if !enough || sums[kind].saturating_mul(100) < tries.saturating_mul(u64::from(rules.percent)) {
            return false;
        }
        match health {
            Health::Busy(after) => self.rest(after, rules, now),
            _ => self.trip(rules, now),
        }
        true
    }

    /// Opens for failures: twice as long as the time before.
    fn trip(&mut self, rules: &BreakerFact, now: Instant) {
        let rest = rules.rest.saturating_mul(1 << self.trips.min(16)).min(rules.longest_rest);
        self.trips = self.trips.saturating_add(1);
        self.shut(Phase::Open { until: now + rest });
    }

    /// Rests for as long as the leg itself asks.
    fn rest(&mut self, after: Option<Duration>, rules: &BreakerFact, now: Instant) {
        self.shut(Phase::Resting { until: now + after.unwrap_or(rules.rest).min(rules.longest_rest) });
    }

    fn shut(&mut self, phase: Phase) {
        self.phase = phase;
        self.era = self.era.wrapping_add(1);
        self.counts.clear();
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.era = self.era.wrapping_add(1);
        self.counts.clear();
    }
}

#[cfg(test)]
mod tests;
