//! A route as requests take it: legs, chain, tools and figures, all linked.
//!
//! Apart because every stage reads it. It must not know how it was configured.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use gatewright_plugins::Chain;
use gatewright_types::{ChatRequest, ToolDefinition};

use crate::conditions::{Seen, Undecided};
use crate::config::facts::{CareFact, RuleFact, Strategy, ToolLoopFact};
use crate::life::ears::Ears;
use crate::observe::{PluginMetrics, RouteMetrics, UpstreamMetrics};
use crate::upstreams::Deadline;
use crate::upstreams::dispatch::{Asking, Leg, draw};
use crate::upstreams::pick::{self, Lot};

/// The tools of a route's plugins, as they are offered to the model.
#[derive(Clone, Debug)]
pub struct RouteTools {
    /// Bounds of the loop.
    pub fact: ToolLoopFact,
    /// What is offered.
    pub tools: Vec<ToolDefinition>,
}

/// The plugins of a route, linked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plugins {
    /// `None` where no plugin acts.
    pub(crate) chain: Option<Chain>,
    pub(crate) names: Arc<[String]>,
    /// Of all that act, shadows among them.
    pub(crate) ears: Ears,
    /// Of those that are enforced; `None` where none is.
    pub(crate) enforced_ears: Option<Ears>,
    pub(crate) metrics: Arc<[(String, Arc<PluginMetrics>)]>,
}

/// Where a conversation would stay.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lean<'a> {
    /// What lots are drawn by.
    pub(crate) lot: Option<&'a str>,
    /// The leg that answered it last.
    pub(crate) leg: Option<&'a str>,
}

/// Who may answer, in order.
#[derive(Clone, Debug)]
pub(crate) struct Legs {
    pub(crate) legs: Vec<Leg>,
    /// Who would answer, with which settings.
    pub(crate) digest: [u8; 32],
}

impl Legs {
    /// These, in this order.
    pub(crate) fn of(legs: Vec<Leg>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for leg in &legs {
            hasher.update(&leg.place);
        }
        Self { digest: *hasher.finalize().as_bytes(), legs }
    }

    /// Those that are for this request: all where none has a condition.
    ///
    /// # Errors
    /// A condition that could not be evaluated, be the leg needed or not.
    pub(crate) fn fitting(&self, seen: &Seen<'_>) -> Result<Cow<'_, Self>, Undecided> {
        if self.legs.iter().all(|leg| leg.when.is_none()) {
            return Ok(Cow::Borrowed(self));
        }
        let mut fitting = Vec::with_capacity(self.legs.len());
        for leg in &self.legs {
            if leg.when.as_ref().map_or(Ok(true), |condition| condition.holds(seen))? {
                fitting.push(leg.clone());
            }
        }
        Ok(Cow::Owned(Self::of(fitting)))
    }
}

/// Which of a route's legs stay with the operator.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// None.
    Nobody,
    /// All.
    Everybody,
    /// These.
    Some(Legs),
}

/// A route as the requests of some keys take it: those that bring no plugins of their own, or those that bring the same.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name that clients use as `model`.
    pub name: String,
    pub(crate) legs: Legs,
    /// In which order they are asked.
    pub(crate) strategy: Strategy,
    /// Whether a conversation keeps its leg.
    pub(crate) sticky: bool,
    pub(crate) home: Home,
    /// Whether a request that comes here never leaves.
    pub(crate) local_only: bool,
    /// Rules for requests, its own first.
    pub(crate) rules: Arc<[RuleFact]>,
    /// What is done for its answers.
    pub(crate) care: CareFact,
    pub(crate) plugins: Plugins,
    /// How long answers are cached, if they are.
    pub(crate) cache: Option<Duration>,
    pub(crate) tools: Option<RouteTools>,
    /// Whether what no plugin can inspect is refused.
    pub(crate) strict: bool,
    /// For all rounds of an answer.
    pub(crate) max_time: Duration,
    pub(crate) metrics: Arc<RouteMetrics>,
    pub(crate) leg_metrics: Vec<(String, Arc<UpstreamMetrics>)>,
    /// Who owns the model, for the list of models.
    pub(crate) owner: String,
}

impl Route {
    /// The legs that stay with the operator.
    pub(crate) fn local_legs(&self) -> Option<&Legs> {
        match &self.home {
            Home::Nobody => None,
            Home::Everybody => Some(&self.legs),
            Home::Some(legs) => Some(legs),
        }
    }

    /// A model call: some of its legs, in the order in which they are asked.
    pub(crate) fn asking<'a>(&self, legs: &'a Legs, call: (Arc<ChatRequest>, Deadline, Lean<'_>)) -> Asking<'a> {
        let (request, deadline, lean) = call;
        Asking { legs: self.order(legs, lean), request, deadline, whole: self.whole_time(), care: self.care }
    }

    /// How long an answer may take with all its rounds.
    fn whole_time(&self) -> Duration {
        self.tools.as_ref().map_or(self.max_time, |tools| tools.fact.max_time.min(self.max_time))
    }

    fn order<'a>(&self, legs: &'a Legs, lean: Lean<'_>) -> Cow<'a, [Leg]> {
        let drawn = || Lot::Drawn(if self.strategy == Strategy::Ordered { 0 } else { draw() });
        let ordered = pick::order(&legs.legs, self.strategy, lean.lot.map_or_else(drawn, Lot::Of));
        match lean.leg {
            Some(leg) => pick::first(ordered, leg),
            None => ordered,
        }
    }

    /// Figures of one of its legs.
    pub(crate) fn leg_metrics(&self, leg: &str) -> Option<&UpstreamMetrics> {
        self.leg_metrics.iter().find(|(name, _)| name == leg).map(|(_, metrics)| &**metrics)
    }

    /// Figures of one of its plugins.
    pub(crate) fn plugin_metrics(&self, plugin: &str) -> Option<Arc<PluginMetrics>> {
        self.plugins.metrics.iter().find(|(name, _)| name == plugin).map(|(_, metrics)| Arc::clone(metrics))
    }

    /// Whether the same plugins in the same order act on both.
    pub(crate) fn same_chain(&self, other: &Self) -> bool {
        self.plugins.names == other.plugins.names
    }
}
