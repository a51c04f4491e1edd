//! Files of LiteLLM's proxy, as its users write them.

use std::path::Path;

use serde_json::json;

use super::super::facts::{Facts, Strategy};
use super::super::{emit, load, yaml};
use super::*;

fn environment() -> Environment {
    Environment::of(
        &[("OPENAI_API_KEY", "sk-o"), ("AZURE_API_KEY", "az"), ("LITELLM_MASTER_KEY", "sk-1234"), ("GROQ_API_KEY", "gk")],
        "/w",
    )
}

fn carried(text: &str) -> Carried {
    carry(&yaml::read(text).unwrap(), &environment())
}

fn facts(text: &str) -> Facts {
    load(text, Path::new("/w"), &environment()).unwrap_or_else(|complaints| panic!("{complaints:#?}"))
}

fn notes(facts: &Facts) -> Vec<String> {
    facts.notes.iter().map(ToString::to_string).collect()
}

/// A file with most of what such files have.
const FILE: &str = "\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/my-deployment
      api_base: https://me.openai.azure.com/
      api_version: \"2023-05-15\"
      api_key: os.environ/AZURE_API_KEY
      rpm: 900
      timeout: 5
      stream_timeout: 0.5
  - model_name: gpt-4o
    litellm_params:
      model: gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 100
      max_retries: 0
  - model_name: r1
    litellm_params:
      model: openai/deepseek-r1
      api_base: http://127.0.0.1:8000/v1
      api_key: a-$literal-${key}
      input_cost_per_token: 0.00000055
      output_cost_per_token: 2.19e-06
      seed: 5
    model_info:
      mode: chat
      id: one
  - model_name: claude
    litellm_params:
      model: bedrock/anthropic.claude-v2
  - model_name: embed
    litellm_params: {model: openai/text-embedding-3-small, api_key: os.environ/OPENAI_API_KEY, max_retries: 0}
    model_info: {mode: embedding}
  - model_name: picture
    litellm_params: {model: openai/gpt-image-1}
    model_info: {mode: image_generation}
  - model_name: groq/*
    litellm_params: {model: groq/*}
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 2
  redis_host: localhost
  model_group_alias: {gpt-4: gpt-4o}
litellm_settings:
  drop_params: true
  request_timeout: 60
  fallbacks: [{gpt-4o: [r1, claude]}]
  set_verbose: true
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
environment_variables: {A: b}
";

#[test]
fn a_model_list_becomes_providers_and_routes() {
    let facts = facts(FILE);
    assert_eq!(facts.providers.keys().collect::<Vec<_>>(), ["azure", "groq", "openai", "openai-compatible"]);
    let azure = &facts.providers["azure"];
    assert_eq!((azure.base_url.as_str(), azure.attempts), ("https://me.openai.azure.com/openai/v1", 3));
    assert_eq!(azure.api_key.as_ref().unwrap().reveal(), "az");
    let first = azure.timeouts.first_token.map(|time| time.as_millis());
    assert_eq!((azure.timeouts.total.as_millis(), first), (5000, Some(500)));
    let (openai, own) = (&facts.providers["openai"], &facts.providers["openai-compatible"]);
    assert_eq!((openai.base_url.as_str(), openai.attempts, openai.timeouts.total.as_secs()), ("https://api.openai.com/v1", 1, 60));
    assert_eq!((own.base_url.as_str(), own.api_key.as_ref().unwrap().reveal()), ("http://127.0.0.1:8000/v1", "a-$literal-${key}"));
    let rates = own.prices["deepseek-r1"].rates;
    assert_eq!((rates.input.to_string(), rates.output.to_string()), ("0.55".to_owned(), "2.19".to_owned()));
    let route = &facts.routes["gpt-4o"];
    let legs: Vec<_> = route.legs.iter().map(|leg| (leg.model.as_str(), leg.weight, leg.fallback)).collect();
    assert_eq!(legs, [("my-deployment", 900, false), ("gpt-4o", 100, false), ("deepseek-r1", 1, true)]);
    assert_eq!(route.strategy, Strategy::Weighted);
    assert_eq!(facts.routes.keys().collect::<Vec<_>>(), ["embed", "gpt-4", "gpt-4o", "r1"]);
    assert!(facts.litellm_headers && facts.providers["groq"].any_model);
    assert!(
        !openai.any_model && openai.models == ["gpt-4o", "text-embedding-3-small"] && azure.models == ["my-deployment"],
        "only what is listed is open"
    );
    assert_eq!(facts.keys[0].sha256, digest("sk-1234"));
}

#[test]
fn what_is_not_carried_over_is_told_with_its_line() {
    let told = notes(&facts(FILE));
    let expected = [
        "6:7: model_list[0].litellm_params.api_version: the API is asked by its path",
        "8:7: model_list[0].litellm_params.rpm: counts as a share",
        "15:7: model_list[1].litellm_params.rpm: counts as a share",
        "24:7: model_list[2].litellm_params.seed: this parameter is not carried over",
        "27:7: model_list[2].model_info.id: this is not carried over",
        "30:7: model_list[3].litellm_params.model: this entry is not carried over: the provider `bedrock` is not known here",
        "34:5: model_list[5]: `picture` is not carried over: of modes these are served: chat, completion, embedding, moderation, \
         moderations, responses; not `image_generation`",
        "42:3: router_settings.redis_host: this setting is not carried over",
        "47:29: litellm_settings.fallbacks[0].gpt-4o[1]: `claude` is no name of the model list that is carried over",
        "48:3: litellm_settings.set_verbose: this setting is not carried over",
        "51:1: environment_variables: this section is not carried over",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "\n     told: {told}\n expected: {expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn what_is_imported_is_served_as_the_file_itself_would_be() {
    let text = emit::yaml(&carried(FILE).document.value);
    let (imported, own) = (facts(&text), facts(FILE));
    let shown = |mut facts: Facts| {
        facts.notes.clear();
        format!("{facts:?}")
    };
    assert_eq!(shown(imported), shown(own), "{text}");
}

#[test]
fn without_its_master_keys_variable_it_is_not_served_open_to_all() {
    let text = "model_list: []\ngeneral_settings:\n  master_key: os.environ/NO_SUCH\n";
    let complaints = load(text, Path::new("/w"), &environment()).unwrap_err();
    assert!(complaints.iter().any(|told| told.to_string().starts_with("3:15: general_settings.master_key: ")), "{complaints:?}");
}

#[test]
fn a_master_key_that_is_none_is_refused_and_the_variable_counts_where_nothing_is_said() {
    for wrong in ["1234", "\"\"", "[a]", "true", "null"] {
        let carried = carried(&format!("model_list: []\ngeneral_settings:\n  master_key: {wrong}\n"));
        assert_eq!(carried.missing.len(), 1, "{wrong}");
    }
    let text = "model_list: []\ngeneral_settings: {x: 1}\n";
    assert_eq!(facts(text).keys[0].sha256, digest("sk-1234"));
    let without = carry(&yaml::read(text).unwrap(), &Environment::of(&[], "/w"));
    assert!(without.document.value.get("keys").is_none() && without.missing.is_empty());
}

#[test]
fn an_import_that_would_be_open_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "model_list: []\ngeneral_settings: {master_key: os.environ/NO_SUCH}\n").unwrap();
    let complaints = load::import_litellm(&path, &environment()).unwrap_err();
    assert!(complaints[0].to_string().contains("NO_SUCH"), "{complaints:?}");
}

mod groups;
mod realistic;

#[test]
fn fallbacks_of_all_count_only_for_names_without_their_own() {
    let entry = |name: &str| format!("  - {{model_name: {name}, litellm_params: {{model: openai/{name}}}}}\n");
    let entries: String = ["a", "b", "c", "d"].map(entry).concat();
    let text = format!("model_list:\n{entries}litellm_settings: {{fallbacks: [{{a: [b]}}], default_fallbacks: [c]}}\n");
    let routes = &carried(&text).document.value["routes"];
    assert_eq!((&routes["a"]["fallbacks"], &routes["d"]["fallbacks"]), (&json!(["openai/b"]), &json!(["openai/c"])));
}

#[test]
fn values_that_cannot_be_carried_over_are_told() {
    let text = "model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/m\n      api_base: http://h/v1\n      \
                api_key: 5\n      timeout: os.environ/T\n      extra_headers: {x: 1, y: z}\n      max_retries: many\n";
    let carried = carried(text);
    let told: Vec<String> = carried.notes.iter().map(|note| note.path.clone()).collect();
    let path = |key: &str| format!("model_list[0].litellm_params.{key}");
    assert_eq!(told, ["api_key", "timeout", "extra_headers.x", "max_retries"].map(path));
    let provider = &carried.document.value["providers"]["openai-compatible"];
    assert_eq!((&provider["api_key"], &provider["headers"]), (&json!("${OPENAI_API_KEY}"), &json!({"y": "z"})));
}

#[test]
fn mistakes_are_told_where_they_stand_in_the_file() {
    let text = "model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/m\n      api_base: ftp://h\n";
    let complaints = load(text, Path::new("/w"), &environment()).unwrap_err();
    assert!(complaints[0].to_string().starts_with("5:17: providers.openai-compatible.base_url: "), "{complaints:?}");
}

#[test]
fn strategies_are_ours_by_other_names() {
    for (theirs, ours) in [
        ("simple-shuffle", "weighted"),
        ("least-busy", "least_busy"),
        ("latency-based-routing", "least_latency"),
        ("cost-based-routing", "least_cost"),
        ("usage-based-routing-v2", "least_busy"),
    ] {
        let text = format!(
            "model_list:\n  - {{model_name: m, litellm_params: {{model: openai/a}}}}\n  - {{model_name: m, litellm_params: {{model: groq/b}}}}\n\
             router_settings: {{routing_strategy: {theirs}}}\n"
        );
        assert_eq!(carried(&text).document.value["routes"]["m"], json!({"strategy": ours, "legs": ["openai/a", "groq/b"]}));
    }
}

#[test]
fn odd_entries_cost_nothing_but_a_note() {
    for text in [
        "model_list: x\n",
        "model_list: [1, {}, {model_name: m}, {model_name: m, litellm_params: {}}]\n",
        "model_list: [{model_name: m, litellm_params: {model: no-such-model-at-all}}]\n",
        "model_list: []\nrouter_settings: {fallbacks: [1, {a: [b, 2]}], model_group_alias: {x: [1]}, num_retries: -1, timeout: 0}\n",
        "model_list: [{model_name: '*', litellm_params: {model: openai/*, input_cost_per_token: free}}]\n",
    ] {
        let carried = carried(text);
        assert!(!carried.notes.is_empty() && carried.missing.is_empty(), "{text}");
    }
}

#[test]
fn what_is_written_to_last_for_long_keeps_its_price() {
    let costs = "input_cost_per_token: 3e-06, output_cost_per_token: 1.5e-05, cache_creation_input_token_cost_above_1hr: 6e-06";
    let list = format!("model_list: [{{model_name: c, litellm_params: {{model: openai/c, api_base: 'http://h/v1', {costs}}}}}]\n");
    let facts = facts(&list);
    let rates = facts.providers.values().find_map(|provider| provider.prices.get("c")).unwrap().rates;
    let told = [rates.input, rates.written, rates.written_long, rates.output].map(|rate| rate.to_string());
    assert_eq!((told, notes(&facts)), (["3", "3", "6", "15"].map(str::to_owned), Vec::<String>::new()));
}
