//! Wall time and request ids, handed down from the host so that tests are exact.
//!
//! Apart because nothing else may ask the system for the date or for chance. It must not know who asks. Durations are measured
//! with `Instant` by whoever measures them; they need no clock of ours.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What time it is.
pub trait Clock: Send + Sync + Debug {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;

    /// Unix time in whole seconds, as wire formats want it.
    fn now_s(&self) -> u64 {
        self.now_ms() / 1000
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        // A clock before 1970 counts as 1970.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands where it was put, for tests.
#[derive(Debug)]
pub struct FixedClock(AtomicU64);

impl FixedClock {
    /// Stands at this Unix millisecond.
    pub fn at(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }

    /// Moves on by this many milliseconds.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes request ids: unique in this process and, by a random start, among processes. They are names, not secrets.
#[derive(Debug)]
pub struct Ids {
    start: u64,
    next: AtomicU64,
}

impl Ids {
    /// Ids with a random start.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self { start: getrandom::u64()?, next: AtomicU64::new(getrandom::u64()? >> 1) })
    }

    /// Ids that count up from zero after this start, for tests.
    pub fn fixed(start: u64) -> Self {
        Self { start, next: AtomicU64::new(0) }
    }

    /// The next id: 32 hexadecimal digits.
    pub fn next(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let number = (u128::from(self.start) << 64) | u128::from(count);
        let mut text = String::with_capacity(32);
        for place in (0..32).rev() {
            text.push(char::from(DIGITS[((number >> (place * 4)) & 0xf) as usize]));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_of_one_shape() {
        let ids = Ids::random().unwrap();
        let (a, b) = (ids.next(), ids.next());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(Ids::fixed(0xab).next(), "00000000000000ab0000000000000000");
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = FixedClock::at(1_500);
        assert_eq!((clock.now_ms(), clock.now_s()), (1_500, 1));
        clock.advance(600);
        assert_eq!(clock.now_s(), 2);
    }
}
