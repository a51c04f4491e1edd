//! What `gatewright.yaml` may say of routes, and of what tokens cost. The doc comments are for operators, as in `raw`.
//!
//! Apart because they are many words about one thing. It must not know what they come to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;

use super::{Hedge, Span};
use crate::upstreams::pick::Strategy;

/// What a million tokens cost, in US dollars.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amounts {
    /// Of the prompt.
    #[schemars(with = "f64", range(min = 0))]
    pub(crate) input: Number,
    /// Of the prompt's, those read from the provider's prompt cache. Default: as `input`.
    #[serde(default)]
    #[schemars(with = "f64", range(min = 0))]
    pub(crate) cached: Option<Number>,
    /// Of the prompt's, those written into that cache. Default: as `input`.
    #[serde(default)]
    #[schemars(with = "f64", range(min = 0))]
    pub(crate) written: Option<Number>,
    /// Of the prompt's, those written to last longer than is usual there: an hour, with Anthropic. Default: as `written`.
    #[serde(default)]
    #[schemars(with = "f64", range(min = 0))]
    pub(crate) written_long: Option<Number>,
    /// Generated, thought included.
    #[schemars(with = "f64", range(min = 0))]
    pub(crate) output: Number,
}

/// Paths of a provider that are passed through unread, with a client's key checked and the provider's put in its place, limits kept and
/// a record written. No plugin inspects them: where one is enforced, they are refused.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassThrough {
    /// Which ones; `*` at the end matches any rest. Where several providers have one, the first by name is asked, or the one that the
    /// client names in `x-gatewright-provider`. Keys that may use some models alone need `provider/PATH` or `provider/*` among them.
    #[schemars(extend("examples" = [["/v1/files*", "/v1/audio/*"]]))]
    pub(crate) paths: Vec<String>,
    /// Plugins in place of `default_plugins`, after `global_plugins` and the key's; only those in shadow or off let anything pass.
    /// Default: `default_plugins`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) plugins: Option<Vec<String>>,
}

/// A name that clients use as `model`, and what answers it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// Who answers: `provider/model`, or a model of the embedded engine. Tried until one begins to answer, in the order of `strategy`.
    /// Where the route's name has `*`, those of a leg stand for the same text.
    #[schemars(length(min = 1), extend("examples" = [["openai/gpt-4.1", "deepseek/deepseek-reasoner"]]))]
    pub(crate) legs: Vec<String>,
    /// Which leg comes first: `ordered` (as written), `weighted` (by lot, by `weights`: a canary has a small one), `least_busy` (fewest
    /// requests in flight from here), `least_latency` (fastest to begin lately) or `least_cost` (the embedded engine and providers that are
    /// `local` cost nothing without a price; others without one come last). The others follow in the same order.
    /// Default: `ordered`.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["ordered", "weighted", "least_busy", "least_latency", "least_cost"]))]
    pub(crate) strategy: Strategy,
    /// Shares of the legs, in their order, where the strategy is `weighted`; 0 is asked only when the others fail. Default: equal.
    #[serde(default)]
    #[schemars(with = "Vec<u32>", extend("examples" = [[95, 5]]))]
    pub(crate) weights: Option<Vec<u32>>,
    /// Further legs, asked in their order when all of `legs` have failed.
    #[serde(default)]
    pub(crate) fallbacks: Vec<String>,
    /// Further legs for requests that are too long: asked, before `fallbacks`, only when a leg said that the request is longer than its
    /// model's context.
    #[serde(default)]
    #[schemars(extend("examples" = [["openai/gpt-4.1"]]))]
    pub(crate) context_fallbacks: Vec<String>,
    /// Conditions by leg, as in `rules`: a leg that has one is asked only where it holds. Where no leg is left, the request is refused
    /// with status 400.
    #[serde(default)]
    #[schemars(extend("examples" = [{"openai/gpt-4.1-mini": "tokens < 8000"}]))]
    pub(crate) leg_when: BTreeMap<String, String>,
    /// Asks a second leg beside one that is slow to begin a stream. Default: no.
    #[serde(default)]
    #[schemars(with = "Hedge")]
    pub(crate) hedge: Option<Hedge>,
    /// Time that a leg has for the first word of a stream, before the next one is asked; the same key of its provider's `timeouts`
    /// counts where it is less. Default: none.
    #[serde(default)]
    #[schemars(with = "Span")]
    pub(crate) first_token: Option<Span>,
    /// Whether a conversation keeps its leg while that answers, for the sake of the upstream's prompt cache. It is known by the header
    /// `x-gatewright-conversation`, else by `prompt_cache_key`, the answer that it follows (`previous_response_id`), `metadata.user_id` (of
    /// Messages) or `user`. `weighted` draws by it; `least_busy` and `least_latency` choose for its first request, and the last
    /// conversations are remembered; `ordered` and `least_cost` have one order for all, and nothing changes. Default: false.
    #[serde(default)]
    pub(crate) sticky: bool,
    /// Plugins in order, after `global_plugins` and the key's. One that is named there already runs there. Default:
    /// `default_plugins`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) plugins: Option<Vec<String>>,
    /// How long answers are cached, for the same request of the same tenant. Default: not at all.
    #[serde(default)]
    #[schemars(with = "Span")]
    pub(crate) cache: Option<Span>,
    /// Offers the tools of the route's plugins to the model and runs them here; `{}` for the default bounds. Default: no.
    #[serde(default)]
    #[schemars(with = "Tools")]
    pub(crate) tools: Option<Tools>,
    /// Whether a request with a part that no plugin can inspect is refused. Default: false.
    #[serde(default)]
    pub(crate) strict: bool,
    /// Whether a request that comes here never leaves: only the embedded engine and providers that are `local` may answer it, also
    /// on a route that it is sent on to. Default: false.
    #[serde(default)]
    pub(crate) local_only: bool,
    /// What becomes of requests for which a condition holds.
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
}

/// A rule for requests for which a condition holds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The condition, in CEL, on the request as the plugins left it, and on the notes that they left: a note counts whichever plugin
    /// left it, and none can be taken back. A request for which it cannot be evaluated is refused, with status 500. See the key `rules`
    /// of `gatewright.example.yaml` for the names.
    #[schemars(length(min = 1), extend("examples" = ["has(notes.sensitivity) && notes.sensitivity == \"high\"", "tokens > 8000"]))]
    pub(crate) when: String,
    /// Where the request goes, once the plugins have seen it: a route, a model of the embedded engine or `provider/model`. The
    /// first rule that holds counts; whether the key may ask for that name does not.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) to: Option<String>,
    /// Whether the request never leaves from then on: see the same key of a route. Default: false.
    #[serde(default)]
    pub(crate) local_only: bool,
}

/// Bounds of the gateway's own tool loop.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tools {
    /// Calls of the model at most. Default: 8.
    #[schemars(with = "u32", range(min = 1, max = 100))]
    pub(crate) max_rounds: Option<u32>,
    /// Time for all rounds. Default: `2m`.
    #[schemars(with = "Span")]
    pub(crate) max_time: Option<Span>,
}
