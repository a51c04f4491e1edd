//! What `gatewright.yaml` may say of legs in trouble: when they are left alone, and how much they are asked again. The doc comments are
//! for operators, as in `raw`.
//!
//! Apart because they are rules of numbers. It must not know what they come to.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;

/// When a leg is left alone: upstream and model together. What counts is that it cannot be reached, is too slow, breaks off or answers
/// with 5xx; not what a client does wrong, and not a client that hangs up. That it has too much to do (429) is judged by itself, by the
/// same share, and lasts as long as it says. A leg that is left alone is passed over; where all are, the answer is 503 with
/// `Retry-After`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Breaker {
    /// Whether a leg ever is. Default: true.
    #[schemars(with = "bool")]
    pub(crate) enabled: Option<bool>,
    /// Tries in a hundred that must fail. Default: 50.
    #[schemars(with = "u32", range(min = 1, max = 100))]
    pub(crate) percent: Option<u32>,
    /// Of so many tries at least. Default: 20.
    #[schemars(with = "u32", range(min = 1, max = 100_000))]
    pub(crate) least: Option<u32>,
    /// Within this time. Default: `30s`.
    #[schemars(with = "Span")]
    pub(crate) window: Option<Span>,
    /// How long it is left alone before it is probed; each time that a probe fails twice as long. Default: `5s`.
    #[schemars(with = "Span")]
    pub(crate) rest: Option<Span>,
    /// How long at most. Default: `2m`.
    #[schemars(with = "Span")]
    pub(crate) longest_rest: Option<Span>,
    /// Requests at once that find out whether it answers again; the first that it answers does. Default: 1.
    #[schemars(with = "u32", range(min = 1, max = 100))]
    pub(crate) probes: Option<u32>,
}

/// How much more may be asked of a leg than is asked of the gateway, retries and hedges together: so that they never multiply an outage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retries {
    /// Of a hundred requests of the last ten seconds. Default: 20.
    #[schemars(with = "u32", range(max = 1000))]
    pub(crate) percent: Option<u32>,
    /// A second, besides. Default: 3.
    #[schemars(with = "u32", range(max = 100_000))]
    pub(crate) least: Option<u32>,
}

/// When a second leg is asked beside one that has not said the first word of a stream: the next one, or the same again where there is no
/// other. Whoever speaks first is heard, the other one is let go; once for a model call, and as far as `retries` and the leg's
/// `attempts` allow. One of the two keys at least.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hedge {
    /// After this time; with a `percentile`, at the earliest, and as long as too little is known for one.
    #[schemars(with = "Span")]
    pub(crate) after: Option<Span>,
    /// After the time within which the leg begins in so many of a hundred of its last streams. It takes 20 streams to know it.
    #[schemars(with = "u8", range(min = 50, max = 99))]
    pub(crate) percentile: Option<u8>,
}
