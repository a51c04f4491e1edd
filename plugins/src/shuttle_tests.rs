//! What requests share, under a scheduler that tries many orders of their steps: pools, shelves, and the ticking thread.
//!
//! Apart because it is built only for that (`cargo test -p gatewright-plugins --features shuttle --lib shuttle`). It must not know
//! guests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use shuttle::thread;

use crate::idle::Idle;
use crate::services::counts::Counts;
use crate::services::store::{Room, Shelf, Shelves};
use crate::ticker::Ticker;

/// Orders that are tried.
const ORDERS: usize = 20_000;

/// An item that knows how many of its kind live.
struct Counted(Arc<AtomicUsize>, AtomicUsize);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(live), AtomicUsize::new(0))
    }

    /// Used as a request uses it: by itself.
    fn serve(&self) {
        assert_eq!(self.1.fetch_add(1, Ordering::SeqCst), 0, "two requests have the same one");
        thread::yield_now();
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn nobody_shares_what_waits_and_no_more_waits_than_may() {
    shuttle::check_random(
        || {
            let live = Arc::new(AtomicUsize::new(0));
            let pool = Arc::new(Idle::new(2));
            let request = |fails: usize| {
                let (pool, live) = (Arc::clone(&pool), Arc::clone(&live));
                thread::spawn(move || {
                    for round in 0..3 {
                        let item = pool.take().unwrap_or_else(|| Counted::new(&live));
                        item.serve();
                        // What failed does not come back.
                        if round != fails {
                            pool.keep(item);
                        }
                    }
                })
            };
            let requests: Vec<_> = (0..3).map(request).collect();
            requests.into_iter().for_each(|request| request.join().unwrap());
            assert_eq!(pool.len(), live.load(Ordering::SeqCst), "what does not wait is gone");
            assert!(pool.len() <= 2);
        },
        ORDERS,
    );
}

#[test]
fn shelves_keep_within_their_room_and_tenants_apart() {
    shuttle::check_random(
        || {
            let (shelves, now, second) = (Arc::new(Shelves::default()), Instant::now(), Duration::from_secs(1));
            let writers: Vec<_> = ["a", "b", "a"]
                .into_iter()
                .enumerate()
                .map(|(at, tenant)| {
                    let shelves = Arc::clone(&shelves);
                    thread::spawn(move || {
                        let shelf = shelves.of(&"plugin".into());
                        shelf.put(tenant, ("k", tenant.as_bytes()), second, now).unwrap();
                        let found = shelf.get(tenant, "k", now).unwrap();
                        assert_eq!(found.as_deref(), Some(tenant.as_bytes()), "{at}");
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let tight = Arc::new(Shelf::new(Room { bytes: 300, tenant_bytes: 300 }));
            let putters = ["x", "y", "z"].map(|key| {
                let tight = Arc::clone(&tight);
                thread::spawn(move || usize::from(tight.put("t", (key, &[0; 10]), second, now).is_ok()))
            });
            let kept: usize = putters.map(|putter| putter.join().unwrap()).iter().sum();
            assert_eq!(kept, 2, "a third has no room, whoever comes last");
        },
        ORDERS / 10,
    );
}

#[test]
fn nothing_that_is_counted_is_lost() {
    shuttle::check_random(
        || {
            let counts = Arc::new(Counts::default());
            let adders = [1, 2, 3].map(|by| {
                let counts = Arc::clone(&counts);
                thread::spawn(move || counts.add(&"p".into(), "n", by).unwrap())
            });
            adders.into_iter().for_each(|adder| adder.join().unwrap());
            assert_eq!(counts.all()[0].2, 6);
        },
        ORDERS / 10,
    );
}

/// A wake-up that is lost would let a guest compute for ever: then no tick comes, and Shuttle says that nobody can go on.
#[test]
fn whoever_enters_hears_a_tick() {
    shuttle::check_random(
        || {
            let beats = Arc::new(AtomicU64::new(0));
            let heard = Arc::clone(&beats);
            let ticker = Arc::new(
                Ticker::start(move || {
                    heard.fetch_add(1, Ordering::SeqCst);
                    ControlFlow::Continue(())
                })
                .unwrap(),
            );
            let guest = |ticker: &Arc<Ticker>| {
                let (ticker, beats) = (Arc::clone(ticker), Arc::clone(&beats));
                thread::spawn(move || {
                    for _ in 0..2 {
                        let running = ticker.enter();
                        let before = beats.load(Ordering::SeqCst);
                        while beats.load(Ordering::SeqCst) == before {
                            thread::yield_now();
                        }
                        drop(running);
                    }
                })
            };
            let guests = [guest(&ticker), guest(&ticker)];
            guests.into_iter().for_each(|guest| guest.join().unwrap());
        },
        ORDERS / 10,
    );
}
