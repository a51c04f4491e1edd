//! Facts to a host: plugins loaded, providers' clients made, names linked.
//!
//! Apart because it runs at start and on reload only. It must not know requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_plugins::Plugin;

use super::legs::{Provider, care, place_of, provider_leg};
use super::patterns::Patterned;
use super::route::{Home, Legs, Plugins, Route};
use super::{Host, Shared};
use crate::config::facts::{
    CareFact, Facts, LegFact, LegTarget, ModelFact, ProviderFact, ProviderKind, RouteFact, RuleFact, Strategy,
};
use crate::config::keys::KeyRing;
use crate::config::pattern::Pattern;
use crate::services::fetch::Fetcher;
use crate::supply;
use crate::upstreams::quirks::Reasoning;
use crate::upstreams::remote::{Courier, RemoteUpstream};
use crate::upstreams::state::LegStates;

/// Why a configuration cannot be put to work: every reason, each for people.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BuildError(pub Vec<String>);

/// A provider that passes any model through.
#[derive(Debug)]
pub(super) struct OpenProvider {
    provider: Provider,
    plugins: Plugins,
    rules: Arc<[RuleFact]>,
    care: CareFact,
    states: Arc<LegStates>,
    metrics: Arc<crate::observe::RouteMetrics>,
    upstream_metrics: Arc<crate::observe::UpstreamMetrics>,
}

/// An answer of the embedded engine, all rounds of it, takes no longer than this.
const ENGINE_TIME: Duration = Duration::from_secs(3600);

impl OpenProvider {
    /// A route to one model, made for one request.
    pub(super) fn route(&self, model: &str) -> Arc<Route> {
        let fact = &self.provider.fact;
        let name = format!("{}/{model}", fact.name);
        let legs = vec![provider_leg(&self.provider, model, &self.states)];
        Arc::new(Route {
            leg_metrics: vec![(name.clone(), Arc::clone(&self.upstream_metrics))],
            name,
            strategy: Strategy::Ordered,
            sticky: false,
            legs: Legs::of(legs),
            home: if fact.local { Home::Everybody } else { Home::Nobody },
            local_only: false,
            rules: Arc::clone(&self.rules),
            care: self.care,
            plugins: self.plugins.clone(),
            cache: None,
            tools: None,
            strict: false,
            max_time: fact.timeouts.total,
            metrics: Arc::clone(&self.metrics),
            owner: fact.name.clone(),
        })
    }
}

/// What is linked while a host is built.
pub(super) struct Builder<'a> {
    pub(super) facts: &'a Facts,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) loaded: BTreeMap<String, Arc<Plugin>>,
    /// Chains that were linked, by the names that they were asked for by.
    pub(super) linked: BTreeMap<Vec<String>, Plugins>,
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) problems: Vec<String>,
}

/// Where requests of keys that bring the same plugins may go.
#[derive(Debug)]
pub(super) struct Ways {
    /// Everything that is listed: routes, models of the engine, `provider/model`.
    pub(super) routes: BTreeMap<String, Arc<Route>>,
    /// Routes whose names have `*`, the closest first.
    pub(super) patterns: Vec<Patterned>,
    /// Providers that pass any model through.
    pub(super) open_providers: BTreeMap<String, OpenProvider>,
}

/// Whether some condition asks for request headers: only then they are kept.
fn reads_headers(facts: &Facts) -> bool {
    let rules = facts.rules.iter().chain(facts.routes.values().flat_map(|route| &route.rules)).map(|rule| &rule.when);
    let legs = facts.routes.values().flat_map(|route| &route.legs).filter_map(|leg| leg.when.as_ref());
    rules.chain(legs).any(|condition| condition.names_headers())
}

pub(super) fn build(facts: Facts, shared: &Arc<Shared>) -> Result<Host, BuildError> {
    let mut builder = Builder {
        facts: &facts,
        shared,
        loaded: BTreeMap::new(),
        linked: BTreeMap::new(),
        providers: BTreeMap::new(),
        problems: Vec::new(),
    };
    builder.load_plugins();
    builder.make_providers();
    let ways = builder.ways();
    let passages = builder.passages();
    let fetchers = builder.fetchers();
    if !builder.problems.is_empty() {
        // Each way tells of its own.
        let mut told = BTreeSet::new();
        let problems = builder.problems.into_iter().filter(|problem| told.insert(problem.clone()));
        return Err(BuildError(problems.collect()));
    }
    shared.cache.tune(&facts.cache);
    if facts.routes.values().any(|route| route.cache.is_some()) {
        shared.cache.ready();
    }
    let states = shared.limiter.link(&facts.keys, Instant::now());
    let key_states = facts.keys.iter().map(|key| key.sha256).zip(states).collect();
    let keys = KeyRing::new(&facts.keys);
    let plugins = builder.loaded;
    let shared = Arc::clone(shared);
    let recalls = facts.providers.values().any(|provider| provider.quirks.reasoning == Reasoning::WithCalls);
    let reads_headers = reads_headers(&facts);
    let built_at = shared.clock.now_s();
    Ok(Host { recalls, reads_headers, built_at, keys, key_states, plugins, ways, passages, fetchers, shared, facts })
}

impl Builder<'_> {
    fn load_plugins(&mut self) {
        for (name, fact) in &self.facts.plugins {
            match supply::load(&self.shared.plugins, self.facts, fact) {
                Ok(Some(plugin)) => drop(self.loaded.insert(name.clone(), plugin)),
                Ok(None) => {}
                // Most errors of the host name the plugin as it does.
                Err(error) if error.starts_with("plugin ") => self.problems.push(error),
                Err(error) => self.problems.push(format!("plugin `{name}`: {error}")),
            }
        }
    }

    fn make_providers(&mut self) {
        let seals = |fact: &ProviderFact| fact.kind == ProviderKind::OpenAiResponses;
        let several = self.facts.providers.values().filter(|fact| seals(fact)).count() > 1;
        for (name, fact) in &self.facts.providers {
            match RemoteUpstream::new(fact, &self.shared.clients) {
                Ok(upstream) => {
                    let upstream = upstream.bounded(self.facts.limits.answer_bytes);
                    let upstream = Arc::new(if several && seals(fact) { upstream.one_of_several() } else { upstream });
                    let provider = Provider { fact: fact.clone(), place: place_of(fact), upstream };
                    self.providers.insert(name.clone(), provider);
                }
                Err(error) => self.problems.push(format!("provider `{name}`: {error}")),
            }
        }
    }

    /// Who carries bytes to a provider.
    pub(super) fn courier(&mut self, name: &str) -> Option<Courier> {
        let Provider { fact, upstream, .. } = self.providers.get(name)?;
        let made = Courier::new(upstream, &fact.base_url, &self.shared.clients);
        made.map_err(|error| self.problems.push(format!("provider `{name}`: {error}"))).ok()
    }

    /// Who fetches for the plugins that are loaded and may.
    fn fetchers(&mut self) -> BTreeMap<String, Fetcher> {
        let mut fetchers = BTreeMap::new();
        for (name, fact) in self.facts.plugins.iter().filter(|(name, _)| self.loaded.contains_key(*name)) {
            match fact.reach.fetch.as_ref().map(Fetcher::new) {
                Some(Ok(fetcher)) => drop(fetchers.insert(name.clone(), fetcher)),
                Some(Err(error)) => self.problems.push(format!("plugin `{name}`: {error}")),
                None => {}
            }
        }
        fetchers
    }

    pub(super) fn route(&mut self, fact: &RouteFact, of_key: &[String]) -> Arc<Route> {
        let plugins = self.plugins(of_key, fact.plugins.as_ref());
        let tools = fact.tools.and_then(|bounds| self.tools(&plugins, bounds));
        let legs = self.legs(fact, |_| true);
        let home = match fact.legs.iter().filter(|leg| self.is_local(leg)).count() {
            0 => Home::Nobody,
            local if local == fact.legs.len() => Home::Everybody,
            _ => Home::Some(self.legs(fact, |leg| self.is_local(leg))),
        };
        let lost: Vec<String> = fact.legs.iter().filter_map(|leg| self.leg(&fact.name, leg).err()).collect();
        self.problems.extend(lost);
        let max_time = legs.legs.iter().map(|leg| leg.timeouts.map_or(ENGINE_TIME, |timeouts| timeouts.total)).sum();
        Arc::new(Route {
            leg_metrics: legs.legs.iter().map(|leg| (leg.name.clone(), self.shared.metrics.upstream(&leg.name))).collect(),
            legs,
            home,
            strategy: fact.strategy,
            sticky: fact.sticky,
            local_only: fact.local_only,
            rules: fact.rules.iter().chain(&self.facts.rules).cloned().collect(),
            care: care(self.facts, Some(fact)),
            plugins,
            cache: fact.cache,
            tools,
            strict: fact.strict,
            max_time,
            metrics: self.shared.metrics.route(&fact.name),
            owner: "gatewright".to_owned(),
            name: fact.name.clone(),
        })
    }

    /// The ways of keys without plugins of their own, and of each list of plugins that keys bring.
    fn ways(&mut self) -> BTreeMap<Vec<String>, Ways> {
        let own = self.facts.keys.iter().map(|key| key.plugins.clone());
        let chains: BTreeSet<Vec<String>> = own.chain([Vec::new()]).collect();
        let link = |of_key: Vec<String>| {
            let (routes, patterns) = (self.routes(&of_key), self.patterns(&of_key));
            let open_providers = self.open_providers(&of_key);
            (of_key, Ways { routes, patterns, open_providers })
        };
        chains.into_iter().map(link).collect()
    }

    /// All that is listed: routes first, then the engine's models, then what providers list.
    fn routes(&mut self, of_key: &[String]) -> BTreeMap<String, Arc<Route>> {
        let facts = self.facts;
        let own = facts.routes.values().filter(|fact| Pattern::of(&fact.name).is_none());
        let mut routes: BTreeMap<_, _> = own.map(|fact| (fact.name.clone(), self.route(fact, of_key))).collect();
        let names = facts.models.values().flat_map(ModelFact::names);
        for name in names.filter(|name| !facts.routes.contains_key(*name)) {
            let leg = LegFact::new(LegTarget::Engine, name.clone());
            routes.insert(name.clone(), self.route(&RouteFact::plain(name, vec![leg]), of_key));
        }
        for provider in facts.providers.values() {
            for model in &provider.models {
                let name = format!("{}/{model}", provider.name);
                if !routes.contains_key(&name) {
                    let leg = LegFact::new(LegTarget::Provider(provider.name.clone()), model.clone());
                    routes.insert(name.clone(), self.route(&RouteFact::plain(&name, vec![leg]), of_key));
                }
            }
        }
        routes
    }

    fn open_providers(&mut self, of_key: &[String]) -> BTreeMap<String, OpenProvider> {
        let plugins = self.plugins(of_key, None);
        let rules: Arc<[RuleFact]> = self.facts.rules.iter().cloned().collect();
        let open = |(name, provider): (&String, &Provider)| {
            let any = format!("{name}/*");
            let metrics = self.shared.metrics.route(&any);
            let upstream_metrics = self.shared.metrics.upstream(&any);
            let (provider, plugins, rules) = (provider.clone(), plugins.clone(), Arc::clone(&rules));
            let (care, states) = (care(self.facts, None), Arc::clone(&self.shared.legs));
            (name.clone(), OpenProvider { provider, plugins, rules, care, states, metrics, upstream_metrics })
        };
        self.providers.iter().filter(|(_, provider)| provider.fact.any_model).map(open).collect()
    }
}
