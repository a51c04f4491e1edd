//! Names of a model list: their shares, what they fall back to, other names for them, and names with `*`.

use super::*;

/// A document of ours, made of a model list of these entries (name, what follows in `litellm_params`) and these settings.
fn made(entries: &[(&str, &str)], settings: &str) -> Carried {
    let entry = |(name, params): &(&str, &str)| format!("  - model_name: '{name}'\n    litellm_params: {{{params}}}\n");
    carried(&format!("model_list:\n{}{settings}", entries.iter().map(entry).collect::<String>()))
}

fn routes(carried: &Carried) -> &Value {
    &carried.document.value["routes"]
}

fn told(carried: &Carried) -> Vec<String> {
    carried.notes.iter().map(ToString::to_string).collect()
}

/// What is served of it: all that is carried over is a configuration of ours.
fn served(carried: &Carried) -> Facts {
    facts(&emit::yaml(&carried.document.value))
}

#[test]
fn shares_are_what_litellm_draws_by() {
    let weights = |shares: [&str; 2]| {
        let [one, other] = shares;
        let carried = made(&[("m", &format!("model: openai/a{one}")), ("m", &format!("model: groq/b{other}"))], "");
        served(&carried);
        routes(&carried)["m"].get("weights").cloned()
    };
    for (shares, wanted) in [
        ([", weight: 0.9", ", weight: 0.1"], Some(json!([9, 1]))),
        ([", weight: 90", ""], Some(json!([90, 0]))),
        ([", rpm: 100", ", weight: 2, rpm: 900"], Some(json!([0, 2]))),
        ([", tpm: 100000", ", rpm: 0"], Some(json!([100_000, 0]))),
        ([", weight: 0.333333333", ", weight: 0.666666667"], Some(json!([333_333, 666_667]))),
        ([", weight: 1000000000000", ", weight: 1"], Some(json!([u32::MAX, 1]))),
        ([", weight: 3", ", weight: 3"], None),
        (["", ""], None),
    ] {
        assert_eq!(weights(shares), wanted, "{shares:?}");
    }
    let carried = made(&[("m", "model: openai/a, weight: much"), ("m", "model: groq/b")], "");
    assert_eq!(told(&carried), ["3:39: model_list[0].litellm_params.weight: a value of this kind is not carried over"]);
}

#[test]
fn fallbacks_are_found_by_alias_pattern_and_short_name_and_those_of_nobody_are_told() {
    let entries = [("a", "model: openai/a"), ("openai/b", "model: openai/b"), ("groq/*", "model: groq/*")];
    let settings = "router_settings:\n  model_group_alias: {other: a}\n  fallbacks:\n  - other: [openai/b]\n  - b: [other]\n  - \
                    groq/llama: [a, groq/qwen]\n  - nobody: [a]\n  - a: openai/b\n  - 'groq/*': [nowhere]\n";
    let carried = made(&entries, settings);
    let routes = routes(&carried);
    let fallbacks = |name: &str| routes[name].get("fallbacks").cloned();
    assert_eq!(fallbacks("other"), Some(json!(["openai/b"])));
    assert_eq!(fallbacks("openai/b"), Some(json!(["openai/a"])), "{routes:#}");
    assert_eq!(routes["groq/llama"], json!({"legs": ["groq/llama"], "fallbacks": ["openai/a", "groq/qwen"]}));
    assert_eq!((fallbacks("a"), routes.get("groq/*")), (None, None));
    let expected = [
        "14:5: router_settings.fallbacks[3].nobody: `nobody` is no name of the model list that is carried over",
        "15:5: router_settings.fallbacks[4].a: a list of names is expected here",
        "16:16: router_settings.fallbacks[5].groq/*[0]: `nowhere` is no name of the model list that is carried over",
    ];
    assert_eq!(told(&carried), expected);
    let facts = served(&carried);
    assert!(facts.providers["groq"].any_model && !facts.providers["openai"].any_model);
}

#[test]
fn what_is_asked_where_a_prompt_is_too_long_is_carried_over_and_filters_are_told() {
    let entries = [("small", "model: openai/s"), ("large", "model: openai/l"), ("other", "model: groq/o")];
    let settings = "litellm_settings:\n  context_window_fallbacks: [{small: [large]}]\n  fallbacks: [{small: [other, large]}]\n  \
                    content_policy_fallbacks: [{small: [other]}]\n";
    let carried = made(&entries, settings);
    let wanted = json!({"legs": ["openai/s"], "context_fallbacks": ["openai/l"], "fallbacks": ["groq/o"]});
    assert_eq!(routes(&carried)["small"], wanted);
    assert_eq!(told(&carried), ["11:3: litellm_settings.content_policy_fallbacks: this setting is not carried over"]);
    let legs = served(&carried).routes["small"].legs.clone();
    assert_eq!(
        legs.iter().map(|leg| (leg.fallback, leg.for_long)).collect::<Vec<_>>(),
        [(false, false), (true, true), (true, false)]
    );
}

#[test]
fn sections_that_are_of_another_kind_are_told() {
    let carried = made(&[], "router_settings: [1]\nlitellm_settings: {fallbacks: a, model_group_alias: 1}\n");
    let told = told(&carried).join("\n");
    for part in [
        "2:1: router_settings: settings by their names are expected here",
        "3:20: litellm_settings.fallbacks: this setting is not carried over",
        "3:34: litellm_settings.model_group_alias: this setting is not carried over",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let carried = made(&[("a", "model: openai/a")], "router_settings: {model_group_alias: [a], fallbacks: [a]}\n");
    let told = super::notes(&served(&carried)).len() + carried.notes.len();
    assert_eq!(told, 1, "{:?}", carried.notes);
    let hidden = made(&[("a", "model: openai/a")], "router_settings: {model_group_alias: {b: {model: a, hidden: true}}}\n");
    assert_eq!(routes(&hidden)["b"], json!({"legs": ["openai/a"]}));
    assert!(hidden.notes[0].message.contains("listed"));
}

#[test]
fn names_with_stars_are_routes_of_such_names() {
    let entries = [
        ("gemini/*", "model: gemini/*"),
        ("together_ai/*", "model: together_ai/*"),
        ("hosted_vllm/*", "model: hosted_vllm/*, api_base: 'http://v:8000/v1'"),
        ("claude-*", "model: anthropic/claude-*"),
        ("mine::*::v*", "model: openai/ft:*:v*"),
        ("*", "model: openrouter/*"),
        ("fixed-*", "model: groq/llama"),
        ("plain", "model: openai/*"),
    ];
    let carried = made(&entries, "");
    let routes = routes(&carried);
    for (name, leg) in [
        ("gemini/*", "google/*"),
        ("together_ai/*", "together/*"),
        ("hosted_vllm/*", "vllm/*"),
        ("claude-*", "anthropic/claude-*"),
        ("mine::*::v*", "openai/ft:*:v*"),
        ("*", "openrouter/*"),
        ("fixed-*", "groq/llama"),
    ] {
        assert_eq!(routes[name], json!({"legs": [leg]}), "{name}");
    }
    assert_eq!(told(&carried).len(), 1, "{:?}", carried.notes);
    assert!(told(&carried)[0].contains("model_list[7].model_name: this entry is not carried over: `*` stands 1 times"));
    let facts = served(&carried);
    assert!(facts.providers.values().all(|provider| !provider.any_model), "only by the names that are listed");
}

#[test]
fn names_that_litellm_knows_need_no_provider_and_two_accounts_share_a_star() {
    let entries = [("openai/*", "model: openai/*, api_key: one"), ("openai/*", "model: openai/*, api_key: two")];
    let carried = made(&entries, "");
    let routes = routes(&carried);
    let both = |model: &str| json!({"strategy": "weighted", "legs": [format!("openai/{model}"), format!("openai-2/{model}")]});
    assert_eq!((&routes["openai/*"], &routes["gpt-*"], &routes["o3*"]), (&both("*"), &both("gpt-*"), &both("o3*")));
    let one = made(&[("anthropic/*", "model: anthropic/*")], "");
    assert_eq!(one.document.value["routes"], json!({"claude-*": {"legs": ["anthropic/claude-*"]}}));
    assert!(served(&one).providers["anthropic"].any_model);
}

#[test]
fn any_model_of_anybody_is_that_of_those_whose_keys_are_set() {
    let carried = made(&[("*", "model: '*'")], "");
    let facts = served(&carried);
    assert_eq!(facts.providers.keys().collect::<Vec<_>>(), ["groq", "openai"]);
    assert!(facts.providers.values().all(|provider| provider.any_model));
    assert_eq!(routes(&carried)["gpt-*"], json!({"legs": ["openai/gpt-*"]}));
    assert!(carried.notes.is_empty(), "{:?}", carried.notes);
    let mut entries = [("groq/*", "model: groq/*, api_key: own"), ("*", "model: '*'")];
    for _ in 0..2 {
        let closer = served(&made(&entries, ""));
        assert_eq!(closer.providers.keys().collect::<Vec<_>>(), ["groq", "openai"], "an entry of its own is closer");
        let key = closer.providers["groq"].api_key.as_ref().map(|key| key.reveal().to_owned());
        assert_eq!(key.as_deref(), Some("own"), "{entries:?}");
        entries.reverse();
    }
    let with_key = made(&[("*", "model: '*', api_key: k")], "");
    assert!(told(&with_key)[0].starts_with("3:34: model_list[0].litellm_params.api_key: "), "{:?}", with_key.notes);
    assert!(!made(&[("any", "model: '*'")], "").notes.is_empty());
}

#[test]
fn a_server_of_openais_api_elsewhere_has_no_peculiarities_of_openais_own() {
    let entries = [
        ("a", "model: openai/x, api_base: 'http://127.0.0.1:8000/v1'"),
        ("b", "model: openai/x, api_base: 'https://eu.api.openai.com/v1'"),
        ("c", "custom_llm_provider: openai, model: openai/x"),
        ("d", "custom_llm_provider: openai, model: org/x"),
        ("e", "model: openai/responses/gpt-5"),
    ];
    let carried = made(&entries, "");
    let legs = |name: &str| routes(&carried)[name]["legs"][0].clone();
    assert_eq!([legs("a"), legs("b"), legs("c")], ["openai-compatible/x", "openai/x", "openai-2/x"]);
    assert_eq!([legs("d"), legs("e")], ["openai-2/org/x", "openai-3/gpt-5"]);
    let facts = served(&carried);
    let quirks = |name: &str| facts.providers[name].quirks == crate::upstreams::quirks::Quirks::default();
    assert!(quirks("openai-compatible") && !quirks("openai") && !quirks("openai-2"));
    let key = facts.providers["openai-compatible"].api_key.as_ref().map(|key| key.reveal().to_owned());
    assert_eq!(key.as_deref(), Some("sk-o"), "LiteLLM sends the key of its prefix");
    assert_eq!(facts.providers["openai-3"].kind, crate::config::facts::ProviderKind::OpenAiResponses);
}

#[test]
fn a_deployment_costs_what_its_entry_says_or_what_the_model_costs_that_it_is() {
    let text = "model_list:\n\
                - model_name: a\n  litellm_params: {model: azure/mine, api_base: 'http://h'}\n  model_info: {base_model: azure/gpt-4o}\n\
                - model_name: b\n  litellm_params: {model: openai/b, input_cost_per_token: 1e-07}\n  model_info: {mode: embedding}\n\
                - model_name: c\n  litellm_params: {model: openai/c}\n  model_info: {base_model: nobodys/x}\n\
                - model_name: d\n  litellm_params: {model: azure/d, api_base: 'http://h'}\n  model_info: {base_model: azure/gpt-5.5}\n\
                - model_name: e\n  litellm_params: {model: openai/e}\n  model_info: {base_model: claude-sonnet-4-5}\n";
    let carried = carried(text);
    let prices = |provider: &str, model: &str| carried.document.value["providers"][provider]["prices"][model].clone();
    assert_eq!(prices("azure", "mine"), json!({"input": 2.5, "cached": 1.25, "written": 2.5, "written_long": 2.5, "output": 10}));
    let of_claude = json!({"input": 3, "cached": 0.3, "written": 3.75, "written_long": 6, "output": 15});
    assert_eq!(prices("openai", "e"), of_claude, "what is kept for an hour costs more");
    assert_eq!((prices("openai", "b"), prices("openai", "c")), (json!({"input": 0.1, "output": 0}), json!(null)));
    let told = told(&carried).join("\n");
    assert!(told.contains("10:16: model_list[2].model_info.base_model: nobody says what this model costs"), "{told}");
    assert!(told.contains("model_list[3].model_info.base_model: it has other prices for long prompts"), "{told}");
    served(&carried);
}
