//! What the request that asks first must do: ask, and let its answer pass through here.
//!
//! Apart because it is the cache's side of `converse`. It must not know dispatch.

use std::sync::Arc;
use std::time::Duration;

use gatewright_types::{Fault, FaultKind, Retry};

use super::flight::{Flight, Subscriber};
use crate::upstreams::Deltas;

/// The first of identical requests. Others may wait for it: give it the call at once with [`Leader::record`], and put all that
/// is awaited (dispatch, fail-over) inside the stream, so that the call goes on for them when this request's client hangs up.
/// Dropped unused, it ends the wait of those who follow with a fault that says: try again.
pub struct Leader(Option<Arc<Flight>>);

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leader")
    }
}

impl Leader {
    pub(super) fn of(flight: Arc<Flight>) -> Self {
        Self(Some(flight))
    }

    /// Passes the answer through, shares it with identical requests, and stores it for `ttl` if it ends cleanly: without a
    /// fault, every choice finished by stop, length or tool calls, and within the bound of an entry. The call is dropped when
    /// the last of those who read it is gone; a reader that falls behind by more than the bound of an entry gets a fault.
    pub fn record(mut self, deltas: Deltas, ttl: Duration) -> Deltas {
        match self.0.take() {
            Some(flight) => Box::pin(Subscriber::lead(flight, deltas, ttl)),
            None => deltas,
        }
    }

    /// The call failed before there was a stream: those who follow get the same fault.
    pub fn fail(mut self, fault: &Fault) {
        if let Some(flight) = self.0.take() {
            flight.abandon(fault.clone());
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(flight) = self.0.take() {
            let fault =
                Fault::gateway(FaultKind::Overloaded, "the identical request that this one waited for was given up; try again");
            flight.abandon(fault.retry(Retry::Here(Some(Duration::ZERO))));
        }
    }
}
