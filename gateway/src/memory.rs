//! Gives the memory that a burst of requests has left behind back to the system, once it is quiet.
//!
//! The allocator keeps what is freed for the next burst, and tidies only while it is asked for more; and each thread can tidy only
//! after itself. So a quiet moment is declared here, and each thread of the runtime tidies when it next has nothing to do; and once
//! more when what is kept for a while, such as idle connections, is gone too. Apart because nothing else asks the allocator for
//! anything. It must not know requests: it is told how many there were, or that some are under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// How long nothing must have happened.
const QUIET: Duration = Duration::from_secs(1);
/// Times [`QUIET`]: by then, what a burst has left is gone. More than twice the time that connections are kept idle, because they are
/// looked for as seldom.
const LONG_QUIET: u32 = 120;

/// What the threads of one runtime have tidied.
#[derive(Debug)]
pub(crate) struct Tidier {
    threads: usize,
    /// Whether some thread has not tidied since the last quiet moment.
    wanted: AtomicBool,
    /// Those that have.
    done: Mutex<Vec<ThreadId>>,
}

impl Tidier {
    /// For a runtime of so many threads.
    pub(crate) fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self { threads, wanted: AtomicBool::new(false), done: Mutex::default() })
    }

    /// For each thread of the runtime, when it has nothing to do. Whether it has tidied.
    pub(crate) fn on_park(&self) -> bool {
        if !self.wanted.load(Ordering::Relaxed) {
            return false;
        }
        let (me, mut done) = (thread::current().id(), self.done.lock().unwrap_or_else(PoisonError::into_inner));
        if done.contains(&me) {
            return false;
        }
        done.push(me);
        self.wanted.store(done.len() < self.threads, Ordering::Relaxed);
        drop(done);
        tidy();
        true
    }

    /// Declares a moment quiet.
    fn quiet(&self) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Declares a moment quiet after each burst, looking each second at `count`: how many requests have ended, or `None` while some
    /// are under way. Never ends.
    pub(crate) async fn watch(self: Arc<Self>, count: impl Fn() -> Option<u64>) {
        let mut bursts = Bursts::default();
        loop {
            tokio::time::sleep(QUIET).await;
            if bursts.are_over(count()) {
                self.quiet();
                // So that threads which sleep wake up, and park anew.
                (0..self.threads).for_each(|_| drop(tokio::spawn(std::future::ready(()))));
            }
        }
    }
}

/// Tells when a burst of requests is over, and when for long, from how many there were.
#[derive(Debug, Default)]
struct Bursts {
    seen: u64,
    /// Looks since the last burst; `None` before the first and once it is over for long.
    quiet: Option<u32>,
}

impl Bursts {
    /// Whether a burst has been over for just one look, or for just so many that it is over for long.
    fn are_over(&mut self, count: Option<u64>) -> bool {
        if count != Some(self.seen) {
            (self.seen, self.quiet) = (count.unwrap_or(self.seen), Some(0));
            return false;
        }
        let quiet = self.quiet.map(|looks| looks + 1);
        self.quiet = quiet.filter(|looks| *looks < LONG_QUIET);
        matches!(quiet, Some(1 | LONG_QUIET))
    }
}

#[allow(unsafe_code, reason = "the allocator's crate has no safe name for it")]
fn tidy() {
    // SAFETY: it takes no pointer and may be called at any time, by any thread. Where another allocator is in use, it finds nothing.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_thread_tidies_once_after_a_quiet_moment() {
        let tidier = Tidier::new(2);
        assert!(!tidier.on_park(), "nothing was declared quiet");
        tidier.quiet();
        assert!(tidier.on_park());
        assert!(!tidier.on_park(), "once");
        let other = Arc::clone(&tidier);
        assert!(thread::spawn(move || other.on_park()).join().unwrap());
        assert!(!tidier.wanted.load(Ordering::Relaxed), "all have");
        tidier.quiet();
        assert!(tidier.on_park());
    }

    #[test]
    fn a_burst_is_over_soon_and_for_long() {
        let mut bursts = Bursts::default();
        let over = [0, 0, 5, 9, 9, 9, 10, 10].map(|count| bursts.are_over(Some(count)));
        assert_eq!(over, [false, false, false, false, true, false, false, true]);
        let looks: Vec<u32> = (2..1000).filter(|_| bursts.are_over(Some(10))).collect();
        assert_eq!(looks, [LONG_QUIET]);
    }

    #[test]
    fn it_is_not_quiet_while_requests_are_under_way() {
        let mut bursts = Bursts::default();
        let over = [Some(5), None, None, None, Some(5), Some(5)].map(|count| bursts.are_over(count));
        assert_eq!(over, [false, false, false, false, true, false]);
    }
}
