//! The service `store`: what a plugin keeps from one request to the next, bounded in entries, bytes and time.
//!
//! Apart because it is the one thing that outlives a request in this crate. It must not know sandboxes. A plugin's keys are apart for
//! each tenant, so that none can carry what it saw of one to another.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::Mutex;

/// Longest key, bytes.
pub(crate) const KEY_BYTES: usize = 256;
/// Largest value, bytes.
pub(crate) const VALUE_BYTES: usize = 64 << 10;
/// Longest time to live.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// How much one plugin may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of keys and values, with [`ENTRY_BYTES`] for each entry: of all tenants.
    pub(crate) bytes: usize,
    /// The same, of one tenant.
    pub(crate) tenant_bytes: usize,
}

/// What an entry counts besides its key and value.
const ENTRY_BYTES: usize = 128;

/// What a plugin may keep unless something else is said.
pub(crate) const ROOM: Room = Room { bytes: 64 << 20, tenant_bytes: 4 << 20 };

/// Why something is not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The key is empty or longer than [`KEY_BYTES`].
    #[error("a key has 1 to {KEY_BYTES} bytes")]
    Key,
    /// The value is larger than [`VALUE_BYTES`].
    #[error("a value has at most {VALUE_BYTES} bytes")]
    Value,
    /// No room is left before something that is kept expires.
    #[error("the store is full")]
    Full,
}

/// The shelves of all plugins, by name: a plugin that is loaded anew finds what it kept.
#[derive(Debug, Default)]
pub(crate) struct Shelves(Mutex<HashMap<Arc<str>, Arc<Shelf>>>);

impl Shelves {
    /// One plugin's.
    pub(crate) fn of(&self, plugin: &Arc<str>) -> Arc<Shelf> {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shelves.entry(Arc::clone(plugin)).or_insert_with(|| Arc::new(Shelf::new(ROOM))))
    }
}

/// What one plugin keeps.
#[derive(Debug)]
pub(crate) struct Shelf {
    room: Room,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tenants: HashMap<Arc<str>, Tenant>,
    /// When what expires, soonest first.
    ends: BTreeSet<(Instant, Arc<str>, Arc<str>)>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Tenant {
    entries: HashMap<Arc<str>, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Arc<[u8]>,
    until: Instant,
}

impl Shelf {
    /// An empty one.
    pub(crate) fn new(room: Room) -> Self {
        Self { room, kept: Mutex::default() }
    }

    /// What is kept under a key and has not expired.
    ///
    /// # Errors
    /// [`Refused::Key`].
    pub(crate) fn get(&self, tenant: &str, key: &str, now: Instant) -> Result<Option<Arc<[u8]>>, Refused> {
        fits(key)?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.tenants.get(tenant).and_then(|tenant| tenant.entries.get(key));
        Ok(entry.filter(|entry| entry.until > now).map(|entry| Arc::clone(&entry.value)))
    }

    /// Keeps a value for some time, at most [`LONGEST`], in the place of what was there. A time of 0 removes it.
    ///
    /// # Errors
    /// [`Refused`]; what was kept under the key stays.
    pub(crate) fn put(&self, tenant: &str, (key, value): (&str, &[u8]), ttl: Duration, now: Instant) -> Result<(), Refused> {
        fits(key)?;
        if value.len() > VALUE_BYTES {
            return Err(Refused::Value);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.expire(now);
        if ttl.is_zero() {
            kept.remove(tenant, key);
            return Ok(());
        }
        let (more, less) = (ENTRY_BYTES + key.len() + value.len(), kept.size(tenant, key));
        let of_tenant = kept.tenants.get(tenant).map_or(0, |tenant| tenant.bytes);
        if kept.bytes - less + more > self.room.bytes || of_tenant - less + more > self.room.tenant_bytes {
            return Err(Refused::Full);
        }
        kept.remove(tenant, key);
        kept.insert((tenant.into(), key.into()), Entry { value: value.into(), until: now + ttl.min(LONGEST) });
        Ok(())
    }
}

fn fits(key: &str) -> Result<(), Refused> {
    if (1..=KEY_BYTES).contains(&key.len()) { Ok(()) } else { Err(Refused::Key) }
}

impl Kept {
    /// What an entry takes.
    fn size(&self, tenant: &str, key: &str) -> usize {
        let entry = self.tenants.get(tenant).and_then(|tenant| tenant.entries.get(key));
        entry.map_or(0, |entry| ENTRY_BYTES + key.len() + entry.value.len())
    }

    fn insert(&mut self, (tenant, key): (Arc<str>, Arc<str>), entry: Entry) {
        let bytes = ENTRY_BYTES + key.len() + entry.value.len();
        self.bytes += bytes;
        self.ends.insert((entry.until, Arc::clone(&tenant), Arc::clone(&key)));
        let place = self.tenants.entry(tenant).or_default();
        place.bytes += bytes;
        place.entries.insert(key, entry);
    }

    fn remove(&mut self, tenant: &str, key: &str) {
        let bytes = self.size(tenant, key);
        let Some(place) = self.tenants.get_mut(tenant) else { return };
        let Some((key, entry)) = place.entries.remove_entry(key) else { return };
        place.bytes -= bytes;
        self.bytes -= bytes;
        let empty = place.entries.is_empty();
        self.ends.remove(&(entry.until, Arc::from(tenant), key));
        if empty {
            self.tenants.remove(tenant);
        }
    }

    /// Removes what has expired.
    fn expire(&mut self, now: Instant) {
        while let Some((until, tenant, key)) = self.ends.first().cloned() {
            if until > now {
                return;
            }
            self.remove(&tenant, &key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn values_are_kept_for_their_time_and_apart_for_each_tenant() {
        let (shelf, now) = (Shelf::new(ROOM), Instant::now());
        shelf.put("a", ("k", b"1"), SECOND, now).unwrap();
        shelf.put("b", ("k", b"2"), SECOND * 5, now).unwrap();
        let get = |tenant, at| shelf.get(tenant, "k", at).unwrap().map(|value| value.to_vec());
        assert_eq!((get("a", now), get("b", now), get("c", now)), (Some(b"1".to_vec()), Some(b"2".to_vec()), None));
        assert_eq!((get("a", now + SECOND), get("b", now + SECOND)), (None, Some(b"2".to_vec())));
        shelf.put("b", ("k", b""), Duration::ZERO, now).unwrap();
        assert_eq!(get("b", now), None, "a time of 0 removes");
    }

    #[test]
    fn room_is_bounded_for_a_tenant_and_for_all_and_comes_back() {
        let now = Instant::now();
        let shelf = Shelf::new(Room { bytes: 1000, tenant_bytes: 600 });
        shelf.put("a", ("1", &[0; 300]), SECOND, now).unwrap();
        assert_eq!(shelf.put("a", ("2", &[0; 300]), SECOND, now), Err(Refused::Full), "the tenant's");
        shelf.put("a", ("1", &[0; 400]), SECOND, now).unwrap();
        assert_eq!(shelf.put("b", ("1", &[0; 400]), SECOND, now), Err(Refused::Full), "all tenants'");
        assert_eq!(shelf.get("a", "1", now).unwrap().unwrap().len(), 400, "what is refused takes nothing away");
        shelf.put("b", ("1", &[0; 400]), SECOND, now + SECOND).unwrap();
        assert_eq!(shelf.put("a", ("", b"x"), SECOND, now), Err(Refused::Key));
        assert_eq!(shelf.put("a", (&"k".repeat(257), b"x"), SECOND, now), Err(Refused::Key));
        assert_eq!(shelf.put("a", ("k", &[0; VALUE_BYTES + 1]), SECOND, now), Err(Refused::Value));
    }

    proptest! {
        #[test]
        fn it_keeps_what_a_simple_map_would_and_counts_right(
            steps in prop::collection::vec((0u8..3, 0u8..4, 0usize..40, 0u64..4, 0u64..2), 1..80),
        ) {
            let shelf = Shelf::new(Room { bytes: 700, tenant_bytes: 500 });
            let (start, mut passed) = (Instant::now(), 0);
            let mut model: HashMap<(String, String), (usize, u64)> = HashMap::new();
            for (tenant, key, size, ttl, later) in steps {
                passed += later;
                let (now, tenant, key) = (start + SECOND * u32::try_from(passed).unwrap(), tenant.to_string(), key.to_string());
                model.retain(|_, (_, until)| *until > passed);
                if shelf.put(&tenant, (&key, &vec![7; size]), SECOND * u32::try_from(ttl).unwrap(), now).is_ok() {
                    match ttl {
                        0 => drop(model.remove(&(tenant, key))),
                        _ => drop(model.insert((tenant, key), (size, passed + ttl))),
                    }
                }
                for tenant in 0..3 {
                    for key in 0..4 {
                        let place = (tenant.to_string(), key.to_string());
                        let got = shelf.get(&place.0, &place.1, now).unwrap().map(|value| value.len());
                        prop_assert_eq!(got, model.get(&place).map(|(size, _)| *size));
                    }
                }
                let kept = shelf.kept.lock().unwrap();
                prop_assert_eq!(kept.bytes, model.values().map(|(size, _)| ENTRY_BYTES + 1 + size).sum::<usize>());
                prop_assert_eq!(kept.ends.len(), model.len());
                prop_assert!(kept.bytes <= 700);
            }
        }
    }
}
