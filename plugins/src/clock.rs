//! The CPU clock of the thread that asks, which both sandboxes measure guests by; and the age of a file.
//!
//! It is apart because it is the one place that needs the system for time. It must not know what is measured.

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

/// Marks a file as used now. Where that is not possible it stays as old as it is.
#[cfg(unix)]
#[allow(unsafe_code, reason = "the standard library would have to be told what time it is")]
pub(crate) fn touch(file: &std::fs::File) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as the file is borrowed; without times the call takes the present one and reads nothing.
    unsafe { libc::futimens(file.as_raw_fd(), std::ptr::null()) };
}

/// Marks a file as used now, where there is a way.
#[cfg(not(unix))]
pub(crate) fn touch(_file: &std::fs::File) {}
