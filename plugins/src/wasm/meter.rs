//! How much time a call has used: CPU of its thread, and wall clock.
//!
//! Epochs alone count wall clock, and on a busy machine would stop guests that merely waited for a processor. So a tick only asks;
//! this answers from the thread's CPU clock. A call keeps to one thread while no host function of it waits;
//! before one does, [`Meter::pause`] settles what was used on this one. It is apart because it
//! is the only place of the sandbox that reads a clock. It must not know guests.

use std::time::{Duration, Instant};

use crate::clock::thread_cpu;
use crate::guest::GuestErrorKind;

/// The budget of one call, and when it began. The CPU clock is a system call, so that it is not read before the first tick that
/// meets the call: what a call computed before that, at most the time between two looks of the ticker, is given to it. Where the guest
/// has much memory it is read at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// What it may compute in all.
    allowed: Duration,
    /// What is left of it since it last waited.
    cpu: Duration,
    wall: Duration,
    cpu_at_first_look: Option<Duration>,
    start: Instant,
}

impl Meter {
    /// Starts counting.
    pub(super) fn start(cpu: Duration, wall: Duration) -> Self {
        Self { allowed: cpu, cpu, wall, cpu_at_first_look: None, start: Instant::now() }
    }

    /// The call waits from now on, and may go on in another thread: what it has computed is taken off its budget.
    pub(super) fn pause(&mut self) {
        if let Some(from) = self.cpu_at_first_look.take() {
            self.cpu = self.cpu.saturating_sub(thread_cpu(self.start).saturating_sub(from));
        }
    }

    /// Counts from now on, if it does not yet: a guest that has much memory may fill or copy it in one instruction, within which no
    /// tick meets it.
    pub(super) fn look(&mut self) {
        if self.cpu_at_first_look.is_none() {
            self.cpu_at_first_look = Some(thread_cpu(self.start));
        }
    }

    /// Which limit is used up at this tick, if one is.
    pub(super) fn over(&mut self) -> Option<GuestErrorKind> {
        let now = thread_cpu(self.start);
        if now.saturating_sub(*self.cpu_at_first_look.get_or_insert(now)) >= self.cpu {
            return Some(GuestErrorKind::Cpu);
        }
        (self.start.elapsed() >= self.wall).then_some(GuestErrorKind::Wall)
    }

    /// What was allowed, in words for an error.
    pub(super) fn allowed(&self, kind: GuestErrorKind) -> String {
        match kind {
            GuestErrorKind::Wall => format!("ran longer than {:?}", self.wall),
            _ => format!("computed longer than {:?}", self.allowed),
        }
    }
}
