//! The CPU clock of the thread that asks: what both sandboxes measure guests by.
//!
//! It is apart because it is the one place that needs the system for it. It must not know what is measured.

use std::time::{Duration, Instant};

/// CPU time of this thread. Only differences mean anything.
#[cfg(unix)]
#[allow(unsafe_code, reason = "the standard library has no CPU clock")]
pub(crate) fn thread_cpu(_start: Instant) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of ours, which the call only writes. Should it fail, the time stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Time since `start`. Where the CPU clock of a thread is not at hand, the wall clock stands in for it: stricter on a busy machine.
#[cfg(not(unix))]
pub(crate) fn thread_cpu(start: Instant) -> Duration {
    start.elapsed()
}
