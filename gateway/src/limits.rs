//! What a key may use: requests and tokens a minute, requests in flight. Two leaky buckets and a counter for each key.
//!
//! Apart because it survives a reload (the numbers come with each call, the levels stay) and because it is pure: time is
//! handed in. It must not know requests, HTTP or the configuration's form.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::facts::KeyFact;

/// A bucket that fills with use and drains evenly: a full one is empty again after a minute.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

const MINUTE: f64 = 60.0;

#[allow(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; negative levels are clamped first")]
fn whole(level: f64) -> u64 {
    level.max(0.0) as u64
}

impl Bucket {
    fn new(at: Instant) -> Self {
        Self { level: 0.0, at }
    }

    fn drain(&mut self, limit: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level - passed * float(limit) / MINUTE).max(0.0);
        self.at = self.at.max(now);
    }

    /// How long until `amount` fits; zero when it fits now. More than the limit counts as the limit, so that one large
    /// request passes when the bucket is empty.
    fn wait(&self, limit: u64, amount: u64) -> Duration {
        let over = self.level + float(amount.min(limit)) - float(limit);
        if limit == 0 {
            return seconds(f64::INFINITY);
        }
        if over <= 1e-6 { Duration::ZERO } else { seconds(over * MINUTE / float(limit)) }
    }

    /// How long until `amount` fits under a limit, where it does not fit now.
    fn over(&mut self, limit: Option<u64>, amount: u64, now: Instant) -> Option<Duration> {
        let limit = limit?;
        self.drain(limit, now);
        Some(self.wait(limit, amount)).filter(|wait| !wait.is_zero())
    }

    fn gauge(&self, limit: u64) -> Gauge {
        Gauge { limit, remaining: whole(float(limit) - self.level), reset: seconds(self.level * MINUTE / float(limit)) }
    }
}

/// A time from a number of seconds; what is not a time (a limit of zero divides) is an hour.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::from_secs(3600)).min(Duration::from_secs(3600))
}

/// How one limit stands: for the `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// The limit, per minute.
    pub limit: u64,
    /// What is left now.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// How a key's limits stand. `None` where it has no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute.
    pub requests: Option<Gauge>,
    /// Tokens a minute.
    pub tokens: Option<Gauge>,
}

/// Which limit a request would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Requests a minute; free after this long.
    Requests(Duration),
    /// Tokens a minute; free after this long.
    Tokens(Duration),
    /// Requests in flight.
    InFlight,
}

#[derive(Debug)]
struct Levels {
    requests: Bucket,
    tokens: Bucket,
}

/// What one key has used.
#[derive(Debug)]
pub struct KeyState {
    levels: Mutex<Levels>,
    in_flight: AtomicU32,
}

impl KeyState {
    /// A key that has used nothing.
    pub fn new(now: Instant) -> Self {
        let levels = Levels { requests: Bucket::new(now), tokens: Bucket::new(now) };
        Self { levels: Mutex::new(levels), in_flight: AtomicU32::new(0) }
    }

    /// Takes one request of about `tokens` tokens, or none of it.
    ///
    /// # Errors
    /// Which limit stands in the way.
    pub fn take(self: &Arc<Self>, key: &KeyFact, tokens: u64, now: Instant) -> Result<(Taken, Standing), (Over, Standing)> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = levels.requests.over(key.requests_per_minute, 1, now);
        let over_tokens = levels.tokens.over(key.tokens_per_minute, tokens.max(1), now);
        let over = requests.map(Over::Requests).or(over_tokens.map(Over::Tokens)).or_else(|| self.enter(key.in_flight));
        if let Some(over) = over {
            return Err((over, levels.standing(key)));
        }
        levels.requests.level += 1.0;
        levels.tokens.level += float(tokens);
        let standing = levels.standing(key);
        drop(levels);
        Ok((Taken { state: Arc::clone(self), reserved: tokens }, standing))
    }

    /// Counts one request that no model is asked for: it uses no tokens, and is not in flight.
    ///
    /// # Errors
    /// There were too many requests.
    pub fn count(&self, key: &KeyFact, now: Instant) -> Result<(), (Over, Standing)> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        // How the tokens stand is told beside; they are in nobody's way.
        levels.tokens.over(key.tokens_per_minute, 0, now);
        if let Some(wait) = levels.requests.over(key.requests_per_minute, 1, now) {
            return Err((Over::Requests(wait), levels.standing(key)));
        }
        levels.requests.level += 1.0;
        Ok(())
    }

    /// Enters the flight, or says that it is full.
    fn enter(&self, limit: Option<u32>) -> Option<Over> {
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        if limit.is_some_and(|limit| before >= limit) {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Some(Over::InFlight);
        }
        None
    }
}

impl Levels {
    fn standing(&self, key: &KeyFact) -> Standing {
        Standing {
            requests: key.requests_per_minute.map(|limit| self.requests.gauge(limit)),
            tokens: key.tokens_per_minute.map(|limit| self.tokens.gauge(limit)),
        }
    }
}

/// One request of a key, in flight until this drops.
#[derive(Debug)]
pub struct Taken {
    state: Arc<KeyState>,
    reserved: u64,
}

impl Taken {
    /// Replaces the reservation by what was used. A debt is paid off as time goes by.
    pub fn used(&mut self, tokens: u64) {
        let mut levels = self.state.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.tokens.level = (levels.tokens.level + float(tokens) - float(self.reserved)).max(0.0);
        self.reserved = tokens;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What all keys have used, how many requests are in flight in all, and what room their bodies take. Lives as long as the process.
#[derive(Debug, Default)]
pub struct Limiter {
    keys: Mutex<HashMap<String, Arc<KeyState>>>,
    in_flight: Arc<AtomicUsize>,
    bodies: Arc<AtomicUsize>,
}

impl Limiter {
    /// The states of these keys, in their order, made where they are new; states of keys that are gone are forgotten.
    pub fn link(&self, keys: &[KeyFact], now: Instant) -> Vec<Arc<KeyState>> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|name, _| keys.iter().any(|key| key.name == *name));
        let state = |key: &KeyFact| Arc::clone(known.entry(key.name.clone()).or_insert_with(|| Arc::new(KeyState::new(now))));
        keys.iter().map(state).collect()
    }

    /// Takes one of `limit` places for requests in flight; `None` when all are taken.
    pub fn enter(&self, limit: usize) -> Option<Place> {
        let place = Place(Arc::clone(&self.in_flight));
        // The place is counted first and given back by its drop, so that two that come together cannot both be the last.
        (place.0.fetch_add(1, Ordering::AcqRel) < limit).then_some(place)
    }

    /// A body that begins to come in.
    pub fn body(&self) -> Body {
        Body { all: Arc::clone(&self.bodies), counted: 0 }
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }
}

/// One place among the requests in flight, given back when it drops.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a request body has of the room that all share while they come in; given back when it drops.
#[derive(Debug)]
pub struct Body {
    all: Arc<AtomicUsize>,
    counted: usize,
}

impl Body {
    /// Bytes of each body that take none of the room: requests of the usual size come in however full it is.
    const FREE: usize = 64 << 10;

    /// The body has grown to `bytes`: whether there was room, of `limit` bytes for all. Without room it takes none.
    #[must_use]
    pub fn grow(&mut self, bytes: usize, limit: usize) -> bool {
        let more = bytes.saturating_sub(Self::FREE).saturating_sub(self.counted);
        if more == 0 {
            return true;
        }
        // Counted first, so that two that grow together cannot both take the last of it.
        if self.all.fetch_add(more, Ordering::AcqRel).saturating_add(more) > limit {
            self.all.fetch_sub(more, Ordering::AcqRel);
            return false;
        }
        self.counted += more;
        true
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.counted > 0 {
            self.all.fetch_sub(self.counted, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(requests: Option<u64>, tokens: Option<u64>, in_flight: Option<u32>) -> KeyFact {
        KeyFact {
            name: "k".into(),
            sha256: [0; 32],
            tenant: "k".into(),
            team: None,
            models: Vec::new(),
            plugins: Vec::new(),
            revoked: false,
            priority: Default::default(),
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            in_flight,
        }
    }

    #[test]
    fn requests_a_minute_are_counted_and_come_back_evenly() {
        let start = Instant::now();
        let (state, key) = (Arc::new(KeyState::new(start)), key(Some(2), None, None));
        let (_, standing) = state.take(&key, 5, start).unwrap();
        assert_eq!(standing.requests.unwrap(), Gauge { limit: 2, remaining: 1, reset: Duration::from_secs(30) });
        state.take(&key, 5, start).unwrap();
        let (over, standing) = state.take(&key, 5, start).unwrap_err();
        assert_eq!(over, Over::Requests(Duration::from_secs(30)));
        assert_eq!(standing.requests.unwrap().remaining, 0);
        assert!(state.take(&key, 5, start + Duration::from_secs(29)).is_err());
        assert!(state.take(&key, 5, start + Duration::from_secs(31)).is_ok());
    }

    #[test]
    fn bodies_share_their_room_and_give_it_back_and_small_ones_need_none() {
        let limiter = Limiter::default();
        let (free, limit) = (Body::FREE, 1000);
        let (mut one, mut two) = (limiter.body(), limiter.body());
        assert!(one.grow(free + 300, limit) && one.grow(free + 700, limit));
        assert!(!two.grow(free + 301, limit), "700 and 301 are more than 1000");
        assert!(two.grow(free, limit) && two.grow(free + 300, limit), "what was refused took nothing");
        drop(one);
        assert!(two.grow(free + 1000, limit));
        drop(two);
        assert_eq!(limiter.bodies.load(Ordering::Acquire), 0);
    }

    #[test]
    fn tokens_are_reserved_then_settled_and_a_debt_is_waited_for() {
        let start = Instant::now();
        let (state, key) = (Arc::new(KeyState::new(start)), key(None, Some(600), None));
        let (mut taken, _) = state.take(&key, 100, start).unwrap();
        taken.used(1200);
        let (over, _) = state.take(&key, 0, start).unwrap_err();
        assert!(matches!(over, Over::Tokens(wait) if wait > Duration::from_secs(59)), "{over:?}");
        assert!(state.take(&key, 10, start + Duration::from_secs(70)).is_ok());
    }

    #[test]
    fn a_request_larger_than_the_whole_limit_passes_when_nothing_is_used() {
        let start = Instant::now();
        let (state, key) = (Arc::new(KeyState::new(start)), key(None, Some(10), None));
        assert!(state.take(&key, 1000, start).is_ok());
        assert!(state.take(&key, 1, start).is_err());
    }

    #[test]
    fn requests_in_flight_are_given_back_on_drop() {
        let start = Instant::now();
        let (state, key) = (Arc::new(KeyState::new(start)), key(None, None, Some(1)));
        let first = state.take(&key, 0, start).unwrap();
        assert_eq!(state.take(&key, 0, start).unwrap_err().0, Over::InFlight);
        drop(first);
        assert!(state.take(&key, 0, start).is_ok());
    }

    #[test]
    fn what_is_only_counted_needs_no_flight_and_pays_no_debt_of_tokens() {
        let start = Instant::now();
        let (state, key) = (Arc::new(KeyState::new(start)), key(Some(3), Some(600), Some(1)));
        let (mut taken, _) = state.take(&key, 100, start).unwrap();
        taken.used(1200);
        assert!(state.take(&key, 0, start).is_err());
        assert!(state.count(&key, start).is_ok() && state.count(&key, start).is_ok());
        assert_eq!(state.count(&key, start).unwrap_err().0, Over::Requests(Duration::from_secs(20)));
    }

    #[test]
    fn places_of_the_process_are_bounded_and_states_survive_a_reload() {
        let limiter = Limiter::default();
        let place = limiter.enter(1).unwrap();
        assert!(limiter.enter(1).is_none());
        drop(place);
        assert!(limiter.enter(1).is_some());
        assert_eq!(limiter.in_flight(), 0);
        let keys = [key(None, None, None)];
        let before = limiter.link(&keys, Instant::now());
        let after = limiter.link(&keys, Instant::now());
        assert!(Arc::ptr_eq(&before[0], &after[0]));
    }
}
