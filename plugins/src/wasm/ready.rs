//! Instances that wait for a request, already started.
//!
//! A request takes one and another is started in its place, off the request's way. None ever comes back: what a request has used is
//! dropped. All programs together may have only so many waiting: each takes the place of one that a request could use. It is apart
//! because it is the only thing that requests of one program share and change. It must not know events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use super::instance::Live;
use super::program::Shared;

/// Most instances of one program that wait.
const MOST: usize = 4;

/// The instances of one program that wait, each with its place among those of all programs.
#[derive(Default)]
pub(super) struct Ready(Mutex<Vec<(Live, OwnedSemaphorePermit)>>);

impl Ready {
    /// Starts the first ones. One that fails to start is left out: the request that needs it will see why.
    pub(super) async fn fill(&self, shared: &Arc<Shared>) {
        for _ in 0..MOST.min(shared.setup.slots) {
            self.add(shared).await;
        }
    }

    /// Takes one, and has another started in its place where there is a runtime to do so.
    pub(super) fn take(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<Live> {
        let taken = self.lock().pop();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (ready, shared) = (Arc::clone(self), Arc::clone(shared));
            runtime.spawn(async move { ready.add(&shared).await });
        }
        taken.map(|(live, _place)| live)
    }

    async fn add(&self, shared: &Arc<Shared>) {
        if self.lock().len() >= MOST.min(shared.setup.slots) {
            return;
        }
        let Ok(place) = Arc::clone(&shared.waiting).try_acquire_owned() else { return };
        if let Ok(live) = Live::start(shared, shared.setup.limits.cpu_for(0)).await {
            self.lock().push((live, place));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Live, OwnedSemaphorePermit)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
