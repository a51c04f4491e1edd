//! How long a Luau call may run: CPU time of the thread, and the wall clock.
//!
//! The VM asks at every safepoint, and is told at once while no tick has passed since it asked last. At a tick the clocks are read; only
//! the thread's CPU clock trips the CPU limit: a plugin that waits for a processor on a loaded machine is not blamed for it. That clock is a
//! system call, so that it is not read before the first tick that meets the call: what a call computed before that, at most the time
//! between two looks of the ticker or that of one call of a library, is given to it. Once tripped it stays tripped until the next call:
//! `pcall` cannot swallow it. It is apart so that it is tested without a VM, of which it must not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clock::thread_cpu;
use crate::guest::{GuestErrorKind, Limits};

const UNSET: u64 = u64::MAX;

/// The budget of the call that runs in one VM. Only that VM's thread writes it; atomics because the VM may change threads.
#[derive(Debug)]
pub(crate) struct Budget {
    epoch: Instant,
    /// Ticks of the sandbox, and how many there were when it was asked last.
    ticks: Arc<AtomicU64>,
    seen: AtomicU64,
    /// Safepoints that the VM has passed in its life.
    points: AtomicU64,
    tripped: AtomicU8,
    started: AtomicU64,
    cpu: AtomicU64,
    wall: AtomicU64,
    cpu_base: AtomicU64,
}

const NOT: u8 = 0;
const CPU: u8 = 1;
const WALL: u8 = 2;

impl Budget {
    pub(crate) fn new(ticks: Arc<AtomicU64>) -> Self {
        Self {
            epoch: Instant::now(),
            ticks,
            seen: AtomicU64::new(0),
            points: AtomicU64::new(0),
            tripped: AtomicU8::new(NOT),
            started: AtomicU64::new(0),
            cpu: AtomicU64::new(UNSET),
            wall: AtomicU64::new(UNSET),
            cpu_base: AtomicU64::new(UNSET),
        }
    }

    /// Starts a call that is shown so many bytes, on the thread that it runs on.
    pub(crate) fn begin(&self, limits: &Limits, bytes: usize) {
        self.started.store(nanos(self.epoch.elapsed()), Relaxed);
        self.cpu.store(nanos(limits.cpu_for(bytes)), Relaxed);
        self.wall.store(nanos(limits.wall), Relaxed);
        self.cpu_base.store(UNSET, Relaxed);
        self.seen.store(self.ticks.load(Relaxed), Relaxed);
        self.tripped.store(NOT, Relaxed);
    }

    /// The call waits, and others use its thread: what it has computed is taken off its budget.
    pub(crate) fn pause(&self) {
        let base = self.cpu_base.load(Relaxed);
        // What it computed before a tick met it is given to it.
        if base != UNSET {
            let used = nanos(thread_cpu(self.epoch)).saturating_sub(base);
            self.cpu.store(self.cpu.load(Relaxed).saturating_sub(used), Relaxed);
        }
    }

    /// The call goes on, perhaps in another thread.
    pub(crate) fn resume(&self) {
        self.cpu_base.store(nanos(thread_cpu(self.epoch)), Relaxed);
    }

    /// The call has waited for too long.
    pub(crate) fn late(&self) {
        self.tripped.store(WALL, Relaxed);
    }

    /// One safepoint: the limit that has tripped.
    pub(crate) fn tick(&self) -> Option<GuestErrorKind> {
        self.points.store(self.points.load(Relaxed).wrapping_add(1), Relaxed);
        let ticks = self.ticks.load(Relaxed);
        if ticks != self.seen.load(Relaxed) && self.tripped.load(Relaxed) == NOT {
            self.seen.store(ticks, Relaxed);
            self.read_clocks();
        }
        self.tripped()
    }

    /// Safepoints that the VM has passed in its life: the same for the same work, on any machine.
    pub(crate) fn counted(&self) -> u64 {
        self.points.load(Relaxed)
    }

    /// The limit that has tripped since `begin`.
    pub(crate) fn tripped(&self) -> Option<GuestErrorKind> {
        match self.tripped.load(Relaxed) {
            NOT => None,
            CPU => Some(GuestErrorKind::Cpu),
            _ => Some(GuestErrorKind::Wall),
        }
    }

    fn read_clocks(&self) {
        let now = nanos(thread_cpu(self.epoch));
        let base = self.cpu_base.load(Relaxed);
        if base == UNSET {
            self.cpu_base.store(now, Relaxed);
        } else if now.saturating_sub(base) >= self.cpu.load(Relaxed) {
            self.tripped.store(CPU, Relaxed);
        }
        if nanos(self.epoch.elapsed()).saturating_sub(self.started.load(Relaxed)) > self.wall.load(Relaxed) {
            self.tripped.store(WALL, Relaxed);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn budget() -> (Budget, Arc<AtomicU64>) {
        let ticks = Arc::new(AtomicU64::new(0));
        (Budget::new(Arc::clone(&ticks)), ticks)
    }

    #[test]
    fn what_is_computed_between_waits_adds_up_and_what_others_compute_meanwhile_does_not() {
        let limits = Limits { cpu: Duration::from_millis(20), wall: Duration::from_secs(60), ..Limits::default() };
        let burn = |time: Duration| {
            let from = thread_cpu(Instant::now());
            while thread_cpu(Instant::now()).saturating_sub(from) < time {}
        };
        let (budget, ticks) = budget();
        budget.begin(&limits, 0);
        assert_eq!(tick(&budget, &ticks), None);
        for _ in 0..3 {
            burn(Duration::from_millis(5));
            assert_eq!(tick(&budget, &ticks), None);
            budget.pause();
            burn(Duration::from_millis(25));
            budget.resume();
        }
        burn(Duration::from_millis(7));
        assert_eq!(tick(&budget, &ticks), Some(GuestErrorKind::Cpu));
    }

    fn spin(budget: &Budget) {
        let from = thread_cpu(budget.epoch);
        while thread_cpu(budget.epoch).saturating_sub(from) < Limits::default().cpu * 2 {}
    }

    /// A safepoint after a tick.
    fn tick(budget: &Budget, ticks: &AtomicU64) -> Option<GuestErrorKind> {
        ticks.fetch_add(1, Relaxed);
        budget.tick()
    }

    #[test]
    fn waiting_is_not_cpu_time() {
        let (budget, ticks) = budget();
        budget.begin(&Limits { wall: Duration::from_millis(80), ..Limits::default() }, 0);
        for _ in 0..16 {
            std::thread::sleep(Duration::from_micros(200));
            assert_eq!(tick(&budget, &ticks), None);
        }
        std::thread::sleep(Duration::from_millis(80));
        assert_eq!(tick(&budget, &ticks), Some(GuestErrorKind::Wall));
    }

    /// As two long calls of a library do: the first was met by a tick, the second is counted whole.
    #[test]
    fn what_runs_between_two_ticks_counts() {
        let (budget, ticks) = budget();
        budget.begin(&Limits { wall: Duration::from_secs(60), ..Limits::default() }, 0);
        spin(&budget);
        assert_eq!((budget.tick(), tick(&budget, &ticks)), (None, None));
        spin(&budget);
        assert_eq!((budget.tick(), tick(&budget, &ticks)), (None, Some(GuestErrorKind::Cpu)));
    }

    #[test]
    fn what_tripped_stays_tripped_until_the_next_call() {
        let (budget, ticks) = budget();
        let limits = Limits { wall: Duration::from_secs(60), ..Limits::default() };
        budget.begin(&limits, 0);
        assert_eq!(tick(&budget, &ticks), None);
        spin(&budget);
        assert_eq!(tick(&budget, &ticks), Some(GuestErrorKind::Cpu));
        assert_eq!(budget.tick(), Some(GuestErrorKind::Cpu));
        budget.begin(&limits, 0);
        assert_eq!((budget.tick(), tick(&budget, &ticks)), (None, None));
    }
}
