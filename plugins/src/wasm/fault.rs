//! What went wrong in a guest, told from what wasmtime reports.
//!
//! It is apart because it is the one place that reads wasmtime's errors. It must not decide what follows from them.

use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::state::State;
use crate::guest::{GuestError, GuestErrorKind};

/// How wasmtime says that a guest hands over too much; it has no public type for it.
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";

/// A limit on time that was found used up at a tick.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped at a tick")]
pub(super) struct Stopped(pub(super) GuestErrorKind);

/// A function that the guest called and the host does not have.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it calls `{0}`, which this gateway does not have")]
pub(super) struct Missing(pub(super) String);

/// The error in our terms.
pub(super) fn fault(error: &wasmtime::Error, state: &State) -> GuestError {
    if let Some(Stopped(kind)) = error.downcast_ref::<Stopped>() {
        return GuestError::new(*kind, state.meter.allowed(*kind));
    }
    if let Some(missing) = error.downcast_ref::<Missing>() {
        return GuestError::new(GuestErrorKind::Trap, missing.to_string());
    }
    let message = format!("{error:#}");
    let limits = &state.setup.limits;
    if message.contains(TOO_MUCH_COPIED) {
        return GuestError::new(GuestErrorKind::Output, format!("more than {} bytes", limits.output));
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return GuestError::new(GuestErrorKind::Load, format!("no room for another instance: {full}"));
    }
    let trap = error.downcast_ref::<Trap>();
    // A guest whose memory is full gives up with `unreachable`, or never starts.
    if state.memory.refused && matches!(trap, None | Some(Trap::UnreachableCodeReached | Trap::AllocationTooLarge)) {
        return GuestError::new(GuestErrorKind::Memory, format!("more than {} bytes", limits.memory));
    }
    GuestError::new(if trap.is_some() { GuestErrorKind::Trap } else { GuestErrorKind::Contract }, message)
}
