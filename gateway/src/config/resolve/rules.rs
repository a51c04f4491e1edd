//! Rules for requests, the conditions in them and of legs, and legs that must stay with the operator.
//!
//! Apart because it is about where a request may go, not about who answers there. It must not know how a condition is judged.

use std::sync::Arc;

use super::super::complaint::{Complaint, nearest};
use super::super::facts::{LegFact, RuleFact};
use super::super::raw::{Route, Rule};
use super::super::yaml::{escape, readable};
use super::Resolver;
use super::routes::{Models, Providers, written_legs};
use crate::conditions::{Condition, Mistake};

impl Resolver<'_> {
    /// The rules under `at`, each with an end: a rule that leads nowhere is a mistake.
    pub(super) fn rules(&mut self, at: &str, raw: &[Rule], known: (&Providers, &Models)) -> Vec<RuleFact> {
        let rules = raw.iter().enumerate();
        rules.filter_map(|(index, rule)| self.rule(&format!("{at}/rules/{index}"), rule, known)).collect()
    }

    fn rule(&mut self, at: &str, raw: &Rule, known: (&Providers, &Models)) -> Option<RuleFact> {
        let when = self.condition(&format!("{at}/when"), &raw.when);
        match &raw.to {
            Some(to) => self.destination(&format!("{at}/to"), to, known),
            None if !raw.local_only => {
                self.complain(at, "the rule changes nothing", Some("give `to`, `local_only` or both".to_owned()))
            }
            None => {}
        }
        Some(RuleFact { when: when?, to: raw.to.clone(), local_only: raw.local_only })
    }

    /// A condition; what is wrong in it is told where it stands.
    fn condition(&mut self, pointer: &str, text: &str) -> Option<Arc<Condition>> {
        match Condition::read(text) {
            Ok(condition) => Some(Arc::new(condition)),
            Err(mistakes) => {
                for Mistake { at, message, hint } in mistakes {
                    // In the file, where that can be told; else in the condition.
                    let mark = at.and_then(|at| self.around.document.mark_in(pointer, at));
                    let place = at.filter(|_| mark.is_none());
                    let place = place.map(|(line, column)| format!("at {line}:{column} of the condition: ")).unwrap_or_default();
                    let mark = mark.or_else(|| self.around.document.mark(pointer));
                    self.complaints.push(Complaint { mark, path: readable(pointer), message: format!("{place}{message}"), hint });
                }
                None
            }
        }
    }

    /// Puts the conditions of a route's legs where they belong. The one of a leg that is not there is a mistake.
    pub(super) fn leg_conditions(&mut self, at: &str, raw: &Route, legs: &mut [(String, LegFact)]) {
        for (name, text) in &raw.leg_when {
            let pointer = format!("{at}/leg_when/{}", escape(name));
            let condition = self.condition(&pointer, text);
            for (_, leg) in legs.iter_mut().filter(|(written, _)| written == name) {
                leg.when.clone_from(&condition);
            }
            if !written_legs(at, raw).any(|(_, leg)| leg == name) {
                let hint = nearest(name, written_legs(at, raw).map(|(_, leg)| leg.as_str()));
                self.complain_key(&pointer, format!("`{name}` is no leg of this route"), hint);
            }
        }
    }

    /// Looks whether a name is one that can be asked for.
    fn destination(&mut self, pointer: &str, to: &str, known: (&Providers, &Models)) {
        if self.is_route(to) {
            return;
        }
        // There `*` stands for nothing.
        if known.1.contains_key(to) || (to.contains('/') && !to.contains('*')) {
            self.leg(pointer, to, known);
            return;
        }
        let routes = self.written("routes");
        let hint = nearest(to, routes.iter().chain(known.1.keys()).map(String::as_str));
        self.complain(pointer, format!("`{to}` is no route, model or `provider/model`"), hint);
    }

    /// Each leg of a route that nothing leaves must be one that stays.
    pub(super) fn stay_here(&mut self, at: &str, raw: &Route, providers: &Providers) {
        for (pointer, leg) in written_legs(at, raw) {
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
