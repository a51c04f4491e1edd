//! What the configuration comes to: names linked, secrets loaded, defaults filled in. Everything after start-up reads these.
//!
//! Apart so that no stage knows YAML. It must not know how a fact was written down.

mod care;
mod reach;
mod routes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gatewright_plugins::Mode;
use gatewright_types::{DeviceChoice, Priority, Quantization, TemplateChoice, YarnReading};

use super::complaint::Complaint;
use crate::dialects::DialectRef;
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::openai_responses::OpenAiResponses;
use crate::money::Price;
use crate::supply::signature::PublicKey;
use crate::supply::{PluginSource, SupplyFacts};
use crate::upstreams::catalog::Auth;
use crate::upstreams::quirks::Quirks;
pub use care::{BreakerFact, CareFact, HedgeFact, RetryFact};
pub(crate) use reach::ASK_TOKENS;
pub use reach::{AskFact, FetchFact, HostFact, HostName, ReachFact};
pub use routes::{LegFact, LegTarget, PassFact, ReferenceFact, RouteFact, RuleFact, Strategy, ToolLoopFact};

/// A text that must never be printed: `Debug` and `Display` show stars.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: only for the place that must send or compare it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// All facts of one configuration; immutable, swapped whole on reload.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where clients are served.
    pub listen: SocketAddr,
    /// Where health, metrics and admin are served.
    pub admin_listen: SocketAddr,
    /// Folder for cache, records, tokens.
    pub data: PathBuf,
    /// Extra `Host` header names that are accepted while there are no keys (besides loopback names).
    pub allowed_hosts: Vec<String>,
    /// Where the embedded engine computes.
    pub device: DeviceChoice,
    /// Providers by name.
    pub providers: BTreeMap<String, ProviderFact>,
    /// Models of the embedded engine by name.
    pub models: BTreeMap<String, ModelFact>,
    /// Routes by the name that clients use. `provider/model` works beside them.
    pub routes: BTreeMap<String, RouteFact>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, PluginFact>,
    /// What every chain begins with.
    pub global_plugins: Vec<String>,
    /// Chain of every route that names none of its own (and of `provider/model`), in order.
    pub default_plugins: Vec<String>,
    /// What plugins from outside are held to.
    pub supply: SupplyFacts,
    /// Rules of every route, after its own.
    pub rules: Vec<RuleFact>,
    /// When a leg is left alone.
    pub breaker: BreakerFact,
    /// How much a leg is asked again.
    pub retries: RetryFact,
    /// Keys; empty means: no authentication, loopback only.
    pub keys: Vec<KeyFact>,
    /// The response cache.
    pub cache: CacheFact,
    /// Answers that clients want kept.
    pub conversations: ConversationFacts,
    /// Bounds of the process.
    pub limits: LimitFacts,
    /// Whether responses carry `x-gatewright-*` verdict headers.
    pub verdict_headers: bool,
    /// The operator's own rows of the catalog, where there are any.
    pub catalog: Option<PathBuf>,
    /// The model that costs are compared with.
    pub reference: Option<ReferenceFact>,
    /// Whether responses carry the headers of LiteLLM's proxy.
    pub litellm_headers: bool,
    /// What the file says that counts for nothing here, for the operator.
    pub notes: Vec<Complaint>,
    /// Whether prompts are logged.
    pub log_prompts: bool,
    /// Whether log lines are JSON.
    pub log_json: bool,
}

/// One provider.
#[derive(Clone, Debug)]
pub struct ProviderFact {
    /// Name: the part before the slash in `provider/model`.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Base URL, ending before the path of one call, without a slash at the end.
    pub base_url: String,
    /// The key.
    pub api_key: Option<Secret>,
    /// How it is presented.
    pub auth: Auth,
    /// In what it departs from its dialect.
    pub quirks: Quirks,
    /// What its models cost, by their names there.
    pub prices: BTreeMap<String, Price>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Models to list under `/v1/models` as `provider/model`; any other is passed through if `any_model`.
    pub models: Vec<String>,
    /// Whether a model that is not listed is passed through.
    pub any_model: bool,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Whether what is sent there stays with the operator.
    pub local: bool,
    /// Tries at one leg before it is given up; 1 = no retry.
    pub attempts: u32,
    /// Which other paths are passed through there, if any.
    pub pass: Option<PassFact>,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's chat completions.
    OpenAi,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's Messages API.
    Anthropic,
}

impl ProviderKind {
    /// The dialect of that kind.
    pub(crate) fn dialect(self) -> DialectRef {
        match self {
            Self::OpenAi => &OpenAiChat,
            Self::OpenAiResponses => &OpenAiResponses,
            Self::Anthropic => &AnthropicMessages,
        }
    }
}

impl ProviderKind {
    /// Its word, as configuration and catalog write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
        }
    }

    /// The kind of that word, as configuration and catalog write it.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "openai" => Some(Self::OpenAi),
            "openai_responses" => Some(Self::OpenAiResponses),
            "anthropic" => Some(Self::Anthropic),
            _ => None,
        }
    }
}

/// Time limits of an upstream call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For connecting (name look-up and TLS included).
    pub connect: Duration,
    /// From the request's last byte to the response's first.
    pub first_byte: Duration,
    /// For the first word of a stream, if it has a limit of its own.
    pub first_token: Option<Duration>,
    /// Between two reads of a body.
    pub idle: Duration,
    /// For the whole answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), first_byte: seconds(120), first_token: None, idle: seconds(60), total: seconds(600) }
    }
}

/// Bytes for keys and values of a model where nobody says.
pub(crate) const KV_BYTES: u64 = 8 << 30;

/// A model of the embedded engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFact {
    /// Name that clients use.
    pub name: String,
    /// Folder in Hugging Face's layout, or GGUF file; `None` is the demo model that is packed into the binary.
    pub folder: Option<PathBuf>,
    /// Sequences that run at once.
    pub max_running: usize,
    /// Requests that may wait.
    pub max_waiting: usize,
    /// Bytes for keys and values of all running sequences.
    pub kv_bytes: u64,
    /// Of those, what prompts that nobody uses may take; `None` is a quarter.
    pub prefix_bytes: Option<u64>,
    /// What weights are packed to while they load.
    pub quantize: Option<Quantization>,
    /// Whose chat template.
    pub template: TemplateChoice,
    /// How YaRN is read.
    pub yarn: YarnReading,
    /// Folders of adapters, by the names that clients use.
    pub adapters: BTreeMap<String, PathBuf>,
}

impl ModelFact {
    /// The model's own name, and those of its adapters.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(self.adapters.keys())
    }
}

/// A plugin of the configuration.
#[derive(Clone, Debug)]
pub struct PluginFact {
    /// Name in the configuration.
    pub name: String,
    /// Where its files are.
    pub source: PluginSource,
    /// The same, as the configuration says it.
    pub written: String,
    /// Keys of which one must have signed it; `None` is those of [`SupplyFacts`].
    pub signed_by: Option<Vec<PublicKey>>,
    /// What the operator says of it: mode, on_error, settings, grants, limits.
    pub operator: gatewright_plugins::Operator,
    /// What it may reach outside its sandbox.
    pub reach: ReachFact,
}

impl PluginFact {
    /// Whether it acts.
    pub fn mode(&self) -> Mode {
        self.operator.mode
    }

    /// Keys of which one must have signed it.
    pub fn keys<'a>(&'a self, facts: &'a Facts) -> &'a [PublicKey] {
        self.signed_by.as_ref().unwrap_or(&facts.supply.keys)
    }
}

/// A client's key.
#[derive(Clone, Debug)]
pub struct KeyFact {
    /// Name for people, logs and records.
    pub name: String,
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
    /// Whose data it is; the key's own name unless the configuration says otherwise.
    pub tenant: String,
    /// Team.
    pub team: Option<String>,
    /// Route or model names it may use (`*` at the end matches any rest); empty is all.
    pub models: Vec<String>,
    /// Plugins that its requests pass after the global ones and before their route's.
    pub plugins: Vec<String>,
    /// Whether it is refused.
    pub revoked: bool,
    /// How urgent its requests are, at most.
    pub priority: Priority,
    /// Requests a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests in flight.
    pub in_flight: Option<u32>,
}

/// The response cache.
#[derive(Clone, Debug)]
pub struct CacheFact {
    /// Bound on the folder's size, bytes.
    pub max_bytes: u64,
    /// Largest entry, bytes.
    pub max_entry_bytes: u64,
    /// Whether tenants share entries.
    pub across_tenants: bool,
}

impl CacheFact {
    /// The least of [`CacheFact::max_bytes`]: sled's log takes four bytes for one that is stored, and some MiB besides.
    pub const LEAST_BYTES: u64 = 16 << 20;
}

impl Default for CacheFact {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_entry_bytes: 1 << 20, across_tenants: false }
    }
}

/// Answers that clients want kept.
#[derive(Clone, Copy, Debug)]
pub struct ConversationFacts {
    /// Whether any are.
    pub keep: bool,
    /// For how long.
    pub time: Duration,
    /// All together, bytes.
    pub max_bytes: u64,
}

impl Default for ConversationFacts {
    fn default() -> Self {
        Self { keep: true, time: Duration::from_secs(30 * 86_400), max_bytes: 1 << 30 }
    }
}

/// Bounds of the process.
#[derive(Clone, Copy, Debug)]
pub struct LimitFacts {
    /// Request body, bytes.
    pub body_bytes: usize,
    /// Request bodies that are coming in, all together, bytes.
    pub bodies_bytes: usize,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once.
    pub in_flight: usize,
    /// Time for a client to send its headers.
    pub header_time: Duration,
    /// Time for a client to send its body.
    pub body_time: Duration,
    /// Time that a client may take nothing of an answer.
    pub write_time: Duration,
    /// Silence after which a stream is begun, and filled.
    pub keep_alive: Duration,
    /// Text that guards may hold per request, bytes.
    pub held_bytes: usize,
    /// One answer of an upstream, bytes.
    pub answer_bytes: usize,
    /// Time that a drain waits for requests in flight.
    pub drain_time: Duration,
    /// Instances of a plugin in use at once.
    pub plugin_slots: usize,
    /// Rows that may wait to be written.
    pub record_queue: usize,
}

impl Default for LimitFacts {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            bodies_bytes: 256 << 20,
            connections: 4096,
            in_flight: 1024,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(60),
            write_time: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            held_bytes: 1 << 20,
            answer_bytes: 64 << 20,
            drain_time: Duration::from_secs(30),
            plugin_slots: 256,
            record_queue: 4096,
        }
    }
}
