//! The rows in the binary are whole, and a row that an operator writes is one like them.

use super::*;
use crate::money::Nanos;
use crate::upstreams::quirks::Reasoning;

fn packed() -> Catalog {
    Catalog::packed().unwrap()
}

fn nanos(text: &str) -> Nanos {
    text.parse().unwrap()
}

#[test]
fn every_provider_that_is_promised_has_its_row() {
    let catalog = packed();
    let names: Vec<&str> = catalog.rows().map(|row| row.name.as_str()).collect();
    let promised = "anthropic azure deepseek fireworks google groq huggingface llama-server lm-studio mistral ollama openai \
                    openai-compatible openrouter perplexity sglang tgi together vllm xai";
    assert_eq!(names.join(" "), promised.split_whitespace().collect::<Vec<_>>().join(" "));
}

#[test]
fn every_row_can_be_used_and_every_price_says_who_says_so_and_when() {
    for row in packed().rows() {
        let name = &row.name;
        assert!(row.kind().is_some() || row.dialect == "anthropic", "{name}");
        let url = row.base_url.as_deref().unwrap_or("https://x");
        assert!(url.starts_with("https://") || url.starts_with("http://127.0.0.1:") || url.starts_with("${"), "{name}: {url}");
        assert!(!url.ends_with('/') && !url.ends_with("/chat/completions"), "{name}: {url}");
        assert!(row.key_variable.as_deref().is_some_and(|key| key.ends_with("_KEY") || key.ends_with("_TOKEN")), "{name}");
        for (model, of) in [&row.present].into_iter().chain(row.rules.values()).flat_map(|rules| &rules.models) {
            assert!(!model.contains(char::is_whitespace), "{name}/{model}");
            if let Some(Sourced { price, source, read }) = &of.price {
                assert!(source.contains("https://") && read.len() >= "2025-01".len(), "{name}/{model}");
                assert!(
                    price.rates.cached <= price.rates.input
                        && (price.rates.output == Nanos(0) || price.rates.output >= price.rates.input),
                    "{name}/{model}"
                );
            }
        }
    }
}

#[test]
fn deepseek_has_its_present_rules_and_those_of_r1s_time() {
    let catalog = packed();
    let row = catalog.find("deepseek").unwrap();
    let (then, now) = (row.under(Some("r1")).unwrap(), row.under(None).unwrap());
    assert_eq!((then.quirks.reasoning, now.quirks.reasoning), (Reasoning::Leave, Reasoning::WithCalls));
    assert!(
        then.quirks.refuse.is_empty() && then.quirks.models["deepseek-reasoner"].refuse.iter().any(|field| field == "logprobs")
    );
    let v3 = then.prices()["deepseek-chat"].rates;
    assert_eq!((v3.input, v3.cached, v3.output), (nanos("0.27"), nanos("0.07"), nanos("1.1")));
    let r1 = then.prices()["deepseek-reasoner"].rates;
    assert_eq!((r1.input, r1.cached, r1.output), (nanos("0.55"), nanos("0.14"), nanos("2.19")));
    let o1 = catalog.find("openai").unwrap().present.prices()["o1"].rates;
    assert_eq!((o1.input, o1.cached, o1.output), (nanos("15"), nanos("7.5"), nanos("60")));
    assert_eq!(row.under(Some("no such rules")), None);
}

#[test]
fn of_r1s_time_only_r1_itself_takes_no_tools_and_formats() {
    let catalog = packed();
    let quirks = catalog.find("deepseek").unwrap().under(Some("r1")).unwrap().quirks.clone();
    let refused = |model: &str, field: &str, value: serde_json::Value| {
        let body = serde_json::json!({"model": model, "messages": [{"role": "user", "content": "x"}], field: value});
        let request = crate::dialects::openai_chat::request::read(body.to_string().as_bytes()).unwrap();
        crate::upstreams::quirks::fit(&quirks, &request).err().and_then(|fault| fault.param)
    };
    let tool = || serde_json::json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let format = || serde_json::json!({"type": "json_object"});
    for model in ["deepseek-reasoner", "deepseek-r1", "deepseek-ai/DeepSeek-R1-0528"] {
        assert_eq!(refused(model, "tools", tool()).as_deref(), Some("tools"), "{model}");
        assert_eq!(refused(model, "response_format", format()).as_deref(), Some("response_format"), "{model}");
    }
    assert_eq!((refused("deepseek-chat", "tools", tool()), refused("deepseek-chat", "response_format", format())), (None, None));
}

#[test]
fn whoever_has_a_price_list_has_models_and_prices() {
    let catalog = packed();
    for name in
        ["anthropic", "azure", "deepseek", "fireworks", "google", "groq", "mistral", "openai", "perplexity", "together", "xai"]
    {
        assert!(catalog.find(name).unwrap().present.prices().len() >= 4, "{name}");
    }
    let elsewhere = catalog.rows().filter_map(|row| row.litellm_elsewhere.as_deref());
    elsewhere.for_each(|name| assert!(catalog.find(name).is_some(), "{name}"));
}

#[test]
fn a_row_needs_no_more_than_a_name_and_an_address() {
    let catalog = packed().with("[mine]\nbase_url = 'http://127.0.0.1:9/v1/'\n[openai]\nbase_url = 'https://other/v1'\n").unwrap();
    let row = catalog.find("mine").unwrap();
    assert_eq!(
        (row.base_url.as_deref(), row.kind(), &row.auth),
        (Some("http://127.0.0.1:9/v1"), Some(ProviderKind::OpenAi), &Auth::Usual)
    );
    assert_eq!(
        catalog.find("openai").unwrap().base_url.as_deref(),
        Some("https://other/v1"),
        "it takes the place of the packed one"
    );
    assert_eq!(catalog.rows().count(), packed().rows().count() + 1);
}

#[test]
fn what_is_wrong_with_a_row_is_told() {
    for (text, told) in [
        ("[a]\nbase_ulr = 'x'", "base_ulr"),
        ("[a\n", "line 1"),
        ("['a/b']\n", "cannot be empty or contain `/`"),
        ("[a]\nauth = 'a b'", "`auth` is `usual` or a header's name"),
        ("[a.models]\nm = {price = {input = '1', output = '2'}}", "a price needs `prices"),
        (
            "[a]\nprices = {source = 's', read = 'r'}\n[a.models]\nm = {price = {input = '1,0', output = '2'}}",
            "`1,0` is not an amount",
        ),
        ("[a.models]\nm = {can = ['fly']}", "not `fly`"),
        ("[a.quirks]\nreasoning = 'loud'", "loud"),
    ] {
        let error = packed().with(text).unwrap_err();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn the_tables_show_every_row_and_no_key() {
    let catalog = packed();
    let table = providers(catalog.rows(), |name| name == "OPENAI_API_KEY");
    assert_eq!(table.lines().count(), catalog.rows().count() + 1);
    assert!(table.contains("OPENAI_API_KEY (set)") && !table.contains("GROQ_API_KEY (set)"), "{table}");
    let table = models(catalog.find("deepseek").unwrap());
    assert!(table.contains("with `rules: r1`") && table.contains("0.14") && table.contains("https://"), "{table}");
    assert!(models(catalog.find("vllm").unwrap()).contains("passed through"));
}
