//! One row a request: what was asked of whom, what it cost, what the plugins did. No prompt text.
//!
//! Apart because the stages fill it in and know nothing of where it goes. It must not know a database.

use std::time::Duration;

use serde::Serialize;

/// What is written of one request when it settles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Id, as in `x-request-id`.
    pub request_id: String,
    /// Unix milliseconds at which the request was received.
    pub at_ms: u64,
    /// Key's name; `-` without keys.
    pub key: String,
    /// Tenant.
    pub tenant: String,
    /// Team.
    pub team: Option<String>,
    /// Route or `provider/model` asked for.
    pub model: String,
    /// Leg that answered, `provider/model`; `None` if none did.
    pub leg: Option<String>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// `ok`, `blocked`, `answered` (by a plugin), `hung-up`, or the fault's kind.
    pub outcome: String,
    /// HTTP status sent.
    pub status: u16,
    /// `hit`, `miss`, `bypass`.
    pub cache: String,
    /// Tokens of the prompt. These four count what was used: what came from the response cache used nothing.
    pub prompt_tokens: u64,
    /// Of those, read from the upstream's prompt cache.
    pub cached_tokens: u64,
    /// Tokens generated, reasoning included.
    pub completion_tokens: u64,
    /// Of those, thought.
    pub reasoning_tokens: u64,
    /// Whether the token numbers are estimates (hang-up, upstream without usage).
    pub estimated: bool,
    /// Microseconds to the first delta with content.
    pub first_delta_us: Option<u64>,
    /// Microseconds in all.
    pub total_us: u64,
    /// Model calls (rounds of the tool loop).
    pub rounds: u32,
    /// Upstream attempts in all.
    pub attempts: u32,
    /// What it cost, nano-dollars; `None` where a part of what was used has no price.
    pub cost_nanos: Option<u64>,
    /// What the answers would have cost of the model that costs are compared with.
    pub compared_nanos: Option<u64>,
    /// What the plugins did, JSON: `gatewright_plugins::Entry` list, and what was not inspected.
    pub verdicts: String,
}

/// Microseconds, as a row counts them.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
