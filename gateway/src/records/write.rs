//! The one thread that writes: all rows that came in within a fifth of a second go into one transaction.
//!
//! Apart because it alone may block on the disk. It must not drop a row while there is hope: rows that cannot be written are
//! kept, their places stay taken, and new requests are refused in the end.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::conversations::{self, Change};
use super::queue::Inbox;
use super::row::Row;
use super::schema::RecordsError;

/// How long rows are gathered.
const GATHER: Duration = Duration::from_millis(200);
/// Pause after a failed transaction.
const BACKOFF: Duration = Duration::from_secs(1);
/// Tries at the last rows when closing, `GATHER` apart.
const LAST_TRIES: u32 = 10;
/// Empty rounds before the thread sleeps until it is woken.
const RESTLESS_ROUNDS: u32 = 5;

const INSERT: &str = "INSERT INTO request (request_id, at_ms, key, tenant, team, model, leg, stream, outcome, status, cache,
    prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, estimated, first_delta_us, total_us, rounds, attempts, verdicts,
    cost_nanos, compared_nanos)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)";

/// Runs until the inbox closes and all is written.
pub(super) fn run(mut connection: Connection, inbox: &Inbox, path: &Path) -> Result<(), RecordsError> {
    let mut pending: Vec<Row> = Vec::new();
    let (mut idle, mut failures) = (0, 0);
    let mut held = conversations::kept(&connection).map_err(|error| RecordsError::of(path, &error))?;
    loop {
        // Read before the rows are taken: what was sent before the closing is then among them.
        let closing = inbox.closing.load(Ordering::SeqCst);
        pending.append(&mut inbox.take());
        let changes = inbox.changes.all();
        if pending.is_empty() && changes.is_empty() {
            if closing {
                return Ok(());
            }
            idle += 1;
        } else {
            match write(&mut connection, (&pending, &changes), held) {
                Ok(kept) => {
                    inbox.written(pending.len());
                    inbox.changes.written(changes.len());
                    held = kept;
                    pending = Vec::new();
                    (idle, failures) = (0, 0);
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(%error, path = %path.display(), rows = pending.len(), "rows could not be written; they are kept and tried again");
                    if closing && failures >= LAST_TRIES {
                        let lost = format_args!("{} rows were not written: {error}", pending.len()).to_string();
                        return Err(RecordsError { what: lost, ..RecordsError::of(path, &error) });
                    }
                }
            }
        }
        match (closing, failures) {
            (true, 0) => {}
            (true, _) => std::thread::sleep(GATHER),
            (false, 0) if idle >= RESTLESS_ROUNDS && inbox.may_sleep() => rest(inbox),
            (false, 0) => std::thread::park_timeout(GATHER),
            (false, _) => std::thread::park_timeout(BACKOFF),
        }
    }
}

/// Sleeps until a row comes in, and then for as long as rows are gathered: the row that woke it is seldom alone, and who sent it may
/// be asking again just now.
fn rest(inbox: &Inbox) {
    std::thread::park();
    if !inbox.closing.load(Ordering::SeqCst) && !inbox.presses() {
        std::thread::park_timeout(GATHER);
    }
}

fn write(connection: &mut Connection, (rows, changes): (&[Row], &[Change]), held: u64) -> Result<u64, rusqlite::Error> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        for row in rows {
            insert.execute(params![
                row.request_id,
                whole(row.at_ms),
                row.key,
                row.tenant,
                row.team,
                row.model,
                row.leg,
                row.stream,
                row.outcome,
                row.status,
                row.cache,
                whole(row.prompt_tokens),
                whole(row.cached_tokens),
                whole(row.completion_tokens),
                whole(row.reasoning_tokens),
                row.estimated,
                row.first_delta_us.map(whole),
                whole(row.total_us),
                row.rounds,
                row.attempts,
                row.verdicts,
                row.cost_nanos.map(whole),
                row.compared_nanos.map(whole),
            ])?;
        }
    }
    let kept = conversations::write(&transaction, (changes, rows.last().map(|row| row.at_ms)), held)?;
    transaction.commit()?;
    Ok(kept)
}

/// SQLite's integers are signed.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
