//! The parts of `gatewright.yaml` that bound the process, its cache and its log.
//!
//! Apart from what is said of providers, routes, plugins and keys, because nothing there names them. It must not know what they come
//! to.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Size, Span};

/// Bounds of the response cache.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cache {
    /// Size of the cache's folder at most, 16MiB or more. Default: `256MiB`. Needs a restart.
    #[schemars(with = "Size")]
    pub(crate) max_size: Option<Size>,
    /// Largest answer that is stored, an eighth of `max_size` at most. Default: `1MiB`. Needs a restart.
    #[schemars(with = "Size")]
    pub(crate) max_entry: Option<Size>,
    /// Whether tenants share answers. Default: false.
    pub(crate) across_tenants: bool,
}

/// Responses that are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Conversations {
    /// Whether any are: as the policies left them, each for its tenant alone, in the records. Where not, `store` counts for nothing, and
    /// `previous_response_id` is refused. Default: true.
    #[schemars(with = "bool")]
    pub(crate) keep: Option<bool>,
    /// For how long. Default: `30d`.
    #[schemars(with = "Span")]
    pub(crate) time: Option<Span>,
    /// All of them together; the oldest go first. Default: `1GiB`.
    #[schemars(with = "Size")]
    pub(crate) max_size: Option<Size>,
}

/// Bounds of the process.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Largest request body. Default: `32MiB`.
    #[schemars(with = "Size")]
    pub(crate) body: Option<Size>,
    /// Request bodies that are coming in, all together; more are refused. The first 64KiB of each are free. `body` at least.
    /// Default: `256MiB`, or `body` if that is more.
    #[schemars(with = "Size")]
    pub(crate) bodies: Option<Size>,
    /// Connections at once; more are refused. Default: 4096. Needs a restart.
    #[schemars(with = "usize", range(min = 1, max = 1_000_000))]
    pub(crate) connections: Option<usize>,
    /// Requests at once; more are refused. Default: 1024.
    #[schemars(with = "usize", range(min = 1, max = 1_000_000))]
    pub(crate) in_flight: Option<usize>,
    /// Time for a client to send its headers. Default: `10s`. Needs a restart.
    #[schemars(with = "Span")]
    pub(crate) header_time: Option<Span>,
    /// Time for a client to send its body. Default: `1m`.
    #[schemars(with = "Span")]
    pub(crate) body_time: Option<Span>,
    /// Time that a client may take nothing of an answer before it is cut off. Default: `1m`. Needs a restart.
    #[schemars(with = "Span")]
    pub(crate) write_time: Option<Span>,
    /// Silence after which a stream is begun without knowing how it goes on, and filled with keep-alives: a comment, or the dialect's own
    /// event. Until then a failure is a status; from then on it is an error in the stream. Default: `15s`.
    #[schemars(with = "Span")]
    pub(crate) keep_alive: Option<Span>,
    /// Text of one answer that plugins may hold back, or see whole. A longer one fails where an enforced plugin must see it whole;
    /// a shadow does without, and that is recorded. Default: `1MiB`.
    #[schemars(with = "Size")]
    pub(crate) held: Option<Size>,
    /// Largest answer of an upstream. Default: `64MiB`.
    #[schemars(with = "Size")]
    pub(crate) answer: Option<Size>,
    /// Time that requests in flight have to finish when the gateway is told to stop. Default: `30s`.
    #[schemars(with = "Span")]
    pub(crate) drain_time: Option<Span>,
    /// Instances of a plugin in use at once; more requests are refused. Default: 256. Needs a restart.
    #[schemars(with = "usize", range(min = 1, max = 10_000))]
    pub(crate) plugin_slots: Option<usize>,
    /// Records that may wait to be written; more requests are refused. Default: 4096. Needs a restart.
    #[schemars(with = "usize", range(min = 1, max = 1_000_000))]
    pub(crate) record_queue: Option<usize>,
}

/// What is logged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logging {
    /// `plain` or `json`. Default: `plain`. Needs a restart.
    pub(crate) format: Format,
    /// Whether prompts are logged, as the plugins left them, and what upstreams say in errors, which may repeat them. Answers never
    /// are, and records hold neither but for `conversations`. Default: false.
    pub(crate) prompts: bool,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Format {
    #[default]
    Plain,
    Json,
}
