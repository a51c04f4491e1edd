//! Counts of the last while: what is older than the span is forgotten, a tenth of it at a time.
//!
//! Apart because breaker and retry budget count alike. Pure: time is handed in. It must not know what it counts.

use std::time::{Duration, Instant};

/// Parts of a span that are forgotten at once.
const SLOTS: usize = 10;

/// Counts of so many kinds over a span.
#[derive(Clone, Debug)]
pub struct Rolling<const KINDS: usize> {
    slots: [[u32; KINDS]; SLOTS],
    /// When the first slot began.
    origin: Option<Instant>,
    /// Of the span that the slots are of: another one begins anew.
    span: Duration,
    /// Number of the newest slot, counted from the origin.
    newest: u64,
}

impl<const KINDS: usize> Default for Rolling<KINDS> {
    fn default() -> Self {
        Self { slots: [[0; KINDS]; SLOTS], origin: None, span: Duration::ZERO, newest: 0 }
    }
}

impl<const KINDS: usize> Rolling<KINDS> {
    /// One more of a kind.
    pub fn add(&mut self, kind: usize, (span, now): (Duration, Instant)) {
        let at = self.slot(span, now);
        if let Some(count) = self.slots.get_mut(at).and_then(|slot| slot.get_mut(kind)) {
            *count = count.saturating_add(1);
        }
    }

    /// How many there were of each kind.
    pub fn sums(&mut self, span: Duration, now: Instant) -> [u64; KINDS] {
        self.slot(span, now);
        let mut sums = [0; KINDS];
        for slot in &self.slots {
            sums.iter_mut().zip(slot).for_each(|(sum, count)| *sum += u64::from(*count));
        }
        sums
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The slot of this moment, and those before it that were not used since are empty.
    fn slot(&mut self, span: Duration, now: Instant) -> usize {
        if self.span != span {
            self.clear();
            self.span = span;
        }
        let origin = *self.origin.get_or_insert(now);
        let width = (span / SLOTS as u32).max(Duration::from_millis(1));
        let passed = now.saturating_duration_since(origin).as_nanos() / width.as_nanos();
        let number = u64::try_from(passed).unwrap_or(u64::MAX).max(self.newest);
        for stale in (self.newest + 1..=number).take(SLOTS) {
            self.slots[index(stale)] = [0; KINDS];
        }
        self.newest = number;
        index(number)
    }
}

fn index(number: u64) -> usize {
    (number % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_within_nine_tenths_counts_and_what_is_older_than_the_span_does_not(
            steps in prop::collection::vec((0u64..4_000, 0usize..2), 1..80),
        ) {
            let (start, span) = (Instant::now(), Duration::from_secs(10));
            let (mut counts, mut now, mut added) = (Rolling::<2>::default(), start, Vec::new());
            for (millis, kind) in steps {
                now += Duration::from_millis(millis);
                counts.add(kind, (span, now));
                added.push((now, kind));
                let sums = counts.sums(span, now);
                for (kind, sum) in sums.into_iter().enumerate() {
                    let since = |age: Duration| added.iter().filter(|(at, of)| *of == kind && now - *at < age).count() as u64;
                    prop_assert!(sum >= since(span * 9 / 10), "{} < {}", sum, since(span * 9 / 10));
                    prop_assert!(sum <= since(span + Duration::from_millis(1)), "{}", sum);
                }
            }
        }
    }
}
