//! Instances that wait for a request, already started.
//!
//! A request takes one and another is started in its place, off the request's way. None ever comes back: what a request has used is
//! dropped. All programs together may have only so many waiting: each takes the place of one that a request could use. It is apart
//! because only here is an instance started for nobody. It must not know events.

use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::instance::Live;
use super::program::Shared;
use crate::idle::Idle;

/// Most instances of one program that wait.
const MOST: usize = 4;

/// The instances of one program that wait.
pub(super) struct Ready {
    waiting: Idle<Waiting>,
    /// Places for those that wait and those that are being started.
    places: Arc<Semaphore>,
}

/// One that waits, with its place among those of its program, and among those of all.
struct Waiting {
    live: Live,
    _places: [OwnedSemaphorePermit; 2],
}

/// One that is being started. It has its place among those of its program until it no longer waits, or is given up; and it keeps
/// none of those that wait, for it may be a task that has yet to run when the program is gone.
struct Coming {
    ready: Weak<Ready>,
    place: OwnedSemaphorePermit,
}

impl Ready {
    /// None yet, of a program that may have so many instances in use.
    pub(super) fn new(slots: usize) -> Self {
        let most = MOST.min(slots);
        Self { waiting: Idle::new(most), places: Arc::new(Semaphore::new(most)) }
    }

    /// Starts the first ones. One that fails to start is left out: the request that needs it will see why.
    pub(super) async fn fill(self: &Arc<Self>, shared: &Arc<Shared>) {
        while let Some(coming) = self.expect(shared) {
            if !coming.start(shared).await {
                return;
            }
        }
    }

    /// Takes one, and has another started in its place where there is a runtime to do so.
    pub(super) fn take(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<Live> {
        let taken = self.waiting.take().map(|waiting| waiting.live);
        if let (Ok(runtime), Some(coming)) = (tokio::runtime::Handle::try_current(), self.expect(shared)) {
            let shared = Arc::clone(shared);
            runtime.spawn(async move { coming.start(&shared).await });
        }
        taken
    }

    /// Whether another may be started, which is then expected.
    fn expect(self: &Arc<Self>, shared: &Shared) -> Option<Coming> {
        if shared.waiting.available_permits() == 0 {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Coming { ready: Arc::downgrade(self), place })
    }
}

impl Coming {
    /// Starts one and has it wait; not where it fails, where others wait in all places, or where the program is gone.
    async fn start(self, shared: &Arc<Shared>) -> bool {
        let Ok(place) = Arc::clone(&shared.waiting).try_acquire_owned() else { return false };
        if self.ready.strong_count() == 0 {
            return false;
        }
        let started = Live::start(shared, shared.setup.limits.cpu_for(0)).await;
        let (Ok(live), Some(ready)) = (started, self.ready.upgrade()) else { return false };
        ready.waiting.keep(Waiting { live, _places: [self.place, place] });
        true
    }
}
