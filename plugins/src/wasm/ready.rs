//! Instances that wait for a request, already started.
//!
//! A request takes one and another is started in its place, off the request's way. None ever comes back: what a request has used is
//! dropped. It is apart because only here is an instance started for nobody. It must not know events.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::instance::Live;
use super::program::Shared;
use crate::idle::Idle;

/// Most instances of one program that wait.
const MOST: usize = 4;

/// The instances of one program that wait. Each has a place among those that may wait in the whole sandbox, so that idle plugins,
/// however many there are, leave room for those that work.
pub(super) struct Ready {
    waiting: Idle<(Live, OwnedSemaphorePermit)>,
    places: Arc<Semaphore>,
}

impl Ready {
    /// None yet.
    pub(super) fn new(shared: &Shared, places: Arc<Semaphore>) -> Self {
        Self { waiting: Idle::new(MOST.min(shared.setup.slots)), places }
    }

    /// Starts the first ones. One that fails to start is left out: the request that needs it will see why.
    pub(super) async fn fill(&self, shared: &Arc<Shared>) {
        for _ in 0..MOST.min(shared.setup.slots) {
            self.add(shared).await;
        }
    }

    /// Takes one, and has another started in its place where there is a runtime to do so.
    pub(super) fn take(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<Live> {
        let (live, _place) = self.waiting.take()?;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Not to be kept by a task that has yet to run.
            let (ready, shared) = (Arc::downgrade(self), Arc::clone(shared));
            runtime.spawn(async move {
                if let Some(ready) = ready.upgrade() {
                    ready.add(&shared).await;
                }
            });
        }
        Some(live)
    }

    async fn add(&self, shared: &Arc<Shared>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        if let Ok(live) = Live::start(shared, shared.setup.limits.cpu_for(0)).await {
            self.waiting.keep((live, place));
        }
    }
}
