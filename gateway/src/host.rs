//! Everything that a request may touch, behind one `Arc`: a snapshot that is never changed. A reload builds the next one and
//! swaps it in; requests in flight keep theirs.
//!
//! Apart because it is the only place where facts become things: routes with their chains and legs. It must not know HTTP.

mod build;
mod chains;
mod legs;
mod passage;
mod patterns;
mod route;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use build::BuildError;
pub(crate) use passage::Passage;
pub(crate) use route::{Lean, Legs};
pub use route::{Route, RouteTools};

use crate::clock::{Clock, Ids};
use crate::config::facts::{Facts, KeyFact, ModelFact};
use crate::config::keys::KeyRing;
use crate::dialects::Seal;
use crate::limits::{KeyState, Limiter};
use crate::observe::Metrics;
use crate::records::Records;
use crate::services::fetch::Fetcher;
use crate::upstreams::Upstream;
use crate::upstreams::cache::Cache;
use crate::upstreams::remote::Clients;
use crate::upstreams::state::LegStates;

/// The present snapshot: whoever serves a request loads it once.
pub type HostCell = ArcSwap<Host>;

/// What outlives a reload.
#[derive(Debug)]
pub struct Shared {
    /// The plugin host: engines, pools, ticks.
    pub plugins: gatewright_plugins::Host,
    /// The response cache.
    pub cache: Cache,
    /// The records.
    pub records: Records,
    /// The metrics.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids.
    pub ids: Ids,
    /// What keys have used.
    pub limiter: Limiter,
    /// Models that are open, by name.
    pub engines: Engines,
    /// How legs fare.
    pub legs: Arc<LegStates>,
    /// HTTP clients of the providers, with their pools.
    pub clients: Clients,
    /// Knows the gateway's own reasoning again.
    pub seal: Seal,
    /// Which leg answers which conversation.
    pub affinities: crate::upstreams::affinity::Affinities,
    /// What was thought before tools were called.
    pub thoughts: crate::life::recall::Thoughts,
    /// Answers that are made in the background.
    pub background: crate::life::background::Background,
}

/// A model of the embedded engine that is open.
#[derive(Clone)]
pub struct OpenModel {
    /// What it was opened for.
    pub fact: ModelFact,
    /// Digest of its files, as they were then.
    pub files: [u8; 32],
    /// Who answers.
    pub upstream: Arc<dyn Upstream>,
}

/// Models of the embedded engine that are open, by the name that clients use.
#[derive(Default)]
pub struct Engines(Mutex<BTreeMap<String, OpenModel>>);

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engines")
    }
}

impl Engines {
    /// Adds a model, or replaces the one of that name for requests that come after the next reload.
    pub fn add(&self, model: OpenModel) {
        self.lock().insert(model.fact.name.clone(), model);
    }

    /// The model of that name. Whose adapter a name is the facts say: what is open may still be of those before.
    pub fn get(&self, name: &str) -> Option<OpenModel> {
        self.lock().get(name).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<String, OpenModel> {
        self.lock().clone()
    }

    /// Gives up those whose names are not wanted. Requests in flight keep theirs to their end.
    pub(crate) fn keep(&self, wanted: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| wanted(name));
    }

    /// Takes these in place of what there is.
    pub(crate) fn put_back(&self, models: BTreeMap<String, OpenModel>) {
        *self.lock() = models;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, OpenModel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One configuration at work.
#[derive(Debug)]
pub struct Host {
    /// The facts it was built from.
    pub facts: Facts,
    /// Clients' keys.
    pub keys: KeyRing,
    /// What outlives it.
    pub shared: Arc<Shared>,
    /// Unix seconds at which it was built.
    pub built_at: u64,
    /// Whether some provider demands thought in a history of calls.
    pub(crate) recalls: bool,
    /// Whether a condition asks for request headers.
    pub(crate) reads_headers: bool,
    /// The plugins that are in service, by name.
    pub plugins: BTreeMap<String, Arc<gatewright_plugins::Plugin>>,
    /// By SHA-256 of the key's text.
    key_states: HashMap<[u8; 32], Arc<KeyState>>,
    /// By the plugins that a key brings; without any for all others.
    ways: BTreeMap<Vec<String>, build::Ways>,
    /// Paths that pass through, by provider.
    passages: Vec<Arc<Passage>>,
    /// Who fetches for plugins, by plugin.
    fetchers: BTreeMap<String, Fetcher>,
}

impl Host {
    /// Builds a snapshot.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded and every name that leads nowhere, all at once.
    pub fn build(facts: Facts, shared: &Arc<Shared>) -> Result<Self, BuildError> {
        build::build(facts, shared)
    }

    /// The route that a model name means for a key: one that is listed, one whose name has `*`, or `provider/model` where the provider
    /// passes any model through.
    pub fn route(&self, key: Option<&KeyFact>, model: &str) -> Option<Arc<Route>> {
        self.ways(key)?.route(model)
    }

    /// Everything that is listed, by name: what a name with `*` means is not.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.ways(None).into_iter().flat_map(|ways| ways.routes.values())
    }

    fn ways(&self, key: Option<&KeyFact>) -> Option<&build::Ways> {
        self.ways.get(key.map_or(&[][..], |key| &key.plugins))
    }

    /// Paths that pass through, by provider.
    pub(crate) fn passages(&self) -> &[Arc<Passage>] {
        &self.passages
    }

    /// Who fetches for a plugin, where it may.
    pub(crate) fn fetcher(&self, plugin: &str) -> Option<&Fetcher> {
        self.fetchers.get(plugin)
    }

    /// What a key has used.
    pub(crate) fn limits_of(&self, key: &KeyFact) -> Option<Arc<KeyState>> {
        self.key_states.get(&key.sha256).cloned()
    }
}
