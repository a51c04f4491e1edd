//! A thread that ticks each millisecond while a guest computes, so that it can be stopped.
//!
//! Where calls are short it seldom meets one, and looks half as often; while none is made it sleeps: an idle gateway wakes nothing.
//! It is apart because it is a sandbox's only thread. It must not know sandboxes, what a tick advances, nor limits: who is stopped at
//! one is the guest's affair.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::thread::{self, JoinHandle};

/// Time between two ticks, while a guest runs.
const TICK: Duration = Duration::from_millis(1);
/// Time between two looks for one.
const LOOK: Duration = Duration::from_millis(2);
/// Looks without any call since the one before, after which the thread goes to sleep.
const IDLE_LOOKS: u32 = if cfg!(all(test, feature = "shuttle")) { 1 } else { 100 };

/// The ticking thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Calls that began, and calls that ended: equal when no guest runs.
    entered: AtomicU64,
    left: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// While this lives, time is counted.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    /// Starts the thread, which does this at each tick until it breaks.
    pub(crate) fn start(advance: impl Fn() -> ControlFlow<()> + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let thread = thread::Builder::new().name("guest-ticker".to_owned()).spawn(move || inner.tick(advance))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that a guest runs from now on.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.shared.entered.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        Running(&self.shared)
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to say here: ticking has no result.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn tick(&self, advance: impl Fn() -> ControlFlow<()>) {
        let mut idle = 0_u32;
        let mut seen = 0_u64;
        while !self.stop.load(Ordering::SeqCst) {
            let quiet = self.quiet();
            let entered = self.entered.load(Ordering::SeqCst);
            idle = if quiet && entered == seen { idle.saturating_add(1) } else { 0 };
            seen = entered;
            if idle > IDLE_LOOKS {
                self.sleep();
                idle = 0;
            } else {
                thread::park_timeout(if quiet { LOOK } else { TICK });
            }
            if !self.quiet() && advance().is_break() {
                return;
            }
        }
    }

    fn quiet(&self) -> bool {
        self.entered.load(Ordering::SeqCst) == self.left.load(Ordering::SeqCst)
    }

    /// Parks until a guest enters. `asleep` is set before the last look, and a guest enters before it looks at `asleep`: one of
    /// the two sees the other.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.quiet() && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
