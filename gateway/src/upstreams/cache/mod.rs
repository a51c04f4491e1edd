//! The response cache: answers as their upstream gave them, and one upstream call for identical requests in flight.
//!
//! Apart because it is the only room that knows sled. It stands below plugins and tools and must not know either: what it
//! replays is screened by the plugins of today. It may be lost at any time, and nothing here fails a request.

mod entry;
mod flight;
mod folder;
mod key;
mod lead;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use gatewright_types::ChatRequest;

pub use self::key::{CacheKey, CacheScope};
pub use self::lead::Leader;

use self::entry::Replay;
use self::flight::{Flight, Subscriber};
use self::store::{Got, Store};
use self::writer::Writer;
use super::Deltas;
use crate::clock::Clock;
use crate::config::facts::CacheFact;

/// The cache of one gateway. Cheap to clone; lives across reloads.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

/// What a look found.
pub enum Look {
    /// An answer that is stored, as a stream of the chunks it was stored from (without raw copies).
    Hit(Deltas),
    /// The answer of an identical request that is in flight, from its first chunk.
    Shared(Deltas),
    /// Nothing: ask, and let the leader record it.
    Miss(Leader),
}

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hit(_) => "Hit",
            Self::Shared(_) => "Shared",
            Self::Miss(_) => "Miss",
        })
    }
}

/// What is known of a key besides the folder.
enum Known {
    /// Someone is asking.
    Asked(Arc<Flight>),
    /// The answer is complete and on its way to the folder.
    Stored(entry::Fresh),
}

/// What is known of keys; as many as requests in flight, and answers on their way to the folder.
#[derive(Default)]
struct KnownKeys(Mutex<HashMap<CacheKey, Known>>);

impl KnownKeys {
    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder has this answer now, or will not have it.
    fn written(&self, key: &CacheKey) {
        let mut known = self.lock();
        if matches!(known.get(key), Some(Known::Stored(_))) {
            known.remove(key);
        }
    }
}

struct Inner {
    folder: PathBuf,
    max_bytes: AtomicU64,
    across_tenants: AtomicBool,
    max_entry_bytes: AtomicU64,
    known: Arc<KnownKeys>,
    /// The folder, from when a route wants it: sled takes 20 MiB and some time to open.
    opened: OnceLock<Opened>,
    clock: Arc<dyn Clock>,
}

/// The folder, open as far as it can be.
struct Opened {
    keys: key::KeyMaker,
    store: Option<Arc<Store>>,
    writer: Option<Writer>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache in this folder, which is opened when it is first wanted ([`Cache::ready`]).
    pub fn new(folder: &Path, fact: &CacheFact, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            folder: folder.to_owned(),
            max_bytes: AtomicU64::new(fact.max_bytes),
            across_tenants: AtomicBool::new(fact.across_tenants),
            max_entry_bytes: AtomicU64::new(fact.max_entry_bytes),
            known: Arc::new(KnownKeys::default()),
            opened: OnceLock::new(),
            clock,
        }))
    }

    /// Opens or makes the folder, if that was not done yet. Blocks, and never fails: a damaged folder is renamed to
    /// `<folder>.damaged-<n>` and a new one made; where that is impossible, or another process holds the folder, the log says so
    /// and nothing is stored until the next start. Identical requests in flight share one call either way.
    pub fn ready(&self) {
        self.0.opened();
    }

    /// Takes over the bounds of a new configuration.
    pub fn tune(&self, fact: &CacheFact) {
        self.0.across_tenants.store(fact.across_tenants, Ordering::Relaxed);
        self.0.max_entry_bytes.store(fact.max_entry_bytes, Ordering::Relaxed);
        self.0.max_bytes.store(fact.max_bytes, Ordering::Relaxed);
        if let Some(store) = self.0.store() {
            store.bound(fact.max_bytes);
        }
    }

    /// The key of a request: one-way, different for each folder, tenant and leg; the same for a stream and a whole answer.
    pub fn key(&self, scope: &CacheScope<'_>, request: &ChatRequest) -> CacheKey {
        let scope = if self.0.across_tenants.load(Ordering::Relaxed) { CacheScope { tenant: None, ..*scope } } else { *scope };
        self.0.opened().keys.key(&scope, request)
    }

    /// Looks for an answer: stored, in flight, or none. Quick: at most one read of a page that the system mostly has in
    /// memory, and the entry is decoded, so that a damaged one is a miss.
    pub fn look(&self, key: CacheKey) -> Look {
        let now = self.0.clock.now_ms();
        let opened = self.0.opened();
        match opened.store.as_ref().map(|store| store.get(&key, now)) {
            Some(Got::Answer(chunks)) => return Look::Hit(Box::pin(Replay::new(Arc::new(chunks)))),
            Some(Got::Useless) => opened.writer.iter().for_each(|writer| writer.forget(key)),
            Some(Got::Nothing) | None => {}
        }
        let mut known = self.0.known.lock();
        match known.get(&key) {
            Some(Known::Stored(fresh)) if fresh.expires_ms > now => {
                return Look::Hit(Box::pin(Replay::new(Arc::clone(&fresh.chunks))));
            }
            Some(Known::Asked(flight)) => {
                if let Some(follower) = Subscriber::follow(flight) {
                    return Look::Shared(Box::pin(follower));
                }
                // It cannot be joined any more: ask alone.
                return Look::Miss(Leader::of(self.flight(key)));
            }
            _ => {}
        }
        let flight = self.flight(key);
        known.insert(key, Known::Asked(flight.clone()));
        Look::Miss(Leader::of(flight))
    }

    fn flight(&self, key: CacheKey) -> Arc<Flight> {
        let bound = usize::try_from(self.0.max_entry_bytes.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        Arc::new(Flight::new(key, bound, Arc::downgrade(&self.0)))
    }

    /// Answers that are stored.
    pub fn entries(&self) -> u64 {
        self.0.store().map_or(0, |store| store.entries())
    }

    /// Bytes of the answers that are stored.
    pub fn bytes(&self) -> u64 {
        self.0.store().map_or(0, |store| store.bytes())
    }

    /// Writes what waits to be written, and all of it to the disk. Blocks; nothing is stored afterwards.
    pub fn close(&self) {
        if let Some(writer) = self.0.writer() {
            writer.close();
        }
    }
}

impl Inner {
    fn opened(&self) -> &Opened {
        self.opened.get_or_init(|| {
            let (keys, store) = folder::open(&self.folder, self.max_bytes.load(Ordering::Relaxed));
            let store = store.map(Arc::new);
            let writer = store.as_ref().and_then(|store| Writer::start(store.clone(), self.known.clone()));
            Opened { keys, store, writer }
        })
    }

    fn store(&self) -> Option<&Arc<Store>> {
        self.opened.get().and_then(|opened| opened.store.as_ref())
    }

    fn writer(&self) -> Option<&Writer> {
        self.opened.get().and_then(|opened| opened.writer.as_ref())
    }

    /// A flight ended: whoever comes now must not join it. A clean answer is stored, and found at once.
    fn ended(&self, flight: &Arc<Flight>, clean: Option<entry::Fresh>) {
        let fresh = clean.filter(|fresh| fresh.expires_ms > self.clock.now_ms());
        let mut known = self.known.lock();
        let ours = matches!(known.get(&flight.key), Some(Known::Asked(asked)) if Arc::ptr_eq(asked, flight));
        // The look that found nothing and asked alone may store too, but not hide a flight that others may join.
        let free = ours || !known.contains_key(&flight.key);
        match (fresh, self.writer()) {
            (Some(fresh), Some(writer)) if free && writer.store(flight.key, &fresh) => {
                known.insert(flight.key, Known::Stored(fresh));
            }
            _ if ours => {
                known.remove(&flight.key);
            }
            _ => {}
        }
    }
}
