//! A route as requests take it: legs, chain, tools and figures, all linked.
//!
//! Apart because every stage reads it. It must not know how it was configured.

use std::sync::Arc;
use std::time::Duration;

use gatewright_plugins::Chain;
use gatewright_types::ToolDefinition;

use crate::config::facts::ToolLoopFact;
use crate::life::ears::Ears;
use crate::observe::{PluginMetrics, RouteMetrics, UpstreamMetrics};
use crate::upstreams::dispatch::Leg;

/// The tools of a route's plugins, as they are offered to the model.
#[derive(Debug)]
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

/// A route.
#[derive(Debug)]
pub struct Route {
    /// The name that clients use as `model`.
    pub name: String,
    /// Who may answer, in order.
    pub(crate) legs: Vec<Leg>,
    /// Digest of the legs: who would answer, with which settings.
    pub(crate) digest: [u8; 32],
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
    /// Figures of one of its legs.
    pub(crate) fn leg_metrics(&self, leg: &str) -> Option<&UpstreamMetrics> {
        self.leg_metrics.iter().find(|(name, _)| name == leg).map(|(_, metrics)| &**metrics)
    }

    /// Figures of one of its plugins.
    pub(crate) fn plugin_metrics(&self, plugin: &str) -> Option<&PluginMetrics> {
        self.plugins.metrics.iter().find(|(name, _)| name == plugin).map(|(_, metrics)| &**metrics)
    }

    /// Whether the same plugins in the same order act on both.
    pub(crate) fn same_chain(&self, other: &Self) -> bool {
        self.plugins.names == other.plugins.names
    }
}
