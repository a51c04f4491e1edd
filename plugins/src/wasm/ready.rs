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
pub(super) struct Ready(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    live: Vec<(Live, OwnedSemaphorePermit)>,
    /// Those that are being started.
    coming: usize,
}

/// One that is being started. It counts until it waits, or is given up.
struct Coming(Arc<Ready>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.lock().coming -= 1;
    }
}

impl Ready {
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
        let taken = self.lock().live.pop();
        if let (Ok(runtime), Some(coming)) = (tokio::runtime::Handle::try_current(), self.expect(shared)) {
            let shared = Arc::clone(shared);
            runtime.spawn(async move { coming.start(&shared).await });
        }
        taken.map(|(live, _place)| live)
    }

    /// Whether another may be started, which is then expected.
    fn expect(self: &Arc<Self>, shared: &Shared) -> Option<Coming> {
        if shared.waiting.available_permits() == 0 {
            return None;
        }
        let mut waiting = self.lock();
        if waiting.live.len() + waiting.coming >= MOST.min(shared.setup.slots) {
            return None;
        }
        waiting.coming += 1;
        Some(Coming(Arc::clone(self)))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming {
    /// Starts one and has it wait; not where it fails, or where others wait in all places.
    async fn start(self, shared: &Arc<Shared>) -> bool {
        let Ok(place) = Arc::clone(&shared.waiting).try_acquire_owned() else { return false };
        match Live::start(shared, shared.setup.limits.cpu_for(0)).await {
            Ok(live) => self.0.lock().live.push((live, place)),
            Err(_) => return false,
        }
        true
    }
}
