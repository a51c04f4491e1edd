//! A file as LiteLLM's documentation writes them, and what comes of it.

use super::*;

const FILE: &str = "\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      weight: 0.9
    model_info:
      access_groups: [beta]
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://me.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY
      api_version: \"2024-10-21\"
      weight: 0.1
  - model_name: claude-sonnet
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
  - model_name: embeddings
    litellm_params:
      model: openai/text-embedding-3-small
      api_key: os.environ/OPENAI_API_KEY
    model_info:
      mode: embedding
  - model_name: llama
    litellm_params:
      model: hosted_vllm/meta-llama/Llama-3.3-70B-Instruct
      api_base: http://vllm:8000/v1
      input_cost_per_token: 0.0
      output_cost_per_token: 0.0
  - model_name: groq/*
    litellm_params:
      model: groq/*
      api_key: os.environ/GROQ_API_KEY
  - model_name: bedrock-claude
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      aws_region_name: us-east-1
litellm_settings:
  drop_params: true
  num_retries: 2
  request_timeout: 300
  success_callback: [langfuse]
  cache: true
  cache_params: {type: redis}
  context_window_fallbacks: [{gpt-4o: [claude-sonnet]}]
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {gpt-4: gpt-4o}
  fallbacks: [{gpt-4o: [llama, bedrock-claude]}, {gpt-4: [llama]}]
  allowed_fails: 3
  cooldown_time: 30
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: os.environ/DATABASE_URL
  alerting: [slack]
guardrails:
  - guardrail_name: pii
    litellm_params: {guardrail: presidio, mode: pre_call}
";

fn environment() -> Environment {
    let set = ["OPENAI_API_KEY", "AZURE_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "LITELLM_MASTER_KEY"];
    Environment::of(&set.map(|name| (name, "sk-1234")), "/w")
}

/// What `import` writes.
const IMPORTED: &str = r#"providers:
  openai:
    api_key: "${OPENAI_API_KEY}"
    timeouts:
      total: 300s
    attempts: 3
    drop_params: true
    models: [gpt-4o, text-embedding-3-small]
    any_model: false
  azure:
    base_url: "https://me.openai.azure.com/openai/v1"
    api_key: "${AZURE_API_KEY}"
    timeouts:
      total: 300s
    attempts: 3
    drop_params: true
    models: [gpt-4o-eu]
    any_model: false
  anthropic:
    api_key: "${ANTHROPIC_API_KEY}"
    timeouts:
      total: 300s
    attempts: 3
    drop_params: true
    models: [claude-sonnet-4-5]
    any_model: false
  vllm:
    base_url: "http://vllm:8000/v1"
    timeouts:
      total: 300s
    attempts: 3
    drop_params: true
    prices:
      meta-llama/Llama-3.3-70B-Instruct:
        input: 0
        output: 0
    models: [meta-llama/Llama-3.3-70B-Instruct]
    any_model: false
  groq:
    api_key: "${GROQ_API_KEY}"
    timeouts:
      total: 300s
    attempts: 3
    drop_params: true

routes:
  gpt-4o:
    strategy: weighted
    weights: [9, 1]
    legs: [openai/gpt-4o, azure/gpt-4o-eu]
    context_fallbacks: [anthropic/claude-sonnet-4-5]
    fallbacks: [vllm/meta-llama/Llama-3.3-70B-Instruct]
  claude-sonnet:
    legs: [anthropic/claude-sonnet-4-5]
  embeddings:
    legs: [openai/text-embedding-3-small]
  llama:
    legs: [vllm/meta-llama/Llama-3.3-70B-Instruct]
  gpt-4:
    strategy: weighted
    weights: [9, 1]
    legs: [openai/gpt-4o, azure/gpt-4o-eu]
    context_fallbacks: [anthropic/claude-sonnet-4-5]
    fallbacks: [vllm/meta-llama/Llama-3.3-70B-Instruct]

keys:
  master:
    sha256: "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
compat: litellm
"#;

#[test]
fn a_realistic_file_is_imported_so_that_it_reads_well_and_is_served() {
    let carried = carry(&yaml::read(FILE).unwrap(), &environment());
    let text = emit::yaml(&carried.document.value);
    assert_eq!(text, IMPORTED);
    let imported = load(&text, Path::new("/w"), &environment()).unwrap_or_else(|complaints| panic!("{complaints:#?}"));
    let mut own = load(FILE, Path::new("/w"), &environment()).unwrap();
    own.notes.clear();
    assert_eq!(format!("{imported:?}"), format!("{own:?}"));
}

#[test]
fn everything_in_it_that_counts_for_nothing_is_told_with_its_line() {
    let carried = carry(&yaml::read(FILE).unwrap(), &environment());
    let told: Vec<String> = carried.notes.iter().map(|note| format!("{}: {}", note.mark.unwrap().line, note.path)).collect();
    assert_eq!(
        told,
        [
            "8: model_list[0].model_info.access_groups",
            "14: model_list[1].litellm_params.api_version",
            "38: model_list[6].litellm_params.model",
            "44: litellm_settings.success_callback",
            "45: litellm_settings.cache",
            "46: litellm_settings.cache_params",
            "51: router_settings.fallbacks[0].gpt-4o[1]",
            "52: router_settings.allowed_fails",
            "53: router_settings.cooldown_time",
            "56: general_settings.database_url",
            "57: general_settings.alerting",
            "58: guardrails",
        ]
    );
}
