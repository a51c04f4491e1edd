//! Providers as data: one that no code knows, its peculiarities, what it costs, and how a route chooses among several.

use std::process::Command;

use gatewright_tests::{Gateway, Mock, Request, Setup, binary, read_stream};
use serde_json::{Value, json};

const USAGE: &str = "rules:\n  - when: {model: down}\n    then: {fault: {status: 503, body: '{}'}}\n\
                     \x20 - then: {reasoning: [hm], text: ['from ', '{{model}}'], usage: {prompt: 1000, cached: 400, completion: 200, reasoning: 50}}\n";

/// A gateway with these rows of an operator's own.
fn with_rows(rows: &str, config: &str, env: &[(&str, &str)]) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("providers.toml");
    std::fs::write(&file, rows).unwrap();
    let config = Some(format!("verdict_headers: true\ncatalog: {}\n{config}", file.display()));
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (Gateway::start(&Setup { config, env, ..Setup::default() }).unwrap(), folder)
}

#[test]
fn a_provider_that_no_code_knows_is_a_row_of_data() {
    let mock = Mock::playing(USAGE).unwrap();
    let rows = format!(
        "[acme]\nbase_url = '{}/v1'\nauth = 'x-acme-key'\nkey = 'ACME_API_KEY'\nprices = {{ source = 'https://acme.example', read = '2026-11-26' }}\n\
         quirks = {{ max_tokens = 'max_tokens', reasoning = 'reasoning', no_stream_options = true, rename = {{ seed = 'random_seed' }}, \
         refuse = ['logprobs'], drop = ['user'] }}\n\
         [acme.models]\nbig = {{ price = {{ input = '2', cached = '0.5', output = '10' }} }}\n",
        mock.url
    );
    let config = "providers:\n  acme: {}\nroutes:\n  both: {legs: [acme/big, acme/other]}\n";
    let (gateway, _folder) = with_rows(&rows, config, &[("ACME_API_KEY", "k-acme")]);
    let asked = json!({"model": "acme/big", "stream": true, "max_completion_tokens": 9, "seed": 3, "user": "u", "messages": [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "reasoning_content": "t"}, {"role": "user", "content": "z"}]});
    let answer = Request::chat(&asked).send(&gateway.url).unwrap();
    assert!(answer.body.contains("big"), "{}", answer.body);
    let seen = &mock.seen().unwrap()["requests"][0];
    let body = &seen["body"];
    assert_eq!((&seen["headers"]["x-acme-key"], seen["headers"].get("authorization")), (&json!("k-acme"), None));
    assert_eq!((&body["max_tokens"], &body["random_seed"], &body["messages"][1]["reasoning"]), (&json!(9), &json!(3), &json!("t")));
    for gone in ["max_completion_tokens", "seed", "user", "stream_options"] {
        assert!(body.get(gone).is_none(), "{gone} was sent: {body}");
    }
    // 600 of 1000 tokens at 2, 400 at 0.5, 200 at 10 dollars for a million.
    let whole = Request::ask("acme/big", "x").send(&gateway.url).unwrap();
    assert_eq!(whole.header("x-gatewright-cost"), Some("0.0034"), "{:?}", whole.headers);
    let refused = json!({"model": "both", "logprobs": true, "messages": [{"role": "user", "content": "x"}]});
    let refused = Request::chat(&refused).send(&gateway.url).unwrap();
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("logprobs")), "{}", refused.body);
    assert_eq!(mock.count().unwrap(), 2, "what is not supported was not sent");
}

#[test]
fn every_providers_variable_adds_it_without_a_configuration() {
    let mock = Mock::playing(USAGE).unwrap();
    let base = format!("{}/v1", mock.url);
    let env = [("GROQ_API_KEY", "k-groq"), ("GROQ_BASE_URL", &base)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let gateway = Gateway::start(&Setup { env: env.to_vec(), ..Setup::default() }).unwrap();
    let answer = Request::ask("groq/any-model", "x").send(&gateway.url).unwrap();
    assert_eq!(answer.header("x-gatewright-leg"), Some("groq/any-model"), "{}", answer.body);
    assert_eq!(mock.seen().unwrap()["requests"][0]["headers"]["authorization"], "Bearer k-groq");
}

#[test]
fn r1_is_priced_as_it_was_and_compared_with_o1_in_headers_streams_and_records() {
    let mock = Mock::playing(USAGE).unwrap();
    let config = format!(
        "verdict_headers: true\nreference_model: openai/o1\nproviders:\n  deepseek: {{base_url: '{0}/v1', rules: r1}}\n  odd: {{base_url: '{0}/v1'}}\n\
         routes:\n  kept: {{legs: [deepseek/deepseek-reasoner], cache: 1h}}\n",
        mock.url
    );
    let mut gateway = Gateway::with(&config).unwrap();
    let costs = |response: &gatewright_tests::Response| {
        ["cost", "compared-cost"].map(|name| response.header(&format!("x-gatewright-{name}")).map(str::to_owned))
    };
    // 600 x 0.55 + 400 x 0.14 + 200 x 2.19, and 600 x 15 + 400 x 7.5 + 200 x 60, dollars for a million.
    let (r1, o1) = (Some("0.000824".to_owned()), Some("0.024".to_owned()));
    let whole = Request::ask("kept", "x").send(&gateway.url).unwrap();
    assert_eq!(costs(&whole), [r1, o1.clone()], "{:?}", whole.headers);
    assert!(whole.header("x-gatewright-overhead-us").unwrap().parse::<u64>().is_ok());
    let again = Request::ask("kept", "x").send(&gateway.url).unwrap();
    assert_eq!((again.header("x-gatewright-cache"), costs(&again)), (Some("hit"), [Some("0".to_owned()), o1]));
    let stream = Request::stream("deepseek/deepseek-reasoner", "y").send(&gateway.url).unwrap();
    assert_eq!(costs(&stream), [None, None], "not known when the head goes out");
    assert!(read_stream(&stream.body).unwrap().done);
    for comment in [": x-gatewright-cost: 0.000824\n", ": x-gatewright-compared-cost: 0.024\n"] {
        assert!(stream.body.contains(comment), "{comment}{}", stream.body);
    }
    let unpriced = Request::ask("odd/m", "x").send(&gateway.url).unwrap();
    assert_eq!(costs(&unpriced), [None, Some("0.024".to_owned())], "nobody says what it costs");
    let metrics = Request::get("/metrics").send(&gateway.admin).unwrap().body;
    assert!(metrics.contains("gatewright_cost_nanodollars_total{route=\"kept\"} 824000\n"), "{metrics}");
    assert!(metrics.contains("gatewright_compared_cost_nanodollars_total{route=\"kept\"} 48000000\n"), "{metrics}");
    gateway.signal("TERM").unwrap();
    assert!(gateway.ended().unwrap().success());
    let out =
        Command::new(binary().unwrap()).args(["usage", "--json", "--data"]).arg(gateway.folder().join("data")).output().unwrap();
    let rows: Value = serde_json::from_slice(&out.stdout).unwrap();
    let sum = |field: &str| rows.as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("cost_nanos"), sum("compared_nanos"), sum("unpriced")), (1_648_000, 96_000_000, 1), "{rows}");
}

#[test]
fn a_route_chooses_by_share_falls_back_in_order_and_keeps_a_conversations_leg() {
    let mock = Mock::playing(USAGE).unwrap();
    let routes = "routes:\n  canary: {legs: [mock/a, mock/b], strategy: weighted, weights: [1, 0]}\n\
                  \x20 safe: {legs: [mock/down], strategy: least_busy, fallbacks: [mock/down, mock/c, mock/d]}\n\
                  \x20 kept: {legs: [mock/a, mock/b, mock/c], strategy: weighted, sticky: true}\n";
    let gateway = Gateway::with(&mock.config(routes)).unwrap();
    let leg = |request: Request| {
        let response = request.send(&gateway.url).unwrap();
        response.header("x-gatewright-leg").unwrap_or(&response.body).to_owned()
    };
    for _ in 0..8 {
        assert_eq!(leg(Request::ask("canary", "x")), "mock/a");
    }
    let fallen = Request::ask("safe", "x").send(&gateway.url).unwrap();
    assert_eq!((fallen.header("x-gatewright-leg"), fallen.header("x-gatewright-attempts")), (Some("mock/c"), Some("3")));
    let mut legs = std::collections::BTreeSet::new();
    for conversation in (0..20).map(|n| format!("c-{n}")) {
        let ask = || leg(Request::ask("kept", "x").header("x-gatewright-conversation", &conversation));
        let first = ask();
        assert_eq!(ask(), first);
        legs.insert(first);
    }
    assert!(legs.len() > 1, "all conversations went to {legs:?}");
}

#[test]
fn the_catalog_is_shown() {
    let out = |args: &[&str]| {
        let out = Command::new(binary().unwrap()).args(args).env_clear().current_dir(std::env::temp_dir()).output().unwrap();
        (out.status.code().unwrap(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
    };
    let (status, all) = out(&["providers"]);
    assert!(status == 0 && all.lines().count() == 21 && all.contains("DEEPSEEK_API_KEY"), "{all}");
    let (status, one) = out(&["providers", "deepseek"]);
    assert!(status == 0 && one.contains("with `rules: r1`") && one.contains("2.19"), "{one}");
    assert_eq!(out(&["providers", "nobody"]).0, 2);
}
