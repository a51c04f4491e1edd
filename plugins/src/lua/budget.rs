//! How long a Luau call may run: CPU time of the thread, and the wall clock.
//!
//! The interrupt asks at every safepoint of the VM. The cheap monotonic clock is read at the first, and then at each fourth, or at
//! the next where much time has passed since it was read: one call of a library may take long between two of them. Only when a quarter of the CPU budget has passed on it is the thread's CPU clock read, and
//! only that trips the CPU limit: a plugin that waits for a processor on a loaded machine is not blamed for it. All is counted from
//! the call's first instruction. Once tripped it stays tripped until the next call: `pcall` cannot swallow it. It is apart so that
//! it is tested without a VM, of which it must not know.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clock::thread_cpu;
use crate::guest::{GuestErrorKind, Limits};

/// Safepoints between two readings of the clock.
const EVERY: u32 = 4;
/// Nanoseconds between two readings after which the clock is read at the next safepoint too.
const LONG: u64 = 50_000;
/// Nanoseconds between two readings of the CPU clock: it is a system call.
const APART: u64 = 50_000;
const UNSET: u64 = u64::MAX;

/// The budget of the call that runs in one VM. Only that VM's thread writes it; atomics because the VM may change threads.
#[derive(Debug)]
pub(crate) struct Budget {
    epoch: Instant,
    points: AtomicU32,
    /// The safepoint at which the clock is read next, and when it was read last.
    read_at: AtomicU32,
    last: AtomicU64,
    tripped: AtomicU8,
    started: AtomicU64,
    cpu: AtomicU64,
    wall: AtomicU64,
    cpu_base: AtomicU64,
    next: AtomicU64,
}

const NOT: u8 = 0;
const CPU: u8 = 1;
const WALL: u8 = 2;

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            points: AtomicU32::new(0),
            read_at: AtomicU32::new(1),
            last: AtomicU64::new(0),
            tripped: AtomicU8::new(NOT),
            started: AtomicU64::new(0),
            cpu: AtomicU64::new(UNSET),
            wall: AtomicU64::new(UNSET),
            cpu_base: AtomicU64::new(0),
            next: AtomicU64::new(UNSET),
        }
    }

    /// Starts a call that is shown so many bytes, on the thread that it runs on.
    pub(crate) fn begin(&self, limits: &Limits, bytes: usize) {
        let cpu = nanos(limits.cpu_for(bytes));
        self.started.store(nanos(self.epoch.elapsed()), Relaxed);
        self.cpu.store(cpu, Relaxed);
        self.wall.store(nanos(limits.wall), Relaxed);
        self.cpu_base.store(nanos(thread_cpu(self.epoch)), Relaxed);
        self.next.store(cpu / 4, Relaxed);
        self.points.store(0, Relaxed);
        self.read_at.store(1, Relaxed);
        self.last.store(0, Relaxed);
        self.tripped.store(NOT, Relaxed);
    }

    /// One safepoint: the limit that has tripped.
    pub(crate) fn tick(&self) -> Option<GuestErrorKind> {
        let points = self.points.load(Relaxed).wrapping_add(1);
        self.points.store(points, Relaxed);
        if points >= self.read_at.load(Relaxed) && self.tripped.load(Relaxed) == NOT {
            self.read_clocks(points);
        }
        self.tripped()
    }

    /// The limit that has tripped since `begin`.
    pub(crate) fn tripped(&self) -> Option<GuestErrorKind> {
        match self.tripped.load(Relaxed) {
            NOT => None,
            CPU => Some(GuestErrorKind::Cpu),
            _ => Some(GuestErrorKind::Wall),
        }
    }

    fn read_clocks(&self, points: u32) {
        let elapsed = nanos(self.epoch.elapsed()).saturating_sub(self.started.load(Relaxed));
        let long = elapsed.saturating_sub(self.last.load(Relaxed)) > LONG;
        self.last.store(elapsed, Relaxed);
        self.read_at.store(points.saturating_add(if long { 1 } else { EVERY }), Relaxed);
        if elapsed > self.wall.load(Relaxed) {
            self.tripped.store(WALL, Relaxed);
            return;
        }
        if elapsed < self.next.load(Relaxed) {
            return;
        }
        self.next.store(elapsed.saturating_add(APART), Relaxed);
        let now = nanos(thread_cpu(self.epoch));
        if now.saturating_sub(self.cpu_base.load(Relaxed)) > self.cpu.load(Relaxed) {
            self.tripped.store(CPU, Relaxed);
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

    #[test]
    fn waiting_is_not_cpu_time() {
        let budget = Budget::new();
        budget.begin(&Limits { wall: Duration::from_millis(80), ..Limits::default() }, 0);
        for _ in 0..EVERY * 4 {
            std::thread::sleep(Duration::from_micros(200));
            assert_eq!(budget.tick(), None);
        }
        std::thread::sleep(Duration::from_millis(80));
        assert_eq!((0..EVERY).find_map(|_| budget.tick()), Some(GuestErrorKind::Wall));
    }

    /// As long calls of a library do.
    #[test]
    fn what_takes_long_is_seen_at_once() {
        let budget = Budget::new();
        budget.begin(&Limits { wall: Duration::from_secs(60), ..Limits::default() }, 0);
        let from = thread_cpu(budget.epoch);
        let spin = |until: Duration| while thread_cpu(budget.epoch).saturating_sub(from) < until {};
        spin(Limits::default().cpu / 2);
        assert_eq!(budget.tick(), None);
        spin(Limits::default().cpu * 2);
        assert_eq!(budget.tick(), Some(GuestErrorKind::Cpu));
    }

    #[test]
    fn spinning_trips_and_stays_tripped_until_the_next_call() {
        let budget = Budget::new();
        budget.begin(&Limits::default(), 0);
        let started = Instant::now();
        while budget.tick().is_none() {
            assert!(started.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(budget.tick(), Some(GuestErrorKind::Cpu));
        budget.begin(&Limits::default(), 0);
        assert_eq!(budget.tick(), None);
    }
}
