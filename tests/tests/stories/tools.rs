//! The gateway's own tool loop: offered, called through the policies, fed back, bounded.

use gatewright_tests::{Gateway, Mock, Request, read_stream};
#[cfg(feature = "engine")]
use serde_json::json;

const SCRIPT: &str = r#"
rules:
  - when: {has_tool_result: true, contains: forever}
    then: {tool_calls: [{name: "{{offered}}", arguments: {expression: "1+1"}}]}
  - when: {has_tool_result: true}
    then: {reasoning: "The tool has answered.", text: "It is {{tool}}."}
  - when: {offers: calculat}
    then: {reasoning: "I had better calculate.", tool_calls: [{name: "{{offered}}", arguments: {expression: "6 * 7"}}]}
"#;
const CONFIG: &str = "plugins:\n  calculator: {}\n  secrets: {}\nroutes:\n  agent:\n    legs: [mock/m]\n    \
                      plugins: [secrets, calculator]\n    tools: {max_rounds: 3}\n";

#[test]
fn a_tool_call_is_chained_on_whole_and_on_streamed_requests() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::with(&mock.config(CONFIG)).unwrap();
    let whole = Request::ask("agent", "calculate 6 * 7").send(&gateway.url).unwrap();
    assert!(whole.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().contains("42"), "{}", whole.body);
    assert_eq!(whole.json()["choices"][0]["finish_reason"], "stop", "{}", whole.body);
    assert_eq!(mock.count().unwrap(), 2);
    let streamed = Request::stream("agent", "calculate 6 * 7").send(&gateway.url).unwrap();
    let answer = read_stream(&streamed.body).unwrap();
    assert!(answer.text.contains("42") && answer.done && answer.finish.as_deref() == Some("stop"), "{}", streamed.body);
    assert!(answer.reasoning.contains("I had better calculate."), "{}", streamed.body);
}

#[test]
fn without_the_routes_leave_no_tool_is_offered() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::with(&mock.config("plugins:\n  calculator: {}\n")).unwrap();
    Request::ask("mock/m", "calculate 6 * 7").send(&gateway.url).unwrap();
    assert!(mock.seen().unwrap()["requests"][0]["body"]["tools"].is_null());
}

#[test]
fn a_model_that_never_stops_calling_is_stopped() {
    let script =
        "rules:\n  - when: {offers: calculat}\n    then: {tool_calls: [{name: '{{offered}}', arguments: {expression: '1+1'}}]}\n";
    let mock = Mock::playing(script).unwrap();
    let gateway = Gateway::with(&mock.config(CONFIG)).unwrap();
    let whole = Request::ask("agent", "go").send(&gateway.url).unwrap();
    assert!(whole.status >= 400 && whole.json()["error"]["message"].is_string(), "{} {}", whole.status, whole.body);
    assert_eq!(mock.count().unwrap(), 3);
    let streamed = Request::stream("agent", "go").send(&gateway.url).unwrap();
    assert!(streamed.body.contains("\"error\"") && !streamed.body.contains("[DONE]"), "{}", streamed.body);
}

/// The whole loop in one process: the demo model asks, a plugin calculates, the model answers with what it was told.
#[cfg(feature = "engine")]
#[test]
fn the_demo_model_calls_a_calculator_with_no_upstream_at_all() {
    let config = "models:\n  gatewright-demo: {}\nplugins:\n  calculator: {}\n  secrets: {}\nroutes:\n  sums:\n    \
                  legs: [gatewright-demo]\n    tools: {max_rounds: 3}\n";
    let gateway = Gateway::with(config).unwrap();
    let ask = |model: &str, stream: bool| {
        let messages = json!([{"role": "user", "content": "What is 1234 * 5678?"}]);
        let body = json!({"model": model, "temperature": 0, "stream": stream, "messages": messages});
        Request::chat(&body).send(&gateway.url).unwrap()
    };
    let whole = ask("sums", false);
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "7006652", "{}", whole.body);
    let alone = ask("gatewright-demo", false);
    assert_ne!(alone.json()["choices"][0]["message"]["content"], "7006652", "it can do without: {}", alone.body);
    let streamed = ask("sums", true);
    let answer = read_stream(&streamed.body).unwrap();
    assert_eq!((answer.text.as_str(), answer.done), ("7006652", true), "{}", streamed.body);
}
