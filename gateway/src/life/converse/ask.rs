//! One model call: the cache is looked into first, then the route's legs are tried until one speaks.
//!
//! Apart because it alone knows cache and dispatch. It must not know plugins.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use gatewright_types::{ChatRequest, Fault};

use super::talk::{Stage, Talk};
use crate::host::Route;
use crate::life::leave::Leave;
use crate::life::meter::Meter;
use crate::observe::{AttemptOutcome, CacheResult};
use crate::upstreams::cache::{CacheScope, Look};
use crate::upstreams::dispatch::{Dispatched, Witness, dispatch};
use crate::upstreams::{Deadline, Deltas};

impl Talk {
    /// Asks for one answer.
    pub(super) async fn ask(&mut self) -> Result<(), Fault> {
        super::tools::check_time(self.deadline)?;
        self.heed_notes();
        let digest = self.leave.legs(&self.route)?.digest;
        self.meter.round_begins();
        let call = Call {
            route: Arc::clone(&self.route),
            leave: self.leave.clone(),
            request: Arc::clone(&self.request),
            meter: Arc::clone(&self.meter),
            conversation: self.caller.head.conversation.clone(),
            deadline: Deadline(self.deadline),
        };
        self.stage = Stage::Listen(match self.route.cache.filter(|_| !self.caller.head.no_store) {
            None => {
                self.meter.found(CacheResult::Bypass);
                call.make().await?
            }
            Some(ttl) => {
                let cache = &self.caller.host.shared.cache;
                let scope = CacheScope { tenant: Some(self.caller.tenant()), leg: &digest };
                match cache.look(cache.key(&scope, &self.request)) {
                    Look::Hit(deltas) => {
                        self.meter.found(CacheResult::Hit);
                        deltas
                    }
                    Look::Shared(deltas) => {
                        self.meter.found(CacheResult::Shared);
                        deltas
                    }
                    Look::Miss(leader) => {
                        self.meter.found(CacheResult::Miss);
                        // The call is made inside the stream, so that it goes on for others when this client hangs up.
                        let deltas = stream::once(async move { call.make().await }).try_flatten().boxed();
                        leader.record(deltas, ttl)
                    }
                }
            }
        });
        Ok(())
    }

    /// What plugins noted since the last round may keep the next one from leaving. Where it was sent on the way here, it stays.
    fn heed_notes(&mut self) {
        let Some(guard) = self.guard.as_ref().filter(|_| !self.route.rules.is_empty()) else { return };
        self.leave.heed(&self.route, guard.session.notes());
        self.meter.read(|figures| figures.kept_here = self.leave.why().cloned());
    }
}

/// All that a model call needs, so that it can outlive the one who began it.
struct Call {
    route: Arc<Route>,
    leave: Leave,
    request: Arc<ChatRequest>,
    meter: Arc<Meter>,
    /// The client's id of it.
    conversation: Option<String>,
    deadline: Deadline,
}

impl Call {
    /// Walks the legs until one speaks.
    async fn make(self) -> Result<Deltas, Fault> {
        let legs = self.leave.legs(&self.route)?;
        let tries = Tries { route: &self.route, meter: &self.meter };
        let ordered = self.route.order(legs, self.conversation.as_deref());
        let request = Arc::clone(&self.request);
        let Dispatched { deltas, leg, price } = dispatch(&ordered, self.request, self.deadline, &tries).await?;
        let spoke = ordered.iter().find(|known| known.name == leg);
        let carried = spoke.map(|leg| leg.upstream.carries(&request)).unwrap_or_default();
        self.meter.speaks(leg, (price, carried));
        Ok(deltas)
    }
}

/// Counts tries where they are made: in the figures of the request and in the leg's metrics.
struct Tries<'a> {
    route: &'a Route,
    meter: &'a Meter,
}

impl Witness for Tries<'_> {
    fn asks(&self) {
        self.meter.read(|figures| figures.attempts += 1);
    }

    fn ended(&self, leg: &str, outcome: AttemptOutcome, took: Duration) {
        self.meter.read(|figures| figures.given_up += u32::from(outcome == AttemptOutcome::Failed));
        if let Some(metrics) = self.route.leg_metrics(leg) {
            metrics.attempt(outcome, took);
        }
    }
}

#[cfg(test)]
mod tests;
