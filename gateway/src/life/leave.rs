//! How far a request may go, where rules send it, and which legs are for it.
//!
//! Apart because it must hold for the whole life of a request: what a rule or a route kept from leaving stays so on every route and
//! in every round. It must not know plugins, only the notes that they left.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use gatewright_types::{ChatRequest, Fault, FaultKind};

use super::authenticate::Caller;
use super::meter::prompt_estimate;
use crate::conditions::{Seen, Undecided};
use crate::host::{Legs, Route};

/// Times that rules and plugins may send a request to another route.
pub(super) const MAX_ROUTES: usize = 3;

/// Whether a request may leave, and if not, why; and the notes that it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leave {
    kept: Option<Kept>,
    /// As they were last seen: a route without plugins has none of its own to tell.
    notes: Vec<(String, String)>,
}

/// Why a request may not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// It came by this route.
    Route(Arc<str>),
    /// This rule holds.
    Rule(Arc<str>),
}

impl fmt::Display for Kept {
    /// For the client: what a rule of the operator's looks at is none of its business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(why) => write!(f, "for {why}"),
            Self::Rule(_) => f.write_str("for a rule of its operator holds"),
        }
    }
}

/// A request as it is while its plugins look at it: what they send out of it may go as far as it may itself, with the notes that it has by
/// then.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(super) leave: Leave,
    pub(super) route: Arc<Route>,
    pub(super) request: Arc<ChatRequest>,
    /// What the client asked for, where the request says something else by now: the model, and how many tools.
    pub(super) asked: Option<(String, usize)>,
}

impl Bounds {
    /// Whether it must stay: a rule holds that keeps it, or sends it where nothing leaves, be it by other routes. One that rules send from
    /// route to route goes nowhere.
    ///
    /// # Errors
    /// As [`Leave::heed`].
    pub(crate) fn keep(&self, caller: &Caller, notes: &[(String, String)]) -> Result<bool, Fault> {
        let (asked, tools) = self.asked.as_ref().map(|(model, tools)| (model.clone(), *tools)).unzip();
        let (mut model, mut route) = (asked, Arc::clone(&self.route));
        let mut now = Leave { kept: self.leave.kept.clone(), notes: Vec::new() };
        for _ in 0..=MAX_ROUTES {
            let seen = Seen { model: model.as_deref(), tools, ..seen(caller, (&self.request, &route), notes) };
            let to = now.heed(&route, &seen)?.filter(|to| *to != route.name).map(str::to_owned);
            let next = to.as_deref().and_then(|to| caller.host.route(caller.key.as_deref(), to));
            let Some(next) = next else { return Ok(now.kept.is_some()) };
            now.on(&next);
            (model, route) = (to, next);
        }
        Ok(true)
    }
}

/// A request as conditions see it.
pub(super) fn seen<'a>(
    caller: &'a Caller,
    (request, route): (&'a ChatRequest, &'a Route),
    notes: &'a [(String, String)],
) -> Seen<'a> {
    Seen {
        request: Some(request),
        model: None,
        tools: None,
        tokens: Some(prompt_estimate),
        notes,
        route: &route.name,
        key: caller.name(),
        tenant: caller.tenant(),
        team: caller.team().unwrap_or_default(),
        conversation: caller.head.conversation.as_deref().unwrap_or_default(),
        dialect: caller.head.dialect.name(),
        headers: &caller.head.headers,
    }
}

impl Leave {
    /// The request takes this route, which may keep it from leaving.
    pub(super) fn on(&mut self, route: &Route) {
        if route.local_only && self.kept.is_none() {
            self.kept = Some(Kept::Route(format!("the route `{}` is local only", route.name).into()));
        }
    }

    /// Obeys the rules of a route that hold; gives where the first of them with a destination sends the request.
    ///
    /// # Errors
    /// A rule that can be said neither to hold nor not to: the request goes nowhere.
    pub(super) fn heed<'a>(&mut self, route: &'a Route, seen: &Seen<'_>) -> Result<Option<&'a str>, Fault> {
        if self.notes != seen.notes {
            self.notes = seen.notes.to_vec();
        }
        let mut to = None;
        for rule in route.rules.iter() {
            if !rule.when.holds(seen).map_err(|why| undecided(route, &why))? {
                continue;
            }
            if rule.local_only && self.kept.is_none() {
                self.kept = Some(Kept::Rule(format!("the rule `{}` holds", rule.when).into()));
            }
            to = to.or(rule.to.as_deref());
        }
        Ok(to)
    }

    /// Why it may not leave, for the record.
    pub(super) fn why(&self) -> Option<&Arc<str>> {
        self.kept.as_ref().map(|(Kept::Route(why) | Kept::Rule(why))| why)
    }

    /// The notes that it has.
    pub(super) fn notes(&self) -> &[(String, String)] {
        &self.notes
    }

    /// The legs of a route that it may go to.
    ///
    /// # Errors
    /// The request may not leave, and no leg stays with the operator.
    pub(super) fn may<'a>(&self, route: &'a Route) -> Result<&'a Legs, Fault> {
        let Some(why) = &self.kept else { return Ok(&route.legs) };
        route.local_legs().ok_or_else(|| {
            let message =
                format!("This request must not leave this gateway, {why}; nothing that stays answers the model `{}`.", route.name);
            Fault::gateway(FaultKind::Blocked { plugin: "local-only".to_owned(), code: "local_only".to_owned() }, message)
        })
    }

    /// Of those, the legs that are for this request.
    ///
    /// # Errors
    /// As [`Leave::may`]; a condition of a leg that can be said neither to hold nor not to; no leg is for it.
    pub(super) fn legs<'a>(&self, route: &'a Route, seen: &Seen<'_>) -> Result<Cow<'a, Legs>, Fault> {
        let legs = fitting(self.may(route)?, route, seen)?;
        match (&self.kept, legs.legs.is_empty()) {
            (_, false) => Ok(legs),
            (Some(why), true) => {
                let message = format!(
                    "This request must not leave this gateway, {why}; nothing that stays is for it at the model `{}`.",
                    route.name
                );
                Err(Fault::gateway(FaultKind::Blocked { plugin: "local-only".to_owned(), code: "local_only".to_owned() }, message))
            }
            (None, true) => {
                let message = format!("Nobody who answers the model `{}` is meant for such a request.", route.name);
                Err(Fault::caller(FaultKind::InvalidRequest, message).at("model"))
            }
        }
    }
}

/// Those of a route's legs that are for a request.
///
/// # Errors
/// A condition that can be said neither to hold nor not to.
pub(crate) fn fitting<'a>(legs: &'a Legs, route: &Route, seen: &Seen<'_>) -> Result<Cow<'a, Legs>, Fault> {
    legs.fitting(seen).map_err(|why| undecided(route, &why))
}

/// Where nobody can say what the operator wants, nothing is done: a wrong guess would send a request where it must not go.
fn undecided(route: &Route, why: &Undecided) -> Fault {
    let message = "A condition of this gateway could not be evaluated for this request. The log tells its operator which.";
    Fault::gateway(FaultKind::Internal, message).detail(format!("route `{}`: {why}", route.name))
}
