//! One model call: the cache is looked into first, then the route's legs are tried until one speaks.
//!
//! Apart because it alone knows cache and dispatch. It must not know plugins.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use futures_util::{StreamExt, TryStreamExt, stream};
use gatewright_types::{ChatRequest, Fault, Usage};

use super::talk::{Stage, Talk};
use crate::conditions::Seen;
use crate::host::{Lean, Legs, Route, Shared};
use crate::life::leave::{self, Bounds, Leave};
use crate::life::meter::{Meter, prompt_estimate};
use crate::life::stay::Stay;
use crate::life::tried::Tried;
use crate::money::Nanos;
use crate::observe::{AttemptOutcome, CacheResult};
use crate::records::micros;
use crate::upstreams::cache::{CacheScope, Look};
use crate::upstreams::dispatch::{Dispatched, Ended, Leg, Witness, dispatch};
use crate::upstreams::{Deadline, Deltas};

impl Talk {
    /// Asks for one answer.
    pub(super) async fn ask(&mut self) -> Result<(), Fault> {
        super::tools::check_time(self.deadline)?;
        let (fitting, digest) = self.heed()?;
        self.meter.round_begins();
        self.own = false;
        let call = Call {
            route: Arc::clone(&self.route),
            leave: self.leave.clone(),
            fitting,
            request: Arc::clone(&self.request),
            meter: Arc::clone(&self.meter),
            stay: Stay::of(&self.caller, &self.route, &self.request),
            shared: Arc::clone(&self.caller.host.shared),
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

    /// What plugins noted since the last round may keep the next one from leaving. Where it was sent on the way here, it stays. Gives
    /// the legs that are for the request, where they are not all that it may go to; and who would answer.
    fn heed(&mut self) -> Result<(Option<Legs>, [u8; 32]), Fault> {
        let route = Arc::clone(&self.route);
        let notes = self.guard.as_ref().map(|guard| guard.session.notes());
        let before = self.leave.notes().to_vec();
        let seen = leave::seen(&self.caller, (&self.request, &route), notes.unwrap_or(&before));
        let seen = Seen { model: Some(&self.asked.model), tools: Some(self.asked.tools), ..seen };
        if notes.is_some() && !route.rules.is_empty() {
            self.leave.heed(&route, &seen)?;
            let (leave, request) = (self.leave.clone(), Arc::clone(&self.request));
            let asked = Some((self.asked.model.clone(), self.asked.tools));
            let bounds = Bounds { leave, route: Arc::clone(&route), request, asked };
            self.meter.read(|figures| {
                figures.kept_here = self.leave.why().cloned();
                figures.bounds = Some(Arc::new(bounds));
            });
        }
        Ok(match self.leave.legs(&route, &seen)? {
            Cow::Borrowed(all) => (None, all.digest),
            Cow::Owned(fitting) => {
                let digest = fitting.digest;
                (Some(fitting), digest)
            }
        })
    }
}

/// All that a model call needs, so that it can outlive the one who began it.
struct Call {
    route: Arc<Route>,
    leave: Leave,
    /// Of the legs that it may go to, those that are for the request; `None` is all.
    fitting: Option<Legs>,
    request: Arc<ChatRequest>,
    meter: Arc<Meter>,
    /// How its conversation finds its leg.
    stay: Stay,
    shared: Arc<Shared>,
    deadline: Deadline,
}

impl Call {
    /// Walks the legs until one speaks.
    async fn make(self) -> Result<Deltas, Fault> {
        let tries = Tries { route: &self.route, meter: &self.meter, prompt: OnceLock::new(), request: Arc::clone(&self.request) };
        let legs = match &self.fitting {
            Some(fitting) => fitting,
            None => self.leave.may(&self.route)?,
        };
        let known = &self.shared.affinities;
        let leg = self.stay.leg(known);
        let lean = Lean { lot: self.stay.lot.as_deref(), leg: leg.as_deref() };
        let asking = self.route.asking(legs, (self.request, self.deadline, lean));
        let Dispatched { deltas, leg, price, carried } = dispatch(asking, &tries).await?;
        self.stay.answers(known, &leg);
        self.meter.speaks(leg, (price, carried));
        Ok(deltas)
    }
}

/// Counts tries where they are made: in the figures of the request and in the leg's metrics.
struct Tries<'a> {
    route: &'a Route,
    meter: &'a Meter,
    request: Arc<ChatRequest>,
    /// About how many tokens are asked.
    prompt: OnceLock<u64>,
}

impl Tries<'_> {
    /// What a call that was let go may have cost: its prompt, at least.
    fn lost(&self, leg: &Leg) -> Option<Nanos> {
        let prompt = *self.prompt.get_or_init(|| prompt_estimate(&self.request));
        leg.merits.price.map(|price| price.of(&Usage { prompt, ..Usage::default() }))
    }
}

impl Witness for Tries<'_> {
    fn asks(&self, leg: &Leg) {
        self.meter.read(|figures| {
            figures.attempts += 1;
            figures.engine_reads += u32::from(is_engine(leg));
        });
    }

    fn ended(&self, leg: &Leg, ended: Ended) {
        let Ended { outcome, why, began, took } = ended;
        let lost = if outcome == AttemptOutcome::Lost { self.lost(leg) } else { None };
        self.meter.read(|figures| {
            // A leg that was skipped was not asked.
            let read = is_engine(leg) && outcome != AttemptOutcome::Skipped;
            figures.engine_reads = figures.engine_reads.saturating_sub(u32::from(read));
            let (leg, did, round) = (leg.name.clone(), outcome.as_str(), figures.rounds);
            if figures.tries.len() < MOST_TRIES {
                figures.tries.push(Tried { leg, did, why, us: micros(took), lost, round, began, ended: began + took });
            }
        });
        if let Some(metrics) = self.route.leg_metrics(&leg.name) {
            metrics.attempt(outcome, took);
            metrics.lost(lost);
        }
    }
}

/// Whether a leg is one of the embedded engine's.
fn is_engine(leg: &Leg) -> bool {
    leg.name.starts_with("engine/")
}

/// Tries of one request that are put on record.
const MOST_TRIES: usize = 64;

#[cfg(test)]
mod tests;
