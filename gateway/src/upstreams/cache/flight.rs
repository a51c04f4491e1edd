//! Identical requests in flight: one upstream call that whoever polls drives, and all read from the start.
//!
//! Apart because it is the only shared mutable stream of the gateway. No task runs it: a reader that polls polls the call for
//! all, so that the call goes on while anyone reads, and is dropped with the last reader. It must not know sled.
//!
//! Locks are taken in the order: the cache's map, a flight's state, a flight's wakers. So nothing here calls the cache while it
//! holds the state: what is to be done there is an [`After`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::Stream;
use gatewright_types::{Chunk, Fault, FaultKind};

use super::entry::{self, Finishes, Fresh};
use super::{CacheKey, Inner};
use crate::upstreams::Deltas;

/// Readers of one call at most; more ask alone.
const MAX_READERS: usize = 1024;

/// One upstream call and its readers.
pub(super) struct Flight {
    pub(super) key: CacheKey,
    /// Bytes of history that are kept.
    bound: usize,
    state: Mutex<State>,
    /// Whom to wake. Apart from the state because the call may wake while it is polled.
    wakers: Mutex<Vec<(u64, Waker)>>,
    cache: Weak<Inner>,
}

struct State {
    call: Call,
    /// Chunks from number `first` on, without raw copies.
    history: Arc<Vec<Chunk>>,
    first: usize,
    weight: usize,
    /// Whether the history is whole: others may join, and it may be stored.
    whole: bool,
    finishes: Finishes,
    ttl: Duration,
    readers: usize,
    next_reader: u64,
}

enum Call {
    /// The leader has not given it yet.
    Awaited,
    Running(Deltas),
    Ended(Option<Box<Fault>>),
}

/// What is to be done once the state is let go.
enum After {
    Nothing,
    /// Wake the other readers.
    Wake,
    /// Nobody may join any more, nothing is stored.
    Leave,
    /// The call ended without a fault: store it if it is clean.
    Settle,
}

impl Flight {
    pub(super) fn new(key: CacheKey, bound: usize, cache: Weak<Inner>) -> Self {
        let state = State {
            call: Call::Awaited,
            history: Arc::default(),
            first: 0,
            weight: 0,
            whole: true,
            finishes: Finishes::default(),
            ttl: Duration::ZERO,
            readers: 0,
            next_reader: 0,
        };
        Self { key, bound, state: Mutex::new(state), wakers: Mutex::default(), cache }
    }

    /// There will be no call: those who wait get this fault.
    pub(super) fn abandon(self: &Arc<Self>, fault: Fault) {
        self.lock().call = Call::Ended(Some(Box::new(fault)));
        self.after(After::Leave);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn after(self: &Arc<Self>, what: After) {
        let fresh = match what {
            After::Nothing => return,
            After::Wake => return self.wake_all(),
            After::Leave => None,
            After::Settle => Some(self.answer()),
        };
        if let Some(cache) = self.cache.upgrade() {
            cache.ended(self, fresh.flatten());
        }
        self.wake_all();
    }

    /// The whole answer, if it may be stored. `None` for the time to live of nothing.
    fn answer(&self) -> Option<Fresh> {
        let cache = self.cache.upgrade()?;
        let state = self.lock();
        let ttl = u64::try_from(state.ttl.as_millis()).unwrap_or(u64::MAX);
        (state.whole && ttl > 0 && state.finishes.clean()).then(|| Fresh {
            chunks: state.history.clone(),
            expires_ms: cache.clock.now_ms().saturating_add(ttl),
            weight: state.weight,
        })
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    fn wait(&self, reader: u64, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        match wakers.iter_mut().find(|(other, _)| *other == reader) {
            Some((_, known)) => known.clone_from(waker),
            None => wakers.push((reader, waker.clone())),
        }
    }
}

impl Wake for Flight {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

impl State {
    /// Keeps a chunk for the others and the store. [`After::Leave`] when the history stops being whole by it.
    fn keep(&mut self, chunk: &Chunk, bound: usize) -> After {
        self.finishes.see(chunk);
        if !self.whole && self.readers < 2 {
            // Nobody else reads and nobody can join: no need to remember.
            self.first += self.history.len() + 1;
            (self.history, self.weight) = (Arc::default(), 0);
            return After::Nothing;
        }
        let was_whole = self.whole;
        self.weight += entry::weight(chunk);
        let history = Arc::make_mut(&mut self.history);
        history.push(Chunk { deltas: chunk.deltas.clone(), extras: chunk.extras.clone(), raw: None });
        if self.weight > bound {
            self.whole = false;
            // Half goes at once, so that the rest is not moved for each chunk.
            let mut gone = 0;
            while self.weight > bound / 2 && gone < history.len() {
                self.weight = self.weight.saturating_sub(history.get(gone).map_or(0, entry::weight));
                gone += 1;
            }
            history.drain(..gone);
            self.first += gone;
        }
        match (was_whole && !self.whole, self.readers) {
            (true, _) => After::Leave,
            (false, 0 | 1) => After::Nothing,
            (false, _) => After::Wake,
        }
    }
}

/// One reader of a call.
pub(super) struct Subscriber {
    flight: Arc<Flight>,
    reader: u64,
    /// Number of the next chunk to read.
    at: usize,
    done: bool,
}

type Item = Result<Chunk, Fault>;

impl Subscriber {
    /// Begins the call and reads it.
    pub(super) fn lead(flight: Arc<Flight>, deltas: Deltas, ttl: Duration) -> Self {
        let leader = {
            let mut state = flight.lock();
            (state.call, state.ttl) = (Call::Running(deltas), ttl);
            Self::join(&flight, &mut state)
        };
        flight.wake_all();
        leader
    }

    /// Reads along from the start; `None` when the start is no longer kept, too many read, or it has failed.
    pub(super) fn follow(flight: &Arc<Flight>) -> Option<Self> {
        let mut state = flight.lock();
        let open = state.whole && state.readers < MAX_READERS && !matches!(state.call, Call::Ended(Some(_)));
        open.then(|| Self::join(flight, &mut state))
    }

    fn join(flight: &Arc<Flight>, state: &mut State) -> Self {
        state.readers += 1;
        state.next_reader += 1;
        Self { flight: flight.clone(), reader: state.next_reader, at: 0, done: false }
    }

    fn step(&mut self, cx: &mut Context<'_>) -> (Poll<Option<Item>>, After) {
        let flight = &*self.flight;
        let state = &mut *flight.lock();
        let Some(index) = self.at.checked_sub(state.first) else {
            let fault = Fault::gateway(FaultKind::Overloaded, "this stream was read too slowly to go on sharing an upstream call");
            return (Poll::Ready(Some(Err(fault))), After::Nothing);
        };
        if let Some(chunk) = state.history.get(index) {
            self.at += 1;
            return (Poll::Ready(Some(Ok(chunk.clone()))), After::Nothing);
        }
        let deltas = match &mut state.call {
            Call::Ended(fault) => return (Poll::Ready(fault.as_ref().map(|fault| Err((**fault).clone()))), After::Nothing),
            Call::Awaited => {
                flight.wait(self.reader, cx.waker());
                return (Poll::Pending, After::Nothing);
            }
            Call::Running(deltas) => deltas,
        };
        // Each reader that waits is on the list, and the call wakes the list: the driver may hang up or be slow. A reader that
        // is alone is woken directly; whoever joins polls at least once, and sets the list as the one to wake.
        flight.wait(self.reader, cx.waker());
        let polled = if state.readers == 1 {
            deltas.as_mut().poll_next(cx)
        } else {
            let all = Waker::from(self.flight.clone());
            deltas.as_mut().poll_next(&mut Context::from_waker(&all))
        };
        match polled {
            Poll::Pending => (Poll::Pending, After::Nothing),
            Poll::Ready(Some(Ok(chunk))) => {
                let after = state.keep(&chunk, flight.bound);
                self.at = state.first + state.history.len();
                (Poll::Ready(Some(Ok(chunk))), after)
            }
            Poll::Ready(Some(Err(fault))) => {
                state.call = Call::Ended(Some(Box::new(fault.clone())));
                (Poll::Ready(Some(Err(fault))), After::Leave)
            }
            Poll::Ready(None) => {
                state.call = Call::Ended(None);
                (Poll::Ready(None), After::Settle)
            }
        }
    }
}

impl Stream for Subscriber {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let (polled, after) = self.step(cx);
        self.done = matches!(polled, Poll::Ready(None | Some(Err(_))));
        self.flight.after(after);
        polled
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let (last, call) = {
            let mut state = self.flight.lock();
            state.readers -= 1;
            let last = state.readers == 0 && matches!(state.call, Call::Running(_));
            let given_up = || Fault::gateway(FaultKind::Internal, "the call was given up");
            let call = last.then(|| std::mem::replace(&mut state.call, Call::Ended(Some(Box::new(given_up())))));
            (last, call)
        };
        // Cancels the upstream call, outside of the lock.
        drop(call);
        self.flight.wakers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(reader, _)| *reader != self.reader);
        // Whoever is left must drive the call from here on.
        self.flight.after(if last { After::Leave } else { After::Wake });
    }
}
