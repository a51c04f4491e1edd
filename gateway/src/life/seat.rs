//! The seat of an admitted request: its permits, and the row that is written when it is given up, however that comes about.
//!
//! Apart because it alone settles: finish, fault and hang-up all end in its `Drop`. It must not know how an answer is made.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Fault, FaultKind, Side};

use super::authenticate::Caller;
use super::meter::{Ending, Figures, Meter};
use super::refused::Refused;
use super::{conversations, tried, verdicts};
use crate::config::facts::Facts;
use crate::dialects::{Echo, Ended};
use crate::host::Route;
use crate::limits::{Place, Standing, Taken};
use crate::money::Nanos;
use crate::observe::{Outcome, PluginMetrics, TokenKind};
use crate::records::{Row, Slot, micros};

/// What an admitted request holds.
#[derive(Debug)]
pub(super) struct Permits {
    pub(super) place: Place,
    pub(super) slot: Slot,
    pub(super) taken: Option<Taken>,
    pub(super) standing: Standing,
}

/// What clients are told of plugins and legs, where the operator wants it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Who did what, and what was not inspected.
    pub(crate) did: Option<String>,
    /// Which versions were asked, at what cost.
    pub(crate) versions: Option<String>,
    /// What the answer has cost, once it is over.
    pub(crate) cost: Option<Nanos>,
    /// What it would have cost of the model that costs are compared with.
    pub(crate) compared: Option<Nanos>,
    /// Which way it came.
    pub(crate) way: Option<Way>,
}

/// Which way an answer came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// Who answered.
    pub(crate) leg: Option<String>,
    /// Tries at legs.
    pub(crate) attempts: u32,
    /// What became of each, where there is something to tell.
    pub(crate) tries: Option<String>,
    /// The gateway's own time.
    pub(crate) overhead: Duration,
}

/// Permits, and all that the row of the request will say.
#[derive(Debug)]
pub(crate) struct Seat {
    caller: Arc<Caller>,
    route: Arc<Route>,
    meter: Arc<Meter>,
    standing: Standing,
    stream: bool,
    /// How it ended; a seat that is dropped without an ending lost its client.
    ended: Option<(Outcome, u16)>,
    /// The status that was sent while the answer is still under way.
    sent: Option<u16>,
    /// What the answer says again of the request.
    echo: Option<Arc<Echo>>,
    /// The route whose policies had seen the request then.
    echoed_on: Option<Arc<Route>>,
    slot: Option<Slot>,
    taken: Option<Taken>,
    _place: Place,
}

impl Seat {
    pub(super) fn new(permits: Permits, caller: Arc<Caller>, route: Arc<Route>, request: &ChatRequest) -> Self {
        let Permits { place, slot, taken, standing } = permits;
        let reference = caller.host.facts.reference.as_ref().map(|reference| reference.price);
        let meter = Arc::new(Meter::new(caller.started).comparing(reference));
        meter.read(|figures| figures.in_flight = Some(route.metrics.begin()));
        Self {
            caller,
            route,
            meter,
            standing,
            stream: request.stream,
            ended: None,
            sent: None,
            echo: None,
            echoed_on: None,
            slot: Some(slot),
            taken,
            _place: place,
        }
    }

    /// The figures of this request.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The route that it takes.
    fn route(&self) -> Arc<Route> {
        Arc::clone(self.meter.read(|figures| figures.route.clone()).as_ref().unwrap_or(&self.route))
    }

    /// Name of the route.
    pub(crate) fn model(&self) -> String {
        self.route().name.clone()
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the answer will say again of the request, as it is now.
    pub(super) fn answers(&mut self, echo: Option<Echo>) {
        (self.echo, self.echoed_on) = (echo.map(Arc::new), Some(self.route()));
    }

    /// What the answer says again of the request.
    pub(crate) fn echo(&self) -> Option<&Arc<Echo>> {
        self.echo.as_ref()
    }

    /// Whether who answered last speaks the client's dialect.
    pub(crate) fn speaks_clients_dialect(&self) -> bool {
        let leg = self.meter.read(|figures| figures.leg.clone());
        let provider = leg.as_deref().and_then(|leg| leg.split_once('/')).map(|(provider, _)| provider);
        let fact = provider.and_then(|provider| self.caller.host.facts.providers.get(provider));
        fact.is_some_and(|fact| fact.kind.dialect().name() == self.caller.head.dialect.name())
    }

    /// What there is to say of the answer, now that it is over.
    pub(crate) fn ended(&self) -> Ended {
        Ended { at: self.caller.host.shared.clock.now_s(), kept: self.kept_with().is_some() }
    }

    /// The conversation that the answer is kept with, if it is. Where a policy has had it asked again on a route of other policies, nothing
    /// is kept: what those left of the conversation is not what was there before.
    fn kept_with(&self) -> Option<&Arc<str>> {
        let same = self.echoed_on.as_ref().is_some_and(|route| route.same_chain(&self.route()));
        self.echo.as_ref().filter(|_| same)?.conversation.as_ref()
    }

    /// Keeps the answer for its client, where it wants that and the operator lets it: never waits. An answer that a filter or a bound has
    /// cut is kept as it is, and so is a stream that broke off; one that was refused, or whose client has hung up, never comes here.
    pub(crate) fn keep(&self, body: &Bytes) {
        if let Some(before) = self.kept_with() {
            conversations::keep(&self.caller, body, Arc::clone(before));
        }
    }

    /// How the key's limits stood at admission.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// What the plugins did so far, where the operator wants clients to know.
    pub(crate) fn verdicts(&self) -> Told {
        match self.caller.host.facts.verdict_headers {
            true => self.meter.read(|figures| Told {
                did: verdicts::compact(figures),
                versions: verdicts::versions(figures),
                // Before, more may come.
                cost: figures.bill.total().filter(|_| self.ended.is_some()),
                compared: figures.compared.total().filter(|_| self.ended.is_some()),
                way: Some(Way {
                    leg: figures.leg.clone(),
                    attempts: figures.attempts,
                    tries: tried::way(&figures.tries),
                    overhead: self.meter.overhead(),
                }),
            }),
            false => Told::default(),
        }
    }

    /// What the answer has cost, once it is over and where that is known.
    pub(crate) fn cost(&self) -> Option<Nanos> {
        self.meter.read(|figures| figures.bill.total()).filter(|_| self.ended.is_some())
    }

    /// Ends in a fault before anything was sent.
    pub(super) fn refuse(mut self, fault: Fault) -> Refused {
        self.fails(&fault, self.caller.head.dialect.status(&fault));
        Refused::new(fault, self.standing).verdicts(self.verdicts())
    }

    /// The head of a streamed answer goes out: whatever happens now, the client was told that all is well.
    pub(super) fn speaks(&mut self) {
        self.sent = Some(200);
    }

    /// Ends in a fault in the middle of an answer.
    pub(super) fn fault(&mut self, fault: &Fault) {
        self.fails(fault, self.sent.unwrap_or_else(|| self.caller.head.dialect.status(fault)));
    }

    /// Ends in a fault; `status` is what the client was told.
    fn fails(&mut self, fault: &Fault, status: u16) {
        self.ended = Some((Outcome::of(fault), status));
        let (id, route) = (&self.caller.head.request_id, self.route());
        let (message, detail) = words(fault, &self.caller.host.facts);
        let detail = &*detail;
        if fault.side == Side::Caller || matches!(fault.kind, FaultKind::Blocked { .. }) {
            // A caller's mistake or a policy's word is no trouble of the operator's; the access log tells of it.
            tracing::debug!(request_id = %id, route = %route.name, status, kind = ?fault.kind, detail, "{message}");
        } else {
            tracing::warn!(request_id = %id, route = %route.name, status, kind = ?fault.kind, detail, "{message}");
        }
    }

    /// Ends well.
    pub(super) fn finishes(&mut self) {
        let outcome = match self.meter.read(|figures| figures.ending) {
            Ending::Model => Outcome::Ok,
            Ending::Blocked => Outcome::Blocked,
            Ending::Plugin => Outcome::Answered,
        };
        self.ended = Some((outcome, 200));
    }

    fn row(&self, outcome: Outcome, status: u16, figures: &Figures) -> Row {
        let usage = &figures.used;
        Row {
            leg: figures.leg.clone(),
            stream: self.stream,
            cache: cache_word(figures).to_owned(),
            prompt_tokens: usage.prompt,
            cached_tokens: usage.cached.unwrap_or_default(),
            completion_tokens: usage.completion,
            reasoning_tokens: usage.reasoning.unwrap_or_default(),
            estimated: figures.estimated,
            first_delta_us: figures.first_delta.map(micros),
            rounds: figures.rounds,
            attempts: figures.attempts,
            cost_nanos: figures.bill.total().map(|Nanos(nanos)| nanos),
            compared_nanos: figures.compared.total().map(|Nanos(nanos)| nanos),
            verdicts: verdicts::json(figures),
            ..self.caller.row(figures.route.as_ref().unwrap_or(&self.route).name.clone(), outcome, status)
        }
    }

    fn count(&self, outcome: Outcome, figures: &Figures) {
        let route = figures.route.as_ref().unwrap_or(&self.route);
        let (metrics, usage) = (&route.metrics, &figures.used);
        metrics.settled(outcome, self.caller.started.elapsed());
        if let Some(first) = figures.first_delta {
            metrics.first_delta(first);
        }
        if let Some(cache) = figures.cache {
            metrics.cache(cache);
        }
        metrics.tokens(TokenKind::Prompt, usage.prompt);
        metrics.tokens(TokenKind::Cached, usage.cached.unwrap_or_default());
        metrics.tokens(TokenKind::Completion, usage.completion);
        metrics.tokens(TokenKind::Reasoning, usage.reasoning.unwrap_or_default());
        metrics.cost(figures.bill.total(), figures.compared.total());
        for entry in &figures.entries {
            self.plugin(route, &entry.plugin).did(entry.did, entry.count);
        }
        for tally in figures.tallies.iter().filter(|tally| tally.calls > 0 || tally.trips != [0; 5]) {
            self.plugin(route, &tally.plugin).cost(tally);
        }
    }

    /// The figures of a plugin; one of a route that the request has left is looked up.
    fn plugin(&self, route: &Route, name: &str) -> Arc<PluginMetrics> {
        route.plugin_metrics(name).unwrap_or_else(|| self.caller.host.shared.metrics.plugin(name))
    }

    /// The line in the log about the plugins, where they took part.
    fn tell(&self, figures: &Figures) {
        let id = &self.caller.head.request_id;
        let (did, versions) = (|| verdicts::compact(figures), || verdicts::versions(figures));
        if verdicts::intervened(figures) {
            tracing::info!(target: "gatewright::plugins", request_id = %id, model = %self.route.name, did = did(), versions = versions(), "plugins");
        } else if !figures.entries.is_empty() || !figures.uninspected.is_empty() {
            tracing::debug!(target: "gatewright::plugins", request_id = %id, model = %self.route.name, did = did(), versions = versions(), "plugins");
        }
    }
}

/// What the log says of a fault, and its detail. An upstream's own words may repeat the prompt: they are told only where prompts
/// may be logged.
fn words<'a>(fault: &'a Fault, facts: &Facts) -> (Cow<'a, str>, Cow<'a, str>) {
    let detail = fault.detail.as_deref().unwrap_or_default();
    match (&fault.side, &fault.quote) {
        (_, Some(quote)) if facts.log_prompts => {
            let joint = if detail.is_empty() { "" } else { ": " };
            (Cow::Borrowed(&fault.message), Cow::Owned(format!("{detail}{joint}{quote}")))
        }
        (Side::Upstream(name), _) if matches!(fault.kind, FaultKind::UpstreamStatus(_)) && !facts.log_prompts => {
            (Cow::Owned(format!("The upstream `{name}` reported an error.")), Cow::Borrowed(detail))
        }
        _ => (Cow::Borrowed(&fault.message), Cow::Borrowed(detail)),
    }
}

/// The word of `x-gatewright-cache` and of the record: an answer that was shared while in flight cost nothing, like a hit.
pub(crate) fn cache_word(figures: &Figures) -> &'static str {
    use crate::observe::CacheResult::{Hit, Miss, Shared};
    match figures.cache {
        Some(Hit | Shared) => "hit",
        Some(Miss) => "miss",
        _ => "bypass",
    }
}

/// nginx's number for a client that went away before it got its answer.
const CLIENT_CLOSED: u16 = 499;

impl Drop for Seat {
    fn drop(&mut self) {
        let (outcome, status) = self.ended.unwrap_or((Outcome::HungUp, self.sent.unwrap_or(CLIENT_CLOSED)));
        let meter = Arc::clone(&self.meter);
        meter.read(|figures| {
            figures.in_flight = None;
            self.count(outcome, figures);
            let row = self.row(outcome, status, figures);
            crate::logging::access(&row);
            self.tell(figures);
            if let Some(slot) = self.slot.take() {
                slot.send(row);
            }
            if let Some(taken) = &mut self.taken {
                taken.used(figures.used.prompt.saturating_add(figures.used.completion));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn an_upstreams_own_words_are_logged_only_where_prompts_are() {
        let mut facts = Facts::zero_config(&Environment::of(&[], "/w"));
        let status = Fault::upstream("u", FaultKind::UpstreamStatus(400), "`my prompt` is too long").quote("{\"my prompt\"}");
        let unread = Fault::upstream("u", FaultKind::UpstreamInvalid, "could not be read").detail("syntax").quote("my prompt");
        for fault in [&status, &unread] {
            let (message, detail) = words(fault, &facts);
            assert!(!message.contains("my prompt") && !detail.contains("my prompt"), "{message} {detail}");
        }
        assert_eq!(words(&unread, &facts), ("could not be read".into(), "syntax".into()));
        facts.log_prompts = true;
        for fault in [&status, &unread] {
            assert!(words(fault, &facts).1.contains("my prompt"));
        }
    }
}
