//! Routes whose names have `*`, and the route that a name means: its own, the closest pattern's, or a provider's that passes any model.
//!
//! Apart because these routes are made for each request: what stood in place of a `*` is put into the models of the legs. It must not
//! know how they were written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Builder, Ways};
use super::legs::{Provider, provider_leg};
use super::route::{Home, Legs, Route};
use crate::config::facts::RouteFact;
use crate::config::pattern::{Pattern, filled};
use crate::upstreams::dispatch::Leg;
use crate::upstreams::pick::Merits;
use crate::upstreams::state::LegStates;

/// A route of many names.
#[derive(Debug)]
pub(super) struct Patterned {
    pattern: Pattern,
    /// As it is written, with `*` in its legs.
    written: Arc<Route>,
    /// Who answers such legs.
    providers: BTreeMap<String, Provider>,
    states: Arc<LegStates>,
}

impl Patterned {
    /// The route of one name, where the pattern means it and every leg has a model for it.
    fn route(&self, name: &str) -> Option<Arc<Route>> {
        let parts = self.pattern.parts(name)?;
        let legs = |legs: &Legs| Some(Legs::of(legs.legs.iter().map(|leg| self.leg(leg, &parts)).collect::<Option<_>>()?));
        let mut route = Route::clone(&self.written);
        route.legs = legs(&route.legs)?;
        route.home = match route.home {
            Home::Some(some) => Home::Some(legs(&some)?),
            other => other,
        };
        for (leg, (known, _)) in route.legs.legs.iter().zip(&mut route.leg_metrics) {
            known.clone_from(&leg.name);
        }
        name.clone_into(&mut route.name);
        Some(Arc::new(route))
    }

    fn leg(&self, written: &Leg, parts: &[&str]) -> Option<Leg> {
        let provider = written.name.split_once('/').and_then(|(name, _)| self.providers.get(name));
        let Some(provider) = provider.filter(|_| written.model.contains('*')) else { return Some(written.clone()) };
        let model = filled(&written.model, parts);
        let mut leg = provider_leg(provider, &model, &self.states);
        let Merits { weight, fallback, for_long, .. } = written.merits;
        leg.merits = Merits { weight, fallback, for_long, ..leg.merits };
        leg.when.clone_from(&written.when);
        (!model.is_empty()).then_some(leg)
    }
}

impl Builder<'_> {
    /// The routes of many names, the closest first.
    pub(super) fn patterns(&mut self, of_key: &[String]) -> Vec<Patterned> {
        let facts = self.facts;
        let patterns = facts.routes.values().filter_map(|fact| Some((Pattern::of(&fact.name)?, fact)));
        let made = patterns.map(|(pattern, fact)| self.patterned(pattern, fact, of_key));
        let mut made: Vec<Patterned> = made.collect();
        made.sort_by_key(|made| std::cmp::Reverse(made.pattern.closeness()));
        made
    }

    fn patterned(&mut self, pattern: Pattern, fact: &RouteFact, of_key: &[String]) -> Patterned {
        let written = self.route(fact, of_key);
        let providers = written.legs.legs.iter().filter(|leg| leg.model.contains('*'));
        let providers = providers.filter_map(|leg| self.providers.get_key_value(leg.name.split_once('/')?.0));
        let providers = providers.map(|(name, provider)| (name.clone(), provider.clone())).collect();
        Patterned { pattern, written, providers, states: Arc::clone(&self.shared.legs) }
    }
}

impl Ways {
    /// The route that a name means. A provider that passes any model is as close as the pattern `provider/*`; of both the pattern counts.
    pub(super) fn route(&self, name: &str) -> Option<Arc<Route>> {
        if let Some(route) = self.routes.get(name) {
            return Some(Arc::clone(route));
        }
        let open = name.split_once('/').filter(|(_, model)| !model.is_empty());
        let open = open.and_then(|(provider, model)| Some((self.open_providers.get(provider)?, provider.len() + 1, model)));
        let least = open.map_or((0, 0), |(_, letters, _)| (letters, letters));
        let patterns = self.patterns.iter().take_while(|made| made.pattern.closeness() >= least);
        let mut meant = patterns.filter_map(|made| made.route(name));
        meant.next().or_else(|| open.map(|(provider, _, model)| provider.route(model)))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::facts::{LegFact, LegTarget, ProviderFact, RouteFact};
    use crate::life::kit::Kit;
    use crate::money::{Nanos, Price, Rates};
    use crate::upstreams::remote::rig;

    /// A host with a provider that passes any model, one that does not, and routes of these names, each with these legs of theirs.
    fn kit(routes: &[(&str, &[(&str, &str)])]) -> Kit {
        let mut kit = Kit::new();
        for (name, any_model) in [("open", true), ("shut", false)] {
            let mut fact = ProviderFact { name: name.to_owned(), any_model, ..rig::fact("http://127.0.0.1:9/v1") };
            fact.prices.insert(
                "claude-a".to_owned(),
                Price::flat(Rates {
                    input: Nanos(1),
                    cached: Nanos(1),
                    written: Nanos(1),
                    written_long: Nanos(1),
                    output: Nanos(1),
                }),
            );
            kit.facts.providers.insert(name.to_owned(), fact);
        }
        for (name, legs) in routes {
            let leg = |(provider, model): &(&str, &str)| LegFact::new(LegTarget::Provider((*provider).to_owned()), *model);
            let legs = legs.iter().map(leg).collect();
            kit.facts.routes.insert((*name).to_owned(), RouteFact::plain(name, legs));
        }
        kit
    }

    /// The legs of the route that a name means.
    fn legs(kit: &mut Kit, name: &str) -> Vec<String> {
        let Some(route) = kit.host().route(None, name) else { return Vec::new() };
        assert_eq!(route.name, name);
        assert!(route.legs.legs.iter().all(|leg| route.leg_metrics(&leg.name).is_some()), "{name}");
        route.legs.legs.iter().map(|leg| leg.name.clone()).collect()
    }

    #[test]
    fn the_closest_pattern_counts_and_its_parts_are_asked_for() {
        let mut kit = kit(&[
            ("*", &[("shut", "any/*")]),
            ("claude-*", &[("shut", "claude-*"), ("open", "fixed")]),
            ("claude-opus-*", &[("shut", "opus-*")]),
            ("claude-exact", &[("shut", "e")]),
            ("a::*::b::*", &[("shut", "*/*")]),
        ]);
        for (name, wanted) in [
            ("claude-a", &["shut/claude-a", "open/fixed"][..]),
            ("claude-opus-5", &["shut/opus-5"]),
            ("claude-exact", &["shut/e"]),
            ("a::1::b::2", &["shut/1/2"]),
            ("m", &["engine/m"]),
            ("x/y", &["shut/any/x/y"]),
            ("open/z", &["open/z"]),
            ("shut/z", &["shut/any/shut/z"]),
        ] {
            assert_eq!(legs(&mut kit, name), wanted, "{name}");
        }
        let route = kit.host().route(None, "claude-a").unwrap();
        assert!(route.legs.legs[0].merits.price.is_some(), "a model that a pattern means costs what it costs");
        let other = kit.host().route(None, "claude-b").unwrap();
        assert_ne!(route.legs.digest, other.legs.digest, "what is cached is of one model");
    }

    #[test]
    fn a_pattern_goes_before_a_provider_that_passes_any_model_where_it_is_as_close() {
        let mut kit = kit(&[("open/*", &[("shut", "*")]), ("op*", &[("shut", "never")]), ("x*", &[("shut", "*")])]);
        assert_eq!(legs(&mut kit, "open/z"), ["shut/z"]);
        assert_eq!((legs(&mut kit, "xy"), legs(&mut kit, "x")), (vec!["shut/y".to_owned()], Vec::new()), "no model has no name");
        kit = self::kit(&[("op*", &[("shut", "never")])]);
        assert_eq!(legs(&mut kit, "open/z"), ["open/z"]);
    }

    #[tokio::test]
    async fn names_that_a_pattern_means_are_not_listed_and_each_can_be_looked_up() {
        let mut kit = kit(&[("claude-*", &[("shut", "claude-*")])]);
        assert!(!kit.get("/v1/models").await.text.contains("claude"));
        let one = kit.get("/v1/models/claude-5").await;
        assert_eq!((one.status, one.json()["id"].as_str()), (200, Some("claude-5")), "{}", one.text);
        assert_eq!(kit.get("/v1/models/gpt").await.status, 404);
    }
}
