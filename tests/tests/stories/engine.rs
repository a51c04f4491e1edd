//! The embedded engine behind the gateway, with no configuration at all: what a newcomer meets.
#![cfg(feature = "engine")]

use gatewright_tests::{Gateway, Request, Setup, read_stream};
use serde_json::json;

const DEMO: &str = "gatewright-demo";

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
    let body = json!({"model": DEMO, "logprobs": true, "messages": [{"role": "user", "content": "1+1"}]});
    let response = Request::chat(&body).send(&gateway.url).unwrap();
    assert_eq!((response.status, response.json()["error"]["param"].as_str()), (400, Some("logprobs")), "{}", response.body);
}

#[test]
fn a_client_that_hangs_up_frees_its_sequence() {
    let config = "models:\n  gatewright-demo: {max_running: 1, max_waiting: 0}\n";
    let gateway = Gateway::with(config).unwrap();
    for _ in 0..5 {
        let mut live = Request::stream(DEMO, "What is 312 + 459?").open(&gateway.url).unwrap();
        if live.head.status == 200 {
            live.until("delta").unwrap();
        }
        drop(live);
    }
    gatewright_tests::wait_until("the one place is free again", || {
        Request::ask(DEMO, "What is 1 + 1?").send(&gateway.url).unwrap().status == 200
    })
    .unwrap();
}
