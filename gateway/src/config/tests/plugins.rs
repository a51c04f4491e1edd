//! What the configuration says of plugins: powers, settings, chains, rules and shares.
//!
//! Apart from the other tests of the configuration because a plugin is loaded in some of them. It must not know how one runs.

use super::*;
use crate::config::facts::PluginFact;

#[test]
fn what_a_plugin_may_reach_is_read_and_its_mistakes_are_told() {
    let text = "routes: {fast: {legs: [openai/x]}}\nproviders: {openai: {}}\nplugins:\n  secrets:\n    grants: [fetch, model]\n    \
        fetch: {hosts: [api.example.com, 'http://127.0.0.1:8080'], private_hosts: [wiki.corp], secrets: {KEY: '${TOKEN}'}, timeout: 2s}\n    \
        model: {routes: [fast, openai/y]}\n";
    let reach = facts(text).plugins["secrets"].reach.clone();
    let fetch = reach.fetch.unwrap();
    let hosts: Vec<_> = fetch.hosts.iter().map(|host| (host.to_string(), host.private)).collect();
    let wanted = [("https://api.example.com:443", false), ("http://127.0.0.1:8080", true), ("https://wiki.corp:443", true)];
    assert_eq!(hosts, wanted.map(|(host, private)| (host.to_owned(), private)));
    assert_eq!((fetch.secrets[0].1.reveal(), fetch.max_bytes, fetch.timeout), ("t-1", 1 << 20, Duration::from_secs(2)));
    assert_eq!(reach.asks.unwrap().max_tokens, 4096);

    let wrong = "plugins:\n  secrets:\n    fetch: {hosts: ['a b', ok.example, 'ftp://x'], secrets: {'a}': x, B: '${NONE}'}}\n    \
        model: {routes: [fsat]}\n";
    let told = told(wrong);
    let expected = [
        "3:5: plugins.secrets.fetch: `fetch` is not granted to this plugin; add `fetch` to its `grants`",
        "3:21: plugins.secrets.fetch.hosts[0]: `a b` is not a host's name; write it like `api.example.com`",
        "3:40: plugins.secrets.fetch.hosts[2]: `ftp://` cannot be fetched; write it like",
        "3:62: plugins.secrets.fetch.secrets",
        "3:74: plugins.secrets.fetch.secrets.B: the environment has no variable `NONE`",
        "4:5: plugins.secrets.model: `model` is not granted to this plugin; add `model` to its `grants`",
        "4:22: plugins.secrets.model.routes[0]: `fsat` is no route, model or `provider/model`",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "\n     told: {told}\n expected: {expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn what_is_wrong_with_a_plugin_when_it_is_loaded_is_told_at_its_place_with_all_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    for (name, manifest) in [("good", "log"), ("bad", "log"), ("off", "log")] {
        let plugin = folder.path().join(name);
        std::fs::create_dir(&plugin).unwrap();
        let manifest = format!("name: {name}\nversion: 1.0.0\nentry: plugin.luau\ngrants: [{manifest}]\n");
        std::fs::write(plugin.join("plugin.yaml"), manifest).unwrap();
        std::fs::write(plugin.join("plugin.luau"), "return {}").unwrap();
    }
    let text = "plugins:\n  good: {folder: good, grants: [log]}\n  bad: {folder: bad, grants: [no-such-power]}\n  \
                off: {folder: off, mode: off, grants: [no-such-power]}\n  odd: {folder: none}\nlisten: 1\n";
    let file = folder.path().join("gatewright.yaml");
    std::fs::write(&file, text).unwrap();
    let plugins = gatewright_plugins::Host::new(1);
    let load = |facts: &Facts, fact: &PluginFact| crate::supply::check(&plugins, facts, fact);
    let complaints = crate::config::check_file(&file, &environment(), load).unwrap_err();
    let told: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("3:3: plugins.bad: ") && told[0].contains("no-such-power"), "{told:#?}");
    assert!(told[1].starts_with("5:8: plugins.odd") || told[1].starts_with("5:"), "{told:#?}");
    assert!(told[2].starts_with("6:9: listen"), "{told:#?}");
}

#[test]
fn each_setting_that_does_not_fit_is_told_at_its_place_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("p");
    std::fs::create_dir(&plugin).unwrap();
    let schema = "settings: {type: object, required: [must], properties: {level: {enum: [low, high], default: low}, \
        terms: {type: array, items: {type: string}}, token: {type: integer}, must: {type: string}}}";
    std::fs::write(plugin.join("plugin.yaml"), format!("name: p\nversion: 0.1.0\nentry: plugin.luau\n{schema}\n")).unwrap();
    std::fs::write(plugin.join("plugin.luau"), "return { tools = {} }").unwrap();
    let text = "plugins:\n  p:\n    folder: p\n    settings:\n      terms: [a, 3]\n      level: middle\n      token: hidden-1\n";
    let file = folder.path().join("gatewright.yaml");
    std::fs::write(&file, text).unwrap();
    let plugins = gatewright_plugins::Host::new(1);
    let complaints =
        crate::config::check_file(&file, &environment(), |facts, fact| crate::supply::check(&plugins, facts, fact)).unwrap_err();
    let told: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:#?}");
    for place in [
        "5:7: plugins.p.settings: ",
        "5:18: plugins.p.settings.terms[1]: ",
        "6:14: plugins.p.settings.level: ",
        "7:14: plugins.p.settings.token: ",
    ] {
        assert!(told.iter().any(|line| line.starts_with(place)), "{place} is not in {told:#?}");
    }
    assert!(!told.concat().contains("hidden-1") && told.concat().contains("\"must\" is a required"), "{told:#?}");
}

#[test]
fn chains_rules_and_shares_are_checked_where_they_are_written() {
    let keys: String = (0..66).map(|n| format!("  k{n}: {{sha256: '{n:064}', plugins: [p{n}]}}\n")).collect();
    let plugins: String = (0..66).map(|n| format!("  p{n}: {{policy: secrets}}\n")).collect();
    let told_of = |text: &str| told(text).join("\n");
    let told_of_keys = told_of(&format!("plugins:\n{plugins}keys:\n{keys}"));
    assert_eq!(told_of_keys.matches("more than 64 different lists").count(), 1, "{told_of_keys}");
    let providers = "providers: {far: {base_url: 'http://f/v1'}, near: {base_url: 'http://n/v1', local: true}}\n";
    for (text, wanted) in [
        ("plugins: {secrets: {percent: 101}}", "1:30: plugins.secrets.percent: 101 is more than 100"),
        ("global_plugins: [nope]", "global_plugins[0]: no plugin is named `nope`"),
        ("keys: {k: {sha256: 'a', plugins: [nope]}}", "keys.k.plugins[0]: no plugin is named `nope`"),
        ("rules: [{when: 'tokens > 1'}]", "rules[0]: the rule changes nothing; give `to`, `local_only` or both"),
        ("rules: [{when: '', local_only: true}]", "rules[0].when"),
        (
            "rules: [{when: 'tokens > 1 && token < 5', local_only: true}]",
            "1:31: rules[0].when: nothing is named `token`; did you mean `tokens`?",
        ),
        ("rules: [{when: 'notes.a == \"b\"', local_only: true}]", "rules[0].when: a request without `a` could not be judged"),
        (
            "routes: {r: {legs: [far/m], leg_when: {far/n: 'tokens > 1'}}}",
            "routes.r.leg_when.far/n: `far/n` is no leg of this route",
        ),
        (
            "routes: {r: {legs: [far/m], leg_when: {far/m: 'tokens +'}}}",
            "2:56: routes.r.leg_when.far/m: this is not an expression of CEL",
        ),
        ("routes: {r: {legs: [far/m], hedge: {}}}", "routes.r.hedge: nothing says when a second leg is asked"),
        ("breaker: {rest: 10m}", "breaker.rest: this is longer than `longest_rest`"),
        ("rules: [{when: 'tokens > 1', to: nope}]", "rules[0].to: `nope` is no route, model or `provider/model`"),
        (
            "routes: {r: {legs: [far/m], rules: [{when: 'tokens > 1', to: farr/m}]}}",
            "routes.r.rules[0].to: no provider is named `farr`",
        ),
        ("routes: {r: {legs: [near/m, far/m], local_only: true}}", "routes.r.legs[1]: `far/m` is not local"),
    ] {
        let text = if text.starts_with("routes") { format!("{providers}{text}") } else { text.to_owned() };
        assert!(told_of(&text).contains(wanted), "{text}: {}", told_of(&text));
    }
    let right =
        format!("{providers}routes: {{r: {{legs: [near/m], local_only: true, rules: [{{when: 'has(notes.a)', to: far/any}}]}}}}");
    let facts = load(&right, Path::new("/w"), &environment()).unwrap();
    assert_eq!(facts.routes["r"].rules[0].when.to_string(), "has(notes.a)");
    assert!(facts.routes["r"].local_only && facts.providers["near"].local);
}

#[test]
fn a_plugin_has_a_name_that_its_host_takes() {
    for name in ["Secrets", "my_secrets", &"s".repeat(41)] {
        let told = told(&format!("plugins:\n  {name}: {{policy: secrets}}\n"));
        assert!(told.len() == 1 && told[0].starts_with("2:3: ") && told[0].contains("1 to 40 of a-z"), "{told:#?}");
    }
    assert!(told(&format!("plugins:\n  {}: {{policy: secrets}}\n", "s".repeat(40))).is_empty());
}
