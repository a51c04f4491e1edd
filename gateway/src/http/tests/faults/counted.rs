//! What one request has counted, wherever something is counted: record, metrics, cost, and its key's budget.
//!
//! Apart because all of them must tell the same, whatever happened. It must not know a fault.

use std::time::Instant;

use super::super::key;
use crate::config::facts::KeyFact;
use crate::life::kit::Kit;
use crate::money::{Nanos, Price, Rates};
use crate::records::Row;

/// The client's key.
pub(super) const KEY: &str = "gw-counted";
/// Its tokens a minute: enough for one request, not for two.
const BUDGET: u64 = 14;

/// What the rig's model costs: 2 nano-dollars for a token of the prompt, 7 for one of the answer.
pub(super) fn price() -> Price {
    let (input, output) = (Nanos(2_000_000), Nanos(7_000_000));
    Price::flat(Rates { input, cached: input, written: input, output })
}

pub(super) fn counted_key() -> KeyFact {
    KeyFact { tokens_per_minute: Some(BUDGET), ..key("counted", KEY) }
}

/// The sum of a metric's values that have this label.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(&format!("gatewright_{name}_total{{")) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// The record of the one request that there was since `began`. All that was counted of it is counted there, and once.
pub(super) fn record(name: &str, kit: &mut Kit, began: Instant) -> Row {
    let host = kit.host();
    let metrics = host.shared.metrics.render();
    let key = counted_key();
    // Of a time before the request, so that nothing of it has drained away yet.
    let state = host.shared.limiter.link(std::slice::from_ref(&key), began).remove(0);
    let standing = state.take(&key, 0, began).map_or_else(|(_, standing)| standing, |(_, standing)| standing);
    drop(host);
    let mut rows = kit.rows();
    assert_eq!(rows.len(), 1, "{name}");
    let row = rows.remove(0);
    let (prompt, completion) = (row.prompt_tokens, row.completion_tokens);
    let of = |outcome: &str| sum(&metrics, "requests", outcome);
    assert_eq!((of(""), of(&format!("outcome=\"{}\"", row.outcome))), (1, 1), "{name}: {metrics}");
    let tokens = ["kind=\"prompt\"", "kind=\"completion\""].map(|kind| sum(&metrics, "tokens", kind));
    assert_eq!(tokens, [prompt, completion], "{name}: {metrics}");
    let cost = (prompt > 0).then_some(2 * prompt + 7 * completion);
    assert_eq!((row.cost_nanos, sum(&metrics, "cost_nanodollars", "")), (cost, cost.unwrap_or_default()), "{name}: {row:?}");
    assert_eq!(sum(&metrics, "upstream_attempts", ""), u64::from(row.attempts), "{name}: {metrics}");
    assert_eq!(standing.tokens.map(|left| BUDGET - left.remaining), Some(prompt + completion), "{name}: {row:?}");
    row
}
