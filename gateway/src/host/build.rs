//! Facts to a host: plugins loaded, providers' clients made, names linked.
//!
//! Apart because it runs at start and on reload only. It must not know requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_plugins::Plugin;

use super::route::{Home, Legs, Plugins, Route};
use super::{Host, OpenModel, Shared};
use crate::config::facts::{Facts, LegFact, LegTarget, ModelFact, ProviderFact, RouteFact, RuleFact, Strategy};
use crate::config::keys::KeyRing;
use crate::services::fetch::Fetcher;
use crate::supply;
use crate::upstreams::Upstream;
use crate::upstreams::dispatch::Leg;
use crate::upstreams::pick::{LegState, Merits};
use crate::upstreams::quirks::Reasoning;
use crate::upstreams::remote::{Courier, RemoteUpstream};

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
    metrics: Arc<crate::observe::RouteMetrics>,
    upstream_metrics: Arc<crate::observe::UpstreamMetrics>,
}

/// A provider with its client.
#[derive(Clone)]
struct Provider {
    fact: ProviderFact,
    /// Who it is, as far as answers may differ by it: see [`place_of`].
    place: Place,
    upstream: Arc<RemoteUpstream>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("fact", &self.fact).finish_non_exhaustive()
    }
}

/// An answer of the embedded engine, all rounds of it, takes no longer than this.
const ENGINE_TIME: Duration = Duration::from_secs(3600);

impl OpenProvider {
    /// A route to one model, made for one request.
    pub(super) fn route(&self, model: &str) -> Arc<Route> {
        let fact = &self.provider.fact;
        let name = format!("{}/{model}", fact.name);
        let legs = vec![provider_leg(&self.provider, model)];
        Arc::new(Route {
            leg_metrics: vec![(name.clone(), Arc::clone(&self.upstream_metrics))],
            name,
            strategy: Strategy::Ordered,
            sticky: false,
            legs: Legs { legs, digest: digest(&[(self.provider.place, model)]) },
            home: if fact.local { Home::Everybody } else { Home::Nobody },
            local_only: false,
            rules: Arc::clone(&self.rules),
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

fn provider_leg(provider: &Provider, model: &str) -> Leg {
    Leg {
        name: format!("{}/{model}", provider.fact.name),
        upstream: Arc::clone(&provider.upstream) as Arc<dyn Upstream>,
        model: model.to_owned(),
        attempts: provider.fact.attempts,
        timeouts: Some(provider.fact.timeouts),
        merits: Merits { price: provider.fact.prices.get(model).copied(), ..Merits::default() },
    }
}

/// Digest of where a leg leads.
type Place = [u8; 32];

/// Who would answer: for each leg where it is and which model is asked there.
pub(super) fn digest(legs: &[(Place, &str)]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for (place, model) in legs {
        hasher.update(place).update(&(model.len() as u64).to_le_bytes()).update(model.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// A provider as its answers may differ: its name, its address, and as whom it is asked. The secrets go in one-way, and the cache
/// keys the whole again with a secret of its own.
fn place_of(fact: &ProviderFact) -> Place {
    let mut hasher = blake3::Hasher::new_derive_key("gatewright provider of a cached answer");
    let key = fact.api_key.as_ref().map(|key| ("authorization", key.reveal()));
    let headers = fact.headers.iter().map(|(name, value)| (name.as_str(), value.reveal()));
    let place = [(fact.name.as_str(), fact.base_url.as_str()), ("dialect", fact.kind.dialect().name())];
    let parts = place.into_iter().chain(key).chain(headers);
    for part in parts.flat_map(|(name, value)| [name, value]) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// What is linked while a host is built.
pub(super) struct Builder<'a> {
    pub(super) facts: &'a Facts,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) loaded: BTreeMap<String, Arc<Plugin>>,
    /// Chains that were linked, by the names that they were asked for by.
    pub(super) linked: BTreeMap<Vec<String>, Plugins>,
    /// How legs fare, by their names: routes that ask the same share it.
    states: BTreeMap<String, Arc<LegState>>,
    providers: BTreeMap<String, Provider>,
    pub(super) problems: Vec<String>,
}

/// Where requests of keys that bring the same plugins may go.
#[derive(Debug)]
pub(super) struct Ways {
    /// Everything that is listed: routes, models of the engine, `provider/model`.
    pub(super) routes: BTreeMap<String, Arc<Route>>,
    /// Providers that pass any model through.
    pub(super) open_providers: BTreeMap<String, OpenProvider>,
}

pub(super) fn build(facts: Facts, shared: &Arc<Shared>) -> Result<Host, BuildError> {
    let mut builder = Builder {
        facts: &facts,
        shared,
        loaded: BTreeMap::new(),
        linked: BTreeMap::new(),
        states: BTreeMap::new(),
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
    Ok(Host { recalls, built_at: shared.clock.now_s(), keys, key_states, plugins, ways, passages, fetchers, shared, facts })
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
        for (name, fact) in &self.facts.providers {
            match RemoteUpstream::new(fact, &self.shared.clients) {
                Ok(upstream) => {
                    let upstream = Arc::new(upstream.bounded(self.facts.limits.answer_bytes));
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

    fn leg(&self, of: &str, fact: &LegFact) -> Result<Leg, String> {
        match &fact.to {
            LegTarget::Provider(name) => match self.providers.get(name) {
                Some(provider) => Ok(provider_leg(provider, &fact.model)),
                None => Err(format!("model `{of}`: there is no provider `{name}`")),
            },
            LegTarget::Engine => match self.shared.engines.get(&fact.model) {
                Some(OpenModel { upstream, .. }) => {
                    let name = format!("engine/{}", fact.model);
                    Ok(Leg { name, upstream, model: fact.model.clone(), attempts: 1, timeouts: None, merits: Merits::default() })
                }
                None => Err(format!("model `{of}`: the embedded engine has no model `{}`", fact.model)),
            },
        }
    }

    fn route(&mut self, fact: &RouteFact, of_key: &[String]) -> Arc<Route> {
        let plugins = self.plugins(of_key, fact.plugins.as_ref());
        let tools = fact.tools.and_then(|bounds| self.tools(&plugins, bounds));
        let mut legs = self.legs(fact, |_| true);
        self.share_states(&mut legs);
        let home = match fact.legs.iter().filter(|leg| self.is_local(leg)).count() {
            0 => Home::Nobody,
            local if local == fact.legs.len() => Home::Everybody,
            _ => {
                let mut legs = self.legs(fact, |leg| self.is_local(leg));
                self.share_states(&mut legs);
                Home::Some(legs)
            }
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
            rules: fact.when.iter().chain(&self.facts.when).cloned().collect(),
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

    /// The legs of a route that are wanted. One that leads nowhere is left out.
    fn legs(&self, fact: &RouteFact, wanted: impl Fn(&LegFact) -> bool) -> Legs {
        let wanted: Vec<&LegFact> = fact.legs.iter().filter(|leg| wanted(leg)).collect();
        let places: Vec<(Place, &str)> = wanted.iter().map(|leg| (self.place(leg), leg.model.as_str())).collect();
        let leg = |wanted: &&LegFact| {
            let mut leg = self.leg(&fact.name, wanted).ok()?;
            (leg.merits.weight, leg.merits.fallback) = (wanted.weight, wanted.fallback);
            Some(leg)
        };
        Legs { digest: digest(&places), legs: wanted.iter().filter_map(leg).collect() }
    }

    /// Legs of one name fare alike, whichever route they are of.
    fn share_states(&mut self, legs: &mut Legs) {
        for leg in &mut legs.legs {
            leg.merits.state = Arc::clone(self.states.entry(leg.name.clone()).or_default());
        }
    }

    /// Whether what a leg is asked stays with the operator.
    fn is_local(&self, leg: &LegFact) -> bool {
        match &leg.to {
            LegTarget::Engine => true,
            LegTarget::Provider(name) => self.providers.get(name).is_some_and(|provider| provider.fact.local),
        }
    }

    /// Where a leg leads, as far as answers may differ by it.
    fn place(&self, leg: &LegFact) -> Place {
        let place = match &leg.to {
            LegTarget::Provider(name) => self.providers.get(name).map(|provider| provider.place),
            LegTarget::Engine => self.shared.engines.get(&leg.model).map(|model| model.files),
        };
        // What leads nowhere has been told, and is not served.
        place.unwrap_or_default()
    }

    /// The ways of keys without plugins of their own, and of each list of plugins that keys bring.
    fn ways(&mut self) -> BTreeMap<Vec<String>, Ways> {
        let own = self.facts.keys.iter().map(|key| key.plugins.clone());
        let chains: BTreeSet<Vec<String>> = own.chain([Vec::new()]).collect();
        let link = |of_key: Vec<String>| {
            let ways = Ways { routes: self.routes(&of_key), open_providers: self.open_providers(&of_key) };
            (of_key, ways)
        };
        chains.into_iter().map(link).collect()
    }

    /// All that is listed: routes first, then the engine's models, then what providers list.
    fn routes(&mut self, of_key: &[String]) -> BTreeMap<String, Arc<Route>> {
        let facts = self.facts;
        let mut routes: BTreeMap<_, _> = facts.routes.values().map(|fact| (fact.name.clone(), self.route(fact, of_key))).collect();
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
        let rules: Arc<[RuleFact]> = self.facts.when.iter().cloned().collect();
        let open = |(name, provider): (&String, &Provider)| {
            let any = format!("{name}/*");
            let metrics = self.shared.metrics.route(&any);
            let upstream_metrics = self.shared.metrics.upstream(&any);
            let (provider, plugins, rules) = (provider.clone(), plugins.clone(), Arc::clone(&rules));
            (name.clone(), OpenProvider { provider, plugins, rules, metrics, upstream_metrics })
        };
        self.providers.iter().filter(|(_, provider)| provider.fact.any_model).map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::Secret;
    use crate::upstreams::remote::rig::fact;

    #[test]
    fn a_provider_of_another_name_key_or_header_is_another_place() {
        let plain = fact("http://h/v1");
        let change = |change: fn(&mut ProviderFact)| {
            let mut fact = plain.clone();
            change(&mut fact);
            place_of(&fact)
        };
        let places = [
            place_of(&plain),
            change(|fact| fact.name = "other".into()),
            change(|fact| fact.base_url = "http://other/v1".into()),
            change(|fact| fact.kind = crate::config::facts::ProviderKind::Anthropic),
            change(|fact| fact.api_key = None),
            change(|fact| fact.api_key = Some(Secret::new("another key"))),
            change(|fact| fact.headers.clear()),
            change(|fact| fact.headers[0].1 = Secret::new("another value")),
        ];
        let different: std::collections::BTreeSet<_> = places.iter().collect();
        assert_eq!(different.len(), places.len());
        assert_eq!(places[0], change(|fact| fact.attempts = 9), "what changes no answer does not count");
    }
}
