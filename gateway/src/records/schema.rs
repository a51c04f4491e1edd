//! The database file: opening it, its schema by version, and what is said when it cannot be used.
//!
//! Apart so that the writer and the reader agree on it. It must not know who writes or reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Version of the schema that this program writes, in SQLite's `user_version`.
const VERSION: i64 = 3;

/// What each version adds to the one before it. Never edit one that was released: add another.
const STEPS: [&str; VERSION as usize] = [FIRST, SECOND, THIRD];

pub(super) const FIRST: &str = "
CREATE TABLE request (
    id                INTEGER PRIMARY KEY,
    request_id        TEXT    NOT NULL,
    at_ms             INTEGER NOT NULL,
    key               TEXT    NOT NULL,
    tenant            TEXT    NOT NULL,
    team              TEXT,
    model             TEXT    NOT NULL,
    leg               TEXT,
    stream            INTEGER NOT NULL,
    outcome           TEXT    NOT NULL,
    status            INTEGER NOT NULL,
    cache             TEXT    NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    estimated         INTEGER NOT NULL,
    first_delta_us    INTEGER,
    total_us          INTEGER NOT NULL,
    rounds            INTEGER NOT NULL,
    attempts          INTEGER NOT NULL,
    verdicts          TEXT    NOT NULL
);
CREATE INDEX request_at ON request (at_ms);
";

const SECOND: &str = "
ALTER TABLE request ADD COLUMN cost_nanos INTEGER;
ALTER TABLE request ADD COLUMN compared_nanos INTEGER;
";

/// What was said stands last: who reads the other columns does not read it.
const THIRD: &str = "
CREATE TABLE conversation (
    id       INTEGER PRIMARY KEY,
    tenant   TEXT    NOT NULL,
    answer   TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    body     TEXT    NOT NULL,
    before   TEXT    NOT NULL
);
CREATE UNIQUE INDEX conversation_answer ON conversation (tenant, answer);
CREATE INDEX conversation_until ON conversation (until_ms);
";

/// Why the records cannot be opened, read or written: which file, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
#[error("the records in {}: {what}{}", path.display(), hint.map(|h| format!("; {h}")).unwrap_or_default())]
pub struct RecordsError {
    /// The database file.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Option<&'static str>,
}

impl RecordsError {
    pub(super) fn new(path: &Path, what: impl std::fmt::Display) -> Self {
        Self { path: path.to_owned(), what: what.to_string(), hint: None }
    }

    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Some("the file is damaged or is not SQLite's; move it away to start with a new one, or restore a copy")
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Some("the data folder must exist and be writable for this user")
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some("another process holds it for writing"),
            Some(ErrorCode::DiskFull) => Some("the disk is full"),
            _ => None,
        };
        Self { hint, ..Self::new(path, error) }
    }
}

/// Opens the file for writing, makes or updates its schema, and proves that it can be written to.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, RecordsError> {
    let fail = |error: rusqlite::Error| RecordsError::of(path, &error);
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(fail)?;
    // NORMAL in WAL: a crash of this process loses nothing that was committed, one of the machine perhaps the last moments.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(fail)?;
    // What was said and is deleted is overwritten.
    connection.pragma_update(None, "secure_delete", true).map_err(fail)?;
    // Pages kept in memory, in KiB when negative: appending needs few.
    connection.pragma_update(None, "cache_size", -512).map_err(fail)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(steps) = STEPS.get(done..) else {
        let what = format!("its schema is version {version}, and this program knows {VERSION} at most");
        return Err(RecordsError {
            hint: Some("use the newer gatewright, or another data folder"),
            ..RecordsError::new(path, what)
        });
    };
    for step in steps {
        transaction.execute_batch(step).map_err(fail)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(fail)?;
    transaction.commit().map_err(fail)?;
    Ok(connection)
}

/// Opens the file for reading, beside a gateway that may be writing.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, RecordsError> {
    let fail = |error: rusqlite::Error| RecordsError::of(path, &error);
    if !path.exists() {
        return Err(RecordsError {
            hint: Some("it is made when `gatewright serve` runs"),
            ..RecordsError::new(path, "no such file")
        });
    }
    // A reader of a WAL takes part in its shared memory, so it needs a writable folder where it has one.
    let write = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, write).or_else(|_| Connection::open_with_flags(path, read)).map_err(fail)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(fail)?;
    connection.pragma_update(None, "query_only", true).map_err(fail)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
    if version == VERSION {
        return Ok(connection);
    }
    let what = format!("its schema is version {version}, and this program reads {VERSION}");
    Err(RecordsError { hint: Some("`gatewright serve` updates an older one"), ..RecordsError::new(path, what) })
}
