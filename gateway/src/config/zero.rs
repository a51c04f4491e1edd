//! What is served when there is no configuration file: the demo model, the ready-made policies, and the providers whose usual
//! variables are set.
//!
//! Apart because these are choices for newcomers, and the defaults of a written file are not (see `raw`). It must not know YAML.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use gatewright_plugins::{Mode, Operator};
use gatewright_types::{DeviceChoice, TemplateChoice, YarnReading};

use super::facts::{
    BreakerFact, CacheFact, ConversationFacts, Facts, KV_BYTES, LegFact, LegTarget, LimitFacts, ModelFact, PluginFact,
    ProviderFact, ReachFact, RetryFact, RouteFact, Secret, Timeouts,
};
use super::policy::{Manifest, demonstration};
use crate::environment::Environment;
use crate::packed;
use crate::supply::registry::Registries;
use crate::supply::{PluginSource, SupplyFacts};
use crate::upstreams::catalog::{Catalog, Row};

/// Name of the demo model and of its route.
pub const DEMO: &str = "gatewright-demo";
/// The policy that is enforced without being asked for.
const ENFORCED: &str = "secrets";
/// How long the demo's answers are cached.
const DEMO_TTL: Duration = Duration::from_secs(3600);

impl Facts {
    /// The facts when there is no configuration file.
    pub fn zero_config(environment: &Environment) -> Self {
        let plugins = plugins(packed::policies().iter().map(|(name, _)| *name));
        Self {
            listen: loopback(4000),
            admin_listen: loopback(4001),
            data: environment.data_folder(),
            allowed_hosts: Vec::new(),
            device: DeviceChoice::Auto,
            providers: providers(environment),
            models: demo_models(),
            routes: demo_routes(),
            global_plugins: Vec::new(),
            default_plugins: plugins.keys().cloned().collect(),
            rules: Vec::new(),
            breaker: BreakerFact::default(),
            retries: RetryFact::default(),
            plugins,
            supply: SupplyFacts {
                registries: Registries { proxies: environment.proxies(), ..Registries::default() },
                ..SupplyFacts::default()
            },
            keys: Vec::new(),
            cache: CacheFact::default(),
            conversations: ConversationFacts::default(),
            limits: LimitFacts::default(),
            verdict_headers: true,
            catalog: None,
            reference: None,
            litellm_headers: false,
            notes: Vec::new(),
            log_prompts: false,
            log_json: false,
        }
    }
}

/// A port of this machine alone.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Those of the policies of these names that can inspect as they are.
fn plugins(names: impl Iterator<Item = &'static str>) -> BTreeMap<String, PluginFact> {
    names.filter_map(ready_made).map(|plugin| (plugin.name.clone(), plugin)).collect()
}

/// A ready-made policy that inspects, with all that it needs to do so; `None` for the others.
fn ready_made(name: &str) -> Option<PluginFact> {
    let manifest = Manifest::of(name);
    let settings = demonstration(name);
    if !manifest.inspects || !manifest.required.iter().all(|needed| settings.get(needed).is_some()) {
        return None;
    }
    let operator = Operator {
        name: Some(name.to_owned()),
        mode: if name == ENFORCED { Mode::Enforce } else { Mode::Shadow },
        grants: manifest.grants,
        settings,
        ..Operator::default()
    };
    let source = PluginSource::Packed(name.to_owned());
    Some(PluginFact {
        name: name.to_owned(),
        source,
        written: name.to_owned(),
        signed_by: None,
        operator,
        reach: ReachFact::default(),
    })
}

fn demo_models() -> BTreeMap<String, ModelFact> {
    let demo = packed::demo().map(|_| ModelFact {
        name: DEMO.to_owned(),
        folder: None,
        max_running: 8,
        max_waiting: 64,
        kv_bytes: KV_BYTES,
        // Small beside what else may run where nobody configured anything.
        prefix_bytes: Some(256 << 20),
        quantize: None,
        template: TemplateChoice::default(),
        yarn: YarnReading::default(),
        adapters: BTreeMap::new(),
    });
    demo.into_iter().map(|model| (model.name.clone(), model)).collect()
}

fn demo_routes() -> BTreeMap<String, RouteFact> {
    let leg = LegFact::new(LegTarget::Engine, DEMO);
    let route = packed::demo().map(|_| RouteFact { cache: Some(DEMO_TTL), ..RouteFact::plain(DEMO, vec![leg]) });
    route.into_iter().map(|route| (route.name.clone(), route)).collect()
}

/// Base URL of a known provider: what the variable beside its key says (`OPENAI_BASE_URL`), else its own.
///
/// # Errors
/// The variable that its own address needs and that is not set; nothing where it has no address of its own.
pub(crate) fn usual_base(row: &Row, environment: &Environment) -> Result<String, Option<String>> {
    let said = row.base_variable().and_then(|variable| environment.get(&variable));
    let base = match (said, &row.base_url) {
        (Some(said), _) => said.to_owned(),
        (None, Some(own)) => filled(own, environment)?,
        (None, None) => return Err(None),
    };
    Ok(base.trim_end_matches('/').to_owned())
}

/// An address with each `${VARIABLE}` filled in.
fn filled(text: &str, environment: &Environment) -> Result<String, Option<String>> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) = rest.split_once("${").and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        let value = environment.get(name).ok_or_else(|| Some(name.to_owned()))?;
        filled.extend([before, value.trim_end_matches('/')]);
        rest = after;
    }
    Ok(filled + rest)
}

fn providers(environment: &Environment) -> BTreeMap<String, ProviderFact> {
    let provider = |row: &Row| {
        Some(ProviderFact {
            name: row.name.clone(),
            kind: row.kind()?,
            api_key: Some(Secret::new(environment.get(row.key_variable.as_deref()?)?)),
            auth: row.auth.clone(),
            quirks: row.present.quirks.clone(),
            prices: row.present.prices(),
            base_url: usual_base(row, environment).ok()?,
            headers: Vec::new(),
            models: row.present.models.keys().cloned().collect(),
            any_model: true,
            timeouts: Timeouts::default(),
            local: false,
            attempts: 3,
            pass: None,
        })
    };
    // The tests see to it that the binary's own rows can be read.
    let catalog = Catalog::packed().unwrap_or_default();
    catalog.rows().filter_map(provider).map(|provider| (provider.name.clone(), provider)).collect()
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
    fn without_any_of_the_policies_the_others_are_served() {
        let all = || packed::policies().iter().map(|(name, _)| *name);
        let whole = plugins(all());
        for gone in all() {
            let rest = plugins(all().filter(|name| *name != gone));
            assert!(rest.keys().eq(whole.keys().filter(|name| *name != gone)), "{gone}");
        }
        assert!(ready_made("a policy that was removed").is_none());
    }

    #[test]
    fn openais_key_alone_adds_openai_at_its_own_address() {
        let facts = Facts::zero_config(&Environment::of(&[("OPENAI_API_KEY", "sk-1")], "/w"));
        assert_eq!(facts.providers.keys().collect::<Vec<_>>(), ["openai"]);
        let openai = &facts.providers["openai"];
        assert_eq!((openai.base_url.as_str(), openai.any_model), ("https://api.openai.com/v1", true));
        assert_eq!(openai.api_key.as_ref().map(Secret::reveal), Some("sk-1"));
    }

    #[test]
    fn any_row_is_added_by_its_variable_where_its_address_is_known() {
        let names = |variables: &[(&str, &str)]| {
            let facts = Facts::zero_config(&Environment::of(variables, "/w"));
            facts.providers.values().map(|provider| format!("{} {}", provider.name, provider.base_url)).collect::<Vec<_>>()
        };
        let set = [("GROQ_API_KEY", "k"), ("MISTRAL_API_KEY", "k"), ("AZURE_OPENAI_API_KEY", "k")];
        assert_eq!(names(&set), ["groq https://api.groq.com/openai/v1", "mistral https://api.mistral.ai/v1"]);
        let azure = [("AZURE_OPENAI_API_KEY", "k"), ("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com/")];
        assert_eq!(names(&azure), ["azure https://me.openai.azure.com/openai/v1"]);
    }

    #[test]
    fn only_secrets_is_enforced() {
        let facts = Facts::zero_config(&Environment::of(&[], "/w"));
        for plugin in facts.plugins.values() {
            assert_eq!(plugin.mode() == Mode::Enforce, plugin.name == ENFORCED, "{}", plugin.name);
        }
    }
}
