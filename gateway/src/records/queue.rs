//! The queue before the writer: places are reserved when a request is admitted, so that settling it never waits and never fails.
//!
//! Apart because it is all that the stages see of the records. It must not know SQL.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};

use rusqlite::Connection;

use super::conversations::{Change, Conversation, Waiting};
use super::row::Row;
use super::schema::{self, RecordsError};
use super::write;

/// No place is free in the queue: the disk does not keep up, or refuses. The request must be refused (overloaded).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of the records is full")]
pub struct Full;

/// What the stages and the writer share.
#[derive(Debug)]
pub(super) struct Inbox {
    rows: Mutex<Vec<Row>>,
    /// Answers that are to be kept or forgotten.
    pub(super) changes: Waiting,
    /// Rows that came in.
    received: AtomicU64,
    /// Places that are neither reserved nor taken by a row that is not written yet.
    free: AtomicUsize,
    queue: usize,
    /// Rows at which a resting writer is woken.
    high_water: usize,
    /// Set while the writer sleeps without an end.
    asleep: AtomicBool,
    pub(super) closing: AtomicBool,
}

impl Inbox {
    fn new(queue: usize) -> Self {
        let queue = queue.max(1);
        Self {
            rows: Mutex::default(),
            changes: Waiting::default(),
            received: AtomicU64::new(0),
            free: AtomicUsize::new(queue),
            queue,
            high_water: (queue / 2).max(1),
            asleep: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// All rows that wait, oldest first.
    pub(super) fn take(&self) -> Vec<Row> {
        std::mem::take(&mut *self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether so many rows wait that a resting writer is woken for them.
    pub(super) fn presses(&self) -> bool {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).len() >= self.high_water
    }

    /// This many rows are written: their places are free again.
    pub(super) fn written(&self, rows: usize) {
        self.free.fetch_add(rows, Ordering::Release);
    }

    /// Says that the writer is about to sleep without an end; `false` when a row came in meanwhile.
    pub(super) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let empty = self.rows.lock().unwrap_or_else(PoisonError::into_inner).is_empty() && self.changes.is_empty();
        if !empty || self.closing.load(Ordering::SeqCst) {
            self.asleep.store(false, Ordering::SeqCst);
            return false;
        }
        true
    }
}

/// The records of one gateway: a queue and the one thread that writes. Dropping it closes it.
#[derive(Debug)]
pub struct Records {
    inbox: Arc<Inbox>,
    writer: Thread,
    join: Mutex<Option<JoinHandle<Result<(), RecordsError>>>>,
    path: PathBuf,
    /// Reads answers that were kept, once one was asked for.
    reader: Mutex<Option<Connection>>,
}

impl Records {
    /// Opens or makes the database file (its folder must exist) and starts the writer. `queue` bounds requests in flight plus
    /// rows that are not written yet.
    ///
    /// # Errors
    /// When the file is damaged, of a newer schema, or not writable: the text says which, and what to do.
    pub fn open(path: &Path, queue: usize) -> Result<Self, RecordsError> {
        let connection = schema::open_for_writing(path)?;
        let inbox = Arc::new(Inbox::new(queue));
        let (theirs, file) = (inbox.clone(), path.to_owned());
        let join = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || write::run(connection, &theirs, &file))
            .map_err(|error| RecordsError::new(path, format_args!("no thread for the writer: {error}")))?;
        let (writer, path, reader) = (join.thread().clone(), path.to_owned(), Mutex::new(None));
        Ok(Self { inbox, writer, join: Mutex::new(Some(join)), path, reader })
    }

    /// Reserves a place for the row of one request. It goes back when the slot drops unused.
    ///
    /// # Errors
    /// [`Full`] when every place is taken.
    pub fn reserve(&self) -> Result<Slot, Full> {
        self.inbox.free.fetch_update(Ordering::Acquire, Ordering::Relaxed, |free| free.checked_sub(1)).map_err(|_| Full)?;
        Ok(Slot { inbox: self.inbox.clone(), writer: self.writer.clone(), sent: false })
    }

    /// Keeps an answer, where `most` bytes of them are kept in all: never waits. Whether there was room for it in the queue.
    pub fn keep(&self, answer: Conversation, most: u64) -> bool {
        self.change(Change::Keep(Arc::new(answer), most))
    }

    /// Forgets an answer: never waits. Whether there was room for that in the queue.
    pub fn forget(&self, (tenant, id): (&str, &str)) -> bool {
        self.change(Change::Forget { tenant: tenant.to_owned(), id: id.to_owned() })
    }

    fn change(&self, change: Change) -> bool {
        let added = self.inbox.changes.add(change);
        if self.inbox.asleep.swap(false, Ordering::SeqCst) {
            self.writer.unpark();
        }
        added
    }

    /// An answer that is kept, by tenant and id. Blocks on the disk: never call it where others wait.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recall(&self, wanted: (&str, &str), now_ms: u64) -> Result<Option<Arc<Conversation>>, RecordsError> {
        match self.inbox.changes.find(wanted) {
            Some(Change::Keep(kept, _)) => return Ok(Some(kept).filter(|kept| kept.until_ms > now_ms)),
            Some(Change::Forget { .. }) => return Ok(None),
            None => {}
        }
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *reader {
            Some(connection) => connection,
            none => none.insert(schema::open_for_reading(&self.path)?),
        };
        let read = super::conversations::read(connection, wanted, now_ms);
        Ok(read.map_err(|error| RecordsError::of(&self.path, &error))?.map(Arc::new))
    }

    /// Places that are taken: rows that wait to be written, and requests in flight.
    pub fn waiting(&self) -> usize {
        self.inbox.queue.saturating_sub(self.inbox.free.load(Ordering::Relaxed))
    }

    /// Rows that came in since it was opened: one for each request that has ended.
    pub fn received(&self) -> u64 {
        self.inbox.received.load(Ordering::Relaxed)
    }

    /// Writes all rows that were sent and ends the writer; blocks until it is done. Rows sent later are lost: close last.
    ///
    /// # Errors
    /// When rows could not be written: how many, and why. A second call does nothing.
    pub fn close(&self) -> Result<(), RecordsError> {
        let join = self.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(join) = join else { return Ok(()) };
        self.inbox.closing.store(true, Ordering::SeqCst);
        self.writer.unpark();
        join.join().unwrap_or_else(|_| Err(RecordsError::new(Path::new("?"), "the writer ended by a panic")))
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "records were lost");
        }
    }
}

/// A place for one row.
#[derive(Debug)]
pub struct Slot {
    inbox: Arc<Inbox>,
    writer: Thread,
    sent: bool,
}

impl Slot {
    /// Hands the row to the writer. Never waits, never fails.
    pub fn send(mut self, row: Row) {
        self.sent = true;
        self.inbox.received.fetch_add(1, Ordering::Relaxed);
        let waiting = {
            let mut rows = self.inbox.rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.push(row);
            rows.len()
        };
        // Waking a thread costs a system call: done once when it sleeps for good, and when half the queue waits.
        if self.inbox.asleep.swap(false, Ordering::SeqCst) || waiting == self.inbox.high_water {
            self.writer.unpark();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.sent {
            self.inbox.written(1);
        }
    }
}
