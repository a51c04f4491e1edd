//! Between those who ask and the thread that computes: a bounded queue of requests and a bell.
//!
//! Apart because it is the only thing that both sides hold. It must not know what a request means.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatewright_types::{Delta, Prefill};
use tokio::sync::mpsc;

use crate::answer::Opening;
use crate::check::Plan;
use crate::error::EngineError;
use crate::grammar::Guide;
use crate::pages::Salt;
use crate::stats::{EngineStats, Stats};

/// Bounds of what is said to who is turned away.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(120);

/// What a reader receives.
pub(crate) type Outlet = mpsc::Sender<Result<Delta, EngineError>>;

/// One request, ready to run.
pub(crate) struct Job {
    pub(crate) prompt: Arc<[u32]>,
    pub(crate) plan: Plan,
    /// Which of the model's adapters, if any. What is computed of a prompt is this one's alone: keys and values that requests share
    /// are those of one adapter.
    pub(crate) adapter: Option<usize>,
    pub(crate) opening: Opening,
    /// What each choice must follow.
    pub(crate) guide: Option<Guide>,
    pub(crate) seed: u64,
    /// Who may use what is computed of its prompt.
    pub(crate) salt: Salt,
    /// When it came, and when it must be done.
    pub(crate) came: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) prefill: Arc<Prefill>,
    pub(crate) outlet: Outlet,
}

/// A place among the requests that may be open at once; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, Seat)>,
    asked: u64,
    rung: bool,
    /// Nobody will ask any more.
    closed: bool,
    /// Nobody will answer any more.
    dead: bool,
}

/// The queue.
pub(crate) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
    open: Arc<AtomicUsize>,
    most_open: usize,
    /// Milliseconds until one more may come, as far as the thread can tell.
    pace: AtomicU64,
    pub(crate) stats: Stats,
}

impl Queue {
    /// A queue that lets `most_open` requests be open: running or waiting.
    pub(crate) fn new(most_open: usize) -> Self {
        let (state, bell, open, pace, stats) = Default::default();
        Self { state, bell, open, most_open, pace, stats }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a request, before anything is done for it.
    ///
    /// # Errors
    /// [`EngineError::Full`], or [`EngineError::Step`] if the thread is gone.
    pub(crate) fn seat(&self) -> Result<Seat, EngineError> {
        let state = self.living()?;
        if self.open.load(Ordering::Acquire) >= self.most_open {
            self.stats.lock().refused += 1;
            let pace = Duration::from_millis(self.pace.load(Ordering::Relaxed));
            return Err(EngineError::Full { retry_after: pace.clamp(SOONEST, LATEST) });
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        drop(state);
        Ok(Seat(self.open.clone()))
    }

    /// The thread's numbers, with those of requests that it did not take yet.
    pub(crate) fn numbers(&self) -> EngineStats {
        let queued = self.lock().jobs.len();
        let mut numbers = *self.stats.lock();
        numbers.waiting += queued;
        numbers.running = self.open.load(Ordering::Acquire).saturating_sub(numbers.waiting);
        numbers
    }

    /// Says how long it takes until one more may come.
    pub(crate) fn expect(&self, pace: Duration) {
        self.pace.store(u64::try_from(pace.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn living(&self) -> Result<MutexGuard<'_, State>, EngineError> {
        let state = self.lock();
        if state.dead { Err(EngineError::Step("the engine's thread has ended".to_owned())) } else { Ok(state) }
    }

    /// Adds a request; `job` is given the request's number.
    ///
    /// # Errors
    /// [`EngineError::Step`] if the thread is gone.
    pub(crate) fn push(&self, seat: Seat, job: impl FnOnce(u64) -> Job) -> Result<(), EngineError> {
        let mut state = self.living()?;
        state.asked += 1;
        let entry = (job(state.asked), seat);
        state.jobs.push_back(entry);
        drop(state);
        self.ring();
        Ok(())
    }

    /// Wakes the thread: a reader made room or left.
    pub(crate) fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_one();
    }

    /// Says that nobody will ask any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ring();
    }

    /// Says that nobody will answer any more: what waits is dropped, and its readers learn that.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.dead = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
    }

    /// The oldest request whose reader is still there.
    pub(crate) fn take(&self) -> Option<(Job, Seat)> {
        let mut gone = Vec::new();
        let mut state = self.lock();
        let mut found = None;
        while let Some(entry) = state.jobs.pop_front() {
            if entry.0.outlet.is_closed() {
                gone.push(entry);
            } else {
                found = Some(entry);
                break;
            }
        }
        drop(state);
        found
    }

    /// Whether nothing waits and nobody will ask any more.
    pub(crate) fn is_done(&self) -> bool {
        let state = self.lock();
        state.closed && state.jobs.is_empty()
    }

    /// Sleeps until the bell rings, or until then; returns at once if it rang since the last time.
    pub(crate) fn wait(&self, until: Option<Instant>) {
        let mut state = self.lock();
        while !state.rung {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.rung = false;
    }
}
