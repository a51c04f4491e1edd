//! What is beside chats: completions, embeddings and moderations under the same policies, other paths passed through where the operator
//! says so, and thought that comes back to a server that demands it.

use gatewright_tests::{Gateway, Mock, Request, Setup};
use serde_json::{Value, json};

/// A key of the form that OpenAI gives out; made up here.
const KEY: &str = "sk-proj-Zx81QwErTyUiOp1234567890AbCdEf";

fn post(path: &str, body: &Value) -> Request {
    Request::post(path, body.to_string())
}

fn seen(mock: &Mock) -> Vec<Value> {
    mock.seen().unwrap()["requests"].as_array().unwrap().clone()
}

#[test]
fn completions_embeddings_and_moderations_pass_the_policies() {
    let script =
        format!("rules:\n  - when: {{contains: leak}}\n    then: {{text: ['it is sk-pro', '{}', '. Done.']}}\n", &KEY[6..]);
    let mock = Mock::playing(&script).unwrap();
    let gateway = Gateway::with(&mock.config("plugins:\n  secrets: {}\n")).unwrap();
    let streamed =
        post("/v1/completions", &json!({"model": "mock/m", "prompt": "leak it", "stream": true})).send(&gateway.url).unwrap();
    assert!(streamed.status == 200 && streamed.body.ends_with("data: [DONE]\n\n"), "{}", streamed.body);
    assert!(streamed.body.contains("[redacted") && !streamed.body.contains("Zx81"), "{}", streamed.body);
    let whole = post("/v1/completions", &json!({"model": "mock/m", "prompt": format!("say {KEY}")})).send(&gateway.url).unwrap();
    let text = whole.json()["choices"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.starts_with("say [redacted"), "{}", whole.body);
    let input = json!([format!("my {KEY}"), "b"]);
    let embedded = post("/v1/embeddings", &json!({"model": "mock/e", "input": input})).send(&gateway.url).unwrap();
    assert_eq!((embedded.status, &embedded.json()["data"][1]["embedding"]), (200, &json!([1, 1])), "{}", embedded.body);
    assert!(embedded.header("x-gatewright-plugins").is_some_and(|did| did.contains("not-inspected=answer:other")));
    let judged = post("/v1/moderations", &json!({"model": "mock/o", "input": "a flag"})).send(&gateway.url).unwrap();
    assert_eq!(judged.json()["results"][0]["flagged"], true, "{}", judged.body);
    let tokens = post("/v1/embeddings", &json!({"model": "mock/e", "input": [1, 2, 3]})).send(&gateway.url).unwrap();
    assert_eq!((tokens.status, &tokens.json()["error"]["code"]), (400, &json!("content_filter")), "tokens hide what they say");
    let sent = seen(&mock);
    assert!(sent.len() == 4 && !Value::from(sent).to_string().contains("Zx81"));
}

#[test]
fn other_paths_pass_where_the_operator_says_so_and_no_policy_is_enforced() {
    let mock = Mock::playing("rules: []").unwrap();
    let pass = "    pass_through: {paths: [/v1/files*]}\n    api_key: providers-own\n";
    let key = "keys:\n  k: {sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n";
    let gateway = Gateway::with(&mock.config(&format!("{pass}{key}"))).unwrap();
    let upload =
        Request::post("/v1/files?purpose=batch", "--b\r\n\r\nx\r\n--b--").header("content-type", "multipart/form-data; boundary=b");
    assert_eq!(upload.send(&gateway.url).unwrap().status, 401);
    let passed = upload.clone().header("authorization", "Bearer abc").send(&gateway.url).unwrap();
    assert_eq!((passed.status, passed.header("x-gatewright-inspected")), (200, Some("none")), "{}", passed.body);
    let told = passed.json();
    assert_eq!((&told["path"], &told["authorization"]), (&json!("/v1/files?purpose=batch"), &json!("Bearer providers-own")));
    assert_eq!(
        (&told["text"], &told["content_type"]),
        (&json!("--b\r\n\r\nx\r\n--b--"), &json!("multipart/form-data; boundary=b"))
    );
    let other = Request::post("/v1/rerank", "{}").header("authorization", "Bearer abc").send(&gateway.url).unwrap();
    assert_eq!(other.status, 404, "off unless it is named: {}", other.body);
    let enforced = Gateway::with(&mock.config(&format!("{pass}plugins:\n  secrets: {{}}\n"))).unwrap();
    let refused = upload.send(&enforced.url).unwrap();
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("content_filter")), "{}", refused.body);
}

#[test]
fn a_client_that_drops_thought_can_still_talk_to_deepseek() {
    let script = "rules:\n  - when: {has_tool_result: true}\n    then: {text: done}\n\
                  \x20 - then: {reasoning: ['I look ', 'it up.'], tool_calls: [{name: look, arguments: '{\"x\": 1}'}]}\n";
    let mock = Mock::playing(script).unwrap();
    let config = format!("verdict_headers: true\nproviders:\n  deepseek: {{base_url: '{}/v1'}}\n", mock.url);
    let gateway = Gateway::start(&Setup { config: Some(config), ..Setup::default() }).unwrap();
    let asked = json!({"model": "deepseek/deepseek-reasoner", "messages": [{"role": "user", "content": "x"}]});
    let called = Request::chat(&asked).send(&gateway.url).unwrap().json()["choices"][0]["message"].clone();
    let history = json!([{"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": called["tool_calls"]},
        {"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "found"}]);
    let answer = Request::chat(&json!({"model": "deepseek/deepseek-reasoner", "messages": history})).send(&gateway.url).unwrap();
    assert_eq!((answer.status, answer.header("x-gatewright-recalled")), (200, Some("1")), "{}", answer.body);
    assert_eq!(seen(&mock)[1]["body"]["messages"][1]["reasoning_content"], "I look it up.");
}
