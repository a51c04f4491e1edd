//! What is served when there is no configuration file: the demo model, the ready-made policies, and the providers whose usual
//! variables are set.
//!
//! Apart because these are choices for newcomers, and the defaults of a written file are not (see `raw`). It must not know YAML.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use gatewright_plugins::{Mode, Operator};

use super::facts::{
    CacheFact, DeviceFact, Facts, LegFact, LegTarget, LimitFacts, ModelFact, PluginFact, ProviderFact, ProviderKind, RouteFact,
    Secret, Timeouts,
};
use crate::environment::Environment;
use crate::packed;

/// Name of the demo model and of its route.
pub const DEMO: &str = "gatewright-demo";
/// The policy that is enforced without being asked for.
const ENFORCED: &str = "secrets";
/// How long the demo's answers are cached.
const DEMO_TTL: Duration = Duration::from_secs(3600);

impl Facts {
    /// The facts when there is no configuration file.
    pub fn zero_config(environment: &Environment) -> Self {
        let plugins: BTreeMap<_, _> = packed::policies()
            .iter()
            .filter(|(_, files)| inspects(files))
            .map(|(name, _)| ((*name).to_owned(), ready_made(name)))
            .collect();
        Self {
            listen: loopback(4000),
            admin_listen: loopback(4001),
            data: environment.data_folder(),
            allowed_hosts: Vec::new(),
            device: DeviceFact::Auto,
            providers: providers(environment),
            models: demo_models(),
            routes: demo_routes(),
            default_plugins: plugins.keys().cloned().collect(),
            plugins,
            keys: Vec::new(),
            cache: CacheFact::default(),
            limits: LimitFacts::default(),
            verdict_headers: true,
            log_prompts: false,
            log_json: false,
        }
    }
}

/// A port of this machine alone.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Whether a policy looks at texts at all: its manifest names phases. Pure tool plugins have no place in a default chain.
fn inspects(files: packed::Files) -> bool {
    files
        .iter()
        .filter(|(name, _)| *name == "plugin.yaml")
        .any(|(_, bytes)| String::from_utf8_lossy(bytes).lines().any(|line| line.starts_with("phases:")))
}

fn ready_made(name: &str) -> PluginFact {
    let mode = if name == ENFORCED { Mode::Enforce } else { Mode::Shadow };
    PluginFact {
        name: name.to_owned(),
        folder: None,
        policy: Some(name.to_owned()),
        operator: Operator { name: Some(name.to_owned()), mode, ..Operator::default() },
    }
}

fn demo_models() -> BTreeMap<String, ModelFact> {
    let demo = packed::demo().map(|_| ModelFact { name: DEMO.to_owned(), folder: None, max_running: 8, max_waiting: 64 });
    demo.into_iter().map(|model| (model.name.clone(), model)).collect()
}

fn demo_routes() -> BTreeMap<String, RouteFact> {
    let route = packed::demo().map(|_| RouteFact {
        name: DEMO.to_owned(),
        legs: vec![LegFact { to: LegTarget::Engine, model: DEMO.to_owned() }],
        plugins: None,
        cache: Some(DEMO_TTL),
        tools: None,
        strict: false,
    });
    route.into_iter().map(|route| (route.name.clone(), route)).collect()
}

/// A provider that people know: where it is, and which variables its own tools read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    name: &'static str,
    /// Base URL.
    pub(crate) base_url: &'static str,
    /// Variable that holds the key.
    pub(crate) key_variable: &'static str,
    /// Variable that replaces the base URL.
    pub(crate) base_variable: &'static str,
}

const USUAL: [Usual; 2] = [
    Usual {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        key_variable: "OPENAI_API_KEY",
        base_variable: "OPENAI_BASE_URL",
    },
    Usual {
        name: "deepseek",
        base_url: "https://api.deepseek.com/v1",
        key_variable: "DEEPSEEK_API_KEY",
        base_variable: "DEEPSEEK_BASE_URL",
    },
];

/// The known provider of this name.
pub(crate) fn usual(name: &str) -> Option<Usual> {
    USUAL.into_iter().find(|usual| usual.name == name)
}

fn providers(environment: &Environment) -> BTreeMap<String, ProviderFact> {
    let provider = |usual: Usual| {
        Some(ProviderFact {
            name: usual.name.to_owned(),
            kind: ProviderKind::OpenAi,
            api_key: Some(Secret::new(environment.get(usual.key_variable)?)),
            base_url: environment.get(usual.base_variable).unwrap_or(usual.base_url).trim_end_matches('/').to_owned(),
            headers: Vec::new(),
            models: Vec::new(),
            any_model: true,
            timeouts: Timeouts::default(),
            attempts: 3,
        })
    };
    USUAL.into_iter().filter_map(provider).map(|provider| (provider.name.clone(), provider)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_means_loopback_no_keys_and_no_providers() {
        let facts = Facts::zero_config(&Environment::of(&[], "/w"));
        assert!(facts.listen.ip().is_loopback() && facts.admin_listen.ip().is_loopback());
        assert_eq!((facts.listen.port(), facts.admin_listen.port()), (4000, 4001));
        assert!(facts.keys.is_empty() && facts.providers.is_empty() && facts.verdict_headers);
    }

    #[test]
    fn a_providers_usual_variable_adds_it_and_its_key_is_not_printed() {
        let environment = Environment::of(&[("DEEPSEEK_API_KEY", "sk-1"), ("DEEPSEEK_BASE_URL", "http://127.0.0.1:9/v1/")], "/w");
        let facts = Facts::zero_config(&environment);
        assert_eq!(facts.providers.keys().collect::<Vec<_>>(), ["deepseek"]);
        assert_eq!(facts.providers["deepseek"].base_url, "http://127.0.0.1:9/v1");
        assert!(!format!("{facts:?}").contains("sk-1"));
    }

    #[test]
    fn only_secrets_is_enforced() {
        let facts = Facts::zero_config(&Environment::of(&[], "/w"));
        for plugin in facts.plugins.values() {
            assert_eq!(plugin.mode() == Mode::Enforce, plugin.name == ENFORCED, "{}", plugin.name);
        }
    }
}
