//! LiteLLM's names for its deployments as routes: which legs a name has, with which shares, whom it falls back to, and what `*` means.
//!
//! Apart because the router of LiteLLM has rules of its own for all of this. It must not know what a deployment says besides.

use serde_json::{Map, Value};

use super::super::pattern::{Pattern, filled, stars};
use super::super::yaml::escape;
use super::settings::{Chain, Settings};
use super::{Carrier, Deployed, Group, SHARES};

/// What follows a name's legs.
#[derive(Default)]
struct After {
    context_fallbacks: Vec<String>,
    fallbacks: Vec<String>,
}

impl Carrier<'_> {
    /// A route for each name, with those that it falls back to.
    pub(super) fn routes(&mut self, settings: &Settings) -> Value {
        self.bare_names();
        self.named_by_fallbacks(settings);
        let mut routes = Map::new();
        for group in self.groups.clone() {
            let after = self.after(&[&group.name], settings);
            if self.is_passed_through(&group, &after) {
                continue;
            }
            self.place(format!("/routes/{}", escape(&group.name)), &group.pointer);
            routes.insert(group.name.clone(), route(&group, after, settings));
        }
        for (alias, of, pointer) in &settings.aliases {
            let Some(group) = self.meant(of) else {
                self.note(pointer, format!("`{of}` {NO_NAME}"));
                continue;
            };
            let after = self.after(&[alias, of], settings);
            self.place(format!("/routes/{}", escape(alias)), pointer);
            routes.insert(alias.clone(), route(&group, after, settings));
        }
        Value::Object(routes)
    }

    /// `PROVIDER/*` of one of our providers, and nothing else, needs no route: that provider passes any model through.
    fn is_passed_through(&mut self, group: &Group, after: &After) -> bool {
        let [deployed] = group.deployed.as_slice() else { return false };
        let more = !after.fallbacks.is_empty() || !after.context_fallbacks.is_empty();
        let provider = deployed.leg.strip_suffix("/*").filter(|_| deployed.leg == group.name && !more);
        let made = self.providers.iter_mut().find(|made| Some(made.name.as_str()) == provider);
        made.map(|made| made.any_model = true).is_some()
    }

    /// Puts a leg into its group. One that is there already has a larger share.
    pub(super) fn join(&mut self, name: &str, pointer: String, deployed: Deployed) {
        let Some(group) = self.groups.iter_mut().find(|group| group.name == name) else {
            self.groups.push(Group { name: name.to_owned(), pointer, deployed: vec![deployed] });
            return;
        };
        match group.deployed.iter_mut().find(|known| known.leg == deployed.leg) {
            Some(known) => known.shares.iter_mut().zip(deployed.shares).for_each(|(known, more)| *known += more),
            None => group.deployed.push(deployed),
        }
    }

    /// LiteLLM knows of some models whose they are: where `openai/*` is listed, `gpt-5` means `openai/gpt-5`.
    fn bare_names(&mut self) {
        for group in self.groups.clone() {
            let Some(prefix) = group.name.strip_suffix("/*") else { continue };
            let starts = self.catalog.of_litellm(prefix).map(|row| row.litellm_bare.clone()).unwrap_or_default();
            for name in starts.iter().map(|start| format!("{start}*")) {
                if self.groups.iter().any(|known| known.name == name) {
                    continue;
                }
                let of = |deployed: &Deployed| Deployed { leg: deployed.leg.replace('*', &name), ..deployed.clone() };
                let deployed = group.deployed.iter().map(of).collect();
                self.groups.push(Group { name, pointer: group.pointer.clone(), deployed });
            }
        }
    }

    /// Names that only fallbacks have, where a name with `*` means them: each gets a route of its own.
    fn named_by_fallbacks(&mut self, settings: &Settings) {
        for chain in settings.context_fallbacks.iter().chain(&settings.fallbacks) {
            let Some(of) = &chain.of else { continue };
            let listed = self.groups.iter().any(|group| group.name == *of || self.is_short_for(of, &group.name));
            if listed || settings.aliases.iter().any(|(alias, ..)| alias == of) {
                continue;
            }
            match self.meant(of) {
                Some(group) => self.groups.push(group),
                None => self.note(&chain.at, format!("`{of}` {NO_NAME}")),
            }
        }
    }

    /// The group that a name means: its own, else the closest whose name has `*`, with the name's parts put in.
    fn meant(&mut self, name: &str) -> Option<Group> {
        if let Some(group) = self.groups.iter().find(|group| group.name == name) {
            return Some(group.clone());
        }
        let patterns = self.groups.iter().filter_map(|group| Some((Pattern::of(&group.name)?, group)));
        let fitting = patterns.filter_map(|(pattern, group)| Some((pattern.closeness(), pattern.parts(name)?, group)));
        let (_, parts, group) = fitting.max_by_key(|(closeness, ..)| *closeness)?;
        let of = |deployed: &Deployed| Deployed { leg: filled(&deployed.leg, &parts), ..deployed.clone() };
        let deployed: Vec<Deployed> = group.deployed.iter().map(of).collect();
        let group = Group { name: name.to_owned(), pointer: group.pointer.clone(), deployed };
        for deployed in &group.deployed {
            if let Some((provider, model)) = deployed.leg.split_once('/') {
                self.opens(provider, model);
            }
        }
        Some(group)
    }

    /// What follows the legs of a name that has these names, its own first.
    fn after(&mut self, names: &[&str], settings: &Settings) -> After {
        After {
            context_fallbacks: self.legs_of(names, &settings.context_fallbacks),
            fallbacks: self.legs_of(names, &settings.fallbacks),
        }
    }

    /// The legs that one of these names falls back to.
    fn legs_of(&mut self, names: &[&str], chains: &[Chain]) -> Vec<String> {
        let of = |wanted: &dyn Fn(&str) -> bool| chains.iter().filter(|chain| chain.of.as_deref().is_some_and(wanted)).collect();
        let exact = names.iter().map(|name| of(&|of| of == *name));
        let short = names.iter().map(|name| of(&|of| self.is_short_for(of, name)));
        let own: Option<Vec<&Chain>> = exact.chain(short).find(|found: &Vec<&Chain>| !found.is_empty());
        let chains = own.unwrap_or_else(|| chains.iter().filter(|chain| chain.of.is_none()).collect());
        let mut legs = Vec::new();
        for (to, at) in chains.into_iter().flat_map(|chain| &chain.to).filter(|(to, _)| !names.contains(&to.as_str())) {
            let alias = self.aliases.iter().find(|(alias, _)| alias == to).map(|(_, of)| of.clone());
            let group = self.meant(alias.as_ref().unwrap_or(to));
            match group.filter(|group| stars(&group.name) == 0) {
                Some(group) => legs.extend(group.deployed.into_iter().map(|deployed| deployed.leg)),
                None => self.lost(at, to),
            }
        }
        legs
    }

    /// Tells once that a fallback leads nowhere: it may be that of many names.
    fn lost(&mut self, at: &str, to: &str) {
        let message = format!("`{to}` {NO_NAME}");
        let path = super::readable(at);
        if !self.notes.iter().any(|note| note.path == path && note.message == message) {
            self.note(at, message);
        }
    }

    /// Whether a name of fallbacks stands for one with a provider before it, or the other way round: LiteLLM takes `gpt-5` for
    /// `openai/gpt-5`.
    fn is_short_for(&self, one: &str, other: &str) -> bool {
        let strips = |long: &str, short: &str| {
            let (prefix, rest) = long.split_once('/').unwrap_or_default();
            rest == short && self.catalog.of_litellm(prefix).is_some()
        };
        strips(other, one) || (strips(one, other) && self.catalog.of_litellm_model(other).is_some())
    }
}

/// What is told of a name that leads nowhere.
const NO_NAME: &str = "is no name of the model list that is carried over";

fn route(group: &Group, after: After, settings: &Settings) -> Value {
    let legs: Vec<&str> = group.deployed.iter().map(|deployed| deployed.leg.as_str()).collect();
    let mut route = Map::new();
    if legs.len() > 1 {
        route.insert("strategy".to_owned(), settings.strategy.into());
        let weights = weights(&group.deployed).filter(|_| settings.strategy == "weighted");
        route.extend(weights.map(|weights| ("weights".to_owned(), weights.into())));
    }
    let mut known: Vec<String> = legs.iter().map(|leg| (*leg).to_owned()).collect();
    route.insert("legs".to_owned(), legs.into());
    for (key, more) in [("context_fallbacks", after.context_fallbacks), ("fallbacks", after.fallbacks)] {
        let more: Vec<String> = more.into_iter().filter(|leg| !known.contains(leg)).collect();
        if !more.is_empty() {
            known.extend(more.iter().cloned());
            route.insert(key.to_owned(), more.into());
        }
    }
    Value::Object(route)
}

/// Shares of legs, as LiteLLM draws them: by the first of its figures that any of them has, of which those without it have nothing.
/// `None` where all are alike.
fn weights(deployed: &[Deployed]) -> Option<Vec<u64>> {
    let of = |figure: usize| deployed.iter().map(move |deployed| deployed.shares[figure]);
    let figure = (0..SHARES.len()).find(|figure| of(*figure).any(|share| share > 0.0))?;
    let shares: Vec<f64> = of(figure).collect();
    let alike = shares.iter().all(|share| *share == shares[0]);
    (!alike).then(|| whole(&shares))
}

/// The same shares as whole numbers.
fn whole(shares: &[f64]) -> Vec<u64> {
    const MOST: f64 = u32::MAX as f64;
    let most = shares.iter().copied().fold(0.0, f64::max);
    let fits = |scale: &f64| shares.iter().all(|share| (share * scale - (share * scale).round()).abs() < 1e-9 * scale);
    let scale = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5].into_iter().find(fits).unwrap_or(1e6).min(MOST / most);
    let whole = |share: &f64| if *share > 0.0 { ((share * scale).round() as u64).max(1) } else { 0 };
    shares.iter().map(whole).collect()
}
