//! What both sandboxes measure guests by: the CPU clock of the thread that asks, and a wall clock for calls that wait; and the age of
//! a file.
//!
//! It is apart because it is the one place that needs the system for time. It must not know what is measured.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What a call comes to; `None` where it waits for longer than this. A call that waits for nothing never sets a timer.
pub(crate) async fn within<T>(wall: Duration, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    match first {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => tokio::time::timeout(wall, call).await.ok(),
    }
}

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
