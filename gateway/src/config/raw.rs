//! What `gatewright.yaml` may say, key by key. The doc comments are the descriptions in the JSON Schema: write them for operators.
//!
//! Apart because these are the shapes of a text, with defaults not yet filled in. It must not know what they come to: see
//! `resolve`.

mod care;
mod process;
mod reach;
mod registry;
mod route;

use std::collections::BTreeMap;

pub(crate) use registry::{KeyText, Registry};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use self::care::{Breaker, Hedge, Retries};
pub(crate) use self::process::{Cache, Conversations, Format, Limits, Logging};
pub(crate) use self::reach::{Asks, Fetch};
pub(crate) use self::route::{Amounts, PassThrough, Route, Rule, Tools};

/// A length of time: a number with `ms`, `s`, `m`, `h` or `d`; parts may follow each other, as in `1h30m`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["30s", "5m", "1h30m"]))]
pub(crate) struct Span(pub(crate) String);

/// An amount of bytes: a number with `B`, `KiB`, `MiB` or `GiB` (1024) or `KB`, `MB` or `GB` (1000).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["64KiB", "8MiB", "1GiB"]))]
pub(crate) struct Size(pub(crate) String);

/// A secret: `${VARIABLE}` of the environment, `file:/path` (one line end is cut off), or the text itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["${OPENAI_API_KEY}", "file:/run/secrets/openai"]))]
pub(crate) struct SecretText(pub(crate) String);

/// The configuration of Gatewright. Every key may be left out. A reload (SIGHUP, or a change of the file) takes over all keys
/// but `listen`, `admin_listen`, `data`, `device` and what each says of itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "gatewright.yaml")]
pub(crate) struct Root {
    /// Where clients are served, address and port. Default: `127.0.0.1:4000`. Anything but loopback needs keys: without any,
    /// one is made at the start and printed once. Needs a restart.
    #[schemars(with = "String", extend("examples" = ["127.0.0.1:4000", "0.0.0.0:4000", "[::]:4000"]))]
    pub(crate) listen: Option<String>,
    /// Where health, metrics and the admin API are served. Default: `127.0.0.1:4001`. Needs a restart.
    #[schemars(with = "String", extend("examples" = ["127.0.0.1:4001"]))]
    pub(crate) admin_listen: Option<String>,
    /// Folder for cache, records and tokens; made if missing, for its owner alone. Relative to this file. Default:
    /// `$XDG_DATA_HOME/gatewright` or `~/.local/share/gatewright`. Needs a restart.
    #[schemars(with = "String")]
    pub(crate) data: Option<String>,
    /// Names, besides loopback's, that a request's `Host` may have while there are no keys. With keys, any is accepted.
    pub(crate) allowed_hosts: Vec<String>,
    /// Where the embedded engine computes: `auto` (a GPU if one works), `cpu`, `cuda` or `cuda:N`. Default: `auto`. Needs a
    /// restart.
    #[schemars(with = "String", extend("examples" = ["auto", "cpu", "cuda:0"]))]
    pub(crate) device: Option<String>,
    /// Upstream APIs by name. Their models are asked for as `name/model`.
    pub(crate) providers: BTreeMap<String, Provider>,
    /// File with further rows of the catalog of providers (TOML, as `gateway/src/upstreams/catalog.toml`), relative to this file. A row
    /// of a known name takes that one's place. A change of it reloads.
    #[schemars(with = "String")]
    pub(crate) catalog: Option<String>,
    /// Model whose price costs are compared with, `provider/model`: responses and records say what each answer would have cost there.
    /// Its price is in the catalog, or in `prices` of the provider. Default: none.
    #[schemars(with = "String", extend("examples" = ["openai/o1"]))]
    pub(crate) reference_model: Option<String>,
    /// Models of the embedded engine by the name that clients use. On a reload a model whose entry or files changed is opened anew,
    /// beside the old one until its requests are done: there must be room for both.
    pub(crate) models: BTreeMap<String, Model>,
    /// Routes by the name that clients use as `model`. `*` in a name stands for any text: of several that mean a name the one with the most
    /// letters counts, then the one with the longer beginning. Such routes are not listed under `/v1/models`.
    pub(crate) routes: BTreeMap<String, Route>,
    /// Plugins by name. A name of a ready-made policy needs nothing more.
    pub(crate) plugins: BTreeMap<String, Plugin>,
    /// Plugins that every request passes, in order, before its key's and its route's. No key and no route can leave them out.
    pub(crate) global_plugins: Vec<String>,
    /// Plugins, in order, of every route that names none of its own, and of `provider/model`. Default: all, in the order in
    /// which they are written.
    #[schemars(with = "Vec<String>")]
    pub(crate) default_plugins: Option<Vec<String>>,
    /// Public keys of which one must have signed every plugin that is not ready-made; `signed_by` of a plugin counts more. Default:
    /// none, and no signature is wanted.
    pub(crate) plugin_keys: Vec<KeyText>,
    /// Logins of the registries that plugins come from, by host (`registry.example.com`, with its port where it has one). Others are
    /// asked without one.
    pub(crate) registries: BTreeMap<String, Registry>,
    /// What becomes of requests for which a condition holds, on every route, after the route's own `rules`.
    pub(crate) rules: Vec<Rule>,
    /// When a leg is left alone.
    pub(crate) breaker: Breaker,
    /// How much a leg is asked again.
    pub(crate) retries: Retries,
    /// Bounds of the response cache; a route turns it on.
    pub(crate) cache: Cache,
    /// Responses that clients of `POST /v1/responses` want kept, with what was said before them, so that a later request can go on from
    /// there.
    pub(crate) conversations: Conversations,
    /// Clients' keys by name, each stored as SHA-256; `gatewright key new` makes one. Without keys nobody is asked for one, and
    /// only this machine is served.
    pub(crate) keys: BTreeMap<String, Key>,
    /// Bounds of the process.
    pub(crate) limits: Limits,
    /// Whether responses carry `x-gatewright-*` headers that say what the plugins did, who answered, in how many attempts, at what cost
    /// and with how much time of the gateway's own. They tell whoever tries to get past a policy which one stood in the way, and clients who
    /// the providers are and what they cost; the records have all of it either way. Default: false.
    pub(crate) verdict_headers: bool,
    /// Whose response headers are sent besides our own: `litellm`, for dashboards that read those of its proxy (`x-litellm-*`). Default:
    /// nobody's.
    #[schemars(with = "Compat")]
    pub(crate) compat: Option<Compat>,
    /// What is logged, on standard error. `GATEWRIGHT_LOG` says how much (`info`, `debug`, `gatewright::upstreams=debug`).
    pub(crate) logging: Logging,
}

/// An upstream API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// What it speaks: `openai` (chat completions, as most providers and local servers do), `openai_responses` (Responses) or `anthropic`
    /// (Messages). Default: what its row says, else `openai`.
    #[serde(default)]
    #[schemars(with = "Dialect")]
    pub(crate) dialect: Option<Dialect>,
    /// Row of the catalog that says what is not said here: address, variable of the key, peculiarities, prices (`gatewright providers`
    /// shows them). Default: the row of the provider's own name, if there is one.
    #[serde(default)]
    #[schemars(with = "String", extend("examples" = ["deepseek"]))]
    pub(crate) row: Option<String>,
    /// Other rules of the row, where it has some: `r1` of `deepseek` are those of R1's time. Default: those of the present.
    #[serde(default)]
    #[schemars(with = "String", extend("examples" = ["r1"]))]
    pub(crate) rules: Option<String>,
    /// Whether parameters that it is known not to support are left out. Default: false, they are refused, and the next leg is asked.
    #[serde(default)]
    pub(crate) drop_params: bool,
    /// What its models cost, by their names there, in US dollars for a million tokens. Counts more than the row.
    #[serde(default)]
    pub(crate) prices: BTreeMap<String, Amounts>,
    /// Base URL, up to and without `/chat/completions`, `/responses` or `/v1/messages`; may contain `${VARIABLE}`. May be left out where a row says it.
    #[serde(default)]
    #[schemars(with = "String", extend("examples" = ["https://api.openai.com/v1", "http://127.0.0.1:8080/v1"]))]
    pub(crate) base_url: Option<String>,
    /// Sent as bearer token, as `x-api-key` where Messages are spoken, or as the row says. Default: the row's usual variable, where
    /// `base_url` is the row's too, else nothing.
    #[serde(default)]
    #[schemars(with = "SecretText")]
    pub(crate) api_key: Option<SecretText>,
    /// Further headers to send.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, SecretText>,
    /// Models to list under `/v1/models`.
    #[serde(default)]
    pub(crate) models: Vec<String>,
    /// Whether models that are not listed are passed through. Default: true when `models` is empty, false otherwise.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(crate) any_model: Option<bool>,
    /// Time limits of a call.
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
    /// Whether what is sent there stays with the operator: only then may it answer where `local_only` holds. Default: false.
    #[serde(default)]
    pub(crate) local: bool,
    /// Tries before the next leg is asked; 1 means no retry. Only before the first piece of an answer. Default: 3.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1, max = 10))]
    pub(crate) attempts: Option<u32>,
    /// Paths that are passed through to it unread: files, batches, audio, images, rerank. Default: none.
    #[serde(default)]
    #[schemars(with = "PassThrough")]
    pub(crate) pass_through: Option<PassThrough>,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Dialect {
    Openai,
    #[serde(rename = "openai_responses")]
    OpenaiResponses,
    Anthropic,
}

/// Whose response headers are sent besides our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Compat {
    Litellm,
}

/// Time limits of an upstream call.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// For connecting, name look-up and TLS included. Default: `5s`.
    #[schemars(with = "Span")]
    pub(crate) connect: Option<Span>,
    /// From the end of the request to the beginning of the answer. Default: `2m`.
    #[schemars(with = "Span")]
    pub(crate) first_byte: Option<Span>,
    /// Between two pieces of an answer. Default: `1m`.
    #[schemars(with = "Span")]
    pub(crate) idle: Option<Span>,
    /// For the first word of a stream; then the next leg is asked. A whole answer has none. Default: none but these.
    #[schemars(with = "Span")]
    pub(crate) first_token: Option<Span>,
    /// For the whole answer. Default: `10m`.
    #[schemars(with = "Span")]
    pub(crate) total: Option<Span>,
}

/// A model of the embedded engine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Model {
    /// Folder in Hugging Face's layout, or a GGUF file, or a folder with one; relative to this file. May be left out for
    /// `gatewright-demo`, which is in the binary.
    #[schemars(with = "String")]
    pub(crate) folder: Option<String>,
    /// Requests that run at once. Default: 8.
    #[schemars(with = "usize", range(min = 1, max = 1024))]
    pub(crate) max_running: Option<usize>,
    /// Requests that may wait; more are refused. Default: 64.
    #[schemars(with = "usize", range(max = 100_000))]
    pub(crate) max_waiting: Option<usize>,
    /// Memory for keys and values of all running requests. One waits until its prompt has room; when what is written needs more, the
    /// least urgent or latest gives way and is computed again later. What could never fit is refused. Default: `8GiB`.
    #[schemars(with = "Size")]
    pub(crate) kv_memory: Option<Size>,
    /// How much of `kv_memory` may keep prompts that nobody uses, for requests of the same tenant that begin alike; 0 keeps none.
    /// Default: a quarter of it.
    #[schemars(with = "Size")]
    pub(crate) prefix_cache: Option<Size>,
    /// What weights of 2 or 4 bytes are packed to while they load, on the CPU: `q8` (8.5 bits each) or `q4` (4.5). Default: not at
    /// all; GGUF files are kept as quantised as they are.
    #[schemars(with = "Quantize")]
    pub(crate) quantize: Option<Quantize>,
    /// Whose chat template a DeepSeek-R1 model is asked with: `repaired` is Gatewright's, which shows tools and keeps turns with calls
    /// whole; `original` the model's own. Other models always have their own. Default: `repaired`.
    #[schemars(with = "String", extend("enum" = ["repaired", "original"]))]
    pub(crate) chat_template: Option<String>,
    /// How `attn_factor` of a YaRN checkpoint (R1-0528-Qwen3-8B) is read: as the `checkpoint` says, or passed over as Hugging Face
    /// `transformers` does. Default: `checkpoint`.
    #[schemars(with = "String", extend("enum" = ["checkpoint", "transformers"]))]
    pub(crate) yarn: Option<String>,
    /// LoRA adapters beside it, each under the name that clients use as `model`: folders in PEFT's format (adapter_config.json,
    /// adapter_model.safetensors), relative to this file. Requests of all of them and of the model itself run together.
    pub(crate) adapters: BTreeMap<String, String>,
}

/// What weights are packed to.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Quantize {
    Q8,
    Q4,
}

/// A plugin.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Plugin {
    /// Folder with its `plugin.yaml`, relative to this file. A change in it reloads.
    #[schemars(with = "String")]
    pub(crate) folder: Option<String>,
    /// Instead of a folder, an archive of one, `.tar.gz`, as `gatewright plugin pack` makes it. A change of it reloads.
    #[schemars(with = "String")]
    pub(crate) file: Option<String>,
    /// Instead of a folder, a place in an OCI registry. Its digest must be in `gatewright.lock`, which `gatewright plugin lock` writes;
    /// it is fetched once, and kept in the data folder.
    #[schemars(with = "String", extend("examples" = ["oci://registry.example.com/plugins/mine:1.0"]))]
    pub(crate) oci: Option<String>,
    /// Public keys of which one must have signed it, in place of `plugin_keys`; an empty list wants no signature.
    #[schemars(with = "Vec<KeyText>")]
    pub(crate) signed_by: Option<Vec<KeyText>>,
    /// A ready-made policy instead of a folder. Default, without any of these: the one of the plugin's own name.
    #[schemars(with = "String")]
    pub(crate) policy: Option<String>,
    /// `enforce`: it acts. `shadow`: it acts on a copy, is recorded and changes nothing. `off`: it is not asked. Default:
    /// `enforce`.
    pub(crate) mode: Mode,
    /// How many requests in a hundred it takes part in, for rolling it out; the others' records say that it did not. A
    /// conversation (`x-gatewright-conversation`) keeps its lot. Default: 100.
    #[schemars(with = "u8", range(max = 100))]
    pub(crate) percent: Option<u8>,
    /// What happens to a request when the plugin fails: `closed` refuses it, `open` goes on without the plugin. Default: what
    /// its manifest says.
    #[schemars(with = "OnError")]
    pub(crate) on_error: Option<OnError>,
    /// Its settings, by the schema in its manifest.
    pub(crate) settings: Map<String, Value>,
    /// Powers that it is given, of those that its manifest asks for. Default: none; for a ready-made policy `log` and
    /// `settings`, which reach nothing outside the sandbox, where it asks for them.
    #[schemars(with = "Vec<String>")]
    pub(crate) grants: Option<Vec<String>>,
    /// Where it may fetch from, where it is granted `fetch`. Default: nowhere.
    #[schemars(with = "Fetch")]
    pub(crate) fetch: Option<Fetch>,
    /// What it may ask models, where it is granted `model`. Default: nothing.
    #[schemars(with = "Asks")]
    pub(crate) model: Option<Asks>,
    /// Limits in place of the manifest's, by the manifest's names.
    pub(crate) limits: BTreeMap<String, u64>,
}

/// Whether a plugin acts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Mode {
    #[default]
    Enforce,
    Shadow,
    Off,
}

/// What happens to a request when a plugin fails.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum OnError {
    Closed,
    Open,
}

/// A client's key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// SHA-256 of the key's text, 64 hexadecimal digits.
    #[schemars(extend("examples" = ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]))]
    pub(crate) sha256: String,
    /// Whose data it is: tenants share no cache. Default: the key's own name.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) tenant: Option<String>,
    /// Team, for records and plugins.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) team: Option<String>,
    /// Names it may use as `model`; `*` at the end matches any rest. Default: all.
    #[serde(default)]
    #[schemars(extend("examples" = [["fast", "openai/*"]]))]
    pub(crate) models: Vec<String>,
    /// Plugins, in order, that its requests pass after `global_plugins` and before their route's.
    #[serde(default)]
    pub(crate) plugins: Vec<String>,
    /// Whether it is refused. Default: false.
    #[serde(default)]
    pub(crate) revoked: bool,
    /// How urgent its requests are to the embedded engine: `high`, `normal` or `low`. A request may ask for less (`priority`,
    /// `service_tier`) and not for more. Default: `normal`.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["high", "normal", "low"]))]
    pub(crate) priority: Option<String>,
    /// Requests a minute at most. Default: no limit.
    #[serde(default)]
    #[schemars(with = "u64", range(min = 1))]
    pub(crate) requests_per_minute: Option<u64>,
    /// Tokens a minute at most, of prompts and answers. Default: no limit.
    #[serde(default)]
    #[schemars(with = "u64", range(min = 1))]
    pub(crate) tokens_per_minute: Option<u64>,
    /// Requests at once at most. Default: no limit.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1))]
    pub(crate) in_flight: Option<u32>,
}
