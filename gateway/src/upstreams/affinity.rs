//! Which leg answers a conversation: remembered for a bounded number of them, so that each stays with it for the sake of the leg's
//! prompt cache.
//!
//! Apart because it outlives a reload and all routes share it. It is this process's own, and may be lost. It must not know what makes a
//! conversation, nor whether its leg still answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Of whom, on which route, and which one.
pub(crate) type Key = [u8; 32];

/// So many at least are remembered; twice as many at most.
const MOST: usize = 8192;

/// Legs by conversation.
#[derive(Debug, Default)]
pub struct Affinities(Mutex<Ages>);

/// Those that were asked for since the others were old, and the others.
#[derive(Debug, Default)]
struct Ages {
    young: HashMap<Key, Arc<str>>,
    old: HashMap<Key, Arc<str>>,
}

impl Ages {
    fn keep(&mut self, key: Key, leg: Arc<str>) {
        if self.young.len() >= MOST && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, leg);
    }
}

impl Affinities {
    /// This leg answers that conversation.
    pub(crate) fn keep(&self, key: Key, leg: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(key, leg.into());
    }

    /// Who answered it last.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<str>> {
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leg) = ages.young.get(key) {
            return Some(Arc::clone(leg));
        }
        let leg = ages.old.remove(key)?;
        ages.keep(*key, Arc::clone(&leg));
        Some(leg)
    }
}

/// The key of a conversation.
pub(crate) fn key(tenant: &str, route: &str, id: &str) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in [tenant, route, id] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_remembered_and_those_that_go_on_longest() {
        let affinities = Affinities::default();
        let of = |n: usize| key("t", "r", &n.to_string());
        for n in 0..MOST * 5 {
            affinities.keep(of(n), "p/a");
            assert!(affinities.find(&of(0)).is_some(), "it goes on: {n}");
        }
        let ages = affinities.0.lock().unwrap();
        assert!(ages.young.len() <= MOST && ages.old.len() <= MOST);
        drop(ages);
        assert!(affinities.find(&of(1)).is_none() && affinities.find(&of(MOST * 5 - 1)).is_some());
        assert!(affinities.find(&key("other", "r", "0")).is_none() && key("a", "bc", "d") != key("ab", "c", "d"));
    }
}
