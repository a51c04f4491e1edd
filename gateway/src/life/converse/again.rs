//! Asking again because a plugin wants it: the answer so far is dropped, of which the client saw nothing.
//!
//! Apart because it is the one way back in a conversation. It must not know when a plugin may want it: the plugin host keeps count,
//! and knows what was sent.

use std::sync::Arc;

use gatewright_types::{Chunk, Delta, Fault, FaultKind, Message, Role};

use super::talk::{Setting, Stage, Talk};
use crate::life::screen::{Bound, inspect};

/// What is to be different.
pub(super) struct Wish {
    pub(super) plugin: String,
    pub(super) route: Option<String>,
    pub(super) instruction: Option<String>,
}

impl Talk {
    /// Drops the answer so far and makes ready to ask again: on another route, which is resolved anew and whose plugins see the
    /// request if they are others; with an instruction as the last word of the system. What the dropped answer used counts.
    ///
    /// # Errors
    /// The key may not use that route, or there is none; a refusal of the plugins there.
    pub(super) async fn again(&mut self, wish: Wish) -> Result<(), Fault> {
        let Wish { plugin, route, instruction } = wish;
        if self.spoken {
            let message = format!("The policy `{plugin}` wants the model asked again, and a part of its answer was sent.");
            return Err(Fault::gateway(FaultKind::PluginFailed { plugin }, message));
        }
        if instruction.is_some() && !self.request.wants.is_empty() {
            let message = format!("The policy `{plugin}` has an instruction for the model, and what was asked for is no chat.");
            return Err(Fault::gateway(FaultKind::PluginFailed { plugin }, message));
        }
        // The upstream call is dropped, and with it its hold on the request.
        self.stage = Stage::Ask;
        self.meter.round_ends(&self.request);
        self.meter.read(|figures| figures.bounds = None);
        self.out.clear();
        self.open.clear();
        self.unhear();
        (self.again.asked, self.again.begun) = (true, self.begun);
        let rounds = self.tools.as_ref().map(|tools| tools.rounds);
        let mut guard = self.guard.take();
        guard.iter_mut().for_each(|guard| guard.restart());
        let mut request = Arc::unwrap_or_clone(std::mem::take(&mut self.request));
        if let Some(tools) = self.tools.take() {
            tools.withdraw(&mut request);
        }
        request.model = std::mem::take(&mut self.asked.model);
        request.messages.extend(instruction.map(|text| Message::text(Role::System, text)));
        let mut bound = Bound {
            caller: Arc::clone(&self.caller),
            request,
            route: Arc::clone(&self.route),
            leave: self.leave.clone(),
            meter: Arc::clone(&self.meter),
            reach: self.reach.clone(),
            reasks: guard.as_ref().map_or(0, |guard| guard.session.reasks()),
        };
        let (guard, substitute) = match route.filter(|route| *route != self.route.name) {
            Some(route) => inspect(&mut bound, Some((guard, route))).await?,
            None => (guard, None),
        };
        let Bound { request, route, leave, .. } = bound;
        (self.route, self.leave, self.guard) = (route, leave, guard);
        let setting = Setting::of((&self.route, &self.leave), request, self.guard.as_mut(), self.manner);
        self.set(setting);
        if let (Some(tools), Some(rounds)) = (&mut self.tools, rounds) {
            tools.rounds = rounds;
        }
        if let Some(substitute) = substitute {
            self.substitute(substitute.plugin, substitute.text);
        }
        Ok(())
    }

    /// One bill for all that was asked, where the tool loop does not write it.
    pub(super) fn bill(&mut self) -> Result<(), Fault> {
        if !self.again.asked || self.tools.is_some() {
            return Ok(());
        }
        let usage = self.meter.read(|figures| figures.usage.clone());
        self.show(Delta::Usage(usage))
    }

    /// Whether the answer that comes continues one that the client knows by its id, and takes that of its own out of the chunk.
    pub(super) fn continues(&self, chunk: &mut Chunk) {
        if self.again.begun || self.tools.as_ref().is_some_and(|tools| tools.rounds > 1) {
            chunk.deltas.retain(|delta| !matches!(delta, Delta::Start { .. }));
            chunk.raw = None;
        }
    }
}
