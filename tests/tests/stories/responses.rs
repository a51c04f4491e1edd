//! OpenAI's Responses from end to end: before upstreams of both dialects, and answers that are kept while the gateway is not.

use gatewright_tests::{Gateway, Mock, Request, Setup};
use serde_json::{Value, json};

const SCRIPT: &str = r#"
rules:
  - when: {has_tool_result: true}
    then: {text: "It is {{tool}}."}
  - when: {contains: weather}
    then:
      reasoning: ["I need ", "the weather."]
      tool_calls: [{name: geo__weather, arguments: ['{"city": ', '"Oslo"}']}]
  - then:
      reasoning: ["I ", "think."]
      text: ["Hel", "lo."]
      usage: {prompt: 5, completion: 4, cached: 2}
"#;

fn config(mock: &Mock) -> String {
    let claude = format!("  claude:\n    dialect: anthropic\n    base_url: {}\n    attempts: 1\n", mock.url);
    mock.config(&format!("{claude}"))
}

fn responses(gateway: &Gateway, body: &Value) -> (u16, String) {
    let response = Request::post("/v1/responses", body.to_string()).send(&gateway.url).unwrap();
    (response.status, response.body)
}

fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn a_client_of_responses_is_answered_by_upstreams_of_both_dialects() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::with(&config(&mock)).unwrap();
    let tools = json!([{"type": "namespace", "name": "geo", "description": "d", "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object"}}]}]);
    for model in ["mock/m", "claude/m"] {
        let (status, body) = responses(&gateway, &json!({"model": model, "input": "hello", "stream": true}));
        let events = events(&body);
        let last = &events[events.len() - 1];
        assert_eq!((status, &last["type"], &last["response"]["status"]), (200, &json!("response.completed"), &json!("completed")), "{body}");
        let output = &last["response"]["output"];
        assert_eq!((&output[0]["content"][0]["text"], &output[1]["content"][0]["text"]), (&json!("I think."), &json!("Hello.")));
        let usage = &last["response"]["usage"];
        assert_eq!((&usage["input_tokens"], &usage["input_tokens_details"]["cached_tokens"], &usage["total_tokens"]), (&json!(5), &json!(2), &json!(9)));
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
        let (_, body) = responses(&gateway, &json!({"model": model, "input": "weather?", "tools": tools}));
        let first: Value = serde_json::from_str(&body).unwrap();
        let call = first["output"].as_array().unwrap().last().unwrap();
        assert_eq!((&call["name"], &call["namespace"]), (&json!("weather"), &json!("geo")), "{body}");
        let result = json!([{"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}]);
        let follows = json!({"model": model, "previous_response_id": first["id"], "input": result, "tools": tools});
        let (status, body) = responses(&gateway, &follows);
        assert!(status == 200 && body.contains("It is rain."), "{body}");
    }
}

#[test]
fn a_kept_answer_survives_the_gateway_and_a_failed_one_leaves_nothing() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let setup = Setup { config: Some(config(&mock)), ..Setup::default() };
    let mut gateway = Gateway::start(&setup).unwrap();
    let (_, body) = responses(&gateway, &json!({"model": "mock/m", "input": "hello", "stream": true}));
    let first = events(&body).pop().unwrap()["response"].clone();
    gateway.signal("TERM").unwrap();
    assert!(gateway.ended().unwrap().success());
    gateway.restart(&setup).unwrap();
    let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
    assert_eq!(Request::get(&path).send(&gateway.url).unwrap().json(), first);
    let (status, _) = responses(&gateway, &json!({"model": "mock/m", "input": "and?", "previous_response_id": first["id"]}));
    assert_eq!(status, 200);
    let seen = mock.seen().unwrap();
    let asked = &seen["requests"].as_array().unwrap().last().unwrap()["body"]["messages"];
    let said: Vec<&str> = asked.as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(said, ["hello", "Hello.", "and?"]);
    assert_eq!(Request::get(&path).method("DELETE").send(&gateway.url).unwrap().status, 200);
    assert_eq!(Request::get(&path).send(&gateway.url).unwrap().status, 404);
}
