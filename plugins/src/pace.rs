//! Whether a plugin is new, or was stopped lately: then its calls run where they hold up no other request.
//!
//! Apart because both sandboxes keep to it. It must not know how a call is moved elsewhere.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::guest::{GuestError, GuestErrorKind};

/// Calls in time after which a plugin that was stopped is trusted again.
const TRUSTED: u32 = 256;

/// The same for one that is new: it may be one that never ends.
const NEW: u32 = 16;

/// How the calls of one program went.
#[derive(Debug)]
pub(crate) struct Pace(AtomicU32);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU32::new(NEW))
    }
}

impl Pace {
    /// Whether its next call should run apart.
    pub(crate) fn is_slow(&self) -> bool {
        self.0.load(Relaxed) > 0
    }

    /// Takes note of a call. That two threads may do so at once, and count one call for two, is no matter.
    pub(crate) fn saw<T>(&self, call: &Result<T, GuestError>) {
        match call {
            Err(GuestError { kind: GuestErrorKind::Cpu | GuestErrorKind::Wall | GuestErrorKind::Memory, .. }) => {
                self.0.store(TRUSTED, Relaxed);
            }
            Ok(_) if self.is_slow() => self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_new_or_was_stopped_is_trusted_after_many_calls_in_time() {
        let pace = Pace::default();
        let failed = |kind| Err::<(), _>(GuestError::new(kind, ""));
        pace.saw(&failed(GuestErrorKind::Trap));
        (1..NEW).for_each(|_| pace.saw(&Ok(())));
        assert!(pace.is_slow());
        pace.saw(&Ok(()));
        assert!(!pace.is_slow());
        pace.saw(&failed(GuestErrorKind::Cpu));
        (1..TRUSTED).for_each(|_| pace.saw(&Ok(())));
        pace.saw(&failed(GuestErrorKind::Trap));
        assert!(pace.is_slow());
        pace.saw(&Ok(()));
        assert!(!pace.is_slow());
    }
}
