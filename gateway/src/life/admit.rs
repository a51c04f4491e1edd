//! Fourth stage: is there room? Requests in flight, the key's limits, a place in the records' queue. Its seat is held to the end.
//!
//! Apart because from here on a request costs something and must settle. It must not know plugins or upstreams. It takes the
//! stage before it:
//!
//! ```
//! # use gatewright::life::{Admitted, Refused, Resolved, admit};
//! fn next(before: Resolved) -> Result<Admitted, Refused> {
//!     admit(before)
//! }
//! ```
//! ```compile_fail
//! # use gatewright::life::{Admitted, Received, Refused, admit};
//! fn next(before: Received) -> Result<Admitted, Refused> {
//!     admit(before)
//! }
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_types::{ChatRequest, Fault, FaultKind, Retry};

use super::authenticate::Caller;
use super::leave::Leave;
use super::meter::prompt_estimate;
use super::refused::Refused;
use super::resolve::Resolved;
use super::seat::{Permits, Seat};
use crate::host::Route;
use crate::limits::{Over, Place, Standing, Taken};

/// A request that has a seat.
#[derive(Debug)]
pub struct Admitted {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    pub(super) route: Arc<Route>,
    pub(super) leave: Leave,
    pub(super) seat: Seat,
    _made_here: (),
}

/// Gives a request its seat.
///
/// # Errors
/// [`FaultKind::Overloaded`] when the process is full, [`FaultKind::RateLimited`] when the key is over a limit.
pub fn admit(resolved: Resolved) -> Result<Admitted, Refused> {
    let Resolved { caller, request, route, .. } = resolved;
    let permits = permits(&caller, &request).map_err(|refused| caller.turn_away(&request.model, refused))?;
    let seat = Seat::new(permits, Arc::clone(&caller), Arc::clone(&route), &request);
    let mut leave = Leave::default();
    leave.on(&route);
    Ok(Admitted { caller, request, route, leave, seat, _made_here: () })
}

pub(super) fn permits(caller: &Caller, request: &ChatRequest) -> Result<Permits, Refused> {
    let shared = &caller.host.shared;
    let place = shared.limiter.enter(caller.host.facts.limits.in_flight).ok_or_else(|| full("requests in flight"))?;
    let slot = shared.records.reserve().map_err(|_| {
        shared.metrics.records_refused().inc();
        full("records that wait to be written")
    })?;
    let tokens = match &caller.key {
        Some(key) if key.tokens_per_minute.is_some() => prompt_estimate(request),
        _ => 0,
    };
    let (taken, standing) = take(caller, tokens)?;
    Ok(Permits { place, slot, taken, standing })
}

/// The refusal of a process that is full.
pub(super) fn full(of: &str) -> Fault {
    let message = format!("The gateway is at its limit of {of}. Try again in a moment.");
    Fault::gateway(FaultKind::Overloaded, message).retry(Retry::Here(Some(Duration::from_secs(1))))
}

/// Lets a request pass that no model is asked for: it counts as one of its key's requests, without tokens.
///
/// # Errors
/// As [`admit`], but for records: it leaves none.
pub(super) fn pass(resolved: &Resolved) -> Result<(Place, Option<Taken>), Refused> {
    let caller = &resolved.caller;
    let passed = || {
        let place =
            caller.host.shared.limiter.enter(caller.host.facts.limits.in_flight).ok_or_else(|| full("requests in flight"))?;
        Ok((place, take(caller, 0)?.0))
    };
    passed().map_err(|refused: Refused| caller.turn_away(&resolved.request.model, refused))
}

/// Counts a request for what is kept as one of its key's. It needs no place in flight, for what it is about may hold the last one while it
/// is made, and uses no tokens.
///
/// # Errors
/// [`FaultKind::RateLimited`] when the key has had too many requests.
pub(super) fn count(caller: &Caller) -> Result<(), Refused> {
    let (Some(key), Some(state)) = (&caller.key, &caller.limits) else { return Ok(()) };
    state.count(key, Instant::now()).map_err(|over| caller.turn_away("", over_limit(over)))
}

fn take(caller: &Caller, tokens: u64) -> Result<(Option<Taken>, Standing), Refused> {
    let (Some(key), Some(state)) = (&caller.key, &caller.limits) else { return Ok((None, Standing::default())) };
    match state.take(key, tokens, Instant::now()) {
        Ok((taken, standing)) => Ok((Some(taken), standing)),
        Err(over) => Err(over_limit(over)),
    }
}

fn over_limit((over, standing): (Over, Standing)) -> Refused {
    let (what, wait) = match over {
        Over::Requests(wait) => ("requests per minute", wait),
        Over::Tokens(wait) => ("tokens per minute", wait),
        Over::InFlight => ("requests in flight", Duration::from_secs(1)),
    };
    let message = format!("The API key is over its limit of {what}. Try again in {} s.", wait.as_secs() + 1);
    Refused::new(Fault::caller(FaultKind::RateLimited, message).retry(Retry::Here(Some(wait))), standing)
}
