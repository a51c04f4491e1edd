//! What a plugin may reach outside its sandbox: the keys `fetch` and `model` of a plugin.
//!
//! Apart because these shapes are the operator's word on the network, and read together. It must not know what they come to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{SecretText, Size, Span};

/// Where a plugin may fetch from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fetch {
    /// Hosts: a name, `*.` and a name for all names below it, or an address; a port if it is not the usual one; `http://` before it
    /// for plain HTTP, else it is HTTPS. Names that lead to a private address are refused; `localhost` and addresses are what they
    /// are. Redirects lead nowhere else.
    #[schemars(extend("examples" = [["api.example.com", "*.example.org", "http://127.0.0.1:8080"]]))]
    pub(crate) hosts: Vec<String>,
    /// The same, of hosts inside your own network: these names may lead to private and loopback addresses too.
    #[schemars(extend("examples" = [["wiki.corp.example:8443"]]))]
    pub(crate) private_hosts: Vec<String>,
    /// What the plugin writes as `${secret:NAME}` in the value of a header, by name. It never sees them; a server that repeats them
    /// in its answer would show them.
    pub(crate) secrets: BTreeMap<String, SecretText>,
    /// Largest answer. Default: `1MiB`.
    #[schemars(with = "Size")]
    pub(crate) max_size: Option<Size>,
    /// Time for one fetch, redirects included; the plugin's `wall_ms` bounds the whole call besides. Default: `5s`.
    #[schemars(with = "Span")]
    pub(crate) timeout: Option<Span>,
}

/// What a plugin may ask models.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asks {
    /// Routes that it may ask: names as clients use them. The client's own key need not be allowed to use them.
    #[schemars(extend("examples" = [["fast", "openai/gpt-4.1-mini"]]))]
    pub(crate) routes: Vec<String>,
    /// Tokens that its questions and their answers may have in one request, all together. Default: 4096.
    #[schemars(with = "u64", range(min = 1))]
    pub(crate) max_tokens: Option<u64>,
}
