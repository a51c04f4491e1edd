//! Upstreams in trouble, and clients who leave: nothing hangs, nothing is passed off as a clean end.

use gatewright_tests::{Gateway, Mock, Request, read_stream, wait_until};
use serde_json::json;

#[test]
fn an_upstream_that_dies_in_the_middle_is_an_error_event_and_no_end() {
    let mock = Mock::playing("rules:\n  - then: {text: [a, b, c, d], fault: {cut_after_chunks: 2}}\n").unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    let response = Request::stream("mock/mock", "x").send(&gateway.url).unwrap();
    let answer = read_stream(&response.body).unwrap();
    assert!(answer.error.is_some() && !answer.done && answer.finish.is_none(), "{}", response.body);
    let whole = Request::ask("mock/mock", "x").send(&gateway.url).unwrap();
    assert!(whole.status >= 500 && whole.json()["error"]["message"].is_string(), "{} {}", whole.status, whole.body);
}

#[test]
fn fail_over_goes_along_the_legs_until_one_speaks() {
    let script = "rules:\n  - when: {model: broken}\n    then: {fault: {status: 503, body: '<html>down</html>'}}\n\
                  \x20 - then: {text: 'from {{model}}'}\n";
    let mock = Mock::playing(script).unwrap();
    let gateway = Gateway::with(&mock.config("routes:\n  safe:\n    legs: [mock/broken, mock/good]\n")).unwrap();
    for request in [Request::ask("safe", "x"), Request::stream("safe", "x")] {
        let response = request.send(&gateway.url).unwrap();
        assert_eq!((response.status, response.header("x-gatewright-leg")), (200, Some("mock/good")), "{}", response.body);
        assert!(response.body.contains("good"), "{}", response.body);
    }
    let alone = Request::ask("mock/broken", "x").send(&gateway.url).unwrap();
    assert!(alone.status == 502 || alone.status == 503, "{} {}", alone.status, alone.body);
    assert!(alone.json()["error"]["type"].is_string(), "{}", alone.body);
}

#[test]
fn a_client_that_hangs_up_cancels_the_upstream_call() {
    let pieces: Vec<_> = (0..2000).map(|n| format!("w{n} ")).collect();
    let script = json!({"rules": [{"then": {"text": pieces, "delay_ms": {"between": 20}}}]}).to_string();
    let mock = Mock::playing(&script).unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    let mut live = Request::stream("mock/mock", "x").open(&gateway.url).unwrap();
    live.until("w3 ").unwrap();
    assert_eq!(mock.seen().unwrap()["open"], 1);
    drop(live);
    wait_until("the upstream call is cancelled", || mock.seen().unwrap()["open"] == 0).unwrap();
}

#[test]
fn unknown_fields_pass_through_both_ways_untouched() {
    let script = "rules:\n  - then: {text: hi, extra: {x_vendor: {deep: [1, 2.50, null]}, service_tier: flex}}\n";
    let mock = Mock::playing(script).unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    let body = r#"{"model":"mock/m","messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"e"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}}],"x_m":1}],"x_top":{"n":12345678901234567890123}}"#;
    let response = Request::post("/v1/chat/completions", body).send(&gateway.url).unwrap();
    assert_eq!(response.json()["x_vendor"], json!({"deep": [1, 2.5, null]}), "{}", response.body);
    let seen = mock.seen().unwrap()["requests"][0].to_string();
    for kept in ["cache_control", "\"detail\":\"low\"", "\"x_m\":1", "x_top"] {
        assert!(seen.contains(kept), "{kept} was lost: {seen}");
    }
}

#[test]
fn usage_comes_in_a_stream_when_it_is_asked_for_and_only_then() {
    let mock = Mock::playing("rules:\n  - then: {text: [a, b], usage: {prompt: 3, completion: 2}}\n").unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    let without = read_stream(&Request::stream("mock/m", "x").send(&gateway.url).unwrap().body).unwrap();
    assert_eq!((without.usage, without.done), (None, true));
    let asked = json!({"model": "mock/m", "stream": true, "stream_options": {"include_usage": true},
                       "messages": [{"role": "user", "content": "x"}]});
    let with = read_stream(&Request::chat(&asked).send(&gateway.url).unwrap().body).unwrap();
    assert_eq!(with.usage.unwrap()["completion_tokens"], 2);
}
