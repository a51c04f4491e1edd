//! What was used, by day, key and model: read from the records, as a table or as JSON.
//!
//! Apart because it runs in another process than the one that writes. It must not change the file.

use std::path::Path;

use rusqlite::named_params;
use serde::Serialize;

use super::schema::{self, RecordsError};
use crate::money::Nanos;
use crate::observe::Outcome;

/// Which rows count; `None` is all.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Unix milliseconds, inclusive.
    pub from_ms: Option<u64>,
    /// Name of a key.
    pub key: Option<String>,
    /// Model as it was asked for.
    pub model: Option<String>,
}

/// What one key used of one model on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageLine {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Key's name; `-` without keys.
    pub key: String,
    /// Model as it was asked for.
    pub model: String,
    /// Requests in all.
    pub requests: u64,
    /// Of those, ended by a fault.
    pub errors: u64,
    /// Of those, refused by a plugin.
    pub blocked: u64,
    /// Of those, answered from the cache.
    pub cache_hits: u64,
    /// Tokens of the prompts. These four count what was used: answers from the response cache used nothing.
    pub prompt_tokens: u64,
    /// Of those, read from an upstream's prompt cache.
    pub cached_tokens: u64,
    /// Tokens generated, thought included.
    pub completion_tokens: u64,
    /// Of those, thought.
    pub reasoning_tokens: u64,
    /// What the requests cost, in nano-dollars, as far as it is known.
    pub cost_nanos: u64,
    /// Requests that used tokens of which nobody says what they cost.
    pub unpriced: u64,
    /// What the answers would have cost of the model that costs are compared with, in nano-dollars.
    pub compared_nanos: u64,
}

/// Reads the usage, by day, key and model, oldest day first. Works beside a gateway that is writing.
///
/// # Errors
/// When the file is missing, damaged, or of another schema.
pub fn usage(path: &Path, filter: &UsageFilter) -> Result<Vec<UsageLine>, RecordsError> {
    let fail = |error: rusqlite::Error| RecordsError::of(path, &error);
    let connection = schema::open_for_reading(path)?;
    let [ok, blocked, answered, hung_up] = Outcome::GOOD;
    // `sum` fails where it leaves the integers, for good; `total` is exact up to 2^53 and does not.
    let mut query = connection
        .prepare(
            "SELECT strftime('%Y-%m-%d', at_ms / 1000, 'unixepoch') AS day, key, model, count(*),
                sum(outcome NOT IN (:ok, :blocked, :answered, :hung_up)), sum(outcome = :blocked), sum(cache = 'hit'),
                CAST(total(prompt_tokens) AS INTEGER), CAST(total(cached_tokens) AS INTEGER),
                CAST(total(completion_tokens) AS INTEGER), CAST(total(reasoning_tokens) AS INTEGER),
                CAST(total(cost_nanos) AS INTEGER), sum(cost_nanos IS NULL AND prompt_tokens + completion_tokens > 0),
                CAST(total(compared_nanos) AS INTEGER)
            FROM request
            WHERE at_ms >= :from AND (:key IS NULL OR key = :key) AND (:model IS NULL OR model = :model)
            GROUP BY day, key, model ORDER BY day, key, model",
        )
        .map_err(fail)?;
    let from = i64::try_from(filter.from_ms.unwrap_or(0)).unwrap_or(i64::MAX);
    let values = named_params! {
        ":ok": ok, ":blocked": blocked, ":answered": answered, ":hung_up": hung_up,
        ":from": from, ":key": filter.key, ":model": filter.model,
    };
    let rows = query.query_map(values, line).map_err(fail)?;
    rows.collect::<Result<Vec<_>, _>>().map_err(fail)
}

fn line(row: &rusqlite::Row<'_>) -> Result<UsageLine, rusqlite::Error> {
    let number = |column: usize| row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or(0));
    Ok(UsageLine {
        day: row.get(0)?,
        key: row.get(1)?,
        model: row.get(2)?,
        requests: number(3)?,
        errors: number(4)?,
        blocked: number(5)?,
        cache_hits: number(6)?,
        prompt_tokens: number(7)?,
        cached_tokens: number(8)?,
        completion_tokens: number(9)?,
        reasoning_tokens: number(10)?,
        cost_nanos: number(11)?,
        unpriced: number(12)?,
        compared_nanos: number(13)?,
    })
}

const HEAD: [&str; 14] = [
    "day (UTC)",
    "key",
    "model",
    "requests",
    "errors",
    "blocked",
    "cache hits",
    "prompt",
    "cached",
    "completion",
    "reasoning",
    "unpriced",
    "cost (USD)",
    "compared (USD)",
];
/// The last columns are money.
const MONEY: usize = 2;
/// Columns of text, aligned to the left; the others are numbers, aligned to the right.
const TEXTS: usize = 3;

/// The lines as a table for people: aligned columns, a head, a sum when there is more than one line.
pub fn table(lines: &[UsageLine]) -> String {
    if lines.is_empty() {
        return "no requests on record\n".to_owned();
    }
    let numbers = |l: &UsageLine| {
        let tokens = [l.prompt_tokens, l.cached_tokens, l.completion_tokens, l.reasoning_tokens];
        let counts = [l.requests, l.errors, l.blocked, l.cache_hits];
        [&counts[..], &tokens, &[l.unpriced, l.cost_nanos, l.compared_nanos]].concat()
    };
    let written = |(at, number): (usize, u64)| match at < HEAD.len() - TEXTS - MONEY {
        true => number.to_string(),
        false => Nanos(number).to_string(),
    };
    let mut sums = [0_u64; HEAD.len() - TEXTS];
    let mut rows: Vec<Vec<String>> = vec![HEAD.iter().map(|&h| h.to_owned()).collect()];
    for line in lines {
        let mut row = vec![printable(&line.day), printable(&line.key), printable(&line.model)];
        let numbers = numbers(line);
        for (sum, number) in sums.iter_mut().zip(&numbers) {
            *sum = sum.saturating_add(*number);
        }
        row.extend(numbers.into_iter().enumerate().map(written));
        rows.push(row);
    }
    if lines.len() > 1 {
        let mut row = vec!["total".to_owned(), String::new(), String::new()];
        row.extend(sums.into_iter().enumerate().map(written));
        rows.push(row);
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0..TEXTS => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The lines as a JSON array of objects, fields named as in [`UsageLine`].
pub fn json(lines: &[UsageLine]) -> String {
    serde_json::to_string_pretty(lines).unwrap_or_else(|_| "[]".to_owned())
}

/// A model's name is what a client wrote: control characters must not reach a terminal.
fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::records::{Full, Records, Row, UsageFilter, json, table, usage};

    fn row(day: u64, key: &str, outcome: &str, cache: &str) -> Row {
        Row {
            request_id: "r".to_owned(),
            at_ms: day * 86_400_000,
            key: key.to_owned(),
            model: "chat".to_owned(),
            outcome: outcome.to_owned(),
            cache: cache.to_owned(),
            prompt_tokens: 10,
            cached_tokens: 2,
            completion_tokens: 5,
            reasoning_tokens: 3,
            first_delta_us: Some(7),
            cost_nanos: (outcome == "ok").then_some(1_500_000),
            compared_nanos: Some(2_000_000_000),
            ..Row::default()
        }
    }

    fn send(records: &Records, row: Row) {
        records.reserve().unwrap().send(row);
    }

    fn all(path: &Path) -> Vec<super::UsageLine> {
        usage(path, &UsageFilter::default()).unwrap()
    }

    #[test]
    fn closing_writes_every_row_and_usage_adds_them_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path, 10_000).unwrap();
        for i in 0..5_000 {
            send(&records, row(19_000 + i % 2, "ada", if i % 5 == 0 { "upstream-timeout" } else { "ok" }, "hit"));
        }
        send(&records, row(19_000, "bob", "blocked", "miss"));
        records.close().unwrap();
        let lines = all(&path);
        assert_eq!(lines.len(), 3);
        let first = &lines[0];
        assert_eq!((first.day.as_str(), first.key.as_str(), first.requests, first.errors), ("2022-01-08", "ada", 2_500, 500));
        assert_eq!((first.cache_hits, first.prompt_tokens, first.reasoning_tokens), (2_500, 25_000, 7_500));
        assert_eq!((first.cost_nanos, first.unpriced, first.compared_nanos), (2_000 * 1_500_000, 500, 2_500 * 2_000_000_000));
        assert_eq!((lines[1].key.as_str(), lines[1].errors, lines[1].blocked, lines[1].cache_hits), ("bob", 0, 1, 0));
        let from = UsageFilter { from_ms: Some(19_001 * 86_400_000), ..UsageFilter::default() };
        assert_eq!(usage(&path, &from).unwrap().len(), 1);
        let bob = UsageFilter { key: Some("bob".to_owned()), ..UsageFilter::default() };
        assert_eq!(usage(&path, &bob).unwrap()[0].requests, 1);
        let text = table(&lines);
        assert!(text.starts_with("day (UTC)   key  model  requests  errors"), "{text}");
        let total = text.lines().last().unwrap();
        assert!(total.starts_with("total"), "{text}");
        assert_eq!(total.split_whitespace().rev().take(3).collect::<Vec<_>>(), ["10002", "6", "1001"], "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&lines)).unwrap()[1]["key"], "bob");
    }

    #[test]
    fn a_file_of_the_first_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let old = rusqlite::Connection::open(&path).unwrap();
        old.execute_batch(super::schema::FIRST).unwrap();
        old.execute_batch(
            "INSERT INTO request VALUES (1, 'r', 0, 'ada', 'ada', NULL, 'chat', NULL, 0, 'ok', 200, 'miss', 1, 0, 2, 0, 0, NULL, 5, 1, 1, '');
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);
        let records = Records::open(&path, 10).unwrap();
        send(&records, row(0, "ada", "ok", "miss"));
        records.close().unwrap();
        let line = &all(&path)[0];
        assert_eq!((line.requests, line.cost_nanos, line.unpriced), (2, 1_500_000, 1));
    }

    #[test]
    fn absurd_figures_do_not_spoil_the_sums() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Records::open(&path, 10).unwrap();
        for _ in 0..3 {
            send(&records, Row { prompt_tokens: u64::MAX, ..row(19_000, "ada", "ok", "miss") });
        }
        records.close().unwrap();
        let line = &all(&path)[0];
        assert_eq!((line.prompt_tokens, line.completion_tokens), (i64::MAX as u64, 15));
    }

    #[test]
    fn rows_survive_a_reopening_and_are_read_while_the_gateway_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        for round in 1..=3 {
            let records = Records::open(&path, 10).unwrap();
            send(&records, row(19_000, "ada", "ok", "miss"));
            let start = std::time::Instant::now();
            // Seen by another connection within the gathering time, without closing.
            while all(&path).first().is_none_or(|line| line.requests != round) {
                assert!(start.elapsed().as_secs() < 10);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(&folder.path().join("r"), 2).unwrap();
        let (a, b) = (records.reserve().unwrap(), records.reserve().unwrap());
        assert_eq!(records.reserve().map(drop), Err(Full));
        drop(a);
        assert_eq!(records.waiting(), 1);
        b.send(row(19_000, "ada", "ok", "miss"));
        let start = std::time::Instant::now();
        while records.waiting() != 0 {
            assert!(start.elapsed().as_secs() < 10);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        // The writer has gone to sleep for good by then, and still wakes for the next row.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        send(&records, row(19_000, "ada", "ok", "miss"));
        records.close().unwrap();
        assert_eq!(all(&folder.path().join("r"))[0].requests, 2);
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        let text = Records::open(&path, 10).unwrap_err().to_string();
        assert!(text.contains("records.sqlite") && text.contains("move it away"), "{text}");
        let text = Records::open(&folder.path().join("no/such"), 10).unwrap_err().to_string();
        assert!(text.contains("must exist and be writable"), "{text}");
        let text = usage(&folder.path().join("none"), &UsageFilter::default()).unwrap_err().to_string();
        assert!(text.contains("no such file; it is made when"), "{text}");
        let newer = folder.path().join("newer");
        rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let text = Records::open(&newer, 10).unwrap_err().to_string();
        assert!(text.contains("version 99") && text.contains("newer gatewright"), "{text}");
    }

    #[test]
    fn a_models_name_cannot_write_to_the_terminal() {
        let mut line = super::UsageLine {
            day: "2026-01-01".to_owned(),
            key: "-".to_owned(),
            model: "a\u{1b}[2J".to_owned(),
            requests: 1,
            errors: 0,
            blocked: 0,
            cache_hits: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
            reasoning_tokens: 0,
            cost_nanos: 0,
            unpriced: 0,
            compared_nanos: 0,
        };
        assert!(!table(std::slice::from_ref(&line)).contains('\u{1b}'));
        line.model = "x".repeat(10_000);
        assert!(table(&[line]).len() < 1_000);
    }
}
