//! OpenAI's Responses from end to end: before upstreams of both dialects, and answers that are kept while the gateway is not.

use gatewright_tests::{Gateway, Mock, Request, Setup, read_stream, wait_until};
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
    mock.config(&claude)
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
        assert_eq!(
            (status, &last["type"], &last["response"]["status"]),
            (200, &json!("response.completed"), &json!("completed")),
            "{body}"
        );
        let output = &last["response"]["output"];
        assert_eq!((&output[0]["content"][0]["text"], &output[1]["content"][0]["text"]), (&json!("I think."), &json!("Hello.")));
        let usage = &last["response"]["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["input_tokens_details"]["cached_tokens"], &usage["total_tokens"]),
            (&json!(5), &json!(2), &json!(9))
        );
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

#[test]
fn what_is_made_in_the_background_can_be_cancelled_and_fails_when_the_gateway_ends() {
    let mock = Mock::playing("rules:\n  - then: {text: [a, b, c, d], fault: {stall_after_chunks: 3}}\n").unwrap();
    let setup = Setup { config: Some(mock.config("limits: {drain_time: 300ms}\n")), ..Setup::default() };
    let mut gateway = Gateway::start(&setup).unwrap();
    let begin = |gateway: &Gateway| {
        let (status, body) = responses(gateway, &json!({"model": "mock/m", "input": "x", "background": true}));
        let told: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &told["status"]), (200, &json!("queued")), "{body}");
        wait_until("the upstream is asked", || mock.seen().unwrap()["open"] == 1).unwrap();
        format!("/v1/responses/{}", told["id"].as_str().unwrap())
    };
    let first = begin(&gateway);
    let cancelled = Request::post(&format!("{first}/cancel"), String::new()).send(&gateway.url).unwrap();
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    wait_until("the upstream call is let go", || mock.seen().unwrap()["open"] == 0).unwrap();
    let second = begin(&gateway);
    gateway.signal("TERM").unwrap();
    assert!(gateway.ended().unwrap().success(), "{}", gateway.log());
    gateway.restart(&setup).unwrap();
    assert_eq!(Request::get(&first).send(&gateway.url).unwrap().json(), cancelled.json());
    let failed = Request::get(&second).send(&gateway.url).unwrap().json();
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("server_error")));
}

/// The gateway in front is asked in one dialect and asks another gateway by Responses, which asks the mock by chat completions.
#[test]
fn an_upstream_may_speak_responses_too() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let behind = Gateway::with(&config(&mock)).unwrap();
    let provider = format!("  behind:\n    dialect: openai_responses\n    base_url: {}/v1\n    attempts: 1\n", behind.url);
    let front = Gateway::with(&format!("providers:\n{provider}")).unwrap();
    let answer = read_stream(&Request::stream("behind/mock/m", "hello").send(&front.url).unwrap().body).unwrap();
    assert_eq!((answer.text.as_str(), answer.reasoning.as_str(), answer.done), ("Hello.", "I think.", true));
    let tools = json!([{"type": "function", "function": {"name": "geo__weather", "parameters": {"type": "object"}}}]);
    let ask = json!({"role": "user", "content": "weather?"});
    let whole = Request::chat(&json!({"model": "behind/mock/m", "messages": [ask], "tools": tools, "reasoning_effort": "low"}));
    let whole = whole.send(&front.url).unwrap().json();
    let message = &whole["choices"][0]["message"];
    assert_eq!(
        (&message["tool_calls"][0]["function"]["arguments"], &whole["choices"][0]["finish_reason"]),
        (&json!("{\"city\": \"Oslo\"}"), &json!("tool_calls")),
        "{whole}"
    );
    let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"});
    let again = Request::chat(&json!({"model": "behind/mock/m", "messages": [ask, message, result], "tools": tools}));
    assert_eq!(again.send(&front.url).unwrap().json()["choices"][0]["message"]["content"], "It is rain.");
    // Whoever speaks the client's dialect is offered what only it can run.
    for (gateway, model, told) in [(&front, "behind/mock/m", false), (&behind, "mock/m", true)] {
        let ask = json!({"model": model, "input": "hello", "tools": [{"type": "web_search"}]});
        let answer = Request::post("/v1/responses", ask.to_string()).send(&gateway.url).unwrap();
        let left_out = answer.headers.iter().any(|(name, _)| name == "x-gatewright-not-carried");
        assert_eq!((answer.status, left_out), (200, told), "{}", answer.body);
    }
    let (_, body) = responses(&front, &json!({"model": "behind/mock/m", "input": "hello"}));
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["output"][1]["content"][0]["text"], "Hello.", "{body}");
    assert_eq!(
        (&answer["usage"]["input_tokens"], &answer["usage"]["input_tokens_details"]["cached_tokens"]),
        (&json!(5), &json!(2))
    );
    let missing = Request::ask("behind/nobody/m", "hello").send(&front.url).unwrap();
    assert_eq!(missing.status, 404, "{}", missing.body);
}
