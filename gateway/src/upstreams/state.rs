//! How legs fare: what they are at, how fast they begin, whether they are worth asking, and how much may be asked of them again.
//!
//! Apart because all routes that ask the same leg share it, and because it outlives a reload. It is this process's own. It must not
//! know routes; who asks is `dispatch`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatewright_types::{Fault, FaultKind, Retry, Side};

use super::breaker::{Breaker, Health, Permit, Standing};
use super::budget::Budget;
use crate::config::facts::{BreakerFact, RetryFact};

/// What a failure counts as: a leg that fails fast is not a fast one.
const FAILURE: Duration = Duration::from_secs(30);
/// Times to the first delta that are remembered.
const FIRSTS: usize = 128;
/// A percentile of fewer says nothing.
const FEWEST_FIRSTS: usize = 20;

/// How a leg fares.
#[derive(Debug, Default)]
pub struct LegState {
    in_flight: AtomicUsize,
    /// Microseconds until it begins to answer, the older the less they count; 0 while nothing is known.
    latency_us: AtomicU64,
    /// Times that the breaker opened of any leg of this name: a count that is shown must not fall when one leads elsewhere.
    trips: Arc<AtomicU64>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    breaker: Breaker,
    budget: Budget,
    /// Microseconds to the first delta of its last streams, in a ring.
    firsts: Vec<u64>,
    next_first: usize,
    /// How it has been silent since its last word.
    silence: Silence,
}

/// How a leg has been silent since its last word.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    /// Since when, and how long those have waited who let it go, all together: since it was waited for alone, if it was.
    waited: Option<(Instant, Duration)>,
    /// How many have waited for all of the time that it has for its first word.
    whole: u32,
}

impl Silence {
    /// For how long it has said nothing to those who let it go: no longer than has passed.
    fn lasts(&self, now: Instant) -> Duration {
        self.waited.map_or(Duration::ZERO, |(since, waited)| waited.min(now.saturating_duration_since(since)))
    }
}

impl Inner {
    fn first_word(&mut self, took: Duration) {
        let at = self.next_first;
        match self.firsts.get_mut(at) {
            Some(first) => *first = micros(took),
            None => self.firsts.push(micros(took)),
        }
        self.next_first = (at + 1) % FIRSTS;
    }
}

impl LegState {
    /// Asks for leave to ask it.
    ///
    /// # Errors
    /// How long it is left alone.
    pub fn ask(self: &Arc<Self>, rules: &BreakerFact, now: Instant) -> Result<Ticket, Duration> {
        let permit = self.lock().breaker.ask(rules, now)?;
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket { state: Arc::clone(self), permit: Some(permit), spoke: false, rules: *rules })
    }

    /// A request comes to it for the first time.
    pub fn asked(&self, now: Instant) {
        self.lock().budget.asked(now);
    }

    /// Takes a further try out of its budget, if there is one left.
    pub fn may_again(&self, rules: &RetryFact, now: Instant) -> bool {
        self.lock().budget.take(rules, now)
    }

    /// Requests that it is at.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Microseconds until it begins to answer, lately; 0 while nothing is known.
    pub fn latency_us(&self) -> u64 {
        self.latency_us.load(Ordering::Relaxed)
    }

    /// In so many of a hundred streams it said its first word within this time; `None` while too little is known.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let mut firsts = self.lock().firsts.clone();
        if firsts.len() < FEWEST_FIRSTS {
            return None;
        }
        let at = (firsts.len() * usize::from(percent) / 100).min(firsts.len() - 1);
        Some(Duration::from_micros(*firsts.select_nth_unstable(at).1))
    }

    /// How its breaker stands.
    pub fn standing(&self, rules: &BreakerFact, now: Instant) -> Standing {
        self.lock().breaker.standing(rules, now)
    }

    /// Times that its breaker opened, and those of others of its name.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// It began to answer after this long.
    pub fn spoke(&self, took: Duration) {
        let took = micros(took);
        let fold = |before: u64| if before == 0 { took } else { (before / 4).saturating_mul(3).saturating_add(took / 4).max(1) };
        // Two at once may count as one: it is an estimate.
        let before = self.latency_us.load(Ordering::Relaxed);
        self.latency_us.store(fold(before), Ordering::Relaxed);
    }

    /// It was given up.
    pub fn failed(&self) {
        self.spoke(FAILURE);
    }

    /// It was let go after this long, for another one spoke: it would have taken longer. Gives for how long it has said nothing: as much as
    /// all who let it go since its last word have waited, and no more than has passed.
    pub fn outwaited(&self, took: Duration, now: Instant) -> Duration {
        if micros(took) > self.latency_us() {
            self.spoke(took);
        }
        let mut inner = self.lock();
        inner.first_word(took);
        let (since, waited) = inner.silence.waited.unwrap_or((now.checked_sub(took).unwrap_or(now), Duration::ZERO));
        inner.silence.waited = Some((since, waited.saturating_add(took)));
        inner.silence.lasts(now)
    }

    /// Somebody waited for all of the time that it has for its first word, and there was none.
    pub fn was_silent(&self) {
        let whole = &mut self.lock().silence.whole;
        *whole = whole.saturating_add(1);
    }

    /// How often that was so since its last word.
    pub fn silences(&self) -> u32 {
        self.lock().silence.whole
    }

    /// Whether it was let go for so long that it must show whether it says a word in this time. Who is told so waits for it alone; the
    /// others count from there.
    pub fn must_show(&self, limit: Duration, now: Instant) -> bool {
        let silence = &mut self.lock().silence;
        let must = silence.lasts(now) >= limit;
        if must {
            silence.waited = None;
        }
        must
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// A request at a leg, until it is dropped. Where nobody waited for its end, it says that the leg answers, if it did, and else nothing.
#[derive(Debug)]
pub struct Ticket {
    state: Arc<LegState>,
    /// `None` once it has ended.
    permit: Option<Permit>,
    /// Whether the leg began to answer.
    spoke: bool,
    rules: BreakerFact,
}

impl Ticket {
    /// The leg began to answer after this long.
    pub fn spoke(&mut self, took: Duration) {
        self.state.spoke(took);
        self.spoke = true;
        let mut inner = self.state.lock();
        inner.silence = Silence::default();
        if let Some(permit) = &mut self.permit {
            inner.breaker.spoke(permit);
        }
    }

    /// Whether it decides if the leg is asked again.
    pub fn is_probe(&self) -> bool {
        self.permit.is_some_and(|permit| permit.is_probe())
    }

    /// It said the first word of a stream after this long.
    pub fn first_word(&self, took: Duration) {
        self.state.lock().first_word(took);
    }

    /// The answer has ended: well, or in a fault. A leg that fails before its first word is not a fast one; what a caller did wrong is
    /// no failure.
    pub fn ended(&mut self, health: Health, now: Instant) {
        let Some(permit) = self.permit.take() else { return };
        if !self.spoke && matches!(health, Health::Bad | Health::Busy(_)) {
            self.state.failed();
        }
        let opened = self.state.lock().breaker.ended(permit, health, (&self.rules, now));
        self.state.trips.fetch_add(u64::from(opened), Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.ended(if self.spoke { Health::Began } else { Health::Nothing }, Instant::now());
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a fault says of the leg that it came from. What the caller asked for is no fault of the leg's, and neither is a model that it
/// does not have, a refusal by its own policy, or a request that it finds too large.
pub fn health_of(fault: &Fault) -> Health {
    if fault.side == Side::Caller {
        return Health::Nothing;
    }
    let after = if let Retry::Here(after) = fault.retry { after } else { None };
    match &fault.kind {
        FaultKind::UpstreamUnreachable
        | FaultKind::UpstreamTimeout
        | FaultKind::UpstreamInvalid
        | FaultKind::UpstreamCut
        | FaultKind::Engine => Health::Bad,
        FaultKind::UpstreamStatus(429) | FaultKind::RateLimited | FaultKind::Overloaded => Health::Busy(after),
        // The gateway's own credentials: nobody is answered there.
        FaultKind::UpstreamStatus(401 | 407 | 408 | 500..) => Health::Bad,
        _ => Health::Nothing,
    }
}

/// Names that are remembered. Clients may make some up, where a provider takes any.
const MOST: usize = 1024;

/// Name of a leg, and where it leads.
type Key = (String, [u8; 32]);

/// How all legs fare, by name and by where they lead: a leg that leads elsewhere since a reload begins anew.
#[derive(Debug, Default)]
pub struct LegStates(Mutex<BTreeMap<Key, Arc<LegState>>>);

impl LegStates {
    /// How a leg fares. Those that nobody asks and no route names are forgotten when there are too many: first those that may be asked
    /// freely, then also those that are left alone. So names that clients make up do not have a leg in trouble asked again.
    pub fn of(&self, name: &str, place: [u8; 32]) -> Arc<LegState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), place);
        if let Some(state) = states.get(&key) {
            return Arc::clone(state);
        }
        let is_used = |state: &Arc<LegState>| Arc::strong_count(state) > 1;
        if states.len() >= MOST {
            states.retain(|_, state| is_used(state) || !state.lock().breaker.is_closed());
        }
        if states.len() >= MOST {
            states.retain(|_, state| is_used(state));
        }
        let of_name = states.range((name.to_owned(), [0; 32])..).next().filter(|((of, _), _)| of == name);
        let trips = of_name.map(|(_, state)| Arc::clone(&state.trips)).unwrap_or_default();
        let state = Arc::new(LegState { trips, ..LegState::default() });
        if states.len() < MOST {
            states.insert(key, Arc::clone(&state));
        }
        state
    }
}

#[cfg(test)]
mod tests;
