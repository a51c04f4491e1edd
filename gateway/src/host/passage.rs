//! Paths of a provider that are passed through unread, and the route that they count as.
//!
//! Apart because they are no models: nothing is asked there in a dialect. It must not know requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::Builder;
use super::legs::care;
use super::route::{Home, Legs, Route};
use crate::config::facts::{PassFact, ProviderFact, Strategy};
use crate::life::Caller;
use crate::upstreams::remote::Courier;

/// A provider's paths.
#[derive(Debug)]
pub(crate) struct Passage {
    /// Name of the provider.
    pub(crate) provider: String,
    pub(crate) courier: Courier,
    fact: PassFact,
    /// By the plugins that a key brings.
    routes: BTreeMap<Vec<String>, Arc<Route>>,
    /// Of keys that bring none.
    plain: Arc<Route>,
}

impl Passage {
    /// Whether it has this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.fact.paths.iter().any(|known| known.strip_suffix('*').map_or(known == path, |start| path.starts_with(start)))
    }

    /// The route that a caller's requests count as.
    pub(crate) fn route(&self, caller: &Caller) -> Arc<Route> {
        let own = caller.key.as_ref().and_then(|key| self.routes.get(&key.plugins));
        Arc::clone(own.unwrap_or(&self.plain))
    }
}

impl Builder<'_> {
    /// The passages of all providers that have some.
    pub(super) fn passages(&mut self) -> Vec<Arc<Passage>> {
        let facts = self.facts;
        let passed = facts.providers.values().filter_map(|provider| Some((provider, provider.pass.clone()?)));
        let mut passages = Vec::new();
        for (provider, fact) in passed {
            let Some(courier) = self.courier(&provider.name) else { continue };
            let plain = self.passage_route(provider, &[], &fact);
            let own = facts.keys.iter().map(|key| key.plugins.clone()).filter(|plugins| !plugins.is_empty());
            let own: Vec<Vec<String>> = own.collect();
            let routes = own.into_iter().map(|plugins| (plugins.clone(), self.passage_route(provider, &plugins, &fact)));
            let routes = routes.collect();
            passages.push(Arc::new(Passage { provider: provider.name.clone(), courier, fact, routes, plain }));
        }
        passages
    }

    fn passage_route(&mut self, provider: &ProviderFact, of_key: &[String], fact: &PassFact) -> Arc<Route> {
        let plugins = self.plugins(of_key, fact.plugins.as_ref());
        let name = format!("{}/*", provider.name);
        Arc::new(Route {
            strategy: Strategy::Ordered,
            sticky: false,
            legs: Legs::of(Vec::new()),
            leg_metrics: Vec::new(),
            home: if provider.local { Home::Everybody } else { Home::Nobody },
            local_only: false,
            rules: self.facts.rules.iter().cloned().collect(),
            care: care(self.facts, None),
            plugins,
            cache: None,
            tools: None,
            strict: false,
            max_time: std::time::Duration::ZERO,
            metrics: self.shared.metrics.route(&name),
            owner: provider.name.clone(),
            name,
        })
    }
}
