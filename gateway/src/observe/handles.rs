//! What the stages hold to record figures: one handle per route, leg or plugin, its counters resolved once.
//!
//! Apart so that the hot path never builds labels. It must not know how they are exposed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gatewright_plugins::{Tally, Trip};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::metrics::Counters;
use super::names::Name;
use super::outcome::Outcome;
use crate::money::Nanos;

/// What a look into the cache found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// An answer.
    Hit,
    /// Nothing.
    Miss,
    /// The same request in flight.
    Shared,
    /// It was not looked.
    Bypass,
}

impl CacheResult {
    pub(super) const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Shared, Self::Bypass];

    /// The word in the metrics and in the records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Bypass => "bypass",
        }
    }
}

/// What sort of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Of the prompt, cached ones included.
    Prompt,
    /// Of the prompt's, read from the upstream's own cache.
    Cached,
    /// Generated, thought included.
    Completion,
    /// Of those, thought.
    Reasoning,
}

impl TokenKind {
    pub(super) const ALL: [Self; 4] = [Self::Prompt, Self::Cached, Self::Completion, Self::Reasoning];

    /// The word in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Cached => "cached",
            Self::Completion => "completion",
            Self::Reasoning => "reasoning",
        }
    }
}

/// How a try at a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// It spoke.
    Spoke,
    /// It failed and the same leg was tried again.
    Retried,
    /// It failed and the leg was given up.
    Failed,
    /// It failed and the leg was given up, for its retry budget was spent.
    Withheld,
    /// The leg is left alone: it was not asked.
    Skipped,
    /// It was let go, for another leg that was asked beside it spoke.
    Lost,
}

impl AttemptOutcome {
    pub(super) const ALL: [Self; 6] = [Self::Spoke, Self::Retried, Self::Failed, Self::Withheld, Self::Skipped, Self::Lost];

    /// The word in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spoke => "spoke",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Withheld => "withheld",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
        }
    }
}

/// Which port a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The clients'.
    Client,
    /// The operator's.
    Admin,
}

impl Port {
    /// The word in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Admin => "admin",
        }
    }
}

/// Figures of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    pub(super) route: String,
    pub(super) ok: Counter,
    pub(super) outcomes: Counters,
    pub(super) in_flight: Gauge,
    pub(super) duration: Histogram,
    pub(super) first_delta: Histogram,
    pub(super) tokens: [Counter; 4],
    pub(super) cache: [Counter; 4],
    pub(super) cost: Counter,
    pub(super) compared: Counter,
}

impl RouteMetrics {
    /// A request begins; it is in flight until the guard drops.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request settled so, this long after its head was read.
    pub fn settled(&self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Ok => self.ok.inc(),
            other => self.outcomes.get(Name::Requests, &[&self.route, other.as_str()]).inc(),
        };
        self.duration.observe(took.as_secs_f64());
    }

    /// The first delta with content came this long after the head was read.
    pub fn first_delta(&self, took: Duration) {
        self.first_delta.observe(took.as_secs_f64());
    }

    /// Tokens of this kind were used.
    pub fn tokens(&self, kind: TokenKind, count: u64) {
        if let Some(counter) = self.tokens.get(kind as usize).filter(|_| count > 0) {
            counter.inc_by(count);
        }
    }

    /// A request cost so much, and would have cost so much of the model that costs are compared with, as far as that is known.
    pub fn cost(&self, cost: Option<Nanos>, compared: Option<Nanos>) {
        for (counter, nanos) in [(&self.cost, cost), (&self.compared, compared)] {
            if let Some(Nanos(nanos)) = nanos.filter(|nanos| *nanos > Nanos(0)) {
                counter.inc_by(nanos);
            }
        }
    }

    /// The cache was looked into.
    pub fn cache(&self, result: CacheResult) {
        if let Some(counter) = self.cache.get(result as usize) {
            counter.inc();
        }
    }
}

/// One request in flight; it is over when this drops.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Figures of one leg.
#[derive(Debug)]
pub struct UpstreamMetrics {
    pub(super) attempts: [Counter; 6],
    pub(super) first_item: Histogram,
    pub(super) lost: Counter,
}

impl UpstreamMetrics {
    /// A try that was let go may have cost this.
    pub fn lost(&self, cost: Option<Nanos>) {
        if let Some(Nanos(nanos)) = cost {
            self.lost.inc_by(nanos);
        }
    }

    /// A try ended so; `took` is the time to its first item or to its failure.
    pub fn attempt(&self, outcome: AttemptOutcome, took: Duration) {
        if let Some(counter) = self.attempts.get(outcome as usize) {
            counter.inc();
        }
        if outcome == AttemptOutcome::Spoke {
            self.first_item.observe(took.as_secs_f64());
        }
    }
}

/// What a plugin goes outside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// It fetches.
    Fetch,
    /// It asks a model.
    Question,
}

/// Figures of one plugin.
#[derive(Debug)]
pub struct PluginMetrics {
    pub(super) plugin: String,
    pub(super) counters: Counters,
    pub(super) passes: Counter,
    pub(super) errors: Counter,
    pub(super) calls: Counter,
    pub(super) duration: Histogram,
    pub(super) memory: Gauge,
}

impl PluginMetrics {
    /// It did this so often. `did` is a word of the plugin host's record; an unknown one is counted as `other`.
    pub fn did(&self, did: &str, count: u64) {
        if did == "pass" {
            // What nearly every text comes to.
            self.passes.inc_by(count);
            return;
        }
        const WORDS: [&str; 9] = ["pass", "edit", "hold", "block", "answer", "reask", "set", "note", "error"];
        let (shadow, word) = did.strip_prefix("shadow:").map_or((false, did), |word| (true, word));
        let word = if WORDS.contains(&word) { word } else { "other" };
        let label = if shadow { format!("shadow:{word}") } else { word.to_owned() };
        self.counters.get(Name::PluginActions, &[&self.plugin, &label]).inc_by(count);
        if word == "error" {
            self.errors.inc_by(count);
        }
    }

    /// It cost a request this.
    pub fn cost(&self, tally: &Tally) {
        self.calls.inc_by(tally.calls);
        self.duration.observe(tally.time.as_secs_f64());
        self.memory.inner().fetch_max(i64::try_from(tally.memory).unwrap_or(i64::MAX), Ordering::Relaxed);
        for (trip, count) in Trip::ALL.iter().zip(tally.trips).filter(|(_, count)| *count > 0) {
            self.counters.get(Name::PluginTrips, &[&self.plugin, trip.as_str()]).inc_by(count.into());
        }
    }

    /// It went outside so: `ok`, `denied`, `limit` or `failed`.
    pub fn errand(&self, errand: Errand, outcome: &'static str) {
        let name = match errand {
            Errand::Fetch => Name::PluginFetches,
            Errand::Question => Name::PluginQuestions,
        };
        self.counters.get(name, &[&self.plugin, outcome]).inc();
    }

    /// Its questions to models used tokens of this kind: `prompt` or `completion`.
    pub fn tokens(&self, kind: &'static str, count: u64) {
        if count > 0 {
            self.counters.get(Name::PluginTokens, &[&self.plugin, kind]).inc_by(count);
        }
    }
}
