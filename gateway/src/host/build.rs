//! Facts to a host: plugins loaded, providers' clients made, names linked.
//!
//! Apart because it runs at start and on reload only. It must not know requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_plugins::{Chain, DeclaredTool, Mode, Plugin, Source};
use gatewright_types::{Extras, ToolDefinition};
use serde_json::value::RawValue;

use super::route::{Plugins, Route, RouteTools};
use super::{Host, OpenModel, Shared};
use crate::config::facts::{Facts, LegFact, LegTarget, PluginFact, ProviderFact, RouteFact, ToolLoopFact};
use crate::config::keys::KeyRing;
use crate::life::ears::Ears;
use crate::services::fetch::Fetcher;
use crate::upstreams::Upstream;
use crate::upstreams::dispatch::Leg;
use crate::upstreams::openai::OpenAiUpstream;

/// Why a configuration cannot be put to work: every reason, each for people.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BuildError(pub Vec<String>);

/// A provider that passes any model through.
#[derive(Debug)]
pub(super) struct OpenProvider {
    provider: Provider,
    plugins: Plugins,
    metrics: Arc<crate::observe::RouteMetrics>,
    upstream_metrics: Arc<crate::observe::UpstreamMetrics>,
}

/// A provider with its client.
#[derive(Clone)]
struct Provider {
    fact: ProviderFact,
    /// Who it is, as far as answers may differ by it: see [`place_of`].
    place: Place,
    upstream: Arc<dyn Upstream>,
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
        let leg = provider_leg(&self.provider, model);
        Arc::new(Route {
            leg_metrics: vec![(name.clone(), Arc::clone(&self.upstream_metrics))],
            name,
            legs: vec![leg],
            digest: digest(&[(self.provider.place, model)]),
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
        upstream: Arc::clone(&provider.upstream),
        model: model.to_owned(),
        attempts: provider.fact.attempts,
        timeouts: Some(provider.fact.timeouts),
    }
}

/// Digest of where a leg leads.
type Place = [u8; 32];

/// Who would answer: for each leg where it is and which model is asked there.
fn digest(legs: &[(Place, &str)]) -> [u8; 32] {
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
    let parts = [(fact.name.as_str(), fact.base_url.as_str())].into_iter().chain(key).chain(headers);
    for part in parts.flat_map(|(name, value)| [name, value]) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// What is linked while a host is built.
struct Builder<'a> {
    facts: &'a Facts,
    shared: &'a Arc<Shared>,
    loaded: BTreeMap<String, Arc<Plugin>>,
    providers: BTreeMap<String, Provider>,
    problems: Vec<String>,
}

pub(super) fn build(facts: Facts, shared: &Arc<Shared>) -> Result<Host, BuildError> {
    let mut builder = Builder { facts: &facts, shared, loaded: BTreeMap::new(), providers: BTreeMap::new(), problems: Vec::new() };
    builder.load_plugins();
    builder.make_providers();
    let routes = builder.routes();
    let open_providers = builder.open_providers();
    let fetchers = builder.fetchers();
    if !builder.problems.is_empty() {
        return Err(BuildError(builder.problems));
    }
    shared.cache.tune(&facts.cache);
    if facts.routes.values().any(|route| route.cache.is_some()) {
        shared.cache.ready();
    }
    let states = shared.limiter.link(&facts.keys, Instant::now());
    let key_states = facts.keys.iter().map(|key| key.sha256).zip(states).collect();
    let keys = KeyRing::new(&facts.keys);
    let shared = Arc::clone(shared);
    Ok(Host { built_at: shared.clock.now_s(), keys, key_states, routes, fetchers, open_providers, shared, facts })
}

impl Builder<'_> {
    fn load_plugins(&mut self) {
        for (name, fact) in &self.facts.plugins {
            match load(&self.shared.plugins, fact) {
                Ok(Some(plugin)) => drop(self.loaded.insert(name.clone(), plugin)),
                Ok(None) => {}
                Err(error) => self.problems.push(format!("plugin `{name}`: {error}")),
            }
        }
    }

    fn make_providers(&mut self) {
        for (name, fact) in &self.facts.providers {
            match OpenAiUpstream::new(fact, &self.shared.clients) {
                Ok(upstream) => {
                    let upstream = Arc::new(upstream.bounded(self.facts.limits.answer_bytes));
                    let provider = Provider { fact: fact.clone(), place: place_of(fact), upstream };
                    self.providers.insert(name.clone(), provider);
                }
                Err(error) => self.problems.push(format!("provider `{name}`: {error}")),
            }
        }
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

    /// A chain of these plugins. Those that are off are left out; the configuration has checked the names.
    fn plugins(&mut self, names: &[String]) -> Plugins {
        let acting: Vec<(&String, &Arc<Plugin>)> = names.iter().filter_map(|name| Some((name, self.loaded.get(name)?))).collect();
        if acting.is_empty() {
            return Plugins::default();
        }
        let enforced = |name: &str| self.facts.plugins.get(name).is_some_and(|fact| fact.mode() == Mode::Enforce);
        let chain = Chain::new(acting.iter().map(|(_, plugin)| Arc::clone(plugin)).collect());
        let enforced: Vec<_> = acting.iter().filter(|(name, _)| enforced(name)).map(|(_, plugin)| Arc::clone(plugin)).collect();
        let metrics = acting.iter().map(|(name, _)| ((*name).clone(), self.shared.metrics.plugin(name)));
        Plugins {
            ears: Ears::of(&chain),
            enforced_ears: (!enforced.is_empty()).then(|| Ears::of(&Chain::new(enforced))),
            metrics: metrics.collect(),
            names: acting.iter().map(|(name, _)| (*name).clone()).collect(),
            chain: Some(chain),
        }
    }

    fn leg(&mut self, of: &str, fact: &LegFact) -> Option<Leg> {
        match &fact.to {
            LegTarget::Provider(name) => match self.providers.get(name) {
                Some(provider) => return Some(provider_leg(provider, &fact.model)),
                None => self.problems.push(format!("model `{of}`: there is no provider `{name}`")),
            },
            LegTarget::Engine => match self.shared.engines.get(&fact.model) {
                Some(OpenModel { upstream, .. }) => {
                    let name = format!("engine/{}", fact.model);
                    return Some(Leg { name, upstream, model: fact.model.clone(), attempts: 1, timeouts: None });
                }
                None => self.problems.push(format!("model `{of}`: the embedded engine has no model `{}`", fact.model)),
            },
        }
        None
    }

    fn route(&mut self, fact: &RouteFact) -> Arc<Route> {
        let default = &self.facts.default_plugins;
        let plugins = self.plugins(fact.plugins.as_ref().unwrap_or(default));
        let legs: Vec<Leg> = fact.legs.iter().filter_map(|leg| self.leg(&fact.name, leg)).collect();
        let places: Vec<(Place, &str)> = fact.legs.iter().map(|leg| (self.place(leg), leg.model.as_str())).collect();
        let tools = fact.tools.and_then(|bounds| self.tools(&plugins, bounds));
        let max_time = legs.iter().map(|leg| leg.timeouts.map_or(ENGINE_TIME, |timeouts| timeouts.total)).sum();
        Arc::new(Route {
            digest: digest(&places),
            leg_metrics: legs.iter().map(|leg| (leg.name.clone(), self.shared.metrics.upstream(&leg.name))).collect(),
            legs,
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

    /// Where a leg leads, as far as answers may differ by it.
    fn place(&self, leg: &LegFact) -> Place {
        let place = match &leg.to {
            LegTarget::Provider(name) => self.providers.get(name).map(|provider| provider.place),
            LegTarget::Engine => self.shared.engines.get(&leg.model).map(|model| model.files),
        };
        // What leads nowhere has been told, and is not served.
        place.unwrap_or_default()
    }

    fn tools(&mut self, plugins: &Plugins, fact: ToolLoopFact) -> Option<RouteTools> {
        let declared = plugins.chain.as_ref().map(Chain::tools).unwrap_or_default();
        let tools = declared.into_iter().filter_map(|tool| match definition(&tool) {
            Some(definition) => Some(definition),
            None => {
                self.problems.push(format!("tool `{}`: its parameters are not JSON", tool.name));
                None
            }
        });
        let tools: Vec<_> = tools.collect();
        (!tools.is_empty()).then_some(RouteTools { fact, tools })
    }

    /// All that is listed: routes first, then the engine's models, then what providers list.
    fn routes(&mut self) -> BTreeMap<String, Arc<Route>> {
        let facts = self.facts;
        let mut routes: BTreeMap<_, _> = facts.routes.values().map(|fact| (fact.name.clone(), self.route(fact))).collect();
        for name in facts.models.keys().filter(|name| !facts.routes.contains_key(*name)) {
            let leg = LegFact { to: LegTarget::Engine, model: name.clone() };
            routes.insert(name.clone(), self.route(&plain(name, leg)));
        }
        for provider in facts.providers.values() {
            for model in &provider.models {
                let name = format!("{}/{model}", provider.name);
                if !routes.contains_key(&name) {
                    let leg = LegFact { to: LegTarget::Provider(provider.name.clone()), model: model.clone() };
                    routes.insert(name.clone(), self.route(&plain(&name, leg)));
                }
            }
        }
        routes
    }

    fn open_providers(&mut self) -> BTreeMap<String, OpenProvider> {
        let plugins = self.plugins(&self.facts.default_plugins);
        let open = |(name, provider): (&String, &Provider)| {
            let any = format!("{name}/*");
            let metrics = self.shared.metrics.route(&any);
            let upstream_metrics = self.shared.metrics.upstream(&any);
            let open = OpenProvider { provider: provider.clone(), plugins: plugins.clone(), metrics, upstream_metrics };
            (name.clone(), open)
        };
        self.providers.iter().filter(|(_, provider)| provider.fact.any_model).map(open).collect()
    }
}

/// A route of one leg with the default chain and nothing else.
fn plain(name: &str, leg: LegFact) -> RouteFact {
    RouteFact { name: name.to_owned(), legs: vec![leg], plugins: None, cache: None, tools: None, strict: false }
}

/// Loads a plugin as its fact says; `None` for one that is off.
///
/// # Errors
/// Why it cannot be used, for the operator.
pub(crate) fn load(plugins: &gatewright_plugins::Host, fact: &PluginFact) -> Result<Option<Arc<Plugin>>, String> {
    if fact.mode() == Mode::Off {
        return Ok(None);
    }
    let source = source(fact).ok_or("there is no ready-made policy of that name; give a `folder`")?;
    let mut operator = fact.operator.clone();
    operator.name.get_or_insert_with(|| fact.name.clone());
    plugins.load(&source, &operator).map(Some).map_err(|error| error.to_string())
}

fn source(fact: &PluginFact) -> Option<Source> {
    match (&fact.folder, &fact.policy) {
        (Some(folder), _) => Some(Source::Folder(folder.clone())),
        (None, policy) => crate::packed::policy(policy.as_deref().unwrap_or(&fact.name)).map(Source::Packed),
    }
}

fn definition(tool: &DeclaredTool) -> Option<ToolDefinition> {
    Some(ToolDefinition {
        name: tool.name.clone(),
        description: Some(tool.description.clone()),
        parameters: Some(RawValue::from_string(tool.parameters.clone()).ok()?),
        function_extras: Extras::new(),
        extras: Extras::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::Secret;
    use crate::upstreams::openai::rig::fact;

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
