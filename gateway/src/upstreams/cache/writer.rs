//! The one thread that writes to the store: encoding, sled's blocking writes and making room happen here.
//!
//! Apart so that no request waits for the disk. It must not be waited for: what does not fit its queue is not stored.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::entry::Fresh;
use super::store::Store;
use super::{CacheKey, KnownKeys};

/// Answers that may wait.
const QUEUE: usize = 256;
/// Bytes of answers that may wait.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

enum Task {
    Store(CacheKey, Fresh),
    Forget(CacheKey),
    Close,
}

/// A handle on the thread.
pub(super) struct Writer {
    tasks: SyncSender<Task>,
    waiting: Arc<AtomicUsize>,
    join: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread; `None` (and a line in the log) where the system has none to give: then nothing is stored.
    pub(super) fn start(store: Arc<Store>, known: Arc<KnownKeys>) -> Option<Self> {
        let (tasks, inbox) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let theirs = waiting.clone();
        match std::thread::Builder::new().name("cache".to_owned()).spawn(move || run(&inbox, &store, &theirs, &known)) {
            Ok(join) => Some(Self { tasks, waiting, join: Mutex::new(Some(join)) }),
            Err(error) => {
                tracing::error!(%error, "no thread for the cache: nothing is stored");
                None
            }
        }
    }

    /// Whether the answer will be stored.
    pub(super) fn store(&self, key: CacheKey, fresh: &Fresh) -> bool {
        if self.waiting.fetch_add(fresh.weight, Ordering::Relaxed) + fresh.weight <= QUEUE_BYTES
            && self.tasks.try_send(Task::Store(key, fresh.clone())).is_ok()
        {
            return true;
        }
        self.waiting.fetch_sub(fresh.weight, Ordering::Relaxed);
        false
    }

    /// An entry that has expired or cannot be read may go. When the queue is full it goes another time.
    pub(super) fn forget(&self, key: CacheKey) {
        if let Err(TrySendError::Disconnected(_)) = self.tasks.try_send(Task::Forget(key)) {
            tracing::debug!("the cache is closed");
        }
    }

    /// Does what waits, puts it on the disk, ends. Blocks.
    pub(super) fn close(&self) {
        let join = self.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(join) = join
            && self.tasks.send(Task::Close).is_ok()
            && join.join().is_err()
        {
            tracing::error!("the cache's thread ended by a panic");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(inbox: &Receiver<Task>, store: &Store, waiting: &AtomicUsize, known: &KnownKeys) {
    store.count();
    for task in inbox.iter() {
        match task {
            Task::Store(key, fresh) => {
                if let Some(bytes) = fresh.encode() {
                    store.put(&key, bytes);
                }
                waiting.fetch_sub(fresh.weight, Ordering::Relaxed);
                known.written(&key);
            }
            Task::Forget(key) => store.remove(&key),
            Task::Close => break,
        }
    }
    store.flush();
}
