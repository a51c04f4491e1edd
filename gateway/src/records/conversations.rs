//! Answers that are kept with the conversation before them, so that another request can go on from there: by tenant and id, for a time.
//!
//! Apart because these hold what was said, and the rows do not. They are written by the same thread, behind a queue of bounded size, and are
//! found there too, for who has an answer may ask with its id at once. It must not know a dialect: what is kept is text.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// One answer, and the conversation before it.
#[derive(Debug)]
pub struct Conversation {
    /// Whose it is.
    pub tenant: String,
    /// The answer's id.
    pub id: String,
    /// Unix milliseconds at which it was answered.
    pub at_ms: u64,
    /// Unix milliseconds after which it is gone.
    pub until_ms: u64,
    /// The answer, as the client got it.
    pub body: Arc<str>,
    /// What was said before it, as the policies left it.
    pub before: Arc<str>,
}

impl Conversation {
    fn bytes(&self) -> usize {
        self.body.len() + self.before.len()
    }
}

/// What is to be written.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// An answer is kept; all together may have so many bytes.
    Keep(Arc<Conversation>, u64),
    /// An answer is no longer kept.
    Forget { tenant: String, id: String },
}

impl Change {
    fn is_of(&self, wanted: (&str, &str)) -> bool {
        match self {
            Self::Keep(kept, _) => (&*kept.tenant, &*kept.id) == wanted,
            Self::Forget { tenant, id } => (&**tenant, &**id) == wanted,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Keep(kept, _) => kept.bytes(),
            Self::Forget { .. } => 0,
        }
    }
}

/// Changes that wait to be written, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<(Vec<Change>, usize)>);

/// Bytes that may wait: a disk that does not keep up must not fill the memory.
const MOST_BYTES: usize = 64 << 20;
/// Changes that may wait.
const MOST: usize = 4096;

impl Waiting {
    fn locked<T>(&self, look: impl FnOnce(&mut Vec<Change>, &mut usize) -> T) -> T {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, bytes) = &mut *inner;
        look(changes, bytes)
    }

    /// Adds a change, if there is room.
    pub(super) fn add(&self, change: Change) -> bool {
        self.locked(|changes, bytes| {
            let fits = changes.len() < MOST && *bytes + change.bytes() <= MOST_BYTES;
            if fits {
                *bytes += change.bytes();
                changes.push(change);
            }
            fits
        })
    }

    /// The last change of an answer.
    pub(super) fn find(&self, wanted: (&str, &str)) -> Option<Change> {
        self.locked(|changes, _| changes.iter().rev().find(|change| change.is_of(wanted)).cloned())
    }

    /// All of them; they stay until they are written.
    pub(super) fn all(&self) -> Vec<Change> {
        self.locked(|changes, _| changes.clone())
    }

    /// The first of them are written.
    pub(super) fn written(&self, count: usize) {
        self.locked(|changes, bytes| {
            let done = changes.drain(..count.min(changes.len()));
            *bytes = bytes.saturating_sub(done.map(|change| change.bytes()).sum());
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.locked(|changes, _| changes.is_empty())
    }
}

/// Bytes that are kept.
pub(super) fn kept(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let bytes: i64 = connection.query_row("SELECT CAST(total(bytes) AS INTEGER) FROM conversation", [], |row| row.get(0))?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Writes changes, and drops what is too old, or the oldest where it is too much. Gives the bytes that are kept then; `held` were before.
pub(super) fn write(
    transaction: &Transaction<'_>,
    (changes, now_ms): (&[Change], Option<u64>),
    held: u64,
) -> Result<u64, rusqlite::Error> {
    let mut held = held;
    let mut most = None;
    let forget = |tenant: &str, id: &str| {
        let sql = "DELETE FROM conversation WHERE tenant = ?1 AND answer = ?2 RETURNING bytes";
        transaction.prepare_cached(sql)?.query_row(params![tenant, id], |row| row.get(0)).optional()
    };
    for change in changes {
        match change {
            Change::Keep(kept, bound) => {
                // As it was before, where it is kept anew.
                held = less(held, forget(&kept.tenant, &kept.id)?);
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO conversation (tenant, answer, at_ms, until_ms, bytes, body, before)
                        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        kept.tenant,
                        kept.id,
                        whole(kept.at_ms),
                        whole(kept.until_ms),
                        whole(kept.bytes() as u64),
                        kept.body,
                        kept.before,
                    ])?;
                held = held.saturating_add(kept.bytes() as u64);
                most = Some(*bound);
            }
            Change::Forget { tenant, id } => {
                held = less(held, forget(tenant, id)?);
            }
        }
    }
    let now = changes.iter().rev().find_map(|change| if let Change::Keep(kept, _) = change { Some(kept.at_ms) } else { None });
    if let Some(now) = now.or(now_ms) {
        let mut expired = transaction.prepare_cached("DELETE FROM conversation WHERE until_ms <= ?1 RETURNING bytes")?;
        for bytes in expired.query_map(params![whole(now)], |row| row.get(0))? {
            held = less(held, Some(bytes?));
        }
    }
    while most.is_some_and(|most| held > most) {
        let sql = "DELETE FROM conversation WHERE id = (SELECT min(id) FROM conversation) RETURNING bytes";
        let oldest: Option<i64> = transaction.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        if oldest.is_none() {
            return Ok(0);
        }
        held = less(held, oldest);
    }
    Ok(held)
}

fn less(held: u64, bytes: Option<i64>) -> u64 {
    held.saturating_sub(u64::try_from(bytes.unwrap_or_default()).unwrap_or_default())
}

/// Reads one, if it is there and not too old.
pub(super) fn read(
    connection: &Connection,
    (tenant, id): (&str, &str),
    now_ms: u64,
) -> Result<Option<Conversation>, rusqlite::Error> {
    let sql = "SELECT at_ms, until_ms, body, before FROM conversation WHERE tenant = ?1 AND answer = ?2 AND until_ms > ?3";
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or_default());
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Conversation {
            tenant: tenant.to_owned(),
            id: id.to_owned(),
            at_ms: number(row, 0)?,
            until_ms: number(row, 1)?,
            body: row.get(2)?,
            before: row.get(3)?,
        })
    };
    connection.prepare_cached(sql)?.query_row(params![tenant, id, whole(now_ms)], read).optional()
}

/// SQLite's integers are signed.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::Conversation;
    use crate::records::{Records, Row};

    fn kept(tenant: &str, id: &str, text: &str) -> Conversation {
        let (body, before) = (Arc::from(text), Arc::from("[]"));
        Conversation { tenant: tenant.into(), id: id.into(), at_ms: 1_000, until_ms: 2_000, body, before }
    }

    fn body(records: &Records, tenant: &str, id: &str, now: u64) -> Option<String> {
        records.recall((tenant, id), now).unwrap().map(|kept| kept.body.to_string())
    }

    fn written(path: &Path) -> i64 {
        let base = rusqlite::Connection::open(path).unwrap();
        base.query_row("SELECT count(*) FROM conversation", [], |row| row.get(0)).unwrap()
    }

    fn wait_for(what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed().as_secs() < 20);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn what_is_kept_is_found_at_once_and_after_a_restart_by_its_tenant_alone_until_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path, 10).unwrap();
        assert!(records.keep(kept("a", "resp_1", "one"), 1 << 20));
        assert_eq!(body(&records, "a", "resp_1", 1_500).as_deref(), Some("one"), "before it is written");
        records.close().unwrap();
        let records = Records::open(&path, 10).unwrap();
        assert_eq!(body(&records, "a", "resp_1", 1_500).as_deref(), Some("one"));
        assert_eq!(body(&records, "b", "resp_1", 1_500), None, "another tenant");
        assert_eq!(body(&records, "a", "resp_1", 2_000), None, "too old");
        assert!(records.forget(("a", "resp_1")));
        assert_eq!(body(&records, "a", "resp_1", 1_500), None, "forgotten at once");
        wait_for(|| written(&path) == 0);
        assert_eq!(body(&records, "a", "resp_1", 1_500), None);
    }

    #[test]
    fn the_oldest_go_where_there_is_too_much_and_the_expired_with_any_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path, 10).unwrap();
        for id in ["1", "2", "3"] {
            assert!(records.keep(kept("a", id, &"x".repeat(98)), 250));
        }
        wait_for(|| written(&path) == 2);
        assert_eq!(body(&records, "a", "1", 1_500), None);
        assert!(body(&records, "a", "3", 1_500).is_some());
        records.reserve().unwrap().send(Row { at_ms: 3_000, ..Row::default() });
        wait_for(|| written(&path) == 0);
    }

    #[test]
    fn what_is_kept_anew_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path, 10).unwrap();
        let read = || body(&records, "a", "1", 1_500).unwrap();
        assert!(records.keep(kept("a", "0", &"x".repeat(98)), 250));
        for text in ["y", "z", "w"] {
            assert!(records.keep(kept("a", "1", &text.repeat(98)), 250));
            assert!(read().starts_with(text));
        }
        records.close().unwrap();
        assert_eq!(written(&path), 2, "nothing had to go for it");
        assert!(body(&records, "a", "1", 1_500).unwrap().starts_with('w'));
    }

    #[test]
    fn what_waits_is_bounded() {
        let waiting = super::Waiting::default();
        let large = "x".repeat(super::MOST_BYTES / 2);
        let keep = |id: &str| super::Change::Keep(Arc::new(kept("a", id, &large)), 0);
        assert!(waiting.add(keep("1")));
        assert!(!waiting.add(keep("2")));
        waiting.written(1);
        assert!(waiting.is_empty() && waiting.add(keep("2")));
    }
}
