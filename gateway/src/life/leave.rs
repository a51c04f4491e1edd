//! How far a request may go, and where notes send it.
//!
//! Apart because it must hold for the whole life of a request: what a policy or a route kept from leaving stays so on every route and
//! in every round. It must not know plugins, only the notes that they left.

use std::sync::Arc;

use gatewright_types::{Fault, FaultKind};

use crate::config::facts::RuleFact;
use crate::host::{Legs, Route};

/// Whether a request may leave, and if not, why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leave(Option<Arc<str>>);

type Notes = [(String, String)];

impl Leave {
    /// The request takes this route, which may keep it from leaving.
    pub(super) fn on(&mut self, route: &Route) {
        if route.local_only && self.0.is_none() {
            self.0 = Some(format!("the route `{}` is local only", route.name).into());
        }
    }

    /// Obeys the rules of a route that hold for these notes; gives where the first of them with a destination sends the request.
    pub(super) fn heed<'a>(&mut self, route: &'a Route, notes: &Notes) -> Option<&'a str> {
        let mut to = None;
        for rule in route.rules.iter().filter(|rule| holds(rule, notes)) {
            if rule.local_only && self.0.is_none() {
                let keys: Vec<String> = rule.notes.iter().map(|(key, _)| format!("`{key}`")).collect();
                self.0 = Some(format!("a policy left the note {}", keys.join(" and ")).into());
            }
            to = to.or(rule.to.as_deref());
        }
        to
    }

    /// Why it may not leave.
    pub(super) fn why(&self) -> Option<&Arc<str>> {
        self.0.as_ref()
    }

    /// The legs of a route that may be asked.
    ///
    /// # Errors
    /// The request may not leave, and no leg stays with the operator.
    pub(super) fn legs<'a>(&self, route: &'a Route) -> Result<&'a Legs, Fault> {
        let Some(why) = &self.0 else { return Ok(&route.legs) };
        route.local_legs().ok_or_else(|| {
            let message = format!(
                "This request must not leave this gateway, for {why}; nothing that stays answers the model `{}`.",
                route.name
            );
            Fault::gateway(FaultKind::Blocked { plugin: "local-only".to_owned(), code: "local_only".to_owned() }, message)
        })
    }
}

/// Whether all notes of a rule are there, whoever left them and whatever else was noted.
fn holds(rule: &RuleFact, notes: &Notes) -> bool {
    let there = |(key, wanted): &(String, Option<String>)| {
        notes.iter().any(|(found, value)| found == key && wanted.as_ref().is_none_or(|wanted| wanted == value))
    };
    rule.notes.iter().all(there)
}
