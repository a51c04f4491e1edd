//! Beside the life of a request: bytes that are passed on unread. Who asks, whether it may, whether there is room, and that no policy
//! is gone around.
//!
//! Apart because nothing of it is a prompt or an answer that a stage could see. What is enforced wins: where an enforced plugin would
//! act on the key's requests, nothing passes. It must not know HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use gatewright_types::{ChatRequest, Fault, FaultKind};

use super::admit::permits;
use super::authenticate::{Head, authenticate};
use super::leave::{self, Leave};
use super::meter::{Missed, Why};
use super::refused::Refused;
use super::seat::Seat;
use crate::host::{Host, Passage, Route};
use crate::upstreams::remote::{Courier, Load};

/// A request that may pass.
#[derive(Debug)]
pub(crate) struct Boarded {
    passage: Arc<Passage>,
    seat: Seat,
}

/// Gives a request its seat, on the passage that its path has. `path` is what follows `/v1/`.
///
/// # Errors
/// No key, not this path, no room, over a limit, or an enforced policy.
pub(crate) fn board(host: Arc<Host>, head: Head, (path, passage): (&str, Arc<Passage>)) -> Result<Boarded, Refused> {
    let caller = Arc::clone(&authenticate(host, head)?.caller);
    let name = format!("{}/{path}", passage.provider);
    if !caller.may_use(&name) {
        let message = format!("This API key may not use /v1/{path} of `{}`.", passage.provider);
        return Err(caller.turn_away(&passage.route(&caller).name, Fault::caller(FaultKind::Forbidden, message)));
    }
    let route = passage.route(&caller);
    let request = ChatRequest { model: route.name.clone(), ..ChatRequest::default() };
    let permits = permits(&caller, &request).map_err(|refused| caller.turn_away(&request.model, refused))?;
    let seat = Seat::new(permits, Arc::clone(&caller), Arc::clone(&route), &request);
    if route.plugins.enforced_ears.is_some() {
        let kind = FaultKind::Blocked { plugin: "pass-through".to_owned(), code: "not_inspectable".to_owned() };
        let message = format!("Policies are enforced here, and none can inspect /v1/{path}: it is not passed on.");
        return Err(seat.refuse(Fault::caller(kind, message)));
    }
    if let Err(fault) = leaves(&seat, (&request, &route)) {
        return Err(seat.refuse(fault));
    }
    seat.meter().read(|figures| {
        figures.leg = Some(name);
        figures.attempts = 1;
        figures.uninspected.push(Missed { what: "all", why: Why::Unheard });
    });
    Ok(Boarded { passage, seat })
}

/// Whether a request may go where its passage leads. Of the rules only `local_only` counts: there is no other way to send it, and
/// what they see of it is who asks, and its headers.
///
/// # Errors
/// A rule keeps it from leaving, or can be said neither to hold nor not to.
fn leaves(seat: &Seat, (request, route): (&ChatRequest, &Route)) -> Result<(), Fault> {
    if route.local_legs().is_some() {
        return Ok(());
    }
    let mut leave = Leave::default();
    leave.heed(route, &leave::seen(seat.caller(), (request, route), &[]))?;
    seat.meter().read(|figures| figures.kept_here = leave.why().cloned());
    leave.may(route).map(drop)
}

impl Boarded {
    /// Who carries it.
    pub(crate) fn courier(&self) -> &Courier {
        &self.passage.courier
    }

    /// The seat, for what the headers say.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// It did not get there, or was refused there.
    pub(crate) fn refused(self, fault: Fault) -> Refused {
        self.seat.refuse(fault)
    }

    /// What comes back is on its way.
    pub(crate) fn returns(mut self, load: Load) -> Returning {
        self.seat.speaks();
        Returning { load: Some(load), seat: self.seat }
    }
}

/// What comes back. Dropped early, it is a hang-up.
pub(crate) struct Returning {
    /// `None` once it is over.
    load: Option<Load>,
    seat: Seat,
}

impl Stream for Returning {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(load) = &mut this.load else { return Poll::Ready(None) };
        let item = std::task::ready!(Pin::new(load).poll_next(context));
        match &item {
            Some(Ok(_)) => return Poll::Ready(item),
            Some(Err(fault)) => this.seat.fault(fault),
            None => this.seat.finishes(),
        }
        this.load = None;
        Poll::Ready(item)
    }
}
