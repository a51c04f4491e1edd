//! The folder's sled: answers by key, and the order in which they go when there is no room.
//!
//! Apart because sled's errors and panics end here: a store that breaks is switched off and finds nothing. One thread writes
//! ([`super::writer`]); any may read. It must not know what an answer says.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use gatewright_types::Chunk;

use super::CacheKey;
use super::entry;
use super::folder::MARK;

/// Pages that sled keeps in memory, bytes; the system caches the file anyway.
const MEMORY: u64 = 8 * 1024 * 1024;
/// What sled's log takes for a byte that is stored, once it is full: 3.1 to 3.6 were measured with answers of 200 B to 16 KiB.
const OVERHEAD: u64 = 4;
/// What sled's log takes besides: segments that are being filled or cleaned.
const SLACK: u64 = 4 << 20;
/// Parts that the room is cut into, and how many of them may be given up where the log grows towards the bound all the same.
const PARTS: u64 = 16;
const MOST_PARTS: u64 = 6;
/// What an entry takes besides its bytes.
const ENTRY: u64 = 256;
/// Keys that are remembered as used since they were stored.
const MAX_USED: usize = 65_536;

/// Why a folder cannot be used.
pub(super) enum Broken {
    /// Its contents are wrong: a new one may work.
    Damaged(String),
    /// Something around it is wrong: rights, a lock, the disk.
    Unusable(String),
}

/// What was found under a key.
pub(super) enum Got {
    Answer(Vec<Chunk>),
    /// What has expired or cannot be read: it may go.
    Useless,
    Nothing,
}

/// The three trees. A crash between two writes leaves at most an age without an answer, which goes when its turn comes.
pub(super) struct Store {
    db: sled::Db,
    /// key -> entry.
    answers: sled::Tree,
    /// key -> age, size (u64, big-endian).
    index: sled::Tree,
    /// age (u64, big-endian) -> key: the least goes first.
    ages: sled::Tree,
    folder: PathBuf,
    max_bytes: AtomicU64,
    bytes: AtomicU64,
    entries: AtomicU64,
    next_age: AtomicU64,
    /// The most that the folder has taken on the disk, and parts of the room that were given up for it.
    largest: AtomicU64,
    given_up: AtomicU64,
    used: Mutex<HashSet<CacheKey>>,
    off: AtomicBool,
}

impl Store {
    /// Opens or makes sled's folder `path`; `folder` is the cache's, where damage is marked.
    pub(super) fn open(path: &Path, folder: &Path, max_bytes: u64) -> Result<Self, Broken> {
        let opened = catch_unwind(|| {
            let db = sled::Config::new().path(path).cache_capacity(MEMORY).mode(sled::Mode::LowSpace).open()?;
            let (answers, index, ages) = (db.open_tree("answers")?, db.open_tree("index")?, db.open_tree("ages")?);
            let last = ages.last()?.and_then(|(age, _)| number(&age)).unwrap_or(0);
            Ok((db, answers, index, ages, last))
        });
        let (db, answers, index, ages, last) = match opened {
            Ok(Ok(parts)) => parts,
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(Broken::Damaged("sled panicked when it was opened".to_owned())),
        };
        Ok(Self {
            db,
            answers,
            index,
            ages,
            folder: folder.to_owned(),
            max_bytes: AtomicU64::new(max_bytes),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            next_age: AtomicU64::new(last.saturating_add(1)),
            largest: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            used: Mutex::default(),
            off: AtomicBool::new(false),
        })
    }

    pub(super) fn bound(&self, max_bytes: u64) {
        if self.max_bytes.swap(max_bytes, Ordering::Relaxed) != max_bytes {
            // What was given up was given up for the old bound.
            self.largest.store(0, Ordering::Relaxed);
            self.given_up.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The answer under a key, if it has not expired and can be read.
    pub(super) fn get(&self, key: &CacheKey, now_ms: u64) -> Got {
        let Some(bytes) = self.guarded(|| self.answers.get(key.0)).flatten() else { return Got::Nothing };
        let fresh = entry::expiry(&bytes).is_some_and(|expires_ms| expires_ms > now_ms);
        let Some(chunks) = entry::decode(&bytes).filter(|_| fresh) else { return Got::Useless };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < MAX_USED {
            used.insert(*key);
        }
        Got::Answer(chunks)
    }

    /// Adds up what is there. The writer does this first: it takes as long as there are entries.
    pub(super) fn count(&self) {
        let counted = self.guarded(|| {
            self.index.iter().values().try_fold((0, 0), |(entries, bytes), value| {
                let value = value?;
                Ok((entries + 1, bytes + second(&value).unwrap_or(0)))
            })
        });
        if let Some((entries, bytes)) = counted {
            self.entries.store(entries, Ordering::Relaxed);
            self.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Stores an entry and makes room. For the writer alone.
    pub(super) fn put(&self, key: &CacheKey, bytes: Vec<u8>) {
        let size = bytes.len() as u64 + ENTRY;
        self.guarded(|| {
            self.stamp(key, size)?;
            self.answers.insert(key.0, bytes)
        });
        let bound = self.max_bytes.load(Ordering::Relaxed);
        self.keep_within(bound);
        let given_up = self.given_up.load(Ordering::Relaxed).min(MOST_PARTS);
        let room = room(bound) / PARTS * (PARTS - given_up);
        // Bounded: each round takes an age away, or a key out of the used ones.
        while self.bytes() > room {
            if self.guarded(|| self.evict()) != Some(true) {
                break;
            }
        }
    }

    /// Where sled's log grows towards the bound, has it written and gives up room: its segments are free again only once what
    /// follows them is on the disk, and on a busy machine that lags behind.
    fn keep_within(&self, bound: u64) {
        let Some(size) = self.guarded(|| self.db.size_on_disk()) else { return };
        let before = self.largest.fetch_max(size, Ordering::Relaxed);
        if size > before && size > bound - bound / 8 {
            self.given_up.fetch_add(1, Ordering::Relaxed);
            self.flush();
        }
    }

    /// Gives a key the newest age, and takes its old one away.
    fn stamp(&self, key: &CacheKey, size: u64) -> sled::Result<()> {
        let age = self.next_age.fetch_add(1, Ordering::Relaxed);
        self.ages.insert(age.to_be_bytes(), &key.0)?;
        let mut value = [0; 16];
        let (first, last) = value.split_at_mut(8);
        first.copy_from_slice(&age.to_be_bytes());
        last.copy_from_slice(&size.to_be_bytes());
        let old = self.index.insert(key.0, &value)?;
        match old.as_deref().and_then(|old| Some((number(old)?, second(old)?))) {
            Some((old_age, old_size)) => {
                self.ages.remove(old_age.to_be_bytes())?;
                self.less(old_size, 0);
            }
            None => {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }

    /// Takes the oldest away, or gives it a second chance if it was used since. `false` when there is none.
    fn evict(&self) -> sled::Result<bool> {
        let Some((age, key)) = self.ages.pop_min()? else { return Ok(false) };
        let Ok(key) = <[u8; 32]>::try_from(&*key).map(CacheKey) else { return Ok(true) };
        let Some(value) = self.index.get(key.0)? else { return Ok(true) };
        if number(&value) != number(&age) {
            return Ok(true);
        }
        if self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(&key) {
            self.stamp(&key, second(&value).unwrap_or(0))?;
        } else {
            self.take(&key)?;
        }
        Ok(true)
    }

    /// Takes an entry away. For the writer alone.
    pub(super) fn remove(&self, key: &CacheKey) {
        self.guarded(|| self.take(key));
    }

    fn take(&self, key: &CacheKey) -> sled::Result<()> {
        self.answers.remove(key.0)?;
        if let Some(value) = self.index.remove(key.0)? {
            self.less(second(&value).unwrap_or(0), 1);
            if let Some(age) = number(&value) {
                self.ages.remove(age.to_be_bytes())?;
            }
        }
        Ok(())
    }

    fn less(&self, bytes: u64, entries: u64) {
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(bytes)));
        let _ = self.entries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(entries)));
    }

    /// Bytes that the folder takes on the disk.
    #[cfg(test)]
    pub(super) fn on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// Puts all on the disk; blocks.
    pub(super) fn flush(&self) {
        self.guarded(|| self.db.flush());
    }

    /// Does something with sled. After an error or a panic the store is off until the next start.
    fn guarded<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Option<T> {
        if self.off.load(Ordering::Relaxed) {
            return None;
        }
        let broken = match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => broken(&error),
            Err(_) => Broken::Damaged("sled panicked".to_owned()),
        };
        self.off.store(true, Ordering::Relaxed);
        let folder = self.folder.display();
        match broken {
            Broken::Damaged(why) => {
                let marked = std::fs::write(self.folder.join(MARK), &why).is_ok();
                tracing::error!(%folder, why, marked, "the cache's folder is damaged: it is off, and the next start sets the folder aside");
            }
            Broken::Unusable(why) => tracing::error!(%folder, why, "the cache cannot be used: it is off until the next start"),
        }
        None
    }
}

/// Bytes of entries for which a folder of this size has room.
pub(super) fn room(max_bytes: u64) -> u64 {
    max_bytes.saturating_sub(SLACK) / OVERHEAD
}

fn broken(error: &sled::Error) -> Broken {
    use std::io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, UnexpectedEof};
    match error {
        sled::Error::Io(error) if matches!(error.kind(), UnexpectedEof | InvalidData | IsADirectory | NotADirectory) => {
            Broken::Damaged(error.to_string())
        }
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            Broken::Unusable("another process holds it (a second gatewright with the same data folder?)".to_owned())
        }
        sled::Error::Io(error) => Broken::Unusable(error.to_string()),
        other => Broken::Damaged(other.to_string()),
    }
}

/// The first 8 bytes, as a number.
fn number(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The 8 bytes after them.
fn second(bytes: &[u8]) -> Option<u64> {
    bytes.get(8..).and_then(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Bytes that no compression makes less.
    fn noise(key: u8) -> Vec<u8> {
        (0..2048_u16).flat_map(|part| *blake3::hash(&[&[key][..], &part.to_be_bytes()[..]].concat()).as_bytes()).collect()
    }

    #[test]
    fn room_that_was_given_up_comes_back_with_another_bound() {
        let folder = tempfile::tempdir().unwrap();
        let bound = 16 << 20;
        let store = Store::open(&folder.path().join("sled"), folder.path(), bound).ok().unwrap();
        let fill = |from: u8| (from..from + 100).for_each(|key| store.put(&CacheKey([key; 32]), noise(key)));
        // As if the folder had come near its bound often.
        store.given_up.store(MOST_PARTS, Ordering::Relaxed);
        fill(0);
        let less = store.bytes();
        assert!(less <= room(bound) / PARTS * (PARTS - MOST_PARTS), "{less}");
        store.bound(bound);
        assert_eq!(store.given_up.load(Ordering::Relaxed), MOST_PARTS, "it is the same bound");
        store.bound(2 * bound);
        fill(100);
        assert!(store.bytes() > room(bound), "{} after {less}", store.bytes());
    }
}
