//! What requests have counted, wherever something is counted: record, metrics, cost, and a key's budget.
//!
//! Apart because all of them must tell the same, whatever happened. It must not know a fault.

use std::sync::Arc;
use std::time::Instant;

use super::super::key;
use crate::config::facts::KeyFact;
use crate::life::kit::Kit;
use crate::limits::KeyState;
use crate::money::{Nanos, Price, Rates};
use crate::records::Row;

/// Tokens a minute of a key: enough for one request, not for two.
const BUDGET: u64 = 14;

/// What a model costs: 2 nano-dollars for a token of the prompt, 7 for one of the answer.
pub(super) fn price() -> Price {
    let (input, output) = (Nanos(2_000_000), Nanos(7_000_000));
    Price::flat(Rates { input, cached: input, written: input, written_long: input, output })
}

/// A key for one request, and its text.
pub(super) fn counted_key(name: &str) -> (KeyFact, String) {
    let text = format!("gw-{name}");
    (KeyFact { tokens_per_minute: Some(BUDGET), ..key(name, &text) }, text)
}

/// The books of a gateway that is closed.
pub(super) struct Books {
    metrics: String,
    keys: Vec<(KeyFact, Arc<KeyState>)>,
    rows: Vec<Row>,
}

impl Books {
    pub(super) fn close(kit: &mut Kit) -> Self {
        let host = kit.host();
        let metrics = host.shared.metrics.render();
        let keys = kit.facts.keys.clone();
        let states = host.shared.limiter.link(&keys, Instant::now());
        drop(host);
        Self { metrics, keys: keys.into_iter().zip(states).collect(), rows: kit.rows() }
    }

    /// The sum of a metric's values that have these labels.
    fn sum(&self, name: &str, labels: &[String]) -> u64 {
        let name = format!("gatewright_{name}_total{{");
        let lines = self.metrics.lines().filter(|line| line.starts_with(&name) && labels.iter().all(|label| line.contains(label)));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// The record of the one request that this key made since `began`, on the route and at the legs of the same number. All that was
    /// counted of it is counted there, and once.
    pub(super) fn record(&self, name: &str, at: usize, began: Instant) -> &Row {
        let (key, state) = &self.keys[at];
        // Of a time before the request, so that nothing of it has drained away yet.
        let standing = state.take(key, 0, began).map_or_else(|(_, standing)| standing, |(_, standing)| standing);
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.key == key.name).collect();
        let [row] = rows[..] else { panic!("{name}: {} records", rows.len()) };
        let (prompt, completion) = (row.prompt_tokens, row.completion_tokens);
        let route = format!("route=\"tried-{at}\"");
        let of = |metric: &str, label: &str| self.sum(metric, &[route.clone(), label.to_owned()]);
        assert_eq!((of("requests", ""), of("requests", &format!("outcome=\"{}\"", row.outcome))), (1, 1), "{name}");
        let tokens = ["kind=\"prompt\"", "kind=\"completion\""].map(|kind| of("tokens", kind));
        assert_eq!(tokens, [prompt, completion], "{name}");
        let cost = (prompt > 0).then_some(2 * prompt + 7 * completion);
        assert_eq!((row.cost_nanos, of("cost_nanodollars", "")), (cost, cost.unwrap_or_default()), "{name}: {row:?}");
        let attempts = ["rig", "spare"].map(|leg| self.sum("upstream_attempts", &[format!("leg=\"{leg}-{at}/m\"")]));
        assert_eq!(attempts.iter().sum::<u64>(), u64::from(row.attempts), "{name}");
        assert_eq!(standing.tokens.map(|left| BUDGET - left.remaining), Some(prompt + completion), "{name}: {row:?}");
        row
    }
}
