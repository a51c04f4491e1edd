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
    /// Since when it says nothing to those who let it go, and how long they waited, all together.
    silent: Option<(Instant, Duration)>,
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
        let (since, waited) = inner.silent.unwrap_or((now.checked_sub(took).unwrap_or(now), Duration::ZERO));
        let waited = waited.saturating_add(took);
        inner.silent = Some((since, waited));
        waited.min(now.saturating_duration_since(since))
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
        inner.silent = None;
        if let Some(permit) = &mut self.permit {
            inner.breaker.spoke(permit);
        }
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
        self.ended(if self.spoke { Health::Good } else { Health::Nothing }, Instant::now());
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
    /// How a leg fares. Those that nobody asks and no route names are forgotten when there are too many.
    pub fn of(&self, name: &str, place: [u8; 32]) -> Arc<LegState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), place);
        if let Some(state) = states.get(&key) {
            return Arc::clone(state);
        }
        if states.len() >= MOST {
            states.retain(|_, state| Arc::strong_count(state) > 1);
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
mod tests {
    use super::*;

    const RULES: BreakerFact = BreakerFact::DEFAULT;

    #[test]
    fn callers_mistakes_say_nothing_of_a_leg() {
        let status = |status| health_of(&Fault::upstream("p", FaultKind::UpstreamStatus(status), "x"));
        for of_caller in [400, 402, 403, 404, 409, 413, 415, 422] {
            assert_eq!(status(of_caller), Health::Nothing, "{of_caller}");
        }
        for of_leg in [401, 407, 408, 500, 502, 503, 504, 529] {
            assert_eq!(status(of_leg), Health::Bad, "{of_leg}");
        }
        assert_eq!(status(429), Health::Busy(None));
        let after = Some(Duration::from_secs(3));
        let busy = Fault::upstream("p", FaultKind::UpstreamStatus(429), "x").retry(Retry::Here(after));
        assert_eq!(health_of(&busy), Health::Busy(after));
        // The embedded engine says it in its own word.
        for kind in [FaultKind::RateLimited, FaultKind::Overloaded] {
            assert_eq!(health_of(&Fault::gateway(kind, "full").retry(Retry::Here(after))), Health::Busy(after));
        }
        for kind in [FaultKind::UpstreamUnreachable, FaultKind::UpstreamTimeout, FaultKind::UpstreamCut, FaultKind::UpstreamInvalid]
        {
            assert_eq!(health_of(&Fault::upstream("p", kind, "x")), Health::Bad);
        }
        assert_eq!(health_of(&Fault::caller(FaultKind::InvalidRequest, "x")), Health::Nothing);
        assert_eq!(health_of(&Fault::gateway(FaultKind::Internal, "x")), Health::Nothing);
    }

    #[test]
    fn a_ticket_that_is_dropped_says_nothing_and_frees_its_place() {
        let (state, now) = (Arc::<LegState>::default(), Instant::now());
        for _ in 0..100 {
            drop(state.ask(&RULES, now).unwrap());
        }
        assert_eq!((state.in_flight(), state.standing(&RULES, now)), (0, Standing::Closed));
        for _ in 0..RULES.least {
            state.ask(&RULES, now).unwrap().ended(Health::Bad, now);
        }
        assert_eq!((state.trips(), state.ask(&RULES, now).unwrap_err()), (1, RULES.rest));
        let probe = state.ask(&RULES, now + RULES.rest).unwrap();
        assert!(state.ask(&RULES, now + RULES.rest).is_err());
        drop(probe);
        assert!(state.ask(&RULES, now + RULES.rest).is_ok());
    }

    #[test]
    fn a_stream_that_spoke_and_was_not_waited_for_says_that_the_leg_answers() {
        let (state, now) = (Arc::<LegState>::default(), Instant::now());
        for _ in 0..RULES.least {
            state.ask(&RULES, now).unwrap().ended(Health::Bad, now);
            (0..4).for_each(|_| state.ask(&RULES, now).unwrap().spoke(Duration::from_millis(1)));
        }
        assert_eq!(state.standing(&RULES, now), Standing::Closed);
    }

    #[test]
    fn a_percentile_is_of_the_last_streams_and_needs_some() {
        let state = Arc::<LegState>::default();
        let ticket = state.ask(&RULES, Instant::now()).unwrap();
        for millis in 1..=19 {
            ticket.first_word(Duration::from_millis(millis));
        }
        assert_eq!(state.percentile(50), None);
        for millis in 1..=100 {
            ticket.first_word(Duration::from_millis(millis));
        }
        assert!(state.percentile(95).unwrap() <= Duration::from_millis(96));
        for _ in 0..FIRSTS {
            ticket.first_word(Duration::from_millis(7));
        }
        assert_eq!(state.percentile(99), Some(Duration::from_millis(7)));
    }

    #[test]
    fn the_trips_of_a_leg_are_counted_on_where_it_leads_elsewhere() {
        let (states, now) = (LegStates::default(), Instant::now());
        let others = states.of("other", [9; 32]);
        for place in [[5; 32], [3; 32], [7; 32]] {
            let state = states.of("leg", place);
            (0..RULES.least).for_each(|_| state.ask(&RULES, now).unwrap().ended(Health::Bad, now));
        }
        assert_eq!((states.of("leg", [5; 32]).trips(), states.of("leg", [1; 32]).trips(), others.trips()), (3, 3, 0));
    }

    #[test]
    fn one_that_was_let_go_took_at_least_so_long() {
        let state = Arc::<LegState>::default();
        state.spoke(Duration::from_millis(100));
        state.outwaited(Duration::from_millis(10), Instant::now());
        assert_eq!(state.latency_us(), 100_000, "that it takes longer than this was known");
        state.outwaited(Duration::from_millis(500), Instant::now());
        assert_eq!(state.latency_us(), 200_000);
        for _ in 0..FEWEST_FIRSTS {
            state.outwaited(Duration::from_millis(500), Instant::now());
        }
        assert_eq!(state.percentile(50), Some(Duration::from_millis(500)));
    }

    #[test]
    fn silence_is_as_long_as_it_was_waited_and_no_longer_than_has_passed_and_a_word_ends_it() {
        let (state, start, second) = (Arc::<LegState>::default(), Instant::now(), Duration::from_secs(1));
        let let_go = |at: u64| state.outwaited(second, start + second * u32::try_from(at).unwrap());
        assert_eq!([let_go(1), let_go(1), let_go(1)], [second; 3], "three at once have waited for one second");
        assert_eq!([let_go(100), let_go(200)], [second * 4, second * 5], "hours in which nobody asked are no silence");
        state.ask(&RULES, start).unwrap().spoke(second);
        assert_eq!(let_go(300), second);
    }

    #[test]
    fn what_fails_before_its_first_word_is_slow_and_what_its_caller_did_wrong_is_not() {
        let latency = |health| {
            let state = Arc::<LegState>::default();
            state.ask(&RULES, Instant::now()).unwrap().ended(health, Instant::now());
            state.latency_us()
        };
        assert_eq!([Health::Bad, Health::Busy(None)].map(latency), [micros(FAILURE); 2]);
        assert_eq!([Health::Good, Health::Nothing].map(latency), [0, 0]);
    }

    #[test]
    fn names_that_nobody_uses_make_room() {
        let states = LegStates::default();
        let kept = states.of("kept", [0; 32]);
        for n in 0..MOST * 2 {
            drop(states.of(&format!("p/{n}"), [0; 32]));
        }
        assert!(Arc::ptr_eq(&kept, &states.of("kept", [0; 32])));
        assert!(!Arc::ptr_eq(&kept, &states.of("kept", [1; 32])));
        assert!(states.0.lock().unwrap().len() <= MOST);
    }
}
