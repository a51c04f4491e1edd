//! Between those who ask and the thread that computes: a bounded queue of requests and a bell.
//!
//! Apart because it is the only thing that both sides hold. It must not know what a request means.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gatewright_types::Delta;
use tokio::sync::mpsc;

use crate::answer::Opening;
use crate::check::Plan;
use crate::error::EngineError;
use crate::grammar::Guide;

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
}

impl Queue {
    /// A queue that lets `most_open` requests be open: running or waiting.
    pub(crate) fn new(most_open: usize) -> Self {
        Self { state: Mutex::default(), bell: Condvar::new(), open: Arc::default(), most_open }
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
            return Err(EngineError::Full);
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        drop(state);
        Ok(Seat(self.open.clone()))
    }

    /// Requests that run, those whose prompts are being tokenised among them, and requests that wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let waiting = self.lock().jobs.len();
        (self.open.load(Ordering::Acquire).saturating_sub(waiting), waiting)
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

    /// Forgets waiting requests whose readers left.
    pub(crate) fn sweep(&self) {
        let mut state = self.lock();
        let (kept, gone): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.jobs).into_iter().partition(|(job, _)| !job.outlet.is_closed());
        state.jobs = kept;
        drop(state);
        drop(gone);
    }

    /// Whether nothing waits and nobody will ask any more.
    pub(crate) fn is_done(&self) -> bool {
        let state = self.lock();
        state.closed && state.jobs.is_empty()
    }

    /// Sleeps until the bell rings; returns at once if it did since the last time.
    pub(crate) fn wait(&self) {
        let mut state = self.lock();
        while !state.rung {
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
    }
}
