//! Answers that are made in the background: which are under way, how one is stopped, and when it is over.
//!
//! Apart because these outlive the connection of whoever asked: here alone a request does not end when its client leaves. It must not know
//! what is answered, nor who writes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatewright_types::{Fault, FaultKind};
use tokio::sync::watch;

use super::admit::full;
use super::authenticate::Caller;
use crate::host::Host;

/// Tenant and id of an answer.
type Name = (String, String);

/// Answers of one tenant that may be under way. Each holds a seat besides, and counts for its key's limits.
const MOST: usize = 64;
/// Time that all of them have to say that they were stopped.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why an answer was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its client wants it no more.
    Cancelled,
    /// The gateway ends.
    Closing,
}

/// Why an answer failed that nobody makes any more.
pub(crate) fn closed() -> Fault {
    Fault::gateway(FaultKind::Internal, "The gateway was stopped before this response was complete.")
}

/// Answers that are under way.
#[derive(Debug, Default)]
pub struct Background(Mutex<HashMap<Name, Arc<Job>>>);

/// One of them, for those who watch it.
#[derive(Debug, Default)]
pub(crate) struct Job {
    stop: watch::Sender<Option<Stop>>,
    over: watch::Sender<bool>,
}

impl Job {
    /// It shall stop; the first word counts.
    pub(crate) fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(why);
            first
        });
    }

    /// Waits until it is over, and kept as it then was.
    pub(crate) async fn over(&self) {
        // The sender is here as long as this is.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

impl Background {
    fn locked<T>(&self, look: impl FnOnce(&mut HashMap<Name, Arc<Job>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer of this tenant and id, while it is under way.
    pub(crate) fn find(&self, tenant: &str, id: &str) -> Option<Arc<Job>> {
        self.locked(|jobs| jobs.get(&(tenant.to_owned(), id.to_owned())).cloned())
    }

    /// Waits until none is under way.
    pub(crate) async fn over(&self) {
        while let Some(job) = self.locked(|jobs| jobs.values().next().cloned()) {
            job.over().await;
        }
    }

    /// Stops all of them, and waits a moment until they have said so.
    pub(crate) async fn close(&self) {
        self.locked(|jobs| jobs.values().for_each(|job| job.stop(Stop::Closing)));
        let _ = tokio::time::timeout(LAST_WORDS, self.over()).await;
    }
}

/// An answer that is under way, for whoever makes it: dropped, it is over.
#[derive(Debug)]
pub(crate) struct Running {
    host: Arc<Host>,
    name: Name,
    job: Arc<Job>,
}

impl Running {
    /// The answer to this caller is made in the background.
    ///
    /// # Errors
    /// [`gatewright_types::FaultKind::Overloaded`] when its tenant has too many.
    pub(crate) fn begin(caller: &Caller) -> Result<Self, Fault> {
        let name = (caller.tenant().to_owned(), caller.head.answer_id());
        let job = Arc::new(Job::default());
        let room = caller.host.shared.background.locked(|jobs| {
            let room = jobs.keys().filter(|(tenant, _)| *tenant == name.0).count() < MOST;
            if room {
                jobs.insert(name.clone(), Arc::clone(&job));
            }
            room
        });
        let running = || Self { host: Arc::clone(&caller.host), name, job };
        room.then(running).ok_or_else(|| full("a tenant's responses in the background"))
    }

    /// For those who watch it.
    pub(crate) fn job(&self) -> Arc<Job> {
        Arc::clone(&self.job)
    }

    /// Waits until someone has it stopped.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut stop = self.job.stop.subscribe();
        let found = stop.wait_for(Option::is_some).await.map(|stop| *stop);
        found.ok().flatten().unwrap_or(Stop::Closing)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.host.shared.background.locked(|jobs| jobs.remove(&self.name));
        self.job.over.send_replace(true);
    }
}
