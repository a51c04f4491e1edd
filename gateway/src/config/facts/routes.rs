//! Routes: which legs may answer a name, in which order, under which rules.
//!
//! Apart because it is what operators change most. It must not know how a leg is asked.

use std::sync::Arc;
use std::time::Duration;

use super::HedgeFact;
use crate::conditions::Condition;
use crate::money::Price;
pub use crate::upstreams::pick::Strategy;

/// A route: a name clients ask for, a chain, legs in order.
#[derive(Clone, Debug)]
pub struct RouteFact {
    /// Name that clients use as `model`; with `*` in it, all names that it means.
    pub name: String,
    /// Legs, tried until one speaks. Never empty.
    pub legs: Vec<LegFact>,
    /// In which order: of those that are no fallbacks.
    pub strategy: Strategy,
    /// Whether a conversation keeps its order.
    pub sticky: bool,
    /// Plugins in order; `None` is the default chain.
    pub plugins: Option<Vec<String>>,
    /// Whether answers are cached, and for how long.
    pub cache: Option<Duration>,
    /// Whether tools of the chain's plugins are offered to the model and run here.
    pub tools: Option<ToolLoopFact>,
    /// Whether a request with a part that no plugin can inspect is refused.
    pub strict: bool,
    /// Whether a request that comes here never leaves.
    pub local_only: bool,
    /// Rules for requests for which a condition holds.
    pub rules: Vec<RuleFact>,
    /// When a second leg is asked.
    pub hedge: Option<HedgeFact>,
    /// Time for the first word of a stream.
    pub first_token: Option<Duration>,
}

impl RouteFact {
    /// A route of these legs with the default chain and nothing else.
    pub fn plain(name: &str, legs: Vec<LegFact>) -> Self {
        let name = name.to_owned();
        let (strategy, sticky) = (Strategy::Ordered, false);
        Self {
            name,
            legs,
            strategy,
            sticky,
            plugins: None,
            cache: None,
            tools: None,
            strict: false,
            local_only: false,
            rules: Vec::new(),
            hedge: None,
            first_token: None,
        }
    }
}

/// What becomes of a request for which a condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFact {
    /// The condition.
    pub when: Arc<Condition>,
    /// The name that it goes on to.
    pub to: Option<String>,
    /// Whether it never leaves from then on.
    pub local_only: bool,
}

/// Bounds of the gateway's own tool loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolLoopFact {
    /// Model calls at most.
    pub max_rounds: u32,
    /// Wall time for all rounds.
    pub max_time: Duration,
}

/// One leg of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegFact {
    /// Who answers.
    pub to: LegTarget,
    /// Model name to ask for there; `*` is what stands in place of it in the name that the client asked for.
    pub model: String,
    /// Its share among the legs, where they have shares.
    pub weight: u32,
    /// Whether it is asked only after all that are no fallbacks.
    pub fallback: bool,
    /// Whether it is asked only after another one said that the request is too long for it.
    pub for_long: bool,
    /// Which requests it is for; all without one.
    pub when: Option<Arc<Condition>>,
}

impl LegFact {
    /// A leg with a share like any other.
    pub fn new(to: LegTarget, model: impl Into<String>) -> Self {
        Self { to, model: model.into(), weight: 1, fallback: false, for_long: false, when: None }
    }
}

/// Paths of a provider that are passed through unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassFact {
    /// What follows `/v1/`; `*` at the end is any rest.
    pub paths: Vec<String>,
    /// Plugins in order; `None` is the default chain. An enforced one lets nothing pass.
    pub plugins: Option<Vec<String>>,
}

/// Who answers a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegTarget {
    /// A provider, by name.
    Provider(String),
    /// The embedded engine.
    Engine,
}

/// The model that costs are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceFact {
    /// `provider/model`.
    pub name: String,
    /// What it costs.
    pub price: Price,
}
