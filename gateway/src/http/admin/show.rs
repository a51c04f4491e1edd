//! Facts as JSON, for operators.
//!
//! Apart so that what is shown is seen in one place. It must not show a secret: it says whether there is one.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::config::facts::{Facts, LegFact, LegTarget, LimitFacts, PluginFact, ProviderFact, RouteFact, RuleFact};
use crate::host::Host;
use crate::records::micros;
use crate::upstreams::breaker::Standing;
use crate::upstreams::dispatch::Leg;

/// The configuration without secrets. Times are in milliseconds, sizes in bytes.
pub(super) fn config(facts: &Facts) -> Value {
    let model = |folder: &Option<std::path::PathBuf>| folder.as_ref().map(|folder| folder.display().to_string());
    json!({
        "listen": facts.listen.to_string(),
        "admin_listen": facts.admin_listen.to_string(),
        "data": facts.data.display().to_string(),
        "allowed_hosts": facts.allowed_hosts,
        "device": format!("{:?}", facts.device).to_lowercase(),
        "providers": map(facts.providers.values(), |provider| (&provider.name, show_provider(provider))),
        "models": map(facts.models.values(), |fact| (&fact.name, json!({
            "folder": model(&fact.folder),
            "max_running": fact.max_running,
            "max_waiting": fact.max_waiting,
            "kv_memory": fact.kv_bytes,
            "prefix_cache": fact.prefix_bytes.unwrap_or(fact.kv_bytes / 4),
            "quantize": fact.quantize.map(|wanted| format!("{wanted:?}").to_lowercase()),
            "chat_template": fact.template.as_str(),
            "yarn": fact.yarn.as_str(),
            "adapters": fact.adapters.iter().map(|(name, folder)| (name.clone(), folder.display().to_string().into())).collect::<Map<_, _>>(),
        }))),
        "routes": map(facts.routes.values(), |route| (&route.name, show_route(route))),
        "plugins": map(facts.plugins.values(), |plugin| (&plugin.name, show_plugin(plugin))),
        "global_plugins": facts.global_plugins,
        "default_plugins": facts.default_plugins,
        "plugin_keys": facts.supply.keys.len(),
        "registries": facts.supply.registries.logins.keys().collect::<Vec<_>>(),
        "locked": facts.supply.lock.is_some(),
        "rules": facts.rules.iter().map(show_rule).collect::<Vec<_>>(),
        "breaker": {
            "enabled": facts.breaker.enabled,
            "percent": facts.breaker.percent,
            "least": facts.breaker.least,
            "window": millis(facts.breaker.window),
            "rest": millis(facts.breaker.rest),
            "longest_rest": millis(facts.breaker.longest_rest),
            "probes": facts.breaker.probes,
        },
        "retries": { "percent": facts.retries.percent, "least": facts.retries.least },
        "keys": facts.keys.len(),
        "cache": {
            "max_size": facts.cache.max_bytes,
            "max_entry": facts.cache.max_entry_bytes,
            "across_tenants": facts.cache.across_tenants,
        },
        "limits": show_limits(&facts.limits),
        "verdict_headers": facts.verdict_headers,
        "catalog": facts.catalog.as_ref().map(|path| path.display().to_string()),
        "reference_model": facts.reference.as_ref().map(|reference| &reference.name),
        "compat": facts.litellm_headers.then_some("litellm"),
        "logging": { "prompts": facts.log_prompts, "format": if facts.log_json { "json" } else { "plain" } },
    })
}

/// Clients' keys, without their digests: those are of no use to who reads this.
pub(super) fn keys(facts: &Facts) -> Value {
    let keys = facts.keys.iter().map(|key| {
        json!({
            "name": key.name,
            "tenant": key.tenant,
            "team": key.team,
            "models": key.models,
            "plugins": key.plugins,
            "revoked": key.revoked,
            "priority": key.priority.as_str(),
            "requests_per_minute": key.requests_per_minute,
            "tokens_per_minute": key.tokens_per_minute,
            "in_flight": key.in_flight,
        })
    });
    json!({ "keys": keys.collect::<Vec<_>>() })
}

/// The legs of all that is listed, each once.
pub(super) fn all_legs(host: &Host) -> Vec<&Leg> {
    let mut all: Vec<&Leg> = host.models().flat_map(|route| &route.legs.legs).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    all
}

/// How the legs fare, in this process.
pub(super) fn legs(host: &Host) -> Value {
    let show = |leg: &&Leg| {
        let state = &leg.merits.state;
        let standing = state.standing(&host.facts.breaker, Instant::now());
        let rest = if let Standing::Open(rest) = standing { Some(millis(rest)) } else { None };
        json!({
            "name": leg.name,
            "state": standing.as_str(),
            "left_alone_for": rest,
            "trips": state.trips(),
            "in_flight": state.in_flight(),
            "latency_us": Some(state.latency_us()).filter(|us| *us > 0),
            "first_word_p50_us": state.percentile(50).map(micros),
            "first_word_p95_us": state.percentile(95).map(micros),
        })
    };
    json!({ "legs": all_legs(host).iter().map(show).collect::<Vec<_>>() })
}

/// Plugins, as they are in service, without their settings: they may hold secrets.
pub(super) fn plugins(host: &Host) -> Value {
    let facts = &host.facts;
    let shown = |fact: &PluginFact| {
        let mut shown = show_plugin(fact);
        if let (Some(plugin), Some(shown)) = (host.plugins.get(&fact.name), shown.as_object_mut()) {
            shown.insert("version".to_owned(), plugin.version().into());
            shown.insert("digest".to_owned(), format!("blake3:{}", plugin.digest()).into());
        }
        shown
    };
    json!({
        "plugins": map(facts.plugins.values(), |plugin| (&plugin.name, shown(plugin))),
        "global_plugins": facts.global_plugins,
        "default_plugins": facts.default_plugins,
    })
}

fn show_limits(limits: &LimitFacts) -> Value {
    json!({
        "body": limits.body_bytes,
        "bodies": limits.bodies_bytes,
        "connections": limits.connections,
        "in_flight": limits.in_flight,
        "header_time": millis(limits.header_time),
        "body_time": millis(limits.body_time),
        "write_time": millis(limits.write_time),
        "keep_alive": millis(limits.keep_alive),
        "held": limits.held_bytes,
        "answer": limits.answer_bytes,
        "drain_time": millis(limits.drain_time),
        "plugin_slots": limits.plugin_slots,
        "record_queue": limits.record_queue,
    })
}

fn show_provider(provider: &ProviderFact) -> Value {
    json!({
        "dialect": provider.kind.as_str(),
        "base_url": provider.base_url,
        "priced_models": provider.prices.keys().collect::<Vec<_>>(),
        "api_key": provider.api_key.is_some(),
        "headers": provider.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "models": provider.models,
        "any_model": provider.any_model,
        "local": provider.local,
        "attempts": provider.attempts,
        "timeouts": {
            "connect": millis(provider.timeouts.connect),
            "first_byte": millis(provider.timeouts.first_byte),
            "first_token": provider.timeouts.first_token.map(millis),
            "idle": millis(provider.timeouts.idle),
            "total": millis(provider.timeouts.total),
        },
    })
}

fn show_route(route: &RouteFact) -> Value {
    let leg = |leg: &LegFact| match &leg.to {
        LegTarget::Provider(provider) => format!("{provider}/{}", leg.model),
        LegTarget::Engine => leg.model.clone(),
    };
    json!({
        "legs": route.legs.iter().filter(|leg| !leg.fallback).map(leg).collect::<Vec<_>>(),
        "context_fallbacks": route.legs.iter().filter(|leg| leg.for_long).map(leg).collect::<Vec<_>>(),
        "fallbacks": route.legs.iter().filter(|leg| leg.fallback && !leg.for_long).map(leg).collect::<Vec<_>>(),
        "strategy": route.strategy.as_str(),
        "weights": route.legs.iter().filter(|leg| !leg.fallback).map(|leg| leg.weight).collect::<Vec<_>>(),
        "sticky": route.sticky,
        "leg_when": route.legs.iter().filter_map(|fact| Some((leg(fact), fact.when.as_ref()?.to_string().into()))).collect::<Map<_, Value>>(),
        "hedge": route.hedge.map(|hedge| json!({ "after": hedge.after.map(millis), "percentile": hedge.percentile })),
        "first_token": route.first_token.map(millis),
        "plugins": route.plugins,
        "cache": route.cache.map(millis),
        "tools": route.tools.map(|tools| json!({ "max_rounds": tools.max_rounds, "max_time": millis(tools.max_time) })),
        "strict": route.strict,
        "local_only": route.local_only,
        "rules": route.rules.iter().map(show_rule).collect::<Vec<_>>(),
    })
}

fn show_rule(rule: &RuleFact) -> Value {
    json!({ "when": rule.when.to_string(), "to": rule.to, "local_only": rule.local_only })
}

fn show_plugin(plugin: &PluginFact) -> Value {
    json!({
        "source": plugin.source.to_string(),
        "mode": plugin.operator.mode,
        "percent": plugin.operator.percent.unwrap_or(100),
        "on_error": plugin.operator.on_error,
        "grants": plugin.operator.grants,
        "limits": plugin.operator.limits,
    })
}

fn map<'a, T: 'a>(items: impl Iterator<Item = &'a T>, show: impl Fn(&'a T) -> (&'a String, Value)) -> Value {
    Value::Object(items.map(show).map(|(name, value)| (name.clone(), value)).collect::<Map<_, _>>())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn no_secret_is_shown() {
        let text = "providers:\n  p:\n    base_url: http://h/v1\n    api_key: sk-hidden-1\n    headers: {x-a: hidden-2}\n\
            keys:\n  k: {sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n\
            registries:\n  r.example: {username: u, password: hidden-3}\n\
            plugins:\n  p: {oci: 'oci://r.example/p:1', settings: {key: hidden-4}}\n";
        let facts = crate::config::load(text, std::path::Path::new("/w"), &Environment::of(&[], "/w")).unwrap();
        let plugins: Vec<_> = facts.plugins.values().map(show_plugin).collect();
        let shown = format!("{}{}{plugins:?}", config(&facts), keys(&facts));
        for secret in ["hidden-1", "hidden-2", "hidden-3", "hidden-4", "ba7816bf"] {
            assert!(!shown.contains(secret), "{secret}");
        }
        assert!(shown.contains("http://h/v1") && shown.contains("x-a") && shown.contains("\"k\""));
    }
}
