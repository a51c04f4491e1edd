//! Legs, linked: who answers, where that is, and how it fares.
//!
//! Apart because routes of the file, models of the engine and names that are passed through are made of the same legs. It must not know
//! what a route is besides.

use std::sync::Arc;

use super::OpenModel;
use super::build::Builder;
use super::route::Legs;
use crate::config::facts::{CareFact, Facts, LegFact, LegTarget, ProviderFact, RouteFact};
use crate::upstreams::Upstream;
use crate::upstreams::dispatch::Leg;
use crate::upstreams::pick::Merits;
use crate::upstreams::remote::RemoteUpstream;
use crate::upstreams::state::LegStates;

/// A provider with its client.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) fact: ProviderFact,
    /// Who it is, as far as answers may differ by it: see [`place_of`].
    pub(super) place: Place,
    pub(super) upstream: Arc<RemoteUpstream>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("fact", &self.fact).finish_non_exhaustive()
    }
}

/// What is done for the answers of a route; without one, for those of models that are passed through.
pub(super) fn care(facts: &Facts, route: Option<&RouteFact>) -> CareFact {
    let (hedge, first_token) = route.map(|route| (route.hedge, route.first_token)).unwrap_or_default();
    CareFact { breaker: facts.breaker, retries: facts.retries, hedge, first_token }
}

/// A leg that a provider answers. How it fares is shared with all of its name that lead to the same place.
pub(super) fn provider_leg(provider: &Provider, model: &str, states: &LegStates) -> Leg {
    let name = format!("{}/{model}", provider.fact.name);
    let place = place_in(provider.place, model);
    let state = states.of(&name, place);
    Leg {
        name,
        upstream: Arc::clone(&provider.upstream) as Arc<dyn Upstream>,
        model: model.to_owned(),
        attempts: provider.fact.attempts,
        timeouts: Some(provider.fact.timeouts),
        merits: Merits { price: provider.fact.prices.get(model).copied(), own: provider.fact.local, state, ..Merits::default() },
        place,
        when: None,
    }
}

/// Digest of where a leg leads.
type Place = [u8; 32];

/// Who would answer: where it is, and which model is asked there.
fn place_in(place: Place, model: &str) -> Place {
    *blake3::Hasher::new().update(&place).update(model.as_bytes()).finalize().as_bytes()
}

/// A provider as its answers may differ: its name, its address, and as whom it is asked. The secrets go in one-way, and the cache
/// keys the whole again with a secret of its own.
pub(super) fn place_of(fact: &ProviderFact) -> Place {
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

impl Builder<'_> {
    /// One leg, without its share and its condition.
    pub(super) fn leg(&self, of: &str, fact: &LegFact) -> Result<Leg, String> {
        match &fact.to {
            LegTarget::Provider(name) => match self.providers.get(name) {
                Some(provider) => Ok(provider_leg(provider, &fact.model, &self.shared.legs)),
                None => Err(format!("model `{of}`: there is no provider `{name}`")),
            },
            LegTarget::Engine => match self.open_model(&fact.model) {
                Some(OpenModel { upstream, files, .. }) => {
                    let (name, model, place) = (format!("engine/{}", fact.model), fact.model.clone(), place_in(files, &fact.model));
                    let merits = Merits { own: true, state: self.shared.legs.of(&name, place), ..Merits::default() };
                    Ok(Leg { name, upstream, model, attempts: 1, timeouts: None, merits, place, when: None })
                }
                None => Err(format!("model `{of}`: the embedded engine has no model `{}`", fact.model)),
            },
        }
    }

    /// The model that has this name, its own or an adapter's.
    fn open_model(&self, name: &str) -> Option<OpenModel> {
        let model = self.facts.models.values().find(|model| model.names().any(|known| known == name));
        self.shared.engines.get(model.map_or(name, |model| model.name.as_str()))
    }

    /// The legs of a route that are wanted. One that leads nowhere is left out: that has been told, and is not served.
    pub(super) fn legs(&self, fact: &RouteFact, wanted: impl Fn(&LegFact) -> bool) -> Legs {
        let leg = |wanted: &LegFact| {
            let mut leg = self.leg(&fact.name, wanted).ok()?;
            let LegFact { weight, fallback, for_long, .. } = *wanted;
            leg.merits = Merits { weight, fallback, for_long, ..leg.merits };
            leg.when.clone_from(&wanted.when);
            Some(leg)
        };
        Legs::of(fact.legs.iter().filter(|leg| wanted(leg)).filter_map(leg).collect())
    }

    /// Whether what a leg is asked stays with the operator.
    pub(super) fn is_local(&self, leg: &LegFact) -> bool {
        match &leg.to {
            LegTarget::Engine => true,
            LegTarget::Provider(name) => self.providers.get(name).is_some_and(|provider| provider.fact.local),
        }
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
