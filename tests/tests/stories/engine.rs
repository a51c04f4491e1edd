//! The embedded engine behind the gateway, with no configuration at all: what a newcomer meets.
#![cfg(feature = "engine")]

use std::time::Instant;

use gatewright_tests::{Gateway, Request, Setup, read_stream};
use serde_json::json;

const DEMO: &str = "gatewright-demo";
/// Deltas of the long answer that are read, and how many tokens it has at the least.
const FIRST: u32 = 20;
const LEAST: u32 = 3000;

#[test]
fn without_a_configuration_the_demo_model_answers_with_its_steps() {
    let gateway = Gateway::start(&Setup::default()).unwrap();
    let body = json!({"model": DEMO, "temperature": 0, "messages": [{"role": "user", "content": "What is 47 + 85?"}]});
    let whole = Request::chat(&body).send(&gateway.url).unwrap();
    let message = &whole.json()["choices"][0]["message"];
    assert_eq!(message["content"], "132", "{}", whole.body);
    assert!(message["reasoning_content"].as_str().is_some_and(|r| r.contains('7') && r.len() > 10), "{}", whole.body);
    assert!(whole.json()["usage"]["completion_tokens"].as_u64().is_some_and(|n| n > 5), "{}", whole.body);

    let mut streamed = body;
    streamed["stream"] = json!(true);
    streamed["messages"][0]["content"] = json!("What is 52 - 17?");
    let response = Request::chat(&streamed).send(&gateway.url).unwrap();
    let answer = read_stream(&response.body).unwrap();
    assert_eq!((answer.text.as_str(), answer.done), ("35", true), "{}", response.body);
    assert!(answer.events > 5 && !answer.reasoning.is_empty(), "it does not stream: {}", response.body);
}

#[test]
fn without_a_configuration_secrets_is_enforced_verdicts_are_shown_and_answers_are_cached() {
    let gateway = Gateway::start(&Setup::default()).unwrap();
    let ask = || Request::ask(DEMO, "my key is sk-proj-Zx81QwErTyUiOp1234567890AbCdEf ok?").send(&gateway.url).unwrap();
    let first = ask();
    assert_eq!(first.status, 200, "{}", first.body);
    let verdict = first.header("x-gatewright-plugins").unwrap_or_default();
    assert!(verdict.contains("secrets") && verdict.contains("edit"), "{:?}", first.headers);
    assert_eq!((first.header("x-gatewright-cache"), ask().header("x-gatewright-cache")), (Some("miss"), Some("hit")));
    let listed = Request::get("/v1/models").send(&gateway.url).unwrap();
    assert!(listed.body.contains(DEMO), "{}", listed.body);
}

#[test]
fn what_the_engine_cannot_do_is_refused_by_name() {
    let gateway = Gateway::start(&Setup::default()).unwrap();
    let messages = json!([{"role": "user", "content": "1+1"}]);
    let body = json!({"model": DEMO, "ignore_eos": true, "messages": messages});
    let response = Request::chat(&body).send(&gateway.url).unwrap();
    assert_eq!((response.status, response.json()["error"]["param"].as_str()), (400, Some("ignore_eos")), "{}", response.body);
    let body = json!({"model": DEMO, "logprobs": true, "top_logprobs": 2, "messages": messages});
    let whole = Request::chat(&body).send(&gateway.url).unwrap().json();
    let tokens = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2), "{whole}");
}

#[test]
fn an_answer_has_the_shape_that_is_asked_for_and_a_call_is_made_that_is_required() {
    let gateway = Gateway::start(&Setup::default()).unwrap();
    let messages = json!([{"role": "user", "content": "What is 47 + 85?"}]);
    let ask = |field: &str, value: serde_json::Value| {
        let mut body = json!({"model": DEMO, "temperature": 0, "messages": messages});
        body[field] = value;
        body["tools"] = match field {
            "tool_choice" => {
                let number = json!({"type": "integer", "minimum": 0, "maximum": 999});
                let parameters =
                    json!({"type": "object", "properties": {"n": number}, "required": ["n"], "additionalProperties": false});
                json!([{"type": "function", "function": {"name": "tell", "parameters": parameters}}])
            }
            _ => json!([]),
        };
        Request::chat(&body).send(&gateway.url).unwrap()
    };
    let schema =
        json!({"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"], "additionalProperties": false});
    let whole = ask("response_format", json!({"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}));
    let message = &whole.json()["choices"][0]["message"];
    let content: serde_json::Value = serde_json::from_str(message["content"].as_str().unwrap()).unwrap();
    assert!(content["sum"].is_number() && !message["reasoning_content"].as_str().unwrap().is_empty(), "{}", whole.body);
    let whole = ask("guided_regex", json!("[0-9]+"));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "132", "{}", whole.body);
    let whole = ask("tool_choice", json!("required"));
    let choice = &whole.json()["choices"][0];
    let function = &choice["message"]["tool_calls"][0]["function"];
    let arguments: serde_json::Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
    assert_eq!((choice["finish_reason"].as_str(), function["name"].as_str()), (Some("tool_calls"), Some("tell")), "{}", whole.body);
    assert!(arguments["n"].is_number(), "{}", whole.body);
    let refused = ask("guided_grammar", json!("begin: \"a\""));
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("guided_grammar")), "{}", refused.body);
}

#[test]
fn what_the_memory_for_keys_and_values_never_holds_is_refused_by_name() {
    // 256 of the context's 1,024 positions.
    let gateway = Gateway::with("models:\n  gatewright-demo: {kv_memory: 1MiB, max_running: 1}\n").unwrap();
    let ask = |most: u32| {
        let messages = json!([{"role": "user", "content": "1+1"}]);
        Request::chat(&json!({"model": DEMO, "max_tokens": most, "messages": messages})).send(&gateway.url).unwrap()
    };
    let refused = ask(400);
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("max_tokens")), "{}", refused.body);
    assert_eq!(ask(100).status, 200);
}

#[test]
fn a_client_that_hangs_up_frees_its_sequence() {
    let config = "models:\n  gatewright-demo: {max_running: 1, max_waiting: 0}\n";
    let gateway = Gateway::with(config).unwrap();
    // Sixteen choices, one after the other, so hot that hardly one of them ends before the context is full: thousands of tokens.
    let body = json!({
        "model": DEMO, "stream": true, "n": 16, "temperature": 100, "top_p": 1, "seed": 1,
        "messages": [{"role": "user", "content": "What is 312 + 459?"}],
    });
    let asked = Instant::now();
    let mut live = Request::chat(&body).open(&gateway.url).unwrap();
    for _ in 0..FIRST {
        live.until("delta").unwrap();
    }
    let first = asked.elapsed();
    let full = Request::ask(DEMO, "What is 1 + 1?").send(&gateway.url).unwrap();
    assert_eq!(full.status, 429, "there was room beside it: {}", full.body);
    drop(live);
    let left = Instant::now();
    gatewright_tests::wait_until("the one place is free again", || {
        Request::ask(DEMO, "What is 1 + 1?").send(&gateway.url).unwrap().status == 200
    })
    .unwrap();
    // Measured by the same machine: in less time than a third of the tokens would have taken that it went on without.
    let allowed = first * (LEAST / FIRST / 3);
    assert!(left.elapsed() < allowed, "{:?} after the hang-up, {allowed:?} would have been in time", left.elapsed());
}

#[test]
fn what_runs_and_waits_is_among_the_metrics() {
    let gateway = Gateway::start(&Setup::default()).unwrap();
    let figure = |name: &str| {
        let page = Request::get("/metrics").send(&gateway.admin).unwrap().body;
        page.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{name}: {page}"))
    };
    let running = "gatewright_engine_running{model=\"gatewright-demo\"}";
    assert_eq!((figure(running), figure("gatewright_engine_waiting{model=\"gatewright-demo\"}")), (0, 0));
    assert_eq!((figure("gatewright_records_queue{}"), figure("gatewright_cache_entries{}")), (0, 0));
    let mut live = Request::stream(DEMO, "What is 312 + 459?").open(&gateway.url).unwrap();
    live.until("delta").unwrap();
    assert!(figure("gatewright_records_queue{}") == 1, "a place is held for the row of a request in flight");
    live.until("[DONE]").unwrap();
    gatewright_tests::wait_until("the answer is stored, and nothing runs", || {
        figure("gatewright_cache_entries{}") == 1 && figure("gatewright_cache_bytes{}") > 0 && figure(running) == 0
    })
    .unwrap();
}

#[test]
fn an_adapter_is_a_model_of_its_own_name() {
    let reference = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/reference");
    let (model, adapter) = (reference.join("tied").display().to_string(), reference.join("adapters/tied-head"));
    let args = ["--device", "cpu", "--model", &model, "--adapter", &format!("tuned={}", adapter.display())].map(str::to_owned);
    let gateway = Gateway::start(&Setup { args: args.to_vec(), ..Setup::default() }).unwrap();
    let listed = Request::get("/v1/models").send(&gateway.url).unwrap().body;
    assert!(listed.contains("\"tied\"") && listed.contains("\"tuned\""), "{listed}");
    let say = |model: &str| {
        let messages = json!([{"role": "user", "content": "Hi"}]);
        let body = json!({"model": model, "temperature": 0, "max_tokens": 30, "messages": messages});
        let answer = Request::chat(&body).send(&gateway.url).unwrap();
        assert_eq!((answer.status, answer.json()["model"].as_str()), (200, Some(model)), "{}", answer.body);
        answer.json()["choices"][0]["message"].to_string()
    };
    let (own, tuned) = (say("tied"), say("tuned"));
    assert!(own != tuned && own == say("tied") && tuned == say("tuned"), "{own} {tuned}");
}
