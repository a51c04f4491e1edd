//! Rules for requests with notes, and legs that must stay with the operator.
//!
//! Apart because it is about where a request may go, not about who answers there. It must not know how notes come about.

use super::super::complaint::nearest;
use super::super::facts::RuleFact;
use super::super::raw::{Route, When};
use super::Resolver;
use super::routes::{Models, Providers};

/// Longest key of a note, bytes: as the plugin host takes them.
const KEY_BYTES: usize = 128;

impl Resolver<'_> {
    /// The rules under `at`, each with an end: a rule that leads nowhere is a mistake.
    pub(super) fn rules(&mut self, at: &str, raw: &[When], known: (&Providers, &Models)) -> Vec<RuleFact> {
        let rules = raw.iter().enumerate();
        rules.map(|(index, rule)| self.rule(&format!("{at}/when/{index}"), rule, known)).collect()
    }

    fn rule(&mut self, at: &str, raw: &When, known: (&Providers, &Models)) -> RuleFact {
        if raw.note.is_empty() || raw.note.keys().any(|key| key.is_empty() || key.len() > KEY_BYTES) {
            let hint = "write `note: {key: value}`".to_owned();
            self.complain(&format!("{at}/note"), format!("a note's key has 1 to {KEY_BYTES} bytes"), Some(hint));
        }
        match &raw.to {
            Some(to) => self.destination(&format!("{at}/to"), to, known),
            None if !raw.local_only => {
                self.complain(at, "the rule changes nothing", Some("give `to`, `local_only` or both".to_owned()))
            }
            None => {}
        }
        let value = |value: &String| (value != "*").then(|| value.clone());
        RuleFact {
            notes: raw.note.iter().map(|(key, wanted)| (key.clone(), value(wanted))).collect(),
            to: raw.to.clone(),
            local_only: raw.local_only,
        }
    }

    /// Looks whether a name is one that can be asked for.
    fn destination(&mut self, pointer: &str, to: &str, known: (&Providers, &Models)) {
        let routes = self.written("routes");
        if routes.iter().any(|name| name == to) {
            return;
        }
        if to.contains('/') || known.1.contains_key(to) {
            self.leg(pointer, to, known);
            return;
        }
        let hint = nearest(to, routes.iter().chain(known.1.keys()).map(String::as_str));
        self.complain(pointer, format!("`{to}` is no route, model or `provider/model`"), hint);
    }

    /// Each leg of a route that nothing leaves must be one that stays.
    pub(super) fn stay_here(&mut self, at: &str, raw: &Route, providers: &Providers) {
        let fallbacks = raw.fallbacks.iter().enumerate().map(|(index, leg)| (format!("{at}/fallbacks/{index}"), leg));
        let legs = raw.legs.iter().enumerate().map(|(index, leg)| (format!("{at}/legs/{index}"), leg));
        for (pointer, leg) in legs.chain(fallbacks) {
            let provider = leg.split_once('/').and_then(|(provider, _)| providers.get(provider));
            let of_engine = self.written("models").contains(leg);
            if let Some(provider) = provider.filter(|provider| !of_engine && !provider.local) {
                let hint = format!("say `local: true` of the provider `{}` if what is sent there stays with you", provider.name);
                let message = format!("`{leg}` is not local, and this route is `local_only`");
                self.complain(&pointer, message, Some(hint));
            }
        }
    }
}
